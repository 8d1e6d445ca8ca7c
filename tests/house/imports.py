"""Who imports whom in the source: circles, and what folders use of one another."""

import ast
import contextlib
import functools
import gc
import re
from pathlib import Path

import clearprop as cl

PACKAGE = Path(cl.__file__).parent
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@functools.cache
def parse(path):
    """The syntax tree of a file, which many tests read."""
    with to_the_end():
        return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def nodes(path):
    """All nodes of that tree: walking it takes as long as parsing."""
    with to_the_end():
        return list(ast.walk(parse(path)))


@contextlib.contextmanager
def to_the_end():
    """What is made here stays to the end: the collector of cycles, which would need thrice the time, leaves it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@functools.cache
def imports_of(path):
    """Modules that a file imports anywhere, for types too: `from package import module` names the module."""
    modules = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            modules += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            base = PACKAGE.parent.joinpath(*node.module.split("."))
            modules += [
                f"{node.module}.{a.name}" if (base / f"{a.name}.py").exists() else node.module for a in node.names
            ]
    return modules


def circles():
    """Files that wait for one another, by imports inside functions and for types too."""
    names = {".".join(p.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): p for p in FILES}
    graph = {name: set() for name in names}
    for name, path in names.items():
        for module in imports_of(path):
            package, _, other = module.partition(".")
            if package == "clearprop" and other in names and other != name:
                graph[name].add(other)
    return circles_of(graph)


def circles_of(graph):
    """The strongly connected components of more than one node: nodes that reach each other."""
    reach = {name: {name} for name in graph}
    changed = True
    while changed:
        changed = False
        for name, others in graph.items():
            more = set().union(*(reach[other] for other in others)) - reach[name]
            if more:
                reach[name] |= more
                changed = True
    return {frozenset(b for b in reach[a] if a in reach[b]) for a in graph} - {frozenset([a]) for a in graph}


def face(folder):
    """The names that a folder's `__init__` hands on; one of them may be called like a file."""
    tree = parse(PACKAGE / folder / "__init__.py")
    return {a.asname or a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names}


def open_modules(folder):
    """The modules that the docstring of a folder opens to other folders."""
    said = ast.get_docstring(parse(PACKAGE / folder / "__init__.py")) or ""
    listed = re.search(r"Open to other folders[^:]*: ((?:[^.;]|\.\w)*)", said)
    return set(re.findall(r"`([\w.]+)`", listed[1])) if listed else set()


def used_from_outside(folder):
    """`{module: a file that imports it}` of what other folders import of a folder beside its face."""
    used = {
        module.removeprefix(f"clearprop.{folder}."): path
        for path in [*FILES, PACKAGE / "__init__.py"]
        if path.relative_to(PACKAGE).parts[0] != folder
        for module in imports_of(path)
        if module.startswith(f"clearprop.{folder}.")
    }
    return {module: path for module, path in used.items() if module not in face(folder)}
