"""The report of a run: self-contained, accessible in light and dark, true, and made for failed runs, too."""

import re
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import clearprop as cl
from clearprop.reporting import report_html
from clearprop.reporting.numbers import (
    calibration,
    confusion,
    count_labels,
    held_rows,
    losses_by_row,
    sizes_over_time,
    spread_steps,
)
from clearprop.runs.events import measure_text
from clearprop.train import job
from clearprop.train.executor import eager_executor
from tests.reporting.axe import violations


def _classes(**options):
    rng = np.random.default_rng(1)
    y = np.arange(60) % 3
    x = (rng.normal(size=(60, 4)) + y[:, None]).astype(np.float32)
    settings = {"epochs": 3, "batch_size": 15, "validation": 0.25, "metrics": ("accuracy",), **options}
    return cl.fit(cl.nn.mlp([4, 5, 3], seed=0), (x, y), **settings)


def _numbers():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [2.0], [-1.0]], np.float32)
    return cl.fit(cl.nn.mlp([3, 4, 1], seed=0), (x, y), loss="mse", epochs=3, validation=0.25)


def _labels():
    """Three labels, of which a row may have none and all; the last is nowhere."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    y = np.stack([x[:, 0] > 0, x[:, 1] > 0.5, np.zeros(60)], axis=1).astype(np.float32)
    return cl.fit(cl.nn.mlp([3, 4, 3], seed=0), (x, y), loss="binary_cross_entropy", epochs=4, validation=0.25)


def _failed():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 3)).astype(np.float32), rng.normal(size=(40, 1)).astype(np.float32)
    with np.errstate(all="ignore"):
        return cl.fit(cl.nn.mlp([3, 4, 1]), (x, y), loss="mse", epochs=9, optimizer=cl.optim.sgd(1e9))


RUNS = {"classes": _classes, "numbers": _numbers, "labels": _labels, "failed": _failed}


@pytest.fixture(scope="module")
def runs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "choose_executor", eager_executor)
        made = {name: make() for name, make in RUNS.items()}
        return {name: (run, report_html(run)) for name, run in made.items()}


@pytest.mark.parametrize("name", RUNS)
def test_it_is_well_formed_and_loads_and_runs_nothing(name, runs):
    page = runs[name][1]
    root = ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    assert len(root.findall(".//h1")) == 1
    assert not re.search(r"<script|<link|<img|<iframe|\son\w+=|https?:|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page and "@media print" in page
    headings = [h.text for h in root.findall(".//h2")]
    assert headings == [
        "How it ended", "Data", "Network", "Training", "What it gets right and wrong", "What it hangs on",
        "Worst misses", "Sizes of gradients and updates", "How to repeat it", "Environment",
    ]  # fmt: skip
    assert all(svg.attrib.get("aria-label") for svg in root.iter("svg") if svg.attrib.get("role") == "img")


def test_what_charts_and_results_say(runs):
    """The best epoch is marked, axes name the target, and numbers have as many digits as on the terminal."""
    run, page = runs["numbers"]
    best = run.summary.best_epoch
    figures = re.findall(r"<figure>.*?</figure>", page, flags=re.DOTALL)
    by_epoch = [figure for figure in figures if ">epoch</text>" in figure]
    assert by_epoch and all(f"best epoch, {best}</li>" in figure for figure in by_epoch)
    target = run.preprocessing.target.name if run.preprocessing else "target"
    for name in (f"true {target}", f"predicted {target}", f"residual of {target}"):
        assert f">{name}</text>" in page
    for name, value in run.results["training"].items():
        assert f'<td class="number">{measure_text(name, value)}</td>' in page


def test_a_failed_run_says_so(runs):
    run, page = runs["failed"]
    assert run.status == "diverged"
    assert '<p class="bad">The run failed: its loss is no longer finite.' in page
    assert ("the parameters that it began with" in page) == (not run.summary.best_epoch)
    assert ("the parameters of the best epoch" in page) == bool(run.summary.best_epoch)
    assert page.count("Not shown: the network&#x27;s outputs are not finite.") in (0, 2)


def test_a_killed_run_has_a_page(tmp_path, runs):
    folder = runs["classes"][0].save(tmp_path / "run")
    summary = folder / "summary.json"
    summary.write_text(summary.read_text().replace('"status": "done"', '"status": "running"'))
    assert "The run was killed; it can be resumed from its newest checkpoint." in report_html(cl.load(folder))


def test_a_run_whose_data_are_not_at_hand_says_so(tmp_path, runs):
    folder = runs["classes"][0].save(tmp_path / "run")
    page = report_html(cl.load(folder))
    assert page.count("Not shown: the data of this run are not at hand.") == 4
    assert '<svg class="chart"' in page


def test_the_columns_are_told_by_what_they_are_worth(runs):
    run, page = runs["numbers"]
    rows = ET.fromstring(page.removeprefix("<!DOCTYPE html>\n")).find(".//section[@id='what-it-hangs-on']").iter("tr")
    shown = [["".join(cell.itertext()) for cell in row] for row in rows][1:]
    held = run.workings.plan().data.validation
    found = run.importance(*held, repeats=5)
    assert shown == [list(cells) for cells in found.cells]


VERIFIED = [(name, scheme, True) for name in RUNS for scheme in ("light", "dark")]


@pytest.mark.parametrize(
    "name, scheme, opened",
    [
        ("failed", "light", False),
        ("classes", "dark", False),
        *(pytest.param(*v, marks=pytest.mark.verify) for v in VERIFIED),
    ],
)
def test_it_passes_the_rules_of_axe(name, scheme, opened, runs, tmp_path):
    """In `make test` the explanations are folded: they are pages of their own there."""
    page = runs[name][1].replace("<details>", "<details open='open'>" if opened else "<details>")
    assert violations(page, scheme, tmp_path) == []


# --------------------------------------------------------------------------------------------------- its numbers
def test_confusions_calibration_and_losses_are_true(runs):
    run = runs["classes"][0]
    data = run.workings.job().data
    held = held_rows(run, data, data.train)
    x, y = data.validation
    said = run.predict(x)
    counts = confusion(held)
    assert counts.sum() == len(y)
    assert all(counts[i, j] == np.sum((y == i) & (said == j)) for i in range(3) for j in range(3))
    bins, error = calibration(held)
    sure = run.probabilities(x).max(axis=1)
    assert sum(b.rows for b in bins) == len(y)
    assert sum(b.rows * b.confidence for b in bins) == pytest.approx(sure.sum(), rel=1e-6)
    assert sum(b.rows * b.right for b in bins) == pytest.approx(np.sum(said == y))
    assert 0 <= error <= 1
    assert losses_by_row(held).mean() == pytest.approx(run.evaluate(x, y)["loss"], rel=1e-5)


def test_labels_that_are_answered_for_themselves(runs):
    run, page = runs["labels"]
    data = run.workings.job().data
    held = held_rows(run, data, data.train)
    x, y = data.validation
    said = run.probabilities(x) > 0.5
    for k, label in enumerate(count_labels(held)):
        both = (said[:, k] & (y[:, k] == 1)).sum()
        assert (label.rows, label.said, label.both) == (y[:, k].sum(), said[:, k].sum(), both)
        assert label.right == pytest.approx(np.mean(said[:, k] == y[:, k]))
    assert losses_by_row(held).mean() == pytest.approx(run.evaluate(x, y)["loss"], rel=1e-5)
    assert "labels, each answered for itself" in page and "taken to have" in page
    assert "Calibration" not in page and "taken for" not in page


def test_sizes_are_those_of_the_steps(runs):
    run = runs["classes"][0]
    sizes = sizes_over_time(run, run.workings.plan())
    assert [s.step for s in sizes] == spread_steps(1, run.steps)
    for s in (sizes[0], sizes[-1]):
        before, after = run.replay(s.step - 1).model.parameters(), run.replay(s.step).model.parameters()
        for name, value in after.items():
            moved = np.asarray(value.value, float) - np.asarray(before[name].value, float)
            assert s.updates[name] == pytest.approx(np.sqrt(np.mean(moved**2)), rel=1e-12)
        gradient = cl.explain(run, next(iter(s.gradients)), step=s.step).gradient
        assert s.gradients[next(iter(s.gradients))] == pytest.approx(np.sqrt(np.mean(gradient**2)), rel=1e-5)


def test_spread_steps():
    assert spread_steps(1, 3) == [1, 2, 3]
    assert spread_steps(5, 4) == []
    assert spread_steps(101, 1100)[0::7] == [101, 1100]


def test_the_command_line_writes_it(tmp_path, runs, capsys):
    from clearprop.cli import main

    folder, plots = runs["classes"][0].save(tmp_path / "run"), tmp_path / "plots"
    assert main(["report", str(folder), "--plots", str(plots)]) == 0
    assert capsys.readouterr().out == f"written: {folder / 'report.html'}\nwritten: 4 plots in {plots}\n"
    assert sorted(p.name for p in plots.iterdir()) == [
        "accuracy.png", "accuracy.svg", "loss.png", "loss.svg"
    ]  # fmt: skip
    assert main(["report", str(folder), "--plots", str(plots)]) == 2
    assert (
        capsys.readouterr().err
        == f"""\
the folder {str(plots)!r} is not empty
  expected  a new folder, or an empty one
  got       a folder that holds 'accuracy.png' and possibly more
  where     --plots {plots}
  try       another name
"""
    )
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert main(["report", str(folder), "-o", str(folder / "report.html")]) == 2
    shutil.rmtree(folder)
    assert main(["report", str(folder)]) == 2
