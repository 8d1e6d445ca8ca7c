"""Wrong arguments of public functions, told in our own form: which one it is, and what it may be.

Values that are known only when a program runs are checked by every executor: a label outside its range is refused.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, ClearpropError, check_call, too_large, user_line
from clearprop.primitives import HELPERS, primitive
from clearprop.program.ir import Var
from clearprop.program.types import Value, dtype_of, is_floating
from clearprop.program.values import Node, raw
from clearprop.rules import eager
from clearprop.shapes import Dim, Size

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
    if isinstance(problem, MemoryError):
        return too_large(name, problem)
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


ROUNDING = 1e-3
"""By how much the sum of probabilities may differ from 1: those of half precision, of many classes."""
LARGEST_AMOUNT = 2**62
"""The largest target of a loss of counts or amounts: kernels compare with whole numbers."""
_CLASSES = "count classes from 0, and give the last layer one output per class"
_TWO_CLASSES = "cl.nn.cross_entropy for several classes"
_ADVICE = {
    "cross_entropy": _CLASSES,
    "softmax_cross_entropy": _CLASSES,
    "binary_cross_entropy": _TWO_CLASSES,
    "sigmoid_cross_entropy": _TWO_CLASSES,
    "focal": _CLASSES,
    "nll": _CLASSES,
    "multi_margin": _CLASSES,
    "hinge": "(y + 1) / 2, of labels −1 and 1",
    "kl_divergence": "cl.softmax(y), where y are no probabilities yet",
    "gaussian_nll": "cl.softplus(v), which is positive, or cl.exp(v)",
}
_CHECKED = {"kl_divergence": "share", "gaussian_nll": "variance"}
"""What is no label."""
_TRUSTED: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusted_values() -> Iterator[None]:
    """Within this block programs are traced without checks: who runs them has looked at all values before."""
    token = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def _require_range(x: NDArray[Any], low: int, high: int, name: str) -> NDArray[Any]:
    if np.size(x) and not (np.min(x) >= low and np.max(x) <= high):
        raise ValueError(f"{name} got a label outside its range, {low} to {high}")
    return x


def _require_probabilities(x: NDArray[Any], name: str) -> NDArray[Any]:
    sums = np.sum(x, axis=-1, dtype=np.float64)
    if np.size(x) and not (np.min(x) >= 0 and np.max(np.abs(sums - 1)) <= 1e-3):
        raise ValueError(f"{name} got labels that are no probabilities")
    return x


HELPERS["require_range"] = _require_range  # what is printed stands alone, and raises an error of Python's
HELPERS["require_probabilities"] = _require_probabilities


def _entry_outside(value: NDArray[Any], low: int, high: int) -> str:
    """The first entry that is not in low … high, and where it is; "" if there is none."""
    if low == 0 and value.dtype.kind in "iu" and eager.are_classes(value, high + 1):
        return ""
    inside = (value >= low) & (value <= high)
    if inside.all():
        return ""
    at = np.unravel_index(int(np.argmin(inside)), value.shape)
    return f"{value[at]}{_at_index(at)}"


def _label_in_range(x: NDArray[Any], low: int, high: int, name: str) -> NDArray[Any]:
    """The check of eager code, which says which label it is."""
    outside = _entry_outside(np.asarray(x), low, high)
    if outside:
        what = _CHECKED.get(name, "label")
        raise ArgumentError(
            f"{name} got a {what} outside its range",
            expected=f"{what}s from {low} to {high}",
            got=f"{what} {outside}",
            where=user_line(),
            try_=_ADVICE.get(name, ""),
        )
    return x


def _rows_of_probabilities(x: NDArray[Any], name: str) -> NDArray[Any]:
    """The check of eager code: every row is a distribution, nothing below 0 and a sum of 1 but for rounding."""
    if not np.size(x):
        return x
    rows = x.reshape(-1, x.shape[-1])
    sums = rows.sum(axis=-1, dtype=np.float64)
    good = (rows >= 0).all(axis=-1) & (np.abs(sums - 1) <= ROUNDING)
    if not good.all():
        at = int(np.argmin(good))
        raise ArgumentError(
            f"{name} got labels that are no probabilities",
            expected="numbers from 0 to 1 whose sum in every row is 1, or integers",
            got=f"a row that sums to {sums[at]:.4g}, with numbers from {rows[at].min():.4g} to {rows[at].max():.4g}"
            + _at_index(np.unravel_index(at, x.shape[:-1])).replace(" at", ", at", 1),
            where=user_line(),
            try_="labels.astype(int) for classes; labels / labels.sum(axis=-1, keepdims=True) for counts",
        )
    return x


def _at_index(at: Sequence[Any]) -> str:
    return f" at index {', '.join(map(str, at))}" if at else ""


@primitive(
    "structural", numpy="require_range({x}, {low}, {high}, {name})", numba="require_range", eager=_label_in_range,
    tex="{x}", public=False,
    shape=lambda x, low, high, name: [x],  # a Python number stays one
    vjp_x=lambda g: g, jvp=lambda x_dot: x_dot,  # a tangent is no label
    batch=lambda size, x, *, low, high, name: require_range_(x, low=low, high=high, name=name),
)  # fmt: skip
def require_range_(x: Value, /, *, low: Any, high: Any, name: Any) -> Any:
    """x, where all its elements lie in low … high; else an error that says whose labels they are."""


@primitive(
    "structural", numpy="require_probabilities({x}, {name})", numba="require_probabilities",
    eager=_rows_of_probabilities, tex="{x}", public=False,
    shape=lambda x, name: x.shape, vjp_x=lambda g: g, jvp=lambda x_dot: x_dot,  # a tangent is no label
    batch=lambda size, x, *, name: require_probabilities_(x, name=name),
)  # fmt: skip
def require_probabilities_(x: Value, /, *, name: Any) -> Any:
    """x, where every row is a distribution; else an error that says whose labels they are."""


def require_range(x: Value, low: int, high: Dim, name: str) -> Any:
    """x, refused with an element outside low … high: at once where its values are known, else when it is computed."""
    if _is_sure(x):
        return x
    if isinstance(raw(x), Var) or not isinstance(high, int):
        return require_range_(x, low=low, high=high, name=name)
    _label_in_range(np.asarray(raw(x)), low, high, name)
    return x


def require_classes(labels: Value, classes: Dim, name: str) -> Any:
    """Labels of a cross-entropy, refused unless they are classes from 0 to classes − 1, or rows of probabilities."""
    if not is_floating(dtype_of(raw(labels))):
        return require_range(labels, 0, classes - 1, name)
    if _is_sure(labels):
        return labels
    if isinstance(raw(labels), Var):
        return require_probabilities_(labels, name=name)
    _rows_of_probabilities(np.asarray(raw(labels)), name)
    return labels


def require_amounts(target: Value, name: str) -> Any:
    """Targets of a loss of counts or amounts, refused where one is negative or out of all bounds."""
    if _is_sure(target):
        return target
    if isinstance(raw(target), Var):
        return require_range_(target, low=0, high=LARGEST_AMOUNT, name=name)
    outside = _entry_outside(np.asarray(raw(target)), 0, LARGEST_AMOUNT)
    if outside:
        raise ArgumentError(
            f"{name} got a target that is no count or amount",
            expected=f"0 or more, at most {LARGEST_AMOUNT:.1e}",
            got=outside,
            where=user_line(),
            try_="mse, mae or huber, which compare any numbers",
        )
    return target


def _is_sure(labels: Value) -> bool:
    """Whether there is nothing to look at: all values were looked at before, or truth values fit any loss."""
    return _TRUSTED.get() or dtype_of(raw(labels)).kind == "b"
