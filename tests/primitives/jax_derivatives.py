"""Functions that stand in no line of the page for PyTorch, or that it does not differentiate twice: JAX has them.

`python tests/primitives/jax_derivatives.py` prints their values, first and second derivatives as JSON; it needs JAX and
optax alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

A, B = np.linspace(0.7, 3.0, 5), np.linspace(2.2, 0.8, 5)
U = np.linspace(0.15, 0.85, 5)
WEIGHTS = 1.5 + np.cos(np.arange(5) * 1.7)
SEGMENTS = np.array([0, 1, 0, 2, 1])
HOLES = np.array([False, True, False, False, True])
SQUARE = np.array([[3.0, 0.4, -0.2], [0.1, 2.0, 0.7], [0.5, -0.3, 1.5]])
PLACES = {"betainc": U, "sigmoid_cross_entropy by labels": U, "hard_sigmoid": A - 2.0}
"""Where each function is looked at; at A where it is not said."""
ONCE = ("gammainc by a", "gammaincc by a")
"""What JAX differentiates once."""


def of_jax() -> dict[str, Callable[..., Any]]:
    """The functions of JAX as functions of one array of five, all with five results, which all derivatives are by."""
    import jax
    import jax.numpy as jnp
    import optax
    from jax.scipy import special

    segment = {n: getattr(jnp, n) for n in ("sum", "prod", "max", "min")}  # its own of products has no derivative
    running = {n: getattr(jnp, n) for n in ("nancumsum", "nancumprod")}
    reduced = {n: getattr(jnp, f"nan{n}") for n in ("sum", "mean", "prod", "max", "min", "var", "std", "median")}

    def with_holes(x: Any) -> Any:
        return jnp.where(HOLES, jnp.nan, x)

    return {
        "gammainc": lambda x: special.gammainc(A, x),
        "gammainc by a": lambda a: special.gammainc(a, B),
        "gammaincc": lambda x: special.gammaincc(A, x),
        "gammaincc by a": lambda a: special.gammaincc(a, B),
        "betainc": lambda x: special.betainc(A, B, x),
        "beta": lambda x: special.beta(x, B),
        "betaln": lambda x: special.betaln(x, B),
        "zeta": lambda x: special.zeta(2.5, x),
        "hard_sigmoid": jax.nn.hard_sigmoid,
        "getitem": lambda x: x[np.array([4, 0, 0, 2, 1])],
        "imag": lambda x: jnp.imag((1 + 2j) * x * x),
        "logabsdet": lambda x: x * jnp.linalg.slogdet(SQUARE * x[0] + x[1])[1],
        "squared_error": lambda x: optax.losses.squared_error(x, B),
        "absolute_error": lambda x: jnp.abs(x - B),
        "huber_error": lambda x: optax.losses.huber_loss(x, B),
        "softmax_cross_entropy": lambda x: x * optax.losses.softmax_cross_entropy(x, WEIGHTS / WEIGHTS.sum()),
        "softmax_cross_entropy by labels": lambda x: x * optax.losses.softmax_cross_entropy(A, x / x.sum()),
        "sigmoid_cross_entropy": lambda x: optax.losses.sigmoid_binary_cross_entropy(x, U),
        "sigmoid_cross_entropy by labels": lambda x: optax.losses.sigmoid_binary_cross_entropy(A, x),
        **{
            f"segment_{n}": lambda x, f=f: jnp.stack([f((x * x)[k == SEGMENTS]) for k in range(3)])[SEGMENTS]
            for n, f in segment.items()
        },
        **{n: lambda x, f=f: f(with_holes(x)) for n, f in running.items()},
        **{f"nan{n}": lambda x, f=f: x * f(with_holes(x)) for n, f in reduced.items()},
        "nanquantile": lambda x: x * jnp.nanquantile(with_holes(x), 0.3),
        "percentile": lambda x: x * jnp.percentile(x, 30.0),
    }


def derivatives(functions: Mapping[str, Callable[..., Any]], grad: Any, total: Any) -> dict[str, Any]:
    """Value, first and second derivative of each."""
    found = {}
    for name, f in functions.items():
        first = grad(lambda x, f=f: total(f(x) * WEIGHTS))
        second = grad(lambda x, first=first: total(first(x) * WEIGHTS))
        asked = (f, first) if name in ONCE else (f, first, second)
        found[name] = [np.asarray(g(PLACES.get(name, A))).tolist() for g in asked]
    return found


if __name__ == "__main__":
    import jax

    jax.config.update("jax_enable_x64", True)
    print(json.dumps(derivatives(of_jax(), jax.grad, jax.numpy.sum)))
