"""Thousands of hostile files: each is refused with an error of ours or harmless, runs nothing, and costs no memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMORY, SECONDS = 128 * 2**20, 10
"""By at most so many bytes all cases together may raise the peak of memory of the process that reads them; and the
seconds that one may take."""


def fuzzed(count, seed):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.files.fuzzing", str(count), str(seed)],
        cwd=ROOT, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def require_harmless(found, count):
    assert found["failures"] == []
    assert found["executed"] == [] and not found["marked"]
    assert found["memory"] < MEMORY
    assert found["slowest"] < SECONDS
    assert sum(found["told"].values()) == count
    for kind in ("run", "data", "config"):
        assert found["told"][f"{kind} refused"] > count / 10
        assert found["told"].get(f"{kind} harmless")


def test_five_hundred_cases():
    require_harmless(fuzzed(500, 0), 500)


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(1, 6))
def test_ten_thousand_cases(seed):
    require_harmless(fuzzed(2000, seed), 2000)
