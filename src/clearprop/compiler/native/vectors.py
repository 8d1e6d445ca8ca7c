"""Tiles: matrices of a few rows and columns that stay in vector registers while a product is summed.

A tile of P rows and Q vectors is a value of its own kind, in LLVM an array of vectors, which it splits into registers
as long as P·Q + Q + 1 are not more than the processor has.  LLVM does not come to this form from loops over numbers.

Every element is a chain of fused multiply-adds, in the order of the terms: whatever the tile's shape, whichever rows
and columns stand beside it, and however wide the processor's vectors are, its bits are the same.  No flag here lets the
compiler reorder a sum.  Addresses and distances are unsigned, in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from clearprop.compiler.tiles import VECTOR_BYTES

_FUSED = ("contract",)  # not llvm.fma, which is a slow call where the processor has no such instruction
_I64, _I32, _I1 = ir.IntType(64), ir.IntType(32), ir.IntType(1)
_REAL = {"f32": ir.FloatType(), "f64": ir.DoubleType()}
_ITEM = {"f32": 4, "f64": 8}


class Tile(types.Type):  # type: ignore[misc]  # Numba has no types
    """The Numba type of a tile of `rows` rows of `vectors` vectors."""

    def __init__(self, dtype: str, rows: int, vectors: int) -> None:
        self.dtype, self.rows, self.vectors = dtype, rows, vectors
        super().__init__(f"tile_{dtype}_{rows}x{vectors}")

    @property
    def lanes(self) -> int:
        """Numbers in a vector."""
        return VECTOR_BYTES // _ITEM[self.dtype]

    @property
    def vector(self) -> Any:
        """The LLVM type of a vector."""
        return ir.VectorType(_REAL[self.dtype], self.lanes)


@register_model(Tile)
class _TileModel(models.PrimitiveModel):  # type: ignore[misc]  # Numba has no types
    def __init__(self, manager: Any, tile: Tile) -> None:
        super().__init__(manager, tile, ir.ArrayType(tile.vector, tile.rows * tile.vectors))


def _spread(builder: Any, vector: Any, value: Any) -> Any:
    """A vector of one number."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, vector.count), None))


def _pointer(builder: Any, address: Any, target: Any) -> Any:
    return builder.inttoptr(address, target.as_pointer())


def _row_address(builder: Any, address: Any, count: int, distance: Any) -> Any:
    return builder.add(address, builder.mul(distance, _I64(count))) if count else address


def _first_lanes(builder: Any, tile: Tile, count: Any) -> Any:
    """The mask of the first `count` lanes."""
    numbers = ir.VectorType(_I32, tile.lanes)
    lanes = ir.Constant(numbers, list(range(tile.lanes)))
    return builder.icmp_unsigned("<", lanes, _spread(builder, numbers, builder.trunc(count, _I32)))


def _mask_function(module: Any, name: str, tile: Tile, result: Any, arguments: Any) -> Any:
    kind = f"v{tile.lanes}{tile.dtype}"
    return cgutils.get_or_insert_function(module, ir.FunctionType(result, arguments), f"llvm.masked.{name}.{kind}.p0")


def _mask_type(tile: Tile) -> Any:
    return ir.VectorType(_I1, tile.lanes)


def _load_first(builder: Any, tile: Tile, address: Any, count: Any) -> Any:
    """A vector of which only the first lanes are in memory; the others are 0."""
    vector = tile.vector
    arguments = [vector.as_pointer(), _I32, _mask_type(tile), vector]
    f = _mask_function(builder.module, "load", tile, vector, arguments)
    mask = _first_lanes(builder, tile, count)
    align = _I32(_ITEM[tile.dtype])
    return builder.call(f, [_pointer(builder, address, vector), align, mask, ir.Constant(vector, None)])


def _opaque(builder: Any, number: Any) -> Any:
    """The same number, of which LLVM does not know how it was computed.

    It would step from a row's address to the next by one addition after the other, which take longer than the sums.
    """
    same = ir.FunctionType(_I64, [_I64])
    return builder.asm(same, "", "=r,0", [number], side_effect=False)


