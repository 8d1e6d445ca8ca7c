"""Rules that need the loss, wrappers and fractional links: pure, traced as eager, stored, compiled, told what to do."""

import json

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn, optim
from clearprop.autodiff.trees import flatten, unflatten
from clearprop.compiler.epoch_loop import NativeLoop
from clearprop.program.ir import evaluate, trace
from clearprop.program.types import type_of
from tests.optim import problem
from tests.optim.test_messages import lines, message

RULES = {
    "polyak": optim.polyak(largest=0.3),
    "polyak, smoothed": optim.polyak(0.01, c=0.2, target=-9.0, growth=1.05),
    "armijo": optim.armijo(),
    "hypergradient": optim.hypergradient(optim.sgd(0.02, 0.9), kappa=0.1),
    "plateau": optim.chain(optim.adam(0.03), optim.reduce_on_plateau(0.5, patience=2, every=3)),
    "sam": optim.sam(optim.sgd(0.05)),
    "sam, adaptive": optim.sam(optim.adam(0.03), rho=0.5, adaptive=True),
    "switch": optim.switch(optim.adam(0.05), optim.sgd(0.01, 0.9), when=12),
    "switch on a plateau": optim.switch(
        optim.sgd(0.05), optim.schedule_free(0.01), when=optim.on_plateau(patience=1, every=2)
    ),
    "swats": optim.swats(0.02, eps=0.5),
    "fractional_memory": optim.chain(optim.fractional_memory(0.6, window=4), optim.sgd(0.05)),
    "fractional_memory, bare": optim.chain(optim.fractional_memory(0.6, 3, normalize=False), optim.adam(0.02)),
    "caputo": optim.chain(optim.caputo(0.8), optim.sgd(0.05)),
    "caputo, initial": optim.chain(optim.caputo(0.8, "initial", eps=0.1), optim.sgd(0.05)),
    "caputo, minimum": optim.chain(optim.caputo(0.8, "minimum"), optim.sgd(0.05)),
    "caputo, steep": optim.chain(optim.caputo(1.75, 0.0, eps=1e-6, max_factor=3.0), optim.sgd(0.05)),
    "cfgd": optim.chain(optim.cfgd(0.6), optim.sgd(0.05)),
    "cfgd, biased": optim.chain(optim.cfgd(0.6, 0.0, terminal="initial", nodes=2), optim.sgd(0.05)),
    "cfgd, fixed": optim.chain(optim.cfgd(0.6, 0.1, terminal=0.5, nodes=1), optim.sgd(0.05)),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_updates_are_pure(name):
    opt = RULES[name]
    *_, (params, state) = problem.run_supplied(opt, steps=4)
    before = problem.bits((params, state))
    first, second = (problem.advance(opt, params, state, 9) for _ in range(2))
    assert problem.bits(first) == problem.bits(second)
    assert problem.bits((params, state)) == before


@pytest.mark.parametrize("name", RULES)
def test_the_order_of_parameters_does_not_matter(name):
    turned, opt = {"weight": "1", "scale": "2", "bias": "3"}, RULES[name]
    back = {new: old for old, new in turned.items()}
    params = {k: cl.tensor(v) for k, v in problem.START.items()}
    other = {turned[k]: p for k, p in params.items()}
    state, mirrored = opt.init(params), opt.init(other)
    for t in range(1, 21):
        params, state = problem.advance(opt, params, state, t)

        def loss(p, t=t):
            return problem.loss({back[k]: v for k, v in p.items()}, t)

        updates, mirrored = opt.update(cl.grad(loss)(other), mirrored, other, value=loss(other), f=loss)
        other = optim.apply_updates(other, updates)
    for key, p in params.items():
        np.testing.assert_allclose(np.asarray(other[turned[key]]), np.asarray(p), rtol=1e-9)


def flat_step(opt, tree, t):
    _, structure = flatten(tree)

    def step(*leaves):
        params, state = unflatten(structure, list(leaves))
        value, grads = cl.value_and_grad(lambda p: problem.loss(p, t))(params)
        updates, state = opt.update(grads, state, params, value=value, f=lambda p: problem.loss(p, t))
        return flatten((optim.apply_updates(params, updates), state))[0]

    return step


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_traced_and_eager_agree_and_keep_the_dtype(name, dtype):
    opt = RULES[name]
    *_, (params, state) = problem.run_supplied(opt, steps=7, dtype=dtype)
    step = flat_step(opt, (params, state), 8)
    given = [v.value for v in flatten((params, state))[0]]
    program = trace(step, [type_of(v) for v in given])
    cl.typecheck(program)
    eager = step(*map(cl.asarray, given))
    hidden = list(program.captured)
    for traced, value in zip(evaluate(program, given + hidden), eager, strict=True):
        assert np.asarray(traced).dtype == value.dtype
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(np.asarray(traced), np.asarray(value), rtol=tolerance, atol=tolerance)
    for new, old in zip(eager, flatten((params, opt.init(params)))[0], strict=True):
        assert new.dtype == old.dtype and new.shape == old.shape


@pytest.mark.parametrize("name", RULES)
def test_configuration_goes_through_json(name):
    assert optim.from_config(json.loads(json.dumps(RULES[name].to_config()))) == RULES[name]
    assert eval(repr(RULES[name]), {name: getattr(optim, name) for name in dir(optim)}) == RULES[name]


@pytest.mark.parametrize("name", RULES)
def test_a_stored_state_continues_in_the_same_bits(name):
    opt = RULES[name]
    runs = list(problem.run_supplied(opt, steps=20))
    params, state = runs[12]
    stored = [np.asarray(v).copy() for v in flatten(state)[0]]
    state = unflatten(flatten(opt.init(params))[1], list(map(cl.asarray, stored)))
    for t in range(14, 21):
        params, state = problem.advance(opt, params, state, t)
    assert problem.bits((params, state)) == problem.bits(runs[-1])


X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
Y = np.sin(X[:, :1] + X[:, 1:2] * X[:, 2:])
TOGETHER = optim.chain(
    optim.fractional_memory(0.7, window=3),
    optim.caputo(0.9, "previous"),
    optim.hypergradient(optim.switch(optim.adam(1e-2), optim.sgd(1e-2), optim.on_plateau(patience=1)), kappa=0.05),
    optim.reduce_on_plateau(0.5, patience=1, every=2),
)


def carried_step(opt):
    def step(carry, x, y):
        model, state = carry
        value, grads = cl.value_and_grad(lambda m: nn.mse(m(x), y))(model)
        updates, state = opt.update(grads, state, model, value=value, f=lambda m: nn.mse(m(x), y))
        return (optim.apply_updates(model, updates), state), (value,)

    return step


def native_equals_eager(opt, model=None):
    """Six steps in the native loop, which updates in place what it carries, and six as the rule is written."""
    model = model or nn.mlp([3, 4, 1], "tanh")
    carry, step = (model, opt.init(model)), carried_step(opt)
    loop = NativeLoop(step, carry, [X, Y])
    _, (losses,) = loop.run(np.arange(24), 8)
    _, (more,) = loop.run(np.arange(24), 8)
    eager = []
    for i in range(6):
        rows = slice(i % 3 * 8, i % 3 * 8 + 8)
        carry, (value,) = step(carry, X[rows], Y[rows])
        eager.append(float(value))
    np.testing.assert_allclose(np.concatenate([losses, more]), eager, rtol=1e-4)
    for a, b in zip(flatten(loop.carry())[0], flatten(carry)[0], strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-3, atol=1e-5)


def test_the_native_loop_shifts_a_memory_of_gradients_in_place():
    native_equals_eager(optim.chain(optim.fractional_memory(0.7, window=2), optim.sgd(0.05)), nn.Dense(3, 1))


@pytest.mark.verify
def test_the_native_loop_runs_a_chain_of_them():
    native_equals_eager(TOGETHER)


@pytest.mark.verify
@pytest.mark.parametrize("name", RULES)
def test_the_native_loop_runs_every_rule(name):
    native_equals_eager(RULES[name])


@pytest.mark.parametrize("name", ["polyak", "armijo", "hypergradient", "sam", "swats"])
def test_every_complete_rule_trains_a_network_by_name(name):
    opt, model = optim.by_name(name), nn.mlp([3, 8, 1], "tanh")

    def loss(m):
        return nn.mse(m(X), Y)

    state, first = opt.init(model), float(loss(model))
    for _ in range(40):
        value, grads = cl.value_and_grad(loss)(model)
        updates, state = opt.update(grads, state, model, value=value, f=loss)
        model = optim.apply_updates(model, updates)
    assert float(loss(model)) < 0.9 * first
    assert all(p.dtype == np.float32 for p in model.parameters().values())


# ------------------------------------------------------------------------------------------------------- messages
def test_a_rule_without_the_loss():
    params = {"w": np.ones(2)}
    found = message(lambda: optim.polyak().update(params, optim.polyak().init(params), params))
    assert [line for line in found if not line.startswith("  where")] == lines("""
polyak needs the loss of this step
  expected  update(grads, state, params, value=loss)
  got       update without value=
  try       value=loss; cl.fit passes it by itself
""")
    assert any("test_supplied.py:" in line for line in found)


def test_a_rule_without_the_loss_as_a_function():
    params = {"w": np.ones(2)}
    found = message(lambda: optim.sam().update(params, optim.sam().init(params), params))
    assert found[0] == "sam needs the loss as a function of the parameters, on the batch of this step"
    assert found[1] == "  expected  update(grads, state, params, f=lambda params: loss(params, x, y))"


@pytest.mark.parametrize(
    ("make", "expected", "got"),
    [
        (lambda: optim.polyak(c=0.0), "0 < c (default 0.5)", "c = 0.0"),
        (lambda: optim.armijo(backtrack=1.0), "0 < backtrack < 1 (default 0.5)", "backtrack = 1.0"),
        (lambda: optim.armijo(trials=0), "1 <= trials < 100, a whole number (default 4)", "trials = 0"),
        (lambda: optim.hypergradient(kappa=-1), "0 <= kappa (default 0.02)", "kappa = -1"),
        (lambda: optim.reduce_on_plateau(factor=1.5), "0 < factor < 1 (default 0.1)", "factor = 1.5"),
        (lambda: optim.sam(rho=0.0), "0 < rho (default 0.05)", "rho = 0.0"),
        (lambda: optim.fractional_memory(1.5), "0 < alpha <= 1 (default 0.9)", "alpha = 1.5"),
        (lambda: optim.fractional_memory(window=0), "1 <= window < 1000, a whole number (default 10)", "window = 0"),
        (lambda: optim.caputo(2.0), "0 < alpha < 2 (default 0.9)", "alpha = 2.0"),
        (lambda: optim.caputo(max_factor=0.5), "1 <= max_factor (default 10.0)", "max_factor = 0.5"),
        (lambda: optim.cfgd(nodes=2.5), "1 <= nodes < 64, a whole number (default 3)", "nodes = 2.5"),
        (lambda: optim.cfgd(beta=-0.1), "0 <= beta or None (default None)", "beta = -0.1"),
        (
            lambda: optim.cfgd(terminal=None),
            "one of: previous, initial, or a number (default previous)",
            "terminal = None",
        ),
    ],
)  # fmt: skip
def test_impossible_settings(make, expected, got):
    found = message(make)
    assert found[1] == f"  expected  {expected}"
    assert found[2] == f"  got       {got}"
    assert found[-1].startswith("  try ")


def test_unknown_terminal():
    found = message(lambda: optim.caputo(terminal="prevoius"))
    assert found[0] == "no terminal of caputo named 'prevoius'"
    assert found[-1] == "  try       'previous', the nearest name"
