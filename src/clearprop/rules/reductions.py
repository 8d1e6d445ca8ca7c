"""Reductions: y = Σ locally w·x over axes.  The rule is the map v ↦ w·v on arrays of x's shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.errors import ShapeError
from clearprop.primitives import Primitive, composite, primitive
from clearprop.program.types import INT64, Axes, Type, Value, type_of
from clearprop.program.values import raw
from clearprop.rules import eager
from clearprop.rules.arithmetic import nan_or_zero
from clearprop.rules.comparison import isnan, logical_or
from clearprop.rules.elementwise import as_floating, astype, equal, exp, isfinite, log, sqrt, stop_gradient, where
from clearprop.rules.indexing import slice_axis
from clearprop.rules.joining import concat_
from clearprop.rules.structural import flip, only_axis, reshape
from clearprop.shapes import Shape, is_one, size_of


def reduced_shape(x: Type, axis: Any = None, keepdims: bool = False, **_: Any) -> Shape:
    """The shape left when the axes are reduced."""
    n = len(x.shape)
    kept = ((i, s) for i, s in enumerate(x.shape) if keepdims or i - n not in axis)
    return tuple(1 if i - n in axis else s for i, s in kept)


def _nonempty(x: Type, axis: Any = None, keepdims: bool = False) -> Shape:
    if 0 in [x.shape[a] for a in axis if isinstance(x.shape[a], int)]:
        raise ShapeError(
            "no elements have no largest and no smallest",
            expected="at least one element along the axis",
            got=f"shape {x.shape}, axis {', '.join(str(a % x.ndim) for a in axis)}",
        )
    return reduced_shape(x, axis, keepdims)


def count(x: Any, axis: Any) -> Any:
    """How many elements a reduction over the axes takes together."""
    return size_of(raw(x).shape[a] for a in axis)


def _sum_dtype(x: Type, axis: Axes = None, keepdims: bool = False) -> Any:
    """The dtype of a sum: integers are added in 64 bits, so that small ones do not wrap around."""
    return INT64 if x.dtype.kind in "bi" else np.dtype("uint64") if x.dtype.kind == "u" else x.dtype


def in_sum_dtype(x: Value) -> Any:
    """What is summed: integers in 64 bits, so that small ones do not wrap around."""
    wide = _sum_dtype(type_of(raw(x)))
    return x if wide == type_of(raw(x)).dtype else astype(x, dtype=wide)


@primitive(
    "reduction", on_complex="differentiated",
    numpy="np.sum({x}, axis={axis}, keepdims={keepdims})", numba="add", eager=eager.total,
    tex=r"\textstyle\sum {x}",
    shape=reduced_shape, dtype=_sum_dtype, reduction="sum", d_x=lambda g: g,
)  # fmt: skip
def sum(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Sum over axes (None: all).

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.sum(cl.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([4.0, 6.0])
    """


