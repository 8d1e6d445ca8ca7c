"""Arrays of other libraries beside tensors: their values by our operators, or a refusal; never their own operators."""

import decimal

import numpy as np
import pandas
import polars
import pytest
import scipy.sparse

import clearprop as cl
from clearprop.errors import ClearpropError

B = np.array([[0.5, 2.0], [3.0, 1.0]])
T = np.array([[1.0, 4.0], [2.0, 5.0]])


class Speaks:
    """An array by its protocol alone, as those of xarray are; its own operators would do something else."""

    shape, dtype = B.shape, "double"

    def __array__(self, dtype=None, copy=None):
        return B if dtype is None else B.astype(dtype)

    def __rmul__(self, other):
        return "mine"

    __radd__ = __rmatmul__ = __rtruediv__ = __rmul__


SAME = {
    "frame": pandas.DataFrame(B), "frame of polars": polars.DataFrame(B), "by protocol": Speaks(),
    "memoryview": memoryview(B), "matrix": np.matrix(B), "big-endian": B.astype(">f8"), "objects": B.astype(object),
    "lists": B.tolist(), "rows": [cl.asarray(row) for row in B],
}  # fmt: skip
BUILT_IN = ("lists", "rows", "memoryview")
"""What Python has itself: operators may refuse it, as they do lists."""
REFUSED = {
    "sparse matrix": scipy.sparse.csr_matrix(B), "sparse array": scipy.sparse.csr_array(B),
    "text": np.array([["a", "b"]] * 2), "dates": np.full((2, 2), np.datetime64("2020-01-01")),
    "decimals": np.array([[decimal.Decimal(1)] * 2] * 2), "bytes": np.zeros((2, 2), "V4"),
    "words": np.array([["1", "2"]] * 2, dtype=np.dtypes.StringDType()), "masked": np.ma.array(B, mask=B > 1),
}  # fmt: skip
OPERATIONS = {
    "t * o": (lambda t, o: t * o, T * B), "t + o": (lambda t, o: t + o, T + B), "t @ o": (lambda t, o: t @ o, T @ B),
    "t / o": (lambda t, o: t / o, T / B), "t - o": (lambda t, o: t - o, T - B), "t ** o": (lambda t, o: t**o, T**B),
    "t < o": (lambda t, o: t < o, T < B), "t // o": (lambda t, o: t // o, T // B),
    "multiply": (cl.multiply, T * B), "matmul": (lambda t, o: cl.matmul(o, t), B @ T),
    "where": (lambda t, o: cl.where(t > 2, o, t), np.where(T > 2, B, T)), "exp": (lambda t, o: cl.exp(o), np.exp(B)),
    "sum": (lambda t, o: cl.sum(o), B.sum()), "concat": (lambda t, o: cl.concat([t, o]), np.concatenate([T, B])),
    "tensordot": (lambda t, o: cl.tensordot(t, o, axes=1), T @ B), "mse": (cl.nn.mse, np.mean((T - B) ** 2)),
    "at": (lambda t, o: t.at[:].add(o), T + B), "maximum": (cl.maximum, np.maximum(T, B)),
}  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_values_by_our_operators_or_refused(operation, compiled):
    function, want = OPERATIONS[operation]
    given = cl.asarray(T)
    for name, other in {**SAME, **REFUSED}.items():
        call = (
            cl.compile(lambda t, other=other: function(t, other))
            if compiled
            else lambda t, other=other: function(t, other)
        )
        try:
            found = np.asarray(call(given))
        except ClearpropError:
            assert name in REFUSED or name in BUILT_IN or operation == "at", name
            continue
        assert name in SAME, name
        np.testing.assert_allclose(found, want, rtol=1e-12, err_msg=name)


# of a sparse array on the left SciPy's own product comes first, and gives an array
@pytest.mark.parametrize("name", [name for name in REFUSED if "sparse" not in name])
def test_arrays_on_the_left_of_a_product_are_refused_too(name):
    with pytest.raises(ClearpropError, match=r"tensor holds numbers|masked"):
        REFUSED[name] @ cl.asarray(T)


@pytest.mark.parametrize("place", [polars.Series([0, 1]), pandas.Series([0, 1]), polars.Series([0.5])])
def test_columns_as_places(place):
    try:
        found = cl.asarray(T)[place]
    except ClearpropError:
        return
    assert np.array_equal(np.asarray(found), T[[0, 1]])


class Refuses:
    """An array whose library gives no numbers, as PyTorch's does where a gradient is recorded."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call .detach() first")


class NoArray:
    def __array__(self, dtype=None, copy=None):
        return self


T1 = cl.asarray(T)
WRONG = {
    "a library that refuses": (lambda: T1 + Refuses(), "call .detach() first"),
    "no array after all": (lambda: T1 + NoArray(), "not producing an array"),
    "a dtype": (lambda: T1 * np.float64, "the class float64"),
    "a dtype on the left": (lambda: np.float32 * T1, "the class float32"),
    "a complex number": (lambda: cl.maximum(T1, 1j), "complex128"),
    "a complex number to compare": (lambda: T1 < 1j, "complex128"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_operand_is_refused_with_what_it_is(case):
    compute, got = WRONG[case]
    with pytest.raises(ClearpropError) as caught:
        compute()
    assert got in str(caught.value.got)


def test_a_product_in_place_is_the_product():
    x = cl.asarray(T)
    x @= pandas.DataFrame(B)
    np.testing.assert_array_equal(np.asarray(x), T @ B)
