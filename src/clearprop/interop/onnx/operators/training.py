"""The training operators of the preview domain: optimizers' steps, and gradients of what the graph computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop.arrays import functions as f
from clearprop.autodiff.transforms import vjp
from clearprop.errors import ArgumentError, unknown_name
from clearprop.interop.onnx.graph import Context
from clearprop.interop.onnx.graph_values import dtype_of
from clearprop.interop.onnx.operator_table import operator

DOMAIN = "ai.onnx.preview.training"


def _for_each(groups: int, values: tuple[Any, ...], step: Callable[..., tuple[Any, ...]]) -> tuple[Any, ...]:
    """A step of every array: values are all arrays, then all gradients, then all of each further group."""
    count = len(values) // groups
    results = [step(*values[i::count]) for i in range(count)]
    return tuple(result[place] for place in range(len(results[0])) for result in results)


@operator("Momentum", domain=DOMAIN)
def momentum(
    rate: Any, step: Any, *values: Any, alpha: float, beta: float, mode: str, norm_coefficient: float
) -> tuple[Any, ...]:
    """v ← alpha·v + beta·g, x ← x - rate·v, or Nesterov's x ← x - rate·(g + alpha·v); at step 0 beta is 1."""
    if mode not in ("standard", "nesterov"):
        raise unknown_name("mode", mode, ("standard", "nesterov"))

    def update(x: Any, g: Any, v: Any) -> tuple[Any, ...]:
        g = norm_coefficient * x + g
        v = alpha * v + f.where(f.greater(step, 0), f.full_like(g, beta), f.ones_like(g)) * g
        return x - rate * (v if mode == "standard" else g + alpha * v), v

    return _for_each(3, values, update)


@operator("Adagrad", domain=DOMAIN)
def adagrad(
    rate: Any, step: Any, *values: Any, decay_factor: float = 0.0, epsilon: float = 1e-6, norm_coefficient: float = 0.0
) -> tuple[Any, ...]:
    """h ← h + g², x ← x - rate / (1 + step·decay) · g / (√h + ε) (Duchi et al. 2011)."""

    def update(x: Any, g: Any, h: Any) -> tuple[Any, ...]:
        g = norm_coefficient * x + g
        h = h + g * g
        now = rate / (1 + f.astype(step, dtype_of(x)) * decay_factor)
        return x - now * g / (f.sqrt(h) + epsilon), h

    return _for_each(3, values, update)


@operator("Adam", domain=DOMAIN)
def adam(
    rate: Any,
    step: Any,
    *values: Any,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> tuple[Any, ...]:
    """v ← alpha·v + (1-alpha)·g, h ← beta·h + (1-beta)·g², x ← x - rate' · v / (√h + ε) (Kingma & Ba 2015).

    From step 1 on, rate' = rate · √(1 - betaᵗ) / (1 - alphaᵗ) corrects for the start at 0.
    """

    def update(x: Any, g: Any, v: Any, h: Any) -> tuple[Any, ...]:
        g = norm_coefficient * x + g
        v, h = alpha * v + (1 - alpha) * g, beta * h + (1 - beta) * g * g
        t = f.astype(step, dtype_of(x))
        started = f.greater(t, 0)
        past = f.where(started, t, f.ones_like(t))
        corrected = rate * f.sqrt(1 - f.pow(beta, past)) / (1 - f.pow(alpha, past))
        now = f.where(started, corrected, f.ones_like(corrected) * rate)
        return (1 - norm_coefficient_post) * (x - now * v / (f.sqrt(h) + epsilon)), v, h

    return _for_each(4, values, update)


@operator("Gradient", domain=DOMAIN)
def gradient(*values: Any, xs: tuple[str, ...], y: str, zs: tuple[str, ...] = (), context: Context) -> tuple[Any, ...]:
    """∂(sum of y)/∂x for each x, where y is what the nodes before compute of these xs and zs."""
    if len(values) != len(xs) + len(zs):
        raise ArgumentError(
            "Gradient has a value for each of its names", expected=f"{len(xs) + len(zs)} inputs", got=str(len(values))
        )
    fixed = dict(zip(zs, values[len(xs) :], strict=True))

    def computed(*points: Any) -> Any:
        return context.again({**dict(zip(xs, points, strict=True)), **fixed}, y)

    out, pullback = vjp(computed, *values[: len(xs)])
    return tuple(pullback(f.ones_like(out)))
