"""Explanations: ∂target/∂value of a whole value, to be opened at any entry, and of the arrays of a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clearprop.errors import unknown_name, user_line
from clearprop.explanation.derivation import Derivation
from clearprop.explanation.entry import Entry, missing_entry, open_entry
from clearprop.explanation.jacobians import Array, shape_of
from clearprop.explanation.record import Label, Presentable, Printable, flat_position
from clearprop.program.values import Node, raw


@dataclass(frozen=True, slots=True)
class Explanation(Presentable):
    """∂target/∂value for one value, to be opened at any entry: `explanation[i, j]`.

    `gradient` is what the run computed, `shape` its shape.  Iteration and `len` go over all entries in order.
    """

    target: Label
    name: str
    shape: tuple[int, ...]
    gradient: np.ndarray[Any, Any] = field(compare=False)
    where: str
    _derivation: Derivation = field(repr=False, compare=False)
    _node: Node = field(repr=False, compare=False)
    _missing: str = field(repr=False, compare=False)  # why the gradient was not computed
    _positions: Array | None = field(repr=False, compare=False)  # of the entries in the value, if not all of it

    def _entry(self, at: int) -> Entry:
        at = at if self._positions is None else int(self._positions.ravel()[at])
        if self._missing:
            return missing_entry(self._derivation, self._node, at, self._missing)
        return open_entry(self._derivation, self._node, at)

    def __getitem__(self, index: Any) -> Entry:
        """Open one entry.  Raises ArgumentError for an index that is out of range, and says the shape."""
        return self._entry(flat_position(index, self.shape, self.name))

    def __len__(self) -> int:
        return int(self.gradient.size)

    def __iter__(self) -> Iterator[Entry]:
        return (self._entry(at) for at in range(len(self)))

    def largest(self, k: int) -> list[Entry]:
        """The entries with the k largest gradients, in order of position."""
        size = np.abs(self.gradient.ravel())
        largest = np.argsort(-np.where(np.isnan(size), np.inf, size), kind="stable")[:k]
        return [self._entry(int(at)) for at in np.sort(largest)]

    def __repr__(self) -> str:
        return f"<explanation of ∂{self.target.text}/∂{self.name}, shape {self.shape}>"


@dataclass(frozen=True, slots=True)
class Explanations(Printable):
    """∂target/∂values for the arrays of a tree, by path: `explanations["layers[0].weight"][3, 5]`."""

    target: Label
    parts: Mapping[str, Explanation]

    def __getitem__(self, path: str) -> Explanation:
        """The explanation of one array.  Raises ArgumentError for an unknown path, and names the nearest."""
        if path not in self.parts:
            raise unknown_name("array", str(path), self.parts, user_line())
        return self.parts[path]

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __repr__(self) -> str:
        return f"<explanations of {self.target.text}: {', '.join(self.parts)}>"


def explanation_of(
    derivation: Derivation, node: Node, missing: str = "", name: str = "", positions: Array | None = None
) -> Explanation:
    """The explanation of one value, or of its entries at some positions, under a name of their own.

    `missing` says why the gradient was not computed.
    """
    shape = shape_of(raw(node)) if positions is None else positions.shape
    found = derivation.graph.delta(node)
    whole = np.zeros(shape_of(raw(node))).ravel() if found is None else found
    gradient = np.array(whole if positions is None else whole[positions.ravel()]).reshape(shape)
    if missing:
        gradient = np.full(shape, np.nan)
    gradient.flags.writeable = False
    application = derivation.graph.target.application
    return Explanation(
        derivation.target_label(),
        name or derivation.labels.whole(node),
        shape,
        gradient,
        derivation.given.origin or (application.where if application is not None else ""),
        derivation,
        node,
        missing,
        positions,
    )
