"""Random numbers that Python or NumPy draw while a function is traced: its program would repeat them for ever."""

from __future__ import annotations

import functools
import inspect
import random
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from clearprop.errors import TraceError, user_line
from clearprop.program.ir import Program
from clearprop.program.values import raw

AT_EVERY_CALL, AT_EVERY_STEP, FOR_ALL = "at every call", "at every step", "for all examples"
_DEPTH = 3
_SYMBOL = re.compile(r"\bn\d+\b")


class OutsideDraws(TraceError):
    """A function that is traced draws random numbers elsewhere than from a key of `cl.random`."""


def without_draws(make: Callable[[], Program], what: str, when: str, generators: Iterable[Any] = ()) -> Program:
    """The program that `make` traces.

    Raises OutsideDraws where generators of random numbers go on meanwhile, NumPy's and Python's own or these, and the
    function gives another program the next time: others may draw in other threads.

    what  the function, as the message calls it
    when  where the same numbers would come again: "at every call"
    """
    generators = list(generators)
    before = _states(generators)
    program = make()
    moved = [name for name, state in _states(generators).items() if before.get(name) != state]
    if moved and not is_same(program, make()):
        raise OutsideDraws(
            f"{what} draws random numbers that would be the same {when}",
            expected="numbers of cl.random, whose key is an argument, or numbers that are given to it",
            got=f"numbers of {' and '.join(dict.fromkeys(moved))}, drawn while it was traced",
            where=user_line(),
            try_="cl.random.normal(key, shape), with another key each time: cl.random.fold_in(key, step)",
        )
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


def looks_random(function: Any) -> bool:
    """Whether code of a function mentions a word that draws random numbers: for where looking closer is dear."""
    kinds = _kinds()
    near = list(_functions_near(function, _DEPTH))
    return any(_mentions_drawing(f.__code__, kinds) for f in near) or bool(generators_near(function))


def generators_near(function: Any) -> list[Any]:
    """The generators of random numbers that the code of a function names: of its closure, its module and its object."""
    values = [value for plain in _functions_near(function, _DEPTH) for value in _scope_of(plain)]
    values += getattr(getattr(function, "__self__", None), "__dict__", {}).values()
    return generators_among(values)


def _functions_near(function: Any, depth: int) -> Iterator[types.FunctionType]:
    """A function and those that it names, so many levels deep; of the library's what they were given alone."""
    plain = inspect.unwrap(getattr(function, "__func__", function))
    if not isinstance(plain, types.FunctionType) or not depth:
        return
    is_library = str(plain.__module__).startswith("clearprop.")
    if not is_library:
        yield plain
    for value in map(_content, plain.__closure__ or ()) if is_library else _scope_of(plain):
        yield from _functions_near(value, depth - 1)


def _scope_of(plain: types.FunctionType) -> list[Any]:
    """What the variables of a function's closure hold, and those of its module that it names."""
    scope = plain.__globals__
    found = [scope[name] for name in plain.__code__.co_names if name in scope]
    return [*map(_content, plain.__closure__ or ()), *found]


@functools.lru_cache(maxsize=1024)
def _mentions_drawing(code: types.CodeType, kinds: tuple[type, ...]) -> bool:
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return not _words(kinds).isdisjoint(code.co_names) or any(_mentions_drawing(c, kinds) for c in inner)


@functools.cache
def _words(kinds: tuple[type, ...]) -> frozenset[str]:
    """The methods of such generators of random numbers."""
    names = {name for kind in kinds for name in dir(kind) if not name.startswith("_")}
    return frozenset(names | {"random"})


def generators_among(values: Iterable[Any]) -> list[Any]:
    """The generators of random numbers, of NumPy or Python, among values and the objects of their methods."""
    kinds, found = _kinds(), []
    for value in values:
        owner = value if issubclass(type(value), kinds) else _owner(value)
        if issubclass(type(owner), kinds):
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
        states["numpy.random"] = _hashable(np.random.get_state(legacy=False))
    for number, generator in enumerate(generators):
        state = generator.getstate() if isinstance(generator, random.Random) else _state_of(generator)
        states[f"a {type(generator).__name__}" + f" ({number})" * bool(number)] = state
    return states


def _state_of(generator: Any) -> Any:
    bits = getattr(generator, "bit_generator", None)
    return _hashable(generator.get_state(legacy=False) if bits is None else bits.state)


def _hashable(state: Any) -> Any:
    if isinstance(state, dict):
        return tuple((key, _hashable(value)) for key, value in state.items())
    return state.tobytes() if isinstance(state, np.ndarray) else state


def undrawn(work: Callable[[], Any], generators: Iterable[Any] = ()) -> Any:
    """The result of what draws no random numbers of Python, NumPy or these generators; None, where it draws.

    The generators stand where they stood.
    """
    own = list(generators)
    before = _states(own)
    kept: list[tuple[Callable[[Any], None], Any]] = [(random.setstate, random.getstate())]
    kept += [(np.random.set_state, np.random.get_state())] if _is_loaded() else []
    kept += [(functools.partial(_put, generator), _bits(generator)) for generator in own]
    result = work()
    if _states(own) == before:
        return result
    for put, state in kept:
        put(state)
    return None


def _bits(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.bit_generator.state


def _put(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def _is_loaded() -> bool:
    return "numpy.random" in sys.modules
