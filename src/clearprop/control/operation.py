"""`ControlOperation`: an operation whose parameters hold programs, with the rules that all of them share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.control.subprograms import Runner, or_one, runner, select
from clearprop.primitives import Facts, Primitive
from clearprop.program.ir import Program, evaluate, shape_of
from clearprop.program.types import Params, Type, Value, type_of
from clearprop.program.values import Node, raw
from clearprop.rules.structural import full_, permute_dims_, reshape_


class ControlOperation(Primitive):
    """An operation that runs programs: loops and branches.

    Its operands are flat: what the programs read from outside first, then what they work on.  A subclass says the
    value, the types, and three rules that make operations of its own kind out of derived programs, so that they
    differentiate again: tangents, cotangents of all operands together, and the batch.
    """

    joint = True

    control = ""

    def __init__(self, declaration: Callable[..., Any]) -> None:
        self.declared = declaration.__name__
        name = self.declared.rstrip("_")
        super().__init__(
            declaration,
            "general",
            numpy=f"{name}(*{{operands}})",
            eager=self.compute,
            shape=self.types,
            register=False,
            facts=Facts(control=self.control),
            rules={"vjp_operands": lambda g: g},  # that there is one; `pull_together` is the rule
        )

    def __reduce__(self) -> str:
        return self.declared

    @abstractmethod
    def compute(self, *operands: Any, **params: Any) -> Any:
        """The value on arrays: a tuple, or the only output."""

    @abstractmethod
    def types(self, operands: Sequence[Type], **params: Any) -> list[Type]:
        """The types of the outputs."""

    @abstractmethod
    def pull_together(
        self, wanted: Sequence[int], g: Any, y: Any, xs: Sequence[Any], params: Params
    ) -> Mapping[int, Any]:
        """See `program.operation.JointOperation`."""

    @abstractmethod
    def lift(self, size: Any, values: Sequence[Any], mapped: Sequence[bool], params: Params) -> Any:
        """See `program.operation.JointOperation`."""

    @abstractmethod
    def written_out(self, *operands: Any, **params: Any) -> Any:
        """See `program.operation.JointOperation`."""

    def pullback(self, k: int, g: Any, y: Any, xs: Sequence[Any], params: Params) -> Any:
        """The cotangent of one operand."""
        return self.pull_together([k], g, y, xs, params)[k]


class TurnedOperation(ControlOperation):
    """An operation that runs the programs it holds by turns: a loop over steps, one of several branches.

    It says which turns there are; how a program is run is given to it, so that an executor runs them in its own way.
    """

    @abstractmethod
    def programs(self, params: Params) -> Sequence[Program]:
        """What it holds."""

    @abstractmethod
    def turns(self, runs: Sequence[Runner], operands: Sequence[Any], params: Params) -> Sequence[Any]:
        """The values, where `runs` compute what the programs do, of arrays."""

    def compute(self, *operands: Any, **params: Any) -> Any:
        """The values on arrays, each in memory of its own."""
        runs = [runner(program) for program in self.programs(params)]
        return or_one([own_memory(v, operands) for v in self.turns(runs, operands, params)])


def call(program: Program, operands: Sequence[Any]) -> list[Any]:
    """The program bound on the operands: on nodes of a trace it is written into that trace."""
    return evaluate(program, list(operands))


def zeros_of(value: Value) -> Any:
    """Zeros of a value's shape and dtype."""
    t = type_of(raw(value))
    return full_(shape=t.shape, value=0, dtype=t.dtype)


def swap_leading(x: Value) -> Any:
    """(a, b, …) → (b, a, …)."""
    n = type_of(raw(x)).ndim
    return permute_dims_(x, axes=(1 - n, -n, *range(2 - n, 0)))


def select_active(
    program: Program, values: Sequence[Any], active: Sequence[bool], outputs: Sequence[bool] | None
) -> Callable[..., list[Any]]:
    """The program as a function of its active inputs alone, which gives the outputs that are asked for (None: all)."""

    def of_active(*own: Any) -> list[Any]:
        rest = iter(own)
        found = call(program, [next(rest) if a else v for v, a in zip(values, active, strict=True)])
        return found if outputs is None else select(found, outputs)

    return of_active


def along_rows(x: Value, like: Value) -> Any:
    """One value a row, with axes of size 1 for the others of `like`: it meets whole rows."""
    return reshape_(x, shape=(shape_of(x)[0], *(1,) * (len(shape_of(like)) - 1)))


def own_memory(value: Any, operands: Sequence[Any]) -> Any:
    """A result that may be an operand, or a view of one, whose memory others may write: a copy of it."""
    if not isinstance(value, np.ndarray):
        return value
    return value.copy() if value.base is not None or any(value is o for o in operands) else value


def as_tensors(values: Sequence[Any]) -> list[Any]:
    """What an operation gave, as users get it."""
    return [v if isinstance(v, Node) else Node.tensor(v) for v in values]


def as_list(g: Any) -> list[Any]:
    """The cotangents of the outputs, also of an only one."""
    return list(g) if isinstance(g, (list, tuple)) else [g]


def types_of(values: Sequence[Any]) -> list[Type]:
    """The types of arrays, numbers, variables and nodes."""
    return [type_of(raw(v)) for v in values]
