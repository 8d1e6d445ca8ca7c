"""Kernels run as the plain Python that they are: the text that Numba compiles, interpreted.

Inside `plain()` everything that would run natively (compiled functions, training loops) runs interpreted instead, on
the same tables of numbers.  Every access is checked against the array that it should lie in; two threads are run one
after the other between their barriers, in either order, so that a missing barrier shows.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from clearprop.compiler import binding, executable, product_layouts
from clearprop.compiler.native import kernel_imports, native_executor
from clearprop.compiler.tiles import VECTOR_BYTES
from clearprop.primitives import HELPERS, REGISTRY
from clearprop.program.ir import Var
from clearprop.rules import on_demand

DTYPES = {
    "f32": np.float32,
    "f64": np.float64,
    "i64": np.int64,
    "i32": np.int32,
    "u32": np.uint32,
    "u64": np.uint64,
    "u8": np.uint8,
    "b1": np.bool_,
}


class Pointer:
    """An array at an address: reads and writes outside of it are errors, where native code would corrupt memory."""

    def __init__(self, base: int, size: int | None, address: int, dtype: str) -> None:
        kind = np.dtype(DTYPES[dtype])
        count = 1 << 40 if size is None else max(size, 0) // kind.itemsize
        block = (ctypes.c_char * (count * kind.itemsize)).from_address(base)
        self.array = np.frombuffer(block, kind)
        self.shift, rest = divmod(address - base, kind.itemsize)
        assert rest == 0, "an unaligned array"
        self.count = count

    def at(self, index: Any) -> int:
        place = self.shift + int(index)
        assert 0 <= place < self.count, f"index {index} lies outside of the array"
        return place

    def __getitem__(self, index: Any) -> Any:
        return self.array[self.at(index)]

    def __setitem__(self, index: Any, value: Any) -> None:
        self.array[self.at(index)] = value


def _cast(dtype: str) -> Any:
    kind = DTYPES[dtype]

    def cast(x: Any) -> Any:
        if type(x) is int and kind is np.int64:  # what came of `u64`: unsigned arithmetic wraps, Python's does not
            x = (x + 2**63) % 2**64 - 2**63
        return np.asarray(x).astype(kind)[()]

    return cast


def _gemm(dtype: str) -> Any:
    kind = np.dtype(DTYPES[dtype])

    def matrix(flag: int, rows: int, columns: int, address: int, ld: int) -> np.ndarray:
        if flag:
            return matrix(0, columns, rows, address, ld).T
        assert ld >= max(columns, 1), "BLAS refuses a leading dimension below the number of columns"
        block = (ctypes.c_char * (max(rows - 1, 0) * ld + columns) * kind.itemsize).from_address(address)
        flat = np.frombuffer(block, kind)
        return np.lib.stride_tricks.as_strided(flat, (rows, columns), (ld * kind.itemsize, kind.itemsize))

    def gemm(ta: int, tb: int, m: int, n: int, k: int, a: int, lda: int, b: int, ldb: int, c: int, ldc: int) -> None:
        if m and n:
            product = matrix(ta, m, k, a, lda) @ matrix(tb, k, n, b, ldb) if k else np.zeros((m, n), kind)
            matrix(0, m, n, c, ldc)[...] = product

    return gemm


def _numbers(address: int, count: int, dtype: Any) -> np.ndarray:
    block = (ctypes.c_char * (int(count) * dtype.itemsize)).from_address(int(address))
    return np.frombuffer(block, dtype)


def _zero_tile(dtype: str) -> Any:
    kind = np.dtype(DTYPES[dtype])
    return lambda rows, vectors: np.zeros((rows, vectors * VECTOR_BYTES // kind.itemsize), kind)


def _add_outer(tile: np.ndarray, a: int, down: int, b: int, columns: int | None = None) -> np.ndarray:
    """What the registers of a tile hold after one term more; of the first columns alone, where only these exist."""
    many = tile.shape[1] if columns is None else int(columns)
    left = np.array([_numbers(a + p * down, 1, tile.dtype)[0] for p in range(len(tile))])
    total = tile.copy()
    total[:, :many] += np.outer(left, _numbers(b, many, tile.dtype))
    return total


def _write_tile(adds: bool) -> Any:
    def write(out: int, down: int, tile: np.ndarray, columns: int | None = None) -> None:
        many = tile.shape[1] if columns is None else int(columns)
        for p, row in enumerate(tile):
            place = _numbers(out + p * down, many, tile.dtype)
            place[...] = place + row[:many] if adds else row[:many]

    return write


def _sum_tile(out: int, down: int, tile: np.ndarray, *rest: int) -> None:
    """What a tile holds and what stands elsewhere, added; `rest` begins with columns where only the first exist."""
    *columns, other, apart = rest
    many = int(columns[0]) if columns else tile.shape[1]
    for p, row in enumerate(tile):
        _numbers(out + p * down, many, tile.dtype)[...] = row[:many] + _numbers(other + p * apart, many, tile.dtype)


def _add_each(
    tile: np.ndarray, a: int, down: int, along: int, b: int, below: int, count: int, columns: int | None = None
) -> np.ndarray:
    """A tile after the products of numbers that stand side by side, of so many terms."""
    many, total = tile.shape[1] if columns is None else int(columns), tile.copy()
    for t in range(count):
        for p, row in enumerate(total):
            place = a + p * down + t * along
            row[:many] += _numbers(place, many, tile.dtype) * _numbers(b + t * below, many, tile.dtype)
    return total


def _add_dots(tile: np.ndarray, a: int, down: int, b: int, columns: int | None = None) -> np.ndarray:
    """A tile after the products of its rows' numbers and those of one vector."""
    return _add_each(tile, a, down, 0, b, 0, 1, columns)


