"""The tape between given leaves and outputs, in order; and reverse mode, which takes cotangents back along it.

Each application is visited once.  The sweep is the same for numbers and for programs.  What it works on is decided by
`mode`: arrays (the eager case), nodes off the tape (while a program is traced), or nodes on the tape (inside another
transform, which then differentiates the sweep itself).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeAlias, cast

import numpy as np

from clearprop.autodiff.choices import Choice, either, pull_back_chosen
from clearprop.errors import GradientError
from clearprop.primitives import Zero
from clearprop.program.ir import STACK, Builder, Var, builder, is_array_now, shape_of
from clearprop.program.operation import JointOperation
from clearprop.program.types import PYTHON_SCALARS, Value, is_floating, type_of
from clearprop.program.values import RECORDING, Application, Node, quiet, raw
from clearprop.rules import eager
from clearprop.rules.elementwise import derivative_as, identity
from clearprop.rules.reductions import sum as _sum
from clearprop.rules.structural import broadcast_to_
from clearprop.shapes import Shape, is_one, same_shape

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
                first, others = app.first, app.others  # `app.inputs` without a call of Python, as in all sweeps
                inputs = (first, *others) if type(others) is tuple else (first, others)
                for k in app.tracked:
                    a = inputs[k]
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
                inputs = app.inputs
                rules = app.primitive.rules * (len(inputs) if app.primitive.variadic else 1)
                ways = [a for k in app.tracked if not isinstance(rules[k], Zero) and (a := inputs[k]) not in seen]
                seen.update(ways)
                todo += ways
        return False

    def _keep_active(self, active: set[Node]) -> None:
        """Only what depends on a leaf; the rest belongs to enclosing transforms."""
        steps, self._applications, self._positions = self.steps(), [], []
        for app, nodes, positions in steps:
            first, others = app.first, app.others
            inputs = (first, *others) if type(others) is tuple else (first, others)
            own = tuple([k for k in positions if inputs[k] in active])
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
            inputs = app.inputs
            rules = app.primitive.rules * (len(inputs) if app.primitive.variadic else 1)
            ways = [a for k in app.tracked if not isinstance(rules[k], Zero) and (a := inputs[k]) not in seen]
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
    return app is not None and isinstance(app.first, Node) and app.first.tracked


Reader = Callable[[Any], Any]
_ARRAYS = (np.ndarray, np.generic)
_SCALARS = frozenset(np.sctypeDict.values())


def reader(part: Slice, traced: bool) -> Reader:
    """How a sweep sees the values on the tape: as arrays, as untracked nodes, or as the nodes themselves."""
    if part.surrounded:
        return lambda a: a
    if traced:
        return lambda a: Node.tensor(raw(a)) if isinstance(raw(a), Var) else raw(a)
    return raw


def sweep(
    part: Slice, cotangents: dict[Node, Any], read: Reader, choices: dict[Node, Choice] | None = None
) -> dict[Node, Any]:
    """Cotangents of all nodes of the slice that the given ones reach; `cotangents` is consumed.

    In `choices`, if it is given, stands afterwards what was chosen of each node; of others, everything.

    From the last application to the first: what arrived at its outputs is pulled back to each operand, and added
    to what arrived there from elsewhere.
    """
    b, is_asked = builder(), choices is not None
    choices = {} if choices is None else choices
    contribution, cotangents = (
        (_contribution, cotangents) if b is None else (_traced_contribution, _Named(cotangents, b))
    )
    with quiet():
        for app, nodes, positions in part.steps(backwards=True):
            g = cotangents.get(nodes[0]) if type(app.outputs) is not tuple else _of_several(app, nodes, cotangents)
            if g is None:
                continue
            first, others = app.first, app.others
            inputs = (first, *others) if type(others) is tuple else (first, others)
            xs, y = (app.raw, app.outputs) if read is raw else (list(map(read, inputs)), outputs_of(app, nodes, read))
            if not app.primitive.is_plain and app.primitive.joint:
                g = _Joint(app, positions, g, y, xs)
            chosen = choices.get(nodes[0]) if choices else None
            for k in positions:
                operand = inputs[k]
                c, before = contribution(part, app, k, operand, g, y, xs, chosen, is_asked)
                if c is not None:  # summed, never in place: an identity's rule hands the same array on
                    known = cotangents.get(operand)
                    if known is None:
                        cotangents[operand] = c
                        if before is not None:
                            choices[operand] = before
                    else:
                        cotangents[operand] = known + c
                        if choices:
                            _choose(choices, operand, before)
    return cotangents


def _contribution(
    part: Slice,
    app: Application,
    k: int,
    operand: Node,
    g: Any,
    y: Any,
    xs: Sequence[Any],
    choice: Choice | None,
    is_asked: bool,
) -> tuple[Any, Choice | None]:
    """What one application gives to the cotangent of operand `k` (None: zero), and what of the operand was chosen.

    Of an operand at which the sweep ends the second is looked for only if it is asked for.
    """
    p, before = app.primitive, None
    try:
        if choice is None and p.is_direct:
            c = p.rules[k].call(g, y, xs, app.params)  # `pullback` without its questions
        elif choice is None and p.is_plain:
            c = p.pullback(k, g, y, xs, app.params)
        elif p.joint:
            c = g.of(k)
        else:
            ends = not is_asked and operand.application is None
            c, before = pull_back_chosen(app, k, g, y, xs, choice, ends=ends)
    except GradientError:
        if part.reaches(operand):
            raise
        return None, None  # no derivative is declared, and none is needed: the operand was made constant
    x = xs[k]
    if c is None:
        return c, before
    kind = c.__class__
    if kind is x.__class__ and (
        kind in _SCALARS or (kind is np.ndarray and c.shape == x.shape and c.dtype is x.dtype)
    ):  # most fit as they are: NumPy's scalars of one class, and arrays of one shape and dtype
        return c, before
    return undo_broadcasting(c, x), before


def _choose(choices: dict[Node, Choice], operand: Node, choice: Choice | None) -> None:
    """What was chosen of an operand on one more way; no entry: everything."""
    now = either(choices.pop(operand, None), choice)
    if now is not None:
        choices[operand] = now


def _of_several(app: Application, nodes: Sequence[Node], cotangents: dict[Node, Any]) -> Any:
    """The cotangents of several outputs, None where nothing came; None if nothing came at all."""
    out = [None] * len(app.outputs)
    for node in nodes:
        c, known = cotangents.get(node), out[node.position]
        out[node.position] = c if known is None else known if c is None else known + c
    return None if all(g is None for g in out) else out


class _Joint:
    """What a rule gives to all operands together: computed once, when the first of them is asked for."""

    __slots__ = ("_compute", "_parts")

    def __init__(self, app: Application, wanted: Sequence[int], g: Any, y: Any, xs: Sequence[Any]) -> None:
        operation = cast(JointOperation, app.primitive)
        self._compute: Callable[[], Mapping[int, Any]] = lambda: operation.pull_together(wanted, g, y, xs, app.params)
        self._parts: Mapping[int, Any] | None = None

    def of(self, k: int) -> Any:
        """The cotangent of operand k; None where it is zero."""
        if self._parts is None:
            self._parts = self._compute()
        return self._parts[k]


class _Named(dict[Node, Any]):
    """While tracing, the cotangent of h is called h_bar, and equations say whose rule they belong to."""

    def __init__(self, cotangents: dict[Node, Any], b: Builder) -> None:
        super().__init__(cotangents)
        self.builder = b

    def __setitem__(self, operand: Node, cotangent: Value) -> None:
        super().__setitem__(operand, cotangent)
        own, var = raw(operand), raw(cotangent)
        if isinstance(var, Var) and isinstance(own, Var) and own.name and not var.name:
            var.name = own.name + "_bar"
        self.builder.rule = ""


def _traced_contribution(part: Slice, app: Application, *values: Any) -> Any:
    b = builder()
    assert b is not None
    b.rule = app.primitive.name  # until the contribution is added, by an equation of the same rule
    return _contribution(part, app, *values)


def undo_broadcasting(cotangent: Any, operand: Any) -> Any:
    """A cotangent in the operand's shape and dtype: the one place where broadcasting is undone."""
    own = operand.value if isinstance(operand, Node) else operand
    value = cotangent.value if isinstance(cotangent, Node) else cotangent
    if isinstance(value, _ARRAYS) and isinstance(own, _ARRAYS):
        # arrays are most of what comes, and NumPy fits them; a node's own history, or the program, goes the other way
        if value is cotangent and value.shape != own.shape and not STACK.builders:
            value = cotangent = _fit_array(value, own.shape)
        if value.shape == own.shape and value.dtype is own.dtype:
            return cotangent
    have, want = shape_of(value), () if type(own) in PYTHON_SCALARS else own.shape
    if not same_shape(have, want):
        cotangent = _unbroadcast(cotangent, have, want)
    if type(own) not in PYTHON_SCALARS and (type(value) in PYTHON_SCALARS or value.dtype != own.dtype):
        cotangent = derivative_as(cotangent, own.dtype)
    return cotangent


def _fit_array(g: Any, want: tuple[int, ...]) -> Any:
    """`_unbroadcast` of an array, without the calls of operations that record."""
    if g.ndim > len(want):
        g = eager.total(g, tuple(range(-g.ndim, -len(want))), keepdims=False)
    if g.shape != want and g.ndim == len(want):
        axes = tuple([i - len(want) for i, n in enumerate(g.shape) if want[i] == 1 != n])
        g = eager.total(g, axes, keepdims=True) if axes else g
    return g if g.shape == want else eager.spread(g, want)


def _unbroadcast(g: Value, have: Shape, want: Shape) -> Any:
    """Sum over the axes along which the operand was repeated; repeat where the rule did not."""
    if is_array_now(g):
        return _fit_array(g, tuple(want))
    if len(have) >= len(want):
        extra = len(have) - len(want)
        if extra:
            g = _sum(g, axis=tuple(range(-len(have), -len(want))))
            have = shape_of(g)
        axes = tuple(i - len(want) for i, n in enumerate(have) if is_one(want[i]) and not is_one(n))
        if axes:
            g = _sum(g, axis=axes, keepdims=True)
    if not same_shape(shape_of(g), want):
        g = broadcast_to_(g, shape=tuple(want))
    return g
