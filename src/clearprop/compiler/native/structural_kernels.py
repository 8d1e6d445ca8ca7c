"""Special kernels of structural primitives, and how each becomes calls.

Operands and results lie in plain order.  Around one axis an array is three sizes: L before it, n along it, T behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from clearprop.compiler.address_bounds import require_inside
from clearprop.compiler.array_access import slice_axes, whole_array
from clearprop.compiler.binding import SPLIT_ELEMENTS, Binding, KernelCall
from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.kernel_text import dtype_name
from clearprop.compiler.kernels import Kernel
from clearprop.compiler.native import library_kernels, window_calls
from clearprop.compiler.native.control_calls import CONTROL

SPLIT_COPIES = 1 << 16
"""Elements from which two threads copy."""


def _sizes(binding: Binding, shape: Sequence[Any], axis: int) -> tuple[int, int, int]:
    """L, n, T around an axis counted from the end."""
    numbers = [binding.number(s) for s in shape]
    at = len(numbers) + axis
    return math.prod(numbers[:at]), numbers[at], math.prod(numbers[at + 1 :])


def _offset(binding: Binding, read: Any) -> int:
    return binding.number(read.offset) * int(read.base.dtype.itemsize)


def _serial(binding: Binding, kernel: Kernel, upper: int, values: Sequence[Any]) -> None:
    """One call on one core; values are numbers, or (variable, byte offset) for addresses."""
    row, places = [0, upper], []
    for v in values:
        if isinstance(v, tuple):
            places.append((len(row), v[0], v[1]))
            row.append(0)
        else:
            row.append(v)
    binding.add([KernelCall(kernel, row, places)])


def _input(binding: Binding, op: Statement, k: int) -> tuple[Any, int]:
    return op.reads[k].base, _offset(binding, op.reads[k])


def _fill(binding: Binding, op: Statement) -> None:
    kernel = library_kernels.fill_zeros(dtype_name(op.out.dtype))
    _serial(binding, kernel, math.prod(map(binding.number, op.out.shape)), [(op.out, 0)])


def _concat(binding: Binding, op: Statement) -> None:
    axis = op.equation.params["axis"]
    outer, total, inner = _sizes(binding, op.out.shape, axis)
    kernel = library_kernels.copy_rows(dtype_name(op.out.dtype))
    start = 0
    for k, read in enumerate(op.reads):
        _, n, _ = _sizes(binding, read.shape, axis)
        out = (op.out, start * inner * op.out.dtype.itemsize)
        _serial(binding, kernel, outer, [_input(binding, op, k), out, n * inner, total * inner])
        start += n


def _scatter_slice(binding: Binding, op: Statement) -> None:
    count, item = math.prod(map(binding.number, op.out.shape)), op.out.dtype.itemsize
    zeros, worth = library_kernels.fill_zeros(dtype_name(op.out.dtype)), count >= SPLIT_COPIES
    binding.add([KernelCall(zeros, [lo, hi, 0], [(2, op.out, 0)]) for lo, hi in binding.shares(count, worth)])
    target = slice_axes(whole_array(op.out), op.equation.params["key"], op.reads[0].shape)
    require_inside(target, binding.number)
    shape = [binding.number(n) for n in target.shape]
    strides = [binding.number(s) for s in target.strides]
    kernel = library_kernels.scatter(dtype_name(op.out.dtype), len(shape), bool(strides) and strides[-1] == 1)
    (source, at), start, row = _input(binding, op, 0), binding.number(target.offset), math.prod(shape[1:])
    binding.add([
        KernelCall(
            kernel, [0, hi - lo, 0, 0, *shape[1:], *strides],
            [(2, source, at + lo * row * item), (3, op.out, (start + lo * sum(strides[:1])) * item)],
        )
        for lo, hi in binding.shares(shape[0] if shape else 1, worth, 1)
    ])  # fmt: skip


def _take(binding: Binding, op: Statement) -> None:
    x, indices = op.reads
    outer, n, inner = _sizes(binding, x.shape, op.equation.params["axis"])
    many = math.prod(map(binding.number, indices.shape))
    kernel = library_kernels.take(dtype_name(op.out.dtype), dtype_name(indices.base.dtype))
    values = [_input(binding, op, 0), _input(binding, op, 1), (op.out, 0), n, inner, many, ("status", 0)]
    _serial(binding, kernel, outer, values)


def _take_transposed(binding: Binding, op: Statement) -> None:
    _fill(binding, op)
    indices = op.reads[1]
    outer, n, inner = _sizes(binding, op.out.shape, op.equation.params["axis"])
    many = math.prod(map(binding.number, indices.shape))
    kernel = library_kernels.take_transposed(dtype_name(op.out.dtype), dtype_name(indices.base.dtype))
    values = [_input(binding, op, 0), _input(binding, op, 1), (op.out, 0), n, inner, many, ("status", 0)]
    _serial(binding, kernel, outer, values)


def _along(binding: Binding, op: Statement) -> None:
    x, indices = op.reads
    axis = op.equation.params["axis"]
    outer, n, inner = _sizes(binding, x.shape, axis)
    _, many, _ = _sizes(binding, indices.shape, axis)
    kernel = library_kernels.take_along(dtype_name(op.out.dtype), dtype_name(indices.base.dtype))
    values = [_input(binding, op, 0), _input(binding, op, 1), (op.out, 0), n, inner, many, ("status", 0)]
    _serial(binding, kernel, outer, values)


def _along_transposed(binding: Binding, op: Statement) -> None:
    _fill(binding, op)
    axis = op.equation.params["axis"]
    outer, n, inner = _sizes(binding, op.out.shape, axis)
    _, many, _ = _sizes(binding, op.reads[0].shape, axis)
    kernel = library_kernels.along_transposed(dtype_name(op.out.dtype), dtype_name(op.reads[1].base.dtype))
    values = [_input(binding, op, 0), _input(binding, op, 1), (op.out, 0), n, inner, many, ("status", 0)]
    _serial(binding, kernel, outer, values)


def _last_writer(binding: Binding, op: Statement) -> None:
    _fill(binding, op)
    outer, many, _ = _sizes(binding, op.reads[0].shape, -1)
    kernel = library_kernels.last_writer(dtype_name(op.reads[0].base.dtype))
    indices, n = _input(binding, op, 0), binding.number(op.out.shape[-1])
    _serial(binding, kernel, outer, [indices, indices, (op.out, 0), n, 1, many, ("status", 0)])


def _cumulative(binding: Binding, op: Statement) -> None:
    outer, n, inner = _sizes(binding, op.out.shape, op.equation.params["axis"])
    _serial(
        binding,
        library_kernels.cumulative_sum(dtype_name(op.out.dtype)),
        outer,
        [_input(binding, op, 0), (op.out, 0), n, inner],
    )


def _require_range(binding: Binding, op: Statement) -> None:
    kernel = library_kernels.require_range(dtype_name(op.out.dtype))
    count = math.prod(map(binding.number, op.out.shape))
    ends = [op.equation.params["low"], binding.number(op.equation.params["high"])]
    _serial(binding, kernel, count, [_input(binding, op, 0), (op.out, 0), *ends, ("status", 0)])


def _require_probabilities(binding: Binding, op: Statement) -> None:
    kernel = library_kernels.require_probabilities(dtype_name(op.out.dtype))
    rows, n, _ = _sizes(binding, op.out.shape, -1)
    _serial(binding, kernel, rows if n else 0, [_input(binding, op, 0), (op.out, 0), n, ("status", 0)])


def _argument(order: str) -> Callable[[Binding, Statement], None]:
    def bind(binding: Binding, op: Statement) -> None:
        x = op.reads[0]
        outer, n, inner = _sizes(binding, x.shape, op.equation.params["axis"])
        kernel = library_kernels.index_of_extreme(dtype_name(x.base.dtype), order)
        _serial(binding, kernel, outer, [_input(binding, op, 0), (op.out, 0), n, inner])

    return bind


def _keys(binding: Binding, op: Statement) -> int:
    """How many keys an operation on random numbers is given: they are two words each."""
    return math.prod(binding.number(n) for n in op.reads[0].shape[:-1])


def _random_bits(binding: Binding, op: Statement) -> None:
    keys = _keys(binding, op)
    total = math.prod(binding.number(n) for n in op.out.shape[len(op.reads[0].shape) - 1 :])
    half = (total + 1) // 2
    key, at = _input(binding, op, 0)
    kernel = library_kernels.random_bits()
    for i in range(keys):
        shares = binding.shares(half, total >= SPLIT_ELEMENTS // 4)
        places = [(2, key, at + 8 * i), (3, op.out, 4 * i * total)]
        binding.add([KernelCall(kernel, [lo, hi, 0, 0, total, half], places) for lo, hi in shares])


def _fold_in(binding: Binding, op: Statement) -> None:
    data, from_ = op.reads[1], _offset(binding, op.reads[1])
    step = data.base.dtype.itemsize if math.prod(map(binding.number, data.shape)) > 1 else 0
    (key, at), many = _input(binding, op, 0), len(op.reads[0].shape) > 1
    kernel = library_kernels.fold_in(dtype_name(data.base.dtype))
    for i in range(math.prod(map(binding.number, op.out.shape[:-1]))):
        _serial(binding, kernel, 1, [(key, at + 8 * i * many), (data.base, from_ + step * i), (op.out, 8 * i)])


SPECIAL: dict[str, Callable[[Binding, Statement], None]] = {
    **CONTROL,
    "argmax": _argument(">"),
    "argmin": _argument("<"),
    **window_calls.SPECIAL,
    "along_transposed": _along_transposed,
    "concat": _concat,
    "cumulative_sum": _cumulative,
    "fold_in": _fold_in,
    "last_writer": _last_writer,
    "random_bits": _random_bits,
    "require_probabilities": _require_probabilities,
    "require_range": _require_range,
    "scatter_slice": _scatter_slice,
    "take": _take,
    "take_along_axis": _along,
    "take_transposed": _take_transposed,
}
"""How each special operation becomes calls."""
