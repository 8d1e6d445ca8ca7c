"""One derivation in progress: a graph, the names of its values, and what the entries that are opened share.

The tape can be run again, on other numbers or in another dtype: for comparison, and for numerical derivatives, which
know nothing of our rules: they are differences of the tape, re-evaluated in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from clearprop.arrays import Tensor
from clearprop.autodiff.reverse import Slice
from clearprop.errors import RunError, user_line
from clearprop.explanation.chain_rule import Bundle, Graph
from clearprop.explanation.jacobians import LocalJacobian, Multilinear, shape_of
from clearprop.explanation.labels import Given, Labels, call_label, index_of
from clearprop.explanation.record import Check, Immutable, Label, Operand, Place, Rounding
from clearprop.explanation.roundoff import rule_error
from clearprop.notation import tex, text
from clearprop.notation.expressions import Expression, Name, replace, used_names
from clearprop.primitives import REGISTRY, Zero
from clearprop.program.processes import process_lock
from clearprop.program.types import PYTHON_SCALARS, is_floating, type_of
from clearprop.program.values import RECORDING, Application, Node, complex_step, raw

Cast = Callable[[Any], Any]


def casting(dtype: Any) -> Cast:
    """The map of stored values to another floating dtype; what is not floating stays.  One value has one image."""
    known: dict[int, tuple[Any, Any]] = {}

    def cast(value: Any) -> Any:
        if type(value) in PYTHON_SCALARS or not is_floating(value.dtype) or value.dtype == dtype:
            return value
        if id(value) not in known:
            image = np.asarray(value, dtype)
            image.flags.writeable = False  # so that it keeps its identity, and with it its name, where it is recorded
            known[id(value)] = value, image[()]
        return known[id(value)][1]

    return cast


def replay(part: Slice, start: Mapping[Node, Any], cast: Cast) -> dict[Node, Any]:
    """Values of all nodes of the slice, computed again from `start`; all else is as it was stored.

    Applications through which, by declaration, no derivative flows keep their stored values, so that what is
    differentiated numerically is the same function.
    """
    values: dict[Node, Any] = dict(start)
    with np.errstate(all="ignore"):
        for app, nodes, positions in part.steps():
            xs = list(map(cast, app.raw))
            for k in positions:
                xs[k] = values[app.inputs[k]]
            out = cast(app.outputs) if is_constant(app, positions) else _run_again(app, xs)
            for node in nodes:
                values[node] = out[node.position] if type(app.outputs) is tuple else out
    return values


def _run_again(app: Application, xs: list[Any]) -> Any:
    return xs[0] if app.primitive.facts.converts else app.primitive.run(xs, app.params)


def is_constant(app: Application, positions: Sequence[int]) -> bool:
    """Whether every derivative with respect to what varies is declared zero."""
    rules = app.primitive.rules
    return all(isinstance(rules[0 if app.primitive.variadic else k], Zero) for k in positions)


def recorded_again(part: Slice, sources: Sequence[Node], cast: Cast) -> dict[Node, Node]:
    """The slice recorded once more in another dtype: the new node for every old one, made on the same lines."""
    made: dict[Node, Node] = {v: _leaf(cast(raw(v)), v.name) for v in sources}
    before, RECORDING.on = RECORDING.on, True
    try:
        for app, nodes, positions in part.steps():
            # arrays go in as tensors: of an array by itself the tape would keep a copy, which nobody has a name for
            inputs = [Tensor(v) if isinstance(v, np.ndarray) else v for v in map(cast, app.raw)]
            for k in positions:
                inputs[k] = made[app.inputs[k]]
            out = inputs[0] if app.primitive.facts.converts else app.primitive(*inputs, **app.params)
            for node in nodes:
                new = out[node.position] if type(out) is tuple else out
                made[node] = _keep_name(new, node, app)
    finally:
        RECORDING.on = before
    return made


def _leaf(value: Any, name: str) -> Node:
    leaf = Tensor(value)
    leaf.requires_grad, leaf.name = True, name
    return leaf


def _keep_name(new: Node, old: Node, app: Application) -> Node:
    new.name = old.name
    if new.application is not None:
        new.application.place = app.place
    return new


# --------------------------------------------------------------------------------------- numerical derivatives
TOLERANCE = 1e-6
_TINY, _ROUNDING = 1e-30, 1e-13
"""The complex step; and what a sum of many terms may lose to rounding, relative to the function's size."""


