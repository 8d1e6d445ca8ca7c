"""Every loss that has a name, at every door: it trains, predicts in the target's unit, stands beside baselines."""

import numpy as np
import polars as pl
import pytest

import clearprop as cl
from clearprop.cli import main
from clearprop.errors import ClearpropError
from clearprop.nn import CLASS_LOSSES, NUMBER_LOSSES

RNG = np.random.default_rng(8)
X = RNG.normal(size=(160, 2))
SIZE = 1000 * np.exp(0.3 * X[:, 0] + 0.1 * RNG.normal(size=160))
TABLE = pl.DataFrame(
    {
        "a": X[:, 0],
        "b": X[:, 1],
        "price": [f"€{v:.0f}" for v in SIZE],
        "kind": np.where(X[:, 0] > 0, "dear", "cheap"),
    }
)
NUMBERS = ("mse", "mae", "huber:2", "log_cosh", "poisson", "tweedie:1.5", "pinball:0.9", "quantile:0.1,0.5,0.9")
NORMAL = ("gaussian_nll", "gaussian_nll:0.5")
CLASSES = ("cross_entropy", "cross_entropy:label_smoothing=0.1", "focal")
LOSSES = [*((loss, "price") for loss in (*NUMBERS, *NORMAL)), *((loss, "kind") for loss in CLASSES)]
PART = ("tweedie:1.5", "quantile:0.1,0.5,0.9", "gaussian_nll", "focal")
TRIED = [pytest.param(*case, marks=[pytest.mark.verify] * (case[0] not in PART)) for case in LOSSES]
"""Each case trains and writes a report: of those that have ways of their own one is tried always."""
EPOCHS = 25
"""So many that a network which began at the mean of the target, or at equal chances, is beside it no more."""


def test_no_loss_that_a_table_can_have_is_left_out():
    known = {loss.partition(":")[0].replace("quantile", "pinball") for loss, _ in LOSSES}
    assert known == ({*NUMBER_LOSSES, *CLASS_LOSSES} - {"binary_cross_entropy"})


def require_sound(run, said, loss, target):
    """Answers are in the unit of the target, and the run knows what it stands beside."""
    assert run.config.settings.loss.partition(":")[0] in loss.replace("quantile", "pinball")
    beside = run.summary.baseline
    assert (
        set(beside) >= {"constant", "linear"} and np.isfinite([beside[n]["loss"] for n in ("constant", "linear")]).all()
    )
    assert run.headline and repr(target) in run.headline
    if target == "kind":
        assert np.mean(said == TABLE["kind"].to_numpy()) > 0.8
        return
    assert "€" in run.headline or loss.startswith(("pinball", "quantile"))
    middle = said[:, 1] if said.ndim == 2 else said
    assert 700 < np.median(middle) < 1700 and np.corrcoef(middle, SIZE)[0, 1] > 0.8
    if said.ndim == 2:
        assert (np.diff(said, axis=1) >= 0).all()


