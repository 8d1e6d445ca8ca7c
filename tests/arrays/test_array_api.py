"""The array API standard 2024.12, with `array-api-strict` as the oracle: names, signatures, dtypes, shapes, values."""

import inspect
import operator
import subprocess
import sys

import array_api_strict as strict
import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ClearpropError
from clearprop.rules import on_demand
from tests.house.layout import _runs
from tests.tiers import together

REAL = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64".split()
INTEGERS = REAL[:8]
COMPLEX = ["complex64", "complex128"]
OWN = {"ArrayAPIStrictFlags", "Device", "ModuleType"}  # of the oracle alone
LATER = {"2025.12": {"broadcast_shapes"}}


def standard_names():
    found = {n for n in dir(strict) if not n.startswith("_") and "strict" not in n}
    return sorted(found - OWN - LATER["2025.12"] - {"linalg", "fft"})


@together("name", standard_names())
def test_every_name_is_there(name):
    assert hasattr(cl, name)
    assert name in dir(cl)


SPACES = {"": (cl, strict), "linalg.": (cl.linalg, strict.linalg), "fft.": (cl.fft, strict.fft)}
FUNCTIONS = [n for n in standard_names() if inspect.isfunction(getattr(strict, n))]
FUNCTIONS += [f"{space}.{n}" for space in ("linalg", "fft") for n in getattr(strict, space).__all__]


@together("name", FUNCTIONS)
def test_every_signature_takes_the_standard_calls(name):
    """Every parameter that the standard gives by name is taken by name, and as many are taken by position."""
    space, _, short = name.rpartition(".")
    own, theirs = (inspect.signature(getattr(xp, short)).parameters for xp in SPACES[space + "." * bool(space)])
    front = [[q for q in p.values() if q.kind in (q.POSITIONAL_ONLY, q.POSITIONAL_OR_KEYWORD)] for p in (own, theirs)]
    assert len(front[0]) >= len(front[1]) or any(q.kind is q.VAR_POSITIONAL for q in own.values())
    for parameter in theirs.values():
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            found = own.get(parameter.name)
            assert found is not None and found.kind in (found.KEYWORD_ONLY, found.POSITIONAL_OR_KEYWORD), parameter
            assert found.default is not found.empty or parameter.default is parameter.empty, parameter


@pytest.mark.parametrize("name", ["arange", "empty", "eye", "full", "linspace", "ones", "zeros", "fft.fftfreq"])
def test_there_is_one_device(name):
    create = {"arange": (3,), "eye": (2,), "full": ((2,), 1), "linspace": (0, 1, 3), "fft.fftfreq": (4,)}.get(
        name, ((2,),)
    )
    space, _, short = name.rpartition(".")
    function = getattr(SPACES[space + "." * bool(space)][0], short)
    assert function(*create, device="cpu").shape == function(*create).shape
    with pytest.raises(ClearpropError, match="there is no device 'gpu'"):
        function(*create, device="gpu")


def numbers(dtype, rng):
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random((3, 4)) < 0.5
    if kind.kind == "c":
        return (rng.uniform(-3, 3, (3, 4)) + 1j * rng.uniform(-3, 3, (3, 4))).astype(kind)
    low = -5 if kind.kind != "u" else 0
    return rng.integers(low, 6, (3, 4)).astype(kind) if kind.kind != "f" else rng.uniform(-3, 3, (3, 4)).astype(kind)


def assert_same(got, want):
    got, want = (v if isinstance(v, tuple | list) else (v,) for v in (got, want))
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        w = np.asarray(w)
        assert g.dtype == w.dtype
        assert g.shape == w.shape
        np.testing.assert_allclose(g.numpy(), w, rtol=1e-6 if w.dtype in (np.float32, np.complex64) else 1e-14, atol=0)


OUTSIDE = []
"""The calls that the oracle refuses: they are no part of the standard, and `conformance` does not count them."""


