"""NumPy's functions called on a tensor: ours where we have them, a refusal where not; nothing detaches silently."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from clearprop.errors import ClearpropError, DTypeError, TraceError, user_line
from clearprop.primitives import REGISTRY
from clearprop.program.types import Value, type_of
from clearprop.program.values import Node, raw
from clearprop.rules import elementwise as ew
from clearprop.rules.on_demand import NAMESPACES, find, find_in


class FunctionTable(dict[str, Callable[..., Any]]):
    """Public functions by name; those of families that load at their first use enter when they are asked for."""

    make_public: Callable[..., Any]

    def __missing__(self, name: str) -> Callable[..., Any]:
        late = find(name)
        if late is None:
            raise KeyError(name)
        self[name] = self.make_public(late, name)
        return self[name]


FUNCTIONS = FunctionTable()
"""Every public function by name; `functions` fills it, once the class exists that the functions return."""


def apply_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Value], kwargs: Mapping[str, Any]) -> Any:
    """What `np.exp(x)` gives for a tensor x."""
    name = ufunc.__name__
    if method == "__call__" and not kwargs:
        if name in _CONDITIONS:
            return combine(name, *inputs)
        if name == "matmul":  # which looks at its operands before its primitive admits them
            return FUNCTIONS[name](*inputs)
        ours = REGISTRY.get(_UFUNCS.get(name, name))
        if ours is not None:
            return ours.public_function(*inputs)
        late = find(_UFUNCS.get(name, name))
        if late is not None:
            return late(*inputs)
    raise refusal_of(name)


def apply_function(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `np.sum(x, axis=0)` gives for a tensor x."""
    if function in _ABOUT_SHAPE:
        return function(np.empty(args[0].shape), *args[1:], **kwargs)
    if function in _QUESTIONS:
        return function(*(np.asarray(Node.tensor(a.value)) if isinstance(a, Node) else a for a in args), **kwargs)
    name = function.__name__
    ours = _ours_for(function.__module__, name)
    if ours is None:
        raise refusal_of(name)
    args, kwargs = _in_our_places(function, ours, args, kwargs)
    if not accepts(ours, args, kwargs):
        raise refusal_of(name)
    try:
        return ours(*args, **kwargs)
    except ClearpropError:
        raise
    except (AttributeError, IndexError, TypeError):  # of arguments that NumPy takes, and the form of ours does not
        if any(map(callable, (*args, *kwargs.values()))):  # they may be errors of the user's function
            raise
        raise refusal_of(name) from None


def _ours_for(module: str, name: str) -> Callable[..., Any] | None:
    """The function that is NumPy's of that module and name, in NumPy's form or by its name; None if there is none."""
    home = module.removeprefix("numpy").removeprefix(".")
    forms = import_module("clearprop.arrays.numpy_forms").FORMS  # start-up time: who does not call NumPy does without
    place = f"{home}.{name}" if home else name
    form: Callable[..., Any] | None = forms.get(place)
    if form is not None or place in _OTHERWISE:
        return form
    if home in NAMESPACES:
        found = find_in(home, name)
        if found is not None or home == "fft":
            return found
    try:
        return FUNCTIONS[_FUNCTIONS.get(name, name)] if home in ("", "linalg") else None
    except KeyError:
        return None


def _in_our_places(
    function: Callable[..., Any], ours: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, Any]:
    """What NumPy takes by position where we take it by name, such as the axis; its None for what is not given left out.

    Functions of any number of operands have no such places.
    """
    try:
        theirs = inspect.signature(function)
    except ValueError:  # one of C, whose parameters are not told
        return _axis_by_name(ours, args, kwargs)
    if any(q.kind is q.VAR_POSITIONAL for q in theirs.parameters.values()):
        return _axis_by_name(ours, args, kwargs)
    places = list(theirs.parameters)
    front = sum(
        q.kind in (q.POSITIONAL_ONLY, q.POSITIONAL_OR_KEYWORD) for q in inspect.signature(ours).parameters.values()
    )
    taken, named = list[Any](), dict[str, Any]()
    for name, value in theirs.bind(*args, **kwargs).arguments.items():
        if value is None and theirs.parameters[name].default is None:
            continue
        value = _as_array(name, value)
        if theirs.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        elif places.index(name) == len(taken) < front:
            taken.append(value)
        else:
            named[name] = value
    return taken, named


