"""Programs in which some operations have no native form: the rest stays native, the results are NumPy's."""

import functools
import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop.autodiff.trees import flatten
from clearprop.compiler.mixed_executor import MixedExecutor
from clearprop.compiler.native.native_executor import NativeExecutor
from clearprop.compiler.native.obstacles import obstacles
from clearprop.compiler.numpy_executor import NumpyExecutor

R = np.random.default_rng(0)
X, W = R.standard_normal((6, 4)), R.standard_normal((4, 3))


def forward(x, w):
    h = cl.tanh(x @ w)
    ordered = cl.sort(h, axis=0)
    return cl.sum(cl.exp(-ordered * ordered)) + cl.sum(cl.lgamma(h + 2.0)), h


def slopes(x, w):
    return cl.value_and_grad(lambda w: forward(x, w)[0])(w)


def decomposed(x, w):
    inverse = cl.linalg.inv(x[:4] + 9.0 * cl.eye(4))
    return cl.relu(inverse @ w), x, 3.0 * x.shape[0]


def counted(x, w):
    small = cl.astype(x > 0, np.int8)
    return cl.sum(cl.astype(small, np.float64) * cl.exp(x)), cl.argsort(w) + cl.argmax(x)


def flattened(x, w):
    flat = cl.sort(cl.reshape(cl.tanh(x), (-1,)))  # between stages: n·m entries, 2 n, n + 1, n + m
    twice, more = cl.sort(cl.concat([x[:, 0], x[:, 1]])), cl.sort(cl.concat([x[:, 0], w[0, :1]]))
    joined = cl.sort(cl.exp(cl.concat([x[:, 0], x[0]])))
    rows = cl.reshape(cl.exp(flat), x.shape) + cl.reshape(twice * 2.0, (2, -1))[0][:, None]
    return rows, cl.exp(twice), cl.exp(more) * x.shape[0], joined + 1.0, cl.sort(flat * 2.0 + cl.sum(x) / x.shape[0])


def parameter_slopes(x, w):  # the value is native, the derivative by a parameter is not
    value, slope = cl.value_and_grad(lambda a: cl.sum(cl.gammainc(cl.exp(a), 1.5)))(w)
    return value, cl.tanh(slope), x @ w


PROGRAMS = [forward, slopes, decomposed, counted, flattened, parameter_slopes]


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_stages_compute_what_numpy_computes(f):
    compiled, plain = cl.compile(f), cl.compile(f, executor="numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for x in (X, X[:5], X[:5]):
            for got, want in zip(compiled(x, W), plain(x, W), strict=True):
                got, want = np.asarray(got), np.asarray(want)
                assert got.dtype == want.dtype
                np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)
    assert isinstance(compiled.last.executor, MixedExecutor)


