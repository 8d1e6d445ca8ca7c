"""Sums over windows take images without the zeros around them: what is written and read again is what they mean.

A program pads an image by a step of its own (`scatter_slice`), and cuts off the cotangents of what stands around by
another (`getitem`).  Where nothing but sums over windows meets such an image, its equations are replaced: `conv` and
`conv_weight` take the image, and `conv_input` gives it, with how many zeros there are around as `padding`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from clearprop.program.ir import Equation, Program, Var
from clearprop.shapes import same_shape

SUMS = frozenset({"conv", "conv_input", "conv_weight"})
Padding = tuple[tuple[int, int], ...]


def with_padding_inside(program: Program) -> Program:
    """The program with padding as a parameter of sums over windows, where no other equation sees the padded image."""
    users = _users(program)
    replaced = dict[Equation, Equation | None]()
    for eq in program.equations:
        readers = users.get(eq.outputs[0], [])
        if _is_sum(eq):
            replaced.update(_with_cut(eq, readers))
        elif eq.primitive.facts.places:
            replaced.update(_with_zeros(eq, readers))
    equations = [replaced.get(eq, eq) for eq in program.equations]
    return replace(program, equations=tuple(eq for eq in equations if eq is not None))


def _users(program: Program) -> dict[Any, list[Equation]]:
    """The equations that read each variable; of what the program gives none, since others see it."""
    users: dict[Any, list[Equation]] = {}
    for eq in program.equations:
        for atom in eq.inputs:
            users.setdefault(atom, []).append(eq)
    given = set(program.outputs)
    return {v: readers for v, readers in users.items() if v not in given}


def _is_sum(eq: Equation) -> bool:
    return eq.primitive.kind == "multilinear" and eq.primitive.numba in SUMS


def _with_cut(eq: Equation, users: Sequence[Equation]) -> Iterator[tuple[Equation, Equation | None]]:
    """`conv_input` of which one slice is read gives that slice."""
    if eq.primitive.numba != "conv_input" or len(users) != 1 or users[0].primitive.facts.view != "slice":
        return
    cut = users[0]
    padding = _padding(cut.params["key"], eq.outputs[0].shape, cut.outputs[0].shape, len(eq.params["stride"]))
    if padding is not None:
        yield eq, replace(eq, params={**eq.params, "padding": padding}, outputs=cut.outputs)
        yield cut, None


def _with_zeros(pad: Equation, users: Sequence[Equation]) -> Iterator[tuple[Equation, Equation | None]]:
    """Sums that read a padded image read the image."""
    if not users or not isinstance(pad.inputs[0], Var) or not all(_reads_as_image(u, pad.outputs[0]) for u in users):
        return
    axes, *others = {len(u.params["stride"]) for u in users}
    padding = _padding(pad.params["key"], pad.outputs[0].shape, pad.inputs[0].shape, axes) if not others else None
    if padding is not None:
        yield pad, None
        for eq in users:
            yield eq, replace(eq, inputs=(pad.inputs[0], *eq.inputs[1:]), params={**eq.params, "padding": padding})


def _reads_as_image(eq: Equation, image: Var) -> bool:
    return _is_sum(eq) and eq.primitive.numba != "conv_input" and eq.inputs[0] is image and eq.inputs[1] is not image


def _padding(key: Sequence[Any], whole: Sequence[Any], part: Sequence[Any], axes: int) -> Padding | None:
    """How much stands around along the axes of space; None where the key is of another kind."""
    # every axis is looked at: one that is cut, stepped over or turned otherwise is no padding
    space = range(len(whole) - axes - 1, len(whole) - 1)
    rest = [k for k in range(len(whole)) if k not in space]
    cuts = all(isinstance(k, slice) and k.step in (None, 1) for k in key)
    if not cuts or any(key[k].start not in (None, 0) for k in rest):
        return None
    if not same_shape([whole[k] for k in rest], [part[k] for k in rest]):
        return None
    starts = [int(key[k].start or 0) for k in space]
    return tuple((n, int(whole[k]) - n - int(part[k])) for n, k in zip(starts, space, strict=True))
