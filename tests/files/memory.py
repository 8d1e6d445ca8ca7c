"""The most memory that this process took."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_memory():
    """The peak of this program's resident memory in bytes.

    Linux counts it in /proc from when the program began; `ru_maxrss` begins with what the process that started it took,
    so that a child of a test process of a gibibyte seems to have taken a gibibyte.
    """
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
