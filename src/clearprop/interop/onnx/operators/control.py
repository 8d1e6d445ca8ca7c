"""Branches and loops: bodies that are graphs, run where their length is known; sequences and optional values."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.control import cond, scan
from clearprop.errors import ArgumentError, TraceError
from clearprop.interop.onnx.graph import Context, NodeGraph
from clearprop.interop.onnx.graph_values import integers, known_numbers, rank, sizes
from clearprop.interop.onnx.operator_table import operator

MOST_TURNS = 100_000
"""The most turns of a loop that is written out step by step."""


@operator("If")
def if_(condition: Any, *, then_branch: NodeGraph, else_branch: NodeGraph, context: Context) -> Any:
    """The outputs of one of two graphs; where the condition is traced both are traced, and one is computed."""
    try:
        chosen = then_branch if bool(known_numbers(condition, "the condition").reshape(())) else else_branch
    except TraceError:
        branches = [lambda b=b: tuple(map(asarray, context.run(b, []))) for b in (then_branch, else_branch)]
        return cond(f.reshape(condition, ()), *branches)
    return tuple(context.run(chosen, []))


@operator("Loop", settings=(0, 1))
def loop(turns: Any = None, condition: Any = None, *carried: Any, body: NodeGraph, context: Context) -> Any:
    """The body again and again, as often as is said and while it says so: its last carries, and outputs stacked."""
    most = None if turns is None else integers(turns, "the number of turns")[0]
    carries, stacks, turn = list(carried), [[] for _ in range(len(body.outputs) - 1 - len(carried))], 0  # type: list[Any], list[list[Any]], int
    going = condition is None or bool(known_numbers(condition, "the condition").reshape(()))
    while going and (most is None or turn < most):
        if turn >= MOST_TURNS:
            raise ArgumentError("the loop does not end", expected=f"at most {MOST_TURNS:,} turns", got="more")
        results = context.run(body, [np.asarray(turn, np.int64), np.asarray(True), *carries])
        going = bool(known_numbers(results[0], "the condition").reshape(()))
        carries = results[1 : 1 + len(carries)]
        for stack, value in zip(stacks, results[1 + len(carries) :], strict=True):
            stack.append(value)
        turn += 1
    return *carries, *(f.stack(stack, axis=0) if stack else np.zeros((0,), np.float32) for stack in stacks)


@operator("Scan", since=9)
def scan_(
    *values: Any,
    body: NodeGraph,
    num_scan_inputs: int,
    scan_input_axes: tuple[int, ...] | None = None,
    scan_input_directions: tuple[int, ...] | None = None,
    scan_output_axes: tuple[int, ...] | None = None,
    scan_output_directions: tuple[int, ...] | None = None,
    context: Context,
) -> Any:
    """The body for each step along an axis of the inputs: its last carries, and outputs stacked along an axis."""
    count = len(values) - num_scan_inputs
    axes, back = scan_input_axes or (0,) * num_scan_inputs, scan_input_directions or (0,) * num_scan_inputs
    steps = [
        f.flip(moved, axis=0) if turned else moved
        for moved, turned in zip(map(f.moveaxis, values[count:], axes, (0,) * num_scan_inputs), back, strict=True)
    ]

    def step(carries: Any, elements: Any) -> Any:
        results = [asarray(v) for v in context.run(body, [*carries, *elements])]
        return tuple(results[:count]), tuple(results[count:])

    last, stacked = scan(step, tuple(map(asarray, values[:count])), tuple(steps))
    places = scan_output_axes or (0,) * len(stacked)
    turns = scan_output_directions or (0,) * len(stacked)
    found = [f.flip(y, axis=0) if turned else y for y, turned in zip(stacked, turns, strict=True)]
    return *last, *(f.moveaxis(y, 0, a) for y, a in zip(found, places, strict=True))


@operator("Scan", since=8)
def scan_of_batches(
    lengths: Any = None,
    *values: Any,
    body: NodeGraph,
    num_scan_inputs: int,
    directions: tuple[int, ...] | None = None,
    context: Context,
) -> Any:
    """`Scan` for each example of a batch, which is the first axis; all examples have the same length."""
    if lengths is not None:
        raise ArgumentError("Scan of version 8 is taken without lengths", expected="no sequence_lens", got="some")
    results = [
        scan_(
            *(asarray(v)[i] for v in values),
            body=body,
            num_scan_inputs=num_scan_inputs,
            scan_input_directions=directions,
            context=context,
        )
        for i in range(sizes(values[0])[0])
    ]
    return tuple(f.stack(list(parts), axis=0) for parts in zip(*results, strict=True))


# ------------------------------------------------------------------------------------------------- sequences
@operator("SequenceConstruct")
def sequence_construct(*arrays: Any) -> Any:
    """A sequence of arrays."""
    return [*arrays]


@operator("SequenceEmpty")
def sequence_empty(*, dtype: int = 1) -> Any:
    """A sequence of nothing."""
    return []


@operator("SequenceAt", settings=(1,))
def sequence_at(sequence: Any, place: Any) -> Any:
    """The array at a place, which may count from the end."""
    return sequence[integers(place, "the place")[0]]


@operator("SequenceLength")
def sequence_length(sequence: Any) -> Any:
    """How many arrays a sequence holds."""
    return np.asarray(len(sequence), np.int64)


@operator("SequenceInsert", settings=(2,))
def sequence_insert(sequence: Any, array: Any, place: Any = None) -> Any:
    """The sequence with an array before a place, by default at the end."""
    at = len(sequence) if place is None else integers(place, "the place")[0]
    at = at + len(sequence) if at < 0 else at
    return [*sequence[:at], array, *sequence[at:]]


@operator("SequenceErase", settings=(1,))
def sequence_erase(sequence: Any, place: Any = None) -> Any:
    """The sequence without the array at a place, by default the last."""
    at = (-1 if place is None else integers(place, "the place")[0]) % len(sequence)
    return [*sequence[:at], *sequence[at + 1 :]]


@operator("ConcatFromSequence")
def concat_from_sequence(sequence: Any, *, axis: int, new_axis: int = 0) -> Any:
    """The arrays of a sequence one after the other, or stacked."""
    return f.stack(list(sequence), axis=axis) if new_axis else f.concat(list(sequence), axis=axis)


@operator("SplitToSequence", settings=(1,))
def split_to_sequence(x: Any, split: Any = None, *, axis: int = 0, keepdims: int = 1) -> Any:
    """X in parts along an axis, as a sequence."""
    total = sizes(x)[axis]
    if split is None:
        parts = f.split(x, total, axis=axis)
        return [part if keepdims else f.squeeze(part, axis=axis) for part in parts]
    lengths = integers(split, "the lengths")
    if rank(split) == 0:
        lengths = (lengths[0],) * (total // lengths[0]) + ((total % lengths[0],) if total % lengths[0] else ())
    return list(f.split(x, np.cumsum(lengths)[:-1].tolist(), axis=axis))


@operator("OptionalHasElement")
def optional_has_element(value: Any = None) -> Any:
    """Whether there is a value."""
    return np.asarray(value is not None)


@operator("OptionalGetElement")
def optional_get_element(value: Any) -> Any:
    """The value that is there."""
    if value is None:
        raise ArgumentError("an optional value is not there", expected="a value", got="none")
    return value


@operator("Optional")
def optional(value: Any = None, *, type: Any = None) -> Any:
    """A value that may be missing."""
    return value
