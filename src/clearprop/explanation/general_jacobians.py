"""Local Jacobians of reductions, and of operations without declared structure: rules that look at many entries."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.errors import GradientError
from clearprop.explanation.jacobians import (
    UNIT,
    Array,
    Columns,
    LocalJacobian,
    by_unit_tangents,
    expressions_of,
    gather_entries,
    positions,
    rule_program,
    shape_of,
    simplify_call,
    symbol_type,
    wide,
)
from clearprop.notation import text
from clearprop.notation.expressions import Expression, Name, Number
from clearprop.primitives import Rule
from clearprop.program.ir import Equation, Program, Var, evaluate
from clearprop.program.values import raw


class Reduction(LocalJacobian):
    """y = Σ w·x locally: the weights are the rule on a tangent of ones."""

    def _wide_out(self) -> tuple[int, ...]:
        """The output's shape with the reduced axes kept, of size 1."""
        if self.app.params.get("keepdims", False):
            return self.out_shape
        axes = self.app.params.get("axis", (-1,))
        n = len(self.shape)
        kept = iter(self.out_shape[len(self.out_shape) - (n - len(axes)) :] if n > len(axes) else ())
        own = tuple(1 if i - n in axes else next(kept) for i in range(n))
        return self.out_shape[: len(self.out_shape) - (n - len(axes))] + own

    def _weighed(self, g: Array) -> Array:
        assert isinstance(self.rule, Rule)
        shape = self._wide_out()
        xs = [wide(v) for v in self.app.raw]
        y = np.reshape(wide(self.app.outputs), shape)
        with np.errstate(all="ignore"):
            value = self.rule.call(np.reshape(g, shape), y, xs, self.app.params)
        full = np.broadcast_shapes(np.shape(value), self.shape, shape)
        return np.broadcast_to(np.asarray(value, np.float64), full)

    @functools.cached_property
    def _weights(self) -> Array:
        if not isinstance(self.rule, Rule):
            return np.zeros(np.broadcast_shapes(self.shape, self._wide_out()))
        return self._weighed(np.ones(self.out_shape))

    @functools.cached_property
    def _out(self) -> Array:
        """For every weight the entry of the output that it belongs to."""
        return np.broadcast_to(positions(self.out_shape).reshape(self._wide_out()), self._weights.shape)

    def _places(self, ats: Array) -> tuple[Array, tuple[Array, ...]]:
        """Where the entries stand among the weights: once each, or more often where x was repeated."""
        full = self._weights.shape
        if full == self.shape:
            return np.arange(len(ats)), np.unravel_index(ats, full) if full else (np.zeros(len(ats), np.int64),)
        own = np.broadcast_to(positions(self.shape), full)
        hits = [np.nonzero(own == at) for at in ats]
        source = np.repeat(np.arange(len(ats)), [len(h[0]) if h else 1 for h in hits])
        return source, tuple(np.concatenate(axis) for axis in zip(*hits, strict=True))

    def columns(self, ats: Array) -> Columns:
        """See `LocalJacobian.columns`."""
        source, places = self._places(ats)
        return Columns(source, np.atleast_1d(self._out)[places], np.atleast_1d(self._weights)[places])

    @functools.cached_property
    def _skeleton(self) -> Skeleton | None:
        if not isinstance(self.rule, Rule):
            return None
        rule, params, wide_out = self.rule, self.app.params, self._wide_out()
        names = [UNIT, "y", *self.primitive.operands]
        types = [symbol_type(0.0, wide_out)] * 2 + [symbol_type(v, shape_of(v)) for v in self.app.raw]
        return skeleton_of(rule_program(lambda g, y, *xs: rule.call(g, y, xs, params), names, types))

    @functools.cached_property
    def formula(self) -> Expression:
        """See `LocalJacobian.formula`."""
        return Number(0) if self._skeleton is None else self._skeleton.formula

    @functools.cached_property
    def _numbers(self) -> dict[str, Any]:
        assert self._skeleton is not None
        y = np.reshape(wide(self.app.outputs), self._wide_out())
        return self._skeleton.numbers([np.ones_like(y), y, *map(wide, self.app.raw)])

    def parts_at(self, inner: int, out: int) -> dict[str, tuple[Expression, Any]]:
        """See `LocalJacobian.parts_at`."""
        if self._skeleton is None:
            return {}
        return {n: (self._skeleton.parts[n][1], aligned_entry(v, self.shape, inner)) for n, v in self._numbers.items()}

    def values_at(self, out: int, inner: int = 0) -> dict[str, tuple[Any, int]]:
        """See `LocalJacobian.values_at`."""
        return {"y": (self.node, out), self.primitive.operands[0]: (self.operand, inner)}


