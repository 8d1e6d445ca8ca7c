"""Functions with saddles: Himmelblau's, and deep linear networks at the origin."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import clearprop as cl

Vector = NDArray[np.float64]

MINIMA = np.array(
    [(3, 2), (-2.805118087, 3.131312518), (3.584428340, -1.848126527), (-3.779310253, -3.283185991)], dtype=float
)
SADDLES = [
    ((3.385154184, 0.073851880), 13.31192627),
    ((0.086677505, 2.884254701), 67.71915009),
    ((-3.073025751, -0.081353044), 104.0151629),
    ((-0.127961347, -1.953714980), 178.3372392),
]
MAXIMUM = ((-0.270844591, -0.923038556), 181.6165215)


def himmelblau(x: Any) -> Any:
    """The function (x² + y − 11)² + (x + y² − 7)²: four minima, four saddles, one maximum."""
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def newton(f: Callable[[Any], Any], x: Vector, steps: int = 50) -> Vector:
    """Newton's pure iteration x ← x − H⁻¹∇f."""
    slope, curvature = cl.compile(cl.grad(f), executor="numpy"), cl.compile(cl.hessian(f), executor="numpy")
    for _ in range(steps):
        x = x - np.linalg.solve(np.asarray(curvature(x)), np.asarray(slope(x)))
    return x


def stable_starts(distance: float = 0.3) -> Iterator[tuple[Vector, float]]:
    """`(start, value of the saddle)`: points from which the gradient flow runs into a saddle, two per saddle.

    From the saddle along its direction of positive curvature, then up the gradient (fourth-order Runge-Kutta): run
    backwards, the flow is attracted by the stable set.
    """
    slope = cl.compile(cl.grad(himmelblau), executor="numpy")
    for place, value in SADDLES:
        saddle = newton(himmelblau, np.array(place), 5)
        _, vectors = np.linalg.eigh(np.asarray(cl.hessian(himmelblau)(saddle)))
        for side in (1.0, -1.0):
            x = saddle + side * 1e-3 * vectors[:, 1]
            while np.linalg.norm(x - saddle) < distance:
                x = _runge_kutta(lambda z: np.asarray(slope(z)), x, 1e-4)
            yield x, value


def _runge_kutta(f: Callable[[Vector], Vector], x: Vector, h: float) -> Vector:
    a = f(x)
    b = f(x + h / 2 * a)
    c = f(x + h / 2 * b)
    return x + h / 6 * (a + 2 * b + 2 * c + f(x + h * c))


def deep_linear(depth: int, width: int = 4, rows: int = 32) -> tuple[Callable[[Any], Any], float, list[Vector]]:
    """The loss of a linear network of some layers that learns a linear map, and the loss at the origin, a saddle."""
    r = np.random.default_rng(0)
    x = r.standard_normal((rows, width))
    y = x @ r.standard_normal((width, width))

    def loss(weights: Any) -> Any:
        h = x
        for w in weights:
            h = h @ w
        return cl.mean((h - y) ** 2)

    return loss, float(np.mean(y**2)), [np.zeros((width, width))] * depth
