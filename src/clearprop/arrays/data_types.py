"""Data types, constants, and what the array API standard asks of a namespace about them.

`SHARED` are values that are handed on as they are; the functions here take dtypes, and give no tensors.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.errors import ArgumentError, DTypeError, checked_call, user_line
from clearprop.program.types import DType, Type, promote, real_dtype, type_of
from clearprop.program.values import Node, raw
from clearprop.shapes import Shape, broadcast

DTYPES: dict[str, DType] = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float32", "float64", "complex64", "complex128"),
    )
}
"""Every dtype that a tensor may have, by its name."""
_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}


@dataclass(frozen=True, slots=True)
class FloatInfo:
    """Limits of a floating-point dtype: its bits, spacing at 1, largest, least, and smallest normal number."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True, slots=True)
class IntegerInfo:
    """Limits of an integer dtype: its bits, largest and least number."""

    bits: int
    max: int
    min: int
    dtype: DType


def _dtype_of(of: Any) -> DType:
    """The dtype that is meant: of a tensor or array, or itself."""
    try:
        dtype = type_of(raw(of)).dtype if isinstance(of, (Node, np.ndarray, np.generic)) else np.dtype(of)
    except (TypeError, ValueError):
        dtype = np.dtype(object)
    if dtype.kind not in "biufc":
        raise DTypeError(
            f"{ascii(of)[:80]} is no data type of numbers",
            expected="a dtype such as cl.float32, or an array",
            got=type(of).__name__,
            where=user_line(),
        )
    return dtype


@checked_call
def finfo(type: Any, /) -> FloatInfo:
    """The limits of a floating-point dtype, as Python numbers.

    type  a dtype, or an array that has it; a complex one has the limits of its parts

    >>> import clearprop as cl
    >>> cl.finfo(cl.float32).eps
    1.1920928955078125e-07
    """
    dtype = _dtype_of(type)
    dtype = real_dtype(dtype)
    if dtype.kind != "f":
        raise DTypeError(
            "finfo is about floating-point numbers",
            expected="float32 or float64",
            got=dtype.name,
            where=user_line(),
            try_="cl.iinfo for integers",
        )
    found = np.finfo(dtype)
    eps, high, low, normal = (float(v) for v in (found.eps, found.max, found.min, found.smallest_normal))
    return FloatInfo(found.bits, eps, high, low, normal, dtype)


@checked_call
def iinfo(type: Any, /) -> IntegerInfo:
    """The limits of an integer dtype, as Python numbers.

    type  a dtype, or an array that has it

    >>> import clearprop as cl
    >>> cl.iinfo(cl.int8).max
    127
    """
    dtype = _dtype_of(type)
    if dtype.kind not in "iu":
        raise DTypeError(
            "iinfo is about integers",
            expected="an integer dtype",
            got=dtype.name,
            where=user_line(),
            try_="cl.finfo for floats",
        )
    found = np.iinfo(dtype)
    return IntegerInfo(found.bits, int(found.max), int(found.min), dtype)


@checked_call
def isdtype(dtype: DTypeLike, kind: Any) -> bool:
    """Whether a dtype is of a kind, or of one of several.

    dtype  a dtype
    kind   another dtype, "bool", "signed integer", "unsigned integer", "integral", "real floating",
           "complex floating", "numeric", or a tuple of these

    >>> import clearprop as cl
    >>> cl.isdtype(cl.float32, "real floating"), cl.isdtype(cl.int8, (cl.float32, "bool"))
    (True, False)
    """
    own = _dtype_of(dtype)
    for k in kind if isinstance(kind, tuple) else (kind,):
        if isinstance(k, str) and k not in _KINDS:
            raise ArgumentError(
                f"isdtype knows no kind {k!r}", expected=", ".join(_KINDS), got=repr(k), where=user_line()
            )
        if own.kind in _KINDS[k] if isinstance(k, str) else own == _dtype_of(k):
            return True
    return False


@checked_call
def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype in which arrays, dtypes and Python numbers meet.

    arrays_and_dtypes  at least one of them

    >>> import clearprop as cl
    >>> cl.result_type(cl.int8, cl.uint8, 1)
    dtype('int16')
    """
    if not arrays_and_dtypes:
        raise ArgumentError("result_type needs something to promote", expected="arrays or dtypes", got="nothing")
    types = [
        type_of(raw(v)) if isinstance(raw(v), (bool, int, float, complex)) else Type(np.shape(raw(v)), _dtype_of(v))
        for v in arrays_and_dtypes
    ]
    return promote(types)[0]


@checked_call
def can_cast(from_: Any, to: DTypeLike, /) -> bool:
    """Whether promotion leads from a dtype to another.

    from_  a dtype, or an array that has it
    to     a dtype

    >>> import clearprop as cl
    >>> cl.can_cast(cl.int8, cl.int16), cl.can_cast(cl.int16, cl.int8)
    (True, False)
    """
    a, b = _dtype_of(from_), _dtype_of(to)
    try:
        return promote([Type((), a), Type((), b)])[0] == b
    except DTypeError:
        return False


@checked_call
def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape in which arrays of these shapes meet.

    shapes  tuples of sizes

    >>> import clearprop as cl
    >>> cl.broadcast_shapes((3, 1), (2,))
    (3, 2)
    """
    try:
        return broadcast(*(tuple(map(operator.index, shape)) for shape in shapes))
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            "these shapes do not broadcast",
            expected="axes that are equal or 1, counted from the last",
            got=str(error),
            where=user_line(),
        ) from None


class NamespaceInfo:
    """What `cl.__array_namespace_info__()` answers: capabilities, devices and dtypes, in the standard's words.

    >>> import clearprop as cl
    >>> cl.__array_namespace_info__().default_device()
    'cpu'
    """

    def capabilities(self) -> dict[str, Any]:
        """Whether masks index, whether shapes may depend on data (in eager mode they may), and the most axes."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The device that arrays are made on."""
        return "cpu"

    def devices(self) -> list[str]:
        """Every device there is."""
        return ["cpu"]

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """The dtypes that Python numbers and indices get."""
        require_cpu(device)
        kinds = {"real floating": "float64", "complex floating": "complex128", "integral": "int64", "indexing": "int64"}
        return {kind: DTYPES[name] for kind, name in kinds.items()}

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, DType]:
        """The dtypes by name, all or those of a kind."""
        require_cpu(device)
        return {name: d for name, d in DTYPES.items() if kind is None or isdtype(d, kind)}


def require_cpu(device: str | None) -> None:
    """There is one device; another one is a mistake that is said."""
    if not isinstance(device, str | None) or device not in (None, "cpu"):
        raise ArgumentError(
            f"there is no device {device!r:.80}",
            expected='"cpu", or None',
            got=f"{device!r:.80}",
            where=user_line(),
            try_="leave device= out",
        )


SHARED: Mapping[str, Any] = {
    **DTYPES,
    "e": math.e,
    "inf": math.inf,
    "nan": math.nan,
    "newaxis": None,
    "pi": math.pi,
    "finfo": finfo,
    "iinfo": iinfo,
    "isdtype": isdtype,
    "result_type": result_type,
    "can_cast": can_cast,
    "broadcast_shapes": broadcast_shapes,
    "__array_namespace_info__": NamespaceInfo,
    "__array_api_version__": "2024.12",
}
"""Names of the package beside its functions of arrays."""
