"""The generated pages are what the code says now."""

import re
import runpy
from functools import cache

import pytest
from typer.testing import CliRunner

from clearprop import nn
from clearprop.cli.app import COMMANDS, app
from clearprop.primitives import REGISTRY
from tests.docs.pages import ROOT

PAGES = {name: cache(page) for name, page in runpy.run_path(str(ROOT / "docs" / "reference.py"))["PAGES"].items()}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_current(name):
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), f"docs/{name} is out of date: run python docs/reference.py"


def test_every_primitive_is_on_the_page():
    page = PAGES["primitives.md"]()
    own = [p for p in REGISTRY.values() if p.__module__.startswith("clearprop.")]
    assert len(own) > 90
    assert [p.name for p in own if f"### {p.name}\n" not in page and f"### ({p.name})\n" not in page] == []


def test_every_layer_and_loss_is_on_the_page():
    page = PAGES["layers.md"]()
    layers = [n for n in dir(nn) if isinstance(getattr(nn, n), type) and issubclass(getattr(nn, n), nn.Module)]
    assert [n for n in {*layers, *nn.LOSSES} - {"Module"} if f"### {n}\n" not in page] == []


def test_rules_are_shown_as_formulas():
    page = PAGES["primitives.md"]()
    assert "tanh(x)\n    y     = tanh(x)\n    to x  g · (1 − y · y)\n" in page
    assert "relu(x)\n    y     = maximum(x, 0)\n    to x  g if y > 0 else 0\n" in page
    assert "matmul(a, b)    (n,k),(k,m)->(n,m)\n" in page
    assert "Kink where a − b = 0." in page
    assert "lambda" not in page and " object at 0x" not in page


def test_every_option_of_help_is_on_the_page():
    page = PAGES["command-line.md"]()
    for command in COMMANDS:
        section = page.split(f"\n## clearprop {command}\n")[1].split("\n## ")[0]
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "400", "NO_COLOR": "1"}).output
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", shown))
        named = {option for option in options if not option.startswith("--no-")} - {"--help"}
        assert {option for option in named if option not in section} == set()
