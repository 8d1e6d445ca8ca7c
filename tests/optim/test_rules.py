"""Every optimizer against its formula written again in NumPy; purity, tracing, dtypes, storing."""

import json

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.autodiff.trees import flatten, unflatten
from clearprop.program.ir import evaluate, trace
from clearprop.program.types import type_of
from tests.optim import problem, reference


def matrices(p):
    return np.ndim(p) >= 2


RULES = {
    "sgd": (optim.sgd(0.05), reference.sgd(0.05)),
    "momentum": (optim.sgd(0.05, momentum=0.9), reference.sgd(0.05, 0.9)),
    "nesterov": (optim.sgd(0.05, 0.8, nesterov=True), reference.sgd(0.05, 0.8, nesterov=True)),
    "sgd with decay": (optim.sgd(0.05, 0.9, weight_decay=0.1), reference.sgd(0.05, 0.9, weight_decay=0.1)),
    "adam": (optim.adam(0.03), reference.adam(0.03)),
    "adam, other numbers": (optim.adam(0.03, 0.5, 0.9, 1e-3), reference.adam(0.03, 0.5, 0.9, 1e-3)),
    "amsgrad": (optim.adam(0.03, b2=0.8, amsgrad=True), reference.adam(0.03, b2=0.8, amsgrad=True)),
    "nadam": (optim.adam(0.03, nesterov=True), reference.nadam(0.03)),
    "radam": (optim.adam(0.03, rectify=True), reference.radam(0.03)),
    "radam, short memory": (optim.adam(0.03, b2=0.6, rectify=True), reference.radam(0.03, b2=0.6)),
    "nadam and radam": (optim.adam(0.03, nesterov=True, rectify=True), reference.nradam(0.03)),
    "all variants of adam": (
        optim.adam(0.03, b2=0.8, amsgrad=True, nesterov=True, rectify=True),
        reference.nradam(0.03, b2=0.8, amsgrad=True),
    ),
    "adamw": (optim.adamw(0.03, weight_decay=0.2), reference.adam(0.03, weight_decay=0.2, decays=matrices)),
    "adamw, all": (optim.adamw(0.03, weight_decay=0.2, mask="all"), reference.adam(0.03, weight_decay=0.2)),
    "rmsprop": (optim.rmsprop(0.02), reference.rmsprop(0.02)),
    "rmsprop, centered": (
        optim.rmsprop(0.02, 0.95, 1e-6, 0.5, centered=True), reference.rmsprop(0.02, 0.95, 1e-6, 0.5, centered=True)
    ),
    "adagrad": (optim.adagrad(0.1), reference.adagrad(0.1)),
    "adagrad, from 0.1": (optim.adagrad(0.1, 1e-7, 0.1), reference.adagrad(0.1, 1e-7, 0.1)),
    "lion": (optim.lion(0.01), reference.lion(0.01)),
    "lion with decay": (optim.lion(0.01, weight_decay=0.3, mask="all"), reference.lion(0.01, weight_decay=0.3)),
    "rprop": (optim.rprop(), reference.rprop()),
    "rprop, other numbers": (optim.rprop(0.3, 0.4, 1.5, 0.05, 0.4), reference.rprop(0.3, 0.4, 1.5, 0.05, 0.4)),
    "schedule_free": (optim.schedule_free(0.05), reference.schedule_free(0.05, "adamw")),
    "schedule_free, all options": (
        optim.schedule_free(0.05, b1=0.8, b2=0.95, weight_decay=0.1, warmup=7, r=1.5),
        reference.schedule_free(0.05, "adamw", 0.8, 0.95, weight_decay=0.1, warmup=7, r=1.5),
    ),
    "schedule_free sgd": (
        optim.schedule_free(0.1, base="sgd", warmup=5), reference.schedule_free(0.1, "sgd", warmup=5)
    ),
}  # fmt: skip
WRAPPED = {
    "clipped": optim.chain(optim.clip_by_norm(0.5), optim.clip_by_value(0.2), optim.adam(0.03)),
    "adaptive clipping": optim.chain(optim.clip_adaptive(), optim.sgd(0.1)),
    "lookahead": optim.lookahead(optim.adam(0.03), every=3),
    "averaged": optim.chain(optim.sgd(0.05), optim.average(0.9)),
    "masked": optim.chain(optim.masked(optim.clip_by_value(0.1), ("weight",)), optim.sgd(0.1)),
    "groups": optim.groups(optim.adam(0.03), ("*.bias", optim.sgd(0.1, 0.9)), ("scale", optim.lion(0.01))),
    "schedule": optim.adamw(optim.warmup(5, optim.cosine(0.05, 60))),
}
TURNED = {
    "masked": optim.chain(optim.masked(optim.clip_by_value(0.1), ("1",)), optim.sgd(0.1)),
    "groups": optim.groups(optim.adam(0.03), ("3", optim.sgd(0.1, 0.9)), ("2", optim.lion(0.01))),
}
ALL = {name: opt for name, (opt, _) in RULES.items()} | WRAPPED


