"""Twelve optimizers on three data sets: `python -m benchmarks.comparison` writes what `docs/optimizers.md` says.

For every set it trains 12 optimizers at 8 learning rates on 5 networks each, and judges every best rate on 10 other
networks, through the function behind `clearprop compare`; two processes share the work.  It writes
`docs/tables/compare-SET.md`, the numbers beside it as JSON, and `docs/images/compare-SET.svg`; `--sets digits` one set.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.optimizers.markdown import table
from clearprop.comparison.page import draw, heads, notes, record, rows
from clearprop.comparison.trials import Outcome, Setup, compare
from clearprop.comparison.verdict import differences, verdict
from clearprop.data.training_data import from_source

DOCS = Path(__file__).parent.parent / "docs"
OPTIMIZERS = (
    "sgd:momentum=0.9",
    "adam",
    "adamw",
    "rmsprop",
    "lion",
    "schedule_free",
    "diag_newton",
    "hypergradient",
    "lookahead:inner=adam",
    "sam:inner=adam",
    "swats",
    "fractional_memory:alpha=0.7+sgd",
)
SETS = {
    "digits": Setup(epochs=40, grid=True, judged=10),
    "spirals": Setup(epochs=80, grid=True, judged=10),
    "diabetes": Setup(epochs=80, grid=True, judged=10),
}
"""The budgets: epochs of a rule that takes one gradient per step."""
METRICS = {"digits": "accuracy", "spirals": "accuracy", "diabetes": "R²"}


def outcome(data: str, name: str) -> Outcome:
    """One optimizer on one set; runs in a process of its own."""
    return compare(from_source(data, None, "auto", 0.2, 0.0, 0), [name], SETS[data])[0]


def outcomes(sets: Iterable[str], workers: int) -> dict[str, list[Outcome]]:
    """All optimizers on all sets, the best of each set first."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the processes start afresh and see it
    found: dict[str, list[Outcome]] = {data: [] for data in sets}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        tasks = {pool.submit(outcome, data, name): data for data in found for name in OPTIMIZERS}
        for task in as_completed(tasks):
            one = task.result()
            found[tasks[task]].append(one)
            print(f"{tasks[task]}: {one.name} at {one.rate:.3g}: {one.score:.4g}", flush=True)
    return {data: sorted(them, key=lambda o: o.score) for data, them in found.items()}


def page(data: str, found: list[Outcome], seconds: float) -> str:
    """The table, what it does not say, and the verdict."""
    setup = SETS[data]
    pairs = differences(found)
    clear = sum(d.clear for d in pairs)
    return "\n\n".join([
        f"# Optimizers on {data}",
        f"{len(found)} optimizers, 8 learning rates each, chosen on {len(setup.choosing)} networks and judged on "
        f"{len(setup.judging)} others: 2 hidden layers of 32, relu, batches of {setup.batch_size}, and for every "
        f"network the gradients of {setup.epochs} epochs. The validation loss is the lowest of a run; ± is the "
        "standard deviation between networks; p belongs to the difference to the first row, corrected for all pairs.",
        table(heads(METRICS[data]), rows(found)),
        f"Verdict: {verdict(found, setup)}.",
        f"Of the {len(pairs)} pairs {clear} differ clearly.",
        *([f"{note[:1].upper()}{note[1:]}." for note in notes(found)]),
        f"Made by `python -m benchmarks.comparison` in {seconds / 60:.0f} minutes for all sets, two processes on "
        f"{os.cpu_count()} cores; Python {platform.python_version()}, {platform.machine()}. Seconds are the "
        "processor's, without compilation.",
    ])  # fmt: skip


def write(data: str, found: list[Outcome], seconds: float) -> None:
    """The files of one set."""
    tables, images = DOCS / "tables", DOCS / "images"
    (tables / f"compare-{data}.md").write_text(page(data, found, seconds) + "\n", encoding="utf-8")
    numbers = json.dumps(record(found, SETS[data], curves=False), indent=1)
    (tables / f"compare-{data}.json").write_text(numbers + "\n", encoding="utf-8")
    draw(images / f"compare-{data}.svg", found)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparison")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    began = time.perf_counter()
    found = outcomes(options.sets, options.workers)
    seconds = time.perf_counter() - began
    for data, them in found.items():
        write(data, them, seconds)
        print(f"\n{page(data, them, seconds)}", flush=True)


if __name__ == "__main__":
    main()
