"""What enters through a door is converted with the same values, or refused in four parts."""

import numpy as np
import pandas as pd
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError, DTypeError
from tests.tiers import together

COMPILED = cl.compile(lambda x: x * 1.0, executor="numpy")
DOORS = {
    "tensor": cl.tensor,
    "asarray": cl.asarray,
    "beside a tensor": lambda a: cl.tensor(0.0) + a,
    "beside a tracked tensor": lambda a: cl.tensor(0.0, requires_grad=True) + a,
    "grad": lambda a: cl.value_and_grad(lambda x: cl.sum(x))(a)[0],
    "vjp": lambda a: cl.vjp(lambda x: x * 1.0, a)[0],
    "jvp": lambda a: cl.jvp(lambda x: x * 1.0, (a,), (np.ones(np.shape(a)),))[0],
    "compile": COMPILED,
    "vmap": cl.vmap(lambda x: x * 1.0),
    "a function": lambda a: cl.add(a, 0.0),
    "a function by name": lambda a: cl.clip(cl.zeros(np.shape(a)), min=a, max=a),
    "a function of lists": lambda a: cl.concat([a]),
    "written": lambda a: cl.zeros(np.shape(a)).at[...].set(a),
    "added": lambda a: cl.zeros(np.shape(a)).at[...].add(a),
    "a composite": lambda a: cl.squared_error(a, 0.0) / cl.where(cl.equal(a, 0.0), 1.0, a),
}


class Matrix(np.ndarray):
    """Multiplies otherwise than arrays do, as NumPy's matrix."""

    def __mul__(self, other):
        return self @ other


VALUES = np.array([[1.0, -2.0], [3.5, 0.0]])
SAME = {
    "big-endian": VALUES.astype(">f8"),
    "big-endian float32": VALUES.astype(">f4"),
    "strided": np.repeat(VALUES, 2, axis=0)[::2],
    "Fortran order": np.asfortranarray(VALUES),
    "reversed": VALUES[::-1, ::-1].copy()[::-1, ::-1],
    "masked nowhere": np.ma.array(VALUES, mask=False),
    "objects that are numbers": VALUES.astype(object),
    "a subclass": VALUES.view(Matrix),
}
REFUSED = {
    "complex of 256 bits": VALUES.astype(np.clongdouble),
    "float16": VALUES.astype(np.float16),
    "longdouble": VALUES.astype(np.longdouble),
    "masked": np.ma.array(VALUES, mask=[[0, 1], [0, 0]]),
    "objects with None": np.array([1.0, None]),
    "objects with text": np.array([1.0, "a"], dtype=object),
    "objects too large": np.array([2**70, 1], dtype=object),
    "objects that would round": np.array([2**53 + 1, 0.5], dtype=object),
    "text": np.array(["1.0"]),
    "strings of any length": np.array(["1.0"], dtype=np.dtypes.StringDType()),
    "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "records": np.zeros(2, dtype=[("a", float)]),
}


@together("door", DOORS)
@pytest.mark.parametrize("kind", SAME)
def test_the_same_values_come_in(kind, door):
    out = DOORS[door](SAME[kind])
    wanted = VALUES if door != "grad" else np.sum(VALUES)
    np.testing.assert_array_equal(np.asarray(out), wanted)
    assert out.dtype.isnative


def test_a_subclass_multiplies_as_an_array_does():
    np.testing.assert_array_equal(cl.grad(lambda x: cl.sum(x * x))(VALUES.view(Matrix)), 2 * VALUES)


def test_a_buffer_that_may_change_is_no_part_of_a_program():
    with pytest.raises(ArgumentError, match="cannot be compared between calls"):
        COMPILED(memoryview(VALUES))


def test_a_read_only_array_comes_in_and_stays_as_it_is():
    a = VALUES.copy()
    a.flags.writeable = False
    np.testing.assert_array_equal(np.asarray(cl.asarray(a)), VALUES)


@together("door", DOORS)
@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_equal_is_refused(kind, door):
    with pytest.raises(DTypeError) as caught:
        DOORS[door](REFUSED[kind])
    assert caught.value.expected
    assert caught.value.try_


