"""The table optimizer × schedule × wrapper: each place works, or is refused with the reason."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.autodiff.trees import flatten
from clearprop.errors import ArgumentError
from clearprop.optim.hyperparameters import Configured
from clearprop.optim.inspection import has_rate, parts, with_rate
from clearprop.program.types import type_of
from clearprop.program.values import raw
from tests.optim import problem

SCHEDULES = {
    "number": 0.01,
    "constant": optim.constant(0.01),
    "step": optim.step(0.01, every=2),
    "cosine": optim.cosine(0.01, steps=5),
    "exponential": optim.exponential(0.01, every=2),
    "inverse_power": optim.inverse_power(0.01, factor=0.5),
    "one_cycle": optim.one_cycle(0.01, steps=5),
    "warmup": optim.warmup(2, optim.cosine(0.01, steps=5)),
}
WRAPPERS = {
    "alone": lambda rule: rule,
    "clipped": lambda rule: optim.chain(optim.clip_by_norm(1.0), optim.clip_by_value(0.5), optim.clip_adaptive(), rule),
    "decayed": lambda rule: optim.chain(optim.add_weight_decay(0.01), rule),
    "averaged": lambda rule: optim.chain(rule, optim.average(0.9)),
    "on a plateau": lambda rule: optim.chain(rule, optim.reduce_on_plateau(0.5, patience=1)),
    "fractional": lambda rule: optim.chain(optim.fractional_memory(0.7, window=2), optim.caputo(0.9), rule),
    "caputo": lambda rule: optim.chain(optim.cfgd(0.7, nodes=1), rule),
    "lookahead": lambda rule: optim.lookahead(rule, every=2),
    "sam": lambda rule: optim.sam(rule),
    "hypergradient": lambda rule: optim.hypergradient(rule),
    "frozen": lambda rule: optim.chain(optim.freeze(("scale",)), rule, optim.freeze(("scale",))),
    "frozen, through every link": lambda rule: optim.chain(
        *(optim.freeze(("scale",)), optim.clip_by_norm(1.0), optim.clip_by_value(0.5), optim.clip_adaptive()),
        *(optim.add_weight_decay(0.01), optim.fractional_memory(0.7, window=2), optim.caputo(0.9), optim.cfgd(nodes=1)),
        *(rule, optim.average(0.9), optim.reduce_on_plateau(0.5, patience=1), optim.freeze(("scale",))),
    ),
    "masked": lambda rule: optim.masked(rule, ("weight",)),
    "groups": lambda rule: optim.groups(optim.sgd(0.01), ("*.bias", rule), ("scale", rule)),
    "sam in groups": lambda rule: optim.groups(optim.sam(rule), ("*.bias", optim.masked(optim.sam(rule), "all"))),
    "first": lambda rule: optim.switch(rule, optim.sgd(0.01), 2),
    "second": lambda rule: optim.switch(optim.adam(0.01), rule, optim.on_plateau(patience=0)),
    "twice": lambda rule: optim.lookahead(optim.sam(optim.hypergradient(rule)), every=2),
}
NAMES = optim.optimizers()
RATED = [name for name in NAMES if any(map(has_rate, parts(optim.by_name(name))))]
STEPS = 3


def signature(tree):
    leaves, structure = flatten(tree)
    return structure, [(type_of(raw(v)).dtype, np.shape(raw(v))) for v in leaves]


def run(opt, dtype=np.float32):
    """Some steps with everything that a rule may ask for; the state keeps its form, as compiled loops need it."""
    params = {k: cl.tensor(v, dtype=dtype) for k, v in problem.START.items()}
    state = opt.init(params)
    form = signature(state)
    for t in range(1, STEPS + 1):
        grads = {k: g.astype(dtype) for k, g in problem.gradient(params, t).items()}
        offered = {
            "value": problem.loss(params, t),
            "f": lambda p, t=t: problem.loss(p, t),
            "hvp": lambda v, p=params, t=t: cl.hvp(lambda q: problem.loss(q, t), p, v),
            "rng": cl.random.fold_in(cl.random.key(0), t),
        }
        updates, state = opt.update(grads, state, params, **{n: offered[n] for n in opt.needs})
        params = optim.apply_updates(params, updates)
        assert signature(state) == form
    return params, opt.eval_params(state, params)


def test_the_table_has_every_optimizer_schedule_and_wrapper():
    kinds = {n for n, kind in Configured.registry.items() if issubclass(kind, optim.Schedule)}
    kinds = {n for n in kinds if Configured.registry[n].__module__.startswith("clearprop.optim.")}
    assert kinds <= set(SCHEDULES)
    assert set(NAMES) - set(RATED) == {"armijo", "polyak", "rprop"}
    met = [(name, wrapper, *rates_of(name, wrapper, "one")) for name in RATED for wrapper in WRAPPERS]
    assert len({(name, rate) for name, _, rate in met}) == len(RATED) * len(SCHEDULES)
    assert len({(wrapper, rate) for _, wrapper, rate in met}) == len(WRAPPERS) * len(SCHEDULES)


def rates_of(name, wrapper, schedules):
    """Every schedule; or one by the places of name and wrapper: then every two values of the three tables meet."""
    if name not in RATED:
        return [None]
    rates = list(SCHEDULES.values())
    place = RATED.index(name) + list(WRAPPERS).index(wrapper)
    return rates if schedules == "every" else [rates[place % len(rates)]]


@pytest.mark.parametrize("schedules", ["one", pytest.param("every", marks=pytest.mark.verify)])
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_runs_with_every_schedule_in_every_wrapper(name, wrapper, schedules):
    for rate in rates_of(name, wrapper, schedules):
        rule = optim.by_name(name)
        opt = WRAPPERS[wrapper](rule if rate is None else with_rate(rule, rate))
        params, shown = run(opt)
        for tree in (params, shown):
            assert all(np.isfinite(np.asarray(v)).all() for v in tree.values())
        moved = {k: np.any(np.asarray(v) != np.float32(problem.START[k])) for k, v in params.items()}
        assert (moved["weight"] and moved["bias"]) or wrapper in ("masked", "sam in groups")
        assert "frozen" not in wrapper or np.array_equal(params["scale"], np.float32(problem.START["scale"]))
        assert optim.from_config(opt.to_config()) == opt


@pytest.mark.parametrize("name", NAMES)
def test_a_rate_that_a_rule_does_not_have_is_refused_with_the_reason(name):
    if name in RATED:
        assert any(p.settings().get("learning_rate") == 0.5 for p in parts(with_rate(optim.by_name(name), 0.5)))
        return
    with pytest.raises(ArgumentError, match="this optimizer has no learning rate"):
        with_rate(optim.by_name(name), 0.5)
