"""Variables around a function: where it reads what it is not given.

They are those of its closure and module, attributes of the objects, modules and classes among them (a method's own
object first), and the same of the functions that it calls: rules of derivatives, layers of the user's, what stands in
lists and dictionaries.  Only names that the code mentions are followed, as names or as texts (`getattr(x, "w")`).
"""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from clearprop.autodiff.trees import FIELDS, is_array
from clearprop.primitives import Primitive

_NOTHING = object()
_DEPTH, _DEPTH_IN_PACKAGES = 16, 4
_PACKAGES = ("site-packages", "dist-packages")
PLAIN = frozenset((str, bytes, int, float, complex, bool, type(None)))
"""Classes whose objects hold no arrays, and never change."""
_LIBRARIES = ("clearprop.", "numpy.", "scipy.", "builtins.")

Reader: TypeAlias = Callable[[], Any]


class Variable(NamedTuple):
    """A place around a function, whether its code loads it or merely mentions a word like its name, and the name."""

    read: Reader
    is_loaded: bool
    name: str
    is_set_once: bool = False
    """Whether it is a field of a layer, or the variable of a function around, which are seldom assigned again."""
    is_in_text: bool = False
    """Whether code holds its name as a text."""


Seen: TypeAlias = dict[tuple[int, Any], Any]
"""What was looked at, by whose code, and which variables were given; held, so that nothing else takes its identity."""


def variables_around(function: Callable[..., Any]) -> list[Variable]:
    """The variables that hold something now; not modules, whose own variables are among them."""
    seen: Seen = {}
    found = []
    for variable in _of_function(function, 0, seen):
        value = held_by(variable.read)
        if value is not _NOTHING and not isinstance(value, types.ModuleType):
            found.append(variable)
    by_text = any(key[1] is _BY_TEXT for key in seen)  # `getattr(x, name)`, whose name another function may give
    return [v._replace(is_loaded=True) if by_text and v.is_in_text else v for v in found]


def held_by(read: Reader) -> Any:
    """What a variable holds now; of one that is empty, was deleted or cannot be read, an object that is nothing else.

    Objects are the user's, and may do anything when they are looked at: what raises is not captured.
    """
    try:
        value = read()
        isinstance(value, type)  # what stands for something else may not tell its class now
    except Exception:
        return _NOTHING
    return value


def _of_function(function: Any, depth: int, seen: Seen) -> Iterator[Variable]:
    for own in _codes_behind(function):
        if isinstance(own, functools.partial):
            for value in (*own.args, *own.keywords.values()):
                yield from _follow(_as_argument(value), None, depth + 1, seen)
            yield from _of_function(own.func, depth, seen)
            continue
        plain = getattr(own, "__func__", own)
        if depth > _DEPTH_IN_PACKAGES and _is_in_packages(plain.__code__.co_filename):
            continue
        code, scope = plain.__code__, plain.__globals__
        cells = zip(code.co_freevars, plain.__closure__ or (), strict=True)
        variables = [(id(cell), "", Variable(_cell_reader(cell), True, name, True)) for name, cell in cells]
        words = _words_of(code)
        loaded = words.globals
        if words.by_text:
            seen[id(code), _BY_TEXT] = code
        globals_ = ((name, _global_reader(scope, name)) for name in _names(code))
        variables += [(id(scope), name, Variable(read, name in loaded, name)) for name, read in globals_]
        variables += [(id(own.__self__), "", _as_argument(own.__self__))] if plain is not own else []
        for holder, name, variable in variables:
            key = (holder, (name, variable.is_loaded))
            entries = _entries(variable, name or variable.name, code)  # another function may take the whole of it
            new = not entries and seen.setdefault(key, variable) is variable  # one is given once, whoever reads it
            yield from entries
            yield from _follow(variable, code, depth + 1, seen, whole=new)


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
        wrapped = _attribute_in(made, "__wrapped__")
        inner.append(_attribute_in(made, "function") if wrapped is None else wrapped)
    for function in inner:
        yield from () if function is None else _codes_behind(function)


def _attribute_in(value: Any, name: str) -> Any:
    """An attribute that stands in an object: nothing of the user's runs for it."""
    found = inspect.getattr_static(value, name, None)
    return getattr(value, name, None) if type(found) is types.MemberDescriptorType else found


def _methods(value: Any, name: str) -> Iterator[types.MethodType]:
    """The user's methods of a name that an object has: its class's, and those that `super()` reaches."""
    for kind in type(value).__mro__:
        own = vars(kind).get(name)
        if isinstance(own, types.FunctionType) and not _is_library(own):
            yield types.MethodType(own, value)


