"""What ranks tell each other before they train together, with ranks that are lists of what they would say."""

import os
import sys

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import get_threads, set_threads, threads
from clearprop.distributed import world as module
from clearprop.distributed.world import World
from clearprop.errors import ArgumentError, RunError
from clearprop.program.processes import launched_processes


class Ranks:
    """A communicator of which this process is the first rank; the others say what `others` makes of what it says."""

    def __init__(self, size, others=lambda said: said):
        self.size, self.others = size, others

    def Get_rank(self):
        return 0

    def Get_size(self):
        return self.size

    def allgather(self, said):
        return [said, *[self.others(said)] * (self.size - 1)]

    def bcast(self, said, root):
        return said


@pytest.fixture
def world(monkeypatch):
    """`world(size, others)`; what ends the job is kept in `ended`."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def make(size, others=lambda said: said):
        made = World(Ranks(size, others), lambda code: make.ended.append(code))
        monkeypatch.setattr(made, "_wind", lambda: None)
        return made

    make.ended = []
    return make


@pytest.fixture
def asked(monkeypatch):
    """`asked(n)`: so many threads were asked for; None: nobody asked."""
    before = get_threads()
    monkeypatch.delenv("CLEARPROP_THREADS", raising=False)
    yield lambda n: threads._chosen.__setitem__(slice(None), [] if n is None else [n])
    set_threads(before)


@pytest.mark.parametrize(
    ("size", "shards", "command", "got", "try_"),
    [
        (2, 1, True, "2 processes, --grad-shards 1", "--grad-shards 2"),
        (8, 4, False, "8 processes, grad_shards=4", "grad_shards=8"),
        (3, 4, True, "3 processes, --grad-shards 4", "mpiexec -n 2 … --grad-shards 4"),
        (6, 2, False, "6 processes, grad_shards=2", "mpiexec -n 4 … grad_shards=4"),
    ],
)
def test_shards_that_ranks_cannot_share_are_refused(world, size, shards, command, got, try_):
    with pytest.raises(ArgumentError, match=f"{size} processes cannot share") as error:
        world(size).require_divisor(shards, command)
    assert (error.value.got, error.value.try_) == (got, try_)


def test_shards_that_ranks_can_share_are_not(world):
    for size, shards in ((1, 1), (1, 8), (2, 2), (4, 8)):
        world(size).require_divisor(shards, command=True)


def test_a_rank_that_differs_is_named_with_its_host(world):
    others = world(3, lambda said: ("far", {**said[1], "version_of_numpy": "2.1"}))
    with pytest.raises(RunError, match="rank 1 does not train what rank 0 does: another version of numpy") as error:
        others.require_same(data="a", version_of_numpy="2.4")
    assert error.value.expected == f"2.4, as rank 0 on {others.host}" and error.value.got == "2.1 on far"
    world(3).require_same(data="a", version_of_numpy="2.4")


def test_processors_are_divided_among_the_ranks_of_a_machine(world, asked, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    asked(None)
    world(3).divide_threads()
    assert get_threads() == 2
    asked(None)
    world(3, lambda said: ("far", *said[1:])).divide_threads()
    assert get_threads() == 6


def test_two_ranks_of_two_threads_on_one_processor_are_refused(world, asked, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    asked(2)
    with pytest.raises(ArgumentError, match="more threads than processors") as error:
        world(2).divide_threads()
    assert error.value.got == "2 ranks of 2 threads" and error.value.try_ == "--threads 1, or fewer ranks"
    asked(1)
    world(2).divide_threads()
    assert get_threads() == 1


@pytest.mark.parametrize(
    ("problem", "code", "told"),
    [
        (ArgumentError("no such column", got="prize"), 2, "no such column\n  got       prize\n"),
        (SystemExit(3), 3, "the program left the training by sys.exit(3)\n"),
        (SystemExit(), 1, "the program left the training by sys.exit(None)\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (ValueError("broken"), 1, "ValueError: broken\n"),
    ],
)
def test_an_exception_of_one_rank_is_told_and_ends_all(world, capfd, problem, code, told):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "__stderr__", sys.stderr)
        with world(2).united():
            raise problem
    assert world.ended == [code]
    assert capfd.readouterr().err.endswith(told)


def test_what_all_ranks_raise_passes(world):
    made = world(2)

    def decide():
        raise ArgumentError("the folder is not empty")

    with pytest.raises(ArgumentError, match="not empty"), made.united():
        made.lead(decide)
    with pytest.raises(cl.TrainingInterrupted), made.united(cl.TrainingInterrupted):
        raise cl.TrainingInterrupted(None)
    with pytest.raises(ValueError, match="alone"), world(1).united():
        raise ValueError("alone")
    assert made.lead(lambda: 3) == 3 and world.ended == []


@pytest.mark.parametrize(
    ("variables", "count"),
    [
        ({}, 1),
        ({"PMI_SIZE": "4"}, 4),
        ({"OMPI_COMM_WORLD_SIZE": "2", "SLURM_STEP_NUM_TASKS": "9"}, 2),
        ({"SLURM_STEP_NUM_TASKS": "8"}, 8),
        ({"SLURM_NTASKS": "8"}, 1),  # of a batch script, which is one process
        ({"PMI_SIZE": "many"}, 1),
    ],
)
def test_launchers_are_known_by_what_they_say(monkeypatch, variables, count):
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert launched_processes() == count


def test_the_guard_is_wound_up_with_the_first_limit_and_then_with_the_other(monkeypatch):
    wound, clock = [], [0.0]
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(module.faulthandler, "dump_traceback_later", lambda limit, **_: wound.append(limit))
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setitem(module.ADDITIONS, "exact", lambda *_: None)
    made = World(Ranks(2), lambda code: None)
    made.rank_timeout = 3.0
    lead, add = (lambda: made.lead(lambda: None)), (lambda: made.add(np.zeros(2), "exact"))
    # at 0.5 and 2.0 it was wound up just before; between the sums at 1.5, 2.0 and 9.0 kernels are compiled
    for clock[0], work in ((0.0, lead), (0.5, lead), (1.5, add), (2.0, add), (9.0, add), (9.5, add), (20.0, add)):
        work()
    assert wound == [module.FIRST_SECONDS] * 3 + [3.0, 3.0]
