"""The sum of a vector over all ranks: sent in a fixed order, or as MPI finds best; or in memory that ranks share."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

SHARED_MEMORY = Path("/dev/shm")
"""Where Linux keeps it.  In a container it may be small, and who writes beyond the end of a full one is killed."""
ROOM = 1 << 24
"""Bytes that stay free there."""
PIECE = 1 << 12
"""Numbers that are added at a time, so that sums of pairs stay in the nearest caches."""


def add_exactly(comm: Any, vector: NDArray[Any]) -> None:
    """Replace `vector` by its sum over all ranks, in a binary tree of their order: the same bits whatever MPI is used.

    comm    a communicator of N ranks, N a power of two
    vector  `(n,)`, of the same length on all ranks, N a divisor of n

    Every rank adds up one slice of all vectors, so that 2·n numbers cross the wire, as in the best `Allreduce`
    (Rabenseifner, "Optimization of collective reduction operations", 2004), whose order of additions MPI leaves open.
    """
    slices = np.empty((comm.Get_size(), vector.size // comm.Get_size()), vector.dtype)
    comm.Alltoall(vector, slices)
    comm.Allgather(fold(slices), vector)


def fold(rows: NDArray[Any]) -> NDArray[Any]:
    """The sum of rows `(N, n)`, N a power of two, neighbours first; the rows are overwritten.

    >>> fold(np.array([[1.0], [2.0], [3.0], [4.0]]))
    array([10.])
    """
    while len(rows) > 1:
        rows[0::2] += rows[1::2]
        rows = rows[0::2]
    total: NDArray[Any] = rows[0]
    return total


def add_fast(comm: Any, vector: NDArray[Any]) -> None:
    """Replace `vector` by its sum over all ranks, in the order that the MPI library finds best.

    All ranks have the same bits, but another number of ranks, library or machine may have others.
    """
    from mpi4py import MPI  # mpi4py starts MPI, which is asked for by now

    comm.Allreduce(MPI.IN_PLACE, vector)


ADDITIONS = {"exact": add_exactly, "fast": add_fast}
"""How ranks may add, by name."""


class SharedMemory:
    """Numbers that all ranks of a machine load and store.

    It is a window of MPI-3 (Hoefler et al., "MPI + MPI: a new hybrid approach to parallel programming with MPI plus
    shared memory", 2013).

    comm   a communicator of ranks of one machine
    shape  of the array `numbers`
    """

    def __init__(self, comm: Any, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        from mpi4py import MPI  # a dependency that is asked for, and was imported by now

        kind = np.dtype(dtype)
        self._comm = comm
        whole = math.prod(shape) * kind.itemsize if comm.Get_rank() == 0 else 0
        self._window = MPI.Win.Allocate_shared(whole, kind.itemsize, comm=comm)
        memory: Any = self._window.Shared_query(0)[0]
        self.numbers: NDArray[Any] = np.ndarray(shape, kind, buffer=memory)
        self._window.Lock_all(MPI.MODE_NOCHECK)

    def meet(self) -> None:
        """Wait for all; what each has stored before, all load behind it."""
        self._window.Sync()
        self._comm.Barrier()
        self._window.Sync()


class SharedVectors:
    """A vector of each rank, which the rank alone writes, and their sum, in memory that they share.

    comm   a communicator of N ranks of one machine, N a power of two
    count  how many numbers a vector has, a multiple of N
    """

    def __init__(self, comm: Any, count: int, dtype: DTypeLike) -> None:
        ranks, rank = comm.Get_size(), comm.Get_rank()
        memory = SharedMemory(comm, (ranks + 1, count), dtype)
        self.meet, self.all = memory.meet, list(memory.numbers[:ranks])
        self.own: NDArray[Any] = self.all[rank]
        self._total: NDArray[Any] = memory.numbers[ranks]
        share = count // ranks
        mine = slice(rank * share, (rank + 1) * share)
        self._parts, self._sum = [row[mine] for row in self.all], self._total[mine]

    def add(self) -> NDArray[Any]:
        """The sum of all vectors, added in a binary tree of the ranks' order, as `add_exactly` adds.

        Every rank adds up one slice.  Whoever has the sum may read it until its own next call, and write `own` again.
        """
        self.meet()  # all vectors are written, and nobody reads the last sum any more
        add_into(self._sum, self._parts)
        self.meet()  # all slices are added
        return self._total


def add_into(total: NDArray[Any], parts: Sequence[NDArray[Any]]) -> None:
    """Set `total` to the sum of two parts or more, a power of two, neighbours first.

    >>> total = np.zeros(1)
    >>> add_into(total, [np.array([1.0]), np.array([2.0]), np.array([3.0]), np.array([4.0])])
    >>> total
    array([10.])
    """
    for at in range(0, len(total), PIECE):
        some = [part[at : at + PIECE] for part in parts]
        while len(some) > 2:
            some = [a + b for a, b in zip(some[::2], some[1::2], strict=True)]
        np.add(some[0], some[1], out=total[at : at + PIECE])


def bytes_needed(ranks: int, count: int, dtype: np.dtype[Any]) -> int:
    """The memory of a vector for each rank and of their sum."""
    return (ranks + 1) * count * dtype.itemsize


def fits_shared_memory(needed: int) -> bool:
    """Whether this machine has room for so many bytes that processes share."""
    return not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free >= needed + ROOM
