"""Random numbers that Python or NumPy draw while a function is traced: its program would repeat them for ever."""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
import re
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from clearprop.errors import TraceError, user_line
from clearprop.program.ir import Program, Turn
from clearprop.program.values import Node, raw

AT_EVERY_CALL, AT_EVERY_STEP, FOR_ALL = "at every call", "at every step", "for all examples"
_DEPTH, _TRACES, _ENTRIES, _VALUES = 7, 16, 64, 1000
_SYMBOL = re.compile(r"\bn\d+\b")
_PLAIN = frozenset((int, float, complex, bool, str, bytes, type(None), np.ndarray, types.CodeType, Turn))
_MAKERS = frozenset(
    "default_rng RandomState Random SystemRandom Generator SeedSequence MT19937 PCG64 PCG64DXSM Philox SFC64 "
    "urandom getrandom randbelow randbits token_bytes token_hex uuid4".split()
)
"""What makes generators of random numbers, or draws from the system: no state that is looked at goes on."""


class OutsideDraws(TraceError):
    """A function that is traced draws random numbers elsewhere than from a key of `cl.random`."""


def without_draws(make: Callable[[], Program], what: str, when: str, function: Any, *, seldom: bool = False) -> Program:
    """The program that `make` traces.

    Raises OutsideDraws where generators of random numbers go on meanwhile, NumPy's and Python's own or those near the
    function, or its code makes some, and it gives another program the next time.  Draws that decide which way a
    function takes show only now and then: it is traced as long as generators go on, so many times.  Others may draw in
    other threads, and the programs are equal then.

    what      the function, as the message calls it
    when      where the same numbers would come again: "at every call"
    function  the function of the user's, or None
    seldom    it is traced for many calls: generators are looked at whatever its code names
    """
    near = _Near(function)
    if not seldom and not near.generators and not near.mentions(_words(near.kinds)):
        return make()
    generators, makes = near.generators, near.mentions(_MAKERS)
    before = _states(generators)
    program = make()
    for _ in range(_TRACES):
        now = _states(generators)
        moved = [name for name, state in now.items() if before.get(name) != state]
        if not moved and not makes:
            break
        if not is_same(program, make()):
            drawn = " and ".join(moved) or "a generator that it makes"
            raise OutsideDraws(
                f"{what} draws random numbers that would be the same {when}",
                expected="numbers of cl.random, whose key is an argument, or numbers that are given to it",
                got=f"numbers of {drawn}, drawn while it was traced",
                where=user_line(),
                try_="cl.random.normal(key, shape), with another key each time: cl.random.fold_in(key, step)",
            )
        before, makes = now, False
    return program


def is_same(a: Program, b: Program) -> bool:
    """Whether two programs of one function hold the same constants."""
    if _SYMBOL.sub("n", str(a)) != _SYMBOL.sub("n", str(b)) or len(a.captured) != len(b.captured):
        return False
    return all(_is_same_array(raw(x), raw(y)) for x, y in zip(a.captured, b.captured, strict=True))


def _is_same_array(x: Any, y: Any) -> bool:
    if not isinstance(x, np.ndarray | np.generic):
        return x is y
    return x is y or (x.shape == y.shape and x.dtype == y.dtype and x.tobytes() == y.tobytes())


class _Near:
    """What is near a function: code that it may run, and generators of random numbers that it may reach.

    Functions, methods, callable objects and `functools.partial` are followed so many levels deep, and of objects the
    attributes that code names; of the library's functions and objects what they were given alone.  Of large nested
    data the first entries are looked at.
    """

    def __init__(self, function: Any) -> None:
        self.kinds = _kinds()
        self.names: set[str] = set()
        self.generators: list[Any] = []
        self.seen: dict[tuple[int, frozenset[str]], int] = {}
        self._follow(function, frozenset(), _DEPTH)

    def mentions(self, words: frozenset[str]) -> bool:
        """Whether the code mentions one of these words."""
        return not words.isdisjoint(self.names)

    def _follow(self, value: Any, names: frozenset[str], depth: int) -> None:
        """Look at a value that code mentions which has these names."""
        kind = type(value)
        if not depth or len(self.seen) == _VALUES or self.seen.get((id(value), names), 0) >= depth:
            return
        self.seen[id(value), names] = depth
        if kind is types.FunctionType:
            self._follow_code(value, None, depth)
        elif found := _generators_among([value]):
            self.generators += [g for g in found if all(g is not other for other in self.generators)]
        elif kind is types.MethodType:
            self._follow_method(value.__func__, value.__self__, depth)
        elif (parts := _parts_of(value)) is not None:
            self._follow_all(list(itertools.islice(parts, _ENTRIES)), names, depth - 1)  # others may write to it
        elif kind is types.ModuleType:
            self._follow_all([vars(value)[name] for name in names if name in vars(value)], names, depth - 1)
        elif not issubclass(kind, Node):
            self._follow_object(value, names, depth)

    def _follow_all(self, values: Iterable[Any], names: frozenset[str], depth: int) -> None:
        for value in values:
            if type(value) not in _PLAIN and not (type(value) is types.ModuleType and _is_installed(value)):
                self._follow(value, names, depth)

    def _follow_code(self, plain: types.FunctionType, owner: Any, depth: int) -> None:
        held = map(_content, plain.__closure__ or ())
        if _is_library(plain.__globals__.get("__name__")):
            return self._follow_all(held, frozenset(), depth)  # a step that is wrapped is no level
        names, scope = _names(plain.__code__), plain.__globals__
        self.names |= names
        around = [*held, *(plain.__defaults__ or ()), *(plain.__kwdefaults__ or {}).values()]
        around += [scope[name] for name in names if name in scope]
        self._follow_all(around, names, depth - 1)
        if owner is not None:
            self._follow(owner, names, depth)
        return None

    def _follow_method(self, function: Any, owner: Any, depth: int) -> None:
        if issubclass(type(function), types.FunctionType) and depth:
            self._follow_code(function, owner, depth)
        else:
            self._follow(function, frozenset(), depth)

    def _follow_object(self, value: Any, names: frozenset[str], depth: int) -> None:
        kind = value if issubclass(type(value), type) else type(value)  # it may not tell its class
        held = _variables_of(value)
        if _is_library(_module_of(kind)):
            return self._follow_all(held.values(), names, depth - 1) if kind is not value else None
        for name in names | _CALLED if kind is not value else names:
            if name in held and kind is not value:
                self._follow(held[name], names, depth - 1)
            else:
                self._follow_member(_member(kind, name), value, names, depth - 1)
        return None

    def _follow_member(self, member: Any, owner: Any, names: frozenset[str], depth: int) -> None:
        if issubclass(type(member), types.FunctionType):
            self._follow_method(member, owner, depth)
        elif issubclass(type(member), property):
            self._follow_method(member.fget, owner, depth)
        elif issubclass(type(member), staticmethod | classmethod):
            self._follow_method(member.__func__, owner, depth)
        elif issubclass(type(member), types.MemberDescriptorType):
            with contextlib.suppress(AttributeError):  # of a slot that is empty
                self._follow(member.__get__(owner), names, depth)
        else:
            self._follow(member, names, depth)


