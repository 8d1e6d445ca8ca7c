"""Matrix products of NumPy arrays by tiles: what a row of the result is does not depend on the other rows."""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.compiler.binding import KernelCall
from clearprop.compiler.executable import InstructionTable
from clearprop.compiler.kernels import Kernel
from clearprop.compiler.native.cache import kernel_address, module_text
from clearprop.compiler.native.instruction_driver import DATA, READS_OBJECTS, run_shares
from clearprop.compiler.tiles import (
    BLOCK,
    CHAIN,
    UNBROKEN,
    VECTOR_BYTES,
    pack_panels,
    panel_columns,
    pays_packing,
    tile_product,
    tile_shape,
)

_Entry = Callable[[bytes], None]
_NAMES = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}


def product_of_rows(a: NDArray[Any], b: NDArray[Any], threads: int, unbroken: bool = False) -> NDArray[Any]:
    """A·B as `numpy.matmul` has it, for matrices of float32 or float64 of one dtype; leading axes broadcast.

    A sum is one chain of terms if it is `unbroken`, else several for many terms.
    """
    chain = UNBROKEN if unbroken and a.shape[-1] > CHAIN else CHAIN  # few terms are one chain in both
    if a.ndim == b.ndim == 2:
        out = np.empty((a.shape[0], b.shape[1]), a.dtype)
        _multiply(a, b, out, threads, chain)
        return out
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.empty((*lead, a.shape[-2], b.shape[-1]), a.dtype)
    if b.ndim == 2 and a.flags.c_contiguous:  # all rows are one matrix's
        _multiply(a.reshape(-1, a.shape[-1]), b, out.reshape(-1, b.shape[-1]), threads, chain)
        return out
    a, b = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
    for at in np.ndindex(*lead):
        _multiply(a[at], b[at], out[at], threads, chain)
    return out


def _multiply(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any], threads: int, chain: int) -> None:
    """One product; `out` is a matrix in plain order."""
    (m, k), n, item, dtype = a.shape, b.shape[1], a.itemsize, _NAMES[a.dtype]
    vectors = tile_shape()[1]
    b = b if b.flags.c_contiguous else np.ascontiguousarray(b)
    start, step, panel = _address(b), n * item, vectors * VECTOR_BYTES
    if pays_packing(m, n):
        wide = panel_columns(dtype, vectors)
        packed = np.empty((-(-n // wide), k, wide), b.dtype)
        _call(_packing(dtype), 0, len(packed), start, n, 1, _address(packed), n, k)
        start, step, panel = _address(packed), wide * item, k * wide * item
    rest = (_address(a), *a.strides, start, step, panel, _address(out), n * item, n, k)
    if threads > 1 and (middle := -(-m // (2 * BLOCK)) * BLOCK) < m:
        kernel = tile_product(dtype, *tile_shape(), chain=chain)
        _call_side_by_side(kernel, (0, middle, *rest), (middle, m, *rest))
    else:
        _call(_product(dtype, chain), 0, m, *rest)


class FewRows:
    """`product_of_rows` of few rows and one of some matrices, on this thread: what these say is put together once.

    matrices  of one dtype, float32 or float64, in plain order
    """

    def __init__(self, matrices: Sequence[NDArray[Any]]) -> None:
        self._known: dict[int, tuple[Any, ...]] = {}
        for b in matrices:
            (k, n), item = b.shape, b.itemsize
            rest = (_address(b), n * item, tile_shape()[1] * VECTOR_BYTES, n * item, n, k)
            self._known[id(b)] = (b, _product(_NAMES[b.dtype]), rest)

    def __call__(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        """A·B, where B is one of the matrices and A, of their dtype, has less than `MANY` rows."""
        _, call, (start, step, panel, below, n, k) = self._known[id(b)]
        out = np.empty((len(a), n), a.dtype)
        down, right = a.strides
        call(_WORDS(0, len(a), _address(a), down, right, start, step, panel, _address(out), below, n, k))
        return out


_WORDS = struct.Struct("12q").pack


def _call_side_by_side(kernel: Kernel, first: Sequence[int], second: Sequence[int]) -> None:
    """Call a kernel with two rows of words, on two threads."""
    mine, theirs = (InstructionTable([KernelCall(kernel, list(row), [])], [False]) for row in (first, second))
    reached = 0
    while reached < 1:
        for table in (mine, theirs):
            table.call[:2] = reached, 1
        reached, *_ = run_shares(mine.call, theirs.call, np.array([[0, 1, 1]], np.int64), True)


@functools.cache
def _product(dtype: str, chain: int = CHAIN) -> _Entry:
    return _entry(tile_product(dtype, *tile_shape(), chain=chain))


@functools.cache
def _packing(dtype: str) -> _Entry:
    return _entry(pack_panels(dtype, tile_shape()[1]))


def _entry(kernel: Kernel) -> _Entry:
    """The compiled kernel, called without the interpreter's lock."""
    address = kernel_address(module_text(kernel))
    return ctypes.CFUNCTYPE(None, ctypes.c_char_p)(address)


def _call(kernel: _Entry, *words: int) -> None:
    """Call a kernel with these words; a distance backwards is one forwards, modulo 2⁶⁴."""
    kernel(struct.pack(f"{len(words)}q", *words))


_word_at = ctypes.c_size_t.from_address


def _address(array: NDArray[Any]) -> int:
    """Where the data are; NumPy's own `ctypes.data` takes as long as a small product."""
    return _word_at(id(array) + DATA).value if READS_OBJECTS else array.ctypes.data
