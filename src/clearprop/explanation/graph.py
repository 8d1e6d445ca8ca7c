"""What an explanation reads: the tape between a value and a scalar, and every cotangent that the run computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.reverse import sweep
from clearprop.autodiff.tape import Slice
from clearprop.explanation.jacobians import Array, Local, shape_of
from clearprop.explanation.structural_jacobians import local_jacobian
from clearprop.program.types import type_of
from clearprop.program.values import Node, raw


class Graph:
    """The applications through which one entry of `target` depends on `sources`, and its cotangents.

    `delta(node)` is ∂target/∂node as the run computed it, in the run's own dtype: one reverse sweep of the tape.
    """

    def __init__(self, target: Node, at: int, sources: Sequence[Node]) -> None:
        self.target, self.at, self.sources = target, at, frozenset(sources)
        self.part = Slice([target], sources)
        self.consumers: dict[Node, list[Local]] = {}
        self.errors: dict[Local, Array] = {}
        for app, nodes, links in self.part.steps:
            for k, operand in links:
                made = [local_jacobian(app, k, node) for node in nodes]
                self.consumers.setdefault(operand, []).extend(made)
        seed = np.zeros(shape_of(raw(target)), type_of(raw(target)).dtype)
        seed.reshape(-1)[at] = 1
        self._cotangents = sweep(self.part, {target: seed[()]}, raw)

    def delta(self, node: Node) -> Array | None:
        """∂target/∂node, flat; None where nothing arrived."""
        found = self._cotangents.get(node)
        return None if found is None else np.ravel(np.asarray(raw(found)))

    def delta_at(self, node: Node, ats: Array) -> Array:
        """Entries of ∂target/∂node in float64; 0 where nothing arrived."""
        found = self.delta(node)
        return np.zeros(len(ats)) if found is None else np.asarray(found[ats], np.float64)

    def value_at(self, node: Any, at: int) -> Any:
        """One entry of a stored value, as a Python number."""
        return np.asarray(raw(node)).reshape(-1)[at].item()

    def is_target(self, node: Node) -> bool:
        """Whether the node is the one that is differentiated."""
        return node is self.target
