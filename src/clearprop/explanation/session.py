"""One explanation in progress: a graph, its names, and all that can be asked of its entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from clearprop.errors import DTypeError, user_line
from clearprop.explanation.checking import numerical_check
from clearprop.explanation.graph import Graph
from clearprop.explanation.jacobians import shape_of
from clearprop.explanation.labels import Labels
from clearprop.explanation.opening import Opener
from clearprop.explanation.record import Check, Entry, Explanation, Path
from clearprop.explanation.replay import casting, recorded_again
from clearprop.explanation.search import all_paths, largest_paths
from clearprop.program.types import type_of
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
        self.graph, self.constants, self.name = Graph(target, at, sources), dict(constants or {}), name
        self.labels = Labels(self.graph, self.constants, name if name.isidentifier() else "")
        self._twins: dict[np.dtype[Any], tuple[Session, dict[Node, Node]]] = {}
        self.opener = Opener(self.graph, self.labels, self)

    def check(self, node: Node, at: int) -> Check:
        """See `Entry.check`: the run's gradient, or, where its dtype is too coarse to tell, the one of float64."""
        value = float(self.graph.delta_at(node, np.array([at]))[0])
        found = numerical_check(self.graph, node, at, value)
        if found.agrees or self._is_fine():
            return found
        twin, twins = self._in(np.dtype(np.float64))
        return replace(found, gradient=float(twin.graph.delta_at(twins[node], np.array([at]))[0]))

    def _is_fine(self) -> bool:
        dtypes = {type_of(raw(n)).dtype for _, nodes, _ in self.graph.part.steps for n in nodes}
        return dtypes <= {np.dtype(np.float64)}

    def _in(self, dtype: np.dtype[Any]) -> tuple[Session, dict[Node, Node]]:
        """The same explanation with the program evaluated in another dtype, and the new node for every old one."""
        if dtype not in self._twins:
            cast = casting(dtype)
            made = recorded_again(self.graph.part, list(self.graph.sources), cast)
            names = dict(self.constants)
            for app, _, _ in self.graph.part.steps:
                names |= {id(cast(v)): self.constants[id(v)] for v in app.raw if id(v) in self.constants}
            sources = [made[v] for v in self.graph.sources]
            twin = Session(made[self.graph.target], self.graph.at, sources, names, self.name)
            self._twins[dtype] = twin, made
        return self._twins[dtype]

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
        wanted = np.dtype(dtype)
        if wanted.kind != "f":
            raise DTypeError(
                "at() evaluates in a floating dtype",
                expected="float64, float32 or float16",
                got=wanted.name,
                where=user_line(),
            )
        twin, twins = self._in(wanted)
        return twin.opener.open(twins[node], at)


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
