"""Numbers as a reader wants them: six significant digits, a true minus sign, powers of ten in LaTeX."""

from __future__ import annotations

import math
from typing import Any

MINUS = "\u2212"


def _digits(value: Any, digits: int) -> str:
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        return str(value)
    number = float(value)
    if number == int(number) if math.isfinite(number) else False:
        return f"{int(number)}" if abs(number) < 1e9 else f"{number:.{digits}g}"
    return f"{number:.{digits}g}"


def number_text(value: Any, digits: int = 6) -> str:
    """The number for a terminal.

    >>> number_text(-1.25), number_text(6.0), number_text(float("-inf"))
    ('−1.25', '6', '−∞')
    """
    body = _digits(value, digits).replace("inf", "∞").replace("nan", "NaN")
    return MINUS + body[1:] if body.startswith("-") else body


def number_tex(value: Any, digits: int = 6) -> str:
    r"""The number for LaTeX.

    >>> number_tex(1.5e-7), number_tex(float("inf"))
    ('1.5 \\cdot 10^{-7}', '\\infty')
    """
    body = _digits(value, digits)
    if body in ("True", "False"):
        return rf"\text{{{body.lower()}}}"
    if body == "nan":
        return r"\text{NaN}"
    if "inf" in body:
        return body.replace("inf", r"\infty")
    mantissa, _, exponent = body.partition("e")
    return mantissa if not exponent else rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
