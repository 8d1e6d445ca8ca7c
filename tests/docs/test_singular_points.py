"""The page of derivatives at singular points is true: our column on every run, the others beside their libraries."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

import clearprop as cl
from benchmarks.peers import provide
from tests.docs.pages import ROOT
from tests.docs.singular_points import LIBRARIES, PAGE, clearprop_derivative, rows

ROWS = rows(PAGE.read_text(encoding="utf-8"))
RUNS = {"eager": lambda f: f, "compiled": lambda f: cl.compile(f, executor="numpy")}


def test_the_page_has_its_rows():
    assert len(ROWS) > 110
    assert len({(r.function, r.at, r.by) for r in ROWS}) == len(ROWS)


@pytest.mark.parametrize("run", RUNS)
def test_our_column(run):
    derivative = clearprop_derivative(RUNS[run])
    wrong = [(row, found) for row in ROWS if (found := derivative(row)) != row.values[0]]
    assert not wrong


@pytest.mark.verify
@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_the_columns_of_others(library):
    peer = {"PyTorch": "torch", "JAX": "jax"}[library]
    installed = provide([peer])[peer]
    assert not installed.absent, installed.absent
    command = [installed.python, "-W", "ignore", str(ROOT / "tests" / "docs" / "singular_points.py"), library]
    alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr[-2000:]
    column = [row.values[LIBRARIES.index(library)] for row in ROWS]
    assert json.loads(done.stdout) == column
