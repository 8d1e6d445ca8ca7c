"""The same table in every form of file: JSON lines, Excel, Arrow, NPY, NPZ; and what is refused of them."""

import datetime
import gzip
import io
import itertools
import json
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas
import polars
import pyarrow
import pytest

from clearprop.data.readers.reading import Reading
from clearprop.data.readers.sources import read
from clearprop.data.training_data import from_source
from clearprop.errors import DataError

N = 60
ROWS = [
    {"area": k % 17 + 0.5, "rooms": None if k == 7 else k % 5, "kind": "abc"[k % 3], "sold": f"2024-01-{k % 28 + 1:02}",
     "garden": k % 2 == 0, "price": k % 17 * 2.0 + k / 8}
    for k in range(N)
]  # fmt: skip
NAMES = tuple(ROWS[0])
FRAME = polars.DataFrame(ROWS)
NUMBERS = FRAME.select("area", "rooms", "price")


def json_lines(rows=ROWS):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def workbook(path, rows, sheets=("Sheet1",), states=(), **parts):
    """A workbook with one table on each sheet, written by hand."""

    def cell(value):
        if value is None:
            return "<c/>"
        if isinstance(value, bool):
            return f'<c t="b"><v>{int(value)}</v></c>'
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    listed = "".join(
        f'<sheet name="{s}" sheetId="{i}" state="{state}" r:id="r{i}"/>'
        for i, (s, state) in enumerate(itertools.zip_longest(sheets, states, fillvalue="visible"), 1)
    )
    linked = "".join(f'<Relationship Id="r{i}" Type="{relations}/worksheet" Target="worksheets/sheet{i}.xml"/>'
                     for i in range(1, len(sheets) + 1))  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        root = f'<Relationship Id="r0" Type="{relations}/officeDocument" Target="xl/workbook.xml"/>'
        archive.writestr("_rels/.rels", f'<Relationships xmlns="{package}">{root}</Relationships>')
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>{listed}</sheets></workbook>'
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}">{linked}</Relationships>')
        for i in range(1, len(sheets) + 1):
            archive.writestr(
                f"xl/worksheets/sheet{i}.xml", f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>'
            )
        for name, content in parts.items():
            archive.writestr(f"xl/{name}", content)


