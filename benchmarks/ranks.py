"""Whole trainings through `cl.fit` on two ranks of one thread, beside one: `python -m benchmarks.ranks [--pairs 7]`.

The network is 784-256-256-10, trained by Adam; a step's seconds are those of the median epoch of a training in a
process that is warm, which other programs disturb less than the whole.  Contenders take turns; medians and quartiles
are told, and ratios of medians.
PyTorch's DistributedDataParallel (gloo) stands beside them where `.bench` has PyTorch.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.hosts import MPIEXEC
from benchmarks.machine import Others
from benchmarks.peers import PYTHON, ROOT

SIZES, ROWS, EPOCHS, RATE = (784, 256, 256, 10), 20_480, 9, 0.001
"""Sizes of layers, rows of the table, epochs of which the median counts, learning rate."""
BATCHES = (1024, 256)
ONE, EXACT, FAST, THREADS, DDP = "one rank", "two ranks, exact", "two ranks, fast", "two threads", "PyTorch DDP"
OURS: dict[str, tuple[int, int, int, str]] = {
    ONE: (1, 1, 2, "exact"),
    EXACT: (2, 1, 2, "exact"),
    FAST: (2, 1, 2, "fast"),
    THREADS: (1, 2, 1, "exact"),
}
"""Processes, threads of each, shards of a batch, and how gradients are added."""
BOUNDS = {(1024, ONE, EXACT): 1.6, (1024, ONE, FAST): 1.7, (256, ONE, FAST): 1.4, (1024, THREADS, FAST): 0.95}
"""The least that the second gains over the first."""


def table() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows without meaning."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, SIZES[0])).astype(np.float32), rng.integers(0, SIZES[-1], ROWS)


def train(batch: int, shards: int, reduce: str) -> None:
    """Train for some epochs; the first rank prints seconds a step."""
    import clearprop as cl  # not where PyTorch reads this module

    data = table()

    def epochs(number: int) -> list[float]:
        ends = list[float]()

        def note(event: Any, _state: Any) -> None:
            if event["event"] == "epoch":
                ends.append(time.perf_counter())

        model, options = cl.nn.mlp(SIZES, seed=0), {"grad_shards": shards, "reduce": reduce, "progress": False}
        rule = cl.optim.adam(RATE)
        cl.fit(model, data, optimizer=rule, epochs=number, batch_size=batch, callbacks=[note], **options)
        return np.diff(ends).tolist()

    epochs(1)
    found = epochs(1 + EPOCHS)
    if os.environ.get("PMI_RANK", "0") == "0":  # the others end with it: they meet in every step
        print(json.dumps(float(np.median(found)) / (ROWS // batch)))


def ours(contender: str, batch: int) -> float:
    """Seconds a step of one of OURS."""
    processes, threads, shards, reduce = OURS[contender]
    launch = [str(MPIEXEC), "-n", str(processes)] if processes > 1 else []
    words = [*launch, sys.executable, "-m", "benchmarks.ranks", "--worker", str(batch), str(shards), reduce]
    return float(json.loads(_said([words], CLEARPROP_THREADS=str(threads))[0]))


def ddp(batch: int) -> float:
    """Seconds a step of PyTorch's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [[str(PYTHON), "-m", "benchmarks.contenders.torch_ddp", rank, "2", str(batch)] for rank in "01"]
    return float(json.loads(_said(words, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)[0]))


def _said(commands: Sequence[list[str]], **env: str) -> list[str]:
    """The lines that processes print which run together."""
    known = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    running = [subprocess.Popen(c, cwd=ROOT, env=known, stdout=subprocess.PIPE, text=True) for c in commands]
    told = [process.communicate()[0].split("\n") for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"{' '.join(commands[0])} failed")
    return [line for lines in told for line in lines if line]


def compared(batch: int, pairs: int) -> dict[str, list[float]]:
    """Seconds a step of every contender, in turns."""
    found: dict[str, list[float]] = {name: [] for name in (*OURS, *([DDP] if PYTHON.exists() else []))}
    for turn in range(pairs):
        for name in sorted(found, reverse=bool(turn % 2)):
            found[name].append(ddp(batch) if name == DDP else ours(name, batch))
    return found


def main() -> None:
    """Measure at both sizes of batch, and print medians, quartiles and ratios beside their bounds."""
    parser = argparse.ArgumentParser("python -m benchmarks.ranks", description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="how often every contender runs (default 7)")
    parser.add_argument("--worker", nargs=3, metavar=("BATCH", "SHARDS", "REDUCE"), help="be a contender of ours")
    asked = parser.parse_args()
    if asked.worker:
        batch, shards, reduce = asked.worker
        train(int(batch), int(shards), reduce)
        return
    others = Others()
    for batch in BATCHES:
        found = compared(batch, asked.pairs)
        print(f"\nbatch {batch}, milliseconds a step" + " " * 12 + "median  quartiles")
        for name, seconds in found.items():
            low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75]) * 1e3
            print(f"  {name:38} {middle:7.2f}  {low:.2f} – {high:.2f}")
        for (first, second), bound in _ratios(batch, found).items():
            ratio = np.median(found[first]) / np.median(found[second])
            print(f"  {second} against {first}: {ratio:.2f}x" + (f" (bound {bound})" if bound else ""))
    print(f"\nshare of the processors that others had: {others.share() or 0:.0%}")


def _ratios(batch: int, found: dict[str, list[float]]) -> dict[tuple[str, str], float]:
    """The pairs that are told, each with its bound; 1 where a peer is to be beaten."""
    bounded = {(first, second): bound for (size, first, second), bound in BOUNDS.items() if size == batch}
    return bounded | ({(DDP, EXACT): 1.0, (DDP, FAST): 1.0} if DDP in found else {})


if __name__ == "__main__":
    main()