def both(call, *values):
    """The call with the package and with the oracle, which give the same wherever the standard has it."""
    with np.errstate(all="ignore"):
        try:
            want = call(strict, *map(strict.asarray, values))
        except TypeError:
            OUTSIDE.append(call)
            return
        assert_same(call(cl, *map(cl.asarray, values)), want)


UNARY = """abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite isinf
isnan log log1p log2 log10 logical_not negative positive real reciprocal round sign signbit sin sinh square sqrt tan
tanh trunc
""".split()
BINARY = """add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal
floor_divide greater greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor maximum minimum
multiply nextafter not_equal pow remainder subtract""".split()
OPERATORS = """add sub mul truediv floordiv mod and_ or_ xor lshift rshift eq ne lt le gt ge""".split()


@together("dtype", ["bool", *REAL, *COMPLEX])
@pytest.mark.parametrize("name", UNARY)
def test_elementwise_of_one(name, dtype):
    both(lambda xp, x: getattr(xp, name)(x), numbers(dtype, np.random.default_rng(0)))


@together("dtype", ["bool", *REAL, *COMPLEX])
@pytest.mark.parametrize("name", BINARY)
def test_elementwise_of_two(name, dtype):
    rng = np.random.default_rng(1)
    x, y = numbers(dtype, rng), numbers(dtype, rng)
    if "shift" in name or name in ("pow", "remainder", "floor_divide"):
        y = np.abs(y) + np.ones((), y.dtype)
    if dtype != "bool":
        both(lambda xp, x, y: getattr(xp, name)(x, y), x, y.astype(dtype))
    else:
        both(lambda xp, x, y: getattr(xp, name)(x, y), x, y > 0)


@pytest.mark.parametrize(
    "pair",
    [
        ("int8", "int16"),
        ("uint8", "int8"),
        ("float32", "float64"),
        ("uint16", "int64"),
        ("complex64", "float64"),
        ("float32", "complex64"),
    ],
)
@pytest.mark.parametrize("name", BINARY)
def test_promotion(name, pair):
    rng = np.random.default_rng(2)
    x, y = (np.abs(numbers(d, rng)) + np.ones((), d) for d in pair)
    both(lambda xp, x, y: getattr(xp, name)(x, y), x, y)


@together("dtype", ["bool", *REAL, *COMPLEX])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_and_their_reflected_forms(name, dtype):
    rng, apply = np.random.default_rng(3), getattr(operator, name)
    x, y = (np.abs(numbers(dtype, rng)) if dtype != "bool" else numbers(dtype, rng) for _ in range(2))
    if dtype != "bool":
        y = (y + np.ones((), y.dtype)).astype(dtype)
    both(lambda xp, x, y: apply(x, y), x, y)
    number = {"b": True, "i": 3, "u": 3, "f": 1.5, "c": 1.5 - 0.5j}[np.dtype(dtype).kind]
    both(lambda xp, x: apply(x, number), y)
    both(lambda xp, x: apply(number, x), y)


@pytest.mark.parametrize(
    "name", ["iadd", "isub", "imul", "ifloordiv", "imod", "iand", "ior", "ixor", "ilshift", "irshift"]
)
def test_operators_in_place_rebind(name):
    x = before = cl.tensor([5, 6])
    x = getattr(operator, name)(x, 2)
    np.testing.assert_array_equal(x, getattr(operator, name)(np.array([5, 6]), 2))
    assert before.tolist() == [5, 6]


