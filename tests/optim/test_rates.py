"""Rules that choose their rate, and switches: each against its formula or its promise."""

import math

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from tests.optim import problem, reference


def one(opt, f, x, steps=1):
    p = cl.tensor(np.asarray(x, dtype=np.float64))
    state = opt.init(p)
    for _ in range(steps):
        value, g = cl.value_and_grad(f)(p)
        updates, state = opt.update(g, state, p, value=value, f=f)
        p = optim.apply_updates(p, updates)
    return p, state


def bowl(x):
    return cl.sum(np.array([1.0, 10.0]) * x * x)


def test_polyak_is_exact_where_the_minimum_is_known():
    """On ½‖x‖² with f* = 0 and c = ½ the step is the whole way: η = 1."""
    p, state = one(optim.polyak(largest=5.0), lambda x: 0.5 * cl.sum(x * x), [3.0, -4.0])
    assert np.asarray(p).tolist() == [0.0, 0.0] and float(state["rate"]) == 1.0


def test_polyak_keeps_to_its_bounds():
    f, x = bowl, [1.0, 1.0]
    assert float(one(optim.polyak(largest=1e-3), f, x)[1]["rate"]) == pytest.approx(1e-3)
    assert float(one(optim.polyak(target=100.0), f, x)[1]["rate"]) == 0.0
    steep = optim.polyak(0.001, growth=1.1)
    assert float(one(steep, f, x)[1]["rate"]) == pytest.approx(0.001)
    assert float(one(optim.polyak(), lambda x: cl.sum(x) ** 2, [0.0, 0.0])[1]["rate"]) == 0.0
    assert float(one(optim.polyak(largest=2.0), lambda x: 1 + 0 * cl.sum(x), [0.0])[1]["rate"]) == 2.0


@pytest.mark.parametrize("start", [1e-3, 1.0, 300.0])
def test_armijo_takes_the_longest_of_its_steps_that_lowers_the_loss_enough(start):
    opt, p = optim.armijo(initial=start, largest=1e3, trials=6), cl.tensor([3.0, 1.0])
    state, c = opt.init(p), 0.1
    for _ in range(60):
        value, g = cl.value_and_grad(bowl)(p)
        first = min(1.2 * float(state["rate"]), 1e3)
        tried = [first * 0.5**k for k in range(6)]
        lower = [r for r in tried if float(bowl(p - r * g)) <= float(value) - c * r * float(cl.sum(g * g))]
        updates, state = opt.update(g, state, p, value=value, f=bowl)
        np.testing.assert_allclose(np.asarray(updates), -(lower[0] if lower else 0.0) * np.asarray(g), rtol=1e-12)
        p = optim.apply_updates(p, updates)
        assert float(bowl(p)) <= float(value)
    assert float(bowl(p)) < 1e-3 or start == 1e-3


def test_armijo_rejects_what_is_not_finite_and_recovers():
    def f(x):
        return cl.sum(-cl.log(x))  # beyond 0 the loss is not a number

    opt, p = optim.armijo(initial=64.0, largest=100.0, trials=3), cl.tensor([-0.5]) * -1
    u, state = opt.update(cl.tensor([2.0]), opt.init(p), p, value=f(p), f=f)
    assert np.asarray(u).tolist() == [0.0] and float(state["rate"]) == 8.0
    for _ in range(3):
        u, state = opt.update(cl.tensor([2.0]), state, p, value=f(p) + 10, f=f)
    assert float(u[0]) < 0


