"""A batch as S shards: where each begins, how much it counts, and the objective of the batch as their mean.

Which rows are in which shard, and what its random layers draw, is decided by their place in the batch alone, so a
step is the same wherever its shards are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clearprop.autodiff.trees import flatten, unflatten
from clearprop.errors import ArgumentError, user_line
from clearprop.program.types import is_floating
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.runs.settings import Settings

ALIGNED = 64
"""Arrays in a buffer begin at multiples of so many bytes."""
_WHOLE_BATCH = {"f": "the loss as a function", "hvp": "the curvature of the loss"}


def bounds(rows: int, shards: int) -> list[tuple[int, int]]:
    """Where each shard of a batch begins and ends; sizes differ by one row at most.

    >>> bounds(10, 4)
    [(0, 2), (2, 5), (5, 7), (7, 10)]
    """
    cuts = [s * rows // shards for s in range(shards + 1)]
    return list(pairwise(cuts))


def shares(rows: int, shards: int) -> list[float]:
    """How much each shard counts in the mean over a batch: by its rows.

    Weights of rows do not enter: they are in the loss already, which divides by the number of rows (`Measure`).

    >>> shares(10, 4)
    [0.2, 0.3, 0.2, 0.3]
    """
    return [(end - begin) / rows for begin, end in bounds(rows, shards)]


def tree_sum(terms: Sequence[Any]) -> Any:
    """The sum in the order of a binary tree: neighbours first.

    >>> tree_sum(["a", "b", "c"])
    'abc'
    """
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + list(terms[len(pairs) * 2 :])
    return terms[0]


def mean_over_shards(objective: Callable[..., Any], shards: int) -> Callable[..., Any]:
    """The objective of a batch as the mean over its shards, each with a key and with batch statistics of its own.

    A state field of the model changes by the mean of what each shard would change it by.
    """

    def whole(model: Any, x: Any, y: Any, rng: Any, *weight: Any) -> Any:
        rows = raw(x).shape[0]
        parts = shares(rows, shards)
        found = [
            objective(model, x[begin:end], y[begin:end], _key(rng, s), *(w[begin:end] for w in weight))
            for s, (begin, end) in enumerate(bounds(rows, shards))
        ]

        def mean(values: Any) -> Any:
            return tree_sum([part * value for part, value in zip(parts, values, strict=True)])

        totals, others = zip(*found, strict=True)
        losses, metrics, trained = zip(*others, strict=True)
        changes = [state_change(model, new) for new in trained]
        change = {path: mean([c[path] for c in changes]) for path in changes[0]}
        return mean(totals), (mean(losses), tuple(map(mean, zip(*metrics, strict=True))), with_change(model, change))

    return whole


def _key(rng: Any, shard: int) -> Any:
    return random.fold_in(rng, shard)


def state_change(old: Any, new: Any) -> dict[str, Any]:
    """By how much a pass changed each state field of a model, by path."""
    before = old.state()
    return {path: value - before[path] for path, value in new.state().items()} if new is not old else {}


def with_change(model: Any, change: dict[str, Any]) -> Any:
    """The model with its state fields changed."""
    before = model.state() if change else {}
    return model.replace({path: before[path] + value for path, value in change.items()}) if change else model


# --------------------------------------------------------------------------------------------- on several processes
class Ranks(Protocol):
    """The processes that share a training: each computes S/N neighbouring shards."""

    rank: int
    size: int

    def vector(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """Zeros to write what `add` adds; all ranks ask together, for as many."""

    def add(self, vector: NDArray[Any], how: str) -> NDArray[Any]:
        """The sum of `vector` over all ranks until the next sum, the same bits on all; how is "exact" or "fast"."""

    def common(self, vector: NDArray[Any], count: int) -> NDArray[Any] | None:
        """So many numbers that all ranks read and write, as they read `vector`; None where they do not.

        All ranks ask together.
        """

    def add_parts(self, vector: NDArray[Any], parts: Sequence[slice], into: NDArray[Any]) -> None:
        """Set parts of `into`, a memory of this rank's own, to those of the sum of a vector that all read."""

    def meet(self, vector: NDArray[Any]) -> None:
        """Wait for all ranks, whose vector all read: they see what each has written."""

    def require_same(self, **facts: object) -> None:
        """Raise RunError on every rank unless all have the same facts."""


class ShardPlace(NamedTuple):
    """A shard of a batch: its number, where its rows begin and end, and how much it counts."""

    number: int
    begin: int
    end: int
    share: float


