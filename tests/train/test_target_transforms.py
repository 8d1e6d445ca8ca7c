"""Transforms of the target: what is learned is t(y), and everything that is told is in the unit of the data."""

import json
import re

import numpy as np
import onnx
import polars as pl
import pytest
from onnx.reference import ReferenceEvaluator
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, median_absolute_error, r2_score, root_mean_squared_error

import clearprop as cl
from clearprop.cli import main
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.readers.reading import Reading
from clearprop.data.streaming import memory
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.target_transforms import MOST_KNOTS, TargetTransform, fit_transform
from clearprop.data.training_data import from_source
from clearprop.errors import ClearpropError, RunError
from clearprop.train.metrics import find_metrics
from clearprop.train.planning import transform_asked
from clearprop.train.target_choice import _is_better, _Judged

ROWS = 240
R = np.random.default_rng(3)
AREA, CITY = R.uniform(20, 300, ROWS).round(1), R.choice(["Basel", "Bern"], ROWS)
PRICE = np.exp(10 + 0.012 * AREA + 0.4 * (CITY == "Basel") + R.normal(0, 0.1, ROWS)).round()
PART = np.array(["train", "train", "train", "validation", "test"])[np.arange(ROWS) % 5]
FRAME = pl.DataFrame({"area": AREA, "city": CITY, "part": PART, "price": PRICE})
FAST = ("--hidden", "8", "--epochs", "15", "--lr", "0.01", "--dropout", "0", "--json")