def _add_outer(builder: Any, tile: Tile, value: Any, a: Any, down: Any, rows: list[Any]) -> Any:
    """The tile plus (numbers at a, a + down, …) times the vectors; a known distance needs no register for each row."""
    for p in range(tile.rows):
        far = _I64(p * down) if isinstance(down, int) else _opaque(builder, builder.mul(down, _I64(p))) if p else None
        place = builder.add(a, far) if p else a
        at = _pointer(builder, place, _REAL[tile.dtype])
        x = _spread(builder, tile.vector, builder.load(at, align=_ITEM[tile.dtype]))
        for q, row in enumerate(rows):
            k = p * tile.vectors + q
            total = builder.fadd(builder.fmul(x, row, flags=_FUSED), builder.extract_value(value, k), flags=_FUSED)
            value = builder.insert_value(value, total, k)
    return value


def _zero_tile(dtype: str) -> Any:
    @intrinsic(prefer_literal=True)
    def zero(typing: Any, rows: Any, vectors: Any) -> Any:
        tile = Tile(dtype, rows.literal_value, vectors.literal_value)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return ir.Constant(ir.ArrayType(tile.vector, tile.rows * tile.vectors), None)

        return tile(rows, vectors), generate

    return zero


zero_tile_f32, zero_tile_f64 = _zero_tile("f32"), _zero_tile("f64")


@intrinsic
def add_outer(typing: Any, tile: Any, a: Any, down: Any, b: Any) -> Any:
    """tile[p, q] + (number at a + p·down)·(vector q at b)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, a, down, b = args
        starts = [builder.add(b, _I64(VECTOR_BYTES * q)) for q in range(tile.vectors)]
        rows = [builder.load(_pointer(builder, s, tile.vector), align=_ITEM[tile.dtype]) for s in starts]
        return _add_outer(builder, tile, value, a, down, rows)

    return tile(tile, types.uint64, types.uint64, types.uint64), generate


@intrinsic(prefer_literal=True)
def add_outer_by(typing: Any, tile: Any, a: Any, down: Any, b: Any) -> Any:
    """`add_outer` with a number for the distance."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, a, _, b = args
        starts = [builder.add(b, _I64(VECTOR_BYTES * q)) for q in range(tile.vectors)]
        rows = [builder.load(_pointer(builder, s, tile.vector), align=_ITEM[tile.dtype]) for s in starts]
        return _add_outer(builder, tile, value, a, down.literal_value, rows)

    return tile(tile, types.uint64, down, types.uint64), generate


@intrinsic(prefer_literal=True)
def add_outer_by_first(typing: Any, tile: Any, a: Any, down: Any, b: Any, columns: Any) -> Any:
    """`add_outer_first` with a number for the distance."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, a, _, b, columns = args
        return _add_outer(builder, tile, value, a, down.literal_value, [_load_first(builder, tile, b, columns)])

    return tile(tile, types.uint64, down, types.uint64, types.uint64), generate


@intrinsic
def add_outer_first(typing: Any, tile: Any, a: Any, down: Any, b: Any, columns: Any) -> Any:
    """`add_outer` for a tile of one vector, of which only the first columns exist."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, a, down, b, columns = args
        return _add_outer(builder, tile, value, a, down, [_load_first(builder, tile, b, columns)])

    return tile(tile, types.uint64, types.uint64, types.uint64, types.uint64), generate


