"""The branch as an operation: one of several programs runs, by a number or a truth; its derivative is a branch too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clearprop.autodiff.batching import as_batch, batched_values
from clearprop.autodiff.transforms import jvp, vjp
from clearprop.control.operation import TurnedOperation, along_rows, as_list, call, select_active, types_of
from clearprop.control.subprograms import (
    Closed,
    Runner,
    as_outputs,
    dependents,
    derive,
    or_one,
    put_back,
    select,
    share_constants,
    split,
)
from clearprop.program.ir import Program
from clearprop.program.types import Params, Type, type_of
from clearprop.program.values import raw
from clearprop.rules.elementwise import equal, less_equal, where
from clearprop.shapes import dim_key


class Switch(TurnedOperation):
    """The class of the one operation `switch_`."""

    control = "switch"

    def types(self, operands: Sequence[Type], **params: Any) -> list[Type]:
        """Those of the branches, which agree."""
        return [type_of(a) for a in params["branches"][0].outputs]

    def programs(self, params: Params) -> Sequence[Program]:
        """The branches."""
        return list(params["branches"])

    def turns(self, runs: Sequence[Runner], operands: Sequence[Any], params: Params) -> Sequence[Any]:
        """The branch of that number; numbers outside are the nearest branch's."""
        return runs[_nearest(operands[0], params)](operands[1:])

    def written_out(self, *operands: Any, **params: Any) -> Any:
        """The operations of the branch that is taken."""
        return or_one(call(params["branches"][_nearest(operands[0], params)], operands[1:]))

    # ---------------------------------------------------------------------------------------- derivatives
    def pushforward(self, dots: Sequence[Any], y: Any, xs: Sequence[Any], params: Params) -> Any:
        """The tangents of the outputs, by the branch that was taken."""
        branches, active = params["branches"], [d is not None for d in dots[1:]]
        after = _any_dependent(branches, active)
        operands = [*xs[1:], *select(dots[1:], active)]

        def tangent(branch: Program) -> Callable[..., list[Any]]:
            def of_tangents(*values: Any) -> list[Any]:
                own, own_dots = split(values, len(active))
                _, out = jvp(select_active(branch, own, active, after), select(own, active), own_dots)
                return list(out)

            return of_tangents

        found = _branches(("tangent", tuple(active), tuple(after)), tangent, xs[0], operands, branches)
        return or_one(put_back(found, after))

    def pull_together(
        self, wanted: Sequence[int], g: Any, y: Any, xs: Sequence[Any], params: Params
    ) -> Mapping[int, Any]:
        """The cotangents of the wanted operands, by the branch that was taken."""
        branches, active = params["branches"], [k in wanted for k in range(1, len(xs))]
        bars = as_list(g)
        seeds = [a and c is not None for a, c in zip(_any_dependent(branches, active), bars, strict=True)]
        if not any(seeds):
            return dict.fromkeys(wanted)
        operands = [*xs[1:], *select(bars, seeds)]

        def cotangent(branch: Program) -> Callable[..., list[Any]]:
            def of_cotangents(*values: Any) -> list[Any]:
                own, own_bars = split(values, len(active))
                _, pull = vjp(select_active(branch, own, active, seeds), *select(own, active))
                return list(pull(own_bars))

            return of_cotangents

        found = _branches(("cotangent", tuple(active), tuple(seeds)), cotangent, xs[0], operands, branches)
        return dict(zip([k for k in range(1, len(xs)) if k in wanted], found, strict=True))

    # ------------------------------------------------------------------------------------------- batching
    def lift(self, size: Any, values: Sequence[Any], mapped: Sequence[bool], params: Params) -> Any:
        """The branch of the whole batch; where examples differ, all branches, of which each example has its own."""
        branches = params["branches"]

        def batch(branch: Program) -> Callable[..., list[Any]]:
            return lambda *own: [as_batch(*out, size) for out in batched_values(branch, own, mapped[1:], size)]

        if not mapped[0]:
            key = ("batch", tuple(mapped), dim_key(size))
            return or_one(_branches(key, batch, values[0], values[1:], branches))
        each = [batch(branch)(*values[1:]) for branch in branches]
        return or_one([_chosen_rows(values[0], list(outs)) for outs in zip(*each, strict=True)])


@Switch
def switch_(*operands: Any, branches: tuple[Program, ...]) -> Any:
    """What one of several programs computes.

    operands  the number of the branch, or a truth for the second of two; then the inputs that all branches share
    branches  programs of the same inputs, whose outputs have the same types
    """


def _nearest(index: Any, params: Params) -> int:
    """The number of the branch that is taken."""
    return min(max(int(raw(index)), 0), len(params["branches"]) - 1)


def _any_dependent(branches: Sequence[Program], active: Sequence[bool]) -> list[bool]:
    """Which outputs depend on the active inputs in some branch."""
    return [any(flags) for flags in zip(*(dependents(b, active) for b in branches), strict=True)]


def _branches(
    key: Any,
    function_of: Callable[[Program], Callable[..., list[Any]]],
    index: Any,
    operands: Sequence[Any],
    branches: Sequence[Program],
) -> list[Any]:
    """The branch again, of programs that are made of the branches."""
    types = types_of(operands)
    return run_branch(index, operands, [derive(b, key, function_of(b), types) for b in branches])


def run_branch(index: Any, operands: Sequence[Any], branches: Sequence[Closed]) -> list[Any]:
    """The outputs of one of several closed programs of the same arguments."""
    programs, constants = share_constants(branches)
    return list(as_outputs(switch_(index, *constants, *operands, branches=programs)))


def _chosen_rows(index: Any, each: Sequence[Any]) -> Any:
    """Row by row of a batch what the branch of its number gave."""
    index = along_rows(index, each[0])
    if type_of(raw(index)).dtype.kind == "b":
        return where(index, each[1], each[0])
    out = each[-1]
    for k in reversed(range(len(each) - 1)):
        out = where(equal(index, k) if k else less_equal(index, 0), each[k], out)
    return out
