"""Random programs over the registry: scalar functions of one array, smooth enough to differentiate."""

import numpy as np

import clearprop as cl
from clearprop.primitives import REGISTRY, Rule

SHAPE = (3, 4)
_POSITIVE = {"log", "log1p", "log2", "log10", "sqrt", "acosh", "reciprocal", "atanh", "acos", "asin"}
_SKIPPED = {"stop_gradient", "identity", "astype", "tan"}


def _unary():
    return [
        p
        for p in REGISTRY.values()
        if p.kind == "elementwise"
        and len(p.operands) == 1
        and isinstance(p.rules[0], Rule)
        and p.name not in _SKIPPED
        and ".on_demand." not in p.__module__
    ]


def _safe(name, h):
    """An argument inside the function's domain."""
    if name == "acosh":
        return 1.5 + cl.sigmoid(h)
    return 0.2 + 0.6 * cl.sigmoid(h) if name in _POSITIVE else cl.tanh(h)


def _apply_unary(rng, h, w):
    primitive = _unary()[rng.integers(len(_unary()))]
    return primitive(_safe(primitive.name, h))


def _apply_binary(rng, h, w):
    name = ["add", "subtract", "multiply", "maximum", "minimum", "logaddexp", "atan2", "divide"][rng.integers(8)]
    other = w if rng.random() < 0.5 else cl.sin(h)
    return REGISTRY[name](h, 1.5 + cl.sigmoid(other) if name in ("divide", "atan2") else other)


def _apply_matmul(rng, h, w):
    return h @ rng.standard_normal((4, 4)) if rng.random() < 0.5 else (h @ w.mT) @ w * 0.3


def _apply_reduction(rng, h, w):
    name = ["sum", "mean", "max", "min", "logsumexp", "var", "norm", "std"][rng.integers(8)]
    return h - 0.3 * REGISTRY[name](h, axis=int(rng.integers(-2, 0)), keepdims=True)


def _apply_move(rng, h, w):
    kind = rng.integers(5)
    if kind == 0:
        return cl.flip(h, axis=0)
    if kind == 1:
        return cl.concat([h[1:], h[:1] * w[0]], axis=0)
    if kind == 2:
        return cl.cumulative_sum(h, axis=int(rng.integers(-2, 0)))
    if kind == 3:
        return cl.reshape(cl.permute_dims(h, (1, 0)), SHAPE)
    return cl.take(h, np.array([2, 0, 2]), axis=0)


def _apply_general(rng, h, w):
    return (cl.softmax if rng.random() < 0.5 else cl.log_softmax)(h, axis=int(rng.integers(-2, 0)))


def _apply_gate(rng, h, w):
    return cl.where(h > 0.1, h * w, cl.clip(h, -0.7, 0.9))


_STEPS = (
    _apply_unary,
    _apply_unary,
    _apply_binary,
    _apply_matmul,
    _apply_reduction,
    _apply_move,
    _apply_general,
    _apply_gate,
)


def random_program(seed, dtype=np.float64, length=6):
    """A function of one array, and the array."""
    start = np.random.default_rng([seed, 1]).standard_normal(SHAPE).astype(dtype)

    def program(w):
        rng = np.random.default_rng(seed)
        h = w
        for _ in range(length):
            h = _STEPS[rng.integers(len(_STEPS))](_Typed(rng, dtype), h, w)
        return cl.mean(h * h) if rng.random() < 0.5 else cl.sum(cl.squeeze(h[:1], axis=0) * w[1])

    return program, start


class _Typed:
    """A generator whose arrays have the program's dtype."""

    def __init__(self, rng, dtype):
        self._rng, self._dtype = rng, dtype

    def standard_normal(self, shape):
        return self._rng.standard_normal(shape).astype(self._dtype)

    def __getattr__(self, name):
        return getattr(self._rng, name)
