"""Training with all rows in every step: SciPy's L-BFGS-B on the loss and gradient of one compiled call."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from clearprop.autodiff.transforms import value_and_grad
from clearprop.autodiff.trees import flatten, unflatten
from clearprop.compiler import compile as compiled
from clearprop.errors import warn_user
from clearprop.rules.elementwise import square
from clearprop.rules.reductions import sum
from clearprop.sklearn.perceptron_training import LOSSES
from clearprop.train import Measure


@dataclass(frozen=True)
class Found:
    """Where the search ended: the network, its loss with the penalty, and the steps that led there."""

    network: Any
    loss: float
    steps: int


@functools.cache
def _objective(kind: str, weighted: bool) -> Callable[..., Any]:
    """The loss plus alpha/(2·rows)·Σw² and its gradient, compiled once for each kind of loss."""
    loss = LOSSES[kind]

    def total(network: Any, x: Any, y: Any, weight: Any, half_alpha: Any) -> Any:
        outputs = network(x)
        if not weighted:
            value = loss(outputs, y)
        else:
            value = Measure(loss.__name__, loss)(outputs, y, weight)
        weights = [w for w in network.parameters().values() if w.ndim > 1]
        return value + half_alpha * functools.reduce(lambda a, b: a + b, (sum(square(w)) for w in weights))

    objective: Callable[..., Any] = compiled(value_and_grad(total))
    return objective


def _as_vector(leaves: Iterable[Any]) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(leaf).ravel() for leaf in leaves]).astype(np.float64)


def minimise(kind: str, network: Any, rows: tuple[Any, Any, Any], estimator: Any) -> Found:
    """Search from a network with the settings of an estimator: `tol` bounds the gradient, `max_fun` the calls."""
    from scipy.optimize import minimize  # loaded by this solver alone

    x, y, weight = rows
    total = len(x) if weight is None else float(weight.sum(dtype=np.float64))
    if weight is not None:
        weight = (weight * (len(x) / total)).astype(weight.dtype)
    leaves, structure = flatten(network)
    shapes, dtype = [np.shape(leaf) for leaf in leaves], x.dtype
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    half_alpha = np.asarray(float(estimator.alpha) / 2 / total, dtype)
    objective = _objective(kind, weight is not None)
    given = np.ones(len(x), dtype) if weight is None else weight

    def network_at(flat: NDArray[Any]) -> Any:
        parts = np.split(flat.astype(dtype, copy=False), ends)
        return unflatten(structure, [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)])

    def value_and_slope(flat: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        value, slope = objective(network_at(flat), x, y, given, half_alpha)
        return float(value), _as_vector(flatten(slope)[0])

    start = _as_vector(leaves)
    options = {"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol}
    result = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", options=options)
    if result.status == 1:
        warn_user(
            f"lbfgs failed to converge after {result.nit} iterations (max_iter={estimator.max_iter}, "
            f"max_fun={estimator.max_fun}): increase them, or scale the data",
            ConvergenceWarning,
        )
    return Found(network_at(result.x), float(result.fun), int(min(result.nit, estimator.max_iter)))