def _follow(
    variable: Variable, code: types.CodeType | None, depth: int, seen: Seen, *, whole: bool = True
) -> Iterator[Variable]:
    """The variable itself, if it is asked for, and what this code can read from what it holds."""
    if whole:
        yield variable
    value = held_by(variable.read)
    if value is _NOTHING:
        return
    if depth > _DEPTH or (id(value), code) in seen or is_array(value) or isinstance(value, str):
        return
    seen[id(value), code] = value
    names = [*_names(code), *_operators(value)] if code is not None and _has_attributes(value) else []
    for name in names:
        yield from _attribute(variable, value, name, code, depth, seen)
    if isinstance(value, (types.ModuleType, type)):
        return
    for key in _keys(value):  # arrays in them are leaves of the whole: code, and objects of the user's, are not
        part = Variable(functools.partial(_part, variable.read, key), True, f"{variable.name}[{key!r}]")
        yield from _follow(part, code, depth + 1, seen, whole=False)
    if callable(value):
        yield from _of_function(value, depth, seen)


def _keys(value: Any) -> list[Any]:
    """Where in a list, a dictionary or a layer something stands that is no array."""
    kind = type(value)
    if kind in FIELDS:
        return [name for names in FIELDS[kind] for name in names]
    own = container_of(value)  # what a class of the user's does instead is not run
    items = own.items(value) if own is dict else enumerate(own.__iter__(value)) if own is not None else ()
    return [key for key, part in items if type(part) not in PLAIN and not is_array(held_by(_as_argument(part).read))]


def _part(read: Reader, key: Any) -> Any:
    value = read()
    own = container_of(value)
    if own is None:
        return value.__dict__[key]
    if own is dict and not dict.__contains__(value, key):  # a class of the user's would make one
        raise KeyError(key)
    return own.__getitem__(value, key)


def entries_of(value: Any) -> tuple[list[Any] | None, list[Any]]:
    """The keys of a dictionary, and the entries; what a class of the user's does instead is not run."""
    own = container_of(value)
    if own is dict:
        return list(dict.keys(value)), list(dict.values(value))
    return None, list(own.__iter__(value))


def container_of(value: Any) -> Any:
    """The class of Python's that it is a list, a tuple or a dictionary by."""
    return next((kind for kind in (dict, list, tuple) if issubclass(type(value), kind)), None)


def _attribute(
    holder: Variable, value: Any, name: str, code: types.CodeType | None, depth: int, seen: Seen
) -> Iterator[Variable]:
    read = holder.read

    def variable(reader: Reader) -> Variable:
        loaded = code is not None and _is_read(name, reader, code)
        in_text = code is not None and name in _texts(code)
        return Variable(reader, loaded, f"{holder.name}.{name}", type(value) in FIELDS, in_text)

    if isinstance(value, types.ModuleType):
        if name in vars(value):
            yield from _follow(variable(lambda: vars(read())[name]), code, depth + 1, seen)
        return
    declared = held_by(lambda: inspect.getattr_static(value, name, _NOTHING))
    own = held_by(lambda: vars(value).get(name, _NOTHING))
    if own is not _NOTHING and own is declared and not isinstance(value, type):  # no method, but what was assigned
        assigned = variable(lambda: getattr(read(), name))
        entries = _entries(assigned, name, code)
        yield from entries
        yield from _follow(assigned, code, depth + 1, seen, whole=not entries)
    elif isinstance(declared, property | functools.cached_property):
        own = declared.fget if isinstance(declared, property) else declared.func
        if isinstance(own, types.FunctionType):
            yield from _of_function(types.MethodType(own, value), depth + 1, seen)
        if not isinstance(declared, property):  # what it holds is read, and never computed for it
            yield from _follow(variable(lambda: vars(read())[name]), code, depth + 1, seen)
    elif isinstance(declared, classmethod | staticmethod):
        kind = value if isinstance(value, type) else type(value)
        yield from _of_function(declared.__get__(None, kind), depth + 1, seen)
    elif isinstance(declared, types.FunctionType) and not isinstance(value, type):
        yield variable(lambda: inspect.getattr_static(type(read()), name))
        for method in _methods(value, name):
            yield from _of_function(method, depth + 1, seen)
    elif declared is not _NOTHING:
        yield from _follow(variable(lambda: getattr(read(), name)), code, depth + 1, seen)


def _has_attributes(value: Any) -> bool:
    """Whether it is a module, a class or an object of the user's, whose attributes may be assigned."""
    if isinstance(value, types.ModuleType):
        return _is_users(str(vars(value).get("__name__")))
    if isinstance(value, type):
        return _is_users(str(held_by(lambda: value.__module__)))
    return not f"{held_by(lambda: type(value).__module__)}.".startswith(_LIBRARIES) and not _is_function(value)


def _is_users(module: str) -> bool:
    """Whether a module is neither Python's own nor installed: of those the names would lead anywhere."""
    if f"{module}.".startswith(_LIBRARIES) or module.partition(".")[0] in sys.stdlib_module_names:
        return False
    return not _is_in_packages(str(getattr(sys.modules.get(module), "__file__", None)))


def _is_in_packages(path: str) -> bool:
    return any(folder in path for folder in _PACKAGES)


def _is_function(value: Any) -> bool:
    """A function: its variables are those of its code."""
    return isinstance(value, types.FunctionType | types.MethodType | types.BuiltinFunctionType | functools.partial)


def _is_library(function: types.FunctionType) -> bool:
    return f"{function.__module__ or ''}.".startswith(_LIBRARIES)