def _keep_dots(out: int, tile: np.ndarray) -> None:
    _numbers(out, len(tile), tile.dtype)[...] = tile.sum(axis=1)


def _add_rows(tile: np.ndarray, a: int, down: int, b: int) -> np.ndarray:
    """A tile after the products of rows and one number."""
    total, number = tile.copy(), _numbers(b, 1, tile.dtype)[0]
    for p, row in enumerate(total):
        row += _numbers(a + p * down, len(row), tile.dtype) * number
    return total


def _copy_bytes(to: int, source: int, count: int) -> None:
    assert count % 4 == 0
    ctypes.memmove(int(to), int(source), int(count))


def _zero_bytes(to: int, count: int) -> None:
    assert count % 4 == 0
    ctypes.memset(int(to), 0, int(count))


def _turn_block(dtype: str) -> Any:
    kind = np.dtype(DTYPES[dtype])
    many = VECTOR_BYTES // kind.itemsize

    def turn(out: int, below: int, source: int, apart: int) -> None:
        square = np.array([_numbers(source + k * apart, many, kind) for k in range(many)])
        for k in range(many):
            _numbers(out + k * below, many, kind)[...] = square[:, k]

    return turn


TILES: dict[str, Any] = {
    **{f"turn_block_{dtype}": _turn_block(dtype) for dtype in ("f32", "f64")},
    **{f"zero_tile_{dtype}": _zero_tile(dtype) for dtype in ("f32", "f64")},
    **{f"add_outer{way}": _add_outer for way in ("", "_by", "_first", "_by_first")},
    **{f"keep_tile{way}": _write_tile(adds=False) for way in ("", "_first")},
    **{f"add_tile{way}": _write_tile(adds=True) for way in ("", "_first")},
    **{f"sum_tile{way}": _sum_tile for way in ("", "_first")},
    **{f"add_each_by{way}": _add_each for way in ("", "_first")},
    **{f"add_dots{way}": _add_dots for way in ("", "_first")},
    "keep_dots": _keep_dots,
    "add_rows_by": _add_rows,
    "copy_bytes": _copy_bytes,
    "zero_bytes": _zero_bytes,
}
"""Tiles of products and convolutions as arrays; what they read and write is looked at by guard pages alone."""
_REGISTERED = {n: REGISTRY[n]._compute for n in ("uniform_float32", "uniform_float64", "normal_quantile")}
on_demand.load_all()
_SPECIAL = {n: REGISTRY[n.removeprefix("special_")]._compute for n in dir(kernel_imports) if n.startswith("special_")}
_polygamma = REGISTRY["polygamma"]._compute
_SPECIAL["special_polygamma"] = lambda order, x: _polygamma(x, order=int(order))
NAMES: dict[str, Any] = {
    **{name: _cast(name) for name in DTYPES},
    **{n: getattr(np, n) for n in ("exp", "log", "tanh", "sqrt", "floor", "ceil", "rint", "sign", "isfinite", "expm1")},
    **{n: getattr(np, n) for n in ("log1p", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "atan2")},
    **{n: getattr(np, n) for n in ("sinh", "cosh", "asinh", "acosh", "atanh", "maximum", "minimum")},
    **{n: getattr(np, n) for n in ("floor_divide", "remainder", "trunc", "hypot", "copysign", "signbit")},
    **{n: getattr(np, n) for n in ("left_shift", "right_shift", "nextafter", "fmod", "gcd")},
    "bitwise_invert": np.invert,
    "exact_log": np.log,
    "power": HELPERS["power"],
    **_REGISTERED,
    **_SPECIAL,
    **TILES,
    "u64": int,
    "erf": lambda x: np.asarray(math.erf(x), x.dtype)[()],
    "accumulate": lambda total, x: total + x,
    "fold_maximum": np.maximum,
    "fold_minimum": np.minimum,
    "sgemm": _gemm("f32"),
    "dgemm": _gemm("f64"),
    "private_sgemm": _gemm("f32"),
    "private_dgemm": _gemm("f64"),
    "address": lambda array: 0,
    "now": lambda clock, where: 1,
    "inf": math.inf,
    "nan": math.nan,
}
"""The vocabulary of kernels, as NumPy's functions of numbers."""


