"""Estimators of tables as they are: scikit-learn's own checks, and what the command line does with the same table."""

import re

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.utils.estimator_checks import check_estimator

import clearprop as cl
from clearprop.data.training_data import from_source
from clearprop.errors import ArgumentError, DataError
from clearprop.runs.settings import declaration_of
from clearprop.sklearn.tabular_parameters import CHOSEN, setting_of
from clearprop.train import job_for, train, with_defaults

RNG = np.random.default_rng(0)
ROWS = 90
FRAME = pd.DataFrame(
    {
        "size": np.where(np.arange(ROWS) % 11 == 0, np.nan, RNG.normal(5.0, 2.0, ROWS)),
        "kind": pd.Series(["round", "square", None], dtype="str").sample(ROWS, replace=True, random_state=0).to_numpy(),
        "built": pd.date_range("2001-03-04", periods=ROWS, freq="17D"),
        "garden": RNG.random(ROWS) > 0.5,
    },
    index=np.arange(ROWS) * 10 + 7,
)
LARGE = FRAME["size"].fillna(5.0).add(2.0 * FRAME["garden"]).gt(6.0).map({True: "yes", False: "no"}).rename("large")
PRICE = (30.0 + 4.0 * FRAME["size"].fillna(5.0) + 10.0 * (FRAME["kind"] == "round")).rename("price")
FAST = {"hidden": 8, "epochs": 12, "validation": 0.2}
TARGETS = {"TabularClassifier": LARGE, "TabularRegressor": PRICE}


def fitted(name, X=FRAME, y=None, **more):
    return getattr(cl.sklearn, name)(**{**FAST, **more}).fit(X, TARGETS[name] if y is None else y)


def answers(estimator, X):
    return (estimator.predict_proba if hasattr(estimator, "predict_proba") else estimator.predict)(X)


