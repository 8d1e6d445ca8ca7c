"""A row is called by its number in the file wherever it is named: predictions, explanations, reports."""

import csv
from pathlib import Path

import numpy as np
import polars
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError
from clearprop.reporting import report_of
from tests.cli.conftest import command, eager

__all__ = ["command", "eager"]
N = 60
LINES = [f"C{1000 + 7 * k},0{k % 4}10,{k % 9 + 0.5},{'' if k in (5, 20) else k % 9 * 2.0 + k / 8}" for k in range(N)]
TEXT = "\n".join(["# by hand", "id,zip,area,price", *LINES[:10], "", *LINES[10:15], "# half", *LINES[15:], ""])
QUICK = ("--kind", "zip=category", "--epochs", "2", "--out", "run")
LINE = {k: number for number, line in enumerate(TEXT.splitlines(), 1) for k in range(N) if line == LINES[k]}


@pytest.fixture
def table(command):
    Path("t.csv").write_text(TEXT)
    return command


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("memory", [(), ("--memory", "30MB")])
def test_predictions_tell_the_row_its_identifier_and_what_is_kept(table, memory):
    assert table("train", "t.csv", *QUICK, *memory).code == 0
    rows = list(csv.reader(table("predict", "run", "t.csv").out.splitlines()))
    assert rows[0] == ["row", "id", "price"]
    assert [row[:2] for row in rows[1:]] == [[str(k), f"C{1000 + 7 * k}"] for k in range(N)]
    kept = list(csv.reader(table("predict", "run", "t.csv", "--keep", "price, zip,area").out.splitlines()))
    assert kept[0] == ["row", "id", "price", "zip", "area", "predicted price"]
    assert kept[21][:5] == ["20", "C1140", "", "0010", "2.5"]
    assert [row[-1] for row in kept[1:]] == [row[-1] for row in rows[1:]]
    assert "no column named 'aera'" in table("predict", "run", "t.csv", "--keep", "aera").err


@pytest.mark.usefixtures("eager")
def test_what_is_kept_is_as_it_was_written(table):
    values = ["1.013,5", "-973", "1.250,75", "2.000"] * 15
    text = "\n".join(["code;area;price", *(f"00{k};{v};{k % 5},5" for k, v in enumerate(values))])
    Path("u.csv").write_text(text)
    assert table("train", "u.csv", "--epochs", "1", "--out", "run").code == 0
    rows = list(csv.reader(table("predict", "run", "u.csv", "--keep", "code,area").out.splitlines()))
    assert [row[1:3] for row in rows[1:4]] == [["000", "1.013,5"], ["001", "-973"], ["002", "1.250,75"]]
    plain = list(csv.reader(table("predict", "run", "u.csv").out.splitlines()))
    assert [row[-1] for row in rows[1:]] == [row[-1] for row in plain[1:]]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("form", ["parquet", "frame"])
def test_numbers_beyond_those_of_a_float_and_times_are_kept(form, table, monkeypatch):
    data = polars.DataFrame(
        {
            "id": [2**53 + k for k in range(N)],
            "when": [f"2024-01-{k % 28 + 1:02}" for k in range(N)],
            "y": [float(k % 7) for k in range(N)],
        }
    ).with_columns(polars.col("when").str.to_date())
    source = data if form == "frame" else "t.parquet"
    data.write_parquet("t.parquet")
    assert table("train", "t.parquet", "--epochs", "1", "--out", "run").code == 0
    block = next(cl.load("run").encoded(source, keep=["id", "when"]))
    assert [column.values[3] for column in block.kept] == [str(2**53 + 3), "2024-01-04T00:00:00".replace("T", " ")]


@pytest.mark.usefixtures("eager")
def test_explanations_and_reports_name_the_row_of_the_file(table):
    table("train", "t.csv", *QUICK)
    run = cl.load("run")
    data = run.workings.job().data
    for name, rows in data.rows.items():
        k = int(rows.numbers[2])
        opened = cl.explain(run, "layers[0].bias", row=k)
        assert opened.where == f"loss of {name} row {k} (t.csv:{LINE[k]}, id C{1000 + 7 * k}), the run's model"
        x = run.encode("t.csv").x[k]
        assert np.array_equal(data.parts[name][0][2], x)
    with pytest.raises(ArgumentError, match="no such row with a value in the target"):
        cl.explain(run, "layers[0].bias", row=5)
    page = report_of(run).html
    held = data.rows["validation"]
    assert sum(f"Validation row {held.text(place)}: " in page for place in range(len(held.numbers))) == 3


def test_rows_of_arrays_that_were_divided():
    x = np.arange(40.0)[:, None]
    run = cl.fit(cl.nn.mlp([1, 1]), (x, x), loss="mse", validation=0.25, epochs=1, progress=False)
    titles = [cl.explain(run, "layers[0].bias", row=k).where for k in range(40)]
    assert sum("validation row" in title for title in titles) == 10
    assert all(f"row {k}," in title for k, title in enumerate(titles))
