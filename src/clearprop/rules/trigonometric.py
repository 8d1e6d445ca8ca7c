"""Elementwise leaves: trigonometric and hyperbolic functions, and their inverses."""

from __future__ import annotations

from typing import Any

from clearprop.primitives import primitive
from clearprop.program.types import Value
from clearprop.rules.elementwise import abs, maximum, sqrt, stop_gradient, where


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.sin({x})",
    numba="sin({x})",
    tex=r"\sin {x}",
    dtype="float",
    d_x=lambda g, x: g * cos(x),
)
def sin(x: Value, /) -> Any:
    """Sine of x (radians).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.sin(cl.tensor([0.0, 1.5]))
    Tensor([0.0, 0.99749499])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.cos({x})",
    numba="cos({x})",
    tex=r"\cos {x}",
    dtype="float",
    d_x=lambda g, x: -g * sin(x),
)
def cos(x: Value, /) -> Any:
    """Cosine of x (radians).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.cos(cl.tensor([0.0, 1.5]))
    Tensor([1.0, 0.0707372])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.tan({x})",
    numba="tan({x})",
    tex=r"\tan {x}",
    dtype="float",
    d_x=lambda g, y: g * (1 + y * y),
)
def tan(x: Value, /) -> Any:
    """Tangent of x (radians).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.tan(cl.tensor([0.0, 1.0]))
    Tensor([0.0, 1.55740772])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.arcsin({x})",
    numba="asin({x})",
    tex=r"\arcsin {x}",
    dtype="float",
    d_x=lambda g, x: g / sqrt((1 - x) * (1 + x)),  # 1 - x * x loses digits near 1
)
def asin(x: Value, /) -> Any:
    """Inverse sine on [−1, 1]; NaN outside.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.asin(cl.tensor([0.0, 1.0]))
    Tensor([0.0, 1.57079633])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.arccos({x})",
    numba="acos({x})",
    tex=r"\arccos {x}",
    dtype="float",
    d_x=lambda g, x: -g / sqrt((1 - x) * (1 + x)),
)
def acos(x: Value, /) -> Any:
    """Inverse cosine on [−1, 1]; NaN outside.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.acos(cl.tensor([0.0, 1.0]))
    Tensor([1.57079633, 0.0])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.arctan({x})",
    numba="atan({x})",
    tex=r"\arctan {x}",
    dtype="float",
    d_x=lambda g, x: g / (1 + x * x),
)
def atan(x: Value, /) -> Any:
    """Inverse tangent.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.atan(cl.tensor([0.0, 1.0]))
    Tensor([0.0, 0.78539816])
    """


def _angle_slope(other: Value, own: Value) -> Any:
    """other/(own² + other²), without the squares of large or small numbers."""
    scale = stop_gradient(maximum(abs(own), abs(other)))
    p, q = own / scale, other / scale
    return q / (p * p + q * q) / scale


@primitive(
    "elementwise", numpy="np.arctan2({a}, {b})", numba="atan2({a}, {b})", tex=r"\operatorname{{atan2}}({a}, {b})",
    dtype="float", d_a=lambda g, a, b: g * _angle_slope(b, a), d_b=lambda g, a, b: -g * _angle_slope(a, b),
)  # fmt: skip
def atan2(a: Value, b: Value, /) -> Any:
    """The angle of the point (b, a), in (−π, π]; at the origin it has no derivative: NaN.

    a  the ordinate
    b  the abscissa; it broadcasts with a

    >>> import clearprop as cl
    >>> cl.atan2(cl.tensor([1.0, -1.0]), cl.tensor([0.0, -1.0]))
    Tensor([1.57079633, -2.35619449])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.sinh({x})",
    numba="sinh({x})",
    tex=r"\sinh {x}",
    dtype="float",
    d_x=lambda g, x: g * cosh(x),
)
def sinh(x: Value, /) -> Any:
    """Hyperbolic sine.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.sinh(cl.tensor([0.0, 1.0]))
    Tensor([0.0, 1.17520119])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.cosh({x})",
    numba="cosh({x})",
    tex=r"\cosh {x}",
    dtype="float",
    d_x=lambda g, x: g * sinh(x),
)
def cosh(x: Value, /) -> Any:
    """Hyperbolic cosine.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.cosh(cl.tensor([0.0, 1.0]))
    Tensor([1.0, 1.54308063])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.tanh({x})",
    numba="tanh({x})",
    tex=r"\tanh {x}",
    dtype="float",
    d_x=lambda g, y: g * (1 - y * y),
)
def tanh(x: Value, /) -> Any:
    """Hyperbolic tangent (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.tanh(cl.tensor([0.0, 1.0]))
    Tensor([0.0, 0.76159416])
    """


def _hypotenuse(x: Value) -> Any:
    """√(x² + 1), which is |x| for large x: their square is not taken."""
    return where(abs(x) < 1e10, sqrt(x * x + 1), abs(x))


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.arcsinh({x})",
    numba="asinh({x})",
    tex=r"\operatorname{{arsinh}} {x}",
    dtype="float",
    d_x=lambda g, x: g / _hypotenuse(x),
)
def asinh(x: Value, /) -> Any:
    """Inverse hyperbolic sine.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.asinh(cl.tensor([0.0, 1.0]))
    Tensor([0.0, 0.88137359])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.arccosh({x})",
    numba="acosh({x})",
    tex=r"\operatorname{{arcosh}} {x}",
    dtype="float",
    d_x=lambda g, x: g / (sqrt(x - 1) * sqrt(x + 1)),
)
def acosh(x: Value, /) -> Any:
    """Inverse hyperbolic cosine on [1, ∞); NaN below 1.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.acosh(cl.tensor([1.0, 2.0]))
    Tensor([0.0, 1.3169579])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.arctanh({x})",
    numba="atanh({x})",
    tex=r"\operatorname{{artanh}} {x}",
    dtype="float",
    d_x=lambda g, x: g / ((1 - x) * (1 + x)),
)
def atanh(x: Value, /) -> Any:
    """Inverse hyperbolic tangent on (−1, 1).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.atanh(cl.tensor([0.0, 0.5]))
    Tensor([0.0, 0.54930614])
    """
