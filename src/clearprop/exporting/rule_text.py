"""Rules as their declarations write them: the text of a derivative, read from the source of the primitive."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from pathlib import Path

from clearprop.notation.expressions import syntax_tree
from clearprop.primitives import Primitive


def rule_source(p: Primitive, operand: str) -> str:
    """What `operand` receives, as the declaration of `p` writes it; empty where it declares nothing."""
    for keyword in _declaration(p):
        if keyword.arg in (f"d_{operand}", f"vjp_{operand}"):
            body = keyword.value.body if isinstance(keyword.value, ast.Lambda) else keyword.value
            return re.sub(r"(?<=\w)_\(", "(", ast.unparse(body))
    return ""


@functools.cache
def _declaration(p: Primitive) -> list[ast.keyword]:
    tree = syntax_tree(Path(inspect.getfile(p.function)).read_text(encoding="utf-8"))
    named = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == p.function.__name__]
    calls = [d for node in named for d in node.decorator_list if isinstance(d, ast.Call)]
    return [keyword for call in calls for keyword in call.keywords]
