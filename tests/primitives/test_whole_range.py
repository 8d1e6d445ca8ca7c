"""Every function of numbers, and its derivatives, is as exact over its whole range as `docs/numerics.md` says."""

from __future__ import annotations

import re

import pytest

import clearprop as cl
from clearprop.primitives import REGISTRY
from tests.primitives.accuracy import BEGIN, DTYPES, END, NAMES, PAGE, QUICK, bounds, measured, promised, sizes

LISTED = bounds()
EXACT = {  # comparisons, steps, bits and moves of bits: what they give is a truth value, an integer, or an operand
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_not",
    "logical_xor", "isnan", "isfinite", "isinf", "signbit", "where", "stop_gradient", "bitwise_and", "bitwise_or",
    "bitwise_xor", "bitwise_invert", "bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm", "nextafter",
    "heaviside", "real", "imag", "conj", "all", "any",
}  # fmt: skip
OF_ROWS = {"softmax_cross_entropy"}
"""Losses, which are bounded where networks are: `tests/nn/test_whole_range.py`."""


def check(name, count, run):
    for dtype in DTYPES:
        for part, (worst, of_one, at) in measured(name, dtype, sizes(name, count), run).items():
            most, in_ones = promised(name, part, dtype, LISTED)
            found = of_one if in_ones else worst
            assert found <= most, f"{name}, {part} in {dtype}: {found:.3g} at {at!r}, more than {most}"


def test_every_function_of_numbers_is_swept():
    cl.rules.on_demand.load_all()
    own = [p for p in REGISTRY.values() if p.public and p.__module__.startswith("clearprop.rules.")]
    kinds = {p.name for p in own if p.kind in ("elementwise", "reduction")}
    assert kinds - set(NAMES) - EXACT - OF_ROWS == set()


def test_the_page_tells_of_every_function_that_is_swept():
    made = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert set(re.findall(r"`(\w+)`", made)) == set(NAMES)
    assert {name for name, *_ in LISTED} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_functions_and_derivatives(name):
    check(name, QUICK, lambda f: f)


@pytest.mark.verify
@pytest.mark.parametrize("name", NAMES)
def test_functions_and_derivatives_natively(name):
    check(name, 80, cl.compile)


@pytest.mark.verify
@pytest.mark.parametrize("name", NAMES)
def test_functions_and_derivatives_at_many_points(name):
    check(name, 400, lambda f: f)
