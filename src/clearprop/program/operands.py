"""What may enter: arrays and numbers of the dtypes that everything here computes in, or a refusal.

The same check stands at every door: `cl.tensor`, `cl.asarray`, arguments of transforms, arrays beside tensors.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import DTypeError, user_line
from clearprop.program.ir import builder
from clearprop.program.types import COMPLEX64, COMPLEX128, DType, Type, type_of
from clearprop.program.values import Node
from clearprop.shapes import Size

REAL = frozenset(np.dtype(c) for c in "?bhilqBHILQfd")
"""Booleans, integers, float32 and float64, in the processor's byte order."""
SUPPORTED = REAL | {COMPLEX64, COMPLEX128}
"""Every dtype of a tensor, in the processor's byte order."""


def admit_real(value: Any) -> Any:
    """As `admit`, at a door behind which everything is real: complex numbers are refused, in a tensor too."""
    kind = getattr(getattr(value, "value", value), "dtype", None)
    if isinstance(getattr(value, "value", value), complex) or getattr(kind, "kind", "") == "c":
        raise complex_error(COMPLEX128 if kind is None else kind)
    return admit(value)


def require_real_value(value: Any, name: str) -> Any:
    """What a function of the user's gives, if it is real; DTypeError for None, several values and complex numbers.

    >>> require_real_value(0.5, "score")
    0.5
    """
    held = getattr(value, "value", value)
    if held is None or isinstance(held, (tuple, list, dict, str, complex)) or type_of(held).dtype.kind not in "biuf":
        shown = type(held).__name__ if getattr(held, "dtype", None) is None else str(type_of(held))
        raise DTypeError(
            f"{name} gives no number",
            expected="one real number for all rows, such as cl.mean(...) of them",
            got=f"a value of type {shown}",
            where=user_line(),
            try_="return that number alone; cl.real(x) or cl.abs(x) of complex ones",
        )
    return value


def admit(value: Any) -> Any:
    """The array or number that a value from outside stands for, with the same values; DTypeError where there is none.

    Another byte order is turned; objects that are numbers become numbers, if none of them changes by it.
    """
    if is_masked_array(value):
        value = _without_mask(value)
    if isinstance(value, np.ndarray) and value.__class__ is not np.ndarray:
        value = np.asarray(value)  # np.matrix would multiply otherwise than arrays do
    if isinstance(value, (np.ndarray, np.generic)):
        dtype = value.dtype
        if dtype in SUPPORTED:
            return value
        if dtype.kind == "O":
            return _numbers_of_objects(np.asarray(value))
        if not dtype.isnative and (native := dtype.newbyteorder("=")) in SUPPORTED:  # dtypes of others have no order
            return value.astype(native)
        raise unsupported_error(dtype)
    return value if value.__class__ in _NUMBERS or isinstance(value, (Node, Size)) else _of_another_library(value)


def _of_another_library(value: Any) -> Any:
    """An array of another library, whose operators would decide what becomes of it: SciPy's `*` multiplies matrices."""
    if isinstance(value, type):  # a dtype, np.float32: its methods are those of its numbers
        return value
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise DTypeError(
            "a sparse array is no operand",
            expected="an array that holds all of its entries",
            got=f"{type(value).__name__} of shape {getattr(value, 'shape', '?')}",
            where=user_line(),
            try_="x.toarray()",
        )
    if not callable(getattr(value, "__array__", None)):
        return value
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as problem:  # of that library, which says what to do instead
        raise DTypeError(
            "a tensor holds numbers", expected="an array that NumPy can read", got=str(problem), where=user_line()
        ) from None
    return admit(array)


def as_program_has_it(value: Any) -> Any:
    """What becomes a tensor while a program is traced: an array that variables outside hold is one of its inputs.

    So is each in a list of arrays; everything else is the very object that it was.
    """
    b = builder()
    if b is None or not b.around:
        return value
    if type(value) in (list, tuple):
        parts = [as_program_has_it(v) for v in value]
        same = all(map(operator.is_, parts, value)) or any(isinstance(v, Node) for v in value)
        return value if same else parts
    array = value.value if isinstance(value, Node) and value.application is None else value
    return Node.tensor(b.atom(value)) if id(array) in b.around and _is_plain(array) else value


