"""Twenty chains of elementwise functions and reductions, as they stand in losses, layers and their derivatives.

Every chain is one Python function of a namespace (`numpy`, `jax.numpy`, `clearprop`) and three arrays; numexpr takes
texts, between which NumPy reduces what numexpr does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SHAPE = (128, 128)
"""Values of a layer of 128 units in a batch of 128."""


@dataclass(frozen=True)
class Chain:
    """`f(xp, x, y, p)`, and the same by `numexpr(evaluate, x, y, p)`."""

    title: str
    f: Callable[..., Any]
    numexpr: Callable[..., Any]


def _text(text: str) -> Callable[..., Any]:
    """A chain that numexpr computes by itself."""
    return lambda evaluate, x, y, p: evaluate(text, x=x, y=y, p=p)


def _softmax(xp: Any, x: Any, y: Any, p: Any) -> Any:
    e = xp.exp(x - xp.max(x, axis=1, keepdims=True))
    return e / xp.sum(e, axis=1, keepdims=True)


def _softmax_numexpr(evaluate: Any, x: Any, y: Any, p: Any) -> Any:
    e = evaluate("exp(x - m)", x=x, m=np.max(x, axis=1, keepdims=True))
    return evaluate("e / s", e=e, s=np.sum(e, axis=1, keepdims=True))


def _layer_norm(xp: Any, x: Any, y: Any, p: Any) -> Any:
    c = x - xp.mean(x, axis=1, keepdims=True)
    return c / xp.sqrt(xp.mean(c * c, axis=1, keepdims=True) + 1e-5) * y + p


def _layer_norm_numexpr(evaluate: Any, x: Any, y: Any, p: Any) -> Any:
    c = evaluate("x - m", x=x, m=np.mean(x, axis=1, keepdims=True))
    v = np.mean(evaluate("c * c", c=c), axis=1, keepdims=True)
    return evaluate("c / sqrt(v + small) * y + p", c=c, v=v, y=y, p=p)


def _silu_slope(xp: Any, x: Any, y: Any, p: Any) -> Any:
    s = 1.0 / (1.0 + xp.exp(-x))
    return y * s * (1.0 + x * (1.0 - s))


def _mean_distance(evaluate: Any, x: Any, y: Any, p: Any) -> Any:
    return evaluate("sum(abs(x - y))", x=x, y=y) / np.float32(x.size)


CHAINS = [
    Chain("2x + y", lambda xp, x, y, p: 2.0 * x + y, _text("two * x + y")),
    Chain("a cubic polynomial by Horner", lambda xp, x, y, p: ((x * 0.5 - 1.0) * x + 2.0) * x - 3.0,
          _text("((x * half - one) * x + two) * x - three")),
    Chain("sigmoid", lambda xp, x, y, p: 1.0 / (1.0 + xp.exp(-x)), _text("one / (one + exp(-x))")),
    Chain("tanh(x) · y + x", lambda xp, x, y, p: xp.tanh(x) * y + x, _text("tanh(x) * y + x")),
    Chain("exp(−½(x − y)²) / p", lambda xp, x, y, p: xp.exp(-0.5 * xp.square(x - y)) / p,
          _text("exp(-half * (x - y) * (x - y)) / p")),
    Chain("sin(x) · cos(y) + p", lambda xp, x, y, p: xp.sin(x) * xp.cos(y) + p, _text("sin(x) * cos(y) + p")),
    Chain("√(x² + y² + p)", lambda xp, x, y, p: xp.sqrt(x * x + y * y + p), _text("sqrt(x * x + y * y + p)")),
    Chain("log(p) · x − log1p(p) · y", lambda xp, x, y, p: xp.log(p) * x - xp.log1p(p) * y,
          _text("log(p) * x - log1p(p) * y")),
    Chain("where(x > y, x · p, y − p)", lambda xp, x, y, p: xp.where(x > y, x * p, y - p),
          _text("where(x > y, x * p, y - p)")),
    Chain("min(max(x + y, −1), 1) · p", lambda xp, x, y, p: xp.minimum(xp.maximum(x + y, -1.0), 1.0) * p,
          _text("where(x + y < -one, -one, where(x + y > one, one, x + y)) * p")),
    Chain("softplus", lambda xp, x, y, p: xp.log1p(xp.exp(-xp.abs(x))) + xp.maximum(x, 0.0),
          _text("log1p(exp(-abs(x))) + where(x > zero, x, zero)")),
    Chain("the gradient of SiLU", _silu_slope,
          _text("y * (one / (one + exp(-x))) * (one + x * (one - one / (one + exp(-x))))")),
    Chain("Σ (x − y)²", lambda xp, x, y, p: xp.sum(xp.square(x - y)), _text("sum((x - y) * (x - y))")),
    Chain("Σ x · y · p", lambda xp, x, y, p: xp.sum(x * y * p), _text("sum(x * y * p)")),
    Chain("the mean of |x − y|", lambda xp, x, y, p: xp.mean(xp.abs(x - y)), _mean_distance),
    Chain("the largest |x · p|", lambda xp, x, y, p: xp.max(xp.abs(x * p)),
          lambda evaluate, x, y, p: np.max(evaluate("abs(x * p)", x=x, p=p))),
    Chain("Σ exp(x) · y over rows", lambda xp, x, y, p: xp.sum(xp.exp(x) * y, axis=1), _text("sum(exp(x) * y, 1)")),
    Chain("Σ x · y over columns", lambda xp, x, y, p: xp.sum(x * y, axis=0), _text("sum(x * y, 0)")),
    Chain("softmax over rows", _softmax, _softmax_numexpr),
    Chain("LayerNorm over rows", _layer_norm, _layer_norm_numexpr),
]  # fmt: skip
CONSTANTS = {
    name: np.float32(value)
    for name, value in {"zero": 0, "half": 0.5, "one": 1, "two": 2, "three": 3, "small": 1e-5}.items()
}
"""What numexpr's texts call numbers: written as digits they would make float64 of float32."""


def arrays(dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and y of both signs, p positive."""
    r = np.random.default_rng(0)
    x, y = (r.standard_normal(SHAPE).astype(dtype) for _ in range(2))
    return x, y, r.uniform(0.5, 2.0, SHAPE).astype(dtype)


def checked(result: Any) -> float:
    """The sum of squares of what came, on which all contenders agree."""
    return float(np.sum(np.square(np.asarray(result), dtype=np.float64)))
