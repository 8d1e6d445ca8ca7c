"""Scheduling: operations become steps, in an order that is acyclic by construction.

A *nest* is a set of operations over one domain D = (d₀ … d_r), read and written in one pass over memory: its maps
and reductions over all of D, and row-level guests over (d₀ … d_{r−1}).  A reduction over the last axis ends a
*stage*: what depends on it runs in the next loop over the same row.  A reduction over an outer axis accumulates
in the same loop, and what depends on it waits for the next nest.

Assumed: operations are in single assignment and in an order that computes; every read is an access over its reader's
own domain.  Kept: whatever order comes out, each value is computed before it is read, and an update in place comes
after every other reader of the value that it overwrites.  Bits do not depend on the order, except that a reduction
adds in the order of its nest's loops, so the schedule is a function of the program alone, never of sizes or of the
machine.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clearprop.compiler.array_access import Access
from clearprop.compiler.iteration_domains import Statement
from clearprop.program.ir import Var
from clearprop.shapes import dim_key


@dataclass(eq=False)
class Nest:
    """Operations that share one pass; `stage[op]` is the loop over the row in which it runs."""

    domain: tuple[Any, ...]
    ops: list[Statement] = field(default_factory=list)
    stage: dict[Statement, int] = field(default_factory=dict)

    @functools.cached_property
    def key(self) -> tuple[Any, ...]:
        """Identity of the domain."""
        return tuple(map(dim_key, self.domain))

    def is_row(self, op: Statement) -> bool:
        """Whether an operation runs once per row."""
        return len(op.domain) < len(self.domain)


PlanStep = Any
"""A Nest, or an Statement that is a matrix product or special."""


def steps_of(step: PlanStep) -> list[Statement]:
    """The operations of a step."""
    return step.ops if isinstance(step, Nest) else [step]


def is_accumulated(op: Statement) -> bool:
    """Whether a reduction's value is known only after the nest: it takes an outer axis together."""
    return op.kind == "reduce" and (len(op.domain) == 1 or op.reduced != (len(op.domain) - 1,))


def _reads_what_it_writes(read: Access, op: Statement) -> bool:
    """Whether a read touches, at every index, just the element that `op` writes there."""
    return bool(read.key == (op.write_key, 0))


