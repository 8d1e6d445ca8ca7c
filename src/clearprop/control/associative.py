"""`cl.associative_scan`: all partial results of an associative operation, in about log₂ n rounds of whole arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten, unflatten
from clearprop.control.carries import check_leaf
from clearprop.control.operation import as_tensors
from clearprop.errors import ArgumentError, ShapeError, require_function, user_line
from clearprop.program.tracing import shape_of
from clearprop.program.types import Tree
from clearprop.rules.indexing import take
from clearprop.rules.joining import concat
from clearprop.rules.structural import flip


def associative_scan(f: Callable[[Any, Any], Any], xs: Tree, reverse: bool = False) -> Any:
    """The partial results x₁, x₁∘x₂, x₁∘x₂∘x₃ … along the leading axis, for a ∘ b = f(a, b).

    f        associative: f(a, f(b, c)) = f(f(a, b), c); it gets whole rows of many pairs at once, and keeps their shape
    xs       a tree of arrays over whose leading axis the results run
    reverse  from the end: xₙ, xₙ∘xₙ₋₁ …, each where its last element stands

    What is added in another order rounds otherwise.  Each round combines neighbours, so n elements take about 2·n
    applications in 2·log₂ n rounds (Blelloch, "Prefix sums and their applications", 1990).

    Raises ShapeError if leading axes differ, or f changes a shape.

    >>> import clearprop as cl
    >>> cl.associative_scan(lambda a, b: a * b, cl.tensor([1.0, 2.0, 3.0, 4.0]))
    Tensor([1.0, 2.0, 6.0, 24.0])
    """
    require_function(f, "associative_scan")
    leaves, structure = flatten(xs)
    leaves = as_tensors([check_leaf("associative_scan", "xs", v) for v in leaves])
    sizes = {int(shape_of(v)[0]) if shape_of(v) else -1 for v in leaves}
    if len(sizes) != 1 or sizes == {-1}:
        raise ShapeError(
            "associative_scan runs over one leading axis",
            expected="arrays whose leading axes have one size",
            got="shapes " + ", ".join(str(shape_of(v)) for v in leaves),
            where=user_line(),
        )

    def combine(a: list[Any], b: list[Any]) -> list[Any]:
        found, own = flatten(f(unflatten(structure, a), unflatten(structure, b)))
        if own != structure or [shape_of(v) for v in found] != [shape_of(v) for v in a]:
            raise ArgumentError(
                "associative_scan: f changes what it combines",
                expected=", ".join(str(shape_of(v)) for v in a) + ", as in its arguments",
                got=", ".join(str(shape_of(v)) for v in found),
                where=user_line(),
                try_="f takes rows of many pairs: write it entry by entry, or with cl.vmap",
            )
        return found

    rows = [flip(v, axis=0) if reverse else v for v in leaves]
    results = _partial(combine, rows, sizes.pop())
    return unflatten(structure, as_tensors([flip(v, axis=0) if reverse else v for v in results]))


def _partial(combine: Callable[[list[Any], list[Any]], list[Any]], xs: list[Any], n: int) -> list[Any]:
    """Pairs of neighbours are combined, their partial results found, and the elements between are made of these."""
    if n < 2:
        return xs
    odd = _partial(combine, combine([x[: n - 1 : 2] for x in xs], [x[1::2] for x in xs]), n // 2)
    even = combine([y[: (n - 1) // 2] for y in odd], [x[2::2] for x in xs]) if n > 2 else [x[:0] for x in xs]
    even = [concat([x[:1], e]) for x, e in zip(xs, even, strict=True)]
    return [_interleave(e, o, n) for e, o in zip(even, odd, strict=True)]


def _interleave(even: Any, odd: Any, n: int) -> Any:
    order = np.empty(n, np.int64)
    order[::2], order[1::2] = np.arange((n + 1) // 2), np.arange((n + 1) // 2, n)
    return take(concat([even, odd]), order, axis=0)
