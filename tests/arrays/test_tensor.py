"""The array class: making, reading, printing, and everything it refuses to do silently."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError, DTypeError, GradientError, ShapeError, TraceError
from clearprop.program.ir import trace
from clearprop.program.types import FLOAT64, Type


def test_tensor_copies_and_asarray_shares():
    a = np.array([1.0, 2.0])
    copied, shared = cl.tensor(a), cl.asarray(a)
    a[0] = 9.0
    assert copied.tolist() == [1.0, 2.0] and shared.tolist() == [9.0, 2.0]
    assert cl.asarray(shared) is shared
    assert np.shares_memory(np.asarray(shared), a)


def test_dtypes_of_python_numbers():
    assert cl.tensor(1).dtype == np.int64 and cl.tensor(1.0).dtype == np.float64 and cl.tensor(True).dtype == np.bool_
    assert cl.tensor([1, 2.0]).dtype == np.float64
    assert cl.tensor([1.0], dtype="float32").dtype == np.float32


def test_what_it_says_of_itself():
    x = cl.tensor(np.zeros((2, 3), np.float32), name="x")
    assert (x.shape, x.ndim, x.size, x.dtype, len(x), x.name) == ((2, 3), 2, 6, np.float32, 2, "x")
    assert not x.is_traced and not x.requires_grad and x.grad is None
    assert str(x.type) == "f32[2,3]"


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: cl.tensor([1.0, 2.5]), "Tensor([1.0, 2.5])"),
        (lambda: cl.tensor(3), "Tensor(3)"),
        (lambda: cl.tensor([True, False]), "Tensor([True, False])"),
        (lambda: cl.tensor([1.0], dtype="float32", name="w"), "Tensor([1.0], dtype=float32, name='w')"),
        (lambda: cl.tensor([[1.0, 2.0], [3.0, 4.0]]), "Tensor([[1.0, 2.0],\n        [3.0, 4.0]])"),
        (lambda: cl.tensor(1 / 3), "Tensor(0.33333333)"),
        (lambda: cl.tensor([1e-12, 1e12, float("nan"), float("inf")]), "Tensor([1e-12, 1e+12, nan, inf])"),
        (lambda: cl.tensor(1.0, name="b", requires_grad=True), "Tensor(1.0, name='b', requires_grad=True)"),
        (lambda: cl.tensor(1.0, requires_grad=True) * 2, "Tensor(2.0, from=multiply)"),
        (lambda: cl.zeros((0, 3)), "Tensor([])"),
    ],
)
def test_printing(made, text):
    assert repr(made()) == text


def test_printing_of_a_traced_value():
    seen = []
    trace(lambda x: seen.append(repr(x)) or [x], [Type((2, 3), FLOAT64)])
    assert seen == ["Tensor(traced f64[2,3])"]


def test_numbers_out():
    x = cl.tensor([1.5, 2.5])
    assert x[0].item() == 1.5 and float(x[1]) == 2.5 and int(cl.tensor(3)) == 3 and bool(cl.tensor(0.0)) is False
    assert f"{cl.tensor(0.123456):.3f}" == "0.123"
    assert [v.item() for v in x] == [1.5, 2.5]
    assert list(range(cl.tensor(2))) == [0, 1]
    assert x.numpy().tolist() == [1.5, 2.5]


def test_values_read_out_cannot_be_written_into():
    x = cl.tensor([1.0, 2.0])
    view = np.asarray(x)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5.0
    own = np.array(x)
    own[0] = 5.0
    assert x.tolist() == [1.0, 2.0]


def test_hashing_and_identity():
    x = cl.tensor([1.0])
    assert {x: 1}[x] == 1 and x in {x}


def test_operators():
    x, y = cl.tensor([1.0, 4.0]), cl.tensor([2.0, 2.0])
    a = np.array([2.0, 2.0])
    for other in (y, a, 2.0, 2):
        assert (x + other).tolist() == [3.0, 6.0] and (other + x).tolist() == [3.0, 6.0]
        assert (x - other).tolist() == [-1.0, 2.0] and (other - x).tolist() == [1.0, -2.0]
        assert (x * other).tolist() == [2.0, 8.0] and (other * x).tolist() == [2.0, 8.0]
        assert (x / other).tolist() == [0.5, 2.0] and (other / x).tolist() == [2.0, 0.5]
        assert (x**other).tolist() == [1.0, 16.0] and (other**x).tolist() == [2.0, 16.0]
        assert (x < other).tolist() == [True, False] and (other < x).tolist() == [False, True]
        assert (x >= other).tolist() == [False, True] and (x == other).tolist() == [False, False]
        assert all(isinstance(v, cl.Tensor) for v in (x + other, other + x, x < other, other < x))
    assert (-x).tolist() == [-1.0, -4.0] and abs(-x).tolist() == [1.0, 4.0] and (+x) is x
    assert (x @ y).item() == 10.0 and (a @ x).item() == 10.0
    m = cl.tensor([True, False])
    assert (m & ~m).tolist() == [False, False] and (m | ~m).tolist() == [True, True]


def test_methods():
    x = cl.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert (
        x.sum().item() == 10.0
        and x.mean(axis=0).tolist() == [2.0, 3.0]
        and x.max(axis=1, keepdims=True).tolist() == [[2.0], [4.0]]
    )
    assert x.min().item() == 1.0 and x.reshape(4).shape == (4,) and x.reshape(1, -1).shape == (1, 4)
    assert x.mT.tolist() == [[1.0, 3.0], [2.0, 4.0]] and x.T.tolist() == x.mT.tolist()
    assert x.astype("float32").dtype == np.float32 and x.astype(int).tolist() == [[1, 2], [3, 4]]


def test_copies_and_pickles():
    x = cl.tensor([1.0, 2.0], name="x", requires_grad=True)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.tolist() == [1.0, 2.0] and (twin.name, twin.requires_grad) == ("x", True)


# ------------------------------------------------------------------------------------------------- refusals
def refusal(call, kind):
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert error.where.startswith("test_tensor.py:"), error.where
    return error.headline, error.expected, error.got, error.try_


def in_place(operator):
    def act():
        x = cl.tensor([1.0, 2.0], requires_grad=True)
        scope = {"x": x}
        exec(compile(f"x {operator} 1.0", "test_tensor.py", "exec"), scope)

    return act


@pytest.mark.parametrize(
    ("operator", "instead"),
    [
        ("+=", "x = x + y; for a parameter w = w.updated(-lr * w.grad)"),
        ("-=", "x = x - y; for a parameter w = w.updated(-lr * w.grad)"),
        ("*=", "x = x * y"),
        ("/=", "x = x / y"),
        ("**=", "x = x ** y"),
        ("@=", "x = x @ y"),
        ("//=", "x = x // y"),
        ("%=", "x = x % y"),
    ],
)
def test_in_place_operators(operator, instead):
    assert refusal(in_place(operator), ArgumentError) == (
        f"a tensor never changes: {operator} is refused", "a new value", operator, instead,
    )  # fmt: skip


def test_item_assignment():
    x = cl.tensor([1.0, 2.0])

    def assign():
        x[0] = 3.0

    assert refusal(assign, ArgumentError) == (
        "a tensor never changes: item assignment is refused",
        "a new value",
        "item assignment",
        "cl.where(mask, new, x), or build the array in NumPy first",
    )


def test_lists_of_tensors_keep_their_history():
    assert cl.grad(lambda x: cl.sum([x * 2, x * 3]))(2.0).item() == 5.0
    assert cl.grad(lambda x: cl.mean([[x, 1.0], [x * x, 2]]))(3.0).item() == (1 + 6) / 4
    assert cl.grad(lambda x: cl.sum(cl.asarray([x, x]) ** 2))(2.0).item() == 8.0
    assert cl.grad(cl.sum)([1.0, 2.0])[0].item() == 1.0
    assert cl.grad(lambda x: cl.sum(cl.matmul([[x, x]], [[1.0], [2.0]])))(2.0).item() == 3.0
    assert cl.concat([cl.tensor([1.0]), [2.0, 3.0]]).tolist() == [1.0, 2.0, 3.0]
    assert cl.vmap(lambda r: cl.asarray([r[0], r[1]]))(np.eye(2)).tolist() == np.eye(2).tolist()


def test_a_copy_that_would_cut_a_history():
    x = cl.tensor([1.0, 2.0], requires_grad=True)
    want = (
        "cl.tensor would cut off the history of its argument",
        "numbers, or values without history",
        "a tensor that is recorded, of shape (2,)",
        "use the value itself, or cl.tensor(x.detach()) for a copy that no gradient flows through",
    )
    assert refusal(lambda: cl.tensor(x * 2), GradientError) == want
    assert refusal(lambda: cl.tensor([x[0], x[1]]), GradientError) == want
    assert refusal(lambda: cl.grad(lambda t: cl.sum(cl.tensor(t)))(np.ones(2)), GradientError) == want
    assert cl.tensor(x.detach()).tolist() == [1.0, 2.0]
    with cl.no_grad():
        assert cl.tensor(x).tolist() == [1.0, 2.0]


def test_what_is_no_array():
    x = cl.tensor([1.0])
    for call, kind in ((lambda: x + None, "NoneType"), (lambda: cl.exp("a"), "str"), (lambda: cl.sum({1.0}), "set")):
        headline, expected, *_ = refusal(call, DTypeError)
        assert headline == f"a value of type {kind} is not an array" and expected == "a tensor, an array or a number"
    assert refusal(lambda: x * [1.0], DTypeError)[2:] == (
        "[1.0]", "cl.asarray(...) makes an array of a list of numbers",
    )  # fmt: skip
    assert (x == None) is False and x not in (None, "text")  # noqa: E711 - what users write


def test_other_changes():
    x = cl.tensor([1.0, 2.0])
    with pytest.raises(AttributeError):
        x.shape = (2, 1)
    with pytest.raises(AttributeError):
        x.dtype = np.float32
    with pytest.raises(AttributeError):
        x.notes = "text"
    with pytest.raises(AttributeError):
        del x[0]
    a = np.zeros(2)
    with pytest.raises(TraceError):
        np.add(a, x, out=a)
    assert a.tolist() == [0.0, 0.0]


def test_text_objects_and_ragged_lists():
    want = ("a tensor holds numbers", "floats, integers, booleans or complex numbers")
    assert refusal(lambda: cl.tensor(["a"]), DTypeError)[:2] == want
    assert refusal(lambda: cl.tensor([None]), DTypeError)[:2] == want
    assert refusal(lambda: cl.tensor(np.float16([1.0])), DTypeError)[:2] == want
    assert refusal(lambda: cl.tensor([[1.0], [2.0, 3.0]]), DTypeError) == (
        *want,
        "a ragged list",
        "encode text as integers; lists must not be ragged",
    )


TRACED = {
    "if x": (
        lambda x: 1 if x[0] > 0 else 2,
        "if x needs numbers, and this value is being traced",
        "a traced value of type bool",
        "cl.cond(x[0] > 0, lambda: 1, lambda: 2); cl.where chooses element by element; what is fixed goes into static=",
    ),
    "float(x)": (
        lambda x: float(x[0]),
        "float(x) needs numbers, and this value is being traced",
        "a traced value of type f64",
        "keep the tensor, which every operation takes; float(...) of the returned value, outside",
    ),
    "int(x)": (
        lambda x: int(x[0]),
        "int(x) needs numbers, and this value is being traced",
        "a traced value of type f64",
        "keep the tensor, x.astype(int) if it must be an integer; int(...) of the returned value, outside",
    ),
    "np.asarray(x)": (
        np.asarray,
        "np.asarray(x) needs numbers, and this value is being traced",
        "a traced value of type f64[3]",
        "return the value from the function and convert it outside",
    ),
    "x.numpy()": (
        lambda x: x.numpy(),
        "np.asarray(x) needs numbers, and this value is being traced",
        "a traced value of type f64[3]",
        "return the value from the function and convert it outside",
    ),
    "range(x)": (
        lambda x: range(cl.argmax(x)),
        "range(x) needs numbers, and this value is being traced",
        "a traced value of type i64",
        "cl.while_loop with a counter; cl.fori_loop where the number is x.shape[i] or given in static=",
    ),
    "item()": (
        lambda x: cl.sum(x).item(),
        "item() needs numbers, and this value is being traced",
        "a traced value of type f64",
        "keep the tensor, which every operation takes; .item() of the returned value, outside",
    ),
}


@pytest.mark.parametrize("case", TRACED)
def test_a_traced_value_used_as_a_number(case):
    f, headline, got, advice = TRACED[case]
    assert refusal(lambda: trace(lambda x: [f(x)], [Type((3,), FLOAT64)]), TraceError) == (
        headline, "operations that can be part of the program", got, advice,
    )  # fmt: skip


OF_MANY = {
    "if x": bool,
    "float(x)": float,
    "int(x)": int,
    "item()": lambda x: x.item(),
}


@pytest.mark.parametrize("values", [[1.0, 2.0], []], ids=str)
@pytest.mark.parametrize("what", OF_MANY)
def test_one_number_of_several_elements(what, values):
    headline, expected, got, advice = refusal(lambda: OF_MANY[what](cl.tensor(values)), ShapeError)
    assert (headline, expected) == (f"{what} needs one number", "a tensor with one element")
    assert got == f"shape ({len(values)},)" and advice


@pytest.mark.parametrize("what", OF_MANY)
def test_one_number_of_one_element(what):
    assert OF_MANY[what](cl.tensor([[3.0]])) == OF_MANY[what](3.0 if what != "item()" else cl.tensor(3.0))


def test_the_length_of_a_number():
    for call in (len, list):
        with pytest.raises(TypeError) as caught:
            call(cl.tensor(1.0))
        assert isinstance(caught.value, ShapeError) and caught.value.headline == "a number has no length"
    assert pickle.loads(pickle.dumps(caught.value)).message == caught.value.message


def test_an_index_that_is_no_integer():
    assert refusal(lambda: range(cl.tensor(2.0)), DTypeError) == (
        "only an integer can be an index", "an integer tensor", "float64", "",
    )  # fmt: skip


def test_transposing_a_vector():
    assert refusal(lambda: cl.tensor([1.0]).T, ArgumentError) == (
        "T is for matrices", "two axes", "shape (1,)", "x.mT, or cl.permute_dims(x, axes)",
    )  # fmt: skip
    assert refusal(lambda: cl.tensor([1.0]).mT, ShapeError)[0] == "mT needs two axes"


def test_bitwise_operators_are_for_booleans_and_integers():
    assert (cl.tensor([6]) & 3).tolist() == [2] and (True ^ cl.tensor([True, False])).tolist() == [False, True]
    assert refusal(lambda: cl.tensor([6.0]) & 3, DTypeError) == (
        "& combines conditions, or the bits of integers", "boolean or integer operands", "float64 and int64",
        "x != 0 makes a condition, x.astype(np.int64) integers",
    )  # fmt: skip


@pytest.mark.parametrize("what", [cl.tensor([1.0]), cl.Tensor], ids=["a tensor", "the class"])
def test_completion_shows_what_is_for_users_with_its_documentation(what):
    shown = [name for name in dir(what) if name[0] != "_"]
    assert {"T", "at", "backward", "grad", "name", "sum", "updated"} <= set(shown)
    assert not {"application", "is_traced", "position", "tensor", "tracked", "type", "value"} & set(shown)
    assert [name for name in shown if not inspect.getdoc(getattr(cl.Tensor, name))] == []


@pytest.mark.parametrize("value", [3.0, [1.0, 2.0]])
@pytest.mark.parametrize("holds", [True, False])
def test_a_truth_value_without_axes_is_a_mask_of_its_own_axis(value, holds):
    x = cl.tensor(value)
    found = x[cl.tensor(holds)]
    assert np.array_equal(np.asarray(found), np.asarray(value)[np.asarray(holds)])
    assert np.array_equal(
        np.asarray(cl.grad(lambda x: cl.sum(x[np.asarray(holds)] * 2))(x)), np.full(x.shape, 2 * holds)
    )
    with pytest.raises(ShapeError, match="a mask cannot index what is being traced"):
        cl.compile(lambda x: x[cl.all(x > 0)])(x)
