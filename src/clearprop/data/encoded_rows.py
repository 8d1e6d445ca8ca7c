"""Rows that were encoded, and what was met that training had not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import NAMES_FILE, Column, Findings, Frame, RowNumbers, name_list, quantity
from clearprop.data.encodings import NumberEncoding
from clearprop.errors import DataError


@dataclass(frozen=True)
class EncodingReport:
    """What encoding met that differs from training, and `notes` of who read the source: see `lines()`."""

    reordered: bool
    ignored: tuple[str, ...]
    unseen: Mapping[str, Mapping[str, int]]
    missing: Mapping[str, int]
    far: Mapping[str, int]
    left_out: int
    notes: tuple[str, ...] = ()
    lost: int = 0
    """So many rows have no prediction that is a number."""
    bare: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """So many numbers without a sign, by column and the unit in which they are taken."""

    def surprises(self) -> list[str]:
        """What changes the answers perhaps without being meant: values that training did not meet, as sentences."""
        return replace(self, reordered=False, ignored=(), missing={}, notes=(), left_out=0, lost=0).lines()

    def lines(self) -> list[str]:
        """The report as sentences, empty if there is nothing to say."""
        lines = [*self.notes]
        lines += ["the columns stand in another order than in training: put right"] if self.reordered else []
        if self.ignored:
            lines.append(f"not used, because training did not: {name_list(self.ignored)}")
        for name, counts in self.unseen.items():
            shown = name_list([f"{value!r} ({quantity(n, 'row')})" for value, n in counts.items()], 6)
            lines.append(f"column {name!r}: no feature for {shown}; encoded as none of the known levels")
        lines += [f"missing values filled in: {_counts(self.missing)}"] if self.missing else []
        lines += [f"numbers far outside the range of training: {_counts(self.far)}"] if self.far else []
        lines += [_bare_text(name, *item) for name, counts in self.bare.items() for item in counts.items()]
        if self.left_out:
            lines.append(f"{quantity(self.left_out, 'row')} left out: no value in the target")
        if self.lost:
            lines.append(
                f"{quantity(self.lost, 'row')} without a prediction: the network gives NaN or infinite numbers"
            )
        return lines


def _bare_text(name: str, unit: str, number: int) -> str:
    told = "durations in seconds" if unit == "s" else f"numbers in {unit}"
    verb = "is" if number == 1 else "are"
    return f"column {name!r}: training had {told}; {quantity(number, 'number')} without a sign {verb} taken for such"


MANY = 12
"""Of more columns than this a few stand for all: pixels, or steps."""


def _counts(found: Mapping[str, int]) -> str:
    """How many values of which columns, or in how many where those are many."""
    shown = [f"{name} ({n})" for name, n in found.items()]
    if len(shown) <= MANY:
        return name_list(shown)
    return f"{sum(found.values()):,} in {len(shown)} columns, such as {', '.join(shown[:2])}"


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded rows: `x` `(rows, features)` float32, `y` as `Preprocessing.transform` gives it or None.

    `rows` are the numbers of the encoded rows in the source, from 0; `kept` are columns as they stand there, as texts.
    With the target comes the `weight` of each row, where rows of the training had some.
    """

    x: NDArray[np.float32]
    y: NDArray[Any] | None
    rows: RowNumbers
    report: EncodingReport
    kept: tuple[Column, ...] = ()
    weight: NDArray[np.float64] | None = None


def report_on(
    findings: Findings, names: Sequence[str], needed: Sequence[str], known: Sequence[str], left_out: int
) -> EncodingReport:
    """The report on rows of a source with columns of these names, of which those that are needed are encoded.

    The `known` ones are not, and nothing is to be said of them.
    """
    present, own = set(names), dict.fromkeys(needed)
    return EncodingReport(
        reordered=[n for n in names if n in own] != [n for n in own if n in present],
        ignored=tuple(name for name in names if name not in own and name not in known),
        unseen=findings.unseen,
        missing=findings.missing,
        far=findings.far,
        left_out=left_out,
        bare=findings.bare,
    )


