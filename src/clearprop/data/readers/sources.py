"""Every kind of source, read into a `Frame`: files of every form, bundled names, arrays, data frames.

Whether a file is read at once or streamed is decided here, by its size and the memory that data may take.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.array_checks import plain_array, require_one_index
from clearprop.data.array_labels import text_labels
from clearprop.data.columns import Column, Frame, RowNumbers, name_list, target_column
from clearprop.data.readers.array_tables import array_column, columns_of
from clearprop.data.readers.arrow_file import read_arrow
from clearprop.data.readers.csv_file import read_csv
from clearprop.data.readers.example_sets import EXAMPLES, read_example
from clearprop.data.readers.formats import (
    ARROW,
    CSV,
    DATA_FILE,
    NPZ,
    PICTURES,
    STREAMED,
    SUFFIXES,
    FileForm,
    form_of,
    forms_text,
    place_of_row,
    require_columns_in_bounds,
)
from clearprop.data.readers.frame_columns import frame_columns, of_one_kind
from clearprop.data.readers.frame_kinds import frame_error, is_frame, known_frame
from clearprop.data.readers.npz_file import lengths_error, read_npz, values_in_npz
from clearprop.data.readers.plain_text import plain_text
from clearprop.data.readers.reading import AS_SHOWN, Reading
from clearprop.data.readers.spirals import spirals
from clearprop.data.readers.typed_tables import TABLE_LIMIT, TABLES, read_typed, typed_table
from clearprop.data.streaming.memory import size_text
from clearprop.errors import ArgumentError, DataError, nearest
from clearprop.files.presence import exists
from clearprop.program.operands import is_masked_array

SHARE_OF_FREE = 0.5
"""Without a limit that was asked for, data may take this share of the memory that is free."""
CSV_SHARE = 10
"""Reading a CSV file at once takes at most about so many times its size; the shorter its cells, the more."""
BYTES_PER_NUMBER = 24
"""Reading an NPZ or an Arrow file takes at most about so many bytes for each of its numbers."""

BUNDLED = ("digits", "iris", "wine", "breast-cancer", "diabetes", "penguins", "spirals")
"""The data sets that need no file: scikit-learn's, penguins (CC0) from this package, and computed spirals."""
ROW_WEIGHT = "sample_weight"
"""What the weights of rows are called that came beside them."""


def read(
    source: Any, as_text: frozenset[str] = frozenset(), target: str | None = None, reading: Reading = AS_SHOWN
) -> Frame:
    """Read any source: a bundled name, a path, `x`, `(x, y)`, a data frame, columns by name, rows by name, a Frame.

    A bundled name wins over a file of that name; `./digits` is the file.  Columns named in `as_text` stay
    text even where they look like numbers.  Of `target`, by default the last column, it is kept how numbers and truth
    values are spelled.  Raises DataError for what cannot be read.
    """
    as_text |= reading.columns.texts
    require_pictures(source, reading.size)
    if isinstance(source, Frame):
        return source
    if isinstance(source, str | Path):
        return read_bundled(str(source)) if str(source) in BUNDLED else _read_file(source, as_text, target, reading)
    if isinstance(source, tuple):
        if len(source) != 2:
            raise _no_source(f"a tuple of {len(source)}")
        return read_arrays(source[0], source[1])
    if isinstance(source, np.ndarray):
        return read_arrays(source, None)
    if isinstance(source, Mapping) or _is_rows(source):
        source = _frame_of_values(source)
    return _read_data_frame(source, target, as_text, reading.spelled)


def _frame_of_values(values: Any) -> Any:
    """A data frame of columns by name, or of rows that each have their values by name; single values are one row."""
    import polars as pl

    if isinstance(values, list):
        odd = next((row for row in values if not isinstance(row, Mapping)), None)
        if odd is not None:
            raise _no_table(f"rows by name, and {type(odd).__name__} among them")
        names = dict.fromkeys(name for row in values for name in row)
        values = {name: [row.get(name) for row in values] for name in names}
    columns = {n: of_one_kind(str(n), v) if isinstance(v, list | tuple) else v for n, v in values.items()}
    try:
        return pl.DataFrame(columns)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as problem:
        raise _no_table(" ".join(str(problem).split())) from None


