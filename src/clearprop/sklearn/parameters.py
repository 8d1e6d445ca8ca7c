"""What the parameters of the estimators may be: checked in `fit`, as scikit-learn's conventions ask."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.array_checks import require_one_index, require_unmasked
from clearprop.data.array_labels import require_one_kind
from clearprop.errors import ArgumentError, checked_methods, user_line

Rule = tuple[Callable[[Any], bool], str]
"""Whether a value will do, and what would, in words."""


def one_of(*words: str) -> Rule:
    """One of these words."""
    return lambda value: isinstance(value, str) and value in words, ", ".join(words)


def whole_from(low: int) -> Rule:
    """A whole number from `low` on."""
    return lambda value: _is(value, Integral) and low <= value < MOST, f"a whole number, {low} or more, below 2**63"


def number_in(low: float, high: float = math.inf, *, low_too: bool = True, high_too: bool = False) -> Rule:
    """A number between two others."""

    def holds(value: Any) -> bool:
        above = _is(value, Real) and (value >= low if low_too else value > low)
        return above and (value <= high if high_too else value < high)

    lower = f"{low:g} or more" if low_too else f"above {low:g}"
    upper = "" if math.isinf(high) else f", {'at most' if high_too else 'below'} {high:g}"
    return holds, f"a number, {lower}{upper}"


def either(*rules: Rule) -> Rule:
    """What one of several rules allows."""
    return lambda value: any(holds(value) for holds, _ in rules), ", or ".join(words for _, words in rules)


MOST = 2**63
WIDEST = 2**31
"""A layer as wide has weights that no memory holds."""
FLAG: Rule = (lambda value: isinstance(value, bool | np.bool_), "True or False")
VERBOSE: Rule = (lambda value: isinstance(value, bool | np.bool_ | Integral), "True or False")
INFINITE: Rule = (lambda value: _is(value, Real) and value == math.inf, "np.inf")
SIZES: Rule = (
    lambda value: all(_is(n, Integral) and 0 < n < WIDEST for n in layer_sizes(value)),
    "sizes of hidden layers, each a whole number > 0 and below 2**31",
)
CLASS_WEIGHT: Rule = (
    lambda value: (
        value is None or isinstance(value, Mapping | list) or (isinstance(value, str) and value == "balanced")
    ),
    "None, balanced, {class: weight}, or of several labels a list of such",
)
SEED: Rule = (
    lambda value: (
        value is None or isinstance(value, np.random.RandomState) or (_is(value, Integral) and 0 <= value < 2**32)
    ),
    "None, a whole number from 0 to 2**32 - 1 or a np.random.RandomState",
)


def layer_sizes(value: Any) -> list[Any]:
    """The sizes of hidden layers, which may be given as one number.

    >>> layer_sizes(10), layer_sizes((8, 4))
    ([10], [8, 4])
    """
    return list(value) if isinstance(value, tuple | list | np.ndarray) else [value]


def check_parameters(estimator: Any, rules: Mapping[str, Rule]) -> None:
    """Raise ArgumentError for the first parameter of an estimator that its rule does not allow."""
    for name, (holds, words) in rules.items():
        value = getattr(estimator, name)
        if not holds(value):
            raise ArgumentError(
                f"{type(estimator).__name__} cannot work with this {name}",
                expected=f"{name}: {words}",
                got=f"{name} = {value!r:.80}",
                where=user_line(),
            )


@checked_methods
class ScoresRows:
    """What an estimator's score takes is looked at as what it is fitted on."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """What scikit-learn's mixin for classes or numbers gives: the share of rows that are right, or R².

        Raises DataError for masked values, and for pandas objects under different indices.
        """
        require_arrays_of_rows(X, y, sample_weight, "score")
        found: float = super().score(X, y, sample_weight)  # type: ignore[misc]  # the mixin's, which comes after this one
        return found


def columns_of(y: Any) -> int:
    """How many numbers a row of targets has, 1 of a vector.

    The shape is that of the array that y becomes: things that only stand for an array need not tell theirs.

    >>> columns_of([1, 2]), columns_of([[1], [2]]), columns_of([[1, 2], [3, 4]])
    (1, 1, 2)
    """
    shape = np.asarray(y).shape
    return shape[1] if len(shape) > 1 else 1


def require_arrays_of_rows(X: Any, y: Any, weight: Any, door: str = "fit") -> None:
    """Raise DataError for masked values, labels of several kinds, and pandas objects under different indices.

    By position, rows that do not belong together would meet.  Where the numbers of rows differ, others say so.
    """
    require_unmasked(X=X, y=y, sample_weight=weight)
    require_one_kind(y, "y")
    labelled = [part for part in (X, y, weight) if hasattr(getattr(part, "index", None), "equals")]
    if len({len(part) for part in labelled}) == 1:
        require_one_index(labelled, door)


def checked_weights(weight: Any, rows: int, dtype: Any) -> NDArray[Any]:
    """The weights of so many rows, (rows,); a single number stands for all.  Raises ArgumentError for others."""
    given = np.full(rows, weight, dtype) if np.isscalar(weight) else np.asarray(weight, dtype)
    if given.shape != (rows,):
        raise ArgumentError(
            "sample_weight needs one weight for each row",
            expected=f"numbers of shape ({rows},)",
            got=f"shape {given.shape}",
            where=user_line(),
        )
    if not np.any(given):
        raise ArgumentError("the weight of every row is zero", expected="some sample_weight above 0", where=user_line())
    return given


def _is(value: Any, kind: type[Any]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)
