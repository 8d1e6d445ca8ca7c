"""The plots of functions are those of the functions as they are."""

import re
import runpy

import numpy as np
import pytest

from tests.docs.pages import ROOT

PLOTS = runpy.run_path(str(ROOT / "docs" / "plots.py"))
SHOWN = {p.name: p for p in PLOTS["shown"]()}
NUMBER = re.compile(r"(?<![#\w])-?\d+(?:\.\d+)?")


def test_every_function_of_numbers_has_a_plot_and_no_plot_is_left_over():
    assert len(SHOWN) == 97
    assert {path.stem for path in PLOTS["FOLDER"].iterdir()} == set(SHOWN)


def test_the_reference_shows_every_plot():
    page = (ROOT / "docs" / "primitives.md").read_text(encoding="utf-8")
    assert re.findall(r"\(images/functions/(\w+)\.svg\)", page) == [n for n in _in_order_of(page) if n in SHOWN]


def _in_order_of(page):
    return re.findall(r"^### (\w+)$", page, re.MULTILINE)


def test_plots_are_current():
    """The same words, and numbers a tenth of a pixel apart at most: other processors round otherwise."""
    for name, p in SHOWN.items():
        drawn, kept = PLOTS["drawn"](p), (PLOTS["FOLDER"] / f"{name}.svg").read_text(encoding="utf-8")
        assert NUMBER.sub("", drawn) == NUMBER.sub("", kept), f"run python docs/plots.py: {name}.svg"
        places = [np.array(NUMBER.findall(text), float) for text in (drawn, kept)]
        np.testing.assert_allclose(*places, rtol=0, atol=0.11, err_msg=name)


@pytest.mark.parametrize(("low", "high"), [(-3, 3), (0, 1), (-180, 180), (-1.05, 4.2)])
def test_ticks_are_few_round_numbers(low, high):
    found = PLOTS["ticks"](low, high)
    assert 3 <= len(found) <= 8 and low <= found[0] and found[-1] <= high


def test_the_derivative_that_is_drawn_is_the_slope_of_the_function():
    for p in (SHOWN[n] for n in ("tanh", "gammainc", "atan2", "lerp", "sinc")):
        x, y, slope = PLOTS["curves"](p)
        np.testing.assert_allclose(np.gradient(y, x)[1:-1], slope[1:-1], atol=0.02)