@together("kind", REFUSED)
def test_what_has_no_equal_is_not_explained(kind):
    with pytest.raises(DTypeError):
        cl.explain(lambda x: cl.sum(x * 1.0), 0, args=(REFUSED[kind],))


@pytest.mark.parametrize("door", ["tensor", "asarray"])
@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "int8", "bool", "float32", "uint64"])
def test_columns_of_data_frames_without_gaps_come_in(dtype, door):
    column = pd.Series([1, 0, 1], dtype=dtype)
    assert DOORS[door](column).tolist() == [1, 0, 1]


@pytest.mark.parametrize("dtype", ["Int64", "Float64"])
def test_gaps_in_columns_of_numbers_are_nan(dtype):
    np.testing.assert_array_equal(np.asarray(cl.asarray(pd.Series([1, None], dtype=dtype))), [1.0, np.nan])


@pytest.mark.parametrize("dtype", ["boolean", "string", "category"])
def test_other_columns_with_gaps_are_refused(dtype):
    column = pd.Series([True, None] if dtype == "boolean" else ["a", None], dtype=dtype)
    with pytest.raises(DTypeError):
        cl.asarray(column)


def test_unsigned_integers_keep_their_values():
    top = np.array([2**64 - 1], np.uint64)
    assert cl.asarray(top).tolist() == [2**64 - 1]
    assert cl.tensor(top).dtype == np.uint64


class Foreign:
    """A tensor of another library: one that tracks gradients refuses, one of a foreign dtype cannot."""

    def __init__(self, error):
        self.error = error

    def __array__(self, dtype=None, copy=None):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."),
        TypeError("Got unsupported ScalarType BFloat16"),
    ],
)
def test_what_another_library_refuses_is_said(error):
    with pytest.raises(DTypeError) as caught:
        cl.asarray(Foreign(error))
    assert str(error) in caught.value.got


UNSIGNED = {  # a call and its options, by position or name
    "sort": (cl.sort, {"axis": 1}),
    "argsort": (cl.argsort, {"axis": 0}),
    "sum": (cl.sum, {"axis": (0, 1)}),
    "softmax": (cl.softmax, {"axis": 1}),
    "expand_dims": (cl.expand_dims, {"axis": 1}),
    "stack": (lambda x, axis: cl.stack([x, x], axis=axis), {"axis": 2}),
    "concat": (lambda x, axis: cl.concat([x, x], axis), {"axis": 1}),
    "roll": (lambda x, shift, axis: cl.roll(x, shift, axis=axis), {"shift": 1, "axis": 1}),
    "moveaxis": (cl.moveaxis, {"source": 1, "destination": 0}),
    "quantile": (lambda x, axis: cl.quantile(x, 0.3, axis=axis), {"axis": 1}),
    "median": (cl.median, {"axis": 1}),
    "diff": (cl.diff, {"n": 1, "axis": 1}),
    "topk": (cl.topk, {"k": 2, "axis": 1}),
    "unstack": (cl.unstack, {"axis": 1}),
    "split": (cl.split, {"sections": 3, "axis": 1}),
    "repeat": (cl.repeat, {"repeats": 2, "axis": 1}),
    "tensordot": (lambda x, axes: cl.tensordot(x, x.mT, axes=axes), {"axes": 1}),
    "vmap": (lambda x, axis: cl.vmap(lambda row: row * 2, in_axes=axis)(x), {"axis": 1}),
    "vmap of several": (lambda x, axis: cl.vmap(lambda a, b: a - b[:, 0], in_axes=(axis, None))(x, x), {"axis": 1}),
}


@pytest.mark.parametrize(("call", "options"), UNSIGNED.values(), ids=UNSIGNED)
@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint64, lambda n: np.array(n, np.uint8)])
def test_places_and_counts_are_any_integers_of_numpy(call, options, kind):
    names = [n for n in options if n in ("source", "destination", "n", "k", "sections", "repeats")]
    x = cl.tensor(np.random.default_rng(0).normal(size=(2, 3)))

    def result(kind):
        given = {n: tuple(map(kind, v)) if isinstance(v, tuple) else kind(v) for n, v in options.items()}
        found = call(x, *(given.pop(n) for n in names), **given)
        return found if isinstance(found, tuple) else (found,)

    assert all(map(np.array_equal, result(kind), result(int)))
