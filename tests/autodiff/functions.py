"""Ten functions of three variables, in clearprop and in SymPy, and ten losses of one example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

import clearprop as cl

A = np.array([[2.0, -1.0, 0.5], [0.25, 3.0, 1.0], [-0.5, 0.0, 1.5]])
X = sp.symbols("x0:3", real=True)


@dataclass(frozen=True)
class Known:
    """A function, and the same function in symbols."""

    name: str
    function: Callable[..., Any]
    expression: Any

    def derivative(self, point: np.ndarray, order: int) -> np.ndarray:
        """All partial derivatives of an order at a point, to 30 digits before they are rounded."""
        at = dict(zip(X, map(sp.Rational, point.tolist()), strict=True))
        out = np.empty((3,) * order)
        for index in np.ndindex(*out.shape):
            out[index] = float(
                sp.diff(self.expression, *(X[i] for i in index)).subs(at).evalf(30)
                if order
                else self.expression.subs(at).evalf(30)
            )
        return out


def _exact(matrix: np.ndarray) -> sp.Matrix:
    return sp.Matrix([[sp.Rational(v) for v in row] for row in matrix.tolist()])


def _quadratic() -> Any:
    x = sp.Matrix(X)
    return (x.T * _exact(A) * x)[0]


def _two_layers() -> Any:
    hidden = [sp.tanh(v) for v in _exact(A) * sp.Matrix(X)]
    return sum(h * h * (i + 1) for i, h in enumerate(hidden))


x0, x1, x2 = X
FUNCTIONS = [
    Known("quadratic form", lambda x: x @ (A @ x), _quadratic()),
    Known("Rosenbrock", lambda x: cl.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
          100 * (x1 - x0**2) ** 2 + (1 - x0) ** 2 + 100 * (x2 - x1**2) ** 2 + (1 - x1) ** 2),
    Known("log of a sum of exponentials", cl.logsumexp, sp.log(sp.exp(x0) + sp.exp(x1) + sp.exp(x2))),
    Known("sines of products", lambda x: cl.sum(cl.sin(x[:2] * x[1:])), sp.sin(x0 * x1) + sp.sin(x1 * x2)),
    Known("product", cl.prod, x0 * x1 * x2),
    Known("Gaussian", lambda x: cl.exp(-0.5 * cl.sum(x * x)), sp.exp(-(x0**2 + x1**2 + x2**2) / 2)),
    Known("cube of the norm", lambda x: cl.norm(x) ** 3, sp.sqrt(x0**2 + x1**2 + x2**2) ** 3),
    Known("two layers", lambda x: cl.sum(cl.tanh(A @ x) ** 2 * np.array([1.0, 2.0, 3.0])), _two_layers()),
    Known("power and logarithm", lambda x: x[0] ** x[1] + cl.log(x[2] + x[0]) * x[1], x0**x1 + sp.log(x2 + x0) * x1),
    Known("a probability", lambda x: cl.softmax(x)[1], sp.exp(x1) / (sp.exp(x0) + sp.exp(x1) + sp.exp(x2))),
]  # fmt: skip

POINT = np.array([0.625, 1.25, -0.375])

W = sp.symbols("w0:3", real=True)
U = sp.symbols("u0:3", real=True)
T = sp.Symbol("t", real=True)


@dataclass(frozen=True)
class Loss:
    """The loss of one example (w, x, t), and the same in symbols W, U, T."""

    name: str
    function: Callable[..., Any]
    expression: Any

    def gradients(self, w: np.ndarray, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """One gradient with respect to w per example."""
        parts = [sp.diff(self.expression, v) for v in W]
        rows = []
        for row, target in zip(x.tolist(), t.tolist(), strict=True):
            at = dict(zip((*W, *U, T), map(sp.Rational, (*w.tolist(), *row, target)), strict=True))
            rows.append([float(p.subs(at).evalf(30)) for p in parts])
        return np.array(rows)


z = sum(a * b for a, b in zip(W, U, strict=True))
_SCORES = [a * b for a, b in zip(W, U, strict=True)]
_DISTANCE = sum((a - b) ** 2 for a, b in zip(W, U, strict=True))
LOSSES = [
    Loss("squared", lambda w, x, t: (w @ x - t) ** 2, (z - T) ** 2),
    Loss("logistic", lambda w, x, t: cl.sigmoid_cross_entropy(w @ x, cl.stop_gradient(t)),
         sp.log(1 + sp.exp(z)) - T * z),
    Loss("logarithm of cosh", lambda w, x, t: cl.log(cl.cosh(w @ x - t)), sp.log(sp.cosh(z - T))),
    Loss("exponential", lambda w, x, t: cl.exp(-t * (w @ x)), sp.exp(-T * z)),
    Loss("softmax", lambda w, x, t: -cl.log_softmax(w * x)[1] * t,
         -T * (_SCORES[1] - sp.log(sum(sp.exp(s) for s in _SCORES)))),
    Loss("tanh unit", lambda w, x, t: cl.squared_error(cl.tanh(cl.sum(w * x)), t), (sp.tanh(z) - T) ** 2),
    Loss("Gaussian", lambda w, x, t: t * cl.exp(-cl.sum((w - x) ** 2)), T * sp.exp(-_DISTANCE)),
    Loss("product", lambda w, x, t: cl.prod(w + x) * t, T * (W[0] + U[0]) * (W[1] + U[1]) * (W[2] + U[2])),
    Loss("softplus", lambda w, x, t: cl.softplus(-t * (x @ w)), sp.log(1 + sp.exp(-T * z))),
    Loss("regularised", lambda w, x, t: cl.square(w @ x - t) + 0.1 * cl.sum(w * w),
         (z - T) ** 2 + sum(a * a for a in W) / 10),
]  # fmt: skip
