"""What the tape holds between given leaves and outputs, in order; the one walk that all sweeps share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clearprop.program.values import Application, Node
from clearprop.rules.elementwise import identity


class Slice:
    """The applications through which `outputs` depend on `leaves`, oldest first.

    `nodes[app]` are the application's output nodes that were met; `active` holds the nodes that depend on a leaf;
    `surrounded` says whether something tracked by an enclosing transform flows in as well.
    """

    __slots__ = ("active", "applications", "nodes", "surrounded")

    def __init__(self, outputs: Iterable[Node], leaves: Sequence[Node]) -> None:
        """Walk back from the outputs, without recursion, stopping at the leaves."""
        stop = set(leaves)
        seen: dict[Application, list[Node]] = {}
        todo = [o for o in outputs if isinstance(o, Node)]
        known = set(todo)
        while todo:
            node = todo.pop()
            app = node.application
            if app is None or node in stop:
                continue
            if app in seen:
                seen[app].append(node)
                continue
            seen[app] = [node]
            for a in app.inputs:
                if isinstance(a, Node) and a not in known and (a.application is not None or a.requires_grad):
                    known.add(a)
                    todo.append(a)
        self._keep(sorted(seen.items(), key=lambda item: item[0].order), stop)

    def _keep(self, ordered: Sequence[tuple[Application, list[Node]]], leaves: set[Node]) -> None:
        active: set[Node] = set(leaves)
        self.applications: list[Application] = []
        self.nodes: dict[Application, list[Node]] = {}
        self.surrounded = any(map(_linked, leaves))
        for app, nodes in ordered:
            inputs = [a for a in app.inputs if isinstance(a, Node)]
            if any(a in active for a in inputs):
                active.update(nodes)
                self.applications.append(app)
                self.nodes[app] = nodes
                if not self.surrounded:
                    self.surrounded = any(a.tracked and a not in active for a in inputs)
        self.active = active


def fresh(value: Any) -> Any:
    """A new leaf with the value of `value`, linked to it, so that transforms nest."""
    own = value.value if isinstance(value, Node) else value
    leaf = Node.tensor(own, Application(identity, (value,), [own], {}, own))
    if isinstance(value, Node):
        leaf.name = value.name
    return leaf


def _linked(leaf: Node) -> bool:
    """Whether a leaf continues a value that is tracked itself."""
    app = leaf.application
    return app is not None and isinstance(app.inputs[0], Node) and app.inputs[0].tracked