@pytest.mark.parametrize(("loss", "target"), TRIED)
def test_cl_fit_and_the_estimator(loss, target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TABLE.write_csv("t.csv")
    run = cl.fit(
        cl.nn.mlp(hidden=[8]), "t.csv", target=target, loss=loss, validation=0.2, epochs=EPOCHS,
        optimizer=cl.optim.adam(1e-2), baseline=True, progress=False,
    )  # fmt: skip
    require_sound(run, np.asarray(run.predict("t.csv")), loss, target)
    features = TABLE[:, :2].with_columns(mark=TABLE["kind" if target == "price" else "price"])
    estimator = cl.sklearn.TabularClassifier if target == "kind" else cl.sklearn.TabularRegressor
    asked = {"quantiles": loss.partition(":")[2]} if "," in loss else {"loss": loss}
    found = estimator(hidden=8, epochs=EPOCHS, learning_rate=1e-2, baseline=True, **asked)
    y = TABLE["kind"] if target == "kind" else pl.Series("price", SIZE)
    said = np.asarray(found.fit(features, y).predict(features))
    assert said.shape == ((160, 3) if "," in loss or loss in NORMAL else (160,))
    least = -1.0 if "quantile" in loss or "pinball" in loss else 0.4
    assert found.run_.headline and found.score(features, y) > least


@pytest.mark.parametrize(("loss", "target"), TRIED)
def test_the_command_line(loss, target, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    TABLE.write_csv("t.csv")
    quick = ("--hidden", "8", "--epochs", str(EPOCHS), "--lr", "0.01", "--out", "r")
    assert main(["train", "t.csv", "--target", target, "--loss", loss, *quick]) == 0
    told = capsys.readouterr().out
    assert "constant" in told and "linear" in told
    assert main(["predict", "r", "t.csv", "-o", "p.csv"]) == 0
    heard = capsys.readouterr()
    run, rows = cl.load("r"), pl.read_csv("p.csv")
    said = rows.select([name for name in rows.columns if name.startswith(target)]).to_numpy()
    require_sound(run, said if said.shape[1] > 1 else said[:, 0], loss, target)
    assert ("price is predicted in €" in heard.err) == (target == "price")
    assert main(["evaluate", "r", "t.csv"]) == 0 and "loss" in capsys.readouterr().out
    assert main(["report", "r"]) == 0
    page = (tmp_path / "r/report.html").read_text(encoding="utf-8")
    assert run.headline.split("'")[0] in page and ("predicted price" in page or "price_q" in page or target == "kind")
    assert ", €" in page or target == "kind"


# ------------------------------------------------------------------------------------- losses that are functions alone
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
SHARES = np.eye(3)[LABELS] * 0.7 + 0.1
YES = (X[:, :1] > 0).astype(int)


def outputs_of(size, *behind):
    return cl.nn.Sequential(*cl.nn.mlp([2, 8, size]).layers, *behind)


FUNCTIONS = {
    "nll": (cl.nn.nll, outputs_of(3, cl.log_softmax), LABELS),
    "kl_divergence": (cl.nn.kl_divergence, outputs_of(3, cl.log_softmax), SHARES),
    "multi_margin": (cl.nn.multi_margin, outputs_of(3), LABELS),
    "hinge": (cl.nn.hinge, outputs_of(1), YES),
    "cosine_distance": (cl.nn.cosine_distance, outputs_of(2), X),
    "contrastive": (lambda z, alike: cl.nn.contrastive(z[:, :2], z[:, 2:], alike), outputs_of(4), YES[:, 0]),
    "triplet": (lambda z, y: cl.nn.triplet(z[:, :2], z[:, 2:4], z[:, 4:]) + 0 * cl.sum(y), outputs_of(6), X[:, 0]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_losses_that_are_functions_train_and_are_refused_by_name(name, tmp_path, monkeypatch, capsys):
    function, model, y = FUNCTIONS[name]
    run = cl.fit(model, (X, y), loss=function, epochs=15, optimizer=cl.optim.adam(1e-2), progress=False)
    assert run.history[-1]["train"]["loss"] < 0.9 * run.history[0]["train"]["loss"]
    outputs = run.predict(X)
    wanted = function(outputs if outputs.ndim > 1 else outputs[:, None], y)
    assert run.evaluate(X, y)["loss"] == pytest.approx(float(wanted), rel=1e-4)
    monkeypatch.chdir(tmp_path)
    TABLE.write_csv("t.csv")
    assert main(["train", "t.csv", "--loss", name, "--out", "r"]) == 2
    assert f"{name} is no loss by name" in capsys.readouterr().err and not (tmp_path / "r").exists()
    with pytest.raises(ClearpropError, match=f"{name} is no loss by name"):
        cl.sklearn.TabularRegressor(loss=name).fit(TABLE[:, :2], SIZE)


BAD_LAST = {
    "nll": (cl.nn.nll, outputs_of(3, cl.log_softmax), np.append(LABELS[:-1], 3), "nll got a label outside its range"),
    "multi_margin": (cl.nn.multi_margin, outputs_of(3), np.append(LABELS[:-1], -1), "multi_margin got a label"),
    "hinge": (cl.nn.hinge, outputs_of(1), 2 * YES - 1, "hinge got a label outside its range"),
    "kl_divergence": (cl.nn.kl_divergence, outputs_of(3, cl.log_softmax), SHARES * 2, "got a share outside"),
    "nll of logits": (cl.nn.nll, outputs_of(3), LABELS, "nll takes logarithms of probabilities"),
    "kl of logits": (cl.nn.kl_divergence, outputs_of(3), SHARES, "kl_divergence takes logarithms of probabilities"),
}


@pytest.mark.parametrize("case", BAD_LAST)
def test_targets_and_outputs_that_do_not_suit_are_refused_before_anything_is_written(case, tmp_path):
    function, model, y, headline = BAD_LAST[case]
    with pytest.raises(ClearpropError, match=headline):
        cl.fit(model, (X, y), loss=function, epochs=1, batch_size=16, progress=False, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
