"""What a step on several processes is made of: `python -m benchmarks.scale [--ranks 1,2,4] [--links 1gbit,10gbit]`.

A rank's own work on its shards is measured in seconds of its processor, so that other programs disturb it little, the
exchange in seconds of the clock; the fastest tenth counts.  From both the model says what N ranks would do:

    t(B, N, S) = fixed + per_shard · S/N + per_row · B/N + 2 · log2(N) · latency + 2 · 4 · P/bandwidth

for batches of B rows in S shards and P parameters, where fixed (the update, the overhead of a step), per_shard and
per_row are those of one rank: from two sizes of batch and two numbers of shards.  Where N ranks share fewer processors,
one does the work of several.  The model is checked here: whole steps on N ranks, by the clock, beside what it says with
the latency and the bandwidth of two ranks on this machine.  mpiexec stands beside this Python (`clearprop[mpi-local]`).
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
from dataclasses import dataclass
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
STEPS, REPEATS = 10, 15
SHARDS = (4, 8)
"""The numbers of shards that one rank is measured with; the first is that of the check, on every number of ranks."""
TIERS = ((1024, 10), (1024, 100), (8192, 10), (8192, 100), (65_536, 10), (65_536, 100))
"""Batches and gigabits a second for which the model speaks."""
MANY = (2, 4, 8, 16, 64, 256, 1024, 4096)


def step_seconds(world: World, rows: int, shards: int, clock: Callable[[], float]) -> float:
    """The seconds of a step by a clock: the fastest tenth of many; of ranks that take turns on a processor the mean."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows * STEPS, SIZES[0])).astype(np.float32), rng.integers(0, SIZES[-1], rows * STEPS)
    model, rule, key = cl.nn.mlp(SIZES, seed=0), cl.optim.sgd(0.01, momentum=0.9), random.key(0).value
    step = make_step(cl.nn.cross_entropy, (), rule, shards=shards)
    execute, feed = sharded_executor(step, key, world), ArrayFeed(x, y, rows, False, key, shards)
    state, found = State(model, rule.init(model)), list[float]()
    for _ in range(REPEATS):
        marks = [clock()]
        state = execute(state, feed, None, lambda _, told=marks: bool(told.append(clock())))[0].next_epoch()
        found += np.diff(marks).tolist()
    known = found[STEPS:]  # the first compile
    return float(np.mean(known) if world.size > len(os.sched_getaffinity(0)) else np.quantile(known, 0.1))


def exchange_seconds(world: World, length: int, how: str) -> float:
    """The seconds in which ranks add up vectors: the fastest tenth of many."""
    length += -length % world.size
    vector, found = world.vector(length, np.float32), []
    for _ in range(100):
        world.comm.Barrier()
        began = time.perf_counter()
        world.add(vector, how)
        found.append(time.perf_counter() - began)
    return float(np.quantile(found, 0.1))


def measured(world: World) -> dict[str, Any]:
    """All figures of so many ranks."""
    few, many = SHARDS
    found: dict[str, Any] = {"ranks": world.size}
    if world.size == 1:
        for rows, shards in ((ROWS[0], few), (ROWS[1], few), (ROWS[1], many)):
            found[f"own {rows} in {shards}"] = step_seconds(world, rows, shards, time.process_time)
    else:
        found |= {f"{how} {n}": exchange_seconds(world, n, how) for how in ADDITIONS for n in VECTORS}
    found |= {f"step {rows}": step_seconds(world, rows, few, time.perf_counter) for rows in ROWS}
    return found


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