def test_hypergradient_follows_its_formula():
    opt, kappa = optim.hypergradient(optim.sgd(0.05, 0.9), kappa=0.1), 0.1
    params = {k: np.array(v) for k, v in problem.START.items()}
    inner, factor, last = {k: {} for k in params}, 1.0, None
    rule = reference.sgd(0.05, 0.9)
    for t, (found, state) in enumerate(problem.run_supplied(opt, steps=40), start=1):
        grads = problem.gradient(params, t)
        step = {k: rule(np.zeros_like(p), grads[k], inner[k], t) for k, p in params.items()}
        if last is not None:
            dot = sum(np.sum(-last[k] * grads[k]) for k in grads)
            lengths = [math.sqrt(sum(np.sum(v**2) for v in tree.values())) for tree in (grads, last)]
            factor *= math.exp(kappa * dot / (lengths[0] * lengths[1]))
        params = {k: p + factor * step[k] for k, p in params.items()}
        last = step
        assert float(state["factor"]) == pytest.approx(factor, rel=1e-10)
        for key, p in found.items():
            np.testing.assert_allclose(np.asarray(p), params[key], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("start", [1e-4, 0.019])
def test_hypergradient_needs_no_tuned_rate(start):
    """From a rate far too low, and from one whose steps swing, it ends lower than the rate that it was given."""
    found, _ = one(optim.hypergradient(optim.sgd(start), kappa=0.1), bowl, [3.0, 1.0], 150)
    fixed, _ = one(optim.sgd(start), bowl, [3.0, 1.0], 150)
    assert float(bowl(found)) < float(bowl(fixed))


def test_plateau_lowers_the_rate_as_counted_by_hand():
    opt = optim.reduce_on_plateau(0.5, patience=1, every=2, threshold=0.1, smallest=0.3)
    losses = [4, 4, 3, 3, 2.9, 2.9, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    p, factors = cl.tensor(0.0), []
    state = opt.init(p)
    for value in losses:
        _, state = opt.update(cl.tensor(1.0), state, p, value=cl.tensor(float(value)))
        factors.append(float(state["factor"]))
    # averages 4, 3, 2.9 (no better: 3 − 10 %), 3 (second: halved), 1, 1, 1 (halved, but not below 0.3), 1, 1 (again)
    assert factors == [1.0] * 7 + [0.5] * 5 + [0.5] + [0.3] * 5


def test_sam_takes_the_gradient_at_the_worst_point_nearby():
    x = np.array([1.0, 2.0])
    g = np.array([2.0, 40.0])
    for adaptive, way, norm in ((False, g, np.linalg.norm(g)), (True, x**2 * g, np.linalg.norm(x * g))):
        opt = optim.sam(optim.sgd(1.0), rho=0.3, adaptive=adaptive)
        p = cl.tensor(x)
        u = opt.update(cl.grad(bowl)(p), opt.init(p), p, value=bowl(p), f=bowl)[0]
        np.testing.assert_allclose(np.asarray(u), -np.array([2.0, 20.0]) * (x + 0.3 * way / norm), rtol=1e-10)


def test_a_switch_is_the_first_rule_and_then_the_second_from_its_start():
    first, second = optim.adam(0.05), optim.adam(0.02, b1=0.5)
    runs = list(problem.run_supplied(optim.switch(first, second, when=7), steps=15))
    params = {k: cl.tensor(v) for k, v in problem.START.items()}
    state = first.init(params)
    for t in range(1, 16):
        if t == 8:
            state = second.init(params)
        params, state = problem.advance(first if t <= 7 else second, params, state, t)
        assert problem.bits(params) == problem.bits(runs[t - 1][0])


def test_an_average_in_the_second_rule_begins_at_the_switch():
    opt = optim.switch(optim.sgd(0.05), optim.chain(optim.sgd(0.05), optim.average(0.5)), when=3)
    runs = list(problem.run_supplied(opt, steps=5))
    (before, _), (fourth, _), (fifth, state) = runs[2:]
    for key, a in opt.eval_params(state, fifth).items():
        x0, x1, x2 = (np.asarray(p[key]) for p in (before, fourth, fifth))
        np.testing.assert_allclose(np.asarray(a), 0.5 * (0.5 * x0 + 0.5 * x1) + 0.5 * x2, rtol=1e-12)
    for key, a in opt.eval_params(runs[1][1], runs[1][0]).items():
        assert np.asarray(a).tobytes() == np.asarray(runs[1][0][key]).tobytes()


def test_a_switch_on_a_plateau():
    opt, p = optim.switch(optim.sgd(1.0), optim.sgd(0.5), optim.on_plateau(patience=1)), cl.tensor(0.0)
    state, seen = opt.init(p), []
    for loss in (3.0, 2.0, 2.0, 2.0, 2.0, 1.0):
        u, state = opt.update(cl.tensor(1.0), state, p, value=loss)
        seen.append(float(u))
    assert seen == [-1.0, -1.0, -1.0, -1.0, -0.5, -0.5]


def test_swats_finds_the_rate_of_its_projection():
    """Keskar and Socher's algorithm written again; both phases, the step of the switch, and the rate."""
    opt, eps, rate = optim.swats(0.02, eps=0.02), 0.02, None
    params, average, m = {k: np.array(v) for k, v in problem.START.items()}, 0.0, None
    adam, switched = {k: {} for k in params}, 0
    rule = reference.adam(0.02)
    for t, (found, state) in enumerate(problem.run_supplied(opt, steps=60), start=1):
        grads = problem.gradient(params, t)
        if rate is not None:
            m = {k: 0.9 * (m[k] if m else 0.0) + g for k, g in grads.items()}
            params = {k: p - rate * 0.1 * m[k] for k, p in params.items()}
        else:
            new = {k: rule(p, grads[k], adam[k], t) for k, p in params.items()}
            step = {k: new[k] - p for k, p in params.items()}
            gamma = sum(np.sum(s**2) for s in step.values()) / -sum(np.sum(step[k] * grads[k]) for k in grads)
            average = 0.999 * average + 0.001 * gamma
            if t > 1 and abs(average / (1 - 0.999**t) - gamma) < eps and gamma > 0:
                rate, switched = average / (1 - 0.999**t), t
            params = new
        assert bool(state[0]["switched"]) == (rate is not None)
        for key, p in found.items():
            np.testing.assert_allclose(np.asarray(p), params[key], rtol=1e-7, atol=1e-10)
    assert 1 < switched < 60
