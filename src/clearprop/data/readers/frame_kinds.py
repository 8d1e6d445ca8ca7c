"""Data frames of every kind: which objects are one, and answers in the kind that the question came in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from clearprop.errors import DataError, require_flag

_ARROW, _INTERCHANGE = "__arrow_c_stream__", "__dataframe__"
"""The methods by which a table is handed out: Arrow's PyCapsule interface, and the DataFrame interchange protocol."""


def is_frame(value: Any) -> bool:
    """Whether an object is a table with columns by name, of any library.

    >>> import polars as pl
    >>> is_frame(pl.DataFrame({"a": [1]})), is_frame(pl.Series([1])), is_frame([[1, 2]])
    (True, False, False)
    """
    kind = type(value)  # the type is asked: the columns of a lazy frame are found out by reading it
    if hasattr(kind, "columns") or hasattr(kind, _INTERCHANGE):
        return True
    return hasattr(kind, _ARROW) and not hasattr(kind, "__array__")  # what is an array, too, is a single column


def known_frame(value: Any) -> Any:
    """A frame as narwhals knows it: as it is, or one of polars by way of Arrow, or a table by the interchange protocol.

    What is no frame comes back as it is.  Raises TypeError for a stream of anything but columns.
    """
    if not is_frame(value) or _is_known(value):
        return value
    # start-up time: the frames of most libraries do without
    if hasattr(type(value), _ARROW):
        import polars as pl

        try:
            return pl.DataFrame(value)
        except (TypeError, pl.exceptions.PolarsError) as problem:
            raise TypeError(str(problem)) from None
    from pyarrow.interchange import from_dataframe

    return from_dataframe(value)


def readable_frame(value: Any) -> Any:
    """What NumPy can read as it is, and frames that it cannot by way of `known_frame`."""
    return known_frame(value) if is_frame(value) and not hasattr(type(value), "__array__") else value


def _is_known(value: Any) -> bool:
    """Whether narwhals knows a kind of frame."""
    import narwhals as nw  # start-up time: arrays do without

    try:
        return nw.from_native(value, pass_through=True) is not value
    except ValueError as problem:  # two columns of one name
        raise frame_error(problem) from None


def frame_error(problem: ValueError) -> DataError:
    """The refusal of a frame that narwhals does not read."""
    return DataError(
        "the data frame cannot be read",
        expected="a name of its own for every column",
        got=" ".join(str(problem).split()),
        try_="rename the columns",
    )


def in_kind_of(
    given: Any, values: NDArray[Any], name: str, columns: Sequence[str] = (), *, as_given: bool = True
) -> Any:
    """One value a row, `(rows,)`, as a column `name` of the kind of frame that was given, under the index of pandas.

    Several a row, `(rows, columns)`, are a frame of these columns; without names they are `name[0]`, `name[1]`, ….
    Answers to what is no frame come back as they are, and so do all without `as_given`.  A kind that narwhals does not
    know is answered in polars.

    >>> import numpy as np
    >>> import polars as pl
    >>> in_kind_of(pl.DataFrame({"a": [1, 2]}), np.array([0.5, 1.5]), "price").to_list()
    [0.5, 1.5]
    """
    if not require_flag("predict", "as_given", as_given) or not is_frame(given):
        return values
    import narwhals as nw  # start-up time: arrays do without

    backend: Any = nw.from_native(given).implementation if _is_known(given) else "polars"
    if values.ndim == 1:
        answer = nw.new_series(name, _as_items(values), backend=backend).to_native()
    else:
        names = columns or [f"{name}[{j}]" for j in range(values.shape[1])]
        found = {n: _as_items(values[:, j]) for j, n in enumerate(names)}
        answer = nw.from_dict(found, backend=backend).to_native()
    if hasattr(answer, "index") and hasattr(given, "index"):
        answer.index = given.index
    return answer


def _as_items(values: NDArray[Any]) -> Any:
    """Text as Python's, which every library takes for text; numbers as they are."""
    return values.tolist() if values.dtype.kind in "OUST" else values
