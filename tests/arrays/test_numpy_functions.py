"""Every function of NumPy that tensors are dispatched to: ours where we have it, with NumPy's values, else a refusal.

The table is made from NumPy's own modules: whatever function there takes part in the dispatch is called with all
arguments below that it takes.
"""

import numpy as np
import pytest

import clearprop as cl
from clearprop.arrays.numpy_protocol import _ABOUT_SHAPE, _QUESTIONS, _ours_for
from clearprop.errors import ClearpropError, TraceError
from tests.tiers import together

SQUARE = np.random.default_rng(0).normal(size=(3, 3))
SQUARE = SQUARE @ SQUARE.T + np.eye(3)
ROW, CUBE = SQUARE[0], np.random.default_rng(1).normal(size=(3, 2, 3))
POINT = SQUARE + 0.1 * np.random.default_rng(3).normal(size=(3, 3))
COUNTS = np.array([2, 0, 1])
WAVE = np.random.default_rng(4).normal(size=7)
DISPATCHED = {
    f"{module.__name__}.{name}": function
    for module in (np, np.linalg, np.fft)
    for name in dir(module)
    if type(function := getattr(module, name)).__name__ == "_ArrayFunctionDispatcher"
}
ALONE = set(_ABOUT_SHAPE) | set(_QUESTIONS)
OURS = [name for name, f in DISPATCHED.items() if f not in ALONE and _ours_for(f.__module__, f.__name__)]
OTHERS = [name for name, f in DISPATCHED.items() if f not in ALONE and name not in OURS]

