"""What changes cost: the source before and after each, side by side in pairs, with a confidence interval of the ratio.

    python -m benchmarks.cost                                 every change of `CHANGES`; docs/tables/cost.md
    python -m benchmarks.cost --before COMMIT --after COMMIT  another change; without --after: until now
    python -m benchmarks.cost --rows W0,W9 --pairs 15         some rows, fewer pairs: only to look

Sources are taken out of git; the rows, the arrays and the clock are those of today's `benchmarks`.  A pair is one
turn of each side, one right after the other, and every other pair in the other order.  Both sides are started afresh
`STARTS` times, since where a process lies in memory is part of its speed.  What counts is processor time on one
processor, so that other programs on the machine disturb little.  The interval is that of the median of the pairs'
ratios, by order statistics: it supposes no distribution.  It must end at `MOST`, or below.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.contenders import taking_part
from benchmarks.machine import Others, description
from benchmarks.measure import Effort, Live, Process, Result
from benchmarks.peers import OURS, ROOT
from benchmarks.report import duration, table
from benchmarks.workloads import Workload, chosen

OUT = ROOT / "docs" / "tables"
MOST = 1.03
"""What the interval of a ratio, after over before, may reach."""
PAIRS, STARTS, CONFIDENCE = 63, 3, 0.95
ROWS = "W0,W1,W2,W3,W4,W5,W9"
EFFORT = Effort(seconds=0.05, pause=0.0)


@dataclass(frozen=True)
class Change:
    """The commit before a change and the one that made it (None: the source as it lies here)."""

    title: str
    before: str
    after: str | None = None


CHANGES = (
    Change("class labels outside their range are refused by every executor", "9964146", "639adad"),
    Change("rows of targets that are no probabilities are refused by every executor", "99d7210", "0a069ec"),
    Change("a NaN that was chosen shows in its derivative", "c198d17", "d879b9e"),
    Change("what was recorded is what is differentiated", "619b2b1", "37482ee"),
    Change("what was not chosen contributes nothing", "4f25621", "7d5e1d3"),
    Change("all of these, and everything else since", "c198d17"),
)


# ------------------------------------------------------------------------------------------------- statistics
def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two of the values that hold their true median between them with at least this confidence (Thompson, 1936).

    The number of values below the median is binomial with chance 1/2, whatever their distribution.  With too few
    values for the confidence, the least and the greatest.

    >>> interval(range(1, 46))
    (16, 30)
    """
    ordered, n = sorted(values), len(values)
    outside, ways, rank = 0.0, 1.0, 0
    while outside + ways / 2**n <= (1 - confidence) / 2:
        outside += ways / 2**n
        ways *= (n - rank) / (rank + 1)
        rank += 1
    return ordered[max(0, rank - 1)], ordered[min(n - 1, n - rank)]


@dataclass(frozen=True)
class Cost:
    """The figures of one row: seconds of a unit on both sides, in the order of the pairs."""

    row: Workload
    before: list[float]
    after: list[float]
    others: float | None

    @property
    def ratios(self) -> list[float]:
        return [new / old for old, new in zip(self.before, self.after, strict=True)]

    @property
    def limits(self) -> tuple[float, float]:
        return interval(self.ratios)

    def cells(self) -> list[str]:
        """A line of the table."""
        low, high = self.limits
        shared = "" if self.others is None else f"{self.others:.0%}"
        return [
            f"{self.row.name}: {self.row.title}", duration(median(self.before)), duration(median(self.after)),
            f"{median(self.ratios):.3f}", f"{low:.3f} – {high:.3f}", "yes" if high <= MOST else "**no**", shared,
        ]  # fmt: skip


# -------------------------------------------------------------------------------------------------- measuring
@contextmanager
def source(commit: str | None) -> Iterator[Path]:
    """The folder with the package as it was at a commit."""
    if commit is None:
        yield ROOT / "src"
        return
    command = ["git", "-C", str(ROOT), "archive", commit, "src"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"git knows no source of {commit}: {done.stderr.decode().strip()}")
    with tempfile.TemporaryDirectory(prefix="clearprop-cost-") as name:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
            files.extractall(name, filter="data")
        yield Path(name) / "src"


