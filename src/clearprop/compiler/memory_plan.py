"""The plan: steps with their kernels, which values live in memory, for how long, and what is written in place."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clearprop.compiler.array_access import Access, contiguous_strides, resolve_accesses
from clearprop.compiler.axis_merging import merge_axes
from clearprop.compiler.control_programs import held_programs
from clearprop.compiler.iteration_domains import Statement, statement
from clearprop.compiler.kernels import Emitter, Kernel
from clearprop.compiler.schedule import Nest, PlanStep, Scheduler, steps_of
from clearprop.compiler.simd_rows import LaneEmitter
from clearprop.compiler.unrolled_rows import UnrolledEmitter
from clearprop.compiler.window_padding import SUMS, with_padding_inside
from clearprop.primitives import REGISTRY
from clearprop.program.ir import Equation, Program, Var
from clearprop.program.types import Type, type_of
from clearprop.shapes import Size, dim_key, is_one, same_shape, size_of


@dataclass
class Instruction:
    """One step of the plan: a fused nest, a matrix product, or a special kernel by name.

    `nest` is the step with its axes merged; `emit(form, columns, long)` writes its kernel by rows, with "lanes" or
    "unrolled" over so many columns, with these sums as long ones (`long_sums`).
    """

    step: PlanStep
    nest: Nest | None = None
    emit: Callable[[str, int, frozenset[Var]], Kernel] | None = None
    name: str = ""


@dataclass
class MemoryPlan:
    """Everything about a program that does not depend on sizes and addresses.

    `stored` are the variables that stand in memory; `held` are the plans of the programs that its loops and branches
    hold.
    """

    program: Program
    instructions: list[Instruction]
    outputs: tuple[Any, ...]
    buffers: dict[Var, Var]
    stored: set[Var] = field(default_factory=set)
    lifetimes: dict[Var, tuple[int, int]] = field(default_factory=dict)
    held: dict[Equation, list[MemoryPlan]] = field(default_factory=dict)

    def buffer(self, var: Var) -> Var:
        """The variable in whose memory a value lives."""
        return self.buffers.get(var, var)


def make_plan(program: Program, donated: Mapping[int, int], *, called: bool = False) -> MemoryPlan:
    """Plan a lowered program; `donated` maps positions of outputs to positions of inputs they may overwrite.

    `called`: it is a program by itself, and no part of a loop, so that its outputs are nobody's operands.
    """
    if any(eq.primitive.numba in SUMS for eq in program.equations):
        program = with_padding_inside(program)
    program, shown = _with_owned_outputs(program, donated, called)
    program = _with_plain_operands(program)
    found, work = resolve_accesses(program)
    # what is settled before the schedule: whose memory a result takes over, and which parts stand in their whole
    ops = [statement(eq, found) for eq in work]
    in_place = _in_place(program, donated, {op.out: op for op in ops})
    computed = {o: v for v, o in shown.items()}
    outputs = [computed.get(o, o) for o in program.outputs if isinstance(o, Var)]
    ops, joined = _with_parts_in_place(ops, outputs, in_place, shown)
    steps = Scheduler(ops, program.inputs, outputs, in_place).run()
    steps = _with_sums_in_products(steps, {*in_place, *outputs}, in_place)
    stored = _stored_in_memory(steps, outputs)
    plan = MemoryPlan(program, [], program.outputs, {**in_place, **shown, **joined}, stored)
    steps = [s for s in steps if isinstance(s, Nest) or s.equation.inputs[0] not in joined]
    for step in steps:
        plan.instructions.append(_instruction(step, stored, plan))
    plan.lifetimes = _lifetimes(steps, stored, plan, outputs)
    plan.held = {eq: [make_plan(*held) for held in held_programs(eq)] for eq in work if eq.primitive.facts.control}
    return plan


def _with_owned_outputs(program: Program, donated: Mapping[int, int], called: bool) -> tuple[Program, dict[Var, Var]]:
    """Every output is a variable of its own: views, inputs, repeated outputs and numbers are copied.

    A value that is given in another shape alone is computed where that output stands: it is mapped to it.
    """
    # one case for each way in which an output has memory: its own already, that of its base, or a copy's
    found, work = resolve_accesses(program)
    made = {v for eq in work for v in eq.outputs}
    free = made.difference(program.outputs) if called else set[Var]()
    taken: set[Var] = set()
    shown: dict[Var, Var] = {}
    extra: list[Equation] = []
    outputs: list[Any] = []
    for position, atom in enumerate(program.outputs):
        kept = isinstance(atom, Var) and position in donated and atom is program.inputs[donated[position]]
        if kept or (isinstance(atom, Var) and atom in made and atom not in taken):
            taken.add(atom)
            outputs.append(atom)
            continue
        base = _base_in_its_order(found.get(atom)) if position not in donated else None
        if base in free:
            free.discard(base)
            shown[base] = atom
            outputs.append(atom)
            continue
        new = Var(type_of(atom), getattr(atom, "name", ""))
        extra.append(Equation(REGISTRY["identity"], (atom,), {}, (new,)))
        outputs.append(new)
    owned = Program(program.inputs, program.equations + tuple(extra), tuple(outputs), program.captured, program.scope)
    return owned, shown


def _base_in_its_order(access: Access | None) -> Var | None:
    """The variable of which an access walks all elements in their order."""
    base = access.base if access is not None else None
    if access is None or not isinstance(base, Var):
        return None
    whole = access.key == (tuple(map(dim_key, contiguous_strides(access.shape))), 0)
    return base if whole and dim_key(size_of(access.shape)) == dim_key(size_of(base.shape)) else None


def _with_plain_operands(program: Program) -> Program:
    """Matrix products and special kernels read arrays in memory: what is only a view or a number is copied first."""
    found, work = resolve_accesses(program)
    special = {eq for eq in work if statement(eq, found).kind in ("product", "special")}
    equations: list[Equation] = []
    for eq in program.equations:
        if eq not in special:
            equations.append(eq)
            continue
        inputs = _widen_operands(eq, equations)
        for k, atom in enumerate(inputs):
            own = type_of(atom)
            dtype = eq.outputs[0].dtype if eq.primitive.facts.product else own.dtype
            if own.dtype != dtype:  # a product of float32 and float64: BLAS knows one dtype
                inputs[k] = Var(Type(own.shape, dtype))
                equations.append(Equation(REGISTRY["astype"], (atom,), {"dtype": dtype}, (inputs[k],)))
            elif not _is_readable(eq, found.get(atom) if isinstance(atom, Var) else None):
                inputs[k] = Var(own)
                equations.append(Equation(REGISTRY["identity"], (atom,), {}, (inputs[k],)))
        equations.append(replace(eq, inputs=tuple(inputs)))
    return replace(program, equations=tuple(equations))


def _widen_operands(eq: Equation, equations: list[Equation]) -> list[Any]:
    """The operands, those of an indexing along an axis in full shapes: its kernels repeat nothing."""
    inputs = list(eq.inputs)
    if not eq.primitive.facts.paired:
        return inputs
    place = len(inputs[0].shape) + eq.params["axis"]
    whole = eq.outputs[0].shape
    for k, atom in enumerate(inputs):
        shape = (*whole[:place], atom.shape[place], *whole[place + 1 :])
        if not same_shape(atom.shape, shape):
            inputs[k] = Var(Type(shape, atom.dtype))
            equations.append(Equation(REGISTRY["broadcast_to"], (atom,), {"shape": shape}, (inputs[k],)))
    return inputs


def _is_readable(eq: Equation, access: Access | None) -> bool:
    """Whether an operand can be read where it is: rows or columns for a product, plain order for the rest."""
    if access is None or not isinstance(access.base, Var):
        return False
    if not eq.primitive.facts.product:
        return access.key == (tuple(map(dim_key, contiguous_strides(access.shape))), 0)
    rows, columns = access.strides[-2:]
    down, right = access.shape[-2:]
    unfit = any((dim_key(s) == 0 or _is_backward(s)) and not is_one(n) for s, n in ((rows, down), (columns, right)))
    return not unfit and (is_one(right) or is_one(down) or dim_key(columns) == 1 or dim_key(rows) == 1)


def _reads_where_it_writes(op: Statement, var: Var) -> bool:
    """Whether a map reads an array only at the element that it writes: else it would read what it has overwritten."""
    return all(r.key == (op.write_key, 0) for r in op.reads if isinstance(r, Access) and r.base is var)


def _is_backward(stride: Any) -> bool:
    """Whether a stride, a number times sizes, leads back in memory, whatever the sizes are."""
    return min(stride.terms.values()) < 0 if isinstance(stride, Size) else bool(stride < 0)


def _in_place(program: Program, donated: Mapping[int, int], made: Mapping[Var, Statement]) -> dict[Var, Var]:
    """Output variable → input variable whose memory it takes over."""
    out: dict[Var, Var] = {}
    for position, source in donated.items():
        o, i = program.outputs[position], program.inputs[source]
        op = made.get(o) if isinstance(o, Var) else None
        if op is None or o in out or i in out.values():
            continue
        aliased = i in op.bases and (op.kind != "map" or not _reads_where_it_writes(op, i))
        same = o.type.key() == i.type.key()
        if same and not aliased:
            out[o] = i
    return out


def _with_parts_in_place(
    ops: Sequence[Statement], outputs: Sequence[Var], in_place: Mapping[Var, Var], shown: Mapping[Var, Var]
) -> tuple[list[Statement], dict[Var, Var]]:
    """The operations, parts that are joined written where they stand in the whole; and in whose memory each part lives.

    So it is where all parts are made by maps and read nowhere else: joining them is then no step of its own.
    """
    # all parts or none: a copy of some would run when the others are already there, in memory that is then read twice
    made, users = {op.out: op for op in ops}, Counter(base for op in ops for base in op.bases)
    users.update([*outputs, *in_place])
    joined: dict[Var, Var] = {}
    for op in ops:
        parts = op.equation.inputs
        if not op.equation.primitive.facts.joins or len(set(parts)) < len(parts) or op.out in in_place:
            continue
        if all(v in made and _is_plain_map(made[v]) and users[v] == 1 for v in parts):
            joined.update(dict.fromkeys(parts, shown.get(op.out, op.out)))
            made.update((part.out, part) for part in _places_of_parts(op, [made[v] for v in parts]))
    return [made[op.out] for op in ops], joined


def _is_plain_map(op: Statement) -> bool:
    """Whether a map goes over the axes of what it makes; a copy into another shape goes over those of what it reads."""
    return op.kind == "map" and op.key == tuple(dim_key(n) for n in op.out.shape if not is_one(n))


def _places_of_parts(whole: Statement, parts: Sequence[Statement]) -> Iterator[Statement]:
    """The parts, one after the other along an axis of the whole."""
    strides, offset = contiguous_strides(whole.out.shape), 0
    axis = whole.equation.params["axis"]
    for part in parts:
        write = tuple(s for n, s in zip(part.out.shape, strides, strict=True) if not is_one(n))
        yield replace(part, write=write, into=whole.out, offset=offset)
        offset = offset + part.out.shape[axis] * strides[axis]


def _with_sums_in_products(steps: Sequence[PlanStep], kept: set[Var], in_place: Mapping[Var, Var]) -> list[PlanStep]:
    """The steps, a sum of a product and an array of its shape as one: D + A·B, whose product is kept nowhere.

    It stands where the sum stood, so that D is there; and A and B still are, for no step between has written over them.
    """
    # for each sum the product that it alone reads; then what is written between the two, which must be no operand
    users = Counter(base for step in steps for op in steps_of(step) for base in op.bases)
    products = {s.out: k for k, s in enumerate(steps) if not isinstance(s, Nest) and s.kind == "product"}
    out: list[PlanStep | None] = list(steps)
    for k, step in enumerate(steps):
        added = _added_to_a_product(step, products) if isinstance(step, Nest) else None
        if added is None or users[added[0]] != 1 or added[0] in kept:
            continue
        at, op = products[added[0]], steps_of(step)[0]
        product = steps[at]
        written = {in_place.get(o.out) for between in steps[at + 1 : k + 1] for o in steps_of(between)}
        if not written & {read.base for read in product.reads}:
            whole = replace(product.equation, outputs=op.equation.outputs)
            out[at], out[k] = None, replace(product, equation=whole, reads=[*product.reads, added[1]])
    return [step for step in out if step is not None]


def _added_to_a_product(nest: Nest, products: Collection[Var]) -> tuple[Var, Access] | None:
    """The product that a nest adds an array to, and that array, if it does nothing else and both lie in one order."""
    # an element of D and one of the product for each of the sum: whatever repeats, turns or converts is a nest's
    op = nest.ops[0]
    if len(nest.ops) > 1 or not op.equation.primitive.facts.adds or op.into is not None:
        return None
    plain = [r for r in op.reads if isinstance(r, Access) and isinstance(r.base, Var) and r.key == (op.write_key, 0)]
    alike = all(r.base.dtype == op.out.dtype and same_shape(r.base.shape, op.out.shape) for r in plain)
    if len(plain) < 2 or not alike or plain[0].base is plain[1].base:
        return None
    found = next((k for k in (0, 1) if plain[k].base in products), None)
    return None if found is None else (plain[found].base, plain[1 - found])


def _stored_in_memory(steps: Sequence[PlanStep], outputs: Sequence[Var]) -> set[Var]:
    """Variables that must be in memory: outputs, and what another step reads."""
    made: dict[Var, int] = {}
    stored = set(outputs)
    for k, step in enumerate(steps):
        for op in steps_of(step):
            for v in op.equation.outputs:
                made[v] = k
            if not isinstance(step, Nest):
                stored.update(op.equation.outputs)
    for k, step in enumerate(steps):
        for op in steps_of(step):
            for b in op.bases:
                if b in made and (made[b] != k or not isinstance(step, Nest)):
                    stored.add(b)
    return stored


def _instruction(step: PlanStep, stored: set[Var], plan: MemoryPlan) -> Instruction:
    if not isinstance(step, Nest):
        return Instruction(step, name=step.equation.primitive.name)
    nest = merge_axes(step)

    @functools.cache
    def emit(form: str, columns: int, long: frozenset[Var]) -> Kernel:
        given = (nest, stored, plan.buffer, canonical_names(), long)
        if form == "unrolled":
            return UnrolledEmitter(columns, *given).emit()
        return (LaneEmitter if form == "lanes" else Emitter)(*given).emit()

    return Instruction(step, nest, emit)


def canonical_names() -> Any:
    """Names that do not depend on the program, so that equal kernels have equal text."""
    counter = itertools.count()

    def name(_: Any, hint: str) -> str:
        return f"{hint}{next(counter)}"

    return name


def _lifetimes(
    steps: Sequence[PlanStep], stored: set[Var], plan: MemoryPlan, outputs: Sequence[Var]
) -> dict[Var, tuple[int, int]]:
    """First and last step at which each temporary's memory is in use."""
    fixed = set(plan.program.inputs) | {plan.buffer(o) for o in outputs}
    life: dict[Var, tuple[int, int]] = {}
    for k, step in enumerate(steps):
        for op in steps_of(step):
            for v in [*op.equation.outputs, *op.bases]:
                held = plan.buffer(v)
                if v in stored and held not in fixed:
                    first, last = life.get(held, (k, k))
                    life[held] = (min(first, k), max(last, k))
    return life
