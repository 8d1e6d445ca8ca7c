"""NumPy's functions that are ours in another form: other defaults, other axes, several of ours together.

Each has the parameters of NumPy's that it serves; what is given besides is refused where it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.arrays.numpy_compositions import COMPOSITIONS, PublicFunctions
from clearprop.arrays.numpy_protocol import refusal_of
from clearprop.program.ir import shape_of

cl, linalg, fft = PublicFunctions(), PublicFunctions("linalg"), PublicFunctions("fft")


def _rank(x: Any) -> int:
    return len(shape_of(x))


def _flat(x: Any) -> Any:
    return cl.reshape(x, (-1,))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """`np.linalg.norm`: of all elements, of vectors along an axis, or of matrices in two axes."""
    if axis is None and ord is None:
        found = linalg.vector_norm(_flat(x))
        return cl.reshape(found, (1,) * _rank(x)) if keepdims else found
    axes = tuple(range(_rank(x))) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if len(axes) == 1:
        return linalg.vector_norm(x, axis=axes[0], ord=2 if ord is None else ord, keepdims=keepdims)
    found = linalg.matrix_norm(cl.moveaxis(x, axes, (-2, -1)), ord="fro" if ord is None else ord)
    return cl.expand_dims(found, tuple(sorted(a % _rank(x) for a in axes))) if keepdims else found


def _of_planes(name: str) -> Callable[..., Any]:
    """A function of the last two axes for two that are named."""

    def found(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return getattr(linalg, name)(cl.moveaxis(a, (axis1, axis2), (-2, -1)), offset=offset)

    return found


def transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    """`np.transpose`: the axes in this order, or in the reverse of theirs."""
    return cl.permute_dims(a, tuple(range(_rank(a)))[::-1] if axes is None else tuple(axes))


def squeeze(a: Any, axis: Any = None) -> Any:
    """`np.squeeze`: without these axes of size 1, or without all of them."""
    ones = tuple(i for i, size in enumerate(shape_of(a)) if size == 1)
    return cl.squeeze(a, ones if axis is None else axis)


def cross(a: Any, b: Any, *, axis: int = -1) -> Any:
    """`np.cross` of vectors of three."""
    return linalg.cross(a, b, axis=axis)


def kron(a: Any, b: Any) -> Any:
    """`np.kron`."""
    return linalg.kron(a, b)


def outer(a: Any, b: Any) -> Any:
    """`np.outer`: of all elements of both."""
    return linalg.outer(_flat(a), _flat(b))


def dot(a: Any, b: Any) -> Any:
    """`np.dot`: Σ over the last axis of a and the second last of b."""
    if not _rank(a) or not _rank(b):
        return cl.multiply(a, b)
    second = _rank(b) - 2 if _rank(b) > 1 else 0
    return cl.tensordot(a, b, axes=([_rank(a) - 1], [second]))


def vdot(a: Any, b: Any) -> Any:
    """`np.vdot`: Σ ā·b over all elements."""
    return cl.tensordot(cl.conj(_flat(a)), _flat(b), axes=1)


def diag(v: Any, k: int = 0) -> Any:
    """`np.diag`: the diagonal of a matrix, or the matrix of a diagonal."""
    return cl.diag(v, offset=k)


def _at_least(rank: int, x: Any) -> Any:
    return getattr(cl, f"atleast_{rank}d")(x)


def vstack(tup: Sequence[Any]) -> Any:
    """`np.vstack`."""
    return cl.concat([_at_least(2, x) for x in tup], axis=0)


def hstack(tup: Sequence[Any]) -> Any:
    """`np.hstack`."""
    parts = [_at_least(1, x) for x in tup]
    return cl.concat(parts, axis=0 if _rank(parts[0]) == 1 else 1)


def dstack(tup: Sequence[Any]) -> Any:
    """`np.dstack`."""
    return cl.concat([_at_least(3, x) for x in tup], axis=2)


def column_stack(tup: Sequence[Any]) -> Any:
    """`np.column_stack`."""
    return cl.concat([cl.expand_dims(_flat(x), 1) if _rank(x) < 2 else x for x in tup], axis=1)


def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """`np.append`."""
    return cl.concat([_flat(arr), _flat(values)] if axis is None else [arr, values], axis=axis or 0)


def _running(name: str) -> Callable[..., Any]:
    """A cumulative function that flattens where no axis is named."""

    def found(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
        return getattr(cl, name)(_flat(a) if axis is None else a, axis=0 if axis is None else axis, dtype=dtype)

    return found


def around(a: Any) -> Any:
    """`np.around` to whole numbers."""
    return cl.round(a)


def ptp(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """`np.ptp`: the largest less the smallest."""
    return cl.max(a, axis=axis, keepdims=keepdims) - cl.min(a, axis=axis, keepdims=keepdims)


def fliplr(m: Any) -> Any:
    """`np.fliplr`."""
    return cl.flip(m, axis=1)


def flipud(m: Any) -> Any:
    """`np.flipud`."""
    return cl.flip(m, axis=0)


def vsplit(ary: Any, indices_or_sections: Any) -> Any:
    """`np.vsplit`."""
    return cl.split(ary, indices_or_sections, axis=0)


def hsplit(ary: Any, indices_or_sections: Any) -> Any:
    """`np.hsplit`."""
    return cl.split(ary, indices_or_sections, axis=1 if _rank(ary) > 1 else 0)


def _in_two_axes(name: str) -> Callable[..., Any]:
    """A Fourier transform of two axes, by that of several."""

    def found(a: Any, s: Any = None, axes: Sequence[int] = (-2, -1), norm: str = "backward") -> Any:
        return getattr(fft, name)(a, s=s, axes=axes, norm=norm)

    return found


def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Any:
    """`np.pad`: with one number around, or with the array's own."""
    numbers = np.unique(np.asarray(constant_values))
    if numbers.size != 1:
        raise refusal_of("pad")
    return cl.pad(array, pad_width, mode, **({"value": numbers[0].item()} if mode == "constant" else {}))


def unique(ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """`np.unique` of all elements: taken from where each stands first, so that they keep their derivatives."""
    flat = _flat(ar)
    _, first, inverse, counts = np.unique(
        np.asarray(cl.stop_gradient(flat)), return_index=True, return_inverse=True, return_counts=True
    )
    asked = ((return_index, first), (return_inverse, inverse.reshape(shape_of(ar))), (return_counts, counts))
    besides = tuple(cl.astype(part, "int64") for wanted, part in asked if wanted)
    values = cl.take(flat, first, axis=0)
    return (values, *besides) if besides else values


FORMS: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (cross, kron, outer, dot, vdot, diag, vstack, hstack, dstack, column_stack, append)},
    **{f.__name__: f for f in (around, ptp, fliplr, flipud, vsplit, hsplit, transpose, squeeze, pad, unique)},
    **COMPOSITIONS,
    "trace": _of_planes("trace"),
    "diagonal": _of_planes("diagonal"),
    "cumsum": _running("cumulative_sum"),
    "cumprod": _running("cumulative_prod"),
    **{name: _running(name) for name in ("nancumsum", "nancumprod")},
    "linalg.norm": norm,
    **{f"fft.{name}2": _in_two_axes(f"{name}n") for name in ("fft", "ifft", "rfft", "irfft")},
}
"""By NumPy's name, without `numpy.`."""