def _no_table(got: str) -> DataError:
    return DataError(
        "these values are no table",
        expected="columns by name, all of one length and each of one kind, or a list of such rows",
        got=got,
        try_='{"size": [75.0, 90.0], "place": ["town", "sea"]}',
    )


def is_table(source: Any) -> bool:
    """Whether a source has columns with names: a file, a data frame (a lazy one, too), columns or rows by name.

    >>> is_table("houses.csv"), is_table({"size": [1, 2]}), is_table([{"size": 1}]), is_table(np.zeros((2, 2)))
    (True, True, True, False)
    """
    return isinstance(source, str | Path | Mapping | Frame) or _is_rows(source) or is_frame(source)


def _is_rows(source: Any) -> bool:
    """Whether these are rows that each have their values by name."""
    return isinstance(source, list) and bool(source) and isinstance(source[0], Mapping)


def _no_source(got: str) -> DataError:
    return DataError(
        "this is no data source",
        expected="a path, a bundled name, an array x, a pair (x, y), a data frame or columns by name",
        got=got,
        try_="(x, y) with one row of x for every y",
    )


def free_memory() -> int:
    """Bytes of memory that a process can take without pushing others out, within the limit of its control group."""
    free = _proc_available() or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return min(free, max(int(limit) - int(used), 0))
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return free


def _proc_available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("MemAvailable:")), None)
    return None if found is None else int(found.split()[1]) * 1024


def default_memory() -> int:
    """The bytes that data may take where nothing was asked for."""
    return int(SHARE_OF_FREE * free_memory())


def require_pictures(source: Any, size: str | None) -> None:
    """Raise ArgumentError for a size of pictures beside a source that holds none."""
    if size is None or holds_files_of_pictures(source):
        return
    raise ArgumentError(
        "--size is for pictures, PNG or JPEG",
        expected="a folder of pictures, or data without --size",
        got=f"--size {size}, and {source if isinstance(source, str | Path) else 'values in memory'}",
        where="--size",
        try_="no --size: rows and arrays stay as they are",
    )


def holds_files_of_pictures(source: Any) -> bool:
    """Whether a source is a picture in a file, or a folder of them."""
    if not isinstance(source, str | Path) or str(source) in BUNDLED:
        return False
    return file_form(Path(source), str(source)) is PICTURES


def needs_streaming(source: Any, memory: int, reading: Reading = AS_SHOWN) -> bool:
    """Whether a source is a file that takes more than `memory` bytes when it is read at once, and can be streamed.

    Raises DataError for a file that takes more and cannot be streamed, as none can whose rows are steps of sequences.
    """
    if not _is_larger(source, memory, reading):
        return False
    if reading.columns.sequence is not None:
        raise DataError(
            "a table of sequences is not streamed: the rows of one may stand anywhere in it",
            expected=f"a table that fits into memory, which data may take {size_text(memory)} of",
            got=f"{source}, which takes more",
            where=f"--sequence {':'.join(reading.columns.sequence)}",
            try_="more --memory, or fewer rows or columns: --only",
        )
    return True


def _is_larger(source: Any, memory: int, reading: Reading) -> bool:
    require_pictures(source, reading.size)
    if not isinstance(source, str | Path) or str(source) in BUNDLED:
        return False
    path = Path(source)
    form = file_form(path, str(source))
    if form is CSV:
        return CSV_SHARE * plain_text(path, str(source), reading.encoding).path.stat().st_size > memory
    if form in TABLES:
        table = typed_table(path, str(source))
        values = table.rows * len(table.names)
        return table.bytes_per_value * values > memory or 8 * values > TABLE_LIMIT
    if form is PICTURES:
        values = _picture_files().values_in_pictures(path, str(source), reading.picture_size)
    else:
        values = values_in_npz(path, str(source)) if form is NPZ else path.stat().st_size // 8
    if BYTES_PER_NUMBER * values > memory:
        raise DataError(
            f"{str(source)!r} does not fit into the memory that data may take",
            expected=f"at most {size_text(memory)}; {forms_text('and', STREAMED)} files may be larger",
            got=f"{values:,} numbers, which take {size_text(BYTES_PER_NUMBER * values)}",
            where=f"--memory, {source}",
            try_="more --memory, or "
            + ("smaller pictures: --size 32x32" if form is PICTURES else "the same table as a Parquet file"),
        )
    return False


