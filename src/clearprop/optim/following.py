"""A gradient transform as a method of `minimize`: the same rule that trains networks, on one function."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.autodiff.transforms import hvp
from clearprop.errors import ArgumentError, user_line
from clearprop.optim.driver import Method, Steps, Stop, small
from clearprop.optim.objective import Objective, Point
from clearprop.optim.transform import Transform, apply_updates
from clearprop.rules import random


class following(Method):
    """θ ← θ + update(∇f(θ)), step after step; only the number of steps bounds it, since values may rise in between."""

    deterministic = False
    transform: Transform

    def steps(self, objective: Objective, start: Point, tolerance: float) -> Steps:
        """The points that the transform leads to."""
        space, rule = objective.space, self.transform
        params = space.build([Tensor(v.copy()) for v in space.split(start.x)])
        state, point, number = rule.init(params), start, 0
        while (stop := small(point, tolerance)) is None:
            gradient = space.build(list(map(Tensor, space.split(point.gradient))), others=None)
            updates, state = rule.update(gradient, state, params, **self._extra(objective, point, params, number))
            params = apply_updates(params, updates)
            point = objective.point(space.join(space.pick(params)))
            if not point.finite:
                return Stop(False, "the value is not finite any more: a smaller learning rate may help")
            yield point
            number += 1
        return stop

    def _extra(self, objective: Objective, point: Point, params: Any, number: int) -> dict[str, Any]:
        """What the rule needs besides the gradient."""
        space = objective.space
        offered: dict[str, Any] = {
            "value": Tensor(np.asarray(point.value, space.dtype)),
            "f": objective.f,
            "hvp": lambda v: hvp(objective.f, params, v),
            "rng": random.fold_in(random.key(0), number),
        }
        missing = self.transform.needs - set(offered)
        if missing:
            raise ArgumentError(
                f"minimize cannot give {type(self.transform).__name__} what it needs",
                expected=f"a rule that needs only {', '.join(sorted(offered))}",
                got=f"one that needs {', '.join(sorted(missing))}",
                where=user_line(),
                try_="least_squares, if the function is a sum of squares",
            )
        return {name: offered[name] for name in self.transform.needs}