def _operators(value: Any) -> list[str]:
    """The methods of an object of the user's that code calls without their names: `x @ value`, `value[0]`."""
    kinds = () if isinstance(value, (types.ModuleType, type)) else type(value).__mro__
    members = [member for kind in kinds if _has_attributes(kind) for member in vars(kind).items()]
    own = [n for n, m in members if n.startswith("__") and callable(m) and not _is_generated(m)]  # `__dict__` is all
    return [name for name in dict.fromkeys(own) if name not in _NO_OPERATORS]


_NO_OPERATORS = frozenset(f"__{name}__" for name in (
    "init", "new", "post_init", "call", "class", "repr", "str", "format", "hash", "setattr", "delattr", "del", "dir",
    "reduce", "reduce_ex", "getstate", "setstate", "copy", "deepcopy", "replace", "sizeof", "init_subclass",
))  # fmt: skip
"""Methods that no operator of what is compiled calls."""


def _is_generated(member: Any) -> bool:
    """Whether `dataclass` wrote a method, which mentions every field."""
    return getattr(getattr(member, "__code__", None), "co_filename", None) == "<string>"


def _names(code: types.CodeType) -> list[str]:
    """Names of globals and attributes that code and the functions inside it mention, and texts that may be names."""
    names = [name for each in _codes(code) for name in each.co_names]
    return list(dict.fromkeys([*names, *_texts(code)]))


def _texts(code: types.CodeType) -> list[str]:
    """Texts in code and the functions inside it that may be names: of `getattr(x, "w")`."""
    constants = [constant for each in _codes(code) for constant in each.co_consts]
    return [text for text in constants if isinstance(text, str) and text.isidentifier()]


class _Words(NamedTuple):
    """How code and the functions inside it use names: `x.step` loads no global `step`, `x.mean()` no number `mean`."""

    globals: frozenset[str]
    attributes: frozenset[str]
    methods: frozenset[str]
    by_text: bool
    entries: dict[str, frozenset[Any] | None]
    """Of which names it takes only entries by constant keys, and which; None where it takes the whole."""


_BY_TEXT = frozenset(("getattr", "attrgetter", "vars", "globals", "__getattribute__", "__dict__"))


@functools.lru_cache(maxsize=4096)
def _words_of(code: types.CodeType) -> _Words:
    used: dict[str, set[str]] = {"globals": set(), "attributes": set(), "methods": set()}
    entries: dict[str, frozenset[Any] | None] = {}
    for each in _codes(code):
        found = [*dis.get_instructions(each)]
        for i, key, subscript in zip(found, found[1:], [*found[2:], found[-1]], strict=False):
            name, how = str(i.argval), _how_it_loads(i)
            if how is None:
                continue
            used.setdefault(how, set()).add(name)
            by_key = key.opname == "LOAD_CONST" and subscript.opname == "BINARY_SUBSCR"
            known = entries.get(name, frozenset())
            entries[name] = known | {key.argval} if by_key and known is not None else None
    loaded, attributes, methods = used["globals"], used["attributes"], used["methods"]
    by_text = not _BY_TEXT.isdisjoint(loaded | attributes | methods)
    return _Words(frozenset(loaded), frozenset(attributes), frozenset(methods), by_text, entries)


def _how_it_loads(instruction: dis.Instruction) -> str | None:
    """As what an instruction loads what it names: a global, an attribute, a method that is called, a cell."""
    name = instruction.opname
    if name in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
        return "globals"
    if name == "LOAD_METHOD" or (name == "LOAD_ATTR" and sys.version_info >= (3, 12) and (instruction.arg or 0) % 2):
        return "methods"
    if name in ("LOAD_ATTR", "LOAD_SUPER_ATTR", "IMPORT_FROM"):
        return "attributes"
    return "cells" if name in ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF") else None


def _is_read(name: str, read: Reader, code: types.CodeType) -> bool:
    """Whether code reads an attribute of this name: not if it calls a method of the name, and this holds a number."""
    words = _words_of(code)
    return name in words.attributes or (name in words.methods and callable(held_by(read)))


def _entries(variable: Variable, word: str, code: types.CodeType | None) -> list[Variable]:
    """The entries that code takes of a dictionary, if it takes nothing else of it."""
    keys = _words_of(code).entries.get(word) if code is not None else None
    if code is None or not keys or word in _texts(code):
        return []
    held = held_by(variable.read)
    if type(held) is not dict or not keys <= held.keys():
        return []
    read = functools.partial(functools.partial, _part, variable.read)
    return [Variable(read(key), True, f"{variable.name}[{key!r}]") for key in keys]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Code and that of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _as_argument(value: Any) -> Variable:
    """What stands nowhere but in a method or a partial: its own object, an argument."""
    return Variable(lambda: value, False, "self")


def _cell_reader(cell: Any) -> Reader:
    return lambda: cell.cell_contents


def _global_reader(scope: dict[str, Any], name: str) -> Reader:
    """What reads a global; of a name that there is none it is the module that the code imports under it."""
    return lambda: scope[name] if name in scope else sys.modules[name]
