"""Checks that layers share."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np

from clearprop.errors import ArgumentError, ShapeError, user_line
from clearprop.nn.fields import HasFields
from clearprop.program.values import raw
from clearprop.shapes import same


def is_number(value: Any) -> bool:
    """Whether a value is a real number, which an array of no axes is too; a truth value is none."""
    if type(value) is float or type(value) is int:  # nearly always, and every call of a loss asks
        return True
    if isinstance(value, np.ndarray):
        return value.shape == () and value.dtype.kind in "iuf"
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


LARGEST_SIZE = 2**31 - 1
"""The most numbers of an axis."""


def require_size(owner: str, name: str, value: Any) -> int:
    """A size is a positive integer."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not whole or not 1 <= value <= LARGEST_SIZE:
        most = f", at most {LARGEST_SIZE:,}" if whole and value > 1 else ""
        raise ArgumentError(
            f"{owner} has an impossible size",
            expected=f"{name}: an integer of at least 1{most}",
            got=f"{name} = {value!r}",
            where=user_line(),
        )
    return int(value)


def require_count(owner: str, name: str, value: Any) -> int:
    """A number of things, which may be 0."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, (bool, np.bool_)) or value < 0:
        raise ArgumentError(
            f"{owner} cannot work with this {name}",
            expected=f"{name}: an integer of at least 0",
            got=f"{name} = {value!r}",
            where=user_line(),
        )
    return int(value)


def require_fraction(owner: str, name: str, value: Any, default: float) -> float:
    """A share from 0 to just below 1."""
    if not is_number(value) or not 0 <= value < 1:
        raise ArgumentError(
            f"{owner} cannot work with this {name}",
            expected=f"0 <= {name} < 1 (default {default})",
            got=f"{name} = {value!r}",
            where=user_line(),
            try_=f"{name}={default}",
        )
    return float(value)


def require_number(owner: str, name: str, value: Any, default: float) -> float:
    """A number of at least 0."""
    if not is_number(value) or not 0 <= value < np.inf:
        raise ArgumentError(
            f"{owner} cannot work with this {name}",
            expected=f"0 <= {name} (default {default})",
            got=f"{name} = {value!r}",
            where=user_line(),
            try_=f"{name}={default}",
        )
    return float(value)


def require_dtype(owner: str, value: Any) -> np.dtype[Any]:
    """Arrays of networks are float32 or float64."""
    try:
        dtype = np.dtype(value if isinstance(value, (str, type, np.dtype)) else object)
    except TypeError:
        dtype = np.dtype(object)
    if dtype not in (np.float32, np.float64):
        raise ArgumentError(
            f"{owner} cannot have this dtype",
            expected="float32 or float64",
            got=f"dtype = {value!r}",
            where=user_line(),
            try_="dtype=np.float32",
        )
    return np.dtype(dtype)


def require_weight(owner: str, key: Any, shape: Any, dtype: Any) -> tuple[tuple[int, int], np.dtype[Any]]:
    """What an initialiser is called with: a key, a shape (inputs, outputs) and a dtype."""
    words = raw(key)
    if not isinstance(words, np.ndarray) or words.shape != (2,) or words.dtype != np.uint32:
        raise ArgumentError(
            f"{owner} needs a key",
            expected="a key of cl.random",
            got=repr(key),
            where=user_line(),
            try_="cl.random.key(0)",
        )
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise ArgumentError(
            f"{owner} makes the weight of a dense layer",
            expected="shape (inputs, outputs)",
            got=f"shape = {shape!r}",
            where=user_line(),
        )
    inputs, outputs = (require_size(owner, f"shape[{i}]", n) for i, n in enumerate(shape))
    return (inputs, outputs), require_dtype(owner, dtype)


def is_module(value: Any) -> TypeGuard[HasFields]:
    """Whether a value is a module, told by its class: one that declares fields."""
    return isinstance(getattr(type(value), "field_kinds", None), dict)


def require_module(owner: str, model: Any) -> None:
    """A module, and no class of modules."""
    if not is_module(model):
        raise ArgumentError(
            f"{owner} looks into a module",
            expected="a module, such as cl.nn.mlp([4, 16, 3])",
            got=f"the class {model.__name__}" if isinstance(model, type) else repr(model)[:200],
            where=user_line(),
        )


def require_features(label: Callable[[], str], size: Any, shape: tuple[Any, ...]) -> None:
    """The last axis of an input must have the layer's size: an axis of size 1 would be repeated silently."""
    if shape and same(shape[-1], size):
        return
    raise ShapeError(
        f"{label()} cannot take an input of shape {shape}",
        expected=f"{size} numbers in the last axis",
        got=str(shape[-1]) if shape else "no axis at all",
        where=user_line(),
        try_="check the columns of the data and the sizes of the layers before" if shape else "x[None]",
    )


def no_array(outputs: Any) -> ArgumentError:
    """The error for a network that gives no array, of whose rows losses, metrics and predictions are."""
    several = isinstance(outputs, (tuple, list, dict))
    return ArgumentError(
        "a network that is trained gives one array",
        expected="outputs of one row for each row of x",
        got=f"{type(outputs).__name__} of {len(outputs)}" if several else type(outputs).__name__,
        where=user_line(),
        try_="a network around it that gives the part that the loss is of"
        if several
        else "return the outputs at the end of forward",
    )
