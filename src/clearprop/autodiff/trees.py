"""Trees of arrays: flattening arguments, choosing the leaves to differentiate, putting results back."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np
import optree

from clearprop.errors import ArgumentError, DTypeError, checked_call, require_function, user_line
from clearprop.program.ir import Var
from clearprop.program.types import Tree, Value, exactly, is_floating, type_of
from clearprop.program.values import Node, raw

NAMESPACE = "clearprop"
Structure: TypeAlias = optree.PyTreeSpec
"""What is left of a tree without its leaves."""


_LEAF = optree.tree_structure(0.0)
_PLAIN = (float, int, np.ndarray, np.float64, np.float32)


class FieldEntry(optree.GetAttrEntry):  # type: ignore[misc]  # optree tells no types of it
    """A step of a path to a field, whose name may be one that no attribute can be written with: `0.weight`."""

    def codify(self, node: str = "") -> str:
        """The path to the field."""
        return f"{node}.{self.name}"


FIELDS: dict[type, tuple[tuple[str, ...], tuple[str, ...]]] = {}
"""Of classes that are trees by their fields: which of them hold trees, and which are part of the structure."""


class _Fixed(tuple[Any, ...]):
    """Fields that belong to a structure: another one where Python calls them equal and programs are not (1 and 1.0)."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, tuple) or not tuple.__eq__(self, other):
            return False
        return all(map(operator.is_, self, other)) or exactly(tuple(self)) == exactly(tuple(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__


def register_fields(cls: type, dynamic: tuple[str, ...], fixed: tuple[str, ...]) -> None:
    """Make a class a tree: `dynamic` fields hold trees, `fixed` ones belong to the structure."""
    # a compiled call takes its trees apart and puts new ones together, so no field costs more than it must
    make = object.__new__

    def take_apart(module: Any) -> tuple[list[Any], tuple[Any, ...], tuple[str, ...]]:
        values = module.__dict__
        return [values[n] for n in dynamic], _Fixed([values[n] for n in fixed]) if fixed else (), dynamic

    def put_together(statics: tuple[Any, ...], children: tuple[Any, ...]) -> Any:
        new: Any = make(cls)
        values = new.__dict__
        for name, value in zip(fixed, statics):  # noqa: B905 - as many as were taken apart, here and below
            values[name] = value
        for name, value in zip(dynamic, children):  # noqa: B905 - as above
            values[name] = value
        return new

    FIELDS[cls] = dynamic, fixed
    optree.register_pytree_node(cls, take_apart, put_together, path_entry_type=FieldEntry, namespace=NAMESPACE)


def flatten(tree: Tree) -> tuple[list[Any], Any]:
    """Leaves and structure."""
    if type(tree) in _PLAIN or isinstance(tree, Node):
        return [tree], _LEAF
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    return leaves, structure


def unflatten(structure: Structure, leaves: Sequence[Tree]) -> Any:
    """The tree with these leaves."""
    if structure is _LEAF:
        return leaves[0]
    return optree.tree_unflatten(structure, leaves)


@checked_call
def tree_map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Any:
    """F over the leaves of trees of equal structure.

    Raises ArgumentError for trees of other structures.

    >>> import clearprop as cl
    >>> cl.tree_map(lambda a, b: a + b, {"x": 1, "y": [2]}, {"x": 10, "y": [20]})
    {'x': 11, 'y': [22]}
    """
    require_function(f, "tree_map")
    leaves, structure = flatten(tree)
    others = [_leaves_like(structure, other) for other in rest]
    return unflatten(structure, [f(*each) for each in zip(leaves, *others, strict=True)])


def _leaves_like(structure: Structure, tree: Tree) -> list[Any]:
    try:
        return list(structure.flatten_up_to(tree))
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            "tree_map needs trees of one structure",
            expected=structure_text(structure),
            got=f"{structure_text(flatten(tree)[1])}: {error}"[:300],
            where=user_line(),
        ) from None


def paths(tree: Tree) -> list[str]:
    """A path such as `layers[0].weight` for every leaf."""
    found, _, _ = optree.tree_flatten_with_accessor(tree, namespace=NAMESPACE)
    return [_path_text(a) for a in found]


def _path_text(accessor: Any) -> str:
    text: str = accessor.codify("")
    return text.removeprefix(".")


def structure_text(structure: Structure) -> str:
    """A structure as Python writes it, with `*` for each leaf: `({'w': *, 'b': *}, *)`."""
    return re.sub(r"^PyTreeSpec\((.*?)(, NoneIsLeaf)?(, namespace='.*')?\)$", r"\1", str(structure))


def is_array(leaf: Value) -> bool:
    """Whether a leaf is something that operations take: a node, an array, or a Python number."""
    return isinstance(leaf, (Node, np.ndarray, np.generic, bool, int, float, complex))


def has_derivative(leaf: Value) -> bool:
    """Whether a leaf is floating, so that there is something to differentiate."""
    value = leaf.value if isinstance(leaf, Node) else leaf
    if isinstance(value, (Var, np.ndarray, np.generic)):
        return is_floating(value.dtype)
    return type(value) is float or type(value) is complex


def as_leaf_value(leaf: Value) -> Any:
    """A leaf as the engine holds it: Python floats become float64 numbers."""
    return np.float64(leaf) if type(leaf) is float else leaf


def checked_argnums(argnums: int | Sequence[int], count: int, name: str) -> tuple[int, ...]:
    """The chosen argument positions, checked."""
    if type(argnums) is int and 0 <= argnums < count:  # nearly always
        return (argnums,)
    wanted: tuple[Any, ...] = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
    if not wanted or not all(isinstance(i, int | np.integer) and not isinstance(i, bool) for i in wanted):
        raise ArgumentError(
            f"{name} does not take these argnums",
            expected="the position of an argument, or a tuple of positions",
            got=f"argnums = {argnums!r:.80}",
            where=user_line(),
        )
    for i in wanted:
        if not -count <= i < count:
            raise ArgumentError(
                f"{name} has no argument {i} to differentiate",
                expected=f"argnums from 0 to {count - 1}" if count else "at least one positional argument",
                got=f"argnums = {argnums} with {count} positional arguments",
                where=user_line(),
                try_="pass the argument by position",
            )
    out = tuple(int(i) % count for i in wanted)
    if len(set(out)) < len(out):
        raise ArgumentError(
            f"{name} got an argument to differentiate twice",
            expected="different positions",
            got=f"argnums = {argnums} with {count} positional arguments",
            where=user_line(),
        )
    return out


def refuse_without_floating(leaves: Sequence[Any], position: int, name: str) -> NoReturn:
    """An argument without a floating leaf has no gradient: say so, and what to write instead."""
    seen = ", ".join(sorted({type_of(raw(v)).dtype.name if is_array(v) else type(v).__name__ for v in leaves}))
    example = next((f"{v!r} → {float(v)!r}" for v in leaves if type(v) is int), "x.astype(float)")
    raise DTypeError(
        f"{name} needs a floating argument to differentiate",
        expected=f"argument {position} with at least one floating number",
        got=seen or "no leaves at all",
        where=user_line(),
        try_=f"write it as a float: {example}",
    )
