"""What the tape holds between given leaves and outputs, in order; the one walk that all sweeps share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, TypeAlias

from clearprop.primitives import Zero
from clearprop.program.types import is_floating, type_of
from clearprop.program.values import RECORDING, Application, Node
from clearprop.rules.elementwise import identity

_ORDER, _TRACKED = attrgetter("order"), attrgetter("tracked")

Step: TypeAlias = tuple[Application, Sequence[Node], tuple[int, ...]]


class Slice:
    """The applications through which `outputs` depend on `leaves`, oldest first.

    `surrounded` says whether something tracked by an enclosing transform flows in as well.
    """

    __slots__ = ("_applications", "_met", "_positions", "_several", "leaves", "surrounded")

    def __init__(self, outputs: Iterable[Node], leaves: Sequence[Node] | None = None) -> None:
        """Walk back from the outputs, without recursion, stopping at the leaves (None: all the user's leaves)."""
        stop = set(leaves or ())
        met: dict[Application, Node] = {}
        several: dict[Application, list[Node]] = {}
        self.leaves: list[Node] = []
        todo = list(dict.fromkeys(outputs))  # one may be given out twice
        known = set(todo)
        while todo:
            node = todo.pop()
            app = node.application
            if app is None or node in stop:
                self.leaves.append(node)
            elif app in met:
                several.setdefault(app, [met[app]]).append(node)
            else:
                met[app] = node
                for k in app.tracked:
                    a = app.inputs[k]
                    if a not in known:
                        known.add(a)
                        todo.append(a)
        self.surrounded = leaves is not None and (  # all the user's leaves leave nothing to enclosing transforms
            any(map(_continues_history, stop)) or any(n.tracked for n in self.leaves if n not in stop)
        )
        self._met, self._several = met, several
        self._applications = sorted(met, key=_ORDER)
        self._positions = list(map(_TRACKED, self._applications))
        if leaves is not None:
            self._keep_active(stop)

    def steps(self, *, backwards: bool = False) -> Iterator[Step]:
        """Applications, each with its output nodes that were met and the positions of the inputs that matter."""
        # Triples and lists of one node are made on the way: kept, the collector of cycles would walk through them too
        apps, positions = self._applications, self._positions
        if backwards:
            apps, positions = apps[::-1], positions[::-1]
        met: Iterable[Sequence[Node]] = zip(map(self._met.__getitem__, apps), strict=True)
        if self._several:
            met = [self._several.get(app, one) for app, one in zip(apps, met, strict=True)]
        return zip(apps, met, positions, strict=True)

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
                ways = [a for k in app.tracked if not isinstance(rules[k], Zero) and (a := app.inputs[k]) not in seen]
                seen.update(ways)
                todo += ways
        return False

    def _keep_active(self, active: set[Node]) -> None:
        """Only what depends on a leaf; the rest belongs to enclosing transforms."""
        steps, self._applications, self._positions = self.steps(), [], []
        for app, nodes, positions in steps:
            own = tuple([k for k in positions if app.inputs[k] in active])
            if own:
                active.update(nodes)
                self._applications.append(app)
                self._positions.append(own)
            self.surrounded = self.surrounded or not own or len(own) < len(positions)


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
            ways = [a for k in app.tracked if not isinstance(rules[k], Zero) and (a := app.inputs[k]) not in seen]
            seen.update(ways)
            todo += ways
    return False


def fresh_leaf(value: Any) -> Any:
    """A new leaf with the value of `value`, linked to it, so that transforms nest."""
    known = isinstance(value, Node)
    own = value.value if known else value
    tracked = (0,) if known and (value.application is not None or value.requires_grad) else ()
    leaf = Node.tensor(own, Application(identity, (value,), [own], {}, own, tracked))
    if known:
        leaf.name = value.name
    return leaf


def _continues_history(leaf: Node) -> bool:
    """Whether a leaf continues a value that is tracked itself."""
    app = leaf.application
    return app is not None and isinstance(app.inputs[0], Node) and app.inputs[0].tracked
