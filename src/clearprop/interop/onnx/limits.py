"""How large a network a file may describe: functions of functions make endless ones of a few bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clearprop.errors import DataError

MOST_NODES = 500_000
"""The most nodes after functions are written out."""
MOST_DEPTH = 24
"""The most functions and graphs within each other."""


def require_bounded(model: Any) -> None:
    """Raise DataError if the model is too large with its functions written out, before any of it is built."""
    _Count({(f.domain, f.name): f for f in model.functions}).nodes(model.graph.node, 0)


class _Count:
    """Counts nodes with functions written out, each function once."""

    def __init__(self, functions: dict[tuple[str, str], Any]) -> None:
        self.functions, self.counted = functions, dict[tuple[str, str], int]()

    def nodes(self, nodes: Iterable[Any], depth: int) -> int:
        """How many nodes these are with what they call and hold."""
        if depth > MOST_DEPTH:
            raise _too_large(f"at most {MOST_DEPTH} functions and graphs within each other")
        total = 0
        for node in nodes:
            total += 1 + self._called((node.domain, node.op_type), depth)
            bodies = [g for a in node.attribute for g in ([a.g] if a.HasField("g") else [])]
            total += sum(self.nodes(body.node, depth + 1) for body in bodies)
            if total > MOST_NODES:
                raise _too_large(f"at most {MOST_NODES:,} nodes with its functions written out")
        return total

    def _called(self, key: tuple[str, str], depth: int) -> int:
        if key not in self.functions:
            return 0
        if key not in self.counted:
            self.counted[key] = self.nodes(self.functions[key].node, depth + 1)
        return self.counted[key]


def _too_large(expected: str) -> DataError:
    return DataError("the model is too large", expected=expected, got="more")
