"""What training takes in memory as data grow: `python -m benchmarks.memory` writes docs/tables/memory.md.

Tables of 20 numbers, one text and a class are written as CSV and as Parquet, up to ten times as large as `LIMIT`, and
each is trained on for two epochs in a process of its own with `--memory LIMIT`; the smaller ones also in memory.

A process first trains on a table of 2,000 rows, so that libraries are loaded and the step is compiled.  Then the kernel
is told to forget the largest resident set so far, and what is counted is the largest one of the training that follows
(VmHWM) less the resident set before it (VmRSS).  Pages of files that the kernel keeps are not part of it.
"""

from __future__ import annotations

import gc
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars
from numpy.lib.format import open_memmap

from benchmarks import fit_memory
from benchmarks.machine import peak_memory, resident
from clearprop.data.streaming.memory import give_back
from clearprop.data.streaming.scratch import scratch_folder

OUT = Path(__file__).parent.parent / "docs" / "tables" / "memory.md"
LIMIT = 64
"""The memory that data may take, in MB."""
TIMES = (1, 2, 5, 10)
"""The sizes of the CSV files, as multiples of `LIMIT`."""
IN_MEMORY = 2
"""Up to this multiple a table is also trained on in memory."""
FORMS = {"csv": "CSV", "parquet": "Parquet", "npy": "NPY"}
COLUMNS, BYTES_PER_ROW, WARM = 20, 156, 2_000
_CHUNK = 100_000


def write(path: Path, rows: int, columns: int = COLUMNS) -> Path:
    """Write a table, part by part, so that this process stays small: what it takes is no part of the measurement."""
    import pyarrow.parquet as pq

    writer = None
    for number, first in enumerate(range(0, rows, _CHUNK)):
        part = _part(np.random.default_rng(number), min(_CHUNK, rows - first), columns)
        if path.suffix == ".csv":
            with path.open("ab") as file:
                part.write_csv(file, include_header=not first)
        elif path.suffix == ".npy":
            kinds = [(name, "f8" if name[0] == "x" else "U5") for name in part.columns]
            array = open_memmap(path, "r+" if first else "w+", kinds, (rows,))
            for name in part.columns:
                array[name][first : first + len(part)] = part[name].to_numpy()
        else:
            table = part.to_arrow()
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
    if writer is not None:
        writer.close()
    return path


