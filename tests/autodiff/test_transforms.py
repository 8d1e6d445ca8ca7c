"""Trees, argument positions, auxiliary outputs, and what the transforms refuse."""

from typing import NamedTuple

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError, DTypeError, GradientError, ShapeError


class Pair(NamedTuple):
    a: object
    b: object


PARAMETERS = {"w": np.array([1.0, 2.0]), "b": 0.5, "steps": 3, "inner": [np.float32(2.0), (np.array([[1.0]]), None)]}


def loss(p):
    return cl.sum(p["w"] ** 2) + 3 * p["b"] * p["inner"][0] + cl.sum(p["inner"][1][0]) * p["steps"]


def test_gradients_have_the_structure_of_the_argument():
    g = cl.grad(loss)(PARAMETERS)
    assert set(g) == set(PARAMETERS)
    assert g["w"].tolist() == [2.0, 4.0] and g["b"].item() == 6.0 and g["steps"] is None
    assert g["inner"][0].item() == 1.5 and g["inner"][0].dtype == np.float32
    assert g["inner"][1][0].tolist() == [[3.0]] and g["inner"][1][1] is None


def test_named_tuples_and_lists_keep_their_kind():
    g = cl.grad(lambda p: p.a * p.b[0])(Pair(2.0, [3.0, 4.0]))
    assert isinstance(g, Pair) and g.a.item() == 3.0 and [v.item() for v in g.b] == [2.0, 0.0]


def test_several_arguments():
    f = lambda x, y, z: x * y + z
    assert [g.item() for g in cl.grad(f, argnums=(0, 1))(2.0, 3.0, 4.0)] == [3.0, 2.0]
    assert [g.item() for g in cl.grad(f, argnums=(2, 0))(2.0, 3.0, 4.0)] == [1.0, 3.0]
    assert cl.grad(f, argnums=-1)(2.0, 3.0, 4.0).item() == 1.0
    assert isinstance(cl.grad(f, argnums=(1,))(2.0, 3.0, 4.0), tuple)


def test_other_arguments_may_be_anything():
    f = lambda x, name, data, flag=True: cl.sum(x * data["k"]) * (2 if flag and name == "a" else 1)
    assert cl.grad(f)(np.ones(2), "a", {"k": np.array([1, 2])}, flag=True).tolist() == [2.0, 4.0]


def test_auxiliary_outputs():
    f = lambda x: (cl.sum(x * x), {"double": 2 * x, "note": "text"})
    (value, aux), g = cl.value_and_grad(f, has_aux=True)(np.array([1.0, 2.0]))
    assert value.item() == 5.0 and g.tolist() == [2.0, 4.0]
    assert aux["double"].tolist() == [2.0, 4.0] and aux["note"] == "text"
    g, aux = cl.grad(f, has_aux=True)(np.array([1.0, 2.0]))
    assert g.tolist() == [2.0, 4.0] and aux["double"].tolist() == [2.0, 4.0]


def test_auxiliary_outputs_are_differentiated_by_an_outer_transform():
    f = lambda x: (x * x, x**3)
    outer = lambda x: cl.grad(f, has_aux=True)(x)[1]
    assert cl.grad(outer)(2.0).item() == 12.0


def test_outputs_carry_no_history():
    w = cl.tensor(2.0, requires_grad=True)
    value, g = cl.value_and_grad(lambda x: x * x)(w)
    out, tangent = cl.jvp(lambda x: x * x, (np.float64(1.0),), (1.0,))
    assert not g.tracked or g.application is not None  # w itself is tracked, so its gradient may be
    assert not out.tracked and not tangent.tracked and value.item() == 4.0


def test_transforms_work_inside_no_grad():
    with cl.no_grad():
        g = cl.grad(lambda x: x**3)(2.0)
        assert g.item() == 12.0 and not g.tracked


def test_jacobian_of_trees():
    f = lambda p: {"sum": p["a"] + p["b"], "product": cl.sum(p["a"] * p["b"])}
    p = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    j = cl.jacobian(f)(p)
    assert j["sum"]["a"].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert j["product"]["a"].tolist() == [3.0, 4.0] and j["product"]["b"].tolist() == [1.0, 2.0]


