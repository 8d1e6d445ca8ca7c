"""What is said where a tensor is asked for a Python number that it cannot give, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from clearprop.arrays.rewritten_control import rewritten_control
from clearprop.errors import ArgumentError, GradientError, ShapeError, TraceError, nearest, user_line, user_place
from clearprop.primitives import REGISTRY
from clearprop.program.types import Type
from clearprop.rules.on_demand import find
from clearprop.shapes import Shape

_KEPT = "keep the tensor: cl.sin, cl.exp and their like take it"
_WITH_HISTORY = {
    "np.asarray(x)": "cl.stack and cl.concat join tensors, cl.sin and its like take them",
    "int(x)": "cl.floor keeps the tensor",
    "pickle.dumps(x)": "copy.copy(x) and copy.deepcopy(x) keep the tensor",
}
_OF_MANY = {
    "range(x)": "x[i] for one of them, cl.take(values, x) for many",
    "if x": "cl.all(x) or cl.any(x) of a condition; x.size for whether there is anything",
    "float(x)": "x.tolist() for many, cl.sum(x) or cl.mean(x) for one of them all",
    "int(x)": "x.tolist() for many, cl.sum(x) for one of them all",
    "complex(x)": "x.tolist() for many, cl.sum(x) or cl.mean(x) for one of them all",
    "item()": "x.tolist() for many, x[i].item() for one",
}
_INSTEAD = {
    "if x": "cl.cond({0}, f, g, x) is f(x) or g(x), cl.where({0}, a, b) chooses element by element; "
    "what is fixed goes into static=",
    "while x": "cl.while_loop(lambda x: {0}, step, x), with max_steps= where gradients flow through it",
    "assert x": "return the condition and check it outside; cl.isfinite and its like can be part of the program",
    "max(x, y)": "cl.maximum(x, y) of two, cl.max(cl.stack(values)) of many",
    "min(x, y)": "cl.minimum(x, y) of two, cl.min(cl.stack(values)) of many",
    "sorted(x)": "cl.sort(cl.stack(values)) of many, cl.sort(x) of one array",
    "any(x)": "cl.any(cl.stack(values)) of many, cl.any(x) of one array",
    "all(x)": "cl.all(cl.stack(values)) of many, cl.all(x) of one array",
    "x and y": "cl.logical_and(x, y)",
    "x or y": "cl.logical_or(x, y)",
    "not x": "cl.logical_not(x)",
    "float(x)": "keep the tensor, which every operation takes; float(...) of the returned value, outside",
    "int(x)": "keep the tensor, x.astype(int) if it must be an integer; int(...) of the returned value, outside",
    "complex(x)": "keep the tensor, which every operation takes; complex(...) of the returned value, outside",
    "item()": "keep the tensor, which every operation takes; .item() of the returned value, outside",
    "range(x)": "cl.while_loop with a counter; cl.fori_loop where the number is x.shape[i] or given in static=",
    "np.asarray(x)": "return the value from the function and convert it outside",
    "pickle.dumps(x)": "return the value from the function and write it outside",
}


_CONTROL = ("if x", "while x", "x and y", "x or y", "not x")
"""What asks for a truth value as part of a condition."""


def traced_number(what: str, of: Type) -> TraceError:
    """The error for a number that is asked of a value which has none yet, with what to write instead."""
    where = user_line()
    what = _construct_on_line(what, where)
    return TraceError(
        f"{what} needs numbers, and this value is being traced",
        expected="operations that can be part of the program",
        got=f"a traced value of type {of}",
        where=where,
        try_=_proposal(what, where),
    )


def detached_number(what: str, shape: Shape) -> GradientError:
    """The error for a number that is asked of a value through which a transform differentiates."""
    return GradientError(
        f"{what} would cut off a derivative that is being computed",
        expected="functions of clearprop from the argument to the result",
        got=f"a value that depends on the argument, of shape {shape}",
        where=user_line(),
        try_=f"{_WITH_HISTORY.get(what, _KEPT)}; cl.stop_gradient(x) first, if a constant is meant",
    )


def many_numbers(what: str, shape: Shape) -> ShapeError:
    """The error for one number that is asked of several, or of none."""
    return ShapeError(
        f"{what} needs one number",
        expected="a tensor with one element",
        got=f"shape {shape}",
        where=user_line(),
        try_=_OF_MANY[what],
    )


def whole_number(what: str, value: Any, convert: Callable[[Any], int]) -> int:
    """A number as a Python integer, which NaN and infinity are not."""
    try:
        return convert(value)
    except (ValueError, OverflowError):
        raise ArgumentError(
            f"{what} needs a finite number",
            expected="a number that an integer can hold",
            got=str(value),
            where=user_line(),
            try_="cl.isfinite(x) tells beforehand; cl.nan_to_num(x) puts numbers in their place",
        ) from None


def format_number(value: Any, shape: Shape, spec: str) -> str:
    """A number in the form that was asked for."""
    if shape != ():
        raise ShapeError(
            "a format is for one number",
            expected="a tensor of shape ()",
            got=f"format {spec!r} for shape {shape}",
            where=user_line(),
            try_="np.array2string(x.numpy(), precision=2), or f'{x[0]:.2f}' for one of them",
        )
    try:
        return format(value, spec)
    except ValueError as problem:
        raise ArgumentError(
            "this format does not suit the number",
            expected="a format of Python's for floats, integers or truth values, such as '.3f'",
            got=f"{spec!r} for {value!r}: {problem}",
            where=user_line(),
            try_="f'{x:.3f}'; f'{int(x):d}' for a whole number",
        ) from None


class NoAttributeError(ArgumentError, AttributeError):
    """A name that a tensor or a module has not; `hasattr` and `getattr` ask for an AttributeError."""


def no_attribute(name: str, known: Sequence[str]) -> NoAttributeError:
    """The error for an attribute that no tensor has, with the function or the attribute that was meant."""
    function = find(name) or name in REGISTRY
    close = nearest(name, known)
    told = import_module("clearprop.arrays.foreign_names").instead_of(name)  # start-up time: few ask for what is not
    return NoAttributeError(
        f"a tensor has no attribute {name!r}",
        expected=f"one of: {', '.join(known)}",
        got=name,
        where=user_line(),
        try_=f"cl.{name}(x)" if function else told or (f"x.{close}, the nearest name" if close else "a function of cl"),
    )


class NoLengthError(ShapeError, TypeError):
    """len() of a number; Python's protocols ask for a TypeError."""

    def __init__(self, headline: str = "a number has no length", **parts: str) -> None:
        parts = parts or {"expected": "a tensor with an axis", "got": "shape ()", "try_": "cl.reshape(x, (1,)), or [x]"}
        super().__init__(headline, **parts)


