"""What answers hang on: shuffled columns as scikit-learn shuffles them, and predictions whose parts add up."""

import datetime

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.inspection import permutation_importance

import clearprop as cl
from clearprop.data.readers.sources import BUNDLED
from clearprop.errors import ArgumentError, DataError, RunError
from tests.attribution.tables import bundled

RNG = np.random.default_rng(3)
X = RNG.normal(size=(200, 3))
Y = 2 * X[:, 0] + X[:, 1] ** 2
LABELS = (X[:, 0] + X[:, 1] > 0).astype(int)


class Fitted(BaseEstimator):
    """A run as scikit-learn sees it."""

    def __init__(self, run=None, classes=None):
        self.run, self.classes_ = run, classes

    def fit(self, x, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, x):
        return np.asarray(self.run.predict(x)).reshape(len(x))


class FittedClassifier(ClassifierMixin, Fitted):
    pass


class FittedRegressor(RegressorMixin, Fitted):
    pass


def arrays(y, outputs, **more):
    return cl.fit(cl.nn.mlp([3, 16, outputs]), (X, y), epochs=30, optimizer=cl.optim.adam(1e-2), progress=False, **more)


@pytest.mark.parametrize(("y", "outputs"), [(Y, 1), (LABELS, 2), (LABELS, 1)])
def test_importance_of_arrays_is_scikit_learns(y, outputs):
    run = arrays(y, outputs)
    kind = FittedRegressor if y is Y else FittedClassifier
    repeats = 30
    theirs = permutation_importance(kind(run, np.array([0, 1])), X, y, n_repeats=repeats, random_state=0)
    ours = {c.column: c for c in run.importance(repeats=repeats).columns}
    for j in range(3):
        column, spread = ours[f"x[{j}]"], theirs.importances_std[j] * np.sqrt(2 / repeats)
        assert column.drop == pytest.approx(theirs.importances_mean[j], abs=5 * spread + 1e-6)
        assert column.low <= column.drop <= column.high


def test_importance_of_a_table_is_scikit_learns_on_the_cells_of_the_file():
    run, frame = bundled("penguins")
    target = run.preprocessing.target.name
    names = [c.name for c in run.preprocessing.columns]
    cells = frame.drop_nulls().select(*names, target).to_pandas()

    class OfCells(FittedClassifier):
        def predict(self, x):
            return self.run.predict(pl.from_pandas(x))

    estimator = OfCells(run, np.array(run.preprocessing.class_names))
    theirs = permutation_importance(estimator, cells[names], cells[target], n_repeats=20, random_state=0)
    ours = {c.column: c for c in run.importance(pl.from_pandas(cells), repeats=20).columns}
    for j, name in enumerate(names):
        spread = theirs.importances_std[j] * np.sqrt(2 / 20)
        assert ours[name].drop == pytest.approx(theirs.importances_mean[j], abs=5 * spread + 1e-6)


def test_the_column_that_counts_comes_first_in_text_and_html():
    found = arrays(3 * X[:, 1], 1).importance(metric="mae")
    assert found.columns[0].column == "x[1]" and found.columns[0].effect > 1
    assert "mae lost" in repr(found) and "x[1]" in found._repr_html_()
    assert found.base > 0 and found.columns[0].drop > 0  # of an error, what is lost is what it grows by


def test_the_gradient_times_the_input_of_a_linear_network_is_its_weights_times_the_input():
    run = cl.fit(cl.nn.mlp([3, 1]), (X, Y), epochs=20, progress=False)
    weight = np.asarray(run.model.layers[0].weight)[:, 0]
    for column in run.importance().columns:
        j = int(column.column[2])
        assert column.effect == pytest.approx(np.abs(X[:, j] * weight[j]).mean(), rel=1e-5)


def test_without_data_at_hand_importance_asks_for_them(tmp_path):
    arrays(Y, 1, out=tmp_path / "run")
    run = cl.load(tmp_path / "run")
    with pytest.raises(RunError, match="not at hand"):
        run.importance()
    assert run.importance(X, Y).rows == 200
    with pytest.raises(ArgumentError, match="shuffled some times"):
        run.importance(X, Y, repeats=0)


# ------------------------------------------------------------------------------------------- explained predictions
def total(found):
    return found.start + sum(c.added for c in found.contributions) + found.rest


