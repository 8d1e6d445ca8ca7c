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