@composite(
    "reduction",
    on_complex="differentiated",
    eager=eager.average,
    tex=r"\operatorname{{mean}} {x}",
    shape=reduced_shape,
    dtype="float",
    d_x=lambda g, x, axis: g / count(x, axis),
)
def mean(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Arithmetic mean over axes (None: all).

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.mean(cl.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([2.0, 3.0])
    """
    return sum(x, axis=axis, keepdims=keepdims) / count(x, axis)


def _share_among_ties(g: Value, x: Value, y: Value, axis: Axes) -> Any:
    hit = equal(x, y)
    ties = sum(astype(hit, dtype=raw(x).dtype), axis=axis, keepdims=True)
    return where(hit, g / ties, nan_or_zero(x))


@primitive(
    "reduction", numpy="np.max({x}, axis={axis}, keepdims={keepdims})", numba="maximum", eager=eager.largest,
    tex=r"\max {x}",
    shape=_nonempty, reduction="max", nonempty=True, d_x=lambda g, x, y, axis: _share_among_ties(g, x, y, axis),
    chosen_x=lambda x, y: logical_or(equal(x, y), isnan(x)),
)  # fmt: skip
def max(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Largest element over axes; NaN wins.  Elements that tie share the derivative equally.

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.max(cl.tensor([1.0, 3.0, 2.0]))
    Tensor(3.0)
    >>> cl.grad(cl.max)(cl.tensor([3.0, 3.0, 2.0]))
    Tensor([0.5, 0.5, 0.0])
    """


@primitive(
    "reduction", numpy="np.min({x}, axis={axis}, keepdims={keepdims})", numba="minimum", eager=eager.smallest,
    tex=r"\min {x}",
    shape=_nonempty, reduction="min", nonempty=True, d_x=lambda g, x, y, axis: _share_among_ties(g, x, y, axis),
    chosen_x=lambda x, y: logical_or(equal(x, y), isnan(x)),
)  # fmt: skip
def min(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Smallest element over axes; NaN wins.  Elements that tie share the derivative equally.

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.min(cl.tensor([1.0, 3.0, 2.0]))
    Tensor(1.0)
    """


def _finite_top(x: Value, axis: Axes) -> Any:
    """The largest element, as a constant; 0 where that is infinite."""
    top = stop_gradient(max(x, axis=axis, keepdims=True))
    return where(isfinite(top), top, 0.0 * stop_gradient(sum(where(isfinite(x), x, 0.0), axis=axis, keepdims=True)))


def _softmax_over(x: Value, axis: Axes) -> Any:
    """eˣ / Σ eˣ over axes: weights that sum to 1 however large x is, where exp(x − log Σ eˣ) loses its digits."""
    e = exp(x - _finite_top(x, axis))
    return e / sum(e, axis=axis, keepdims=True)


@composite(
    "reduction",
    tex=r"\log\textstyle\sum e^{{{x}}}",
    shape=reduced_shape,
    dtype="float",
    d_x=lambda g, x, axis: g * _softmax_over(x, axis),
)
def logsumexp(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ eˣ over axes without overflow; its local weights are softmax(x).

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.logsumexp(cl.tensor([1000.0, 1000.0]))
    Tensor(1000.69314718)
    """
    x = as_floating(x)
    top = _finite_top(x, axis)
    total = log(sum(exp(x - top), axis=axis, keepdims=True)) + top
    return (
        total
        if keepdims
        else reshape(total, tuple(s for i, s in enumerate(raw(x).shape) if i - len(raw(x).shape) not in axis))
    )


@composite(on_complex="differentiated", tex=r"\textstyle\prod {x}")
def prod(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Product over axes, as a balanced tree of products: so every derivative is right, zeros included.

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.prod(cl.tensor([2.0, 3.0, 4.0]))
    Tensor(24.0)
    >>> cl.grad(cl.prod)(cl.tensor([2.0, 0.0, 4.0]))
    Tensor([0.0, 8.0, 0.0])
    """
    x = in_sum_dtype(x)
    for a in axis:
        while not is_one(n := raw(x).shape[a]):
            n = int(n)
            if n == 0:
                x = sum(x, axis=(a,), keepdims=True) + 1  # the product of nothing
                break
            half = n // 2
            paired = slice_axis(x, a, 0, half) * slice_axis(x, a, half, 2 * half)
            x = paired if n % 2 == 0 else concat_(paired, slice_axis(x, a, n - 1, n), axis=a)
    shape = raw(x).shape
    return x if keepdims else reshape(x, tuple(s for i, s in enumerate(shape) if i - len(shape) not in axis))


@composite(
    "reduction", tex=r"\operatorname{{var}} {x}", shape=reduced_shape, dtype="float",
    d_x=lambda g, x, axis: g * (2 / count(x, axis)) * (x - mean(x, axis=axis, keepdims=True)),
)  # fmt: skip
def var(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Population variance, mean of (x − mean x)², over axes.

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.var(cl.tensor([1.0, 2.0, 3.0, 4.0]))
    Tensor(1.25)
    """
    centred = x - mean(x, axis=axis, keepdims=True)
    return mean(centred * centred, axis=axis, keepdims=keepdims)


def scale_of_squares(total: Value, dtype: DTypeLike) -> Any:
    """1, or the power of two that brings numbers into the range of their squares if `total`, their sum, left it.

    total  the sum or the mean of the squares, or infinity
    dtype  of the numbers

    >>> float(scale_of_squares(25.0, float)), float(scale_of_squares(float("inf"), float)) == 2.0**-640
    (1.0, True)
    """
    limits = np.finfo(np.dtype(dtype))
    power = 2.0 ** (limits.maxexp * 0.625)
    total = stop_gradient(total)
    small = total < float(limits.tiny) / float(limits.eps)
    return astype(where(total > float(limits.max), 1 / power, where(small, power, 1.0)), dtype=dtype)


def _std_slope(x: Value, y: Value, axis: Axes) -> Any:
    """(x − mean x)/(n·std x), and 0 where the deviation is 0."""
    constant = equal(y, 0)
    slope = (x - mean(x, axis=axis, keepdims=True)) / (count(x, axis) * where(constant, 1.0, y))
    return where(constant, 0.0, slope)


@composite(
    "reduction", tex=r"\operatorname{{std}} {x}", shape=reduced_shape, dtype="float", kink=lambda x, y: y,
    d_x=lambda g, x, y, axis: g * _std_slope(x, y, axis),
)  # fmt: skip
def std(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Population standard deviation √var over axes.  By convention its derivative where it is 0 is 0.

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.std(cl.tensor([1.0, 3.0]))
    Tensor(1.0)
    """
    x = as_floating(x)
    centred = x - mean(x, axis=axis, keepdims=True)
    scale = scale_of_squares(mean(centred * centred, axis=axis, keepdims=True), raw(centred).dtype)
    scaled = centred * scale
    deviation = sqrt(mean(scaled * scaled, axis=axis, keepdims=True)) / scale
    return deviation if keepdims else reshape(deviation, reduced_shape(type_of(raw(x)), axis))


@primitive(
    "reduction",
    on_complex="differentiated",
    numpy="np.all({x}, axis={axis}, keepdims={keepdims})",
    tex=r"\forall {x}",
    shape=reduced_shape,
    reduction="all",
    dtype="bool",
)
def all(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Whether every element is true.

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.all(cl.tensor([True, False]))
    Tensor(False)
    """


@primitive(
    "reduction",
    on_complex="differentiated",
    numpy="np.any({x}, axis={axis}, keepdims={keepdims})",
    tex=r"\exists {x}",
    shape=reduced_shape,
    reduction="any",
    dtype="bool",
)
def any(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Whether some element is true.

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.any(cl.tensor([True, False]))
    Tensor(True)
    """


def _shape_without_axis(x: Type, axis: int, keepdims: bool = False) -> Shape:
    return _nonempty(x, (axis,), keepdims)


@primitive(
    "general",
    numpy="np.argmax({x}, axis={axis}, keepdims={keepdims})",
    numba="argmax",
    tex=r"\operatorname{{argmax}} {x}",
    shape=_shape_without_axis,
    nonempty=True,
    dtype="int64",
)
def argmax_(x: Value, /, *, axis: Axes = -1, keepdims: bool = False) -> Any:
    """Index of the first largest element along an axis (None: of all elements in order); NaN counts as largest.

    x         numbers
    axis      the axis to search; None for all elements in order
    keepdims  whether the searched axis stays, with size 1

    >>> import clearprop as cl
    >>> cl.argmax(cl.tensor([1.0, 3.0, 2.0]))
    Tensor(1)
    """


@argmax_.front
def argmax(x: Value, /, *, axis: int | None = None, keepdims: bool = False) -> Any:  # noqa: D103 - the declaration's
    return _index_along(argmax_, x, axis, keepdims)


def _index_along(index: Primitive, x: Value, axis: int | None, keepdims: bool) -> Any:
    if axis is not None:
        return index(x, axis=axis, keepdims=keepdims)
    at = index(reshape(x, (-1,)), axis=-1)
    return reshape(at, (1,) * len(raw(x).shape)) if keepdims else at


@primitive(
    "general",
    numpy="np.argmin({x}, axis={axis}, keepdims={keepdims})",
    numba="argmin",
    tex=r"\operatorname{{argmin}} {x}",
    shape=_shape_without_axis,
    nonempty=True,
    dtype="int64",
)
def argmin_(x: Value, /, *, axis: Axes = -1, keepdims: bool = False) -> Any:
    """Index of the first smallest element along an axis (None: of all elements in order); NaN counts as smallest.

    x         numbers
    axis      the axis to search; None for all elements in order
    keepdims  whether the searched axis stays, with size 1

    >>> import clearprop as cl
    >>> cl.argmin(cl.tensor([1.0, 3.0, 2.0]))
    Tensor(0)
    """


@argmin_.front
def argmin(x: Value, /, *, axis: int | None = None, keepdims: bool = False) -> Any:  # noqa: D103 - the declaration's
    return _index_along(argmin_, x, axis, keepdims)


@primitive(
    "structural", numpy="np.cumulative_sum({x}, axis={axis})", numba="cumulative_sum",
    tex=r"\operatorname{{cumsum}} {x}", shape=lambda x, axis: x.shape, dtype=_sum_dtype, one_dtype=True,
    vjp_x=lambda g, axis: flip(cumulative_sum_(flip(g, axis=axis), axis=axis), axis=axis),
)  # fmt: skip
def cumulative_sum_(x: Value, /, *, axis: Axes = -1) -> Any:
    """Running sum along an axis, which may be left out if x has only one.

    x     numbers
    axis  the axis to sum along

    >>> import clearprop as cl
    >>> cl.cumulative_sum(cl.tensor([1.0, 2.0, 3.0]))
    Tensor([1.0, 3.0, 6.0])
    """


@cumulative_sum_.front
def cumulative_sum(x: Value, /, *, axis: int | None = None) -> Any:  # noqa: D103 - the declaration's docstring
    return cumulative_sum_(x, axis=only_axis(x, axis, "cumulative_sum"))


@composite(
    "reduction",
    tex=r"\lVert {x} \rVert",
    shape=reduced_shape,
    dtype="float",
    kink=lambda x, y: y,
    d_x=lambda g, x, y: g * where(equal(y, 0), 0.0, x / where(equal(y, 0), 1.0, y)),
)
def norm(x: Value, /, *, axis: Axes = None, keepdims: bool = False) -> Any:
    """Euclidean norm √Σx² over axes.  By convention its derivative at 0 is 0.

    x         numbers
    axis      the axes to reduce, from 0 or from the end (−1); None for all
    keepdims  whether the reduced axes stay, with size 1

    >>> import clearprop as cl
    >>> cl.norm(cl.tensor([3.0, 4.0]))
    Tensor(5.0)
    """
    x = as_floating(x)
    scale = scale_of_squares(sum(x * x, axis=axis, keepdims=True), raw(x).dtype)
    scaled = x * scale
    total = sqrt(sum(scaled * scaled, axis=axis, keepdims=True)) / scale
    return total if keepdims else reshape(total, reduced_shape(type_of(raw(x)), axis))


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
