"""Batching: a program for one example becomes a program for many, equation by equation.

The batch axis leads.  Axes in parameters count from the end, so most primitives need nothing; those whose
parameters hold shapes say how in their declaration.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from clearprop.autodiff.trees import Structure, as_leaf_value, flatten, is_array, structure_text, unflatten
from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.program.ir import Program, Turn, Var, builder, shape_of, trace
from clearprop.program.operands import admit
from clearprop.program.operation import JointOperation, Operation
from clearprop.program.outside_draws import FOR_ALL, without_draws
from clearprop.program.types import INT64, Axes, Params, Tree, Type, Value, type_of
from clearprop.program.values import Node, raw
from clearprop.rules.structural import arange_, broadcast_to_, permute_dims_, reshape_
from clearprop.shapes import Dim, same


def over_examples(f: Callable[..., Any], in_axes: int | Sequence[Any] | None = 0) -> Callable[..., Any]:
    """The function that maps f over a batch axis of its arguments: `vmap`, for use inside.

    >>> over_examples(lambda x: x * 2)(np.ones(2))
    Tensor([2.0, 2.0])
    """
    return lambda *args: map_over(f, in_axes, args, {})


def map_in_turns(
    f: Callable[..., Any], in_axes: int | Sequence[Any] | None, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """`map_over`, whose f gets the number of its example if something in it asks."""
    turn = Turn()
    example = turn.around(f)

    def numbered() -> Any:
        per_argument = in_axes if isinstance(in_axes, tuple | list) else [in_axes] * len(args)
        size = _batch_size(flatten(args)[0], _axes_per_leaf(args, in_axes))
        return map_over(with_index, [0, *per_argument], (arange_(size=size, dtype=INT64), *args), kwargs)

    def with_index(index: Any, *given: Any) -> Any:
        turn.index = index
        return example(*given)

    return turn.either(lambda: map_over(example, in_axes, args, kwargs), numbered)


def map_over(
    f: Callable[..., Any], in_axes: int | Sequence[Any] | None, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    """The results of f for every example in `args`, stacked on axis 0."""
    _refuse_named(kwargs)
    # f is traced once, for one example; leaves that are no arrays pass around the trace and keep their places.
    axes = _axes_per_leaf(args, in_axes)
    flat, structure = flatten(args)
    size = _batch_size(flat, axes)
    flat = [admit(as_leaf_value(v)) if a is not None else admit(v) for v, a in zip(flat, axes, strict=True)]
    moved = [_to_front(v, a) if a is not None else v for v, a in zip(flat, axes, strict=True)]
    arrays = [i for i, (v, a) in enumerate(zip(flat, axes, strict=True)) if a is not None]
    types = [_one_example(type_of(raw(moved[i]))) for i in arrays]
    out_structure: list[Any] = []

    def flat_f(*examples: Any) -> Sequence[Any]:
        leaves = list(moved)
        for i, x in zip(arrays, examples, strict=True):
            leaves[i] = x
        outs, out_tree = flatten(f(*unflatten(structure, leaves)))
        out_structure.append((out_tree, [is_array(o) for o in outs], outs))
        return [o for o in outs if is_array(o)]

    outer = builder()
    scope = outer.scope if outer is not None else None
    made = functools.partial(trace, flat_f, types, scope=scope, differentiated=True)
    program = without_draws(made, "vmap's function", FOR_ALL, f)
    results = iter(run_batched(program, [moved[i] for i in arrays], size))
    out_tree, mask, outs = out_structure[0]
    return unflatten(out_tree, [next(results) if m else o for m, o in zip(mask, outs, strict=True)])


def _refuse_named(kwargs: dict[str, Any]) -> None:
    """Arguments by name have no entry in `in_axes`: whether they are mapped would be a guess."""
    if kwargs:
        raise ArgumentError(
            "vmap takes its arguments by position",
            expected="one positional argument per axis in in_axes",
            got=f"{', '.join(kwargs)} by name",
            where=user_line(),
            try_="functools.partial(f, name=value) for what is the same for every example",
        )


def _axes_per_leaf(args: Sequence[Any], in_axes: Any) -> list[int | None]:
    per_argument = list(in_axes) if isinstance(in_axes, tuple | list) else [in_axes] * len(args)
    if len(per_argument) != len(args):
        raise ArgumentError(
            "vmap needs one axis per argument",
            expected=f"{len(args)} entries in in_axes",
            got=f"in_axes = {in_axes}",
            where=user_line(),
        )
    out: list[int | None] = []
    for arg, axis in zip(args, per_argument, strict=True):
        flat, structure = flatten(arg)
        if axis is None or _is_axis(axis):
            own = None if axis is None else int(axis)
            out += [own if is_array(v) else None for v in flat]
        else:
            out += _axes_like(axis, structure)
    if all(a is None for a in out):
        raise ArgumentError(
            "vmap has nothing to map over",
            expected="at least one axis in in_axes that is not None",
            got=f"in_axes = {in_axes}",
            where=user_line(),
        )
    return out


def _is_axis(axis: Any) -> bool:
    if isinstance(axis, np.ndarray):
        return axis.ndim == 0 and axis.dtype.kind in "iu"
    return isinstance(axis, int | np.integer) and not isinstance(axis, bool)


def _axes_like(axes: Axes, structure: Structure) -> list[Any]:
    """Axes given as a tree of the argument's structure."""
    try:
        found = list(structure.flatten_up_to(axes))
    except (ValueError, TypeError):
        found = [axes]
    if not all(a is None or _is_axis(a) for a in found):
        raise ArgumentError(
            "vmap does not take these in_axes",
            expected="an integer or None for each argument, or a tree of them like the argument",
            got=f"in_axes = {axes!r:.80} for an argument {structure_text(structure)}",
            where=user_line(),
        )
    return [None if a is None else int(a) for a in found]


