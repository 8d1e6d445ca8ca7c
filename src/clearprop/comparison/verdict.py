"""What a comparison of optimizers has shown: differences, how sure each is, and the verdict as a sentence.

The learning rates were chosen on other networks than those that judge (`comparison.Setup`), so the best of 8 has no
advantage here that it does not deserve: with the rates given, the scores of two optimizers on fresh seeds are pairs of
independent draws, and a paired t-test holds its level.  Every pair is tested, because the winner is only known
afterwards, and the p-values are corrected together (Holm 1979): the chance that any claim of a verdict is wrong, where
there is no difference, is at most `LEVEL`.  The claims are about these data, cut in this way, and this network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from clearprop.comparison.trials import Outcome, Setup

LEVEL = 0.05
"""The chance that a verdict may have of claiming a difference where there is none."""
_FEWEST = 3
"""With fewer seeds nothing is tested."""
_EQUAL = 1e-12
"""Differences that lie closer together, of their size, are equal but for rounding."""


@dataclass(frozen=True)
class Difference:
    """Two optimizers, the lower mean first: by how much the other's validation loss is higher, seed for seed.

    `chance` is the two-sided p-value of the paired t-test, corrected for all the pairs that were tested.
    """

    lower: str
    higher: str
    gap: float
    chance: float

    @property
    def clear(self) -> bool:
        """Whether the difference is claimed."""
        return self.chance < LEVEL


def differences(outcomes: Sequence[Outcome]) -> list[Difference]:
    """All pairs of optimizers, judged on the same seeds.

    An optimizer with runs that diverged before their first epoch ended has no mean; with it nothing is claimed (p = 1).
    """
    ranked = sorted(outcomes, key=lambda o: o.score)
    pairs = list(combinations(ranked, 2))
    gaps = [_gaps(a, b) for a, b in pairs]
    chances = holm(np.array([_chance(g) for g in gaps]))
    return [
        Difference(a.name, b.name, float(g.mean()), float(p)) for (a, b), g, p in zip(pairs, gaps, chances, strict=True)
    ]


def _gaps(a: Outcome, b: Outcome) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return b.scores - a.scores


def _chance(gaps: NDArray[np.float64]) -> float:
    """The two-sided p-value of a mean of 0 (Student's t)."""
    from scipy.stats import ttest_1samp

    if not np.isfinite(gaps).all() or len(gaps) < _FEWEST:
        return 1.0
    if np.ptp(gaps) <= _EQUAL * np.abs(gaps).max():  # without spread the statistic divides by 0, or by rounding
        return float(not gaps.any())
    return float(ttest_1samp(gaps, 0.0).pvalue)


def holm(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values corrected for being m: the k-th smallest by the factor m − k + 1, and never below those before it.

    Whatever the dependence between the tests, the chance of one false claim or more is at most the level (Holm 1979).

    >>> import numpy as np
    >>> from clearprop.comparison.verdict import holm
    >>> [round(float(p), 3) for p in holm(np.array([0.04, 0.01, 0.03]))]
    [0.06, 0.03, 0.06]
    """
    order = np.argsort(chances, kind="stable")
    raised = np.maximum.accumulate(chances[order] * np.arange(len(chances), 0, -1))
    corrected = np.empty_like(raised)
    corrected[order] = np.minimum(raised, 1.0)
    return corrected


def verdict(outcomes: Sequence[Outcome], setup: Setup) -> str:
    """Who won, over whom, and how sure that is, as a sentence."""
    ranked = sorted(outcomes, key=lambda o: o.score)
    first = ranked[0]
    if not math.isfinite(first.score):
        return "every optimizer diverged: try lower learning rates (--grid), or standardised data"
    head = f"{first.name} reached the lowest mean validation loss, {_spread(first.scores)}, {_tuning_text(setup)}"
    if len(ranked) == 1:
        return head
    if len(first.scores) < _FEWEST:
        number = len(first.scores)
        return f"{head}; {number} seed{'s' * (number > 1)} cannot tell it from {ranked[1].name} (--seeds 5)"
    return f"{head}; {_against(first.name, differences(ranked))}"


def _tuning_text(setup: Setup) -> str:
    if not setup.grid:
        return "each at its own learning rate, untuned"
    return (
        f"each at the best of 8 learning rates, chosen on {len(setup.choosing)} networks and judged on "
        f"{len(setup.judging)} others"
    )


def _against(first: str, found: Sequence[Difference]) -> str:
    # One sentence for three cases (nobody, some, everybody beaten for certain), whose parts are the same words.
    own = [d for d in found if d.lower == first]
    clear = [d for d in own if d.clear]
    rest = ", ".join(f"{d.higher} (p = {d.chance:.2g})" for d in own if not d.clear)
    corrected = f", corrected for all {len(found)} pairs" if len(found) > 1 else ""
    evidence = f"paired t-test over the seeds{corrected}"
    if not clear:
        return f"chance could have put it before each of the others: {rest} ({evidence})"
    names = ", ".join(d.higher for d in clear) if rest else "all the others"
    worst = max(d.chance for d in clear)
    claim = f"that it is better than {names} is clear (p ≤ {worst:.2g}, {evidence})"
    return claim + (f"; not that it is better than {rest}" if rest else "")


def _spread(scores: NDArray[np.float64]) -> str:
    return f"{scores.mean():.4g}" + (f" ± {scores.std(ddof=1):.2g}" if len(scores) > 1 else "")
