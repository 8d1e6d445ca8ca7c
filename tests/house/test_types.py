"""Types say what a value is: few parameters of the core are `Any` alone."""

import ast
from pathlib import Path

import pytest

import clearprop as cl

PACKAGE = Path(cl.__file__).parent
CONTAINERS = {"Sequence", "Mapping", "Iterable", "Iterator", "list", "tuple", "dict", "set", "frozenset", "None"}


def says_nothing(annotation):
    """Whether an annotation is `Any`, or a container of it."""
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    return "Any" in names and names <= {"Any", *CONTAINERS}


def annotations(folder):
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                a = node.args
                parameters = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
                yield from (q.annotation for q in parameters if q is not None and q.annotation is not None)


@pytest.mark.parametrize("folder", ["rules", "autodiff", "arrays", "primitives"])
def test_few_parameters_are_any(folder):
    found = list(map(says_nothing, annotations(folder)))
    assert sum(found) <= 0.4 * len(found), f"{sum(found)} of {len(found)}"


@pytest.mark.parametrize(
    ("text", "empty"),
    [("Any", True), ("Sequence[Any] | None", True), ("Value", False), ("Callable[..., Any]", False), ("int", False)],
)
def test_what_says_nothing(text, empty):
    assert says_nothing(ast.parse(text, mode="eval").body) is empty