GENERAL = [
    (SQUARE,), (ROW,), (CUBE,), (SQUARE, SQUARE), (SQUARE, ROW), (SQUARE, 1),
    (SQUARE, (9,)), (SQUARE, 3, 0), (CUBE, 0, 1), (SQUARE, 2, 1), (ROW, 0.5, 2.0), (SQUARE, 0.5),
]  # fmt: skip
"""Arguments that are tried on every function; NumPy says which it takes."""
LISTS = [([SQUARE, SQUARE],), ([ROW, ROW],), ([ROW, ROW, ROW],)]
OWN = {
    **{f"numpy.{name}": [*LISTS, ([SQUARE, SQUARE], 1)] for name in ("concat", "concatenate", "stack")},
    **{f"numpy.{name}stack": [*LISTS, ([ROW, SQUARE.T[:1]],)] for name in ("v", "h", "d", "column_")},
    "numpy.linalg.multi_dot": [([SQUARE, SQUARE, ROW],)],
    "numpy.astype": [(SQUARE, np.dtype(np.float32))],
    "numpy.bincount": [(COUNTS,), (COUNTS, None, 20)],
    "numpy.pad": [(SQUARE, 1), (ROW, (0, 2), "edge"), (CUBE, ((1, 0), (0, 0), (2, 1)), "wrap")],
    "numpy.unique": [(COUNTS,), (SQUARE % 2, True, True, True), (np.array([np.nan, 1.0, np.nan]), False, True)],
    "numpy.diff": [(SQUARE,), (SQUARE, 2), (SQUARE, 1, 0)],
    "numpy.broadcast_to": [(ROW, (2, 3))],
    "numpy.einsum": [("ij,jk->ik", SQUARE, SQUARE), ("ii->i", SQUARE)],
    "numpy.searchsorted": [(np.sort(ROW), SQUARE)],
    "numpy.take_along_axis": [(SQUARE, COUNTS[:, None], 1)],
    "numpy.interp": [(SQUARE, np.sort(ROW), ROW), (SQUARE, np.sort(ROW), ROW, 0.5, 2.0)],
    "numpy.empty_like": [],
    "numpy.linalg.cholesky": [(SQUARE,)],
    "numpy.linalg.outer": [(ROW, ROW)],
    "numpy.linalg.norm": [(SQUARE, np.inf), (SQUARE, "nuc"), (CUBE, None, (0, 2)), (CUBE, 1, 1, True), (ROW, 3)],
    "numpy.fft.fft": [(ROW, 5), (SQUARE, None, 0), (SQUARE, 4, 0, "ortho")],
    "numpy.percentile": [(SQUARE, 30.0), (SQUARE, 50, 1)],
    "numpy.diag": [(ROW, 1), (ROW, -2), (SQUARE, -1)],
    "numpy.rot90": [(SQUARE,), (SQUARE, 3)],
    "numpy.transpose": [(CUBE,), (CUBE, (1, 2, 0))],
    "numpy.squeeze": [(CUBE[:, None, :1],), (CUBE[:, None], 1), (SQUARE,)],
    "numpy.array_split": [(SQUARE, 2), (CUBE, 2, 2), (ROW, [1, 2]), (ROW, 5)],
    "numpy.dsplit": [(CUBE, 3), (CUBE, [1])],
    "numpy.partition": [(SQUARE, (0, 1, 2)), (SQUARE, (0, 1, 2), 0)],  # else the order of the others is free
    "numpy.delete": [(SQUARE, 1), (SQUARE, [0, 2], 1), (ROW, slice(1, None))],
    "numpy.compress": [([True, False, True], SQUARE, 1), ([False, True], ROW)],
    "numpy.block": LISTS,
    **{f"numpy.{name}": [(np.append(ROW, [np.inf, -np.inf]),)] for name in ("fix", "isposinf", "isneginf")},
    "numpy.select": [([SQUARE > 1, SQUARE > 0], [SQUARE, 2 * SQUARE], 7.0), ([ROW > 1], [ROW])],
    "numpy.digitize": [(SQUARE, np.sort(ROW)), (SQUARE, np.sort(ROW), True)],
    "numpy.unwrap": [(9 * SQUARE,), (9 * SQUARE, None, 0), (4 * ROW, 4.0)],
    "numpy.ediff1d": [(SQUARE,), (ROW, 5.0, ROW)],
    "numpy.gradient": [(SQUARE,), (ROW, 2.0), (ROW, np.sort(ROW)), (CUBE, 0.5, 2.0, 3.0)],
    "numpy.average": [(SQUARE,), (SQUARE, 1), (SQUARE, 0, ROW**2), (CUBE, None, CUBE**2), (CUBE, 2, ROW**2)],
    "numpy.cov": [(SQUARE,), (ROW,), (ROW, ROW**2), (SQUARE, None, False), (SQUARE, None, True, True)],
    "numpy.corrcoef": [(SQUARE,), (ROW,), (ROW, ROW**2), (SQUARE, None, False)],
    **{
        f"numpy.{name}": [
            (a, v, mode)
            for a, v in ((WAVE, ROW), (ROW, WAVE), (WAVE, WAVE[:4]), (WAVE[:4], WAVE))
            for mode in ("full", "same", "valid")
        ]
        for name in ("convolve", "correlate")
    },
    "numpy.polyval": [(ROW, SQUARE), (ROW, 2.0)],
    "numpy.vander": [(ROW,), (ROW, 4), (ROW, 2, True)],
    "numpy.linalg.tensorinv": [(np.reshape(SQUARE, (3, 1, 3)), 1), (SQUARE, 1)],
    "numpy.linalg.tensorsolve": [(SQUARE, ROW), (np.reshape(SQUARE, (3, 3, 1)), ROW)],
    "numpy.tril": [(SQUARE,), (SQUARE, 1)],
    "numpy.triu": [(SQUARE,), (SQUARE, -1)],
}
"""Arguments of functions that take none of those, or are tried by these alone; what `empty_like` holds is nothing."""


def as_tensors(value):
    if isinstance(value, np.ndarray):
        return cl.tensor(value)
    return [cl.tensor(item) for item in value] if isinstance(value, list) else value


def parts(value):
    return list(value) if isinstance(value, tuple | list) else [value]


@pytest.mark.filterwarnings("ignore:numpy.* is deprecated:DeprecationWarning")  # a later NumPy's word on its own
@pytest.mark.parametrize("name", OURS)
def test_values_are_those_of_numpy(name):
    function, done = DISPATCHED[name], 0
    for given in OWN.get(name, GENERAL):
        try:
            wanted = parts(function(*given))
        except Exception:  # NumPy does not take them
            continue
        try:
            found = parts(function(*map(as_tensors, given)))
        except ClearpropError:
            assert name not in OWN
            continue
        done += 1
        assert all(isinstance(value, cl.Tensor) for value in found)
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.shape == np.shape(theirs)
            np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-10, atol=1e-12)
    assert done or OWN.get(name) == []


@together("name", OTHERS)
def test_others_are_refused(name):
    """Whatever NumPy would make of the values: nothing loses its history silently."""
    function = DISPATCHED[name]
    with pytest.raises(TraceError, match=f"np.{function.__name__} on a Tensor is not supported"):
        cl.tensor(ROW, requires_grad=True).__array_function__(function, (cl.Tensor,), (cl.tensor(ROW),), {})


