"""The sum of a vector over all ranks: in a fixed order, or as fast as the MPI library can."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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
