"""Activation functions: elementwise composites with the textbook's derivative.

Rules are written in the output `y` where that is possible, so that the input need not be kept.
"""

from __future__ import annotations

import math
from typing import Any

from clearprop.primitives import composite
from clearprop.program.types import Value
from clearprop.rules import eager
from clearprop.rules.arithmetic import zero_or_nan
from clearprop.rules.comparison import logical_not, logical_or
from clearprop.rules.elementwise import abs, erf, exp, expm1, log1p, maximum, minimum, where
from clearprop.rules.trigonometric import tanh


@composite("elementwise", dtype="float", tex=r"\sigma({x})", d_x=lambda g, y: g * y * (1 - y))
def sigmoid(x: Value, /) -> Any:
    """Logistic function σ(x) = 1/(1 + e⁻ˣ), without overflow.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.sigmoid(cl.tensor([0.0, 1000.0]))
    Tensor([0.5, 1.0])
    """
    return 1 / (1 + exp(-x))


@composite("elementwise", dtype="float", tex=r"\log(1 + e^{{{x}}})", d_x=lambda g, x: g * sigmoid(x))
def softplus(x: Value, /) -> Any:
    """log(1 + eˣ), a smooth ReLU (Dugas et al. 2001), without overflow.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.softplus(cl.tensor([0.0, 1000.0]))
    Tensor([0.69314718, 1000.0])
    """
    return maximum(x, 0.0) + log1p(exp(-abs(x)))


@composite(
    "elementwise", eager=eager.rectify, dtype="float", tex=r"\max(0, {x})", kink=lambda x: x,
    d_x=lambda g, y: where(y > 0, g, zero_or_nan(y)),
    chosen_x=lambda y: logical_not(y <= 0),
)  # fmt: skip
def relu(x: Value, /) -> Any:
    """Rectified linear unit max(0, x) (Nair & Hinton 2010).  By convention relu′(0) = 0.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.relu(cl.tensor([-1.0, 2.0]))
    Tensor([0.0, 2.0])
    """
    return maximum(x, 0.0)  # lets NaN through; where(x > 0, x, 0) would hide it


@composite(
    "elementwise", dtype="float", tex=r"\operatorname{{leaky}}({x})", kink=lambda x: x,
    d_x=lambda g, x, slope: where(x > 0, g, where(x <= 0, slope * g, x)),
)  # fmt: skip
def leaky_relu(x: Value, /, *, slope: Value = 0.01) -> Any:
    """x where x > 0, slope · x elsewhere (Maas et al. 2013).  By convention the derivative at 0 is the slope.

    x      numbers
    slope  the derivative below 0

    >>> import clearprop as cl
    >>> cl.leaky_relu(cl.tensor([-1.0, 2.0]), slope=0.1)
    Tensor([-0.1, 2.0])
    """
    return where(x > 0, x, slope * x)


@composite(
    "elementwise", dtype="float", tex=r"\min(\max(0, {x}), 6)", kink=lambda x: x * (x - 6.0),
    d_x=lambda g, y: where(y > 0, where(y < 6, g, 0.0), zero_or_nan(y)),
    chosen_x=lambda y: logical_not(logical_or(y <= 0, y >= 6)),
)  # fmt: skip
def relu6(x: Value, /) -> Any:
    """min(max(0, x), 6) (Krizhevsky 2010).  By convention the derivative at 0 and at 6 is 0.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.relu6(cl.tensor([-1.0, 2.0, 9.0]))
    Tensor([0.0, 2.0, 6.0])
    """
    return minimum(maximum(x, 0.0), 6.0)


def _not_above_zero(x: Value) -> Any:
    """min(x, 0) with derivative 1 at 0, as the branch that it stands in: so the second derivative there is whole."""
    return where(x > 0, 0.0, x)


@composite(
    "elementwise", dtype="float", tex=r"\operatorname{{elu}}({x})", kink=lambda x, alpha: x,
    d_x=lambda g, x, alpha: where(x > 0, g, g * alpha * exp(_not_above_zero(x))),
)  # fmt: skip
def elu(x: Value, /, *, alpha: Value = 1.0) -> Any:
    """x where x > 0, alpha (eˣ − 1) elsewhere (Clevert et al. 2015).

    x      numbers
    alpha  minus the limit for x → −∞

    >>> import clearprop as cl
    >>> cl.elu(cl.tensor([-1.0, 2.0]))
    Tensor([-0.63212056, 2.0])
    """
    return where(x > 0, x, alpha * expm1(_not_above_zero(x)))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@composite(
    "elementwise", dtype="float", tex=r"\operatorname{{selu}}({x})", kink=lambda x: x,
    d_x=lambda g, x: SELU_SCALE * where(x > 0, g, g * SELU_ALPHA * exp(_not_above_zero(x))),
)  # fmt: skip
def selu(x: Value, /) -> Any:
    """Scaled elu that keeps mean 0 and variance 1 (Klambauer et al. 2017).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.selu(cl.tensor([-1.0, 2.0]))
    Tensor([-1.11133074, 2.10140197])
    """
    return SELU_SCALE * where(x > 0, x, SELU_ALPHA * expm1(_not_above_zero(x)))


@composite(
    "elementwise", dtype="float", tex=r"{x}\,\Phi({x})",
    d_x=lambda g, x: g * (_normal_cdf(x) + x * exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))),
)  # fmt: skip
def gelu(x: Value, /) -> Any:
    """Gaussian error linear unit x·Φ(x), with the exact normal distribution function (Hendrycks & Gimpel 2016).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.gelu(cl.tensor([-1.0, 2.0]))
    Tensor([-0.15865525, 1.95449974])
    """
    return x * _normal_cdf(x)


def _normal_cdf(x: Value) -> Any:
    return 0.5 * (1 + erf(x * math.sqrt(0.5)))


_GELU = math.sqrt(2 / math.pi)


def _gelu_slope(x: Value) -> Any:
    t = tanh(_GELU * (x + 0.044715 * x * x * x))
    s = (1 - t * t) * x  # first, so that x² cannot overflow where this vanishes
    return 0.5 * (1 + t) + 0.5 * _GELU * (s + 3 * 0.044715 * s * x * x)


@composite(
    "elementwise", dtype="float", tex=r"\operatorname{{gelu}}_{{\tanh}}({x})", d_x=lambda g, x: g * _gelu_slope(x)
)
def gelu_tanh(x: Value, /) -> Any:
    """The tanh approximation of gelu, within 5e-4 of it (Hendrycks & Gimpel 2016).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.gelu_tanh(cl.tensor([-1.0, 2.0]))
    Tensor([-0.15880801, 1.95459769])
    """
    return 0.5 * x * (1 + tanh(_GELU * (x + 0.044715 * x * x * x)))


@composite(
    "elementwise", dtype="float", tex=r"{x}\,\sigma({x})", d_x=lambda g, x: g * sigmoid(x) * (1 + x * (1 - sigmoid(x)))
)
def silu(x: Value, /) -> Any:
    """x·σ(x), also called swish (Elfwing et al. 2017).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.silu(cl.tensor([-1.0, 2.0]))
    Tensor([-0.26894142, 1.76159416])
    """
    return x * sigmoid(x)
