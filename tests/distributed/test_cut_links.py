"""Two hosts whose link is cut while they train: both ranks end within the limit, and the run goes on to the same bits.

A host is a network namespace with a name of its own; a pair of virtual cards joins the two.  Their making is allowed to
root alone, and is left out elsewhere.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import clearprop as cl
from tests.distributed.broken import train
from tests.distributed.conftest import LIMIT, MPIEXEC
from tests.train.conftest import bits

pytestmark = pytest.mark.verify
BROKEN = Path(__file__).parent / "broken.py"
CUTS = 12
CARD, ADDRESS = "link{}", "10.77.0.{}"
SSH = """#!/bin/sh
# stands for ssh: [options] HOST COMMAND, on the host of that address
while [ "${{1#-}}" != "$1" ]; do shift; done
host={prefix}$(expr "$1" : '.*\\.\\(.*\\)'); shift
exec ip netns exec $host unshare --uts sh -c "hostname $host; $*"
"""
"""What `mpiexec` starts its ranks by."""

REACH = """
import socket, sys, time
until = time.monotonic() + 30
while True:
    try:
        socket.create_connection((sys.argv[1], 9), 1).close()
    except ConnectionRefusedError:  # there is a host, and no service
        break
    except OSError:
        assert time.monotonic() < until, "the other host is not reached"
        time.sleep(0.05)
"""


class Hosts:
    """Two hosts, 1 and 2, on one link."""

    def __init__(self, folder):
        self.folder, self.prefix = folder, f"cp{os.getpid()}-"
        self.names = [f"{self.prefix}{number}" for number in (1, 2)]
        self.ssh = folder / "ssh"
        self.ssh.write_text(SSH.format(prefix=self.prefix))
        self.ssh.chmod(0o755)

    def join(self):
        for name in self.names:
            call("ip", "netns", "add", name)
        first, second = self.names
        call("ip", "-n", first, "link", "add", CARD.format(1), "type", "veth", "peer", CARD.format(2), "netns", second)
        for number, name in enumerate(self.names, 1):
            call("ip", "-n", name, "addr", "add", f"{ADDRESS.format(number)}/24", "dev", CARD.format(number))
            call("ip", "-n", name, "link", "set", "lo", "up")
            self.mend(number)
        self.meet()

    def mend(self, number):
        """Set the card of a host up."""
        call("ip", "-n", self.names[number - 1], "link", "set", CARD.format(number), "up")

    def meet(self):
        """Wait until both hosts reach each other."""
        for name, other in zip(self.names, (2, 1), strict=True):
            call("ip", "netns", "exec", name, sys.executable, "-c", REACH, ADDRESS.format(other))

    def ranks(self):
        """The processes of this Python on the hosts, `mpiexec` and its helpers apart."""
        pids = [pid for name in self.names for pid in call("ip", "netns", "pids", name).split()]
        return [pid for pid in pids if command_of(pid)[:1] == [sys.executable]]

    def start(self, how, out, **env):
        """A training with one rank on each host."""
        launch = ["ip", "netns", "exec", self.names[0], MPIEXEC, "-launcher", "ssh", "-launcher-exec", self.ssh]
        hosts = ",".join(ADDRESS.format(number) for number in (1, 2))
        known = {**os.environ, "CLEARPROP_THREADS": "1", "UCX_TLS": "tcp,self", **env}
        return subprocess.Popen(
            [*map(str, launch), "-hosts", hosts, "-n", "2", sys.executable, str(BROKEN), how, out],
            cwd=self.folder,
            env=known,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def leave(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def call(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def command_of(pid):
    """The words of a process; none of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    except OSError:
        return []


@pytest.fixture
def hosts(mpi, tmp_path):
    missing = [program for program in ("ip", "unshare", "hostname") if shutil.which(program) is None]
    if missing or os.geteuid():
        pytest.skip(f"namespaces need root and {', '.join(missing) or 'its rights'}")
    made = Hosts(tmp_path)
    try:
        made.join()
        yield made
    finally:
        made.leave()


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
        # the rank whose card it is sets it down; not the first step after an epoch's end, before which there is no sum
        step = draw.choice([step for step in range(1, known.steps) if step % 5])
        down = f"ip link set {CARD.format(card)} down"
        job = hosts.start("command", folder, BREAK_RANK=str(card - 1), BREAK_STEP=str(step), BREAK_COMMAND=down)
        told = end_of(hosts, job)
        assert "Timeout (0:00:03)!" in told and "steps 30" not in told, (number, step, told)
        hosts.mend(card)
        last = hosts.start("resume", folder)
        assert last.communicate(timeout=LIMIT)[0].count("steps 30") == 2 and last.returncode == 0, number
        assert bits(cl.load(tmp_path / folder).last) == bits(known.last)
    print(f"the link of two hosts was cut {CUTS} times; all runs went on and have the bits of one unbroken")
