"""Names that a terminal, a page or a spreadsheet would obey are shown, and do nothing."""

import csv
import io

import numpy as np
import pytest

import clearprop as cl
from clearprop.reporting.page import report_of

ESCAPES, TURNED = "red\x1b[31m\x07", "user\u202egpj.exe"
FORMULA = "=HYPERLINK(1)"


@pytest.fixture
def trained(tmp_path, monkeypatch, command):
    """A run on a table whose names of columns and classes are hostile."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(90, 2))
    kinds = [FORMULA, TURNED, ESCAPES]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["=a", f"b{TURNED}", "@kind\x1b[2J"])
        writer.writerows([a, b, kinds[i % 3]] for i, (a, b) in enumerate(x))
    return command("train", "t.csv", "--epochs", "1", "--hidden", "4", "--out", "run")


def hostile(text):
    return [c for c in text if (ord(c) < 32 and c not in "\n") or 0x202A <= ord(c) <= 0x202E]


@pytest.mark.parametrize("args", [("report", "run"), ("evaluate", "run", "t.csv"), ("predict", "run", "t.csv")])
def test_nothing_hostile_is_printed(args, trained, command, tmp_path):
    done = command(*args)
    assert done.code == 0
    for text in (trained.out, trained.err, done.out, done.err, *(p.read_text() for p in tmp_path.rglob("*.html"))):
        assert hostile(text) == []
    assert "user\\u202egpj.exe" in trained.out + trained.err


@pytest.mark.parametrize(("options", "first"), [((), "'" + FORMULA), (("--no-quote-formulas",), FORMULA)])
def test_formulas_are_quoted_in_predictions(options, first, trained, command):
    done = command("predict", "run", "t.csv", *options)
    head, *rows = list(csv.reader(io.StringIO(done.out)))
    quote = "" if options else "'"
    assert head[1] == quote + "@kind\\x1b[2J"
    assert f"p({first})" in head
    assert {row[1] for row in rows} <= {first, "user\\u202egpj.exe", "red\\x1b[31m\\x07"}


def test_messages_about_hostile_names(trained, command, tmp_path):
    (tmp_path / "u.csv").write_text("x\x1b[31m,y\u202e\n1,2\n", encoding="utf-8")
    done = command("predict", "run", "u.csv")
    assert done.code == 2
    assert hostile(done.err) == []
    assert "x\\x1b[31m" in done.err


def test_what_objects_show_of_hostile_names(trained, tmp_path):
    """As text and in a notebook; the run lies in a folder with a hostile name, too."""
    (tmp_path / "run").rename(tmp_path / f"run{ESCAPES}")
    run = cl.load(tmp_path / f"run{ESCAPES}")
    for shown in (run, run.explain_prediction(1), cl.explain(run, "layers[0].weight", step=1)):
        for text in (repr(shown), str(shown), *([shown._repr_html_()] if hasattr(shown, "_repr_html_") else [])):
            assert hostile(text) == []
    assert hostile(report_of(run).html) == []
