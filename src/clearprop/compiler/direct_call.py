"""Calls that came before: a Python function for each kind, which takes the arguments apart, checks them, and runs.

To walk through the tree of a small network in general costs more than to compute its step.  So when a kind of call
comes again, a function is written that knows its trees: `model.layers[2].weight` stands in the text, classes and dtypes
are compared by identity, sizes as numbers.  What is not exactly as it was before is left to the general way; so nothing
is decided here, what would be found is found sooner.

Where the program is native, so is the way from the leaves to it (`native.object_calls`); the lines that look at them in
Python come to be where that finds a difference, which may be one that they can settle by a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from clearprop.autodiff.trees import FIELDS, Structure, flatten, unflatten
from clearprop.compiler.arguments import Arguments, Donated
from clearprop.program.types import PYTHON_SCALARS
from clearprop.program.values import Node, call_site

if TYPE_CHECKING:
    from clearprop.compiler.native.object_calls import ObjectCall

DirectCall: TypeAlias = Callable[[tuple[Any, ...]], Any]
"""What computes the result from the positional arguments, or returns MISSED."""
MISSED = object()
"""What a direct call returns for arguments of another kind."""
MOST_LEAVES = 1000
"""Trees with more leaves take the general way: to write and compile their function takes long."""

_NUMBERS = frozenset(np.dtype(code).type for code in "?bBhHiIlLqQefdFD")
"""NumPy's numbers, whose class says their dtype."""


def direct_call(
    call: Arguments, result: Any, computed: Sequence[bool], execute: Callable[..., Any]
) -> DirectCall | None:
    """A function of the positional arguments of calls like this one; None where there can be none.

    It returns what the compiled function returns, or MISSED.  `result` is that of this call, `computed` says of its
    leaves which are not the same in every call, and `execute` computes them.
    """
    if call.keywords or len(call.leaves) > MOST_LEAVES or not all(map(_is_known, call.leaves)):
        return None
    text = _CallText(call, computed)
    text.take_apart()
    text.begin_natively(execute)
    text.execute()
    text.put_together(result)
    return text.function(execute)


def _is_known(leaf: Any) -> bool:
    """Whether a class, and a dtype and a shape of an array, are all that a program is special to."""
    kind = type(leaf)
    return kind is np.ndarray or kind in _NUMBERS or not isinstance(leaf, (np.ndarray, np.generic))


def _mark(tensors: Sequence[Node]) -> None:
    """Tensors whose memory is given away, before it is written: Ctrl-C may come as soon as it is."""
    gone = Donated(call_site())
    for tensor in tensors:
        tensor.value = gone


def _donation() -> Donated:
    """What tensors hold from now on that are given away."""
    return Donated(call_site())


