"""What eager mode runs in place of a spelling, where NumPy's own function is slow on small arrays.

The values are those of the spelling: choices and largest elements to the bit, sums up to the order of addition.
Compiled programs do not come here; their kernels have no such overheads.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Reduce: TypeAlias = Callable[..., Any]

SMALL = 1 << 16
"""Up to so many elements the fixed costs of a call weigh more than its passes over memory."""
NARROW = 32
"""Up to so many columns NumPy's loop over rows costs more than its arithmetic."""
MANY = 1 << 10
"""From so many elements on a choice is worth three calls instead of one."""
_UNSIGNED = {n: np.dtype(f"u{n}") for n in (1, 2, 4, 8)}
_MASKS: dict[Any, Any] = {np.dtype(np.float32): np.dtype(np.int32), np.dtype(np.float64): np.dtype(np.int64)}


_Multiply: TypeAlias = Callable[[Any, Any], Any]
_KEPT: ContextVar[tuple[Any, Any, Any]] = ContextVar("kept", default=(None, None, None))
"""Of the last small losses of classes: logits, eˣ and Σ eˣ, which their derivative needs again."""
_PRODUCT: ContextVar[_Multiply] = ContextVar("product", default=np.matmul)
_PATCHES: ContextVar[_Multiply] = ContextVar("product of patches", default=np.matmul)


# The C library of Linux hands freed memory back from 128 kB on, and each step of a loop would have its pages mapped
# again: half of the time of a layer norm.  Once it has freed a larger block it keeps up to twice as much for the next;
# nothing is written to this one, so it costs no memory.
np.empty(1 << 22, np.uint8)


class products_by:
    """Within the block this function of two arrays computes matrix products, and sums are not taken as products.

    multiply    the products
    of_patches  those of the patches of images with a kernel, where they are computed otherwise

    >>> import clearprop as cl
    >>> with products_by(lambda a, b: 0 * (a @ b)):
    ...     print(cl.tensor([[1.0]]) @ cl.tensor([[2.0]]))
    Tensor([[0.0]])
    """

    def __init__(self, multiply: _Multiply, of_patches: _Multiply | None = None) -> None:
        self._both = multiply, of_patches or multiply

    def __enter__(self) -> None:
        self._tokens: tuple[Token[_Multiply], ...] = _PRODUCT.set(self._both[0]), _PATCHES.set(self._both[1])

    def __exit__(self, *exception: object) -> None:
        _PRODUCT.reset(self._tokens[0])
        _PATCHES.reset(self._tokens[1])


def product(a: NDArray[Any], b: NDArray[Any]) -> Any:
    """The matrix product."""
    return _PRODUCT.get()(a, b)


def product_of_patches(a: NDArray[Any], b: NDArray[Any]) -> Any:
    """The matrix product of what a convolution's outputs meet, in rows, with its weights."""
    return _PATCHES.get()(a, b)


def total(x: NDArray[Any], axis: Sequence[int], keepdims: bool) -> Any:
    """Σ over axes; over one axis of a small matrix it is a product with ones, which BLAS adds up."""
    if _is_small_matrix(x) and len(axis) == 1 and _PRODUCT.get() is np.matmul:
        rows, columns = x.shape
        if axis[0] == -2:
            out = _constant(rows, x.dtype, 1) @ x
            return out[None, :] if keepdims else out
        if columns <= NARROW:
            out = x @ _constant(columns, x.dtype, 1)
            return out[:, None] if keepdims else out
    add: Reduce = np.add.reduce
    return add(x, axis=tuple(axis), keepdims=keepdims)


def average(x: NDArray[Any], axis: Sequence[int], keepdims: bool) -> Any:
    """The arithmetic mean over axes."""
    return total(x, axis, keepdims) / math.prod([x.shape[a] for a in axis])


def largest(x: NDArray[Any], axis: Sequence[int], keepdims: bool) -> Any:
    """The largest element over axes; NaN wins."""
    return _positive_zero(_extreme(np.maximum.reduce, x, axis, keepdims))


def smallest(x: NDArray[Any], axis: Sequence[int], keepdims: bool) -> Any:
    """The smallest element over axes; NaN wins."""
    return _positive_zero(_extreme(np.minimum.reduce, x, axis, keepdims))


def _positive_zero(x: Any) -> Any:
    """In floating point a zero is +0: which of several zeros NumPy takes depends on how they lie in memory."""
    return x + 0.0 if x.dtype.kind == "f" else x


def _extreme(reduce: Reduce, x: NDArray[Any], axis: Sequence[int], keepdims: bool) -> Any:
    """Over the few columns of a matrix: element by element over its copied transpose, whole columns at a time."""
    if _is_small_matrix(x) and len(axis) == 1 and axis[0] == -1 and x.shape[1] <= NARROW:
        out = reduce(np.ascontiguousarray(x.T), axis=0)
        return out[:, None] if keepdims else out
    return reduce(x, axis=tuple(axis), keepdims=keepdims)


def permute_axes(x: NDArray[Any], axes: Sequence[int]) -> Any:
    """The axes in another order."""
    return x.transpose(axes)


def rectify(x: NDArray[Any]) -> Any:
    """max(0, x); NaN wins."""
    return _rectify(x, np.empty_like(x)) if _has_slow_zero(x) else np.maximum(x, 0.0)


def rectify_in_place(x: NDArray[Any]) -> NDArray[Any]:
    """The same in the same memory."""
    if _has_slow_zero(x):
        return _rectify(x, x)
    np.maximum(x, 0.0, out=x)
    return x


