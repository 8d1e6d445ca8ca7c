"""Transforms inside transforms: every level keeps its own perturbation."""

import numpy as np
import pytest

import clearprop as cl

X = np.array([0.5, -1.0, 2.0])


def d(f):
    """The derivative by forward mode."""
    return lambda x: cl.jvp(f, (x,), (1.0,))[1]


MODES = pytest.mark.parametrize(("outer", "inner"), [(cl.grad, cl.grad), (cl.grad, d), (d, cl.grad), (d, d)])


@MODES
def test_perturbations_are_not_confused(outer, inner):
    """d/dx [x · d/dy (x + y)] at y = 1 is 1, not 2 (Siskind & Pearlmutter 2005)."""
    assert outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0).item() == 1.0


@MODES
def test_the_outer_variable_is_a_constant_inside_and_a_variable_outside(outer, inner):
    """d/dx [x · d/dy (x·y²)] at y = 3 is d/dx 6x² = 12x."""
    assert outer(lambda x: x * inner(lambda y: x * y * y)(3.0))(2.0).item() == 24.0


@MODES
def test_the_point_of_the_inner_derivative_depends_on_the_outer_variable(outer, inner):
    """d/dx [d/dy y³ at y = x²] = d/dx 3x⁴ = 12x³."""
    assert outer(lambda x: inner(lambda y: y**3)(x * x))(2.0).item() == 96.0


@MODES
def test_a_derivative_that_is_independent_of_the_outer_variable(outer, inner):
    assert outer(lambda x: inner(lambda y: y * y)(3.0) + 0 * x)(1.0).item() == 0.0


def test_three_levels():
    f = lambda x: cl.grad(lambda y: cl.grad(lambda z: x * y * z * z)(y))(x)  # d/dy (2xy·y) = 4xy at y = x
    assert f(3.0).item() == 36.0
    assert cl.grad(f)(3.0).item() == 24.0


def test_grad_inside_a_loop_that_learns():
    """Differentiate through three steps of gradient descent with respect to the step size."""

    def after(lr, w=2.0):
        for _ in range(3):
            w = w - lr * cl.grad(lambda v: 0.5 * v * v)(w)
        return w

    assert abs(cl.grad(after)(0.1).item() - 2.0 * -3 * 0.9**2) < 1e-14


def test_grad_of_vmap():
    g = cl.grad(lambda w: cl.sum(cl.vmap(lambda x: cl.sin(w * x))(X)))(0.3)
    assert abs(g.item() - np.sum(np.cos(0.3 * X) * X)) < 1e-14


def test_vmap_of_grad_with_a_captured_tensor():
    w = cl.tensor(0.3)
    assert np.allclose(cl.vmap(cl.grad(lambda x: cl.sin(w * x)))(X), 0.3 * np.cos(0.3 * X), rtol=1e-15)


def test_vmap_of_vmap():
    outer = cl.vmap(lambda a: cl.vmap(lambda b: a * b + a)(X))(X)
    assert np.allclose(outer, X[:, None] * X + X[:, None], rtol=1e-15)


def test_vmap_of_vmap_over_different_axes():
    a = np.arange(24.0).reshape(2, 3, 4)
    twice = cl.vmap(cl.vmap(cl.sum, in_axes=1), in_axes=0)(a)
    assert np.array_equal(twice, a.sum(1))


def test_vmap_of_jacobian_and_jacobian_of_vmap():
    f = lambda x: cl.sin(x) * cl.sum(x)
    batch = np.stack([X, 2 * X])
    rows = np.stack([np.asarray(cl.jacobian(f)(x)) for x in batch])
    assert np.allclose(cl.vmap(cl.jacobian(f))(batch), rows, rtol=1e-14)
    whole = np.asarray(cl.jacobian(cl.vmap(f))(batch))
    assert whole.shape == (2, 3, 2, 3)
    assert np.allclose(whole[0, :, 0], rows[0]) and not whole[0, :, 1].any()


def test_vmap_of_jvp_and_jvp_of_vmap():
    f = lambda x: cl.exp(x) * x
    want = X * (np.exp(X) * X + np.exp(X))
    assert np.allclose(cl.vmap(lambda x, v: cl.jvp(f, (x,), (v,))[1])(X, X), want, rtol=1e-14)
    assert np.allclose(cl.jvp(cl.vmap(f), (X,), (X,))[1], want, rtol=1e-14)