def _turn_block(dtype: str) -> Any:
    @intrinsic
    def turn(typing: Any, out: Any, below: Any, source: Any, apart: Any) -> Any:
        tile = Tile(dtype, 1, 1)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            out, below, source, apart = args
            vector, many, align = tile.vector, tile.lanes, _ITEM[dtype]
            lines = [_pointer(builder, _row_address(builder, source, k, apart), vector) for k in range(many)]
            rows = [builder.load(line, align=align) for line in lines]
            for _ in range(many.bit_length() - 1):  # each round deals the first half and the second out by turns
                rows = [_deal(builder, rows[k], rows[k + many // 2], end) for k in range(many // 2) for end in (0, 1)]
            for k, row in enumerate(rows):
                builder.store(row, _pointer(builder, _row_address(builder, out, k, below), vector), align=align)
            return context.get_dummy_value()

        return types.void(types.uint64, types.uint64, types.uint64, types.uint64), generate

    return turn


def _deal(builder: Any, first: Any, second: Any, end: int) -> Any:
    """Numbers of the first half (end 0) or the second of two vectors, by turns."""
    many = first.type.count
    lanes = [lane + many * which for lane in range(end * many // 2, (end + 1) * many // 2) for which in (0, 1)]
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_I32, many), lanes))


turn_block_f32, turn_block_f64 = _turn_block("f32"), _turn_block("f64")
"""(out, below, source, apart): a square of as many rows as a vector has numbers, transposed by shuffles."""


def _add_each(
    builder: Any, tile: Tile, value: Any, place: Callable[[int, int], int], rows: list[Any], load: Any
) -> Any:
    """The tile plus, in each row p, the vectors at `place(p, t)` times row t of these vectors, number by number.

    What several rows of the tile meet is loaded once, for all of them: places are gone through from the first to the
    last, so that of each sum the terms come in order.
    """
    met: dict[int, list[tuple[int, int]]] = {}
    for p in range(tile.rows):
        for t in range(len(rows)):
            met.setdefault(place(p, t), []).append((p, t))
    for at in sorted(met):
        for q in range(tile.vectors):
            x = load(at + VECTOR_BYTES * q)
            for p, t in met[at]:
                k = p * tile.vectors + q
                term = builder.fmul(x, rows[t][q], flags=_FUSED)
                value = builder.insert_value(
                    value, builder.fadd(term, builder.extract_value(value, k), flags=_FUSED), k
                )
    return value


@intrinsic(prefer_literal=True)
def add_each_by(typing: Any, tile: Any, a: Any, down: Any, along: Any, b: Any, below: Any, count: Any) -> Any:
    """tile[p, q] + Σₜ (vector q at a + p·down + t·along)·(vector q at b + t·below), number by number, for `count` t.

    The first two distances, and the count, are numbers.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, a, _, _, b, below, _ = args

        def load(address: Any) -> Any:
            return builder.load(_pointer(builder, address, tile.vector), align=_ITEM[tile.dtype])

        starts = [_row_address(builder, b, t, below) for t in range(count.literal_value)]
        rows = [[load(builder.add(s, _I64(VECTOR_BYTES * q))) for q in range(tile.vectors)] for s in starts]
        place = _places(down, along)
        return _add_each(builder, tile, value, place, rows, lambda far: load(builder.add(a, _I64(far))))

    return tile(tile, types.uint64, down, along, types.uint64, types.uint64, count), generate


@intrinsic(prefer_literal=True)
def add_each_by_first(
    typing: Any, tile: Any, a: Any, down: Any, along: Any, b: Any, below: Any, count: Any, columns: Any
) -> Any:
    """`add_each_by` for a tile of one vector, of which only the first columns exist."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, a, _, _, b, below, _, columns = args

        def load(address: Any) -> Any:
            return _load_first(builder, tile, address, columns)

        rows = [[load(_row_address(builder, b, t, below))] for t in range(count.literal_value)]
        place = _places(down, along)
        return _add_each(builder, tile, value, place, rows, lambda far: load(builder.add(a, _I64(far))))

    given = (tile, types.uint64, down, along, types.uint64, types.uint64, count, types.uint64)
    return tile(*given), generate


def _places(down: Any, along: Any) -> Callable[[int, int], int]:
    down, along = down.literal_value, along.literal_value
    return lambda p, t: p * down + t * along


def _add_dots(builder: Any, tile: Tile, value: Any, a: Any, down: Any, load: Any, vector: Any) -> Any:
    for p in range(tile.rows):
        term = builder.fmul(load(_row_address(builder, a, p, down)), vector, flags=_FUSED)
        value = builder.insert_value(value, builder.fadd(term, builder.extract_value(value, p), flags=_FUSED), p)
    return value


@intrinsic
def add_dots(typing: Any, tile: Any, a: Any, down: Any, b: Any) -> Any:
    """tile[p] + (vector at a + p·down)·(vector at b), number by number, for a tile of one vector."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, a, down, b = args

        def load(address: Any) -> Any:
            return builder.load(_pointer(builder, address, tile.vector), align=_ITEM[tile.dtype])

        return _add_dots(builder, tile, value, a, down, load, load(b))

    return tile(tile, types.uint64, types.uint64, types.uint64), generate


@intrinsic
def add_dots_first(typing: Any, tile: Any, a: Any, down: Any, b: Any, columns: Any) -> Any:
    """`add_dots` where only the first numbers of the vectors exist."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, a, down, b, columns = args

        def load(address: Any) -> Any:
            return _load_first(builder, tile, address, columns)

        return _add_dots(builder, tile, value, a, down, load, load(b))

    return tile(tile, types.uint64, types.uint64, types.uint64, types.uint64), generate


@intrinsic
def keep_dots(typing: Any, out: Any, tile: Any) -> Any:
    """Write the sum of each row of a tile of one vector, one after the other: of halves, and of their halves."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, value = args
        item = _ITEM[tile.dtype]
        for p in range(tile.rows):
            row, many = builder.extract_value(value, p), tile.lanes
            while many > 1:
                many //= 2
                low, high = (_part(builder, row, start, many) for start in (0, many))
                row = builder.fadd(low, high)
            place = _pointer(builder, builder.add(out, _I64(p * item)), _REAL[tile.dtype])
            builder.store(builder.extract_element(row, _I32(0)), place, align=item)
        return context.get_dummy_value()

    return types.void(types.uint64, tile), generate


def _part(builder: Any, vector: Any, start: int, many: int) -> Any:
    """So many numbers of a vector."""
    lanes = ir.Constant(ir.VectorType(_I32, many), list(range(start, start + many)))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), lanes)


@intrinsic(prefer_literal=True)
def add_rows_by(typing: Any, tile: Any, a: Any, down: Any, b: Any) -> Any:
    """tile[p, q] + (vector q at a + p·down)·(number at b); the distance is a number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, a, _, b = args
        align = _ITEM[tile.dtype]

        def load(far: int) -> Any:
            return builder.load(_pointer(builder, builder.add(a, _I64(far)), tile.vector), align=align)

        number = builder.load(_pointer(builder, b, _REAL[tile.dtype]), align=align)
        rows = [[_spread(builder, tile.vector, number)] * tile.vectors]
        return _add_each(builder, tile, value, lambda p, _: p * down.literal_value, rows, load)

    return tile(tile, types.uint64, down, types.uint64), generate


def _each_vector(builder: Any, count: Any, write: Any) -> None:
    """Write so many bytes, a multiple of 4: vectors, then numbers of 4 bytes; `write(distance, type)` writes one."""
    # not memcpy, which begins slowly, and has to be called
    for kind, start, end in (
        (ir.VectorType(_REAL["f32"], VECTOR_BYTES // 4), _I64(0), builder.udiv(count, _I64(VECTOR_BYTES))),
        (_REAL["f32"], None, builder.udiv(count, _I64(4))),
    ):
        size = VECTOR_BYTES if start is not None else 4
        begin = (
            start
            if start is not None
            else builder.mul(builder.udiv(count, _I64(VECTOR_BYTES)), _I64(VECTOR_BYTES // 4))
        )
        with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
            write(builder.mul(builder.add(begin, loop.index), _I64(size)), kind)


@intrinsic
def copy_bytes(typing: Any, to: Any, source: Any, count: Any) -> Any:
    """So many bytes from one address to another, a multiple of 4."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, source, count = args

        def write(distance: Any, kind: Any) -> None:
            value = builder.load(_pointer(builder, builder.add(source, distance), kind), align=4)
            builder.store(value, _pointer(builder, builder.add(to, distance), kind), align=4)

        _each_vector(builder, count, write)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64), generate


@intrinsic
def zero_bytes(typing: Any, to: Any, count: Any) -> Any:
    """So many bytes of 0 at an address, a multiple of 4."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def write(distance: Any, kind: Any) -> None:
            builder.store(ir.Constant(kind, None), _pointer(builder, builder.add(args[0], distance), kind), align=4)

        _each_vector(builder, args[1], write)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


def _write(adds: bool) -> Any:
    @intrinsic
    def write(typing: Any, out: Any, down: Any, tile: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            out, down, value = args
            _store(builder, tile, out, down, value, (out, down) if adds else None)
            return context.get_dummy_value()

        return types.void(types.uint64, types.uint64, tile), generate

    return write


def _write_first(adds: bool) -> Any:
    @intrinsic
    def write(typing: Any, out: Any, down: Any, tile: Any, columns: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            out, down, value, columns = args
            _store_first(builder, tile, out, down, value, columns, (out, down) if adds else None)
            return context.get_dummy_value()

        return types.void(types.uint64, types.uint64, tile, types.uint64), generate

    return write


def _store(builder: Any, tile: Tile, out: Any, down: Any, value: Any, other: Any) -> None:
    """Write a tile, plus what stands at another address, if one is given with the distance of its rows."""
    align = _ITEM[tile.dtype]
    for k in range(tile.rows * tile.vectors):
        row, q = divmod(k, tile.vectors)
        vector = builder.extract_value(value, k)

        def place(start: Any, below: Any, row: int = row, q: int = q) -> Any:
            at = builder.add(_row_address(builder, start, row, below), _I64(VECTOR_BYTES * q))
            return _pointer(builder, at, tile.vector)

        if other is not None:
            vector = builder.fadd(builder.load(place(*other), align=align), vector)
        builder.store(vector, place(out, down), align=align)


def _store_first(builder: Any, tile: Tile, out: Any, down: Any, value: Any, columns: Any, other: Any) -> None:
    """The same for a tile of one vector, of which only the first columns exist."""
    arguments = [tile.vector, tile.vector.as_pointer(), _I32, _mask_type(tile)]
    f = _mask_function(builder.module, "store", tile, ir.VoidType(), arguments)
    mask, align = _first_lanes(builder, tile, columns), _I32(_ITEM[tile.dtype])
    for row in range(tile.rows):
        vector = builder.extract_value(value, row)
        if other is not None:
            at = _row_address(builder, other[0], row, other[1])
            vector = builder.fadd(_load_first(builder, tile, at, columns), vector)
        place = _pointer(builder, _row_address(builder, out, row, down), tile.vector)
        builder.call(f, [vector, place, align, mask])


keep_tile, add_tile = _write(adds=False), _write(adds=True)
"""(out, down, tile): write vector q of row p to out + p·down + q vectors, or add it to what is there."""
keep_tile_first, add_tile_first = _write_first(adds=False), _write_first(adds=True)
"""(out, down, tile, columns): the same for a tile of one vector, of which only the first columns exist."""


@intrinsic
def sum_tile(typing: Any, out: Any, down: Any, tile: Any, other: Any, apart: Any) -> Any:
    """Write vector q of row p, plus what stands at other + p·apart + q vectors, to out + p·down + q vectors."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, down, value, other, apart = args
        _store(builder, tile, out, down, value, (other, apart))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, tile, types.uint64, types.uint64), generate


@intrinsic
def sum_tile_first(typing: Any, out: Any, down: Any, tile: Any, columns: Any, other: Any, apart: Any) -> Any:
    """`sum_tile` for a tile of one vector, of which only the first columns exist."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, down, value, columns, other, apart = args
        _store_first(builder, tile, out, down, value, columns, (other, apart))
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, tile, types.uint64, types.uint64, types.uint64), generate
