"""What a program knows of the operations in it, whoever declares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from clearprop.program.facts import Facts
from clearprop.program.types import Type
from clearprop.shapes import Signature


class Operation(Protocol):
    """An operation that equations apply; `primitives.Primitive` is the class of those that are declared."""

    name: str
    kind: str
    numpy: str
    numba: str
    tex: str
    operands: tuple[str, ...]
    params: dict[str, Any]
    variadic: bool
    conditions: int
    facts: Facts
    dtype_rule: Any
    body: Callable[..., Any] | None
    rules: tuple[Any, ...]
    jvp: Any
    chosen: tuple[Any, ...]
    is_gate: bool
    signature: Signature | None
    shape_rule: Callable[..., Any] | None
    batch_rule: Callable[..., Any] | None
    joint: bool  # whether one rule gives the cotangents of all operands together
    is_direct: bool  # plain, and `rules[k].call` is all there is to `pullback`
    is_plain: bool  # neither a gate nor joint: `pullback` is all there is to its cotangents

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """Compute on arrays; trace or record on nodes."""

    @property
    def is_composite(self) -> bool:
        """Whether it has a body instead of a spelling."""

    def widen(self, g: Any, y: Any, x: Any, params: Mapping[str, Any]) -> tuple[Any, Any]:
        """A reduction's cotangent and output with their reduced axes, of size 1."""

    def run(self, values: Sequence[Any], params: Mapping[str, Any]) -> Any:
        """The value, on arrays and numbers."""

    def infer(self, types: Sequence[Type], params: Mapping[str, Any]) -> list[Type]:
        """The types of the outputs."""

    def pullback(self, k: int, g: Any, y: Any, xs: Sequence[Any], params: Mapping[str, Any]) -> Any:
        """The cotangent of operand k from that of the output."""

    def batched(self, params: Mapping[str, Any], vmap: Callable[..., Any]) -> Operation:
        """The composite for a batch of examples, given what maps a function over one."""

    def pushforward(self, dots: Sequence[Any], y: Any, xs: Sequence[Any], params: Mapping[str, Any]) -> Any:
        """The tangent of the output from those of the operands."""


class JointOperation(Operation, Protocol):
    """An operation that holds programs: it says for all operands together what others say for each."""

    def pull_together(
        self, wanted: Sequence[int], g: Any, y: Any, xs: Sequence[Any], params: Mapping[str, Any]
    ) -> Mapping[int, Any]:
        """The cotangents of the wanted operands, by position, from those of the output or outputs (None: zero)."""

    def lift(self, size: Any, values: Sequence[Any], mapped: Sequence[bool], params: Mapping[str, Any]) -> Any:
        """The outputs for a batch of this size, each with a leading axis; `mapped` operands have one."""

    def written_out(self, *operands: Any, **params: Any) -> Any:
        """The value again, by the operations of the programs themselves: steps and branches that can be looked into."""
