"""The curves of a report that say how well probabilities rank the rows."""

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from clearprop.reporting.numbers import Held
from clearprop.reporting.ranking import MOST_CLASSES, POINTS, ranking_charts

CLASSES = {2: ("no", "yes"), 3: ("a", "b", "c"), MOST_CLASSES: tuple("abcdef"), MOST_CLASSES + 1: tuple("abcdefg")}


def held(count, rows=120, labels=None):
    rng = np.random.default_rng(count)
    y = rng.integers(count, size=rows) if labels is None else labels
    outputs = rng.normal(size=(rows, count)) + 1.5 * np.eye(count)[y]
    return Held("validation", np.zeros((rows, 1)), y, outputs, CLASSES[count], np.arange(rows), rows)


@pytest.mark.parametrize("count", [2, 3, MOST_CLASSES])
def test_the_areas_are_those_of_the_metrics(count):
    rows = held(count)
    roc, ranked = ranking_charts(rows)
    assert roc.square and ranked.square
    assert [c.name for c in ranked.curves] == list(rows.classes)
    assert [c.name for c in roc.curves] == [*rows.classes[count == 2 :], "by chance"]
    for k in range(count == 2, count):
        curve = roc.curves[k - (count == 2)]
        area = auc(curve.x, curve.y)
        assert area == pytest.approx(roc_auc_score(rows.y == k, rows.probabilities[:, k]), abs=1e-12)
    for k in range(count):
        both, is_class = ranked.curves[k], rows.y == k
        steps = -np.diff(np.asarray(both.x)[::-1]) @ np.asarray(both.y)[::-1][:-1]
        assert steps == pytest.approx(average_precision_score(is_class, rows.probabilities[:, k]), abs=1e-12)


def test_a_class_without_rows_has_no_curve():
    roc, _ = ranking_charts(held(3, labels=np.arange(60) % 2, rows=60))
    assert [c.name for c in roc.curves] == ["a", "b", "by chance"]


@pytest.mark.parametrize("rows", [held(2, labels=np.zeros(9, int), rows=9), held(MOST_CLASSES + 1)])
def test_nothing_is_drawn_of_one_class_or_of_many(rows):
    assert list(ranking_charts(rows)) == []


def test_many_rows_are_drawn_by_few_points():
    roc, _ = ranking_charts(held(2, rows=20_000))
    assert len(np.asarray(roc.curves[0].x)) <= POINTS and np.asarray(roc.curves[0].x)[-1] == 1.0
