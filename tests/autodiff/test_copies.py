"""Copies within a transform are the value itself: nothing is cut off by copying, and what is written is refused."""

import copy
import pickle

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ClearpropError

X = np.array([0.3, 0.7])
DENSE = cl.nn.mlp([2, 1], seed=0).layers[0]
COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy}
TREES = {
    "itself": lambda c, x: c(x),
    "in a list": lambda c, x: c([x])[0],
    "in a dictionary": lambda c, x: c({"x": x})["x"],
    "an entry": lambda c, x: cl.stack([c(x[0]), c(x[1])]),
    "in a module": lambda c, x: c(DENSE.replace({"weight": cl.reshape(x, (2, 1))})).weight[:, 0],
    "computed": lambda c, x: c(x * 1.0),
}
TRANSFORMS = {
    "grad": lambda f: cl.grad(f)(X),
    "compiled": lambda f: cl.compile(cl.grad(f))(X),
    "vjp": lambda f: cl.vjp(f, X)[1](np.float64(1.0))[0],
    "jvp": lambda f: cl.stack([cl.jvp(f, (X,), (e,))[1] for e in np.eye(2)]),
    "jacfwd": lambda f: cl.jacfwd(f)(X),
    "vmap": lambda f: cl.vmap(cl.grad(f))(X[None])[0],
    "scan": lambda f: cl.grad(lambda x: cl.scan(lambda c, _: (c + f(x), 0.0), 0.0, np.zeros(1))[0])(X),
    "remat": lambda f: cl.grad(cl.remat(f))(X),
    "cond": lambda f: cl.grad(lambda x: cl.cond(x[0] > 0, f, lambda x: 0.0 * x[0], x))(X),
    "hvp": lambda f: cl.hvp(lambda x: f(x) * f(x), (X,), (X,))[0],
}


def hessian_times(x):
    """Hv of (Σ x²)² at v = x: 4 (x·x) v + 8 x (x·v)."""
    return 12 * (x @ x) * x


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("way", COPIES)
def test_copies_keep_the_derivative(way, tree, transform):
    def f(x):
        return cl.sum(TREES[tree](COPIES[way], x) * x)

    # a parameter stays of float32
    want = hessian_times(X) if transform == "hvp" else 2 * X
    np.testing.assert_allclose(
        np.asarray(TRANSFORMS[transform](f)), want, rtol=1e-12 if tree != "in a module" else 1e-6
    )


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_what_is_written_within_a_transform_is_refused(transform):
    with pytest.raises(ClearpropError, match=r"pickle.dumps\(x\)"):
        TRANSFORMS[transform](lambda x: cl.sum(pickle.loads(pickle.dumps(x)) * x))


@pytest.mark.parametrize("way", [*COPIES.values(), lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_outside_are_tensors_of_their_own(way):
    w = cl.tensor([1.0, 2.0], name="w", requires_grad=True)
    found = way(w)
    assert found is not w and repr(found) == repr(w)
    cl.sum(found * found).backward()
    assert found.grad.tolist() == [2.0, 4.0] and w.grad is None
