"""Links, wrappers and trees: clipping, averages, masks and groups, what is left alone."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.optim import basic_transforms
from clearprop.optim.hyperparameters import Configured
from tests.optim import problem, reference


def once(opt, grads, params):
    return opt.update(grads, opt.init(params), params)[0]


def close(found, wanted):
    for key, value in wanted.items():
        np.testing.assert_allclose(np.asarray(found[key]), value, rtol=1e-12, atol=1e-12)


def test_clip_by_norm_scales_all_parameters_by_one_factor():
    grads = {"a": np.array([3.0, 0.0]), "b": np.array(4.0)}
    close(once(optim.clip_by_norm(1.0), grads, grads), {"a": np.array([0.6, 0.0]), "b": 0.8})
    close(once(optim.clip_by_norm(5.0), grads, grads), grads)
    close(once(optim.clip_by_norm(1.0), {"a": np.zeros(2)}, {"a": np.zeros(2)}), {"a": np.zeros(2)})


def test_clip_by_norm_keeps_each_dtype():
    grads = {"a": np.array([3.0], np.float32), "b": np.array([4.0])}
    found = once(optim.clip_by_norm(1.0), grads, grads)
    assert found["a"].dtype == np.float32 and found["b"].dtype == np.float64


def test_clip_by_value():
    close(
        once(optim.clip_by_value(0.5), {"a": np.array([-2.0, 0.1, 2.0])}, {"a": np.zeros(3)}), {"a": [-0.5, 0.1, 0.5]}
    )


def test_clip_adaptive_compares_each_unit_with_its_weights():
    """Brock et al. 2021, written out unit by unit."""
    rng = np.random.default_rng(1)
    p = {"weight": rng.normal(size=(4, 3)), "bias": rng.normal(size=3), "scale": np.array(0.0)}
    g = {k: 0.05 * rng.normal(size=np.shape(v)) for k, v in p.items()}
    found, limit, eps = once(optim.clip_adaptive(0.1, 1e-3), g, p), 0.1, 1e-3
    for unit in range(3):
        column, bound = g["weight"][:, unit], limit * max(np.linalg.norm(p["weight"][:, unit]), eps)
        shorter = column * min(1.0, bound / np.linalg.norm(column))
        np.testing.assert_allclose(np.asarray(found["weight"])[:, unit], shorter, rtol=1e-12)
    bound = limit * np.linalg.norm(p["bias"])
    np.testing.assert_allclose(
        np.asarray(found["bias"]), g["bias"] * min(1, bound / np.linalg.norm(g["bias"])), rtol=1e-12
    )
    assert abs(float(found["scale"])) == pytest.approx(limit * eps)  # a weight of 0 may still start to move


def test_a_chain_runs_its_links_in_order():
    clipped = optim.chain(optim.clip_by_norm(0.5), optim.adam(0.03))

    def shorten(grads, params):
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in grads.values()))
        return {k: g * min(1.0, 0.5 / norm) for k, g in grads.items()}

    wanted = reference.run(reference.adam(0.03), problem.START, problem.gradient, 100, before=shorten)
    for (params, _), (expected, _) in zip(problem.run(clipped), wanted, strict=True):
        close(params, expected)


def test_lookahead_follows_its_formula():
    opt, slow = optim.lookahead(optim.sgd(0.05), every=3, alpha=0.4), {k: np.array(v) for k, v in problem.START.items()}
    fast = dict(slow)
    for t, (params, state) in enumerate(problem.run(opt, steps=30), start=1):
        grads = problem.gradient(fast, t)
        fast = {k: p - 0.05 * grads[k] for k, p in fast.items()}
        if t % 3 == 0:
            slow = {k: s + 0.4 * (fast[k] - s) for k, s in slow.items()}
            fast = dict(slow)
        close(params, fast)
        close(opt.eval_params(state, params), slow)


@pytest.mark.parametrize("decay", [0.9, None])
def test_average_follows_its_formula(decay):
    opt, seen = optim.chain(optim.sgd(0.05), optim.average(decay)), []
    average = {k: np.array(v) for k, v in problem.START.items()}
    for params, state in problem.run(opt, steps=30):
        seen.append({k: np.asarray(p) for k, p in params.items()})
        if decay is None:
            average = {k: np.mean([s[k] for s in seen], axis=0) for k in average}
        else:
            average = {k: decay * a + (1 - decay) * seen[-1][k] for k, a in average.items()}
        close(opt.eval_params(state, params), average)


def test_schedule_free_evaluates_at_the_average_x():
    opt = optim.schedule_free(0.05, warmup=3)
    expected = reference.run(reference.schedule_free(0.05, "adamw", warmup=3), problem.START, problem.gradient, 50)
    for (params, state), (_, memory) in zip(problem.run(opt, steps=50), expected, strict=True):
        for key, x in opt.eval_params(state, params).items():
            np.testing.assert_allclose(np.asarray(x), memory[key]["x"], rtol=1e-11, atol=1e-12)


def test_schedule_free_stands_still_at_rate_zero():
    *_, (params, _) = problem.run(optim.schedule_free(0.0), steps=3)
    close(params, problem.START)


def test_decay_masks():
    params = {"weight": np.ones((2, 2)), "bias": np.ones(2)}
    grads = {k: np.zeros_like(v) for k, v in params.items()}
    for mask, decayed in [
        ("matrices", {"weight"}),
        ("all", {"weight", "bias"}),
        (("*.bias",), {"bias"}),
        (lambda path, p: path == "weight", {"weight"}),
    ]:
        found = once(optim.add_weight_decay(0.5, mask), grads, params)
        assert {k for k, u in found.items() if np.any(np.asarray(u))} == decayed


def test_groups_are_independent_optimizers():
    opt = optim.groups(optim.adam(0.03), ("*.bias", optim.sgd(0.1, 0.9)))
    *_, (params, _) = problem.run(opt, steps=20)
    parts = {"bias": reference.sgd(0.1, 0.9), "weight": reference.adam(0.03), "scale": reference.adam(0.03)}
    expected, memory = {k: np.array(v) for k, v in problem.START.items()}, {k: {} for k in parts}
    for t in range(1, 21):
        grads = problem.gradient(expected, t)
        expected = {k: parts[k](expected[k], grads[k], memory[k], t) for k in parts}
    close(params, expected)


def test_stages_tell_what_each_link_did():
    opt = optim.chain(optim.clip_by_norm(1.0), optim.adamw(0.1, weight_decay=0.5, mask="all"))
    *_, (params, state) = problem.run(opt, steps=3)
    grads = problem.gradient(params, 4)
    stages = opt.stages(grads, state, params)
    assert [type(link).__name__ for link, _, _ in stages] == [
        "clip_by_norm", "scale_by_adam", "add_weight_decay", "scale_by_learning_rate"
    ]  # fmt: skip
    assert problem.bits(stages[-1][2]) == problem.bits(opt.update(grads, state, params)[0])
    scaled, decayed = stages[1][2]["weight"], stages[2][2]["weight"]
    np.testing.assert_allclose(np.asarray(decayed - scaled), 0.5 * np.asarray(params["weight"]), rtol=1e-12)


def test_what_is_not_trained_is_left_alone():
    """Integers, state fields and parameters without a gradient: no slots, no update, the same object afterwards."""
    model = cl.nn.Sequential(cl.nn.Dense(2, 3), cl.nn.BatchNorm(3))
    opt = optim.chain(optim.clip_by_norm(1.0), optim.adamw(0.1, weight_decay=0.9, mask="all"), optim.average(0.5))
    state = opt.init(model)
    assert state[1][0]["m"].layers[1].mean is None
    updates, state = opt.update(model, state, model)
    new = optim.apply_updates(model, updates)
    assert updates.layers[1].mean is None and new.layers[1].mean is model.layers[1].mean
    assert opt.eval_params(state, new).layers[1].mean is not None
    params = {"w": cl.tensor(1.0), "frozen": cl.tensor(1.0), "n": 3}
    grads = {"w": cl.tensor(1.0), "frozen": None, "n": None}
    updates, _ = optim.sgd(0.5).update(grads, optim.sgd(0.5).init(params), params)
    new = optim.apply_updates(params, updates)
    assert float(new["w"]) == 0.5 and new["frozen"] is params["frozen"] and new["n"] == 3
    assert updates["frozen"] is None and updates["n"] is None and float(updates["w"]) == -0.5


def test_needs_and_full_batch_are_declared():
    class wants_value(optim.Transform):
        needs = frozenset({"value"})

    assert optim.chain(optim.sgd(0.1), optim.lookahead(wants_value())).needs == {"value"}
    assert optim.groups(optim.sgd(0.1), ("*", optim.masked(wants_value()))).needs == {"value"}
    assert optim.adam().needs == frozenset()
    assert optim.rprop().full_batch and not optim.adam().full_batch


def test_flags_of_version_0_1_find_the_links_that_they_became():
    """In configurations without a word, in calls with a warning: runs of old load, programs of old run."""
    old = {"name": "scale_by_adam", "b1": 0.8, "b2": 0.99, "eps": 1e-7, "amsgrad": True, "momentum_decay": 0.02}
    links = {
        (False, False): optim.scale_by_adam(0.8, 0.99, 1e-7, True),
        (True, False): optim.scale_by_nadam(0.8, 0.99, 1e-7, True, 0.02),
        (False, True): optim.scale_by_radam(0.8, 0.99, 1e-7, True),
        (True, True): optim.scale_by_nradam(0.8, 0.99, 1e-7, True, 0.02),
    }
    for (nesterov, rectify), link in links.items():
        assert optim.from_config({**old, "nesterov": nesterov, "rectify": rectify}) == link
        assert optim.from_config(link.to_config()) == link
        assert optim.adam(1.0, 0.8, 0.99, nesterov=nesterov, rectify=rectify).links[0] == type(link)(0.8, 0.99)
    with pytest.warns(DeprecationWarning, match="a link of their own: scale_by_radam"):
        assert optim.scale_by_adam(0.8, 0.99, 1e-7, True, rectify=True) == links[False, True]


def test_rules_within_groups_look_at_the_loss_of_their_own_parameters():
    """Sharpness-aware descent on one array of two: the other stands still while the loss is looked at nearby."""
    params, f = {"a": np.array(1.0), "b": np.array(2.0)}, lambda p: p["a"] ** 2 * p["b"] ** 3
    grads = cl.grad(f)(params)
    sam, own = optim.sam(optim.sgd(1.0), rho=0.5), {"a": params["a"]}
    alone = sam.update({"a": grads["a"]}, sam.init(own), own, f=lambda p: 8 * p["a"] ** 2)[0]
    for opt in (
        optim.groups(optim.sgd(1.0), ("a", sam)),
        optim.chain(optim.masked(sam, ("a",)), optim.masked(optim.scale(-1.0), ("b",))),
    ):
        found = opt.update(grads, opt.init(params), params, f=f)[0]
        assert float(found["a"]) == float(alone["a"]) == pytest.approx(-24.0) and float(found["b"]) == -12.0


def test_a_rule_of_the_users_own_stays_in_the_place_of_ours(monkeypatch):
    registry = Configured.registry
    monkeypatch.setattr(Configured, "registry", {name: kind for name, kind in registry.items() if name != "sam"})
    users = type("sam", (optim.Transform,), {"__annotations__": {}, "init": lambda self, params: ()})
    ours = type("sam", (optim.Transform,), {"__annotations__": {}, "__module__": "clearprop.optim.sharpness"})
    assert optim.by_name("sam") == users() and type(optim.by_name("sam")) is not ours


def test_links_are_found_where_they_stood():
    """Pickles of earlier versions name the file."""
    assert basic_transforms.scale_by_learning_rate is optim.scale_by_learning_rate
