"""Files in which every line is a row are seen to be such on many lines at once: never where a closer look differs."""

import codecs
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearprop.data.readers import csv_file
from clearprop.data.readers.csv_file import CsvFile, read_csv, regular_rows
from clearprop.data.readers.plain_text import byte_of_line, look_at_lines, pieces_of_lines
from clearprop.data.readers.reading import ColumnRequest, Reading
from clearprop.data.readers.text_form import TextForm
from clearprop.data.slips import show_numbers, shows_number
from clearprop.data.streaming.blocks import UnchangingFile
from clearprop.errors import DataError

PARTS = ["a", "0815", ",", ",", ";", '"', "\n", "\n", "\r\n", "\r", " ", "é", "\0", "\u2028", "1,2,3\n", "x,y,z\r\n"]


def compared(path, text, header=True, separator=","):
    """How many rows were counted, and the lines that the closer look finds; None where it refuses."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    table = CsvFile(path, "t.csv")
    table.form = TextForm(separator, False, header)
    with table.records() as records:
        found, begin = regular_rows(table, records), records.begin
        counted = None if found is None else found.number
        try:
            return counted, begin, list(records)
        except DataError:
            return counted, begin, None


@given(
    parts=st.lists(st.sampled_from([",", ";", "\t", "\n", " ", "\r\n", "\v", "\u00a0", "a", "é", "b c"]), max_size=12),
    separator=st.sampled_from(",;\t"),
)
def test_cells_that_look_bare_are(parts, separator, tmp_path_factory):
    path, text = tmp_path_factory.getbasetemp() / "bare.csv", "".join(parts)
    path.write_text(text, newline="", encoding="utf-8")
    rows = [line.split(separator) for line in re.split("\r?\n", text.removesuffix("\n").removesuffix("\r"))]
    found = look_at_lines(path, 1, len(rows[0]), separator, ()) if len(rows[0]) > 1 else None
    if found is not None:
        bare = all(cell == cell.strip() for row in rows for cell in row)
        assert found.bare is (bare and text.isascii())


WORDS = ["", "NA", "n/a", "-", "a missing value is what stands here as somebody wrote it"]


@given(
    rows=st.lists(st.tuples(*[st.sampled_from([*WORDS, "N", "NAN", "0", "00", "07", "-1", "a"])] * 3), min_size=1),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_known_of_cells_is_so(rows, end, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "known.csv"
    path.write_text(end.join([*map(",".join, rows), ""]), newline="")
    found = look_at_lines(path, 1, 3, ",", WORDS)
    assert (found.number, found.bare) == (len(rows), True)
    assert found.told is not any(cell in WORDS[1:] for row in rows for cell in row)
    assert found.coded == {k for row in rows for k, cell in enumerate(row) if cell in ("00", "07")}


@given(parts=st.lists(st.sampled_from(PARTS), max_size=30), header=st.booleans(), separator=st.sampled_from(",;"))
def test_what_is_counted_is_what_a_closer_look_finds(parts, header, separator, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    try:
        counted, begin, lines = compared(path, "x,y,z\n" + "".join(parts), header, separator)
    except DataError:
        return  # refused before a row is looked at
    assert counted is None or lines == list(range(begin, begin + counted))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("x,y\n1,2\n3,4\n", 2), ("x,y\n1,2\n3,4", 2), ("x,y\r\n1,2\r\n", 1), ("\n\nx,y\n1,2\n", 1), ("x,y\né,2\n", 1),
        ('"x","y"\n1,2\n', 1), (codecs.BOM_UTF8 + b"x,y\n1,2\n", 1), ("x,y\n1,2\n\n", None), ("x,y\n1\n2,3,4\n", None),
        ('x,y\n"1",2\n', None), ("x\n1\n", None), (f"x,y\n1,{'a' * 200_000}\n", None),
    ],
)  # fmt: skip
def test_most_files_are_regular(text, rows, tmp_path):
    counted, _, lines = compared(tmp_path / "t.csv", text)
    assert counted == rows
    assert rows is None or len(lines) == rows


def test_pieces_end_where_lines_do(tmp_path):
    path = tmp_path / "t.csv"
    text = codecs.BOM_UTF8 + b"".join(b"%d,%d\n" % (n, n * n) for n in range(300))
    path.write_bytes(text)
    pieces = list(pieces_of_lines(path, byte_of_line(path, 1), 100))
    assert len(pieces) > 20 and all(p.endswith(b"\n") for p in pieces)
    assert b"".join(pieces) == text.removeprefix(codecs.BOM_UTF8)
    assert b"".join(pieces_of_lines(path, byte_of_line(path, 3), 100)) == text.partition(b"1,1\n")[2]


@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_values_are_those_of_the_closer_look(bom, tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_bytes(bom + b"x,code,word,truth,y\r\n1.5, 0815,a,true,1\r\nNA,12,NA,false,2\r\n-3e2,, b ,True,3\r\n")
    fast = read_csv(path, "t.csv")
    monkeypatch.setattr(csv_file, "regular_rows", lambda *_: None)
    close = read_csv(path, "t.csv")
    assert [c.name for c in fast.columns] == ["x", "code", "word", "truth", "y"]
    assert [c.kind for c in fast.columns] == ["number", "category", "category", "boolean", "number"]
    for a, b in zip(fast.columns, close.columns, strict=True):
        assert (a.name, a.kind, a.values.dtype) == (b.name, b.kind, b.values.dtype)
        assert np.array_equal(a.values, b.values, equal_nan=a.kind != "category")
    assert fast.columns[1].values.tolist() == ["0815", "12", None]
    assert fast.columns[2].values.tolist() == ["a", None, "b"]
    assert np.array_equal(fast.lines, close.lines) and fast.notes == close.notes


CELLS = ["1", "-2.5", "3e2", "", "NA", "nan", "inf", "0815", "007", "0.5", "$5", "1.5.2", "1_0", "true", "x", "12:30"]


@settings(max_examples=25)
@given(
    rows=st.lists(st.tuples(*[st.sampled_from(CELLS)] * 3), min_size=1, max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_numbers_that_are_read_at_once_are_those_of_their_texts(rows, end, tmp_path_factory):
    """Columns that begin with numbers, whatever follows: by kinds, bits, spelling and marks, whole and in blocks."""
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    path.write_text(end.join(["a,b,c", "1,2,3", *map(",".join, rows)]) + end, newline="")
    asked = {"as_text": frozenset({"b"}), "reading": Reading(spelled=frozenset({"c"}))}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(csv_file, "_OPENING", 2)  # the first line
        table = CsvFile(path, "t.csv")
        with table.records() as records:
            known = regular_rows(table, records)
        assert known.numeric == {0, 1, 2} - known.coded
        fast = read_csv(path, "t.csv", **asked)
        pieces = SimpleNamespace(text=2, texts=10**6)  # bytes at a time
        blocks = list(UnchangingFile(path, "t.csv", pieces).blocks(pieces, ColumnRequest(as_text={"b"})))
        patched.setattr(csv_file, "regular_rows", lambda *_: None)
        close = read_csv(path, "t.csv", **asked)
    assert len(blocks) > 1
    for a, b in zip(fast.columns, close.columns, strict=True):
        assert (a.name, a.kind, a.marks) == (b.name, b.kind, b.marks)
        assert np.array_equal(a.values, b.values, equal_nan=a.kind != "category")
        assert np.array_equal(np.signbit(a.values), np.signbit(b.values)) if a.kind == "number" else True
        assert (a.spelling is None) is (b.spelling is None)
        assert a.spelling is None or a.spelling.tolist() == b.spelling.tolist()
        pieces = [block.columns[a.name] for block in blocks]
        if a.kind == "number" and a.name != "b":
            together = np.concatenate([piece.as_kind("number").values for piece in pieces])
            assert np.array_equal(a.values, together, equal_nan=True)


@given(
    st.lists(
        st.sampled_from(
            ["12", "-1.5", "1e3", "1,234", "0,123,456", "1:59.5", "1:61.5", "$5", "~7", "2-3", "x", "5k", "1_0", "１２"]
        ),
        max_size=8,
    )
)
def test_texts_are_numbers_together_as_one_by_one(texts):
    assert show_numbers(texts).tolist() == [shows_number(text) for text in texts]
