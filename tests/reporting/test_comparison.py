"""Runs side by side: their results, their differences, and a page with their curves."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import clearprop as cl
from clearprop.cli import main as command
from clearprop.reporting.runs_side_by_side import comparison_html, curves, differences, remarks, results
from clearprop.train import job
from clearprop.train.executor import eager_executor
from tests.reporting.axe import violations


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 3)).astype(np.float32), np.arange(40) % 2
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "choose_executor", eager_executor)
        first = cl.fit(cl.nn.mlp([3, 4, 2], seed=0), (x, y), epochs=3, validation=0.25, out=folder / "a")
        return first, first.fork(2, {"learning_rate": 0.1, "epochs": 4}, out=folder / "b")


def test_tables(runs):
    heads, rows = results(runs)
    assert heads == ["run", "status", "best epoch", "steps", "seconds", "val loss"]
    assert [row[:4] for row in rows] == [["a", "done", "3", "3"], ["b", "done", rows[1][2], "4"]]
    heads, rows = differences(runs)
    assert heads == ["setting", "a", "b"]
    assert rows == [
        ["optimizer's learning_rate", "0.001", "0.1"],
        ["epochs", "3", "4"],
        ["forked from", "", f"{runs[0].folder} at step 2"],
    ]
    assert remarks(runs) == ["all runs have one seed: a difference as small as that between seeds says little"]
    assert [len(line.x) for line in curves(runs, "validation")] == [3, 4]


def test_the_page_loads_and_runs_nothing(runs):
    page = comparison_html(runs)
    ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    assert not re.search(r"<script|<link|<img|<iframe|\son\w+=|https?:|@import|url\(", page)
    assert page.count('<svg class="chart"') == 2


@pytest.mark.verify
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_passes_the_rules_of_axe(scheme, runs, tmp_path):
    assert violations(comparison_html(runs), scheme, tmp_path) == []


def test_the_command_line(runs, tmp_path, capsys):
    a, b = (str(run.folder) for run in runs)
    assert command(["compare", a, b, "--out", str(tmp_path / "new")]) == 0
    told = capsys.readouterr().out
    assert "optimizer's learning_rate" in told and "comparison.html" in told
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "comparison.html", "results.json",
        "training-loss.png", "training-loss.svg", "validation-loss.png", "validation-loss.svg",
    ]  # fmt: skip
    assert command(["compare", a, b, "--json"]) == 0
    assert [entry["run"] for entry in json.loads(capsys.readouterr().out)] == ["a", "b"]
    assert command(["compare", a]) == 2
    assert (
        capsys.readouterr().err
        == f"""\
one run is nothing to compare
  expected  two runs or more, or DATA to compare optimizers on
  got       {a}
  where     RUN
  try       clearprop report {a}
"""
    )
    assert command(["compare", a, b + "x"]) == 2
    assert capsys.readouterr().err.startswith(f"{b + 'x'!r} is no run folder")
