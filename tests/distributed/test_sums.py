"""Slices of vectors are added as a binary tree."""

import numpy as np
import pytest

from clearprop.distributed.sums import fold
from clearprop.train.shards import tree_sum


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_slices_are_added_as_a_tree(count):
    rows = np.random.default_rng(count).normal(size=(count, 5)).astype(np.float32)
    assert np.array_equal(fold(rows.copy()), tree_sum(list(rows)))
