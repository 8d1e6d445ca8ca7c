"""Bad input: every message is compared whole."""

from pathlib import Path

import numpy as np
import pytest

from clearprop.data.readers import npz_file
from clearprop.data.table import load_table
from clearprop.errors import ClearpropError

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def csv(text, name="data.csv", **options):
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_table(name, **options)


def npz(target=None, **arrays):
    np.savez("data.npz", **arrays)
    return load_table("data.npz", target)


def rows(number, line):
    return "".join(line(i) + "\n" for i in range(number))


def near():
    Path("houses.csv").write_text("a,b\n1,2\n")
    return load_table("house.csv")


def folder():
    Path("d").mkdir()
    return load_table("d")


def large():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npz_file, "NPZ_LIMIT", 100)
        return npz(x=X, y=Y)


def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")


def denied():
    Path("data.csv").write_text("a,b\n1,2\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        return load_table("data.csv")


CASES = [
    pytest.param(
        lambda: load_table("penguin"),
        """\
no file and no bundled data set named 'penguin'
  expected  a CSV, Parquet, JSON lines, Excel, Arrow, NPY or NPZ file, or one of: digits, iris, wine, \
breast-cancer, diabetes, penguins, spirals
  got       'penguin'
  try       'penguins', the nearest name""",
        id="no such file",
    ),
    pytest.param(
        near,
        """\
no file and no bundled data set named 'house.csv'
  expected  a CSV, Parquet, JSON lines, Excel, Arrow, NPY or NPZ file, or one of: digits, iris, wine, \
breast-cancer, diabetes, penguins, spirals
  got       'house.csv'
  try       'houses.csv', the nearest name""",
        id="no such file, one like it",
    ),
    pytest.param(
        folder,
        """\
cannot read 'd': it is a directory
  expected  a CSV, Parquet, JSON lines, Excel, Arrow, NPY or NPZ file, or a folder of Parquet or NPY files or of \
pictures
  got       a directory without Parquet or NPY files and pictures
  where     d
  try       name the file in it""",
        id="directory",
    ),
    pytest.param(
        denied,
        """\
cannot read 'data.csv'
  expected  a file that may be read
  got       Permission denied
  where     data.csv
  try       check the file's permissions""",
        id="denied",
    ),
    pytest.param(
        lambda: csv(""),
        """\
'data.csv' is empty
  expected  a header line and rows below it
  got       no text at all
  where     data.csv
  try       check that the file was written out whole""",
        id="empty",
    ),
    pytest.param(
        lambda: csv("\n\n"),
        """\
'data.csv' is empty
  expected  a header line and rows below it
  got       no text at all
  where     data.csv
  try       check that the file was written out whole""",
        id="blank",
    ),
    pytest.param(
        lambda: csv(bytes(range(256))),
        """\
cannot read 'data.csv': it is not a text file
  expected  text in UTF-8, or a CSV, Parquet, JSON lines, Excel, Arrow, NPY or NPZ file
  got       bytes that are not UTF-8 text
  where     data.csv
  try       save the table as CSV with the encoding UTF-8""",
        id="binary",
    ),
    pytest.param(
        lambda: csv(b"\0" * 64),
        """\
cannot read 'data.csv': it is not a text file
  expected  text in UTF-8, or a CSV, Parquet, JSON lines, Excel, Arrow, NPY or NPZ file
  got       bytes that are not UTF-8 text
  where     data.csv
  try       save the table as CSV with the encoding UTF-8""",
        id="zeros",
    ),
    pytest.param(
        lambda: csv("size,rooms,price\n"),
        """\
'data.csv' has a header but no rows
  expected  a header line and at least one row below it
  got       the header size, rooms, price
  where     data.csv
  try       check that the table was written out whole""",
        id="header only",
    ),
    pytest.param(
        lambda: csv("size,rooms,size\n1,2,3\n"),
        """\
'data.csv' has two columns of one name
  expected  a name of its own for every column
  got       'size' 2 times
  where     data.csv:1
  try       rename one of them""",
        id="duplicate",
    ),
    pytest.param(
        lambda: csv("size,rooms,price\n1,2,3\n1,2\n"),
        """\
'data.csv' is ragged: a row does not fit the header
  expected  3 fields, as in the header
  got       2 fields: 1, 2
  where     data.csv:3
  try       put a field that contains the separator in quotes, fill the row up, or delete a title or a note""",
        id="ragged",
    ),
    pytest.param(
        lambda: csv('size,name,price\n1,"a\nb",3\n\n1,c,d,2\n'),
        """\
'data.csv' is ragged: a row does not fit the header
  expected  3 fields, as in the header
  got       4 fields: 1, c, d, 2
  where     data.csv:5
  try       put a field that contains the separator in quotes, fill the row up, or delete a title or a note""",
        id="ragged after a field of two lines",
    ),
    pytest.param(
        lambda: csv('size,name,price\n1,"a,3\n1,c,2\n'),
        """\
cannot read 'data.csv': a quote is out of place
  expected  fields in quotes closed before the next separator, quotes in them doubled: "a ""b"" c"
  got       unexpected end of data
  where     data.csv:2
  try       close the quote in the record that starts there""",
        id="quote",
    ),
    pytest.param(
        lambda: csv("size,rooms,price\n1,2,3\n", target="prize"),
        """\
no column named 'prize'
  expected  one of: size, rooms, price
  got       'prize'
  where     data.csv
  try       --target 'price', the nearest name""",
        id="no target",
    ),
    pytest.param(
        lambda: csv("size,rooms,price\n1,2,3\n", target="zzz"),
        """\
no column named 'zzz'
  expected  one of: size, rooms, price
  got       'zzz'
  where     data.csv
  try       --target with one of the names above""",
        id="no target like it",
    ),
    pytest.param(
        lambda: csv("size,kind\n1,a\n2,a\n"),
        """\
the target 'kind' has one class only
  expected  at least two classes
  got       'a' in all 2 rows
  where     data.csv, column 'kind'
  try       choose another target, or add the rows that are missing""",
        id="one class",
    ),
    pytest.param(
        lambda: csv("size,price\n1,2.5\n2,2.5\n", task="regression"),
        """\
the target 'price' has one value only
  expected  at least two values
  got       '2.5' in all 2 rows
  where     data.csv, column 'price'
  try       choose another target, or add the rows that are missing""",
        id="one value",
    ),
    pytest.param(
        lambda: csv("size,name\n" + rows(5, lambda i: f"{i},n{i}")),
        """\
the target 'name' has too many classes for its rows
  expected  at least two rows per class on average
  got       5 classes in 5 rows
  where     data.csv, column 'name'
  try       choose another target""",
        id="many classes",
    ),
    pytest.param(
        lambda: csv("size,price\n1,2.5\n2,cheap\n", task="regression"),
        """\
the target 'price' of a regression must hold numbers
  expected  a number in every row
  got       the text 'cheap'
  where     data.csv:3, column 'price'
  try       correct the value, or --task classification""",
        id="text reg",
    ),
    pytest.param(
        lambda: csv("size,price\n" + rows(30, lambda i: f"{i if i != 7 else 'large'},{i % 2}")),
        """\
column 'size' holds text among its numbers
  expected  numbers, and an empty cell where one is missing
  got       'large' among 29 numbers
  where     data.csv:9, column 'size'
  try       correct it or leave it empty, or --missing 'large'; --kind size=category takes all as words""",
        id="text in feature",
    ),
    pytest.param(
        lambda: csv("size,price\n" + rows(30, lambda i: f"{i},{i if i != 7 else '?!'}")),
        """\
column 'price' holds text among its numbers
  expected  numbers, and an empty cell where one is missing
  got       '?!' among 29 numbers
  where     data.csv:9, column 'price'
  try       correct it or leave it empty, or --missing '?!'; --kind price=category takes all as words""",
        id="text in target",
    ),
    pytest.param(
        lambda: csv("size,kind\n1,a\ninf,b\n-inf,a\n4,b\n"),
        """\
column 'size' holds an infinite value
  expected  finite numbers; an empty cell where a number is missing
  got       inf; 2 infinite values in the column
  where     data.csv:3, column 'size'
  try       correct the value, or leave it empty""",
        id="infinite",
    ),
    pytest.param(
        lambda: csv("size,price\n1,2.5\n2,inf\n"),
        """\
column 'price' holds an infinite value
  expected  finite numbers; an empty cell where a number is missing
  got       inf; 1 infinite value in the column
  where     data.csv:3, column 'price'
  try       correct the value, or leave it empty""",
        id="infinite target",
    ),
    pytest.param(
        lambda: csv("size,kind\n1,\n2,NA\n"),
        """\
the target 'kind' is missing in every row
  expected  a class or a number in at least two rows
  got       2 empty cells
  where     data.csv, column 'kind'
  try       choose another target""",
        id="target missing",
    ),
    pytest.param(
        lambda: csv("id,size,kind\n1,3,a\n2,3,b\n3,3,a\n4,3,b\n"),
        """\
there is no column to learn from
  expected  at least one column besides the target 'kind' that differs between rows
  got       'id' left out: it counts the rows; 'size' left out: it is constant: 3
  where     data.csv
  try       add a column, or choose another target""",
        id="no features",
    ),
    pytest.param(
        lambda: csv("kind\na\nb\na\nb\n"),
        """\
there is no column to learn from
  expected  at least two columns: one to learn, and others to learn it from
  got       'kind' alone
  where     data.csv
  try       add a column, or --delimiter with what stands between the fields of a text file""",
        id="target alone",
    ),
    pytest.param(
        lambda: csv("size,kind\n1,a\n2,b\n", task="cluster"),
        """\
no task named 'cluster'
  expected  one of: auto, classification, regression
  got       'cluster'
  where     --task
  try       one of the names above""",
        id="task",
    ),
]


@pytest.mark.parametrize(("action", "message"), CASES)
def test_message(action, message):
    with pytest.raises(ClearpropError) as caught:
        action()
    assert str(caught.value) == message
