"""What a loaded network is called with: drawn by the declared shapes, or read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column
from clearprop.data.readers.sources import read
from clearprop.data.readers.whole_arrays import ENDINGS, read_whole_arrays
from clearprop.errors import ArgumentError, DataError, nearest, unknown_name, user_line
from clearprop.files.presence import is_file
from clearprop.interop.onnx.reading import MOST_BYTES

T = TypeVar("T")
_OPEN = 2
"""The size that is drawn for an open axis other than the first."""


@dataclass(frozen=True)
class InputType:
    """An input as the file declares it: name, dtype, and sizes, of which open ones have names; None where unsaid."""

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | str, ...] | None

    def __str__(self) -> str:
        shape = "any shape" if self.shape is None else f"({', '.join(map(str, self.shape))})"
        return f"{self.name} {shape}" + ("" if self.dtype is None else f" {self.dtype.name}")


# ------------------------------------------------------------------------------------------------------ drawn
def draw_inputs(inputs: tuple[InputType, ...], rows: int, seed: int) -> dict[str, NDArray[Any]]:
    """Numbers for every input; sizes of one name are one size.  Raises ArgumentError where no shape is declared."""
    rng = np.random.default_rng(seed)
    sizes = {found.shape[0]: rows for found in inputs if found.shape and isinstance(found.shape[0], str)}
    return {found.name: _draw(found, sizes, rng) for found in inputs}


def _draw(found: InputType, sizes: dict[str, int], rng: np.random.Generator) -> NDArray[Any]:
    if found.shape is None or found.dtype is None:
        raise ArgumentError(
            f"no numbers can be drawn for the input {found.name!r}",
            expected="an input with a declared dtype and shape",
            got=str(found),
            where=user_line(),
            try_="numbers of your own: --data FILE, or model(x)",
        )
    shape = [sizes.setdefault(size, _OPEN) if isinstance(size, str) else size for size in found.shape]
    if np.prod(shape, dtype=float) * found.dtype.itemsize > MOST_BYTES:
        raise ArgumentError(
            f"the input {found.name!r} is too large",
            expected=f"at most {MOST_BYTES:,} bytes",
            got=str(found),
            where=user_line(),
        )
    if found.dtype.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(found.dtype)
    drawn = rng.normal(size=shape) if found.dtype.kind == "f" else rng.integers(0, 2, size=shape)
    return drawn.astype(found.dtype)


# ------------------------------------------------------------------------------------------------------- read
def read_inputs(
    inputs: tuple[InputType, ...], path: Path, rows: slice, target: str | None = None
) -> tuple[dict[str, NDArray[Any]], NDArray[Any] | None]:
    """These rows of the inputs as a file holds them, and of the array or column beside them that is the target.

    Raises DataError for a file that does not hold them.
    """
    if not is_file(path):
        raise DataError("the file with the inputs is not there", expected="an NPZ, NPY or CSV file", got=str(path))
    read_parts = _parts_of_arrays if path.suffix.lower() in ENDINGS else _parts_of_table
    found, goal = read_parts(inputs, path, target)
    chosen = {one.name: _rows(one, found[one.name], rows, path) for one in inputs}
    for one in inputs:
        _require_shape(one, chosen[one.name], path)
    goal = goal if goal is None or not goal.ndim else goal[rows]
    return {one.name: _in_dtype(one, chosen[one.name], path) for one in inputs}, goal


Parts = tuple[dict[str, NDArray[Any]], NDArray[Any] | None]


def _parts_of_arrays(inputs: tuple[InputType, ...], path: Path, target: str | None) -> Parts:
    """The inputs and the target as arrays of a file; an array may be both."""
    arrays = read_whole_arrays(path)
    goal = None if target is None else _target(target, arrays, path)
    names = {one.name for one in inputs}
    return _from_arrays(inputs, {name: a for name, a in arrays.items() if name != target or name in names}, path), goal


def _parts_of_table(inputs: tuple[InputType, ...], path: Path, target: str | None) -> Parts:
    """The inputs and the target as columns of a table; the column of the target is no input."""
    columns = {column.name: column for column in read(path).columns}
    goal = None if target is None else _target_numbers(_target(target, columns, path), path)
    return _from_columns(inputs, {name: c for name, c in columns.items() if name != target}, path), goal


def _target(name: str, present: Mapping[str, T], path: Path) -> T:
    """The array or column that holds what should have come out."""
    if name not in present:
        raise unknown_name(f"array or column of {path}", name, present, "--target")
    return present[name]


def _target_numbers(column: Column, path: Path) -> NDArray[Any]:
    """A column as numbers; as whole ones where it holds no others."""
    values = column.values
    if column.kind not in ("number", "boolean"):
        raise DataError(
            f"the column {column.name!r} holds no numbers",
            expected="numbers, or the numbers of classes from 0",
            got=f"a {column.kind} column",
            where=str(path),
            try_="a column with the number of each class, in the order of the model's outputs",
        )
    whole = np.all(values == np.floor(values)) and np.all(np.abs(values) < 2**53)  # NaN is no whole number
    return values.astype(np.int64 if whole else np.float64)


def _from_arrays(inputs: tuple[InputType, ...], arrays: dict[str, NDArray[Any]], path: Path) -> dict[str, NDArray[Any]]:
    if all(one.name in arrays for one in inputs):
        return {one.name: arrays[one.name] for one in inputs}
    if len(inputs) == 1 and (len(arrays) == 1 or "x" in arrays):
        only = arrays["x"] if "x" in arrays else next(iter(arrays.values()))
        return {inputs[0].name: only}
    raise _lacking(inputs, list(arrays), path)


def _from_columns(inputs: tuple[InputType, ...], columns: dict[str, Column], path: Path) -> dict[str, NDArray[Any]]:
    """Inputs of one column each, by their names; or all columns as one input."""
    if all(one.name in columns for one in inputs):
        taken = {one.name: _numbers(columns[one.name], one, path) for one in inputs}
        return {one.name: taken[one.name] if len(one.shape or ()) == 1 else taken[one.name][:, None] for one in inputs}
    if len(inputs) == 1:
        return {inputs[0].name: np.stack([_numbers(column, inputs[0], path) for column in columns.values()], axis=1)}
    raise _lacking(inputs, list(columns), path)


def _numbers(column: Column, one: InputType, path: Path) -> NDArray[Any]:
    """The values of a column in the dtype of the input; integers where it takes integers."""
    dtype = np.dtype(np.float32) if one.dtype is None else one.dtype
    whole = dtype.kind in "iub"
    if column.kind not in ("number", "boolean") or (whole and not np.array_equal(column.values, column.values // 1)):
        raise DataError(
            f"the column {column.name!r} holds no {'whole ' if whole else ''}numbers",
            expected=f"numbers for the input {one}",
            got=f"a {column.kind} column" if column.kind not in ("number", "boolean") else "fractions or gaps",
            where=str(path),
            try_="a file with the columns of the model alone, as numbers",
        )
    return column.values.astype(dtype)


def _rows(one: InputType, array: NDArray[Any], rows: slice, path: Path) -> NDArray[Any]:
    """The chosen rows of an input whose first axis is that of rows: it is open, or made for one row.

    A model that was made for one row takes the first of the first ones.
    """
    first = one.shape[0] if one.shape else None
    if not array.ndim or one.shape == () or (isinstance(first, int) and first != 1):
        return array
    chosen = array[:1] if first == 1 and rows.start == 0 else array[rows]
    if len(array) and not len(chosen):
        raise DataError(
            "the data have no such row",
            expected=f"a row from 0 to {len(array) - 1}",
            got=str(rows.start),
            where=str(path),
        )
    return chosen


def _in_dtype(one: InputType, array: NDArray[Any], path: Path) -> NDArray[Any]:
    """The array in the declared dtype, if that is one of the same kind of numbers."""
    if one.dtype is None or one.dtype == array.dtype:
        return array
    if one.dtype.kind != array.dtype.kind:
        raise DataError(
            f"the input {one.name!r} has another dtype",
            expected=str(one),
            got=array.dtype.name,
            where=str(path),
            try_=f"array.astype({one.dtype.name!r}) before saving; what else is done to pixels belongs there, too",
        )
    return array.astype(one.dtype)


def _require_shape(one: InputType, array: NDArray[Any], path: Path) -> None:
    """Raise DataError for an array of another shape than is declared."""
    if one.shape is None:
        return
    fits = len(one.shape) == array.ndim and all(
        isinstance(size, str) or size == n for size, n in zip(one.shape, array.shape, strict=True)
    )
    if not fits:
        one_at_a_time = len(one.shape) == array.ndim and one.shape[1:] == array.shape[1:] and one.shape[0] == 1
        raise DataError(
            f"the input {one.name!r} has another shape",
            expected=str(one),
            got=f"{array.shape}",
            where=str(path),
            try_="one row of it, --row 0: the model was exported for one at a time" if one_at_a_time else "",
        )


def _lacking(inputs: tuple[InputType, ...], present: list[str], path: Path) -> DataError:
    first = next(one.name for one in inputs if one.name not in present)
    close = nearest(first, present)
    return DataError(
        "the file does not hold the inputs of the model",
        expected=", ".join(map(str, inputs)),
        got=(", ".join(present) or "nothing")[:300],
        where=str(path),
        try_=f"{close!r} may be meant by {first!r}" if close else "numpy.savez(file, **{name: array of each input})",
    )
