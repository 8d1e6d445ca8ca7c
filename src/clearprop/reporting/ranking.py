"""How well probabilities rank the rows: the ROC curve, and precision against recall."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.charts.chart import Axis, Chart, Curve
from clearprop.errors import printable
from clearprop.reporting.numbers import Held

MOST_CLASSES, POINTS = 6, 200
"""Of so many classes each has a curve; so many points of it are drawn."""


def ranking_charts(held: Held) -> Iterator[Chart]:
    """A curve for each class against the rest; none for many classes.  Of two the ROC curve is that of the second.

    That of the other is the same, turned round; precision and recall say more, most of the rarer class.
    A class without rows, or with all of them, ranks nothing and has no curve.
    """
    names = list(enumerate(held.classes))
    judged = [(k, name) for k, name in names if 0 < np.count_nonzero(held.labels == k) < len(held.labels)]
    if not judged or len(names) > MOST_CLASSES:
        return
    apart = judged[1:] if len(names) == 2 else judged
    by_chance = Curve("by chance", (0, 1), (0, 1), look="guide")
    axes = Axis("share of the other rows taken for it"), Axis("share of its rows found")
    yield Chart("ROC", [*_curves(held, apart, _roc), by_chance], *axes, square=True)
    axes = Axis("recall: share of its rows found"), Axis("precision: share that is right")
    yield Chart("Precision and recall", _curves(held, judged, _precision_recall), *axes, square=True)


def _curves(held: Held, judged: Sequence[tuple[int, str]], points: Callable[..., tuple[Any, Any]]) -> list[Curve]:
    curves = []
    for k, name in judged:
        x, y = points(held.labels == k, held.probabilities[:, k])
        places = np.unique(np.linspace(0, len(x) - 1, POINTS).astype(int))
        curves.append(Curve(printable(name), x[places], y[places]))
    return curves


def _roc(is_class: NDArray[np.bool_], share: NDArray[np.float64]) -> tuple[Any, Any]:
    from sklearn.metrics import roc_curve  # takes a second to load, for those reports alone that show it

    wrong, found, _ = roc_curve(is_class, share)
    return wrong, found


def _precision_recall(is_class: NDArray[np.bool_], share: NDArray[np.float64]) -> tuple[Any, Any]:
    from sklearn.metrics import precision_recall_curve  # as above

    precision, recall, _ = precision_recall_curve(is_class, share)
    return recall[::-1], precision[::-1]
