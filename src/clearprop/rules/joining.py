"""Joining: arrays one after the other, along an axis that exists or along a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.errors import ShapeError
from clearprop.primitives import primitive
from clearprop.program.types import Axes, Type, Value, fit_number, promote, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import astype
from clearprop.rules.indexing import slice_axis
from clearprop.rules.structural import expand_dims, reshape
from clearprop.shapes import same


def _joint_shape(types: Sequence[Type], axis: int) -> Any:
    first = types[0].shape
    for t in types[1:]:
        for i, (a, b) in enumerate(zip(first, t.shape, strict=False)):
            if len(t.shape) != len(first) or (i != axis % len(first) and not same(a, b)):
                raise ShapeError(
                    "concat needs arrays that agree on every other axis",
                    expected=f"shapes equal except on axis {axis % len(first)}",
                    got=" and ".join(str(u.shape) for u in types),
                )
    total: Any = 0
    for t in types:
        total = total + t.shape[axis]
    return tuple(total if i - len(first) == axis else n for i, n in enumerate(first))


def _split_cotangent(g: Any, arrays: Sequence[Any], axis: int) -> list[Any]:
    parts, start = [], 0
    for a in arrays:
        stop = start + a.shape[axis]
        parts.append(slice_axis(g, axis, start, stop))
        start = stop
    return parts


@primitive(
    "structural", numpy="np.concatenate({arrays}, axis={axis})", numba="concat", tex=r"[{arrays}]",
    shape=_joint_shape, one_dtype=True, joins=True,
    vjp_arrays=lambda g, arrays, axis: _split_cotangent(g, arrays, axis),
)  # fmt: skip
def concat_(*arrays: Value, axis: Axes = 0) -> Any:
    """The arrays one after the other along an existing axis.

    arrays  a sequence of arrays, equal in shape but for one axis
    axis    that axis; None flattens them first

    >>> import clearprop as cl
    >>> cl.concat([cl.tensor([1.0]), cl.tensor([2.0, 3.0])])
    Tensor([1.0, 2.0, 3.0])
    """


def in_one_dtype(name: str, values: Sequence[Value]) -> Sequence[Any]:
    """The operands in the dtype that they promote to, as in a sum; Python numbers beside arrays adopt it."""
    types = [type_of(raw(v)) for v in values]
    if all(t.weak for t in types) or not any(t.weak or t.dtype != types[0].dtype for t in types):
        return values
    dtype, _ = promote(types)
    kept = [t.dtype == dtype and not t.weak for t in types]
    return [
        v if keep else astype(fit_number(name, v, dtype, compares=False), dtype=dtype)
        for v, keep in zip(values, kept, strict=True)
    ]


@concat_.front
def concat(arrays: Sequence[Value], axis: int | None = 0) -> Any:  # noqa: D103 - the declaration's docstring
    if len(arrays) == 0:
        raise ShapeError("concat needs at least one array", expected="a sequence of arrays", got="an empty sequence")
    arrays = in_one_dtype("concat", arrays)
    if axis is None:
        return concat_(*(reshape(a, (-1,)) for a in arrays), axis=0)
    return concat_(*arrays, axis=axis)


def stack(arrays: Sequence[Value], axis: int = 0) -> Any:
    """The arrays one after the other along a new axis.

    arrays  a sequence of arrays of one shape
    axis    where the new axis stands in the result

    >>> import clearprop as cl
    >>> cl.stack([cl.tensor([1.0, 2.0]), cl.tensor([3.0, 4.0])])
    Tensor([[1.0, 2.0],
            [3.0, 4.0]])
    """
    return concat([expand_dims(a, axis) for a in in_one_dtype("stack", arrays)], axis=axis)
