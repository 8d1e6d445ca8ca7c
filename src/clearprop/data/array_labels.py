"""Labels that come as an array: read as text or numbers, learned as classes, and given back as they came."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clearprop.data.array_checks import holds_characters, is_gap, masked_error
from clearprop.data.columns import quantity, target_column
from clearprop.data.encodings import ClassTarget, fit_classes
from clearprop.errors import DataError, user_line
from clearprop.program.operands import is_masked_array
from clearprop.program.values import raw

LabelType = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    "str", "bytes", "object", "string",
]  # fmt: skip
"""The dtypes of labels by name; text is str, bytes (UTF-8), objects, or NumPy's strings of variable length."""
_TEXT: dict[str, LabelType] = {"U": "str", "S": "bytes", "O": "object", "T": "string"}


@dataclass(frozen=True)
class ArrayLabels:
    """The classes of labels in an array, and the dtype in which predictions give them back.

    `counted`: the labels are learned as they are, because they count the outputs of the network from 0.

    >>> labels = ArrayLabels.of(np.array([7, 9, 7], np.uint8))
    >>> labels.encode(np.array([9, 7]), "y").tolist(), labels.decode(np.array([1, 0]))
    ([1, 0], array([9, 7], dtype=uint8))
    """

    target: ClassTarget
    dtype: LabelType
    counted: bool = False

    @classmethod
    def of(cls, y: NDArray[Any]) -> ArrayLabels:
        """Every value of y is a class, however it is written."""
        column = target_column(np.unique(y))
        values = column.values if column.spelling is None else column.spelling
        target = fit_classes("y", column.kind, Counter(values.tolist()))
        return cls(target, _type_name(y))

    @classmethod
    def counting(cls, outputs: int, y: NDArray[Any]) -> ArrayLabels:
        """Labels that count the outputs of a network, a single one of which tells 0 from 1."""
        classes = max(outputs, 2)
        names = ("false", "true") if y.dtype.kind == "b" and classes == 2 else tuple(map(str, range(classes)))
        return cls(ClassTarget("y", "boolean" if names[0] == "false" else "integer", names), _type_name(y), True)

    @functools.cached_property
    def values(self) -> NDArray[Any]:
        """The classes in the dtype that they came in, or in a wider one, where it cannot hold the last of them."""
        own = self.target.labels
        if self.dtype in _TEXT.values():
            names = np.array(self.target.classes, dtype=object)
            return names if self.dtype == "object" else _as_text(names, self.dtype)
        cast = own.astype(self.dtype)
        return cast if (cast == own).all() else own

    def encode(self, y: NDArray[Any], what: str) -> NDArray[Any]:
        """What is learned of labels `(rows,)` or `(rows, 1)`: the place of every class, or the labels as they are.

        Raises DataError for a class that training did not have.
        """
        if self.counted and y.dtype.kind in "biuf":
            return y
        distinct, first, places = np.unique(y.reshape(-1), return_index=True, return_inverse=True)
        codes = self.target.encode(target_column(distinct), lambda _, row: f"{what}, row {first[row]}")
        found: NDArray[np.int64] = codes[places.reshape(-1)]
        return found

    def decode(self, codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """The labels of classes by their places, any shape."""
        return np.asarray(self.values[codes])


def _as_text(names: NDArray[Any], dtype: str) -> NDArray[Any]:
    if dtype == "string":
        return names.astype(np.dtypes.StringDType())
    text = names.astype(str)
    return np.char.encode(text, "utf-8") if dtype == "bytes" else text


def _type_name(y: NDArray[Any]) -> LabelType:
    return _TEXT.get(y.dtype.kind) or y.dtype.name  # type: ignore[return-value]  # numbers are checked at the door


def text_labels(value: Any, name: str, where: str = "") -> NDArray[Any] | None:
    """Labels that are text, as an array of text; None for anything else.

    Raises DataError for text beside something else, gaps, and text that cannot be written down.

    >>> text_labels(["a", "b"], "y"), text_labels([0, 1], "y")
    (array(['a', 'b'], dtype='<U1'), None)
    """
    try:
        array = np.asarray(raw(value))
    except (TypeError, ValueError, RuntimeError):  # what is wrong is said where numbers are read
        return None
    if array.dtype.kind not in _TEXT or not array.size:
        return None
    array = _as_given(value, array)
    if array.dtype.kind == "O" and not any(isinstance(item, str) for item in array.flat):
        return None
    if is_masked_array(value) and np.ma.is_masked(value):
        raise masked_error(value, name, where)
    if array.ndim == 0 or array.size != len(array):
        raise _text_error(name, "one label in every row: shape (rows,)", f"text of shape {array.shape}", where)
    require_one_kind(array, name, where)
    _require_writable(array, name, where)
    return array


def require_one_kind(labels: Any, name: str, where: str = "") -> None:
    """Raise DataError for labels of which some are text and others, numbers or gaps, are not.

    >>> require_one_kind(["a", "b"], "y"), require_one_kind([0, 1], "y")
    (None, None)
    """
    try:
        array = _as_given(labels, np.asarray(labels))
    except ValueError:
        got, advice = "rows of several lengths", "as many numbers or words in each row"
        raise _text_error(name, "rows of one length, such as one label in each", got, where, advice) from None
    odd = [item for item in array.flat if not isinstance(item, str)] if array.dtype.kind == "O" else []
    if odd and len(odd) < array.size:
        got = f"{odd[0]!r} beside text; {quantity(len(odd), 'row')} without text"
        advice = _GAPS if is_gap(odd[0]) else "labels of one kind, such as [str(label) for label in y]"
        raise _text_error(name, "text in every row, or numbers in every row", got, where, advice)


def _as_given(value: Any, array: NDArray[Any]) -> NDArray[Any]:
    """The items of a list that are not all text, nor all bytes: NumPy would write numbers and gaps among text out."""
    if not isinstance(value, list | tuple) or array.dtype.kind not in "SU":
        return array
    items = np.asarray(value, dtype=object)
    return array if any(all(isinstance(item, kind) for item in items.flat) for kind in (str, bytes)) else items


_GAPS = "leave those rows out, or name what is missing: 'unknown'"


def _require_writable(array: NDArray[Any], name: str, where: str) -> None:
    """Raise DataError for text that no file can hold."""
    if array.dtype.kind == "U" and not holds_characters(array):
        raise _text_error(name, "text that UTF-8 can write", "numbers that are no characters", where)
    for item in set(array.reshape(-1).tolist()):
        try:
            item.decode() if isinstance(item, bytes) else item.encode()
        except UnicodeError:
            raise _text_error(name, "text that UTF-8 can write", repr(item)[:60], where) from None


def _text_error(name: str, expected: str, got: str, where: str, advice: str = _GAPS) -> DataError:
    return DataError(
        f"{name} cannot be used as labels",
        expected=expected,
        got=got,
        where=where or user_line(),
        try_=advice,
    )
