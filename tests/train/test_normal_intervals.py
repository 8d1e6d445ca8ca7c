"""A mean and a deviation learned by `gaussian_nll`: the mean and the ends of an interval at every door."""

import csv

import numpy as np
import onnx
import polars as pl
import pytest
from onnx.reference import ReferenceEvaluator
from scipy.stats import norm

import clearprop as cl
from clearprop.cli import main
from clearprop.errors import ArgumentError, ShapeError
from clearprop.reporting import report_html

ROWS = 400
R = np.random.default_rng(12)
AGE = R.uniform(0, 4, ROWS).round(3)
DEVIATION = 20 + 60 * AGE
PRICE = (1000 + 300 * AGE + DEVIATION * R.normal(size=ROWS)).round()
PART = np.array(["train", "train", "train", "validation", "test"])[np.arange(ROWS) % 5]
FRAME = pl.DataFrame({"age": AGE, "part": PART, "price (EUR)": PRICE})
X, Y = AGE[:, None].astype(np.float32), PRICE / 1000
NAMES = tuple(f"price (EUR)_q{q}" for q in ("0.05", "0.5", "0.95"))
Z90, Z50 = norm.ppf(0.95), norm.ppf(0.75)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("normal")
    FRAME.write_csv(place / "houses.csv")
    quick = ("--hidden", "8", "--epochs", "150", "--lr", "0.02", "--dropout", "0", "--json")
    words = ("--split", "column:part", "--loss", "gaussian_nll", *quick, "--out", str(place / "run"))
    assert main(["train", str(place / "houses.csv"), *words]) == 0
    return place


@pytest.fixture(scope="module")
def run(folder):
    return cl.load(folder / "run")


# ---------------------------------------------------------------------------------------------- the loss, the layer
@pytest.mark.parametrize("share", [0.9, 0.5, 0.02, 0.999])
@pytest.mark.parametrize("lead", [(7,), (1,), (2, 3)])
def test_loss_and_layer_are_the_density_of_scipy(lead, share):
    z, y = R.normal(size=(*lead, 2)) * 3, R.normal(size=lead)
    mean, deviation = z[..., 0], np.logaddexp(0.0, z[..., 1] + 2) + 1e-3
    said = cl.nn.NormalInterval(share)(z)
    ends = norm.interval(share, loc=mean, scale=deviation)
    np.testing.assert_allclose(said, np.stack([ends[0], mean, ends[1]], axis=-1), rtol=1e-10)
    wanted = -norm.logpdf(y, mean, deviation) - 0.5 * np.log(2 * np.pi)
    for target in (y, y[..., None]):
        found = cl.nn.gaussian_nll(said, target, interval=share, reduction="none")
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
    np.testing.assert_allclose(found, cl.nn.gaussian_nll(mean, y, deviation**2, reduction="none"), rtol=1e-9)


def test_both_orders_of_derivatives():
    layer, y = cl.nn.NormalInterval(0.8), R.normal(size=5)
    cl.check_grads(lambda z: cl.nn.gaussian_nll(layer(z), y, interval=0.8), (R.normal(size=(5, 2)),), order=2)


@pytest.mark.parametrize("share", [0.0, 1.0, -1, "a", None, np.nan])
def test_a_share_lies_between_0_and_1(share):
    with pytest.raises(ArgumentError, match="an interval is a share"):
        cl.nn.NormalInterval(share)
    with pytest.raises(ArgumentError, match="an interval is a share"):
        cl.nn.gaussian_nll(np.zeros((2, 3)), np.zeros(2), interval=share)


def test_without_a_variance_there_are_three_numbers():
    for shape in ((2,), (2, 2), ()):
        with pytest.raises(ShapeError, match="gaussian_nll needs a variance"):
            cl.nn.gaussian_nll(np.zeros(shape), np.zeros(2))
    with pytest.raises(ShapeError, match="cannot compare"):
        cl.nn.gaussian_nll(np.zeros((4, 3)), np.zeros((3, 1)))