def _part(rng: np.random.Generator, rows: int, columns: int) -> polars.DataFrame:
    x = rng.normal(size=(rows, columns)).round(4)
    numbers = {f"x{i}": x[:, i] for i in range(columns)}
    colour = rng.choice(["red", "green", "blue"], rows)
    return polars.DataFrame({**numbers, "colour": colour, "kind": np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")})


# ------------------------------------------------------------------------------------------- the measured process
def train_once(path: Path, memory: int | None) -> tuple[str, float]:
    """Read a table and train on it for two epochs: what was said of blocks, and the seconds of training."""
    from clearprop.data.training_data import from_source
    from clearprop.runs.settings import Settings
    from clearprop.train.planning import job_for, with_defaults
    from clearprop.train.training import train

    # the penalty is a constant of the compiled step, and by default depends on the number of rows
    asked = {"data": str(path), "epochs": 2, "hidden": (32,), "batch_size": 128, "l2": 0.0}
    usual = Settings()
    data = from_source(str(path), None, "auto", usual.val, usual.test, usual.seed, memory)
    full = with_defaults(asked, data)
    began = time.perf_counter()
    train(job_for(data, full))
    return data.told["notes"][-1], time.perf_counter() - began


def measure(warm: Path, paths: list[Path], memory: int | None) -> list[dict[str, float | str]]:
    """Peak of memory and seconds for each file, one after the other in this process."""
    for _ in range(2):
        train_once(warm, None)
        train_streamed(warm)
    found: list[dict[str, float | str]] = []
    for path in paths:
        gc.collect()
        give_back()  # what the training before left behind would hide as much of this one
        Path("/proc/self/clear_refs").write_text("5")
        before, began = resident("VmRSS"), time.perf_counter()
        assert before is not None  # where there is clear_refs
        said, training = train_once(path, memory)
        seconds = time.perf_counter() - began
        peak = peak_memory() - before
        found.append({"peak": peak, "reading": seconds - training, "epoch": training / 2, "said": said})
    return found


def train_streamed(path: Path) -> None:
    """Stream a table that would not need it, so that all that streaming loads is loaded."""
    from clearprop.data.streaming.streamed_table import stream_table

    stream_table(path, str(path), None, "auto", 0.15, 0.15, 0, 10**8)


def worker(memory: str, warm: str, *paths: str) -> None:
    """Print what `measure` gives, as JSON; `memory` is a number of bytes, or `all`."""
    limit = None if memory == "all" else int(memory)
    print(json.dumps(measure(Path(warm), [Path(p) for p in paths], limit)))


# -------------------------------------------------------------------------------------------------------- the table
def in_process(memory: int | None, warm: Path, path: Path) -> dict[str, float | str]:
    """What a process of its own measures for one file."""
    command = [sys.executable, "-m", "benchmarks.memory", "worker", str(memory or "all"), str(warm), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    return json.loads(done.stdout)[0]


def main() -> int:
    """Measure everything, write the table, and say whether the limit was kept."""
    lines, kept = [], True
    with tempfile.TemporaryDirectory(prefix="clearprop-memory-", dir=scratch_folder()) as name:
        folder = Path(name)
        for form in FORMS:
            warm = write(folder / f"warm.{form}", WARM)
            for times in TIMES:
                rows = times * LIMIT * 10**6 // BYTES_PER_ROW
                path = write(folder / f"data.{form}", rows)
                found = in_process(LIMIT * 10**6, warm, path)
                whole = in_process(None, warm, path) if times <= IN_MEMORY else None
                kept = kept and float(found["peak"]) <= LIMIT * 10**6
                lines.append(_line(form, rows, path.stat().st_size, found, whole))
                print(lines[-1], flush=True)
                path.unlink()
    OUT.write_text(_page(lines, fit_memory.lines()), encoding="utf-8")
    return 0 if kept else 1


def _line(form: str, rows: int, size: int, found: dict[str, float | str], whole: dict[str, float | str] | None) -> str:
    blocks = str(found["said"]).partition("blocks of ")[2].partition(" of them")[0].replace(", ", " × ").split(" × ")
    number = blocks[1] if len(blocks) > 1 and blocks[1].isdecimal() else "1"
    cells = [
        FORMS[form],
        f"{rows:,}",
        f"{size / 1e6:,.0f}",
        f"{rows * (COLUMNS + 2) * 8 / 1e6:,.0f}",
        f"{float(found['peak']) / 1e6:.0f}",
        number,
        f"{float(found['reading']):.1f}",
        f"{float(found['epoch']):.2f}",
        "" if whole is None else f"{float(whole['peak']) / 1e6:,.0f}",
        "" if whole is None else f"{float(whole['reading']):.1f}",
        "" if whole is None else f"{float(whole['epoch']):.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _page(lines: list[str], of_fit: list[str]) -> str:
    head = [
        "rows", "file, MB", "values, MB", "peak, MB", "blocks", "reading, s", "epoch, s",
        "peak in memory, MB", "reading in memory, s", "epoch in memory, s",
    ]  # fmt: skip
    return "\n".join(
        [
            "# Memory",
            "",
            f"Written by `python -m benchmarks.memory` (part of `make verify`); Python {platform.python_version()}, "
            f"{platform.machine()}.",
            "",
            f"Training on tables of {COLUMNS} numbers, a text and a class with `--memory {LIMIT}MB`, two epochs of a "
            "network with 32 hidden units. *Values* are 8 bytes for each cell. *Peak* is the largest resident set "
            "while data are read and trained on, less that of the same process before, which had loaded all libraries "
            "and compiled the step (VmHWM − VmRSS). *Reading* is all that happens before the first step. The last "
            "columns are the same without a limit.",
            "",
            "| form | " + " | ".join(head) + " |",
            "|" + "---|" * (len(head) + 1),
            *lines,
            "",
            "## Training on what a program holds",
            "",
            "`cl.fit` on columns of normal numbers and a class, a tenth of the rows held out, for an epoch. *Peak* is "
            "what it took beyond the imports and the data themselves, divided by the table of float32 into which the "
            "data are encoded. Columns of a frame that are float64 are read where they are; those of a file lie on "
            "disk meanwhile, as float64, where the table is large. W3 has 1.9 million weights, which Adam keeps "
            "three times.",
            "",
            "| data | rows × columns | table, MB | peak / table |",
            "|---|---|---|---|",
            *of_fit,
            "",
        ]
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(*sys.argv[2:])
    else:
        sys.exit(main())