def measure(row: Workload, sources: tuple[Path, Path], pairs: int, starts: int) -> Cost:
    """The pairs of one row."""
    others = Others()
    before: list[float] = []
    after: list[float] = []
    for start in range(starts):
        old, new = _pairs(row, sources, pairs // starts + (start < pairs % starts))
        before += old
        after += new
    return Cost(row, before, after, others.share())


def _pairs(row: Workload, sources: tuple[Path, Path], pairs: int) -> tuple[list[float], list[float]]:
    contender = taking_part(row, {OURS.name})[0]
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="clearprop-bench-"))
        sides = []
        for side, path in zip(("before", "after"), sources, strict=True):
            folder = Path(name) / side
            folder.mkdir()
            process = Process(contender, row, sys.executable, folder, EFFORT.patience, path)
            stack.callback(process.stop)
            sides.append(Live(process, Result(contender.name, side), row))
        for one in sides:
            one.prepare(EFFORT)
            one.clock = "process_time"
        sides[0].calls = sides[1].calls = max(one.calls for one in sides)
        for number in range(pairs):
            for one in sides if number % 2 else sides[::-1]:
                one.sample()
        return sides[0].own, sides[1].own


# --------------------------------------------------------------------------------------------------- the page
def page(command: str, found: dict[str, list[Cost]], pairs: int, starts: int) -> str:
    """The table of every change, in Markdown."""
    machine = description()
    head = ["row", "before", "after", "ratio", f"{CONFIDENCE:.0%} interval", f"at most {MOST}", "others"]
    parts = [
        "# What being right costs",
        f"Made by `{command}` on {machine['processor']}, {machine['cores']} cores, Python {machine['python']}. "
        "Processor time of a step, or of a call, on one processor, before and after a change: medians of "
        f"{pairs} alternating pairs from {starts} starts of both sides. *ratio* is the median of the pairs' ratios, "
        "after over before; its interval supposes no distribution. *others*: the share of the machine's processor "
        "time that other programs used meanwhile.",
    ]
    for title, costs in found.items():
        parts += [f"## {title[0].upper()}{title[1:]}", table(head, [cost.cells() for cost in costs])]
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> int:
    args = _parsed(arguments)
    changes = CHANGES
    if args.before:
        changes = (Change(f"from {args.before} to {args.after or 'here'}", args.before, args.after),)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # and with it all processes that are measured
    found: dict[str, list[Cost]] = {}
    for change in changes:
        with source(change.before) as before, source(change.after) as after:
            found[title := f"{change.title} ({change.before} → {change.after or 'here'})"] = []
            print(title, file=sys.stderr)
            for row in chosen(args.rows):
                found[title].append(measure(row, (before, after), args.pairs, args.starts))
                print(" | ".join(found[title][-1].cells()), file=sys.stderr, flush=True)
    command = " ".join(["python -m benchmarks.cost", *(sys.argv[1:] if arguments is None else arguments)])
    text = page(command, found, args.pairs, args.starts)
    print(text)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "cost.md").write_text(text)
        record = {t: {c.row.name: [c.before, c.after] for c in costs} for t, costs in found.items()}
        (args.out / "cost.json").write_text(json.dumps(record) + "\n")
    return any(cost.limits[1] > MOST for costs in found.values() for cost in costs)


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.cost", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--before", help="the commit before the change; without it, every change of the table")
    parser.add_argument("--after", help="the commit that made it; without it, the source as it lies here")
    parser.add_argument("--rows", default=ROWS, help=f"names of rows, or their beginnings (default {ROWS})")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"pairs of every row (default {PAIRS})")
    parser.add_argument("--starts", type=int, default=STARTS, help=f"starts of both sides (default {STARTS})")
    parser.add_argument("--out", type=Path, help="folder for cost.md and cost.json, such as docs/tables")
    args = parser.parse_args(arguments)
    if args.after and not args.before:
        parser.error("--after needs --before")
    return args


if __name__ == "__main__":
    sys.exit(main())
