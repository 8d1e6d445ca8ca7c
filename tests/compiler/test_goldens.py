"""Generated sources that a reviewer can read, stored; and what is printed is what runs."""

import ast

import numpy as np
import pytest

import clearprop as cl
from clearprop.autodiff.trees import flatten
from clearprop.program.values import raw
from tests.compiler.goldens import FOLDER, TARGETS, sources
from tests.compiler.workloads import WORKLOADS, arguments

LIBRARY = 120  # helpers are printed as the library has them


@pytest.fixture(scope="module", params=list(WORKLOADS))
def row(request):
    return request.param, sources(request.param)


def test_sources_are_the_stored_ones(row):
    _, made = row
    for file, text in made.items():
        known = (FOLDER / file).read_text(encoding="utf-8")
        assert text == known, f"{file} has changed: look at it, then run python -m tests.compiler.goldens"


def test_sources_can_be_read(row):
    """Valid Python, lines of at most 100 characters, a comment with the type on every equation."""
    _, made = row
    for file, text in made.items():
        tree = ast.parse(text)
        step = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "step")
        lines = text.splitlines()
        own = lines[step.lineno - 1 : step.end_lineno]
        assert max(map(len, own)) <= 100, file
        assert max(map(len, lines)) <= LIBRARY, file
        if file.endswith("_numpy.py"):
            for n in step.body:
                if isinstance(n, ast.Assign) and not ast.unparse(n.value).split("[")[0].endswith(".shape"):
                    above, line = lines[n.lineno - 2], lines[n.lineno - 1]
                    assert "  # " in line or above.startswith("    # "), f"{file}: no comment: {line}"


@pytest.mark.parametrize("name", ["W0", "W5"])
def test_what_is_printed_is_what_runs(name):
    """The printed module, executed by itself, gives the executor's results bit for bit."""
    step, given = arguments(name)
    compiled = cl.compile(step, executor="numpy")
    want = [raw(v) for v in flatten(compiled(*given))[0]]
    scope = {}
    exec(compiled.source("numpy"), scope)
    with np.errstate(all="ignore"):
        got = scope["step"](*(raw(v) for v in flatten(given)[0]))
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_every_row_has_both_sources():
    assert {p.name for p in FOLDER.iterdir()} == {f"{w.lower()}_{t}.py" for w in WORKLOADS for t in TARGETS}
