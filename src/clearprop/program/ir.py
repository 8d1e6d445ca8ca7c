"""Var, Equation, Program: static single assignment, immutable, printable."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clearprop.program.operation import Operation
from clearprop.program.types import Type
from clearprop.shapes import Scope


class Var:
    """A variable of a program: assigned once, of a known type, perhaps with the user's name for it."""

    __slots__ = ("builder", "name", "type")

    def __init__(self, type: Type, name: str = "", builder: Any = None) -> None:
        self.type, self.name, self.builder = type, name, builder

    @property
    def shape(self) -> Any:
        """The shape of the value that will stand here."""
        return self.type.shape

    @property
    def dtype(self) -> Any:
        """The dtype of the value that will stand here."""
        return self.type.dtype

    def __repr__(self) -> str:
        return f"{self.name or '%'}: {self.type}"


Atom = Any
"""What an equation reads: a `Var` or a Python number."""


@dataclass(frozen=True, eq=False, slots=True)
class Equation:
    """`outputs = primitive[params](inputs)`.

    `where` is the user's line; `rule` says whose derivative the equation belongs to, if any.
    """

    primitive: Operation
    inputs: tuple[Atom, ...]
    params: Mapping[str, Any]
    outputs: tuple[Var, ...]
    where: str = ""
    rule: str = ""


@dataclass(frozen=True, eq=False)
class Program:
    """Inputs, equations in order, outputs.

    The last `len(captured)` inputs are hidden: arrays of the surrounding code that the traced function used.

    >>> import clearprop as cl
    >>> double = cl.compile(lambda x: 2.0 * x)
    >>> double(cl.tensor([1.0, 2.0]))
    Tensor([2.0, 4.0])
    >>> print(double.program)
    program(x: f64[n0]):
      double: f64[n0] = multiply(2.0, x)
      return double
    """

    inputs: tuple[Var, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]
    captured: tuple[Any, ...] = ()
    scope: Scope = field(default_factory=Scope, repr=False)

    @property
    def arguments(self) -> tuple[Var, ...]:
        """The inputs that the caller gives."""
        return self.inputs[: len(self.inputs) - len(self.captured)]

    def names(self) -> dict[Var, str]:
        """A name for every variable: the user's where it is free, else v1, v2 …; numbered per program."""
        taken: set[str] = set()
        names: dict[Var, str] = {}
        counter = itertools.count(1)
        tried: dict[str, int] = {}  # of a name that many share: how far its numbers are taken
        for var in dict.fromkeys(self.variables()):
            name = base = var.name or f"v{next(counter)}"
            while name in taken:
                tried[base] = tried.get(base, 1) + 1
                name = f"{base}_{tried[base]}"
            taken.add(name)
            names[var] = name
        return names

    def variables(self) -> Iterator[Var]:
        """Every variable once, in order of assignment."""
        yield from self.inputs
        for equation in self.equations:
            yield from equation.outputs

    def __str__(self) -> str:
        names = self.names()

        def text(atom: Atom) -> str:
            return names[atom] if isinstance(atom, Var) else repr(atom)

        lines = [f"program({', '.join(f'{names[v]}: {v.type}' for v in self.inputs)}):"]
        for eq in self.equations:
            left = ", ".join(f"{names[v]}: {v.type}" for v in eq.outputs)
            within = [(k, v) for k, v in eq.params.items() if holds_programs(v)]
            given = [*map(text, eq.inputs), *(f"{k}={v}" for k, v in eq.params.items() if not holds_programs(v))]
            lines.append(f"  {left} = {eq.primitive.name}({', '.join(given)})")
            held = [(k, p) for k, v in within for p in (v if isinstance(v, tuple) else (v,))]
            lines += [textwrap.indent(f"{name}: {program}", "    ") for name, program in held]
        return "\n".join([*lines, f"  return {', '.join(map(text, self.outputs))}"])


def holds_programs(param: Any) -> bool:
    """Whether a parameter of an operation is a program, or several."""
    return isinstance(param, Program) or (isinstance(param, tuple) and any(map(holds_programs, param)))


def prune(program: Program) -> Program:
    """The program without equations that nothing returned depends on, and without unused hidden inputs."""
    live = {v for v in program.outputs if isinstance(v, Var)}
    kept = []
    for eq in reversed(program.equations):
        if any(v in live for v in eq.outputs):
            kept.append(eq)
            live.update(a for a in eq.inputs if isinstance(a, Var))
    hidden = program.inputs[len(program.arguments) :]
    pairs = [(v, c) for v, c in zip(hidden, program.captured, strict=True) if v in live]
    return Program(
        program.arguments + tuple(v for v, _ in pairs),
        tuple(reversed(kept)),
        program.outputs,
        tuple(c for _, c in pairs),
        program.scope,
    )
