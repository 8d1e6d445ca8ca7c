"""The loop as an operation: a program run for every element of some arrays, each time on what the last step gave.

With constants w, carry h and elements x a step is (h′, y) = f(w, h, x).  What is kept for derivatives are the carries
before each step.  Tangents are a loop in the same direction, linear in the tangents; cotangents are a loop in the
other direction:

    ḣ′, ẏ = ∂f · (ẇ, ḣ, ẋ)              h̄, x̄, w̄ += ∂fᵀ · (h̄′, ȳ)

Each of their steps computes what it needs of f again from the kept carry: n carries are kept, and nothing else.  Both
are loops of this same operation, so they differentiate again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from clearprop.autodiff.batching import as_batch, batched_values
from clearprop.autodiff.transforms import jvp, vjp
from clearprop.control.operation import (
    TurnedOperation,
    as_list,
    call,
    select_active,
    swap_leading,
    types_of,
    zeros_of,
)
from clearprop.control.subprograms import (
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
from clearprop.errors import too_large
from clearprop.program.ir import Program
from clearprop.program.types import Params, Type, type_of
from clearprop.program.values import Node
from clearprop.rules.joining import stack
from clearprop.shapes import Dim, dim_key


@dataclass(frozen=True, slots=True)
class _Operands:
    """The operands of a loop, or what belongs to them, in their three groups."""

    constants: list[Any]
    carries: list[Any]
    xs: list[Any]

    @classmethod
    def of(cls, values: Sequence[Any], params: Params) -> _Operands:
        return cls(*split(values, params["constants"], params["carries"]))

    def flat(self) -> list[Any]:
        return [*self.constants, *self.carries, *self.xs]


def _are_given(values: Sequence[Any]) -> list[bool]:
    return [v is not None for v in values]


def element_type(t: Type) -> Type:
    """The type of an array's elements along its leading axis."""
    return Type(t.shape[1:], t.dtype)


