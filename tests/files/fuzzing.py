"""Hostile files: tables, run folders, sweeps, configs and models, damaged by chance and by malice, then read.

    python -m tests.files.fuzzing SEED FIRST COUNT [STEP]

Every case must be read as if nothing were wrong, or refused with an error of ours.  Reads cases number FIRST,
FIRST + STEP, … and prints a line of JSON before and after each: what it is, how it ended, what was executed (but for
the program that reads workbooks), the seconds of processor time, and the peak of resident memory in bytes.
`tests.files.limits` starts such processes and watches them.
"""

import json
import os
import random
import resource
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import clearprop as cl
from benchmarks.machine import peak_memory, resident
from clearprop.data.readers.excel_file import PROGRAM
from tests.files.damage import MARK
from tests.files.stored_cases import Cases

KINDS = ("run", "data", "config", "data", "run", "data", "model", "data", "run", "sweep")
EXECUTING = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "pickle.find_class", "socket.connect")
ROOM = 2**30
"""Bytes of addresses that the process may take beyond those that it has when it begins."""


def main():
    seed, first, count, *step = map(int, sys.argv[1:])
    executed, watching = [], False

    def hear(event, args):
        if watching and event in EXECUTING and not (event == "subprocess.Popen" and str(PROGRAM) in args[1]):
            executed.append(event)

    sys.addaudithook(hear)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        os.chdir(name)
        cases = Cases(Path(name))
        warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy: hostile numbers overflow
        cases.load_packages()
        limit_addresses()
        say({"ready": peak_memory()})
        for number in range(first, first + count, *step):
            rng = random.Random(seed * 1_000_003 + number)
            kind = KINDS[number % len(KINDS)]
            what, read = getattr(cases, kind)(rng)
            say({"number": number, "kind": kind, "what": what})
            executed.clear()
            forget_peak()
            watching, began = True, processor_seconds()
            told = outcome(read)
            watching, seconds = False, processor_seconds() - began
            marked = [MARK] if Path(MARK).exists() else []
            say({"told": told, "seconds": seconds, "memory": peak_memory(), "executed": [*executed, *marked]})
            cases.clear()


def outcome(read):
    """How it ends: harmless, refused, or what else comes out, which is what is looked for."""
    try:
        read()
    except cl.errors.ClearpropError as problem:
        whole = problem.headline and problem.expected and len(problem.message) < 4000
        return "refused" if whole else f"an error that says too little, or too much: {problem.message[:500]}"
    except BaseException as problem:
        return "".join(traceback.format_exception(problem)[-3:])[-1500:]
    return "harmless"


def say(what):
    print(json.dumps(what), flush=True)


def processor_seconds():
    """What this process and those that it has started have worked: other programs may take most of the machine."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def forget_peak():
    """From here on the peak of resident memory is counted anew, where the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def limit_addresses():
    taken = resident("VmSize")
    if taken is not None:
        resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))


if __name__ == "__main__":
    main()
