"""Activation functions that few networks use: mish, and those made of straight lines."""

from __future__ import annotations

from typing import Any

from clearprop.primitives import composite
from clearprop.program.types import Value
from clearprop.rules.activations import relu6, sigmoid, softplus
from clearprop.rules.arithmetic import nan_or_zero, zero_or_nan
from clearprop.rules.elementwise import clip, logical_and, logical_not, where
from clearprop.rules.trigonometric import tanh


def _mish_slope(x: Value) -> Any:
    t = tanh(softplus(x))
    return t + x * sigmoid(x) * (1 - t * t)


@composite("elementwise", dtype="float", tex=r"{x} \tanh(\log(1 + e^{{{x}}}))", d_x=lambda g, x: g * _mish_slope(x))
def mish(x: Value, /) -> Any:
    """x·tanh(log(1 + eˣ)) (Misra 2019).

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.mish(cl.tensor([-1.0, 2.0]))
    Tensor([-0.30340146, 1.94395896])
    """
    return x * tanh(softplus(x))


@composite(
    "elementwise", dtype="float", tex=r"\operatorname{{clip}}({x}, -1, 1)", kink=lambda x: x * x - 1.0,
    d_x=lambda g, y: where(y > -1, where(y < 1, g, 0.0), nan_or_zero(y)),
    chosen_x=lambda y: logical_and(logical_not(y <= -1), logical_not(y >= 1)),
)  # fmt: skip
def hard_tanh(x: Value, /) -> Any:
    """min(max(x, −1), 1) (Collobert 2004).  By convention the derivative at −1 and at 1 is 0.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.hard_tanh(cl.tensor([-2.0, 0.5, 9.0]))
    Tensor([-1.0, 0.5, 1.0])
    """
    return clip(x, -1.0, 1.0)


@composite(
    "elementwise", dtype="float", tex=r"\operatorname{{clip}}({x} + 3, 0, 6) / 6", kink=lambda x: x * x - 9.0,
    d_x=lambda g, y: where(y > 0, where(y < 1, g / 6, 0.0), zero_or_nan(y)),
    chosen_x=lambda y: logical_and(logical_not(y <= 0), logical_not(y >= 1)),
)  # fmt: skip
def hard_sigmoid(x: Value, /) -> Any:
    """min(max(x + 3, 0), 6)/6, near the logistic function (Courbariaux et al. 2015; Howard et al. 2019).

    By convention the derivative at −3 and at 3 is 0.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.hard_sigmoid(cl.tensor([-4.0, 0.0, 1.5]))
    Tensor([0.0, 0.5, 0.75])
    """
    return relu6(x + 3.0) / 6.0


@composite(
    "elementwise", dtype="float", tex=r"{x} \operatorname{{clip}}({x} + 3, 0, 6) / 6", kink=lambda x: x * x - 9.0,
    d_x=lambda g, x: where(x > -3, where(x < 3, g * (x / 3 + 0.5), g), nan_or_zero(x)),
    chosen_x=lambda x: logical_not(x <= -3),
)  # fmt: skip
def hard_silu(x: Value, /) -> Any:
    """x·min(max(x + 3, 0), 6)/6, also called hard swish (Howard et al. 2019).

    By convention the derivative at −3 is 0, and at 3 it is 1.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.hard_silu(cl.tensor([-4.0, 1.5, 3.0]))
    Tensor([-0.0, 1.125, 3.0])
    """
    return x * hard_sigmoid(x)
