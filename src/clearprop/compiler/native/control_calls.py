"""How loops become calls: the calls of a step, and where what they read and write lies in each turn.

The programs that are held are bound like any other; then every array of theirs is given its place in an array of the
program around them.  Elements of `xs` and what the steps give stand in rows of whole arrays, so their addresses go on
from turn to turn.  A carry is updated in place where the plan of the step could arrange that; otherwise a step writes
it beside the old one, and the two places change their roles.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clearprop.compiler.batch_loops import BatchLoop, Role, batch_loop
from clearprop.compiler.binding import ALIGN, Binding, KernelCall, Move, Piece
from clearprop.compiler.iteration_domains import Statement
from clearprop.compiler.kernel_text import dtype_name
from clearprop.compiler.kernels import Kernel
from clearprop.compiler.memory_plan import MemoryPlan
from clearprop.compiler.native import control_kernels, number_loops
from clearprop.compiler.native.control_kernels import HeldRow
from clearprop.compiler.native.joined_calls import join_small_calls
from clearprop.compiler.native.library_kernels import copy_rows, fill_zeros
from clearprop.program.ir import Var


@dataclass(frozen=True)
class ArrayPlace:
    """Where an array of a held program lies: in which array around it, from which byte, and how that differs."""

    held: Any
    offset: int = 0
    stride: int = 0
    alternates: bool = False


Places = dict[Any, ArrayPlace]


@dataclass(frozen=True)
class _Share:
    """What one thread does of a loop: rows lo … hi of a batch through all steps; without a `loop`, all there is."""

    binding: Binding
    number: int = 0
    rows: tuple[int, int] = (0, 0)
    loop: BatchLoop | None = None
    parts: Mapping[Var, Piece] = field(default_factory=dict)

    @property
    def env(self) -> Mapping[Any, int]:
        """The sizes of its steps."""
        lo, hi = self.rows
        return self.binding.env if self.loop is None else {**self.binding.env, self.loop.size: hi - lo}

    def role(self, inside: Var) -> Role:
        """What an array of a step that comes from outside, or goes there, is to the batch."""
        return Role.SAME if self.loop is None else self.loop.roles.get(inside, Role.ROWS)

    def begin(self, inside: Var, place: ArrayPlace) -> ArrayPlace:
        """Where its rows begin in what holds those of the batch."""
        if self.loop is None or self.role(inside) is not Role.ROWS:
            return place
        row = self.binding.bytes(inside) // self.binding.env[self.loop.size]
        return replace(place, offset=place.offset + self.rows[0] * row)

    def first(self, inside: Var, place: ArrayPlace) -> ArrayPlace | None:
        """Where a carry begins; None, zeros, for a sum over the batch, whose beginning the first thread has."""
        return None if self.number and self.role(inside) is Role.PART else self.begin(inside, place)

    def row(self, inside: Var, around: ArrayPlace, turns: int, reverse: bool) -> ArrayPlace:
        """Where, in the row of an array that belongs to a turn, what it reads or writes begins."""
        size = self.binding.bytes(inside)
        last = max(turns - 1, 0) * size if reverse else 0
        place = self.begin(inside, replace(around, offset=around.offset + last))
        return replace(place, stride=-size if reverse else size)

    def target(self, inside: Var, out: Var) -> ArrayPlace:
        """Where the last of a carry goes: its rows, its part of a sum, or memory of its own for what the first has."""
        if out in self.parts:
            return ArrayPlace(self.parts[out])
        if self.number and self.role(inside) is Role.SAME:
            return ArrayPlace(self.binding.piece(self.binding.bytes(out)))
        return self.begin(inside, ArrayPlace(out))


def _bind_scan(binding: Binding, op: Statement) -> None:
    """The loop, for each thread with its rows of the batch where it can be divided; then sums over the batch."""
    eq, (plan,) = op.equation, binding.plan.held[op.equation]
    loop = batch_loop(eq, plan.program) if binding.threads > 1 else None
    ranges = [] if loop is None else binding.shares(binding.env[loop.size], True, 8)
    if loop is None or len(ranges) == 1:
        shares, sums = [_Share(binding)], []
    else:
        sums = loop.sums(eq, plan.program)
        parts = [{v: binding.piece(binding.bytes(v)) for v in sums} for _ in ranges]
        shares = [_Share(binding, k, rows, loop, parts[k]) for k, rows in enumerate(ranges)]
    own = [_scan_calls(binding, op, share) for share in shares]
    longest = max(map(len, own))  # a thread with few rows may have nothing to pack; loops still stand side by side
    for calls in zip(*([*[None] * (longest - len(each)), *each] for each in own), strict=True):
        binding.add(calls)
    for v in sums:
        binding.add_parts(v, [share.parts[v] for share in shares])


def _scan_calls(binding: Binding, op: Statement, share: _Share) -> list[KernelCall]:
    """The first carries are copied, the loop runs, and carries that change places are copied out."""
    eq, (plan,) = op.equation, binding.plan.held[op.equation]
    params, inputs = eq.params, plan.program.inputs
    first, count, turns = params["constants"], params["carries"], binding.number(params["length"])
    step = _bind_held(binding, plan, share.env, inputs[:first])
    operands = _operands(binding, op)
    places: Places = {v: share.begin(v, place) for v, place in zip(inputs[:first], operands, strict=False)}
    carried = list(zip(inputs[first : first + count], eq.outputs, strict=False))
    targets = {v: share.target(v, out) for v, out in carried}
    begins = [share.first(v, place) for (v, _), place in zip(carried, operands[first:], strict=False)]
    calls, changing = _place_carries(binding, step, begins, targets, places)
    rows = [*zip(inputs[first + count :], operands[first + count :], strict=True)]
    rows += zip(plan.outputs[count:], map(ArrayPlace, eq.outputs[count:]), strict=True)
    for inside, around in rows:
        places[inside] = share.row(inside, around, turns, params["reverse"])
    only = step.calls[0][0] if len(step.calls) == 1 else None
    places = {**_places_of_temporaries(binding, step), **places}
    calls += [_place_call(call, places).call for call in step.once]
    if only is not None and number_loops.is_of_numbers(only):
        registers = [(c, plan.buffer(o)) for (c, _), o in zip(carried, plan.outputs, strict=False)]
        calls += _loop_of_numbers(binding, only, registers, [inside for inside, _ in rows], places, turns)
        parity = 0
    else:
        calls.append(_holding(binding, control_kernels.loop(), [_placed_calls(step, places)], turns))
        parity = turns % 2
    for pair, target in changing:
        last = ArrayPlace(pair.held, pair.offset + parity * pair.stride)
        calls.append(_copy_call(target, last, targets[target], step).call)
    return calls


def _loop_of_numbers(
    binding: Binding,
    call: KernelCall,
    carries: Sequence[tuple[Var, Var]],
    rows: Sequence[Var],
    places: Places,
    turns: int,
) -> list[KernelCall]:
    """A loop that stands in its kernel, called for so many steps at once that between calls it can be paused."""
    strides = {v: places[v].stride // v.dtype.itemsize for v in rows}
    kernel = number_loops.with_the_loop(call, carries, strides)
    fixed = {v: ArrayPlace(place.held, 0 if place.alternates else place.offset) for v, place in places.items()}
    many, rest = divmod(turns, number_loops.TURNS)
    calls = []

    def steps(first: int, last: int) -> _PlacedCall:
        row = [first, last, *call.row[2:], *(p.what % 2**64 for p in kernel.parameters[len(call.kernel.parameters) :])]
        return _place_call(KernelCall(kernel, row, list(call.addresses)), fixed)

    if many:
        part, size = steps(0, number_loops.TURNS), number_loops.TURNS
        loop = _holding(binding, control_kernels.loop(), [[part]], many)
        for word in (0, 1):
            loop.moves.append(Move(part.call, word, len(loop.row), size, alternates=False))
            loop.row.append(word * size)
        calls.append(loop)
    if rest:
        calls.append(steps(turns - rest, turns).call)
    return calls


def _bind_while(binding: Binding, op: Statement) -> None:
    """The condition and the step by turns; where carries change places, the last of them are copied out."""
    eq, (condition_plan, plan) = op.equation, binding.plan.held[op.equation]
    first = eq.params["condition_constants"]
    last = first + eq.params["constants"]
    condition, step = (_bind_held(binding, held, binding.env) for held in (condition_plan, plan))
    operands, carries = _operands(binding, op), plan.program.inputs[last - first :]
    places: Places = dict(zip(plan.program.inputs, operands[first:last], strict=False))
    targets = dict(zip(carries, map(ArrayPlace, eq.outputs), strict=False))
    calls, changing = _place_carries(binding, step, operands[last:], targets, places)
    for call in calls:
        binding.add([call])
    read: Places = dict(zip(condition_plan.program.inputs, operands[:first], strict=False))
    read |= zip(condition_plan.program.inputs[first:], (places[c] for c in carries), strict=True)
    truth = ArrayPlace(binding.piece(1))
    read[condition_plan.outputs[0]] = truth
    ends = [_copy_call(target, pair, targets[target], step) for pair, target in changing]
    read, places = _places_of_temporaries(binding, condition) | read, _places_of_temporaries(binding, step) | places
    groups = [_placed_calls(condition, read), _placed_calls(step, places), ends]
    binding.add([_holding(binding, control_kernels.loop_while(), groups, 0, truth)])


def _bind_switch(binding: Binding, op: Statement) -> None:
    """Each branch writes the results by itself."""
    eq, plans = op.equation, binding.plan.held[op.equation]
    index, *operands = _operands(binding, op)
    groups = []
    for plan in plans:
        places: Places = dict(zip(plan.program.inputs, operands, strict=True))
        places |= zip(plan.outputs, map(ArrayPlace, eq.outputs), strict=True)
        branch = _bind_held(binding, plan, binding.env)
        groups.append(_placed_calls(branch, _places_of_temporaries(binding, branch) | places))
    kernel = control_kernels.branch(dtype_name(op.reads[0].base.dtype))
    binding.add([_holding(binding, kernel, groups, len(plans), index)])


def _operands(binding: Binding, op: Statement) -> list[ArrayPlace]:
    return [ArrayPlace(r.base, binding.number(r.offset) * r.base.dtype.itemsize) for r in op.reads]


def _bind_held(binding: Binding, plan: MemoryPlan, env: Mapping[Any, int], lasting: Collection[Var] = ()) -> Binding:
    """A held program bound to sizes like those of the program around it, its small kernels joined."""
    step = Binding(plan, env, 1, binding.special, step=True, pauses=binding.pauses, lasting=lasting)
    binding.private |= step.private
    join_small_calls(step)
    return step


def _place_carries(
    binding: Binding,
    step: Binding,
    first: Sequence[ArrayPlace | None],
    targets: Mapping[Var, ArrayPlace],
    places: Places,
) -> tuple[list[KernelCall], list[tuple[ArrayPlace, Var]]]:
    """The calls that put the first carries (None: zeros) where the steps find them; and places that change their roles.

    targets  of each carry where the last is to be; it stays there in all steps, if they can update it in place
    """
    calls, changing = [], []
    for (before, target), after, init in zip(targets.items(), step.plan.outputs, first, strict=False):
        in_place = step.plan.buffer(after) is before
        size = -(-step.bytes(before) // ALIGN) * ALIGN
        place = target if in_place else ArrayPlace(binding.piece(2 * size), 0, size, alternates=True)
        places[before] = place
        begin = ArrayPlace(place.held, place.offset)
        calls.append(_zeros_call(before, begin, step) if init is None else _copy_call(before, init, begin, step).call)
        if not in_place:
            places[after] = ArrayPlace(place.held, size, -size, alternates=True)
            changing.append((place, before))
    return calls, changing


@dataclass(frozen=True)
class _PlacedCall:
    """A call of a held program; and which addresses, of its own or of calls in it, differ from turn to turn.

    `moving` are the call, the word, the place and bytes from there.
    """

    call: KernelCall
    moving: list[tuple[KernelCall, int, ArrayPlace, int]]


def _zeros_call(like: Var, target: ArrayPlace, step: Binding) -> KernelCall:
    """The call that makes a whole array 0."""
    size = step.bytes(like) // like.dtype.itemsize
    return KernelCall(fill_zeros(dtype_name(like.dtype)), [0, size, 0], [(2, target.held, target.offset)])


def _copy_call(like: Var, source: ArrayPlace, target: ArrayPlace, step: Binding) -> _PlacedCall:
    """The call that copies a whole array."""
    size = step.bytes(like) // like.dtype.itemsize
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
    binding: Binding,
    kernel: Kernel,
    groups: Sequence[list[_PlacedCall]],
    count: int,
    choice: ArrayPlace | None = None,
) -> KernelCall:
    """The call of a kernel that runs others.  One of two threads has no clock, and so no pauses."""
    row = [0] * (HeldRow.RANGES + 2 * len(groups))
    row[1], row[HeldRow.CLOCK], row[HeldRow.COUNT] = 1, control_kernels.clock() if binding.pauses else 0, count
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
