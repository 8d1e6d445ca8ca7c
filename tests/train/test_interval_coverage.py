"""Intervals hold as many unseen rows as they promise, on tables of several kinds."""

import numpy as np
import pytest

from benchmarks.intervals import LEVELS, SEEDS, TABLES, bounds, coverage


@pytest.mark.verify
@pytest.mark.parametrize("table", TABLES)
def test_an_interval_holds_what_it_promises(table):
    means = np.mean([coverage(table, seed) for seed in range(SEEDS)], axis=0)
    for level, mean in zip(LEVELS, means, strict=True):
        low, high = bounds(level)
        assert low <= mean <= high, (level, mean)