CALLS = {
    "arange": lambda xp: (xp.arange(3), xp.arange(1, 8, 3), xp.arange(0.0, 1.0, 0.25), xp.arange(5, 1, -2)),
    "arange of a dtype": lambda xp: xp.arange(3, dtype=xp.uint8),
    "linspace": lambda xp: (xp.linspace(0, 1, 5), xp.linspace(0.0, 2.0, 4, endpoint=False), xp.linspace(1, 2, 0)),
    "eye": lambda xp: (xp.eye(3), xp.eye(2, 4, k=1), xp.eye(3, 2, k=-1, dtype=xp.int8)),
    "full": lambda xp: (xp.full((2, 2), 3), xp.full(3, 1.5), xp.full((), True), xp.full((2,), 1, dtype=xp.float32)),
    "full_like": lambda xp: (xp.full_like(xp.zeros(3), 2), xp.full_like(xp.zeros(3), 2, dtype=xp.int8)),
    "zeros and ones": lambda xp: (
        xp.zeros(2, dtype=xp.int8),
        xp.ones((2, 1)),
        xp.zeros_like(xp.ones(2), dtype=xp.bool),
    ),
    "astype": lambda xp: (xp.astype(xp.ones(2), xp.int32), xp.astype(xp.arange(3), xp.bool)),
}


@pytest.mark.parametrize("name", CALLS)
def test_creation(name):
    assert_same(CALLS[name](cl), CALLS[name](strict))


def wide(xp, x):
    return xp.complex128 if "complex" in str(x.dtype) else xp.float64


MOVES = {
    "broadcast_arrays": lambda xp, x: xp.broadcast_arrays(x, x[:1, :]),
    "diff": lambda xp, x: (xp.diff(x), xp.diff(x, axis=0, n=2), xp.diff(x, n=5), xp.diff(x, prepend=x, append=x)),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=-1),
    "meshgrid": lambda xp, x: xp.meshgrid(x[0, :], x[:, 0], x[1, :2]),
    "meshgrid ij": lambda xp, x: xp.meshgrid(x[0, :], x[:, 0], indexing="ij"),
    "moveaxis": lambda xp, x: (xp.moveaxis(x, 0, 1), xp.moveaxis(x[None, ...], (0, 1), (-1, 0))),
    "repeat": lambda xp, x: (xp.repeat(x, 2), xp.repeat(x, 3, axis=0), xp.repeat(x, 0, axis=1)),
    "repeat of counts": lambda xp, x: xp.repeat(x, xp.asarray([2, 0, 1]), axis=0),
    "roll": lambda xp, x: (xp.roll(x, 2), xp.roll(x, -1, axis=1), xp.roll(x, (1, 5), axis=(0, 1)), xp.roll(x, 9)),
    "sort": lambda xp, x: (
        xp.sort(x),
        xp.sort(x, axis=0),
        xp.sort(x, descending=True),
        xp.sort(x, axis=0, descending=True),
    ),
    "argsort": lambda xp, x: (xp.argsort(x), xp.argsort(x, axis=0), xp.argsort(x, descending=True)),
    "searchsorted": lambda xp, x: (xp.searchsorted(x[0, :], x), xp.searchsorted(xp.sort(x[0, :]), x, side="right")),
    "searchsorted of a sorter": lambda xp, x: xp.searchsorted(x[0, :], x, sorter=xp.argsort(x[0, :])),
    "nonzero": lambda xp, x: xp.nonzero(x),
    "count_nonzero": lambda xp, x: (xp.count_nonzero(x), xp.count_nonzero(x, axis=1, keepdims=True)),
    "unique": lambda xp, x: (*xp.unique_all(x), *xp.unique_counts(x), *xp.unique_inverse(x), xp.unique_values(x)),
    "cumulative_prod": lambda xp, x: (xp.cumulative_prod(x[0, :]), xp.cumulative_prod(x, axis=0, include_initial=True)),
    "tile": lambda xp, x: (xp.tile(x, (2,)), xp.tile(x, (2, 1, 3)), xp.tile(x, (0, 1))),
    "tril": lambda xp, x: (xp.tril(x), xp.tril(x, k=1), xp.tril(x, k=-5), xp.tril(x, k=9)),
    "triu": lambda xp, x: (xp.triu(x), xp.triu(x, k=1), xp.triu(x, k=-5), xp.triu(x, k=9)),
    "unstack": lambda xp, x: (*xp.unstack(x), *xp.unstack(x, axis=1)),
    "sum of a dtype": lambda xp, x: xp.sum(x, axis=0, dtype=wide(xp, x)),
    "prod of a dtype": lambda xp, x: xp.prod(x, axis=0, dtype=wide(xp, x)),
    "cumulative_sum": lambda xp, x: (xp.cumulative_sum(x, axis=0), xp.cumulative_sum(x, axis=1, include_initial=True)),
}


