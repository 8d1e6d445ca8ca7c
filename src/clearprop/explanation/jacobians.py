"""Local Jacobians, opened one entry at a time.

A `LocalJacobian` is ∂out/∂operand of one application on the tape.  `columns` gives, for entries of the operand, the
entries of the output that depend on them and the local factors: the primitive's own rule on a unit tangent, evaluated
in float64 on the stored values.  The declared kind of the Jacobian says where to look, so nothing is materialised.

A rule is a formula too: the very function that the sweep calls, traced on symbols and printed.  The local factor is the
rule on a unit tangent, so the formula is the rule with 1 put in for the tangent, and the products with 1 left away.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from clearprop.notation import number_text
from clearprop.notation.expressions import Call, Expression, Name, Number
from clearprop.primitives import REGISTRY, Rule, Zero
from clearprop.program.ir import Program, Var, trace
from clearprop.program.operation import JointOperation, Operation
from clearprop.program.types import BOOL, FLOAT64, INT64, PYTHON_SCALARS, Type, is_floating
from clearprop.program.values import Application, Node, raw

UNIT = "g"
"""The symbol for the tangent: in a formula it is 1."""


def symbol_type(value: Any, shape: tuple[int, ...] = ()) -> Type:
    """The type of the symbol that stands for an operand: floats are float64."""
    kind = np.asarray(value).dtype.kind
    return Type(shape, BOOL if kind == "b" else INT64 if kind in "iu" else FLOAT64)


def rule_formula(function: Callable[..., Any], names: Sequence[str], types: Sequence[Type]) -> Expression:
    """The formula of a function of symbols: what it does when it is traced, simplified."""
    return expression_of(rule_program(function, names, types))


def rule_program(function: Callable[..., Any], names: Sequence[str], types: Sequence[Type]) -> Program:
    """The program of a rule, a function of the named symbols."""
    return trace(lambda *xs: (function(*xs),), types, list(names))


def expression_of(program: Program) -> Expression:
    """The program's one output as an expression of its inputs."""
    atom = program.outputs[0]
    return expressions_of(program)[atom] if isinstance(atom, Var) else Number(atom)


def expressions_of(program: Program) -> dict[Var, Expression]:
    """Every variable of a program as an expression of its inputs."""
    known: dict[Var, Expression] = {v: Number(1) if v.name == UNIT else Name(v.name) for v in program.arguments}
    hidden = program.inputs[len(program.arguments) :]
    known |= {v: _constant(c) for v, c in zip(hidden, program.captured, strict=True)}
    for eq in program.equations:
        operands = (known[a] if isinstance(a, Var) else Number(a) for a in eq.inputs)
        known |= dict.fromkeys(eq.outputs, simplify_call(eq.primitive, tuple(operands), dict(eq.params)))
    return known


def _constant(value: Any) -> Expression:
    array = np.asarray(raw(value))
    return Number(array[()].item()) if array.ndim == 0 else Name("constant")


def simplify_call(primitive: Operation, operands: tuple[Expression, ...], params: dict[str, Any]) -> Expression:
    """A call without what a reader would leave away: neutral numbers, and arithmetic on numbers alone."""
    # One test per thing that is left away, first the calls that show nothing at all: every one is a sentence that the
    # reader of a formula would say, and none of them knows a derivative.
    if primitive.tex == "{x}" and len(operands) == 1 and not isinstance(primitive.rules[0], Zero):
        return operands[0]  # what stops the gradient looks like its operand, and is shown
    if primitive.facts.source == "size":
        return Number(int(params["dim"]))
    if primitive.kind == "elementwise" and operands and all(isinstance(o, Number) for o in operands):
        folded = _fold_numbers(primitive, operands, params)
        if not primitive.tex.startswith(r"\frac") or len(number_text(folded)) <= _SHORT:
            return Number(folded)
    if (other := _beside(primitive.facts.neutral, operands)) is not None:
        return other
    if (other := _beside(primitive.facts.negates, operands)) is not None:
        return Call(REGISTRY["negative"], (other,))
    return Call(primitive, operands, params)


