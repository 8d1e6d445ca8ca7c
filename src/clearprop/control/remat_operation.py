"""A function whose inner values are not kept: its derivatives compute them again (Griewank 1992: checkpointing)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clearprop.autodiff.batching import as_batch, batched_values
from clearprop.autodiff.directions import without_node
from clearprop.autodiff.transforms import jvp, vjp
from clearprop.autodiff.trees import flatten, is_array, unflatten
from clearprop.control.operation import ControlOperation, as_list, as_tensors, call, select_active, types_of
from clearprop.control.subprograms import (
    as_outputs,
    close,
    dependents,
    derive,
    leaf_names,
    or_one,
    put_back,
    runner,
    select,
)
from clearprop.errors import checked_call, require_function
from clearprop.program.ir import Program
from clearprop.program.operands import admit_real
from clearprop.program.types import Params, Type, type_of
from clearprop.shapes import dim_key


class Remat(ControlOperation):
    """The class of the one operation `remat_`; what is lowered is its program, written out."""

    def __init__(self, declaration: Callable[..., Any]) -> None:
        super().__init__(declaration)
        self.body = self.function = lambda *operands, program: or_one(call(program, operands))

    def types(self, operands: Sequence[Type], **params: Any) -> list[Type]:
        """Those of the program's outputs."""
        return [type_of(a) for a in params["program"].outputs]

    def compute(self, *operands: Any, **params: Any) -> Any:
        """The program on arrays."""
        return or_one(runner(params["program"])(operands))

    def written_out(self, *operands: Any, **params: Any) -> Any:
        """The operations of the program."""
        return or_one(call(params["program"], operands))

    def pushforward(self, dots: Sequence[Any], y: Any, xs: Sequence[Any], params: Params) -> Any:
        """The tangents of the outputs."""
        program, active = params["program"], [d is not None for d in dots]
        after = dependents(program, active)
        f = select_active(program, xs, active, after)
        _, found = jvp(f, select(xs, active), select(dots, active))
        return or_one(put_back([without_node(v) for v in found], after))

    def pull_together(
        self, wanted: Sequence[int], g: Any, y: Any, xs: Sequence[Any], params: Params
    ) -> Mapping[int, Any]:
        """The cotangents of the wanted operands, by the program run once more."""
        program, active = params["program"], [k in wanted for k in range(len(xs))]
        bars = as_list(g)
        seeds = [a and c is not None for a, c in zip(dependents(program, active), bars, strict=True)]
        _, pull = vjp(select_active(program, xs, active, seeds), *select(xs, active))
        found = map(without_node, pull(select(bars, seeds)))
        return dict(zip([k for k in range(len(xs)) if k in wanted], found, strict=True))

    def lift(self, size: Any, values: Sequence[Any], mapped: Sequence[bool], params: Params) -> Any:
        """The program of the batch, whose inner values are not kept either."""
        program = params["program"]

        def batch(*own: Any) -> list[Any]:
            return [as_batch(*out, size) for out in batched_values(program, own, mapped, size)]

        key = ("batch", tuple(mapped), dim_key(size))
        made = derive(program, key, batch, types_of(values))
        return remat_(*made.constants, *values, program=made.program)


@Remat
def remat_(*operands: Any, program: Program) -> Any:
    """What a program computes, without keeping what stands between its inputs and its outputs.

    operands  the inputs
    program   the program
    """


@checked_call
def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose inner values are not kept for derivatives but computed again: time for memory.

    f  a function of trees of arrays

    What is recorded is one operation with the arguments.  A compiled function computes every value once, whichever
    derivative reads it; there it changes nothing.

    A. Griewank, "Achieving logarithmic growth of temporal and spatial complexity in reverse automatic
    differentiation", Optimization Methods and Software 1 (1992).

    >>> import clearprop as cl
    >>> cl.grad(cl.remat(lambda x: cl.sin(cl.sin(x))))(0.0)
    Tensor(1.0)
    """
    require_function(f, "remat")

    @functools.wraps(f)
    def rematerialised(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten((args, kwargs))
        arrays = [is_array(v) for v in leaves]
        operands = [admit_real(v) for v in select(leaves, arrays)]
        found: list[Any] = []

        def flat(*own: Any) -> list[Any]:
            rest = iter(own)
            given, named = unflatten(structure, [next(rest) if a else v for v, a in zip(leaves, arrays, strict=True)])
            outputs, tree = flatten(f(*given, **named))
            found[:] = tree, [is_array(o) for o in outputs], outputs
            return select(outputs, found[1])

        closed = close(flat, types_of(operands), leaf_names(f, args) if not kwargs and all(arrays) else ())
        tree, computed, outputs = found
        if not any(computed):
            return unflatten(tree, outputs)
        results = as_outputs(remat_(*closed.constants, *operands, program=closed.program))
        rest = iter(as_tensors(results))
        return unflatten(tree, [next(rest) if c else o for c, o in zip(computed, outputs, strict=True)])

    return rematerialised
