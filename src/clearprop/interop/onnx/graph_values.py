"""Values while a graph runs: arrays that are known (NumPy's, folded as they come) and tensors.

What is known stays NumPy: shapes, indices and all that is computed of constants alone.  So shapes that a model computes
are numbers when a program is traced, and no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.errors import ArgumentError, TraceError
from clearprop.program.ir import shape_of
from clearprop.program.types import type_of
from clearprop.program.values import raw

MOST_ELEMENTS = 2**28
"""The most elements of one array that a model may ask for by its numbers: a larger one is refused before it is made."""


def is_known(value: Any) -> bool:
    """Whether a value is a constant of the graph, or computed of such alone."""
    return isinstance(value, (np.ndarray, np.generic))


def known_numbers(value: Any, what: str) -> np.ndarray[Any, Any]:
    """The numbers of a value that a program is made for: a shape, axes, a number of copies.

    Raises TraceError if they are computed from what is traced.
    """
    if is_known(value):
        return np.asarray(value)
    held = raw(value)
    if isinstance(held, (np.ndarray, np.generic)):
        return np.asarray(held)
    raise TraceError(
        f"{what} depends on numbers that are known only when the program runs",
        expected=f"{what} from constants, or from shapes of the inputs",
        got="a traced value",
        try_="call the model outside of compile, or export it with a fixed shape",
    )


def integers(value: Any, what: str) -> tuple[int, ...]:
    """Known whole numbers: a tuple, also for a single one."""
    return tuple(int(v) for v in known_numbers(value, what).reshape(-1))


def sizes(x: Any) -> tuple[int, ...]:
    """The shape as numbers; a symbolic size becomes its number, and the program is made for it."""
    return tuple(int(n) for n in shape_of(x))


def rank(x: Any) -> int:
    """How many axes a value has."""
    return len(shape_of(x))


def dtype_of(x: Any) -> np.dtype[Any]:
    """The dtype of a value."""
    return np.dtype(type_of(raw(x)).dtype)


def checked_shape(shape: Sequence[Any], what: str) -> tuple[Any, ...]:
    """The shape, if an array of it may be made; raises ArgumentError for one that is negative or too large."""
    count = 1
    for n in shape:
        count *= int(n)
        if int(n) < 0 or count > MOST_ELEMENTS:
            raise ArgumentError(
                f"{what} asks for an array that cannot be made",
                expected=f"sizes from 0, at most {MOST_ELEMENTS:,} elements",
                got=f"shape {tuple(int(n) for n in shape)}",
            )
    return tuple(shape)


def require_agreement(attribute: str, told: Any, found: Any) -> None:
    """Raise ArgumentError where an attribute contradicts the arrays that it describes; None says nothing."""
    if told is not None and told != found:
        raise ArgumentError(
            f"{attribute} contradicts the weights",
            expected=f"{attribute} = {found}, or none",
            got=f"{attribute} = {told}",
            try_="export the model again: a file is not changed by guessing which of both is meant",
        )


def require_bounded_broadcast(operands: Sequence[Any], what: str) -> None:
    """Raise ArgumentError where operands broadcast to an array that is too large: a column and a row are enough."""
    shapes = [shape_of(v) for v in operands if v is not None]
    if not all(isinstance(n, int) for shape in shapes for n in shape):
        return  # sizes that are known when the program runs
    count = max(map(len, shapes), default=0)
    aligned = [(1,) * (count - len(shape)) + tuple(shape) for shape in shapes]
    checked_shape([max(sizes) for sizes in zip(*aligned, strict=True)], what)


def settle(value: Any) -> Any:
    """A result of constants alone as NumPy has it, so that it stays known."""
    if isinstance(value, Tensor):
        held = raw(value)
        return np.asarray(held) if isinstance(held, (np.ndarray, np.generic)) else value
    return value
