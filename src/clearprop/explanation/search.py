"""Whole paths from an entry to the target."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clearprop.explanation.levels import bundles
from clearprop.explanation.record import Factor, Path
from clearprop.program.values import Node

if TYPE_CHECKING:
    from clearprop.explanation.opening import Opener

_LONGEST = 64


def all_paths(opener: Opener, node: Node, at: int, most: int) -> tuple[Path, ...] | None:
    """Every path in the order of the program, or None if there are more than `most`, or one is very long.

    Depth first, without recursion; terms that are zero are paths too.
    """
    done: list[Path] = []
    todo: list[tuple[Node, int, tuple[Factor, ...]]] = [(node, at, ())]
    while todo:
        here, position, factors = todo.pop()
        level = bundles(opener.graph, here, position)
        if sum(map(len, level)) + len(done) + len(todo) > most or len(factors) > _LONGEST:
            return None
        onward = []
        for bundle in level:
            for i in range(len(bundle)):
                whole = opener.factors(bundle, i) + factors
                if opener.graph.is_target(bundle.node):
                    done.append(Path(whole, math.prod(f.value for f in whole)))
                else:
                    onward.append((bundle.node, int(bundle.end[i]), whole))
        todo += reversed(onward)
    return tuple(done)


def largest_paths(opener: Opener, node: Node, at: int, k: int) -> tuple[Path, ...]:
    """The k paths with the largest products."""
    found = all_paths(opener, node, at, 100000)
    return tuple(sorted(found or (), key=lambda p: -abs(p.value))[:k])
