"""A table of four gigabytes: two ranks read it in a quarter of that each, and have the bits of one process."""

import os
import re
from pathlib import Path

import numpy as np
import polars
import pytest

from tests.distributed.conftest import LONG

SIZE, MOST = 4 * 10**9, 2**30
"""Bytes of the file; the most that a rank may have resident at any time."""
COLUMNS, ROWS = 40, 100_000
"""Columns of numbers; rows that are written at a time."""
CACHES = Path("/proc/sys/vm/drop_caches")
TRAIN = """
import resource, sys
from clearprop.cli import main
words = "train t.csv --epochs 1 --hidden 16 --grad-shards 2 --batch-size 1024 --memory 500MB".split()
assert main(words + sys.argv[1:]) == 0
print("peak", 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "bytes", file=sys.stderr)
"""


def write(path):
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        while file.tell() < SIZE:
            x = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
            answer = np.where(x[:, :3].sum(1) > 0, "yes", "no")
            frame = polars.from_numpy(x, schema=[f"x{i}" for i in range(COLUMNS)])
            frame = frame.with_columns(answer=polars.Series(answer))
            file.write(frame.write_csv(include_header=file.tell() == 0, float_precision=6).encode())


def forget():
    """Drop what the system keeps of files, where that is permitted."""
    os.sync()
    if os.access(CACHES, os.W_OK):
        CACHES.write_text("1")


@pytest.mark.verify
def test_two_ranks_train_on_a_table_of_four_gigabytes(ranks, tmp_path):
    write(tmp_path / "t.csv")
    peaks = {}
    for size, out in ((2, "two"), (1, "one")):
        forget()
        done = ranks(size, "-c", TRAIN, "--out", out, limit=LONG)
        assert done.returncode == 0, done.stderr
        peaks[out] = [int(bytes_) for bytes_ in re.findall(r"peak (\d+) bytes", done.stderr)]
        assert len(peaks[out]) == size and max(peaks[out]) <= MOST, peaks
    for file in ("model.safetensors", "preprocessing.json"):
        assert (tmp_path / "two" / file).read_bytes() == (tmp_path / "one" / file).read_bytes()
    size = (tmp_path / "t.csv").stat().st_size
    print(f"{size:,} bytes, peaks of {peaks['two']} bytes on two ranks, of {peaks['one']} bytes on one")
