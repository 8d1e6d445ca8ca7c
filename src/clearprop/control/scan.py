"""`cl.scan`, `cl.map` and `cl.fori_loop`: loops whose step is a function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

from clearprop.autodiff.trees import flatten, structure_text, unflatten
from clearprop.control.carries import (
    check_carry,
    check_leaf,
    checked_count,
    checked_integer,
    convert,
    settle_types,
    strong_outputs,
)
from clearprop.control.chunks import loop_of_loops, side_by_side, written_out
from clearprop.control.operation import as_tensors, types_of
from clearprop.control.scan_operation import element_type, scan_
from clearprop.control.subprograms import Closed, as_outputs, close, leaf_names
from clearprop.errors import (
    ArgumentError,
    ShapeError,
    checked_call,
    require_flag,
    require_function,
    too_large,
    user_line,
)
from clearprop.program.ir import Turn, shape_of
from clearprop.program.types import INT64, Tree, Type, type_of
from clearprop.program.values import name_variable, raw
from clearprop.rules.structural import arange_
from clearprop.shapes import Dim, same


@checked_call
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int = 1,
    remat: bool = False,
) -> tuple[Any, Any]:
    """A loop that carries something along: (hₜ₊₁, yₜ) = f(hₜ, xₜ); returns `(last carry, ys stacked)`.

    f        the step: takes the carry and one element, returns the next carry and an output
    init     the first carry, any tree of arrays; every step returns a carry of its structure, shapes and dtypes
    xs       a tree of arrays over whose leading axis the loop runs; None for steps without elements
    length   the number of steps, where xs does not say it
    reverse  from the last element to the first; ys stand where their elements stand

    unroll   how many steps stand in one turn of the loop, written out
    remat    with derivatives, keep the carries of about 2·√n steps instead of n, and take each step once more

    The step is traced once, whatever the length.  Arrays that it reads from around it are differentiated like
    arguments.  For derivatives the carries before each step are kept, and nothing else; a compiled function also keeps
    what is dear to compute again (products, functions), unless `remat`.

    Raises ArgumentError if the step does not return a pair or changes the carry's structure, ShapeError or DTypeError
    if it changes a shape or dtype, ShapeError if lengths differ.

    >>> import clearprop as cl
    >>> total, sums = cl.scan(lambda c, x: (c + x, c + x), 0.0, cl.tensor([1.0, 2.0, 3.0]))
    >>> total, sums
    (Tensor(6.0), Tensor([1.0, 3.0, 6.0]))
    >>> cl.grad(lambda w: cl.scan(lambda c, x: (w * c + x, None), 0.0, cl.tensor([1.0, 2.0, 3.0]))[0])(2.0)
    Tensor(6.0)
    """
    require_function(f, "scan")
    reverse, remat = require_flag("scan", "reverse", reverse), require_flag("scan", "remat", remat)
    for v in flatten(init)[0]:
        check_leaf("scan", "init", v)
    elements = [check_leaf("scan", "xs", v) for v in flatten(xs)[0]]
    count = _length(elements, length)
    turns = checked_count(unroll, "unroll")

    def loop(f: Callable[..., Any], xs: Tree) -> tuple[Any, Any]:
        if turns > 1 and count > 1:
            size = min(int(turns), int(count))
            return loop_of_loops(_loop, written_out, f, init, xs, int(count), size, reverse)
        if remat and count > 3:
            return loop_of_loops(_loop, _loop, f, init, xs, int(count), math.isqrt(int(count)), reverse)
        return _loop(f, init, xs, count, reverse)

    after, ys = _in_turns(loop, f, xs, count)
    return after, ys


def _in_turns(loop: Callable[[Callable[..., Any], Tree], Any], f: Callable[..., Any], xs: Tree, count: Dim) -> Any:
    """What a loop gives for a step, which gets the number of its turn if something in it asks."""
    turn = Turn()
    step = turn.around(f)

    @wraps(f)  # whose parameter names the values
    def numbered(carry: Any, element: tuple[Any, Any]) -> Any:
        x, turn.index = element
        return step(carry, x)

    return turn.either(lambda: loop(step, xs), lambda: loop(numbered, (xs, arange_(size=count, dtype=INT64))))


def _loop(f: Callable[..., Any], init: Tree, xs: Tree, count: Dim, reverse: bool) -> tuple[Any, Any]:
    """One loop of so many steps."""
    carry, carry_structure = flatten(init)
    elements, x_structure = flatten(xs)
    carry = [check_leaf("scan", "init", v) for v in carry]
    elements = [check_leaf("scan", "xs", v) for v in elements]
    step = _Step(f, init, xs, carry_structure, x_structure)
    closed, carry = step.close(carry, list(map(element_type, types_of(elements))))
    outputs: Sequence[Any] = ()
    if closed.program.outputs:
        outputs = as_outputs(
            scan_(
                *closed.constants,
                *carry,
                *elements,
                body=closed.program,
                constants=len(closed.constants),
                carries=len(carry),
                length=count,
                reverse=reverse,
                keep=False,
            )
        )
    results = as_tensors(outputs)
    for value, name in zip(results, leaf_names(f, (init,)), strict=False):
        name_variable(value, name)
    return unflatten(carry_structure, results[: len(carry)]), unflatten(step.y_structure, results[len(carry) :])


class _Step:
    """The function of one step, and what tracing finds out about it."""

    def __init__(self, f: Callable[..., Any], init: Tree, xs: Tree, carry_structure: Any, x_structure: Any) -> None:
        self.f, self.trees = f, (init, xs)
        self.carry_structure, self.x_structure = carry_structure, x_structure
        self.y_structure: Any = None
        self.carry_types: list[Type] = []

    def close(self, carry: Sequence[Any], elements: Sequence[Type]) -> tuple[Closed, list[Any]]:
        """The closed program, and the first carry, whose Python numbers have the dtypes that the steps give them."""
        types = types_of(carry)
        names = leaf_names(self.f, self.trees)
        if any(t.weak for t in types):
            self._trace(types, elements, names, final=False)
            types = settle_types(types, self.carry_types)
        return self._trace(types, elements, names, final=True), [
            convert(v, t) for v, t in zip(carry, types, strict=True)
        ]

    def _trace(self, types: Sequence[Type], elements: Sequence[Type], names: Sequence[str], *, final: bool) -> Closed:
        count = len(types)

        def flat(*values: Any) -> list[Any]:
            carry, x = unflatten(self.carry_structure, values[:count]), unflatten(self.x_structure, values[count:])
            after, ys = self._pair(self.f(carry, x))
            leaves, structure = flatten(after)
            self.carry_types = check_carry("scan", self.carry_structure, types, structure, leaves, final=final)
            outputs, self.y_structure = flatten(ys)
            outputs = [check_leaf("scan", "an output", y) for y in outputs]
            return [*strong_outputs(leaves, types), *strong_outputs(outputs)]

        return close(flat, [*types, *elements], names, function=self.f)

    def _pair(self, result: Any) -> tuple[Any, Any]:
        if isinstance(result, tuple) and len(result) == 2:
            return result[0], result[1]
        raise ArgumentError(
            "a step of scan returns two things",
            expected="(carry, output); the output may be None",
            got=structure_text(flatten(result)[1]),
            where=user_line(),
            try_="return carry, None",
        )


def _length(elements: Sequence[Any], length: int | None) -> Dim:
    """The number of steps: what all leading axes agree on."""
    sizes: list[Dim] = []
    for x in elements:
        shape = shape_of(x)
        if not shape:
            raise ShapeError(
                "scan runs over the leading axis of xs, and a number has none",
                expected="arrays with at least one axis in xs",
                got=f"a value of type {type_of(raw(x))}",
                where=user_line(),
                try_="read it in the step from around it: what does not change is no element",
            )
        sizes.append(shape[0])
    sizes += [] if length is None else [checked_count(length, "length")]
    if not sizes:
        raise ArgumentError(
            "scan does not know how many steps to take",
            expected="arrays in xs, or length=",
            got="neither",
            where=user_line(),
            try_="length=100",
        )
    if any(not same(sizes[0], n) for n in sizes[1:]):
        raise ShapeError(
            "scan needs one length",
            expected=f"{sizes[0]} steps" if length is None else f"{length} steps, as length= says",
            got="leading axes of sizes " + ", ".join(str(shape_of(x)[0]) for x in elements),
            where=user_line(),
            try_="cut the arrays to one length, or pad them and carry a mask",
        )
    return sizes[0]


@partial(checked_call, name="map")
def map_(f: Callable[[Any], Any], xs: Tree, batch_size: int | None = None) -> Any:
    """f of every element along the leading axis, one after the other; results are stacked.

    f           a function of one element (a tree like xs, without the leading axis)
    xs          a tree of arrays
    batch_size  how many elements are computed side by side, as `cl.vmap` computes all of them

    `cl.vmap` computes the same with whole arrays: faster, and with the memory of all elements at once.

    Raises as `cl.scan` does, and ArgumentError for a batch of less than one element.

    >>> import clearprop as cl
    >>> cl.map(lambda x: x * x, cl.tensor([1.0, 2.0, 3.0]))
    Tensor([1.0, 4.0, 9.0])
    """
    require_function(f, "map")
    step = lambda _, x: (None, f(x))  # noqa: E731 - a step without a carry
    if batch_size is None:
        return scan(step, None, xs)[1]
    size = checked_integer(batch_size, "map", "batch_size")
    if size < 1:
        raise ArgumentError(
            "map takes one element at a time, or more",
            expected="batch_size = 1 or more, or None",
            got=f"batch_size = {size}",
            where=user_line(),
        )
    leaves = [check_leaf("map", "xs", v) for v in flatten(xs)[0]]
    length = int(_length(leaves, None))
    at_once = min(int(size), max(length, 1))

    def loop(f: Callable[..., Any], xs: Tree) -> tuple[Any, Any]:
        return loop_of_loops(_loop, side_by_side, f, None, xs, length, at_once, reverse=False)

    return _in_turns(loop, step, xs, length)[1]


@checked_call
def fori_loop(lower: int, upper: int, f: Callable[[Any, Any], Any], init: Tree) -> Any:
    """The carry after c ← f(i, c) for i = lower … upper − 1.

    lower, upper  integers, or sizes of traced arrays
    f             takes the index, an int64 scalar, and the carry; returns the next carry
    init          the first carry, any tree of arrays

    Raises as `cl.scan` does.

    >>> import clearprop as cl
    >>> cl.fori_loop(1, 5, lambda i, c: c * i, 1)
    Tensor(24)
    """
    require_function(f, "fori_loop")
    first, end = checked_integer(lower, "fori_loop", "lower"), checked_integer(upper, "fori_loop", "upper")
    try:
        indices = arange_(size=end - first if end > first else 0, dtype=INT64) + first
    except ArgumentError as problem:  # nothing else can be wrong with so many numbers
        raise too_large("fori_loop", MemoryError(problem.got)) from None
    return scan(lambda c, i: (f(i, c), None), init, indices)[0]
