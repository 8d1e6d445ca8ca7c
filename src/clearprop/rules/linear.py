"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.errors import ShapeError
from clearprop.primitives import primitive
from clearprop.program.ir import shape_of
from clearprop.program.types import Value
from clearprop.program.values import raw
from clearprop.rules import eager
from clearprop.rules.elementwise import astype, conjugate, multiply
from clearprop.rules.joining import in_one_dtype
from clearprop.rules.reductions import sum
from clearprop.rules.structural import expand_dims, matrix_transpose, permute_dims, reshape, squeeze
from clearprop.shapes import Shape, hint, normalise_axis, same, size_of


def _how_to_multiply(operands: Sequence[str], shapes: Sequence[Shape], axis: str) -> str:
    """The transpose that would fit, if one does."""
    a, b = operands
    if any(len(s) < 2 for s in shapes):
        return f"check where {a} and {b} get their axis {axis}"
    (*_, rows, inner), (*lead, n, m) = shapes
    if hint(inner) == hint(m):
        return f"transpose one operand ({b}.mT is {(*lead, m, n)}), or check that {b} has {inner} rows"
    if hint(rows) == hint(n):
        return f"transpose one operand ({a}.mT is {(*shapes[0][:-2], inner, rows)}), or check that {b} has {inner} rows"
    return f"check that {b} has {inner} rows, or {a} {n} columns"


def _as_rows(x: Value, b: Value) -> Value:
    """x as one matrix, where one matrix b met its rows: they are terms of one product, not of one for each example."""
    shape = shape_of(x)
    return reshape(x, (size_of(shape[:-1]), shape[-1])) if len(shape) > 2 == len(shape_of(b)) else x


@primitive(
    "multilinear", numpy="{a} @ {b}", eager=eager.product, tex=r"{a}\,{b}", signature="(n,k),(k,m)->(n,m)",
    product=True, verb="multiply", remedy=_how_to_multiply,
    vjp_a=lambda g, b: matmul_(g, matrix_transpose(b)),
    vjp_b=lambda g, a, b: matmul_(matrix_transpose(_as_rows(a, b)), _as_rows(g, b)),
)  # fmt: skip
def matmul_(a: Value, b: Value, /) -> Any:
    """Matrix product Σₖ a[…, n, k] b[…, k, m], batched over leading axes, which broadcast.

    A vector on the left counts as a row, on the right as a column; that axis is dropped from the result.

    a  vector, matrix or batch of matrices, (…, n, k)
    b  vector, matrix or batch of matrices, (…, k, m)

    >>> import clearprop as cl
    >>> cl.matmul(cl.tensor([[1.0, 2.0], [3.0, 4.0]]), cl.tensor([1.0, 10.0]))
    Tensor([21.0, 43.0])
    """


@matmul_.front
def matmul(a: Value, b: Value) -> Any:  # noqa: D103 - the declaration's docstring
    # Vectors are made matrices here, so that the primitive, its rule and every kernel know matrices alone.
    va, vb = raw(a), raw(b)
    na, nb = len(getattr(va, "shape", ())), len(getattr(vb, "shape", ()))
    if na == 0 or nb == 0:
        raise ShapeError(
            "matmul needs at least one axis in each operand",
            expected="vectors or matrices",
            got="a number",
            try_="a * b",
        )
    if va.dtype is not vb.dtype:
        a, b = in_one_dtype("matmul", (a, b))
    if na > 1 and nb > 1:
        return matmul_(a, b)
    if na == 1 and nb == 1 and not same(raw(a).shape[0], raw(b).shape[0]):
        raise ShapeError(
            "matmul cannot multiply vectors of different length",
            expected="equal lengths",
            got=f"{raw(a).shape[0]} and {raw(b).shape[0]}",
        )
    out = matmul_(expand_dims(a, 0) if na == 1 else a, expand_dims(b, 1) if nb == 1 else b)
    axes = tuple(axis for axis, drop in ((-2, na == 1), (-1, nb == 1)) if drop)
    return squeeze(out, axis=axes)


def tensordot(a: Value, b: Value, axes: int | Sequence[Sequence[int]] = 2) -> Any:
    """Sum of products over pairs of axes: the last `axes` of a with the first of b, or two lists of axes.

    a, b  arrays
    axes  how many axes to pair, or two lists of axes: of a, and of b

    >>> import clearprop as cl
    >>> cl.tensordot(cl.tensor([[1.0, 2.0]]), cl.tensor([[3.0], [4.0]]), axes=1)
    Tensor([[11.0]])
    """
    # Paired axes go to the end of a and to the front of b; then it is one matrix product of two reshaped arrays.
    sa, sb = raw(a).shape, raw(b).shape
    if isinstance(axes, int):
        left, right = list(range(len(sa) - axes, len(sa))), list(range(axes))
    else:
        left = [normalise_axis(i, len(sa)) % len(sa) for i in axes[0]]
        right = [normalise_axis(i, len(sb)) % len(sb) for i in axes[1]]
    if len(left) != len(right) or not all(same(sa[i], sb[j]) for i, j in zip(left, right, strict=False)):
        raise ShapeError(
            "tensordot cannot pair these axes",
            expected="as many axes in a as in b, of equal sizes",
            got=f"axes {left} of {sa} with {right} of {sb}",
        )
    keep_a = [i for i in range(len(sa)) if i not in left]
    keep_b = [j for j in range(len(sb)) if j not in right]
    paired = size_of(sa[i] for i in left)
    rows = reshape(permute_dims(a, keep_a + left), (size_of(sa[i] for i in keep_a), paired))
    columns = reshape(permute_dims(b, right + keep_b), (paired, size_of(sb[j] for j in keep_b)))
    return reshape(matmul(rows, columns), tuple(sa[i] for i in keep_a) + tuple(sb[j] for j in keep_b))


def vecdot(a: Value, b: Value, axis: int = -1) -> Any:
    """Sum of products along one axis; of complex a the conjugate is taken.

    a, b  arrays of shapes that broadcast
    axis  the axis to sum over

    >>> import clearprop as cl
    >>> cl.vecdot(cl.tensor([1.0, 2.0]), cl.tensor([3.0, 4.0]))
    Tensor(11.0)
    """
    products = multiply(conjugate(a), b)
    dtype = raw(products).dtype
    total = sum(products, axis=axis)
    return total if raw(total).dtype == dtype else astype(total, dtype=dtype)
