"""Tables as people write them: separators, encodings, packings, numbers with marks; the same at once and in blocks."""

import bz2
import gzip
import lzma
import zipfile

import numpy as np
import pyarrow
import pytest

from clearprop.data.readers.reading import ALL_COLUMNS, Reading
from clearprop.data.readers.sources import read
from clearprop.data.streaming.blocks import UnchangingFile
from clearprop.data.streaming.memory import Budget
from clearprop.errors import ArgumentError, DataError

N = 60
K = np.arange(N)
RATE, AREA, Y = K % 7 * 1.25, 1000.0 + 13 * K, np.where(K % 2, "yes", "no")
PLAIN = ["rate,area,y", *(f"{r:.2f},{a:.0f},{y}" for r, a, y in zip(RATE, AREA, Y, strict=True))]


def other(separator):
    return [line.replace(",", separator) for line in PLAIN]


def text(lines, end="\n"):
    return end.join([*lines, ""])


def zipped(data):
    return lambda path: _zip(path, data)


def _zip(path, data):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("table.csv", data)


BODY = text(PLAIN)
# name of the file, its bytes (or what writes it), what is told of it
SAME = {
    "comma": ("t.csv", BODY.encode(), ()),
    "semicolon": ("t.csv", text(other(";")).encode(), ("a semicolon stands",)),
    "tab": ("t.tsv", text(other("\t")).encode(), ("a tab stands",)),
    "bar": ("t.csv", text(other("|")).encode(), ("a bar stands",)),
    "space": ("t.txt", text(other(" ")).encode(), ("a space stands",)),
    "trailing": ("t.csv", text([line + "," for line in PLAIN]).encode(), ("a separator at the end",)),
    "trailing below": ("t.csv", text([PLAIN[0], *(line + "," for line in PLAIN[1:])]).encode(), ("a separator",)),
    "trailing semicolon": ("t.csv", text([line + ";" for line in other(";")]).encode(), ("a semicolon", "a separator")),
    "comments": ("t.csv", text(["# made by", "# X, Y", *PLAIN]).encode(), ("2 lines of comment",)),
    "comments below": ("t.csv", text(["# by X", *PLAIN[:9], "# half", *PLAIN[9:]]).encode(), ("2 lines of comment",)),
    "carriage returns": ("t.csv", text(PLAIN, "\r").encode(), ()),
    "both ends": ("t.csv", text(PLAIN, "\r\n").encode(), ()),
    "no end": ("t.csv", BODY.rstrip().encode(), ()),
    "utf-8 with mark": ("t.csv", BODY.encode("utf-8-sig"), ()),
    "utf-16": ("t.csv", BODY.encode("utf-16"), ("the text is read as utf-16",)),
    "utf-16 big": ("t.csv", b"\xfe\xff" + BODY.encode("utf-16-be"), ("the text is read as utf-16",)),
    "utf-16 unmarked": ("t.csv", BODY.encode("utf-16-le"), ("the text is read as utf-16-le",)),
    "gzip": ("t.csv.gz", gzip.compress(BODY.encode()), ()),
    "bzip2": ("t.csv.bz2", bz2.compress(BODY.encode()), ()),
    "xz": ("t.csv.xz", lzma.compress(BODY.encode()), ()),
    "zstd": ("t.csv.zst", pyarrow.Codec("zstd").compress(BODY.encode(), asbytes=True), ()),
    "zip": ("t.zip", zipped(BODY), ()),
    "gzip of utf-16 with tabs": ("t.gz", gzip.compress(text(other("\t")).encode("utf-16")), ("the text", "a tab")),
    "decimal commas": ("t.csv", text([PLAIN[0].replace(",", ";"), *(f"{r:.2f}".replace(".", ",") + f";{a:.0f};{y}"
        for r, a, y in zip(RATE, AREA, Y, strict=True))]).encode(), ("a semicolon", "a comma stands before decimals")),
    "grouped by points": ("t.csv", text([PLAIN[0].replace(",", ";"), *(
        f"{r:.2f}".replace(".", ",") + ";" + f"{a:,.0f}".replace(",", ".") + f";{y}"
        for r, a, y in zip(RATE, AREA, Y, strict=True))]).encode(), ("a semicolon", "a comma stands before decimals")),
    "grouped by commas": ("t.csv", text([PLAIN[0], *(f'{r:.2f},"{a:,.0f}",{y}'
        for r, a, y in zip(RATE, AREA, Y, strict=True))]).encode(), ()),
    "grouped by spaces": ("t.csv", text([PLAIN[0], *(f"{r:.2f}," + f"{a:,.0f}".replace(",", "\u202f") + f",{y}"
        for r, a, y in zip(RATE, AREA, Y, strict=True))]).encode(), ()),
    "grouped by apostrophes": ("t.csv", text([PLAIN[0], *(f"{r:.2f}," + f"{a:,.0f}".replace(",", "'") + f",{y}"
        for r, a, y in zip(RATE, AREA, Y, strict=True))]).encode(), ()),
    "percent and money": ("t.csv", text([PLAIN[0], *(f'{r:.2f} %,"${a:,.2f}",{y}'
        for r, a, y in zip(RATE, AREA, Y, strict=True))]).encode(), ()),
    "euros": ("t.csv", text([PLAIN[0], *(f"{r:.2f}%,{a:.0f} €,{y}"
        for r, a, y in zip(RATE, AREA, Y, strict=True))]).encode(), ()),
    "exponents": ("t.csv", text([PLAIN[0], *(f"{r:e},{a:E},{y}"
        for r, a, y in zip(RATE, AREA, Y, strict=True))]).encode(), ()),
}  # fmt: skip


