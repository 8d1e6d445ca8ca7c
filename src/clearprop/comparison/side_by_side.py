"""A comparison whose networks are trained by the workers that sweeps have, several at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from clearprop.comparison.trials import Setup, Trace, Trainings, train_one
from clearprop.compiler import get_threads, set_threads
from clearprop.data.training_data import Prepared
from clearprop.optim.transform import Transform
from clearprop.runs.settings import Settings
from clearprop.search.pools import pool_for, require_workers, results
from clearprop.search.shared_data import SharedData, share


@contextmanager
def trainings_on(on: str, data: Prepared, setup: Setup) -> Iterator[Trainings]:
    """Networks trained by `local`, `local:N` or `dask://HOST:PORT`, until the block ends.

    All see the same data, which are in memory once a machine.  Raises ArgumentError for workers that cannot be had.

    >>> from clearprop.comparison.trials import compare
    >>> from clearprop.data.training_data import from_source
    >>> data, setup = from_source("iris", None, "auto", 0.2, 0.0, 0), Setup((4,), epochs=2, seeds=2)
    >>> with trainings_on("local:1", data, setup) as train_all:                          # doctest: +SKIP
    ...     outcomes = compare(data, ["adam", "sgd"], setup, train_all=train_all)
    """
    pool = pool_for(on)
    try:
        require_workers(pool)
        with share(data, Settings(data=None)) as shared:

            def train_all(asked: Sequence[tuple[Transform, int]]) -> Iterator[Trace]:
                return results(pool, _train, [(shared, rule, setup, seed, os.getpid()) for rule, seed in asked])

            yield train_all
    finally:
        pool.close()


def _train(shared: SharedData, rule: Transform, setup: Setup, seed: int, home: int) -> Trace:
    """One network, by a worker; it has one thread, since there are others beside it."""
    if os.getpid() != home and get_threads() != 1:
        set_threads(1)
    return train_one(shared.open(), rule, setup, seed)
