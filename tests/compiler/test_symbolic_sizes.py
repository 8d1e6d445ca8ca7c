"""Sizes beside NumPy's arrays and functions in a traced function: one program for all sizes, or advice."""

import math

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import TraceError

FUNCTIONS = {
    "array by size": lambda x: np.arange(3.0) / x.shape[0],
    "size by array": lambda x: x.shape[0] / (np.arange(3.0) + 1),
    "array times size": lambda x: np.arange(3.0) * x.shape[0] + x.shape[0],
    "root by NumPy": lambda x: x / np.sqrt(x.shape[0]),
    "root by power": lambda x: x / x.shape[0] ** 0.5,
    "square": lambda x: x * x.shape[0] ** 2,
    "power of a size": lambda x: x * 0.5 ** x.shape[0],
    "NumPy's integers": lambda x: x * (np.int64(2) * x.shape[0] + np.int32(1)),
    "comparison with NumPy's integer": lambda x: x * 2 if x.shape[0] == np.int64(3) else x * 3,
    "product of sizes": lambda x: cl.sum(x) / math.prod(x.shape),
    "a mean by hand": lambda x: cl.sum(x) / np.float64(1) / x.shape[0],
}


@pytest.mark.parametrize("executor", ["numpy", "numba"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_sizes_work_with_numpy(name, executor):
    f = cl.compile(FUNCTIONS[name], executor=executor)
    for n in (3, 5, 4):
        x = np.arange(float(n)) + 1
        got, want = np.asarray(f(x)), np.asarray(FUNCTIONS[name](cl.asarray(x)))
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-15)


def test_a_size_in_an_array_is_refused_with_advice():
    with pytest.raises(TraceError, match="an array cannot hold the size n0") as caught:
        cl.compile(lambda x: x * np.prod(x.shape), executor="numpy")(np.ones(3))
    assert "math.prod(x.shape)" in caught.value.try_