def _read_file(given: str | Path, as_text: frozenset[str], target: str | None, reading: Reading) -> Frame:
    path, source = Path(given), str(given)
    form = file_form(path, source)
    if form is CSV:
        return read_csv(path, source, as_text, target, reading)
    if form in TABLES:
        return read_typed(path, source, target, as_text, reading.spelled)
    if form is ARROW:
        table, notes = read_arrow(path, source)
        return replace(_read_data_frame(table, target, as_text, reading.spelled, source), notes=notes)
    if form is PICTURES:
        return _read_pictures(path, source, reading)
    arrays = read_npz(path, source)
    if "x" in arrays or "x_train" in arrays:
        return _read_npz(arrays, source)
    return _read_columns(columns_of(arrays, source), target, as_text, reading.spelled, source)


def _picture_files() -> Any:
    from clearprop.data.readers import picture_files  # start-up time: few data are pictures

    return picture_files


def _read_pictures(path: Path, source: str, reading: Reading) -> Frame:
    found = _picture_files().read_pictures(path, source, reading.picture_size, reading.pictures)
    pixels = read_arrays(found.values, None, source)

    def place(column: str, row: int) -> str:
        return found.files[row] if path.is_file() else f"{source.rstrip('/')}/{found.files[row]}"

    return replace(
        pixels,
        columns=(*pixels.columns, *found.columns),
        place=place,
        target=None if found.classes is None else "class",
        notes=found.notes,
        test_rows=found.test_rows,
        pictures=found.form,
    )


def _read_columns(
    arrays: dict[str, NDArray[Any]], target: str | None, as_text: frozenset[str], spelled: frozenset[str], source: str
) -> Frame:
    goal = [*arrays][-1] if target is None else target
    columns = tuple(array_column(n, a, n == goal, n in as_text, n in spelled) for n, a in arrays.items())
    return Frame(source, columns, partial(place_of_row, source))


def file_form(path: Path, source: str) -> FileForm:
    """The form of a file: see `formats.form_of`.  Raises DataError for what is not there or cannot be read."""
    if not exists(path):
        raise _no_file(path, source)
    return form_of(path, source)