@together("dtype", ["bool", "int32", "uint8", "float32", "float64", *COMPLEX])
@pytest.mark.parametrize("name", MOVES)
def test_moves(name, dtype):
    both(MOVES[name], numbers(dtype, np.random.default_rng(4)))


NORMS = ("fro", "nuc", 1, -1, 2, -2, float("inf"), float("-inf"))
LINALG = {
    "cholesky": lambda xp, x, b: (xp.linalg.cholesky(x), xp.linalg.cholesky(x, upper=True)),
    "cross": lambda xp, x, b: (xp.linalg.cross(x[..., :3], b[..., :3]), xp.linalg.cross(x, x, axis=-2)),
    "det": lambda xp, x, b: xp.linalg.det(x),
    "diagonal": lambda xp, x, b: (
        xp.linalg.diagonal(x),
        xp.linalg.diagonal(b, offset=1),
        xp.linalg.diagonal(b, offset=-2),
    ),
    "eigh": lambda xp, x, b: (xp.linalg.eigvalsh(x), *xp.linalg.eigh(x)),
    "inv": lambda xp, x, b: xp.linalg.inv(x),
    "matmul": lambda xp, x, b: (xp.linalg.matmul(x, b), xp.linalg.matrix_transpose(b), xp.linalg.vecdot(x, x)),
    "matrix_norm": lambda xp, x, b: [
        xp.linalg.matrix_norm(b, ord=o) for o in ("fro", "nuc", 1, -1, 2, -2, float("inf"))
    ],
    "matrix_power": lambda xp, x, b: [xp.linalg.matrix_power(x, n) for n in (0, 1, 2, 3, 5, -2)],
    "matrix_rank": lambda xp, x, b: (
        xp.linalg.matrix_rank(x),
        xp.linalg.matrix_rank(b * 0.0),
        xp.linalg.matrix_rank(b, rtol=0.5),
    ),
    "outer": lambda xp, x, b: xp.linalg.outer(x[0, 0, :], b[0, 0, :]),
    "pinv": lambda xp, x, b: xp.linalg.pinv(b),
    "slogdet": lambda xp, x, b: xp.linalg.slogdet(x),
    "solve": lambda xp, x, b: (xp.linalg.solve(x, b), xp.linalg.solve(x[0, ...], b[0, :, 0])),
    "svd": lambda xp, x, b: (xp.linalg.svdvals(b), *xp.linalg.svd(b), *xp.linalg.svd(b, full_matrices=False)),
    "tensordot": lambda xp, x, b: xp.linalg.tensordot(x, b, axes=((1,), (1,))),
    "trace": lambda xp, x, b: (xp.linalg.trace(x), xp.linalg.trace(b, offset=1)),
    "vector_norm": lambda xp, x, b: [
        xp.linalg.vector_norm(b, axis=1, ord=o, keepdims=True) for o in (0, 1, 2, 3, float("inf"), float("-inf"))
    ],
}


@together("dtype", ["float32", "float64", *COMPLEX])
@pytest.mark.parametrize("name", LINALG)
def test_linear_algebra(name, dtype):
    rng = np.random.default_rng(6)
    x, b = rng.uniform(-1, 1, (2, 3, 3)), rng.uniform(-1, 1, (2, 3, 4))
    if dtype in COMPLEX:
        x, b = x + 1j * rng.uniform(-1, 1, x.shape), b - 1j * rng.uniform(-1, 1, b.shape)
    x, b = (x + x.conj().mT + (8 if dtype in COMPLEX else 4) * np.eye(3)).astype(dtype), b.astype(dtype)
    got, want = (LINALG[name](xp, xp.asarray(x), xp.asarray(b)) for xp in (cl, strict))
    several = isinstance(want, tuple | list)
    for g, w in zip(*((got, want) if several else ((got,), (want,))), strict=True):
        assert g.dtype == np.asarray(w).dtype
        np.testing.assert_allclose(
            g.numpy(), np.asarray(w), rtol=1e-4 if dtype in ("float32", "complex64") else 1e-12, atol=1e-6
        )


