"""Files in which quotes, names, durations or dates are written in another way: the right values, told; or refused."""

import datetime
import json
from unittest.mock import patch

import numpy as np
import pytest

from clearprop.data.columns import as_category
from clearprop.data.readers.reading import Reading
from clearprop.data.table import load_table
from clearprop.data.training_data import from_source
from clearprop.errors import DataError

N = 60
A = [f"{(k * 37 % 61) / 7:.3f}" for k in range(N)]
AS_NUMBERS = [float(a) for a in A]
Y = [f"{3 * float(a) + k % 5:.2f}" for k, a in enumerate(A)]
DAY, MONTH = [k % 28 + 1 for k in range(N)], [k % 12 + 1 for k in range(N)]


def table(cells, head="v,b,price", sep=","):
    """A first column of these cells, two numbers, a target."""
    rows = [sep.join([cells(k), str(k % 4), Y[k]]) for k in range(N)]
    return "\n".join([head, *rows, ""])


def dates(year, month, day=lambda k: 1, *clock):
    """Seconds since 1970, by the calendar of the standard library."""
    return [datetime.datetime(year(k), month(k), day(k), *clock, tzinfo=datetime.UTC).timestamp() for k in range(N)]


def day(k):
    return DAY[k]


def month(k):
    return MONTH[k]


def year(k):
    return 2010 + k % 9


def in_2020(_):
    return 2020