class OneRank:
    """A training on one process."""

    rank, size = 0, 1

    def vector(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """Zeros."""
        return np.zeros(count, dtype)

    def add(self, vector: NDArray[Any], how: str) -> NDArray[Any]:
        """The sum over one rank is what it has."""
        return vector

    def common(self, vector: NDArray[Any], count: int) -> NDArray[Any] | None:
        """Nobody else reads."""
        return None

    def add_parts(self, vector: NDArray[Any], parts: Sequence[slice], into: NDArray[Any]) -> None:
        """What it has."""
        for part in parts:
            into[part] = vector[part]

    def meet(self, vector: NDArray[Any]) -> None:
        """Wait for nobody."""

    def require_same(self, **facts: object) -> None:
        """One rank has what it has."""


@dataclass(frozen=True, eq=False)
class SharedWork:
    """What ranks compute in a step of `shards` shards.

    terms     `terms(model, number, shard, share, x, y[, weight])`, what a shard of step `number` gives to the mean
    after     `after(model, optimizer, number, mean)`, the model and the optimizer's state behind it
    key       of the random numbers that both draw, which is the only array that they hold
    known_as  equal for steps that compute the same; None for one that is like no other
    """

    terms: Callable[..., Any]
    after: Callable[..., Any]
    key: NDArray[np.uint32]
    shards: int
    ranks: Ranks
    reduce: str
    known_as: Callable[[Any], Hashable]

    def buffers(self, layout: Layout) -> list[NDArray[Any]]:
        """The memory for a tree of a rank's shards: for what ranks add up, and for each level below."""
        own = self.ranks.vector(layout.size, layout.dtype)
        return [own, *(np.zeros_like(own) for _ in range(1, (self.shards // self.ranks.size).bit_length()))]


class Layout:
    """Where the terms of a shard stand in one buffer, whose last number is a word between ranks.

    structure, shapes, dtypes   of the tree of terms
    ranks                       how many there are, who take slices of one size
    """

    def __init__(self, structure: Any, shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any], ranks: int) -> None:
        self.structure, self.dtype = structure, np.result_type(*dtypes)
        step, sizes = ALIGNED // self.dtype.itemsize, [math.prod(shape) for shape in shapes]
        ends = np.cumsum([-(-size // step) * step for size in sizes]).tolist()
        self.places = list(zip([0, *ends], sizes, shapes, dtypes, strict=False))
        self.size = -(-(ends[-1] + 1) // (step * ranks)) * step * ranks

    def views(self, vector: NDArray[Any]) -> list[NDArray[Any]]:
        """The arrays in a buffer, of its dtype."""
        return [vector[at : at + n].reshape(shape) for at, n, shape, _ in self.places]

    def write(self, terms: Any, into: NDArray[Any]) -> None:
        """Set the buffer to the terms."""
        for leaf, place in zip(flatten(terms)[0], self.views(into), strict=True):
            place[...] = raw(leaf)

    def read(self, vector: NDArray[Any]) -> Any:
        """The terms in a buffer, which they share where they have its dtype."""
        views = zip(self.views(vector), self.places, strict=True)
        return unflatten(self.structure, [view.astype(dtype, copy=False) for view, (*_, dtype) in views])


# ------------------------------------------------------------------------------------------------- what cannot be
def require_shardable(settings: Settings, model: Any, optimizer: Any, rows: int | None, command: bool) -> None:
    """Raise ArgumentError for shards that these settings, this network or this optimizer cannot have.

    `rows` are those to train on, None for an iterable of batches; `command` says that the command line asked.
    """
    _require_power_of_two(settings.grad_shards, command)
    where = "--grad-shards" if command else "grad_shards"
    needed = [_WHOLE_BATCH[name] for name in optimizer.needs if name in _WHOLE_BATCH]
    if needed:
        raise ArgumentError(
            f"{type(optimizer).__name__} cannot learn from shards of a batch",
            expected="an optimizer that works from the gradient",
            got=f"one that needs {needed[0]}, which no shard has",
            where=where,
            try_="adam, or one shard",
        )
    odd = next((path for path, value in model.state().items() if not is_floating(raw(value).dtype)), None)
    if odd is not None:
        raise ArgumentError(
            "the state of this network has no mean over shards",
            expected="state fields that are floating",
            got=f"{odd} of dtype {raw(model.state()[odd]).dtype}",
            where=where,
            try_="one shard",
        )
    if rows is not None:
        _require_rows(settings, min(rows, settings.batch_size or rows), command)


def _require_power_of_two(count: int, command: bool) -> None:
    if not count & (count - 1):
        return
    lower = 1 << (count.bit_length() - 1)
    raise ArgumentError(
        "the number of shards is a power of two",
        expected="1, 2, 4, 8, …: they are summed in a binary tree",
        got=f"--grad-shards {count}" if command else f"grad_shards={count}",
        where="--grad-shards" if command else user_line(),
        try_=f"--grad-shards {lower}" if command else f"grad_shards={lower}",
    )


def _require_rows(settings: Settings, size: int, command: bool) -> None:
    count, least = settings.grad_shards, settings.least_rows
    if size >= least:
        return
    enough = max(32, least)
    raise ArgumentError(
        "a batch has too few rows for its shards",
        expected=f"{least} rows or more in every batch: {count} shards"
        + (f" of {least // count} rows, of which statistics are taken" if least > count else ""),
        got=f"batches of {size} rows",
        where="--grad-shards" if command else user_line(),
        try_=f"--batch-size {enough}" if command else f"batch_size={enough}",
    )