class _CallText:
    """The text of a direct call, and the objects that it names."""

    def __init__(self, call: Arguments, computed: Sequence[bool]) -> None:
        self.call, self.computed = call, computed
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "MISSED": MISSED, "Tensor": Node.tensor, "ndarray": np.ndarray, "new": object.__new__, "mark": _mark,
            "partial": partial, "flatten": flatten, "unflatten": unflatten, "asarray": np.asarray,
            "gone": _donation,
        }  # fmt: skip
        self.known: dict[int, str] = {}
        self.locals = 0
        self.leaves = zip(call.tensors, call.leaves, call.donated(), strict=True)
        self.inputs: list[tuple[str, Any, Any, bool]] = []  # leaves: their place, holder, value, whether given away
        self.outputs: list[str] = []

    def function(self, execute: Callable[..., Any]) -> DirectCall:
        """The text compiled."""
        self.names["execute"] = execute
        text = "\n".join(["def call(args):", *(f"    {line}" for line in self.lines)])
        exec(compile(text, __file__, "exec"), self.names)  # a file of ours, so that it is no user's line
        made: DirectCall = self.names["call"]
        return made

    def _name(self, value: Any) -> str:
        """What an object is called in the text, which keeps it alive."""
        if id(value) not in self.known:
            self.known[id(value)] = name = f"k{len(self.known)}"
            self.names[name] = value
        return self.known[id(value)]

    def _local(self) -> str:
        self.locals += 1
        return f"x{self.locals}"

    # ------------------------------------------------------------------------------------------ arguments
    def take_apart(self) -> None:
        """Find the leaves, and miss at the first difference."""
        call = self.call
        places = [self._local() for _ in call.args]
        self.lines += [
            f"if len(args) != {len(places)}: return MISSED",
            f"{', '.join(places)}, = args" if places else "",
        ]
        self.lines += ["try:", "    pass"]
        begin = len(self.lines)
        for i, argument in enumerate(call.args):
            if call.is_static(i):
                self._require(f"{places[i]} is not {self._name(argument)}")
        for (i, argument), structure in zip(call.dynamic(), call.structure.children(), strict=True):
            self._take(places[i], argument, structure)
        self.lines[begin:] = [f"    {line}" for line in self.lines[begin:]]
        self.lines += ["except KeyError:", "    return MISSED"]

    def _require(self, *faults: str) -> None:
        self.lines.append(f"if {' or '.join(faults)}: return MISSED")

    def _take(self, place: str, value: Any, structure: Structure) -> None:
        """The leaves of the tree at a place."""
        kind, parts = structure.type, structure.children()
        if structure.is_leaf():
            self._take_leaf(place)
        elif kind in FIELDS:
            self._take_fields(place, value, structure)
        elif kind in (tuple, list) or _is_named_tuple(kind):
            self._require(f"{place}.__class__ is not {self._name(kind)}", f"len({place}) != {len(parts)}")
            places = [self._local() for _ in parts]
            if places:
                self.lines.append(f"{', '.join(places)}, = {place}")
            for inner, part, s in zip(places, value, parts, strict=True):
                self._take(inner, part, s)
        elif kind is dict:
            self._require(f"{place}.__class__ is not dict", f"len({place}) != {len(parts)}")
            for key, s in zip(structure.entries(), parts, strict=True):
                self._take_inner(f"{place}[{self._name(key)}]", value[key], s)
        elif kind is type(None):
            self._require(f"{place} is not None")
        else:
            self._take_flattened(place, structure)

    def _take_inner(self, place: str, value: Any, structure: Structure) -> None:
        inner = self._local()
        self.lines.append(f"{inner} = {place}")
        self._take(inner, value, structure)

    def _take_fields(self, place: str, value: Any, structure: Structure) -> None:
        begin = len(self.lines)
        self._take_whole(place, value, structure)
        if _is_constant(structure):  # nearly always it is the very object
            looked = [f"    {line}" for line in self.lines[begin:]]
            self.lines[begin:] = [f"if {place} is not {self._name(value)}:", *looked]

    def _take_whole(self, place: str, value: Any, structure: Structure) -> None:
        dynamic, fixed = FIELDS[structure.type]
        self._require(f"{place}.__class__ is not {self._name(structure.type)}")
        if dynamic or fixed:
            self.lines.append(f"d = {place}.__dict__")
        if fixed:
            self._require(*(f"d[{n!r}] is not {self._name(value.__dict__[n])}" for n in fixed))
        inner = [self._local() for _ in dynamic]
        self.lines += [f"{x} = d[{n!r}]" for x, n in zip(inner, dynamic, strict=True)]
        for x, n, s in zip(inner, dynamic, structure.children(), strict=True):
            self._take(x, value.__dict__[n], s)

    def _take_flattened(self, place: str, structure: Structure) -> None:
        """A node of a class that others have registered: by its own way of being taken apart."""
        self.lines.append(f"s, structure = flatten({place})")
        self._require(f"structure != {self._name(structure)}")
        inner = [self._local() for _ in range(structure.num_leaves)]
        if inner:
            self.lines.append(f"{', '.join(inner)}, = s")
        for x in inner:
            self._take_leaf(x)

    def _take_leaf(self, place: str) -> None:
        tensor, value, donated = next(self.leaves)
        kind = type(value)
        if kind is np.ndarray or kind in PYTHON_SCALARS or kind in _NUMBERS:
            self.inputs.append((place, tensor, value, donated))
        elif isinstance(tensor, Node):
            self._require(
                f"{place}.__class__ is not {self._name(type(tensor))}", f"{place}.value is not {self._name(value)}"
            )
        else:
            self._require(f"{place} is not {self._name(value)}")  # part of the program

    # ------------------------------------------------------------------------------------------ execution
    def begin_natively(self, execute: Callable[..., Any]) -> None:
        """Compute the results from the leaves as they are, if they are what they were; else the next lines see."""
        self.outputs = [self._local() for c in self.computed if c]
        from_objects = getattr(execute, "from_objects", None)  # of native programs
        call = from_objects([tuple(leaf) for _, *leaf in self.inputs]) if from_objects else None
        if call is None:
            self.lines.append("if True:")
            return
        self._name(call)  # its memory lives as long as the text
        words, status = self._name(call.words), self._name(call.status)
        self.lines += [
            f"made, kept = [None] * {call.results}, [None] * {len(call.leaves)}",
            f"held = ({', '.join(self._held(call))})",
            f"{words}[0] = id(held) + {call.items}",
            f"{self._name(call.begin)}({call.row})",
            f"if not {words}[1]:",
            f"    {status}[0] = 0",
            f"    {self._name(call.drive)}({call.step})",
            f"    if {status}[0]: {self._name(call.refuse)}()",
        ]
        if self.outputs:
            self.lines.append(f"    {', '.join(self.outputs)}, = made")
        for k, array, weak in call.numbers:
            self.lines.append(f"    {self.outputs[k]}.value = {self._name(array)}{'.item()' if weak else '[()]'}")
        self.lines += ["else:", "    made = kept = held = None"]

    def _held(self, call: ObjectCall) -> Iterator[str]:
        """What the tuple holds that native code reads."""
        for (place, *_), leaf in zip(self.inputs, call.leaves, strict=True):
            whole = f"asarray({place}, {self._name(leaf.dtype)}) if {place}.__class__ is {leaf.kind.__name__} else None"
            yield whole if leaf.is_converted else place
        for _, shape, dtype, make in call.brought:
            yield f"{self._name(make)}({self._name(shape)}, {self._name(dtype)})"
        yield from ("made", "kept", "gone()" if any(leaf.is_given for leaf in call.leaves) else "None")

    def execute(self) -> None:
        """Look at the leaves, and compute the results."""
        begin = len(self.lines)
        self.lines += ["inputs = []", "add = inputs.append"]
        for leaf in self.inputs:
            self._add(*leaf)
        given = [x for x, tensor, _, donated in self.inputs if donated and isinstance(tensor, Node)]
        give = f"partial(mark, ({', '.join(given)},))" if given else "None"
        # what is held by its tensor and by `inputs` alone may be written
        self.lines += ["v = None", f"results = execute(inputs, {give})"]
        if self.outputs:
            self.lines.append(f"{', '.join(self.outputs)}, = map(Tensor, results)")
        self.lines[begin:] = [f"    {line}" for line in self.lines[begin:]]

    def _add(self, place: str, tensor: Any, value: Any, donated: bool) -> None:
        """The value of a leaf, which is of the class, dtype and shape that it was."""
        held, kind = place, type(value)
        if isinstance(tensor, Node):
            own = self._name(type(tensor))
            self._require(
                f"{place}.__class__ is not {own}", f"{place}.application is not None", f"{place}.requires_grad"
            )
            self.lines.append(f"v = {place}.value")
            held = "v"
        if kind is np.ndarray:
            shape, dtype = self._name(value.shape), self._name(value.dtype)
            self._require(
                f"{held}.__class__ is not ndarray", f"{held}.shape != {shape}", f"{held}.dtype is not {dtype}"
            )
        else:
            self._require(f"{held}.__class__ is not {self._name(kind)}")
        self.lines.append(f"add({held})")

    # --------------------------------------------------------------------------------------------- results
    def put_together(self, result: Any) -> None:
        """The tree of the results."""
        leaves, structure = flatten(result)
        found = iter(self.outputs)
        parts = iter([next(found) if c else self._name(v) for c, v in zip(self.computed, leaves, strict=True)])
        self.lines.append(f"return {self._tree(result, structure, parts)}")

    def _tree(self, value: Any, structure: Structure, leaves: Iterator[str]) -> str:
        """An expression for a tree with these leaves; what it needs before comes to the lines."""
        # one case for each kind of node that is common
        kind, parts = structure.type, structure.children()
        if structure.is_leaf():
            return next(leaves)
        if kind in FIELDS:
            return self._name(value) if _is_constant(structure) else self._fields(value, structure, leaves)
        if kind is tuple or kind is list:
            inner = ", ".join(self._tree(v, s, leaves) for v, s in zip(value, parts, strict=True))
            return f"[{inner}]" if kind is list else f"({inner}{',' if len(parts) == 1 else ''})"
        if kind is dict:
            inside = {k: self._tree(value[k], s, leaves) for k, s in zip(structure.entries(), parts, strict=True)}
            return f"{{{', '.join(f'{self._name(k)}: {inside[k]}' for k in value)}}}"
        if kind is type(None):
            return "None"
        inner = ", ".join(next(leaves) for _ in range(structure.num_leaves))
        return f"unflatten({self._name(structure)}, [{inner}])"

    def _fields(self, value: Any, structure: Structure, leaves: Iterator[str]) -> str:
        dynamic, fixed = FIELDS[structure.type]
        inner = [self._tree(value.__dict__[n], s, leaves) for n, s in zip(dynamic, structure.children(), strict=True)]
        made = self._local()
        self.lines.append(f"{made} = new({self._name(structure.type)})")
        if dynamic or fixed:
            self.lines.append(f"d = {made}.__dict__")
        self.lines += [f"d[{n!r}] = {self._name(value.__dict__[n])}" for n in fixed]
        self.lines += [f"d[{n!r}] = {x}" for n, x in zip(dynamic, inner, strict=True)]
        return made


def _is_constant(structure: Structure) -> bool:
    """Whether a tree has no leaves and nothing in it can be changed, so that one may stand for all."""
    fixed = structure.type in FIELDS or structure.type in (tuple, type(None))
    return not structure.num_leaves and fixed and all(map(_is_constant, structure.children()))


def _is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")
