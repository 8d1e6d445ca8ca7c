"""What Python's operators and formats make of a tensor: NumPy's value, or an error that says what to write."""

import copy
import math
import operator
import pickle

import numpy as np
import pytest

import clearprop as cl

VALUES = {
    "floats": np.array([1.5, -2.5, 3.0]),
    "integers": np.array([7, -3, 2]),
    "small integers": np.array([7, 3, 200], np.uint8),
    "truth values": np.array([True, False]),
    "matrix": np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
    "number": np.array(2.567),
    "integer": np.array(5),
    "large integer": np.array(2**62 + 1),
    "nan": np.array(np.nan),
    "infinity": np.array(np.inf),
    "nothing": np.zeros(0),
}
AS_NUMPY = {
    "divmod": lambda x: divmod(x, 2),
    "divmod of a number": lambda x: divmod(7, x),
    "divmod of itself": lambda x: divmod(x, x),
    "floor division": lambda x: x // 2,
    "reflected floor division": lambda x: 7 // x,
    "remainder": lambda x: x % 2,
    "abs": abs,
    "minus": operator.neg,
    "power": lambda x: x**2,
    "reversed": lambda x: list(reversed(x)),
    "in": lambda x: 2 in x,
    "not in": lambda x: 99 in x,
    "sorted": sorted,
    "len": len,
    "unpacked": lambda x: [*x],
    "zip": lambda x: list(zip(x, x, strict=True)),
    "bool": bool,
    "int": int,
    "float": float,
    "index": operator.index,
    "math.floor": math.floor,
    "math.ceil": math.ceil,
    "equal": lambda x: x == 2,
    "less": lambda x: x < 2,
    "bits": lambda x: x ^ x,
    "shift": lambda x: x << 1,
    "format": lambda x: f"{x:.3f}",
    "wide format": lambda x: f"{x:>12}",
    "format of integers": lambda x: f"{x:d}",
    "percent": lambda x: "%.2f" % x,  # noqa: UP031  # what is tested
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "index of a list": lambda x: range(2**63 - 1)[x],
    "range": lambda x: list(range(x)) if x.ndim or x < 100 else None,
    "tobytes": lambda x: bytes(x) if x.ndim else x.tobytes() if isinstance(x, np.ndarray) else bytes(x),
    "round": lambda x: x.round() if isinstance(x, np.ndarray) else round(x),
    "round to one": lambda x: x.round(1) if isinstance(x, np.ndarray) else round(x, 1),
    "round to tens": lambda x: x.round(-1) if isinstance(x, np.ndarray) else round(x, -1),
    "math.trunc": lambda x: math.trunc(x.item() if isinstance(x, np.ndarray) else x),
}
REFUSED = {
    "power with a modulus": lambda x: pow(x, 2, 5),
    "an item set": lambda x: operator.setitem(x, 0, 1),
    "an item left out": lambda x: operator.delitem(x, 0),
    "no such attribute": lambda x: x.std(),
    "no such name": lambda x: x.shapes,
    "text as a key": lambda x: x["a"],
}


def agree(found, expected):
    """Equal values, NaN with NaN; what is no number, by itself."""
    a, b = np.asarray(found), np.asarray(expected)
    return np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")


def outcome(do, x):
    """The value, or the error."""
    try:
        return do(x), None
    except Exception as error:
        return None, error


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of the same values
@pytest.mark.parametrize("what", AS_NUMPY)
def test_python_makes_of_a_tensor_what_it_makes_of_an_array(what):
    for name, value in VALUES.items():
        if name == "large integer" and what in ("math.floor", "math.ceil"):
            continue  # NumPy goes by way of floats, which this number does not survive
        expected, refusal = outcome(AS_NUMPY[what], value.copy())
        found, error = outcome(AS_NUMPY[what], cl.tensor(value))
        assert error is None or isinstance(error, cl.ClearpropError), (name, error)
        if error is None and refusal is None:
            assert agree(found, expected), name
        else:
            assert error is not None or value.dtype.kind == "b" or what in ("index", "format of integers"), (
                name,
                found,
                refusal,
            )
        if refusal is None:
            assert error is None or value.dtype.kind in "b" or what == "round to tens", (name, error)


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("name", ["floats", "integers", "number"])
def test_what_no_tensor_does_is_refused(what, name):
    with pytest.raises(cl.ClearpropError) as caught:
        REFUSED[what](cl.tensor(VALUES[name]))
    assert caught.value.expected and caught.value.got


@pytest.mark.parametrize("what", [*AS_NUMPY, *REFUSED])
def test_no_bare_error_while_traced(what):
    """`%` is Python's own, which asks nobody but the number."""
    do = {**AS_NUMPY, **REFUSED}[what]

    def kept(x):
        found = do(x)
        return found if isinstance(found, cl.Tensor) else x

    for transform in (lambda f, x: cl.compile(f, executor="numpy")(x), lambda f, x: cl.grad(lambda v: cl.sum(f(v)))(x)):
        for name in ("floats", "number"):
            _, error = outcome(lambda x: transform(kept, x), cl.tensor(VALUES[name]))  # noqa: B023  # called at once
            assert error is None or isinstance(error, cl.ClearpropError), (name, error)


def test_the_remainder_of_a_division_has_its_derivatives():
    quotient, rest = divmod(cl.tensor([7.5, -7.5]), 2.0)
    assert (quotient.tolist(), rest.tolist()) == ([3.0, -4.0], [1.5, 0.5])
    assert cl.grad(lambda x: cl.sum(divmod(x, 2.0)[1] * 3.0))(cl.tensor([7.5, -7.5])).tolist() == [3.0, 3.0]
    assert cl.grad(lambda x: cl.sum(round(x, 1)))(cl.tensor([7.53])).tolist() == [0.0]


def test_attributes_that_are_not_there():
    x = cl.tensor([1.0])
    assert not hasattr(x, "std")
    assert getattr(x, "columns", None) is None
    with pytest.raises(AttributeError) as caught:
        x.std()
    assert str(caught.value).splitlines()[-1] == "  try       cl.std(x)"
    with pytest.raises(AttributeError, match=r"x\.shape, the nearest name"):
        x.shapes  # noqa: B018  # what is tested


def test_numbers_that_no_integer_holds():
    for convert in (int, math.floor, math.ceil, math.trunc):
        for value in (np.nan, np.inf):
            with pytest.raises(cl.errors.ArgumentError, match="needs a finite number"):
                convert(cl.tensor(value))
