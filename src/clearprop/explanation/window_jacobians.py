"""Local Jacobians of sums over windows: convolution and its transposes, linear in each of two operands."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from clearprop.explanation.jacobians import Array, Multilinear, shape_of, wide
from clearprop.primitives import Rule
from clearprop.program.values import raw


class Windows(Multilinear):
    """Two operands whose entries meet where positions say so: a unit tangent finds what an entry meets."""

    def _result(self, own: Array, other: Array) -> Array:
        """The primitive on these operands, the one in question and the other."""
        xs = (own, other) if self.k == 0 else (other, own)
        return np.asarray(raw(self.primitive(*xs, **self.app.params)))

    def _unit(self, at: int) -> Array:
        unit = np.zeros(self.shape)
        unit.reshape(-1)[at] = 1.0
        return unit

    @functools.cached_property
    def _other(self) -> Array:
        other: Array = wide(self.app.raw[1 - self.k])
        return other

    @functools.cached_property
    def _finite(self) -> bool:
        return bool(np.isfinite(self._other).all())

    def _one(self, at: int) -> tuple[Array, Array]:
        unit = self._unit(at)
        (out,) = np.nonzero(np.ravel(self._result(unit, np.ones_like(self._other))))
        if self._finite:
            return out, np.ravel(self._result(unit, self._other))[out]
        return out, np.array([self._other.reshape(-1)[self.partner(at, int(o))] for o in out])  # 0 · ∞ would be NaN

    def partner(self, at: int, out: int) -> int:
        """See `Multilinear.partner`: where the other operand's cotangent is, if only these two entries are not 0."""
        other = 1 - self.k
        rule = self.primitive.rules[other]
        assert isinstance(rule, Rule)
        g = np.zeros(self.out_shape)
        g.reshape(-1)[out] = 1.0
        xs: list[Any] = [None, None]
        xs[self.k], xs[other] = self._unit(at), np.zeros(shape_of(self.app.raw[other]))
        return int(np.argmax(np.asarray(raw(rule.call(g, None, xs, self.app.params)))))
