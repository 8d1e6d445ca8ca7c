"""Large results in memory of earlier ones: only of those that nothing holds any more."""

import sys

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.native.native_executor import RESULTS

SIZE = RESULTS.least // 4
X = cl.tensor(np.arange(SIZE, dtype=np.float32))


@pytest.fixture
def double():
    RESULTS.arrays.clear()
    return cl.compile(lambda x: x + x)


HOLDERS = {
    "the tensor": lambda y: y,
    "its array": lambda y: np.asarray(y),
    "a view": lambda y: np.asarray(y)[5:],
    "a memoryview": lambda y: memoryview(np.asarray(y)),
    "another library": lambda y: np.from_dlpack(np.asarray(y)),
    "a tensor that shares it": lambda y: cl.asarray(np.asarray(y)),
    "a view with a tape": lambda y: cl.reshape(cl.asarray(np.asarray(y)), (2, -1)),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_result_that_something_holds_is_never_written_again(double, holder):
    held = HOLDERS[holder](double(X))
    before = np.array(held, copy=True)
    for k in range(4):  # the general way, and the direct ones
        double(X * float(k))
    np.testing.assert_array_equal(np.asarray(held), before)


def test_memory_of_a_dropped_result_is_taken_again(double):
    first = double(X)
    place = np.asarray(first).ctypes.data
    del first
    for k in range(4):
        y = double(X * float(k))
        assert np.asarray(y).ctypes.data == place
        np.testing.assert_array_equal(np.asarray(y), 2.0 * k * np.asarray(X))
        del y


def test_an_array_that_may_not_be_written_is_not_taken_again(double):
    array = double(X).value
    array.flags.writeable = False
    del array
    assert double(X).value.flags.writeable


def test_a_result_that_is_given_away_is_written_in_place(double):
    halve = cl.compile(lambda x: 0.5 * x, donate=(0,))
    for _ in range(4):
        y = double(X)
        place = np.asarray(y).ctypes.data
        assert np.asarray(halve(y)).ctypes.data == place


def test_little_is_remembered():
    large = cl.compile(lambda x: x + 1.0)
    kept = [large(cl.tensor(np.zeros(RESULTS.most // 16 + 4 * k, np.float32))) for k in range(8)]
    assert sum(a.nbytes for a in RESULTS.arrays) <= RESULTS.most
    del kept
    small = large(cl.tensor(np.zeros(4, np.float32)))
    assert sys.getrefcount(small.value) <= 3
