"""Sums of products by the letters of their axes: every contraction is a matrix product of two arrays at a time.

NumPy's `einsum_path` chooses the pairs.  What remains of a pair is moves of axes, sums, and one product; so derivative,
batching and native form are those of the product.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.program.types import Value, promote, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import astype, multiply
from clearprop.rules.indexing import getitem
from clearprop.rules.linear import matmul_, tensordot
from clearprop.rules.reductions import sum
from clearprop.rules.structural import permute_dims, reshape, squeeze
from clearprop.shapes import Dim, Shape, hint, is_one, same, size_of


def _shape(x: Value) -> Shape:
    return type_of(raw(x)).shape


def einsum(subscripts: str, /, *operands: Value) -> Any:
    """Σ of products over every letter that the result has not, the axes named by letters (Einstein's convention, 1916).

    Three arrays and more are multiplied two at a time, in the order that `np.einsum_path` finds cheap.  A letter twice
    in one operand is its diagonal; an axis of size 1 repeats, as in every broadcast.

    subscripts  the letters of each operand's axes, "->" and those of the result: "ij,jk->ik".  Without "->" the
                result has the letters that occur once, in alphabetic order; "..." stands for axes without a name
    operands    as many arrays as the subscripts name

    >>> import clearprop as cl
    >>> cl.einsum("ij,j->i", cl.tensor([[1.0, 2.0], [3.0, 4.0]]), cl.tensor([1.0, 10.0]))
    Tensor([21.0, 43.0])
    >>> cl.einsum("ii", cl.tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5.0)
    """
    terms, result = _letters(subscripts, [_shape(x) for x in operands])
    dtype, _ = promote([type_of(raw(x)) for x in operands])
    cast = [x if type_of(raw(x)).dtype == dtype else astype(x, dtype=dtype) for x in operands]
    parts = _without_lone_ones([_with_diagonals(x, term) for x, term in zip(cast, terms, strict=True)], subscripts)
    for a, b in _order(parts, result):
        taken = parts[a], parts[b]
        parts = [part for i, part in enumerate(parts) if i not in (a, b)]
        wanted = set(result).union(*(term for _, term in parts))
        parts.append(_product_of(*taken, wanted))
    x, term = _sum_unwanted(*parts[0], set(result))
    return permute_dims(x, [term.index(letter) for letter in result])


def _order(parts: Sequence[tuple[Any, str]], result: str) -> Iterator[tuple[int, int]]:
    """Which two parts are multiplied, step by step; their product then stands last."""
    text = ",".join(term for _, term in parts) + "->" + result
    like = [np.broadcast_to(0.0, tuple(map(hint, _shape(x)))) for x, _ in parts]
    count = len(parts)
    for together in np.einsum_path(text, *like, optimize="greedy")[0][1:]:
        waiting = sorted(together)
        while len(waiting) > 1:  # where no order is better than another, several come at once
            a, b, *rest = waiting
            yield a, b
            count -= 1
            waiting = [*(i - 2 for i in rest), count - 1]


# ---------------------------------------------------------------------------------------------- reading the letters
def _letters(subscripts: str, shapes: Sequence[Shape]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, every axis with one."""
    terms, result = _read_subscripts(subscripts, len(shapes))
    text = "".join(terms)
    spare = "".join(c for c in reversed(string.ascii_letters) if c not in text + (result or ""))
    unnamed = [_rest_of(term, shape, spare) for term, shape in zip(terms, shapes, strict=True)]
    longest = max(unnamed, key=len)
    if result is None:
        result = "..." + "".join(sorted(c for c in set(text) - {"."} if text.count(c) == 1))
    result = result.replace("...", longest)
    named = [term.replace("...", own) for term, own in zip(terms, unnamed, strict=True)]
    if len(set(result)) < len(result) or not set(result) <= set("".join(named)):
        raise _unreadable("each letter of the result stands there once, and in an operand", repr(subscripts))
    return named, result


def _read_subscripts(subscripts: str, operands: int) -> tuple[list[str], str | None]:
    """What stands for each operand, and for the result; None where there is no arrow."""
    if not isinstance(subscripts, str):
        raise _unreadable("the subscripts come first, as text", f"{type(subscripts).__name__}")
    text, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = text.split(",")
    if len(terms) != operands:
        raise _unreadable(f"it names {len(terms)} operands", f"{operands} operands for {subscripts!r}")
    if any(set(term.replace("...", "", 1)) - set(string.ascii_letters) for term in (*terms, result)):
        raise _unreadable("axes are named by letters, others by ... once", repr(subscripts))
    return terms, result if arrow else None


def _rest_of(term: str, shape: Shape, spare: str) -> str:
    """Letters for the axes of one operand that "..." stands for: those that nobody uses, from the last axis on."""
    n = len(shape) - len(term.replace("...", ""))
    if n < 0 or (n and "..." not in term) or n > len(spare):
        raise ShapeError(
            f"einsum cannot read {term!r} off an array of {len(shape)} axes",
            expected="one letter for each axis, or ... for the rest",
            got=f"{term!r}, shape {shape}",
            where=user_line(),
        )
    return spare[:n][::-1]


def _unreadable(expected: str, got: str) -> ArgumentError:
    return ArgumentError(
        "einsum cannot read the subscripts",
        expected=expected,
        got=got,
        where=user_line(),
        try_='cl.einsum("ij,jk->ik", a, b), the matrix product',
    )


# ------------------------------------------------------------------------------------------------- making them meet
def _with_diagonals(x: Value, term: str) -> tuple[Any, str]:
    """x with one axis for each letter: of a letter that stands twice, the diagonal."""
    while len(set(term)) < len(term):
        letter = next(c for c in term if term.count(c) > 1)
        i, j = [k for k, c in enumerate(term) if c == letter][:2]
        rest = [k for k in range(len(term)) if k not in (i, j)]
        shape = _shape(x)
        if not same(shape[i], shape[j]):
            raise _unequal(f"axis {letter}", shape[i], shape[j])
        n = int(shape[i])
        flat = reshape(permute_dims(x, [*rest, i, j]), (*(shape[k] for k in rest), n * n))
        x = getitem(flat, (Ellipsis, slice(None, None, n + 1)))
        term = "".join(term[k] for k in rest) + letter
    return x, term


def _without_lone_ones(parts: Sequence[tuple[Any, str]], named: str) -> list[tuple[Any, str]]:
    """The parts without their axes of size 1 where another part has more along that letter: so they repeat."""
    # First the size of each letter, the largest that any part has; then what stands beside it with 1 loses that axis.
    sizes: dict[str, Dim] = {}
    for x, term in parts:
        for letter, n in zip(term, _shape(x), strict=True):
            known = sizes.get(letter, 1)
            if not (is_one(n) or is_one(known) or same(n, known)):
                raise _unequal(f"axis {letter}" if letter in named else "an axis without a letter", known, n)
            sizes[letter] = n if is_one(known) else known
    out = []
    for x, term in parts:
        alone = [k for k, c in enumerate(term) if is_one(_shape(x)[k]) and not is_one(sizes[c])]
        kept = "".join(c for k, c in enumerate(term) if k not in alone)
        out.append((squeeze(x, axis=tuple(alone)) if alone else x, kept))
    return out


def _unequal(axis: str, a: Dim, b: Dim) -> ShapeError:
    return ShapeError(
        f"einsum meets two sizes along {axis}",
        expected="one size for each letter, or 1",
        got=f"{a} and {b}",
        where=user_line(),
    )


def _sum_unwanted(x: Value, term: str, wanted: Iterable[str]) -> tuple[Any, str]:
    """x summed over the letters that nothing wants."""
    over = tuple(k for k, c in enumerate(term) if c not in wanted)
    if not over:
        return x, term
    dtype = type_of(raw(x)).dtype
    total = sum(x, axis=over)  # small integers widen, and here they need not
    total = total if type_of(raw(total)).dtype == dtype else astype(total, dtype=dtype)
    return total, "".join(c for c in term if c in wanted)


def _product_of(a: tuple[Any, str], b: tuple[Any, str], wanted: Iterable[str]) -> tuple[Any, str]:
    """The product of two parts, summed over the letters of both that nothing wants: those of either first."""
    # Letters of both that stay are the batch of a matrix product; those of one are rows or columns, the rest is paired.
    # Without a paired letter it is a product entry by entry, which fuses with what stands around it.
    (x, left), (y, right) = (_sum_unwanted(*own, {*wanted, *other[1]}) for own, other in ((a, b), (b, a)))
    both = [c for c in left if c in right]
    kept, over = "".join(c for c in both if c in wanted), "".join(c for c in both if c not in wanted)
    rows, columns = ("".join(c for c in t if c not in both) for t in (left, right))
    sizes = dict(zip(left + right, (*_shape(x), *_shape(y)), strict=True)) if left + right else {}
    batch, n, m, k = ([sizes[c] for c in letters] for letters in (kept, rows, columns, over))
    x = permute_dims(x, [left.index(c) for c in kept + rows + over])
    y = permute_dims(y, [right.index(c) for c in kept + over + columns])
    if over:
        x, y = reshape(x, (*batch, size_of(n), size_of(k))), reshape(y, (*batch, size_of(k), size_of(m)))
        return reshape(matmul_(x, y), (*batch, *n, *m)), kept + rows + columns
    return reshape(x, (*batch, *n, *[1] * len(m))) * reshape(y, (*batch, *[1] * len(n), *m)), kept + rows + columns


def inner(a: Value, b: Value, /) -> Any:
    """Σ of products over the last axes: of every vector in a with every vector in b.

    a, b  arrays (…, n) and (…, n)

    >>> import clearprop as cl
    >>> cl.inner(cl.tensor([1.0, 2.0]), cl.tensor([[3.0, 4.0], [5.0, 6.0]]))
    Tensor([11.0, 17.0])
    """
    if not _shape(a) or not _shape(b):
        return multiply(a, b)
    return tensordot(a, b, axes=([-1], [-1]))
