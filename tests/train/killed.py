"""A small training that is run as a process of its own, to be killed, or to be refused by the disk.

    python -m tests.train.killed FOLDER [--compiled] [--kill N] [--refuse N ERRNO]

It starts the run in FOLDER, or resumes the one that is there, and prints a line after every epoch.  `--kill N` sends
SIGKILL to itself right before operation number N on files of the run; `--refuse N ERRNO` lets that operation and all
later ones that write fail.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

import numpy as np

import clearprop as cl

EPOCHS, OPERATIONS = 24, 360
"""The epochs of the training, and about how many operations on files it makes at least."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
WATCHED = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.listdir", "os.scandir"}


def train(out=None, resume=None, **options):
    """The training that all tests of kills do."""
    rng = np.random.default_rng(1)
    y = np.arange(32) % 2
    x = (rng.normal(size=(32, 4)) + y[:, None]).astype(np.float32)
    network = cl.nn.Sequential(cl.nn.Dense(4, 6, rng=1), "relu", cl.nn.Dropout(0.2), cl.nn.Dense(6, 2, rng=2))
    settings = {"epochs": EPOCHS, "batch_size": 8, "validation": 0.25, "checkpoint_seconds": 0.0, **options}
    return cl.fit(network, (x, y), out=out, resume=resume, **settings)


def use_eager_executor():
    """Nothing is compiled: a process is ready sooner."""
    from clearprop.train import job
    from clearprop.train.executor import eager_executor

    job.choose_executor = eager_executor


def is_write(event, args):
    return event in ("os.rename", "os.mkdir") or (event == "open" and bool((args[2] or 0) & WRITING))


def watch(folder, act, only=lambda event, args: True):
    """Call `act(number)` before every operation on files under `folder`, or of a folder that is to become it."""
    count = 0
    ours = (folder, str(Path(folder).parent / f".{Path(folder).name}.partial-"))

    def hook(event, args):
        nonlocal count
        if event in WATCHED and str(args[0]).startswith(ours) and only(event, args):
            count += 1
            act(count)

    sys.addaudithook(hook)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--kill", type=int)
    parser.add_argument("--refuse", type=int, nargs=2)
    asked = parser.parse_args()
    if not asked.compiled:
        use_eager_executor()
    if asked.kill is not None:
        watch(str(asked.folder), lambda n: n == asked.kill and os.kill(os.getpid(), signal.SIGKILL))
    if asked.refuse is not None:
        first, number = asked.refuse

        def refuse(n):
            if n >= first:
                raise OSError(number, os.strerror(number))

        watch(str(asked.folder), refuse, is_write)
    there = (asked.folder / "config.json").exists()
    try:
        train(
            **{"resume" if there else "out": asked.folder},
            callbacks=[lambda event, state: print(event["event"], flush=True)],
        )
    except cl.errors.ClearpropError as problem:
        print(problem.message, file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
