"""The two decorators that declare a primitive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop.primitives.core import KINDS, Primitive
from clearprop.program import facts


def primitive(kind: str, *, numpy: str, **declaration: Any) -> Callable[[Callable[..., Any]], Primitive]:
    """Declare a leaf: a primitive with a spelling per target.

    `kind` is the structure of the Jacobian; rules are given as `d_x=` (elementwise, reduction) or `vjp_x=`
    (multilinear, structural, general) for operand x.  The decorated function gives name, operands (before `/`),
    parameters and documentation; it has no body.  `eager=` may name a function of NumPy arrays with the spelling's
    values, which runs in its place outside compiled programs.

    What the compiler may assume is stated here as well (`neutral=`, `view=`, `reduction=` …, see `Facts`).

    >>> import clearprop as cl
    >>> @cl.primitive("elementwise", numpy="{x} * {x}", d_x=lambda g, x: 2 * g * x)
    ... def squared(x, /):
    ...     '''The square x².'''
    >>> cl.grad(squared)(3.0)
    Tensor(6.0)
    """
    return _declare(kind, numpy=numpy, **declaration)


def composite(kind: str = "general", **declaration: Any) -> Callable[[Callable[..., Any]], Primitive]:
    """Declare a composite: its body is ordinary Python over other primitives, its rule is optional.

    >>> import clearprop as cl
    >>> @cl.composite("elementwise", d_x=lambda g, x: g * (1 + 2 * x))
    ... def parabola(x, /):
    ...     '''x + x².'''
    ...     return x + x * x
    >>> cl.grad(parabola)(1.0)
    Tensor(3.0)
    """
    return _declare(kind, **declaration)


_OPTIONS = (
    *("numpy", "numba", "eager", "tex", "kink", "signature", "verb", "remedy"),
    *("shape", "dtype", "conditions", "batch", "public"),
)


def _declare(kind: str, **declaration: Any) -> Callable[[Callable[..., Any]], Primitive]:
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    options = {k: declaration.pop(k) for k in _OPTIONS if k in declaration}
    stated = facts.Facts(**{k: declaration.pop(k) for k in facts.NAMES if k in declaration})

    def declare(function: Callable[..., Any]) -> Primitive:
        return Primitive(function, kind, rules=declaration, facts=stated, **options)

    return declare
