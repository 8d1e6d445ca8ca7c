"""Variables around a function: where it reads what it is not given.

They are those of its closure and module, attributes of the objects, modules and classes among them (a method's own
object first), and the same of the functions that it calls: rules of derivatives, layers of the user's, what stands in
lists and dictionaries.  Only names that the code mentions are followed, as names or as texts (`getattr(x, "w")`).
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from clearprop.autodiff.trees import FIELDS, is_array
from clearprop.primitives import Primitive

GONE = (NameError, LookupError, ValueError, AttributeError)
"""What reading a variable raises that is empty or was deleted."""
_DEPTH, _DEPTH_IN_PACKAGES = 16, 4
_PACKAGES = "site-packages"
_LIBRARIES = ("clearprop.", "numpy.", "scipy.", "builtins.")

Reader: TypeAlias = Callable[[], Any]
Seen: TypeAlias = dict[tuple[int, Any], Any]
"""What was looked at, by whose code, and which variables were given; held, so that nothing else takes its identity."""


def variables_around(function: Callable[..., Any]) -> Iterator[Reader]:
    """Readers of the variables that hold something now: each gives what its variable holds when it is called."""
    for read in _of_function(function, 0, {}):
        try:
            value = read()
        except GONE:
            continue
        if not isinstance(value, (types.ModuleType, type)):
            yield read


def _of_function(function: Any, depth: int, seen: Seen) -> Iterator[Reader]:
    for own in _codes_behind(function):
        if isinstance(own, functools.partial):
            for value in (*own.args, *own.keywords.values()):
                yield from _follow(_holder(value), None, depth + 1, seen)
            yield from _of_function(own.func, depth, seen)
            continue
        plain = getattr(own, "__func__", own)
        if depth > _DEPTH_IN_PACKAGES and _PACKAGES in plain.__code__.co_filename:
            continue
        scope = plain.__globals__
        variables = [(id(cell), "", _cell_reader(cell)) for cell in plain.__closure__ or ()]
        variables += [(id(scope), name, _global_reader(scope, name)) for name in _names(plain.__code__)]
        variables += [(id(own.__self__), "", _holder(own.__self__))] if plain is not own else []
        for holder, name, read in variables:
            new = seen.setdefault((holder, name), read) is read  # one variable is given once, whoever reads it
            yield from _follow(read, plain.__code__, depth + 1, seen, whole=new)


def _codes_behind(function: Any) -> Iterator[Any]:
    """What of the user's runs when it is called: functions, methods and partials; nothing for the library's own."""
    if isinstance(function, types.MethodType):
        own = [f for f in _codes_behind(function.__func__) if isinstance(f, types.FunctionType)]
        yield from (types.MethodType(f, function.__self__) for f in own)
    elif isinstance(function, functools.partial) or (
        isinstance(function, types.FunctionType) and not _is_library(function)
    ):
        yield function
    else:
        yield from _codes_in(function)


def _codes_in(made: Any) -> Iterator[Any]:
    """Of what the library made of a function (compiled, transformed, declared) it and its rules; methods of objects.

    Of a layer of the user's that is its `forward`.
    """
    methods = [] if isinstance(made, types.FunctionType | type) else list(_methods(made, "__call__"))
    if type(made) in FIELDS:
        methods += _methods(made, "forward")
    yield from methods
    rules = [*made.rules, made.jvp] if isinstance(made, Primitive) else []
    inner = [getattr(rule, "formula", None) for rule in rules]
    if not methods:
        inner.append(getattr(made, "__wrapped__", getattr(made, "function", None)))
    for function in inner:
        yield from () if function is None else _codes_behind(function)


def _methods(value: Any, name: str) -> Iterator[types.MethodType]:
    """The user's methods of a name that an object has: its class's, and those that `super()` reaches."""
    for kind in type(value).__mro__:
        own = vars(kind).get(name)
        if isinstance(own, types.FunctionType) and not _is_library(own):
            yield types.MethodType(own, value)


def _follow(
    read: Reader, code: types.CodeType | None, depth: int, seen: Seen, *, whole: bool = True
) -> Iterator[Reader]:
    """The variable itself, if it is asked for, and what this code can read from what it holds."""
    if whole:
        yield read
    try:
        value = read()
    except GONE:
        return
    if depth > _DEPTH or (id(value), code) in seen or is_array(value) or isinstance(value, str):
        return
    seen[id(value), code] = value
    names = [*_names(code), *_operators(value)] if code is not None and _has_attributes(value) else []
    for name in names:
        yield from _attribute(read, value, name, code, depth, seen)
    if isinstance(value, (types.ModuleType, type)):
        return
    for key in _keys(value):  # arrays in them are leaves of the whole: code, and objects of the user's, are not
        yield from _follow(functools.partial(_part, read, key), code, depth + 1, seen, whole=False)
    if callable(value):
        yield from _of_function(value, depth, seen)


def _keys(value: Any) -> list[Any]:
    """Where in a list, a dictionary or a layer something stands that is no array."""
    kind = type(value)
    if kind in FIELDS:
        return [name for names in FIELDS[kind] for name in names]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return [key for key, part in items if not is_array(part)]


def _part(read: Reader, key: Any) -> Any:
    value = read()
    return value.__dict__[key] if type(value) in FIELDS else value[key]


def _attribute(
    read: Reader, value: Any, name: str, code: types.CodeType | None, depth: int, seen: Seen
) -> Iterator[Reader]:
    if isinstance(value, types.ModuleType):
        if name in vars(value):
            yield from _follow(lambda: vars(read())[name], code, depth + 1, seen)
        return
    declared = inspect.getattr_static(value, name, None)
    if isinstance(declared, property):
        if isinstance(declared.fget, types.FunctionType):
            yield from _of_function(types.MethodType(declared.fget, value), depth + 1, seen)
    elif isinstance(declared, classmethod | staticmethod):
        yield from _of_function(getattr(value, name), depth + 1, seen)
    elif isinstance(declared, types.FunctionType) and not isinstance(value, type):
        for method in _methods(value, name):
            yield from _of_function(method, depth + 1, seen)
    elif declared is not None:
        yield from _follow(lambda: getattr(read(), name), code, depth + 1, seen)


def _has_attributes(value: Any) -> bool:
    """Whether it is a module, a class or an object of the user's, whose attributes may be assigned."""
    if isinstance(value, types.ModuleType):
        return _is_users(value.__name__)
    if isinstance(value, type):
        return _is_users(value.__module__)
    return not f"{type(value).__module__}.".startswith(_LIBRARIES) and not _is_function(value)


