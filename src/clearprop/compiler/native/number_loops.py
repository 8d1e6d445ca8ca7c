"""Loops whose step is one kernel of numbers: the loop stands in the kernel, and what is carried in registers.

A kernel that is called for every step costs a few nanoseconds beside what it computes, and hands its carry on through
memory.  Where a step is a few operations on numbers, that would be most of the time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from clearprop.compiler.binding import KernelCall
from clearprop.compiler.kernel_text import indent_lines
from clearprop.compiler.kernels import Kernel, Parameter
from clearprop.program.ir import Var

TURNS = 1 << 14
"""Steps of one call of the kernel: a long loop can be paused between calls."""
_INDEX = re.compile(r"\[([^\]]*)\]")


def is_of_numbers(call: KernelCall) -> bool:
    """Whether a kernel reads and writes single elements alone, without a loop."""
    k = call.kernel
    simple = all(p.kind in ("array", "size", "number") for p in k.parameters) and not (
        k.domain or k.accumulators or k.shared
    )
    return simple and " for " not in k.text and "while " not in k.text and set(_INDEX.findall(k.text)) <= {"0"}


def with_the_loop(call: KernelCall, carries: Sequence[tuple[Var, Var]], rows: Mapping[Var, int]) -> Kernel:
    """The kernel of a step with the loop in it; the strides of its rows stand behind its parameters, as sizes.

    carries  what a step reads and what it writes, the same variable where that is in place
    rows     the arrays that have a row for every step, and how many elements from one row to the next
    """
    body = [line.removeprefix("    ") for line in call.kernel.text.splitlines()[1:]]
    own: dict[Var, list[Parameter]] = {}
    for at, held, _ in call.addresses:
        own.setdefault(held, []).append(call.kernel.parameters[at - 2])
    head, tail, turned, strides = list[str](), list[str](), list[str](), list[Parameter]()
    for before, after in carries:
        if after not in own:
            continue  # it stays as it is
        (new,) = own[after]
        (old,) = own.get(before, [new])
        for p in {old.name: old, new.name: new}.values():
            body = [_in_register(line, p) for line in body]
        head.append(f"{old.name}_v = {old.name}[0]")
        turned += [f"{old.name}_v = {new.name}_v"] if new is not old else []
        tail.append(f"{old.name}[0] = {old.name}_v")
    for held, elements in rows.items():
        for p in own.get(held, []):
            strides.append(Parameter(f"{p.name}_n", "size", elements))
            body = [re.sub(rf"\b{p.name}\[0\]", f"{p.name}[turn * {p.name}_n]", line) for line in body]
    parameters = [*call.kernel.parameters, *strides]
    lines = [*head, "for turn in range(lo, hi):", *indent_lines([*body, *turned]), *tail]
    text = f"def kernel({', '.join(['lo', 'hi', *(p.name for p in parameters)])}):\n"
    return Kernel(text + "".join(f"    {line}\n" for line in lines), parameters)


def _in_register(line: str, p: Parameter) -> str:
    """A line with a local number in the place of an array's only element."""
    line = re.sub(rf"^(\s*){p.name}\[0\] = (.*)$", rf"\g<1>{p.name}_v = {p.dtype}(\g<2>)", line)
    return re.sub(rf"\b{p.name}\[0\]", f"{p.name}_v", line)