@dataclass(frozen=True)
class StepModel:
    """What a step of one rank is made of, in seconds: always, for every shard, for every row."""

    fixed: float
    per_shard: float
    per_row: float

    @classmethod
    def of(cls, figures: dict[str, float]) -> StepModel:
        """From what one rank was measured to need."""
        (small, large), (few, many) = ROWS, SHARDS
        least, most = figures[f"own {small} in {few}"], figures[f"own {large} in {few}"]
        per_row = (most - least) / (large - small)
        per_shard = max(0.0, (figures[f"own {large} in {many}"] - most) / (many - few))
        return cls(least - per_row * small - per_shard * few, per_shard, per_row)

    def seconds(self, rows: int, shards: int, ranks: int, link: Link | None, processors: int | None = None) -> float:
        """Seconds of a step; `processors` that ranks share, if they are fewer."""
        share = 1 if processors is None else max(1, math.ceil(ranks / processors))
        own = self.fixed + self.per_shard * shards / ranks + self.per_row * rows / ranks
        return share * own + (link.seconds(ranks) if link is not None and ranks > 1 else 0.0)


@dataclass(frozen=True)
class Link:
    """Between ranks: seconds until a message begins to arrive, and bytes a second."""

    latency: float
    bandwidth: float

    @classmethod
    def between_two(cls, figures: dict[str, float], how: str) -> Link:
        """From what two ranks needed for a short vector and for the parameters."""
        short, long = figures[f"{how} {VECTORS[0]}"], figures[f"{how} {PARAMETERS}"]
        return cls(short / 2, 8 * PARAMETERS / max(long - short, 1e-9))

    def seconds(self, ranks: int) -> float:
        """The sum of the parameters' gradients over ranks."""
        return 2 * math.log2(ranks) * self.latency + 8 * PARAMETERS / self.bandwidth


def main() -> None:
    """Measure on each number of ranks, and say what the model makes of it."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--ranks", default="1,2,4", help="numbers of ranks, besides 1 (default 1,2,4)")
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
    figures = {n: on_ranks(n) for n in sorted({1, *map(int, asked.ranks.split(","))})}
    for n, found in figures.items():
        _tell(f"{n} ranks", found)
    for rate in links:
        _tell(f"2 hosts, {rate}", on_hosts(rate))
    model = StepModel.of(figures[1])
    parts = (1e3 * model.fixed, 1e3 * model.per_shard, 1e6 * model.per_row)
    print("\na step of one rank: {:.2f} ms, {:.2f} ms a shard, {:.2f} us a row".format(*parts))
    if 2 in figures:
        _check(model, Link.between_two(figures[2], "exact"), figures)
    _foretell(model)


def _check(model: StepModel, link: Link, figures: dict[int, dict[str, float]]) -> None:
    """What the model says of this machine beside what was measured, by the clock."""
    processors = len(os.sched_getaffinity(0))
    print(f"\nthe model beside steps measured here, {SHARDS[0]} shards, {processors} processors")
    for rows in ROWS:
        for ranks, found in figures.items():
            said, was = model.seconds(rows, SHARDS[0], ranks, link, processors), found[f"step {rows}"]
            told = f"said {1e3 * said:6.2f} ms  was {1e3 * was:6.2f} ms  {said / was - 1:+.0%}"
            print(f"{rows:>5} rows, {ranks} ranks  {told}")


def _foretell(model: StepModel) -> None:
    """What the model says of clusters: steps of one rank in one of N, each with a processor and a shard of its own."""
    print("\nthe model: N ranks against one, a shard each, at a latency of 20 us")
    for rows, gigabits in TIERS:
        link = Link(20e-6, gigabits * 1e9 / 8)
        one = model.seconds(rows, 1, 1, None)
        gains = {n: one / model.seconds(rows, n, n, link) for n in MANY if n <= rows}
        told = "  ".join(f"{n}: {gain:.1f}x" for n, gain in gains.items())
        print(f"batch {rows:>6}, {gigabits:>3} Gbit/s  {told}")


def _tell(where: str, found: dict[str, Any]) -> None:
    for name, seconds in found.items():
        if name != "ranks":
            print(f"{where:16}  {name:>14}  {seconds * 1e6:10.0f} us")


if __name__ == "__main__":
    main()