def _is_users(module: str) -> bool:
    """Whether a module is neither Python's own nor installed: of those the names would lead anywhere."""
    if f"{module}.".startswith(_LIBRARIES) or module.partition(".")[0] in sys.stdlib_module_names:
        return False
    return _PACKAGES not in (getattr(sys.modules.get(module), "__file__", None) or "")


def _is_function(value: Any) -> bool:
    """A function: its variables are those of its code."""
    return isinstance(value, types.FunctionType | types.MethodType | types.BuiltinFunctionType | functools.partial)


def _is_library(function: types.FunctionType) -> bool:
    return f"{function.__module__ or ''}.".startswith(_LIBRARIES)


def _operators(value: Any) -> list[str]:
    """The methods of an object of the user's that code calls without their names: `x @ value`, `value[0]`."""
    kinds = () if isinstance(value, (types.ModuleType, type)) else type(value).__mro__
    members = [member for kind in kinds if _has_attributes(kind) for member in vars(kind).items()]
    own = [name for name, member in members if name.startswith("__") and callable(member)]  # `__dict__` is all of it
    return [name for name in dict.fromkeys(own) if name not in ("__init__", "__call__")]


def _names(code: types.CodeType) -> list[str]:
    """Names of globals and attributes that code and the functions inside it mention, and texts that may be names."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names += _names(constant)
        elif isinstance(constant, str) and constant.isidentifier():
            names.append(constant)
    return list(dict.fromkeys(names))


def _holder(value: Any) -> Reader:
    return lambda: value


def _cell_reader(cell: Any) -> Reader:
    return lambda: cell.cell_contents


def _global_reader(scope: dict[str, Any], name: str) -> Reader:
    """What reads a global; of a name that there is none it is the module that the code imports under it."""
    return lambda: scope[name] if name in scope else sys.modules[name]
