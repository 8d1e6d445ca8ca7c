"""What stands beside a value: every transform hands it out, and nothing in it is cut off from what is around."""

import numpy as np
import pytest

import clearprop as cl

X = np.array([1.0, -0.5])
BESIDE = {
    "grad": lambda f, x: cl.grad(lambda x: _summed(f(x)), has_aux=True)(x)[1],
    "value_and_grad": lambda f, x: cl.value_and_grad(lambda x: _summed(f(x)), has_aux=True)(x)[0][1],
    "vjp": lambda f, x: cl.vjp(f, x, has_aux=True)[2],
    "jvp": lambda f, x: cl.jvp(f, (x,), (x,), has_aux=True)[2],
    "linearize": lambda f, x: cl.linearize(f, x, has_aux=True)[2],
    "jacobian": lambda f, x: cl.jacobian(f, has_aux=True)(x)[1],
    "jacrev": lambda f, x: cl.jacrev(f, has_aux=True)(x)[1],
    "jacfwd": lambda f, x: cl.jacfwd(f, has_aux=True)(x)[1],
    "hessian": lambda f, x: cl.hessian(lambda x: _summed(f(x)), has_aux=True)(x)[1],
}
each = pytest.mark.parametrize("name", BESIDE)


def _summed(pair):
    return cl.sum(pair[0]), pair[1]


def cubes(x):
    return x**3, {"twice": 2.0 * x, "word": "as it is", "count": 3}


@each
def test_it_is_handed_out(name):
    found = BESIDE[name](cubes, X)
    np.testing.assert_array_equal(np.asarray(found["twice"]), 2.0 * X)
    assert found["word"] == "as it is"
    assert not found["twice"].tracked


def test_derivatives_stay_what_they_are():
    weights = np.array([2.0, 1.0])
    np.testing.assert_allclose(np.asarray(cl.vjp(cubes, X, has_aux=True)[1](weights)[0]), 3 * X**2 * weights)
    np.testing.assert_allclose(np.asarray(cl.jvp(cubes, (X,), (weights,), has_aux=True)[1]), 3 * X**2 * weights)
    np.testing.assert_allclose(np.asarray(cl.linearize(cubes, X, has_aux=True)[1](weights)), 3 * X**2 * weights)
    for jacobian in (cl.jacobian, cl.jacfwd, cl.jacrev):
        np.testing.assert_allclose(np.asarray(jacobian(cubes, has_aux=True)(X)[0]), np.diag(3 * X**2))
    hessian = cl.hessian(lambda x: _summed(cubes(x)), has_aux=True)(X)[0]
    np.testing.assert_allclose(np.asarray(hessian), np.diag(6 * X))


OUTSIDE = {"alone": lambda x, a: a * a, "itself": lambda x, a: a, "both": lambda x, a: a * a + a * cl.sum(x) * 0.0}


@each
@pytest.mark.parametrize("way", OUTSIDE)
@pytest.mark.parametrize("compiled", [False, True])
def test_what_comes_from_outside_is_differentiated(name, way, compiled):
    """Whether or not it depends on what the inner transform differentiates by."""
    f = cl.grad(lambda a: BESIDE[name](lambda x: (x * x, OUTSIDE[way](x, a)), X))
    f = cl.compile(f, executor="numpy") if compiled else f
    np.testing.assert_allclose(np.asarray(f(np.float64(5.0))), 1.0 if way == "itself" else 10.0)


INNER = {
    "value_and_grad": lambda f: cl.value_and_grad(f)(3.0)[0],
    "vjp": lambda f: cl.vjp(lambda x: (x, f(x)), 3.0)[0][1],
    "jvp": lambda f: cl.jvp(lambda x: {"x": x, "f": f(x)}, (3.0,), (1.0,))[0]["f"],
    "linearize": lambda f: cl.linearize(lambda x: (x, f(x)), 3.0)[0][1],
}


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("way", OUTSIDE)
def test_values_that_do_not_depend_on_the_inner_argument(inner, way):
    """They are constants of the inner transform, and differentiated by the outer one."""
    value = lambda a: INNER[inner](lambda x: OUTSIDE[way](x, a))
    want = 1.0 if way == "itself" else 10.0
    assert cl.grad(value)(5.0).item() == want
    assert cl.jvp(value, (5.0,), (1.0,))[1].item() == want
    w = cl.tensor(5.0, requires_grad=True)
    value(w).backward()
    assert w.grad.item() == want


@pytest.mark.parametrize("name", ["vjp", "jvp", "linearize", "jacobian", "jacfwd"])
def test_wrong_ones(name):
    with pytest.raises(
        cl.errors.GradientError, match=r"needs a function that returns two things\n  expected  \(value, aux\)"
    ):
        BESIDE[name](lambda x: x, X)


def test_no_flag():
    for call in (lambda: cl.vjp(cubes, X, has_aux=1), lambda: cl.hessian(cubes, has_aux="yes")):
        with pytest.raises(cl.errors.ArgumentError, match="cannot work with this has_aux"):
            call()
