"""Sequences of several lengths in an array: what lies behind the end of each is filled up, and columns say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, Frame
from clearprop.data.image_shape import THERE
from clearprop.errors import DataError


def read_sequences(x: NDArray[Any], lengths: NDArray[Any], source: str, read: Callable[[NDArray[Any]], Frame]) -> Frame:
    """The frame of x `(rows, steps, features)`, of each row of which only so many first steps count.

    The others become the mean of their feature, whatever they were, NaN too; behind the features of each step a column
    of truth values says whether it is there.  `read` gives the frame of an array.

    Raises DataError for lengths that are none.

    >>> from clearprop.data.readers.sources import read_arrays
    >>> x = np.array([[[1.0], [3.0]], [[5.0], [np.nan]]])
    >>> frame = read_sequences(x, np.array([2, 1]), "x.npz", lambda x: read_arrays(x, None, "x.npz"))
    >>> {column.name: column.values.tolist() for column in frame.columns}
    {'x[0, 0]': [1.0, 5.0], 'there[0]': [1.0, 1.0], 'x[1, 0]': [3.0, 3.0], 'there[1]': [1.0, 0.0]}
    """
    rows, steps, features = x.shape
    if lengths.shape != (rows,) or lengths.dtype.kind not in "iu" or lengths.min() < 1 or lengths.max() > steps:
        span = f", from {lengths.min()} to {lengths.max()}" if lengths.size and lengths.dtype.kind in "iuf" else ""
        raise DataError(
            "these are no lengths of the sequences in x",
            expected=f"whole numbers from 1 to {steps}, one for each of {rows} rows: shape ({rows},)",
            got=f"{lengths.dtype} of shape {lengths.shape}{span}",
            where=f"{source}, array lengths",
            try_="numpy.savez(file, x=x, y=y, lengths=lengths), or without lengths where all have all steps",
        )
    there = np.arange(steps) < lengths[:, None]
    filled = np.array(x, dtype=x.dtype if x.dtype.kind == "f" else np.float64)
    for feature in range(features):
        values = filled[..., feature]
        known = values[there]
        values[~there] = np.nanmean(known) if np.isfinite(known).any() else 0.0
    frame = read(filled)
    others = frame.columns[steps * features :]
    columns: list[Column] = []
    for step in range(steps):
        columns += frame.columns[step * features : (step + 1) * features]
        columns.append(Column(f"{THERE}{step}]", "boolean", there[:, step].astype(np.float64)))
    return replace(frame, columns=(*columns, *others))
