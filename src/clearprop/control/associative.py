"""`cl.associative_scan`: all partial results of an associative operation, in about log₂ n rounds of whole arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten, unflatten
from clearprop.control.carries import check_leaf
from clearprop.control.operation import as_tensors
from clearprop.errors import ArgumentError, ShapeError, checked_call, require_flag, require_function, user_line
from clearprop.program.ir import shape_of
from clearprop.program.types import Tree
from clearprop.rules.indexing import take
from clearprop.rules.joining import concat
from clearprop.rules.structural import flip


@checked_call
def associative_scan(f: Callable[[Any, Any], Any], xs: Tree, reverse: bool = False, axis: int = 0) -> Any:
    """The partial results x₁, x₁∘x₂, x₁∘x₂∘x₃ … along an axis, for a ∘ b = f(a, b).

    f        associative: f(a, f(b, c)) = f(f(a, b), c); it gets whole rows of many pairs at once, and keeps their shape
    xs       a tree of arrays over one axis of which the results run
    reverse  from the end: xₙ, xₙ∘xₙ₋₁ …, each where its last element stands
    axis     which one; of parts of the arrays along this axis f is given pairs

    What is added in another order rounds otherwise.  Each round combines neighbours, so n elements take about 2·n
    applications in 2·log₂ n rounds (Blelloch, "Prefix sums and their applications", 1990).

    Raises ShapeError if the sizes of the axis differ or an array has none, ArgumentError if f changes a shape.

    >>> import clearprop as cl
    >>> cl.associative_scan(lambda a, b: a * b, cl.tensor([1.0, 2.0, 3.0, 4.0]))
    Tensor([1.0, 2.0, 6.0, 24.0])
    """
    require_function(f, "associative_scan")
    reverse = require_flag("associative_scan", "reverse", reverse)
    leaves, structure = flatten(xs)
    leaves = as_tensors([check_leaf("associative_scan", "xs", v) for v in leaves])
    axes = [_axis_of(v, axis) for v in leaves]
    sizes = {int(shape_of(v)[k]) for v, k in zip(leaves, axes, strict=True)}
    if len(sizes) != 1:
        raise ShapeError(
            f"associative_scan runs over one {'leading axis' if axis == 0 else 'axis'}",
            expected=f"arrays whose {'leading axes' if axis == 0 else f'axes {axis}'} have one size",
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

    turned = [flip(v, axis=k) if reverse else v for v, k in zip(leaves, axes, strict=True)]
    results = _partial(combine, turned, axes, sizes.pop())
    results = [flip(v, axis=k) if reverse else v for v, k in zip(results, axes, strict=True)]
    return unflatten(structure, as_tensors(results))


def _axis_of(x: Any, axis: int) -> int:
    """The axis of an array, counted from its first."""
    rank = len(shape_of(x))
    if not isinstance(axis, int | np.integer) or isinstance(axis, bool) or not -rank <= axis < rank:
        raise ShapeError(
            "associative_scan runs over an axis that all arrays have",
            expected=f"an integer from {-rank} to {rank - 1}" if rank else "arrays, not a number",
            got=f"axis = {axis!r:.80} and shape {shape_of(x)}",
            where=user_line(),
        )
    return int(axis) % rank


Combine = Callable[[list[Any], list[Any]], list[Any]]


def _partial(combine: Combine, xs: list[Any], axes: Sequence[int], n: int) -> list[Any]:
    """Pairs of neighbours are combined, their partial results found, and the elements between are made of these."""
    if n < 2:
        return xs

    def part(arrays: Sequence[Any], *key: int | None) -> list[Any]:
        return [x[(slice(None),) * k + (slice(*key),)] for x, k in zip(arrays, axes, strict=True)]

    odd = _partial(combine, combine(part(xs, 0, n - 1, 2), part(xs, 1, None, 2)), axes, n // 2)
    even = combine(part(odd, (n - 1) // 2), part(xs, 2, None, 2)) if n > 2 else part(xs, 0)
    even = [concat([x, e], axis=k) for x, e, k in zip(part(xs, 1), even, axes, strict=True)]
    return [_interleave(e, o, n, k) for e, o, k in zip(even, odd, axes, strict=True)]


def _interleave(even: Any, odd: Any, n: int, axis: int) -> Any:
    order = np.empty(n, np.int64)
    order[::2], order[1::2] = np.arange((n + 1) // 2), np.arange((n + 1) // 2, n)
    return take(concat([even, odd], axis=axis), order, axis=axis)
