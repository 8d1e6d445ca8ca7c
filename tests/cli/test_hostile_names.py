"""Names that a terminal, a page or a spreadsheet would obey are shown, and do nothing."""

import csv
import io

import numpy as np
import pytest

import clearprop as cl
from clearprop.reporting.page import report_of

ESCAPES, TURNED = "red\x1b[31m\x07", "user\u202egpj.exe"
FORMULA = "=HYPERLINK(1)"
QUICK = ("--epochs", "1", "--hidden", "4")


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


DOORS = {
    "compare": [("train", "t.csv", *QUICK, "--out", f"two{ESCAPES}"),
                ("compare", "run", f"two{ESCAPES}", "--out", "side")],
    "sweep": [("sweep", "t.csv", "--set", "lr=0.01;0.1", "--search", "grid", *QUICK, "--out", f"s{TURNED}"),
              ("sweep", "--resume", f"s{TURNED}")],
    "ensemble": [("train", "t.csv", "--members", "2", *QUICK, "--out", f"e{ESCAPES}"),
                 ("report", f"e{ESCAPES}"), ("predict", f"e{ESCAPES}", "t.csv"), ("evaluate", f"e{ESCAPES}", "t.csv"),
                 ("explain", f"e{ESCAPES}", "--row", "3"), ("importance", f"e{ESCAPES}", "t.csv", "--repeats", "1")],
    "folds": [("train", "t.csv", "--folds", "2", *QUICK, "--out", f"f{TURNED}"), ("train", "--resume", f"f{TURNED}")],
    "explain": [("explain", "run", "--row", "3"), ("explain", "run"), ("importance", "run", "--repeats", "1"),
                ("explain", "run", "--row", "3", "--out", "e.html"), ("explain", "run", "--out", "g.html")],
    "fork": [("train", "--fork", "run@1", "--epochs", "2", "--out", f"k{ESCAPES}"), ("report", f"k{ESCAPES}")],
    "doctor": [("check", "run"), ("doctor", "t.csv"), ("config", "run"), ("export", "run", "--out", f"n{TURNED}.py")],
    "optimizers": [("compare", "t.csv", "--optimizers", "adam,sgd", "--seeds", "1", "--epochs", "1",
                    "--out", f"o{ESCAPES}")],
}  # fmt: skip
"""Commands that print names, or write pages with them."""


@pytest.mark.parametrize("door", DOORS)
def test_nothing_hostile_is_printed_or_written(door, trained, command, tmp_path):
    for args in DOORS[door]:
        done = command(*args)
        assert "Traceback" not in done.err and done.code in (0, 2), done.err
        assert hostile(done.out + done.err) == [], args
    pages = [p for form in ("*.html", "*.svg", "*.md", "*.py", "*.txt") for p in tmp_path.rglob(form)]
    for page in pages:
        assert hostile(page.read_text(encoding="utf-8")) == [], page
        assert "<script>alert" not in page.read_text(encoding="utf-8")


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
