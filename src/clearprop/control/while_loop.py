"""`cl.while_loop`: steps as long as a condition holds; with a largest number of steps it has both modes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from clearprop.autodiff.trees import flatten, unflatten
from clearprop.control.branches import cond
from clearprop.control.carries import (
    check_carry,
    check_leaf,
    check_scalar,
    checked_count,
    convert,
    settle_types,
    strong_outputs,
)
from clearprop.control.operation import as_tensors, types_of
from clearprop.control.scan import scan
from clearprop.control.subprograms import Closed, close, leaf_names
from clearprop.control.while_operation import run_while
from clearprop.errors import ArgumentError, checked_call, require_function, user_line
from clearprop.program.ir import Turn
from clearprop.program.types import Tree, Type


@checked_call
def while_loop(
    condition: Callable[[Any], Any], f: Callable[[Any], Any], init: Tree, max_steps: int | None = None
) -> Any:
    """The carry after c ← f(c), repeated as long as condition(c) holds.

    condition  takes the carry, returns a truth: a boolean without axes
    f          takes the carry, returns one of the same structure, shapes and dtypes
    init       the first carry, any tree of arrays
    max_steps  the largest number of steps; the loop ends there also if the condition still holds

    Without `max_steps` the loop has forward mode alone, since nothing is kept.  With it the loop is a `cl.scan` of that
    length, whose steps do nothing once the condition has failed, and has both.

    Raises as `cl.scan` does; DTypeError if the condition is no truth, GradientError in reverse mode without
    `max_steps`, ArgumentError for random layers in the step without it.

    >>> import clearprop as cl
    >>> cl.while_loop(lambda c: c < 100, lambda c: c * 3, 1)
    Tensor(243)
    >>> cl.grad(lambda x: cl.while_loop(lambda c: c < 100, lambda c: c * x, 1.0, max_steps=20))(3.0)
    Tensor(405.0)
    """
    require_function(condition, "while_loop")
    require_function(f, "while_loop")
    count = None if max_steps is None else checked_count(max_steps, "max_steps")
    leaves, structure = flatten(init)
    leaves = [check_leaf("while_loop", "init", v) for v in leaves]
    found: list[Type] = []
    turn = Turn()
    one_step = turn.around(f)

    def step(*values: Any) -> list[Any]:
        after, own = flatten(one_step(unflatten(structure, values)))
        final = not any(t.weak for t in types)
        found[:] = check_carry("while_loop", structure, types, own, after, final=final)
        return strong_outputs(after, types)

    def holds(*values: Any) -> list[Any]:
        return strong_outputs([_truth(condition(unflatten(structure, values)))])

    types, names = types_of(leaves), leaf_names(f, (init,))
    if any(t.weak for t in types):
        close(step, types, names)
        types = settle_types(types, found)
    start = [convert(v, t) for v, t in zip(leaves, types, strict=True)]
    if count is not None:
        return _loop_of_at_most(condition, f, unflatten(structure, start), count)
    body: Closed = close(step, types, names, function=f)
    if turn.asked:
        raise ArgumentError(
            "while_loop does not count its steps for a random layer",
            expected="max_steps=, with which each step has random numbers of its own",
            got="a layer that draws random numbers in the step, which would be the same in all",
            where=user_line(),
            try_="max_steps=1000",
        )
    goes_on = close(holds, types, leaf_names(condition, (init,)), function=condition)
    out = run_while(goes_on, body, [], [], start)
    return unflatten(structure, as_tensors(out))


def _loop_of_at_most(condition: Callable[[Any], Any], f: Callable[[Any], Any], init: Tree, count: Any) -> Any:
    """As a scan, whose steps pass the carry on once the condition has failed."""

    @functools.wraps(f)  # whose parameter names the values
    def checked(carry: Any) -> Any:
        leaves, structure = flatten(carry)
        after = f(carry)
        found, own = flatten(after)
        check_carry("while_loop", structure, types_of(leaves), own, found, final=True)
        return after

    def step(carry: Any, _: None) -> tuple[Any, None]:
        return cond(_truth(condition(carry)), checked, lambda c: c, carry), None

    return scan(step, init, length=count)[0]


def _truth(value: Any) -> Any:
    check_scalar(
        value,
        "b",
        "while_loop needs a condition that is true or false",
        expected="a boolean without axes",
        try_="c > 0 for a number; cl.any(c) or cl.all(c) for an array",
    )
    return value
