"""The page about optimizers claims what its measurements show: verdicts and claims are made again from the numbers."""

import json

import numpy as np
import pytest

from benchmarks.comparison import OPTIMIZERS, SETS
from clearprop.comparison.trials import GRID, Outcome, Trace, Tuning
from clearprop.comparison.verdict import differences, verdict
from tests.docs.pages import ROOT

PAGE = " ".join((ROOT / "docs" / "optimizers.md").read_text(encoding="utf-8").split())
BALL, FRACTIONAL = "sgd:momentum=0.9", "fractional_memory:alpha=0.7+sgd"


def read(name):
    return json.loads((ROOT / "docs" / "tables" / f"compare-{name}.json").read_text(encoding="utf-8"))


def outcomes(name):
    """The outcomes as far as verdicts need them."""
    flat, found = np.array([0.0]), []
    for one in read(name)["outcomes"]:
        tuning = tuple(Tuning(t["rate"], np.array(t["scores"], float)) for t in one["rates_tried"])
        traces = tuple(
            Trace(int(s), flat, np.array([v]), flat, flat, flat, 0.0, False) for s, v in one["scores"].items()
        )
        found.append(Outcome(one["optimizer"], one["rate"], tuning, traces))
    return found


FOUND = {name: outcomes(name) for name in SETS}
PAIRS = {name: differences(found) for name, found in FOUND.items()}


@pytest.mark.parametrize("name", SETS)
def test_verdicts_follow_from_the_numbers_and_stand_on_the_pages(name):
    told, setup = read(name), SETS[name]
    assert sorted(o.name for o in FOUND[name]) == sorted(OPTIMIZERS)
    assert all(len(o.tuning) == len(GRID) == 8 and len(o.tuning[0].scores) == setup.seeds == 5 for o in FOUND[name])
    assert all([t.seed for t in o.traces] == list(setup.judging) for o in FOUND[name])
    assert told["verdict"] == verdict(FOUND[name], setup)
    assert f"Verdict: {told['verdict']}." in (ROOT / "docs" / "tables" / f"compare-{name}.md").read_text(
        encoding="utf-8"
    )
    assert told["verdict"].split(", each at the best")[0] in PAGE


def clear(name, lower=None, higher=None):
    """The clear differences of a set, perhaps those of one optimizer alone."""
    return [d for d in PAIRS[name] if d.clear and lower in (None, d.lower) and higher in (None, d.higher)]


def scores(name):
    return {o.name: o.score for o in FOUND[name]}


def spread(name):
    """The worst mean over the best, each optimizer at its best rate."""
    return max(scores(name).values()) / min(scores(name).values())


def near_default(name, optimizer):
    """The loss at the rate of the grid just below the default over that at the best rate, on the same networks."""
    tuning = next(o.tuning for o in FOUND[name] if o.name == optimizer)
    return tuning[2].score / min(t.score for t in tuning)


def names(found, side):
    return {getattr(d, side).split(":")[0] for d in found}


HEAVY = [next(d for d in PAIRS[name] if {d.lower, d.higher} == {BALL, FRACTIONAL}) for name in SETS]
CLAIMS = {
    "that is the only clear difference of the 66": lambda: (
        [(d.lower, d.higher) for d in clear("digits")] == [("sam:inner=adam", "diag_newton")]
        and len(PAIRS["digits"]) == 66
    ),
    "clearly better than `schedule_free`, `sam`, `fractional_memory` and `diag_newton`": lambda: all(
        {"schedule_free", "sam", "fractional_memory", "diag_newton"} <= names(clear("spirals", lower=o), "higher")
        for o in ("rmsprop", "lion", "adam")
    ),
    "`sam`, `adam`, `adamw` and `swats` are clearly better than `rmsprop`": lambda: (
        names(clear("diabetes", higher="rmsprop"), "lower") == {"sam", "adam", "adamw", "swats"}
    ),
    "No optimizer is clearly better than all the others on any of the three sets.": lambda: all(
        len(clear(name, lower=o.name)) < len(OPTIMIZERS) - 1 for name in SETS for o in FOUND[name]
    ),
    "Nothing is clearly better than Adam on any of them": lambda: not any(clear(name, higher="adam") for name in SETS),
    "`rmsprop` is clearly better than four others on spirals, and clearly worse than four on diabetes": lambda: (
        (len(clear("spirals", lower="rmsprop")), len(clear("diabetes", higher="rmsprop"))) == (4, 4)
    ),
    "(0.00056) ends at 9.1 times the loss of its best rate": lambda: f"{near_default('spirals', 'adam'):.1f}" == "9.1",
    "at its best rate ends at 2.5 times that of the best": lambda: f"{spread('spirals'):.1f}" == "2.5",
    "On diabetes neither matters much: 1.2 and 1.1 times.": lambda: (
        (f"{near_default('diabetes', 'adam'):.1f}", f"{spread('diabetes'):.1f}") == ("1.2", "1.1")
    ),
    "which has the higher mean on all three sets, never clearly": lambda: all(
        d.lower == BALL and not d.clear for d in HEAVY
    ),
    "it has the highest mean on all three sets": lambda: all(FOUND[name][-1].name == "diag_newton" for name in SETS),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_claims_follow_from_the_numbers(claim):
    assert claim in PAGE
    assert CLAIMS[claim]()
