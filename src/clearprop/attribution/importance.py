"""How much a network hangs on each column: what its score loses without it, and the gradient times the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.autodiff.transforms import grad
from clearprop.data.columns import in_digits
from clearprop.errors import printable
from clearprop.notation import number_text
from clearprop.notation.escaping import html_text
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.reductions import sum

ROWS_AT_ONCE = 1024
"""The gradients of so many rows are computed at a time."""
Groups = Mapping[str, Sequence[int]]
"""The features that each column is encoded as."""


@dataclass(frozen=True)
class ColumnImportance:
    """What a score loses, on average over the shuffles, when a column is shuffled, and its effect on the answers.

    `low` and `high` hold the mean drop with 95 % confidence, as far as chance lies in the shuffles alone: other rows
    would give other numbers.  `effect` is the mean of |Σ x·∂answer/∂x| over the rows, x the column's encoded features.
    """

    column: str
    drop: float
    low: float
    high: float
    effect: float


@dataclass(frozen=True, repr=False)
class Importance:
    """The importance of every column, the largest drop first.  `base` is the score of the rows as they are."""

    metric: str
    base: float
    part: str
    rows: int
    repeats: int
    answer: str
    columns: tuple[ColumnImportance, ...]

    @property
    def heads(self) -> tuple[str, ...]:
        """What stands above the columns of the table."""
        return "column", f"{self.metric} lost", "95 % interval", f"effect on {self.answer}"

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """The rows of the table, as texts."""
        return [
            (c.column, _short(c.drop), f"{_short(c.low)} … {_short(c.high)}", _short(c.effect)) for c in self.columns
        ]

    @property
    def caption(self) -> str:
        """What the table shows."""
        what = f"{self.metric} {_short(self.base)} of {self.rows:,} {self.part} rows"
        return f"{what}, and what it loses when a column is shuffled ({self.repeats} times)"

    def __repr__(self) -> str:
        return text_rows(self.caption, self.heads, self.cells)

    def _repr_html_(self) -> str:
        """The table, for a notebook."""
        return html_rows(self.caption, self.heads, self.cells)


def _short(value: float) -> str:
    text = number_text(value, 4)
    return in_digits(value) if "e+" in text else text


def text_rows(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as text under its caption; what a terminal would obey is written out."""
    table = [[printable(text) for text in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(text.ljust(n) for text, n in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([caption, *lines])


def html_rows(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain table; the first cell of a row is its head, the others are numbers."""
    top = "".join(f'<th scope="col">{html_text(head)}</th>' for head in heads)
    right = '<td style="text-align: right">'
    body = "".join(
        f'<tr><th scope="row" style="text-align: left">{html_text(first)}</th>'
        + "".join(f"{right}{html_text(text)}</td>" for text in rest)
        + "</tr>\n"
        for first, *rest in rows
    )
    head = f'<caption style="text-align: left">{html_text(caption)}</caption>\n<thead><tr>{top}</tr></thead>'
    return f'<div style="overflow-x: auto"><table>\n{head}\n<tbody>\n{body}</tbody>\n</table></div>\n'


def permutation_drops(
    score: Callable[[NDArray[Any]], float], x: NDArray[Any], groups: Groups, repeats: int, seed: int
) -> tuple[float, dict[str, NDArray[np.float64]]]:
    """The score of rows x, and for each column what it loses in `repeats` shuffles of that column alone.

    All features of a column are shuffled together, as if its cells had been.  Breiman 2001, "Random Forests".

    score    a function of rows, of which more is better
    x        encoded rows (rows, features)
    groups   the features of every column
    repeats  how often each column is shuffled
    seed     decides the shuffles

    >>> x = np.arange(8.0).reshape(4, 2)
    >>> score = lambda x: -float(((x[:, 0] - [0, 2, 4, 6]) ** 2).sum())
    >>> base, drops = permutation_drops(score, x, {"a": [0], "b": [1]}, 2, 0)
    >>> base, bool((drops["a"] > 0).all()), drops["b"].tolist()
    (-0.0, True, [0.0, 0.0])
    """
    base, key = score(x), random.key(seed)
    drops = {}
    for number, (column, features) in enumerate(groups.items()):
        lost = []
        for repeat in range(repeats):
            order = raw(random.permutation(random.fold_in(random.fold_in(key, number), repeat), len(x)))
            moved = x.copy()
            moved[:, list(features)] = x[order][:, list(features)]
            lost.append(base - score(moved))
        drops[column] = np.array(lost)
    return base, drops


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """The mean, and the ends of its 95 % interval by Student's t; without ends for a single value.

    >>> mean_interval(np.array([1.0, 1.0]))
    (1.0, 1.0, 1.0)
    """
    mean = float(values.mean())
    if len(values) < 2:
        return mean, -np.inf, np.inf
    from scipy.special import stdtrit  # start-up time

    half = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def gradient_effects(answer: Callable[[Any], Any], x: NDArray[Any], groups: Groups) -> dict[str, float]:
    """The mean of |Σ x·∂answer/∂x| over the rows, the sum over the features of a column (Shrikumar et al. 2016).

    answer  a function of encoded rows that gives one number a row
    x       encoded rows (rows, features)
    groups  the features of every column

    >>> import clearprop as cl
    >>> gradient_effects(lambda x: 2.0 * x[:, 0], np.array([[1.0, 5.0], [-2.0, 5.0]]), {"a": [0], "b": [1]})
    {'a': 3.0, 'b': 0.0}
    """
    slope = grad(lambda rows: sum(answer(rows)))
    parts = [np.asarray(raw(slope(x[i : i + ROWS_AT_ONCE])), np.float64) for i in range(0, len(x), ROWS_AT_ONCE)]
    product = np.concatenate(parts) * x
    return {name: float(np.abs(product[:, list(own)].sum(axis=1)).mean()) for name, own in groups.items()}
