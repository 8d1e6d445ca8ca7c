"""Reading tables beside polars: `python -m benchmarks.reading`.

It writes docs/tables/reading.md.  What counts is processor time, of all threads, which others on the machine hardly
change: medians of rounds that alternate, each reading in a process that has read a small table before.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "tables" / "reading.md"
ROWS, ROUNDS = 1_000_000, 3
WAYS = ("polars", "polars, all rows", "in memory", "streamed")
"""polars with the types that its first rows show; with those of all rows, as ours are; ours, by both ways."""
STREAMED_IN = 100 * 10**6


def numbers(rows: int) -> dict[str, object]:
    """Twenty columns of numbers with four decimals, and a class of 0 and 1."""
    x = np.random.default_rng(0).normal(size=(rows, 20)).round(4)
    return {f"x{i}": x[:, i] for i in range(20)} | {"y": (x[:, 0] + x[:, 1] > 0).astype(np.int64)}


def mixed(rows: int) -> dict[str, object]:
    """Numbers, one of them with gaps, words of few and of many levels, truth values, dates, times, counts, a class."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 6)).round(4)
    gaps = [None if value > 1.8 else value for value in x[:, 1].tolist()]
    days = np.datetime64("2020-01-01") + rng.integers(0, 1500, rows).astype("timedelta64[D]")
    times = np.datetime64("2021-01-01T00:00:00") + rng.integers(0, 3 * 10**7, rows).astype("timedelta64[s]")
    return {f"x{i}": x[:, i] for i in (0, 2, 3, 4, 5)} | {
        "x1": gaps,
        "colour": rng.choice(["red", "green", "blue", "dark blue"], rows),
        "place": rng.choice([f"town {i}" for i in range(60)], rows),
        "flag": rng.choice(["yes", "no"], rows),
        "day": days.astype(str),
        "at": times.astype(str),
        "count": rng.integers(0, 500, rows),
        "kind": np.where(x[:, 0] > 0, "a", "b"),
    }


TABLES = {"20 numbers": numbers, "mixed": mixed}


def read_once(path: str, way: str) -> None:
    """Read a table in one of the `WAYS`; ours with inference and checks, streamed with statistics and encoding too."""
    import polars as pl

    from clearprop.data.streaming.streamed_table import stream_table
    from clearprop.data.table import load_table

    if way.startswith("polars"):
        pl.read_csv(path, infer_schema_length=None if "all" in way else 100)
    elif way == "in memory":
        load_table(path)
    else:
        stream_table(Path(path), path, None, "auto", 0.15, 0.15, 0, STREAMED_IN)


def worker(small: str, large: str) -> None:
    """Print the seconds of processor time for each way, as JSON."""
    found = {}
    for way in WAYS:
        read_once(small, way)
        began = time.process_time()
        read_once(large, way)
        found[way] = time.process_time() - began
    print(json.dumps(found))


def seconds_of(large: Path, small: Path, rounds: int = ROUNDS) -> dict[str, float]:
    """The median of each way."""
    command = [sys.executable, "-m", "benchmarks.reading", str(small), str(large)]
    found = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
        for _ in range(rounds)
    ]
    return {way: median(one[way] for one in found) for way in WAYS}


def main(rounds: int = ROUNDS) -> None:
    """Measure, and write the page."""
    import polars as pl

    lines = []
    with tempfile.TemporaryDirectory() as name:
        for title, make in TABLES.items():
            small, large = (Path(name) / f"{rows}.csv" for rows in (5000, ROWS))
            for path in (small, large):
                pl.DataFrame(make(int(path.stem))).write_csv(path)
            found = seconds_of(large, small, rounds)
            cells = [title, f"{large.stat().st_size / 1e6:.0f}", *(f"{found[way]:.2f}" for way in WAYS)]
            cells += [f"{found[own] / found[peer]:.1f}" for own in WAYS[2:] for peer in WAYS[:2]]
            lines.append("| " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    OUT.write_text(_page(lines, rounds), encoding="utf-8")


def _page(lines: list[str], rounds: int) -> str:
    ratios = [f"{own} / {peer}" for own in WAYS[2:] for peer in WAYS[:2]]
    head = ["table", "MB", *WAYS, *ratios]
    return "\n".join(
        [
            "# Reading",
            "",
            f"Written by `python -m benchmarks.reading`; Python {platform.python_version()}, {platform.machine()}.",
            "",
            f"Seconds of processor time, of all threads, for CSV files of {ROWS:,} rows. *polars* takes the types that "
            "its first 100 rows show, *all rows* those of all, as we do. *In memory* is what happens from the file to "
            f"a table with its target, task and kinds of columns; *streamed*, in {STREAMED_IN // 10**6} MB, goes on to "
            f"statistics, the split and encoded rows on disk. Medians of rounds: {rounds}.",
            "",
            "| " + " | ".join(head) + " |",
            "|" + "---|" * len(head),
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rounds"]:
        main(int(sys.argv[2]))
    elif sys.argv[1:]:
        worker(*sys.argv[1:])
    else:
        main()