_SHORT = 5
"""A quotient of numbers stays a quotient, 1 / 512, unless it is this short: 0.5."""


def _fold_numbers(primitive: Operation, operands: tuple[Expression, ...], params: dict[str, Any]) -> Any:
    values = [o.value for o in operands if isinstance(o, Number)]
    with np.errstate(all="ignore"):
        out = primitive.run(values, params)
    return out if type(out) in PYTHON_SCALARS else np.asarray(out).item()


def _beside(stated: tuple[tuple[int, int, Any], ...], operands: tuple[Expression, ...]) -> Expression | None:
    """The operand beside a number that a fact of the operation states; None without such a number."""
    return next((operands[other] for at, other, number in stated if operands[at] == Number(number)), None)


def with_nan_told(expression: Expression) -> Expression:
    """The expression with its closed gates written out: as a rule they are 0, but NaN comes through them."""
    if not isinstance(expression, Call):
        return expression
    inside = tuple(map(with_nan_told, expression.operands))
    if expression.function not in (REGISTRY["nan_or_zero"], REGISTRY["zero_or_nan"]):
        return Call(expression.function, inside, expression.params)
    return Call(REGISTRY["where"], (Call(REGISTRY["isnan"], inside), *inside, Number(0)))


Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Nonzero pattern and values of some columns of a local Jacobian, one row of the arrays per entry.

    `source[i]` is the position, among the entries asked for, that `out[i]` depends on with `factor[i]`.
    """

    source: Array
    out: Array
    factor: Array


@functools.lru_cache(maxsize=256)
def positions(shape: tuple[int, ...]) -> Array:
    """The flat position of every entry of an array of this shape, as an array of that shape."""
    return np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)


def wide(value: Any) -> Any:
    """A stored value in float64; what is not floating stays as it is."""
    if type(value) in PYTHON_SCALARS:
        return value
    return np.asarray(value, np.float64) if is_floating(value.dtype) else np.asarray(value)


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an array or number."""
    return () if type(value) in PYTHON_SCALARS else tuple(value.shape)


def gather_entries(value: Any, shape: tuple[int, ...], out: Array) -> Array:
    """Entries at flat positions of a value seen in a broadcast shape, without making that array."""
    if not shape:
        return np.repeat(np.asarray(value), len(out))
    return np.asarray(np.broadcast_to(value, shape)[np.unravel_index(out, shape)])


class LocalJacobian:
    """∂out/∂operand `k` of one application; subclasses know one kind of Jacobian each."""

    move = False
    """Whether every entry of the output is one entry of the operand, unchanged."""

    def __init__(self, app: Application, k: int, out: Node) -> None:
        self.app, self.k, self.node = app, k, out
        self.operand: Node = app.inputs[k]
        self.primitive: Operation = app.primitive
        self.rule = self.primitive.rules[0 if self.primitive.variadic else k]
        self.shape, self.out_shape = shape_of(raw(self.operand)), shape_of(raw(out))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.app, self.k, self.node)  # what was computed since is computed again

    @property
    def body(self) -> Callable[..., Any] | None:
        """What computes the same by other operations, which can be looked into: of composites, loops and branches."""
        primitive = self.primitive
        return cast(JointOperation, primitive).written_out if primitive.joint else primitive.body

    @property
    def reason(self) -> str:
        """Why nothing flows here, if the declaration says that nothing does."""
        return self.rule.reason if isinstance(self.rule, Zero) else ""

    @functools.cached_property
    def additive(self) -> bool:
        """Whether the operation is a sum: it passes every tangent on unchanged, from each of its operands."""
        rules = self.primitive.rules
        return self.primitive.kind in ("elementwise", "reduction") and len(rules) > 0 and all(map(_passes_on, rules))

    @property
    def rounds(self) -> bool:
        """Whether the rule itself computes something, and so may round; sums and products only pass on."""
        return isinstance(self.rule, Rule) and not self.additive

    @functools.cached_property
    def formula(self) -> Expression:
        """The local factor as a formula in the rule's own symbols."""
        return Number(1)

    def columns(self, ats: Array) -> Columns:
        """The columns of the entries at these flat positions of the operand."""
        raise NotImplementedError

    def came_from(self, out: int) -> int:
        """For a move: the flat position that entry `out` of the output comes from; −1 if from another operand."""
        return out

    def values_at(self, out: int, inner: int = 0) -> dict[str, tuple[Any, int]]:
        """For symbols of the formula: the stored value, or node, and the flat position that meets `out`."""
        return {}

    def parts_at(self, inner: int, out: int) -> dict[str, tuple[Expression, Any]]:
        """For the other symbols of the formula, parts that look at more than one entry: formula and number."""
        return {}

    def products(self, columns: Columns, delta: Array) -> Array:
        """Cotangent times local factor, as the rule itself multiplies: a closed gate gives 0, whatever comes."""
        with np.errstate(all="ignore"):
            return np.asarray(delta * columns.factor)


