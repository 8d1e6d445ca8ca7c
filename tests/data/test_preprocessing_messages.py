"""Bad input: every message is compared whole."""

from pathlib import Path

import numpy as np
import pytest

from clearprop.data.preprocessing import Preprocessing
from clearprop.data.table import load_table
from clearprop.errors import ClearpropError

X = np.arange(12.0).reshape(6, 2)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def csv(text, name="data.csv", **options):
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_table(name, **options)


def small():
    return Preprocessing.fit(csv("size,island,old,kind\n1,A,true,a\n2,B,false,b\n3,A,true,a\n4,B,true,b\n"))


def predict(text, **options):
    fitted = small()
    Path("new.csv").write_text(text)
    return fitted.encode("new.csv", **options)


def stored(old, new):
    text = small().to_json()
    assert old in text
    return Preprocessing.from_json(text.replace(old, new))


CASES = [
    pytest.param(
        lambda: predict("kind,size\na,1\n"),
        """\
2 columns of training missing: island, old
  expected  size, island, old
  got       kind, size
  where     new.csv
  try       add the missing columns; the order does not matter, and single cells may be empty; \
to take them as empty: --fill island,old""",
        id="missing columns",
    ),
    pytest.param(
        lambda: predict("size,island,old\n1,A,true\n", with_target=True),
        """\
1 column of training missing: kind
  expected  size, island, old, kind
  got       size, island, old
  where     new.csv
  try       add the missing columns; the order does not matter, and single cells may be empty""",
        id="missing target",
    ),
    pytest.param(
        lambda: predict("size,island,old\n1,A,true\nbig,A,true\n"),
        """\
column 'size' must hold numbers
  expected  a number in every row; an empty cell where one is missing
  got       the text 'big'
  where     new.csv:3, column 'size'
  try       correct the value, or leave it empty; if it stands for a missing one: --missing big""",
        id="text number",
    ),
    pytest.param(
        lambda: predict("size,island,old\n1,A,true\n1,A,maybe\n"),
        """\
column 'old' must hold truth values
  expected  true or false, yes or no, or 1 and 0, as in training
  got       'maybe'
  where     new.csv:3, column 'old'
  try       correct the value, or leave it empty""",
        id="text bool",
    ),
    pytest.param(
        lambda: predict("size,island,old,kind\n1,A,true,z\n1,A,true,a\n", with_target=True),
        """\
the target 'kind' holds a class that training did not have
  expected  one of: a, b
  got       'z'
  where     new.csv:2, column 'kind'
  try       leave those rows out, or train again with them""",
        id="new class",
    ),
    pytest.param(
        lambda: predict("size,island,old,kind\n1,A,true,\n", with_target=True),
        """\
no row can be evaluated
  expected  a value in the target 'kind'
  got       none in 1 row
  where     new.csv
  try       predict needs no target""",
        id="no target rows",
    ),
    pytest.param(
        lambda: predict("size,island,old\ninf,A,true\n"),
        """\
column 'size' holds an infinite value
  expected  finite numbers; an empty cell where a number is missing
  got       inf; 1 infinite value in the column
  where     new.csv:2, column 'size'
  try       correct the value, or leave it empty""",
        id="inf predict",
    ),
    pytest.param(
        lambda: predict("size,island,old\n1e300,A,true\n"),
        """\
column 'size' holds a number too large for float32
  expected  numbers like those of training: 1 to 4
  got       1e+300
  where     new.csv:2, column 'size'
  try       correct the value, or leave it empty""",
        id="large",
    ),
    pytest.param(
        lambda: small().encode(X),
        """\
the array does not have the columns of training
  expected  3 columns: size, island, old
  got       2 columns
  where     arrays
  try       an array with the same columns in the same order""",
        id="array width",
    ),
    pytest.param(
        lambda: small().target_values(X),
        """\
a classification has no target values
  expected  a regression
  got       the classes a, b
  try       class_names[label]""",
        id="values",
    ),
    pytest.param(
        lambda: Preprocessing.fit(csv("size,price\n-1e300,1\n1e300,2\n0,1.5\n")),
        """\
column 'size' spreads too far to be standardised
  expected  numbers below 1e150 in magnitude
  got       -1e+300 to 1e+300
  where     column 'size'
  try       take the logarithm, or correct the values""",
        id="spread",
    ),
    pytest.param(
        lambda: Preprocessing.from_json("{"),
        """\
the stored preprocessing cannot be trusted
  expected  JSON
  got       Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
  where     preprocessing.json
  try       restore the file as the run wrote it, or train again""",
        id="stored: no JSON",
    ),
    pytest.param(
        lambda: stored('"format": 1', '"format": 2'),
        """\
the stored preprocessing cannot be trusted
  expected  format 1
  got       format 2
  where     preprocessing.json
  try       restore the file as the run wrote it, or train again""",
        id="stored: another format",
    ),
    pytest.param(
        lambda: stored('"scale": 1.0', '"scale": 0'),
        """\
the stored preprocessing cannot be trusted
  expected  a scale above 0
  got       0.0
  where     preprocessing.json, column 'old'
  try       restore the file as the run wrote it, or train again""",
        id="stored: scale 0",
    ),
    pytest.param(
        lambda: stored('"fill": 1.0', '"fill": "x"'),
        """\
the stored preprocessing cannot be trusted
  expected  a value of type float
  got       'x'
  where     preprocessing.json, columns[2].fill
  try       restore the file as the run wrote it, or train again""",
        id="stored: wrong type",
    ),
    pytest.param(
        lambda: stored('"fill": 1.0,', ""),
        """\
the stored preprocessing cannot be trusted
  expected  the fields centre, fill, high, indicator, kind, low, missing, name, scale, shared, units
  got       centre, high, indicator, kind, low, missing, name, scale, shared, units
  where     preprocessing.json, columns[2]
  try       restore the file as the run wrote it, or train again""",
        id="stored: field lacking",
    ),
]


@pytest.mark.parametrize(("action", "message"), CASES)
def test_message(action, message):
    with pytest.raises(ClearpropError) as caught:
        action()
    assert str(caught.value) == message
