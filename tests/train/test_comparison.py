"""Optimizers side by side, and the range test: fair, repeatable, and told with their evidence."""

import json
from dataclasses import asdict

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn, optim
from clearprop.cli.compare import split_names
from clearprop.comparison.page import record
from clearprop.comparison.trials import GRID, HeldRate, Outcome, Setup, Trace, _at_rate, compare, gradients_per_step
from clearprop.comparison.verdict import differences, verdict
from clearprop.data.training_data import from_source
from clearprop.errors import ClearpropError
from clearprop.optim.inspection import has_rate, parse, parts
from clearprop.runs.settings import Settings
from clearprop.train.planning import optimizer_for
from clearprop.train.rate_range import suggest_rate

SMALL = Setup(hidden=(4,), epochs=4, batch_size=60, seeds=2)


@pytest.fixture(scope="module")
def iris():
    return from_source("iris", None, "auto", 0.2, 0.0, 0)


def test_a_comparison_is_fair_and_sorted(iris):
    seen = []
    found = compare(iris, ["sgd", "adam:lr=0.1", "sam:inner=sgd"], SMALL, seen.append)
    assert [o.score for o in found] == sorted(o.score for o in found)
    by_name = {o.name: o for o in found}
    assert len(seen) == 6 and seen[0].startswith("sgd at 0.01, seed 0: validation loss ")
    assert by_name["adam:lr=0.1"].rate == 0.1 and by_name["sgd"].tuning == ()
    ends = {name: o.traces[0].gradients[-1] for name, o in by_name.items()}
    assert len(set(ends.values())) == 1  # sam takes half the steps: each of its steps is two gradients
    again = {o.name: o for o in compare(iris, ["sgd"], SMALL)}
    assert again["sgd"].scores.tolist() == by_name["sgd"].scores.tolist()


def test_a_rate_kept_in_the_state_is_the_rate():
    params = {"w": cl.tensor(2.0)}
    held, plain = optim.chain(optim.adamw(1.0), HeldRate(0.03)), optim.adamw(0.03)
    a, b = held.init(params), plain.init(params)
    for g in (1.0, -0.3, 2.0):
        u, a = held.update({"w": cl.tensor(g)}, a, params)
        v, b = plain.update({"w": cl.tensor(g)}, b, params)
        assert float(u["w"]) == pytest.approx(float(v["w"]), rel=1e-14)


@pytest.mark.parametrize("text", ["adamw", "sgd:momentum=0.9", "fractional_memory:alpha=0.7+sgd", "swats"])
def test_rates_share_a_compiled_step_where_the_rate_is_the_last_factor(text):
    rule = _at_rate(parse(text), 0.25)
    held = isinstance(rule, optim.chain) and isinstance(rule.links[-1], HeldRate)
    assert held is (text != "swats")
    rates = [p.settings()["learning_rate"] for p in parts(rule) if has_rate(p)]
    assert all(rate == (1.0 if held else 0.25) for rate in rates) and rates


def test_a_rate_is_chosen_on_other_networks_than_it_is_judged_on(iris):
    setup = Setup(hidden=(4,), epochs=2, batch_size=60, seeds=2, grid=True, judged=3)
    seen = []
    (found,) = compare(iris, ["sgd"], setup, seen.append)
    assert len(seen) == 8 * 2 + 3 and [t.rate for t in found.tuning] == pytest.approx(0.01 * GRID, rel=0.01)
    assert {text.split("seed ")[1][0] for text in seen[:16]} == {"0", "1"}
    assert [t.seed for t in found.traces] == [2, 3, 4]
    assert found.rate == min(found.tuning, key=lambda t: t.score).rate
    fixed, untuned = Setup(seeds=2, grid=True), Setup(seeds=2)
    assert (fixed.choosing, fixed.judging) == (range(2), range(2, 4))
    assert (untuned.choosing, untuned.judging) == (range(0), range(2))
    with_rate = compare(iris, ["sgd:lr=0.1"], setup)[0]
    assert with_rate.tuning == () and [t.seed for t in with_rate.traces] == [2, 3, 4]


def test_seconds_are_those_of_the_half_that_was_disturbed_least():
    def paced(*ends):
        flat = np.zeros(len(ends))
        return Trace(0, flat, flat, flat, flat, np.array(ends), 0.0, False)

    assert paced(9.0, 9.5, 10.0, 10.5, 20.0).pace == pytest.approx(0.5)
    assert paced(9.0, 9.5).pace == pytest.approx(0.5) and paced(9.0).pace == 9.0
    disturbed, calm = Outcome("sgd", 0.1, (), (paced(1.0, 4.0), paced(1.0, 2.0))), Outcome("sgd", 0.1, (), (paced(),))
    assert disturbed.pace == 1.0 and calm.pace == 0.0


