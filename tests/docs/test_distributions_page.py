"""The page of distributions names every function of `cl.random`, and what other libraries have, each once."""

import ast
import re
import subprocess

import numpy as np
import pytest

import clearprop as cl
from benchmarks.peers import provide
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "distributions.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")]
KEYS = {"key", "split", "fold_in"}
LISTS = {
    "jax": "import jax; print([n for n in dir(jax.random) if n[0] != '_'])",
    "torch": "import torch; print([n for n in torch.distributions.__all__ if not n.endswith('Transform')])",
}


def words(cells):
    return [word for cell in cells for word in re.findall(r"`(\w+)`", cell)]


def column(i):
    return words(row[i] for row in ROWS if len(row) == 5)


def without_counterpart():
    return {word for row in ROWS if len(row) == 2 for word in words(row[:1])}


def test_every_function_has_one_row():
    ours = column(0)
    assert sorted(ours) == sorted(set(dir(cl.random)) - KEYS)


def test_every_distribution_of_numpy_is_told_of():
    theirs = column(2)
    assert len(theirs) == len(set(theirs))
    assert {n for n in dir(np.random.Generator) if n[0] != "_"} - set(theirs) - without_counterpart() == set()
    assert set(theirs) <= set(dir(np.random.Generator))


@pytest.mark.verify
@pytest.mark.parametrize(("name", "i"), [("jax", 3), ("torch", 4)])
def test_every_distribution_of_a_peer_is_told_of(name, i):
    installed = provide([name])[name]
    assert not installed.absent, installed.absent
    command = [installed.python, "-W", "ignore", "-c", LISTS[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = set(ast.literal_eval(done.stdout))
    assert theirs - set(column(i)) - without_counterpart() - KEYS - {"PRNGKey"} == set()
    assert set(column(i)) <= theirs