DUTCH = "januari februari maart april mei juni juli augustus september oktober november december".split()
PORTUGUESE = "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro".split()
AUSTRIAN = "Jänner Feber März April Mai Juni Juli August September Oktober November Dezember".split()
SHORT = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
# the text, the words that are said, the name of a column and its values, and a part of the notes
READ = {
    "apostrophes beside usual quotes": (
        "v,b,price\n" + "".join(f"'w{k % 5}',\"say \"\"{k % 3}\"\"\",{Y[k]}\n" for k in range(N)),
        ("v", [f"'w{k % 5}'" for k in range(N)]),
        "",
    ),
    "names that files of R begin with": (table(lambda k: A[k], "RDX,HMX,price"), ("RDX", AS_NUMBERS), ""),
    "names of rows, as R writes them": (
        '"area","rooms","price"\n' + "".join(f'"{k + 1}",{A[k]},{k % 4},{Y[k]}\n' for k in range(N)),
        ("area", AS_NUMBERS),
        "the first column has no name, as R writes names of rows",
    ),
    "names of rows, blanks between fields": (
        '"area" "rooms" "price"\n' + "".join(f'"car {k}" {A[k]} {k % 4} {Y[k]}\n' for k in range(N)),
        ("area", AS_NUMBERS),
        "the first column has no name",
    ),
    "no names of rows where a separator ends each line": (
        "area,rooms,price\n" + "".join(f"{A[k]},{k % 4},{Y[k]},\n" for k in range(N)),
        ("area", AS_NUMBERS),
        "a separator at the end of lines is no column",
    ),
    "apostrophes for quotes": (
        table(lambda k: f"'{A[k]}'", "'v','b','price'"),
        ("v", AS_NUMBERS),
        "apostrophes around fields are taken for quotes",
    ),
    "apostrophes around separators": (
        table(lambda k: f"'red, {k % 3}'"),
        ("v", [f"red, {k % 3}" for k in range(N)]),
        "apostrophes",
    ),
    "apostrophes within words": (
        table(lambda k: ("it's", "'tis", "cats'")[k % 3]),
        ("v", [("it's", "'tis", "cats'")[k % 3] for k in range(N)]),
        "",
    ),
    "backslashes before quotes": (
        table(lambda k: f'"say \\"x, y\\" {k % 3}"'),
        ("v", [f'say "x, y" {k % 3}' for k in range(N)]),
        r"quotes within fields are written \"",
    ),
    "paths that end in a backslash": (
        table(lambda k: f'"C:\\{"ab"[k % 2]}\\"'),
        ("v", [f"C:\\{'ab'[k % 2]}\\" for k in range(N)]),
        "",
    ),
    "names behind a #": (table(lambda k: A[k], "# v,b,price"), ("v", AS_NUMBERS), "names stand behind #"),
    "names behind a #, blanks between fields": (
        "# v b price\n" + "".join(f"{A[k]} {k % 4} {Y[k]}\n" for k in range(N)),
        ("v", AS_NUMBERS),
        "names stand behind #",
    ),
    "a column named #": (table(lambda k: A[k], "#,b,price"), ("#", AS_NUMBERS), ""),
    "a comment of as many words as columns": (
        "# made by me\n" + table(lambda k: A[k], "v b price", " ").replace(",", " "),
        ("v", AS_NUMBERS),
        "1 line of comment",
    ),
    "no names, but words": (
        "".join(f"{'abc'[k % 3]},{'xyzw'[k % 4]},{k % 9},{('yes', 'no')[k * 7 % 2]}\n" for k in range(N)),
        ("column 1", ["abc"[k % 3] for k in range(N)]),
        "the first line holds no names",
    ),
    "no names, but dates and words": (
        "".join(f"2020-01-{DAY[k]:02},{'xyzw'[k % 4]},{('yes', 'no')[k * 7 % 2]}\n" for k in range(N)),
        ("column 1", dates(in_2020, lambda k: 1, day)),
        "the first line holds no names",
    ),
    "names that are dates": (
        table(lambda k: A[k], "2019-01-01,2020-01-01,2021-01-01"),
        ("2019-01-01", AS_NUMBERS),
        "",
    ),
    "a name that is a word of its column once": (
        "colour,kind\n" + "".join(f"{('red', 'blue', 'colour')[k % 3]},{'ab'[k % 2]}\n" for k in range(N)),
        ("colour", [("red", "blue", "colour")[k % 3] for k in range(N)]),
        "",
    ),
    r"\N of a database": (
        table(lambda k: r"\N" if k % 5 == 0 else A[k]),
        ("v", [np.nan if k % 5 == 0 else AS_NUMBERS[k] for k in range(N)]),
        "",
    ),
    "durations of ISO 8601": (
        table(lambda k: f"P{k % 3}DT{k % 5}H{k}M{k % 7}.25S"),
        ("v", [k % 3 * 86400 + k % 5 * 3600 + k * 60 + k % 7 + 0.25 for k in range(N)]),
        "column 'v': durations as seconds (--kind v=category takes words)",
    ),
    "minutes of ISO 8601": (table(lambda k: f"PT{k}M"), ("v", [60.0 * k for k in range(N)]), "durations as seconds"),
    "weeks of ISO 8601": (table(lambda k: f"P{k}W"), ("v", [604800.0 * k for k in range(N)]), "durations as seconds"),
    "durations of Python": (
        table(lambda k: f'"{datetime.timedelta(days=1 + k, seconds=3661 * (k % 9))}"'),
        ("v", [86400.0 * (1 + k) + 3661 * (k % 9) for k in range(N)]),
        "durations as seconds",
    ),
    "months of ISO 8601 have no length": (table(lambda k: f"P{k % 5}M"), ("v", [f"P{k % 5}M" for k in range(N)]), ""),
    "money lost, in parentheses": (
        table(lambda k: f"$({A[k]})" if k % 2 else f"${A[k]}"),
        ("v", [-a if k % 2 else a for k, a in enumerate(AS_NUMBERS)]),
        "",
    ),
    "European money in quotes": (
        table(lambda k: f'"{1 + k % 9}.{100 + k},56 €"').replace(".00\n", "\n"),
        ("v", [(1 + k % 9) * 1000 + 100 + k + 0.56 for k in range(N)]),
        "",
        {"decimal": ",", "drop": "price", "target": "b"},
    ),
    "months of years": (table(lambda k: f"{MONTH[k]:02}/{year(k)}"), ("v", dates(year, month)), ""),
    "halves of years": (table(lambda k: f"{year(k)}H{k % 2 + 1}"), ("v", dates(year, lambda k: 6 * (k % 2) + 1)), ""),
    "trimesters": (table(lambda k: f"T{k % 4 + 1} {year(k)}"), ("v", dates(year, lambda k: 3 * (k % 4) + 1)), ""),
    "weeks in German": (
        table(lambda k: f"KW {k % 52 + 1}/2024"),
        ("v", [datetime.datetime.fromisocalendar(2024, k % 52 + 1, 1).replace(tzinfo=datetime.UTC).timestamp()
               for k in range(N)]),
        "",
    ),
    "dates in Dutch": (
        table(lambda k: f"{DAY[k]} {DUTCH[MONTH[k] - 1]} 2020"), ("v", dates(in_2020, month, day)), ""
    ),
    "dates in Portuguese": (
        table(lambda k: f"{DAY[k]} de {PORTUGUESE[MONTH[k] - 1]} de 2020"), ("v", dates(in_2020, month, day)), ""
    ),
    "dates in Austrian German": (
        table(lambda k: f"{DAY[k]}. {AUSTRIAN[MONTH[k] - 1]} 2020"), ("v", dates(in_2020, month, day)), ""
    ),
    "dates in Japanese": (table(lambda k: f"2020年{MONTH[k]}月{DAY[k]}日"), ("v", dates(in_2020, month, day)), ""),
    "dates of SAS": (
        table(lambda k: f"{DAY[k]:02}{SHORT[MONTH[k] - 1]}2020 10:12:13"),
        ("v", dates(in_2020, month, day, 10, 12, 13)),
        "",
    ),
    "dates of web servers": (
        table(lambda k: f"{DAY[k]:02}/{SHORT[MONTH[k] - 1].title()}/2020 10:11:12 +0100"),
        ("v", dates(in_2020, month, day, 9, 11, 12)),
        "",
    ),
    "months in Japanese": (table(lambda k: f"2020年{MONTH[k]}月"), ("v", dates(in_2020, month)), ""),
    "words that differ in capital letters": (
        table(lambda k: ("Red", "red", "blue")[k % 3]),
        ("v", [("Red", "red", "blue")[k % 3] for k in range(N)]),
        "words that look alike are told apart: 'Red', 'red' in column 'v'",
    ),
    "words with a sign without width": (
        table(lambda k: ("red", "red\u200b", "blue")[k % 3]),
        ("v", [("red", "red\u200b", "blue")[k % 3] for k in range(N)]),
        r"told apart: 'red', 'red\u200b' in column 'v'",
    ),
    "words composed in two ways": (
        table(lambda k: ("caf\u00e9", "cafe\u0301", "tea")[k % 3]),
        ("v", [("caf\u00e9", "cafe\u0301", "tea")[k % 3] for k in range(N)]),
        r"'cafe\u0301', 'café' in column 'v'",
    ),
    "dates that are not read": (
        table(lambda k: f"2020-01-{DAY[k]:02} 10:11 CET"),
        ("v", [f"2020-01-{DAY[k]:02} 10:11 CET" for k in range(N)]),
        "the texts of column 'v' are taken as words, such as '2020-01-01 10:11 CET' (write dates as 2021-12-31)",
    ),
    "a class that may be missing": (
        "a,b,state\n" + "".join(f"{A[k]},{k % 7},{('None', 'Mild', 'Severe')[k % 3]}\n" for k in range(N)),
        ("state", [("Mild", "Severe")[k % 2] for k in range(40)]),
        "20 rows left out: no value in the target 'state' (--missing says which words stand for none)",
    ),
    "a class None": (
        "a,b,state\n" + "".join(f"{A[k]},{k % 7},{('None', 'Mild', 'Severe')[k % 3]}\n" for k in range(N)),
        ("state", [("None", "Mild", "Severe")[k % 3] for k in range(N)]),
        "",
        {"missing": "NA"},
    ),
    "classes that are dates": (
        "a,b,when\n" + "".join(f"{A[k]},{k % 7},2020-01-{DAY[k]:02}\n" for k in range(N)),
        ("when", [f"2020-01-{DAY[k]:02}" for k in range(N)]),
        "which are dates: what is foretold is a class or a number",
    ),
}  # fmt: skip
# what is said of a column
NOTED = {
    "a fill of many digits": (
        table(lambda k: "9.969209968386869e+36" if k % 9 == 4 else A[k]),
        "9.96921e+36 may stand for a missing value (--missing with it as it is written)",
    ),
    "a date for none": (
        table(lambda k: "1900-01-01" if k % 9 == 0 else f"2020-01-{DAY[k]:02}"),
        "1900-01-01 may stand",
    ),
    "the last date": (table(lambda k: "9999-12-31" if k % 9 == 0 else f"2020-01-{DAY[k]:02}"), "9999-12-31 may stand"),
    "the fill of a grid": (table(lambda k: "1e20" if k % 9 == 0 else A[k]), "1e+20 may stand for a missing value"),
    "days of a spreadsheet": (
        table(lambda k: str(43800 + k * 3), "date,b,price"),
        "if these are days as a spreadsheet counts them, from 2019-12-01 on",
    ),
    "numbers with marks of notes": (table(lambda k: A[k] + "*" * (k % 3)), "'0.000' is no number"),
    "shares of a thousand": (table(lambda k: f"{A[k]} ‰"), "'0.000 ‰' is no number (write it without its unit"),
    "hours and minutes": (table(lambda k: f"{k % 3}h {k % 60}m"), "'0h 0m' is no number (write it in seconds"),
    "dates of another language": (table(lambda k: f"{DAY[k]} stycznia {2000 + k}"), "is no date that is read"),
}
FAR_BELOW = "".join(f"'w{k % 5}',{k % 7},{k % 9}.5\n" for k in range(30_000))
REFUSED = {
    "an apostrophe far below, and another": (
        "v,b,price\n" + FAR_BELOW + "'tis,3,0\n'tx',1,5\n", "a quote is out of place", "close the quote"
    ),
    "an apostrophe far below": (
        "v,b,price\n" + FAR_BELOW + "'tis,3,0\n" + "w,1,5\n" * 30_000, "a quote is out of place", "close the quote"
    ),
    "zero bytes": (table(lambda k: A[k] + "\0" * (k == 3)), "bytes that are zero", "tr -d"),
    "zero bytes at the end": (table(lambda k: A[k]) + "\0" * 99, "bytes that are zero", "tr -d"),
    "zero bytes within words": (table(lambda k: "ab"[k % 2] + "\0" * (k == 3)), "bytes that are zero", "tr -d"),
    "sparse rows": (
        "".join(f"{k % 2} 1:{A[k]} 2:{k % 4}\n" for k in range(N)), "holds sparse rows", "load_svmlight_file"
    ),
    "a source below, as long as a row": (
        table(lambda k: A[k]) + "Source: office,,\n", "holds text among its numbers", "--missing 'Source: office'"
    ),
    "European money": (
        table(lambda k: f'"{1 + k % 9}.{100 + k},56 €"'), "with a comma before their decimals", "--decimal ,"
    ),
    "percent with commas, some whole": (
        table(lambda k: f'"{k % 9},5 %"' if k % 2 else f"{k % 9} %"), "with a comma before", "--decimal ,"
    ),
    "a target of dates": (
        "a,b,when\n" + "".join(f"{A[k]},{k % 7},{2000 + k}-01-03\n" for k in range(N)),
        "too many classes",
        "the days since the first of them",
    ),
}  # fmt: skip


