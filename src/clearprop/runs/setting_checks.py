"""Arguments of `cl.fit` against the ranges that settings declare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from clearprop.errors import ArgumentError, user_line
from clearprop.optim.hyperparameters import Range
from clearprop.runs.settings import declaration_of


def check_arguments(given: Mapping[str, Any]) -> None:
    """Check arguments of `cl.fit` against the ranges of the settings.  Raises ArgumentError for one outside."""
    for name, value in given.items():
        said = declaration_of(name)
        if said.fit is None or said.range is None:
            continue
        kinds = (int,) if said.range.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not said.range.holds(value):
            raise out_of_range(name, value, said.range, said.fit)


def out_of_range(name: str, value: Any, within: Range, example: str) -> ArgumentError:
    """The error for an argument of `cl.fit` that is outside its range."""
    kind = "a whole number" if within.whole else "a number"
    return ArgumentError(
        f"fit cannot work with this {name}",
        expected=f"{kind} {name} >= {within.low:g}"
        + (f" and < {within.high:g}" if "]" in within.open_ and within.high < math.inf else ""),
        got=f"{name} = {value!r}",
        where=user_line(),
        try_=f"{name}={example}",
    )


def patience_needs_validation(patience: int) -> ArgumentError:
    """The error for patience without validation data."""
    return ArgumentError(
        "patience needs validation data",
        expected="validation=0.2 or validation=(x, y): patience counts epochs without a better validation loss",
        got="validation=None",
        where=user_line(),
        try_=f"validation=0.2, patience={patience}",
    )
