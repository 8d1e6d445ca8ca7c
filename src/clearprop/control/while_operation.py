"""The loop that ends when a condition fails: forward mode and batches; it keeps nothing, so there is no reverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from clearprop.autodiff.batching import as_batch, batched_values
from clearprop.autodiff.transforms import jvp
from clearprop.control.operation import (
    TurnedOperation,
    along_rows,
    call,
    select_active,
    types_of,
    zeros_of,
)
from clearprop.control.subprograms import (
    Closed,
    Runner,
    active_carries,
    as_outputs,
    dependents,
    derive,
    or_one,
    put_back,
    select,
    split,
)
from clearprop.errors import GradientError, user_line
from clearprop.program.ir import Program
from clearprop.program.types import Params, Type
from clearprop.program.values import raw
from clearprop.rules.elementwise import where
from clearprop.rules.reductions import any as any_of
from clearprop.shapes import dim_key


class While(TurnedOperation):
    """The class of the one operation `while_loop_`."""

    control = "while"

    def types(self, operands: Sequence[Type], **params: Any) -> list[Type]:
        """Those of the first carries."""
        return list(_groups(operands, params)[2])

    def programs(self, params: Params) -> Sequence[Program]:
        """The condition and the step."""
        return [params["condition"], params["body"]]

    def turns(self, runs: Sequence[Runner], operands: Sequence[Any], params: Params) -> Sequence[Any]:
        """The steps, as long as the condition holds."""
        outer, constants, carries = _groups(operands, params)
        holds, step = runs
        while holds([*outer, *carries])[0]:
            carries = list(step([*constants, *carries]))
        return carries

    def written_out(self, *operands: Any, **params: Any) -> Any:
        """The operations of the steps, one after the other."""
        outer, constants, carries = _groups(operands, params)
        while raw(call(params["condition"], [*outer, *carries])[0]):
            carries = call(params["body"], [*constants, *carries])
        return or_one(carries)

    # ---------------------------------------------------------------------------------------- derivatives
    def pushforward(self, dots: Sequence[Any], y: Any, xs: Sequence[Any], params: Params) -> Any:
        """The tangents of the carries: a loop that carries both."""
        outer, constants, carries = _groups(xs, params)
        _, constant_dots, carry_dots = _groups(dots, params)
        body, count = params["body"], len(carries)
        given = [d is not None for d in constant_dots]
        moved = active_carries(body, given, [d is not None for d in carry_dots], [])
        flags = [*given, *moved]
        start = [zeros_of(h) if d is None else d for h, d in zip(carries, carry_dots, strict=True)]
        own_constants = [*constants, *select(constant_dots, given)]
        own_carries = [*carries, *select(start, moved)]

        def holds(*values: Any) -> list[Any]:
            return call(params["condition"], values[: len(outer) + count])

        def step(*values: Any) -> list[Any]:
            w, w_dot, h, h_dot = split(values, len(constants), sum(given), count)
            own = [*w, *h]
            after, out = jvp(select_active(body, own, flags, None), select(own, flags), [*w_dot, *h_dot])
            return [*after, *select(out, moved)]

        key = ("tangent", tuple(flags))
        condition = derive(params["condition"], key, holds, types_of([*outer, *own_carries]))
        made = derive(body, key, step, types_of([*own_constants, *own_carries]))
        found = run_while(condition, made, outer, own_constants, own_carries)
        return or_one(put_back(found[count:], moved))

    def pull_together(
        self, wanted: Sequence[int], g: Any, y: Any, xs: Sequence[Any], params: Params
    ) -> Mapping[int, Any]:
        """Refused: how many steps there were, and what they met, is not kept."""
        _refuse_reverse()

    # ------------------------------------------------------------------------------------------- batching
    def lift(self, size: Any, values: Sequence[Any], mapped: Sequence[bool], params: Params) -> Any:
        """The loop of a batch runs while any example goes on; one that has ended keeps its carries."""
        outer, constants, carries = _groups(values, params)
        outer_flags, constant_flags, carry_flags = _groups(mapped, params)
        condition, body = params["condition"], params["body"]
        flags = active_carries(body, constant_flags, carry_flags, [], floating=False)
        each = dependents(condition, [*outer_flags, *flags], floating=False)[0]
        flags = [True] * len(flags) if each else flags
        start = [as_batch(h, m, size) if f else h for h, m, f in zip(carries, carry_flags, flags, strict=True)]

        def holds(*values: Any) -> list[Any]:
            [(truth, _)] = batched_values(condition, values, [*outer_flags, *flags], size)
            return [any_of(truth) if each else truth]

        def step(*values: Any) -> list[Any]:
            own_outer, own, h = split(values, len(outer), len(constants))
            out = batched_values(body, [*own, *h], [*constant_flags, *flags], size)
            after = [as_batch(v, m, size) if f else v for (v, m), f in zip(out, flags, strict=True)]
            if not each:
                return after
            [(truth, _)] = batched_values(condition, [*own_outer, *h], [*outer_flags, *flags], size)
            return [where(along_rows(truth, new), new, old) for new, old in zip(after, h, strict=True)]

        key = ("batch", tuple(flags), tuple(constant_flags), tuple(outer_flags), dim_key(size))
        own_constants = [*outer, *constants]
        made_condition = derive(condition, key, holds, types_of([*outer, *start]))
        made = derive(body, key, step, types_of([*own_constants, *start]))
        found = run_while(made_condition, made, outer, own_constants, start)
        return or_one([as_batch(v, f, size) for v, f in zip(found, flags, strict=True)])


@While
def while_loop_(*operands: Any, condition: Program, body: Program, condition_constants: int, constants: int) -> Any:
    """The carries once the condition fails.

    operands             what the condition reads from outside, what the step reads, the first carries
    condition            the program of the condition: whether another step is taken
    body                 the program of a step
    condition_constants  how many operands the condition alone reads
    constants            how many the steps alone read
    """


def _groups(values: Sequence[Any], params: Params) -> tuple[list[Any], list[Any], list[Any]]:
    outer, constants, carries = split(values, params["condition_constants"], params["constants"])
    return outer, constants, carries


def run_while(
    condition: Closed, body: Closed, outer: Sequence[Any], constants: Sequence[Any], carries: Sequence[Any]
) -> list[Any]:
    """The loop of closed programs; `outer` and `constants` are read by the condition and by the steps."""
    first, second = [*condition.constants, *outer], [*body.constants, *constants]
    counts = {"condition_constants": len(first), "constants": len(second)}
    out = while_loop_(*first, *second, *carries, condition=condition.program, body=body.program, **counts)
    return list(as_outputs(out))


def _refuse_reverse() -> NoReturn:
    raise GradientError(
        "a loop that runs until its condition fails has no reverse mode",
        expected="a largest number of steps, whose carries can be kept",
        got="a gradient that flows into cl.while_loop without max_steps=",
        where=user_line(),
        try_="cl.while_loop(condition, step, init, max_steps=1000), or forward mode: cl.jvp",
    )
