"""The currency beside a target's numbers: kept, told with what is predicted, whatever the form of the source."""

import numpy as np
import polars as pl
import pytest

import clearprop as cl
from clearprop.cli import main
from clearprop.data.joint_target import unit_written
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.streaming import memory
from clearprop.data.streaming.streamed_table import stream_table

AREA = np.random.default_rng(2).normal(50, 10, 90).round(1)


def written(tmp_path, form, *names):
    prices = {name: [form(v) for v in 2000 * AREA] for name in names}
    pl.DataFrame({"area": AREA, "b": AREA[::-1], **prices}).write_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv"


@pytest.mark.parametrize(
    ("form", "unit"),
    [
        (lambda v: f"{v:.0f} €", "€"),
        (lambda v: f"${v:,.2f}", "$"),
        (lambda v: f"CHF {v:.2f}", "CHF"),
        (lambda v: f"£{v / 1000:.1f}k", "£"),
        (lambda v: f"{v / 1e6:.4f} %", ""),
        (lambda v: f"{v:.2f}", ""),
    ],
)
def test_the_currency_of_the_target_is_told(form, unit, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, form, "price")
    assert main(["train", "t.csv", "--epochs", "3", "--hidden", "4", "--target", "price", "--out", "r"]) == 0
    run, told = cl.load("r"), capsys.readouterr().out
    assert unit_written(run.preprocessing.target) == unit
    assert (f" {unit} on average" if unit else " on average") in run.headline
    assert f", in {unit}" in told if unit else ", in " not in run.preprocessing.target.encoding
    assert main(["predict", "r", str(path)]) == 0
    assert ("price is predicted in" in capsys.readouterr().err) == bool(unit)
    assert run.explain_prediction(0).answer == (f"price ({unit})" if unit else "price")
    assert main(["report", "r"]) == 0
    page = (tmp_path / "r/report.html").read_text(encoding="utf-8")
    assert (f"predicted price, {unit}" in page) == bool(unit)
    text = (tmp_path / "r/preprocessing.json").read_text(encoding="utf-8")
    assert ('"unit"' in text) == bool(unit) and Preprocessing.from_json(text, "r").target == run.preprocessing.target
    monkeypatch.setattr(memory, "LEAST_MEMORY", 1)
    monkeypatch.setattr(memory, "FIXED", 0)
    streamed = stream_table(path, "t", "price", "auto", 0.2, 0.0, 0, 10**6).preprocessing
    assert streamed.target.unit == unit


def test_several_targets_have_their_own(tmp_path):
    path = written(tmp_path, lambda v: f"€{v:.0f}", "low", "high")
    run = cl.fit(cl.nn.mlp(hidden=[4]), path, target="low,high", epochs=2, progress=False)
    assert [unit_written(run.preprocessing.target, k) for k in (0, 1)] == ["€", "€"]
    assert run.explain_prediction(0, output="high").answer == "high (€)"
