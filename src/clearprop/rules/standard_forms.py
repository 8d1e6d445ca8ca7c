"""Public forms of declared operations where the array API standard asks for more than the operation has.

A dtype, a correction, an initial value: each is a step before or after the primitive, which stays what it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.program.types import Axes, Value, type_of
from clearprop.program.values import raw
from clearprop.rules import elementwise, reductions
from clearprop.rules.joining import concat
from clearprop.rules.structural import full_, only_axis
from clearprop.shapes import normalise_axes


def astype(x: Value, dtype: DTypeLike, /, *, copy: bool = True, device: str | None = None) -> Any:
    """x in another dtype.

    x       an array
    dtype   the dtype
    copy    without effect: a tensor never changes, so it need not be copied
    device  "cpu" or None

    >>> import clearprop as cl
    >>> cl.astype(cl.tensor([1.5, -1.5]), cl.int64)
    Tensor([1, -1])
    """
    return elementwise.astype(x, dtype=np.dtype(dtype))


def _filled_like(x: Value, value: int, dtype: DTypeLike | None) -> Any:
    t = type_of(raw(x))
    return full_(shape=t.shape, value=value, dtype=t.dtype if dtype is None else np.dtype(dtype))


def zeros_like(x: Value, dtype: DTypeLike | None = None, *, device: str | None = None) -> Any:
    """Zeros of x's shape, and of its dtype unless another is given.

    x       an array
    dtype   the dtype of the result; None is that of x
    device  "cpu" or None

    >>> import clearprop as cl
    >>> cl.zeros_like(cl.tensor([1.0, 2.0]))
    Tensor([0.0, 0.0])
    """
    return _filled_like(x, 0, dtype)


def ones_like(x: Value, dtype: DTypeLike | None = None, *, device: str | None = None) -> Any:
    """Ones of x's shape, and of its dtype unless another is given.

    x       an array
    dtype   the dtype of the result; None is that of x
    device  "cpu" or None

    >>> import clearprop as cl
    >>> cl.ones_like(cl.tensor([1.0, 2.0]))
    Tensor([1.0, 1.0])
    """
    return _filled_like(x, 1, dtype)


def _converted_first(x: Value, dtype: DTypeLike | None) -> Any:
    return x if dtype is None else elementwise.astype(x, dtype=np.dtype(dtype))


def _in_dtype(out: Value, dtype: DTypeLike | None) -> Any:
    return out if dtype is None or type_of(raw(out)).dtype == dtype else elementwise.astype(out, dtype=np.dtype(dtype))


def sum(x: Value, /, *, axis: Axes = None, dtype: DTypeLike | None = None, keepdims: bool = False) -> Any:
    """Sum over axes (None: all).

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    dtype     to which numbers are converted first; None: integers become int64 or uint64, floats stay
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.sum(cl.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([4.0, 6.0])
    """
    if dtype is None:
        return reductions.sum(x, axis=axis, keepdims=keepdims)
    return _in_dtype(reductions.sum(_converted_first(x, dtype), axis=axis, keepdims=keepdims), dtype)


def prod(x: Value, /, *, axis: Axes = None, dtype: DTypeLike | None = None, keepdims: bool = False) -> Any:
    """Product over axes, as a balanced tree of products: so every derivative is right, zeros included.

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    dtype     to which numbers are converted first; None: integers become int64 or uint64, floats stay
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.prod(cl.tensor([2.0, 3.0, 4.0]))
    Tensor(24.0)
    >>> cl.grad(cl.prod)(cl.tensor([2.0, 0.0, 4.0]))
    Tensor([0.0, 8.0, 0.0])
    """
    return _in_dtype(reductions.prod(_converted_first(x, dtype), axis=axis, keepdims=keepdims), dtype)


def _bessel(x: Value, axis: Axes, correction: float) -> Any:
    """n/(n − correction), by which a mean over n becomes one over n − correction."""
    t = type_of(raw(x))
    n = reductions.count(x, normalise_axes(axis, len(t.shape)))
    return n / elementwise.maximum(n - correction, 0)


def var(x: Value, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Variance Σ(x − mean x)²/(n − correction) over axes.

    x           numbers
    axis        the axes to reduce, from 0 or from the end (−1); None for all
    correction  0 for the population's, 1 for an estimate from a sample (Bessel)
    keepdims    whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.var(cl.tensor([1.0, 2.0, 3.0, 4.0]))
    Tensor(1.25)
    """
    found = reductions.var(x, axis=axis, keepdims=keepdims)
    return found if correction == 0 else found * _bessel(x, axis, correction)


def std(x: Value, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """Standard deviation, the root of the variance, over axes.  By convention its derivative where it is 0 is 0.

    x           numbers
    axis        the axes to reduce, from 0 or from the end (−1); None for all
    correction  0 for the population's, 1 for an estimate from a sample (Bessel)
    keepdims    whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.std(cl.tensor([1.0, 3.0]))
    Tensor(1.0)
    """
    found = reductions.std(x, axis=axis, keepdims=keepdims)
    return found if correction == 0 else found * elementwise.sqrt(_bessel(x, axis, correction))


def cumulative_sum(
    x: Value, /, *, axis: int | None = None, dtype: DTypeLike | None = None, include_initial: bool = False
) -> Any:
    """Running sum along an axis, which may be left out if x has only one.

    x                numbers
    axis             the axis to sum along
    dtype            to which numbers are converted first; None: integers become int64 or uint64, floats stay
    include_initial  whether the sum of nothing, 0, stands in front

    >>> import clearprop as cl
    >>> cl.cumulative_sum(cl.tensor([1.0, 2.0, 3.0]))
    Tensor([1.0, 3.0, 6.0])
    """
    out = _in_dtype(reductions.cumulative_sum(_converted_first(x, dtype), axis=axis), dtype)
    return with_initial(out, only_axis(x, axis, "cumulative_sum"), 0) if include_initial else out


def with_initial(out: Value, axis: int, value: int) -> Any:
    """A running result with that of nothing in front of it."""
    t = type_of(raw(out))
    at = normalise_axes(axis, len(t.shape))[0]
    shape = tuple(1 if i - len(t.shape) == at else n for i, n in enumerate(t.shape))
    return concat([full_(shape=shape, value=value, dtype=t.dtype), out], axis=at)
