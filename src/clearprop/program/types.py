"""Types of values, and the promotion of data types.

A type is shape, dtype and *weak*.  Weak values are scalars made of Python numbers and sizes (and integer
arrays without axes) alone: `0.9`, `1 - 0.9 ** t`.  They adopt the dtype of what they meet.  While they are
numbers they are plain Python numbers, so NumPy treats them as we do (NEP 50).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from clearprop.errors import DTypeError
from clearprop.shapes import Shape, dim_key

DType = np.dtype[Any]
Tree: TypeAlias = object
"""Any nesting of dicts, lists, tuples and modules, with arrays and other things as leaves."""
Axes: TypeAlias = int | Sequence[int] | None
"""One axis, several, or None for all."""
Params: TypeAlias = Mapping[str, Any]
"""The parameters of an operation by name: axes, shapes, dtypes, constants."""
BOOL, INT64, FLOAT32, FLOAT64 = (np.dtype(t) for t in ("bool", "int64", "float32", "float64"))
COMPLEX64, COMPLEX128 = (np.dtype(t) for t in ("complex64", "complex128"))
PYTHON_SCALARS = (bool, int, float, complex)
_OF_SCALAR = {bool: BOOL, int: INT64, float: FLOAT64, complex: COMPLEX128}
_RANK = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}


class Value(Protocol):
    """What operations take and give: a tensor, an array, a number, or a variable while a program is traced."""

    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __rtruediv__(self, other: Any, /) -> Any: ...
    def __pow__(self, other: Any, /) -> Any: ...
    def __neg__(self) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...
    def __le__(self, other: Any, /) -> Any: ...
    def __gt__(self, other: Any, /) -> Any: ...
    def __ge__(self, other: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Type:
    """Shape, dtype, and whether the dtype is weak."""

    shape: Shape
    dtype: DType
    weak: bool = False

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def key(self) -> Any:
        """Hashable identity."""
        return tuple(map(dim_key, self.shape)), self.dtype.str, self.weak

    def __str__(self) -> str:
        name = self.dtype.name.replace("float", "f").replace("uint", "u").replace("int", "i")
        shape = ",".join(map(str, self.shape))
        return name + (f"[{shape}]" if shape else "") + ("~" if self.weak else "")


def type_of(value: Any) -> Type:
    """The type of an array, a Python number, or anything that has a `type`."""
    scalar = _OF_SCALAR.get(type(value))
    if scalar is not None:
        return Type((), scalar, weak=True)
    own = getattr(value, "type", None)
    if isinstance(own, Type):
        return own
    try:
        return Type(value.shape, value.dtype)
    except AttributeError:
        raise DTypeError(
            f"a value of type {type(value).__name__} is not an array",
            expected="a tensor, an array or a number",
            got=repr(value)[:60],
            try_="cl.asarray(...) makes an array of a list of numbers" if isinstance(value, (list, tuple)) else "",
        ) from None


def is_floating(dtype: DType) -> bool:
    """Whether values of this dtype have derivatives."""
    return dtype.kind == "f" or dtype.kind == "c"


def is_complex(dtype: DType) -> bool:
    """Whether values of this dtype have an imaginary part."""
    return dtype.kind == "c"


def real_dtype(dtype: DType) -> DType:
    """The dtype of real and imaginary part; a real dtype is its own."""
    return np.dtype(dtype.char.lower()) if dtype.kind == "c" else dtype


def promote(types: Iterable[Type]) -> tuple[DType, bool]:
    """The dtype that operands meet in, and whether it is weak.

    The array API standard's table within a kind, and of real floating and complex arrays together; a floating array
    wins over integers and booleans; weak operands adopt the dtype of the others if their kind allows it.
    """
    # Three questions in this order: the highest kind among the strong operands, their common dtype within it, and
    # whether a weak operand is of a higher kind still (a Python float beside integers), which alone changes the dtype.
    strong = [t for t in types if not t.weak]
    weak = [t for t in types if t.weak]
    if not strong:
        top = max(weak, key=lambda t: _RANK[t.dtype.kind])
        return top.dtype, True
    rank = max(_RANK[t.dtype.kind] for t in strong)
    chosen = [t.dtype for t in strong if _RANK[t.dtype.kind] == rank or (rank == 3 and t.dtype.kind == "f")]
    dtype = chosen[0]
    for other in chosen[1:]:
        if other != dtype:
            dtype = _within_kind(dtype, other)
    stronger = max((_RANK[t.dtype.kind] for t in weak), default=-1)
    if stronger > rank and stronger >= 2:
        if rank == 2:  # a complex number beside floats keeps their precision
            return np.promote_types(dtype, COMPLEX64), False
        # a Python float beside integers: float64, and still weak if nothing has axes
        return (FLOAT64 if stronger == 2 else COMPLEX128), all(t.ndim == 0 for t in strong)
    if stronger > rank:
        return INT64, False
    return dtype, False


def _within_kind(a: DType, b: DType) -> DType:
    if {a.kind, b.kind} == {"i", "u"} and np.dtype("uint64") in (a, b):
        raise DTypeError(
            f"{a.name} and {b.name} have no common integer type",
            expected="operands that promote within the integers",
            got=f"{a.name} with {b.name}",
            try_="x.astype(...) on one operand",
        )
    return np.promote_types(a, b)
