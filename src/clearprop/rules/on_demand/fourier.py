"""Discrete Fourier transforms, `cl.fft`: linear maps, whose derivative is the transform itself.

With ω = e^(−2πi/n), X_k = Σ_j x_j ω^(jk).  That matrix is symmetric, so a cotangent is transformed as a tangent is.
Transforms of several axes are made of those of one (Cooley & Tukey 1965; NumPy's pocketfft computes them).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.primitives import primitive
from clearprop.program.types import COMPLEX64, FLOAT64, DType, Type, Value, is_floating, real_dtype, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import conjugate
from clearprop.rules.indexing import slice_axis
from clearprop.rules.joining import concat
from clearprop.rules.on_demand.complex_numbers import real
from clearprop.rules.on_demand.manipulation import roll
from clearprop.rules.structural import full_, reshape
from clearprop.shapes import Shape, Size, normalise_axes, normalise_axis

_OPPOSITE = {"backward": "forward", "forward": "backward", "ortho": "ortho"}
"""Which transforms carry the factor 1/n of a transform and its inverse, seen from the other of the two."""


def _complex_result(x: Type, **_: Any) -> DType:
    return np.promote_types(x.dtype if is_floating(x.dtype) else FLOAT64, COMPLEX64)


def _real_result(x: Type, **_: Any) -> DType:
    return real_dtype(_complex_result(x))


def _with_size(x: Type, axis: int, n: Any) -> Shape:
    return tuple(n if i - x.ndim == axis else s for i, s in enumerate(x.shape))


# ----------------------------------------------------------------------------------------------- one axis, its own size
@primitive(
    "structural",
    mixes=True,
    numpy="np.fft.fft({x}, axis={axis}, norm={norm})",
    tex=r"\mathcal{{F}}({x})",
    shape=lambda x, axis, norm: x.shape,
    dtype=_complex_result,
    public=False,
    vjp_x=lambda g, axis, norm: fourier(g, axis=axis, norm=norm),
)
def fourier(x: Value, /, *, axis: int = -1, norm: str = "backward") -> Any:
    """Σ_j x_j ω^(jk) along an axis."""


@primitive(
    "structural",
    mixes=True,
    numpy="np.fft.ifft({x}, axis={axis}, norm={norm})",
    tex=r"\mathcal{{F}}^{{-1}}({x})",
    shape=lambda x, axis, norm: x.shape,
    dtype=_complex_result,
    public=False,
    vjp_x=lambda g, axis, norm: inverse_fourier(g, axis=axis, norm=norm),
)
def inverse_fourier(x: Value, /, *, axis: int = -1, norm: str = "backward") -> Any:
    """Σ_k x_k ω^(−jk) / n along an axis."""


@primitive(
    "structural",
    mixes=True,
    on_complex="refused",
    numpy="np.fft.rfft({x}, axis={axis}, norm={norm})",
    tex=r"\mathcal{{F}}_{{\mathbb{{R}}}}({x})",
    shape=lambda x, axis, norm: _with_size(x, axis, x.shape[axis] // 2 + 1),
    dtype=_complex_result,
    public=False,
    vjp_x=lambda g, x, axis, norm: real(fourier(_fit_axis(g, axis, type_of(raw(x)).shape[axis]), axis=axis, norm=norm)),
)
def half_fourier(x: Value, /, *, axis: int = -1, norm: str = "backward") -> Any:
    """The first n//2 + 1 terms of the transform of real numbers, of which the others are the conjugates."""


@primitive(
    "structural",
    mixes=True,
    numpy="np.fft.irfft({x}, n={n}, axis={axis}, norm={norm})",
    tex=r"\mathcal{{F}}_{{\mathbb{{R}}}}^{{-1}}({x})",
    shape=lambda x, n, axis, norm: _with_size(x, axis, n),
    dtype=_real_result,
    public=False,
    vjp_x=lambda g, n, axis, norm: (
        _multiplicity(g, n, axis) * conjugate(half_fourier(g, axis=axis, norm=_OPPOSITE[norm]))
    ),
)
def inverse_half_fourier(x: Value, /, *, n: int, axis: int = -1, norm: str = "backward") -> Any:
    """n real numbers from the first n//2 + 1 terms of their transform."""