def _is_plain(array: Any) -> bool:
    return (array.__class__ is np.ndarray or isinstance(array, np.generic)) and array.dtype in SUPPORTED


def is_masked_array(value: Any) -> bool:
    """Whether it is one of `numpy.ma`, which is loaded by nobody but those who use it: the name alone would load it."""
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(value, masked.MaskedArray)


def _without_mask(value: np.ma.MaskedArray[Any, Any]) -> Any:
    if np.ma.is_masked(value):
        raise DTypeError(
            "a masked array has entries that are not there",
            expected="an array whose entries are all numbers",
            got=f"{int(np.sum(np.ma.getmaskarray(value)))} masked entries of {value.size}",
            try_="x.filled(0.0), with the mask as a second array, or x.compressed()",
        )
    return np.asarray(value.data)


def _numbers_of_objects(objects: np.ndarray[Any, Any]) -> Any:
    flat = objects.reshape(-1).tolist()
    numbers = np.array(flat) if all(isinstance(v, (bool, int, float, np.number, np.bool_)) for v in flat) else objects
    same = numbers.dtype in SUPPORTED and all(
        a == b or a != a for a, b in zip(flat, numbers.reshape(-1).tolist(), strict=True)
    )
    if not same:
        raise unsupported_error(objects.dtype)
    return numbers.reshape(objects.shape)


_ADVICE = {
    "O": "np.asarray(x, dtype=float), once missing values are filled",
    "c": "x.astype(np.complex128)",
}


_PARTS = "keep real and imaginary part as two arrays: cl.real(x), cl.imag(x)"


def complex_error(dtype: DType, what: str = "this computes with real numbers", try_: str = _PARTS) -> DTypeError:
    """The refusal of complex numbers where only real ones have a meaning."""
    return DTypeError(
        what,
        expected="floats, integers or booleans",
        got=f"dtype {dtype}",
        where=user_line(),
        try_=try_,
    )


def unsupported_error(dtype: DType) -> DTypeError:
    """The refusal of a dtype, with what to do about it."""
    floating = f"x.astype({'np.float32' if dtype.itemsize < 4 else 'np.float64'})" if dtype.kind == "f" else ""
    return DTypeError(
        "a tensor holds numbers",
        expected="floats, integers, booleans or complex numbers",
        got=f"dtype {dtype}",
        try_=_ADVICE.get(dtype.kind, floating or "encode text as integers; lists must not be ragged"),
    )


def checked_dtype(dtype: Any) -> DType:
    """The dtype that is meant, in the processor's byte order; DTypeError for one that no tensor has.

    >>> checked_dtype("float32"), checked_dtype(int)
    (dtype('float32'), dtype('int64'))
    """
    try:
        if dtype is None:  # which NumPy takes for float64
            raise TypeError("None")
        found: DType = np.dtype(dtype).newbyteorder("=")
    except (TypeError, ValueError) as error:
        raise DTypeError(
            "this is no data type",
            expected="a data type of numbers, such as np.float32",
            got=f"{ascii(dtype)[:80]}: {error}"[:200],
            where=user_line(),
        ) from None
    if found not in SUPPORTED:
        raise unsupported_error(found)
    return found


_COMPLEX = frozenset((complex, np.complex128, np.complex64))


def holds_complex(values: Sequence[Any]) -> bool:
    """Whether one of these arrays and numbers is complex."""
    for v in values:  # noqa: SIM110 - asked for at every call, and a generator takes three times as long
        if v.dtype.kind == "c" if type(v) is np.ndarray else type(v) in _COMPLEX:
            return True
    return False


