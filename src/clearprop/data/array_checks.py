"""Arrays as users bring them: turned into plain arrays of numbers with the same values, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.readers.frame_kinds import readable_frame
from clearprop.errors import DataError, ShapeError, user_line
from clearprop.program.operands import is_masked_array
from clearprop.program.values import raw

_FLOATS = (4, 8)
"""The sizes in bytes of floats that can be computed with."""


def is_gap(value: Any) -> bool:
    """Whether it is None, or not equal to itself: NaN, NaT, and the NA of pandas, which has no truth value.

    >>> is_gap(None), is_gap(float("nan")), is_gap(0), is_gap("")
    (True, True, False, False)
    """
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def plain_array(value: Any, name: str, where: str = "") -> NDArray[Any]:
    """An array, list, column or frame of numbers as an array in the machine's byte order; the values stay the same.

    Arguments:
        value: anything that NumPy takes; objects are taken where all of them are numbers or truth values.
        name: what it is called in messages.
        where: the source that it is from; by default the line of the user's code.

    Raises DataError for masked values, text, complex numbers, and floats of 16 or 128 bits.

    >>> plain_array(np.array([1, 2], dtype=">i4"), "y").dtype.isnative
    True

    """
    if is_masked_array(value):
        if np.ma.is_masked(value):
            raise masked_error(value, name, where)
        value = value.data
    try:
        array = np.asarray(raw(value))
    except (TypeError, ValueError, RuntimeError) as problem:  # a ragged list, a tensor of another library
        raise _numbers_error(name, " ".join(str(problem).split())[:120], where) from None
    if array.dtype == object:
        array = _from_objects(array, name, where, column_names(value) is not None)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind not in "fiub" or (kind == "f" and size not in _FLOATS):
        raise _numbers_error(name, f"dtype {array.dtype}", where)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _from_objects(array: NDArray[Any], name: str, where: str, named: bool) -> NDArray[Any]:
    """Objects as numbers, which all of them must be."""
    items = array.ravel().tolist()
    if not items:
        raise _numbers_error(name, "dtype object, and nothing in it", where)
    strange = [place for place, item in enumerate(items) if not isinstance(item, Real)]
    if strange:
        odd, place = items[strange[0]], [int(k) for k in np.unravel_index(strange[0], array.shape)]
        absent = odd is None or type(odd).__name__ in ("NAType", "NaTType")
        got = f"{odd!r} of type {type(odd).__name__} in {name.split()[0]}{place}"
        if absent:
            got = f"{odd!r}, which is a missing value, in {name.split()[0]}{place}; {len(strange)} in all"
        remedy = _AS_A_TABLE if named else _FILLED if absent else _AS_NUMBERS
        raise _numbers_error(name, got, where, remedy)
    plain: NDArray[Any] = np.array(items)
    if plain.dtype == object:
        raise _numbers_error(name, "integers of more than 64 bits", where)
    return plain.reshape(array.shape)


_AS_NUMBERS = "encode text as integers 0, 1, …; .astype(np.float32) for other floats; lists must not be ragged"
_FILLED = "leave those rows out, or fill the gaps in; a data frame with its target in it may have gaps"
_AS_A_TABLE = "cl.fit(frame, target='column'): a frame with its target in it is encoded column by column"


def _numbers_error(name: str, got: str, where: str, remedy: str = _AS_NUMBERS) -> DataError:
    return DataError(
        f"{name} must hold numbers",
        expected="an array of integers, truth values, float32 or float64",
        got=got,
        where=where or user_line(),
        try_=remedy,
    )


def require_unmasked(**arrays: Any) -> None:
    """Raise DataError for an array, by its name, of which some values are masked.

    >>> require_unmasked(X=np.ma.masked_array([1.0]), y=[1])
    """
    for name, value in arrays.items():
        if is_masked_array(value) and np.ma.is_masked(value):
            raise masked_error(value, name, "")


def masked_error(value: np.ma.MaskedArray[Any, Any], name: str, where: str) -> DataError:
    """The error for an array of which some values are masked."""
    number = int(np.ma.getmaskarray(value).sum())
    return DataError(
        f"{name} holds masked values",
        expected="a value in every place",
        got=f"{number} of {value.size} values masked",
        where=where or user_line(),
        try_="leave those rows out, or fill them in: x.filled(x.mean())",
    )


def column_names(value: Any) -> tuple[str, ...] | None:
    """The names of the columns of a frame; None for anything else, and where they are no different texts.

    >>> column_names(np.zeros((2, 3))) is None
    True
    """
    own: Any = "column_names" if hasattr(value, "column_names") else "columns"  # the former are pyarrow's
    names = tuple(getattr(value, own, ()))
    texts = bool(names) and all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    return names if texts else None


def in_columns(value: Any, names: Sequence[str] | None, what: str) -> Any:
    """A frame with its columns in this order; what has no names, or where `names` is None, as it is.

    Raises DataError for a frame of other columns: by position, columns that do not belong would meet.
    """
    value = readable_frame(value)
    own = column_names(value)
    if names is None or own is None or own == tuple(names):
        return value
    if set(own) != set(names):
        raise DataError(
            f"{what} has other columns than the data of the training",
            expected=", ".join(names),
            got=", ".join(own),
            where=user_line(),
            try_="frame[[…]] with these columns, or frame.to_numpy() if only their order counts",
        )
    return value.select(list(names)) if hasattr(value, "column_names") else value[list(names)]


def require_one_index(parts: Iterable[Any], what: str, other_name: str = "y") -> None:
    """Raise DataError if two pandas objects are labelled otherwise: by position, rows that do not belong would meet.

    >>> require_one_index([np.zeros(2), np.zeros(2)], "data")
    """
    indices: list[Any] = [part.index for part in parts if hasattr(getattr(part, "index", None), "equals")]
    for other in indices[1:]:
        if not indices[0].equals(other):
            a, b = (str(index[:3].tolist())[1:-1] for index in (indices[0], other))
            raise DataError(
                f"the rows of x and {other_name} of {what} are labelled otherwise",
                expected="the same index in both, in the same order",
                got=f"x {a}, … and {other_name} {b}, …",
                where=user_line(),
                try_=f"{other_name} = {other_name}.loc[x.index]; or x.to_numpy() and {other_name}.to_numpy(), "
                "where rows belong together by position",
            )


def holds_characters(texts: NDArray[Any]) -> bool:
    """Whether an array of dtype U holds nothing but characters: memory and files may hold any number in their place.

    >>> holds_characters(np.array(["a"])), holds_characters(np.array([0x7FFFFFFF], np.uint32).view("U1"))
    (True, False)
    """
    if not texts.dtype.itemsize:
        return True
    codes = np.array(texts, texts.dtype.newbyteorder("="), order="C").reshape(-1).view(np.uint32)
    return not bool(((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes <= 0xDFFF))).any())


def require_rows(x: Any) -> None:
    """Raise ShapeError for one number, which has no rows."""
    if np.ndim(x) == 0:
        raise ShapeError(
            "one number is no table of rows",
            expected="an array with an axis of rows",
            got="shape ()",
            where=user_line(),
            try_="[[x]] for one row of one number",
        )
