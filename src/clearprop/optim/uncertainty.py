"""How well least squares determine their variables: covariance and standard errors."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, user_line
from clearprop.optim.gauss_newton import Fit, Linear
from clearprop.optim.methods import Result
from clearprop.optim.objective import Space, Vector


@dataclasses.dataclass(frozen=True)
class Estimate(Result):
    """What `least_squares` found, with the uncertainty of x that follows from the residuals.

    They are taken as independent draws of one deviation s around a model that is right and, as far as x is uncertain,
    linear: then x has the covariance s²(JᵀJ)⁻¹, where s² = Σr²/(m − n), with m residuals and n variables (Bates &
    Watts 1988).  The Jacobian is evaluated once more when this is first asked for.

    x, value, converged, reason, evaluations, steps  as in `Result`
    space       how x becomes one vector
    linearised  what gives residuals and Jacobian at x

    >>> import clearprop as cl
    >>> t, y = cl.tensor([0.0, 1.0, 2.0, 3.0]), cl.tensor([1.1, 2.9, 5.2, 6.8])
    >>> found = cl.optim.least_squares(lambda p: p["a"] + p["b"] * t - y, {"a": 0.0, "b": 0.0})
    >>> {name: f"{float(found.x[name]):.3f} ± {float(e):.3f}" for name, e in found.standard_errors.items()}
    {'a': '1.090 ± 0.169', 'b': '1.940 ± 0.091'}
    """

    space: Space = dataclasses.field(repr=False, compare=False)
    linearised: Callable[[], Fit] = dataclasses.field(repr=False, compare=False)

    @functools.cached_property
    def _fit(self) -> Fit:
        with np.errstate(all="ignore"):
            return self.linearised()

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: the Jacobian itself in place of the function that would give it."""
        return {**self.__dict__, "_fit": self._fit, "linearised": functools.partial(_same_fit, self._fit)}

    @property
    def degrees_of_freedom(self) -> int:
        """How many more residuals than variables there are, m − n."""
        m, n = self._fit.j.shape
        return int(m - n)

    @property
    def residual_deviation(self) -> float:
        """The residuals' standard deviation s = √(Σr²/(m − n)).  Raises ArgumentError unless m > n."""
        if self.degrees_of_freedom <= 0:
            m, n = self._fit.j.shape
            raise ArgumentError(
                "the residuals say nothing about the uncertainty of x",
                expected=f"more residuals than variables: at least {n + 1}",
                got=f"{m} residuals for {n} variables",
                where=user_line(),
                try_="more observations, or fewer variables",
            )
        return math.sqrt(self._fit.point.value / self.degrees_of_freedom)

    @property
    def covariance(self) -> Vector:
        """The covariance matrix (n, n) of the numbers of x, leaf after leaf.

        Raises ArgumentError unless there are more residuals than variables, and the Jacobian tells the variables apart.
        """
        deviation, j = self.residual_deviation, self._fit.j
        norms = np.linalg.norm(j, axis=0)
        linear = Linear(self._fit, np.where(norms > 0, norms, 1.0))  # without units: rank is that of directions
        smallest = float(linear.s[0] / linear.s[-1]) if linear.s[-1] else 0.0
        if smallest <= max(j.shape) * float(np.finfo(j.dtype).eps):
            raise ArgumentError(
                "the residuals do not determine x",
                expected="a Jacobian whose columns are independent",
                got=f"some combination of the variables changes no residual (ratio of singular values {smallest:.1e})",
                where=user_line(),
                try_="leave a variable out, or add observations that tell them apart",
            )
        root = deviation * (linear.v / linear.s) / linear.scale[:, None]
        covariance: Vector = root @ root.T
        return covariance

    @property
    def standard_errors(self) -> Any:
        """The standard deviations of the numbers of x, as a tree like it: the roots of the covariance's diagonal."""
        return self.space.tree(np.sqrt(np.diag(self.covariance)))


def _same_fit(fit: Fit) -> Fit:
    return fit
