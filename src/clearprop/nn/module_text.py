"""How models print: one line per layer, with shapes and the number of parameters."""

from __future__ import annotations

from typing import Any

import optree

from clearprop.autodiff.trees import NAMESPACE
from clearprop.errors import checked_call
from clearprop.nn.argument_checks import is_module, require_module
from clearprop.nn.fields import CHILD, PARAMETER, STATE, HasFields
from clearprop.nn.structure import parameter_count
from clearprop.program.ir import shape_of
from clearprop.program.types import type_of
from clearprop.program.values import raw
from clearprop.shapes import size_of


def layers_by_path(module: HasFields, path: str = "") -> list[tuple[str, HasFields]]:
    """The modules without children of a model, by path, in order."""
    found: list[tuple[str, HasFields]] = []
    for name, kind in module.field_kinds.items():
        if kind == CHILD:
            where, children, _ = optree.tree_flatten_with_accessor(
                getattr(module, name), is_leaf=is_module, namespace=NAMESPACE
            )
            for accessor, child in zip(where, children, strict=True):
                found += layers_by_path(child, f"{path}.{name}{accessor.codify('')}".removeprefix("."))
    own = [k for k in module.field_kinds.values() if k in (PARAMETER, STATE)]
    return [(path, module), *found] if own or not found else found


def _own_arrays(module: HasFields) -> list[tuple[str, str, Any]]:
    out = []
    for name, kind in module.field_kinds.items():
        if kind in (PARAMETER, STATE):
            where, leaves, _ = optree.tree_flatten_with_accessor(getattr(module, name), namespace=NAMESPACE)
            out += [(kind, name + a.codify(""), leaf) for a, leaf in zip(where, leaves, strict=True)]
    return out


def _row(path: str, module: HasFields) -> tuple[str, str, str, str]:
    arrays = _own_arrays(module)
    trained, kept = (
        ", ".join(f"{n} {tuple(shape_of(v))}" for k, n, v in arrays if k == kind) for kind in (PARAMETER, STATE)
    )
    shapes = "; ".join(filter(None, [trained, kept and f"state {kept}"]))
    return path, module.label(), shapes, _count(arrays)


def _count(arrays: list[tuple[str, str, Any]]) -> str:
    total = sum(size_of(shape_of(v)) for k, _, v in arrays if k == PARAMETER)
    return f"{total:,}" if isinstance(total, int) and total else ""


@checked_call
def summary(model: HasFields) -> str:
    """A table of the layers: path, kind, shapes, parameters, and the total.

    model  a module

    >>> import clearprop as cl
    >>> print(cl.nn.summary(cl.nn.mlp([4, 16, 3])))
    layers[0]  Dense(4 → 16)  weight (4, 16), bias (16,)  80
    layers[1]  relu
    layers[2]  Dense(16 → 3)  weight (16, 3), bias (3,)   51
    131 parameters, float32
    """
    require_module("summary", model)
    rows = [_row(path, module) for path, module in layers_by_path(model)]
    widths = [max(len(r[i]) for r in rows) for i in range(4)]
    lines = [
        f"{p:<{widths[0]}}  {k:<{widths[1]}}  {s:<{widths[2]}}  {n:>{widths[3]}}".rstrip().removeprefix("  ")
        for p, k, s, n in rows
    ]
    return "\n".join([*lines, _total(model)])


def _total(model: HasFields) -> str:
    values = list(model.parameters().values())
    dtypes = sorted({type_of(raw(v)).dtype.name for v in values})
    n = parameter_count(model)
    return f"{n:,} parameter{'' if n == 1 else 's'}" + (", " + " and ".join(dtypes) if dtypes else "")


def module_text(module: HasFields) -> str:
    """The representation: a line for one layer, a block for several."""
    rows = layers_by_path(module)
    if len(rows) == 1 and not rows[0][0]:
        _, label, shapes, count = _row(*rows[0])
        return "  ".join(filter(None, [label, shapes, count and f"{count} parameter{'s' * (count != '1')}"]))
    return "\n".join([f"{type(module).__name__}(", *("  " + line for line in summary(module).split("\n")), ")"])
