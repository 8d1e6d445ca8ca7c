"""A folder of Parquet or NPY files is one table: the rows, statistics and bits of the one file that holds all of it."""

from itertools import pairwise

import numpy as np
import polars
import pytest

import clearprop as cl
from clearprop.data.readers.array_tables import ArrayTable
from clearprop.data.readers.reading import ColumnRequest
from clearprop.data.readers.sources import read
from clearprop.data.streaming.blocks import RowRange, UnchangingFile
from clearprop.data.streaming.memory import Budget
from clearprop.data.training_data import from_source
from clearprop.errors import DataError
from tests.data.mixed_table import as_array, saved, table
from tests.data.test_streaming import SMALL, _any_memory, arrays, stream  # noqa: F401 - a fixture for all tests

CUTS = (0, 400, 401, 1800, 3000)
"""The rows of each part lie between two of these."""


def folder_of(place, frame, cuts=CUTS, form="parquet"):
    """The table in parts, of which the names are in no order of time; files of other kinds lie beside them."""
    folder = place / "parts"
    folder.mkdir()
    whole = as_array(frame)  # before it is cut: how long texts may be is part of the dtype
    for number, (since, until) in reversed(list(enumerate(pairwise(cuts)))):
        path = folder / f"part-{number}.{form}"
        if form == "npy":
            np.save(path, whole[since:until])
        else:
            frame[since:until].write_parquet(path, row_group_size=300)
    (folder / "_SUCCESS").touch()
    (folder / f"._part-0.{form}").write_bytes(b"rest of a copy")
    (folder / "read-me.txt").write_text("parts of one table")
    return folder


@pytest.mark.parametrize("target", [None, "price", "count"])
@pytest.mark.parametrize("form", ["parquet", "npy"])
def test_it_is_the_table_of_one_file(tmp_path, form, target):
    frame = table(3000)
    whole, parts = saved(tmp_path, frame, form), folder_of(tmp_path, frame, form=form)
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


@pytest.mark.parametrize("form", ["parquet", "npy"])
def test_ranges_of_rows_are_those_that_ranks_read(tmp_path, form):
    frame, budget = table(3000), Budget(10**6)
    file = UnchangingFile(folder_of(tmp_path, frame, form=form), "parts", budget)
    names, cuts = file.table.names, file.table.cuts(budget, len(file.table.names))
    assert {cut.row for cut in cuts} > set(CUTS[:-1])
    asked = ColumnRequest(names, "kind")
    blocks = list(file.blocks(budget, asked))
    ranges = [RowRange(begin, end) for begin, end in pairwise((*cuts, None))]
    pieces = [block for own in ranges for block in file.blocks(budget, asked, own)]
    assert [(block.first, block.rows) for block in pieces] == [(block.first, block.rows) for block in blocks]
    assert sum(block.rows for block in blocks) == 3000
    place = f"parts/part-3.{form}, row {blocks[-1].first + 2 - 1800} (the first is 0), column 'size'"
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
        next(file.blocks(budget, ColumnRequest(target="kind")))


@pytest.mark.parametrize(
    ("change", "expected", "got"),
    [
        (lambda a: a.astype(np.float32), "'column 1' of type 'float64'", "'column 1' of type 'float32'"),
        (lambda a: a[:, :3], "4 columns", "3"),
        (lambda a: np.column_stack((a, a)), "4 columns", "8"),
    ],
)
def test_arrays_of_unequal_width_or_dtype_are_named(tmp_path, change, expected, got):
    rows = np.arange(80.0).reshape(20, 4)
    np.save(tmp_path / "a.npy", rows)
    np.save(tmp_path / "b.npy", change(rows))
    for memory in (None, SMALL):
        with pytest.raises(DataError, match=r"b.npy' has other columns than .*a.npy'") as error:
            from_source(tmp_path, None, "auto", 0.15, 0.15, 0, memory)
        assert (error.value.expected, error.value.got) == (expected, got)