_CALLED = frozenset(("__call__", "forward", "__wrapped__"))
"""Attributes of an object that run when it is called."""


def _parts_of(value: Any) -> Iterable[Any] | None:
    """What a `functools.partial`, list, tuple or dictionary is made of; None of anything else."""
    kind = type(value)
    if issubclass(kind, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    own = next((known for known in (list, tuple) if issubclass(kind, known)), None)
    entries: Iterable[Any] | None = None if own is None else own.__iter__(value)  # not what a user's class does instead
    return dict.values(value) if issubclass(kind, dict) else entries


def _is_library(module: Any) -> bool:
    return str(module).startswith(("clearprop.", "numpy.")) or module in ("builtins", "numpy", "functools")


@functools.lru_cache(maxsize=1024)
def _is_installed(module: types.ModuleType) -> bool:
    """Whether a module is Python's, or of a package: no code of the user's."""
    name, file = module.__name__, str(getattr(module, "__file__", None))
    first = name.partition(".")[0]
    return first in sys.stdlib_module_names or first == "clearprop" or "-packages" in file


def _module_of(kind: type) -> Any:
    try:
        return kind.__module__
    except Exception:  # a class may do anything when it is asked
        return None


def _variables_of(value: Any) -> dict[str, Any]:
    """What the attributes of an object hold; it may do anything when it is looked at."""
    try:
        held: dict[str, Any] = vars(value)
    except Exception:
        return {}
    return held


def _member(kind: type, name: str) -> Any:
    """What a class or one above it defines under a name."""
    return next((c.__dict__[name] for c in kind.__mro__ if name in c.__dict__), None)


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> frozenset[str]:
    """The names of variables and attributes that code mentions, and the functions in it."""
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return frozenset(code.co_names).union(*map(_names, inner))


@functools.cache
def _words(kinds: tuple[type, ...]) -> frozenset[str]:
    """The methods of such generators of random numbers."""
    names = {name for kind in kinds for name in dir(kind) if not name.startswith("_")}
    return frozenset(names | {"random"} | _MAKERS)


def _generators_among(values: Iterable[Any]) -> list[Any]:
    """The generators of random numbers, of NumPy or Python, among values and the objects of their methods."""
    kinds, found = _kinds(), []
    for value in values:
        owner = value if issubclass(type(value), kinds) else _owner(value)
        if issubclass(type(owner), kinds) and not issubclass(type(owner), random.SystemRandom):  # which has no state
            found.append(owner)
    return found


def _owner(method: Any) -> Any:
    """The object of a method: `draw = rng.normal` draws from `rng`."""
    return method.__self__ if issubclass(type(method), types.BuiltinMethodType | types.MethodType) else None


def _kinds() -> tuple[type, ...]:
    return random.Random, *((np.random.Generator, np.random.RandomState) if _is_loaded() else ())


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _states(generators: Iterable[Any]) -> dict[str, Any]:
    """What each generator will draw next, under what it is called."""
    states: dict[str, Any] = {"random": random.getstate()}
    if _is_loaded():
        states["numpy.random"] = _hashable(np.random.get_state())
    for number, generator in enumerate(generators):
        states[f"a {type(generator).__name__}" + f" ({number})" * bool(number)] = _hashable(_state_of(generator))
    return states


def _state_of(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.bit_generator.state


def _hashable(state: Any) -> Any:
    if isinstance(state, dict):
        return tuple((key, _hashable(value)) for key, value in state.items())
    if isinstance(state, tuple):
        return tuple(map(_hashable, state))
    return state.tobytes() if isinstance(state, np.ndarray) else state


def undrawn(work: Callable[[], Any], function: Any) -> Any:
    """The result of work that runs a function and draws no random numbers elsewhere; None, where it draws.

    Generators, those near the function among them, stand where they stood.
    """
    own = _Near(function).generators
    before = _states(own)
    kept: list[tuple[Callable[[Any], None], Any]] = [(random.setstate, random.getstate())]
    kept += [(np.random.set_state, np.random.get_state())] if _is_loaded() else []
    kept += [(functools.partial(_put, generator), _state_of(generator)) for generator in own]
    result = work()
    if _states(own) == before:
        return result
    for put, state in kept:
        put(state)
    return None


def _put(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def _is_loaded() -> bool:
    return "numpy.random" in sys.modules
