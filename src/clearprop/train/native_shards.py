"""The two parts of a step with shards as native loops, which write where ranks read.

Terms go straight from a shard's rows, which are picked natively, into the memory that ranks share.  An update that
computes every element of what stands at its place is divided between ranks of one machine: each adds up, and updates,
its rows of the large arrays, which lie in memory of all; small ones every rank has, and updates, by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.autodiff.trees import flatten, unflatten
from clearprop.compiler.epoch_loop import BoundLoop, NativeLoop
from clearprop.errors import TraceError
from clearprop.program.values import Node, raw
from clearprop.runs.state import State
from clearprop.train.batches import Arrays, Picked
from clearprop.train.shards import ALIGNED, Layout, Ranks, ShardPlace, SharedWork

LARGE, TOGETHER = 1 << 12, 16
"""Arrays of so many numbers are divided between ranks, behind rows that are together a multiple of so many numbers."""
_ANY = 2
"""The size of batches of a loop without rows."""


def native_parts(work: SharedWork, layout: Layout, state: State, buffers: Arrays) -> NativeParts | None:
    """The parts for rows of these arrays; None where a step has no native form, or its terms have several dtypes."""
    if any(dtype != layout.dtype for *_, dtype in layout.places):
        return None
    try:
        update, terms = _update_loop(work, layout, state), _terms_loop(work, layout, state, buffers)
    except TraceError:
        return None  # what is compiled instead tells why
    if update.obstacle is not None or terms.obstacle is not None:
        return None
    return NativeParts(work, layout, state, terms, update)


def _update_loop(work: SharedWork, layout: Layout, state: State) -> NativeLoop:
    """The update as a loop without rows: its carry is the state, the number of the step, and the mean of the terms."""

    def body(carry: Any) -> Any:
        model, optimizer, number, mean = carry
        return (*work.after(model, optimizer, number, mean), number, mean), ()

    mean = layout.read(np.zeros(layout.size, layout.dtype))
    carry = state.model, state.optimizer, np.array(state.step), mean
    return NativeLoop(body, carry, [], known_as=_known_as("update", work, state), given=(work.key,))


def _terms_loop(work: SharedWork, layout: Layout, state: State, buffers: Arrays) -> NativeLoop:
    """The terms as a loop over rows, whose carry is the model, three numbers, and the terms."""

    def body(carry: Any, x: Any, y: Any, *weight: Any) -> Any:
        model, number, shard, share, _ = carry
        return (model, number, shard, share, work.terms(model, number, shard, share, x, y, *weight)), ()

    terms = layout.read(np.zeros(layout.size, layout.dtype))
    carry = state.model, np.array(state.step), np.array(0), np.ones((), layout.dtype), terms
    known = _known_as("terms", work, state)
    return NativeLoop(body, carry, list(buffers), trusted=True, known_as=known, given=(work.key,))


def _known_as(what: str, work: SharedWork, state: State) -> Any:
    known = work.known_as(state.model)
    return None if known is None else (what, known)


class NativeParts:
    """See `StepParts`."""

    def __init__(self, work: SharedWork, layout: Layout, state: State, terms: NativeLoop, update: NativeLoop) -> None:
        self.ranks, self.reduce, self.layout, self._unbound = work.ranks, work.reduce, layout, update
        self.buffers = work.buffers(layout)
        self.number, self.shard, self.share = np.array(state.step), np.array(0), np.ones((), layout.dtype)
        leaves, self.structure = flatten((state.model, state.optimizer))
        given = [np.array(raw(leaf), order="C") for leaf in leaves]
        self.division = _Division.of(self.ranks, layout, given, self.buffers[0]) if update.is_elementwise else None
        if self.division is not None and not self._loop_of(self.division.arrays, self.division.sum).fits(_ANY):
            self.division = None
        self.arrays = given if self.division is None else self.division.arrays
        self.live = self._tree(self.arrays)
        carry = self.live[0], self.number, self.shard, self.share, layout.read(self.buffers[0])
        self.terms = terms.on_arrays(carry)
        self._depths: dict[int, int] = {}
        self._total: NDArray[Any] | None = None
        self._updates: BoundLoop | None = None
        self._means: Any = ()

    def _loop_of(self, arrays: Sequence[NDArray[Any]], total: NDArray[Any]) -> NativeLoop:
        """The update of what this rank updates of the state's arrays, by the mean that stands in `total`."""
        mean = self.layout.views(total)
        if self.division is not None:
            arrays, mean = self.division.own_of(arrays), self.division.own_of(mean)
        return self._unbound.on_arrays((*self._tree(arrays), self.number, unflatten(self.layout.structure, mean)))

    def _tree(self, arrays: Sequence[NDArray[Any]]) -> Any:
        return unflatten(self.structure, list(map(Node.tensor, arrays)))

    def begin(self, state: State) -> State:
        """See `StepParts`."""
        leaves = [np.asarray(raw(leaf)) for leaf in flatten((state.model, state.optimizer))[0]]
        if self.division is None:
            _load(self.arrays, leaves)
        else:
            self.ranks.meet(self.buffers[0])  # nobody reads any more what stood there
            _load(self.division.own_of(self.arrays), self.division.own_of(leaves))
            self.ranks.meet(self.buffers[0])
        return replace(state, model=self.live[0], optimizer=self.live[1])

    def write(self, state: State, rows: Picked, place: ShardPlace, depth: int) -> NDArray[Any]:
        """See `StepParts`."""
        buffer = self.buffers[depth]
        self.number[...], self.shard[...], self.share[...] = state.step, place.number, place.share
        size = place.end - place.begin
        loop = self.terms.bound_to(size)
        if self._depths.get(size, 0) != depth:
            views = self.layout.views(buffer)
            first = len(self.terms.arrays) - len(views)
            self._depths[size] = -1  # until all are moved: an interrupt may come between
            loop.move(dict(enumerate(views, first)))
            self._depths[size] = depth
        assert rows.rows is not None  # they are picked from arrays
        order = np.ascontiguousarray(rows.rows[place.begin : place.end], np.int64)
        loop.place(order, size, ())
        loop.steps(0, 1)
        return buffer

    def update(self, state: State, own: NDArray[Any]) -> tuple[Any, Any, Any, bool]:
        """See `StepParts`."""
        total = self.ranks.add(own, self.reduce) if self.division is None else self.division.add(self.ranks, own)
        if self._updates is None or total is not self._total:
            self._means, self._updates = self.layout.read(total)[2], self._loop_of(self.arrays, total).bound_to(_ANY)
            self._total = total
        self.number[...] = state.step
        self._updates.steps(0, 1)
        if self.division is not None:
            self.ranks.meet(own)  # all parts are updated
        return *self.live, self._means, bool(total[-1])

    def alone(self, state: State) -> Sequence[Any]:
        """See `StepParts`."""
        arrays = self.arrays[: len(flatten(state.model)[0])]
        return arrays if self.division is None else [a for a in arrays if not self.division.divides(a.shape)]