def test_hvp_inside_grad():
    """d/dx (vᵀ·H(x)·v) of Σx⁴ is 24·x·v²."""
    v = np.array([1.0, 2.0, 3.0])
    g = cl.grad(lambda x: cl.hvp(lambda t: cl.sum(t**4), x, v) @ v)(X)
    assert np.allclose(g, 24 * X * v * v, rtol=1e-14)


def test_per_example_grad_inside_grad():
    loss = lambda w, x: (w * x) ** 2
    total = lambda w: cl.sum(cl.per_example_grad(loss, in_axes=(None, 0))(w, X) ** 2)
    assert abs(cl.grad(total)(0.5).item() - np.sum(8 * 0.5 * X**4)) < 1e-13


def test_backward_through_a_transform():
    """A gradient computed from tracked tensors is itself on the tape."""
    w = cl.tensor(3.0, requires_grad=True)
    slope = cl.grad(lambda x: w * x * x)(2.0)  # 4w
    (slope * slope).backward()
    assert w.grad.item() == 2 * 12.0 * 4


def test_gradients_of_captured_tensors_are_not_computed_by_grad():
    w = cl.tensor(3.0, requires_grad=True)
    value = cl.grad(lambda x: w * x)(2.0)
    assert value.item() == 3.0 and w.grad is None


def test_vmap_keeps_the_history_of_captured_tensors():
    w = cl.tensor(2.0, requires_grad=True)
    cl.sum(cl.vmap(lambda x: w * x * x)(X)).backward()
    assert abs(w.grad.item() - np.sum(X * X)) < 1e-14


def test_vmap_keeps_the_history_of_its_arguments():
    x = cl.tensor(X, requires_grad=True)
    cl.sum(cl.vmap(lambda t: t**3)(x)).backward()
    assert np.allclose(x.grad, 3 * X**2, rtol=1e-15)


def test_grad_of_a_function_that_calls_backward_outside_stays_separate():
    w = cl.tensor(1.5, requires_grad=True)
    (w * w).backward()
    assert cl.grad(lambda x: x * w)(2.0).item() == 1.5
    assert w.grad.item() == 3.0


def test_jvp_through_a_captured_tracked_tensor_is_recorded():
    w = cl.tensor(3.0, requires_grad=True)
    _, tangent = cl.jvp(lambda x: w * x * x, (2.0,), (1.0,))
    tangent.backward()
    assert w.grad.item() == 4.0


def test_vjp_of_vjp():
    f = lambda x: cl.vjp(cl.sin, x)[1](x)[0]  # x cos x
    value, pullback = cl.vjp(f, X)
    assert np.allclose(value, X * np.cos(X), rtol=1e-15)
    assert np.allclose(pullback(np.ones(3))[0], np.cos(X) - X * np.sin(X), rtol=1e-14)


def test_pullback_can_be_differentiated_in_its_cotangent():
    _, pullback = cl.vjp(lambda x: x**3, 2.0)
    assert cl.grad(lambda ct: pullback(ct)[0])(1.0).item() == 12.0


def test_jacobian_of_a_function_with_a_captured_array_under_vmap():
    scale = np.array([1.0, 2.0, 3.0])
    got = cl.vmap(lambda x: cl.jacobian(lambda t: t * scale)(x))(np.stack([X, X]))
    assert np.array_equal(got, np.stack([np.diag(scale)] * 2))


def test_forward_mode_through_a_stack_that_moves_in_part_while_tracing():
    """The operands that stand still get zeros, traced ones too."""

    def f(x):
        return cl.stack([x[0] * x[1], x[1]])

    def second(x, v):
        return cl.jvp(lambda z: cl.jvp(f, (z,), (v,))[1], (x,), (v,))[1]

    x, v = np.array([2.0, 3.0]), np.array([1.0, 1.0])
    assert (
        np.asarray(cl.compile(second, executor="numpy")(x, v)).tolist()
        == np.asarray(second(x, v)).tolist()
        == [2.0, 0.0]
    )