def numerical_check(graph: Graph, node: Node, at: int, gradient: float) -> Check:
    """∂target/∂entry by central difference, sharpened by a complex step where that is possible and agrees.

    The central difference (f(x + h) − f(x − h))/2h knows 10 digits at best, the complex step Im f(x + ih)/h all of
    them (Squire & Trapp 1998), but only for functions whose NumPy spelling is analytic.
    """
    if graph.is_target(node):
        own = 1.0 if at == graph.at else 0.0
        return Check(gradient, own, 0.0, None, 0.0)
    part = Slice([graph.target], [node])
    note = "" if part_is_smooth(part) else "a rule of the user's own stands on the way"
    central, noise, h = _central(graph, part, node, at)
    sharp = _complex_step(graph, part, node, at)
    if sharp is not None and abs(sharp - central) <= noise + TOLERANCE * abs(central):
        scale = max(1.0, abs(float(np.asarray(raw(graph.target)).reshape(-1)[graph.at])))
        return Check(gradient, central, h, sharp, TOLERANCE * abs(sharp) + _ROUNDING * scale, note)
    noise += abs(central - _central(graph, part, node, at, 2 * h)[0])
    return Check(gradient, central, h, None, noise + TOLERANCE * abs(central), note)


def part_is_smooth(part: Slice) -> bool:
    """Whether every rule on the way is the derivative of its function, and not one that a user declared to be."""
    return all(app.primitive.joint or REGISTRY.get(app.primitive.name) is app.primitive for app, _, _ in part.steps())


def _central(graph: Graph, part: Slice, node: Node, at: int, h: float = 0.0) -> tuple[float, float, float]:
    """The difference quotient, how far rounding may have moved it, and its step."""
    value, eps = float(np.asarray(raw(node)).reshape(-1)[at]), float(np.finfo(np.float64).eps)
    h = h or eps ** (1 / 3) * max(1.0, abs(value))
    up, down = (_value_shifted(graph, part, node, at, s * h) for s in (1, -1))
    step = (value + h) - (value - h)
    return (up - down) / step, 16 * eps * max(abs(up), abs(down)) / h, h


def _value_shifted(graph: Graph, part: Slice, node: Node, at: int, step: Any, dtype: Any = np.float64) -> Any:
    moved = np.array(raw(node), dtype=dtype, order="C")  # in another order a flat view of it would be a copy
    moved.reshape(-1)[at] += step
    out = replay(part, {node: moved[()]}, casting(np.float64))
    return np.asarray(out.get(graph.target, raw(graph.target))).reshape(-1)[graph.at].item()


def _complex_step(graph: Graph, part: Slice, node: Node, at: int) -> float | None:
    """Im f(x + ih)/h, or None where a function on the way has no complex form."""
    try:
        with _warnings_as_errors(part), complex_step():
            out = _value_shifted(graph, part, node, at, 1j * _TINY, np.complex128)
    except (TypeError, ValueError, ArithmeticError, Warning):
        return None
    return float(out.imag / _TINY) if isinstance(out, complex) and np.isfinite(out.imag) else None


_FILTERS = process_lock()


@contextmanager
def _warnings_as_errors(part: Slice) -> Iterator[None]:
    """A function of the user's may warn that it drops the imaginary part; ours refuse complex numbers.

    Filters of warnings belong to the whole process: they are touched only where they must be, by one thread at a time.
    """
    if all(app.primitive.__module__.startswith(_OURS) for app, _, _ in part.steps()):
        yield
        return
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


