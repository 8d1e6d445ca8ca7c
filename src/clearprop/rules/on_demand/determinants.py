"""Determinants and cofactors of matrices.  Derivatives after Giles (2008), "Collected matrix derivative results"."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.primitives import HELPERS, Zero, primitive
from clearprop.program.types import Type, Value
from clearprop.rules.linear import matmul_
from clearprop.rules.on_demand.matrices import diagonal_entries, inv, one_entry, real_result, require_square
from clearprop.rules.reductions import sum
from clearprop.rules.structural import matrix_transpose
from clearprop.shapes import Shape


def _number_of(x: Type) -> Shape:
    return require_square(x)[:-2]


def _cofactors(x: NDArray[Any]) -> NDArray[Any]:
    """det x · x⁻ᵀ; of matrices without an inverse in this dtype det(u)·det(v)·u·diag(∏_{j≠i} σⱼ)·vᵀ of their u·σ·vᵀ."""
    with np.errstate(all="ignore"):
        try:
            found: NDArray[Any] = np.linalg.det(x)[..., None, None] * np.linalg.inv(x).swapaxes(-1, -2)
        except np.linalg.LinAlgError:
            found = np.full(x.shape, np.nan, x.dtype)
        bad = ~np.isfinite(found).all(axis=(-2, -1)) & np.isfinite(x).all(axis=(-2, -1))
        if bad.any():
            u, sigma, v = np.linalg.svd(x[bad])
            others = np.where(np.eye(x.shape[-1], dtype=bool), 1, sigma[..., None, :]).prod(axis=-1)
            sign = np.linalg.det(u) * np.linalg.det(v)
            found[bad] = sign[..., None, None] * (np.conj(u) * others[..., None, :]) @ np.conj(v)
    return found


HELPERS["cofactors"] = _cofactors


def _cofactors_vjp(g: Value, x: Value) -> Any:
    inverse = matrix_transpose(inv(x))
    return one_entry(det(x)) * (
        one_entry(sum(g * inverse, axis=(-2, -1))) * inverse - inverse @ matrix_transpose(g) @ inverse
    )


@primitive(
    "general",
    on_complex="differentiated",
    numpy="cofactors({x})",
    tex=r"\operatorname{{cof}} {x}",
    shape=require_square,
    dtype="float",
    vjp_x=_cofactors_vjp,
    jvp=lambda x_dot, x: _cofactors_vjp(x_dot, x),  # it is symmetric: the second derivative of det
    public=False,
)
def cofactors(x: Value, /) -> Any:
    """The cofactors of square matrices: det x · x⁻ᵀ, also where x has no inverse."""


@primitive(
    "general",
    on_complex="differentiated",
    numpy="np.linalg.det({x})",
    tex=r"\det {x}",
    shape=_number_of,
    dtype="float",
    vjp_x=lambda g, x: one_entry(g) * cofactors(x),
    jvp=lambda x_dot, x: sum(cofactors(x) * x_dot, axis=(-2, -1)),
)
def det(x: Value, /) -> Any:
    """The determinant of matrices; its derivative are the cofactors, at singular matrices too.

    The second derivative is made of the inverse: it is refused at a singular matrix, and close to one as bad as that.

    x  matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.det(cl.tensor([[2.0, 0.0], [0.0, 4.0]]))
    Tensor(8.0)
    """


@primitive(
    "general",
    on_complex="differentiated",
    numpy="np.linalg.slogdet({x})[1]",
    tex=r"\log \lvert \det {x} \rvert",
    shape=_number_of,
    dtype=real_result,
    vjp_x=lambda g, x: one_entry(g) * matrix_transpose(inv(x)),
    jvp=lambda x_dot, x: sum(diagonal_entries(matmul_(inv(x), x_dot)), axis=-1),
)
def logabsdet(x: Value, /) -> Any:
    """log |det x|, which neither overflows nor underflows.

    x  matrices (…, n, n)

    >>> import clearprop as cl
    >>> cl.linalg.logabsdet(cl.tensor([[1.0, 0.0], [0.0, -1.0]]))
    Tensor(0.0)
    """


@primitive(
    "general",
    numpy="np.linalg.slogdet({x})[0]",
    tex=r"\operatorname{{sign}} \det {x}",
    shape=_number_of,
    dtype="float",
    public=False,
    vjp_x=Zero("piecewise constant: its derivative is 0 wherever it has one"),
)
def determinant_sign(x: Value, /) -> Any:
    """The sign of the determinant of matrices."""


@primitive(
    "general",
    on_complex="value",
    numpy="np.linalg.slogdet({x})[0]",
    tex=r"\operatorname{{sign}} \det {x}",
    shape=_number_of,
    dtype="float",
    public=False,
)
def determinant_phase(x: Value, /) -> Any:
    """The determinant of complex matrices divided by its absolute value; its derivative is not declared."""
