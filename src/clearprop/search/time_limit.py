"""How long trainings may go on: `--time` of a sweep and of an ensemble."""

from __future__ import annotations

import math
import re
from typing import Any

from clearprop.errors import ArgumentError

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?")
_SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_time(given: Any) -> float:
    """Seconds, from a number or text such as 90, 10m, 1.5h; without one, no limit.  Raises ArgumentError otherwise.

    >>> read_time("10m"), read_time(None)
    (600.0, inf)
    """
    if given is None:
        return math.inf
    found = _TIME.fullmatch(given.strip()) if isinstance(given, str) else None
    number = float(found[1]) * _SECONDS[found[2]] if found else given
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
        raise ArgumentError(
            f"the time cannot be {given!r}",
            expected="a number of seconds above 0, or one with s, m, h or d",
            got=repr(given),
            where="--time",
            try_="--time 10m",
        )
    return float(number)
