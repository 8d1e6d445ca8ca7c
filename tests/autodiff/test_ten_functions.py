"""Hessians, third derivatives, products and batches of ten functions each, against SymPy."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.program.ir import evaluate, trace
from clearprop.program.types import type_of
from tests.autodiff.functions import FUNCTIONS, LOSSES, POINT

each = pytest.mark.parametrize("known", FUNCTIONS, ids=lambda k: k.name)
BATCH = np.array([[0.625, 1.25, -0.375], [0.5, -0.75, 1.5], [2.0, 0.125, 0.25], [1.0, 1.0, 1.0]])


def close(got, want, tolerance=1e-13):
    got = np.asarray(got)
    assert got.shape == want.shape
    assert np.all(np.abs(got - want) <= tolerance * (1 + np.abs(want))), (got, want)


@each
def test_value_and_gradient(known):
    value, gradient = cl.value_and_grad(known.function)(POINT)
    close(value, known.derivative(POINT, 0))
    close(gradient, known.derivative(POINT, 1))


@each
def test_hessian(known):
    want = known.derivative(POINT, 2)
    close(cl.hessian(known.function)(POINT), want)
    close(cl.jacobian(cl.grad(known.function))(POINT), want)
    close(cl.jacobian(cl.jacobian(known.function))(POINT), want)


@each
def test_third_derivatives(known):
    close(cl.jacobian(cl.hessian(known.function))(POINT), known.derivative(POINT, 3), 1e-12)


@each
def test_hessian_vector_product(known):
    v = np.array([1.0, -2.0, 0.5])
    want = known.derivative(POINT, 2) @ v
    close(cl.hvp(known.function, POINT, v), want)
    (wrapped,) = cl.hvp(known.function, (POINT,), (v,))
    close(wrapped, want)
    close(cl.grad(lambda x: cl.grad(known.function)(x) @ v)(POINT), want)


@each
def test_vmap(known):
    close(cl.vmap(known.function)(BATCH), np.array([known.derivative(x, 0) for x in BATCH]))
    gradients = np.array([known.derivative(x, 1) for x in BATCH])
    close(cl.vmap(cl.grad(known.function))(BATCH), gradients)
    close(cl.vmap(cl.grad(known.function), in_axes=1)(BATCH.T), gradients)
    close(cl.grad(lambda x: cl.sum(cl.vmap(known.function)(x)))(BATCH), gradients)


@each
def test_vmap_of_the_hessian(known):
    want = np.array([known.derivative(x, 2) for x in BATCH])
    close(cl.vmap(cl.hessian(known.function))(BATCH), want, 1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda k: k.name)
def test_per_example_gradients(loss):
    w, targets = np.array([0.5, -1.25, 0.75]), np.array([1.0, 0.5, 0.25, 0.0])
    want = loss.gradients(w, BATCH, targets)
    close(cl.per_example_grad(loss.function)(w, BATCH, targets), want)
    mean = cl.grad(lambda w: cl.mean(cl.vmap(loss.function, in_axes=(None, 0, 0))(w, BATCH, targets)))(w)
    close(mean, want.mean(0))


def test_derivatives_of_every_order_of_one_function():
    """exp(x) sin(x) has the n-th derivative 2^(n/2) eˣ sin(x + nπ/4)."""
    f, x = lambda t: cl.exp(t) * cl.sin(t), 0.7
    for n in range(7):
        want = 2 ** (n / 2) * np.exp(x) * np.sin(x + n * np.pi / 4)
        close(f(cl.tensor(x)) if n == 0 else f(x), want)
        f = cl.grad(f)


def _traced(f, *args):
    """f as a program, type-checked, evaluated on its arguments."""
    program = trace(lambda *xs: [f(*xs)], [type_of(a) for a in args])
    cl.typecheck(program)
    return evaluate(program, [*args, *program.captured])[0]


TRANSFORMED = {
    "gradient": lambda f: lambda x: cl.grad(f)(x),
    "hessian": lambda f: lambda x: cl.hessian(f)(x),
    "jacobian of the hessian": lambda f: lambda x: cl.jacobian(cl.hessian(f))(x),
    "hessian-vector product": lambda f: lambda x: cl.hvp(f, x, x),
    "directional derivative": lambda f: lambda x: cl.jvp(f, (x,), (x,))[1],
    "reverse over reverse": lambda f: cl.grad(lambda x: cl.sum(cl.grad(f)(x) ** 2)),
    "batched gradient": lambda f: lambda x: cl.vmap(cl.grad(f))(cl.stack([x, 2 * x])),
    "gradient of a batch": lambda f: cl.grad(lambda x: cl.sum(cl.vmap(f)(cl.stack([x, 2 * x])))),
    "batched directional derivative": lambda f: lambda x: cl.vmap(lambda v: cl.jvp(f, (x,), (v,))[1])(np.eye(3)),
}


@each
@pytest.mark.parametrize("transform", TRANSFORMED)
def test_traced_transforms_are_the_eager_ones(known, transform):
    f = TRANSFORMED[transform](known.function)
    close(_traced(f, POINT), np.asarray(f(POINT)), 1e-14)
