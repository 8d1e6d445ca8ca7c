"""The training row of the results is measured as validation and test are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import clearprop as cl
from clearprop.reporting import report_html
from clearprop.train import baselines

RNG = np.random.default_rng(11)
X = RNG.normal(size=(120, 3))
Y = X @ np.array([[1.0], [-2.0], [0.5]]) + 0.1 * RNG.normal(size=(120, 1))
WEIGHT = RNG.uniform(0.5, 2.0, size=120)


def trained(data, **options):
    model = cl.nn.mlp([3, 16, 1], dropout=0.5, seed=0)
    return cl.fit(model, data, epochs=3, batch_size=32, progress=False, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained((X, Y), validation=0.25, seed=4, out=tmp_path_factory.mktemp("runs") / "r")


def test_without_dropout(run):
    x, y = run.workings.plan().data.train
    assert run.results["training"] == run.evaluate(x, y)
    assert run.summary.train_rows == len(x) == 90 and run.about_training is None
    assert run.results["training"] != next(e for e in run.history if e["epoch"] == run.summary.best_epoch)["train"]
    assert set(run.results["training"]) == set(run.results["validation"])
    assert cl.load(run.folder).summary == run.summary


def test_by_weight():
    run = trained((X, Y), sample_weight=WEIGHT)
    error = ((run.predict(X).reshape(-1) - Y[:, 0]) ** 2) @ WEIGHT / WEIGHT.sum()
    assert run.results["training"]["loss"] == pytest.approx(error, rel=1e-5)


def test_a_sample_of_many_rows(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_ROWS", 50)
    run = trained((X, Y))
    rows = np.linspace(0, 119, 50).astype(int)
    assert run.results["training"] == run.evaluate(X[rows], Y[rows])
    assert run.about_training == "training: measured on 50 of 120 rows, evenly spread"
    assert run.about_training in run._repr_html_() and run.about_training in report_html(run)


def test_batches_that_cannot_be_read_again():
    run = trained([(X, Y)])
    assert run.summary.train_rows is None and run.results["training"] == run.history[-1]["train"]
    assert "in training mode" in run.about_training


def test_a_folder_of_an_earlier_version(run, tmp_path):
    file = run.folder / "summary.json"
    stored = json.loads(file.read_text())
    del stored["train_rows"]
    file.write_text(json.dumps(stored))
    old = cl.load(run.folder)
    assert old.summary == replace(run.summary, train_rows=None)
    assert "in training mode" in old.about_training