@pytest.mark.parametrize("source", ["penguins", "diabetes", "wine"])
@pytest.mark.parametrize("loss", ["usual", "other"])
def test_an_explanation_adds_up_in_the_unit_of_the_target(source, loss):
    assert source in BUNDLED
    run, frame = bundled(
        source, **({} if loss == "usual" else {"loss": "poisson" if source == "diabetes" else "focal"})
    )
    for number in (0, 7, 100):
        found = run.explain_prediction(number)
        row = frame[number]
        if run.preprocessing.class_names:
            said, wanted = run.predict(row)[0], run.probabilities(row).max()
            assert found.answer == f"p({said})"
        else:
            wanted = run.predict(row)[0]
            assert found.answer == run.preprocessing.target.name
        assert found.predicted == pytest.approx(wanted, rel=1e-4)
        assert total(found) == pytest.approx(found.predicted, rel=1e-9)
        assert abs(found.rest) <= 2e-3 * abs(found.predicted - found.start) + 1e-5
        assert [c.column for c in found.contributions] != [] and found.answer in repr(found) + found._repr_html_()
        again = run.explain_prediction(row.to_dicts()[0])
        assert again.predicted == pytest.approx(found.predicted, rel=1e-6)


def test_values_are_told_as_the_file_has_them():
    run, frame = bundled("penguins")
    told = {c.column: c.value for c in run.explain_prediction(0).contributions}
    row = frame.to_dicts()[0]
    assert told["island"] == row["island"]
    assert float(told["bill_length_mm"]) == pytest.approx(row["bill_length_mm"], rel=1e-5)


KINDS = pl.DataFrame(
    {
        "id": [f"H{k}" for k in range(80)],
        "area": [float(k * 7 % 31) for k in range(80)],
        "far": [1e6 + k * 13 % 17 for k in range(80)],
        "garden": [k % 3 == 0 for k in range(80)],
        "town": ["abc"[k % 3] for k in range(80)],
        "sold": [datetime.date(2023, 1, 1) + datetime.timedelta(k * 11 % 600) for k in range(80)],
        "seen": [datetime.datetime(2023, 1, 1, k % 24, k % 60) + datetime.timedelta(k % 40) for k in range(80)],
        "tags": [("red|blue", "red", "blue|wide", "wide")[k % 4] for k in range(80)],
        "size": ["SML"[k % 3] for k in range(80)],
        "note": [f"text number {k}" for k in range(80)],
        "price": [float(k * 7 % 31) * 3 + k % 3 for k in range(80)],
    }
)


def test_each_kind_of_column_is_told_as_the_file_has_it_and_all_add_up():
    frame = KINDS.with_columns(
        town=pl.when(pl.col("area") > 29).then(None).otherwise("town"),
        sold=pl.when(pl.col("area") < 6).then(None).otherwise("sold"),
    )
    run = cl.fit(frame, target="price", kind={"size": "S<M<L", "note": "text"}, epochs=3, progress=False)
    for row in (0, 5, 33, 79):
        found = run.explain_prediction(row)
        told = {c.column: c.value for c in found.contributions}
        asked = frame.to_dicts()[row]
        assert set(told) == set(frame.columns) - {"id", "price"}
        assert (told["area"], told["far"]) == (f"{asked['area']:g}", f"{asked['far']:.0f}")
        assert told["garden"] == str(asked["garden"]).lower()
        assert told["town"] == (asked["town"] or "missing")
        assert told["sold"] == str(asked["sold"]) or (
            asked["sold"] is None and told["sold"].startswith("missing, taken")
        )
        assert told["seen"] == f"{asked['seen']:%Y-%m-%d %H:%M}"
        assert set(told["tags"].split("|")) == set(asked["tags"].split("|"))
        assert (told["size"], told["note"]) == (asked["size"], "")
        assert total(found) == pytest.approx(found.predicted, rel=1e-9)
        assert found.predicted == pytest.approx(run.predict(frame[row])[0], rel=1e-5)
        assert found.answer == "price"


def test_a_linear_network_is_explained_exactly():
    run = cl.fit(cl.nn.mlp([3, 1]), (X, Y), epochs=20, progress=False)
    weight = np.asarray(run.model.layers[0].weight)[:, 0]
    found = {c.column: c.added for c in run.explain_prediction(X[5]).contributions}
    for j in range(3):
        assert found[f"x[{j}]"] == pytest.approx(weight[j] * (X[5, j] - X[:, j].mean()), abs=1e-5)
    assert total(run.explain_prediction(X[5], beside=X[:9])) == pytest.approx(run.predict(X[5:6])[0], rel=1e-5)


def test_probabilities_of_one_output_and_of_several_are_explained():
    for outputs in (1, 2):
        run = arrays(LABELS, outputs)
        for row in X[:4]:
            found = run.explain_prediction(row)
            said = int(np.ravel(run.predict(row[None]))[0])
            assert found.answer == f"p({said})" and found.predicted >= 0.5
            assert total(found) == pytest.approx(found.predicted, rel=1e-6)


def test_what_is_no_row_is_refused():
    run, frame = bundled("penguins")
    with pytest.raises(ArgumentError, match="no such row"):
        run.explain_prediction(10_000)
    with pytest.raises(ArgumentError, match="one row is explained at a time"):
        run.explain_prediction(frame[:2])
    with pytest.raises(DataError, match="missing"):
        run.explain_prediction({"island": "Dream"})