class Scan(TurnedOperation):
    """The class of the one operation `scan_`."""

    control = "scan"

    def types(self, operands: Sequence[Type], **params: Any) -> list[Type]:
        """Carries as they came in; what the steps give, and the kept carries, with a leading axis."""
        body, count, length = params["body"], params["carries"], params["length"]
        own = _Operands.of(operands, params)
        outputs = [type_of(a) for a in body.outputs[count:]]
        kept = own.carries if params["keep"] else []
        return [*own.carries, *(Type((length, *t.shape), t.dtype) for t in [*outputs, *kept])]

    def programs(self, params: Params) -> Sequence[Program]:
        """The step."""
        return [params["body"]]

    def turns(self, runs: Sequence[Runner], operands: Sequence[Any], params: Params) -> Sequence[Any]:
        """The steps, one after the other."""
        count, length = params["carries"], params["length"]
        own = _Operands.of(operands, params)
        carries, (step,) = list(own.carries), runs
        _, types = split(self.types(types_of(operands), **params), count)
        stacks: list[Any] = [np.empty(t.shape, t.dtype) for t in types] if not length else []
        for i in _order(params):
            before = carries if params["keep"] else []
            results = step([*own.constants, *carries, *(x[i] for x in own.xs)])
            carries, outputs = list(results[:count]), [*results[count:], *before]
            try:
                stacks = stacks or [_rows_for(v, length, operands) for v in outputs]
            except MemoryError as problem:
                raise too_large("scan", problem) from None
            for rows, value in zip(stacks, outputs, strict=True):
                rows[i] = value
        return [*carries, *stacks]

    def written_out(self, *operands: Any, **params: Any) -> Any:
        """The operations of all steps; a carry is called after its step."""
        count, body = params["carries"], params["body"]
        own = _Operands.of(operands, params)
        carries = list(own.carries)
        rows: list[list[Any]] = [[] for _ in range(params["length"])]
        for number, i in enumerate(_order(params), start=1):
            before = carries if params["keep"] else []
            results = call(body, [*own.constants, *carries, *(x[i] for x in own.xs)])
            carries, rows[i] = results[:count], [*results[count:], *before]
            for value, variable in zip(carries, body.inputs[params["constants"] :], strict=False):
                if isinstance(value, Node) and variable.name and not value.name:
                    value.name = f"{variable.name}{number}"
        return or_one([*carries, *(stack(list(column)) for column in zip(*rows, strict=True))])

    def _record(self, args: Any, values: Any, params: dict[str, Any], tracked: Any, compute: Any) -> Any:
        """What is recorded keeps its carries; they are outputs of their own, which nobody asked for."""
        out = as_outputs(super()._record(args, values, {**params, "keep": True}, tracked, compute))
        return or_one(out if params["keep"] else out[: len(out) - params["carries"]])

    # ---------------------------------------------------------------------------------------- derivatives
    def pushforward(self, dots: Sequence[Any], y: Any, xs: Sequence[Any], params: Params) -> Any:
        """The tangents of the outputs: a loop in the same direction."""
        own, own_dots, body = _Operands.of(xs, params), _Operands.of(dots, params), params["body"]
        moved = _passed_operands(body, _Operands(*map(_are_given, (own_dots.constants, own_dots.carries, own_dots.xs))))
        after = dependents(body, moved.flat())
        kept = _kept_carries(y, params)
        start = [zeros_of(h) if d is None else d for h, d in zip(own.carries, own_dots.carries, strict=True)]
        groups = [own.constants, select(own_dots.constants, moved.constants), select(start, moved.carries)]
        elements = [kept, own.xs, select(own_dots.xs, moved.xs)]
        operands = list(chain(*groups, *elements))

        def step(*values: Any) -> list[Any]:
            w, w_dot, h_dot, h, x, x_dot = split(values, *map(len, (*groups, *elements[:2])))
            primals = select([*w, *h, *x], moved.flat())
            _, out = jvp(select_active(body, [*w, *h, *x], moved.flat(), None), primals, [*w_dot, *h_dot, *x_dot])
            h_after, ys = out[: params["carries"]], out[params["carries"] :]
            return [*select(h_after, moved.carries), *select(ys, after[params["carries"] :])]

        counts = {"constants": len(groups[0]) + len(groups[1]), "carries": len(groups[2])}
        found = _loop(body, ("tangent", tuple(moved.flat())), step, operands, params, counts, keep=params["keep"])
        h_dots, y_dots, kept_dots = split(found, len(groups[2]), sum(after[params["carries"] :]))
        return or_one(
            [
                *put_back(h_dots, moved.carries),
                *put_back(y_dots, after[params["carries"] :]),
                *(put_back(kept_dots, moved.carries) if params["keep"] else []),
            ]
        )

    def pull_together(
        self, wanted: Sequence[int], g: Any, y: Any, xs: Sequence[Any], params: Params
    ) -> Mapping[int, Any]:
        """The cotangents of the wanted operands: a loop in the other direction, with sums for the constants."""
        own, body, count = _Operands.of(xs, params), params["body"], params["carries"]
        asked = _Operands.of([k in wanted for k in range(len(xs))], params)
        moved = _passed_operands(body, asked)
        after = dependents(body, moved.flat())
        h_bar, y_bar, kept_bar = split(as_list(g), count, len(body.outputs) - count)
        y_seeds = [a and c is not None for a, c in zip(after[count:], y_bar, strict=True)]
        kept_seeds = [m and c is not None for m, c in zip(moved.carries, kept_bar or [None] * count, strict=True)]
        end = [zeros_of(h) if c is None else c for h, c in zip(own.carries, h_bar, strict=True)]
        sums = [zeros_of(w) for w in select(own.constants, moved.constants)]
        carries = [*select(end, moved.carries), *sums]
        elements = [
            _kept_carries(y, params),
            own.xs,
            select(y_bar, y_seeds),
            select(kept_bar or [None] * count, kept_seeds),
        ]
        width = sum(moved.carries)

        def step(*values: Any) -> list[Any]:
            w, h_bar, w_bar, h, x, y_bar, extra = split(
                values, len(own.constants), width, len(sums), *map(len, elements[:3])
            )
            primals, seeds = [*w, *h, *x], [*moved.carries, *y_seeds]
            _, pull = vjp(select_active(body, primals, moved.flat(), seeds), *select(primals, moved.flat()))
            w_add, h_before, x_bar = split(pull([*h_bar, *y_bar]), len(sums), width)
            more = put_back(extra, select(kept_seeds, moved.carries))
            h_before = [h if m is None else h + m for h, m in zip(h_before, more, strict=True)]
            return [*h_before, *(a + b for a, b in zip(w_bar, w_add, strict=True)), *x_bar]

        key = ("cotangent", *map(tuple, (moved.flat(), y_seeds, kept_seeds)))
        operands = [*own.constants, *carries, *chain(*elements)]
        counts = {"constants": len(own.constants), "carries": len(carries)}
        turned = {**params, "reverse": not params["reverse"]}
        found = _loop(body, key, step, operands, turned, counts, keep=False)
        h_found, w_found, x_found = split(found, width, len(sums))
        parts = _Operands(
            put_back(w_found, moved.constants), put_back(h_found, moved.carries), put_back(x_found, moved.xs)
        ).flat()
        return {k: parts[k] for k in wanted}

    # ------------------------------------------------------------------------------------------- batching
    def lift(self, size: Any, values: Sequence[Any], mapped: Sequence[bool], params: Params) -> Any:
        """The loop over a batch: carries that depend on a mapped operand have its axis, constants need not."""
        own, body, count = _Operands.of(values, params), params["body"], params["carries"]
        given = _Operands.of(mapped, params)
        carried = active_carries(body, given.constants, given.carries, given.xs, floating=False)
        flags = [*given.constants, *carried, *given.xs]
        init = [as_batch(h, m, size) if c else h for h, m, c in zip(own.carries, given.carries, carried, strict=True)]
        elements = [swap_leading(x) if m else x for x, m in zip(own.xs, given.xs, strict=True)]
        operands = [*own.constants, *init, *elements]

        def step(*inputs: Any) -> list[Any]:
            out = batched_values(body, inputs, flags, size)
            after = [as_batch(v, m, size) if c else v for (v, m), c in zip(out, carried, strict=False)]
            return [*after, *(as_batch(v, m, size) for v, m in out[count:])]

        counts = {k: params[k] for k in ("constants", "carries")}
        key = ("batch", tuple(flags), dim_key(size))
        found = _loop(body, key, step, operands, params, counts, keep=params["keep"])
        h_after, ys, kept = split(found, count, len(body.outputs) - count)
        stacked = [(v, True) for v in ys] + [(v, c) for v, c in zip(kept, carried, strict=False)]
        return or_one(
            [
                *(as_batch(h, c, size) for h, c in zip(h_after, carried, strict=True)),
                *(swap_leading(v) if m else as_batch(v, m, size) for v, m in stacked),
            ]
        )


