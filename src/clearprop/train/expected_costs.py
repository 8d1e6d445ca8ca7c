"""What mistakes cost, by the true class and the one that is chosen, and the class whose mistakes should cost least."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.files.strict_json import refuse
from clearprop.program.values import raw
from clearprop.rules.elementwise import astype
from clearprop.rules.linear import matmul
from clearprop.rules.reductions import softmax
from clearprop.runs.cost_text import costs_in, pairs_in

_DOUBLE = np.dtype(np.float64)


@dataclass(frozen=True)
class Costs:
    """`of[true][chosen]`: what it costs to take a row of a class for another; 0 where it is the same.

    >>> costs = Costs(((0.0, 1.0), (5.0, 0.0)))
    >>> costs.least(np.array([[0.9, 0.1], [0.8, 0.2]])).tolist()  # 0.5 beside 0.9, 1 beside 0.8
    [0, 1]
    >>> costs.mean(np.array([0, 1, 1]), np.array([0, 0, 1]))
    1.6666666666666667
    """

    of: tuple[tuple[float, ...], ...]

    def expected(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Σᵢ pᵢ·Cᵢⱼ for every class j that may be chosen, `(…, classes)`, whose sums have one order for any rows."""
        total = np.zeros(shares.shape)
        for i, row in enumerate(self.of):
            total += shares[..., i : i + 1] * np.array(row)
        return total

    def least(self, shares: NDArray[np.float64]) -> NDArray[np.int64]:
        """The class of least expected cost by the probabilities `(…, classes)` (Elkan 2001); of equals the first."""
        chosen: NDArray[np.int64] = np.argmin(self.expected(shares), axis=-1)
        return chosen

    def preferences(self, outputs: Any) -> Any:
        """Of logits `(…, classes)`, traced or not, what is largest for the class of least expected cost."""
        shares = softmax(astype(outputs, dtype=_DOUBLE))
        if isinstance(outputs, np.ndarray):
            return -self.expected(np.asarray(raw(shares)))
        return -matmul(shares, np.array(self.of))

    def mean(self, y: NDArray[np.int64], chosen: NDArray[np.int64], weight: NDArray[Any] | None = None) -> float:
        """What a row costs on average, by its weight if there is one."""
        return float(np.average(np.array(self.of)[y, chosen], weights=weight))

    def record(self, names: Sequence[str]) -> dict[str, Any]:
        """As settings keep it: of two classes what each costs, of more {true: {chosen: cost}}."""
        if len(names) == 2:
            return {names[0]: self.of[0][1], names[1]: self.of[1][0]}
        return {
            true: {chosen: cost for chosen, cost in zip(names, row, strict=True) if chosen != true}
            for true, row in zip(names, self.of, strict=True)
        }


def recorded_costs(record: Mapping[str, Any] | str | None) -> Costs | None:
    """The costs that settings keep; None for none, and for text, which is kept by class once classes are known."""
    if record is None or isinstance(record, str):
        return None
    names = list(record)
    return Costs(tuple(tuple(_cost_between(record[true], true, chosen) for chosen in names) for true in names))


def require_recorded(record: Any, names: Sequence[str], where: str) -> None:
    """Raise RunError for a record that `Costs.record` did not write for classes of these names."""
    what, expected = "the stored costs", "what mistakes cost, for the classes " + ", ".join(names)
    try:
        again = costs_asked(record, names, {}).record(names)
    except ArgumentError as problem:
        refuse(what, expected, problem.got or problem.headline, where)
    if list(record) != list(names) or again != record:
        refuse(what, expected, f"{record!r:.80}", where)


def _cost_between(costs: Any, true: str, chosen: str) -> float:
    if true == chosen:
        return 0.0
    return float(costs[chosen]) if isinstance(costs, Mapping) else float(costs)