def complex_operands(name: str, types: Sequence[Type]) -> DTypeError:
    """The error for complex operands of an operation that is declared for real ones."""
    return DTypeError(
        f"{name} is not defined for complex numbers",
        expected="real operands",
        got=" and ".join(map(str, types)),
        where=user_line(),
        try_="cl.real(x), cl.imag(x) or cl.abs(x), whichever is meant",
    )


_NUMBERS = (float, int, bool, complex, np.float64, np.float32)


def admit_operands(args: tuple[Any, ...], values: list[Any]) -> tuple[tuple[Any, ...], list[Any]]:
    """Arguments and values of an operation on nodes, those from outside admitted."""
    for k, v in enumerate(values):
        if v.__class__ in _NUMBERS or (v.__class__ is np.ndarray and v.dtype in SUPPORTED) or isinstance(args[k], Node):
            continue
        if _has_a_nodes_dtype(v, args):
            continue  # explanations compute in other precisions too, which no user's tensor has
        admitted = admit(v)
        if isinstance(admitted, type):
            raise DTypeError(
                "a class is no operand",
                expected="numbers, or an array of them",
                got=f"the class {admitted.__name__}",
                where=user_line(),
                try_="cl.astype(x, dtype) for the numbers of x in another dtype",
            )
        if admitted is not v:
            values[k], args = admitted, (*args[:k], admitted, *args[k + 1 :])
    return args, values


def _has_a_nodes_dtype(value: Any, args: Sequence[Any]) -> bool:
    if value.__class__ is not np.ndarray and not isinstance(value, np.generic):  # of a matrix `*` is a product
        return False
    return any(isinstance(a, Node) and type_of(a.value).dtype == value.dtype for a in args)


def keep_operands(args: tuple[Any, ...], values: list[Any]) -> tuple[tuple[Any, ...], list[Any]]:
    """Arguments and values as the tape keeps them: what was recorded is what is differentiated.

    Memory that others may write (an array beside tensors, a tensor that shares it) is copied while it has the values
    that the operation saw.  Memory of tensors' own does not change.
    """
    kept: list[Any] | None = None
    for k, a in enumerate(args):
        v = values[k]
        if v.__class__ is np.ndarray and _is_shared(a, v) and _may_change(v):
            kept = list(args) if kept is None else kept
            values[k] = v.copy()
            kept[k] = values[k] if not isinstance(a, Node) else _rename(Node.tensor(values[k]), a.name)
    return (args if kept is None else tuple(kept)), values


def keep_value(value: Any) -> Any:
    """A value that a tape begins at, in memory that nobody else writes; a node that is tracked is itself."""
    array = value.value if isinstance(value, Node) else value
    if array.__class__ is not np.ndarray or not _is_shared(value, array) or not _may_change(array):
        return value
    copy = array.copy()
    return _rename(Node.tensor(copy), value.name) if isinstance(value, Node) else copy


def _may_change(array: np.ndarray[Any, Any]) -> bool:
    """Whether somebody may write where an array stands: a view that is not written itself has a base that may be."""
    while not array.flags.writeable:
        if not isinstance(array.base, np.ndarray):
            return False
        array = array.base
    return True


def _rename(node: Node, name: str) -> Node:
    node.name = name
    return node


def _is_shared(argument: Any, value: np.ndarray[Any, Any]) -> bool:
    """Whether an operand's memory may be the user's: an array, or a view that an untracked tensor holds."""
    if not isinstance(argument, Node):
        return True
    return argument.application is None and not argument.requires_grad and not value.flags.owndata


def meaningless(name: str, types: Sequence[Type]) -> DTypeError:
    """The error for dtypes on which an operation is not defined, such as a difference of booleans."""
    floating = any(t.dtype.kind == "f" for t in types)
    to_numbers = "x.astype(np.float32) makes 0 and 1 of false and true; cl.logical_not negates them"
    return DTypeError(
        f"{name} has no meaning for {' and '.join(dict.fromkeys(t.dtype.name for t in types))}",
        expected="integers" if floating else "numbers",
        got=" and ".join(map(str, types)),
        where=user_line(),
        try_="x.astype(np.int64)" if floating else to_numbers,
    )