def test_jacobian_of_two_arguments():
    ja, jb = cl.jacobian(lambda a, b: a * b, argnums=(0, 1))(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert ja.tolist() == [[3.0, 0.0], [0.0, 4.0]] and jb.tolist() == [[1.0, 0.0], [0.0, 2.0]]


def test_hessian_of_a_tree():
    f = lambda p: p["a"] ** 2 * cl.sum(p["b"] ** 2)
    h = cl.hessian(f)({"a": 3.0, "b": np.array([1.0, 2.0])})
    assert h["a"]["a"].item() == 10.0
    assert h["a"]["b"].tolist() == [12.0, 24.0] and h["b"]["a"].tolist() == [12.0, 24.0]
    assert h["b"]["b"].tolist() == [[18.0, 0.0], [0.0, 18.0]]


def test_jacobian_shapes():
    x = np.arange(6.0).reshape(2, 3)
    assert cl.jacobian(lambda t: cl.sum(t, axis=0))(x).shape == (3, 2, 3)
    assert cl.hessian(lambda t: cl.sum(t**3))(x).shape == (2, 3, 2, 3)
    assert cl.jacobian(lambda t: t)(np.zeros((0,))).shape == (0, 0)


def test_hvp_of_several_arguments_and_trees():
    f = lambda p, y: cl.sum(p["x"] ** 2 * y)
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    vp, vy = {"x": np.array([1.0, 0.0])}, np.array([0.0, 1.0])
    hp, hy = cl.hvp(f, ({"x": x}, y), (vp, vy))
    assert hp["x"].tolist() == [6.0, 4.0] and hy.tolist() == [2.0, 0.0]


def test_vjp_and_jvp_of_trees():
    f = lambda p: (p["a"] * 2, [p["b"] * p["a"]])
    p = {"a": np.float64(3.0), "b": np.float64(4.0)}
    out, pullback = cl.vjp(f, p)
    assert out[0].item() == 6.0 and out[1][0].item() == 12.0
    (g,) = pullback((1.0, [10.0]))
    assert g["a"].item() == 42.0 and g["b"].item() == 30.0
    _, tangent = cl.jvp(f, (p,), ({"a": 1.0, "b": 0.0},))
    assert tangent[0].item() == 2.0 and tangent[1][0].item() == 4.0


def test_an_argument_used_twice_and_an_argument_not_used():
    assert cl.grad(lambda x: x * x + x)(3.0).item() == 7.0
    gx, gy = cl.grad(lambda x, y: x * x, argnums=(0, 1))(3.0, np.ones(2))
    assert gx.item() == 6.0 and gy.tolist() == [0.0, 0.0]
    assert cl.grad(lambda x: cl.tensor(1.0))(3.0).item() == 0.0


def test_an_output_that_is_an_argument():
    _, pullback = cl.vjp(lambda x: (x, x, x * 2), np.float64(3.0))
    assert pullback((1.0, 10.0, 100.0))[0].item() == 211.0
    assert cl.grad(lambda x: x)(3.0).item() == 1.0


def test_vmap_over_trees_and_axes():
    tree = {"a": np.arange(6.0).reshape(3, 2), "b": np.arange(3.0)}
    f = lambda p, s: {"total": cl.sum(p["a"]) + p["b"] * s, "same": s}
    out = cl.vmap(f, in_axes=(0, None))(tree, 10.0)
    assert out["total"].tolist() == [1.0, 15.0, 29.0] and out["same"].tolist() == [10.0] * 3
    out = cl.vmap(lambda p: cl.sum(p["a"]) + cl.sum(p["b"]), in_axes=({"a": 1, "b": None},))(tree)
    assert out.tolist() == [9.0, 12.0]


# ------------------------------------------------------------------------------------------------- refusals
def message(call):
    with pytest.raises(cl.ClearpropError) as caught:
        call()
    text = str(caught.value)
    return "\n".join(line for line in text.splitlines() if not line.startswith("  where")), caught.value


REFUSED = {
    "an integer": (
        lambda: cl.grad(lambda x: x * 2)(3),
        DTypeError,
        "grad needs a floating argument to differentiate\n"
        "  expected  argument 0 with at least one floating number\n"
        "  got       int64\n"
        "  try       write it as a float: 3 → 3.0",
    ),
    "an integer array": (
        lambda: cl.grad(cl.sum)(np.array([1, 2])),
        DTypeError,
        "grad needs a floating argument to differentiate\n"
        "  expected  argument 0 with at least one floating number\n"
        "  got       int64\n"
        "  try       write it as a float: x.astype(float)",
    ),
    "a text": (
        lambda: cl.grad(lambda x, y: x, argnums=1)(1.0, "text"),
        DTypeError,
        "grad needs a floating argument to differentiate\n"
        "  expected  argument 1 with at least one floating number\n"
        "  got       str\n"
        "  try       write it as a float: x.astype(float)",
    ),
    "a loss with axes": (
        lambda: cl.grad(lambda x: x * 2)(np.ones(3)),
        GradientError,
        "grad needs a scalar loss\n"
        "  expected  shape ()\n"
        "  got       shape (3,)\n"
        "  try       cl.mean(loss) or cl.sum(loss); cl.jacobian for the derivative of every element",
    ),
    "a tuple": (
        lambda: cl.grad(lambda x: (x, x))(1.0),
        GradientError,
        "grad needs a function that returns one number\n"
        "  expected  a scalar: a Tensor of shape ()\n"
        "  got       tuple\n"
        "  try       return the loss alone, or pass has_aux=True and return (loss, aux)",
    ),
    "a loss that was converted": (
        lambda: cl.grad(lambda x: float(x) * 2)(3.0),
        GradientError,
        "float(x) would cut off a derivative that is being computed\n"
        "  expected  functions of clearprop from the argument to the result\n"
        "  got       a value that depends on the argument, of shape ()\n"
        "  try       keep the tensor: cl.sin, cl.exp and their like take it; "
        "cl.stop_gradient(x) first, if a constant is meant",
    ),
    "a loss that is a number": (
        lambda: cl.grad(lambda x: 6.0)(1.0),
        GradientError,
        "grad got a loss that is cut off from its arguments\n"
        "  expected  a Tensor computed from the arguments\n"
        "  got       float 6.0\n"
        "  try       compute with tensors to the end: float(x), x.item() and np.asarray(x) carry no derivative",
    ),
    "an integer loss": (
        lambda: cl.grad(lambda x: cl.argmax(x))(np.ones(3)),
        DTypeError,
        "grad needs a floating loss\n"
        "  expected  float32 or float64\n"
        "  got       int64\n"
        "  try       loss.astype(float), if it depends on the arguments smoothly at all",
    ),
    "a missing argument": (
        lambda: cl.grad(lambda x: x, argnums=2)(1.0),
        ArgumentError,
        "grad has no argument 2 to differentiate\n"
        "  expected  argnums from 0 to 0\n"
        "  got       argnums = 2 with 1 positional arguments\n"
        "  try       pass the argument by position",
    ),
    "a cotangent of another shape": (
        lambda: cl.vjp(lambda x: x, np.ones(3))[1](np.ones(2)),
        ShapeError,
        "the cotangent has another shape than the output\n"
        "  expected  shape (3,)\n"
        "  got       shape (2,)",
    ),
    "a cotangent of another structure": (
        lambda: cl.vjp(lambda x: (x, x), 1.0)[1](1.0),
        ArgumentError,
        "the cotangent has another structure than the output\n"
        "  expected  (*, *)\n"
        "  got       *",
    ),
    "a tangent of another shape": (
        lambda: cl.jvp(lambda x: x, (np.ones(3),), (np.ones(2),)),
        ShapeError,
        "a tangent has another shape than its primal\n"
        "  expected  shape (3,)\n"
        "  got       shape (2,)",
    ),
    "a tangent too few": (
        lambda: cl.jvp(lambda x, y: x, (1.0, 2.0), (1.0,)),
        ArgumentError,
        "jvp needs one tangent per primal\n"
        "  expected  2 tangents\n"
        "  got       1",
    ),
    "nothing to map": (
        lambda: cl.vmap(lambda x: x, in_axes=None)(np.ones(3)),
        ArgumentError,
        "vmap has nothing to map over\n"
        "  expected  at least one axis in in_axes that is not None\n"
        "  got       in_axes = None",
    ),
    "an axis that is not there": (
        lambda: cl.vmap(lambda x: x, in_axes=1)(np.ones(3)),
        ShapeError,
        "vmap cannot map over an axis that does not exist\n"
        "  expected  an array with an axis 1\n"
        "  got       shape (3,)",
    ),
    "two batch sizes": (
        lambda: cl.vmap(lambda x, y: x)(np.ones(3), np.ones(4)),
        ShapeError,
        "vmap needs one batch size\n"
        "  expected  size 3 on every mapped axis\n"
        "  got       size 4",
    ),
    "axes too few": (
        lambda: cl.vmap(lambda x, y: x, in_axes=(0,))(np.ones(3), np.ones(3)),
        ArgumentError,
        "vmap needs one axis per argument\n"
        "  expected  2 entries in in_axes\n"
        "  got       in_axes = (0,)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_told_literally(case):
    call, kind, text = REFUSED[case]
    got, error = message(call)
    assert got == text and type(error) is kind
    assert error.where.startswith("test_transforms.py:"), error.where


def test_the_place_is_the_users_line():
    def wrong(x):
        return x @ np.ones((5, 6))  # this line

    _, error = message(lambda: cl.grad(lambda x: cl.sum(wrong(x)))(np.ones((3, 4))))
    assert error.where.endswith("return x @ np.ones((5, 6))  # this line")
