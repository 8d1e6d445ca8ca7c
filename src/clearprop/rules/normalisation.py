"""Softmax and its logarithm: their Jacobians are a diagonal minus a product of two vectors."""

from __future__ import annotations

from typing import Any

from clearprop.primitives import composite
from clearprop.program.types import Axes, Type, Value
from clearprop.rules import eager
from clearprop.rules.elementwise import as_floating, exp, log, stop_gradient
from clearprop.rules.reductions import max, sum


def _same(x: Type, axis: int) -> Any:
    return x.shape


@composite(
    "general", eager=eager.softmax, tex=r"\operatorname{{softmax}} {x}", shape=_same, dtype="float",
    vjp_x=lambda g, y, axis: y * (g - sum(g * y, axis=axis, keepdims=True)),
    jvp=lambda x_dot, y, axis: y * (x_dot - sum(x_dot * y, axis=axis, keepdims=True)),
)  # fmt: skip
def softmax(x: Value, /, axis: Axes = -1) -> Any:
    """eˣ / Σ eˣ along an axis (Bridle 1990), without overflow.  Its Jacobian is symmetric: diag(y) − y yᵀ.

    x     numbers
    axis  the axis along which the results sum to 1

    >>> import clearprop as cl
    >>> cl.softmax(cl.tensor([0.0, 0.0, 1000.0]))
    Tensor([0.0, 0.0, 1.0])
    """
    x = as_floating(x)
    e = exp(x - stop_gradient(max(x, axis=axis, keepdims=True)))
    return e / sum(e, axis=axis, keepdims=True)


@composite(
    "general", tex=r"\log\operatorname{{softmax}} {x}", shape=_same, dtype="float",
    vjp_x=lambda g, y, axis: g - exp(y) * sum(g, axis=axis, keepdims=True),
    jvp=lambda x_dot, y, axis: x_dot - sum(exp(y) * x_dot, axis=axis, keepdims=True),
)  # fmt: skip
def log_softmax(x: Value, /, axis: Axes = -1) -> Any:
    """x − log Σ eˣ along an axis, without overflow and without the logarithm of a vanishing quotient.

    x     numbers
    axis  the axis along which the exponentials sum to 1

    >>> import clearprop as cl
    >>> cl.log_softmax(cl.tensor([0.0, 0.0]))
    Tensor([-0.69314718, -0.69314718])
    """
    x = as_floating(x)
    shifted = x - stop_gradient(max(x, axis=axis, keepdims=True))
    return shifted - log(sum(exp(shifted), axis=axis, keepdims=True))
