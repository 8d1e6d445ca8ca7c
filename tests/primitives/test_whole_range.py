"""Every function of numbers, and its derivatives, is as exact over its whole range as `docs/numerics.md` says."""

from __future__ import annotations

import re

import pytest

import clearprop as cl
from clearprop.primitives import REGISTRY
from tests.docs.pages import ROOT
from tests.primitives import whole_range_special
from tests.primitives.whole_range import FUNCTIONS, errors
from tests.primitives.whole_range_pairs import PAIRS, pair_errors

PAGE = (ROOT / "docs" / "numerics.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
BOUNDS = {name: [(float(b.split()[0]), float(b.endswith("of 1"))) for b in cells.split(" | ")] for name, cells in ROWS}
PARTS = ("value", "derivative", "derivative by the second")
QUICK = {name: 8 if name in whole_range_special.VALUES or name in PAIRS else 40 for name in (*FUNCTIONS, *PAIRS)}


def check(name, count, run):
    measure = errors if name in FUNCTIONS else pair_errors
    for dtype in ("float32", "float64"):
        found = measure(name, dtype, count, tuple(scale for _, scale in BOUNDS[name]), run)
        assert len(found) == len(BOUNDS[name])
        for what, (worst, at), (bound, _) in zip(PARTS, found, BOUNDS[name], strict=False):
            assert worst <= bound, f"{name}, {what} in {dtype}: {worst:.3g} at {at!r}, more than {bound}"


def test_the_page_tells_of_every_function_that_is_swept():
    assert set(BOUNDS) == {*FUNCTIONS, *PAIRS}
    cl.rules.on_demand.load_all()
    assert set(BOUNDS) <= set(REGISTRY)


@pytest.mark.parametrize("name", QUICK)
def test_functions_and_derivatives(name):
    check(name, QUICK[name], lambda f: f)


@pytest.mark.verify
@pytest.mark.parametrize("name", QUICK)
def test_functions_and_derivatives_natively(name):
    check(name, 300, lambda f: cl.compile(f, executor="numba"))


@pytest.mark.verify
@pytest.mark.parametrize("name", QUICK)
def test_functions_and_derivatives_at_many_points(name):
    check(name, 1000, lambda f: f)
