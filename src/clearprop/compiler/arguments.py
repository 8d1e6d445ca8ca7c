"""The arguments of a compiled call: by position and name, which are donated, which are part of the program."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten, is_array, paths
from clearprop.errors import ArgumentError, DTypeError, TraceError, check_call, describe_line, unknown_name, user_line
from clearprop.program.operands import SUPPORTED, admit
from clearprop.program.types import PYTHON_SCALARS, exactly, type_of
from clearprop.program.values import RECORDING, Node


class Donated:
    """What a tensor holds after its memory was given to a compiled call."""

    def __init__(self, site: tuple[Any, int]) -> None:
        self.site = site  # described only when it is asked for: a training loop donates in every step

    def __repr__(self) -> str:
        return f"donated in {self._where()}"

    def _where(self) -> str:
        return describe_line(self.site[0].co_filename, self.site[1])

    def refuse(self) -> Any:
        """Raise the error that says where the tensor was given away."""
        raise TraceError(
            "this tensor was donated and its memory reused",
            expected="the tensors that the call returned",
            got="a tensor given away in an earlier call",
            where=self._where(),
            try_="use the returned value, or leave the argument out of donate=",
        )

    def __getattr__(self, name: str) -> Any:
        self.refuse()

    __float__ = __int__ = __index__ = __bool__ = refuse


def function_name(function: Callable[..., Any]) -> str:
    """What a function is called in messages and sources."""
    return getattr(function, "__name__", "the function")


class Parameters:
    """The parameters of a function, and how a call's arguments are told apart.

    Arguments are kept as given: by position as far as that goes, the rest by name.  Defaults stay the function's.
    """

    def __init__(self, f: Callable[..., Any], donate: Any, static: Any) -> None:
        self.function = f
        try:
            self.signature = inspect.signature(f)
        except ValueError:
            raise ArgumentError(
                "the parameters of this function are not known",
                expected="a function written in Python",
                got=repr(f),
                where=user_line(),
                try_="cl.compile(lambda x: f(x))",
            ) from None
        self.names = list(self.signature.parameters)
        self.donate = _positions(donate, self.names, "donate")
        self.static = _positions(static, self.names, "static")
        known = list(self.signature.parameters.values())
        kinds = [p.kind for p in known]
        rest = inspect.Parameter.VAR_POSITIONAL
        self.rest = kinds.index(rest) if rest in kinds else len(kinds)
        by_place = [p for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.least = sum(p.default is p.empty for p in by_place)
        self.most = sys.maxsize if rest in kinds else len(by_place)
        if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in known):
            self.most = -1  # without names no call is right

    def take(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Arguments:
        """The arguments of a call."""
        if not kwargs and self.least <= len(args) <= self.most:
            return Arguments(self, args, ())
        check_call(self.function, function_name(self.function), args, kwargs)
        bound = self.signature.bind(*args, **kwargs)
        names = tuple(sorted(bound.kwargs))
        return Arguments(self, (*bound.args, *(bound.kwargs[n] for n in names)), names)

    def place(self, position: int, count: int, keywords: Sequence[str]) -> int:
        """Which parameter an argument belongs to; −1 for a name that the function collects."""
        given = count - len(keywords)
        if position < given:
            return min(position, self.rest)
        name = keywords[position - given]
        return self.names.index(name) if name in self.names else -1

    def label(self, position: int, count: int, keywords: Sequence[str]) -> str:
        """The name of an argument in generated sources."""
        given = count - len(keywords)
        if position >= given:
            return keywords[position - given]
        if position >= self.rest and self.rest < len(self.names):
            return f"{self.names[self.rest]}_{position - self.rest}"
        return self.names[position]


class Arguments:
    """One call's arguments: dynamic leaves, and their exact kind: structure, dtypes, sizes."""

    __slots__ = ("args", "exact", "fixed", "keywords", "leaves", "owner", "structure", "tensors", "tracked")

    def __init__(self, owner: Parameters, args: tuple[Any, ...], keywords: tuple[str, ...]) -> None:
        # Every call passes here, so the leaves are looked at once: kind, history and donation in the same loop.
        self.owner, self.args, self.keywords = owner, args, keywords
        dynamic: Sequence[Any] = args
        self.fixed: tuple[Any, ...] = ()
        if owner.static:
            dynamic = [a for i, a in enumerate(args) if not self.is_static(i)]
            self.fixed = tuple(exactly(a) for i, a in enumerate(args) if self.is_static(i))
        self.tensors, self.structure = flatten(tuple(dynamic))
        self.tracked = False
        self.leaves: list[Any] = []
        kinds: list[Any] = []
        for k, v in enumerate(self.tensors):
            if isinstance(v, Node):
                if v.application is not None or v.requires_grad:
                    self.tracked = RECORDING.on
                v = v.value
                if v.__class__ is Donated:
                    v.refuse()
            elif isinstance(v, (np.ndarray, np.generic)) and not (v.__class__ is np.ndarray and v.dtype in SUPPORTED):
                v = self.tensors[k] = admit(v)
            self.leaves.append(v)
            if v.__class__ is np.ndarray or isinstance(v, (np.ndarray, np.generic)):
                kinds += (v.dtype, v.shape)
            else:
                kinds.append(type(v) if type(v) in PYTHON_SCALARS else ("static", exactly(v)))
        self.exact = (self.structure, self.fixed, keywords, *kinds)

    @property
    def key(self) -> Any:
        """What a program is special to: not the sizes, but which axes are 1."""
        return self.structure, self.fixed, self.keywords, tuple(_leaf_key(v, is_array(v)) for v in self.leaves)

    def require_hashable(self) -> None:
        """What is part of the program must be comparable with that of later calls."""
        static = [a for i, a in enumerate(self.args) if self.is_static(i)]
        for value in [*static, *(v for v in self.leaves if not is_array(v))]:
            try:
                hash(value)
            except (TypeError, ValueError):  # ValueError: a memoryview of what may change
                raise ArgumentError(
                    "an argument that is part of the program cannot be compared between calls",
                    expected="numbers, texts, tuples and other values that have a hash",
                    got=f"a {type(value).__name__}",
                    where=user_line(),
                    try_="a tuple in place of a list; an array as an ordinary argument, not in static=",
                ) from None

    def is_static(self, position: int) -> bool:
        """Whether an argument is part of the program."""
        return self.owner.place(position, len(self.args), self.keywords) in self.owner.static

    def is_donated(self, position: int) -> bool:
        """Whether an argument's memory may be taken over."""
        return self.owner.place(position, len(self.args), self.keywords) in self.owner.donate

    def dynamic(self) -> list[tuple[int, Any]]:
        """The arguments that are not part of the program, with their positions."""
        return [(i, a) for i, a in enumerate(self.args) if not self.is_static(i)]

    def donated(self) -> list[bool]:
        """Which leaves belong to donated arguments."""
        return [self.is_donated(i) for i, a in self.dynamic() for _ in flatten(a)[0]]

    def names(self) -> list[str]:
        """A name for every leaf that is an array."""
        found = [n for i, a in self.dynamic() for n in self.leaf_names(i, a)]
        return [n for n, v in zip(found, self.leaves, strict=True) if is_array(v)]

    def leaf_names(self, position: int, argument: Any) -> list[str]:
        """Names for the leaves of one argument."""
        label = self.owner.label(position, len(self.args), self.keywords)
        return [f"{label}_{p}" if p and not p.startswith("[") else label + p for p in paths(argument)]

    def call(self, dynamic: Sequence[Any]) -> Any:
        """The function with other values for its dynamic arguments."""
        values = iter(dynamic)
        args = [a if self.is_static(i) else next(values) for i, a in enumerate(self.args)]
        given = len(args) - len(self.keywords)
        return self.owner.function(*args[:given], **dict(zip(self.keywords, args[given:], strict=True)))


