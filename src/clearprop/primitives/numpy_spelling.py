"""What runs on arrays: the spelling that is shown, made a function, or the body of a composite."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from clearprop.program.types import Value
from clearprop.program.values import quiet, raw

HELPERS: dict[str, Callable[..., Any]] = {}
"""Functions that NumPy spellings may call beside NumPy's own; generated sources carry their text."""


class _Names(dict[str, str]):
    """Fills a spelling with the names of operands and parameters."""

    def __missing__(self, key: str) -> str:
        return key


def function_of_spelling(
    text: str, operands: Iterable[str], params: Iterable[str], variadic: bool
) -> Callable[..., Any]:
    """The callable that runs is the source that is shown: the NumPy spelling, made a function."""
    star = "*" if variadic else ""
    named = list(params)
    head = ", ".join([star + o for o in operands] + (["*"] if named and not star else []) + named)
    source = f"lambda {head}: {string.Formatter().vformat(text, (), _Names())}"
    function: Callable[..., Any] = eval(compile(source, __file__, "eval"), {"np": np, **HELPERS})
    return function


def values_of(body: Callable[..., Any]) -> Callable[..., Any]:
    """A body that returns arrays when it is given arrays, also if it calls functions that wrap them."""

    def compute(*values: Value, **params: Any) -> Any:
        out = body(*values, **params)
        return tuple(map(raw, out)) if type(out) is tuple else raw(out)

    return compute


def without_warnings(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The same, silent where NaN and infinities come out.

    (NumPy's own decorator would add a frame that looks like the user's.)
    """

    def run(*values: Value, **params: Any) -> Any:
        with quiet():
            return compute(*values, **params)

    return run
