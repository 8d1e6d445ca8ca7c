"""Processes of one machine make a streamed table ready together: each reads its rows, and the bits are those of one."""

import io
from pathlib import Path

import numpy as np
import polars
import pytest

from clearprop.data.streaming import memory, store_pass
from clearprop.data.streaming.blocks import UnchangingFile
from clearprop.data.streaming.sharers import ALONE
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.errors import DataError
from tests.data.mixed_table import saved, table
from tests.data.sharing_threads import together
from tests.data.test_folders_of_parts import folder_of

SMALL = 160_000
"""Bytes: so little that the tables here are cut into several blocks."""


@pytest.fixture(autouse=True)
def _any_memory(monkeypatch):
    monkeypatch.setattr(memory, "LEAST_MEMORY", 1)
    monkeypatch.setattr(memory, "FIXED", 0)


def bits(found):
    """All that is learned from, as bytes, and all that is told."""
    parts = [part for part in (found.train, found.validation, found.test) if part is not None]
    arrays = [scratch.get(0, len(part)).tobytes() for part in parts for scratch in (*part.kept, part.numbers)]
    return arrays, found.preprocessing, found.notes, [part.blocks for part in parts]


def with_gaps(frame):
    """The table with rows that have no target."""
    gaps = np.arange(len(frame)) % 7 == 3
    last = frame.columns[-1]
    return frame.with_columns(polars.when(polars.Series(gaps)).then(None).otherwise(polars.col(last)).alias(last))


def as_text(folder, frame, **form):
    path = folder / "t.csv"
    frame.write_csv(path, **form)
    return path


def as_parquet(folder, frame):
    path = folder / "t.parquet"
    frame.write_parquet(path, row_group_size=400)
    return path


def with_line_ends(folder, frame):
    """A file in which cells hold line ends, so that nobody knows where a row begins without what stands before."""
    path = folder / "t.csv"
    text = io.StringIO()
    frame.select(polars.lit('two\nlines, "quoted"').alias("remark"), polars.all()).write_csv(text)
    path.write_text(text.getvalue())
    return path


def as_parts(folder, form):
    """A folder of files of unequal length."""
    return folder_of(folder, table(1500), (0, 700, 701, 1500), form)


def by_columns(folder):
    """An array that stands on disk column by column."""
    path = folder / "t.npy"
    np.save(path, np.asfortranarray(table(1500).select("size", "holes", "price").to_numpy()))
    return path


def plain(folder, rows=1500):
    """The rows of a table of all kinds of columns."""
    return polars.read_csv(saved(folder, table(rows), "csv"))


FILES = {
    "csv": lambda folder: Path(saved(folder, table(1500), "csv")),
    "parquet": lambda folder: Path(saved(folder, table(1500), "parquet")),
    "row groups and gaps": lambda folder: as_parquet(folder, with_gaps(plain(folder))),
    "gaps": lambda folder: as_text(folder, with_gaps(plain(folder))),
    "line ends in cells": lambda folder: with_line_ends(folder, plain(folder, 600)),
    "Parquet parts": lambda folder: as_parts(folder, "parquet"),
    "NPY parts": lambda folder: as_parts(folder, "npy"),
    "NPY by columns": by_columns,
    "semicolons": lambda folder: as_text(folder, plain(folder, 600), separator=";"),
}


@pytest.mark.parametrize(("name", "size"), [("csv", 2), *((name, 3) for name in FILES)])
def test_what_several_make_ready_has_the_bits_of_one(tmp_path, name, size):
    path = FILES[name](tmp_path)

    def stream(ranks=ALONE):
        return stream_table(path, "t", None, "auto", 0.15, 0.15, 3, SMALL, ranks=ranks)

    alone = bits(stream())
    for found in together(size, stream):
        assert bits(found) == alone


@pytest.mark.parametrize("form", ["csv", "parquet", "npy"])
def test_each_reads_its_rows_alone(tmp_path, monkeypatch, form):
    path, blocks, read = saved(tmp_path, table(3000), form), UnchangingFile.blocks, {0: set(), 1: set()}

    def noted(self, budget, asked, part=None):
        for block in blocks(self, budget, asked, part):
            if part is not None:  # the first pass is one of the first alone
                read[self.ranks.rank].update(range(block.first, block.first + block.rows))
            yield block

    monkeypatch.setattr(UnchangingFile, "blocks", noted)
    together(2, lambda ranks: stream_table(Path(path), "t", None, "auto", 0.15, 0.15, 0, SMALL, ranks=ranks))
    assert read[0] | read[1] == set(range(3000)) and not read[0] & read[1]
    assert min(map(len, read.values())) > 1000


def test_the_mistake_of_one_is_raised_by_all_and_no_file_is_left(tmp_path, monkeypatch):
    path = saved(tmp_path, table(900), "csv")
    scratch = tmp_path / "scratch"
    monkeypatch.setenv("TMPDIR", str(scratch))
    store = store_pass._store_part

    def broken(watched, result, budget):
        if result.ranks.rank == 1:
            raise watched.changed()
        store(watched, result, budget)

    monkeypatch.setattr(store_pass, "_store_part", broken)

    def stream(ranks):
        with pytest.raises(DataError, match="changed while it was read"):
            stream_table(Path(path), "t", None, "auto", 0.15, 0.15, 0, SMALL, ranks=ranks)
        return True

    assert together(2, stream) == [True, True]
    assert list(scratch.iterdir()) == []