# ------------------------------------------------------------------------------------------------------- every door
def test_predictions_are_the_mean_and_the_ends(run, folder, capsys):
    said = run.predict(FRAME)
    assert run.predict(FRAME, as_given=True).columns == list(NAMES)
    np.testing.assert_allclose(said[:, 1] - said[:, 0], said[:, 2] - said[:, 1], rtol=1e-5)
    assert np.corrcoef(said[:, 1], 1000 + 300 * AGE)[0, 1] > 0.98
    learned = (said[:, 2] - said[:, 1]) / Z90
    assert np.corrcoef(learned, DEVIATION)[0, 1] > 0.9 and 0.7 < np.mean(learned / DEVIATION) < 1.4
    capsys.readouterr()
    assert main(["predict", str(folder / "run"), str(folder / "houses.csv")]) == 0
    head, *rows = csv.reader(capsys.readouterr().out.splitlines())
    assert head == ["row", *NAMES]
    np.testing.assert_allclose(np.array(rows, dtype=float)[:, 1:], said, rtol=1e-5)


def test_measures_and_baselines_are_those_of_normal_distributions(run):
    held = FRAME.filter(pl.col("part") == "test")
    known, said = held["price (EUR)"].to_numpy(), run.predict(held)
    learned = FRAME.filter(pl.col("part") == "train")
    age, price = learned["age"].to_numpy(), learned["price (EUR)"].to_numpy()
    scale = price.std()

    def loss(mean, deviation):
        return np.mean(-norm.logpdf(known, mean, deviation)) - 0.5 * np.log(2 * np.pi) - np.log(scale)

    wanted = loss(said[:, 1], (said[:, 2] - said[:, 0]) / (2 * Z90))
    for found in (run.summary.test, run.evaluate(held)):
        assert found["loss"] == pytest.approx(wanted, abs=1e-4)
        assert found["mae"] == pytest.approx(np.abs(known - said[:, 1]).mean(), rel=1e-5)
        assert found["coverage"] == np.mean((said[:, 0] <= known) & (known <= said[:, 2]))
    beside = run.summary.baseline
    assert beside["constant"]["loss"] == pytest.approx(loss(price.mean(), scale), abs=1e-3)
    slope, start = np.polyfit(age, price, 1)
    line, spread = slope * held["age"].to_numpy() + start, np.std(price - slope * age - start)
    assert beside["linear"]["loss"] == pytest.approx(loss(line, spread), abs=0.02)  # which has a small penalty
    assert run.headline.startswith("In 80 test rows the means of 'price (EUR)' are off by ")
    assert "EUR on average, and with their deviations have the loss" in run.headline
    assert run.headline.split(":")[1].startswith(" better than both. Between the ends lie")
    assert "90.0% are meant." in run.headline


def test_explained_exported_reported(run, folder):
    for output, place in ((None, 1), (NAMES[0], 0)):
        found = run.explain_prediction(7, output=output, beside=FRAME)
        assert found.predicted == pytest.approx(run.predict(FRAME)[7, place], rel=1e-5)
        assert found.start + sum(c.added for c in found.contributions) + found.rest == pytest.approx(found.predicted)
    assert main(["check", str(folder / "run")]) == 0
    assert main(["export", str(folder / "run"), "--format", "onnx", "--out", str(folder / "run.onnx")]) == 0
    session = ReferenceEvaluator(onnx.load(folder / "run.onnx"))
    (said,) = session.run(["value"], {"age": AGE[:, None]})
    np.testing.assert_allclose(said, run.predict(FRAME), rtol=1e-5)
    page = report_html(run)
    assert all(f"Predicted against true of {name}" in page for name in NAMES)
    assert main(["evaluate", str(folder / "run"), str(folder / "houses.csv")]) == 0


@pytest.mark.parametrize("y", [Y, Y[:, None]])
@pytest.mark.parametrize("loss", [cl.nn.gaussian_nll, "gaussian_nll:interval=0.5,least=1e-4", "gaussian_nll:0.5"])
def test_arrays_have_them_too(loss, y):
    run = cl.fit(cl.nn.mlp(hidden=[8]), (X, y), loss=loss, epochs=3, progress=False)
    low, mean, high = run.predict(X).T
    share = 0.5 if isinstance(loss, str) else 0.9
    deviation = (high - low) / (2 * norm.ppf(0.5 + share / 2))
    deviation = np.maximum(deviation, 1e-2 if "least" in str(loss) else 1e-3)  # the root of the least variance
    wanted = np.mean(-norm.logpdf(Y, mean, deviation)) - 0.5 * np.log(2 * np.pi)
    assert run.evaluate(X, y)["loss"] == pytest.approx(wanted, rel=1e-4)