def _passes_on(rule: Rule | Zero | None) -> bool:
    if not isinstance(rule, Rule) or rule.names != ("g",):
        return False
    token = object()
    try:
        return rule.formula(token) is token
    except TypeError:
        return False


class Elementwise(LocalJacobian):
    """A diagonal Jacobian, seen through broadcasting: an entry meets the outputs that it was repeated into."""

    @functools.cached_property
    def _repeated(self) -> tuple[bool, ...]:
        pad = len(self.out_shape) - len(self.shape)
        return tuple(i < pad or self.shape[i - pad] != n for i, n in enumerate(self.out_shape))

    @functools.cached_property
    def move(self) -> bool:  # type: ignore[override]  # a constant of the class for most kinds
        """A conversion of dtype, or the identity: the value itself."""
        return len(self.app.inputs) == 1 and self.primitive.tex == "{x}" and isinstance(self.rule, Rule)

    def _outputs(self, ats: Array) -> tuple[Array, Array]:
        if self.shape == self.out_shape:
            return np.arange(len(ats)), ats
        pad = len(self.out_shape) - len(self.shape)
        found = []
        for at in ats:
            index = np.unravel_index(int(at), self.shape) if self.shape else ()
            key = tuple(slice(None) if r else index[i - pad] for i, r in enumerate(self._repeated))
            found.append(np.ravel(positions(self.out_shape)[key]))
        return np.repeat(np.arange(len(ats)), [len(f) for f in found]), np.concatenate(found)

    def picked(self, out: Array) -> tuple[list[Any], Any]:
        """All operands, and the output, at these entries of the output."""

        def pick(value: Any) -> Any:
            return value if type(value) in PYTHON_SCALARS else wide(gather_entries(value, self.out_shape, out))

        return [pick(v) for v in self.app.raw], pick(self.app.outputs)

    def columns(self, ats: Array) -> Columns:
        """See `LocalJacobian.columns`."""
        source, out = self._outputs(ats)
        return Columns(source, out, self._call(np.ones(len(out)), out))

    def _call(self, g: Array, out: Array) -> Array:
        if not isinstance(self.rule, Rule):
            return np.zeros(len(out))
        xs, y = self.picked(out)
        with np.errstate(all="ignore"):
            value = self.rule.call(g, y, xs, self.app.params)
        return np.broadcast_to(np.asarray(value, np.float64), (len(out),))

    def products(self, columns: Columns, delta: Array) -> Array:
        """See `LocalJacobian.products`."""
        product = super().products(columns, delta)
        odd = ~np.isfinite(product)
        if odd.any():
            product[odd] = self._call(delta[odd], columns.out[odd])
        return product

    @functools.cached_property
    def formula(self) -> Expression:
        """See `LocalJacobian.formula`."""
        if not isinstance(self.rule, Rule):
            return Number(0)
        rule, params, values = self.rule, self.app.params, self.app.raw
        names, types, fixed = [UNIT, "y"], [symbol_type(0.0)] * 2, []
        for name, value in zip(self.primitive.operands, values, strict=True):
            fixed.append(type(value) in PYTHON_SCALARS)
            if not fixed[-1]:
                names.append(name)
                types.append(symbol_type(value))

        def call(g: Any, y: Any, *symbols: Any) -> Any:
            rest = iter(symbols)
            xs = [v if f else next(rest) for v, f in zip(values, fixed, strict=True)]
            return rule.call(g, y, xs, params)

        return rule_formula(call, names, types)

    def values_at(self, out: int, inner: int = 0) -> dict[str, tuple[Any, int]]:
        """See `LocalJacobian.values_at`."""
        index = np.unravel_index(out, self.out_shape) if self.out_shape else ()
        found: dict[str, tuple[Any, int]] = {"y": (self.node, out)}
        for name, value, given in zip(self.primitive.operands, self.app.raw, self.app.inputs, strict=True):
            shape = shape_of(value)
            pad = len(self.out_shape) - len(shape)
            own = tuple(0 if n == 1 else int(i) for i, n in zip(index[pad:], shape, strict=True))
            found[name] = given, int(np.ravel_multi_index(own, shape)) if shape else 0
        return found


