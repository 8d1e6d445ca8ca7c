"""Checks of values that are known only when a program runs: a label outside its range is refused by every executor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, user_line
from clearprop.primitives import HELPERS, primitive
from clearprop.program.ir import Var
from clearprop.program.types import Value, is_floating, type_of
from clearprop.program.values import raw
from clearprop.shapes import Dim

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
}
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
    inside = (value >= low) & (value <= high)
    if inside.all():
        return ""
    at = np.unravel_index(int(np.argmin(inside)), value.shape)
    return f"{value[at]}{_at_index(at)}"


def _label_in_range(x: NDArray[Any], low: int, high: int, name: str) -> NDArray[Any]:
    """The check of eager code, which says which label it is."""
    outside = _entry_outside(np.asarray(x), low, high)
    if outside:
        raise ArgumentError(
            f"{name} got a label outside its range",
            expected=f"labels from {low} to {high}",
            got=f"label {outside}",
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
    shape=lambda x, low, high, name: x.shape, vjp_x=lambda g: g, jvp=lambda x_dot: x_dot,  # a tangent is no label
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
    if not is_floating(type_of(raw(labels)).dtype):
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
    return _TRUSTED.get() or type_of(raw(labels)).dtype.kind == "b"
