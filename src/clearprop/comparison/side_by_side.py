"""A comparison whose networks are trained by the workers that sweeps have, several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from clearprop.comparison.trials import Setup, Trace, Trainings, train_one
from clearprop.data.training_data import Prepared
from clearprop.optim.transform import Transform
from clearprop.search.rooms import Workplace, room_in


@contextmanager
def trainings_on(
    on: str, data: Prepared, setup: Setup, again: Callable[[], Prepared] | None = None
) -> Iterator[Trainings]:
    """Networks trained by `local`, `local:N` or `dask://HOST:PORT`, until the block ends.

    All see the same data, which are in memory once a machine, and are read `again` by one that does not see the disk
    of this one.  Raises ArgumentError for workers that cannot be had.

    >>> from clearprop.comparison.trials import compare
    >>> from clearprop.data.training_data import from_source
    >>> data, setup = from_source("iris", None, "auto", 0.2, 0.0, 0), Setup((4,), epochs=2, seeds=2)
    >>> with trainings_on("local:1", data, setup) as train_all:                          # doctest: +SKIP
    ...     outcomes = compare(data, ["adam", "sgd"], setup, train_all=train_all)
    """
    pool = Workplace(on).pool()
    assert pool is not None  # a place was named
    with room_in(pool, data, again) as room:

        def train_all(asked: Sequence[tuple[Transform, int]]) -> Iterator[Trace]:
            return room.results(train_one, [(rule, setup, seed) for rule, seed in asked])

        yield train_all
