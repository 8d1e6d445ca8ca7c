"""Optimizers in the learner's loop: `loss.backward()` and leaves with `requires_grad`."""

import numpy as np

import clearprop as cl
from tests.optim import reference


def test_the_learners_loop_with_an_optimizer():
    """Leaves stay leaves: each step has a graph of its own, and nothing is kept from the steps before."""
    x, y = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([1.0, 0.0])
    params = {"w": cl.tensor([0.5, -0.5], name="w", requires_grad=True)}
    opt = cl.optim.sgd(0.1, momentum=0.9, weight_decay=0.01)
    state = opt.init(params)
    w, memory, rule = np.array([0.5, -0.5]), {}, reference.sgd(0.1, 0.9, weight_decay=0.01)
    for t in range(1, 6):
        loss = cl.nn.mse(cl.asarray(x) @ params["w"], y)
        loss.backward()
        updates, state = opt.update({"w": params["w"].grad}, state, params)
        params = cl.optim.apply_updates(params, updates)
        w = rule(w, 2 * x.T @ (x @ w - y) / 2, memory, t)
        np.testing.assert_allclose(params["w"].numpy(), w, rtol=1e-13)
        leaf = params["w"]
        assert leaf.requires_grad and leaf.grad is None and leaf.name == "w" and leaf.application is None
        assert state[1]["m"]["w"].application is None
