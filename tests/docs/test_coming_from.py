"""The pages for those who come from other libraries are true: every line runs, and gives what stands beside it."""

from __future__ import annotations

import json
import os
import subprocess
import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.special

from benchmarks.peers import provide
from tests.docs.coming_from import PAGES, Row, evaluate, functions, ours, rows, values
from tests.docs.pages import ROOT

NAMES = ours()
AT_LEAST = {"autograd": 20, "jax": 50, "numpy": 230, "pytorch": 400}


def test_the_pages_name_that_many_functions():
    assert {page.stem for page in PAGES.glob("*.md")} == set(AT_LEAST)
    counts = {name: len(functions(name)) for name in AT_LEAST}
    assert all(counts[name] >= least for name, least in AT_LEAST.items()), counts


@pytest.mark.parametrize("name", AT_LEAST)
def test_every_line_runs(name):
    broken = []
    for row in rows(name):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                eval(row.ours, dict(NAMES))
        except Exception as error:
            broken.append((row.ours, str(error).splitlines()[0]))
    assert not broken


def disagreements(pairs: list[tuple[Row, object]]) -> list[tuple[str, object, object]]:
    found = []
    for row, theirs in pairs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mine, want = np.asarray(evaluate(row.ours, NAMES)), np.asarray(theirs)
        if mine.shape != want.shape or not np.allclose(mine, want, rtol=1e-12, atol=1e-13, equal_nan=True):
            found.append((row.theirs, theirs, mine.tolist()))
    return found


def test_numpy_and_scipy_give_the_same():
    names = {**values(), "np": np, "scipy": scipy}
    compared = [row for row in rows("numpy") if row.compared]
    assert len(compared) > 200
    with np.errstate(all="ignore"):
        assert not disagreements([(row, evaluate(row.theirs, names)) for row in compared])


@pytest.mark.verify
def test_pytorch_gives_the_same():
    installed = provide(["torch"])["torch"]
    assert not installed.absent, installed.absent
    command = [installed.python, "-W", "ignore", str(ROOT / "tests" / "docs" / "coming_from.py"), "pytorch"]
    alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr[-2000:]
    given = json.loads(done.stdout)
    assert not disagreements([(row, given[row.theirs]) for row in rows("pytorch") if row.compared])
