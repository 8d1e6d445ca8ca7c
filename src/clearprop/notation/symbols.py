"""Names of entries and numbers, as a reader wants them.

Names: w₀ where a subscript reads well, layers[0].weight[3,5] elsewhere.  Numbers: six significant digits, a true minus
sign, powers of ten in LaTeX.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SHORT = re.compile(r"[^\W\d_]{1,2}")
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "rho",
    "sigma", "tau", "phi", "chi", "psi", "omega",
}  # fmt: skip


def subscript(name: str, index: Sequence[int]) -> str:
    """The name of one entry for a terminal.

    >>> subscript("w", (0,)), subscript("layers[0].weight", (3, 5)), subscript("b", ())
    ('w₀', 'layers[0].weight[3,5]', 'b')
    """
    if not index:
        return name
    if len(index) == 1 and _SHORT.fullmatch(name):
        return name + str(index[0]).translate(_LOWERED)
    return f"{name}[{','.join(map(str, index))}]"


def name_tex(name: str) -> str:
    r"""A name for LaTeX: one letter stays, Greek letters are drawn, words stand upright.

    >>> name_tex("w"), name_tex("sigma"), name_tex("batch_mean")
    ('w', '\\sigma', '\\mathrm{batch\\_mean}')
    """
    if len(name) == 1:
        return name
    if name in _GREEK:
        return "\\" + name
    return rf"\mathrm{{{escape_tex(name)}}}"


def escape_tex(text: str) -> str:
    r"""Text with LaTeX's special characters made harmless, and the signs of our texts as mathematics.

    >>> escape_tex("z_1 = −1")
    'z\\_1 = $-$1'
    """
    plain = re.sub(r"([_#%&${}])", r"\\\1", text.replace("\\", "/"))
    return re.sub("|".join(_IN_TEXT), lambda m: f"${_IN_TEXT[m[0]]}$", plain)


_IN_TEXT = {
    "−": "-", "∂": r"\partial ", "·": r"\cdot ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "√": r"\surd ", "²": "^2",
    "∞": r"\infty ", "Σ": r"\Sigma ", **{chr(0x2080 + i): f"_{i}" for i in range(10)},
}  # fmt: skip


def subscript_tex(name: str, index: Sequence[int]) -> str:
    r"""The name of one entry for LaTeX.

    >>> subscript_tex("w", (0,)), subscript_tex("w", (3, 5))
    ('w_{0}', 'w_{3,5}')
    """
    return name_tex(name) + (f"_{{{','.join(map(str, index))}}}" if index else "")


# --------------------------------------------------------------------------------------------------- numbers
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
