"""Local Jacobians of moves, and of operations without declared structure."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from clearprop.errors import GradientError
from clearprop.explanation.formulas import Skeleton, rule_program, skeleton_of, symbol_type
from clearprop.explanation.jacobians import (
    Array,
    Columns,
    Elementwise,
    LocalJacobian,
    Multilinear,
    Reduction,
    aligned,
    shape_of,
    wide,
)
from clearprop.notation.expressions import Expression, Name, Number
from clearprop.primitives import Rule
from clearprop.program.values import Application, Node, raw


class Structural(LocalJacobian):
    """Entries that move or repeat.  What goes where is found by moving the positions themselves."""

    def _moved(self, entries: Array) -> Array:
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
            return _by_unit_tangents(self, ats)
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


class General(LocalJacobian):
    """No structure is declared: forward mode on a unit tangent, or reverse mode on unit cotangents."""

    def columns(self, ats: Array) -> Columns:
        """See `LocalJacobian.columns`."""
        if not isinstance(self.rule, Rule):
            empty = np.zeros(0, np.int64)
            return Columns(empty, empty, np.zeros(0))
        return _by_unit_tangents(self, ats) if self.primitive.jvp is not None else self._by_unit_cotangents(ats)

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
        return {n: (self._skeleton.parts[n][1], aligned(v, self.out_shape, out)) for n, v in found.items()}

    def values_at(self, out: int, inner: int = 0) -> dict[str, tuple[Any, int]]:
        """See `LocalJacobian.values_at`."""
        return {"y": (self.node, out)}


_MOST_ROWS = 4096


def _by_unit_tangents(local: LocalJacobian, ats: Array) -> Columns:
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
        part = out[local.node.position] if type(app.outputs) is tuple else out
        column = np.ravel(np.broadcast_to(np.asarray(raw(part), np.float64), local.out_shape))
        (hits,) = np.nonzero(column != 0)
        found.append((hits, column[hits]))
    source = np.repeat(np.arange(len(ats)), [len(h) for h, _ in found])
    return Columns(source, np.concatenate([h for h, _ in found]), np.concatenate([f for _, f in found]))


_KINDS: dict[str, type[LocalJacobian]] = {
    "elementwise": Elementwise,
    "reduction": Reduction,
    "multilinear": Multilinear,
    "structural": Structural,
    "general": General,
}


def local_jacobian(app: Application, k: int, out: Node) -> LocalJacobian:
    """∂out/∂operand `k`, by the declared kind of the application's primitive."""
    return _KINDS[app.primitive.kind](app, k, out)
