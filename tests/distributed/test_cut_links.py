"""Two hosts whose link is cut while they train: both ranks end within the limit, and the run goes on."""

import random
import time
from pathlib import Path

import pytest

import clearprop as cl
from benchmarks.hosts import CARD, missing, two_hosts
from tests.distributed.broken import FIRST, train
from tests.distributed.conftest import LIMIT
from tests.train.conftest import bits

pytestmark = pytest.mark.verify
BROKEN = str(Path(__file__).parent / "broken.py")
CUTS = 12


@pytest.fixture
def hosts(mpi, tmp_path):
    if missing():
        pytest.skip(f"no hosts can be made: {missing()}")
    with two_hosts(tmp_path) as made:
        yield made


def end_of(hosts, job):
    """What a training whose link was cut printed.  `mpiexec`, which waits for the other host for ever, is ended."""
    until = time.monotonic() + LIMIT
    while not hosts.ranks() and job.poll() is None:
        time.sleep(0.05)
    while hosts.ranks() and time.monotonic() < until:
        time.sleep(0.05)
    assert hosts.ranks() == [], "a rank hangs"
    job.kill()
    return job.communicate(timeout=LIMIT)[0]


def test_a_link_that_is_cut_ends_both_ranks_and_loses_nothing(hosts, tmp_path):
    draw, known = random.Random(0), train()
    for number in range(CUTS):
        folder, card = f"run-{number}", draw.choice((1, 2))
        # the rank whose card it is sets it down; not one of the first steps, in which kernels may be compiled for long
        step = draw.choice([step for step in range(FIRST, known.steps) if step % 5])
        down = f"ip link set {CARD.format(card)} down"
        words = {"BREAK_RANK": str(card - 1), "BREAK_STEP": str(step), "BREAK_COMMAND": down}
        told = end_of(hosts, hosts.start(BROKEN, "command", folder, **words))
        assert "Timeout (0:00:03)!" in told and "steps 30" not in told, (number, step, told)
        hosts.mend(card)
        hosts.meet()
        last = hosts.start(BROKEN, "resume", folder)
        assert last.communicate(timeout=LIMIT)[0].count("steps 30") == 2 and last.returncode == 0, number
        assert bits(cl.load(tmp_path / folder).last) == bits(known.last)
    print(f"the link of two hosts was cut {CUTS} times; all runs went on and have the bits of one unbroken")
