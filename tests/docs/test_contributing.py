"""The map in CONTRIBUTING.md leads to files that exist, and to names that stand in them."""

import ast
import re

import pytest

from clearprop.cli.app import COMMANDS
from tests.docs.pages import ROOT
from tests.tiers import together

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACE = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|\w+\.py)(?:: (\w+))?`")
PLACES = sorted({m.groups() for m in PLACE.finditer(PAGE)}, key=str)
THINGS = [*"primitive layer activation optimizer loss metric setting subcommand finding lesson".split(), "file format"]


def names_in(path):
    """What a module defines at its top."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {getattr(node, "name", "")} | {t.id for t in targets if isinstance(t, ast.Name)}
    return found


@together("path, name", PLACES)
def test_places_exist(path, name):
    below = [ROOT / "src/clearprop" / path, ROOT / path]
    if "NAME" in path:
        assert any(p.parent.is_dir() for p in below), path
        return
    (place,) = [p for p in below if p.exists()]
    assert name is None or name in names_in(place), f"{path} defines no {name}"


@pytest.mark.parametrize("thing", THINGS)
def test_the_map_says_how_to_add(thing):
    assert re.search(rf"^\| an? {thing}[^|]*\| ", PAGE, re.MULTILINE), thing


def test_names_are_looked_for_in_files():
    names = names_in(ROOT / "src/clearprop/cli/app.py")
    assert {"COMMANDS", "main"} <= names
    assert "grad" not in names
    assert COMMANDS