@pytest.mark.parametrize("name", RULES)
def test_every_step_follows_the_formula(name):
    opt, rule = RULES[name]
    expected = reference.run(rule, problem.START, problem.gradient, problem.STEPS)
    for (params, _), (wanted, _) in zip(problem.run(opt), expected, strict=True):
        for key, p in params.items():
            np.testing.assert_allclose(np.asarray(p), wanted[key], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_updates_are_pure(name):
    """The same state twice gives the same bits, and nothing that was passed in is changed."""
    opt = ALL[name]
    *_, (params, state) = problem.run(opt, steps=4)
    before = problem.bits((params, state))
    grads = problem.gradient(params, 9)
    first, second = (opt.update(grads, state, params) for _ in range(2))
    assert problem.bits(first) == problem.bits(second)
    assert problem.bits((params, state)) == before


@pytest.mark.parametrize("name", ALL)
def test_the_order_of_parameters_does_not_matter(name):
    """Renamed so that they are sorted the other way round, the parameters end the same."""
    turned = {"weight": "1", "scale": "2", "bias": "3"}
    opt = TURNED.get(name, ALL[name])
    *_, (params, _) = problem.run(ALL[name], steps=20)
    grads = problem.gradient(params, 21)
    other = {turned[k]: p for k, p in params.items()}
    updates = ALL[name].update(grads, ALL[name].init(params), params)[0]
    found = opt.update({turned[k]: g for k, g in grads.items()}, opt.init(other), other)[0]
    exact = "clip" not in name  # the norm over all is a sum in another order
    for key, u in updates.items():
        np.testing.assert_allclose(np.asarray(found[turned[key]]), np.asarray(u), rtol=0 if exact else 1e-12)


def flat_update(opt, tree):
    """`update` and `apply_updates` on flat values, as a trace needs it."""
    _, structure = flatten(tree)

    def step(*leaves):
        grads, state, params = unflatten(structure, list(leaves))
        updates, state = opt.update(grads, state, params)
        return flatten((cl.optim.apply_updates(params, updates), state))[0]

    return step


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_traced_and_eager_agree_and_keep_the_dtype(name, dtype):
    opt = ALL[name]
    *_, (params, state) = problem.run(opt, steps=7, dtype=dtype)
    grads = {k: cl.tensor(g, dtype=dtype) for k, g in problem.gradient(params, 8).items()}
    step = flat_update(opt, (grads, state, params))
    given = [v.value for v in flatten((grads, state, params))[0]]
    program = trace(step, [type_of(v) for v in given])
    cl.typecheck(program)
    eager = step(*map(cl.asarray, given))
    assert len(program.inputs) == len(given), "a constant was captured"
    for traced, value in zip(evaluate(program, given), eager, strict=True):
        assert np.asarray(traced).dtype == value.dtype
        np.testing.assert_allclose(np.asarray(traced), np.asarray(value), rtol=1e-6 if dtype == np.float32 else 1e-14)
    for new, old in zip(eager, flatten((params, opt.init(params)))[0], strict=True):
        assert new.dtype == old.dtype and new.shape == old.shape


@pytest.mark.parametrize("name", ALL)
def test_configuration_goes_through_json(name):
    opt = ALL[name]
    assert optim.from_config(json.loads(json.dumps(opt.to_config()))) == opt


@pytest.mark.parametrize("name", ALL)
def test_a_stored_state_continues_in_the_same_bits(name):
    """The state's leaves alone, put into a fresh state, continue the run."""
    opt = ALL[name]
    runs = list(problem.run(opt, steps=10))
    params, state = runs[4]
    stored = [np.asarray(v).copy() for v in flatten(state)[0]]
    state = unflatten(flatten(opt.init(params))[1], list(map(cl.asarray, stored)))
    for t in range(6, 11):
        updates, state = opt.update(problem.gradient(params, t), state, params)
        params = optim.apply_updates(params, updates)
    assert problem.bits((params, state)) == problem.bits(runs[-1])


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "lion", "schedule_free"])
def test_a_model_is_trained_by_every_optimizer(name):
    opt, model = optim.by_name(name, learning_rate=1e-2), cl.nn.mlp([2, 8, 1], "tanh")
    x = np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)
    y = x[:, :1] * x[:, 1:]

    def loss(m):
        return cl.nn.mse(m(x), y)

    state, first = opt.init(model), float(loss(model))
    for _ in range(60):
        updates, state = opt.update(cl.grad(loss)(model), state, model)
        model = optim.apply_updates(model, updates)
    assert float(loss(opt.eval_params(state, model))) < 0.9 * first
    assert all(p.dtype == np.float32 for p in model.parameters().values())


def test_the_learning_rate_can_be_differentiated():
    """An update is made of the library's own functions, so a step differentiates with respect to its settings."""

    def after_two_steps(rate):
        opt, p = optim.sgd(rate, momentum=0.5), {"p": cl.tensor(1.0)}
        state = opt.init(p)
        for _ in range(2):
            updates, state = opt.update({"p": 2 * p["p"]}, state, p)
            p = optim.apply_updates(p, updates)
        return p["p"]

    # p1 = 1 − 2r, m2 = 1 + 2(1 − 2r) = 3 − 4r, p2 = 1 − 2r − r(3 − 4r) = 1 − 5r + 4r²
    assert float(after_two_steps(0.25)) == pytest.approx(0.0)
    assert float(cl.grad(after_two_steps)(0.25)) == pytest.approx(-5 + 8 * 0.25)