class Interpreter:
    """What stands in for compiled kernels and the native driver."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.calls: list[Any] = []
        self.functions: dict[str, Any] = {}
        self.texts: list[str] = []

    def address_of(self, call: Any) -> int:
        """A number for the call, where a kernel's address would stand."""
        self.calls.append(call)
        return len(self.calls)

    def function(self, text: str) -> Any:
        """The kernel, defined by its text."""
        if text not in self.functions:
            scope = dict(NAMES)
            exec(compile(text, "<kernel>", "exec"), scope)
            self.functions[text] = scope["kernel"]
            self.texts.append(text)
        return self.functions[text]

    def run(self, x: Any, start: int, stop: int) -> None:
        """Both threads' steps, barrier by barrier."""
        order = list(range(x.threads))
        if self.first:
            order.reverse()
        running = [self.thread(x, t, start, stop) for t in order]
        with np.errstate(all="ignore"):
            while running:
                running = [t for t in running if next(t, None)]

    def thread(self, x: Any, t: int, start: int, stop: int) -> Iterator[bool]:
        """One thread; it pauses at its barriers."""
        table = x.tables[t]
        for step in range(start, stop):
            table.cursor[0] = step
            for k, fence in enumerate(table.fences):
                if table.functions[k]:
                    self.call(x, table, self.calls[int(table.functions[k]) - 1], int(table.offsets[k]) // 8, {})
                if fence:
                    yield True

    def call(self, x: Any, table: Any, call: Any, begin: int, moved: dict[Any, dict[int, Any]]) -> None:
        """One kernel on its row of the table; `moved` are the arrays of addresses that loops around it have written."""
        words = table.words[begin:]
        owners = {at: (var, int(words[at]) - offset) for at, var, offset in call.addresses} | moved.get(call, {})
        for m in (m for m in call.moves if m.begin in owners):  # not the numbers
            moved.setdefault(m.call, {})[m.word] = owners[m.begin]
        row = table.words.ctypes.data

        def run(number: int, address: int) -> None:
            self.call(x, table, self.calls[int(number) - 1], (int(address) - row) // 8, moved)

        arguments: list[Any] = [int(words[0]), int(words[1])]
        for at, p in enumerate(call.kernel.parameters, start=2):
            word = int(words[at])
            if p.kind == "number":
                kind = np.dtype(DTYPES[p.dtype])
                arguments.append(np.array(word, f"u{kind.itemsize}").view(kind)[()])
            elif not p.dtype:
                arguments.append(word - 2**64 if word >= 2**63 else word)
            else:
                arguments.append(self.pointer(x, word, owners.get(at), p.dtype))
        function = self.function(call.kernel.text)
        function.__globals__["call"] = run
        function(*arguments)

    def pointer(self, x: Any, address: int, owner: Any, dtype: str) -> Pointer:
        """The array of an argument, with the bounds of the variable that it holds, and where that begins."""
        assert owner is not None, "an address that belongs to no memory"
        var, base = owner
        assert base > 0, "an array that was given no place"
        size = x.binding.bytes(var) if isinstance(var, Var) else var.size if isinstance(var, binding.Piece) else None
        return Pointer(base, size, address, dtype)


class _Always(int):
    """A limit that every size is within."""

    def __ge__(self, other: int) -> bool:
        return True

    __gt__ = __le__ = __lt__ = __ge__


FORMS = {"rows": (0, 0), "lanes": (0, _Always()), "unrolled": (_Always(), 0)}
"""The forms of a kernel over rows: the limits (COLUMNS, NARROW) that choose it."""


@contextmanager
def plain(*, threads: int = 1, first: int = 0, form: str = "", thin: bool = True) -> Iterator[Interpreter]:
    """Within this block compiled code is interpreted.

    With `threads=2` every nest and product is divided, however small; `first` says which thread runs first between
    barriers.  `form` is how nests over short rows are written; by default their sizes decide.  `thin` says whether
    products with a short axis may be written out.
    """
    it = Interpreter(first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executable, "address_of", it.address_of)
        patch.setattr(executable, "prepare", lambda texts: None)
        patch.setattr(executable, "READS_OBJECTS", False)
        patch.setattr(executable.Executable, "_run", lambda x, start, stop: it.run(x, start, stop))
        if threads > 1:
            patch.setattr(binding, "SPLIT_ELEMENTS", 1)
            patch.setattr(binding, "SPLIT_PRODUCT", 1)
            patch.setattr(binding.Binding, "shares", _halves)
            on_threads = lambda plan, env, _, special: binding.Binding(plan, env, threads, special)
            patch.setattr(native_executor, "Binding", on_threads)
        if form:
            columns, narrow = FORMS[form]
            patch.setattr(binding, "COLUMNS", columns)
            patch.setattr(binding, "NARROW", narrow)
        patch.setattr(product_layouts, "THIN", product_layouts.THIN if thin else -1)
        yield it


def _halves(self: Any, length: int, worth: bool, step: int = 1) -> list[tuple[int, int]]:
    """Like `Binding.shares`, for lengths of any size."""
    if self.threads == 1 or not worth or length < 2:
        return [(0, length)]
    return [(0, length // 2), (length // 2, length)]