def test_weights_of_rows_and_a_transform():
    weight = R.uniform(0.1, 2, ROWS)
    run = cl.fit(cl.nn.mlp(hidden=[8]), (X, Y), loss="gaussian_nll", sample_weight=weight, epochs=3, progress=False)
    low, mean, high = run.predict(X).T
    each = -norm.logpdf(Y, mean, (high - low) / (2 * Z90)) - 0.5 * np.log(2 * np.pi)
    found = run.evaluate(X, Y, sample_weight=weight)["loss"]
    assert found == pytest.approx(np.average(each, weights=weight), rel=1e-4)
    run = cl.fit(FRAME.drop("part"), loss="gaussian_nll", target_transform="log", epochs=3, progress=False)
    said = run.predict(FRAME)
    assert said.shape == (ROWS, 3) and (np.diff(said, axis=1) >= 0).all() and said.max() <= PRICE.max()


def test_ends_of_ones_own_network():
    ends = cl.nn.NormalInterval(0.5)
    network = cl.nn.Sequential(*cl.nn.mlp([1, 4, 2]).layers, ends)
    run = cl.fit(network, (X, Y), loss="gaussian_nll:0.5", epochs=2, progress=False)
    assert run.predict(X).shape == (ROWS, 3)
    for model in (network, cl.nn.mlp([1, 4, 2]), cl.nn.mlp([1, 4, 3])):  # of another share; without ends
        with pytest.raises(ArgumentError, match=r"a network that ends with cl.nn.NormalInterval\(0.9\)"):
            cl.fit(model, (X, Y), loss="gaussian_nll", epochs=1, progress=False)


def test_what_has_no_mean_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kind = pl.when(pl.col("age") > 2).then(pl.lit("old")).otherwise(pl.lit("new"))
    two = FRAME.drop("part").with_columns(kind=kind, rent=pl.col("price (EUR)") / 300)
    two.write_csv("two.csv")
    for words, said in (
        (("--target", "kind"), "must hold numbers"),
        (("--target", "price (EUR),rent"), "gaussian_nll does not judge several targets"),
        (("--target", "rent", "--quantiles", "0.1,0.9"), "quantiles are learned by the pinball loss"),
        (("--target", "rent", "--threshold", "auto"), "gaussian_nll"),
    ):
        assert main(["train", "two.csv", "--loss", "gaussian_nll", *words, "--out", "r"]) == 2
        assert said in capsys.readouterr().err
    assert main(["train", "two.csv", "--target", "rent", "--loss", "gaussian_nll:1.5", "--out", "r"]) == 2
    assert capsys.readouterr().err.startswith("an interval is a share\n  expected  0 < interval < 1 (default 0.9)\n")
    assert not (tmp_path / "r").exists()


def test_a_function_of_the_users_by_that_name_is_the_loss():
    def gaussian_nll(outputs, y):
        return cl.nn.mse(outputs[..., 0], y)

    x = np.linspace(-1, 1, 40)[:, None]
    run = cl.fit(cl.nn.mlp(hidden=[4]), (x, x[:, 0]), loss=gaussian_nll, epochs=1, progress=False)
    assert np.asarray(run.predict(x)).shape == (40,)
    assert run.config.settings.loss == "gaussian_nll (own)"


@pytest.mark.parametrize("loss", ["gaussian_nll:least=0.01, interval = 0.5", cl.nn.loss_named("gaussian_nll:0.5")])
def test_the_network_has_the_interval_of_the_loss_however_it_is_said(loss):
    x = np.linspace(-1, 1, 40)[:, None]
    run = cl.fit(cl.nn.mlp(hidden=[4]), (x, x[:, 0]), loss=loss, epochs=1, progress=False)
    assert run.model.layers[-1].share == 0.5


@pytest.mark.parametrize("loss", ["gaussian_nll:abc", "pinball:abc"])
def test_what_is_no_setting_is_refused(loss):
    with pytest.raises(cl.errors.ClearpropError):
        cl.fit(cl.nn.mlp(hidden=[4]), (np.ones((9, 1)), np.ones(9)), loss=loss, epochs=1, progress=False)
