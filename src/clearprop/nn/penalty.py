"""The penalty on large weights that training adds to a loss."""

from __future__ import annotations

from typing import Any, NamedTuple

from clearprop.program.tracing import shape_of
from clearprop.rules.elementwise import abs, square
from clearprop.rules.reductions import sum


class Penalty(NamedTuple):
    """l1·Σ|w| + l2·Σw² over the weights of a network: the parameters with two axes or more, no biases and no scales.

    l1  the factor of the sum of absolute values, 0 or more (Tibshirani 1996)
    l2  the factor of the sum of squares, 0 or more (Hoerl and Kennard 1970); its gradient is 2·l2·w

    >>> import clearprop as cl
    >>> layer = cl.nn.Dense(2, 1).replace({"weight": [[3.0], [-4.0]]})
    >>> cl.nn.Penalty(l2=0.1)(layer).item()
    2.5
    >>> bool(cl.nn.Penalty())
    False
    """

    l1: float = 0.0
    l2: float = 0.0

    def __bool__(self) -> bool:
        """Whether it adds anything."""
        return bool(self.l1 or self.l2)

    def __call__(self, model: Any) -> Any:
        """The penalty of a module, a scalar that can be differentiated; 0.0 for a penalty that adds nothing."""
        total: Any = 0.0
        for weight in model.parameters().values():
            if len(shape_of(weight)) < 2:
                continue
            if self.l1:
                total = total + self.l1 * sum(abs(weight))
            if self.l2:
                total = total + self.l2 * sum(square(weight))
        return total
