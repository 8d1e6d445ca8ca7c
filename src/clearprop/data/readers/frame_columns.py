"""The columns of a data frame, of any library that narwhals knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.array_checks import is_gap
from clearprop.data.columns import Column, ColumnKind, TableColumns, blank_column, same
from clearprop.data.kinds.times import ticks_as_seconds
from clearprop.data.readers.number_marks import DURATION
from clearprop.errors import DataError


def frame_columns(frame: Any, target: str, as_text: frozenset[str], spelled: frozenset[str]) -> TableColumns:
    """The columns of a frame as narwhals knows it.

    Those of numbers are read from it anew whenever they are asked for, and mostly are a view of it.  Of the target, and
    of columns that are `spelled`, it is kept how whole numbers are written; `as_text` are those that are texts.
    """
    makers, names = [], []
    for series in frame.iter_columns():
        name = str(series.name)
        names.append(name)
        if series.dtype.is_numeric() and name not in (target, *spelled):
            makers.append(partial(_number_column, series, name))
        else:
            column = _frame_column(series, name == target, name in as_text, name in spelled)
            makers.append(partial(same, column))
    return TableColumns(names, makers, frame.shape[0])


def _number_column(series: Any, name: str) -> Column:
    return Column(name, "number", _numbers_in(series))


def _numbers_in(series: Any) -> NDArray[np.float64]:
    """Numbers or truth values as floats, NaN where one is missing: a view of the series where it can be."""
    values = series.to_numpy()
    if values.dtype.kind == "f" or (values.dtype.kind in "biu" and not series.null_count()):
        return np.asarray(values, dtype=np.float64)
    return _floats(_items(series))


def _items(series: Any) -> list[Any]:
    """The values, None where one is missing."""
    pairs = zip(series.to_list(), series.is_null().to_list(), strict=True)
    return [None if absent else value for value, absent in pairs]


def _floats(values: list[Any]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)


def _frame_column(series: Any, target: bool, as_text: bool, spelled: bool) -> Column:
    """A column of a frame; with the spelling of its whole numbers, if it is the target or `spelled`."""
    import narwhals as nw

    name, dtype = str(series.name), series.dtype
    if dtype == nw.Unknown and series.null_count() == len(series):  # a column of nothing but gaps has no type
        return blank_column(name, len(series))
    kind = _kind_of_series(series)
    if kind == "category" and dtype in (nw.Date, nw.Datetime) and not (target or as_text):
        zoned = getattr(dtype, "time_zone", None) is not None
        return Column(name, "time", _frame_times(series), zoned=zoned)
    if dtype == nw.Duration and not as_text:
        return Column(name, "number", _ticks_in_seconds(series.dt.total_microseconds()), marks=frozenset([DURATION]))
    if kind == "category" and dtype not in (nw.String, nw.Object):
        series = series.cast(nw.String)
    if kind != "category" and (kind == "boolean" or dtype.is_float()) and series.null_count() < len(series):
        return Column(name, kind, _numbers_in(series))  # floats and truth values have one spelling alone
    if dtype.is_integer() and not series.null_count() and (whole := series.to_numpy()).dtype.kind in "iu":
        spelling = _whole_spelling(whole) if target or spelled else None
        return Column(name, kind, whole.astype(np.float64), spelling=spelling)
    values = _items(series)
    if dtype == nw.Object:  # only the values say what it is
        kind = _kind_of_values(name, values)
    if kind == "category":
        return Column(name, kind, np.array([None if value is None else str(value) for value in values], dtype=object))
    return Column(
        name, kind, _floats(values), spelling=_spelling(values) if (target or spelled) and kind == "number" else None
    )


def _frame_times(series: Any) -> NDArray[np.float64]:
    """Dates and times as seconds since 1970, to the microsecond; NaN where one is missing."""
    import narwhals as nw

    return _ticks_in_seconds(
        series.cast(nw.Datetime("us") if series.dtype == nw.Date else series.dtype).dt.timestamp("us")
    )


def _ticks_in_seconds(ticks: Any) -> NDArray[np.float64]:
    """Microseconds as seconds, NaN where none are."""
    return ticks_as_seconds([None if tick is None or tick != tick else int(tick) for tick in _items(ticks)])


def _kind_of_series(series: Any) -> ColumnKind:
    """What the type of a column says that it is; text where it leaves that to the values."""
    import narwhals as nw

    dtype = series.dtype
    if dtype.is_numeric() or dtype == nw.Boolean:
        return "boolean" if dtype == nw.Boolean else "number"
    if dtype.is_temporal() or dtype in (nw.Categorical, nw.Enum, nw.String, nw.Object):
        return "category"
    raise _strange_column(str(series.name), f"a column of type {dtype}")


def _whole_spelling(values: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers as text, which keeps those apart that floats do not."""
    distinct, codes = np.unique(values, return_inverse=True)
    return np.array([str(value) for value in distinct.tolist()], dtype=object)[codes]


def _spelling(values: list[Any]) -> NDArray[Any] | None:
    """Whole numbers as text, which keeps those apart that floats do not; None where there are others."""
    if not all(isinstance(value, Integral) for value in values if value is not None):
        return None
    return np.array([None if value is None else str(int(value)) for value in values], dtype=object)


def _kind_of_values(name: str, values: list[Any]) -> ColumnKind:
    """What objects are, which must all be of one kind: libraries keep truth values with gaps, and more, as objects."""
    found: dict[ColumnKind, Any] = {}
    for value in values:
        if value is None:
            continue
        kind = next((kind for types, kind in _TYPES.items() if isinstance(value, types)), None)
        if kind is None:
            raise _strange_column(name, f"{value!r} of type {type(value).__name__}")
        found.setdefault(kind, value)
    if len(found) > 1:
        raise _strange_column(name, " and ".join(f"{v!r} of type {type(v).__name__}" for v in found.values()))
    return next(iter(found), "category")


def of_one_kind(name: str, values: Sequence[Any]) -> list[Any]:
    """Values of a column that come in a list: NaN among text is a gap, numbers are whole or all floats.

    Raises DataError for values of several kinds, which a data frame would write out as text.

    >>> of_one_kind("a", [1, 2.5]), of_one_kind("a", ["x", float("nan")])
    ([1.0, 2.5], ['x', None])
    """
    kinds = {type(value) for value in values if not is_gap(value)}
    if len(kinds) < 2 and all(issubclass(kind, Real) for kind in kinds):
        return list(values)
    items = [None if is_gap(value) else value for value in values]
    if len(kinds) < 2 or _kind_of_values(name, items) != "number":
        return items
    return _numbers_of(items, int if all(issubclass(kind, Integral) for kind in kinds) else float)


def _numbers_of(items: Sequence[Any], cast: Callable[[Any], Any]) -> list[Any]:
    return [None if item is None else cast(item) for item in items]


_TYPES: dict[tuple[type, ...], ColumnKind] = {
    (bool, np.bool_): "boolean",
    (Real, Decimal): "number",
    (str, date): "category",
}


def _strange_column(name: str, got: str) -> DataError:
    return DataError(
        f"column {name!r} cannot be used",
        expected="numbers, truth values, dates or text, one of these in all rows",
        got=got,
        where=f"data frame, column {name!r}",
        try_="turn it into numbers or text, or drop it",
    )