def _axis_by_name(ours: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    """NumPy takes the axis by position where the standard takes it by name."""
    parameters = inspect.signature(ours).parameters
    args = [*map(_as_array, parameters, args), *args[len(parameters) :]]
    front = sum(q.kind is not q.KEYWORD_ONLY for q in parameters.values())
    if len(args) == front + 1 and "axis" in parameters:
        return args[:front], {"axis": args[front], **kwargs}
    return args, kwargs


def _as_array(name: str, value: Any) -> Any:
    """A list that stands for an array as one, with the history of what is in it: NumPy takes both everywhere."""
    if type(value) not in (list, tuple):
        return value
    if name in _SEQUENCES:
        return [_as_array("a", item) for item in value]
    if name not in _ARRAYS:
        return value
    return import_module("clearprop.arrays.tensor").asarray(value)  # start-up time, and a circle


def accepts(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a function can be called with these arguments."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def combine(name: str, *operands: Any) -> Any:
    """`&`, `|`, `^` and `~`: of conditions their logic, of integers their bits; of floats nothing."""
    sign, logic = _CONDITIONS[name]
    dtypes = [type_of(raw(c)).dtype for c in operands]
    if all(d.kind == "b" for d in dtypes):
        return logic(*operands)
    if any(d.kind not in "biu" for d in dtypes):
        raise DTypeError(
            f"{sign} combines conditions, or the bits of integers",
            expected="boolean or integer operands",
            got=" and ".join(d.name for d in dtypes),
            where=user_line(),
            try_="x != 0 makes a condition, x.astype(np.int64) integers",
        )
    bits = find("bitwise_invert" if name == "invert" else name)
    assert bits is not None
    return bits(*operands)


def refusal_of(name: str) -> TraceError:
    """The error for a function of NumPy that we do not have, or not with these arguments."""
    return TraceError(
        f"np.{name} on a Tensor is not supported",
        expected="a function of clearprop",
        got=f"np.{name}",
        where=user_line(),
        try_=f"np.{name}(np.asarray(x)) if no derivative should flow through it",
    )


_CONDITIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "bitwise_and": ("&", ew.logical_and),
    "bitwise_or": ("|", ew.logical_or),
    "bitwise_xor": ("^", ew.not_equal),
    "invert": ("~", ew.logical_not),
}
_UFUNCS = {f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh")}
_UFUNCS |= {"absolute": "abs", "power": "pow", "rint": "round", "true_divide": "divide"}
_UFUNCS |= {"left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift", "degrees": "rad2deg"}
_UFUNCS |= {"radians": "deg2rad", "conjugate": "conj"}
_FUNCTIONS = {"amax": "max", "amin": "min", "concatenate": "concat"}
# NumPy's residuals are another array where there are no more rows than columns, and the other one writes into its first
_OTHERWISE = ("linalg.lstsq", "put_along_axis")
_ARRAYS = frozenset(
    "a b x y v p m f ary arr ar ar1 ar2 x1 x2 weights values element test_elements xp fp d prepend append".split()
)
"""What NumPy, and we, call operands that are arrays."""
_SEQUENCES = ("tup",)
"""What they call operands that are several; those of `block` are nested."""
_ABOUT_SHAPE = (np.shape, np.ndim, np.size)
# questions whose answer has no derivative: answering them detaches nothing
_QUESTIONS = (np.allclose, np.array_equal, np.array_equiv, np.isclose, np.iscomplexobj, np.isrealobj)
