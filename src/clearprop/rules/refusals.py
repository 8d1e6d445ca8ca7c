"""Wrong arguments of public functions, told in our own form: which one it is, and what it may be."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from clearprop.errors import ArgumentError, ClearpropError, check_call, user_line
from clearprop.program.values import Node, raw
from clearprop.shapes import Size

_P = ParamSpec("_P")
_R = TypeVar("_R")

FAILURES = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, MemoryError)
"""What NumPy and Python raise where an argument is of a wrong kind."""
SHOWN = 80
"""Characters of a wrong argument that are shown."""


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer | Size) and not isinstance(value, bool | np.bool_)


def _is_axis(value: Any) -> bool:
    return value is None or _is_integer(value) or (isinstance(value, tuple | list) and all(map(_is_axis, value)))


def _is_shape(value: Any) -> bool:
    sizes = value if isinstance(value, tuple | list) else (value,)
    return all(_is_integer(n) and (isinstance(n, Size) or 0 <= n < 2**63) for n in sizes)


def _is_dtype(value: Any) -> bool:
    try:
        return np.dtype(value).kind in "biuf"
    except (TypeError, ValueError):
        return False


def is_key(value: Any) -> bool:
    """Whether a value is a key of random numbers, or a batch of them.

    >>> is_key(np.zeros(2, np.uint32)), is_key(7)
    (True, False)
    """
    value = raw(value)
    return getattr(value, "dtype", None) == np.uint32 and value.shape[-1:] == (2,)


def _is_array(value: Any) -> bool:
    if isinstance(value, Node):
        return True
    if _is_integer(value):
        return isinstance(value, Size) or -(2**63) <= value < 2**63
    return isinstance(value, bool | float | np.ndarray | np.generic) and np.asarray(value).dtype.kind in "biuf"


_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "axis": (_is_axis, "an integer, several of them in a tuple, or None"),
    "axes": (_is_axis, "integers, or pairs of tuples of them"),
    "keepdims": (lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "shape": (_is_shape, "sizes: integers from 0, one for each axis"),
    "dtype": (_is_dtype, "a data type of numbers, such as np.float32"),
    "key": (is_key, "a key, such as clearprop.random.key(0)"),
}
_ARRAY = (_is_array, "an array or a tensor of integers or floating-point numbers, or a number of 64 bits")

_ANYTHING: tuple[Callable[[Any], bool], str] = (lambda value: True, "")


def refusal(
    function: Callable[..., Any],
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    problem: Exception,
    home: str = "cl",
) -> ClearpropError:
    """The error for a call that ended in `problem`: about the argument that is of a wrong kind, if one is.

    `home` is where the user finds the function, by its name.

    >>> print(refusal(np.sum, "sum", (np.ones(2), "x"), {}, TypeError("no")).got)
    axis = 'x'
    """
    check_call(function, name, tuple(args), kwargs)
    bound = inspect.signature(function).bind(*args, **kwargs).arguments
    parameters = inspect.signature(function).parameters
    for parameter, value in bound.items():
        operand = parameters[parameter].kind is not inspect.Parameter.KEYWORD_ONLY
        allowed, what = _ALLOWED.get(parameter, _ARRAY if operand else _ANYTHING)
        several = what is _ARRAY[1] and isinstance(value, tuple | list)
        if not several and not allowed(value):
            return ArgumentError(
                f"{name} does not take this {parameter}",
                expected=what,
                got=f"{parameter} = {_as_text(value)}",
                where=user_line(),
                try_=f"help({home}.{name}), which has an example",
            )
    return ArgumentError(
        f"{name} cannot be computed from these arguments",
        expected="arguments of kinds, shapes and sizes that belong together",
        got=f"{', '.join(map(_as_text, bound.values()))}: {problem or type(problem).__name__}"[: 3 * SHOWN],
        where=user_line(),
        try_=f"help({home}.{name}), which has an example",
    )


def _as_text(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic | Node):
        array = raw(value)
        return f"{type(array).__name__} of {getattr(array, 'dtype', type(array).__name__)}{list(np.shape(array))}"
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def with_refusals(function: Callable[_P, _R], home: str = "cl") -> Callable[_P, _R]:
    """The function, whose callers hear of wrong arguments in our own form; `home` is where they find it.

    >>> @with_refusals
    ... def tail(x, axis):
    ...     return np.sum(x[1:], axis=axis)
    >>> tail(np.ones(3), axis="first")
    Traceback (most recent call last):
    ...
    clearprop.errors.ArgumentError: tail does not take this axis
      expected  an integer, several of them in a tuple, or None
      got       axis = 'first'
      ...
      try       help(cl.tail), which has an example
    """

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except ClearpropError:
            raise
        except FAILURES as problem:
            raise refusal(function, function.__name__, args, kwargs, problem, home) from problem

    return call