def _load(arrays: Sequence[NDArray[Any]], values: Sequence[Any]) -> None:
    for array, value in zip(arrays, values, strict=True):
        array[...] = value


class _Division:
    """Which rows of which arrays each rank adds up and updates.

    arrays  those of the state: the large ones in memory of all ranks, the others of this rank's own
    """

    def __init__(self, ranks: Ranks, layout: Layout, given: Sequence[NDArray[Any]], common: NDArray[Any]) -> None:
        self.rank, self.size = ranks.rank, ranks.size
        self.arrays, at = [], 0
        for array in given:
            if not self.divides(array.shape):
                self.arrays.append(array)
                continue
            self.arrays.append(common[at : at + array.size].reshape(array.shape))
            at += _room_of(array)
        self.sum = np.zeros(layout.size, layout.dtype)
        self.parts = self._parts(layout)

    @staticmethod
    def of(ranks: Ranks, layout: Layout, given: Sequence[NDArray[Any]], own: NDArray[Any]) -> _Division | None:
        """The division; None where ranks have no memory in common, or nothing is large enough, or of another dtype."""
        large = [a for a in given if _divides(a.shape, ranks.size)]
        if not large or any(a.dtype != layout.dtype for a in large):
            return None
        common = ranks.common(own, sum(map(_room_of, large)))
        return None if common is None else _Division(ranks, layout, given, common)

    def divides(self, shape: tuple[int, ...]) -> bool:
        """Whether arrays of a shape are divided."""
        return _divides(shape, self.size)

    def own_of(self, arrays: Sequence[Any]) -> list[Any]:
        """Of arrays that are divided the rows of this rank, and the others whole."""
        return [a[slice(*self._rows(a.shape))] if self.divides(a.shape) else a for a in arrays]

    def _rows(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Where this rank's rows begin and end."""
        many, unit = shape[0], _unit(shape)
        first, last = (many * r // self.size // unit * unit for r in (self.rank, self.rank + 1))
        return first, many if self.rank + 1 == self.size else last

    def _parts(self, layout: Layout) -> list[slice]:
        """Where in a vector this rank adds: its rows of what is divided, and all between."""
        found, begin = [], 0
        for at, n, shape, _ in layout.places:
            if self.divides(shape):
                first, last = (at + row * (n // shape[0]) for row in self._rows(shape))
                found += [slice(begin, at), slice(first, last)]
                begin = at + n
        return [part for part in [*found, slice(begin, layout.size)] if part.start < part.stop]

    def add(self, ranks: Ranks, own: NDArray[Any]) -> NDArray[Any]:
        """What this rank needs of the sum of all vectors, in memory of its own."""
        ranks.add_parts(own, self.parts, self.sum)
        return self.sum


def _divides(shape: tuple[int, ...], ranks: int) -> bool:
    """Whether arrays of a shape are divided: every rank has rows of it, more than one."""
    return math.prod(shape) >= LARGE and shape[0] >= 2 * ranks * _unit(shape)


def _unit(shape: tuple[int, ...]) -> int:
    """How many rows stay together: vectors of kernels end where they would in the whole."""
    return TOGETHER // math.gcd(TOGETHER, math.prod(shape[1:]))


def _room_of(array: NDArray[Any]) -> int:
    """The numbers of an array, rounded up to a line of the cache."""
    step = ALIGNED // array.itemsize
    return -(-array.size // step) * step