def written(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


def prepared(path, in_blocks, words):
    target, said = words.get("target"), {key: word for key, word in words.items() if key != "target"}
    with patch("clearprop.data.training_data.needs_streaming", lambda *_: in_blocks):
        return from_source(str(path), target, "auto", 0.2, 0.2, 1, 24 * 10**6, reading=Reading.from_words(**said))


@pytest.mark.parametrize("name", READ)
def test_the_values_are_those_that_are_meant(name, tmp_path):
    text, (column, values), told, *more = READ[name]
    words = more[0] if more else {}
    path = written(tmp_path, text)
    said = {key: word for key, word in words.items() if key != "target"}
    found = load_table(path, words.get("target"), reading=Reading.from_words(**said))
    columns = {c.name: c for c in (*found.features, found.target)}
    chosen = as_category(columns[column]) if isinstance(values[0], str) else columns[column]
    if isinstance(values[0], str):
        assert chosen.values.tolist() == values
    else:
        np.testing.assert_array_equal(chosen.values, values)
    whole, blocks = prepared(path, False, words), prepared(path, True, words)
    assert told in " ".join(whole.told["notes"])
    assert told in " ".join(blocks.told["notes"])
    assert blocks.preprocessing == whole.preprocessing
    assert np.array_equal(blocks.train.x.get(0, len(blocks.train)), whole.train[0])


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("name", NOTED)
def test_what_a_column_may_be_instead_is_told(name, in_blocks, tmp_path):
    text, note = NOTED[name]
    columns = prepared(written(tmp_path, text), in_blocks, {}).told["columns"]
    assert any(note in str(column["note"]) for column in columns), columns


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_misread_is_refused(name, in_blocks, tmp_path):
    text, headline, remedy = REFUSED[name]
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        prepared(path, in_blocks, {})
    assert headline in caught.value.headline
    assert remedy in caught.value.try_
    assert str(path) in caught.value.where or path.name in caught.value.where


def test_rows_of_objects_have_the_texts_that_they_are_given(tmp_path):
    path = tmp_path / "t.jsonl"
    said = [{"#id": k, "q": f'{k % 3}" pipe', "w": f"'a{k % 2}'", "y": float(Y[k])} for k in range(N)]
    path.write_text("".join(json.dumps(row) + "\n" for row in said), encoding="utf-8")
    columns = {c.name: as_category(c).values.tolist() for c in load_table(path, "y").features}
    assert columns["q"] == [row["q"] for row in said] and columns["w"] == [row["w"] for row in said]
    assert "#id" in columns