def _proposal(what: str, where: str) -> str:
    """What to write instead: the user's own statement where it can be rewritten."""
    place = user_place()
    text = rewritten_control(*place) if what in _CONTROL and place else ""
    if not text:
        return _INSTEAD[what].format(_condition_on_line(where))
    if "cl.while_loop" in text:
        return f"{text}, with max_steps= where gradients flow through it"
    return f"{text}; cl.where chooses element by element; what is fixed goes into static="


def _construct_on_line(what: str, where: str) -> str:
    """The construct that asked for a truth value, as the user's line has it."""
    if what != "if x":
        return what
    line = where.partition("  ")[2]
    builtin = re.search(r"(?<![\w.])(max|min|sorted|any|all)\(", line)  # Python's own compare two values at a time
    if builtin:
        return {"max": "max(x, y)", "min": "min(x, y)"}.get(builtin[1], f"{builtin[1]}(x)")
    found = re.match(r"(?:el)?if\b|while\b|assert\b", line)
    word = found[0] if found else ""
    inside = re.search(r"\b(and|or|not)\b", line)
    if inside:
        return {"and": "x and y", "or": "x or y", "not": "not x"}[inside[0]]
    return {"while": "while x", "assert": "assert x"}.get(word, "if x")


def _condition_on_line(where: str) -> str:
    """The condition after `if` or `while` in the user's line."""
    found = re.search(r"\b(?:if|while)\s+(.+?)(?::|\s+else\b|$)", where.partition("  ")[2])
    return found[1] if found else "condition"
