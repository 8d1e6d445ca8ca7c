"""AdaHessian and Sophia against their formulas written again in NumPy; in a step, compiled, and in fit."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.optim.diagonal import _STREAM
from clearprop.train import job
from clearprop.train.compiled_executor import choose_executor
from clearprop.train.executor import eager_executor
from tests.optim.problem import bits
from tests.tiers import later

START = {"b": np.array(0.7), "w": np.array([[1.0, -2.0], [0.5, 3.0]])}
RULES = {
    "adahessian": optim.diag_newton(0.1, weight_decay=0.01),
    "power": optim.diag_newton(0.1, power=0.5, b1=0.8, b2=0.9),
    "sophia": optim.diag_newton(0.05, 0.965, 0.99, 1e-12, clip=1.0, every=3, weight_decay=0.1),
}


def loss(p):
    return cl.sum(p["w"] ** 4) * 0.1 + cl.sum(cl.cosh(p["w"] * p["b"])) + p["b"] ** 2


def probes(key):
    """±1, as the rule draws them: leaf i from the key folded with the stream's number + i."""
    drawn = {}
    for i, (name, p) in enumerate(sorted(START.items())):
        heads = cl.random.bernoulli(cl.random.fold_in(key, _STREAM + i), 0.5, p.shape)
        drawn[name] = np.where(np.asarray(heads), 1.0, -1.0)
    return drawn


def reference(opt, steps):
    p = {k: v.copy() for k, v in START.items()}
    m, h = ({k: np.zeros_like(v) for k, v in p.items()} for _ in range(2))
    for t in range(1, steps + 1):
        g = {k: np.asarray(v) for k, v in cl.grad(loss)(p).items()}
        v = probes(cl.random.fold_in(cl.random.key(5), t))
        curved = {k: v[k] * np.asarray(c) for k, c in cl.hvp(loss, p, v).items()}
        for k in p:
            m[k] = opt.b1 * m[k] + (1 - opt.b1) * g[k]
            if opt.clip is None:
                h[k] = opt.b2 * h[k] + (1 - opt.b2) * curved[k] ** 2
                root = np.sqrt(h[k] / (1 - opt.b2**t)) ** opt.power
                u = m[k] / (1 - opt.b1**t) / (root + opt.eps)
            else:
                if t % opt.every == 1:
                    h[k] = opt.b2 * h[k] + (1 - opt.b2) * curved[k]
                u = np.clip(m[k] / np.maximum(opt.gamma * h[k], opt.eps), -opt.clip, opt.clip)
            p[k] = p[k] - opt.learning_rate * (u + (opt.weight_decay * p[k] if p[k].ndim == 2 else 0))
    return p


def step(opt):
    def one(p, state, key):
        g = cl.grad(loss)(p)
        updates, state = opt.update(g, state, p, hvp=lambda v: cl.hvp(loss, p, v), rng=key)
        return optim.apply_updates(p, updates), state

    return one


@pytest.mark.parametrize("name", RULES)
def test_rule_follows_its_formula_eager_and_compiled(name):
    opt = RULES[name]
    compiled = cl.compile(step(opt), executor="numpy")
    eager = other = (START, opt.init(START))
    for t in range(1, 8):
        key = cl.random.fold_in(cl.random.key(5), t)
        eager, other = step(opt)(*eager, key), compiled(*other, key)
    for k, wanted in reference(opt, 7).items():
        np.testing.assert_allclose(np.asarray(eager[0][k]), wanted, rtol=1e-12)
        np.testing.assert_allclose(np.asarray(other[0][k]), wanted, rtol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_same_state_and_key_same_bits(name):
    opt = RULES[name]
    state, key = opt.init(START), cl.random.key(1)
    first, second = (step(opt)(START, state, key) for _ in range(2))
    assert bits(first) == bits(second)
    assert opt == optim.from_config(opt.to_config())


def test_on_a_diagonal_quadratic_the_probe_is_exact():
    """v ⊙ Hv = diag H whatever v: with full trust in it one step of length 1 is Newton's."""
    p = {"x": np.array([3.0, -2.0, 5.0])}

    def f(q):
        return 0.5 * cl.sum(np.array([1.0, 10.0, 1000.0]) * q["x"] ** 2)

    found = optim.minimize(f, p, optim.diag_newton(1.0, eps=1e-12), steps=1)
    np.testing.assert_allclose(np.asarray(found.x["x"]), 0, atol=1e-10)


@pytest.mark.parametrize("executor", [eager_executor, *later([choose_executor])])
def test_fit_gives_the_step_what_the_rule_needs(executor, monkeypatch):
    """Batch statistics and dropout in the network; the numbers of a step are told link by link."""
    monkeypatch.setattr(job, "choose_executor", executor)
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    model = cl.nn.mlp([3, 5, 2], norm="batch", dropout=0.1)
    y = (x[:, 0] > 0).astype(int)
    run = cl.fit(model, (x, y), optimizer=optim.diag_newton(0.1), epochs=3)
    assert run.evaluate(x, y)["loss"] < 0.7
    update = cl.explain_update(run, "layers[0].weight", (0, 0), 2)
    assert {"gradient now", "adaptive scaling", "momentum history"} <= {part.name for part in update.parts}


def test_without_products_the_rule_says_what_it_needs():
    opt = RULES["adahessian"]
    with pytest.raises(cl.ClearpropError) as caught:
        opt.update(START, opt.init(START), START, rng=cl.random.key(0))
    assert caught.value.message.splitlines()[:3] == [
        "scale_by_curvature needs the Hessian of the loss as a function v -> Hv",
        "  expected  update(grads, state, params, hvp=lambda v: cl.hvp(loss, params, v))",
        "  got       update without hvp=",
    ]
