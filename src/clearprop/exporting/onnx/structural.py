"""The table of operations that move, pick, add up and multiply: ours beside ONNX's."""

from __future__ import annotations

import numpy as np

from clearprop.exporting.onnx.call import EquationCall, Rule, as_index
from clearprop.exporting.onnx.graph import INT64, element_type
from clearprop.program.types import BOOL
from clearprop.shapes import Size

INT32 = np.dtype(np.int32)
_END = np.iinfo(np.int64).max


# ------------------------------------------------------------------------------------------------------- sources
def _full(call: EquationCall) -> str:
    value = call.graph.constant(call.params["value"], call.out.dtype)
    return call.node("Expand", value, call.graph.shape(call.params["shape"]))


def _size(call: EquationCall) -> str:
    return call.node("Squeeze", call.graph.size(call.params["dim"]), call.graph.numbers([0]))


def _arange(call: EquationCall) -> str:
    end = call.step("Squeeze", call.graph.size(call.params["size"]), call.graph.numbers([0]))
    first, one = call.graph.constant(0, INT64), call.graph.constant(1, INT64)
    return call.cast(call.node("Range", first, end, one), INT64, call.out.dtype)


# --------------------------------------------------------------------------------------------------------- views
def _reshape(call: EquationCall) -> str:
    return call.reshaped(call.operand(0), call.out.shape)


def _permute(call: EquationCall) -> str:
    return call.node("Transpose", call.operand(0), perm=call.axes(call.params["axes"], call.out.ndim))


def _broadcast(call: EquationCall) -> str:
    return call.node("Expand", call.operand(0), call.graph.shape(call.out.shape))


def _flip(call: EquationCall) -> str:
    axes = call.axes(call.params["axis"], call.out.ndim)
    ends = [(-1, -_END, -1)] * len(axes)
    return _slices(call, call.operand(0), axes, ends)


def _slices(call: EquationCall, x: str, axes: list[int], cuts: list[tuple[int, int, int]]) -> str:
    starts, stops, steps = zip(*cuts, strict=True)
    numbers = call.graph.numbers
    return call.node("Slice", x, numbers(starts), numbers(stops), numbers(axes), numbers(steps))


def _getitem(call: EquationCall) -> str:
    """Slices, then integers, whose axes go."""
    key = call.params["key"]
    if any(isinstance(end, Size) for k in key if isinstance(k, slice) for end in (k.start, k.stop)):
        return _open_slices(call)
    # An integer is a slice of one entry whose axis goes afterwards: Gather would need a constant for each of them.
    x = call.operand(0)
    cut = [i for i, k in enumerate(key) if isinstance(k, slice) and k != slice(None)]
    gone = [i for i, k in enumerate(key) if not isinstance(k, slice)]
    if cut:
        x = _slices(call, x, cut, [_ends(key[i]) for i in cut])
    if gone:
        x = _slices(call, x, gone, [(int(key[i]), int(key[i]) + 1 or _END, 1) for i in gone])
        return call.node("Squeeze", x, call.graph.numbers(gone))
    return x if cut else call.node("Identity", x)


def _ends(key: slice) -> tuple[int, int, int]:
    """Start, stop and step as ONNX reads them, where a stop before the first entry is the smallest number."""
    step = 1 if key.step is None else int(key.step)
    start = (0 if step > 0 else _END) if key.start is None else int(key.start)
    if key.stop is None:
        return start, _END if step > 0 else -_END, step
    return start, int(key.stop), step


def _open_slices(call: EquationCall) -> str:
    """Slices whose ends are sizes that are open."""
    key, graph = call.params["key"], call.graph
    axes = [i for i, k in enumerate(key) if isinstance(k, slice) and k != slice(None)]
    starts = [graph.size(key[i].start or 0) for i in axes]
    stops = [graph.size(_END if key[i].stop is None else key[i].stop) for i in axes]
    ends = [call.step("Concat", *names, axis=0) for names in (starts, stops)]
    return call.node("Slice", call.operand(0), *ends, graph.numbers(axes))


