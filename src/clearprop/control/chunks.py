"""A long loop as a loop of short ones: the memory of its derivatives grows as √n, or its steps stand in groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop.autodiff.batching import over_examples
from clearprop.autodiff.trees import tree_map
from clearprop.program.ir import shape_of
from clearprop.program.types import Tree
from clearprop.rules.joining import concat, stack
from clearprop.rules.structural import reshape_

Loop = Callable[..., tuple[Any, Any]]
"""`loop(f, init, xs, length, reverse)`, as `cl.scan`."""


def loop_of_loops(
    outer: Loop, inner: Loop, f: Callable[..., Any], init: Tree, xs: Tree, n: int, size: int, reverse: bool
) -> tuple[Any, Any]:
    """`n` steps as an outer loop over inner ones of `size` steps, and one more of what is left."""
    left = n % size
    first, last = (left, n) if reverse else (0, n - left)
    rows = tree_map(lambda x: reshape_(x[first:last], shape=(n // size, size, *shape_of(x)[1:])), xs)
    carry, ys = outer(lambda c, x: inner(f, c, x, size, reverse), init, rows, n // size, reverse)
    ys = tree_map(lambda y: reshape_(y, shape=(n - left, *shape_of(y)[2:])), ys)
    if not left:
        return carry, ys
    rest = tree_map(lambda x: x[:left] if reverse else x[last:], xs)
    carry, more = inner(f, carry, rest, left, reverse)
    return carry, tree_map(lambda a, b: concat([b, a] if reverse else [a, b]), ys, more)


def written_out(f: Callable[..., Any], init: Tree, xs: Tree, length: int, reverse: bool) -> tuple[Any, Any]:
    """The steps one after the other, each with operations of its own."""
    carry, ys = init, [None] * length
    for i in reversed(range(length)) if reverse else range(length):
        carry, ys[i] = f(carry, tree_map(lambda x, i=i: x[i], xs))
    return carry, tree_map(lambda *parts: stack(list(parts)), *ys)


def side_by_side(f: Callable[..., Any], init: Tree, xs: Tree, length: int, reverse: bool) -> tuple[Any, Any]:
    """Steps that carry nothing on, with whole arrays: neither their number nor their order matters."""
    return init, over_examples(lambda x: f(init, x)[1])(xs)
