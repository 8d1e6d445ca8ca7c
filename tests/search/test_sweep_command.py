"""`clearprop sweep`: what is printed, what is written, and mistakes; job arrays; a terminal of 80 columns."""

import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.console import Console

from clearprop.cli import sweep_session
from clearprop.cli.sweep_display import SweepDisplay
from clearprop.search.pools import GivenPool
from tests.explanation.schema import problems

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "events.schema.json").read_text(encoding="utf-8"))
QUICK = ("--hidden", "4", "--epochs", "2", "--batch-size", "110", "--dropout", "0")
SETS = ("--set", "lr=1e-3..1e-1:log", "--set", "activation=relu;tanh")


@pytest.fixture
def here(monkeypatch, eager):
    """Trainings are done in threads of this process."""
    with ThreadPoolExecutor(2) as executor:
        monkeypatch.setattr(sweep_session, "pool_for", lambda on: GivenPool(executor))
        yield


@pytest.mark.usefixtures("here")
def test_a_table_the_best_and_a_page(command):
    told = command("sweep", "iris", *SETS, "--trials", "4", *QUICK)
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].split() == ["trial", "lr", "activation", "val", "loss", "epoch", "s", "status"]
    assert len([line for line in lines if line.rstrip().endswith("done")]) == 4
    text = " ".join(told.out.split())
    assert "best: trial " in text and "the best of 4 looks better on the rows that chose it than it is" in text
    assert told.err.count(" done: lr ") == 4
    page = Path("runs/iris-sweep-1/sweep.html").read_text()
    assert page.count("<polyline") == 4 and page.count('class="best"') == 1 and "<script" not in page
    again = command("sweep", "--resume", "runs/iris-sweep-1")
    assert (again.code, again.err) == (0, "") and again.out == told.out


@pytest.mark.usefixtures("here")
def test_events_fit_the_schema(command):
    told = command("sweep", "iris", "--set", "optimizer=adam;rprop", "--trials", "2", *QUICK, "--json")
    events = [json.loads(line) for line in told.out.splitlines()]
    assert [e["event"] for e in events] == ["sweep", *["trial"] * 4, "choice"]
    assert [problem for e in events for problem in problems(e, SCHEMA, SCHEMA)] == []
    assert events == [json.loads(line) for line in Path("runs/iris-sweep-1/events.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("here")
def test_where_nothing_comes_to_a_result_it_is_a_mistake(command):
    told = command("sweep", "diabetes", "--set", "optimizer=sgd:lr=1e30;rprop", "--trials", "2", *QUICK)
    assert told.code == 2 and "no trial came to a result" in told.err


MISTAKES = {
    "nothing varies": ([], "there is nothing to vary"),
    "mistyped": (["--set", "lrr=1..2"], "no setting to vary named 'lrr'"),
    "twice": (["--set", "lr=0.1", "--set", "lr=0.2"], "lr varies twice"),
    "search": ([*SETS, "--search", "bayes"], "no search named 'bayes'"),
    "place": ([*SETS, "--on", "here"], "--on cannot be 'here'"),
    "address": ([*SETS, "--on", "dask://nowhere"], None),
    "time": ([*SETS, "--time", "10x"], "the time cannot be '10x'"),
    "threads": ([*SETS, "--threads", "x"], "the number of threads is a positive integer"),
    "trial": ([*SETS, "--trial", "3"], "a trial alone is of a sweep that exists"),
    "halving by array": ([*SETS, "--search", "halving", "--on", "slurm-array"], "a job array cannot search by halving"),
    "no folder": (["--resume", "nowhere"], "a sweep that goes on keeps its settings"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_write_nothing(case, command):
    args, headline = MISTAKES[case]
    told = command("sweep", "iris", *args)
    assert told.code == 2 and "Traceback" not in told.err
    assert headline is None or told.err.splitlines()[0] == headline
    assert not list(Path().iterdir())
    event = json.loads(command("sweep", "iris", *args, "--json").out)
    assert event["event"] == "error" and problems(event, SCHEMA, SCHEMA) == []


def test_a_job_array_is_a_script_and_a_folder(command, eager):
    told = command("sweep", "iris", *SETS, "--trials", "3", *QUICK, "--on", "slurm-array", "--out", "a b")
    assert told.code == 0 and "3 trials, as a job array: sbatch 'a b/array.sh'" in told.out
    script = Path("a b/array.sh").read_text()
    assert "#SBATCH --array=0-2\n" in script and not Path("a b/trials").exists()
    for number in (0, 2):
        assert f"trial {number} done, validation loss " in command("sweep", "--resume", "a b", "--trial", number).out
    assert "the sweep has no such trial" in command("sweep", "--resume", "a b", "--trial", "3").err
    task = {**os.environ, "SLURM_ARRAY_TASK_ID": "2"}
    done = subprocess.run(["sh", "a b/array.sh"], env=task, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("trial 2 done"), done.stderr


def test_a_terminal_of_80_columns_shows_the_best(capsys):
    console = Console(width=80, force_terminal=True, color_system=None)
    event = {"event": "trial", "status": "done", "best_epoch": 12, "metric": "auc", "epochs": None, "epoch": 20,
             "seconds": 12.3456, "message": "", "validation": {}}  # fmt: skip
    names = ["lr", "hidden", "optimizer"]
    with SweepDisplay(console, names, "auc", 60, higher=True) as display:
        for n in range(12):
            settings = {"lr": 0.001234, "hidden": [256, 128], "optimizer": "sgd:momentum=0.9,nesterov=true"}
            display({**event, "status": "begun", "number": n, "value": None, "settings": settings})
            display({**event, "number": n, "value": n / 12, "settings": settings})
    console.print(display.best())
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out).splitlines()
    table = [line.rstrip() for line in lines[-11:]]
    assert [line.split()[0] for line in table[1:]] == [str(n) for n in range(11, 1, -1)]
    assert all(len(line) <= 80 for line in table)
    assert any("12 of 60 trials have ended, 0 run" in line for line in lines)
