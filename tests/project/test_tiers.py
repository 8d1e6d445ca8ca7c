"""The fast and the dear tests are there; the fast ones meet every folder of the source."""

import ast
from pathlib import Path

import clearprop
from tests.dear import EVERY, is_later
from tests.fast import FAST, MODULES
from tests.project.tree import ROOT

SOURCE = Path(clearprop.__file__).parent


def test_every_folder_of_the_source_is_met():
    names = {p.stem for p in SOURCE.iterdir() if p.is_dir() or p.suffix == ".py"}
    assert {n for n in names if not n.startswith("__")} == set(FAST)


def test_the_fast_tests_are_there():
    assert [name for name in sorted(MODULES) if not (ROOT / "tests" / name).exists()] == []


def test_the_dear_tests_are_there():
    for module, tests in EVERY.items():
        tree = ast.parse((ROOT / "tests" / f"{module}.py").read_text(encoding="utf-8"))
        there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert set(tests) <= there, f"tests/dear.py: {module}"


def test_one_in_so_many_cases_of_a_dear_test_is_tried():
    name = "compiler/test_long_sums", "test_native_sums"
    tried = [number for number in range(400) if not is_later(*name, number, f"case {number}")]
    assert tried[0] == 0 and 80 < len(tried) < 120
    assert is_later("data/test_memory", "test_memory_does_not_grow_with_the_data", 0)
    assert not is_later("data/test_memory", "another", 1)
    assert is_later("docs/test_pages", "test_page_is_true", 0, "docs/fractional.md")
    assert not is_later("docs/test_pages", "test_page_is_true", 1, "README.md")