def test_the_names_of_linear_algebra():
    theirs = {n for n in strict.linalg.__all__ if n != "qr"}
    assert theirs <= set(dir(cl.linalg))
    for name in dir(cl.linalg):
        assert _runs(getattr(cl.linalg, name).__doc__), name
    with pytest.raises(AttributeError, match="linalg has no name 'nothing'"):
        _ = cl.linalg.nothing


@pytest.mark.parametrize("correction", [0, 1, 2.5])
@pytest.mark.parametrize("name", ["var", "std"])
def test_a_correction(name, correction):
    x = np.random.default_rng(5).standard_normal((3, 4))
    both(lambda xp, x: getattr(xp, name)(x, axis=0, correction=correction), x)
    both(lambda xp, x: getattr(xp, name)(x, correction=correction, keepdims=True), x)
    cl.check_grads(lambda x: getattr(cl, name)(x, axis=0, correction=correction), (x,))


# -------------------------------------------------------------------------------------------------- the namespace
def test_the_namespace_is_found_from_an_array():
    assert cl.tensor(1.0).__array_namespace__() is cl
    assert cl.tensor(1.0).__array_namespace__(api_version="2024.12") is cl
    with pytest.raises(ClearpropError, match="there is no namespace of version 1999"):
        cl.tensor(1.0).__array_namespace__(api_version="1999")


def test_what_the_namespace_says_of_itself():
    info = cl.__array_namespace_info__()
    assert info.capabilities()["boolean indexing"] is True
    assert info.devices() == [info.default_device()] == ["cpu"]
    assert info.default_dtypes() == {
        "real floating": cl.float64,
        "complex floating": cl.complex128,
        "integral": cl.int64,
        "indexing": cl.int64,
    }
    assert set(info.dtypes()) == {"bool", *REAL, *COMPLEX}
    assert set(info.dtypes(kind="complex floating")) == set(COMPLEX)
    assert set(info.dtypes(kind="unsigned integer")) == set(INTEGERS[4:])
    with pytest.raises(ClearpropError, match="there is no device 'tpu'"):
        info.dtypes(device="tpu")


@together("dtype", REAL)
def test_limits(dtype):
    ask = "finfo" if dtype.startswith("float") else "iinfo"
    own, want = getattr(cl, ask)(getattr(cl, dtype)), getattr(strict, ask)(getattr(strict, dtype))
    for field in [f for f in ("bits", "eps", "max", "min", "smallest_normal") if hasattr(want, f)]:
        assert getattr(own, field) == getattr(want, field) and type(getattr(own, field)) in (int, float)
    assert getattr(cl, ask)(cl.zeros(1, dtype=dtype)) == own
    with pytest.raises(ClearpropError):
        getattr(cl, {"finfo": "iinfo", "iinfo": "finfo"}[ask])(dtype)


@together("a", ["bool", *REAL, *COMPLEX])
def test_kinds_promotion_and_casts(a):
    kinds = ["bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric"]
    for kind in [*kinds, ("integral", "bool")]:
        assert cl.isdtype(getattr(cl, a), kind) == strict.isdtype(getattr(strict, a), kind)
    for b in ["bool", *REAL, *COMPLEX]:
        try:
            want = strict.result_type(getattr(strict, a), getattr(strict, b))
        except TypeError:
            continue  # of two kinds
        assert cl.result_type(getattr(cl, a), cl.zeros(1, dtype=b)).name == str(want).split(".")[-1].strip(">'\"")
        assert cl.can_cast(getattr(cl, a), getattr(cl, b)) == strict.can_cast(getattr(strict, a), getattr(strict, b))


