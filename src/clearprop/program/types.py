"""Types of values, and the promotion of data types.

A type is shape, dtype and *weak*.  Weak values are scalars made of Python numbers and sizes (and integer
arrays without axes) alone: `0.9`, `1 - 0.9 ** t`.  They adopt the dtype of what they meet.  While they are
numbers they are plain Python numbers, so NumPy treats them as we do (NEP 50), if they fit into that dtype.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from clearprop.errors import DTypeError, user_line
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
PYTHON_SCALARS = frozenset((bool, int, float, complex))
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
    if type(value) is np.ndarray:
        return Type(value.shape, value.dtype)
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


def dtype_of(value: Any) -> DType:
    """The dtype of what `type_of` has a type of, without the rest of it."""
    if type(value) is np.ndarray:
        dtype: DType = value.dtype
        return dtype
    return type_of(value).dtype


def is_floating(dtype: DType) -> bool:
    """Whether values of this dtype have derivatives."""
    return dtype.kind == "f" or dtype.kind == "c"


def is_complex(dtype: DType) -> bool:
    """Whether values of this dtype have an imaginary part."""
    return dtype.kind == "c"


def real_dtype(dtype: DType) -> DType:
    """The dtype of real and imaginary part; a real dtype is its own."""
    return np.dtype(dtype.char.lower()) if dtype.kind == "c" else dtype


def exactly(value: Any) -> Any:
    """What is equal for two values only if programs made of them are the same: of one class, and numbers to the bit.

    To Python 1, 1.0 and True are equal, as 0.0 and -0.0 are, within tuples and data classes too.

    >>> exactly((2, 0.0)) == exactly((2, 0.0)), exactly((2,)) == exactly((2.0,)), exactly(0.0) == exactly(-0.0)
    (True, False, False)
    """
    kind = type(value)
    if isinstance(value, np.generic):
        return kind, value.dtype.str, value.tobytes()
    if isinstance(value, (float, complex)):
        return kind, repr(value)
    if isinstance(value, tuple):
        return kind, *map(exactly, value)
    if kind is frozenset:
        return kind, frozenset(map(exactly, value))
    if is_dataclass(kind) and _is_compared_by_fields(kind):
        try:
            parts = tuple(exactly(getattr(value, f.name)) for f in fields(kind) if f.compare)
            hash(parts)
        except (AttributeError, TypeError):  # a field that was never set, or a list beside a `__hash__` of its own
            return kind, value
        return kind, value, *parts
    return kind, value


def _is_compared_by_fields(kind: type) -> bool:
    """Whether the comparison is the one that `dataclass` writes, as a text: of another, equal is what it says."""
    code = getattr(kind.__eq__, "__code__", None)
    return code is not None and code.co_filename == "<string>"


def promote(types: Sequence[Type]) -> tuple[DType, bool]:
    """The dtype that operands meet in, and whether it is weak.

    The array API standard's table within a kind, and of real floating and complex arrays together; a floating array
    wins over integers and booleans; weak operands adopt the dtype of the others if their kind allows it.
    """
    if types and all(not t.weak and t.dtype is types[0].dtype for t in types):
        return types[0].dtype, False  # as nearly always
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


_LIMITS = {name: (int(np.iinfo(name).min), int(np.iinfo(name).max)) for name in ("int8", "int16", "int32", "int64")}
_LIMITS |= {name: (0, int(np.iinfo(name).max)) for name in ("uint8", "uint16", "uint32", "uint64")}


def integer_limits(dtype: DType) -> tuple[int, int]:
    """The least and the largest integer of a dtype; those of int64 for what is no integer dtype."""
    return _LIMITS.get(dtype.name, _LIMITS["int64"])


def fit_number(name: str, value: Any, dtype: DType, compares: bool) -> Any:
    """The Python number with which `name` computes in `dtype`.

    An integer beyond an integer dtype has no value there.  Where it is only compared, ±∞ has the same answers;
    elsewhere it is refused, as NumPy does (NEP 50).  In floating point a huge integer is its nearest number.

    >>> fit_number("greater", 300, np.dtype("uint8"), compares=True)
    inf
    """
    low, high = integer_limits(dtype if dtype.kind in "iu" else INT64)
    if type(value) is not int or low <= value <= high:
        return value
    if dtype.kind == "f" and abs(value) <= np.finfo(dtype).max:
        return float(value)
    if compares:
        return math.copysign(math.inf, value)
    raise DTypeError(
        f"{name}: the number {_number_text(value)} does not fit in {dtype.name}",
        expected=f"{low} to {high}" if dtype.kind != "f" else f"at most {np.finfo(dtype).max:.3g}",
        got=_number_text(value),
        where=user_line(),
        try_="x.astype(np.int64), or np.float64, before it meets the number",
    )


def _number_text(value: int) -> str:
    text = str(value) if abs(value) < 10**40 else f"an integer of {value.bit_length()} bits"
    return text


def fit_operands(
    name: str, values: Sequence[Any], types: Sequence[Type], conditions: int, *, compares: bool
) -> Sequence[Any]:
    """The operands, with Python integers that the dtype of the others can hold; else they are refused.

    The first `conditions` operands choose and are no numbers; `compares` says that the others are only compared.
    """
    if not any(t.weak and t.dtype.kind == "i" for t in types[conditions:]) or all(t.weak for t in types):
        return values
    dtype, _ = promote(types[conditions:])
    return [v if i < conditions else fit_number(name, v, dtype, compares) for i, v in enumerate(values)]