def named_as(frame: Frame, learned: Sequence[Any], target: str) -> Frame:
    """The frame of an array with the names that its columns had in training, by position.

    Raises DataError for another number of columns, another shape of rows, and pixels of another scale.
    """
    names = [column.name for column in learned]
    files = [column for column in frame.columns if column.use == NAMES_FILE]
    features = [column for column in frame.columns if column.name != frame.target and column.use != NAMES_FILE]
    if len(features) != len(names):
        raise DataError(
            "the array does not have the columns of training",
            expected=f"{quantity(len(names), 'column')}: {name_list([*names])}",
            got=quantity(len(features), "column"),
            where=frame.source,
            try_="an array with the same columns in the same order",
        )
    _require_shape(names, [column.name for column in features], frame.source)
    _require_scale(features, learned, frame.source)
    pairs = zip(
        names, features, strict=True
    )  # one row of an image is hundreds of columns, most of which have their name
    named = [column if column.name == name else replace(column, name=name) for name, column in pairs]
    if frame.target is not None:
        named.append(replace(frame[frame.target], name=target))
    return replace(frame, columns=(*named, *files), target=None if frame.target is None else target)


def _require_shape(learned: Sequence[str], given: Sequence[str], source: str) -> None:
    """Raise DataError for rows that are as many numbers in another order."""
    wanted, found = _shape_said_by(learned), _shape_said_by(given)
    if wanted != found and len(wanted) > 1 and len(found) > 1:
        raise DataError(
            "the array has rows of another shape than the training had",
            expected=f"shape (rows, {', '.join(map(str, wanted))}), but for axes of size 1",
            got=f"(rows, {', '.join(map(str, found))}): as many numbers, in another order",
            where=source,
            try_="numpy.moveaxis(x, 1, -1), where the channels of images come first",
        )


def _shape_said_by(names: Sequence[str]) -> tuple[int, ...]:
    """The shape of a row of which these are all numbers, `x[0, 0]` to `x[5, 4]`, without axes of size 1."""
    last = re.fullmatch(r"x\[([\d, ]+)\]", names[-1]) if names else None
    return () if last is None else tuple(int(i) + 1 for i in last[1].split(",") if int(i))


_BYTES = 16.0
"""Whole pixels that go beyond this are bytes, and not shares of 1."""
_TENTHS = 51
"""Of 255 parts those that many are a fifth: such numbers are written by hand too, the others come of bytes alone."""


def _require_scale(given: Sequence[Column], learned: Sequence[Any], source: str) -> None:
    """Raise DataError where pixels of 0 to 1 meet those of 0 to 255: of arrays uint8 alone is scaled as it is read."""
    if not _are_pixels(given, learned):
        return
    high, values = max(column.high for column in learned), np.stack([column.values for column in given])
    most = float(np.nanmax(values, initial=0.0))
    if high <= 1 and most > _BYTES and not (values % 1).any():
        got, remedy = f"whole numbers up to {most:g}", "x.astype(np.uint8), which is scaled as it is read; x / 255"
    elif high > _BYTES and most <= 1 and _are_scaled_bytes(values):
        got = f"numbers from 0 to {most:g}: uint8 are scaled to 1"
        remedy = "x.astype(np.float32) of uint8; 255 * x of floats"
    else:
        return
    raise DataError(
        "the numbers have another scale than those of the training",
        expected=f"numbers from 0 to {high:g}, as the training had them",
        got=got,
        where=source,
        try_=remedy,
    )


def _are_pixels(given: Sequence[Column], learned: Sequence[Any]) -> bool:
    """Whether both are numbers of one quantity, of 0 and more."""
    if not all(isinstance(column, NumberEncoding) for column in learned) or any(c.kind != "number" for c in given):
        return False
    shared = any(column.shared for column in (*given, *learned))
    return shared and all(column.low >= 0 for column in learned) and not any((c.values < 0).any() for c in given)


def _are_scaled_bytes(values: NDArray[Any]) -> bool:
    """Whether numbers of 0 to 1 are 255ths, of which some come of nothing else."""
    parts = 255 * values
    whole = np.rint(parts)
    return bool((np.abs(parts - whole) < 1e-4).all() and (whole % _TENTHS != 0).any())