def costs_asked(asked: Any, names: Sequence[str], labels: Mapping[Any, str]) -> Costs:
    """The costs that were asked for, by classes of these names, or the labels that stand for them; 1 where none is.

    `asked` is {true: cost}, whatever it is taken for, {true: {chosen: cost}}, a text of the command line, or the path
    of a table of them (`runs/cost_text`).

    Raises ArgumentError for a class that is not there, a cost that is none, a right answer that costs, and all 0.
    """
    given = costs_in(asked) if isinstance(asked, str) else asked
    if not isinstance(given, Mapping):
        raise _no_costs(asked)
    place = {name: i for i, name in enumerate(names)}
    table = 1.0 - np.eye(len(names))
    for true, chosen, cost in _entries(given, names, labels):
        if not _is_cost(cost):
            raise _no_costs(asked)
        if chosen is None:
            table[place[true]] = float(cost)
        elif chosen != true:
            table[place[true], place[chosen]] = float(cost)
        elif cost:
            raise _costly_truth(true, float(cost))
    np.fill_diagonal(table, 0.0)
    if not table.any():
        raise _no_costs(asked)
    return Costs(tuple(map(tuple, table.tolist())))


def _entries(
    given: Mapping[Any, Any], names: Sequence[str], labels: Mapping[Any, str]
) -> Iterator[tuple[str, str | None, Any]]:
    """The true class, the chosen one (None: any other) and the cost of each entry; single pairs stand last."""
    whole = [key for key, cost in given.items() if not isinstance(cost, Mapping) and _class_of(key, names, labels)]
    for key in whole:
        yield class_named(key, names, labels), None, given[key]
    for key in given:
        if isinstance(given[key], Mapping):
            true = class_named(key, names, labels)
            for other, cost in given[key].items():
                yield true, class_named(other, names, labels), cost
        elif key not in whole:
            yield *_pair_of(key, names), given[key]


def _pair_of(key: Any, names: Sequence[str]) -> tuple[str, str]:
    """The true class and the chosen one of `TRUE:CHOSEN`, whose names may hold colons themselves."""
    pairs = pairs_in(str(key))
    found = [(true, chosen) for true, chosen in pairs if true in names and chosen in names]
    if len(found) == 1:
        return found[0]
    if found:
        raise ArgumentError(
            "these costs can be read in two ways",
            expected="TRUE:CHOSEN=COST, with one colon that stands between two classes",
            got=f"{str(key)!r}: " + ", or ".join(f"{true} taken for {chosen}" for true, chosen in found),
            where=user_line() or "--costs",
            try_="a CSV file with the classes in its first row and column",
        )
    strange = next((part for part in (pairs[0] if pairs else (str(key),)) if part not in names), str(key))
    raise unknown_name("class", strange, names, user_line() or "--costs")


def _class_of(key: Any, names: Sequence[str], labels: Mapping[Any, str]) -> str | None:
    return str(key) if str(key) in names else labels.get(key)


def class_named(key: Any, names: Sequence[str], labels: Mapping[Any, str]) -> str:
    """The class that a key means: its name, or the label itself.  Raises ArgumentError where there is no such class."""
    found = _class_of(key, names, labels)
    if found is None:
        raise unknown_name("class", str(key), names, user_line() or "--costs")
    return found


def _is_cost(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value < math.inf


def _no_costs(asked: Any) -> ArgumentError:
    return ArgumentError(
        "these are no costs of mistakes",
        expected="{class: cost} or {true class: {chosen class: cost}}, costs from 0 up and not all 0",
        got=repr(asked),
        where=user_line() or "--costs",
        try_="costs={'yes': 5, 'no': 1}, where missing a yes costs 5 times as much",
    )


def _costly_truth(name: str, cost: float) -> ArgumentError:
    return ArgumentError(
        "a right answer costs nothing",
        expected=f"0 where {name} is taken for {name}",
        got=f"{cost:g}",
        where=user_line() or "--costs",
        try_=f"every cost of a row of {name} less {cost:g}: the choice is the same",
    )
