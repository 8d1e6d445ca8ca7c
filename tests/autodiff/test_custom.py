"""Primitives and rules of the user's own."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError, GradientError
from clearprop.primitives import REGISTRY
from clearprop.rules.reductions import reduced_shape

X = np.array([0.5, -1.5, 2.0])


@pytest.fixture(autouse=True)
def registry():
    """What a test declares is forgotten afterwards."""
    kept = dict(REGISTRY)
    yield
    for name in [n for n in REGISTRY if n not in kept]:
        del REGISTRY[name]


def cube():
    @cl.primitive("elementwise", numpy="{x} * {x} * {x}", tex="{x}^3", d_x=lambda g, x: 3 * g * x * x)
    def cubed(x, /):
        """The cube x³."""

    return cubed


def test_a_leaf_of_the_users_own():
    f = cube()
    assert f(2.0) == 8.0
    assert np.array_equal(f(cl.tensor(X)), X**3)
    assert cl.grad(f)(2.0).item() == 12.0 and cl.grad(cl.grad(f))(2.0).item() == 12.0
    assert np.array_equal(cl.vmap(cl.grad(f))(X), 3 * X * X)
    assert f(np.float32(2)).dtype == np.float32
    cl.check_grads(lambda x: cl.sum(f(x)), [X])


def test_broadcasting_of_a_users_leaf_is_undone_by_the_engine():
    @cl.primitive("elementwise", numpy="{a} * {a} * {b}", d_a=lambda g, a, b: 2 * g * a * b, d_b=lambda g, a: g * a * a)
    def scaled_square(a, b, /):
        """a² b."""

    ga, gb = cl.grad(lambda a, b: cl.sum(scaled_square(a, b)), argnums=(0, 1))(X, 2.0)
    assert np.array_equal(ga, 4 * X) and gb.item() == np.sum(X * X)


def test_a_composite_of_the_users_own():
    @cl.composite("elementwise", d_x=lambda g, y: g * (1 - y * y))
    def my_tanh(x, /, *, gain=1.0):
        """Hyperbolic tangent of gain · x; its rule is for gain = 1."""
        return cl.tanh(gain * x)

    assert np.allclose(my_tanh(X), np.tanh(X)) and np.allclose(my_tanh(X, gain=2.0), np.tanh(2 * X))
    cl.check_grads(lambda x: cl.sum(my_tanh(x)), [X])


def test_a_composite_without_a_rule_is_differentiated_through_its_body():
    @cl.composite()
    def energy(x, /):
        """½ Σ x²."""
        return 0.5 * cl.sum(x * x)

    assert np.array_equal(cl.grad(energy)(X), X)
    assert np.array_equal(cl.hessian(energy)(X), np.eye(3))
    assert np.allclose(cl.vmap(energy)(np.stack([X, X])), [0.5 * X @ X] * 2)


def test_a_reduction_of_the_users_own():
    @cl.composite("reduction", shape=reduced_shape, d_x=lambda g, x: 2 * g * x)
    def sum_of_squares(x, /, *, axis=None, keepdims=False):
        """Σ x² over axes."""
        return cl.sum(x * x, axis=axis, keepdims=keepdims)

    rows = np.arange(6.0).reshape(2, 3)
    g = cl.grad(lambda x: cl.sum(sum_of_squares(x, axis=1) * np.array([1.0, 10.0])))(rows)
    assert np.array_equal(g, 2 * rows * np.array([[1.0], [10.0]]))


def test_a_general_primitive_with_both_rules():
    @cl.primitive(
        "general", numpy="np.linalg.inv({x})", signature="(n,n)->(n,n)",
        vjp_x=lambda g, y: -cl.matrix_transpose(y) @ g @ cl.matrix_transpose(y),
        jvp=lambda x_dot, y: -y @ x_dot @ y,
    )  # fmt: skip
    def inverse(x, /):
        """The inverse of a matrix."""

    m = np.array([[2.0, 1.0], [0.5, 3.0]])
    cl.check_grads(lambda x: cl.sum(inverse(x) * np.array([[1.0, 2.0], [3.0, 4.0]])), [m], order=2)


def test_a_straight_through_rule():
    @cl.custom_rule(x=lambda g: g)
    def straight_through(x):
        return cl.round(x)

    assert straight_through(1.4) == 1.0
    assert cl.grad(lambda x: straight_through(x) * 3)(1.4).item() == 3.0
    x = cl.tensor(1.4, requires_grad=True)
    (straight_through(x) * 2).backward()
    assert x.grad.item() == 2.0


def test_a_custom_rule_with_forward_mode_and_a_parameter():
    @cl.custom_rule(x=lambda g, x, bound: cl.clip(g, -bound, bound), jvp=lambda x_dot: x_dot)
    def gradient_clipped(x, *, bound=1.0):
        return x

    assert cl.grad(lambda x: 10 * gradient_clipped(x))(2.0).item() == 1.0
    assert cl.grad(lambda x: 10 * gradient_clipped(x, bound=4.0))(2.0).item() == 4.0
    assert cl.jvp(lambda x: gradient_clipped(x), (2.0,), (3.0,))[1].item() == 3.0


def test_custom_rules_under_vmap():
    @cl.custom_rule(x=lambda g, y: g * y * 100, jvp=lambda x_dot, y: x_dot * y * 100)
    def odd(x):
        return cl.sum(x * x)

    rows = np.stack([X, 2 * X])
    assert np.allclose(cl.vmap(odd)(rows), (rows**2).sum(1))
    want = cl.grad(odd)(X)
    assert np.allclose(cl.vmap(cl.grad(odd))(rows)[0], np.broadcast_to(np.asarray(want), (3,)))


def test_no_forward_rule_is_told():
    @cl.custom_rule(x=lambda g: g)
    def only_backward(x):
        return cl.round(x)

    with pytest.raises(GradientError, match="only_backward has no rule for forward mode") as caught:
        cl.jvp(lambda x: only_backward(x), (1.4,), (1.0,))
    assert caught.value.try_ == "give jvp=lambda x_dot, ...: the tangent of the output"


def test_an_argument_without_a_rule_is_not_differentiable():
    @cl.custom_rule(x=lambda g: g)
    def first_only(x, y):
        return x * y

    with pytest.raises(GradientError) as caught:
        cl.grad(lambda y: first_only(2.0, y))(3.0)
    assert caught.value.parts | {"where": ""} == {
        "expected": "a derivative with respect to x",
        "got": "a gradient that flows into y",
        "where": "",
        "try": "cl.stop_gradient(y) if it is meant to be constant",
    }


def test_an_argument_without_a_rule_may_be_made_constant_anywhere_before():
    """What the error advises works, also when something is computed in between, and in every kind of sweep."""

    def loss(x):
        target = cl.stop_gradient(cl.softmax(-x)) * 1.0
        return cl.sum(cl.softmax_cross_entropy(x, target))

    x = np.array([[1.0, 2.0]])
    want = np.asarray(cl.softmax(x) - cl.softmax(-x))
    t = cl.tensor(x, requires_grad=True)
    loss(t).backward()
    for got in (cl.grad(loss)(x), t.grad, cl.compile(cl.grad(loss), executor="numpy")(x)):
        np.testing.assert_allclose(got, want, rtol=1e-14)


def test_zero_says_why():
    @cl.custom_rule(x=cl.Zero("held fixed"))
    def held(x):
        return x * 2

    assert cl.grad(lambda x: held(x) + x)(1.0).item() == 1.0


def declared(**rules):
    def declare():
        @cl.primitive("elementwise", numpy="{x}", **rules)
        def broken(x, /):
            """Broken."""

    return declare


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (declared(d_z=lambda g: g), "broken: elementwise takes d_x, jvp, not 'd_z'"),
        (declared(vjp_x=lambda g: g), "broken: elementwise takes d_x, jvp, not 'vjp_x'"),
        (declared(d_x=lambda g, u: g), "broken: a rule names 'u'; known are g, y, x"),
        (lambda: cl.primitive("diagonal", numpy="{x}"),
         "kind is one of elementwise, reduction, multilinear, structural, general, not 'diagonal'"),
    ],
)  # fmt: skip
def test_mistakes_in_a_declaration_are_told_where_it_is_made(declare, text):
    with pytest.raises((TypeError, ValueError)) as caught:
        declare()
    assert str(caught.value) == text


def test_a_name_that_is_taken():
    def declare():
        @cl.primitive("elementwise", numpy="{x}")
        def tanh(x, /):
            """Another tanh."""

    with pytest.raises(ValueError, match=r"'tanh' exists already, in clearprop\.rules\.trigonometric"):
        declare()
    assert cl.tanh(0.0).item() == 0.0


def wrong_call(call):
    with pytest.raises(ArgumentError) as caught:
        call()
    error = caught.value
    assert error.where.startswith("test_custom.py:")
    return error.headline, error.expected, error.got, error.try_


def test_functions_say_what_they_take():
    assert wrong_call(lambda: cl.sum(X, axes=0)) == (
        "sum does not take these arguments", "sum(x, /, *, axis=None, dtype=None, keepdims=False)",
        "got an unexpected keyword argument 'axes'", "'axis', the nearest name",
    )  # fmt: skip
    assert wrong_call(lambda: cl.sum(X, 0)) == (
        "sum does not take these arguments", "sum(x, /, *, axis=None, dtype=None, keepdims=False)",
        "too many positional arguments", "give axis and dtype and keepdims by name",
    )  # fmt: skip
    assert wrong_call(lambda: cl.add(X)) == (
        "add does not take these arguments", "add(a, b, /)", "missing a required argument: 'b'", "",
    )  # fmt: skip
    assert wrong_call(lambda: cl.reshape(X))[2] == "missing a required argument: 'shape'"


# -------------------------------------------------------------------------------------------- several outputs
def halves():
    @cl.custom_rule(
        x=lambda g, x: cl.concat([2 * (0 * x[:2] if g[0] is None else g[0]), 3 * (0 * x[2:] if g[1] is None else g[1])])
    )
    def split_in_two(x):
        return 2 * x[:2], 3 * x[2:]

    return split_in_two


def test_a_rule_of_several_outputs_gets_a_list_of_cotangents():
    f = halves()
    x = np.array([1.0, 2.0, 3.0, 4.0])
    a, b = f(cl.tensor(x))
    assert a.tolist() == [2.0, 4.0] and b.tolist() == [9.0, 12.0]
    assert cl.grad(lambda t: cl.sum(f(t)[0]) + 10 * cl.sum(f(t)[1]))(x).tolist() == [2.0, 2.0, 30.0, 30.0]
    assert cl.grad(lambda t: cl.sum(f(t)[1]))(x).tolist() == [0.0, 0.0, 3.0, 3.0]
    assert cl.vmap(cl.grad(lambda t: cl.sum(f(t)[0])))(np.stack([x, x])).tolist() == [[2.0, 2.0, 0.0, 0.0]] * 2


def test_a_composite_of_several_outputs():
    @cl.composite()
    def moments(x, /):
        """Mean and mean square."""
        return cl.mean(x), cl.mean(x * x)

    g = cl.grad(lambda x: moments(x)[1] - moments(x)[0] ** 2)(X)
    assert np.allclose(g, 2 * (X - X.mean()) / 3, rtol=1e-14)
    assert np.allclose(cl.vmap(lambda x: cl.stack(list(moments(x))))(np.stack([X, X]))[1], [X.mean(), (X * X).mean()])


# ----------------------------------------------------------------------------------------------- check_grads
def test_check_grads_finds_a_wrong_rule():
    @cl.custom_rule(x=lambda g, x: 1.01 * g * cl.cos(x), jvp=lambda x_dot, x: x_dot * cl.cos(x))
    def wrong_backward(x):
        return cl.sin(x)

    @cl.custom_rule(x=lambda g, x: 1.01 * g * cl.cos(x), jvp=lambda x_dot, x: 1.01 * x_dot * cl.cos(x))
    def wrong_both(x):
        return cl.sin(x)

    with pytest.raises(GradientError) as caught:
        cl.check_grads(lambda x: wrong_backward(x), [0.5])
    assert caught.value.headline == "reverse mode disagrees with the adjoint of forward mode"
    cl.check_grads(lambda x: wrong_backward(x), [0.5], modes=("fwd",), order=1)
    with pytest.raises(GradientError) as caught:
        cl.check_grads(lambda x: wrong_both(x), [np.array([0.5, 1.0])])
    error = caught.value
    assert error.headline == "forward mode disagrees with the central difference"
    assert error.try_ == "check the rule of the primitive, and that the point is not at a kink"
    assert "(tolerance 1e-06 relative)" in error.expected and "at index" in error.got
    assert error.where.startswith("test_custom.py:")


def test_check_grads_finds_a_wrong_second_derivative():
    @cl.custom_rule(x=lambda g, x: g * frozen_cos(x), jvp=lambda x_dot, x: x_dot * frozen_cos(x))
    def half_right(x):
        return cl.sin(x)

    def frozen_cos(x):
        return cl.stop_gradient(cl.cos(x))

    cl.check_grads(lambda x: half_right(x), [0.5], order=1)
    with pytest.raises(GradientError):
        cl.check_grads(lambda x: half_right(x), [0.5], order=2)


def test_check_grads_of_trees_and_other_arguments():
    cl.check_grads(lambda p, k: {"a": cl.sin(p["w"]) * k, "n": k}, [{"w": np.array([0.1, 0.2])}, 3])
