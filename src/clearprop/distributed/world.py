"""The processes of one MPI job that share a training: who decides, what must be equal, how all end together."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import os
import shutil
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, BinaryIO, NoReturn, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clearprop.compiler import set_threads, threads_asked, warn_user
from clearprop.compiler.native import blas
from clearprop.distributed.machine import Machine
from clearprop.distributed.outcomes import RankOutcome, raise_alone
from clearprop.distributed.sums import (
    ADDITIONS,
    SHARED_MEMORY,
    SharedMemory,
    SharedVectors,
    add_into,
    bytes_needed,
    fits_shared_memory,
)
from clearprop.errors import ArgumentError, ClearpropError, RunError
from clearprop.program.processes import launched_processes

_T = TypeVar("_T")
FIRST_SECONDS = 600.0
"""A rank may take so long to each of its first sums, whatever the limit between sums is: kernels are compiled."""
COMPILING_SUMS = 3
"""The first sums: the second call of a step is compiled, too (`compiler/native/object_calls`)."""
GRACE_SECONDS = 1.0
"""A mistake that all ranks made is told by the first: the others wait so long before they tell it."""
PASSING_SECONDS = 0.5
"""So long stand its last words before a rank ends all: what the launcher has not passed on by then is lost (MPICH)."""
REARM_SECONDS = 1.0
"""The guard against ranks that hang is wound up no oftener than this."""
_OPEN_MPI = "OMPI_COMM_WORLD_SIZE"
"""A variable that Open MPI's launcher sets."""
PIECE = 1 << 20
"""Bytes of a file that are sent at a time."""
MISTAKE, FAULT, INTERRUPTED = 2, 1, 130
"""The exit code of the job after a user's mistake, any other exception, a second Ctrl-C."""


def join_world(rank_timeout: float = FIRST_SECONDS) -> World:
    """The world of all processes that the launcher started; the first call starts MPI.

    rank_timeout  a rank that has waited so many seconds for the others ends the job, and prints where it waited

    Raises RunError where mpi4py or MPI is not there, or is not that of the launcher.
    """
    world = _world()
    world.rank_timeout = rank_timeout
    return world


@functools.cache
def _world() -> World:
    os.environ.setdefault("MPIR_CVAR_SUPPRESS_ABORT_MESSAGE", "1")  # the mistake is told by then (MPICH)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a launcher of another MPI, which is said below
            import mpi4py  # a dependency that is asked for

            # an MPI that another one's launcher started may end the process when it starts: what it is comes first
            mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
            from mpi4py import MPI
    except (ImportError, RuntimeError) as problem:  # RuntimeError: mpi4py found no MPI library
        raise _no_mpi(str(problem).partition("\n")[0]) from None
    launched, library = launched_processes(), MPI.Get_library_version().partition("\n")[0][:60].strip()
    if launched > 1 and _OPEN_MPI in os.environ and "Open MPI" not in library:
        raise _another_mpi(launched, f"those of Open MPI's launcher, with {library}")
    if not MPI.Is_initialized():
        MPI.Init_thread()
    joined = MPI.COMM_WORLD.Get_size()
    if launched != joined and launched > 1:
        raise _another_mpi(launched, f"{joined} in {library}")
    return World(MPI.COMM_WORLD.Dup(), MPI.COMM_WORLD.Abort)


def _another_mpi(launched: int, got: str) -> RunError:
    return RunError(
        "the launcher and mpi4py belong to different MPIs",
        expected=f"{launched} processes that find each other",
        got=got,
        try_="the mpiexec of that library: with clearprop[mpi-local] it is beside python",
    )


def _no_mpi(got: str) -> RunError:
    return RunError(
        "several processes need mpi4py and an MPI library",
        expected="pip install 'clearprop[mpi]' with the cluster's MPI, or 'clearprop[mpi-local]', which brings one",
        got=got,
        try_='pip install "clearprop[mpi-local]"; or world="none" (--world none) for trainings of their own',
    )


