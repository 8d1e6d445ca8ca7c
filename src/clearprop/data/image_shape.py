"""The axes of images whose pixels are the columns of a table, and of sequences that lie flat in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from clearprop.data.columns import Column, names_of, quantity
from clearprop.errors import DataError

_PLACE = re.compile(r"(\D*)(\d+(?:\D+\d+){0,3})\D*")
"""A name that ends in the place of a pixel: `x[3, 5]`, `x[3, 5, 0]`, `pixel_3_5`."""
_STEP = re.compile(r"(.*)\[(\d+)\]", re.DOTALL)
"""A name that ends in the number of a step."""
MASK = "there"
"""What is called so says which steps of a sequence are there."""
THERE = f"{MASK}["
"""So begin the names of columns that say whether a step of a sequence is there."""
CHANNELS = 4
"""Images have so many channels at most: grey values, or colours with transparency."""


def image_shape(columns: Sequence[str], source: str) -> tuple[int, int, int]:
    """Height, width and channels of the images whose pixels are these columns, which say their places.

    Raises DataError for columns that are no images, or where the channels come first.

    >>> image_shape(["x[0, 0]", "x[0, 1]", "x[0, 2]", "x[1, 0]", "x[1, 1]", "x[1, 2]"], "x.npz")
    (2, 3, 1)
    """
    shape = _grid(columns)
    if len(shape) == 3 and shape[0] <= CHANNELS < shape[2]:
        raise DataError(
            "the channels of these images come first",
            expected="images (rows, height, width, channels)",
            got=f"(rows, {', '.join(map(str, shape))})",
            where=source,
            try_="numpy.savez(file, x=numpy.moveaxis(x, 1, -1), y=y)",
        )
    if len(shape) not in (2, 3):
        raise DataError(
            "these data are no images",
            expected="x of shape (rows, height, width) or (rows, height, width, channels) in an NPZ file, or a folder "
            "of pictures",
            got=_list_of(columns),
            where=source,
            try_="--model mlp, or numpy.savez(file, x=x.reshape(-1, 28, 28), y=y)",
        )
    height, width, channels = (*shape, 1)[:3]
    return height, width, channels


class SequenceShape(NamedTuple):
    """Steps, features of a step, whether columns say which steps are there, and whether each feature is standardised.

    Features are where each is a column of a table; in an array all have one scale.
    """

    steps: int
    features: int
    masked: bool
    standardised: bool = False


def sequence_shape(columns: Sequence[str], source: str) -> SequenceShape:
    """The shape of sequences that lie flat in these columns.

    Raises DataError for columns that are no sequences.

    >>> sequence_shape(["x[0, 0]", "there[0]", "x[1, 0]", "there[1]"], "x.npz")
    SequenceShape(steps=2, features=1, masked=True, standardised=False)
    >>> sequence_shape(["pulse[0]", "there[0]", "pulse[1]", "there[1]"], "t.csv")
    SequenceShape(steps=2, features=1, masked=True, standardised=True)
    """
    steps = _steps(columns)
    if steps:
        return SequenceShape(steps, len(columns) // steps - 1, True, True)
    shape = _grid([name for name in columns if not name.startswith(THERE)])
    masked = any(name.startswith(THERE) for name in columns)
    if len(shape) != 2:
        raise DataError(
            "these data are no sequences",
            expected="x (rows, steps, features) in an NPZ file, perhaps with lengths (rows,); or text and --unit",
            got=_list_of(columns),
            where=source,
            try_="--model mlp; where rows are steps --sequence ID:TIME; for running text --unit char",
        )
    return SequenceShape(*shape, masked)


@dataclass(frozen=True)
class SequenceForm:
    """The columns by which rows are put together to sequences, and how many `steps` the longest of training has.

    `order` is what the second column is read as: number, or date, perhaps with the order of day and month.
    """

    identifier: str
    time: str
    order: str
    steps: int

    @property
    def columns(self) -> tuple[str, str]:
        """The columns that every source needs."""
        return self.identifier, self.time

    def names(self, features: Iterable[str]) -> tuple[str, ...]:
        """The names of the features of a whole sequence, from those of a step.

        >>> SequenceForm("id", "day", "number", 2).names(["pulse"])
        ('pulse[0]', 'there[0]', 'pulse[1]', 'there[1]')
        """
        each = tuple(features)
        return tuple(f"{name}[{step}]" for step in range(self.steps) for name in (*each, MASK))

    def owners(self, columns: Iterable[str]) -> tuple[str, ...]:
        """The column that each feature of a sequence comes from; a step that is there comes from none."""
        return (*columns, MASK) * self.steps


def _steps(columns: Sequence[str]) -> int:
    """How many steps the columns of a table in long form are of, whose names end in a step's number; 0: of none."""
    found = [_STEP.fullmatch(name) for name in columns]
    heads = [match[1] for match in found if match and match[2] == "0"]
    steps = len(columns) // max(len(heads), 1)
    if not heads or heads[-1] != MASK:
        return 0
    return steps if list(columns) == [f"{head}[{step}]" for step in range(steps) for head in heads] else 0


def real_steps(columns: Sequence[Column]) -> Sequence[Column]:
    """The columns of sequences in an array, without the rows in which a step fills a shorter sequence up.

    Such rows are left in a column that has no others, and in arrays that do not say which steps are there.

    >>> pulse = Column("x[0, 0]", "number", np.array([1.0, 9.0]))
    >>> [column.values.tolist() for column in real_steps([pulse, Column("there[0]", "boolean", np.array([1.0, 0.0]))])]
    [[1.0], [1.0, 0.0]]
    """
    names = names_of(columns)
    masks = {name.removeprefix(THERE)[:-1]: k for k, name in enumerate(names) if name.startswith(THERE)}
    if not masks:
        return columns
    found: list[Column] = []
    for name, column in zip(names, columns, strict=True):
        place = _PLACE.fullmatch(name)
        mask = masks.get(place[2].partition(",")[0]) if place and not name.startswith(THERE) else None
        rows = np.zeros(0, np.intp) if mask is None else np.flatnonzero(columns[mask].values > 0.5)
        found.append(column.take(rows) if len(rows) else column)
    return found


def _list_of(columns: Sequence[str]) -> str:
    return f"{quantity(len(columns), 'column')}: {', '.join(columns[:3])}" + (" …" if len(columns) > 3 else "")


def _grid(columns: Sequence[str]) -> tuple[int, ...]:
    """The sizes of the axes along which the columns lie, all places in order; () where they do not."""
    found = [_PLACE.fullmatch(name) for name in columns]
    places = [tuple(map(int, re.findall(r"\d+", match[2]))) for match in found if match]
    heads = {match[1] for match in found if match}
    if len(places) < len(columns) or len(heads) != 1 or len(set(map(len, places))) != 1:
        return ()
    shape = tuple(n + 1 for n in places[-1])
    return shape if prod(shape) == len(places) and places == list(product(*map(range, shape))) else ()