class General(LocalJacobian):
    """No structure is declared: forward mode on a unit tangent, or reverse mode on unit cotangents."""

    def columns(self, ats: Array) -> Columns:
        """See `LocalJacobian.columns`."""
        if not isinstance(self.rule, Rule):
            empty = np.zeros(0, np.int64)
            return Columns(empty, empty, np.zeros(0))
        # A loop has both: a weight reaches all steps by one tangent, and thousands of outputs would be as many loops.
        forward = self.primitive.joint and len(ats) <= int(np.prod(self.out_shape, dtype=np.int64))
        return (
            by_unit_tangents(self, ats) if forward or self.primitive.jvp is not None else self._by_unit_cotangents(ats)
        )

    def _by_unit_cotangents(self, ats: Array) -> Columns:
        """One row of the Jacobian per output: what a rule without forward mode allows."""
        count = int(np.prod(self.out_shape, dtype=np.int64))
        if count > _MOST_ROWS:
            raise GradientError(
                f"{self.primitive.name} cannot be opened",
                expected=f"a rule for forward mode, or at most {_MOST_ROWS} outputs",
                got=f"{count} outputs and no jvp=",
                where=self.app.where,
                try_="give jvp=lambda x_dot, ...: the tangent of the output",
            )
        xs, y = [wide(v) for v in self.app.raw], self.app.outputs
        rows = np.zeros((count, len(ats)))
        for i in range(count):
            unit = np.zeros(self.out_shape)
            unit.reshape(-1)[i] = 1.0
            g: Any = unit[()]
            if type(y) is tuple:
                g = [unit if j == self.node.position else np.zeros(shape_of(o)) for j, o in enumerate(y)]
            c = self.primitive.pullback(self.k, g, y, xs, self.app.params)
            rows[i] = 0.0 if c is None else np.broadcast_to(raw(c), self.shape).reshape(-1)[ats]
        out, source = np.nonzero(rows != 0)
        return Columns(source, out, rows[out, source])

    @functools.cached_property
    def _skeleton(self) -> Skeleton | None:
        rule, primitive, params = self.primitive.jvp, self.primitive, self.app.params
        if rule is None or type(self.app.outputs) is tuple:
            return None
        names = ["y", *(n + "_dot" for n in primitive.operands), *primitive.operands]
        values = [self.app.outputs, *self.app.raw, *self.app.raw]
        types = [symbol_type(v, shape_of(v)) for v in values]
        count = len(primitive.operands)
        return skeleton_of(rule_program(lambda y, *xs: rule.call(xs[:count], y, xs[count:], params), names, types))

    @functools.cached_property
    def formula(self) -> Expression:
        """See `LocalJacobian.formula`: the forward rule on the unit tangent `x_dot`."""
        return Name(f"∂{self.primitive.name}") if self._skeleton is None else self._skeleton.formula

    def parts_at(self, inner: int, out: int) -> dict[str, tuple[Expression, Any]]:
        """See `LocalJacobian.parts_at`."""
        if self._skeleton is None:
            return {}
        units = [np.zeros(shape_of(v)) for v in self.app.raw]
        units[self.k].reshape(-1)[inner] = 1.0
        found = self._skeleton.numbers([wide(self.app.outputs), *units, *map(wide, self.app.raw)])
        return {n: (self._skeleton.parts[n][1], aligned_entry(v, self.out_shape, out)) for n, v in found.items()}

    def values_at(self, out: int, inner: int = 0) -> dict[str, tuple[Any, int]]:
        """See `LocalJacobian.values_at`."""
        return {"y": (self.node, out)}


_MOST_ROWS = 4096


def aligned_entry(value: Any, shape: tuple[int, ...], at: int) -> Any:
    """The entry of a part that meets entry `at` of an array of this shape; None where shapes do not align."""
    try:
        return gather_entries(value, shape, np.array([at]))[0].item()
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """What a rule does entry by entry: its outermost arithmetic, over parts that look at more than one entry.

    `parts` gives for every symbol of `formula` the variable of the program that it stands for, and its own formula.
    """

    formula: Expression
    parts: Mapping[str, tuple[Var, Expression]]
    program: Program

    def numbers(self, arguments: Sequence[Any]) -> dict[str, Any]:
        """The value of every part, for the program's arguments."""
        outputs = tuple(v for v, _ in self.parts.values())
        program = Program(self.program.inputs, self.program.equations, outputs, self.program.captured)
        with np.errstate(all="ignore"):
            values = evaluate(program, [*arguments, *map(raw, self.program.captured)])
        return dict(zip(self.parts, map(raw, values), strict=True))


def skeleton_of(program: Program) -> Skeleton:
    """The skeleton of a rule that was traced on arrays."""
    made = {v: eq for eq in program.equations for v in eq.outputs}
    parts: dict[str, tuple[Var, Expression]] = {}
    whole = expressions_of(program)

    def outer(atom: Any) -> Expression:
        if not isinstance(atom, Var):
            return Number(atom)
        eq = made.get(atom)
        if isinstance(whole[atom], Number):
            return whole[atom]
        if eq is not None and (eq.primitive.kind == "elementwise" or _is_widening(eq)):
            return simplify_call(eq.primitive, tuple(map(outer, eq.inputs)), dict(eq.params))
        name = atom.name if eq is None else text(whole[atom])
        parts[name] = atom, whole[atom]
        return Name(name)

    return Skeleton(outer(program.outputs[0]), parts, program)


def _is_widening(eq: Equation) -> bool:
    """Whether an equation only gives its operand the axes that it will be broadcast along."""
    return eq.primitive.kind == "structural" and eq.primitive.tex == "{x}" and len(eq.inputs) == 1
