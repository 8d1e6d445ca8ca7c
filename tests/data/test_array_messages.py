"""Bad input: every message is compared whole."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from clearprop.data.parts import split_table
from clearprop.data.readers import npz_file
from clearprop.data.table import load_table
from clearprop.errors import ClearpropError

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])
OBJECTS = np.array([1, "a", None], dtype=object)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def npz(target=None, **arrays):
    np.savez("data.npz", **arrays)
    return load_table("data.npz", target)


def broken():
    Path("data.npz").write_bytes(b"PK\3\4 no")
    return load_table("data.npz")


def bomb():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 8), }"
    header = header.ljust(117) + b"\n"
    with zipfile.ZipFile("data.npz", "w") as archive:
        head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
        archive.writestr("x.npy", head + b"\0" * 64)
        archive.writestr("y.npy", b"")
    return load_table("data.npz")


def large():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npz_file, "NPZ_LIMIT", 100)
        return npz(x=X, y=Y)


CASES = [
    pytest.param(
        lambda: npz(x=OBJECTS, y=Y),
        """\
'data.npz' holds objects, which are not read
  expected  arrays of numbers, or of text for y
  got       x of dtype object: loading it could run code
  where     data.npz, array x
  try       x = np.array(x.tolist()) before saving""",
        id="npz objects",
    ),
    pytest.param(
        lambda: npz(x=X, y=OBJECTS),
        """\
'data.npz' holds objects, which are not read
  expected  arrays of numbers, or of text for y
  got       y of dtype object: loading it could run code
  where     data.npz, array y
  try       y = np.array(y.tolist()) before saving""",
        id="npz objects y",
    ),
    pytest.param(
        lambda: npz(images=X, labels=Y),
        """\
'data.npz' does not hold the arrays that training needs
  expected  x and y, or x_train and y_train with or without x_test and y_test, or columns with other names
  got       images, labels
  where     data.npz
  try       numpy.savez(file, x=x, y=y)""",
        id="npz lacking",
    ),
    pytest.param(
        lambda: npz(x=X),
        """\
there is no target: y is missing
  expected  arrays x and y
  got       x alone
  where     data.npz
  try       (x, y), or an NPZ file written by numpy.savez(file, x=x, y=y)""",
        id="npz lacking y",
    ),
    pytest.param(
        lambda: npz(x=X, y=Y[:4]),
        """\
x and y differ in length
  expected  6 values in y, one for each row of x
  got       4
  where     data.npz
  try       check that both come from the same rows""",
        id="npz length",
    ),
    pytest.param(
        lambda: npz(x_train=X, y_train=Y[:4], x_test=X, y_test=Y),
        """\
x and y differ in length
  expected  6 values in y, one for each row of x
  got       4
  where     data.npz
  try       check that both come from the same rows""",
        id="npz lengths of the parts",
    ),
    pytest.param(
        lambda: npz(x_train=X, y_train=Y, x_test=X[:, :1], y_test=Y),
        """\
the training and test arrays of 'data.npz' do not fit together
  expected  x_train and x_test alike but for the rows, and a y for each
  got       x_train (6, 2) float64, y_train (6,) int64, x_test (6, 1) float64, y_test (6,) int64
  where     data.npz
  try       write both parts from the same array""",
        id="npz parts that do not fit",
    ),
    pytest.param(
        lambda: split_table(npz(x_train=X, y_train=Y, x_test=X, y_test=Y + 1), 0, 0),
        """\
the test part holds a class that the training part lacks
  expected  every class among the training rows
  got       class '2' in 3 rows of the test part only
  where     data.npz, row 7 (the first is 0), column 'y'
  try       move some of its rows into the training part""",
        id="npz test class",
    ),
    pytest.param(
        broken,
        """\
cannot read 'data.npz' as NPZ
  expected  an archive as written by numpy.savez(file, x=x, y=y)
  got       File is not a zip file
  where     data.npz
  try       write the file anew with numpy.savez""",
        id="npz broken",
    ),
    pytest.param(
        lambda: npz(x=X, y=np.where(Y == 0, np.nan, Y)),
        """\
y holds NaN
  expected  a class or a number in every row
  got       NaN in 3 of 6 rows
  where     data.npz, row 0 (the first is 0), column 'y'
  try       leave those rows out: keep = ~np.isnan(y); x[keep], y[keep]""",
        id="npz nan",
    ),
    pytest.param(
        lambda: npz(x=np.where(X == 3, np.inf, X), y=Y),
        """\
