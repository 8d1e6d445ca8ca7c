"""Which part of a value anything reads: what stands around it need not be computed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from clearprop.compiler.array_access import Access
from clearprop.compiler.memory_plan import MemoryPlan
from clearprop.compiler.schedule import steps_of
from clearprop.program.ir import Var

Region = list[tuple[int, int]]
"""From which index to which, for each axis."""


def region_read(plan: MemoryPlan, var: Var, number: Callable[[Any], int]) -> Region:
    """The smallest region of a value that holds every element that is read; all of it, if a program gives it."""
    shape = [number(n) for n in var.shape]
    whole = [(0, n) for n in shape]
    regions = [_region(read, shape, number) or whole for read in _reads(plan, var)]
    if var in plan.outputs or not regions:
        return whole
    return [(min(lo for lo, _ in axis), max(hi for _, hi in axis)) for axis in zip(*regions, strict=True)]


def _reads(plan: MemoryPlan, var: Var) -> list[Access]:
    ops = itertools.chain.from_iterable(steps_of(i.step) for i in plan.instructions)
    return [r for op in ops for r in op.reads if isinstance(r, Access) and r.base is var]


def _region(read: Access, shape: Sequence[int], number: Callable[[Any], int]) -> Region | None:
    """The region that an access walks, its axes in any order; None where it walks otherwise."""
    axes = [(number(n), number(s)) for n, s in zip(read.shape, read.strides, strict=True)]
    walks = {s: n for n, s in axes if n != 1}
    if len(walks) < sum(n != 1 for n, _ in axes):
        return None  # an element is met again
    region: Region = []
    rest, step = number(read.offset), math.prod(shape)
    for n in shape:
        step //= max(n, 1)
        lo, rest = divmod(rest, max(step, 1))
        count = walks.pop(step, 1) if n != 1 else 1
        if lo + count > n:
            return None
        region.append((lo, lo + count))
    return None if walks else region
