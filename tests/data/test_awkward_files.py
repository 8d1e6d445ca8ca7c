"""Files as people have them: each is read as a person expects, or refused with what settles it; never silently wrong.

At once and in blocks: the same encodings, the same rows, the same refusals.
"""

from unittest.mock import patch

import numpy as np
import pytest

from clearprop.data.readers.reading import Reading
from clearprop.data.training_data import from_source
from clearprop.errors import DataError

N = 60
A = [f"{(k * 37 % 61) / 7:.3f}" for k in range(N)]
Y = [f"{3 * float(a) + k % 5:.2f}" for k, a in enumerate(A)]


def table(cells, head="v,b,price", sep=","):
    """A first column of these cells, two numbers, a target."""
    rows = [sep.join([cells(k), str(k % 4), Y[k]]) for k in range(N)]
    return "\n".join([head, *rows, ""])


PLAIN = table(lambda k: A[k], "area,rooms,price")
DAY, MONTH = [k % 28 + 1 for k in range(N)], [k % 12 + 1 for k in range(N)]
TWO = {"kind": "boolean", "encoding": "false 0, true 1"}
# the text; the words that are said; what is expected of the first column (kind, beginning of the encoding, of the
# note), and a part of the notes
READ = {
    "a title above": ("Sales 2024\nprinted 3.1.2024\n\n" + PLAIN, {}, {"kind": "number"}, "2 lines above the names"),
    "a title with separators": ("Sales 2024,,\n,,\n" + PLAIN, {}, {"kind": "number"}, "2 lines above the names"),
    "the first line of Excel": ("sep=;\n" + table(lambda k: A[k], "v;b;price", ";"), {}, {"kind": "number"}, "above"),
    "no title where it is said": (PLAIN, {"header": "yes"}, {"kind": "number"}, ""),
    "blank lines": (PLAIN.replace("\n", "\n\n"), {}, {"kind": "number"}, "blank lines skipped"),
    "all in quotes": (table(lambda k: f'"{A[k]}"', '"v","b","price"'), {}, {"kind": "number"}, ""),
    "spaces everywhere": (table(lambda k: f"  {A[k]} ", " v , b , price "), {}, {"kind": "number"}, ""),
    "a column of numbers without name": (table(str, ",b,price"), {}, {"note": "it counts the rows"}, ""),
    "codes with leading zeros": (
        table(lambda k: f"0{1000 + k % 7}"),
        {},
        {"kind": "category", "encoding": "one-hot: 01000"},
        "",
    ),
    "phone numbers": (table(lambda k: f"0{79000000 + k * 13}"), {}, {"note": "it identifies rows"}, ""),
    "international phone numbers": (table(lambda k: f"+41 79 {100 + k} {10 + k}"), {}, {"note": "it identifies"}, ""),
    "codes that are numbers": (table(lambda k: f"0{1000 + k % 7}"), {"kind": "v=number"}, {"kind": "number"}, ""),
    "hours with zeros": (table(lambda k: f"{k % 24:02}"), {}, {"kind": "number"}, ""),
    "yes and no": (table(lambda k: ("yes", "no")[k % 2]), {}, TWO, ""),
    "ja and nein, some missing": (table(lambda k: ("ja", "Nein", "", "JA")[k % 4]), {}, TWO, ""),
    "truth values of four spellings": (table(lambda k: ("TRUE", "False", "1", "0")[k % 4]), {}, TWO, ""),
    "t and f": (table(lambda k: "tf"[k % 2]), {}, TWO, ""),
    "yes, no and words": (table(lambda k: ("yes", "no", "maybe")[k % 3]), {}, {"kind": "category"}, ""),
    "truth values kept as words": (table(lambda k: "tf"[k % 2]), {"kind": "v=category"}, {"kind": "category"}, ""),
    "percentages, some without sign": (table(lambda k: f"{k % 9}" + "%" * (k % 2)), {}, {"kind": "number"}, ""),
    "dates, year first": (table(lambda k: f"2024-{MONTH[k]:02}-{DAY[k]:02}"), {}, {"kind": "time"}, ""),
    "dates, day first": (table(lambda k: f"{DAY[k]:02}.{MONTH[k]:02}.2024"), {}, {"kind": "time"}, ""),
    "dates, years of two digits": (table(lambda k: f"{DAY[k]:02}.{MONTH[k]:02}.24"), {}, {"kind": "time"}, ""),
    "dates, month first": (table(lambda k: f"{MONTH[k]}/{DAY[k]}/2024"), {}, {"kind": "time"}, ""),
    "dates, months in letters": (table(lambda k: f"{DAY[k]} {('Jan', 'March')[k % 2]} 2024"), {}, {"kind": "time"}, ""),
    "dates in two forms": (
        table(lambda k: (f"2024-0{k % 9 + 1}-01", f"{DAY[k]:02}.0{k % 9 + 1}.2024")[k % 2]),
        {},
        {"kind": "time"},
        "",
    ),
    "dates as eight digits": (
        table(lambda k: f"2024{MONTH[k]:02}{DAY[k]:02}", "date,b,price"),
        {},
        {"note": "if these are dates: --kind date=date"},
        "",
    ),
    "eight digits that are dates": (
        table(lambda k: f"2024{MONTH[k]:02}{DAY[k]:02}"),
        {"kind": "v=date"},
        {"kind": "time"},
        "",
    ),
    "times with a zone": (table(lambda k: f"2024-{MONTH[k]:02}-01T10:{k % 60:02}:00+02:00"), {}, {"kind": "time"}, ""),
    "times of day": (
        table(lambda k: f"{k % 24:02}:{k:02}"),
        {},
        {"kind": "time", "encoding": "elapsed, sin, cos of day"},
        "",
    ),
    "one date that is a word": (
        table(lambda k: "unknown" if k == 30 else f"2024-01-{DAY[k]:02}"),
        {"missing": "unknown"},
        {"kind": "time"},
        "",
    ),
    "rows in order of time": (
        table(lambda k: f"2024-{k // 28 + 1:02}-{k % 28 + 1:02}"),
        {},
        {"kind": "time"},
        "rows are in order of the times in 'v'",
    ),
    "missing in five ways": (
        table(lambda k: ("NA", "n/a", "", "null", "?")[k % 5] if k % 2 else A[k]),
        {},
        {"kind": "number"},
        "",
    ),
    "errors of a spreadsheet": (table(lambda k: "#DIV/0!" if k % 9 == 0 else A[k]), {}, {"kind": "number"}, ""),
    "999 for missing": (table(lambda k: "-999" if k % 6 == 0 else f"{k % 50}"), {}, {"note": "-999 may stand for"}, ""),
    "numbers of twenty digits": (table(lambda k: f"{10**19 + k * 10**17}"), {}, {"kind": "number"}, ""),
    "keys": (table(lambda k: f"{k * 7919:016x}-ab"), {}, {"note": "it identifies rows"}, ""),
    "decimal commas": (
        table(lambda k: A[k], "v;b;price", ";").replace(".", ","),
        {},
        {"kind": "number"},
        "a comma stands before",
    ),
    "decimal commas in quotes": (
        table(lambda k: f'"{A[k].replace(".", ",")}"'),
        {"decimal": ","},
        {"kind": "number"},
        "",
    ),
    "points for thousands": (
        table(lambda k: f"{1000 + k * 97:,}".replace(",", "."), "v;b;price", ";").replace(f";{Y[3]}\n", ";7,5\n"),
        {},
        {"kind": "number"},
        "",
    ),
    "negative in parentheses": (table(lambda k: f"({A[k]})"), {}, {"kind": "number", "encoding": "(v +"}, ""),
    "a minus behind": (table(lambda k: f"{A[k]}-"), {}, {"kind": "number", "encoding": "(v +"}, ""),
    "a typographic minus": (table(lambda k: f"\u2212{A[k]}"), {}, {"kind": "number", "encoding": "(v +"}, ""),
    "powers of ten": (table(lambda k: f"{float(A[k]) * 1e-9:.3e}"), {}, {"kind": "number"}, ""),
    "money": (table(lambda k: f"${A[k]}"), {}, {"kind": "number"}, ""),
    "money by its code": (table(lambda k: f"CHF {A[k]}"), {}, {"kind": "number"}, ""),
    "money by its code, behind": (table(lambda k: f"{A[k]} EUR"), {}, {"kind": "number"}, ""),
    "levels of few numbers and a word": (
        table(lambda k: str(k % 4) if k % 4 else "studio"),
        {},
        {"kind": "category", "encoding": "one-hot: 1, 2, 3, studio"},
        "",
    ),
    "a word for what is missing, said": (
        table(lambda k: A[k] if k % 5 else "n. b."),
        {"missing": "n. b."},
        {"kind": "number"},
        "",
    ),
    "columns below each other": (
        "\n".join(["  v      b  price", *(f"{float(A[k]):7.3f} {k % 4:3d} {float(Y[k]):7.2f}" for k in range(N))]),
        {},
        {"kind": "number"},
        "blanks, however many",
    ),
    "columns below each other, without names": (
        "\n".join(f'{float(A[k]):7.3f}   {k % 4}\t"a  {"bcd"[k % 3]}"  {Y[k]}' for k in range(N)),
        {},
        {"kind": "number"},
        "the first line holds no names",
    ),
    "inches": (table(lambda k: f'{k % 2 + 3}" pipe'), {}, {"encoding": 'one-hot: 3" pipe, 4" pipe'}, ""),
    "two returns at the end of lines": (PLAIN.replace("\n", "\r\r\n"), {}, {"kind": "number"}, "blank lines skipped"),
    "a total without a word": (
        table(lambda k: A[k]) + f",90,{sum(map(float, Y)):.2f}\n",
        {},
        {"kind": "number"},
        "the last row may sum up those above it: it holds their sum in b, price",
    ),
    "a unit behind": (table(lambda k: f"{A[k]} cm"), {}, {"note": "it identifies rows: '0.000 cm' is no number"}, ""),
    "hard spaces": (table(lambda k: f"\u00a0{A[k]}\u00a0"), {}, {"kind": "number"}, ""),
    "ranges": (table(lambda k: f"{k % 5 * 10}-{k % 5 * 10 + 9}"), {}, {"kind": "category"}, ""),
    "lines within quotes": (table(lambda k: f'"line {k % 3}\nmore"'), {}, {"encoding": "one-hot: line 0\\nmore"}, ""),
    "labels with spaces behind": (
        "\n".join(["a,b,cls", *(f"{A[k]},{k % 7},{('yes', 'yes ', 'no', ' no')[k % 4]}" for k in range(N))]),
        {},
        {"kind": "number"},
        "2 different texts",
    ),
    "labels of two spellings": (
        "\n".join(["a,b,cls", *(f"{A[k]},{k % 7},{('Yes', 'yes', 'no')[k * 5 % 3]}" for k in range(N))]),
        {},
        {"kind": "number"},
        "classes that look alike are told apart: 'Yes', 'yes'",
    ),
    "a total of words": (
        table(lambda k: f"town {k % 5}") + "Total,9,182.3\n",
        {},
        {"kind": "category"},
        "the last row may sum up those above it",
    ),
    "a statement of a German bank": (
        "Konto:;DE12 3456\nZeitraum:;01.01.2024 - 31.12.2024\n\n"
        + table(lambda k: f"{DAY[k]:02}.01.2024", "Tag;Art;Betrag", ";")
        .replace(".01.2024", "#")
        .replace(".", ",")
        .replace("#", ".01.2024"),
        {},
        {"kind": "time"},
        "2 lines above the names",
    ),
    "a statement of an American bank": (
        'Description,,Sum\nBeginning balance,,"1,000.00"\n\nday,text,amount,left\n'
        + "".join(f"01/{DAY[k]:02}/2024,shop {k % 3},{A[k]},{Y[k]}\n" for k in range(N)),
        {},
        {"kind": "time", "note": "2024-01-01 to 2024-01-28, month-first"},
        "2 lines above the names",
    ),
    "lakhs and crores": (
        table(lambda k: f'"{1 + k % 9},{10 + k},{100 + k * 13}.50"'),
        {},
        {"kind": "number", "encoding": "(v − 5"},
        "",
    ),
    "weeks": (table(lambda k: f"2024-W{k % 52 + 1:02}"), {}, {"note": "2024-01-01 to 2024-12-23"}, ""),
    "quarters": (table(lambda k: f"Q{k % 4 + 1} {2001 + k % 9}"), {}, {"note": "2001-01-01 to 2009-10-01"}, ""),
    "months of offices": (table(lambda k: f"{2001 + k % 9}M{MONTH[k]:02}"), {}, {"kind": "time"}, ""),
    "months by name": (table(lambda k: f"{('Jan', 'July')[k % 2]} {2001 + k % 9}"), {}, {"kind": "time"}, ""),
    "hours of a day": (table(lambda k: f"{k % 12 + 1}{('am', 'pm')[k % 2]}"), {}, {"kind": "time"}, ""),
    "stamps of a survey": (
        table(lambda k: f"2024/01/{DAY[k]:02} {k % 12 + 1}:04:05 {('AM', 'PM')[k % 2]} GMT+1"),
        {},
        {"kind": "time"},
        "",
    ),
    "seconds since 1970": (
        table(lambda k: f"{1704067200 + 600 * k}"),
        {},
        {"kind": "number"},
        "column 'v' may count seconds since 1970: it would begin on 2024-01-01",
    ),
    "milliseconds since 1970": (
        table(lambda k: f"{1704067200000 + 600 * k}"),
        {},
        {"kind": "number"},
        "may count milliseconds since 1970",
    ),
    "months as six digits": (
        table(lambda k: f"2024{MONTH[k]:02}", "month,b,price"),
        {},
        {"kind": "number"},
        "column 'month' may hold months",
    ),
    "microseconds since 1970": (
        table(lambda k: f"{(1_700_000_000 + 86_400 * k * k) * 10**6}"),
        {},
        {"kind": "number"},
        "may count microseconds since 1970",
    ),
    "digits of full width": (
        table(lambda k: A[k].translate({ord("."): "．", **{48 + d: 0xFF10 + d for d in range(10)}})),
        {},
        {"kind": "number"},
        "",
    ),
    "Arabic digits": (
        table(lambda k: A[k].translate({ord("."): "٫", **{48 + d: 0x0660 + d for d in range(10)}})),
        {},
        {"kind": "number"},
        "",
    ),
    "thousands and millions": (
        table(lambda k: f"{k % 7}.5k" if k % 2 else f"${k % 7}.25M"),
        {},
        {"kind": "number"},
        "column 'v': M as 1,000,000 and k as 1,000 (--kind v=category takes words)",
    ),
    "millions in German": (
        table(lambda k: f"{k % 7},5 Mio. €" if k % 2 else f"{k % 7} Tsd.", "v;b;price", ";").replace(".", "."),
        {"decimal": ","},
        {"kind": "number"},
        "Mio. as 1,000,000 and Tsd. as 1,000",
    ),
    "francs without decimals": (
        table(lambda k: f"Fr. {k % 9 + 1}’{k % 7}00.{'-' * (k % 2 + 1)}"),
        {},
        {"kind": "number", "encoding": "(v − "},
        "",
    ),
    "rupees": (table(lambda k: f'"Rs. {k % 9 + 1},{k % 7}00.50"'), {}, {"kind": "number"}, ""),
    "currency here and there": (table(lambda k: f"{'$' * (k % 2)}{A[k]}"), {}, {"kind": "number"}, ""),
    "two currencies, as they stand": (
        table(lambda k: f"{'$€'[k % 2]}{A[k]}"),
        {"kind": "v=number"},
        {"kind": "number"},
        "",
    ),
    "months of years as spreadsheets write them": (
        table(lambda k: f"{('Jan', 'Feb', 'Dec')[k % 3]}-{10 + k % 13}"),
        {},
        {"kind": "time", "note": "2010-01-01 to 2022-12-01"},
        "",
    ),
    "dates in German": (
        table(lambda k: f"{DAY[k]}. {('Januar', 'März', 'Mai', 'Okt.')[k % 4]} 2023"),
        {},
        {"kind": "time", "note": "2023-01-01"},
        "",
    ),
    "dates in French": (
        table(lambda k: ("1er janvier 2023", "3 févr. 2023", "14 juillet 2023", "24 déc. 2023")[k % 4]),
        {},
        {"kind": "time", "note": "2023-01-01 to 2023-12-24"},
        "",
    ),
    "dates in Spanish": (
        table(lambda k: f"{DAY[k]} de {('enero', 'abril', 'diciembre')[k % 3]} de 2023"),
        {},
        {"kind": "time", "note": "2023-01-01"},
        "",
    ),
    "degrees behind": (
        table(lambda k: f"{k % 9}.5 °C"),
        {},
        {"kind": "category"},
        "the texts of column 'v' are taken as words, such as '0.5 °C'",
    ),
    "rooms in words": (table(lambda k: f"{k % 6} bedrooms"), {}, {"kind": "category"}, "such as '0 bedrooms'"),
    "many columns alike": (
        "\n".join(
            [
                ",".join(f"f{i}" for i in range(200)) + ",price",
                *(",".join(f"{k * i % 11}" for i in range(200)) + f",{Y[k]}" for k in range(N)),
            ]
        ),
        {},
        {},
        "columns hold the same as others",
    ),
}
REFUSED = {
    "two currencies": (table(lambda k: f"{'$€'[k % 2]}{A[k]}"), "more than one unit", "--kind v=number"),
    "two currencies, one of them in one row": (
        table(lambda k: f"{'CHF' if k == 59 else 'USD'} {A[k]}"),
        "more than one unit",
        "write all in one unit",
    ),
    "two currencies in the target": (
        "\n".join(["a,price", *(f"{A[k]},{'£€'[k % 2]}{Y[k]}" for k in range(N))]),
        "more than one unit",
        "--kind price=number",
    ),
    "percent and shares": (
        table(lambda k: f"{k % 9 + 1} %" if k % 2 else f"0.0{k % 9 + 1}"),
        "more than one unit",
        "--kind v=number",
    ),
    "a note below": (PLAIN + "\nSource: office\n", "is ragged", "delete a title or a note"),
    "a total of numbers": (PLAIN + "Total,,182.3\n", "holds text among its numbers", "delete the line if it sums up"),
    "a row of units": (
        PLAIN.replace("price\n", "price\nm2,,EUR\n"),
        "holds text among its numbers",
        "delete the line if it holds names or units",
    ),
    "a unit behind the target": (
        "\n".join(["a,b", *(f"{A[k]},{Y[k]} kg" for k in range(N))]),
        "too many classes",
        "without their unit",
    ),
    "names again within": (
        PLAIN.replace(f"{Y[9]}\n", f"{Y[9]}\narea,rooms,price\n"),
        "holds text among",
        "delete the line",
    ),
    "names twice": ("v,b,price\n" + table(lambda k: A[k]), "holds text among", "delete the line"),
    **{
        f"{word!r} in an eighth of the rows": (
            table(lambda k, word=word: word if k % 8 == 0 else A[k]),
            "holds text among",
            f"--missing {word!r}",
        )
        for word in ("unknown", ".", "–", "k.A.")
    },
    "bounds of what can be measured": (
        table(lambda k: f"<{k}.5" if k % 3 == 0 else A[k]),
        "holds text among its numbers",
        "half the bound",
    ),
    "money and a word": (table(lambda k: "tba" if k == 3 else f"${A[k]}"), "text among its numbers", "--missing 'tba'"),
    "a word in the target": (
        table(str).replace(f"{Y[8]}\n", "open\n"),
        "text among its numbers",
        "--missing 'open'",
    ),
    "a sign between fields that is none": (
        table(lambda k: A[k], "v:b:price", ":"),
        "there is no column to learn from",
        "--delimiter",
    ),
    "two columns of one name": (table(lambda k: A[k], "b,b,price"), "two columns of one name", "rename"),
    "one column": ("price\n" + "\n".join(Y), "there is no column to learn from", "add a column"),
    "one row": ("a,b,price\n1,2,3\n", "has one value only", "add the rows"),
    "a short row": (PLAIN.replace(f",{Y[20]}\n", "\n"), "is ragged", "fill the row up"),
    "one date that is a word": (
        table(lambda k: "unknown" if k == 30 else f"2024-01-{DAY[k]:02}"),
        "text among its dates",
        "--missing 'unknown'",
    ),
    "dates of either order": (
        table(lambda k: f"0{k % 9 + 1}/0{k % 8 + 1}/2024"),
        "day or month",
        "--kind 'v=day-first'",
    ),
    "decimal commas in quotes": (
        table(lambda k: f'"{A[k].replace(".", ",")}"'),
        "with a comma before their decimals",
        "--decimal ,",
    ),
    "points for thousands or decimals": (
        "\n".join(
            ["v;b;price", *(f"{1000 + k * 97:,}".replace(",", ".") + f";{k % 4};{k * 7 % 50}" for k in range(N))]
        ),
        "it cannot be told what '.' means",
        "--decimal ','",
    ),
    "infinity": (table(lambda k: "inf" if k == 3 else A[k]), "holds an infinite value", "leave it empty"),
    "two tables": (PLAIN + "\n" + table(lambda k: "x", "c,d,e"), "holds text among its numbers", "correct it"),
}