column 'x[1]' holds an infinite value
  expected  finite numbers; an empty cell where a number is missing
  got       inf; 1 infinite value in the column
  where     data.npz, row 1 (the first is 0), column 'x[1]'
  try       correct the value, or leave it empty""",
        id="npz inf",
    ),
    pytest.param(
        lambda: npz(x=X * 1j, y=Y),
        """\
x must hold numbers
  expected  an array of integers, truth values, float32 or float64
  got       dtype complex128
  where     data.npz
  try       encode text as integers 0, 1, …; .astype(np.float32) for other floats; lists must not be ragged""",
        id="npz dtype",
    ),
    pytest.param(
        lambda: npz(x=X[:, 0], y=Y),
        """\
x cannot be used as features
  expected  numbers of shape (rows, features), or images (rows, height, width, …)
  got       dtype float64 and shape (6,)
  where     data.npz
  try       x[:, None] for one feature""",
        id="npz 1d",
    ),
    pytest.param(
        lambda: npz(x=X, y=np.eye(6)),
        """\
y cannot be used as a target
  expected  one number or text per row: shape (rows,)
  got       dtype float64 and shape (6, 6)
  where     data.npz
  try       y.argmax(axis=1) if y is one-hot""",
        id="npz one-hot y",
    ),
    pytest.param(
        lambda: npz(x=X, y=Y, target="label"),
        """\
no column named 'label'
  expected  one of: x[0], x[1], y
  got       'label'
  where     data.npz
  try       --target with one of the names above""",
        id="npz target",
    ),
    pytest.param(
        bomb,
        """\
cannot read 'data.npz' as NPZ
  expected  an archive as written by numpy.savez(file, x=x, y=y)
  got       x of shape (1000000000, 8) and dtype float64, but 64 bytes of values
  where     data.npz
  try       write the file anew with numpy.savez""",
        id="npz bomb",
    ),
    pytest.param(
        large,
        """\
'data.npz' is too large
  expected  arrays of at most 100 bytes in all
  got       400 bytes in x, y
  where     data.npz
  try       a smaller data type (uint8 for images, float32), or fewer rows""",
        id="npz limit",
    ),
    pytest.param(
        lambda: split_table(load_table((X, Y)), 1.5),
        """\
--val must be a fraction of the rows
  expected  a number from 0 up to, but not including, 1
  got       1.5
  where     --val
  try       --val 0.15""",
        id="val range",
    ),
    pytest.param(
        lambda: split_table(load_table((X, Y)), float("nan")),
        """\
--val must be a fraction of the rows
  expected  a number from 0 up to, but not including, 1
  got       nan
  where     --val
  try       --val 0.15""",
        id="val nan",
    ),
    pytest.param(
        lambda: split_table(load_table((X, Y)), 0.5, 0.5),
        """\
validation and test leave nothing to train on
  expected  --val and --test with a sum below 1
  got       0.5 + 0.5 = 1
  where     --val, --test
  try       --val 0.15 --test 0.15""",
        id="sum",
    ),
    pytest.param(
        lambda: split_table(load_table((X, Y)), 0.5, 0.2, -1),
        """\
the seed must be a whole number
  expected  0 ≤ seed < 2**64
  got       -1
  where     --seed
  try       --seed 0""",
        id="seed",
    ),
    pytest.param(
        lambda: split_table(load_table((X, Y)), 0.05, 0.2),
        """\
too few rows: the validation part would be empty
  expected  at least one row in every part
  got       6 rows, of which 0.05 make none
  where     arrays
  try       more rows, or --val 0 to do without""",
        id="empty part",
    ),
    pytest.param(
        lambda: split_table(load_table((X[:3, :], [1.5, 2, 2.5])), 0.3, 0.3),
        """\
too few rows: nothing is left to train on
  expected  at least two rows in the training part
  got       1 row of 3
  where     arrays
  try       more rows, or smaller --val and --test""",
        id="too few rows",
    ),
    pytest.param(
        lambda: load_table((X, Y, Y)),
        """\
this is no data source
  expected  a path, a bundled name, an array x, a pair (x, y), a data frame or columns by name
  got       a tuple of 3
  try       (x, y) with one row of x for every y""",
        id="three arrays",
    ),
    pytest.param(
        lambda: load_table(3),
        """\
this is no data source
  expected  a path, a bundled name, an array x, a pair (x, y), a data frame or columns by name
  got       an object of type int
  try       (x, y) with one row of x for every y""",
        id="no source",
    ),
]


@pytest.mark.parametrize(("action", "message"), CASES)
def test_message(action, message):
    with pytest.raises(ClearpropError) as caught:
        action()
    assert str(caught.value) == message