@pytest.fixture(scope="module", params=TARGETS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def estimator(name):
    return fitted(name)


@pytest.mark.verify
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_finds_nothing_wrong(name):
    """Weights cannot be repetitions to nine digits where batches are drawn: scikit-learn says so of its own, too."""
    known = {"check_sample_weight_equivalence_on_dense_data": "rows come in batches, and their order decides the bits"}
    estimator = getattr(cl.sklearn, name)()
    found = check_estimator(estimator, on_fail=None, on_skip=None, expected_failed_checks=known)
    assert not {check["check_name"]: repr(check["exception"]) for check in found if check["status"] == "failed"}
    assert sum(check["status"] == "passed" for check in found) > 50


def test_it_is_what_the_command_line_trains(name, estimator):
    """The same table as one source, with the settings of `clearprop train`: every weight in the same bits."""
    y = TARGETS[name]
    table = pl.from_pandas(FRAME.assign(**{y.name: y}))
    task = {"TabularClassifier": "classification", "TabularRegressor": "regression"}[name]
    data = from_source(table, y.name, task, 0.2, 0.0, 0)
    run = train(job_for(data, with_defaults({"hidden": (8,), "epochs": 12, "seed": 0}, data)))
    ours, theirs = (list(each.model.parameters().values()) for each in (estimator.run_, run))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert estimator.run_.preprocessing == run.preprocessing
    predicted = run.probabilities(table) if name == "TabularClassifier" else run.predict(table)
    assert np.array_equal(answers(estimator, FRAME), predicted)


@pytest.mark.parametrize("part", ["y", "sample_weight"])
@pytest.mark.parametrize("name", ["TabularClassifier", "TabularRegressor", "MLPClassifier", "MLPRegressor"])
def test_rows_under_another_index_do_not_meet(name, part):
    """By position each row would have another row's target; where nothing is labelled, position is all there is."""
    y = TARGETS.get(name, FRAME["garden"].astype(int))
    X = FRAME if name.startswith("Tabular") else FRAME[["garden"]].astype(float)
    given = {"y": y, "sample_weight": pd.Series(1.0, X.index)}
    settings = FAST if name.startswith("Tabular") else {"hidden_layer_sizes": 2, "max_iter": 1}
    estimator = getattr(cl.sklearn, name)(**settings)
    with pytest.raises(DataError, match="labelled otherwise"):
        estimator.fit(X, **{**given, part: given[part][::-1]})


KINDS = {"polars": pl.from_pandas, "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_frame_is_the_same(name, estimator, kind):
    frame = KINDS[kind](FRAME)
    again = fitted(name, frame)
    assert list(again.feature_names_in_) == list(FRAME.columns)
    assert np.array_equal(answers(again, frame), answers(estimator, FRAME))


def test_arrays_are_the_frames_of_their_columns():
    """Numbers with gaps, and text among other things, in an array of objects or in lists."""
    text = FRAME[["size", "kind", "garden"]].to_numpy(object)
    for columns, rows in ((1, FRAME[["size"]].to_numpy()), (3, text), (3, text.tolist())):
        frame = FRAME[["size", "kind", "garden"][:columns]]
        ours, theirs = (fitted("TabularClassifier", each) for each in (rows, frame))
        assert np.array_equal(ours.predict_proba(rows), theirs.predict_proba(frame)), type(rows)
        assert {c.column for c in ours.explain(rows, 3).contributions} == {f"x[{j}]" for j in range(columns)}
        assert ours.n_features_in_ == columns


LABELS = {
    "text": np.array(["b", "a"]),
    "text in objects": np.array(["b", "a"], dtype=object),
    "whole numbers that are no order of text": np.array([10, 9]),
    "truth values": np.array([True, False]),
    "floats": np.array([2.0, -1.0]),
    "words of truth": np.array(["True", "FALSE"]),
}


@pytest.mark.parametrize("labels", LABELS)
def test_classes_come_back_as_they_came(labels):
    values = LABELS[labels][(LARGE == "yes").to_numpy(int)]
    found = fitted("TabularClassifier", y=values, epochs=40)
    assert found.classes_.tolist() == sorted(LABELS[labels].tolist()) and found.classes_.dtype == values.dtype
    shares = found.predict_proba(FRAME)
    assert np.array_equal(found.predict(FRAME), found.classes_[shares.argmax(axis=1)])
    assert found.predict(FRAME).dtype == values.dtype and found.score(FRAME, values) > 0.8
    np.testing.assert_allclose(np.exp(found.predict_log_proba(FRAME)), shares, rtol=1e-6)


def test_weights_of_rows_count_and_rows_without_weight_are_not_there(name):
    y, kept = TARGETS[name], np.arange(ROWS) % 3 > 0
    without = fitted(name, FRAME[kept], y[kept])
    weighed = getattr(cl.sklearn, name)(**FAST).fit(FRAME, y, sample_weight=np.where(kept, 2.0, 0.0))
    np.testing.assert_allclose(answers(weighed, FRAME), answers(without, FRAME), rtol=1e-4)
    some = getattr(cl.sklearn, name)(**FAST).fit(FRAME, y, sample_weight=np.where(kept, 2.0, 0.5))
    assert not np.allclose(answers(some, FRAME), answers(without, FRAME))


def test_every_column_adds_to_an_explained_prediction(name, estimator):
    told = estimator.explain(FRAME, 4)
    assert {c.column for c in told.contributions} == set(FRAME.columns)
    assert told.start + sum(c.added for c in told.contributions) + told.rest == pytest.approx(told.predicted)
    said = answers(estimator, FRAME)[4]
    assert told.predicted == pytest.approx(np.max(said), rel=1e-5)


def test_a_file_holds_what_predicts_but_not_the_rows(name, estimator, tmp_path):
    joblib.dump(estimator, tmp_path / "estimator")
    again = joblib.load(tmp_path / "estimator")
    assert np.array_equal(answers(again, FRAME), answers(estimator, FRAME))
    assert again.run_.workings is None and estimator.run_.workings is not None
    assert again.explain(FRAME, 2).predicted == estimator.explain(FRAME, 2).predicted
    assert not hasattr(clone(estimator), "run_")


# --------------------------------------------------------------------------------------------- at home in scikit-learn
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.verify)])
def test_a_grid_search_in_a_pipeline(jobs):
    drop = FunctionTransformer(pd.DataFrame.drop, kw_args={"columns": ["built"]})
    pipeline = make_pipeline(drop, cl.sklearn.TabularClassifier(**FAST))
    grid = {"tabularclassifier__learning_rate": [1e-4, 1e-2]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=jobs, error_score="raise").fit(FRAME, LARGE)
    assert search.best_params_ == {"tabularclassifier__learning_rate": 1e-2}
    assert list(search.best_estimator_[-1].feature_names_in_) == ["size", "kind", "garden"]


def test_a_column_transformer_may_give_any_container():
    apart = ColumnTransformer(
        [("numbers", SimpleImputer(), ["size"]), ("words", OneHotEncoder(sparse_output=False), ["garden"])]
    )
    found = {}
    for container in ("default", "pandas", "polars"):
        columns = clone(apart).set_output(transform=container)
        network = cl.sklearn.MLPRegressor(
            hidden_layer_sizes=(8,), max_iter=400, learning_rate_init=0.02, random_state=0
        )
        for last in (network, cl.sklearn.TabularRegressor(**FAST)):
            pipeline = make_pipeline(columns, last).fit(FRAME, PRICE)
            found[container, type(last)] = pipeline.predict(FRAME)
        again = clone(pipeline).fit(FRAME, PRICE).predict(FRAME)
        assert np.array_equal(again, found[container, cl.sklearn.TabularRegressor])
    for kind in (cl.sklearn.MLPRegressor, cl.sklearn.TabularRegressor):
        assert np.array_equal(found["pandas", kind], found["polars", kind])
    plain = found["default", cl.sklearn.MLPRegressor]
    assert np.array_equal(plain, found["pandas", cl.sklearn.MLPRegressor])


