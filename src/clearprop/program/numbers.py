"""Python numbers beside arrays: they adopt the array's dtype if they fit into it, and are refused otherwise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.errors import DTypeError, user_line
from clearprop.program.types import INT64, DType

_LIMITS = {name: (int(np.iinfo(name).min), int(np.iinfo(name).max)) for name in ("int8", "int16", "int32", "int64")}
_LIMITS |= {name: (0, int(np.iinfo(name).max)) for name in ("uint8", "uint16", "uint32", "uint64")}


def integer_limits(dtype: DType) -> tuple[int, int]:
    """The least and the largest integer of a dtype; those of int64 for what is no integer dtype."""
    return _LIMITS.get(dtype.name, _LIMITS["int64"])


def fit_number(name: str, value: Any, dtype: DType, compares: bool) -> Any:
    """The Python number with which `name` computes in `dtype`.

    An integer beyond an integer dtype has no value there.  Where it is only compared, ±∞ has the same answers;
    elsewhere it is refused, as NumPy does (NEP 50).  In floating point a huge integer is its nearest number.

    >>> fit_number("greater", 300, np.dtype("uint8"), compares=True)
    inf
    """
    low, high = integer_limits(dtype if dtype.kind in "iu" else INT64)
    if type(value) is not int or low <= value <= high:
        return value
    if dtype.kind == "f" and abs(value) <= np.finfo(dtype).max:
        return float(value)
    if compares:
        return math.copysign(math.inf, value)
    raise DTypeError(
        f"{name}: the number {_number_text(value)} does not fit in {dtype.name}",
        expected=f"{low} to {high}" if dtype.kind != "f" else f"at most {np.finfo(dtype).max:.3g}",
        got=_number_text(value),
        where=user_line(),
        try_="x.astype(np.int64), or np.float64, before it meets the number",
    )


def _number_text(value: int) -> str:
    text = str(value) if abs(value) < 10**40 else f"an integer of {value.bit_length()} bits"
    return text
