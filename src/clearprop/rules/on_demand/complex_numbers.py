"""Parts of complex numbers.

The derivative of a real f with respect to z = x + iy is ∂f/∂x − i·∂f/∂y, and a tangent ż meets it as Re(∂f/∂z · ż).  So
functions that are differentiable in z have the rules that they have on real numbers; those here have not.
"""

from __future__ import annotations

from typing import Any

from clearprop.primitives import primitive
from clearprop.program.types import Value, is_complex, type_of
from clearprop.program.values import raw
from clearprop.rules.structural import zeros_like
from clearprop.rules.trigonometric import atan2


def _has_parts(x: Value) -> bool:
    return is_complex(type_of(raw(x)).dtype)


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.real({x})",
    dtype="real",
    tex=r"\operatorname{{Re}} {x}",
    d_x=lambda g: g,
)
def real_(x: Value, /) -> Any:
    """The real part of complex numbers; real ones are their own.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.real(cl.tensor([1.0 + 2.0j]))
    Tensor([1.0])
    """


@real_.front
def real(x: Value, /) -> Any:  # noqa: D103 - the declaration's docstring
    return real_(x) if _has_parts(x) else x


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.imag({x})",
    dtype="real",
    tex=r"\operatorname{{Im}} {x}",
    d_x=lambda g: -1j * g,
)
def imag_(x: Value, /) -> Any:
    """The imaginary part of complex numbers; of real ones it is 0.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.imag(cl.tensor([1.0 + 2.0j]))
    Tensor([2.0])
    """


@imag_.front
def imag(x: Value, /) -> Any:  # noqa: D103 - the declaration's docstring
    return imag_(x) if _has_parts(x) else zeros_like(x)


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.conj({x})",
    tex=r"\overline{{{x}}}",
    d_x=lambda g: conj_(g) if _has_parts(g) else g,
)
def conj_(x: Value, /) -> Any:
    """The conjugate Re x − i·Im x; real numbers are their own.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.conj(cl.tensor([1.0 + 2.0j]))
    Tensor([1.0-2.0j], dtype=complex128)
    """


@conj_.front
def conj(x: Value, /) -> Any:  # noqa: D103 - the declaration's docstring
    return conj_(x) if _has_parts(x) else x


def angle(x: Value, /) -> Any:
    """The angle of complex numbers with the positive real axis, in (−π, π]; of real ones 0 or π.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.angle(cl.tensor([1.0j, 2.0]))
    Tensor([1.57079633, 0.0])
    """
    return atan2(imag(x), real(x))
