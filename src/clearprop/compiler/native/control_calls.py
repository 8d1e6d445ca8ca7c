"""How loops become calls: the calls of a step, and where what they read and write lies in each turn.

The programs that are held are bound like any other; then every array of theirs is given its place in an array of the
program around them.  Elements of `xs` and what the steps give stand in rows of whole arrays, so their addresses go on
from turn to turn.  A carry is updated in place where the plan of the step could arrange that; otherwise a step writes
it beside the old one, and the two places change their roles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clearprop.compiler.binding import ALIGN, Binding, KernelCall, Move
from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.kernel_text import dtype_name
from clearprop.compiler.kernels import Kernel
from clearprop.compiler.memory_plan import MemoryPlan
from clearprop.compiler.native import control_kernels, number_loops
from clearprop.compiler.native.control_kernels import HeldRow
from clearprop.compiler.native.joined_calls import join_small_calls
from clearprop.compiler.native.library_kernels import copy_rows
from clearprop.program.ir import Var


@dataclass(frozen=True)
class ArrayPlace:
    """Where an array of a held program lies: in which array around it, from which byte, and how that differs."""

    held: Any
    offset: int = 0
    stride: int = 0
    alternates: bool = False


Places = dict[Any, ArrayPlace]


def _bind_scan(binding: Binding, op: Statement) -> None:
    """The first carries are copied, the loop runs, and carries that change places are copied out."""
    eq, (plan,) = op.equation, binding.plan.held[op.equation]
    params, inputs = eq.params, plan.program.inputs
    first, count, turns = params["constants"], params["carries"], binding.number(params["length"])
    step = _bind_held(binding, plan)
    operands = _operands(binding, op)
    places: Places = dict(zip(inputs[:first], operands, strict=False))
    changing = list(_place_carries(binding, step, inputs[first : first + count], operands[first:], eq.outputs, places))
    rows = [*zip(inputs[first + count :], operands[first + count :], strict=True)]
    rows += zip(plan.outputs[count:], map(ArrayPlace, eq.outputs[count:]), strict=True)
    for inside, around in rows:
        places[inside] = _row(around, step.bytes(inside), turns, params["reverse"])
    only = step.calls[0][0] if len(step.calls) == 1 else None
    places = {**_places_of_temporaries(binding, step), **places}
    if only is not None and number_loops.is_of_numbers(only):
        carries = [(c, plan.buffer(o)) for c, o in zip(inputs[first : first + count], plan.outputs, strict=False)]
        _add_loop_of_numbers(binding, only, carries, [inside for inside, _ in rows], places, turns)
        parity = 0
    else:
        binding.add([_holding(control_kernels.loop(), [_placed_calls(step, places)], turns)])
        parity = turns % 2
    for pair, target in changing:
        last = ArrayPlace(pair.held, pair.offset + parity * pair.stride)
        binding.add([_copy_call(binding, target, last, ArrayPlace(target)).call])


def _add_loop_of_numbers(
    binding: Binding,
    call: KernelCall,
    carries: Sequence[tuple[Var, Var]],
    rows: Sequence[Var],
    places: Places,
    turns: int,
) -> None:
    """A loop that stands in its kernel, called for so many steps at once that between calls it can be paused."""
    strides = {v: places[v].stride // v.dtype.itemsize for v in rows}
    kernel = number_loops.with_the_loop(call, carries, strides)
    fixed = {v: ArrayPlace(place.held, 0 if place.alternates else place.offset) for v, place in places.items()}
    many, rest = divmod(turns, number_loops.TURNS)

    def steps(first: int, last: int) -> _PlacedCall:
        row = [first, last, *call.row[2:], *(p.what % 2**64 for p in kernel.parameters[len(call.kernel.parameters) :])]
        return _place_call(KernelCall(kernel, row, list(call.addresses)), fixed)

    if many:
        part, size = steps(0, number_loops.TURNS), number_loops.TURNS
        loop = _holding(control_kernels.loop(), [[part]], many)
        for word in (0, 1):
            loop.moves.append(Move(part.call, word, len(loop.row), size, alternates=False))
            loop.row.append(word * size)
        binding.add([loop])
    if rest:
        binding.add([steps(turns - rest, turns).call])


def _bind_while(binding: Binding, op: Statement) -> None:
    """The condition and the step by turns; where carries change places, the last of them are copied out."""
    eq, (condition_plan, plan) = op.equation, binding.plan.held[op.equation]
    first = eq.params["condition_constants"]
    last = first + eq.params["constants"]
    condition, step = _bind_held(binding, condition_plan), _bind_held(binding, plan)
    operands, carries = _operands(binding, op), plan.program.inputs[last - first :]
    places: Places = dict(zip(plan.program.inputs, operands[first:last], strict=False))
    changing = list(_place_carries(binding, step, carries, operands[last:], eq.outputs, places))
    read: Places = dict(zip(condition_plan.program.inputs, operands[:first], strict=False))
    read |= zip(condition_plan.program.inputs[first:], (places[c] for c in carries), strict=True)
    truth = ArrayPlace(binding.piece(1))
    read[condition_plan.outputs[0]] = truth
    ends = [_copy_call(binding, target, pair, ArrayPlace(target)) for pair, target in changing]
    read, places = _places_of_temporaries(binding, condition) | read, _places_of_temporaries(binding, step) | places
    groups = [_placed_calls(condition, read), _placed_calls(step, places), ends]
    binding.add([_holding(control_kernels.loop_while(), groups, 0, truth)])


def _bind_switch(binding: Binding, op: Statement) -> None:
    """Each branch writes the results by itself."""
    eq, plans = op.equation, binding.plan.held[op.equation]
    index, *operands = _operands(binding, op)
    groups = []
    for plan in plans:
        places: Places = dict(zip(plan.program.inputs, operands, strict=True))
        places |= zip(plan.outputs, map(ArrayPlace, eq.outputs), strict=True)
        branch = _bind_held(binding, plan)
        groups.append(_placed_calls(branch, _places_of_temporaries(binding, branch) | places))
    kernel = control_kernels.branch(dtype_name(op.reads[0].base.dtype))
    binding.add([_holding(kernel, groups, len(plans), index)])


def _operands(binding: Binding, op: Statement) -> list[ArrayPlace]:
    return [ArrayPlace(r.base, binding.number(r.offset) * r.base.dtype.itemsize) for r in op.reads]


def _row(around: ArrayPlace, size: int, turns: int, reverse: bool) -> ArrayPlace:
    """The row of an array that belongs to a turn."""
    if reverse:
        return ArrayPlace(around.held, around.offset + max(turns - 1, 0) * size, -size)
    return ArrayPlace(around.held, around.offset, size)


def _bind_held(binding: Binding, plan: MemoryPlan) -> Binding:
    """A held program bound to the sizes of the program around it, its small kernels joined."""
    step = Binding(plan, binding.env, 1, binding.special, step=True)
    binding.private |= step.private
    join_small_calls(step)
    return step


def _place_carries(
    binding: Binding,
    step: Binding,
    carries: Sequence[Var],
    first: Sequence[ArrayPlace],
    last: Sequence[Var],
    places: Places,
) -> Iterator[tuple[ArrayPlace, Var]]:
    """Copy the first carries to where the steps find them; pairs of places that change their roles, and for what."""
    for before, after, init, out in zip(carries, step.plan.outputs, first, last, strict=False):
        in_place = step.plan.buffer(after) is before
        size = -(-step.bytes(before) // ALIGN) * ALIGN
        place = ArrayPlace(out) if in_place else ArrayPlace(binding.piece(2 * size), 0, size, alternates=True)
        places[before] = place
        binding.add([_copy_call(binding, before, init, ArrayPlace(place.held)).call])
        if not in_place:
            places[after] = ArrayPlace(place.held, size, -size, alternates=True)
            yield place, out


@dataclass(frozen=True)
class _PlacedCall:
    """A call of a held program; and which addresses, of its own or of calls in it, differ from turn to turn.

    `moving` are the call, the word, the place and bytes from there.
    """

    call: KernelCall
    moving: list[tuple[KernelCall, int, ArrayPlace, int]]


def _copy_call(binding: Binding, like: Var, source: ArrayPlace, target: ArrayPlace) -> _PlacedCall:
    """The call that copies a whole array."""
    size = binding.bytes(like) // like.dtype.itemsize
    call = KernelCall(copy_rows(dtype_name(like.dtype)), [0, 1, 0, 0, size, size], [(2, source, 0), (3, target, 0)])
    return _place_call(call, {source: source, target: target})


def _places_of_temporaries(binding: Binding, step: Binding) -> Places:
    """Memory for what a held program computes on the way."""
    if not step.layout:
        return {}
    memory = binding.piece(max(step.size, 1))
    return {held: ArrayPlace(memory, at) for held, at in step.layout.items()}


def _placed_calls(step: Binding, places: Mapping[Any, ArrayPlace]) -> list[_PlacedCall]:
    """The calls of a held program in the program around it."""
    return [_place_call(call, places) for calls in step.calls for call in calls if call is not None]


def _place_call(call: KernelCall, places: Mapping[Any, ArrayPlace]) -> _PlacedCall:
    found = _PlacedCall(call, [])
    for own in call.all_calls():
        addresses, own.addresses = own.addresses, []
        for at, held, offset in addresses:
            place = places.get(held, ArrayPlace(held))
            if place.stride:
                found.moving.append((own, at, place, offset))
            else:
                own.addresses.append((at, place.held, place.offset + offset))
    return found


def _holding(
    kernel: Kernel, groups: Sequence[list[_PlacedCall]], count: int, choice: ArrayPlace | None = None
) -> KernelCall:
    """The call of a kernel that runs others."""
    row = [0] * (HeldRow.RANGES + 2 * len(groups))
    row[1], row[HeldRow.CLOCK], row[HeldRow.COUNT] = 1, control_kernels.clock(), count
    around = KernelCall(kernel, row, [(int(at), held, 0) for at, held in control_kernels.OWN.items()])
    if choice is not None:
        around.addresses.append((int(HeldRow.CHOICE), choice.held, choice.offset))
    begins: dict[Any, int] = {}
    for group in groups:
        around.held.append([placed.call for placed in group])
        for call, at, place, offset in (m for placed in group for m in placed.moving):
            begin = place.held, place.offset + offset
            if begin not in begins:
                begins[begin] = len(row)
                around.addresses.append((len(row), *begin))
                row.append(0)
            around.moves.append(Move(call, at, begins[begin], place.stride, place.alternates))
    return around


CONTROL: dict[str, Callable[[Binding, Statement], None]] = {
    "scan": _bind_scan,
    "switch": _bind_switch,
    "while": _bind_while,
}
"""How each kind of control becomes calls."""