class Multilinear(LocalJacobian):
    """Linear in each operand: the primitive itself on a unit tangent, with every axis that meets it cut to one."""

    rounds = False  # a property of most kinds: here the factor is an entry as it is stored

    def _fixed(self, at: int) -> tuple[dict[str, int], tuple[int, ...]]:
        assert self.primitive.signature is not None
        core = self.primitive.signature.inputs[self.k]
        index = tuple(map(int, np.unravel_index(at, self.shape)))
        split = len(index) - len(core)
        return dict(zip(core, index[split:], strict=True)), index[:split]

    def _key(self, shape: tuple[int, ...], core: Sequence[str], fixed: dict[str, int], loop: Sequence[Any]) -> Any:
        """The part of an operand, or of the output, that meets the entry."""
        split = len(shape) - len(core)
        aligned = list(loop)[len(loop) - split :] if split else []
        loops = [slice(0, 1) if n == 1 else part for n, part in zip(shape, aligned, strict=False)]
        return (*loops, *(slice(fixed[c], fixed[c] + 1) if c in fixed else slice(None) for c in core))

    def _one(self, at: int) -> tuple[Array, Array]:
        signature = self.primitive.signature
        assert signature is not None
        fixed, own = self._fixed(at)
        rank = len(self.out_shape) - len(signature.outputs[0])
        shape = (1,) * (rank - len(own)) + self.shape[: len(own)]
        loop = [
            slice(i, i + 1) if size == total else slice(None)
            for i, size, total in zip((0,) * (rank - len(own)) + own, shape, self.out_shape, strict=False)
        ]
        cut = [
            np.ones((1,) * len(self.shape)) if j == self.k else wide(v)[self._key(shape_of(v), core, fixed, loop)]
            for j, (v, core) in enumerate(zip(self.app.raw, signature.inputs, strict=True))
        ]
        with np.errstate(all="ignore"):
            value = np.asarray(self.primitive(*cut, **self.app.params))
        out = positions(self.out_shape)[self._key(self.out_shape, signature.outputs[0], fixed, loop)]
        return np.ravel(out), np.ravel(np.broadcast_to(value, out.shape))

    def columns(self, ats: Array) -> Columns:
        """See `LocalJacobian.columns`."""
        found = [self._one(int(at)) for at in ats]
        source = np.repeat(np.arange(len(ats)), [len(out) for out, _ in found])
        return Columns(source, np.concatenate([o for o, _ in found]), np.concatenate([f for _, f in found]))

    @functools.cached_property
    def formula(self) -> Expression:
        """One product of the sum that a matrix product is: its rule is that of `multiply`."""
        rule = REGISTRY["multiply"].rules[self.k]
        assert isinstance(rule, Rule)
        names = [UNIT, *self.primitive.operands]
        types = [symbol_type(0.0)] * len(names)
        return rule_formula(lambda g, *xs: rule.call(g, None, xs, {}), names, types)

    def partner(self, at: int, out: int) -> int:
        """The flat position, in the other operand, that multiplies entry `at` towards `out`."""
        signature = self.primitive.signature
        assert signature is not None
        other = 1 - self.k
        fixed, _ = self._fixed(at)
        index = tuple(map(int, np.unravel_index(out, self.out_shape)))
        split = len(index) - len(signature.outputs[0])
        fixed |= dict(zip(signature.outputs[0], index[split:], strict=True))
        shape, core = shape_of(self.app.raw[other]), signature.inputs[other]
        loops = len(shape) - len(core)
        own = [0 if n == 1 else i for n, i in zip(shape, index[split - loops : split], strict=False)]
        return int(np.ravel_multi_index((*own, *(fixed[c] for c in core)), shape))


