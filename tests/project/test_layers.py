"""The order of the layers: each imports only what stands above it, and `import clearprop` stays light."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import clearprop

LAYERS = (
    "errors", "shapes", "notation", "program", "primitives", "rules", "autodiff", "arrays", "compiler", "nn", "optim",
    "train", "explanation", "lessons", "export", "diagnosis", "interop", "cli", "lab",
)  # fmt: skip
PACKAGE = Path(clearprop.__file__).parent
HEAVY = ("numba", "scipy", "sklearn", "polars", "pydantic", "typer", "rich")


def _layer(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "clearprop" else None


def _imported(path):
    """The modules of ours that a file imports, wherever in it, unless for the type checker alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ignored = {id(n) for outer in ast.walk(tree) if _for_types(outer) for n in ast.walk(outer)}
    for node in ast.walk(tree):
        if id(node) in ignored:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from named if node.module == "clearprop" else [node.module]


def _for_types(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_only_what_stands_above(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    used = {layer for module in _imported(path) if (layer := _layer(module))}
    assert {layer for layer in used if LAYERS.index(layer) > LAYERS.index(own)} == set()
    assert not (own == "explanation" and "compiler" in used), "compiler and explanation never import each other"


def test_every_folder_and_file_is_a_layer():
    own = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert own - {"__init__"} <= set(LAYERS)


def test_import_is_light():
    code = f"import sys, clearprop; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_survive_the_import_of_every_module():
    before = {name: getattr(clearprop, name) for name in dir(clearprop) if not name.startswith("_")}
    for module in pkgutil.walk_packages(clearprop.__path__, "clearprop."):
        importlib.import_module(module.name)
    assert {n for n, value in before.items() if getattr(clearprop, n) is not value} == set()
    for name in ("tensor", "compile", "fit", "explain", "grad", "load"):
        assert callable(getattr(clearprop, name)), f"cl.{name} is shadowed by a module"