def tarred(data):
    """A tar archive of one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("t.csv")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def table_rows():
    return [NAMES, *(tuple(row.values()) for row in ROWS)]


def structured():
    array = np.zeros(N, dtype=[("area", "f8"), ("rooms", "f4"), ("price", "f8")])
    for name in array.dtype.names:
        array[name] = NUMBERS[name].cast(polars.Float64).fill_null(np.nan).to_numpy()
    return array


# the name of the file, what writes it, and whether it holds the numbers alone
FORMS = {
    "JSON lines": ("t.jsonl", lambda p: p.write_bytes(json_lines()), False),
    "JSON lines, packed": ("t.jsonl.gz", lambda p: p.write_bytes(gzip.compress(json_lines())), False),
    "JSON lines by another name": ("t.txt", lambda p: p.write_bytes(json_lines()), False),
    "a JSON array": ("t.json", lambda p: p.write_text(json.dumps(ROWS, indent=1)), False),
    "a workbook": ("t.xlsx", lambda p: workbook(p, table_rows()), False),
    "a workbook with a title": ("t.xlsx", lambda p: workbook(p, [("Sales",), (), *table_rows()]), False),
    "a workbook by another name": ("t.dat", lambda p: workbook(p, table_rows()), False),
    "Feather": ("t.feather", lambda p: FRAME.write_ipc(p, compression="lz4"), False),
    "Arrow": ("t.arrow", lambda p: FRAME.write_ipc(p), False),
    "columns in NPZ": ("t.npz", lambda p: np.savez(p, **{n: structured()[n] for n in structured().dtype.names}), True),
    "fields in NPY": ("t.npy", lambda p: np.save(p, structured()), True),
}  # fmt: skip
AS_TEXT = ("JSON", "workbook")


@pytest.mark.parametrize("form", FORMS)
def test_a_table_is_the_same_in_every_form(form, tmp_path):
    name, write, numbers = FORMS[form]
    path, plain = tmp_path / name, tmp_path / "plain.csv"
    write(path)
    (NUMBERS if numbers else FRAME).write_csv(plain)
    known, found = (from_source(str(p), "price", "auto", 0.2, 0.2, 0) for p in (plain, path))
    assert found.preprocessing == known.preprocessing
    assert all(np.array_equal(a, b) for a, b in zip(found.train, known.train, strict=True))
    if any(word in form for word in AS_TEXT):
        with patch("clearprop.data.training_data.needs_streaming", lambda *_: True):
            blocks = from_source(str(path), "price", "auto", 0.2, 0.2, 0, 24 * 10**6)
        assert blocks.preprocessing == known.preprocessing
        assert np.array_equal(blocks.train.x.get(0, len(blocks.train)), known.train[0])


LINES = [("a\nb", "text", "y"), *((k, f"one\n{k % 2}\r\nthree", 2.0 * k) for k in range(40))]


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("name", ["t.xlsx", "t.jsonl"])
def test_lines_within_cells_do_not_move_rows(name, in_blocks, tmp_path):
    path = tmp_path / name
    if name == "t.xlsx":
        workbook(path, LINES)
    else:
        path.write_text("".join(json.dumps(dict(zip(LINES[0], row, strict=True))) + "\n" for row in LINES[1:]))
    frame = read(path)
    assert frame.names == ("a\nb", "text", "y")
    assert frame["text"].values.tolist() == [f"one\n{k % 2}\nthree" for k in range(40)]
    assert frame.place("y", 30).endswith("t.xlsx:32, column 'y'" if name == "t.xlsx" else "t.jsonl:31, column 'y'")
    with patch("clearprop.data.training_data.needs_streaming", lambda *_: in_blocks):
        found = from_source(str(path), None, "auto", 0.2, 0.2, 0, 24 * 10**6)
    assert found.preprocessing.columns[1].levels == ("one\n0\nthree", "one\n1\nthree")


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_the_index_of_a_data_frame_is_no_target(form, tmp_path):
    table = pandas.DataFrame({"a": np.arange(60.0), "y": np.arange(60) * 2.5})
    for named, chosen in (
        (False, table[table.a % 3 > 0]),
        (True, table.assign(key=np.arange(60) % 7).set_index("key")),
    ):
        path = tmp_path / f"{named}.{form}"
        arrow = pyarrow.Table.from_pandas(chosen)
        if form == "parquet":
            chosen.to_parquet(path)
        else:
            with pyarrow.ipc.new_file(str(path), arrow.schema) as file:
                file.write_table(arrow)
        frame = read(path)
        assert frame.names == (("key", "a", "y") if named else ("a", "y"))
        assert frame.notes == (() if named else ("the index of the data frame is left out",))
        table_of = from_source(str(path), None, "auto", 0.2, 0.2, 0)
        assert table_of.preprocessing.target.name == "y"
        if form == "parquet":
            with patch("clearprop.data.training_data.needs_streaming", lambda *_: True):
                blocks = from_source(str(path), None, "auto", 0.2, 0.2, 0, 24 * 10**6)
            assert blocks.preprocessing == table_of.preprocessing
            assert set(frame.notes) <= set(blocks.told["notes"])


SPANS = [datetime.timedelta(seconds=90 * k, microseconds=250_000 * (k % 4)) for k in range(40)]
DURATIONS = polars.DataFrame({"a": range(40), "span": SPANS, "y": [2.5 * k for k in range(40)]})


@pytest.mark.parametrize(
    "source",
    [
        DURATIONS,
        DURATIONS.to_pandas(),
        DURATIONS.to_arrow(),
        lambda p: DURATIONS.write_parquet(p / "t.parquet"),
        lambda p: DURATIONS.write_ipc(p / "t.arrow"),
        lambda p: DURATIONS.with_columns(polars.col("span").dt.to_string("iso")).write_csv(p / "t.csv"),
    ],
)
def test_durations_are_seconds_in_every_form(source, tmp_path):
    if callable(source):
        source(tmp_path)
        source = next(tmp_path.iterdir())
    assert read(source)["span"].values.tolist() == [span.total_seconds() for span in SPANS]
    told = from_source(source, None, "auto", 0.2, 0.2, 0).told["notes"]
    assert "column 'span': durations as seconds (--kind span=category takes words)" in told
    as_target = from_source(source, "span", "auto", 0.2, 0.2, 0).preprocessing.target
    assert as_target.unit == "s"


def test_categories_that_polars_writes_are_read(tmp_path):
    kinds = polars.Series(["abc"[k % 3] for k in range(40)], dtype=polars.Categorical)
    polars.DataFrame({"kind": kinds, "y": range(40)}).write_ipc(tmp_path / "t.arrow")
    assert read(tmp_path / "t.arrow")["kind"].values.tolist() == ["abc"[k % 3] for k in range(40)]


def test_what_a_system_adds_to_an_archive_is_no_table(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("sales/t.csv", FRAME.write_csv())
        archive.writestr("__MACOSX/sales/._t.csv", b"\0\1")
        archive.writestr("sales/.DS_Store", b"\0")
    assert read(tmp_path / "t.zip").names == NAMES


def test_utf_32_is_told(tmp_path):
    (tmp_path / "t.csv").write_bytes(FRAME.write_csv().encode("utf-32"))
    frame = read(tmp_path / "t.csv")
    assert frame.names == NAMES and frame.notes == ("the text is read as utf-32 (--encoding says another)",)


# what begins a file, what it is, and what to do with it
FOREIGN = {
    "PDF": (b"%PDF-1.4\n%\xe2\xe3", "a PDF", "export the table as CSV"),
    "SQLite": (b"SQLite format 3\0", "an SQLite database", "read_sql"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "read_hdf"),
    "Stata": (b"<stata_dta><header>", "a Stata file", "read_stata"),
    "pickle": (pickle.dumps(pandas.DataFrame({"a": [1]}), protocol=4), "a pickle", "if you trust the file"),
    "LZ4": (pyarrow.Codec("lz4").compress(b"a,b\n1,2\n", asbytes=True), "an LZ4 file", "pack it as .gz"),
    "tar": (tarred(b"a,b\n1,2\n"), "a tar archive", "unpack it first"),
    "tar, packed": (gzip.compress(tarred(b"a,b\n1,2\n")), "a tar archive", "unpack it first"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_programs_are_told_by_name(name, tmp_path):
    content, form, remedy = FOREIGN[name]
    (tmp_path / "t.csv").write_bytes(content + b"\0" * 600 * (name not in ("tar, packed", "LZ4")))
    with pytest.raises(DataError) as caught:
        read(tmp_path / "t.csv")
    assert f"it is {form}" in caught.value.headline and remedy in caught.value.try_


def test_a_matrix_in_npy_is_a_table_of_numbered_columns(tmp_path):
    np.save(tmp_path / "t.npy", np.arange(24.0).reshape(8, 3))
    frame = read(tmp_path / "t.npy")
    assert frame.names == ("column 1", "column 2", "column 3")
    assert frame["column 2"].values.tolist() == [1 + 3.0 * k for k in range(8)]


def test_lists_and_lines_of_json(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"tags": ["a", "b"], "y": 1}\n\n{"y": 2, "new": 0.5}\n')
    frame = read(path)
    assert frame.names == ("tags", "y", "new")
    assert frame["tags"].values.tolist() == ["a|b", None]
    assert frame.lines.tolist() == [1, 3] and frame.place("y", 1).endswith("t.jsonl:3, column 'y'")


def test_the_first_sheet_with_rows_is_read_and_told(tmp_path):
    workbook(tmp_path / "t.xlsx", table_rows(), sheets=("One", "Two"))
    assert "the sheet 'One' is read, and not 'Two'" in read(tmp_path / "t.xlsx").notes


def test_a_hidden_sheet_is_read_where_there_is_no_other(tmp_path):
    for name, states in (("first.xlsx", ("hidden", "visible")), ("all.xlsx", ("veryHidden", "hidden"))):
        workbook(tmp_path / name, table_rows(), sheets=("One", "Two"), states=states)
    assert "the sheet 'Two' is read, and not 'One'" in read(tmp_path / "first.xlsx").notes
    assert "the sheet 'One' is read, and not 'Two'" in read(tmp_path / "all.xlsx").notes


def big_part(path):
    workbook(path, table_rows(), **{"worksheets/sheet2.xml": b"0" * (80 * 2**20)})


REFUSED = {
    "no object": ("t.jsonl", lambda p: p.write_text('{"a": 1}\n[1]\n'), "t.jsonl:2"),
    "no JSON": ("t.jsonl", lambda p: p.write_text('{"a": 1}\n{"a": \n'), "t.jsonl:2"),
    "columns in place of rows": (
        "t.json",
        lambda p: p.write_text('{"a": [1, 2], "b": [3, 4]}'),
        "holds columns where rows are expected",
    ),
    "an archive of two tables": (
        "t.zip",
        lambda p: [zipfile.ZipFile(p, "a").writestr(name, "a,b\n1,2\n") for name in ("a.csv", "b.csv")],
        "unpack it, and name one of its files",
    ),
    "an object within": ("t.jsonl", lambda p: p.write_text('{"a": {"b": 1}}\n'), "an object in 'a'"),
    "an empty array": ("t.json", lambda p: p.write_text("[]"), "no object with a key"),
    "deep JSON": ("t.json", lambda p: p.write_text("[" * 10**5), "rows of JSON"),
    "an empty workbook": ("t.xlsx", lambda p: workbook(p, []), "no sheet with a row of names"),
    "half a workbook": ("t.xlsx", lambda p: (workbook(p, table_rows()), p.write_bytes(p.read_bytes()[:900])), "t.xlsx"),
    "a workbook that unpacks to much": ("t.xlsx", big_part, "would unpack to more than it should"),
    "half an Arrow file": ("t.arrow", lambda p: (FRAME.write_ipc(p), p.write_bytes(p.read_bytes()[:500])), "as Arrow"),
    "objects": ("t.npy", lambda p: np.save(p, np.array([[{}, 1]], dtype=object)), "objects of dtype"),
    "half an array": ("t.npy", lambda p: (np.save(p, np.eye(9)), p.write_bytes(p.read_bytes()[:300])), "as a table"),
    "one axis": ("t.npy", lambda p: np.save(p, np.arange(9.0)), "an array of shape (9,)"),
    "columns of two lengths": (
        "t.npz",
        lambda p: np.savez(p, a=np.arange(3.0), b=np.arange(4.0)),
        "does not hold the arrays",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    file, write, told = REFUSED[name]
    write(tmp_path / file)
    with pytest.raises(DataError) as caught:
        read(tmp_path / file)
    assert told in str(caught.value)


def test_a_workbook_without_its_reader_is_refused_with_what_to_install(tmp_path):
    workbook(tmp_path / "t.xlsx", table_rows())
    with patch.dict("sys.modules", {"python_calamine": None}), pytest.raises(DataError) as caught:
        read(tmp_path / "t.xlsx", reading=Reading())
    assert "pip install 'clearprop[excel]'" in caught.value.try_


NAMES_OF_FILES = (
    "t[1]",
    "t*",
    "t?",
    "t{1,2}",
    "~",
    "~root",
    "%41",
    "-t",
    "t #&=;$",
    "t\x1b[31m\u202e",
    "file:",
    "zwölf",
)
"""Names that a shell, a reader or a terminal would take for something else."""


WRITTEN = {
    **{name: FORMS[name][:2] for name in ("JSON lines", "a workbook", "Feather", "columns in NPZ", "fields in NPY")},
    "CSV": ("t.csv", FRAME.write_csv),
    "CSV, packed": ("t.csv.gz", lambda p: p.write_bytes(gzip.compress(FRAME.write_csv().encode()))),
    "Parquet": ("t.parquet", FRAME.write_parquet),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_a_file_is_read_by_its_own_name(form, tmp_path, monkeypatch):
    """Beside it lies another one, which its name would match if it were a pattern."""
    monkeypatch.chdir(tmp_path)
    file, write = WRITTEN[form]
    write(tmp_path / file)
    suffix = "".join(Path(file).suffixes)
    content = (tmp_path / file).read_bytes()
    want = [c.values.tolist() for c in read(tmp_path / file).columns]
    for name in ("t1", "tA", "x"):
        (tmp_path / f"{name}{suffix}").write_bytes(b"other")
    for name in NAMES_OF_FILES:
        Path(f"{name}{suffix}").write_bytes(content)
        found = [c.values.tolist() for c in read(f"{name}{suffix}").columns]
        assert repr(found) == repr(want), name


def test_a_name_that_is_no_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"t\xff.csv")
    Path(name).write_text("a,b\n1,2\n")
    with pytest.raises(DataError) as error:
        read(name)
    assert str(error.value).splitlines()[0] == "the name 't\\udcff.csv' is no text"
