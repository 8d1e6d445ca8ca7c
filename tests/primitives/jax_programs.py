"""Random programs of the later functions: their values, gradients, tangents and second derivatives, by JAX or by ours.

`python tests/primitives/jax_programs.py` prints JAX's as JSON; it needs JAX alone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

X, Y = np.array([0.7, 1.3, 0.55, 1.1, 0.9]), np.array([1.2, 0.6, 1.45, 0.8, 1.05])
WEIGHTS, DIRECTION = 1.5 + np.cos(np.arange(5) * 1.7), np.cos(1.0 + np.arange(5) * 2.3)
COUNT = 60
UNARY = (
    *("exp2", "rsqrt", "sinc", "softsign", "erf", "erfc", "lgamma", "digamma", "ndtr", "log_ndtr", "entr", "i0e"),
    *("i1e", "mish", "hard_tanh", "deg2rad", "trunc", "sort", "flip", "cumulative_sum", "cumulative_prod", "cummax"),
    *("cummin", "logcumsumexp", "softmax", "expm1", "nan_to_num"),
)
BINARY = (
    "hypot",
    "copysign",
    "xlogy",
    "xlog1py",
    "fmax",
    "fmin",
    "logaddexp",
    "atan2",
    "remainder",
    "betaln",
)
WHOLE = (
    *("{0} * median({1})", "{0} * quantile({1}, 0.3)", "{0} * nanmean({1})", "{0} * trapezoid({1})", "roll({0}, 2)"),
    *("real(fft.fft({0}))", "abs(fft.fft({0}))", "real(fft.ifft({0} * fft.fft({1})))", "diag({0}) @ {1}"),
    *(
        "outer({0}, {1}) @ {0}",
        "einsum('i,j,j->i', {0}, {1}, {1})",
        "{0} * inner({0}, {1})",
        "{0} * trace(outer({0}, {1}))",
    ),
    *("linalg.solve(4.0 * eye(5) + outer({0}, {1}), {1})", "{0} * linalg.det(2.0 * eye(5) + outer({0}, {1}))"),
    *("linalg.cholesky(3.0 * eye(5) + outer({0}, {0})) @ {1}", "linalg.inv(3.0 * eye(5) + outer({0}, {1})) @ {0}"),
)
"""Functions of two vectors of five."""


def programs() -> list[str]:
    """Expressions in x and y; what each step gives is brought back between ½ and 1½, where all functions are smooth."""
    draw, found = random.Random(0), []
    for _ in range(COUNT):
        values = ["x", "y"]
        for _ in range(4):
            a, b = draw.choice(values[-2:]), draw.choice(values)
            kind = draw.randrange(3)
            if kind == 0:
                step = f"{draw.choice(UNARY)}({a})"
            elif kind == 1:
                step = f"{draw.choice(BINARY)}({a}, {b})"
            else:
                step = draw.choice(WHOLE).format(a, b)
            values.append(f"(0.5 + sigmoid({step}))")
        found.append(values[-1])
    return found


def of_jax() -> dict[str, Any]:
    """Our names in JAX."""
    import jax
    import jax.numpy as jnp
    from jax.scipy import special

    names = {n: getattr(home, n) for home in (special, jax.nn, jnp) for n in dir(home)}
    return names | {
        "rsqrt": jax.lax.rsqrt, "softsign": jax.nn.soft_sign, "lgamma": special.gammaln, "atan2": jnp.arctan2,
        "cumulative_sum": jnp.cumsum, "cumulative_prod": jnp.cumprod, "cummax": jax.lax.cummax,
        "cummin": jax.lax.cummin, "logcumsumexp": jax.lax.cumlogsumexp, "erf": special.erf, "erfc": special.erfc,
    }  # fmt: skip


def results(text: str, names: Mapping[str, Any], library: Any, total: Callable[[Any], Any]) -> list[Any]:
    """Value, gradient by both arguments, tangent, and the gradient's tangent of one program."""
    f = eval(f"lambda x, y: {text}", dict(names))

    def loss(x: Any, y: Any) -> Any:
        return total(f(x, y) * WEIGHTS)

    gradient = library.grad(loss, argnums=(0, 1))
    ways = ((X, Y), (DIRECTION, DIRECTION[::-1].copy()))
    second = library.jvp(lambda x, y: total(gradient(x, y)[0] * WEIGHTS), *ways)[1]
    found = [f(X, Y), *gradient(X, Y), library.jvp(f, *ways)[1], second]
    return [np.asarray(v).tolist() for v in found]


if __name__ == "__main__":
    import jax

    jax.config.update("jax_enable_x64", True)
    print(json.dumps([results(text, of_jax(), jax, jax.numpy.sum) for text in programs()]))
