"""What `cl.fit` takes in memory beyond the user's own data, against the table that it is encoded into.

`python -m benchmarks.fit_memory polars 200000 100` measures one form.  A process first trains twice on 3,000 rows, so
that libraries are loaded and kernels compiled; then it makes (or writes) the data, the kernel forgets the largest
resident set so far, and what counts is the largest one of the training that follows (VmHWM) less that before (VmRSS).
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import peak_memory, resident
from benchmarks.workloads import Workload, chosen
from clearprop.data.streaming.memory import give_back

ROOT = Path(__file__).parent.parent
FRAMES = (
    "polars",
    "polars in chunks",
    "polars with gaps",
    "polars integers",
    "pandas",
    "NumPy float64",
    "NumPy float32",
)
"""Data that a user holds."""
FILES = ("Parquet", "CSV")
"""Data that is read: what is held of its columns counts, too."""
W3 = "W3"
"""The workload of that name, through `cl.fit`: its weights and the state of its optimizer are larger than its table."""
WARM = 3_000


def table(form: str, rows: int, columns: int, folder: Path) -> Any:
    """Columns of normal numbers, and one of two classes, as data for `cl.fit`; of files the path."""
    rng = np.random.default_rng(0)
    x = np.empty((columns, rows), np.float32 if form in ("NumPy float32", W3) else np.float64)
    for column in x:
        column[:] = rng.standard_normal(rows)
    y = (x[0] + x[1] > 0).astype(np.int64)
    if form.startswith("NumPy") or form == W3:
        return np.ascontiguousarray(x.T), y
    if form == "pandas":
        import pandas as pd

        return pd.DataFrame({f"x{i}": x[i] for i in range(columns)} | {"y": y})
    return _of_polars(form, {f"x{i}": x[i] for i in range(columns)} | {"y": y}, folder)


def _of_polars(form: str, arrays: dict[str, Any], folder: Path) -> Any:
    import polars as pl

    frame = pl.DataFrame(arrays)
    features = pl.exclude("y")
    if form == "polars in chunks":
        return pl.concat([frame[: len(frame) // 2], frame[len(frame) // 2 :]], rechunk=False)
    if form == "polars with gaps":
        return frame.with_columns(pl.when(features > 2.5).then(None).otherwise(features).name.keep())
    if form == "polars integers":
        return frame.with_columns((features * 1000).cast(pl.Int32))
    if form == "Parquet":
        frame.write_parquet(folder / f"{len(frame)}.parquet")
        return folder / f"{len(frame)}.parquet"
    if form == "CSV":
        frame.write_csv(folder / f"{len(frame)}.csv", float_precision=4)
        return folder / f"{len(frame)}.csv"
    return frame


def fit(form: str, data: Any) -> None:
    """Train a small network on the data for an epoch."""
    import clearprop as cl

    hidden, batch = ([*workload().sizes[1:-1]], workload().batch) if form == W3 else ([16], 1024)
    named = {} if isinstance(data, tuple) else {"target": "y"}
    cl.fit(cl.nn.mlp(hidden=hidden), data, validation=0.1, epochs=1, batch_size=batch, progress=False, **named)


def workload() -> Workload:
    """W3."""
    return chosen(W3)[0]


def measure(form: str, rows: int, columns: int) -> dict[str, float]:
    """The peak of a training in this process, in bytes, and of the encoded table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(2):
            fit(form, table(form, WARM, columns, folder))
        data = table(form, rows, columns, folder)
        gc.collect()
        give_back()
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        assert before is not None  # where there is clear_refs
        fit(form, data)
        return {"peak": peak_memory() - before, "table": 4 * rows * columns}


def in_process(form: str, rows: int, columns: int) -> float:
    """The peak over the encoded table, as a process of its own measures it."""
    command = [sys.executable, "-m", "benchmarks.fit_memory", form, str(rows), str(columns)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found = json.loads(done.stdout)
    return float(found["peak"] / found["table"])


def lines() -> list[str]:
    """The rows of the table in docs/tables/memory.md."""
    sizes = [(form, 1_000_000, 100) for form in (*FRAMES, *FILES)] + [(W3, workload().rows, workload().sizes[0])]
    found = []
    for form, rows, columns in sizes:
        times = in_process(form, rows, columns)
        found.append(f"| {form} | {rows:,} × {columns} | {4e-6 * rows * columns:,.0f} | {times:.2f} |")
        print(found[-1], flush=True)
    return found


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
    else:
        lines()