def _has_slow_zero(x: NDArray[Any]) -> bool:
    """Whether NumPy takes twice as long beside one zero as beside an array of zeros."""
    return type(x) is np.ndarray and x.size >= MANY and x.dtype in _MASKS and x.flags.c_contiguous


def _rectify(x: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    zeros, values, places = _constant(SMALL, x.dtype, 0), x.reshape(-1), out.reshape(-1)
    for at in range(0, x.size, SMALL):
        block = values[at : at + SMALL]
        np.maximum(block, zeros[: block.size], out=places[at : at + SMALL])
    return out


def choose(condition: NDArray[Any], a: NDArray[Any], b: Any) -> Any:
    """a where the condition holds, b elsewhere; between an array and 0 the array's bits are multiplied by 1 or 0."""
    if type(b) is float and type(a) is np.ndarray and a.size >= MANY and _can_mask(condition, a, b):
        integers = _MASKS[a.dtype]
        bits: NDArray[Any] = condition.astype(integers)
        np.multiply(bits, a.view(integers), out=bits)
        return bits.view(a.dtype)
    return np.where(condition, a, b)


def _can_mask(condition: NDArray[Any], a: NDArray[Any], b: float) -> bool:
    return (
        type(condition) is np.ndarray
        and b == 0.0
        and math.copysign(1.0, b) > 0
        and a.dtype in _MASKS
        and condition.dtype == np.bool_
        and condition.shape == a.shape
        and a.flags.c_contiguous
        and condition.flags.c_contiguous
    )


def has_nan(x: NDArray[Any]) -> bool:
    """Whether an array of floats holds a NaN, which wins over every number; no BLAS, which might wake its threads."""
    if x.dtype.kind != "f" or not x.size:
        return False
    largest = np.maximum.reduce(x, axis=None)
    return bool(largest != largest)


def spread(x: NDArray[Any], shape: Sequence[int]) -> Any:
    """x repeated to the shape; a small one is copied, which costs less than a view that repeats it."""
    if math.prod(shape) > SMALL:
        return np.broadcast_to(x, shape)
    out = np.empty(shape, np.asarray(x).dtype)
    out[...] = x
    return out


def softmax(x: NDArray[Any], axis: int) -> Any:
    """eˣ / Σ eˣ along an axis."""
    if x.dtype.kind in "biu":
        x = x.astype(np.float64)
    e = np.exp(x - _extreme(np.maximum.reduce, x, (axis,), keepdims=True))  # either zero will do
    return e / total(e, (axis,), keepdims=True)


def class_losses(logits: NDArray[Any], labels: NDArray[Any]) -> Any:
    """log Σ eˣ minus the x of the label, for each row x of logits."""
    shifted = logits - _extreme(np.maximum.reduce, logits, (-1,), keepdims=True)  # either zero will do
    places = _places_of(labels, logits.shape[-1])
    if places is None:
        own = np.where(_is_label(labels, logits.shape[-1]), shifted, shifted.dtype.type(0))
        own = total(own, (-1,), keepdims=False)
    else:
        own = shifted.reshape(-1).take(places)
    e = np.exp(shifted, out=shifted)
    sums = total(e, (-1,), keepdims=False)
    if type(logits) is np.ndarray and logits.size <= SMALL:
        _KEPT.set((weakref.ref(logits), e, sums))
    return np.log(sums) - own


def class_excess(logits: NDArray[Any], labels: NDArray[Any]) -> Any:
    """softmax minus the label's row, which is 1 at its place and 0 elsewhere."""
    of, e, sums = _KEPT.get()
    out = e / sums[..., None] if of is not None and of() is logits else softmax(logits, -1)
    places = _places_of(labels, logits.shape[-1])
    if places is None or not out.flags.c_contiguous:
        return out - _is_label(labels, logits.shape[-1])
    entries = out.reshape(-1)
    entries[places] = entries.take(places) - 1
    return out


def are_classes(labels: NDArray[Any], classes: int) -> bool:
    """Whether whole numbers are all from 0 to below the number of classes; below 0 they are large without a sign."""
    return not labels.size or bool(np.maximum.reduce(labels.view(_UNSIGNED[labels.itemsize]), axis=None) < classes)


def _places_of(labels: NDArray[Any], classes: int) -> Any:
    """Where the labels' entries stand, counted through all rows; None where a label is no class."""
    if not labels.shape or not are_classes(labels, classes):
        return None
    starts = np.arange(0, labels.size * classes, classes).reshape(labels.shape)
    return np.add(labels, starts, dtype=np.intp, casting="unsafe")


def one_hot(labels: NDArray[Any], size: int, dtype: DTypeLike) -> Any:
    """Rows with a 1 at the label's place and 0 elsewhere."""
    return _is_label(np.asarray(labels), size).astype(dtype)


def _is_label(labels: NDArray[Any], size: int) -> Any:
    """Whether a column is that of the row's label."""
    return labels[..., None] == _places(size)


@lru_cache(maxsize=64)
def _places(size: int) -> NDArray[Any]:
    places = np.arange(size)
    places.flags.writeable = False
    return places


def _is_small_matrix(x: NDArray[Any]) -> bool:
    return type(x) is np.ndarray and x.ndim == 2 and 0 < x.size <= SMALL and x.dtype in _MASKS and x.flags.c_contiguous


@lru_cache(maxsize=64)
def _constant(n: int, dtype: np.dtype[Any], value: int) -> NDArray[Any]:
    same = np.full(n, value, dtype)
    same.flags.writeable = False
    return same
