"""Slices of vectors are added as a binary tree, whether they are sent or stand in memory that ranks share."""

import numpy as np
import pytest

from clearprop.distributed.sums import fold
from clearprop.train.shards import tree_sum


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_slices_are_added_as_a_tree(count):
    rows = np.random.default_rng(count).normal(size=(count, 5)).astype(np.float32)
    assert np.array_equal(fold(rows.copy()), tree_sum(list(rows)))


SUMS = """
import sys
import numpy as np
from clearprop.distributed import join_world, sums
from clearprop.distributed.sums import add_exactly

sums.ROOM = int(sys.argv[1])
world = join_world()
for dtype in ("float32", "float64"):
    for count in (world.size, 1000 * world.size):
        own = world.vector(count, dtype)
        assert not own.any()
        for turn in range(20):  # the memory of the last sum is written again while others may still read
            own[:] = np.random.default_rng([world.rank, turn]).normal(size=count)
            wanted = own.copy()
            add_exactly(world.comm, wanted)
            found = world.add(own, "exact")
            assert found.dtype == dtype and found.tobytes() == wanted.tobytes()
        if found is not own:  # another training is given the same memory
            assert not world.vector(count, dtype).any()
if world.rank == 0:
    print("in memory of its own" if found is own else "in shared memory")
"""


@pytest.mark.parametrize(("size", "where"), [(1, "of its own"), (2, "shared"), (4, "shared")])
def test_what_ranks_share_is_added_to_the_same_bits(ranks, size, where):
    done = ranks(size, "-c", SUMS, 0)
    assert done.returncode == 0 and where in done.stdout and not done.stderr, done.stderr


def test_without_room_in_shared_memory_vectors_are_sent_which_is_said(ranks):
    done = ranks(2, "-c", SUMS, 1 << 60)
    assert done.returncode == 0 and "of its own" in done.stdout, done.stderr
    assert done.stderr.count("gradients are sent, not shared: /dev/shm has no room for") == 4  # of four lengths
