"""The table of derivatives at singular points: what a library gives for every row of `docs/singular-points.md`.

`python tests/docs/singular_points.py LIBRARY` prints one value per row, for clearprop, PyTorch or JAX; each needs only
the library itself, so that the others may be installed elsewhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "singular-points.md"
LIBRARIES = ("clearprop", "PyTorch", "JAX")


class Row(NamedTuple):
    """A function of x, or of x and y; where; by which, twice for a second derivative; what each library gives."""

    function: str
    at: str
    by: str
    values: tuple[str, ...]


def rows(text: str) -> list[Row]:
    """The rows of the page's tables."""
    cells = [[c.strip() for c in line.strip("|\n").split("|")] for line in text.splitlines() if line.startswith("| `")]
    return [Row(f.strip("`"), at, by, tuple(values)) for f, at, by, *values in cells]


def point(at: str) -> list[Any]:
    """`1, ∞` or `[3, 3]` as Python numbers."""
    text = at.replace("−", "-").replace("∞", "1e999").replace("NaN", "(1e999-1e999)").replace("10⁸", "1e8")
    return list(eval(text + ",", {"__builtins__": {}}))  # a page of ours


def shown(value: Any) -> str:
    """A number or a list of them as the page has it."""
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    text = f"{value + 0.0:.4g}".replace("nan", "NaN").replace("inf", "∞").replace("-", "−")
    return text


def clearprop_derivative(run: Callable[..., Any] = lambda f: f) -> Callable[[Row], str]:
    """Ours, with `run` applied to the derivative: compiled, for example."""
    import numpy as np

    import clearprop as cl

    def derivative(row: Row) -> str:
        f = eval(f"lambda x, y=0.0: {row.function}", {**{n: getattr(cl, n) for n in dir(cl)}})
        given = [np.asarray(v, np.float64) for v in point(row.at)]
        for letter in row.by:
            f = cl.grad(f, argnums="xy".index(letter))
        return shown(np.asarray(run(f)(*given)).tolist())

    return derivative


def pytorch_derivative() -> Callable[[Row], str]:
    """PyTorch's, in double precision."""
    import torch
    from torch.nn import functional as nn

    names = {n: getattr(home, n) for home in (torch.special, torch, nn) for n in dir(home)}
    number = lambda v: v if isinstance(v, torch.Tensor) else torch.tensor(v, dtype=torch.float64)
    names |= {
        "max": torch.max, "min": torch.min, "norm": torch.linalg.norm, "pow": torch.pow,
        "clip": lambda x, low, high: torch.clip(x, number(low), number(high)),
        "maximum": lambda a, b: torch.maximum(number(a), number(b)),
        "minimum": lambda a, b: torch.minimum(number(a), number(b)),
        "std": lambda x: torch.std(x, correction=0), "logsumexp": lambda x: torch.logsumexp(x, 0),
        "sigmoid_cross_entropy": lambda z, p: nn.binary_cross_entropy_with_logits(z, number(p)),
        "absolute_error": lambda a, b: nn.l1_loss(a, number(b)),
        "leaky_relu": lambda x: nn.leaky_relu(x), "hard_tanh": nn.hardtanh, "hard_sigmoid": nn.hardsigmoid,
        "hard_silu": nn.hardswish, "cumulative_prod": lambda x: torch.cumprod(x, 0),
        "cummax": lambda x: torch.cummax(x, 0)[0], "sort": lambda x: torch.sort(x)[0],
        "copysign": lambda a, b: torch.copysign(a, number(b)), "fmod": lambda a, b: torch.fmod(a, number(b)),
        "remainder": lambda a, b: torch.remainder(a, number(b)), "nanmax": lambda x: torch.max(x[~torch.isnan(x)]),
        "logcumsumexp": lambda x: torch.logcumsumexp(x, 0), "nanmean": torch.nanmean, "quantile": torch.quantile,
    }  # fmt: skip

    def derivative(row: Row) -> str:
        f = eval(f"lambda x, y=None: {row.function}", names)
        given = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in point(row.at)]
        out = f(*given)
        for letter in row.by:
            (out,) = torch.autograd.grad(out, given["xy".index(letter)], create_graph=True, materialize_grads=True)
        return shown(out.tolist())

    return derivative


def jax_derivative() -> Callable[[Row], str]:
    """JAX's, in double precision."""
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", True)
    log_sigmoid = jax.nn.log_sigmoid
    from jax.scipy import special

    names = {n: getattr(home, n) for home in (special, jnp, jax.nn) for n in dir(home)}
    names |= {
        "norm": jnp.linalg.norm, "atan2": jnp.arctan2, "pow": jnp.power,
        "asin": jnp.arcsin, "acos": jnp.arccos, "acosh": jnp.arccosh, "atanh": jnp.arctanh,
        "sigmoid_cross_entropy": lambda z, p: -p * log_sigmoid(z) - (1 - p) * log_sigmoid(-z),
        "absolute_error": lambda a, b: jnp.abs(a - b), "rsqrt": jax.lax.rsqrt, "lgamma": special.gammaln,
        "softsign": jax.nn.soft_sign, "hard_silu": jax.nn.hard_swish, "cumulative_prod": jnp.cumprod,
        "cummax": jax.lax.cummax, "logcumsumexp": jax.lax.cumlogsumexp, "erfc": special.erfc,
    }  # fmt: skip

    def derivative(row: Row) -> str:
        f = eval(f"lambda x, y=0.0: {row.function}", names)
        given = [jnp.asarray(v, jnp.float64) for v in point(row.at)]
        for letter in row.by:
            f = jax.grad(f, argnums="xy".index(letter))
        return shown(f(*given).tolist())

    return derivative


def main(library: str) -> None:
    """Print what a library gives, as a list in JSON."""
    makers = dict(zip(LIBRARIES, (clearprop_derivative, pytorch_derivative, jax_derivative), strict=True))
    derivative = makers[library]()
    print(json.dumps([derivative(row) for row in rows(PAGE.read_text(encoding="utf-8"))]))


if __name__ == "__main__":
    main(sys.argv[1])