def read(path, words, in_blocks):
    test = 0.2
    with patch("clearprop.data.training_data.needs_streaming", lambda *_: in_blocks):
        return from_source(str(path), None, "auto", 0.2, test, 1, 24 * 10**6, reading=Reading.from_words(**words))


@pytest.mark.parametrize("name", READ)
def test_a_file_is_read_as_a_person_expects(name, tmp_path):
    text, words, expected, told = READ[name]
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    whole, blocks = read(path, words, False), read(path, words, True)
    shown = {column["column"]: column for column in whole.told["columns"]}
    named = next(name for name in ("v", "area", "date", "month", "day", "Tag", "column 1", "a", "f1") if name in shown)
    assert {key: str(shown[named][key])[: len(str(value))] for key, value in expected.items()} == {
        key: str(value) for key, value in expected.items()
    }
    assert told in " ".join(whole.told["notes"])
    assert blocks.preprocessing == whole.preprocessing
    assert np.array_equal(blocks.train.x.get(0, len(blocks.train)), whole.train[0])


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_with_certainty_is_refused(name, in_blocks, tmp_path):
    text, headline, remedy = REFUSED[name]
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read(path, {}, in_blocks)
    assert headline in caught.value.headline
    assert remedy in caught.value.try_
    assert str(path) in caught.value.where


@pytest.mark.parametrize("in_blocks", [False, True])
def test_shares_a_block_above_percents_are_refused(in_blocks, tmp_path):
    cells = [f"0.0{k % 9 + 1}" for k in range(1000)] + ["1.01"] * 60_000 + ["108 %"] * 12
    (tmp_path / "t.csv").write_text("v,price\n" + "".join(f"{cell},{k % 7}.5\n" for k, cell in enumerate(cells)))
    with pytest.raises(DataError, match="more than one unit"):
        read(tmp_path / "t.csv", {}, in_blocks)


@pytest.mark.parametrize("in_blocks", [False, True])
def test_the_number_with_a_comma_is_shown_and_not_the_first_of_its_column(in_blocks, tmp_path):
    cells = [f"{k}" for k in range(30)] + [f'"{k},5"' for k in range(30)]
    (tmp_path / "t.csv").write_text("v,price\n" + "".join(f"{cell},{k % 7}.5\n" for k, cell in enumerate(cells)))
    with pytest.raises(DataError, match="a comma before their decimals") as caught:
        read(tmp_path / "t.csv", {}, in_blocks)
    assert caught.value.got == "'0,5'" and "t.csv:32" in caught.value.where