DIFFERENTIATED = {
    "pad and unique": lambda x: (
        np.sum(np.pad(x, ((0, 1), (2, 0)), constant_values=3.0) ** 2 * 2) + np.unique(x)[1] ** 2
    ),
    "norm": lambda x: np.linalg.norm(x),
    "norms of rows": lambda x: np.sum(np.linalg.norm(x, axis=1)),
    "nuclear norm": lambda x: np.linalg.norm(x, "nuc"),
    "einsum": lambda x: np.einsum("ij,ji->", x, x),
    "concatenate": lambda x: np.sum(np.concatenate([x, x * x], axis=1) ** 2),
    "vstack": lambda x: np.sum(np.vstack([x, ROW]) ** 2),
    "trace and diagonal": lambda x: np.trace(x, 1) + np.sum(np.diagonal(x) ** 2) + np.sum(np.diag(x[0], -1) ** 2),
    "dot": lambda x: np.dot(np.dot(x, ROW), ROW) + np.vdot(x, x),
    "cumsum": lambda x: np.sum(np.cumsum(x) ** 2),
    "slogdet": lambda x: np.linalg.slogdet(x)[1] + np.linalg.det(x),
    "solve": lambda x: np.sum(np.linalg.solve(x, ROW)) + np.sum(np.linalg.inv(x)),
    "fft": lambda x: np.sum(np.abs(np.fft.fft2(x)) ** 2) + np.sum(np.real(np.fft.rfft(x, 5))),
    "gradient and convolve": lambda x: (
        np.sum(np.gradient(x, axis=1) ** 2)
        + np.sum(np.convolve(x[0], x[1], "same") * np.correlate(x[1], x[2], "full")[1:4])
    ),
    "cov and corrcoef": lambda x: np.sum(np.cov(x) ** 2) + np.sum(np.corrcoef(x)[0]),
    "polyval and average": lambda x: np.polyval(x[0], x[1, 2]) + np.average(x[0], weights=x[1]),
    "unwrap, select and tensorsolve": lambda x: (
        np.sum(np.unwrap(3 * x) ** 2)
        + np.sum(np.select([x > 1], [x * x], 0.5))
        + np.sum(np.linalg.tensorsolve(x, x[0]))
    ),
    "percentile and ptp": lambda x: np.percentile(x, 40) + np.ptp(x) + np.average(x),
}


@pytest.mark.parametrize("case", DIFFERENTIATED)
def test_they_are_differentiated(case):
    f = DIFFERENTIATED[case]
    gradient, direction = cl.grad(f)(POINT), np.random.default_rng(2).normal(size=(3, 3))
    slope = (float(f(POINT + 1e-6 * direction)) - float(f(POINT - 1e-6 * direction))) / 2e-6
    assert float(np.sum(np.asarray(gradient) * direction)) == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_parameters_that_ours_lack_are_refused():
    x = cl.tensor(SQUARE)
    for call in (
        lambda: np.sum(x, where=SQUARE > 0),
        lambda: np.linalg.svd(x, compute_uv=False),
        lambda: np.linalg.eigh(x, UPLO="U"),
        lambda: np.round(x, 2),
        lambda: np.pad(x, 1, constant_values=(0, 1)),
        lambda: np.unique(x, axis=0),
        lambda: np.average(x, weights=SQUARE, returned=True),
        lambda: np.cov(x, fweights=[1, 2, 1]),
        lambda: np.convolve(x[0], x[0], "whole"),
    ):
        with pytest.raises(TraceError, match="on a Tensor is not supported"):
            call()


def test_lists_of_lists_are_joined_along_two_axes():
    x, row = cl.tensor(SQUARE), cl.tensor(ROW[None])
    for parts_of in (lambda x, row: [[x, x], [row, row]], lambda x, row: [[x], [x], [row]]):
        np.testing.assert_array_equal(np.block(parts_of(x, row)), np.block(parts_of(SQUARE, ROW[None])))


def test_none_is_as_not_given():
    x = cl.tensor(SQUARE)
    assert np.array_equal(np.sum(x, None), np.sum(SQUARE)) and np.array_equal(np.sum(x, axis=None, dtype=None), x.sum())
    assert np.array_equal(np.fft.fft(x, norm=None), np.fft.fft(SQUARE))
