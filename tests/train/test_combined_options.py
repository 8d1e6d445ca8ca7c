"""Options of a training together: the numbers of a loop that is written out here, with rules written out here."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn, optim
from clearprop.train.executor import eager_executor

RNG = np.random.default_rng(21)
ROWS, STEPS, FEATURES, RATE = 45, 6, 3, 0.05
LENGTHS = np.concatenate([[STEPS, 1], RNG.integers(1, STEPS + 1, ROWS - 2)])
THERE = np.arange(STEPS) < LENGTHS[:, None]
Y, HELD_Y = RNG.integers(0, 2, ROWS), RNG.integers(0, 2, 15)
WEIGHT = RNG.uniform(0.2, 2, ROWS)
X = {
    "table": (RNG.normal(size=(ROWS, 4)), RNG.normal(size=(15, 4))),
    "sequences": (
        np.concatenate([RNG.normal(size=(ROWS, STEPS, FEATURES)), THERE[..., None]], axis=-1),
        np.concatenate([RNG.normal(size=(15, STEPS, FEATURES)), np.ones((15, STEPS, 1))], axis=-1),
    ),
}
NETWORKS = {
    "plain": lambda: nn.mlp([4, 5, 2], activation="tanh", dtype=float),
    "statistics": lambda: nn.Sequential(
        nn.Dense(4, 5, bias=False, dtype=float), nn.BatchNorm(5, dtype=float), "tanh", nn.Dense(5, 2, dtype=float)
    ),
    "sequences": lambda: nn.Sequential(
        nn.Masked(nn.BatchNorm(FEATURES, dtype=float), nn.GRU(FEATURES, 4, output="last", dtype=float)),
        nn.Dense(4, 2, dtype=float),
    ),
}
RULES = {
    "sgd": lambda: optim.sgd(RATE, momentum=0.9),
    "adam": lambda: optim.adam(RATE),
    "adamw": lambda: optim.adamw(RATE, weight_decay=0.3),
}
FIRST = "layers[0].*"
COMBINED = {
    "averages, stopped early, continued": {"ema": 0.5, "patience": 1, "min_delta": 0.01, "resume": 1},
    "accumulated, a short last batch, statistics": {"network": "statistics", "accumulate": 3, "batch_size": 8},
    "frozen statistics, decay, accumulated": {
        "network": "statistics", "rule": "adamw", "freeze": "layers[1].*", "accumulate": 2, "resume": 2,
    },
    "frozen, decay, averages, accumulated": {"rule": "adamw", "freeze": FIRST, "accumulate": 2, "ema": 0.9},
    "rates of groups, frozen biases, penalty": {
        "rule": "adam", "param_groups": {FIRST: {"lr": 1e-3}}, "freeze": "*.bias", "l2": 0.1, "weighted": True,
    },
    "decay of groups, averages": {"rule": "adamw", "param_groups": {FIRST: {"weight_decay": 0.0}}, "ema": 0.5},
    "buckets, accumulated, averages, stopped early, continued": {
        "network": "sequences", "rule": "adamw", "buckets": 3, "accumulate": 2, "ema": 0.5, "patience": 2, "resume": 1,
        "weighted": True,
    },
    "buckets, frozen, groups": {
        "network": "sequences", "rule": "adam", "buckets": 3, "freeze": FIRST, "param_groups": {"*.bias": {"lr": 0.01}},
    },
}  # fmt: skip


class Written:
    """The rules by their formulas: gradients are summed, frozen parts left out, averages kept beside."""

    def __init__(self, parameters, rule, *, accumulate=1, ema=None, freeze="", param_groups=None, **_):
        self.rule, self.every, self.ema, self.freeze, self.groups = rule, accumulate, ema, freeze, param_groups or {}
        self.averages = dict(parameters)
        self.first, self.second = ({path: 0 * p for path, p in parameters.items()} for _ in range(2))
        self.waiting, self.updates = [], 0

    def setting(self, path, name, usual):
        return next((own[name] for pattern, own in self.groups.items() if fits(path, pattern) and name in own), usual)

    def update(self, parameters, gradients):
        self.waiting.append(gradients)
        if len(self.waiting) < self.every:
            return parameters
        mean = {path: sum(g[path] for g in self.waiting) / self.every for path in parameters}
        self.waiting, self.updates = [], self.updates + 1
        moved = {
            path: p if self.freeze and fits(path, self.freeze) else p - self.distance(path, p, mean[path])
            for path, p in parameters.items()
        }
        if self.ema is not None:
            self.averages = {path: self.ema * a + (1 - self.ema) * moved[path] for path, a in self.averages.items()}
        return moved

    def distance(self, path, p, g):
        rate, decay = self.setting(path, "lr", RATE), self.setting(path, "weight_decay", 0.3)
        if self.rule == "sgd":
            self.first[path] = 0.9 * self.first[path] + g
            return rate * self.first[path]
        self.first[path] = 0.9 * self.first[path] + 0.1 * g
        self.second[path] = 0.999 * self.second[path] + 0.001 * g**2
        mean, square = self.first[path] / (1 - 0.9**self.updates), self.second[path] / (1 - 0.999**self.updates)
        shrink = decay * p if self.rule == "adamw" and p.ndim > 1 else 0.0
        return rate * (mean / (np.sqrt(square) + 1e-8) + shrink)


def fits(path, pattern):
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path.endswith(pattern[1:])


def arrays(model):
    return {path: np.asarray(p) for path, p in model.parameters().items()}


def by_hand(feed, net, x, held, weight, asked):
    """Every state, and after every epoch what is evaluated and its loss on the rows that are held out."""
    model, states, judged = net, [net], []
    rule = Written(arrays(net), **asked)
    for epoch in range(asked["epochs"]):
        for picked in feed.picked(epoch, 0):
            rows = picked if isinstance(picked, np.ndarray) else picked.rows

            def loss(m, rows=rows):
                outputs, trained = nn.apply(m, x[rows], train=True)
                each = nn.cross_entropy(outputs, Y[rows], reduction="none")
                total = cl.mean(each if weight is None else each * weight[rows])
                return total + nn.Penalty(l2=asked.get("l2", 0.0))(m), trained

            (_, trained), grads = cl.value_and_grad(loss, has_aux=True)(model)
            model = trained.replace(rule.update(arrays(model), arrays(grads)))
            states.append(model)
        shown = model.replace(rule.averages) if "ema" in asked else model
        judged.append((shown, nn.cross_entropy(shown(held), HELD_Y).item()))
        least, waited = np.inf, 0
        for _, value in judged:
            least, waited = (value, 0) if value < least - asked.get("min_delta", 0.0) else (least, waited + 1)
        if waited >= asked.get("patience", np.inf):
            break
    return states, judged


@pytest.fixture
def eager(monkeypatch):
    monkeypatch.setattr("clearprop.train.job.choose_executor", eager_executor)


@pytest.mark.parametrize("case", COMBINED)
def test_the_numbers_are_those_of_the_loop_by_hand(case, tmp_path, eager):
    asked = {"network": "plain", "rule": "sgd", "epochs": 4, "batch_size": 8, **COMBINED[case]}
    net = NETWORKS[asked["network"]]()
    x, held = X["sequences" if asked["network"] == "sequences" else "table"]
    weight = WEIGHT if asked.get("weighted") else None
    given = {k: v for k, v in asked.items() if k not in ("network", "rule", "resume", "weighted")}
    given |= {"optimizer": RULES[asked["rule"]](), "validation": (held, HELD_Y), "seed": 3, "progress": False}
    run = cl.fit(net, (x, Y), **given, sample_weight=weight)
    if "resume" in asked:
        stop = lambda event, _: "stop" if event["event"] == "epoch" and event["epoch"] == asked["resume"] else None
        cl.fit(net, (x, Y), **given, sample_weight=weight, callbacks=[stop], out=tmp_path / "run")
        again = cl.fit(net, (x, Y), **given, sample_weight=weight, resume=tmp_path / "run")
        for one, other in ((run, again), (run, cl.load(tmp_path / "run"))):
            assert one.summary.best_epoch == other.summary.best_epoch
            for path, p in arrays(one.model).items():
                np.testing.assert_array_equal(arrays(other.model)[path], p)
        assert [e["validation"] for e in again.history] == [e["validation"] for e in run.history]
    mean_one = None if weight is None else weight / weight.mean()
    asked["rule"], _ = asked["rule"], asked.pop("network")
    states, judged = by_hand(run.workings.plan().feed, net, x, held, mean_one, asked)
    assert [e["validation"]["loss"] for e in run.history] == pytest.approx([value for _, value in judged], rel=1e-9)
    best = min(range(len(judged)), key=lambda k: judged[k][1])
    assert run.summary.best_epoch == best + 1
    for found, wanted in ((run.model, judged[best][0]), (run.last, judged[-1][0])):
        for path, p in arrays(wanted).items():
            np.testing.assert_allclose(arrays(found)[path], p, rtol=1e-8, atol=1e-11, err_msg=path)
        np.testing.assert_allclose(found(held), wanted(held), rtol=1e-7, atol=1e-10)  # statistics, too
    step = 3
    for path, p in arrays(states[step]).items():
        np.testing.assert_allclose(arrays(run.replay(step).state.model)[path], p, rtol=1e-8, atol=1e-11)
        at = (0,) * p.ndim
        update = cl.explain_update(run, path, at, step)
        assert update.total == pytest.approx(p[at] - arrays(states[step - 1])[path][at], abs=1e-9)
        assert cl.explain(run, path, step=step)[at].check().agrees


DECAYING = [
    name
    for name in sorted(optim.optimizers())
    if "weight_decay" in getattr(type(optim.by_name(name)), "__dataclass_fields__", {}) and name != "diag_newton"
]


@pytest.mark.parametrize("name", DECAYING)
@pytest.mark.parametrize("every", [2, 3])
def test_what_is_frozen_stays_under_every_rule_that_decays_weights_and_accumulates(name, every):
    start = {"stays": np.ones((3, 2)), "moves": np.ones((3, 2))}
    rule = optim.accumulate(type(optim.by_name(name))(weight_decay=0.3), every)
    opt = optim.chain(optim.freeze(("stays",)), rule)
    loss = lambda p, x: cl.mean(cl.square(cl.sum((p["stays"] * p["moves"]) @ x)))

    def step(p, state, x):
        updates, state = opt.update(cl.grad(loss)(p, x), state, p)
        return optim.apply_updates(p, updates), state

    for once in (step, cl.compile(step, executor="numpy")):
        p, state = cl.tree_map(cl.tensor, start), opt.init(cl.tree_map(cl.tensor, start))
        for k in range(2 * every):
            p, state = once(p, state, np.array([1.0, k]))
        for found in (p, opt.eval_params(state, p)):
            np.testing.assert_array_equal(np.asarray(found["stays"]), start["stays"])
        assert (np.asarray(p["moves"]) != start["moves"]).all()


@pytest.mark.parametrize(
    "rule", [optim.sgd(0.5), optim.adamw(0.1), optim.schedule_free(0.1)], ids=lambda r: type(r).__name__
)
def test_a_gradient_that_one_batch_lacks_is_summed_from_the_others(rule):
    """Step by step, and in compiled steps that take turns; what gets nothing in any batch stays."""
    opt, start = optim.accumulate(rule, 2), {"a": cl.tensor(1.0), "b": cl.tensor(1.0), "c": cl.tensor(1.0)}
    batches = [{"a": cl.tensor(4.0), "b": None, "c": None}, {"a": None, "b": cl.tensor(2.0), "c": None}]

    def step_with(here):
        def step(p, state, g):
            updates, state = opt.update({name: g[name] if name in here else None for name in p}, state, p)
            return optim.apply_updates(p, updates), state

        return step

    def after(made):
        p, state = start, opt.init(start)
        steps = [made(step_with(here)) for here in ("a", "b")]
        for k in range(6):
            p, state = steps[k % 2](p, state, {name: g for name, g in batches[k % 2].items() if g is not None})
        return p, opt.eval_params(state, p)

    eager = after(lambda step: step)
    assert eager[0]["a"].item() < 1.0 and eager[0]["b"].item() < 1.0 and eager[0]["c"].item() == 1.0
    for found, wanted in zip(after(cl.compile), eager, strict=True):
        assert {name: v.item() for name, v in found.items()} == {
            name: pytest.approx(v.item(), rel=1e-6) for name, v in wanted.items()
        }
