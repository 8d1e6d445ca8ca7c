"""Matrix products of which each row is computed as if it were alone: what predictions are made of.

By tiles where Numba is, else a row after the other by NumPy, which takes some ten times as long.  The bits of the two
differ; those of tiles are the same for every BLAS kernel, and on every processor with fused multiply-adds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.compiler.executor_choice import can_compile
from clearprop.compiler.threads import get_threads
from clearprop.rules.eager import products_by

SMALL = 1 << 24
"""Multiply-adds up to which waking a second thread takes longer than it saves."""

FEW = 16
"""Rows whose predictions take longer to ask for than to compute."""

MOST, TRIED = 2048, 32
"""The most rows at a time, and so many are tried where their products may be wide."""
WORTH, LEAST = 1 << 32, 1 << 28
"""Multiply-adds of all rows that a process judges, by which compiling is worth it: a first one takes as long as they.
And those of a table of which nothing is to be gained."""
NEAR, MANY_PRODUCTS = 1 << 23, 16
"""Bytes that a product of the rows at a time reads and gives: more than that leaves the caches.  Where there are many,
as in the steps of a loop, each takes about as long to be asked for: up to four times as many rows share that."""


def row_products() -> products_by:
    """Within the block a row of a product `a @ b` has the same bits whatever other rows a has, and in any order.

    It holds for what is computed at once, on arrays and tensors; compiled functions have their own products.

    >>> import numpy as np
    >>> import clearprop as cl
    >>> a, b = cl.asarray(np.ones((3, 2))), cl.asarray(np.ones((2, 2)))
    >>> with row_products():
    ...     print((a @ b)[0])
    Tensor([2.0, 2.0])
    """
    return products_by(_multiply, _multiply_patches)


Compute: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]


def by_blocks(compute: Compute, x: NDArray[Any], compiled: Compute | None = None) -> list[NDArray[Any]]:
    """`compute` of all rows of x with their `row_products`, so many at a time that their products stay in a cache.

    An image, a sequence or a text may be met by products a hundred times as wide as itself: how wide, the first rows
    tell.  Plain rows of numbers are at most `MOST`.

    compiled  gives the same bits, and takes blocks of one size where there is so much to do that compiling is worth it

    >>> import numpy as np
    >>> by_blocks(lambda rows: 2 * rows, np.ones((1, 2)))
    [array([[2., 2.]])]
    """
    compiled = compiled if can_compile() else None
    plain = compiled is None and x.ndim <= 2 and x.dtype.kind == "f"
    if len(x) <= (MOST if plain else TRIED):
        return _blocks(compute, x, MOST)
    widest = _Widest()
    with products_by(*widest.both()):
        first = compute(x[:TRIED])
    step, rest = widest.rows_at_once(TRIED), x[TRIED:]
    if compiled is not None and len(rest) >= step and _is_worth_compiling(widest.work * len(rest) // TRIED):
        return [first, *_blocks_of_one_size(compiled, rest, step)]
    return [first, *_blocks(compute, rest, step)]


_judged = [0]


def _is_worth_compiling(work: int) -> bool:
    """Whether it is for so many multiply-adds, which may be those of one epoch among many."""
    _judged[0] += work
    return work > LEAST and _judged[0] > WORTH


def _blocks(compute: Compute, x: NDArray[Any], step: int) -> list[NDArray[Any]]:
    with row_products():
        return [compute(x[i : i + step]) for i in range(0, len(x) or 1, step)]


def _blocks_of_one_size(compute: Compute, x: NDArray[Any], step: int) -> list[NDArray[Any]]:
    """The last one begins where it ends with the rows: what it shares with the one before is computed twice."""
    with row_products():
        parts = [compute(x[i : i + step]) for i in range(0, len(x) - step, step)]
        return [*parts, compute(x[-step:])[step * (len(parts) + 1) - len(x) :]]


class _Widest:
    """`row_products`, of which are noted the number, and of the widest the bytes of its rows and of what they give.

    And how many multiply-adds they are.
    """

    def __init__(self) -> None:
        self.count, self.bytes, self.work = 0, 1, 0

    def both(self) -> Iterator[Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]]:
        """What computes products, and those of patches."""
        return (functools.partial(self._note, multiply) for multiply in (_multiply, _multiply_patches))

    def _note(self, multiply: Any, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        product: NDArray[Any] = multiply(a, b)
        self.count, self.bytes = self.count + 1, max(self.bytes, a.nbytes + product.nbytes)
        self.work += product.size * a.shape[-1]
        return product

    def rows_at_once(self, tried: int) -> int:
        """How many rows from now on, after so many were tried."""
        near = NEAR * max(1, min(4, self.count // MANY_PRODUCTS))
        return max(tried, min(MOST, tried * near // self.bytes))


def few_rows_by(matrices: Sequence[NDArray[Any]]) -> Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None:
    """What multiplies up to `FEW` rows by one of these matrices as in `row_products`, in less time; None for others.

    >>> b = np.ones((2, 3))
    >>> multiply = few_rows_by([b])
    >>> multiply is None or multiply(np.ones((1, 2)), b).tolist()
    [[2.0, 2.0, 2.0]]
    """
    plain = all(b.flags.c_contiguous and b.flags.aligned and FEW * b.size <= SMALL for b in matrices)
    return _by_tiles().FewRows(matrices) if plain and can_compile() else None


def _multiply(a: NDArray[Any], b: NDArray[Any], unbroken: bool = False) -> NDArray[Any]:
    """a @ b, of which rows of floats are computed by themselves; sums of integers have one value in any order."""
    dtype = a.dtype if a.dtype == b.dtype else np.result_type(a, b)
    if dtype.kind != "f":
        return np.asarray(np.matmul(a, b))
    return _rows_of_floats()(_plain(a, dtype), _plain(b, dtype), unbroken)


def _multiply_patches(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """The same, of which each sum is one chain, as it is in compiled convolutions."""
    return _multiply(a, b, unbroken=True)


def _plain(x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array in this dtype, with every element where the processor expects one."""
    return x if x.dtype == dtype and x.flags.aligned else np.require(x, dtype, "A")


@functools.cache
def _rows_of_floats() -> Callable[..., NDArray[Any]]:
    """How rows are multiplied here."""
    if not can_compile():
        return _one_after_the_other
    product_of_rows = _by_tiles().product_of_rows

    def multiply(a: NDArray[Any], b: NDArray[Any], unbroken: bool = False) -> NDArray[Any]:
        multiply_adds = math.prod(a.shape) * b.shape[-1]
        product: NDArray[Any] = product_of_rows(a, b, get_threads() if multiply_adds > SMALL else 1, unbroken)
        return product

    return multiply


def _by_tiles() -> Any:
    # start-up time: LLVM is loaded when something is to be predicted
    from clearprop.compiler.native import tile_products

    return tile_products


def _one_after_the_other(a: NDArray[Any], b: NDArray[Any], unbroken: bool = False) -> NDArray[Any]:
    """Each row of a as a matrix of its own, so that BLAS takes the same way for all."""
    return np.asarray(np.matmul(a[..., None, :], b[..., None, :, :])[..., 0, :])