def _scatter_slice(call: EquationCall) -> str | None:
    """Zeros around: each axis is widened before and behind; what an integer stands for is an axis of 1 before."""
    # Pad is all that is needed of ONNX's scattering: forward programs write into zeros side by side alone.
    key, shape = call.params["key"], call.params["shape"]
    new = [i for i, k in enumerate(key) if not isinstance(k, slice)]
    cuts = [slice(k, k + 1) if i in new else k for i, k in enumerate(key)]
    if any(cut.step not in (None, 1) for cut in cuts):
        return None
    own = list(call.types[0].shape)
    for i in new:
        own.insert(i, 1)
    first = [int(cut.start or 0) for cut in cuts]
    last = [0 if cut == slice(None) else int(shape[i]) - first[i] - int(own[i]) for i, cut in enumerate(cuts)]
    x = call.step("Unsqueeze", call.operand(0), call.graph.numbers(new)) if new else call.operand(0)
    return call.node("Pad", x, call.graph.numbers([*first, *last]), call.number(0))


# --------------------------------------------------------------------------------------------- picking, joining
def _take(call: EquationCall) -> str:
    axis = call.params["axis"] % call.types[0].ndim
    return call.node("Gather", call.operand(0), as_index(call, 1), axis=axis)


def _take_along(call: EquationCall) -> str:
    axis = call.params["axis"] % call.types[0].ndim
    return call.node("GatherElements", call.operand(0), as_index(call, 1), axis=axis)


def _concat(call: EquationCall) -> str:
    parts = [call.operand(i, call.out.dtype) for i in range(len(call.operands))]
    return call.node("Concat", *parts, axis=call.params["axis"] % call.out.ndim)


# ----------------------------------------------------------------------------------------------------- reductions
def _reduction(op: str) -> Rule:
    def rule(call: EquationCall) -> str:
        axes = call.axes(call.params["axis"], call.types[0].ndim)
        x = call.operand(0, call.out.dtype)
        if not axes:
            return call.node("Identity", x)
        return call.node(op, x, call.graph.numbers(axes), keepdims=int(call.params["keepdims"]))

    return rule


def _truths(op: str) -> Rule:
    """All is the least, any the largest of truth values, as numbers."""

    def rule(call: EquationCall) -> str:
        x = call.cast(call.operand(0, BOOL), BOOL, INT32)
        axes = call.axes(call.params["axis"], call.types[0].ndim)
        if axes:
            x = call.step(op, x, call.graph.numbers(axes), keepdims=int(call.params["keepdims"]))
        return call.node("Cast", x, to=element_type(BOOL))

    return rule


def _place(op: str) -> Rule:
    def rule(call: EquationCall) -> str:
        axis = call.params["axis"] % call.types[0].ndim
        found = call.node(op, call.operand(0), axis=axis, keepdims=int(call.params["keepdims"]))
        return call.cast(found, INT64, call.out.dtype)

    return rule


def _cumulative_sum(call: EquationCall) -> str:
    axis = call.params["axis"] % call.types[0].ndim
    return call.node("CumSum", call.operand(0, call.out.dtype), call.graph.constant(axis, INT64))


def _shares(op: str) -> Rule:
    return lambda call: call.node(op, call.operand(0, call.out.dtype), axis=call.params["axis"] % call.out.ndim)


# ------------------------------------------------------------------------------------------------------- products
def _matmul(call: EquationCall) -> str:
    return call.node("MatMul", *(call.operand(i, call.out.dtype) for i in range(2)))


RULES: dict[str, Rule] = {
    "full": _full,
    "size": _size,
    "arange": _arange,
    "reshape": _reshape,
    "squeeze": _reshape,
    "expand_dims": _reshape,
    "permute_dims": _permute,
    "broadcast_to": _broadcast,
    "flip": _flip,
    "getitem": _getitem,
    "scatter_slice": _scatter_slice,
    "take": _take,
    "take_along_axis": _take_along,
    "concat": _concat,
    "sum": _reduction("ReduceSum"),
    "mean": _reduction("ReduceMean"),
    "max": _reduction("ReduceMax"),
    "min": _reduction("ReduceMin"),
    "prod": _reduction("ReduceProd"),
    "all": _truths("ReduceMin"),
    "any": _truths("ReduceMax"),
    "argmax": _place("ArgMax"),
    "argmin": _place("ArgMin"),
    "cumulative_sum": _cumulative_sum,
    "softmax": _shares("Softmax"),
    "log_softmax": _shares("LogSoftmax"),
    "matmul": _matmul,
}
"""What puts each of these operations into a graph."""
