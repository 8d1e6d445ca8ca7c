"""A busy machine: every processor is taken by a process of somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST = 3600
"""Seconds after which such a process ends by itself, should nobody end it."""
_SPIN = f"import time\nend = time.monotonic() + {_LONGEST}\nwhile time.monotonic() < end: pass"


@contextmanager
def busy_processors() -> Iterator[int]:
    """As many processes that only count the time as there are processors, while the block runs."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    children = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(count)]
    try:
        yield count
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()
