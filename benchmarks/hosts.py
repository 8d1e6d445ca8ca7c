"""Two hosts on one machine: network namespaces with names of their own, joined by a pair of virtual cards.

Their making is allowed to root alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MPIEXEC = Path(sys.executable).parent / "mpiexec"
"""The launcher that stands beside this Python (`clearprop[mpi-local]`)."""
CARD, ADDRESS = "link{}", "10.77.0.{}"
_PATIENCE = 10.0
"""Seconds in which a card comes up."""
_PROGRAMS = ("ip", "tc", "unshare", "hostname")
_SSH = """#!/bin/sh
# stands for ssh: [options] HOST COMMAND, on the host of that address
while [ "${{1#-}}" != "$1" ]; do shift; done
host={prefix}$(expr "$1" : '.*\\.\\(.*\\)'); shift
exec ip netns exec $host unshare --uts sh -c "hostname $host; $*"
"""
"""What `mpiexec` starts its ranks by."""
_REACH = """
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


def missing() -> str:
    """Why no hosts can be made here; nothing where they can."""
    absent = [program for program in _PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"there is no {absent[0]}"
    return "namespaces are made by root" if os.geteuid() else ""


@contextmanager
def two_hosts(folder: Path) -> Iterator[Hosts]:
    """The hosts, while the block runs; a program in `folder` stands for ssh."""
    hosts = Hosts(folder)
    try:
        hosts.join()
        yield hosts
    finally:
        for name in hosts.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


class Hosts:
    """Two hosts, number 1 and number 2, on one link."""

    def __init__(self, folder: Path) -> None:
        prefix = f"cp{os.getpid()}-"
        self.names = [f"{prefix}{number}" for number in (1, 2)]
        self.folder, self.ssh = folder, folder / "ssh"
        self.ssh.write_text(_SSH.format(prefix=prefix), encoding="utf-8")
        self.ssh.chmod(0o755)

    def join(self) -> None:
        """Make both, and wait until they reach each other."""
        for name in self.names:
            _call("ip", "netns", "add", name)
        first, second = self.names
        peer = ("peer", "name", CARD.format(2), "netns", second)
        _call("ip", "-n", first, "link", "add", CARD.format(1), "type", "veth", *peer)
        for number, name in enumerate(self.names, 1):
            # no address of IPv6, which takes a second to be of use, and which UCX would try
            _call("ip", "-n", name, "link", "set", CARD.format(number), "addrgenmode", "none")
            _call("ip", "-n", name, "addr", "add", f"{ADDRESS.format(number)}/24", "dev", CARD.format(number))
            _call("ip", "-n", name, "link", "set", "lo", "up")
            self.mend(number)
        self.meet()

    def mend(self, number: int) -> None:
        """Set the card of a host up."""
        _call("ip", "-n", self.names[number - 1], "link", "set", CARD.format(number), "up")

    def meet(self) -> None:
        """Wait until both reach each other, and their cards say so, on which UCX relies: that takes up to a second."""
        for number, name in enumerate(self.names, 1):
            ends = time.monotonic() + _PATIENCE
            while _call("ip", "-n", name, "-br", "link", "show", CARD.format(number)).split()[1] != "UP":
                if time.monotonic() > ends:
                    raise TimeoutError(f"the card of host {number} is not up after {_PATIENCE} s")
                time.sleep(0.02)
        for name, other in zip(self.names, (2, 1), strict=True):
            _call("ip", "netns", "exec", name, sys.executable, "-c", _REACH, ADDRESS.format(other))

    def limit(self, rate: str) -> None:
        """Let through so much a second in either direction, in the words of `tc`: 1gbit."""
        for number, name in enumerate(self.names, 1):
            rule = ("root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms")
            _call("ip", "netns", "exec", name, "tc", "qdisc", "replace", "dev", CARD.format(number), *rule)

    def ranks(self) -> list[str]:
        """The processes of this Python on the hosts, `mpiexec` and its helpers apart."""
        pids = [pid for name in self.names for pid in _call("ip", "netns", "pids", name).split()]
        return [pid for pid in pids if _words_of(pid)[:1] == [sys.executable]]

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Python with these words, one rank on each host; what is printed can be read from the process."""
        launch = ["ip", "netns", "exec", self.names[0], str(MPIEXEC), "-launcher", "ssh", "-launcher-exec"]
        hosts = ",".join(ADDRESS.format(number) for number in (1, 2))
        return subprocess.Popen(
            [*launch, str(self.ssh), "-hosts", hosts, "-n", "2", sys.executable, *words],
            cwd=self.folder,
            env={**os.environ, "CLEARPROP_THREADS": "1", "UCX_TLS": "tcp,self", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _call(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _words_of(pid: str) -> list[str]:
    """The words of a process; none of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    except OSError:
        return []