def test_an_array_that_is_no_table_is_refused_by_name(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(9))
    np.save(tmp_path / "y.npy", np.arange(9))
    with pytest.raises(DataError, match=r"cannot read '.*y.npy' as a table") as error:
        from_source(tmp_path, None, "auto", 0.15, 0.15, 0)
    assert "numpy.column_stack((x, y))" in error.value.try_ and error.value.got == "an array of shape (9,)"


@pytest.mark.parametrize("order", ["C", "F"])
def test_of_an_array_the_bytes_of_the_asked_rows_are_read(tmp_path, monkeypatch, order):
    rows, read, found = np.arange(4000.0).reshape(1000, 4), ArrayTable._read, []
    np.save(tmp_path / "t.npy", np.asarray(rows, order=order))

    def noted(self, start, count):
        found.extend(range(start // 8, start // 8 + count))
        return read(self, start, count)

    monkeypatch.setattr(ArrayTable, "_read", noted)
    table = ArrayTable(tmp_path / "t.npy", "t.npy")
    blocks = list(table.blocks(100, since=250, until=600))
    for i, name in enumerate(table.names):
        np.testing.assert_array_equal(np.concatenate([block[i].values for block in blocks]), rows[250:600, i])
        assert blocks[0][i].name == name
    places = np.arange(4000).reshape((1000, 4), order=order)
    assert sorted(found) == sorted(places[250:600].ravel().tolist())


def test_texts_and_dates_of_arrays_are_those_of_a_data_frame(tmp_path):
    """Numbers, texts, dates of every unit as other programs write them: in a file of fields, in one of columns."""
    rng, rows = np.random.default_rng(0), 60
    days = rng.integers(-9000, 9000, rows).astype("M8[D]")
    days[::7] = "NaT"
    units = ("D", "ms", "us", "ns")
    numbers = {k: rng.integers(0, 9, rows).astype(k) for k in ("i1", "u2", ">i4", "i8", "f2", ">f8", "?")}
    columns = (
        numbers | {"text": rng.choice(["a", "bö"], rows)} | {f"in {unit}": days.astype(f"M8[{unit}]") for unit in units}
    )
    array = np.zeros(rows, [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        array[name] = values
    np.save(tmp_path / "t.npy", array)
    np.savez(tmp_path / "t.npz", **columns)
    for target in columns:
        known = read(polars.DataFrame(columns), target=target)
        for file in ("t.npy", "t.npz"):
            found = read(tmp_path / file, target=target)
            for ours, theirs in zip(found.columns, known.columns, strict=True):
                assert (ours.name, ours.kind) == (theirs.name, theirs.kind)
                np.testing.assert_array_equal(ours.values, theirs.values)
                np.testing.assert_array_equal(ours.spelling, theirs.spelling)
    for unit in ("Y", "M", "h", "m", "s"):  # units that polars does not know
        np.save(tmp_path / "u.npy", np.array([("2020-01-01", 1.0)], [("when", f"M8[{unit}]"), ("y", "f8")]))
        assert read(tmp_path / "u.npy")["when"].values.tolist() == [1577836800.0]


@pytest.mark.parametrize("kind", ["c16", "m8[s]", "V3"])
@pytest.mark.parametrize("file", ["t.npy", "t.npz"])
def test_what_cannot_be_learned_from_is_refused(tmp_path, file, kind):
    column = np.zeros(3, kind)
    if file == "t.npz":
        np.savez(tmp_path / file, a=column, b=np.arange(3))
    else:
        np.save(tmp_path / file, np.zeros(3, [("a", kind), ("b", "i8")]))
    with pytest.raises(DataError, match="column 'a' cannot be used"):
        read(tmp_path / file)


def test_a_folder_without_them_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DataError, match="it is a directory") as error:
        from_source(tmp_path, None, "auto", 0.15, 0.15, 0)
    assert error.value.got == "a directory without Parquet or NPY files and pictures"


def test_files_of_two_forms_are_not_one_table(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3))
    table(10).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="holds files of two forms, which are not one table") as error:
        from_source(tmp_path, None, "auto", 0.15, 0.15, 0)
    assert error.value.got == "a.npy and b.parquet"
