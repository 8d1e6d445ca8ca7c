"""The layout of the source keeps its figures; `make check` prints them (`python -m tests.house`)."""

import ast

import pytest

from tests.house import layout
from tests.house.figures import FIGURES


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.name)
def test_a_figure_keeps_its_bound(figure):
    assert figure.value() <= figure.bound, figure.detail()


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *((name, True) for name in "made _told moved scanned _frozen broadcasted typed".split()),
        *((name, False) for name in "feed speed embed read split run_made undo_broadcasting opened_text sweep".split()),
    ],
)
def test_bare_participles_are_found(name, is_one):
    assert layout.is_participle(name) == is_one


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ("return 1", 1),
        ("return a if b else c", 2),
        ("return a and b and c", 3),
        ("return [x for x in y if x if not x]", 4),
        ("for x in y:\n  while x:\n   try: pass\n   except A: pass\n   except B: pass", 5),
        ("def g():\n  if a: pass\n return g", 1),
    ],
)
def test_complexity_counts_decisions(body, number):
    assert layout.complexity(ast.parse(f"def f():\n {body}").body[0]) == number


def test_prose_is_told_from_comments_for_tools():
    text = "x = 1  # type: ignore[assignment]\n# ---- ruler\n# why it is so\ny = '# none'  # noqa: F401\nz = 1  # why\n"
    assert layout.comment_lines(text) == {3, 5}
