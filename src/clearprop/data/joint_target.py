"""Several targets that one network learns together: numbers, or labels of two values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, Locator
from clearprop.data.encodings import ClassTarget, NumberTarget, SingleTarget, fit_target
from clearprop.errors import DataError


@dataclass(frozen=True)
class JointTarget:
    """Several targets that one network learns together, an output for each.

    `kind` is "numbers", each standardised by itself, or "labels": columns of two classes, of which the second one
    means yes, so that a row may have any of them.

    >>> sizes = JointTarget((NumberTarget("height", 2.0, 1.0), NumberTarget("weight", 10.0, 5.0)))
    >>> sizes.name, sizes.kind, sizes.invert(np.array([[1.0, -1.0]])).tolist()
    ('height, weight', 'numbers', [[3.0, 5.0]])
    """

    parts: tuple[SingleTarget, ...]

    @property
    def name(self) -> str:
        """All names, as they are told."""
        return ", ".join(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that it is made of."""
        return tuple(part.name for part in self.parts)

    @property
    def kind(self) -> Literal["numbers", "labels"]:
        """What the targets are."""
        return "numbers" if isinstance(self.parts[0], NumberTarget) else "labels"

    @property
    def numbers(self) -> tuple[NumberTarget, ...]:
        """The targets, as far as they are numbers."""
        return tuple(part for part in self.parts if isinstance(part, NumberTarget))

    @property
    def labels(self) -> tuple[ClassTarget, ...]:
        """The targets, as far as they are labels."""
        return tuple(part for part in self.parts if isinstance(part, ClassTarget))

    @property
    def encoding(self) -> str:
        """The encoding in a few words."""
        return f"{len(self.parts)} {self.kind}, an output for each"

    def encode(self, columns: Sequence[Column], place: Locator) -> NDArray[np.float32]:
        """Standardised values, or 1 for yes and 0 for no, `(rows, targets)`."""
        encoded = [part.encode(column, place) for part, column in zip(self.parts, columns, strict=True)]
        return np.stack([np.asarray(y, dtype=np.float32).reshape(-1) for y in encoded], axis=1)

    def labels_of(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Labels 0 and 1, `(rows, targets)`, as they came: of one type, or in an array of objects."""
        columns = [part.labels[codes[:, k]] for k, part in enumerate(self.labels)]
        return np.stack(columns, axis=1) if len({c.dtype for c in columns}) == 1 else _beside(columns)

    def invert(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """Standardised values `(…, targets)` back in the unit of each target."""
        scales, centres = (np.array([getattr(part, name) for part in self.numbers]) for name in ("scale", "centre"))
        return np.asarray(np.asarray(y, dtype=np.float64) * scales + centres)


def _beside(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.stack([column.astype(object) for column in columns], axis=1)


Target: TypeAlias = SingleTarget | JointTarget
"""What is learned of a table."""


def unit_written(target: Target, place: int = 0) -> str:
    """The currency that stood beside the numbers of a target, of several the one in this place; empty for none."""
    part = target.parts[place] if isinstance(target, JointTarget) else target
    return part.unit if isinstance(part, NumberTarget) else ""


def fit_joint_target(columns: Sequence[Column], classification: bool) -> JointTarget:
    """The encoding of the training part's targets.

    Raises DataError for a label of which the training part has one value only.
    """
    fitted = tuple(fit_target(column, classification) for column in columns)
    lone = next((part for part in fitted if isinstance(part, ClassTarget) and len(part.classes) < 2), None)
    if lone is not None:
        raise DataError(
            f"the label {lone.name!r} has one value only in the training part",
            expected="both values among the training rows",
            got=f"{lone.classes[0]!r} in every row",
            where=f"column {lone.name!r}",
            try_="another --seed or --split, or without that target",
        )
    return JointTarget(fitted)