METRIC = {"log": ("rmse", root_mean_squared_error), "quantile": ("median_ae", median_absolute_error)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("transforms")
    FRAME.write_csv(place / "houses.csv")
    return place


@pytest.fixture(scope="module", params=["log", "quantile"])
def run(request, folder):
    out = folder / request.param
    words = ["train", str(folder / "houses.csv"), "--split", "column:part", "--target-transform", request.param]
    assert main([*words, *FAST, "--metric", METRIC[request.param][0], "--out", str(out)]) == 0
    return cl.load(out)


def of_part(name):
    return FRAME.filter(pl.col("part") == name)


# -------------------------------------------------------------------------------------------------- the transforms
@pytest.mark.parametrize(
    "values", [PRICE, R.poisson(0.7, 500) * 1.0, R.normal(size=80)], ids=["price", "many 0", "any"]
)
@pytest.mark.parametrize("name", ["log", "quantile"])
def test_a_transform_is_undone_within_the_range_and_beyond(name, values):
    if name == "log":
        values = np.abs(values)
    values = np.unique(values) if len(np.unique(values)) > 10 else np.arange(12.0)
    t = fit_transform(name, "y", values)
    beyond = np.array([values.min() + 0.0, *values, values.max() * 1.5 + 1])
    z = t.forward(beyond)
    assert (np.diff(z) >= 0).all() and (np.diff(t.forward(values)) > 0).all()
    np.testing.assert_allclose(np.asarray(t.inverse(z)), beyond, rtol=1e-10, atol=1e-10)
    answers = np.asarray(t.answer(np.array([-50.0, 50.0])))
    np.testing.assert_allclose(answers, [values.min(), values.max()], rtol=1e-10, atol=1e-12)


def test_the_knots_are_quantiles_and_normal_scores():
    values = R.exponential(size=1000)
    t = fit_transform("quantile", "y", values)
    assert len(t.values) == MOST_KNOTS
    np.testing.assert_allclose(t.values, np.quantile(values, np.linspace(0, 1, MOST_KNOTS)))
    inside = np.quantile(values, R.uniform(0.02, 0.98, 50))
    np.testing.assert_allclose(t.forward(inside), np.interp(inside, t.values, t.scores), rtol=1e-12)
    score = t.forward(np.sort(values))
    assert abs(score.mean()) < 0.02 and abs(score.std() - 1) < 0.05  # a normal distribution, whatever came


def test_a_value_of_many_rows_stands_at_the_middle_of_their_shares():
    values = np.concatenate([np.zeros(500), np.linspace(1, 2, 500)])
    t = fit_transform("quantile", "y", values)
    assert t.values[0] == 0.0 and -0.75 < t.scores[0] < -0.6  # the normal score of a quarter is −0.674
    assert np.asarray(t.inverse(t.forward(values))) == pytest.approx(values)


# --------------------------------------------------------------------------------------------- in the target's unit
def test_every_measure_is_that_of_the_predictions_in_the_unit(run):
    for part, told in (("validation", run.summary.validation), ("test", run.summary.test)):
        rows = of_part(part)
        said, true = run.predict(rows), rows["price"].to_numpy()
        assert told["r2"] == pytest.approx(r2_score(true, said), abs=1e-5)
        assert told["mae"] == pytest.approx(mean_absolute_error(true, said), rel=1e-5)
    metric, oracle = METRIC[run.preprocessing.target_transform.name]
    assert told[metric] == pytest.approx(oracle(true, said), rel=1e-5)
    assert run.summary.validation["r2"] > 0.5


def test_the_loss_is_that_of_what_is_learned(run):
    rows, target = of_part("test"), run.preprocessing.target
    z = target.standardise(rows["price"].to_numpy())
    errors = run.outputs(run.encode(rows).x)[:, 0] - z
    assert run.summary.test["loss"] == pytest.approx(np.mean(errors**2), rel=1e-5)
    train = target.standardise(of_part("train")["price"].to_numpy())
    assert abs(train.mean()) < 1e-9 and train.std() == pytest.approx(1.0)


def test_the_baselines_are_the_mean_and_a_linear_model_of_what_is_learned(run):
    train, test = of_part("train"), of_part("test")
    constant, linear = run.summary.baseline["constant"], run.summary.baseline["linear"]
    mean = np.full(len(test), train["price"].mean())
    assert constant["r2"] == pytest.approx(r2_score(test["price"], mean), abs=1e-5)
    x, known = run.encode(train).x, run.preprocessing.target
    model = TransformedTargetRegressor(
        Ridge(1.0), func=known.standardise, inverse_func=known.invert, check_inverse=False
    ).fit(x, train["price"])
    said = np.clip(model.predict(run.encode(test).x), train["price"].min(), train["price"].max())
    assert linear["mae"] == pytest.approx(mean_absolute_error(test["price"], said), rel=1e-4)


def test_an_interval_is_as_wide_for_every_transformed_value_and_covers(run):
    t = run.preprocessing.target_transform
    rows = of_part("validation")
    said, ends = run.predict(rows), run.interval(rows, level=0.8)
    true = rows["price"].to_numpy()
    errors = np.sort(np.abs(t.forward(said) - t.forward(true)))
    width = errors[int(np.ceil((len(true) + 1) * 0.8)) - 1]
    np.testing.assert_allclose(t.forward(ends[:, 1]) - t.forward(said), width, rtol=1e-4)
    assert np.mean((ends[:, 0] <= true) & (true <= ends[:, 1])) >= 0.8
    new, true = of_part("test"), of_part("test")["price"].to_numpy()
    ends = run.interval(new, level=0.8)
    assert np.mean((ends[:, 0] <= true) & (true <= ends[:, 1])) >= 0.65  # of 48 rows
    if t.name == "log":  # a share of the price, not a sum
        assert np.ptp(ends[:, 1] / np.maximum(ends[:, 0], 1.0)) < 0.01 * (ends[:, 1] / ends[:, 0]).mean()


def test_an_amount_has_no_interval_below_zero():
    t = TargetTransform("log", 0.0, 10.0)
    assert t.around(np.array([0.0, 2.0]), 1.5).min() == 0.0


def test_columns_add_up_to_the_prediction_and_importance_is_of_the_unit(run):
    rows = of_part("test")
    told = run.explain_prediction(rows[:1])
    assert told.predicted == pytest.approx(run.predict(rows[:1])[0], rel=1e-6)
    total = told.start + sum(part.added for part in told.contributions) + told.rest
    assert total == pytest.approx(told.predicted) and abs(told.rest) < 0.01 * abs(told.predicted)
    assert run.importance().base == pytest.approx(run.summary.validation["r2"], abs=1e-6)


def test_an_onnx_file_answers_in_the_unit(run, tmp_path):
    cl.export(run, "onnx", tmp_path / "m.onnx")
    rows = of_part("test")
    given = {"area": rows["area"].to_numpy()[:, None], "city": rows["city"].to_numpy().astype(object)[:, None]}
    (got,) = ReferenceEvaluator(onnx.load(tmp_path / "m.onnx")).run(None, given)
    np.testing.assert_allclose(got.ravel(), run.predict(rows), rtol=1e-5)


def test_what_is_stored_is_read_back_and_not_trusted(run):
    text = run.preprocessing.to_json()
    assert Preprocessing.from_json(text) == run.preprocessing
    record = json.loads(text)
    record["target"]["transform"]["values" if run.preprocessing.target_transform.values else "low"] = (
        [1.0, 1.0] if run.preprocessing.target_transform.values else -3.0
    )
    with pytest.raises(RunError, match="cannot be trusted"):
        Preprocessing.from_json(json.dumps(record))


def test_a_run_is_replayed_resumed_and_shown(run, folder, tmp_path):
    assert run.config.command["target_transform"] == run.preprocessing.target_transform.name
    assert run.replay(5).difference == ""
    assert main(["report", str(run.folder), "--out", str(tmp_path / "r.html")]) == 0
    assert run.preprocessing.target_transform.formula[:6] in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert main(["predict", str(run.folder), str(folder / "houses.csv"), "-o", str(tmp_path / "p.csv")]) == 0
    np.testing.assert_allclose(pl.read_csv(tmp_path / "p.csv")["price"], run.predict(FRAME), rtol=1e-5)


# ------------------------------------------------------------------------------------------------- other ways to it
def test_a_streamed_table_has_the_bits_of_memory(folder, monkeypatch):
    monkeypatch.setattr(memory, "LEAST_MEMORY", 1)
    monkeypatch.setattr(memory, "FIXED", 0)
    path, reading = folder / "houses.csv", Reading.from_words(target_transform="log")
    known = from_source(path, None, "auto", 0.15, 0.15, 7, reading=reading)
    found = stream_table(path, str(path), None, "auto", 0.15, 0.15, 7, 160_000, reading=reading)
    assert found.preprocessing.target == known.preprocessing.target
    assert known.preprocessing.target_transform.name == "log"
    with pytest.raises(ClearpropError, match="needs all values"):
        reading = Reading.from_words(target_transform="quantile")
        stream_table(path, str(path), None, "auto", 0.15, 0.15, 7, 160_000, reading=reading)


def test_an_ensemble_is_the_mean_of_the_logarithms():
    settings = {"hidden": 8, "epochs": 5, "lr": 0.01, "dropout": 0.0, "target_transform": "log", "target": "price"}
    run = cl.ensemble(FRAME.drop("part"), members=2, **settings)
    rows = FRAME[:20]
    each = run.preprocessing.target
    z = run.outputs(run.encode(rows).x)[:, 0] * each.scale + each.centre
    np.testing.assert_allclose(
        run.predict(rows), np.clip(np.expm1(z), each.transform.low, each.transform.high), rtol=1e-6
    )
    assert run.interval(rows, 0.8).shape == (20, 2)


def test_folds_predict_in_the_unit():
    found = cl.cross_validate(FRAME.drop("part"), folds=2, epochs=3, hidden=4, target_transform="quantile")
    said = np.array([row[4] for row in found.predictions], dtype=float)
    assert PRICE.min() <= said.min() and said.max() <= PRICE.max() and np.ptp(said) > 1000


def test_an_estimator_learns_the_logarithm():
    regressor = cl.sklearn.TabularRegressor(hidden=8, epochs=5, target_transform="log").fit(
        FRAME[["area", "city"]], PRICE
    )
    assert regressor.run_.preprocessing.target_transform.name == "log"
    assert regressor.predict(FRAME[["area", "city"]]).min() >= PRICE.min() - 1


# ----------------------------------------------------------------------------------------------------- what suits
def test_auto_takes_what_is_best_on_the_validation_rows(folder, tmp_path, capsys):
    words = ["train", str(folder / "houses.csv"), "--split", "column:part", *FAST]
    scores = {}
    for name in ("none", "log", "quantile", "auto"):
        assert main([*words, "--target-transform", name, "--out", str(tmp_path / name)]) == 0
        scores[name] = cl.load(tmp_path / name).summary.validation["r2"]
    chosen = cl.load(tmp_path / "auto").config.command["target_transform"]
    assert scores["auto"] == scores[chosen] and scores[chosen] >= scores["none"]
    told = [event for event in map(json.loads, capsys.readouterr().out.splitlines()) if event["event"] == "data"][-1]
    reason = next(note for note in told["notes"] if "the target is learned" in note)
    for name, words in {"none": "as it is", "log": "by its logarithm", "quantile": "by normal scores"}.items():
        assert float(re.search(rf"(-?[\d.]+) {words}", reason)[1]) == pytest.approx(scores[name], abs=0.005)


def test_auto_in_python_is_the_run_with_the_chosen_one():
    settings = {"optimizer": cl.optim.adam(0.01), "epochs": 8, "validation": 0.25, "progress": False}
    auto = cl.fit(cl.nn.mlp(hidden=[8]), FRAME.drop("part"), target_transform="auto", **settings)
    transform = auto.preprocessing.target_transform
    own = cl.fit(
        cl.nn.mlp(hidden=[8]), FRAME.drop("part"), target_transform=transform.name if transform else "none", **settings
    )
    assert np.array_equal(auto.predict(FRAME), own.predict(FRAME))


def test_what_is_not_skewed_is_learned_as_it_is_at_no_cost(monkeypatch):
    monkeypatch.setattr("clearprop.train.target_choice.train", lambda job: pytest.fail("nothing is compared"))
    frame = pl.DataFrame({"x": np.arange(100.0), "y": R.normal(size=100)})
    run = cl.fit(cl.nn.mlp(hidden=[4]), frame, target_transform="auto", validation=0.2, epochs=1, progress=False)
    assert run.preprocessing.target_transform is None


def test_no_recipe_chooses_by_itself():
    asked = ({}, {"recipe": "best"}, {"recipe": "best", "target_transform": "auto"})
    assert [transform_asked(one) for one in asked] == ["none", "none", "auto"]


def test_few_rows_do_not_choose():
    y, r2 = R.normal(size=(40, 1)), find_metrics(["r2"])[0]
    plain, better = _Judged(r2, (y + 0.5 * R.normal(size=(40, 1)), y)), _Judged(r2, (y, y))
    hardly = _Judged(r2, (plain.arrays[0] + 0.01 * R.normal(size=(40, 1)), y))
    assert _is_better(better, plain, 1.0) and not _is_better(plain, better, 1.0)
    assert not _is_better(plain, plain, 1.0) and not (_is_better(hardly, plain, 1.0) and _is_better(plain, hardly, 1.0))


REFUSED = {
    "classes": ({"target": "city", "target_transform": "log"}, "one target of numbers"),
    "several": ({"target": ["price", "area"], "target_transform": "log"}, "one target of numbers"),
    "unknown": ({"target_transform": "sqrt"}, "no target transform named 'sqrt'"),
    "amounts": ({"target_transform": "log", "loss": "poisson"}, "compares amounts as they are"),
    "no validation": ({"target_transform": "auto", "validation": None}, "chosen on the validation part"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case):
    given, message = REFUSED[case]
    with pytest.raises(ClearpropError, match=re.escape(message)):
        cl.fit(cl.nn.mlp(hidden=[4]), FRAME.drop("part"), **{"validation": 0.2, "epochs": 1, **given})


def test_arrays_have_no_transform():
    with pytest.raises(ClearpropError, match="arrays have no columns"):
        cl.fit(cl.nn.mlp([1, 1]), (AREA[:, None], PRICE), target_transform="auto", validation=0.2)


def test_amounts_below_zero_are_named_where_they_stand(tmp_path):
    frame = FRAME.drop("part").with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(-5.0).otherwise("price").alias("price")
    )
    frame.write_csv(tmp_path / "t.csv")
    with pytest.raises(ClearpropError, match=r"the logarithm of 1 \+ y is learned of amounts") as caught:
        cl.fit(cl.nn.mlp(hidden=[4]), tmp_path / "t.csv", target_transform="log", validation=0.2, epochs=1)
    assert "-5" in caught.value.got


def test_an_ensemble_takes_no_quantiles(capsys, folder, tmp_path):
    words = ["train", str(folder / "houses.csv"), "--members", "2", "--target-transform", "quantile"]
    assert main([*words, "--out", str(tmp_path / "e")]) == 2
    assert "their answers would have no mean" in capsys.readouterr().err
