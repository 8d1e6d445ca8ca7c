"""Small files that would take much: each is refused, or read, within ten seconds and a gibibyte of memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clearprop.data.readers.formats import MOST_COLUMNS
from clearprop.data.readers.sources import read
from clearprop.errors import DataError, RunError
from clearprop.files.strict_json import DEEPEST, LARGEST, MOST_VALUES, parse_json, read_text
from tests.tiers import later

ROOT = Path(__file__).parents[2]
MEMORY, SECONDS = 2**30, 10


@pytest.mark.parametrize("which", ["some", *later(["all"])])
def test_every_one_is_refused_in_time(which):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.files.bombs", which],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert {name: told for name, (_, told) in found["told"].items() if told.startswith("FAILED")} == {}
    assert {name: seconds for name, (seconds, _) in found["told"].items() if seconds > SECONDS} == {}
    assert found["memory"] < MEMORY
    assert len(found["told"]) > 70


# ---------------------------------------------------------------------------------------------- limits at their edge
def test_columns_at_the_edge():
    assert len(read(np.zeros((1, MOST_COLUMNS))).columns) == MOST_COLUMNS
    with pytest.raises(DataError, match="too many columns"):
        read(np.zeros((1, MOST_COLUMNS + 1)))


def test_json_at_the_edge(tmp_path):
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert parse_json(deep, "it", "here")
    with pytest.raises(RunError, match="levels"):
        parse_json(f"[{deep}]", "it", "here")
    assert len(parse_json("[" + "1," * (MOST_VALUES - 1) + "1]", "it", "here")) == MOST_VALUES
    with pytest.raises(RunError, match="values"):
        parse_json("[" + "1," * MOST_VALUES + "1]", "it", "here")
    (tmp_path / "edge").write_bytes(b" " * LARGEST)
    assert len(read_text(tmp_path / "edge", "it")) == LARGEST
    (tmp_path / "edge").write_bytes(b" " * (LARGEST + 1))
    with pytest.raises(RunError, match="cannot be trusted"):
        read_text(tmp_path / "edge", "it")
