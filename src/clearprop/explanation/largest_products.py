"""Matrix products in the algebra of largest products: what is reached, and max over products in place of sums."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from clearprop.explanation.jacobians import Array, Multilinear, shape_of, wide

_CHUNK = 1 << 22
"""How many products are held at once."""


def reached_outputs(local: Multilinear, ats: Array) -> Array:
    """The entries of the output that these entries of the operand take part in, as flat positions."""
    own, out = _axes(local, local.k), _axes(local, None)
    index = dict(zip(own, np.unravel_index(ats, local.shape), strict=True))
    met = np.zeros([n if a in own else 1 for a, n in zip(out, local.out_shape, strict=True)], bool)
    met[tuple(index[a] if a in own else np.zeros_like(ats) for a in out)] = True
    return np.flatnonzero(np.broadcast_to(met, local.out_shape))


def best_beyond(local: Multilinear, ats: Array, beyond: Array) -> Array:
    """For entries of the operand: max over the output of |other operand| · beyond; −1 where beyond is negative."""
    own, out, other = _axes(local, local.k), _axes(local, None), _axes(local, 1 - local.k)
    index = dict(zip(own, np.unravel_index(ats, local.shape), strict=True))
    hull = {a: np.unique(i) for a, i in index.items()}
    letters = [*own, *(a for a in dict.fromkeys((*out, *other)) if a not in own)]
    left = _place_axes(np.abs(wide(local.app.raw[1 - local.k])), other, letters, hull)
    right = _place_axes(beyond.reshape(local.out_shape), out, letters, hull)
    found = _largest_products(left, right, len(own))
    return found[tuple(np.searchsorted(hull[a], i) for a, i in index.items())]


def _axes(local: Multilinear, which: int | None) -> list[str]:
    """A letter for every axis of an operand, or of the output; an axis that is broadcast has one of its own."""
    signature = local.primitive.signature
    assert signature is not None
    core = signature.outputs[0] if which is None else signature.inputs[which]
    shape = local.out_shape if which is None else shape_of(local.app.raw[which])
    loops = len(shape) - len(core)
    first = len(local.out_shape) - len(signature.outputs[0]) - loops
    sizes = local.out_shape[first : first + loops]
    names = [
        f"loop{first + i}" if n == total else f"one{which}{i}"
        for i, (n, total) in enumerate(zip(shape[:loops], sizes, strict=True))
    ]
    return [*names, *core]


def _place_axes(array: Array, own: Sequence[str], letters: Sequence[str], hull: Mapping[str, Array]) -> Array:
    """The array with its axes in the order of `letters` (size 1 where it has none), cut to the hull."""
    for axis, a in enumerate(own):
        if a in hull:
            array = np.take(array, hull[a], axis=axis)
    order = [own.index(a) for a in letters if a in own]
    sizes = iter(np.transpose(array, order).shape)
    return np.transpose(array, order).reshape([next(sizes) if a in own else 1 for a in letters])


def _largest_products(left: Array, right: Array, kept: int) -> Array:
    """max over the axes behind the first `kept` of left · right, a part of the first axis at a time."""
    shape = np.broadcast_shapes(left.shape, right.shape)
    step = max(1, _CHUNK // max(1, math.prod(shape[1:])))
    out = np.empty(shape[:kept])
    behind = tuple(range(kept, len(shape)))
    for start in range(0, shape[0], step):
        a, b = (x if x.shape[0] == 1 else x[start : start + step] for x in (left, right))
        with np.errstate(all="ignore"):
            product = np.nan_to_num(a * b, nan=np.inf, posinf=np.inf)
        out[start : start + step] = np.max(np.where(b < 0, -1.0, product), axis=behind) if behind else product
    return out
