"""What the tape holds between given leaves and outputs, in order; the one walk that all sweeps share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from clearprop.primitives import Zero
from clearprop.program.types import is_floating, type_of
from clearprop.program.values import RECORDING, Application, Node
from clearprop.rules.elementwise import identity

_ORDER = attrgetter("order")


class Slice:
    """The applications through which `outputs` depend on `leaves`, oldest first.

    `steps` are triples: an application, its output nodes that were met, and the links to inputs that matter.
    `surrounded` says whether something tracked by an enclosing transform flows in as well.
    """

    __slots__ = ("leaves", "steps", "surrounded")

    def __init__(self, outputs: Iterable[Node], leaves: Sequence[Node] | None = None) -> None:
        """Walk back from the outputs, without recursion, stopping at the leaves (None: all the user's leaves)."""
        stop = set(leaves or ())
        seen: dict[Application, list[Node]] = {}
        self.leaves: list[Node] = []
        todo = list(dict.fromkeys(outputs))  # one may be given out twice
        known = set(todo)
        while todo:
            node = todo.pop()
            app = node.application
            if app is None or node in stop:
                self.leaves.append(node)
            elif app in seen:
                seen[app].append(node)
            else:
                seen[app] = [node]
                for _, a in app.links:
                    if a not in known:
                        known.add(a)
                        todo.append(a)
        self.surrounded = any(map(_continues_history, stop))
        self.steps = [(app, seen[app], app.links) for app in sorted(seen, key=_ORDER)]
        if leaves is not None:
            self._keep_active(stop)

    def reaches(self, node: Node) -> bool:
        """Whether a derivative flows from `node` to a leaf: not where every way is a `stop_gradient` or a step."""
        leaves, todo, seen = set(self.leaves), [node], {node}
        while todo:
            current = todo.pop()
            if current in leaves:
                return True
            app = current.application
            if app is not None:
                rules = app.primitive.rules * (len(app.inputs) if app.primitive.variadic else 1)
                ways = [a for k, a in app.links if not isinstance(rules[k], Zero) and a not in seen]
                seen.update(ways)
                todo += ways
        return False

    def _keep_active(self, active: set[Node]) -> None:
        """Only what depends on a leaf; the rest belongs to enclosing transforms."""
        kept = []
        for app, nodes, links in self.steps:
            own = [link for link in links if link[1] in active]
            if own:
                active.update(nodes)
                kept.append((app, nodes, own))
                self.surrounded = self.surrounded or len(own) < len(links)
        self.steps = kept


def outputs_of(app: Application, nodes: Sequence[Node], read: Callable[[Any], Any]) -> Any:
    """The outputs of an application as a sweep sees them; those that nobody met are made nodes again."""
    if type(app.outputs) is not tuple:
        return read(nodes[0])
    met = {node.position: node for node in nodes}
    return tuple(read(met[i] if i in met else _output(app, i)) for i in range(len(app.outputs)))


def _output(app: Application, position: int) -> Node:
    value = app.outputs[position]
    return Node.tensor(value, app if is_floating(type_of(value).dtype) else None, position)


def is_followed(node: Node) -> bool:
    """Whether a transform that is running now differentiates through a node; constants and steps end its way."""
    if node.application is None or not RECORDING.followed:
        return False
    start = RECORDING.followed[0][0]
    leaves = frozenset().union(*(own for _, own in RECORDING.followed))
    todo, seen = [node], {node}
    while todo:
        current = todo.pop()
        if current in leaves:
            return True
        app = current.application
        if app is not None and app.order > start:
            rules = app.primitive.rules * (len(app.inputs) if app.primitive.variadic else 1)
            ways = [a for k, a in app.links if not isinstance(rules[k], Zero) and a not in seen]
            seen.update(ways)
            todo += ways
    return False


def fresh_leaf(value: Any) -> Any:
    """A new leaf with the value of `value`, linked to it, so that transforms nest."""
    known = isinstance(value, Node)
    own = value.value if known else value
    links = [(0, value)] if known and (value.application is not None or value.requires_grad) else []
    leaf = Node.tensor(own, Application(identity, (value,), [own], {}, own, links))
    if known:
        leaf.name = value.name
    return leaf


def _continues_history(leaf: Node) -> bool:
    """Whether a leaf continues a value that is tracked itself."""
    app = leaf.application
    return app is not None and isinstance(app.inputs[0], Node) and app.inputs[0].tracked