def test_a_stage_takes_all_that_can_be_computed():
    compiled = cl.compile(slopes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled(X, W)
    assert len(compiled.last.executor.stages) == 3  # before the order and ψ, these, and behind them


def test_a_result_that_is_an_argument_has_memory_of_its_own():
    x = X.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, same, _ = cl.compile(decomposed)(x, W)
    x[:] = 0.0
    assert np.array_equal(same, X)


def test_captured_arrays_are_looked_at_again():
    scale = cl.tensor(2.0)
    f = cl.compile(lambda x: cl.sort(x * scale) + 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert f(np.array([3.0, 1.0])).tolist() == [3.0, 7.0]
        scale = cl.tensor(10.0)
        assert f(np.array([3.0, 1.0])).tolist() == [11.0, 31.0]


def test_donated_arrays_are_spent():
    x = cl.tensor([3.0, 1.0])
    f = cl.compile(lambda x: cl.sort(x) * 2.0, donate=("x",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert f(x).tolist() == [2.0, 6.0]
    with pytest.raises(cl.errors.ClearpropError):
        x + 1.0


def test_an_index_outside_is_refused_by_either_kind_of_stage():
    f = cl.compile(lambda x, i: cl.exp(cl.take(cl.sort(x), i)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(cl.errors.ArgumentError, match="an index is out of range"):
            f(np.array([1.0, 2.0]), np.array([5]))


def test_a_network_with_an_order_in_its_loss_trains_natively_around_it():
    def spread(output, target):
        return cl.mean((cl.sort(output, axis=0) - cl.sort(target, axis=0)) ** 2)

    data = R.standard_normal((64, 4)), R.standard_normal((64, 1))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = cl.fit(cl.nn.mlp([4, 8, 1], seed=0), data, loss=spread, epochs=3, batch_size=16)
    assert run.history[-1]["train"]["loss"] < run.history[0]["train"]["loss"]
    assert any("batch by batch" in str(w.message) and "argsort" in str(w.message) for w in said)


FALLBACKS = {  # one of every family in docs/native-forms.md
    "argsort": lambda v: cl.sort(v),
    "searchsorted": lambda v: cl.astype(cl.searchsorted(cl.arange(6.0), v), v.dtype),
    "solve": lambda v: cl.linalg.solve(cl.outer(v, v) + 9.0 * cl.eye(4), v),
    "cholesky": lambda v: cl.linalg.cholesky(cl.outer(v, v) + 9.0 * cl.eye(4))[0],
    "det": lambda v: v * cl.linalg.det(cl.outer(v, v) + cl.eye(4)),
    "real": lambda v: cl.real(cl.fft.fft(v)),
    "int8": lambda v: cl.astype(cl.astype(v > 0, np.int8), v.dtype),
}


def turned(g, v, k):
    """One turn: native before and after what has no native form."""
    return cl.tanh(0.1 * g(cl.exp(0.1 * v)) + v * k)


def scanned(g, x, k):
    return cl.scan(lambda c, row: (turned(g, c, k), cl.sum(c * row)), x[0], x, reverse=True)


PLACES = {
    "step": lambda g, x, k: turned(g, x[0], k),
    "scan": scanned,
    "nested scan": lambda g, x, k: cl.scan(
        lambda c, row: cl.scan(lambda d, _: (turned(g, d, k) * row, cl.sin(d)), c, None, length=3), x[1], x
    ),
    "while": lambda g, x, k: cl.while_loop(
        lambda s: cl.sum(s[1]) < 5, lambda s: (turned(g, s[0], k), s[1] + 1), (x[0], 0)
    ),
    "branch": lambda g, x, k: cl.cond(k > 0, lambda v: turned(g, v, k), lambda v: cl.cos(v), x[2]),
    "gradient of a scan": lambda g, x, k: cl.grad(lambda x: cl.sum(scanned(g, x, k)[0]))(x),
}


def needless(part):
    """The equations of a program that have a native form."""
    foreign = obstacles(part)
    return [eq for eq in part.equations if eq not in foreign]


def computed_by_numpy(executor):
    """The equations with a native form that NumPy computes, in loops too; and how many stages are native."""
    equations, natives = [], 0
    for stage, part in executor.stages:
        if isinstance(stage, NumpyExecutor):
            equations += needless(part)
        natives += isinstance(stage, NativeExecutor)
        for held in getattr(stage, "held", ()):
            more, count = computed_by_numpy(held)
            equations, natives = equations + more, natives + count
    return equations, natives


CASES = [(f, p) for f in FALLBACKS for p in PLACES if (f, p) != ("int8", "gradient of a scan")]  # a truth has no slope


@pytest.mark.parametrize(("fallback", "place"), CASES)
def test_one_fallback_leaves_all_else_native(fallback, place):
    """Wherever it stands: what NumPy computes is what has no native form, and nothing beside it."""
    f = functools.partial(PLACES[place], FALLBACKS[fallback])
    compiled, plain = cl.compile(f), cl.compile(f, executor="numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for x, k in ((X, 0.5), (X[:5], -0.5)):
            got, want = flatten(compiled(x, k))[0], flatten(plain(x, k))[0]
            for a, b in zip(got, want, strict=True):
                assert np.asarray(a).dtype == np.asarray(b).dtype
                np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12, atol=1e-14)
    equations, natives = computed_by_numpy(compiled.last.executor)
    assert natives and not equations
