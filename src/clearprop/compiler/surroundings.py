"""Variables around a function: where it reads what it is not given.

They are those of its closure and module, attributes of the objects among them (a method's own object first), and the
same of the functions that it calls.  Only names that the code mentions are followed.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

GONE = (NameError, KeyError, ValueError, AttributeError)
"""What reading a variable raises that is empty or was deleted."""
_DEPTH = 4
_LIBRARIES = ("clearprop.", "numpy.", "scipy.")


def variables_around(function: Callable[..., Any]) -> Iterator[Callable[[], Any]]:
    """Readers of the variables that hold something now: each gives what its variable holds when it is called."""
    for read in _of_function(function, 0, set()):
        try:
            value = read()
        except GONE:
            continue
        if not isinstance(value, (types.ModuleType, type)):
            yield read


def _of_function(function: Any, depth: int, seen: set[tuple[int, int]]) -> Iterator[Callable[[], Any]]:
    function = _code_behind(function)
    if isinstance(function, functools.partial):
        yield from map(_holder, (*function.args, *function.keywords.values()))
        yield from _of_function(function.func, depth, seen)
        return
    if function is None:
        return
    plain = getattr(function, "__func__", function)
    readers = [_cell_reader(cell) for cell in plain.__closure__ or ()]
    readers += [_global_reader(plain.__globals__, name) for name in _names(plain.__code__)]
    readers += [_holder(function.__self__)] if plain is not function else []
    for read in readers:
        yield from _follow(read, plain.__code__, depth + 1, seen)


def _code_behind(function: Any) -> Any:
    """What of the user's runs when it is called: a function, a method or a partial; None for the library's own.

    Of what the library made of a function (compiled, transformed, declared) it is that function.
    """
    if isinstance(function, functools.partial):
        return function
    if isinstance(function, types.MethodType):
        own = _code_behind(function.__func__)
        return types.MethodType(own, function.__self__) if isinstance(own, types.FunctionType) else None
    call = function if isinstance(function, types.FunctionType) else getattr(type(function), "__call__", None)  # noqa: B004  # the function behind it is wanted
    if isinstance(call, types.FunctionType) and not _is_library(call):
        return call if call is function else types.MethodType(call, function)
    inner = getattr(function, "__wrapped__", getattr(function, "function", None))
    return None if inner is None else _code_behind(inner)


def _follow(
    read: Callable[[], Any], code: types.CodeType, depth: int, seen: set[tuple[int, int]]
) -> Iterator[Callable[[], Any]]:
    """The variable itself, and what this code can read from the function or the object that it holds."""
    yield read
    try:
        value = read()
    except GONE:
        return
    if depth > _DEPTH or (id(value), id(code)) in seen or isinstance(value, (types.ModuleType, type)):
        return
    seen.add((id(value), id(code)))
    if callable(value):
        yield from _of_function(value, depth, seen)
    if _has_attributes(value):
        for name in _names(code):
            yield from _attribute(read, value, name, code, depth, seen)


def _attribute(
    read: Callable[[], Any], value: Any, name: str, code: types.CodeType, depth: int, seen: set[tuple[int, int]]
) -> Iterator[Callable[[], Any]]:
    declared = inspect.getattr_static(value, name, None)
    if isinstance(declared, property):
        declared = declared.fget
        if isinstance(declared, types.FunctionType):
            yield from _of_function(types.MethodType(declared, value), depth, seen)
    elif declared is not None and not isinstance(declared, classmethod | staticmethod):
        yield from _follow(lambda: getattr(read(), name), code, depth + 1, seen)


def _has_attributes(value: Any) -> bool:
    """Whether it is an object of a user's class, whose attributes may be assigned."""
    kind = type(value)
    return (
        kind.__module__ != "builtins" and not f"{kind.__module__}.".startswith(_LIBRARIES) and not _is_function(value)
    )


def _is_function(value: Any) -> bool:
    """A function: its variables are those of its code."""
    return isinstance(value, types.FunctionType | types.MethodType | types.BuiltinFunctionType | functools.partial)


def _is_library(function: types.FunctionType) -> bool:
    return f"{function.__module__ or ''}.".startswith(_LIBRARIES)


def _names(code: types.CodeType) -> Iterator[str]:
    """Names of globals and attributes that code and the functions inside it mention."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _holder(value: Any) -> Callable[[], Any]:
    return lambda: value


def _cell_reader(cell: Any) -> Callable[[], Any]:
    return lambda: cell.cell_contents


def _global_reader(scope: dict[str, Any], name: str) -> Callable[[], Any]:
    return lambda: scope[name]
