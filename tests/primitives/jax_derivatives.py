"""Functions of which PyTorch has no second derivative: value, first and second derivative by JAX, or by ours.

`python tests/primitives/jax_derivatives.py` prints JAX's as JSON; it needs JAX alone.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

A, B = np.linspace(0.7, 3.0, 5), np.linspace(2.2, 0.8, 5)
U = np.linspace(0.15, 0.85, 5)
WEIGHTS = 1.5 + np.cos(np.arange(5) * 1.7)
PLACES = {"gammainc": B, "gammaincc": B, "betainc": U, "betaln": A, "zeta": A, "hard_sigmoid": A - 2.0}
"""Where each function is looked at."""


def of_one(special: Any, hard_sigmoid: Any) -> dict[str, Any]:
    """The functions as functions of one array, which all derivatives are by."""
    return {
        "gammainc": lambda x: special.gammainc(A, x),
        "gammaincc": lambda x: special.gammaincc(A, x),
        "betainc": lambda x: special.betainc(A, B, x),
        "betaln": lambda x: special.betaln(x, B),
        "zeta": lambda x: special.zeta(2.5, x),
        "hard_sigmoid": hard_sigmoid,
    }


def derivatives(functions: dict[str, Any], grad: Any, total: Any) -> dict[str, Any]:
    """Value, first and second derivative of each."""
    found = {}
    for name, f in functions.items():
        first = grad(lambda x, f=f: total(f(x) * WEIGHTS))
        second = grad(lambda x, first=first: total(first(x) * WEIGHTS))
        found[name] = [np.asarray(g(PLACES[name])).tolist() for g in (f, first, second)]
    return found


if __name__ == "__main__":
    import jax
    import jax.scipy.special

    jax.config.update("jax_enable_x64", True)
    print(json.dumps(derivatives(of_one(jax.scipy.special, jax.nn.hard_sigmoid), jax.grad, jax.numpy.sum)))
