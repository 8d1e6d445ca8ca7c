"""The fast tests are there, and meet every folder of the source."""

from pathlib import Path

import clearprop
from tests.fast import FAST, MODULES
from tests.project.tree import ROOT

SOURCE = Path(clearprop.__file__).parent


def test_every_folder_of_the_source_is_met():
    names = {p.stem for p in SOURCE.iterdir() if p.is_dir() or p.suffix == ".py"}
    assert {n for n in names if not n.startswith("__")} == set(FAST)


def test_the_fast_tests_are_there():
    assert [name for name in sorted(MODULES) if not (ROOT / "tests" / name).exists()] == []
