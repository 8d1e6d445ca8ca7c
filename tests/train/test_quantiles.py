"""Several quantiles learned side by side: a column for each at every door, which never cross."""

import csv

import numpy as np
import onnx
import polars as pl
import pytest
from onnx.reference import ReferenceEvaluator
from sklearn.metrics import d2_pinball_score, mean_absolute_error, mean_pinball_loss

import clearprop as cl
from clearprop.cli import main
from clearprop.data.streaming import memory
from clearprop.errors import ArgumentError, ShapeError
from clearprop.nn import loss_named
from clearprop.reporting import report_html
from clearprop.runs.asked_settings import settings_from
from tests.tiers import together

Q = (0.1, 0.5, 0.9)
ROWS = 240
R = np.random.default_rng(3)
AREA, CITY = R.uniform(20, 300, ROWS).round(1), R.choice(["Basel", "Bern"], ROWS)
PRICE = (1000 + 30 * AREA + 2000 * (CITY == "Basel") + 8 * AREA * R.normal(0, 1, ROWS)).round()
PART = np.array(["train", "train", "train", "validation", "test"])[np.arange(ROWS) % 5]
FRAME = pl.DataFrame({"area": AREA, "city": CITY, "part": PART, "price": PRICE})
X, Y = (np.stack([AREA, CITY == "Bern"], axis=1) / [100, 1]).astype(np.float32), PRICE / 1000
NAMES = ("price_q0.1", "price_q0.5", "price_q0.9")
FAST = ("--hidden", "8", "--epochs", "15", "--lr", "0.01", "--dropout", "0", "--json")
FORMS = [
    {"quantiles": "0.1,0.5,0.9"},
    {"quantiles": [0.1, 0.5, 0.9]},
    {"loss": "pinball", "quantiles": "0.1, 0.5, 0.9"},
    {"loss": "pinball:0.1,0.5,0.9"},
    {"loss": "quantile:0.1,0.5,0.9", "quantiles": (0.1, 0.5, 0.9)},
    {"loss": "pinball:quantile=0.1,0.5,0.9"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("quantiles")
    FRAME.write_csv(place / "houses.csv")
    return place


def trained(folder, out, *words):
    assert main(["train", str(folder / "houses.csv"), *words, *FAST, "--out", str(folder / out)]) == 0
    return cl.load(folder / out)


@pytest.fixture(scope="module")
def run(folder):
    return trained(folder, "run", "--split", "column:part", "--quantiles", "0.1,0.5,0.9")


def judged(known, said):
    return [mean_pinball_loss(known, said[:, k], alpha=q) for k, q in enumerate(Q)]


# ---------------------------------------------------------------------------------------------- the loss, the layer
def test_the_loss_of_several_quantiles_is_the_mean_of_scikit_learns():
    said, known = R.normal(size=(20, 3)), R.normal(size=20)
    for target in (known, known[:, None], np.repeat(known[:, None], 3, axis=1)):
        assert cl.nn.pinball(said, target, quantile=Q).item() == pytest.approx(np.mean(judged(known, said)))


@pytest.mark.parametrize("asked", [(0.9, 0.1), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0), ("a", 0.5), ()])
def test_other_numbers_are_no_quantiles(asked):
    with pytest.raises(ArgumentError, match="these are no quantiles"):
        cl.nn.pinball(np.zeros((2, 2)), np.zeros(2), quantile=asked)


def test_as_many_answers_as_quantiles():
    with pytest.raises(ShapeError, match="pinball of 3 quantiles needs as many answers"):
        cl.nn.pinball(np.zeros((4, 2)), np.zeros(4), quantile=Q)
    with pytest.raises(ShapeError, match="cannot compare"):
        cl.nn.pinball(np.zeros((4, 3)), np.zeros((3, 1)), quantile=Q)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_increasing_is_the_middle_and_gaps_beside_it(size):
    x = R.normal(size=(50, size)) * 20
    y = np.asarray(cl.nn.Increasing(size)(cl.tensor(x)))
    middle = size // 2
    gaps = np.logaddexp(0.0, np.delete(x, middle, axis=1))
    wanted = np.concatenate([np.zeros((50, 1)), np.cumsum(gaps, axis=1)], axis=1)
    wanted += x[:, middle : middle + 1] - wanted[:, middle : middle + 1]
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)
    assert (np.diff(y, axis=1) >= 0).all()


def test_the_gradients_of_increasing():
    layer = cl.nn.Increasing(4)
    cl.check_grads(lambda x: cl.sum(cl.square(layer(x))), (R.normal(size=(3, 4)),), order=2)