def _multiplicity(g: Value, n: int, axis: int) -> Any:
    """How often each term of half a transform stands in the whole: those at 0 and n/2 once, the others twice."""
    t = type_of(raw(g))
    times = np.full(n // 2 + 1, 2, t.dtype)
    times[0] = 1
    if n % 2 == 0:
        times[-1] = 1
    return times.reshape((-1,) + (1,) * (-1 - axis))


# ------------------------------------------------------------------------------------------------------- arguments
def _fit_axis(x: Value, axis: int, n: Any) -> Any:
    """x with n entries along an axis: cut at its end, or continued with zeros."""
    t = type_of(raw(x))
    size = t.shape[axis]
    if n is None or n is size or (isinstance(n, int) and isinstance(size, int) and n == size):
        return x
    if int(n) <= int(size):
        return slice_axis(x, axis, 0, int(n))
    zeros = full_(shape=_with_size(t, axis, int(n) - int(size)), value=0, dtype=t.dtype)
    return concat([x, zeros], axis=axis)


def _check_axis(x: Value, axis: int, n: int | None, norm: str, name: str) -> tuple[int, Any]:
    """The axis counted from the end, and its wanted size."""
    t = type_of(raw(x))
    if norm not in _OPPOSITE:
        raise ArgumentError(
            f"{name} has no norm {norm!r:.60}",
            expected='"backward", "ortho" or "forward"',
            got=repr(norm)[:60],
            where=user_line(),
        )
    if not t.ndim:
        raise ShapeError(f"{name} needs an axis", expected="one axis or more", got="a number", where=user_line())
    axis = normalise_axis(axis, t.ndim)
    size = t.shape[axis] if n is None else n
    whole = isinstance(size, int | np.integer | Size) and not isinstance(size, bool)
    if not whole or (not isinstance(size, Size) and size < 1):
        raise ArgumentError(
            f"{name} transforms one entry or more",
            expected="n of 1 or more",
            got=f"n = {size!r}",
            where=user_line(),
        )
    return axis, size


def _axes(x: Value, s: Sequence[int] | None, axes: Sequence[int] | None, name: str) -> list[tuple[int, int | None]]:
    """Each axis that is transformed, with its wanted size."""
    ndim = type_of(raw(x)).ndim
    if axes is None:
        axes = range(-ndim if s is None else -len(s), 0)
    chosen = list(normalise_axes(tuple(axes), ndim))
    sizes = [None] * len(chosen) if s is None else list(s)
    if len(sizes) != len(chosen) or not chosen:
        raise ArgumentError(
            f"{name} needs one size for each axis",
            expected=f"as many sizes as axes, which are {len(chosen)}",
            got=f"s = {s!r:.60}",
            where=user_line(),
        )
    return list(zip(chosen, sizes, strict=True))


# ----------------------------------------------------------------------------------------------------- the functions
def fft(x: Value, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The discrete Fourier transform X_k = Σ_j x_j e^(−2πi·jk/n) along an axis.

    x     numbers, real or complex
    n     how many entries are transformed: the axis is cut, or continued with zeros; None is its size
    axis  the axis
    norm  which of transform and inverse is divided by n: "backward" the inverse, "forward" this one, "ortho" both by √n

    >>> import clearprop as cl
    >>> cl.fft.fft(cl.tensor([1.0, 0.0, 0.0, 0.0]))
    Tensor([1.0+0.0j, 1.0+0.0j, 1.0+0.0j, 1.0+0.0j], dtype=complex128)
    """
    axis, size = _check_axis(x, axis, n, norm, "fft")
    return fourier(_fit_axis(x, axis, size), axis=axis, norm=norm)


def ifft(x: Value, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The inverse transform x_j = Σ_k X_k e^(2πi·jk/n) / n along an axis.

    x     numbers, real or complex
    n     how many entries are transformed; None is the size of the axis
    axis  the axis
    norm  as in `fft`

    >>> import clearprop as cl
    >>> cl.fft.ifft(cl.tensor([4.0, 0.0, 0.0, 0.0]))
    Tensor([1.0+0.0j, 1.0+0.0j, 1.0+0.0j, 1.0+0.0j], dtype=complex128)
    """
    axis, size = _check_axis(x, axis, n, norm, "ifft")
    return inverse_fourier(_fit_axis(x, axis, size), axis=axis, norm=norm)


def rfft(x: Value, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The first n//2 + 1 terms of the transform of real numbers; the others are their conjugates.

    x     real numbers
    n     how many entries are transformed; None is the size of the axis
    axis  the axis
    norm  as in `fft`

    >>> import clearprop as cl
    >>> cl.fft.rfft(cl.tensor([1.0, 0.0, 0.0, 0.0])).shape
    (3,)
    """
    axis, size = _check_axis(x, axis, n, norm, "rfft")
    return half_fourier(_fit_axis(x, axis, size), axis=axis, norm=norm)


def irfft(x: Value, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """n real numbers from the first n//2 + 1 terms of their transform, of which the first counts as real.

    x     terms, complex or real
    n     how many numbers result; None is 2·(m − 1) of m terms
    axis  the axis
    norm  as in `fft`

    >>> import clearprop as cl
    >>> cl.fft.irfft(cl.tensor([4.0, 0.0, 0.0]))
    Tensor([1.0, 1.0, 1.0, 1.0])
    """
    axis, size = _check_axis(x, axis, n, norm, "irfft")
    wanted = int(2 * (size - 1) if n is None else n)
    _check_axis(x, axis, wanted, norm, "irfft")
    return inverse_half_fourier(_fit_axis(x, axis, wanted // 2 + 1), n=wanted, axis=axis, norm=norm)


def hfft(x: Value, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The transform, which is real, of numbers whose second half are the conjugates of the first, which is given.

    x     the first n//2 + 1 numbers
    n     how many numbers result; None is 2·(m − 1) of m given ones
    axis  the axis
    norm  as in `fft`

    >>> import clearprop as cl
    >>> cl.fft.hfft(cl.tensor([1.0, 0.0, 0.0]))
    Tensor([1.0, 1.0, 1.0, 1.0])
    """
    _check_axis(x, axis, n, norm, "hfft")
    return irfft(conjugate(x), n=n, axis=axis, norm=_OPPOSITE[norm])


def ihfft(x: Value, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """The first half of the inverse transform of real numbers; the other half are its conjugates.

    x     real numbers
    n     how many entries are transformed; None is the size of the axis
    axis  the axis
    norm  as in `fft`

    >>> import clearprop as cl
    >>> cl.fft.ihfft(cl.tensor([4.0, 0.0, 0.0, 0.0])).shape
    (3,)
    """
    _check_axis(x, axis, n, norm, "ihfft")
    return conjugate(rfft(x, n=n, axis=axis, norm=_OPPOSITE[norm]))


def fftn(
    x: Value, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Any:
    """The transform along several axes.

    x     numbers, real or complex
    s     how many entries are transformed along each axis; None: their sizes
    axes  the axes; None: all, or as many at the end as s has sizes
    norm  as in `fft`

    >>> import clearprop as cl
    >>> cl.fft.fftn(cl.tensor([[1.0, 0.0], [0.0, 0.0]])).shape
    (2, 2)
    """
    for axis, n in _axes(x, s, axes, "fftn"):
        x = fft(x, n=n, axis=axis, norm=norm)
    return x


def ifftn(
    x: Value, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Any:
    """The inverse transform along several axes.

    x     numbers, real or complex
    s     how many entries are transformed along each axis; None: their sizes
    axes  the axes; None: all, or as many at the end as s has sizes
    norm  as in `fft`

    >>> import clearprop as cl
    >>> cl.fft.ifftn(cl.tensor([[1.0, 0.0], [0.0, 0.0]])).shape
    (2, 2)
    """
    for axis, n in _axes(x, s, axes, "ifftn"):
        x = ifft(x, n=n, axis=axis, norm=norm)
    return x


def rfftn(
    x: Value, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Any:
    """The transform of real numbers along several axes: of the last half the terms, as `rfft` gives.

    x     real numbers
    s     how many entries are transformed along each axis; None: their sizes
    axes  the axes; None: all, or as many at the end as s has sizes
    norm  as in `fft`

    >>> import clearprop as cl
    >>> cl.fft.rfftn(cl.ones((2, 4))).shape
    (2, 3)
    """
    *others, (last, n) = _axes(x, s, axes, "rfftn")
    x = rfft(x, n=n, axis=last, norm=norm)
    for axis, size in others:
        x = fft(x, n=size, axis=axis, norm=norm)
    return x


def irfftn(
    x: Value, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Any:
    """The inverse of `rfftn`: real numbers.

    x     terms, complex or real
    s     how many numbers result along each axis; None: the sizes, and 2·(m − 1) of the m terms of the last
    axes  the axes; None: all, or as many at the end as s has sizes
    norm  as in `fft`

    >>> import clearprop as cl
    >>> cl.fft.irfftn(cl.ones((2, 3))).shape
    (2, 4)
    """
    *others, (last, n) = _axes(x, s, axes, "irfftn")
    for axis, size in others:
        x = ifft(x, n=size, axis=axis, norm=norm)
    return irfft(x, n=n, axis=last, norm=norm)


def _check_frequencies(n: int, d: float, name: str) -> Any:
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1 or d == 0:
        raise ArgumentError(
            f"{name} needs a number of entries and their distance",
            expected="n an integer of 1 or more, d a number other than 0",
            got=f"n = {n!r:.60}, d = {d!r:.60}",
            where=user_line(),
        )


def fftfreq(n: int, /, *, d: float = 1.0, dtype: DTypeLike | None = None, device: str | None = None) -> Any:
    """The frequencies of the n terms of `fft`: 0, 1, …, then the negative ones, each divided by n·d.

    n       how many terms
    d       the distance of two entries
    dtype   its data type; None is float64
    device  "cpu" or None

    >>> import clearprop as cl
    >>> cl.fft.fftfreq(4)
    Tensor([0.0, 0.25, -0.5, -0.25])
    """
    _check_frequencies(n, d, "fftfreq")
    return np.fft.fftfreq(n, d).astype(np.float64 if dtype is None else dtype)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: DTypeLike | None = None, device: str | None = None) -> Any:
    """The frequencies of the n//2 + 1 terms of `rfft`: 0, 1, …, each divided by n·d.

    n       how many entries were transformed
    d       the distance of two entries
    dtype   its data type; None is float64
    device  "cpu" or None

    >>> import clearprop as cl
    >>> cl.fft.rfftfreq(4)
    Tensor([0.0, 0.25, 0.5])
    """
    _check_frequencies(n, d, "rfftfreq")
    return np.fft.rfftfreq(n, d).astype(np.float64 if dtype is None else dtype)


def fftshift(x: Value, /, *, axes: int | Sequence[int] | None = None) -> Any:
    """The terms in the order of their frequencies: the term of 0 moves to the middle.

    x     numbers
    axes  the axes; None: all

    >>> import clearprop as cl
    >>> cl.fft.fftshift(cl.fft.fftfreq(4))
    Tensor([-0.5, -0.25, 0.0, 0.25])
    """
    return _shift(x, axes, back=False)


def ifftshift(x: Value, /, *, axes: int | Sequence[int] | None = None) -> Any:
    """What undoes `fftshift`: the term in the middle moves to the front.

    x     numbers
    axes  the axes; None: all

    >>> import clearprop as cl
    >>> cl.fft.ifftshift(cl.tensor([-0.5, -0.25, 0.0, 0.25]))
    Tensor([0.0, 0.25, -0.5, -0.25])
    """
    return _shift(x, axes, back=True)


def _shift(x: Value, axes: int | Sequence[int] | None, *, back: bool) -> Any:
    """Rolled by half the size of each axis, rounded down; or back."""
    t = type_of(raw(x))
    chosen = normalise_axes(axes, t.ndim)
    steps = [-(int(t.shape[a]) // 2) if back else int(t.shape[a]) // 2 for a in chosen]
    return roll(x, tuple(steps), axis=tuple(chosen)) if chosen else reshape(x, t.shape)
