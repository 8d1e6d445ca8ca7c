"""Training takes no more memory when there are more data than the memory that data may take."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.memory import write
from tests.tiers import later

ROOT = Path(__file__).parents[2]
LIMIT = 24 * 10**6
"""The least memory that can be asked for."""
FLAT = 5 * 10**6
"""The peaks of equal trainings differ by less than this."""


def peaks(limit, *paths):
    command = [sys.executable, "-W", "error", "-m", "benchmarks.memory", "worker", str(limit), *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("form", ["parquet", *later(["csv", "npy"])])
def test_memory_does_not_grow_with_the_data(tmp_path, form):
    warm, small, large = (
        write(tmp_path / f"{name}.{form}", rows, columns=5)
        for name, rows in {"warm": 2000, "small": 240_000, "large": 720_000}.items()
    )
    (first,), (second,) = (peaks(LIMIT, warm, path) for path in (small, large))
    assert all("rows are streamed in blocks" in measured["said"] for measured in (first, second))
    assert max(first["peak"], second["peak"]) < LIMIT
    assert second["peak"] < first["peak"] + FLAT


def test_a_streamed_csv_file_keeps_to_the_limit(tmp_path):
    warm, table = (write(tmp_path / f"{rows}.csv", rows, columns=5) for rows in (2000, 160_000))
    (measured,) = peaks(LIMIT, warm, table)
    assert "rows are streamed in blocks" in measured["said"]
    assert measured["peak"] < LIMIT


def test_the_measurement_sees_a_table_that_is_held_in_memory(tmp_path):
    warm, large = (write(tmp_path / f"{rows}.parquet", rows, columns=5) for rows in (2000, 240_000))
    assert peaks("all", warm, large)[0]["peak"] > 1.5 * LIMIT
