"""Processes that read hostile files, watched from outside: one that hangs, dies or takes much has found something."""

import json
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMORY, SECONDS = 2**30, 10
"""What one file may take: bytes of resident memory at their peak, all that the process holds included; seconds of
processor time.  A process that is silent for six times as long hangs."""
PATIENCE = 180
"""Seconds that a process may take to make what is to be damaged."""


@dataclass
class Found:
    """What came of the cases of one seed."""

    told: Counter = field(default_factory=Counter)
    failures: list = field(default_factory=list)
    peak: int = 0
    rose: int = 0
    slowest: float = 0.0

    @property
    def count(self):
        return sum(self.told.values())

    def take(self, case, end, ready):
        """Count a case that was read."""
        told = end["told"] if end["told"] in ("harmless", "refused") else "failed"
        self.peak, self.slowest = max(self.peak, end["memory"]), max(self.slowest, end["seconds"])
        self.rose = max(self.rose, end["memory"] - ready)
        wrong = [] if told != "failed" else [end["told"]]
        wrong += [f"executed {end['executed']}"] * bool(end["executed"])
        wrong += [f"{end['memory']:,} bytes"] * (end["memory"] > MEMORY)
        wrong += [f"{end['seconds']:.1f} seconds"] * (end["seconds"] > SECONDS)
        self.add(case, told, wrong)

    def add(self, case, told, wrong):
        self.told[case["kind"], case["what"], told] += 1
        if wrong:
            self.failures.append([case["number"], case["kind"], case["what"], *wrong])

    def of(self, kind, told):
        """How many cases of a kind, whatever they are, ended so."""
        return sum(number for (k, _, t), number in self.told.items() if (k, t) == (kind, told))


def fuzz(seed, first, count, step=1):
    """Read cases of a seed; where a process ends in the middle of one, another goes on behind it."""
    found, number = Found(), first
    while number is not None and number < first + count:
        where = map(str, (seed, number, first + count - number, step))
        command = [sys.executable, "-W", "error", "-m", "tests.files.fuzzing", *where]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
            try:
                number = _follow(process, found, step)
            except Unfinished as problem:
                errors.seek(0)
                raise AssertionError(f"{problem}: {errors.read().decode(errors='replace')[-3000:]}") from None
            finally:
                process.kill()
                process.communicate()
    return found


class Unfinished(Exception):
    """A process that reads files ended before the first, or after the last one, by its own fault."""


def _follow(process, found, step):
    """Take what a process says until it ends; gives the number of the case to go on with, None for none."""
    lines = _lines(process)
    ready = next(lines, None)
    if ready is None:
        raise Unfinished("nothing was read")
    for case in lines:
        end = next(lines, None)
        if end is None:
            how = "hung" if process.poll() is None else f"ended with {process.wait()}"
            found.add(case, "failed", [f"the process {how}"])
            return case["number"] + step
        found.take(case, end, ready["ready"])
    if process.wait() != 0:
        raise Unfinished(f"ended with {process.returncode}")
    return None


def _lines(process):
    """The lines of a process as values, until it ends, or is silent for longer than a file may take."""
    held, patience = b"", PATIENCE
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            until = time.monotonic() + patience
            while b"\n" not in held:
                if not selector.select(max(0.0, until - time.monotonic())):
                    return
                piece = process.stdout.read1()
                if not piece:
                    return
                held += piece
            line, _, held = held.partition(b"\n")
            yield json.loads(line)
            patience = 6 * SECONDS
