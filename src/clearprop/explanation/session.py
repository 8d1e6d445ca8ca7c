"""One explanation in progress: a graph, its names, and all that can be asked of its entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from clearprop.errors import DTypeError, user_line
from clearprop.explanation.finite_differences import numerical_check
from clearprop.explanation.graph import Graph
from clearprop.explanation.jacobians import Array, shape_of
from clearprop.explanation.labels import Given, Labels
from clearprop.explanation.opening import Opener
from clearprop.explanation.record import Check, Entry, Explanation, Path
from clearprop.explanation.replay import casting, recorded_again
from clearprop.explanation.search import all_paths, largest_paths
from clearprop.program.types import type_of
from clearprop.program.values import Node, raw


class Session:
    """A graph, the names of its values, and the opener of its entries."""

    def __init__(self, target: Node, at: int, sources: Sequence[Node], given: Given | None = None) -> None:
        self.graph, self.given = Graph(target, at, sources), given or Given()
        self.labels = Labels(self.graph, self.given)
        self._twins: dict[np.dtype[Any], tuple[Session, dict[Node, Node]]] = {}
        self._natives: dict[str, Any] | None = None
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
            arrays = [v for app, _, _ in self.graph.part.steps for v in app.raw if isinstance(v, np.ndarray)]
            sources = [made[v] for v in self.graph.sources]
            twin = Session(made[self.graph.target], self.graph.at, sources, self.given.cast(arrays, cast))
            self._twins[dtype] = twin, made
        return self._twins[dtype]

    def all_paths(self, node: Node, at: int, most: int) -> tuple[Path, ...] | None:
        """See `Entry.all_paths`."""
        return all_paths(self.opener, node, at, most)

    def paths(self, node: Node, at: int, k: int) -> tuple[Path, ...]:
        """See `Entry.paths`."""
        return largest_paths(self.opener, node, at, k)

    def native(self, node: Node, at: int) -> float | None:
        """See `Entry.native`."""
        if self.given.native is None:
            return None
        if self._natives is None:
            self._natives = self.given.native()
        found = self._natives.get(node.name)
        return None if found is None else float(found.reshape(-1)[at])

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
    """Opens the entries of one value, or those at the given positions."""

    def __init__(self, session: Session, node: Node, missing: str, positions: Array | None) -> None:
        self.session, self.node, self.missing, self.positions = session, node, missing, positions

    def entry(self, at: int, shown: int) -> Entry:
        """The entry at a flat position."""
        at = at if self.positions is None else int(self.positions.ravel()[at])
        if self.missing:
            return self.session.opener.not_computed(self.node, at, self.missing)
        return self.session.opener.open(self.node, at, shown)


def explanation_of(
    session: Session, node: Node, missing: str = "", name: str = "", positions: Array | None = None
) -> Explanation:
    """The explanation of one value, or of its entries at some positions, under a name of their own.

    `missing` says why the gradient was not computed.
    """
    shape = shape_of(raw(node)) if positions is None else positions.shape
    found = session.graph.delta(node)
    whole = np.zeros(shape_of(raw(node))).ravel() if found is None else found
    gradient = np.array(whole if positions is None else whole[positions.ravel()]).reshape(shape)
    if missing:
        gradient = np.full(shape, np.nan)
    gradient.flags.writeable = False
    made = session.graph.target.application
    return Explanation(
        session.labels.target_entry(),
        name or session.labels.whole(node),
        shape,
        gradient,
        session.given.origin or (made.where if made is not None else ""),
        _Value(session, node, missing, positions),
    )