class World:
    """The ranks of an MPI job.  Rank 0, the first, decides and writes; all compute."""

    def __init__(self, comm: Any, abort: Callable[[int], object]) -> None:
        self.comm, self.rank, self.size = comm, comm.Get_rank(), comm.Get_size()
        self.host, self._abort = socket.gethostname(), abort
        self.rank_timeout = FIRST_SECONDS
        self._common: BaseException | None = None
        self._sums, self._wound = 0, -REARM_SECONDS
        self._shared: dict[tuple[int, np.dtype[Any]], SharedVectors] = {}
        self._common_memory: dict[tuple[int, np.dtype[Any]], SharedMemory] = {}
        if self.size > 1:
            sys.excepthook = self._end_all

    # ------------------------------------------------------------------------------------------------- together
    def lead(self, decide: Callable[[], _T]) -> _T:
        """What the first rank finds; an error of ours that it raises is raised by all."""
        return self.everyone.lead(decide)

    def settled(self, outcome: RankOutcome[_T]) -> _T:
        """What was found; an error of ours, which all ranks know of, is raised."""
        if outcome.mistake is not None:
            self._raise_common(outcome.mistake)
        return outcome.found  # type: ignore[return-value]  # where there is no mistake

    @functools.cached_property
    def machine(self) -> Machine:
        """The ranks on this machine, as those who make one table ready together; all ranks ask for it together."""
        from mpi4py import MPI  # a dependency that is asked for, and was imported by now

        own = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        whole = own.Get_size() == self.size
        return Machine(own, self._wind, self.settled if whole else raise_alone)

    def vector(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """Zeros to write what `add` adds; all ranks ask together, for as many.

        Where all ranks are on one machine they share its memory, unless that has no room for it, which is told.
        """
        self._wind()
        kind = np.dtype(dtype)
        if self.size == 1 or self.machine.size < self.size:
            return np.zeros(count, kind)
        if (count, kind) not in self._shared:
            needed = bytes_needed(self.size, count, kind)
            if not all(self.machine.each(lambda: fits_shared_memory(needed))):
                if self.rank == 0:
                    warn_user(f"gradients are sent, not shared: {SHARED_MEMORY} has no room for {needed:,} bytes")
                return np.zeros(count, kind)
            self._shared[count, kind] = SharedVectors(self.machine.comm, count, kind)
        own = self._shared[count, kind].own
        own[...] = 0  # a training before may have left its own
        return own

    def common(self, vector: NDArray[Any], count: int) -> NDArray[Any] | None:
        """So many numbers of the dtype of `vector`, each of which one rank writes and all read; all ask together.

        None where what `vector` gave is not shared, or the machine has no room for them.
        """
        self._wind()
        if self._memory_of(vector) is None:
            return None
        key = count, vector.dtype
        if key not in self._common_memory:
            if not all(self.machine.each(lambda: fits_shared_memory(count * vector.itemsize))):
                return None
            self._common_memory[key] = SharedMemory(self.machine.comm, (count,), vector.dtype)
        return self._common_memory[key].numbers

    def _memory_of(self, vector: NDArray[Any]) -> SharedVectors | None:
        """Where a vector stands that ranks share."""
        shared = self._shared.get((vector.size, vector.dtype))
        return shared if shared is not None and shared.own is vector else None

    def add(self, vector: NDArray[Any], how: str) -> NDArray[Any]:
        """The sum of `vector` over all ranks, of which all have the same bits, until the next sum.

        `how` is a name of ADDITIONS; what `vector` gave is added in shared memory, and exactly, whatever it is.
        """
        self._wind()
        shared = self._memory_of(vector)
        if shared is not None:
            total = shared.add()
        else:
            ADDITIONS[how](self.comm, vector)
            total = vector
        self._count_sum()
        return total

    def add_parts(self, vector: NDArray[Any], parts: Sequence[slice], into: NDArray[Any]) -> None:
        """Set parts of `into` to those of the sum of a vector that is shared over all ranks, added as `add` adds.

        Ranks may write their vectors again when they have met once more.
        """
        self.meet(vector)
        rows = self._shared[vector.size, vector.dtype].all
        for part in parts:
            add_into(into[part], [row[part] for row in rows])
        self._count_sum()

    def meet(self, vector: NDArray[Any]) -> None:
        """Wait for all ranks, with which `vector` is shared: they see what each has written into what they share."""
        self._wind()
        self._shared[vector.size, vector.dtype].meet()

    def _count_sum(self) -> None:
        self._sums += 1
        if self._sums == COMPILING_SUMS:  # from now on steps compile nothing, and the guard may be shorter
            self._wound = -REARM_SECONDS

    def require_same(self, **facts: object) -> None:
        """Raise RunError on every rank unless all have the same facts; it names what differs, the rank and its host."""
        self._wind()
        ranks = self.comm.allgather((self.host, facts))
        first_host, expected = ranks[0]
        for rank, (host, found) in enumerate(ranks):
            differing = next((name for name in expected if found[name] != expected[name]), None)
            if differing is not None:
                self._raise_common(
                    RunError(
                        f"rank {rank} does not train what rank 0 does: another {differing.replace('_', ' ')}",
                        expected=f"{_short(expected[differing])}, as rank 0 on {first_host}",
                        got=f"{_short(found[differing])} on {host}",
                        try_="the same program, data, packages and kind of processor on every host",
                    )
                )

    def require_divisor(self, shards: int, command: bool) -> None:
        """Raise ArgumentError unless the ranks can share so many shards equally."""
        if shards % self.size == 0:
            return
        word, enough = "--grad-shards " if command else "grad_shards=", 1 << (self.size - 1).bit_length()
        fits = self.size & (self.size - 1) == 0
        self._raise_common(
            ArgumentError(
                f"{self.size} processes cannot share {shards} shard{'s' * (shards > 1)} equally",
                expected="1, 2, 4, … processes, as many as shards or fewer",
                got=f"{self.size} processes, {word}{shards}",
                where=word.strip("= "),
                try_=f"{word}{enough}" if fits else f"mpiexec -n {enough // 2} … {word}{max(shards, enough // 2)}",
            )
        )

    def _raise_common(self, mistake: ClearpropError) -> NoReturn:
        self._common = mistake
        raise mistake

    @functools.cached_property
    def everyone(self) -> Machine:
        """All ranks, as those who share rows that are in a file on every machine."""
        return Machine(self.comm, self._wind, self.settled)

    def collect(self, own: BinaryIO, into: BinaryIO) -> None:
        """Write what all ranks have in their files, in the order of ranks, into the file of the first."""
        self._wind()
        own.seek(0)
        if self.rank:
            while piece := own.read(PIECE):
                self.comm.send(piece, dest=0)
            self.comm.send(b"", dest=0)
            return
        shutil.copyfileobj(own, into)
        for rank in range(1, self.size):
            while piece := self.comm.recv(source=rank):
                self._wind()
                into.write(piece)

    # -------------------------------------------------------------------------------------------------- threads
    def divide_threads(self) -> None:
        """Divide the processors of a machine among its ranks, unless a number of threads was asked for.

        Raises ArgumentError, on all ranks, where those of one machine have fewer processors than threads.
        """
        asked = threads_asked()
        here = (self.host, asked, os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None)
        hosts: dict[str, list[tuple[int | None, set[int] | None]]] = {}
        for host, threads, processors in self.comm.allgather(here):
            hosts.setdefault(host, []).append((threads, processors))
        for host, ranks in hosts.items():
            self._require_processors(host, ranks)
        if asked is None:
            set_threads(max(1, _processors_of(hosts[self.host]) // len(hosts[self.host])))

    def _require_processors(self, host: str, ranks: list[tuple[int | None, set[int] | None]]) -> None:
        """Raise ArgumentError where ranks of one machine asked for more threads than it has processors."""
        processors, most = _processors_of(ranks), max(threads or 1 for threads, _ in ranks)
        if most > 1 and sum(threads or 1 for threads, _ in ranks) > processors:
            self._raise_common(
                ArgumentError(
                    "more threads than processors would make every rank slower",
                    expected=f"at most {processors} threads on {host}, over all of its ranks",
                    got=f"{len(ranks)} ranks of {most} threads",
                    where="--threads",
                    try_=f"--threads {max(1, processors // len(ranks))}, or fewer ranks",
                )
            )

    # -------------------------------------------------------------------------------------------- ending together
    @contextlib.contextmanager
    def united(self, *common: type[BaseException]) -> Iterator[World]:
        """Within it, an exception of one rank ends all, with its message: nobody waits for a rank that has gone.

        What all ranks raise together passes: what `lead` and the checks here raise, and exceptions of types `common`.
        """
        try:
            yield self
        except common:
            raise
        except BaseException as problem:
            if self.size == 1 or problem is self._common:
                raise
            self._end_all(type(problem), problem, problem.__traceback__)
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._sums, self._wound = 0, -REARM_SECONDS

    @contextlib.contextmanager
    def first_alone_speaks(self) -> Iterator[None]:
        """Within it, what ranks but the first print goes nowhere."""
        with contextlib.ExitStack() as stack:
            if self.rank:
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123 - a device
                stack.enter_context(contextlib.redirect_stdout(nowhere))
                stack.enter_context(contextlib.redirect_stderr(nowhere))
            yield

    def _end_all(self, kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
        """Tell an exception on the terminal, and end all processes of the job."""
        if self.rank:
            time.sleep(GRACE_SECONDS)
        told, code = _last_words(kind, problem, trace)
        place = f"rank {self.rank} of {self.size} on {self.host}: " if self.rank else ""
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"{place}{told}\n")
            sys.__stderr__.flush()
        time.sleep(PASSING_SECONDS)
        self._abort(code)

    def _wind(self) -> None:
        """Wind up the guard: where this rank has not come here again in time, it prints its stacks, and all end."""
        now = time.monotonic()
        if self.size > 1 and now - self._wound >= REARM_SECONDS and sys.__stderr__ is not None:
            limit = self.rank_timeout if self._sums >= COMPILING_SUMS else max(self.rank_timeout, FIRST_SECONDS)
            faulthandler.dump_traceback_later(limit, exit=True, file=sys.__stderr__)
            self._wound = now


def _processors_of(ranks: list[tuple[int | None, set[int] | None]]) -> int:
    """How many processors the ranks of one machine may use together."""
    known = [processors for _, processors in ranks if processors is not None]
    return len(set().union(*known)) if known else blas.cores()


def _last_words(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> tuple[str, int]:
    """What is told of an exception that ends the job, and the exit code."""
    if isinstance(problem, ClearpropError):
        return problem.message, MISTAKE
    if isinstance(problem, KeyboardInterrupt):
        return "interrupted", INTERRUPTED
    if isinstance(problem, SystemExit):
        code = problem.code if isinstance(problem.code, int) and problem.code else FAULT
        return f"the program left the training by sys.exit({problem.code!r})", code
    return "".join(traceback.format_exception(kind, problem, trace)).rstrip(), FAULT


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:100] + " …"
