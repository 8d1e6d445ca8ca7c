"""The text of helpers: functions beside NumPy's own that printed sources call and therefore carry with them."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from clearprop.notation.expressions import syntax_tree
from clearprop.primitives import HELPERS


def closed_helpers(helpers: Mapping[str, Callable[..., Any]]) -> list[Callable[..., Any]]:
    """The helpers and the helpers that they call, each once, callees first."""
    out: dict[str, Callable[..., Any]] = {}

    def add(f: Callable[..., Any]) -> None:
        scope = inspect.getmodule(f)
        for name in _free_names(_text_of(f)):
            inner = getattr(scope, name, None)
            if not inspect.isfunction(inner) or not inner.__module__.startswith("clearprop."):
                continue
            if inner is not f and inner.__name__ not in out:
                add(inner)
        out.setdefault(f.__name__, f)

    for f in helpers.values():
        add(f)
    return list(out.values())


def _free_names(source: str) -> list[str]:
    """The names that a function reads and neither takes nor assigns."""
    nodes = list(ast.walk(syntax_tree(textwrap.dedent(source))))
    own = {n.arg for n in nodes if isinstance(n, ast.arg)}
    own |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return sorted({n.id for n in nodes if isinstance(n, ast.Name)} - own)


def helper_source(f: Callable[..., Any]) -> str:
    """A helper's text with the constants of its module that it reads, and the public name it is called by."""
    source = _without_annotations(_text_of(f))
    scope = inspect.getmodule(f)
    read = {n: getattr(scope, n, None) for n in sorted(set(re.findall(r"\b_?[A-Z][A-Z0-9_]*\b", source)))}
    constants = [f"{n} = {value!r}" for n, value in read.items() if isinstance(value, (int, float, tuple))]
    for public, helper in HELPERS.items():
        source = re.sub(rf"\b{helper.__name__}\b", public, source)
    return "\n".join([*constants, *(["", ""] if constants else []), source.rstrip()])


def _text_of(f: Callable[..., Any]) -> str:
    """The source of a function, or OSError where there is none.

    Python 3.13 takes the text of `python -c` for that of everything which `exec` or an interpreter made, since all of
    it bears the file name "<string>"; such a text does not define the function.
    """
    source = inspect.getsource(f)
    if not re.match(rf"\s*(@.*\n\s*)*def {re.escape(f.__name__)}\b", source):
        raise OSError(f"the source of {f.__name__} is not in a file")
    return source


def _without_annotations(source: str) -> str:
    """The text of a function without the types of its parameters and results, whose names a reader need not have."""
    lines = source.splitlines(keepends=True)
    starts = [0, *itertools.accumulate(len(line.encode()) for line in lines)]
    text, cuts = source.encode(), []  # the syntax tree counts bytes

    def position(line: int | None, column: int | None) -> int:
        return starts[(line or 1) - 1] + (column or 0)

    for node in ast.walk(syntax_tree(source)):
        if isinstance(node, ast.arg) and node.annotation is not None:
            begin = position(node.lineno, node.col_offset) + len(node.arg.encode())
            cuts.append((begin, position(node.annotation.end_lineno, node.annotation.end_col_offset)))
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            begin = text.rindex(b"->", 0, position(node.returns.lineno, node.returns.col_offset))
            cuts.append((begin - 1, position(node.returns.end_lineno, node.returns.end_col_offset)))
    for begin, end in sorted(cuts, reverse=True):
        text = text[:begin] + text[end:]
    return text.decode()