def _batch_size(flat: Sequence[Tree], axes: Sequence[int | None]) -> Any:
    size: Any = None
    for v, axis in zip(flat, axes, strict=True):
        if axis is None:
            continue
        shape = shape_of(v)
        if not -len(shape) <= axis < len(shape):
            raise ShapeError(
                "vmap cannot map over an axis that does not exist",
                expected=f"an array with an axis {axis}",
                got=f"shape {shape}",
                where=user_line(),
            )
        if size is not None and not same(size, shape[axis]):
            raise ShapeError(
                "vmap needs one batch size",
                expected=f"size {size} on every mapped axis",
                got=f"size {shape[axis]}",
                where=user_line(),
            )
        size = shape[axis] if size is None else size
    return size


def _to_front(value: Value, axis: int) -> Any:
    n = len(shape_of(value))
    if axis % n == 0:
        return value
    rest = [i - n for i in range(n) if i != axis % n]
    return permute_dims_(value, axes=(axis % n - n, *rest))


def _one_example(t: Type) -> Type:
    return Type(t.shape[1:], t.dtype)


def run_batched(program: Program, arguments: Sequence[Value], size: Dim) -> list[Any]:
    """Evaluate a program traced for one example on batches; every result gets the leading axis."""
    values = [*arguments, *program.captured]
    mapped = [True] * len(arguments) + [False] * len(program.captured)
    return [as_batch(*out, size) for out in batched_values(program, values, mapped, size)]


def batched_values(
    program: Program, values: Sequence[Value], mapped: Sequence[bool], size: Dim
) -> list[tuple[Any, bool]]:
    """The outputs of a program some of whose inputs have a batch axis, and whether each of them has one."""
    env: dict[Any, tuple[Any, bool]] = dict(zip(program.inputs, zip(values, mapped, strict=True), strict=True))

    def read(atom: Value) -> tuple[Any, bool]:
        return env[atom] if isinstance(atom, Var) else (atom, False)

    for eq in program.equations:
        own, flags = zip(*map(read, eq.inputs), strict=True) if eq.inputs else ((), ())
        ranks = [len(a.shape) if isinstance(a, Var) else 0 for a in eq.inputs]
        if any(flags):
            out = _batch_equation(eq.primitive, size, own, flags, ranks, eq.params)
        else:
            out = eq.primitive(*own, **eq.params)
        many = out if len(eq.outputs) > 1 else (out,)
        for var, value in zip(eq.outputs, many, strict=True):
            env[var] = (value, any(flags))
    return list(map(read, program.outputs))


def as_batch(value: Value, batched: bool, size: Dim) -> Any:
    """A value with a batch axis: its own, or one along which it is repeated."""
    if not batched:
        value = broadcast_to_(value, shape=(size, *shape_of(value)))
    return value if isinstance(value, Node) else Node.tensor(value)


def _batch_equation(
    p: Operation, size: Dim, values: Sequence[Value], flags: Sequence[bool], ranks: Sequence[int], params: Params
) -> Any:
    # Axes in parameters count from the end, so that a leading one disturbs nothing but operands of unlike rank.
    if p.kind == "elementwise":
        rank = max(ranks)
        return p(*(_pad(v, rank - r) if f else v for v, f, r in zip(values, flags, ranks, strict=True)), **params)
    if p.joint:
        return cast(JointOperation, p).lift(size, values, flags, params)
    full = [v if f else broadcast_to_(v, shape=(size, *shape_of(v))) for v, f in zip(values, flags, strict=True)]
    if p.batch_rule is not None:
        return p.batch_rule(size, *full, **params)
    if p.is_composite and p.kind == "general" and p.shape_rule is None:
        return p.batched(params, over_examples)(*full)
    if p.signature is not None:
        loops = [r - len(core) for r, core in zip(ranks, p.signature.inputs, strict=True)]
        full = [_pad(v, max(loops) - loop) for v, loop in zip(full, loops, strict=True)]
    return p(*full, **params)


def _pad(value: Value, axes: int) -> Any:
    """(B, *shape) → (B, 1, …, *shape): operands of lower rank still line up from the end."""
    if axes == 0:
        return value
    shape = shape_of(value)
    return reshape_(value, shape=(shape[0], *([1] * axes), *shape[1:]))