class Structural(LocalJacobian):
    """Entries that move or repeat.  What goes where is found by moving the positions themselves."""

    def _moved(self, entries: Array) -> Array:
        if self.primitive.jvp is not None:  # what checks its operand takes no positions for it
            dots = [entries if j == self.k else None for j in range(len(self.app.raw))]
            return np.asarray(self.primitive.pushforward(dots, self.app.outputs, self.app.raw, self.app.params))
        xs = [
            entries if j == self.k else np.zeros(shape_of(v)) if self._is_active(j) else v
            for j, v in enumerate(self.app.raw)
        ]
        return np.asarray(self.primitive(*xs, **self.app.params))

    def _is_active(self, j: int) -> bool:
        rules = self.primitive.rules
        return (rules[0] if self.primitive.variadic else rules[j]) is not None

    @functools.cached_property
    def _origin(self) -> Array | None:
        """For every output the entry it comes from (−1: none), or None where the primitive adds entries up."""
        count = int(np.prod(self.shape, dtype=np.int64))
        origin = self._moved(np.arange(1.0, count + 1).reshape(self.shape)).astype(np.int64) - 1
        probe = np.random.default_rng(0).random(count) + 0.5
        seen = np.where(origin < 0, 0.0, np.append(probe, 0.0)[np.minimum(origin, count)])
        return origin.ravel() if np.array_equal(seen, self._moved(probe.reshape(self.shape))) else None

    @functools.cached_property
    def move(self) -> bool:  # type: ignore[override]  # a constant of the class for most kinds
        """See `LocalJacobian.move`."""
        return self._origin is not None and isinstance(self.rule, Rule)

    def came_from(self, out: int) -> int:
        """See `LocalJacobian.came_from`."""
        return -1 if self._origin is None else int(self._origin[out])

    @functools.cached_property
    def _sorted(self) -> tuple[Array, Array]:
        assert self._origin is not None
        order = np.argsort(self._origin, kind="stable")
        return order, self._origin[order]

    def columns(self, ats: Array) -> Columns:
        """See `LocalJacobian.columns`."""
        if self._origin is None:
            return by_unit_tangents(self, ats)
        order, ranked = self._sorted
        first, last = np.searchsorted(ranked, ats), np.searchsorted(ranked, ats, side="right")
        counts = last - first
        source = np.repeat(np.arange(len(ats)), counts)
        within = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
        out = order[np.repeat(first, counts) + within]
        return Columns(source, out, np.ones(len(out)))

    @functools.cached_property
    def formula(self) -> Expression:
        """See `LocalJacobian.formula`."""
        return Number(1)


def by_unit_tangents(local: LocalJacobian, ats: Array) -> Columns:
    """Forward mode on one unit vector per entry."""
    xs, app = [wide(v) for v in local.app.raw], local.app
    found = []
    for at in ats:
        unit = np.zeros(local.shape)
        unit.reshape(-1)[at] = 1.0
        dots: list[Any] = [None] * len(xs)
        dots[local.k] = unit[()]
        with np.errstate(all="ignore"):
            out = app.primitive.pushforward(dots, app.outputs, xs, app.params)
        part = out[local.node.position] if type(app.outputs) is tuple and out is not None else out
        column = np.ravel(np.broadcast_to(np.asarray(0.0 if part is None else raw(part), np.float64), local.out_shape))
        (hits,) = np.nonzero(column != 0)
        found.append((hits, column[hits]))
    source = np.repeat(np.arange(len(ats)), [len(h) for h, _ in found])
    return Columns(source, np.concatenate([h for h, _ in found]), np.concatenate([f for _, f in found]))
