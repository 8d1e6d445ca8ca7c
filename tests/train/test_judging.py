"""Verdicts: what they say, and how often they say it where there is nothing to say."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from clearprop.comparison.trials import GRID, Outcome, Setup, Trace, contest, in_turn
from clearprop.comparison.verdict import LEVEL, differences, holm, verdict
from clearprop.errors import ClearpropError


def trace(seed, score):
    flat = np.array([0.0])
    return Trace(seed, flat, np.array([score]), flat, flat, flat, 0.0, not np.isfinite(score))


def outcome(name, scores):
    return Outcome(name, 0.1, (), tuple(trace(i, s) for i, s in enumerate(scores)))


A, B, C = outcome("a", [1.0, 1.1, 0.9]), outcome("b", [2.0, 2.1, 1.91]), outcome("c", [1.2, 0.9, 1.1])
UNTUNED, EVIDENCE = "each at its own learning rate, untuned", "paired t-test over the seeds"
SENTENCES = {
    "clear": (
        [A, B],
        f"a reached the lowest mean validation loss, 1 ± 0.1, {UNTUNED}; that it is better than all the others is "
        f"clear (p ≤ 1.1e-05, {EVIDENCE})",
    ),
    "chance": (
        [A, C],
        f"a reached the lowest mean validation loss, 1 ± 0.1, {UNTUNED}; chance could have put it before each of the "
        f"others: c (p = 0.67) ({EVIDENCE})",
    ),
    "both": (
        [C, B, A],
        f"a reached the lowest mean validation loss, 1 ± 0.1, {UNTUNED}; that it is better than b is clear "
        f"(p ≤ 3.3e-05, {EVIDENCE}, corrected for all 3 pairs); not that it is better than c (p = 0.67)",
    ),
    "alone": ([A], f"a reached the lowest mean validation loss, 1 ± 0.1, {UNTUNED}"),
    "few seeds": (
        [outcome("a", [1.0]), outcome("b", [2.0])],
        f"a reached the lowest mean validation loss, 1, {UNTUNED}; 1 seed cannot tell it from b (--seeds 5)",
    ),
    "all diverged": (
        [outcome("a", [np.inf] * 3)],
        "every optimizer diverged: try lower learning rates (--grid), or standardised data",
    ),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_sentences(case):
    outcomes, sentence = SENTENCES[case]
    assert verdict(outcomes, Setup(seeds=3)) == sentence


def test_a_tuned_verdict_says_who_chose_and_who_judged():
    told = verdict([A, B], Setup(seeds=5, grid=True, judged=3))
    assert "each at the best of 8 learning rates, chosen on 5 networks and judged on 3 others; " in told


def test_differences_are_those_of_the_paired_test():
    rng = np.random.default_rng(0)
    made = [outcome(name, rng.normal(size=6) + i) for i, name in enumerate("abc")]
    found = differences(made)
    plain = {(d.lower, d.higher): ttest_rel(*(next(o.scores for o in made if o.name == n) for n in (d.lower, d.higher)))
             for d in found}  # fmt: skip
    order = sorted(plain.values(), key=lambda r: r.pvalue)
    expected = np.minimum(np.maximum.accumulate([r.pvalue * (3 - i) for i, r in enumerate(order)]), 1)
    assert sorted(d.chance for d in found) == pytest.approx(expected, rel=1e-9)
    assert all(d.gap >= 0 for d in found)


def test_holm_as_in_his_paper():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("scores", [[1.0, np.inf, 2.0], [1.0, 1.0, 1.0], [np.inf] * 3])
def test_nothing_is_claimed_of_what_has_no_mean_or_no_difference(scores):
    (found,) = differences([outcome("a", [1.0, 1.0, 1.0]), outcome("b", scores)])
    assert found.chance == 1 and not found.clear


@pytest.mark.parametrize("gap", [0.5, 0.1])
def test_a_constant_difference_is_clear(gap):
    """Also one that is constant but for rounding."""
    (found,) = differences([outcome("a", [1.0, 2.0, 3.0]), outcome("b", [1.0 + gap, 2.0 + gap, 3.0 + gap])])
    assert found.chance == 0 and found.gap == pytest.approx(gap)


NAMES = ["sgd", "adam", "rmsprop", "polyak"]
REPETITIONS = 300


def simulated(setup, rng, shift=0.0):
    """Optimizers that are equally good, but for `shift`: rmsprop's lead.  Networks differ more than runs of one do."""
    networks = rng.normal(scale=0.3, size=100)

    def trial(rule, seed):
        ahead = shift if "rms" in repr(rule) else 0.0
        return trace(seed, np.exp(networks[seed] + rng.normal(scale=0.2) - ahead))

    return [contest(name, setup, in_turn(trial)) for name in NAMES]


def flattery(outcomes):
    """By how much the best of 8 rates looks better on the networks that chose it than on fresh ones."""
    return np.mean([o.score - min(t.score for t in o.tuning) for o in outcomes if o.tuning])


def smallest_uncorrected(outcomes):
    """The smallest p-value of all pairs as if it were the only one: not to be done either."""
    return min(ttest_rel(a.scores, b.scores).pvalue for a, b in combinations(outcomes, 2))


def test_where_there_is_no_difference_a_verdict_claims_one_at_most_as_often_as_it_says():
    rng, setup = np.random.default_rng(0), Setup(seeds=5, grid=True, judged=10)
    made = [simulated(setup, rng) for _ in range(REPETITIONS)]
    wrong = np.mean([any(d.clear for d in differences(outcomes)) for outcomes in made])
    assert wrong <= LEVEL
    uncorrected = np.mean([smallest_uncorrected(outcomes) < LEVEL for outcomes in made])
    assert uncorrected > 2 * LEVEL, "this simulation would not tell a verdict without correction"
    seen = np.array([flattery(outcomes) for outcomes in made])
    assert seen.mean() > 4 * seen.std() / np.sqrt(len(seen)), "nor one that judges on the networks that chose"


def test_where_there_is_a_difference_it_is_found():
    rng, setup = np.random.default_rng(1), Setup(seeds=5, grid=True, judged=10)
    found = [verdict(simulated(setup, rng, shift=1.0), setup) for _ in range(20)]
    assert all("rmsprop reached" in told and "better than all the others is clear" in told for told in found)


def test_the_simulation_tries_every_rate():
    seen = []
    contest("sgd", Setup(grid=True, seeds=1), in_turn(lambda rule, seed: seen.append(rule) or trace(seed, 1.0)))
    assert len(seen) == len(GRID) + 1
    with pytest.raises(ClearpropError, match="no optimizer named 'sdg'"):
        contest("sdg", Setup(), in_turn(lambda rule, seed: trace(seed, 1.0)))
