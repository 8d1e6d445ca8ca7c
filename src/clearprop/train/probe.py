"""Whether a run that goes on has the network and the loss of the user's that it was started with, by one number."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from clearprop import nn
from clearprop.autodiff.trees import flatten, unflatten
from clearprop.compiler.surroundings import PLAIN, held_by, variables_around
from clearprop.errors import RunError
from clearprop.program.outside_draws import undrawn
from clearprop.program.types import is_floating
from clearprop.program.values import no_grad, raw
from clearprop.rules import random
from clearprop.runs.events import Events
from clearprop.train.step import own_code

_ROWS = 8


def probe(model: Any, loss: Any, x: Any, y: Any, *weight: Any) -> float | None:
    """The loss of set weights on the first rows: what a network and a loss compute, in one number.

    None where there is no such number, as where they draw random numbers, whose generators are left as they were.
    """
    leaves, structure = flatten(model)
    for i, leaf in enumerate(map(raw, leaves)):
        if is_floating(leaf.dtype):
            leaves[i] = np.cos(np.arange(leaf.size) + i).reshape(leaf.shape).astype(leaf.dtype)
    network, rows = unflatten(structure, leaves), [part[:_ROWS] for part in (x, y, *weight)]

    def measure() -> float:
        with no_grad(), np.errstate(all="ignore"), suppress(Exception):  # these may be no weights for this network
            outputs, _ = nn.apply(network, rows[0], train=True, rng=random.key(0))
            return float(loss(outputs, *rows[1:]))
        return math.nan

    found = undrawn(measure, own_code(model, loss))
    return float(found) if found is not None and math.isfinite(found) else None


def require_same_code(
    now: float | None, before: float | None, path: Path, code: Callable[..., Any], events: Events
) -> None:
    """Raise RunError for code that computes something else; where the numbers that it reads may differ, tell it."""
    if now is None or before is None or math.isclose(now, before, rel_tol=1e-3):
        return
    if read := _numbers_read(code):
        events.emit(
            "warning",
            message=f"with set weights the network and the loss give {now:g} on the first rows, where they gave "
            f"{before:g}: they are others, or {' or '.join(read)} is, which they read",
        )
        return
    raise RunError(
        "the run can only be resumed by the network and the loss that it was started with",
        expected=f"a loss of {before:g} with set weights on the first rows",
        got=f"{now:g}: something else is computed",
        where=str(path),
        try_="the same modules, with the same fields that are no parameters, and the same loss; or a new run",
    )


def _numbers_read(code: Callable[..., Any]) -> list[str]:
    """What variables around a function are called whose numbers and words something else may change."""
    read = ((v, type(held_by(v.read))) for v in variables_around(code) if v.is_loaded)
    return [v.name for v, kind in read if kind in (list, dict) or (kind in PLAIN and not v.is_set_once)]
