"""Elementwise leaves: trigonometric and hyperbolic functions, and their inverses."""

from __future__ import annotations

from typing import Any

from clearprop.primitives import primitive
from clearprop.program.types import Value
from clearprop.rules.elementwise import sqrt


@primitive(
    "elementwise",
    numpy="np.sin({x})",
    numba="sin({x})",
    tex=r"\sin {x}",
    dtype="float",
    d_x=lambda g, x: g * cos(x),
)
def sin(x: Value, /) -> Any:
    """Sine of x (radians)."""


@primitive(
    "elementwise",
    numpy="np.cos({x})",
    numba="cos({x})",
    tex=r"\cos {x}",
    dtype="float",
    d_x=lambda g, x: -g * sin(x),
)
def cos(x: Value, /) -> Any:
    """Cosine of x (radians)."""


@primitive(
    "elementwise",
    numpy="np.tan({x})",
    numba="tan({x})",
    tex=r"\tan {x}",
    dtype="float",
    d_x=lambda g, y: g * (1 + y * y),
)
def tan(x: Value, /) -> Any:
    """Tangent of x (radians)."""


@primitive(
    "elementwise",
    numpy="np.arcsin({x})",
    numba="asin({x})",
    tex=r"\arcsin {x}",
    dtype="float",
    d_x=lambda g, x: g / sqrt(1 - x * x),
)
def asin(x: Value, /) -> Any:
    """Inverse sine on [−1, 1]; NaN outside."""


@primitive(
    "elementwise",
    numpy="np.arccos({x})",
    numba="acos({x})",
    tex=r"\arccos {x}",
    dtype="float",
    d_x=lambda g, x: -g / sqrt(1 - x * x),
)
def acos(x: Value, /) -> Any:
    """Inverse cosine on [−1, 1]; NaN outside."""


@primitive(
    "elementwise",
    numpy="np.arctan({x})",
    numba="atan({x})",
    tex=r"\arctan {x}",
    dtype="float",
    d_x=lambda g, x: g / (1 + x * x),
)
def atan(x: Value, /) -> Any:
    """Inverse tangent."""


@primitive(
    "elementwise", numpy="np.arctan2({a}, {b})", numba="atan2({a}, {b})", tex=r"\operatorname{{atan2}}({a}, {b})",
    dtype="float", d_a=lambda g, a, b: g * b / (a * a + b * b), d_b=lambda g, a, b: -g * a / (a * a + b * b),
)  # fmt: skip
def atan2(a: Value, b: Value, /) -> Any:
    """The angle of the point (b, a), in (−π, π]."""


@primitive(
    "elementwise",
    numpy="np.sinh({x})",
    numba="sinh({x})",
    tex=r"\sinh {x}",
    dtype="float",
    d_x=lambda g, x: g * cosh(x),
)
def sinh(x: Value, /) -> Any:
    """Hyperbolic sine."""


@primitive(
    "elementwise",
    numpy="np.cosh({x})",
    numba="cosh({x})",
    tex=r"\cosh {x}",
    dtype="float",
    d_x=lambda g, x: g * sinh(x),
)
def cosh(x: Value, /) -> Any:
    """Hyperbolic cosine."""


@primitive(
    "elementwise",
    numpy="np.tanh({x})",
    numba="tanh({x})",
    tex=r"\tanh {x}",
    dtype="float",
    d_x=lambda g, y: g * (1 - y * y),
)
def tanh(x: Value, /) -> Any:
    """Hyperbolic tangent (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ)."""


@primitive(
    "elementwise",
    numpy="np.arcsinh({x})",
    numba="asinh({x})",
    tex=r"\operatorname{{arsinh}} {x}",
    dtype="float",
    d_x=lambda g, x: g / sqrt(x * x + 1),
)
def asinh(x: Value, /) -> Any:
    """Inverse hyperbolic sine."""


@primitive(
    "elementwise",
    numpy="np.arccosh({x})",
    numba="acosh({x})",
    tex=r"\operatorname{{arcosh}} {x}",
    dtype="float",
    d_x=lambda g, x: g / (sqrt(x - 1) * sqrt(x + 1)),
)
def acosh(x: Value, /) -> Any:
    """Inverse hyperbolic cosine on [1, ∞); NaN below 1."""


@primitive(
    "elementwise",
    numpy="np.arctanh({x})",
    numba="atanh({x})",
    tex=r"\operatorname{{artanh}} {x}",
    dtype="float",
    d_x=lambda g, x: g / (1 - x * x),
)
def atanh(x: Value, /) -> Any:
    """Inverse hyperbolic tangent on (−1, 1)."""
