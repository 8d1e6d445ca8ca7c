"""Operators of ATen that make one number of many, and those that go along an axis."""

from __future__ import annotations

from typing import Any

from clearprop.arrays import functions
from clearprop.interop.torch.operators.operator_table import operator


def _axes(dim: Any) -> Any:
    """An axis, several, or all of them: ATen writes an empty list for all."""
    return dim if dim is None or isinstance(dim, int) else tuple(dim) or None


def _in(self: Any, dtype: str | None) -> Any:
    return self if dtype is None else functions.astype(self, dtype)


@operator("sum")
def sum(self: Any, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Any:
    """The sum."""
    return functions.sum(_in(self, dtype), axis=_axes(dim), keepdims=keepdim)


@operator("mean")
def mean(self: Any, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Any:
    """The mean."""
    return functions.mean(_in(self, dtype), axis=_axes(dim), keepdims=keepdim)


@operator("prod")
def prod(self: Any, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Any:
    """The product."""
    return functions.prod(_in(self, dtype), axis=_axes(dim), keepdims=keepdim)


@operator("var.correction")
def var(self: Any, dim: Any = None, correction: Any = 1, keepdim: bool = False) -> Any:
    """The variance; PyTorch divides by n − 1 where nothing is said."""
    return functions.var(self, axis=_axes(dim), correction=1 if correction is None else correction, keepdims=keepdim)


@operator("var.dim")
def var_dim(self: Any, dim: Any, unbiased: bool = True, keepdim: bool = False) -> Any:
    """The variance."""
    return var(self, dim, int(unbiased), keepdim)


@operator("std.correction")
def std(self: Any, dim: Any = None, correction: Any = 1, keepdim: bool = False) -> Any:
    """The standard deviation."""
    return functions.sqrt(var(self, dim, correction, keepdim))


@operator("std.dim")
def std_dim(self: Any, dim: Any, unbiased: bool = True, keepdim: bool = False) -> Any:
    """The standard deviation."""
    return std(self, dim, int(unbiased), keepdim)


@operator("var_mean.correction")
def var_mean(self: Any, dim: Any = None, correction: Any = 1, keepdim: bool = False) -> Any:
    """Variance and mean."""
    return var(self, dim, correction, keepdim), mean(self, dim, keepdim)


@operator("amax")
def amax(self: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The largest."""
    return functions.max(self, axis=_axes(dim), keepdims=keepdim)


@operator("amin")
def amin(self: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The smallest."""
    return functions.min(self, axis=_axes(dim), keepdims=keepdim)


@operator("max.default")
def max_all(self: Any) -> Any:
    """The largest of all entries."""
    return functions.max(self)


@operator("min.default")
def min_all(self: Any) -> Any:
    """The smallest of all entries."""
    return functions.min(self)


@operator("max.dim")
def max_dim(self: Any, dim: int, keepdim: bool = False) -> Any:
    """The largest along an axis, and their places."""
    return functions.max(self, axis=dim, keepdims=keepdim), argmax(self, dim, keepdim)


@operator("min.dim")
def min_dim(self: Any, dim: int, keepdim: bool = False) -> Any:
    """The smallest along an axis, and their places."""
    return functions.min(self, axis=dim, keepdims=keepdim), argmin(self, dim, keepdim)


@operator("argmax")
def argmax(self: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The place of the largest."""
    return functions.argmax(self, axis=dim, keepdims=keepdim)


@operator("argmin")
def argmin(self: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The place of the smallest."""
    return functions.argmin(self, axis=dim, keepdims=keepdim)


@operator("any")
def any(self: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether one is true."""
    return functions.any(self, axis=_axes(dim), keepdims=keepdim)


@operator("all")
def all(self: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether all are true."""
    return functions.all(self, axis=_axes(dim), keepdims=keepdim)


@operator("softmax", half_to_float=(False,))
def softmax(self: Any, dim: int, dtype: str | None = None, half_to_float: bool = False) -> Any:
    """eˣ, divided by its sum along an axis."""
    return functions.softmax(_in(self, dtype or None), axis=dim)


@operator("log_softmax", half_to_float=(False,))
def log_softmax(self: Any, dim: int, dtype: str | None = None, half_to_float: bool = False) -> Any:
    """The logarithm of softmax."""
    return functions.log_softmax(_in(self, dtype or None), axis=dim)


@operator("logsumexp")
def logsumexp(self: Any, dim: Any, keepdim: bool = False) -> Any:
    """log Σ eˣ."""
    return functions.logsumexp(self, axis=_axes(dim), keepdims=keepdim)


@operator("cumsum")
def cumsum(self: Any, dim: int, dtype: str | None = None) -> Any:
    """Sums up to each place."""
    return functions.cumulative_sum(_in(self, dtype), axis=dim)


@operator("cumprod")
def cumprod(self: Any, dim: int, *, dtype: str | None = None) -> Any:
    """Products up to each place."""
    return functions.cumulative_prod(_in(self, dtype), axis=dim)


@operator("logcumsumexp")
def logcumsumexp(self: Any, dim: int) -> Any:
    """log Σ eˣ up to each place."""
    return functions.logcumsumexp(self, axis=dim)


@operator("cummax")
def cummax(self: Any, dim: int) -> Any:
    """The largest up to each place, and where it stood last."""
    return _with_places(self, functions.cummax(self, axis=dim), dim)


@operator("cummin")
def cummin(self: Any, dim: int) -> Any:
    """The smallest up to each place, and where it stood last."""
    return _with_places(self, functions.cummin(self, axis=dim), dim)


def _with_places(x: Any, extremes: Any, dim: int) -> Any:
    shape = [1] * len(x.shape)
    shape[dim] = int(x.shape[dim])
    met = functions.logical_or(functions.equal(x, extremes), functions.isnan(x))
    places = functions.where(met, functions.reshape(functions.arange(shape[dim], dtype="int64"), tuple(shape)), 0)
    return extremes, functions.cummax(places, axis=dim)


@operator("linalg_vector_norm", dtype=(None,))
def vector_norm(self: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Any:
    """(Σ|x|ᵖ)^(1/p), √Σx² where nothing is said."""
    return functions.linalg.vector_norm(self, axis=_axes(dim), keepdims=keepdim, ord=ord)


@operator("norm.ScalarOpt_dim", "norm.Scalar")
def norm(self: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """(Σ|x|ᵖ)^(1/p), √Σx² where nothing is said."""
    return vector_norm(self, 2 if p is None else p, dim, keepdim)


@operator("topk")
def topk(self: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k largest, or smallest, along an axis, and their places."""
    if largest:
        return functions.topk(self, k, axis=dim)
    values, places = sort(self, dim)
    first = (slice(None),) * (dim % len(self.shape)) + (slice(0, k),)
    return values[first], places[first]


@operator("kthvalue")
def kthvalue(self: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest along an axis, and its place."""
    values, places = sort(self, dim)
    return tuple(_slice_of(part, k - 1, dim, keepdim) for part in (values, places))


@operator("median.dim")
def median_dim(self: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """The median along an axis, of two in the middle the smaller, and its place; with a NaN it is NaN."""
    values, places = sort(self, dim)
    n = int(self.shape[dim])
    middle, last = (tuple(_slice_of(part, k, dim, keepdim) for part in (values, places)) for k in ((n - 1) // 2, n - 1))
    none = functions.isnan(last[0])  # NaNs are sorted behind all others
    return tuple(functions.where(none, b, a) for a, b in zip(middle, last, strict=True))


@operator("median.default")
def median(self: Any) -> Any:
    """The median of all entries, of two in the middle the smaller."""
    return median_dim(functions.reshape(self, (-1,)), 0)[0]


def _slice_of(x: Any, place: int, dim: int, keepdim: bool) -> Any:
    key = slice(place, place + 1) if keepdim else place
    return x[(slice(None),) * (dim % len(x.shape)) + (key,)]


@operator("sort.default")
def sort(self: Any, /, dim: int = -1, descending: bool = False) -> Any:
    """The entries in order, and their places."""
    places = argsort(self, dim, descending)
    return functions.take_along_axis(self, places, axis=dim), places


@operator("sort.stable")
def sort_stable(self: Any, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    """The entries in order, and their places."""
    return sort(self, dim, descending)


@operator("argsort.default")
def argsort(self: Any, dim: int = -1, descending: bool = False) -> Any:
    """The places of the entries in order."""
    return functions.argsort(self, axis=dim, descending=descending)


@operator("multilabel_margin_loss_forward")
def multilabel_margin(self: Any, target: Any, reduction: int) -> Any:
    """(Σ max(0, 1 − x[t] + x[j])/n over the targets t before the first −1 and all j that are none of them, –).

    PyTorch's own rule for taking it apart counts targets behind the −1 too, so that it is whole here.
    """
    x, t = (functions.reshape(a, (-1, self.shape[-1])) for a in (self, target))
    n = int(self.shape[-1])
    places = functions.arange(n, dtype="int64")
    end = functions.min(functions.where(functions.equal(t, -1), places, n), axis=1, keepdims=True)
    given = functions.less(places, end)
    named = functions.logical_and(functions.equal(t[:, :, None], places), given[:, :, None])  # (rows, targets, classes)
    chosen = functions.take_along_axis(x, functions.where(given, t, 0), axis=1)[:, :, None]
    counts = functions.logical_and(given[:, :, None], functions.logical_not(functions.any(named, axis=1)[:, None, :]))
    gaps = functions.maximum(1 - chosen + x[:, None, :], 0.0)
    loss = functions.sum(functions.where(counts, gaps, 0.0), axis=(1, 2)) / n
    loss = (loss, functions.mean(loss), functions.sum(loss))[reduction]
    return (loss[0] if reduction == 0 and len(self.shape) == 1 else loss), None
