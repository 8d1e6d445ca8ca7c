"""What a step on several processes is made of: `python -m benchmarks.scale [--ranks 1,2] [--links 1gbit,10gbit]`.

A rank's own work on its shards is measured in seconds of its processor, so that other programs disturb it little; the
exchange in seconds of the clock, of which the fastest tenth counts.  From both the model says what N ranks would do:

    t(B, N) = fixed + per_row · B/N + 2 · log2(N) · latency + 2 · 4 · P/bandwidth

for batches of B rows and P parameters, where fixed (the update, the overhead of a step) and per_row are the line
through the two sizes of batch that were measured.  mpiexec stands beside this Python (`clearprop[mpi-local]`).
With `--links` (as root) two hosts, which are network namespaces, exchange over a link that lets through so much.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import clearprop as cl
from benchmarks.hosts import MPIEXEC, missing, two_hosts
from benchmarks.peers import ROOT
from clearprop.distributed import World, join_world
from clearprop.distributed.sums import ADDITIONS
from clearprop.rules import random
from clearprop.runs.state import State
from clearprop.train.batches import ArrayFeed
from clearprop.train.sharded_executor import sharded_executor
from clearprop.train.step import make_step

SIZES = (784, 256, 256, 10)
ROWS, PARAMETERS = (256, 1024), sum((a + 1) * b for a, b in pairwise(SIZES))
VECTORS = (2_560, PARAMETERS, 1_850_000)
"""The lengths of the float32 vectors that are exchanged."""
STEPS, REPEATS = 10, 7


def own_seconds(world: World, rows: int, shards: int) -> float:
    """The processor's seconds of a step, without waiting: those of the fastest of several runs."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows * STEPS, SIZES[0])).astype(np.float32), rng.integers(0, SIZES[-1], rows * STEPS)
    model, rule, key = cl.nn.mlp(SIZES, seed=0), cl.optim.sgd(0.01, momentum=0.9), random.key(0).value
    step = make_step(cl.nn.cross_entropy, (), rule, shards=shards)
    execute, feed = sharded_executor(step, key, world), ArrayFeed(x, y, rows, False, key, shards)
    state = State(model, rule.init(model))
    found = []
    for _ in range(REPEATS):
        began = time.process_time()
        state = execute(state, feed, None, lambda _: False)[0].next_epoch()
        found.append((time.process_time() - began) / STEPS)
    return min(found)


def exchange_seconds(world: World, length: int, how: str) -> float:
    """The seconds in which ranks add up vectors: the fastest tenth of many."""
    length += -length % world.size
    vector, found = np.zeros(length, np.float32), []
    for _ in range(100):
        world.comm.Barrier()
        began = time.perf_counter()
        ADDITIONS[how](world.comm, vector)
        found.append(time.perf_counter() - began)
    return float(np.quantile(found, 0.1))


def measured(world: World) -> dict[str, Any]:
    """All figures of so many ranks."""
    shards = max(2, world.size)
    own = {f"own {rows}": own_seconds(world, rows, shards) for rows in ROWS} if world.size == 1 else {}
    exchanged = {f"{how} {n}": exchange_seconds(world, n, how) for how in ADDITIONS for n in VECTORS}
    return {"ranks": world.size, **own, **(exchanged if world.size > 1 else {})}


def on_ranks(count: int) -> dict[str, Any]:
    """The figures of this program on so many ranks."""
    words = [str(MPIEXEC), "-n", str(count), sys.executable, "-m", "benchmarks.scale", "--rank"]
    env = {**os.environ, "CLEARPROP_THREADS": "1"}
    told = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(told)
    return found


def on_hosts(rate: str) -> dict[str, Any]:
    """The figures of this program on two hosts, one rank each, whose link lets through so much a second."""
    with tempfile.TemporaryDirectory() as folder, two_hosts(Path(folder)) as hosts:
        hosts.limit(rate)
        paths = os.pathsep.join([str(ROOT), *sys.path])
        told = hosts.start("-m", "benchmarks.scale", "--rank", PYTHONPATH=paths).communicate()[0]
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


def model_of(own: dict[int, float], rows: int, latency: float, bandwidth: float) -> Callable[[int], float]:
    """Seconds of a step on N ranks, from those on one by rows, and the network's latency and bytes per second."""
    few, many = ROWS
    per_row = (own[many] - own[few]) / (many - few)
    fixed = own[few] - per_row * few

    def seconds(n: int) -> float:
        exchange = 2 * math.log2(n) * latency + 8 * PARAMETERS / bandwidth if n > 1 else 0.0
        return fixed + per_row * rows / n + exchange

    return seconds


def main() -> None:
    """Measure on each number of ranks, and say what the model makes of it."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--ranks", default="1,2", help="numbers of ranks, 1 among them (default 1,2)")
    parser.add_argument("--rank", action="store_true", help="be one of the ranks")
    parser.add_argument("--links", default="", help="such as 1gbit,10gbit: exchange over simulated links too (root)")
    asked = parser.parse_args()
    if asked.rank:
        world = join_world()
        figures = measured(world)
        if world.rank == 0:
            print(json.dumps(figures))
        return
    links = [rate for rate in asked.links.split(",") if rate]
    if links and missing():
        raise SystemExit(f"no links can be simulated here: {missing()}")
    figures = {n: on_ranks(n) for n in map(int, asked.ranks.split(","))}
    for n, found in figures.items():
        _tell(f"{n} ranks", found)
    for rate in links:
        _tell(f"2 hosts, {rate}", on_hosts(rate))
    own = {rows: figures[1][f"own {rows}"] for rows in ROWS}
    print("\nthe model: N ranks against one, at a latency of 20 us")
    for rows in (1024, 8192):
        for gigabits in (10, 100):
            predict = model_of(own, rows, 20e-6, gigabits * 1e9 / 8)
            times = "  ".join(f"{n}: {predict(1) / predict(n):.1f}x" for n in (2, 4, 8, 16, 32, 64))
            print(f"batch {rows:>6}, {gigabits:>3} Gbit/s  {times}")


def _tell(where: str, found: dict[str, Any]) -> None:
    for name, seconds in found.items():
        if name != "ranks":
            print(f"{where:16}  {name:>14}  {seconds * 1e6:10.0f} us")


if __name__ == "__main__":
    main()
