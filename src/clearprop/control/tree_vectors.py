"""A tree of floating arrays as one vector: the unknowns of equations, the state of a differential equation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten, structure_text, unflatten
from clearprop.control.carries import check_leaf
from clearprop.errors import ArgumentError, DTypeError, user_line
from clearprop.program.ir import shape_of
from clearprop.program.types import Tree, is_floating, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import astype
from clearprop.rules.joining import concat
from clearprop.rules.structural import reshape_
from clearprop.shapes import Shape, size_of


class TreeAsVector:
    """A tree of floating arrays, and the vector of their numbers."""

    def __init__(self, name: str, start: str, tree: Tree) -> None:
        self.name, self.begins = name, start
        leaves, self.structure = flatten(tree)
        self.leaves = [check_leaf(name, start, v) for v in leaves]
        self.types = [type_of(raw(v)) for v in self.leaves]
        if not self.leaves or not all(is_floating(t.dtype) for t in self.types):
            raise DTypeError(
                f"{name} needs floating values to begin with",
                expected=f"floating arrays and numbers in {start}",
                got=", ".join(map(str, self.types)) or "none",
                where=user_line(),
                try_=f"{start}.astype(np.float64), or 1.0 in the place of 1",
            )
        self.vector = vector_of(name, self.leaves)
        self.dtype = type_of(raw(self.vector)).dtype
        self.eps = float(np.finfo(self.dtype).eps)

    def tree(self, vector: Any) -> Any:
        """The tree of a vector."""
        return self._cut(vector, ())

    def tree_of_rows(self, rows: Any) -> Any:
        """The tree of several vectors, with their axis in front."""
        return self._cut(rows, shape_of(rows)[:1])

    def _cut(self, numbers: Any, before: Shape) -> Any:
        found, at = [], 0
        for t in self.types:
            many = size_of(t.shape)
            part = numbers[(*[slice(None)] * len(before), slice(at, at + many))]
            found.append(astype(reshape_(part, shape=(*before, *t.shape)), dtype=t.dtype))
            at = at + many
        return unflatten(self.structure, found)

    def image(self, value: Any) -> Any:
        """What f gave, as a vector."""
        leaves, structure = flatten(value)
        if structure != self.structure:
            raise ArgumentError(
                f"{self.name}: f gives another structure than it takes",
                expected=structure_text(self.structure),
                got=structure_text(structure),
                where=user_line(),
                try_=f"return a tree like {self.begins}",
            )
        return vector_of(self.name, leaves)


def vector_of(name: str, leaves: Sequence[Any]) -> Any:
    """The numbers of all leaves, one after the other."""
    parts = [check_leaf(name, "the result of f", v) for v in leaves]
    return concat([astype(reshape_(p, shape=(size_of(shape_of(p)),)), dtype=type_of(raw(p)).dtype) for p in parts])