# ------------------------------------------------------------------------------------------------------- every door
@together("given", FORMS)
def test_every_way_to_say_it_is_one_loss(given):
    asked = settings_from(given)
    assert loss_named(asked["loss"]).name == "pinball:quantile=0.1,0.5,0.9"
    assert settings_from(asked) == asked


def test_predictions_have_a_column_each_and_never_cross(run, folder, capsys):
    said = run.predict(FRAME)
    assert said.shape == (ROWS, 3)
    assert (np.diff(said, axis=1) > 0).all()
    assert run.predict(FRAME, as_given=True).columns == list(NAMES)
    capsys.readouterr()
    assert main(["predict", str(folder / "run"), str(folder / "houses.csv")]) == 0
    head, *rows = csv.reader(capsys.readouterr().out.splitlines())
    assert head == ["row", *NAMES]
    np.testing.assert_allclose(np.array(rows, dtype=float)[:, 1:], said, rtol=1e-5)


def test_measures_are_in_the_targets_unit_as_scikit_learn_has_them(run):
    held = FRAME.filter(pl.col("part") == "test")
    known, said = held["price"].to_numpy(), run.predict(held)
    each = judged(known, said)
    wanted = {"pinball": np.mean(each), "coverage": np.mean((said[:, 0] <= known) & (known <= said[:, 2]))}
    wanted |= {f"pinball[{name}]": own for name, own in zip(NAMES, each, strict=True)}
    wanted |= {f"below[{name}]": np.mean(known <= said[:, k]) for k, name in enumerate(NAMES)}
    wanted |= {"mae": mean_absolute_error(known, said[:, 1])}
    for found in (run.summary.test, run.evaluate(held)):
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)
    constant = np.quantile(FRAME.filter(pl.col("part") == "train")["price"].to_numpy(), Q)
    baseline = np.mean(judged(known, np.tile(constant, (len(known), 1))))
    assert run.summary.baseline["constant"]["pinball"] == pytest.approx(baseline, rel=1e-4)
    assert "80.0% are meant" in run.headline


@pytest.mark.parametrize("output", [None, *NAMES])
def test_explanations_add_up_in_the_unit_and_importance_is_of_one_quantile(output, run):
    place = 1 if output is None else NAMES.index(output)
    found = run.explain_prediction(7, output=output, beside=FRAME)
    assert found.predicted == pytest.approx(run.predict(FRAME)[7, place], rel=1e-5)
    assert found.start + sum(c.added for c in found.contributions) + found.rest == pytest.approx(found.predicted)
    told = run.importance(FRAME, output=output, repeats=2)
    assert told.base == pytest.approx(judged(PRICE, run.predict(FRAME))[place], rel=1e-5)
    assert told.metric == f"pinball of {NAMES[place]}"


def test_an_onnx_file_gives_them(run, folder):
    assert main(["export", str(folder / "run"), "--format", "onnx", "--out", str(folder / "run.onnx")]) == 0
    session = ReferenceEvaluator(onnx.load(folder / "run.onnx"))
    given = {"area": AREA[:, None], "city": CITY[:, None].astype(object)}
    (said,) = session.run(["value"], given)
    np.testing.assert_allclose(said, run.predict(FRAME), rtol=1e-5)


def test_the_report_shows_each(run):
    page = report_html(run)
    for name in NAMES:
        assert f"Predicted against true of {name}" in page
    assert "means over the quantiles" in page


def test_ensembles_and_folds_have_a_column_each(folder):
    run = trained(folder, "members", "--quantiles", "0.1,0.5,0.9", "--members", "2")
    said = run.predict(FRAME)
    each = [cl.load(folder / "members" / str(k)).predict(FRAME) for k in (1, 2)]
    np.testing.assert_allclose(said, np.mean(each, axis=0), rtol=1e-4)
    assert (np.diff(said, axis=1) > 0).all()
    found = cl.cross_validate(FRAME, folds=2, quantiles=[0.1, 0.9], epochs=2, hidden=4)
    assert found.heads == ("repeat", "fold", "row", "true price", "predicted price_q0.1", "predicted price_q0.9")
    assert len(found.predictions) == ROWS
    assert found.scores["coverage"].interval[1] <= 1.0


def test_streamed_rows_have_the_same_bits(run, folder, monkeypatch):
    for name in ("LEAST_MEMORY", "FIXED"):
        monkeypatch.setattr(memory, name, 0)
    other = trained(folder, "streamed", "--split", "column:part", "--quantiles", "0.1,0.5,0.9", "--memory", "160000")
    assert other.config.command["memory"] == 160_000
    np.testing.assert_array_equal(other.predict(FRAME), run.predict(FRAME))