def require_words(*trees: Any) -> None:
    """Raise DTypeError for a Python integer that no array holds, among the leaves of arguments."""
    for leaf in flatten(trees)[0]:
        if type(leaf) is int and not -(2**63) <= leaf < 2**63:
            raise DTypeError(
                "a compiled function takes integers of 64 bits",
                expected="-2**63 <= n < 2**63, or a float",
                got=f"an integer of {leaf.bit_length()} bits",
                where=user_line(),
                try_="float(n), or static=, which makes the number a part of the program",
            ) from None


def _leaf_key(value: Any, array: bool) -> Any:
    if not array:
        return ("static", exactly(value))
    t = type_of(value)
    return t.dtype.str, t.weak, tuple(n == 1 for n in t.shape)


def _positions(chosen: Any, names: Sequence[str], what: str) -> frozenset[int]:
    wanted = (chosen,) if isinstance(chosen, (str, int)) else tuple(chosen)
    out = set()
    for w in wanted:
        if isinstance(w, str) and w not in names:
            raise unknown_name(f"argument to {what}", w, names, user_line())
        position = names.index(w) if isinstance(w, str) else w
        if not 0 <= position < len(names):
            raise ArgumentError(
                f"{what} names a position that does not exist",
                expected=f"0 to {len(names) - 1}",
                got=str(w),
                where=user_line(),
            )
        out.add(position)
    return frozenset(out)
