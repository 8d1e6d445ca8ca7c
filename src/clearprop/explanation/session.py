"""One explanation in progress: a graph, its names, and all that can be asked of its entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.explanation.checking import numerical_check
from clearprop.explanation.graph import Graph
from clearprop.explanation.jacobians import shape_of
from clearprop.explanation.labels import Labels
from clearprop.explanation.opening import Opener
from clearprop.explanation.record import Check, Entry, Explanation, Path
from clearprop.explanation.search import all_paths, largest_paths
from clearprop.program.values import Node, raw


class Session:
    """A graph, the names of its values, and the opener of its entries."""

    def __init__(
        self,
        target: Node,
        at: int,
        sources: Sequence[Node],
        constants: Mapping[int, str] | None = None,
        name: str = "",
    ) -> None:
        self.graph = Graph(target, at, sources)
        self.labels = Labels(self.graph, constants or {}, name if name.isidentifier() else "")
        self.opener = Opener(self.graph, self.labels, self)

    def check(self, node: Node, at: int) -> Check:
        """See `Entry.check`."""
        return numerical_check(self.graph, node, at)

    def all_paths(self, node: Node, at: int, most: int) -> tuple[Path, ...] | None:
        """See `Entry.all_paths`."""
        return all_paths(self.opener, node, at, most)

    def paths(self, node: Node, at: int, k: int) -> tuple[Path, ...]:
        """See `Entry.paths`."""
        return largest_paths(self.opener, node, at, k)

    def shown(self, node: Node, at: int, k: int) -> Entry:
        """See `Entry.show`."""
        return self.opener.open(node, at, k)

    def at(self, node: Node, at: int, dtype: Any) -> Entry:
        """See `Entry.at`."""
        raise NotImplementedError


class _Value:
    """Opens the entries of one value."""

    def __init__(self, session: Session, node: Node, missing: str) -> None:
        self.session, self.node, self.missing = session, node, missing

    def entry(self, at: int, shown: int) -> Entry:
        """The entry at a flat position."""
        if self.missing:
            return self.session.opener.not_computed(self.node, at, self.missing)
        return self.session.opener.open(self.node, at, shown)


def explanation_of(session: Session, node: Node, missing: str = "") -> Explanation:
    """The explanation of one value; `missing` says why its gradient was not computed."""
    shape = shape_of(raw(node))
    found = session.graph.delta(node)
    gradient = np.zeros(shape) if found is None else found.reshape(shape).copy()
    if missing:
        gradient = np.full(shape, np.nan)
    gradient.flags.writeable = False
    made = session.graph.target.application
    return Explanation(
        session.labels.target_entry(),
        session.labels.whole(node),
        shape,
        gradient,
        made.where if made is not None else "",
        _Value(session, node, missing),
    )