@pytest.mark.parametrize("transform", ["log", "quantile"])
def test_quantiles_of_a_transformed_target_are_in_its_unit(transform):
    run = cl.fit(FRAME.drop("part"), quantiles=Q, target_transform=transform, epochs=5, progress=False, validation=0.2)
    said = run.predict(FRAME)
    assert (np.diff(said, axis=1) >= 0).all()
    assert run.evaluate(FRAME)["pinball"] == pytest.approx(np.mean(judged(PRICE, said)), rel=1e-4)


@pytest.mark.parametrize("y", [Y, Y[:, None]])
def test_arrays_have_them_too(y):
    run = cl.fit(cl.nn.mlp(hidden=[8]), (X, y), loss="pinball", quantiles=Q, epochs=3, progress=False)
    assert run.predict(X).shape == (ROWS, 3)
    assert run.target_names == ("q0.1", "q0.5", "q0.9")
    assert run.evaluate(X, y)["pinball"] == pytest.approx(np.mean(judged(Y, run.predict(X))), rel=1e-5)


def test_weights_of_rows_count():
    weight = R.uniform(0.1, 2, ROWS)
    run = cl.fit(cl.nn.mlp(hidden=[8]), (X, Y), quantiles=Q, sample_weight=weight, epochs=3, progress=False)
    found, said = run.evaluate(X, Y, sample_weight=weight), run.predict(X)
    each = [mean_pinball_loss(Y, said[:, k], alpha=q, sample_weight=weight) for k, q in enumerate(Q)]
    assert found["pinball"] == pytest.approx(np.mean(each), rel=1e-5)
    inside = np.average((said[:, 0] <= Y) & (said[:, 2] >= Y), weights=weight)
    assert found["coverage"] == pytest.approx(inside, rel=1e-5)


def test_the_estimator_scores_by_d2():
    features, price = FRAME.drop("part", "price"), FRAME["price"].to_numpy()
    regressor = cl.sklearn.TabularRegressor(quantiles=Q, epochs=5, hidden=8).fit(features, price)
    said = regressor.predict(features)
    assert said.shape == (ROWS, 3)
    wanted = np.mean([d2_pinball_score(price, said[:, k], alpha=q) for k, q in enumerate(Q)])
    assert regressor.score(features, price) == pytest.approx(wanted)


def test_one_quantile_is_one_answer_and_judged_by_its_own_loss():
    run = cl.fit(FRAME.drop("part"), quantiles=[0.9], metrics=("pinball",), epochs=5, progress=False)
    said = run.predict(FRAME)
    assert said.shape == (ROWS,)
    assert run.evaluate(FRAME)["pinball"] == pytest.approx(mean_pinball_loss(PRICE, said, alpha=0.9), rel=1e-5)


# ----------------------------------------------------------------------------------------------------- what is refused
REFUSED = {
    "another loss": ({"loss": "mse"}, "quantiles are learned by the pinball loss"),
    "other quantiles": ({"loss": "pinball:0.3"}, "quantiles are learned by the pinball loss"),
    "a metric of one answer": (
        {"quantiles": [0.1, 0.9], "metrics": ["r2"]},
        "r2 judges one answer a row",
    ),
    "a network that may cross": ({"model": [2, 3, 3]}, "the quantiles of this network might cross"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_learned_is_refused(case):
    given, headline = REFUSED[case]
    given = {"quantiles": Q, **given}
    model = cl.nn.mlp(given.pop("model")) if "model" in given else cl.nn.mlp(hidden=[4])
    with pytest.raises(ArgumentError, match=headline):
        cl.fit(model, (X, Y), epochs=1, progress=False, **given)


def test_an_end_of_ones_own_is_taken():
    network = cl.nn.Sequential(*cl.nn.mlp([2, 4, 3]).layers, cl.nn.Increasing(3))
    run = cl.fit(network, (X, Y), quantiles=Q, epochs=2, progress=False)
    assert (np.diff(run.predict(X), axis=1) >= 0).all()


def test_several_targets_are_one_at_a_time(folder, capsys):
    FRAME.with_columns(rent=pl.col("price") / 300).write_csv(folder / "two.csv")
    assert main(["train", str(folder / "two.csv"), "--target", "price,rent", "--quantiles", "0.1,0.9"]) == 2
    assert "does not judge several targets" in capsys.readouterr().err
    assert main(["train", str(folder / "two.csv"), "--quantiles", "0.9,0.1"]) == 2
    assert capsys.readouterr().err == (
        "these are no quantiles\n  expected  numbers above 0 and below 1 that rise\n  got       '0.9,0.1'\n"
        "  where     --quantiles\n  try       0.1,0.9\n"
    )