def test_further_tools_take_it():
    rows = cl.sklearn.TabularRegressor(hidden=8, epochs=60, learning_rate=0.02, dropout=0.0, drop="built")
    assert cross_val_score(rows, FRAME, PRICE, cv=2, error_score="raise").mean() > 0.5
    logs = TransformedTargetRegressor(rows, func=np.log, inverse_func=np.exp).fit(FRAME, PRICE)
    lost = permutation_importance(logs, FRAME, PRICE, n_repeats=2, random_state=0).importances_mean
    assert FRAME.columns[lost.argmax()] == "size"


@pytest.mark.filterwarnings("ignore::clearprop.errors.DataWarning")  # levels and numbers that training lacks are meant
def test_weights_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        asked = (
            cl.sklearn.TabularRegressor(**FAST)
            .set_fit_request(sample_weight=True)
            .set_score_request(sample_weight=True)
        )
        search = GridSearchCV(asked, {"hidden": [4]}, cv=2).fit(FRAME, PRICE, sample_weight=np.ones(ROWS))
    assert search.best_estimator_.run_.preprocessing.weight == "sample_weight"


def test_its_diagram_names_it(estimator):
    assert type(estimator).__name__ in estimator._repr_html_()


# ---------------------------------------------------------------------------------------------------- parameters
def test_parameters_are_settings_with_their_defaults(name):
    parameters = getattr(cl.sklearn, name)().get_params()
    settings = {setting_of(parameter) for parameter in parameters}
    assert settings - {"threads", "baseline", "verbose"} == set(CHOSEN) - (
        {"class_weight", "threshold", "costs", "calibration"}
        if name == "TabularRegressor"
        else {"target_transform", "quantiles"}
    )
    assert {p for p in parameters if declared(p) and declared(p).suits and parameters[p] is not None} == set()
    doc = cl.sklearn.TabularClassifier.__doc__ + getattr(cl.sklearn, name).__doc__
    assert all(re.search(rf"\b{parameter}\b", doc) for parameter in parameters)


def declared(parameter):
    own = ("threads", "baseline", "verbose")
    return None if parameter in own else declaration_of(setting_of(parameter))


WRONG = {
    "hidden": (8, 0),
    "activation": 3,
    "dropout": 1.0,
    "recipe": "worst",
    "pieces": 2.5,
    "loss": np.mean,
    "class_weight": 2,
    "threshold": 1.5,
    "costs": 3,
    "calibration": 3,
    "metric": None,
    "optimizer": 1,
    "learning_rate": 0,
    "epochs": True,
    "batch_size": 0,
    "l1": -1.0,
    "l2": "much",
    "patience": 0,
    "validation": 1.0,
    "split": None,
    "group": 4,
    "drop": 7,
    "only": {"a": 1},
    "kind": ["zip"],
    "missing": 999,
    "seed": -1,
    "threads": 0,
    "baseline": 1,
    "verbose": "yes",
}


@pytest.mark.parametrize("parameter", WRONG)
def test_parameters_are_checked_in_fit(parameter):
    with pytest.raises(ArgumentError, match=f"TabularClassifier cannot work with this {parameter}"):
        cl.sklearn.TabularClassifier(**{parameter: WRONG[parameter]}).fit(FRAME, LARGE)


NAMES = {
    "activation": ({"activation": "rellu"}, "relu"),
    "loss": ({"loss": "mse"}, "mse compares numbers"),
    "metric": ({"metric": "acuracy"}, "accuracy"),
    "optimizer": ({"optimizer": "adm"}, "adam"),
    "drop": ({"drop": "sise"}, "size"),
    "class_weight": ({"class_weight": {"maybe": 2.0}}, "maybe"),
}


@pytest.mark.parametrize("case", NAMES)
def test_wrong_names_end_in_our_errors(case):
    given, said = NAMES[case]
    with pytest.raises((ArgumentError, DataError), match=said):
        cl.sklearn.TabularClassifier(**given).fit(FRAME, LARGE)
    assert set(WRONG) == set(cl.sklearn.TabularClassifier().get_params())


def test_settings_reach_the_run():
    found = fitted("TabularClassifier", class_weight="balanced", kind={"garden": "category"}, drop=["built"],
                   optimizer="sgd:momentum=0.9", metric="auc", threads=1, baseline=True, seed=3)  # fmt: skip
    settings = found.run_.config.settings
    assert (settings.metric, settings.seed, set(settings.class_weight)) == ("auc", 3, {"yes", "no"})
    assert {c.name: c.kind for c in found.run_.preprocessing.columns}["garden"] == "category"
    assert found.run_.headline.startswith("The class of 'large'")


def test_a_rate_is_found_and_a_divergence_is_said(capsys):
    found = fitted("TabularRegressor", learning_rate="auto", verbose=True)
    assert 0 < found.run_.config.settings.optimizer["lr"] < 1 if "lr" in found.run_.config.settings.optimizer else True
    assert "price" in capsys.readouterr().out
    with pytest.raises(ArgumentError, match="training diverged"):
        fitted("TabularRegressor", optimizer="sgd", learning_rate=100.0, activation="linear", epochs=40)
