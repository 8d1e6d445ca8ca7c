"""All dtypes and all functions by every executor: the same values, the same refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import native_obstacle
from clearprop.errors import DTypeError
from tests.compiler.dtype_table import DTYPES, NATIVE, difference, functions, operands, outcome
from tests.compiler.plain import plain

FUNCTIONS = functions()
SHARES = 2
"""In `make test` a dtype is tried with every so many-th function, the next in `DTYPES` with the others: a function
meets floating, signed and unsigned numbers."""


@pytest.fixture(scope="module", params=DTYPES)
def row(request):
    """A dtype, its operands, and what a share of the functions gives in eager mode."""
    return row_of(request.param, list(FUNCTIONS)[DTYPES.index(request.param) % SHARES :: SHARES])


@pytest.fixture(scope="module", params=DTYPES)
def whole_row(request):
    """A dtype, its operands, and what every function gives in eager mode."""
    return row_of(request.param, FUNCTIONS)


def row_of(dtype, names):
    x, y = operands(dtype)
    return dtype, x, y, {n: outcome(FUNCTIONS[n], cl.asarray(x), cl.asarray(y)) for n in names}


def together(names, **options):
    return cl.compile(lambda x, y: tuple(FUNCTIONS[n](x, y) for n in names), **options)


def assert_same(names, got, want):
    found = {n: d for n, g in zip(names, got, strict=True) if (d := difference(np.asarray(g), want[n]))}
    assert not found


def test_the_numpy_executor_gives_what_eager_code_gives(row):
    _, x, y, want = row
    names = [n for n, w in want.items() if not isinstance(w, type)]
    assert_same(names, together(names, executor="numpy")(x, y), want)


def test_what_eager_code_refuses_is_refused(row):
    """By the executor that is chosen for it, too."""
    dtype, x, y, want = row
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.ExecutorWarning)
        for name in (n for n, w in want.items() if isinstance(w, type)):
            for executor in ("numpy", None):
                got = outcome(cl.compile(FUNCTIONS[name], executor=executor), x, y)
                assert isinstance(got, type), f"{name} of {dtype} gives {got}"


def with_native_form(row):
    _, x, y, want = row
    names = [n for n, w in want.items() if not isinstance(w, type)]
    return [n for n in names if native_obstacle(cl.compile(FUNCTIONS[n], executor="numpy").lower(x, y).lowered) is None]


def test_interpreted_kernels_give_what_eager_code_gives(row):
    dtype, x, y, want = row
    if dtype in NATIVE:
        names = with_native_form(row)
        assert len(names) > 200 * len(want) / len(FUNCTIONS)
        with plain():
            assert_same(names, together(names)(x, y), want)


@pytest.mark.verify
def test_every_function_and_dtype(whole_row):
    """What is tried above with a share of the functions; and by compiled kernels."""
    test_the_numpy_executor_gives_what_eager_code_gives(whole_row)
    test_what_eager_code_refuses_is_refused(whole_row)
    test_interpreted_kernels_give_what_eager_code_gives(whole_row)
    dtype, x, y, want = whole_row
    if dtype in NATIVE:
        names = with_native_form(whole_row)
        assert_same(names, together(names, executor="numba")(x, y), want)


KINDS = (
    "half of a sum", "beside its square", "sum of products", "difference of products", "absolute difference",
    "greater(x, 300)", "less(x, -1)", "pow(x, 2)", "pow(x, 300)", "multiply", "choice", "within the size",
)  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_integers_wrap_natively_as_they_do_in_numpy(dtype):
    """Numba computes them in 64 bits, and takes signed overflow for impossible: neither may be seen."""
    x, y = operands(dtype)
    want = {n: outcome(FUNCTIONS[n], cl.asarray(x), cl.asarray(y)) for n in KINDS}
    sums = {"sum of products"} if dtype == "uint8" else set()  # uint64, which has no native form
    names = [n for n in KINDS if n not in sums and not isinstance(want[n], type)]
    assert_same(names, together(names, executor="numba")(x, y), want)


@pytest.mark.parametrize("executor", ["numpy", "numba"])
def test_a_number_that_comes_later_must_fit_too(executor):
    """A size, or a Python number among the arguments."""
    scaled = cl.compile(lambda x: x * x.shape[0], executor=executor)
    assert np.array_equal(np.asarray(scaled(np.ones(200, np.uint8))), np.full(200, 200, np.uint8))
    with pytest.raises(cl.ClearpropError):
        scaled(np.ones(300, np.uint8))
    shifted = cl.compile(lambda x, k: x + k, executor=executor)
    assert np.array_equal(np.asarray(shifted(np.array([1], np.uint8), 254)), [255])
    with pytest.raises(cl.ClearpropError):
        shifted(np.array([1], np.uint8), 300)


def test_the_refusal_says_what_fits():
    with pytest.raises(DTypeError) as caught:
        cl.asarray(np.array([1], np.uint8)) + 300
    e = caught.value
    assert (e.headline, e.expected, e.got) == ("add: the number 300 does not fit in uint8", "0 to 255", "300")
    with pytest.raises(DTypeError, match="subtract has no meaning for bool"):
        cl.asarray(np.array([True])) - np.array([False])


def test_rounding_an_integer_is_the_integer():
    """Also beyond 2⁵³, where a float would not hold it."""
    big = np.array([2**53 + 1, -(2**62) - 1])
    for f in (cl.round, cl.floor, cl.ceil):
        assert np.array_equal(np.asarray(f(cl.asarray(big))), big)