def test_what_a_step_costs():
    assert gradients_per_step(optim.adam()) == 1
    assert gradients_per_step(optim.sam(optim.adam())) == 2
    assert gradients_per_step(optim.chain(optim.cfgd(0.5, beta=0.0, nodes=2), optim.sgd())) == 3
    assert gradients_per_step(optim.armijo(trials=3)) == 2


def test_names_are_split_where_a_new_one_begins():
    assert split_names("adam,sgd:lr=0.1,momentum=0.9,lion,adam") == ["adam", "sgd:lr=0.1,momentum=0.9", "lion"]


def test_the_grid_lies_around_the_default():
    assert len(GRID) == 8 and GRID[1] < 1 < GRID[3] and GRID[-1] > 100
    assert np.ptp(np.diff(np.log10(GRID))) < 1e-12


def test_a_full_batch_rule_is_refused_before_anything_is_trained(iris):
    with pytest.raises(ClearpropError, match="rprop needs all rows in every step"):
        compare(iris, ["adam", "rprop"], SMALL, lambda text: pytest.fail("trained"))


# ----------------------------------------------------------------------------------------------------- range test
def test_the_range_test_suggests_a_rate_that_learns():
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32)
    model = nn.Dense(3, 1)
    before = np.asarray(model.weight).copy()
    found = cl.lr_range_test(model, (x, y), loss="mse", optimizer=optim.sgd())
    assert np.asarray(model.weight).tobytes() == before.tobytes()
    assert 1e-3 < found.suggestion <= found.lowest / 10 * 1.05
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    run = cl.fit(model, (x, y), loss="mse", optimizer=optim.sgd(found.suggestion), epochs=20)
    assert run.history[-1]["train"]["loss"] < 0.05 * run.history[0]["train"]["loss"]
    assert cl.lr_range_test(model, (x, y), loss="mse", optimizer="sgd").losses.tolist() == found.losses.tolist()


def test_suggestions_from_known_curves():
    rates = 10.0 ** np.linspace(-6, 1, 100)
    falls = 1 / (1 + (rates / 1e-3) ** 2) + np.where(rates > 0.5, rates, 0)  # half way down at 1e-3
    found = suggest_rate(rates, falls)
    assert 5e-4 < found.suggestion < 5e-3
    cliff = np.where(rates < 0.1, 1 - 5 * rates, rates * 100)  # falls fastest right before it explodes
    assert suggest_rate(rates, cliff).suggestion <= 0.1 / 10 * 1.6


def test_a_range_without_a_falling_loss():
    rates = 10.0 ** np.linspace(-6, 1, 40)
    with pytest.raises(ClearpropError) as caught:
        suggest_rate(rates, np.linspace(1, 2, 40))
    assert caught.value.headline == "no rate of the range lowered the loss"
    assert caught.value.got == "40 finite losses, from 1 to 2"
    with pytest.raises(ClearpropError) as caught:
        cl.lr_range_test(nn.Dense(1, 1), (np.ones((4, 1)), np.ones((4, 1))), loss="mse", lowest=1.0, highest=0.1)
    assert caught.value.expected == "0 < lowest < highest, and at least 10 steps"


def test_a_plot_is_written_and_refused(tmp_path):
    rates = 10.0 ** np.linspace(-6, 1, 100)
    found = suggest_rate(rates, 1 / (1 + (rates / 1e-3) ** 2))
    first = found.plot(tmp_path / "a.svg").read_text()
    assert first.startswith("<?xml") and "suggested" in first
    assert found.plot(tmp_path / "b.svg").read_text() == first
    with pytest.raises(ClearpropError, match=r"a plot cannot be saved as 'a\.gif'"):
        found.plot(tmp_path / "a.gif")


def test_rates_of_the_command_line():
    assert optimizer_for(Settings(optimizer="sgd:momentum=0.9", lr=0.5)) == optim.sgd(0.5, 0.9)
    assert optimizer_for(Settings(optimizer="sgd:lr=0.1", lr=0.5)) == optim.sgd(0.1)
    assert optimizer_for(Settings(optimizer="sam:inner=adam", lr=0.5)).inner == optim.adam(0.5)
    with pytest.raises(ClearpropError, match="polyak has no learning rate"):
        optimizer_for(Settings(optimizer="polyak", lr=0.5))


def test_results_are_json(iris):
    found = compare(iris, ["sgd", "adam"], SMALL)
    for curves in (True, False):
        told = json.loads(json.dumps(record(found, SMALL, curves)))
        best = told["outcomes"][0]
        assert best["optimizer"] == found[0].name and best["scores"] == dict(zip("01", found[0].scores, strict=True))
        assert told["verdict"] == verdict(found, SMALL) and ("runs" in best) is curves
        assert told["differences"] == [asdict(d) for d in differences(found)]
