"""Strategies without trainings: who is trained on, whatever ends first; Optuna is asked and told."""

import random

import pytest

from clearprop.errors import ArgumentError
from clearprop.search import tpe
from clearprop.search.space import read_space
from clearprop.search.strategies import Halving, Listed


def finish(strategy, cost, at_once=3, seed=0):
    """Ask for as many at once, and end them in any order; what was asked, in order."""
    chance, running, asked = random.Random(seed), [], []
    while True:
        while len(running) < at_once and (request := strategy.ask()) is not None:
            running.append(request)
            asked.append(request)
        if not running:
            return asked
        ended = running.pop(chance.randrange(len(running)))
        strategy.tell(ended, cost(ended))


@pytest.mark.parametrize(
    ("trials", "epochs", "budgets", "sizes"),
    [
        (60, 100, (4, 11, 33, 100), (60, 20, 6, 2)),
        (9, 18, (2, 6, 18), (9, 3, 1)),
        (9, 3, (1, 3), (9, 3)),
        (2, 50, (50,), (2,)),
        (60, 1, (1,), (60,)),
    ],
)
def test_a_third_is_trained_on_to_three_times_the_epochs(trials, epochs, budgets, sizes):
    halving = Halving([{"n": n} for n in range(trials)], epochs)
    assert halving.budgets == budgets
    asked = finish(halving, lambda r: abs(r.number - 7.2))
    assert tuple(sum(r.epochs == b for r in asked) for b in budgets) == sizes
    best = sorted(range(trials), key=lambda n: abs(n - 7.2))
    for rung, size in enumerate(sizes[1:], 1):
        assert {r.number for r in asked if r.epochs == budgets[rung]} == set(best[:size])


@pytest.mark.parametrize("seed", range(5))
def test_who_is_trained_on_does_not_hang_on_who_ends_first(seed):
    trials = [{"n": n} for n in range(27)]
    alone = finish(Halving(trials, 27), lambda r: (r.number * 7) % 27, at_once=1)
    assert finish(Halving(trials, 27), lambda r: (r.number * 7) % 27, at_once=5, seed=seed) == alone


def test_trials_that_fail_are_not_trained_on_and_hold_nobody_up():
    asked = finish(Halving([{"n": n} for n in range(9)], 9), lambda r: None if r.number != 4 else 1.0)
    assert [(r.number, r.epochs) for r in asked[9:]] == [(4, 3), (4, 9)]
    assert len(finish(Halving([{}] * 9, 9), lambda r: None)) == 9


def test_of_equal_ones_the_first_are_trained_on():
    asked = finish(Halving([{}] * 9, 9), lambda r: 0.0)
    assert [r.number for r in asked[9:]] == [0, 1, 2, 0]


def test_a_list_is_worked_off():
    assert [r.number for r in finish(Listed([{}] * 7), lambda r: 1.0)] == list(range(7))


SPACE = {"lr": "1e-4..1e-1:log", "batch_size": "16..64", "hidden": "8;16,16"}


def test_optuna_is_asked_and_learns():
    space = read_space(SPACE)

    def cost(request):
        settings = request.settings
        assert 1e-4 <= settings["lr"] <= 1e-1 and settings["batch_size"] in range(16, 65)
        return abs(settings["lr"] - 0.03) + (settings["hidden"] != (16, 16))

    asked = finish(tpe.Parzen(space, 40, seed=1), cost, at_once=1)
    assert asked == finish(tpe.Parzen(space, 40, seed=1), cost, at_once=1)
    late = [r.settings["hidden"] for r in asked[20:]]
    assert len(asked) == 40 and late.count((16, 16)) > 14


def test_a_search_that_goes_on_begins_with_what_was_begun():
    space = read_space(SPACE)
    before = [{"lr": 0.012345678, "batch_size": 17, "hidden": (8,)}, {"lr": 0.05, "batch_size": 60, "hidden": (16, 16)}]
    search = tpe.Parzen(space, 5, seed=1, before=before)
    assert [search.ask().settings for _ in before] == before
    assert [search.ask().number for _ in range(3)] == [2, 3, 4] and search.ask() is None


def test_without_optuna_it_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ArgumentError, match="the search tpe is Optuna's"):
        tpe.Parzen(read_space(SPACE), 5, seed=1)
