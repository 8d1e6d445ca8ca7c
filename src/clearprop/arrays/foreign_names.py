"""Names of NumPy, SciPy, PyTorch, JAX and autograd that are none of ours: what is said, and what is written instead.

`foreign_names.json` is made from the pages for those who come from there, by `python docs/reference.py`.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterable
from pathlib import Path

from clearprop.arrays.number_refusals import NoAttributeError
from clearprop.arrays.numpy_protocol import FUNCTIONS
from clearprop.errors import user_line
from clearprop.rules.on_demand import NAMESPACES, find, find_in

_PACKAGE = Path(__file__).parents[1]


@functools.cache
def _lines() -> dict[str, str]:
    lines: dict[str, str] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return lines


def instead_of(name: str) -> str:
    """What is written here for a function that others call so: a line of `docs/coming-from/`, or nothing.

    >>> instead_of("concatenate")
    'cl.concat([x, y], axis=1)'
    """
    return _lines().get(name, "")


def no_name(home: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for a name that `home` (`cl`, `cl.linalg`, …) has not, with what was meant by it.

    >>> no_name("cl.random", "randn", ["normal"]).try_
    'cl.random.normal(key, (2, 3))'
    """
    if name.startswith("_") or (_PACKAGE / name).is_dir():  # protocols and imports ask for these, and go on without
        return AttributeError(f"{home} has no attribute {name!r}")
    close = [f"{home}.{near}, the nearest name" for near in difflib.get_close_matches(name, [*known], 1, 0.75)]
    return NoAttributeError(
        f"{home} has no name {name!r}",
        expected=f"one of the names that dir({home}) lists",
        got=f"{home}.{name}",
        where=user_line(),
        try_=instead_of(name) or _home_of(name) or "".join(close) or "the pages docs/coming-from, which map names",
    )


def _home_of(name: str) -> str:
    """The full name of a function of ours that stands in another namespace, or nothing."""
    homes = [f"cl.{space}" for space in NAMESPACES if find_in(space, name) is not None]
    return f"cl.{name}" if name in FUNCTIONS or find(name) is not None else f"{homes[0]}.{name}" if homes else ""