def made(folder, name, content):
    path = folder / name
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)
    return path


def in_blocks(path, reading=None):
    """The columns, read in blocks of a few rows."""
    budget = Budget(24 * 10**6)
    source = UnchangingFile(path, str(path), budget, reading or Reading())
    parts = {name: [] for name in source.table.names}
    for block in source.blocks(budget, ALL_COLUMNS):
        for name, values in block.columns.items():
            parts[name].append(values.as_kind(values.kind).values)
    return {name: np.concatenate(values).tolist() for name, values in parts.items()}, source.table.notes


@pytest.mark.parametrize("name", SAME)
def test_a_table_is_the_same_however_it_is_written(name, tmp_path):
    file, content, told = SAME[name]
    path = made(tmp_path, file, content)
    frame = read(path)
    assert frame.names == ("rate", "area", "y")
    assert frame["rate"].values.tolist() == RATE.tolist()
    assert frame["area"].values.tolist() == AREA.tolist()
    assert frame["y"].values.tolist() == Y.tolist()
    assert len(frame.notes) == len(told)
    assert all(note.startswith(start) for note, start in zip(frame.notes, told, strict=True))
    columns, notes = in_blocks(path)
    assert columns == {column.name: column.values.tolist() for column in frame.columns}
    assert notes == frame.notes


def test_letters_of_other_encodings(tmp_path):
    lines = ["ville,y", *(f"{v},{k}" for k, v in enumerate(["Orléans", "Nîmes", "Łódź", "Köln €"]))]
    for encoding in ("utf-8", "utf-16"):
        path = made(tmp_path, encoding, text(lines).encode(encoding))
        assert read(path)["ville"].values.tolist() == ["Orléans", "Nîmes", "Łódź", "Köln €"]
    latin = [line for line in lines if "Ł" not in line]
    assert read(made(tmp_path, "c", text(latin).encode("cp1252")))["ville"].values.tolist()[-1] == "Köln €"
    polish = made(tmp_path, "p", text(lines[:4]).encode("iso8859-2"))
    assert read(polish, reading=Reading(encoding="iso8859-2"))["ville"].values.tolist()[2] == "Łódź"


@pytest.mark.parametrize("name", ["rate, in %;area;y", "rate; in %,area,y"])
def test_a_separator_within_a_name_decides_nothing(name, tmp_path):
    separator = ";" if "%;" in name else ","
    lines = [name, *(f"{r:.2f}{separator}{a:.0f}{separator}1" for r, a in zip(RATE, AREA, strict=True))]
    assert read(made(tmp_path, "t.csv", text(lines).encode())).names == tuple(name.split(separator))


def test_a_file_without_names(tmp_path):
    path = made(tmp_path, "t.csv", text(PLAIN[1:]).encode())
    frame = read(path)
    assert frame.names == ("column 1", "column 2", "column 3")
    assert frame["column 1"].values.tolist() == RATE.tolist()
    assert frame.place("column 1", 0).endswith(":1, column 'column 1'")
    assert in_blocks(path)[0]["column 2"] == AREA.tolist()
    assert read(path, reading=Reading(header=True)).names[0] == "0.00"
    assert read(made(tmp_path, "u.csv", BODY.encode()), reading=Reading(header=False)).rows == N + 1


AMBIGUOUS = {
    "points": ["ort;preis", "A;750", "B;1.501", "A;12.502"],
    "commas": ["ort\tpreis", "A\t750", "B\t1,501", "A\t12,502"],
    "both": ["a;b", "1.501;2,502", "1.501;3,502"],
}


@pytest.mark.parametrize("name", AMBIGUOUS)
@pytest.mark.parametrize("form", [read, in_blocks])
def test_numbers_that_can_be_read_in_two_ways_are_refused(name, form, tmp_path):
    path = made(tmp_path, "t.csv", text(AMBIGUOUS[name]).encode())
    with pytest.raises(DataError, match="it cannot be told what") as caught:
        form(path)
    assert "--decimal ','" in caught.value.try_ and "--decimal '.'" in caught.value.try_