class Scheduler:
    """Orders operations into steps."""

    def __init__(
        self, ops: Sequence[Statement], inputs: Iterable[Var], outputs: Iterable[Var], donated: dict[Var, Var]
    ) -> None:
        self.ops = list(ops)
        self.number = {op: i for i, op in enumerate(self.ops)}
        self.made = {op.out: op for op in ops}
        self.users: dict[Var, list[Statement]] = {}
        for op in ops:
            for base in dict.fromkeys(op.bases):
                self.users.setdefault(base, []).append(op)
        self.outputs = set(outputs)
        self.donated = donated
        self.available: set[Var] = set(inputs)
        self.done: set[Statement] = set()
        self.todo: dict[Statement, None] = dict.fromkeys(self.ops)
        # an update in place waits for every other reader of the old value
        self.waits = {
            self.made[o]: [u for u in self.users.get(i, []) if u is not self.made[o]]
            for o, i in donated.items()
            if o in self.made
        }
        self.waiting: dict[Statement, list[Statement]] = {}
        for update, readers in self.waits.items():
            for reader in readers:
                self.waiting.setdefault(reader, []).append(update)
        self.steps: list[PlanStep] = []
        self.frontier: dict[Statement, None] = dict.fromkeys(op for op in self.ops if self._ready(op))

    def run(self) -> list[PlanStep]:
        """All steps.

        Numbers first, since nests want them in registers; then products and special kernels, which nothing can fuse
        with, so that nests after them find as much as possible ready; a nest only when nothing else can go on.
        """
        while self.todo:
            if not self.frontier:
                self._give_own_memory()
            ready = sorted(self.frontier, key=self.number.__getitem__)
            scalars = [op for op in ready if op.kind in ("map", "reduce") and not op.domain]
            products = [op for op in ready if op.kind in ("product", "special")]
            if scalars:
                self._commit(self._scalar_nest(scalars))
            elif products:
                for op in products:
                    self._commit(op)
            else:
                self._commit(self._grow(ready))
        return self.steps

    def _give_own_memory(self) -> None:
        """Updates in place that wait for each other, as where two values change places: one is not in place."""
        # a cycle can come from `waits` alone (reads follow the order of the program), so one that waits is to be found
        op = next(op for op in self.todo if op in self.waits and all(b in self.available for b in op.bases))
        del self.waits[op], self.donated[op.out]
        self.frontier[op] = None

    def _ready(
        self, op: Statement, nest: Nest | None = None, inside: frozenset[Any] | set[Statement] = frozenset()
    ) -> bool:
        for r in op.reads:
            if isinstance(r, Access) and isinstance(r.base, Var) and r.base not in self.available:
                maker = self.made.get(r.base)
                if nest is None or maker is None or maker not in inside or not self._forwards(nest, maker, op, r):
                    return False
        return all(w in self.done or w in inside for w in self.waits.get(op, ()))

    def _forwards(self, nest: Nest, maker: Statement, op: Statement, read: Access) -> bool:
        """Whether the value is at hand when the reader runs: same element, same row, not accumulated."""
        # only then may both stand in one nest; a reader of another element would see it before it is written
        walk, offset = read.key
        kept = maker.write_key
        if is_accumulated(maker) or offset != 0 or not len(nest.domain) - 1 <= len(kept) <= len(walk):
            return False
        return walk == kept + (0,) * (len(walk) - len(kept))

    def _scalar_nest(self, ready: list[Statement]) -> Nest:
        """Everything that can be computed now without a loop."""
        nest = Nest(())
        inside: set[Statement] = set()
        again = list(ready)
        while again:
            op = again.pop(0)
            if op in inside or op.kind == "special" or op.domain or not self._ready_scalar(op, inside):
                continue
            nest.ops.append(op)
            inside.add(op)
            again += self.users.get(op.out, [])
        nest.ops.sort(key=self.number.__getitem__)
        nest.stage = dict.fromkeys(nest.ops, 0)
        return nest

    def _ready_scalar(self, op: Statement, inside: set[Statement]) -> bool:
        made = all(b in self.available or self.made.get(b) in inside for b in op.bases)
        return made and all(w in self.done or w in inside for w in self.waits.get(op, ()))

    def _fits(self, op: Statement, key: tuple[Any, ...]) -> bool:
        if op.kind not in ("map", "reduce") or not op.domain:
            return False
        return op.key == key or (len(key) > 1 and op.key == key[:-1] and (op.kind == "map" or is_accumulated(op)))

    def _grow(self, ready: list[Statement]) -> Nest:
        # the largest domain first: what is smaller can be its guest, but not the other way round
        seeds = sorted((op for op in ready), key=lambda op: (-len(op.domain), self.number[op]))
        for seed in seeds:
            nest = self._closure(seed)
            self._keep_connected(nest, seed)
            self._drop_postponable(nest)
            self._drop_early(nest)
            if nest.ops:
                return self._staged(nest)
        return self._staged(Nest(seeds[0].domain, [seeds[0]]))

    def _closure(self, seed: Statement) -> Nest:
        """Everything that could run in one pass over the seed's domain."""
        nest = Nest(seed.domain)
        inside: set[Statement] = set()
        todo = [op for op in self.frontier if self._fits(op, nest.key)]
        while todo:
            op = todo.pop()
            if op in inside or not self._ready(op, nest, inside):
                continue
            nest.ops.append(op)
            inside.add(op)
            todo += [u for u in self._followers(op) if self._fits(u, nest.key) and u not in inside]
        nest.ops.sort(key=self.number.__getitem__)
        return nest

    def _followers(self, op: Statement) -> list[Statement]:
        """Operations that may have become ready because `op` was done."""
        users = [u for v in op.equation.outputs for u in self.users.get(v, ())]
        return users + self.waiting.get(op, [])

    def _keep_connected(self, nest: Nest, seed: Statement) -> None:
        """Only what shares an array with the seed, directly or through others."""
        touches: dict[Var, list[Statement]] = {}
        for op in nest.ops:
            for base in [*op.bases, op.out]:
                if base.shape:
                    touches.setdefault(base, []).append(op)
        kept, todo = {seed}, [seed]
        while todo:
            op = todo.pop()
            for base in [*op.bases, op.out]:
                for other in touches.get(base, ()):
                    if other not in kept:
                        kept.add(other)
                        todo.append(other)
        # strangers in one pass would share no memory traffic and cost registers
        nest.ops = [op for op in nest.ops if op in kept]

    def _drop_postponable(self, nest: Nest) -> None:
        """Maps that nobody here needs, and that are as cheap to compute later, are left to their readers."""
        while True:
            inside = set(nest.ops)
            drop = {op for op in nest.ops if self._postponable(op, inside)}
            if not drop:
                return
            nest.ops = [op for op in nest.ops if op not in drop]

    def _postponable(self, op: Statement, inside: set[Statement]) -> bool:
        """Whether a map can wait: its readers come later, can take it in, and find what it reads still in memory.

        A value that is written by one pass and read by another costs memory twice; computed where it is read, nothing.
        """
        users = self.users.get(op.out, [])
        if op.kind != "map" or op.out in self.outputs or op in self.waits or any(u in inside for u in users):
            return False
        if any(u.kind in ("product", "special") for u in users):
            return False
        if any(update in inside for update in self.waiting.get(op, ())):
            return False
        return all(b in self.available or self._stays(b, inside) for b in op.bases)

    def _drop_early(self, nest: Nest) -> None:
        """What reads from, or writes over the old value of, an operation that has left the nest must leave too."""
        while True:
            inside = set(nest.ops)
            kept = [op for op in nest.ops if self._ready(op, nest, inside)]
            if len(kept) == len(nest.ops):
                return
            nest.ops = kept

    def _stays(self, base: Var, inside: set[Statement]) -> bool:
        """Whether a value made in this nest will be in memory afterwards anyway."""
        if base in self.outputs:
            return True
        return any(u.kind in ("product", "special") for u in self.users.get(base, ()))

    def _staged(self, nest: Nest) -> Nest:
        """The nest with its stages, without operations that would overwrite what a later stage still reads."""
        self._assign_stages(nest)
        hazard = next((op for op in nest.ops if self._overwrites_early(op, nest)), None)
        if hazard is not None and len(nest.ops) > 1:
            nest.ops = [op for op in nest.ops if op is not hazard and hazard.out not in op.bases]
            self._drop_early(nest)
            nest.stage.clear()
            return self._staged(nest)
        return nest

    def _overwrites_early(self, op: Statement, nest: Nest) -> bool:
        """Whether an update in place would hide the old value from a reader of this nest."""
        for reader in self.waits.get(op, ()):
            if reader in nest.stage:
                old = self.donated[op.out]
                reads = (r for r in reader.reads if isinstance(r, Access) and r.base is old)
                same = all(_reads_what_it_writes(r, op) for r in reads)
                if not same or nest.stage[reader] > nest.stage[op]:
                    return True
        return False

    def _assign_stages(self, nest: Nest) -> None:
        """The loop over the row in which each operation runs: one more than that of any total of the row it reads."""
        nest.ops.sort(key=self.number.__getitem__)
        at: dict[Var, int] = {}
        for op in nest.ops:
            stage = max((at.get(b, 0) for b in op.bases), default=0)
            nest.stage[op] = stage
            inner = op.kind == "reduce" and not is_accumulated(op) and len(op.domain) == len(nest.domain)
            at[op.out] = stage + 1 if inner else stage

    def _commit(self, step: PlanStep) -> None:
        self.steps.append(step)
        ops = steps_of(step)
        for op in ops:
            self.done.add(op)
            self.available.update(op.equation.outputs)
            self.todo.pop(op, None)
            self.frontier.pop(op, None)
        for op in ops:
            for follower in self._followers(op):
                if follower in self.todo and self._ready(follower):
                    self.frontier[follower] = None
