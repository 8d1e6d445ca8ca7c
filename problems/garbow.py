"""Problems of Moré, Garbow and Hillstrom (ACM TOMS 7(1), 1981): residuals, the standard start, known minima of Σr²."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import clearprop as cl


@dataclass(frozen=True)
class Problem:
    """Residuals, where to start and what Σr² is there, and the values of its minima."""

    name: str
    residuals: Callable[[Any], Any]
    start: NDArray[np.float64]
    at_start: float
    minima: tuple[float, ...]

    def value(self, x: Any) -> Any:
        """The function Σr²."""
        return cl.sum(self.residuals(x) ** 2)

    def reached(self, value: float) -> bool:
        """Whether a value is that of a minimum: to 1e-8, or to 1e-5 of a minimum that is known to six digits."""
        return any(abs(value - m) <= (1e-5 * m if m else 1e-8) for m in self.minima)


def _vector(*parts: Any) -> Any:
    return cl.stack(parts)


def rosenbrock(x: Any) -> Any:
    """The curved valley of two variables."""
    return _vector(10 * (x[1] - x[0] ** 2), 1 - x[0])


def freudenstein_roth(x: Any) -> Any:
    """Two minima, of which most starts find the higher."""
    return _vector(-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1])


def beale(x: Any) -> Any:
    """Three residuals in two variables."""
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** np.array([1.0, 2.0, 3.0]))


def helical_valley(x: Any) -> Any:
    """A valley that winds around an axis."""
    turn = cl.atan(x[1] / x[0]) / (2 * math.pi) + cl.where(x[0] > 0, 0.0, 0.5)
    return _vector(10 * (x[2] - 10 * turn), 10 * (cl.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2])


def box(x: Any) -> Any:
    """Box's three-dimensional function: two decays that can change places."""
    t = 0.1 * np.arange(1, 11)
    return cl.exp(-t * x[0]) - cl.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def powell_singular(x: Any) -> Any:
    """The Hessian is singular at the minimum."""
    ends = math.sqrt(10) * (x[0] - x[3]) ** 2
    return _vector(x[0] + 10 * x[1], math.sqrt(5) * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, ends)


def wood(x: Any) -> Any:
    """Two valleys, coupled."""
    pair = 1 / math.sqrt(10) * (x[1] - x[3])
    valleys = 10 * (x[1] - x[0] ** 2), 1 - x[0], math.sqrt(90) * (x[3] - x[2] ** 2), 1 - x[2]
    return _vector(*valleys, math.sqrt(10) * (x[1] + x[3] - 2), pair)


def extended_rosenbrock(x: Any) -> Any:
    """Rosenbrock's valley for every pair of variables."""
    odd, even = x[0::2], x[1::2]
    return cl.concat([10 * (even - odd**2), 1 - odd])


def trigonometric(x: Any) -> Any:
    """As many residuals as variables, with several minima."""
    n = 10
    return n - cl.sum(cl.cos(x)) + np.arange(1.0, n + 1) * (1 - cl.cos(x)) - cl.sin(x)


def _problem(residuals: Callable[[Any], Any], start: Any, at_start: float, *minima: float) -> Problem:
    return Problem(residuals.__name__.replace("_", " "), residuals, np.array(start, dtype=float), at_start, minima)


PROBLEMS = [
    _problem(rosenbrock, (-1.2, 1), 24.2, 0.0),
    _problem(freudenstein_roth, (0.5, -2), 400.5, 48.9843, 0.0),
    _problem(beale, (1, 1), 14.2031, 0.0),
    _problem(helical_valley, (-1, 0, 0), 2500, 0.0),
    _problem(box, (0, 10, 20), 1031.15, 0.0),
    _problem(powell_singular, (3, -1, 0, 1), 215, 0.0),
    _problem(wood, (-3, -1, -3, -1), 19192, 0.0),
    _problem(extended_rosenbrock, (-1.2, 1) * 5, 121, 0.0),
    _problem(trigonometric, (0.1,) * 10, 7.07576e-3, 2.79506e-5, 0.0),
]