def test_an_option_settles_it(tmp_path):
    path = made(tmp_path, "t.csv", text(AMBIGUOUS["points"]).encode())
    assert read(path, reading=Reading(decimal=","))["preis"].values.tolist() == [750, 1501, 12502]
    assert read(path, reading=Reading(decimal="."))["preis"].values.tolist() == [750, 1.501, 12.502]
    assert in_blocks(path, Reading(decimal=","))[0]["preis"] == [750, 1501, 12502]


@pytest.mark.parametrize(
    "cells",
    [
        ["0.123", "1.501"],
        ["1.5", "1.501"],
        ["1234.567", "1.501"],
        ["1500", "1.501"],
        ["1.5012", "1.501"],
        [".501", "1.5"],
    ],
)
def test_what_shows_decimals(cells, tmp_path):
    for sign, separator in ((".", ";"), (",", "\t")):
        lines = [f"a{separator}b", *(f"{cell.replace('.', sign)}{separator}x" for cell in cells)]
        path = made(tmp_path, "t.csv", text(lines).encode())
        assert read(path)["a"].values.tolist() == [float(cell) for cell in cells]


MARKS = {
    "12,34,567": 1234567.0, "1,00,00,000.5": 10000000.5,
    "1,013": 1013.0, "(12)": -12.0, "−3.5": -3.5, "$1,013.25": 1013.25, "-$5": -5.0, "€ 7": 7.0, "3.14 %": 3.14,
    "1e3": 1000.0, "1 013 000": 1013000.0, "1’013.5": 1013.5, "£0.99": 0.99, "+4": 4.0,
    "1.15k": 1150.0, "2M": 2e6, "$1.5k": 1500.0, "0.07 Mio. €": 70000.0, "3 Tsd.": 3000.0, "1,200k": 1.2e6,
    "2bn": 2e9, "12.-": 12.0, "1'012.--": 1012.0, "Fr. 12.–": 12.0, "SFr. 3": 3.0, "Rs. 1,013.50": 1013.5, "US$ 7": 7.0,
    "7 zł": 7.0, "12-": -12.0, "-1.5k": -1500.0, "(2k)": -2000.0,
    "１，０１３．５": 1013.5, "٣٫٥": 3.5, "－２": -2.0, "９％": 9.0,
}  # fmt: skip


def test_marks_of_numbers(tmp_path):
    path = made(tmp_path, "t.csv", text(["v,w", *(f'"{mark}",x' for mark in MARKS)]).encode())
    assert read(path)["v"].values.tolist() == list(MARKS.values())


@pytest.mark.parametrize(
    "cell",
    [
        "1,01",
        "12 M",
        "k",
        "1.5kk",
        "3m",
        "5 K",
        "1.-2",
        "1,0133",
        "123,45,678",
        "1,2,345",
        "$",
        "(a)",
        "1 01",
        "%",
        "01,013",
    ],
)
def test_what_is_no_number_stays_text(cell, tmp_path):
    path = made(tmp_path, "t.csv", text(["v,w", f'"{cell}",x', "1,y"]).encode())
    assert read(path)["v"].kind == "category"


def test_words_for_missing_values(tmp_path):
    path = made(tmp_path, "t.csv", text(["a,country", "1,NA", "-,DE", "?,None", ",FR"]).encode())
    assert read(path)["country"].values.tolist() == [None, "DE", None, "FR"]
    frame = read(path, reading=Reading(missing=("-", "?")))
    assert frame["country"].values.tolist() == ["NA", "DE", "None", "FR"]
    assert frame["a"].kind == "number" and np.isnan(frame["a"].values[1:]).all()


@pytest.mark.parametrize(
    "wrong", [{"delimiter": "x"}, {"decimal": ";"}, {"encoding": "klingon"}, {"header": "perhaps"}, {"delimiter": ""}]
)
def test_what_no_option_can_be(wrong):
    with pytest.raises(ArgumentError) as caught:
        Reading.from_words(**wrong)
    assert caught.value.where == f"--{next(iter(wrong))}" and caught.value.try_


def test_archives_that_hold_no_table(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", BODY)
        archive.writestr("b.csv", BODY)
    with pytest.raises(DataError, match="is an archive of 2 files") as caught:
        read(tmp_path / "t.zip")
    assert caught.value.got == "a.csv, b.csv"
    for name, data in (("t.gz", gzip.compress(BODY.encode())[:-20]), ("t.xz", lzma.compress(BODY.encode())[:-9])):
        with pytest.raises(DataError, match="cannot read"):
            read(made(tmp_path, name, data))
    with pytest.raises(DataError, match="would unpack"):
        read(made(tmp_path, "b.gz", gzip.compress(b"1,2\n" * 2**25)))