def test_memory_is_shared_copied_or_refused():
    x = np.array([1.0, 2.0])
    assert np.shares_memory(cl.asarray(x).numpy(), x) and np.shares_memory(cl.asarray(x, copy=False).numpy(), x)
    assert not np.shares_memory(cl.asarray(x, copy=True).numpy(), x)
    for a, dtype in ((x, np.float32), ([1.0], None)):
        with pytest.raises(ClearpropError, match=r"asarray\(copy=False\) would have to copy"):
            cl.asarray(a, dtype, copy=False)
    with pytest.raises(ClearpropError, match="there is no device 'gpu'"):
        cl.asarray(x, device="gpu")


def test_dlpack_both_ways():
    x = cl.tensor([1.0, 2.0])
    assert np.from_dlpack(x).tolist() == [1.0, 2.0] and x.__dlpack_device__() == (1, 0)
    a = np.array([1, 2])
    assert np.shares_memory(cl.from_dlpack(a).numpy(), a)
    with pytest.raises(ClearpropError, match="from_dlpack cannot read this"):
        cl.from_dlpack([1.0])


def test_devices():
    x = cl.tensor(1.0)
    assert x.device == "cpu" and x.to_device("cpu") is x
    with pytest.raises(ClearpropError, match="there is no device 'cuda'"):
        x.to_device("cuda")


# ---------------------------------------------------------------------------------- families loaded when first used
def test_every_family_declares_what_is_said_of_it():
    declared: dict[str, set[str]] = {}  # a family may have names of the package and of a namespace
    for families in (on_demand.FAMILIES, *on_demand.NAMESPACES.values()):
        for family, names in families.items():
            declared.setdefault(family, set()).update(names)
    for family, names in declared.items():
        module = vars(__import__(f"clearprop.rules.on_demand.{family}", fromlist=["x"]))
        own = {
            n: v
            for n, v in module.items()
            if not n.startswith("_")
            and callable(v)
            and getattr(v, "__module__", "") == f"clearprop.rules.on_demand.{family}"
        }
        private = {n for n, v in own.items() if getattr(v, "public", True) is False or inspect.isclass(v)}
        helpers = {"require_matrices", "require_square", "shorter_side", "lapack_refusals", *on_demand.METHODS}
        helpers |= {"attempt_words", "by_key", "exact_exp", "standard_exponential", "standard_gumbel", "open_uniforms"}
        helpers |= {"standard_normals"}
        helpers |= {"numbers_of", "padding_widths", "steps_along", "outputs_of_windows"}
        helpers |= {"adjoint", "diagonal_entries", "one_entry", "real_result"}
        helpers |= {"combine_along_axis", "cotangent_polynomial", "for_each_share", "sorted_rows", "with_axes_kept"}
        assert {n.rstrip("_") for n in set(own) - private - helpers} == names, family


@together("name", on_demand.names())
def test_every_late_name_is_documented_with_an_example(name):
    assert _runs(getattr(cl, name).__doc__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="cl has no name 'nothing'"):
        _ = cl.nothing


NAMED_LIKE_A_LATE_ONE = """
import clearprop as cl
@cl.primitive("elementwise", numpy="{x} * {x}", d_x=lambda g, x: 2 * g * x)
def hypot(x, /):
    "A square of the user's own."
assert cl.grad(hypot)(3.0).item() == 6.0
assert cl.hypot(3.0, 4.0).item() == 5.0 and cl.copysign(1.0, -1.0).item() == -1.0
assert cl.primitives.REGISTRY["hypot"] is hypot
"""


def test_a_primitive_of_the_users_may_have_the_name_of_a_late_one():
    out = subprocess.run([sys.executable, "-c", NAMED_LIKE_A_LATE_ONE], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr


def test_an_import_loads_no_family():
    code = "import sys, clearprop; print([m for m in sys.modules if '.on_demand.' in m])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
