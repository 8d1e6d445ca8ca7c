"""A folder of Parquet files is one table: the rows, statistics and bits of the one file that holds all of it."""

from itertools import pairwise

import numpy as np
import polars
import pytest

import clearprop as cl
from clearprop.data.streaming.blocks import RowRange, UnchangingFile
from clearprop.data.streaming.memory import Budget
from clearprop.data.training_data import from_source
from clearprop.errors import DataError
from tests.data.mixed_table import saved, table
from tests.data.test_streaming import SMALL, _any_memory, arrays, stream  # noqa: F401 - a fixture for all tests

CUTS = (0, 400, 401, 1800, 3000)
"""The rows of each part lie between two of these."""


def folder_of(place, frame, cuts=CUTS):
    """The table in parts, of which the names are in no order of time; files of other kinds lie beside them."""
    folder = place / "parts"
    folder.mkdir()
    for number, (since, until) in reversed(list(enumerate(pairwise(cuts)))):
        frame[since:until].write_parquet(folder / f"part-{number}.parquet", row_group_size=300)
    (folder / "_SUCCESS").touch()
    (folder / "._part-0.parquet").write_bytes(b"rest of a copy")
    (folder / "read-me.txt").write_text("parts of one table")
    return folder


@pytest.mark.parametrize("target", [None, "price", "count"])
def test_it_is_the_table_of_one_file(tmp_path, target):
    frame = table(3000)
    whole, parts = saved(tmp_path, frame, "parquet"), folder_of(tmp_path, frame)
    known = from_source(whole, target, "auto", 0.15, 0.15, 7)
    found = from_source(parts, target, "auto", 0.15, 0.15, 7)
    assert found.preprocessing == known.preprocessing
    streamed = stream(parts, SMALL, target, seed=7)
    assert streamed.train.blocks > 1 and streamed.preprocessing == known.preprocessing
    for rows, *pairs in zip(
        (streamed.train, streamed.validation, streamed.test),
        (known.train, known.validation, known.test),
        (found.train, found.validation, found.test),
        strict=True,
    ):
        for pair in pairs:
            for ours, theirs in zip(arrays(rows), pair, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_ranges_of_rows_are_those_that_ranks_read(tmp_path):
    frame, budget = table(3000), Budget(10**6)
    file = UnchangingFile(folder_of(tmp_path, frame), "parts", budget)
    names, cuts = file.table.names, file.table.cuts(budget, len(file.table.names))
    assert {cut.row for cut in cuts} > set(CUTS[:-1])
    blocks = list(file.blocks(budget, names, "kind"))
    ranges = [RowRange(begin, end) for begin, end in pairwise((*cuts, None))]
    pieces = [block for own in ranges for block in file.blocks(budget, names, "kind", own)]
    assert [(block.first, block.rows) for block in pieces] == [(block.first, block.rows) for block in blocks]
    assert sum(block.rows for block in blocks) == 3000
    place = f"parts/part-3.parquet, row {blocks[-1].first + 2 - 1800} (the first is 0), column 'size'"
    assert blocks[-1].place("size", 2) == place


@pytest.mark.verify
def test_predictions_of_a_folder_are_those_of_the_file(tmp_path):
    frame = table(300)
    whole, parts = saved(tmp_path, frame, "parquet"), folder_of(tmp_path, frame, (0, 100, 300))
    run = cl.fit(cl.nn.mlp(hidden=[4]), str(parts), target="price", epochs=1, progress=False)
    np.testing.assert_array_equal(run.predict(str(parts)), run.predict(str(whole)))


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda frame: frame.with_columns(polars.col("count").cast(polars.Float64)), "'count' of type 'double'"),
        (lambda frame: frame.rename({"size": "length"}), "'length' of type 'double'"),
        (lambda frame: frame.drop("kind"), "8"),
    ],
)
def test_parts_that_do_not_fit_are_named(tmp_path, change, got):
    parts = folder_of(tmp_path, table(300), (0, 100, 300))
    change(table(50)).write_parquet(parts / "part-9.parquet")
    for memory in (None, SMALL):
        with pytest.raises(DataError, match=r"part-9.parquet' has other columns than .*part-0.parquet'") as error:
            from_source(parts, "price", "auto", 0.15, 0.15, 0, memory)
        assert error.value.got == got


def test_a_folder_that_changes_is_noticed(tmp_path):
    budget, parts = Budget(10**6), folder_of(tmp_path, table(3000))
    file = UnchangingFile(parts, "parts", budget)
    table(10).write_parquet(parts / "part-9.parquet")
    with pytest.raises(DataError, match="'parts' changed while it was read"):
        next(file.blocks(budget, file.table.names, "kind"))


def test_a_folder_without_them_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DataError, match="it is a directory") as error:
        from_source(tmp_path, None, "auto", 0.15, 0.15, 0)
    assert error.value.got == "a directory without Parquet files"
