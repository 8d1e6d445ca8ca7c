"""Every function of one number, and its derivative, is as exact over its whole range as `docs/numerics.md` says."""

from __future__ import annotations

import re

import pytest

import clearprop as cl
from clearprop.primitives import REGISTRY
from tests.docs.pages import ROOT
from tests.primitives.whole_range import FUNCTIONS, errors

PAGE = (ROOT / "docs" / "numerics.md").read_text(encoding="utf-8")
BOUNDS = {name: cells for name, *cells in re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)}


def check(name, count, run):
    bounds = [(float(b.split()[0]), float(b.strip().endswith("of 1"))) for b in BOUNDS[name]]
    for dtype in ("float32", "float64"):
        found = errors(name, dtype, count, tuple(scale for _, scale in bounds), run)
        for what, (worst, at), (bound, _) in zip(("value", "derivative"), found, bounds, strict=True):
            assert worst <= bound, f"{name}, {what} in {dtype}: {worst:.3g} at {at!r}, more than {bound}"


def test_the_page_tells_of_every_function_that_is_swept():
    assert set(BOUNDS) == set(FUNCTIONS) <= set(REGISTRY)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_derivatives(name):
    check(name, 40, lambda f: f)


@pytest.mark.verify
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_derivatives_natively(name):
    check(name, 300, lambda f: cl.compile(f, executor="numba"))


@pytest.mark.verify
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_derivatives_at_many_points(name):
    check(name, 1000, lambda f: f)