def _no_file(path: Path, source: str) -> DataError:
    folder = path.parent
    known = [*BUNDLED]
    with suppress(OSError):
        known += sorted(str(f) for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    by_stem = {Path(name).stem: name for name in reversed(known)}  # that files end alike makes none like another
    close = by_stem.get(nearest(path.stem, by_stem), "")
    return DataError(
        f"no file and no bundled data set named {source!r}",
        expected=f"{DATA_FILE}, or one of: " + ", ".join(BUNDLED),
        got=repr(source),
        try_=f"{close!r}, the nearest name" if close else "check the path, or use one of the names above",
    )


def read_bundled(name: str) -> Frame:
    """One of the `BUNDLED` data sets.  Classes carry their names; digits are 64 pixels of one scale."""
    if name == "penguins":
        path = Path(__file__).parents[1] / "datasets" / "penguins.csv"
        frame = read_csv(path, "penguins")
        return Frame("penguins", frame.columns, frame.place, target="species")
    if name == "spirals":
        return spirals()
    x, y, classes = read_example(name)
    columns = _feature_columns(x, list(EXAMPLES[name].columns), shared=name == "digits")
    target = Column("target", "number", y)
    if classes:
        target = Column("target", "category", np.array(classes, dtype=object)[y.astype(int)])
    return Frame(name, (*columns, target), partial(place_of_row, name), target="target", is_array=name == "digits")


def read_arrays(x: Any, y: Any, source: str = "arrays", test_rows: RowNumbers | None = None) -> Frame:
    """Arrays `x` of shape `(rows, …)` and, if not None, `y` of shape `(rows,)` or `(rows, 1)`.

    Everything after the first axis of x is flattened into columns `x[i]` or `x[i, j, …]`; uint8 is scaled
    to 0..1.  NaN in x is a missing value, NaN in y is a mistake.
    """
    require_one_index((x, y), source)
    x = _with_gaps(x, "" if source == "arrays" else source)
    if x.ndim < 2 or x.dtype.kind not in "buif" or 0 in x.shape:
        raise DataError(
            "x cannot be used as features",
            expected="numbers of shape (rows, features), or images (rows, height, width, …)",
            got=f"dtype {x.dtype} and shape {x.shape}",
            where=source,
            try_="x[:, None] for one feature" if x.ndim == 1 else "real numbers, at least one row and feature",
        )
    require_columns_in_bounds(prod(x.shape[1:]), source)
    inner = list(product(*(range(size) for size in x.shape[1:])))
    names = [f"x[{', '.join(map(str, index))}]" for index in inner]
    columns = _feature_columns(x.reshape(len(x), -1), names, shared=x.ndim > 2 or x.dtype == np.uint8)
    place = partial(place_of_row, source)
    if y is None:
        return Frame(source, columns, place, is_array=True)
    target = _target_column(y, len(x), source)
    return Frame(source, (*columns, target), place, target="y", test_rows=test_rows, is_array=True)


def read_rows(x: Any, y: NDArray[Any], target: str | Sequence[str], weight: NDArray[Any] | None = None) -> Frame:
    """Rows of a frame or an array with their targets beside them, `(rows,)`, and the weights of rows if there are some.

    Several targets are `(rows, targets)`, with as many names; the frame's own target is the first of them.  The target
    is called `target` and the weights, which come last, `ROW_WEIGHT`; where a column has that name already,
    `_` follows it.  Rows that weigh nothing are left out.

    >>> frame = read_rows({"size": [1.0, 2.0], "y": ["a", "b"]}, np.array([3, 4]), "y")
    >>> frame.names, frame.target
    (('size', 'y', 'y_'), 'y_')
    """
    features = read(x, target="")
    columns = list(features.columns)
    names = (target,) if isinstance(target, str) else target
    for told, values in zip(names, (y,) if y.ndim == 1 else y.T, strict=True):
        own = _free_name(told, [column.name for column in columns])
        columns.append(replace(_target_column(values, features.rows, features.source), name=own))
    name = columns[len(features.columns)].name
    if weight is None:
        return replace(features, columns=tuple(columns), target=name)
    last = _free_name(ROW_WEIGHT, [column.name for column in columns])
    columns.append(Column(last, "number", weight.astype(np.float64)))
    kept = np.flatnonzero(weight)
    return replace(
        features,
        columns=tuple(column.take(kept) for column in columns),
        place=lambda column, row: features.place(column, int(kept[row])),
        target=name,
    )


def _free_name(name: str, taken: Sequence[str]) -> str:
    return _free_name(f"{name}_", taken) if name in taken else name


def _feature_columns(x: NDArray[Any], names: list[str], shared: bool) -> tuple[Column, ...]:
    """One column per feature of `x`, `(rows, features)`; stored so that each column is contiguous."""
    if x.dtype == np.uint8:
        x = x.astype(np.float32) / np.float32(255)
    elif x.dtype.kind != "f" or x.dtype.itemsize < 4:
        x = x.astype(np.float64)
    x = np.array(x, order="F")
    return tuple(Column(name, "number", x[:, i], shared) for i, name in enumerate(names))


def _with_gaps(x: Any, where: str) -> NDArray[Any]:
    """Features as a plain array; what is masked is missing."""
    if is_masked_array(x) and x.dtype.kind in "biuf":
        return np.asarray(np.ma.filled(x.astype(np.float64), np.nan)) if np.ma.is_masked(x) else x.data
    return plain_array(x, "x", where)


def _target_column(value: Any, rows: int, source: str) -> Column:
    where = "" if source == "arrays" else source
    y = text_labels(value, "y", where)
    y = plain_array(value, "y", where) if y is None else y
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            "y cannot be used as a target",
            expected="one number or text per row: shape (rows,)",
            got=f"dtype {y.dtype} and shape {y.shape}",
            where=source,
            try_="y.argmax(axis=1) if y is one-hot" if y.ndim == 2 else "np.array(y.tolist())",
        )
    if len(y) != rows:
        raise DataError(
            "x and y differ in length",
            expected=f"{rows} values in y, one for each row of x",
            got=f"{len(y)}",
            where=source,
            try_="check that both come from the same rows",
        )
    unknown = np.isnan(y) if y.dtype.kind == "f" else np.zeros(0, dtype=bool)
    if unknown.any():
        raise DataError(
            "y holds NaN",
            expected="a class or a number in every row",
            got=f"NaN in {int(unknown.sum())} of {rows} rows",
            where=place_of_row(source, "y", int(np.argmax(unknown))),
            try_="leave those rows out: keep = ~np.isnan(y); x[keep], y[keep]",
        )
    return target_column(y)