_OURS = "clearprop."


_LEFT_OUT = Label("…", r"\ldots")
_PER_TERM = 4
"""Roundings of a term beside those of its rule: the product, a conversion of dtype, additions on either side."""
BodyOpener = Callable[[Labels, LocalJacobian, int, int], Any]


class Derivation(Immutable):
    """A graph, the names of its values, and the same in other dtypes where that was asked for.

    `open_body` opens one application of a composite; it stands later in the order of files, so it is handed in.
    Pickled, it is the tape and the names; what it shares is computed again, with the same numbers.
    """

    def __init__(
        self, target: Node, at: int, sources: Sequence[Node], given: Given | None, open_body: BodyOpener
    ) -> None:
        self.graph, self.given, self.open_body = Graph(target, at, sources), given or Given(), open_body
        self.labels = Labels(self.graph, self.given)
        self._twins: dict[np.dtype[Any], tuple[Derivation, dict[Node, Node]]] = {}
        self._natives: dict[str, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        history = history_of(self.graph.target)
        arrays = {id(raw(v)): raw(v) for app in history for v in (*app.raw, *app.inputs)}
        return {
            "history": history,  # first and in order, so that pickling a long tape does not recurse along it
            "target": self.graph.target,
            "at": self.graph.at,
            "sources": list(self.graph.sources),
            "given": self.given.by_array(list(arrays.values())),
            "open_body": self.open_body,
            "names": self.labels.names(),
            "natives": {} if self.given.native is None else self._natives,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        given = Given.of_arrays(**state["given"], native=_no_run if state["natives"] is None else None)
        self.__init__(state["target"], state["at"], state["sources"], given, state["open_body"])  # type: ignore[misc]  # its own
        self.labels.set_names(state["names"])
        self._natives = state["natives"]

    # ------------------------------------------------------------------------------- the same, computed otherwise
    def twin(self, dtype: np.dtype[Any]) -> tuple[Derivation, dict[Node, Node]]:
        """The same derivation with the program evaluated in another dtype, and the new node for every old one."""
        if dtype not in self._twins:
            cast = casting(dtype)
            images = recorded_again(self.graph.part, list(self.graph.sources), cast)
            read = [pair for app, _, _ in self.graph.part.steps() for pair in zip(app.inputs, app.raw, strict=True)]
            arrays = [(raw(value), stored) for value, stored in read if isinstance(stored, np.ndarray)]
            sources = [images[v] for v in self.graph.sources]
            given, target = self.given.cast(arrays, cast), images[self.graph.target]
            self._twins[dtype] = Derivation(target, self.graph.at, sources, given, self.open_body), images
        return self._twins[dtype]

    def is_double(self) -> bool:
        """Whether all of it was computed in float64."""
        dtypes = {type_of(raw(n)).dtype for _, nodes, _ in self.graph.part.steps() for n in nodes}
        return dtypes <= {np.dtype(np.float64)}

    def check(self, node: Node, at: int) -> Check:
        """Numerical derivatives of one entry, beside the gradient that the run computed."""
        return numerical_check(self.graph, node, at, float(self.graph.delta_at(node, np.array([at]))[0]))

    def native(self, node: Node, at: int) -> float | None:
        """One entry of the gradient of the run's own executor, if that knows the value."""
        if self._natives is None:
            self._natives = {} if self.given.native is None else self.given.native()
        found = self._natives.get(node.name)
        return None if found is None else float(found.reshape(-1)[at])

    # --------------------------------------------------------------------------------- names with their numbers
    def target_label(self) -> Label:
        """What is differentiated, as the numerator of ∂y/∂w₀."""
        return self.labels.target_entry()

    def place(self, node: Node, at: int) -> Place:
        """An entry's name, index and number."""
        return Place(self.labels.entry(node, at), index_of(shape_of(raw(node)), at), self.graph.value_at(node, at))

    def product_place(self, local: Multilinear, inner: int, out: int) -> Place:
        """`mul(x₀,w₀)`: the product, inside a matrix product, that an entry takes part in."""
        other, at = local.app.inputs[1 - local.k], local.partner(inner, out)
        mine, theirs = self.labels.entry(local.operand, inner), self.labels.entry(other, at)
        label = call_label("mul", [mine, theirs] if local.k == 0 else [theirs, mine])
        value = self.graph.value_at(local.operand, inner) * self.graph.value_at(other, at)
        return Place(label or call_label("mul", [_LEFT_OUT, mine]) or Label("mul", r"\operatorname{mul}"), (), value)

    def operands(self, local: LocalJacobian, inner: int, out: int) -> tuple[Operand, ...]:
        """The symbols of a factor's rule, with their entries and numbers, in reading order."""
        if isinstance(local, Multilinear):
            a, b = local.primitive.operands[local.k], local.primitive.operands[1 - local.k]
            partner = local.app.inputs[1 - local.k], local.partner(inner, out)
            met: dict[str, tuple[Any, int]] = {a: (local.operand, inner), b: partner}
        else:
            met = local.values_at(out, inner)
        parts = local.parts_at(inner, out)
        found = []
        for name in used_names(local.formula):
            if name in met:
                found.append(Operand(name, self.labels.entry(*met[name]), self.graph.value_at(*met[name])))
            elif name in parts and parts[name][1] is not None:
                found.append(Operand(name, self._part_label(local, parts[name][0]), parts[name][1]))
        return tuple(found)

    def _part_label(self, local: LocalJacobian, formula: Expression) -> Label:
        """The name of a part of a rule: its formula, with operands called as the user calls them."""
        values = {"y": local.node, **dict(zip(local.primitive.operands, local.app.inputs, strict=False))}
        names = {n: self.labels.whole(v) for n, v in values.items() if not local.primitive.variadic}
        shown = replace(formula, {n: Name(own) for n, own in names.items() if own})
        return Label(text(shown), tex(shown))

    # ---------------------------------------------------------------------------------------------- rounding
    def rounding(self, level: Sequence[Bundle], value: float, total: float, dtype: Any) -> Rounding:
        """|Σ − g| ≤ ε·((n + 4)·Σ|terms| + the errors of the rules), with n terms and ε of the run's coarsest dtype."""
        dtypes = [np.dtype(dtype)] + [type_of(raw(b.node)).dtype for b in level]
        coarse = max(dtypes, key=lambda d: float(np.finfo(d).eps))
        info = np.finfo(coarse)
        n = sum(map(len, level))
        with np.errstate(all="ignore"):
            magnitude = sum(float(np.sum(np.abs(b.product))) for b in level)
            rules = sum(rule_error(self.graph, b) for b in level if b.local is not None and b.local.rounds)
            bound = float(info.eps) * ((n + _PER_TERM) * magnitude + rules) + (n + 1) * float(info.tiny)
            difference = value - total if value != total else 0.0
        return Rounding(difference, bound, coarse.name)


# ---------------------------------------------------------------------------------- leaving the process
def _no_run() -> dict[str, Any]:
    """What `Entry.native` says of an explanation that came from another process."""
    raise RunError(
        "this explanation has left the run behind that it was opened from",
        expected="native() in the process that explained the step, before the explanation is pickled",
        got="an explanation that was pickled without it",
        where=user_line(),
        try_="cl.explain(run, …, step=…) here",
    )


def history_of(node: Node) -> list[Application]:
    """Every application that a value was computed by, in the order in which they were made."""
    found: dict[Application, None] = {}
    todo = [node.application]
    while todo:
        application = todo.pop()
        if application is not None and application not in found:
            found[application] = None
            todo += [a.application for a in application.inputs if isinstance(a, Node)]
    return sorted(found, key=lambda application: application.order)
