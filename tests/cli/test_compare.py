"""`clearprop compare DATA`: what is printed, what is written, and mistakes."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from clearprop.cli.console import print_wide

QUICK = ("--hidden", "4", "--epochs", "2", "--batch-size", "60", "--seeds", "3")


@pytest.mark.usefixtures("eager")
def test_a_table_a_verdict_and_plots(command):
    told = command("compare", "iris", "--optimizers", "sgd:lr=0.1,adam", *QUICK, "--out", "compared")
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].split("  ")[0] == "optimizer" and "val loss" in lines[0] and "accuracy" in lines[0]
    assert lines[1].split()[:2] == ["sgd:lr=0.1", "0.1"] and lines[2].split()[:2] == ["adam", "0.001"]
    assert "sgd:lr=0.1 reached the lowest mean validation loss, " in " ".join(told.out.split())
    assert "adam, seed 2: validation loss " in told.err.replace("adam at 0.001", "adam")
    found = json.loads(Path("compared/results.json").read_text())
    assert [o["optimizer"] for o in found["outcomes"]] == ["sgd:lr=0.1", "adam"]
    assert [len(o["runs"]) for o in found["outcomes"]] == [3, 3]
    drawn = Path("compared/curves.svg").read_text()
    assert drawn.startswith("<?xml") and drawn.count('id="axes_') == 3


@pytest.mark.usefixtures("eager")
def test_with_a_grid_the_rates_are_drawn_and_told(command):
    told = command("compare", "iris", "--optimizers", "sgd", *QUICK, "--grid", "--judged", "2", "--json", "--out", "c")
    found = json.loads(told.out)
    (one,) = found["outcomes"]
    assert [len(t["scores"]) for t in one["rates_tried"]] == [3] * 8
    assert list(one["scores"]) == ["3", "4"]
    assert Path("c/curves.svg").read_text().count('id="axes_') == 4


@pytest.mark.usefixtures("eager")
def test_columns_are_taken_as_in_training(command):
    Path("t.csv").write_text("a;b;c;d\n" + "".join(f"{k},5;{k % 3};{k % 2};{k % 5}\n" for k in range(60)))
    said = ("--target", "c", "--task", "classification", "--kind", "b=category", "--drop", "d", "--decimal", ",")
    told = command("compare", "t.csv", "--optimizers", "adam", *QUICK, *said)
    assert told.code == 0 and "accuracy" in told.out
    assert "no column named 'e'" in command("compare", "t.csv", "--drop", "e").err
    for option in (("--drop", "d"), ("--seeds", "3")):
        refused = command("compare", ".", ".", *option)
        assert (refused.code, refused.err.split(",")[0]) == (2, f"{option[0]} is for data")


def test_processes_give_the_same_outcomes(command):
    """But for the seconds; native in both places."""
    args = ("compare", "iris", "--optimizers", "sgd", "--hidden", "4", "--epochs", "2", "--seeds", "2", "--json")
    args = (*args, "--batch-size", "200")
    here, there = (json.loads(command(*args, *on).out) for on in ((), ("--on", "local:2")))
    for found in (here, there):
        for outcome in found["outcomes"]:
            del outcome["seconds_per_epoch"]
            for run in outcome["runs"]:
                del run["seconds"]
    assert here == there
    refused = command(*args, "--on", "there")
    assert (refused.code, refused.err.splitlines()[0]) == (2, "--on cannot be 'there'")


MISTAKES = {
    "optimizer": (["--optimizers", "adamm"], "no optimizer named 'adamm'"),
    "full batch": (["--optimizers", "rprop"], "rprop needs all rows in every step"),
    "judged": (["--judged", "3"], "--judged is for learning rates that were chosen"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_write_nothing(case, command):
    args, headline = MISTAKES[case]
    told = command("compare", "iris", *args, "--out", "compared")
    assert (told.code, told.err.splitlines()[0]) == (2, headline)
    assert not Path("compared").exists()


def test_the_command_is_a_module_too():
    done = subprocess.run([sys.executable, "-m", "clearprop", "compare", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Compare optimizers on a data set" in done.stdout


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_table_of_many_columns_breaks_no_word_and_names_every_row(width):
    heads = ["run", "status", "best epoch", *(f"{part} {name}" for part in ("val", "test") for name in ("loss", "mae"))]
    rows = [[f"ensemble-{k}", "done", "54", "0.01621", "12610.5", "0.02027", "48030"] for k in (1, 2)]
    file = io.StringIO()
    print_wide(Console(file=file, width=width), heads, rows, right=range(2, len(heads)))
    words = file.getvalue().split()
    for text in (*heads, *rows[0], *rows[1]):
        assert set(text.split()) <= set(words), text
    assert max(map(len, file.getvalue().splitlines())) <= width
    assert words.count("ensemble-1") == {40: 2, 80: 1, 120: 1}[width]


@pytest.mark.parametrize("width", range(40, 141))
def test_no_number_is_broken_at_any_width(width):
    heads = ["run", "status", "best epoch", "steps", "seconds", "val loss", "val r2", "val mae", "test loss", "test r2"]
    rows = [["r_good", "done", "25", "270", "0.2", "0.02916", "0.9762", "2819", "0.04496", "0.9439"]]
    rows += [["r_diverged", "diverged", "", "9", "0.1", "", "0.000401", "", "1.275", "-0.2379"]]
    file = io.StringIO()
    print_wide(Console(file=file, width=width), heads, rows, right=range(2, len(heads)))
    assert set(file.getvalue().split()) == {word for row in (heads, *rows) for text in row for word in text.split()}
    assert max(map(len, file.getvalue().splitlines())) <= width


def test_runs_without_validation_are_compared_by_what_they_learned_from(command):
    for name, rate in (("one", "0.001"), ("two", "0.01")):
        command("train", "iris", "--epochs", "2", "--val", "0", "--test", "0", "--lr", rate, "--out", name)
    told = command("compare", "one", "two", "--out", "compared")
    assert told.code == 0 and {"train", "loss", "accuracy"} <= set(told.out.split())
    assert "train accuracy" in Path("compared/comparison.html").read_text()
