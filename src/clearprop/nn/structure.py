"""What a tree that holds modules says about its leaves: path, number, and whether training changes it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import optree

from clearprop.arrays.tensor import asarray
from clearprop.autodiff.trees import NAMESPACE, flatten, has_derivative
from clearprop.errors import checked_call
from clearprop.nn.argument_checks import is_module, require_module
from clearprop.nn.fields import CHILD, PARAMETER, HasFields
from clearprop.program.ir import shape_of
from clearprop.rules import elementwise, reductions
from clearprop.shapes import size_of


class LeafLayout(NamedTuple):
    """Per leaf of a tree its path and its kind, in order."""

    paths: tuple[str, ...]
    kinds: tuple[str, ...]


@functools.lru_cache(maxsize=256)
def layout(structure: Any) -> LeafLayout:
    """The layout of trees of this structure.  A leaf outside any module is a parameter."""
    paths = tuple(_short_path(a.codify("")) for a in structure.accessors())
    return LeafLayout(paths, tuple(_kinds(structure, PARAMETER)))


def _short_path(path: str) -> str:
    """Without what only the top level has: `.weight` and `['weight']` are `weight`."""
    return re.sub(r"^\['([^']*)'\]", r"\1", path).removeprefix(".")


def _kinds(structure: Any, kind: str) -> Iterator[str]:
    if structure.is_leaf():
        yield kind
        return
    declared = getattr(structure.type, "field_kinds", None)
    for entry, child in zip(structure.entries(), structure.children(), strict=True):
        own = declared.get(entry, kind) if isinstance(declared, dict) else kind
        yield from _kinds(child, PARAMETER if own == CHILD else own)


def is_trained(leaf: Any, kind: str) -> bool:
    """Whether an optimizer changes the leaf: a floating parameter."""
    return kind == PARAMETER and has_derivative(leaf)


def select(tree: Any, *kinds: str) -> dict[str, Any]:
    """The arrays of these kinds by path, as tensors."""
    leaves, structure = flatten(tree)
    paths, found = layout(structure)
    return {p: asarray(v) for p, v, k in zip(paths, leaves, found, strict=True) if k in kinds}


@checked_call
def least_rows(model: HasFields) -> int:
    """The fewest rows that a training pass needs: two where a layer takes statistics of the batch, else one.

    model  a module; one of your own says so by `least_rows: ClassVar[int] = 2`

    >>> import clearprop as cl
    >>> cl.nn.least_rows(cl.nn.mlp([4, 8, 1])), cl.nn.least_rows(cl.nn.mlp([4, 8, 1], norm="batch"))
    (1, 2)
    """
    require_module("least_rows", model)
    held = (getattr(model, name) for name, kind in model.field_kinds.items() if kind == CHILD)
    children = optree.tree_leaves(list(held), is_leaf=is_module, namespace=NAMESPACE)
    return max([model.least_rows, *map(least_rows, children)])


@checked_call
def parameter_count(model: HasFields) -> int:
    """The number of trained numbers in a model.

    model  a module

    >>> import clearprop as cl
    >>> cl.nn.parameter_count(cl.nn.mlp([4, 16, 3]))
    131
    """
    require_module("parameter_count", model)
    return sum(int(size_of(shape_of(v))) for v in model.parameters().values())


class Penalty(NamedTuple):
    """l1·Σ|w| + l2·Σw² over the weights of a network: the parameters with two axes or more, no biases and no scales.

    l1  the factor of the sum of absolute values, 0 or more (Tibshirani 1996)
    l2  the factor of the sum of squares, 0 or more (Hoerl and Kennard 1970); its gradient is 2·l2·w

    >>> import clearprop as cl
    >>> layer = cl.nn.Dense(2, 1).replace({"weight": [[3.0], [-4.0]]})
    >>> cl.nn.Penalty(l2=0.1)(layer).item()
    2.5
    >>> bool(cl.nn.Penalty())
    False
    """

    l1: float = 0.0
    l2: float = 0.0

    def __bool__(self) -> bool:
        """Whether it adds anything."""
        return bool(self.l1 or self.l2)

    def __call__(self, model: Any) -> Any:
        """The penalty of a module, a scalar that can be differentiated; 0.0 for a penalty that adds nothing."""
        total: Any = 0.0
        require_module("Penalty", model)
        for weight in [w for w in model.parameters().values() if len(shape_of(w)) > 1]:
            if self.l1:
                total = total + self.l1 * reductions.sum(elementwise.abs(weight))
            if self.l2:
                total = total + self.l2 * reductions.sum(elementwise.square(weight))
        return total