def _read_npz(arrays: dict[str, NDArray[Any]], source: str) -> Frame:
    if "x" in arrays:
        if "lengths" in arrays and arrays["x"].ndim != 3:
            raise lengths_error(f"x of shape {arrays['x'].shape}", source)
        if "lengths" in arrays:
            from clearprop.data.readers.sequence_arrays import read_sequences  # start-up time: few data are sequences

            return read_sequences(
                arrays["x"], arrays["lengths"], source, lambda x: read_arrays(x, arrays.get("y"), source)
            )
        return read_arrays(arrays["x"], arrays.get("y"), source)
    x, y = arrays["x_train"], arrays.get("y_train")
    if "x_test" not in arrays:
        return read_arrays(x, y, source)
    x_test, y_test = arrays["x_test"], arrays["y_test"]
    if y is None or x.shape[1:] != x_test.shape[1:] or x.dtype != x_test.dtype or len(x_test) != len(y_test):
        shapes = [f"{name} {array.shape} {array.dtype}" for name, array in arrays.items()]
        raise DataError(
            f"the training and test arrays of {source!r} do not fit together",
            expected="x_train and x_test alike but for the rows, and a y for each",
            got=name_list(shapes),
            where=source,
            try_="write both parts from the same array",
        )
    first = len(_checked_length(x, y, source))
    test_rows = np.arange(first, first + len(x_test))
    return read_arrays(np.concatenate([x, x_test]), np.concatenate([y, y_test]), source, test_rows)


def _checked_length(x: NDArray[Any], y: NDArray[Any], source: str) -> NDArray[Any]:
    if x.ndim and y.ndim and len(x) != len(y):
        _target_column(y, len(x), source)
    return x


def _read_data_frame(
    data: Any,
    target: str | None,
    as_text: frozenset[str],
    spelled: frozenset[str],
    source: str = "data frame",
) -> Frame:
    import narwhals as nw

    try:
        found = nw.from_native(known_frame(data))
        frame = found.collect() if isinstance(found, nw.LazyFrame) else found
    except TypeError:
        raise _no_source(f"an object of type {type(data).__name__}") from None
    except DataError:
        raise
    except ValueError as problem:
        raise frame_error(problem) from None
    if frame.shape[0] == 0 or frame.shape[1] == 0:
        raise DataError(
            "the data frame is empty",
            expected="at least one row and one column",
            got=f"shape {frame.shape}",
            try_="check the filter or the query that made it",
        )
    require_columns_in_bounds(frame.shape[1], source)
    goal = frame.columns[-1] if target is None else target
    return Frame(source, frame_columns(frame, goal, as_text, spelled), partial(place_of_row, source))
