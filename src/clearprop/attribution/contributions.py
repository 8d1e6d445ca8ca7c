"""One prediction explained: what each column adds on the way from the average row to this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.attribution.importance import html_rows, text_rows
from clearprop.autodiff.transforms import grad
from clearprop.errors import printable
from clearprop.notation import number_text
from clearprop.program.values import raw
from clearprop.rules.reductions import sum

FEWEST, MOST = 64, 4096
"""The way from the average row is cut into so many pieces: as few as give the sum, and at most these."""
CLOSE = 1e-4
"""The contributions are close enough when their sum misses the difference by this share of it."""


@dataclass(frozen=True)
class Contribution:
    """What a column adds to the prediction; its `value` as the network was given it, and how that is encoded."""

    column: str
    value: str
    encoding: str
    added: float


@dataclass(frozen=True, repr=False)
class PredictionExplanation:
    """A prediction as a sum: start + Σ contributions + rest, all in the unit of `answer`.

    `start` is the answer for the average training row, `rest` what the sum over finite pieces misses; the largest
    contributions come first.
    """

    answer: str
    predicted: float
    start: float
    contributions: tuple[Contribution, ...]
    rest: float

    def _rows(self) -> list[tuple[str, str, str, str]]:
        told = [(c.column, number_text(c.added), c.value, c.encoding) for c in self.contributions]
        return [
            ("the average row", number_text(self.start), "", ""),
            *told,
            ("rest", number_text(self.rest), "", "of a sum over finite pieces"),
            (self.answer, number_text(self.predicted), "", "the sum"),
        ]

    def __repr__(self) -> str:
        answer = f"{printable(self.answer)} = {number_text(self.predicted)}"
        return text_rows(answer, ("column", "adds", "value", "encoding"), self._rows())

    def _repr_html_(self) -> str:
        """The table, for a notebook."""
        return html_rows(
            f"{self.answer} = {number_text(self.predicted)}", ("column", "adds", "value", "encoding"), self._rows()
        )


def path_contributions(
    answer: Callable[[Any], Any], x: NDArray[Any], start: NDArray[Any]
) -> tuple[float, float, NDArray[np.float64]]:
    """The answers for row x and for row `start`, and what each feature adds on the straight way between them.

    Feature j adds (x_j − start_j)·∫₀¹ ∂answer/∂x_j (start + t(x − start)) dt, and over all features these sum to the
    difference of the answers: integrated gradients (Sundararajan, Taly & Yan 2017).  The integral is the mean over the
    middles of equal pieces, twice as many until the sum is right to `CLOSE`, at most `MOST`.

    answer  a function of encoded rows (rows, features) that gives one number a row
    x       one encoded row (features,)
    start   the row to compare with

    >>> _, _, added = path_contributions(lambda x: x[:, 0] * x[:, 1], np.array([2.0, 3.0]), np.array([0.0, 0.0]))
    >>> added.round(6).tolist()
    [3.0, 3.0]
    """
    slope = grad(lambda rows: sum(answer(rows)))
    ends = np.asarray(raw(answer(np.stack([x, start]))), np.float64)
    there, here = ends.tolist()
    way = (x - start).astype(np.float64)
    pieces, added = FEWEST, np.zeros(0)
    while pieces <= MOST:
        middles = (np.arange(pieces) + 0.5) / pieces
        rows = (start + middles[:, None] * way).astype(x.dtype)
        added = way * np.asarray(raw(slope(rows)), np.float64).mean(axis=0)
        if abs(there - here - added.sum()) <= CLOSE * abs(there - here):
            break
        pieces *= 2
    return there, here, added


def by_column(added: NDArray[np.float64], columns: Sequence[str]) -> dict[str, float]:
    """The sum over the features of every column, of which `columns` names one for each feature.

    >>> by_column(np.array([1.0, 2.0, 4.0]), ["a", "b", "b"])
    {'a': 1.0, 'b': 6.0}
    """
    return {name: float(added[[c == name for c in columns]].sum()) for name in dict.fromkeys(columns)}
