"""Loops and branches in the NumPy source: `for`, `while` and `if`, with the lines of the programs within them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from clearprop.program.ir import Equation, Program, Var
from clearprop.program.types import Type, type_of


class Printer(Protocol):
    """What prints the program around them: `numpy_source.NumpySource`."""

    names: dict[Var, str]

    def block(self, program: Program, inputs: Sequence[str]) -> tuple[list[str], list[str]]:
        """The lines of a program within this one, and the sources of its outputs."""

    def fresh(self, name: str) -> str:
        """A name that nothing in the source has."""

    def source_of(self, atom: Any) -> str:
        """What stands for an input of an equation."""

    def value(self, value: Any) -> str:
        """A parameter as source."""


def control_lines(printer: Printer, eq: Equation) -> list[str]:
    """The lines of an equation that runs programs, indented as a function's."""
    return [f"    {line}" for line in _WRITERS[eq.primitive.facts.control](printer, eq)]


def _scan_lines(printer: Printer, eq: Equation) -> list[str]:
    """The carries have the names of the results; what the steps give goes into arrays, index by index."""
    params, inputs = eq.params, list(map(printer.source_of, eq.inputs))
    first, count, body = params["constants"], params["carries"], params["body"]
    constants, init, xs = inputs[:first], inputs[first : first + count], inputs[first + count :]
    outs = [printer.names[v] for v in eq.outputs]
    carries, stacks = outs[:count], outs[count:]
    index, steps = printer.fresh("i"), f"range({printer.value(params['length'])})"
    lines, results = printer.block(body, [*constants, *carries, *(f"{x}[{index}]" for x in xs)])
    ys = results[count:]
    inner = [f"{s}[{index}] = {c}" for s, c in zip(stacks[len(ys) :], carries, strict=False)] + _flush_left(lines)
    inner += [f"{s}[{index}] = {y}" for s, y in zip(stacks, ys, strict=False)] + _assignment(carries, results[:count])
    return [
        *_assignment(carries, init),
        *(f"{printer.names[v]} = {_empty(printer, v.type)}" for v in eq.outputs[count:]),
        f"for {index} in {f'reversed({steps})' if params['reverse'] else steps}:",
        *_indent(inner),
    ]


def _switch_lines(printer: Printer, eq: Equation) -> list[str]:
    """A branch is taken by its number, an index outside by the nearest; of two, by a truth."""
    index, *operands = map(printer.source_of, eq.inputs)
    outs = [printer.names[v] for v in eq.outputs]
    blocks = []
    for branch in eq.params["branches"]:
        lines, results = printer.block(branch, operands)
        blocks.append(_indent([*_flush_left(lines), *_assignment(outs, results)]))
    if type_of(eq.inputs[0]).dtype.kind == "b":
        return [f"if {index}:", *blocks[1], "else:", *blocks[0]]
    out = []
    for k, block in enumerate(blocks):
        last = k == len(blocks) - 1
        head = "else:" if last else f"{'elif' if k else 'if'} {index} {'==' if k else '<='} {k}:"
        out += [head, *block] if len(blocks) > 1 else [textwrap.dedent(line) for line in block]
    return out


def _while_lines(printer: Printer, eq: Equation) -> list[str]:
    """The condition is computed before each step; where it needs lines of its own, the loop is left in its middle."""
    params, inputs = eq.params, list(map(printer.source_of, eq.inputs))
    first, second = params["condition_constants"], params["condition_constants"] + params["constants"]
    carries = [printer.names[v] for v in eq.outputs]
    before, (holds,) = printer.block(params["condition"], [*inputs[:first], *carries])
    lines, results = printer.block(params["body"], [*inputs[first:second], *carries])
    inner = [*_flush_left(lines), *_assignment(carries, results)]
    head = [f"while {holds}:"] if not before else ["while True:"]
    leave = [*_flush_left(before), f"if not {holds}:", "    break"] if before else []
    return [*_assignment(carries, inputs[second:]), *head, *_indent([*leave, *inner])]


_WRITERS: dict[str, Callable[[Printer, Equation], list[str]]] = {
    "scan": _scan_lines,
    "switch": _switch_lines,
    "while": _while_lines,
}


def _assignment(names: Sequence[str], sources: Sequence[str]) -> list[str]:
    """All at once, since what is assigned may be read by the others."""
    pairs = [(n, s) for n, s in zip(names, sources, strict=True) if n != s]
    if not pairs:
        return []
    left, right = zip(*pairs, strict=True)
    return [f"{', '.join(left)} = {', '.join(right)}"]


def _empty(printer: Printer, t: Type) -> str:
    return f"np.empty({printer.value(t.shape)}, {printer.value(t.dtype)})"


def _flush_left(lines: Sequence[str]) -> list[str]:
    """Lines of a function's body without its indentation."""
    return [line.removeprefix("    ") for line in lines]


def _indent(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines] or ["    pass"]