@Scan
def scan_(*operands: Any, body: Program, constants: int, carries: int, length: Dim, reverse: bool, keep: bool) -> Any:
    """The loop over the leading axis of arrays: final carries, what the steps give, and on demand the carries before.

    operands   what every step reads, the first carries, and the arrays whose elements the steps read
    body       the program of one step
    constants  how many operands every step reads
    carries    how many are carried from step to step
    length     the number of steps
    reverse    whether the last element is the first
    keep       whether the carries before each step are outputs too
    """


def _order(params: Params) -> Iterable[int]:
    """The indices of the elements in the order of the steps."""
    indices = range(params["length"])
    return reversed(indices) if params["reverse"] else indices


def _kept_carries(y: Any, params: Params) -> list[Any]:
    count = params["carries"]
    outputs = as_outputs(y)
    return list(outputs[len(outputs) - count :]) if count else []


def _passed_operands(body: Program, given: _Operands) -> _Operands:
    """The floating operands that derivatives pass: those given, and carries that depend on them in some step."""
    carries = active_carries(body, given.constants, given.carries, given.xs)
    return _Operands(given.constants, carries, given.xs)


def _loop(
    body: Program,
    key: Any,
    step: Any,
    operands: Sequence[Any],
    params: Params,
    counts: Mapping[str, int],
    *,
    keep: bool,
) -> list[Any]:
    """A loop whose step is made of the step of another."""
    inner = counts["constants"] + counts["carries"]
    types = [t if i < inner else element_type(t) for i, t in enumerate(types_of(operands))]
    made = derive(body, key, step, types)
    count = counts["constants"] + len(made.constants)
    own = {"constants": count, "carries": counts["carries"], "keep": keep}
    return list(as_outputs(scan_(*made.constants, *operands, **{**params, "body": made.program, **own})))


def _rows_for(value: Any, length: int, operands: Sequence[Any]) -> Any:
    """Memory for all rows, in the dtype of the first; in a complex step the first may still be real."""
    value = np.asarray(value)
    dtype = np.complex128 if value.dtype.kind == "f" and any(map(np.iscomplexobj, operands)) else value.dtype
    return np.empty((length, *value.shape), dtype)
