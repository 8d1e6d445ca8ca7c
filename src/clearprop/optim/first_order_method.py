"""A gradient transform as a method of `minimize`: the same rule that trains networks, on one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.autodiff.transforms import hvp
from clearprop.errors import ArgumentError, user_line
from clearprop.optim.methods import Method, Steps, Stop, stop_if_flat
from clearprop.optim.objective import Objective, Point
from clearprop.optim.transform import Transform, apply_updates
from clearprop.rules import random

OFFERED = ("f", "hvp", "rng", "value")


class following(Method):
    """θ ← θ + update(∇f(θ)), step after step; only the number of steps bounds it, since values may rise in between."""

    deterministic = False
    transform: Transform

    def steps(self, objective: Objective, start: Point, tolerance: float) -> Steps:
        """The points that the transform leads to."""
        space = objective.space
        params = space.build([Tensor(v.copy()) for v in space.split(start.x)])
        state, point, number = self.transform.init(params), start, 0
        advance = self._advance(objective.f)
        while (stop := stop_if_flat(point, tolerance)) is None:
            gradient = space.build(list(map(Tensor, space.split(point.gradient))), others=None)
            value = np.asarray(point.value, space.dtype)
            given = (params, gradient, state, value, random.fold_in(random.key(0), number))
            params, state = objective.run("advance", advance, given)
            point = objective.point(space.join(space.pick(params)))
            if not point.finite:
                return Stop(False, "the value is not finite any more: a smaller learning rate may help")
            yield point
            number += 1
        return stop

    def _advance(self, f: Callable[[Any], Any]) -> Callable[..., Any]:
        """The rule and its application, as a function of trees alone."""
        rule = self.transform
        _require_offered(rule)

        def advance(params: Any, gradient: Any, state: Any, value: Any, rng: Any) -> Any:
            offered = {"value": value, "f": f, "hvp": lambda v: hvp(f, params, v), "rng": rng}
            extra = {name: offered[name] for name in rule.needs}
            updates, state = rule.update(gradient, state, params, **extra)
            return apply_updates(params, updates), state

        return advance


def _require_offered(rule: Transform) -> None:
    missing = rule.needs - set(OFFERED)
    if missing:
        raise ArgumentError(
            f"minimize cannot give {type(rule).__name__} what it needs",
            expected=f"a rule that needs only {', '.join(OFFERED)}",
            got=f"one that needs {', '.join(sorted(missing))}",
            where=user_line(),
            try_="least_squares, if the function is a sum of squares",
        )
