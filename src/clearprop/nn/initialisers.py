"""Initial weights: functions `(key, shape, dtype) -> Tensor` for a weight of shape (inputs, outputs).

The scale keeps the variance of signals (forward) or of gradients (backward) about constant from layer to layer, and
so depends on the activation that follows: `suited_to` knows which (`activations.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.errors import checked_call, unknown_name, user_line
from clearprop.nn.argument_checks import require_number, require_weight
from clearprop.program.values import raw
from clearprop.rules import random

Initialiser = Callable[..., Any]


def _scaled_normal(key: Any, shape: Any, std: float, dtype: Any) -> Any:
    return Tensor(raw(random.normal(key, shape, std=std)).astype(dtype))


@checked_call
def small_random(key: Any, shape: Any, dtype: Any = np.float32, scale: float = 0.01) -> Any:
    """Normal with standard deviation `scale`: small enough for any activation, too small for deep networks.

    key    a key of `cl.random`
    shape  (inputs, outputs)
    dtype  of the weight; it is drawn in float64 and rounded
    scale  the standard deviation

    >>> import clearprop as cl
    >>> round(float(cl.std(cl.nn.small_random(cl.random.key(0), (100, 100)))), 4)
    0.0101
    """
    shape, dtype = require_weight("small_random", key, shape, dtype)
    return _scaled_normal(key, shape, require_number("small_random", "scale", scale, 0.01), dtype)


@checked_call
def he(key: Any, shape: Any, dtype: Any = np.float32) -> Any:
    """Normal with variance 2/inputs, for ReLU and its family: half the signal is cut (He et al. 2015).

    key    a key of `cl.random`
    shape  (inputs, outputs)
    dtype  of the weight; it is drawn in float64 and rounded

    >>> import clearprop as cl
    >>> round(float(cl.var(cl.nn.he(cl.random.key(0), (200, 200)))), 4)
    0.01
    """
    shape, dtype = require_weight("he", key, shape, dtype)
    return _scaled_normal(key, shape, math.sqrt(2 / shape[0]), dtype)


@checked_call
def glorot(key: Any, shape: Any, dtype: Any = np.float32) -> Any:
    """Uniform on ±√(6/(inputs + outputs)), for tanh, sigmoid and linear layers (Glorot & Bengio 2010).

    key    a key of `cl.random`
    shape  (inputs, outputs)
    dtype  of the weight; it is drawn in float64 and rounded

    >>> import clearprop as cl
    >>> weight = cl.nn.glorot(cl.random.key(0), (200, 400))
    >>> round(float(cl.max(weight)), 4), round(float(cl.min(weight)), 4)
    (0.1, -0.1)
    """
    shape, dtype = require_weight("glorot", key, shape, dtype)
    bound = math.sqrt(6 / (shape[0] + shape[1]))
    return Tensor(raw(random.uniform(key, shape, -bound, bound)).astype(dtype))


@checked_call
def lecun(key: Any, shape: Any, dtype: Any = np.float32) -> Any:
    """Normal with variance 1/inputs, which selu needs (LeCun et al. 1998; Klambauer et al. 2017).

    key    a key of `cl.random`
    shape  (inputs, outputs)
    dtype  of the weight; it is drawn in float64 and rounded

    >>> import clearprop as cl
    >>> round(float(cl.var(cl.nn.lecun(cl.random.key(0), (200, 200)))), 4)
    0.005
    """
    shape, dtype = require_weight("lecun", key, shape, dtype)
    return _scaled_normal(key, shape, math.sqrt(1 / shape[0]), dtype)


@checked_call
def orthogonal(key: Any, shape: Any, dtype: Any = np.float32) -> Any:
    """A matrix with orthonormal rows or columns, uniform among them (Saxe et al. 2014): Q of a normal matrix.

    The signs of R's diagonal are moved into Q, or the distribution would not be uniform (Mezzadri 2007).

    key    a key of `cl.random`
    shape  (inputs, outputs)
    dtype  of the weight; it is drawn in float64 and rounded

    >>> import clearprop as cl
    >>> q = cl.nn.orthogonal(cl.random.key(0), (3, 2), float)
    >>> abs(round(float(q[:, 0] @ q[:, 1]), 12)), round(float(q[:, 0] @ q[:, 0]), 12)
    (0.0, 1.0)
    """
    shape, dtype = require_weight("orthogonal", key, shape, dtype)
    rows, columns = shape
    normal = raw(random.normal(key, (max(rows, columns), min(rows, columns))))
    q, r = np.linalg.qr(normal)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return Tensor(np.ascontiguousarray(q if rows >= columns else q.T, dtype=dtype))


INITIALISERS: dict[str, Initialiser] = {
    "small_random": small_random,
    "he": he,
    "glorot": glorot,
    "lecun": lecun,
    "orthogonal": orthogonal,
}


def initialiser(init: str | Initialiser) -> Initialiser:
    """An initialiser by name, or the function that was given."""
    if callable(init):
        return init
    if not isinstance(init, str) or init not in INITIALISERS:
        raise unknown_name("initialiser", init, INITIALISERS, user_line())
    return INITIALISERS[init]


def as_key(rng: Any) -> Any:
    """A key, from a key or a seed."""
    return random.key(int(rng)) if isinstance(rng, (int, np.integer)) else rng
