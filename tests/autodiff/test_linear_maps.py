"""Jacobians by columns against those by rows, linear maps against jvp, Gauss–Newton products against matrices."""

import numpy as np
import pytest

import clearprop as cl

X = np.array([0.3, -0.7, 1.2])
W = np.array([[0.5, -1.0, 0.2], [1.5, 0.3, -0.4]])


def same(got, want):
    cl.tree_map(lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12), got, want)


def f(w, x):
    return {"a": cl.tanh(w @ x), "b": cl.sum(w) * x[:2], "c": cl.sum(x**3)}


@pytest.mark.parametrize("argnums", [0, 1, (0, 1), (1, 0)])
@pytest.mark.parametrize("wrap", [lambda g: g, cl.compile])
def test_columns_are_the_rows_transposed(argnums, wrap):
    same(wrap(cl.jacfwd(f, argnums))(W, X), cl.jacobian(f, argnums)(W, X))
    same(cl.jacrev(f, argnums)(W, X), cl.jacobian(f, argnums)(W, X))


def test_trees_of_arguments_and_what_is_not_floating():
    g = lambda p: cl.stack([p["x"][0] * p["k"], cl.sum(p["x"] ** 2)])
    got = cl.jacfwd(g)({"x": X, "k": 2})
    assert got["k"] is None
    same(got["x"], cl.jacobian(lambda x: g({"x": x, "k": 2}))(X))


def test_a_hessian_has_no_entries_for_what_is_not_floating():
    got = cl.hessian(lambda p: cl.sum(p["x"] ** 3) * p["k"] * p["s"])({"x": X, "k": 2, "s": 1.5})
    assert got["k"] is None and got["x"]["k"] is None
    same(got["x"]["x"], np.diag(18 * X))
    same((got["x"]["s"], got["s"]["x"], got["s"]["s"]), (6 * X**2, 6 * X**2, 0.0))


def test_an_output_that_hangs_on_nothing_has_zeros():
    for outputs in (lambda x: (x * 2, 3.0), lambda x: (x * 2, X)):
        same(cl.jacfwd(outputs)(X), cl.jacobian(outputs)(X))


def test_columns_differentiate_again():
    g = lambda x: cl.sum(x**3) * x[0]
    same(cl.jacfwd(cl.grad(g))(X), cl.hessian(g)(X))
    same(cl.jacfwd(cl.jacfwd(g))(X), cl.hessian(g)(X))


def test_a_linear_map_runs_the_function_once():
    calls = []

    def counted(w, x):
        calls.append(1)
        return f(w, x)

    out, times = cl.linearize(counted, W, X)
    same(out, f(W, X))
    for scale in (1.0, 2.0):
        same(times(scale * W, X), cl.jvp(f, (W, X), (scale * W, X))[1])
    assert len(calls) == 1
    with pytest.raises(cl.errors.ShapeError):
        times(X, X)


def test_the_gauss_newton_product_is_that_of_its_matrix():
    model, loss = lambda w: cl.tanh(w @ X), lambda z: cl.logsumexp(z) + cl.sum(z**2)
    j = cl.jacobian(model)(W).numpy().reshape(2, 6)
    h = cl.hessian(loss)(model(W)).numpy()
    v = np.cos(np.arange(6.0)).reshape(2, 3)
    same(cl.ggn_vp(model, loss, W, v), (j.T @ h @ j @ v.reshape(-1)).reshape(2, 3))
    same(cl.compile(lambda w, v: cl.ggn_vp(model, loss, w, v))(W, v), cl.ggn_vp(model, loss, W, v))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def bernoulli(z):
    """Outcomes with their probabilities, and the derivative of log p by z."""
    return [(sigmoid(z), 1 - sigmoid(z)), (1 - sigmoid(z), -sigmoid(z))]


def poisson(z):
    k, mean = np.arange(60), np.exp(z)
    p = np.exp(k * z - mean - np.array([sum(np.log(np.arange(1, n + 1))) for n in k]))
    return list(zip(p, k - mean, strict=True))


def categorical(z):
    p = np.exp(z) / np.exp(z).sum()
    return [(q, np.eye(len(z))[i] - p) for i, q in enumerate(p)]


@pytest.mark.parametrize("outcomes", [bernoulli, poisson, categorical], ids=lambda f: f.__name__)
def test_the_fisher_information_is_that_of_all_outcomes(outcomes):
    """E[s·sᵀ] of the score s = Jᵀ·∂log p/∂z, outcome by outcome."""
    v = np.cos(np.arange(6.0)).reshape(2, 3)
    j = np.kron(np.eye(2), X)  # of w ↦ w @ x, flat
    z = W @ X
    information = np.zeros((2, 2))
    if outcomes is categorical:
        information += sum(p * np.outer(s, s) for p, s in outcomes(z))
    else:
        information += np.diag([sum(p * s * s for p, s in outcomes(one)) for one in z])
    got = cl.fisher_vp(lambda w: w @ X, W, v, outcomes.__name__)
    np.testing.assert_allclose(got.numpy(), (j.T @ information @ j @ v.ravel()).reshape(2, 3), rtol=1e-10)


def test_the_fisher_information_of_normal_predictions_is_gauss_and_newtons():
    v = np.cos(np.arange(6.0)).reshape(2, 3)
    model = lambda w: cl.tanh(w @ X)
    same(cl.fisher_vp(model, W, v), cl.ggn_vp(model, lambda z: 0.5 * cl.sum(z * z), W, v))
    with pytest.raises(cl.errors.ArgumentError, match="no distribution named 'gauss'"):
        cl.fisher_vp(model, W, v, "gauss")
