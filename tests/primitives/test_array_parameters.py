"""A parameter that is a number by default may be an array: it broadcasts, is traced, and has a derivative."""

import numpy as np
import pytest

import clearprop as cl

X = np.array([-1.0, 2.0, -0.3])
A = np.array([0.5, 0.7, 0.9])
CASES = {
    "elu": (
        lambda x, a: cl.elu(x, alpha=a),
        lambda x, a: np.where(x > 0, x, a * np.expm1(x)),
        [-0.6321205588, 0.0, -0.2591817793],
    ),
    "leaky_relu": (lambda x, a: cl.leaky_relu(x, slope=a), lambda x, a: np.where(x > 0, x, a * x), [-1.0, 0.0, -0.3]),
    "huber_error": (
        lambda x, a: cl.huber_error(x, 0.0, delta=a),
        lambda x, a: np.where(np.abs(x) <= a, 0.5 * x * x, a * (np.abs(x) - 0.5 * a)),
        [0.5, 1.3, 0.0],
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("form", ["eager", "compiled", "mapped", "of float32"])
def test_values(name, form):
    f, formula, _ = CASES[name]
    x, a = (X.astype(np.float32), A.astype(np.float32)) if form == "of float32" else (X, A)
    run = {"compiled": cl.compile(f, executor="numpy"), "mapped": cl.vmap(f)}.get(form, f)
    got = run(x, a)
    assert got.dtype == x.dtype
    np.testing.assert_allclose(got, formula(x, a), rtol=1e-6 if form == "of float32" else 1e-14)


@pytest.mark.parametrize("name", CASES)
def test_derivatives_by_the_parameter(name):
    f, _, wanted = CASES[name]
    slope = cl.grad(lambda x, a: cl.sum(f(x, a)), argnums=1)
    np.testing.assert_allclose(slope(X, A), wanted, rtol=1e-9)
    np.testing.assert_allclose(cl.compile(slope, executor="numpy")(X, A), wanted, rtol=1e-9)
    cl.check_grads(lambda x, a: cl.sum(f(x, a)), (X, A))
    leaf = cl.tensor(0.6, requires_grad=True)
    cl.sum(f(X, leaf)).backward()
    assert leaf.grad is not None and leaf.grad.item() != 0


@pytest.mark.parametrize("scalar", [np.float64, np.float32, np.float16, np.int64, np.bool_])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("executor", ["eager", "numpy", "numba"])
def test_a_number_of_numpy_is_a_number(name, scalar, executor):
    f, x = CASES[name][0], np.array([[-1.0, 2.0, -0.3]], np.float32)
    number = scalar(1).item()
    got, wanted = (_called(f, executor, a)(x) for a in (scalar(1), number))
    assert got.dtype == wanted.dtype == np.float32
    np.testing.assert_array_equal(got, wanted)


def _called(f, executor, a):
    def one(x):
        return f(x, a)

    return one if executor == "eager" else cl.compile(one, executor=executor)
