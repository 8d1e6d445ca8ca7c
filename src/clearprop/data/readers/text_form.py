"""The form of a table written as text: what stands between fields, and whether the first line holds names.

Numbers come as people write them: with decimals, groups of thousands, signs of money and percent.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from clearprop.data.readers.dialects import single_blanks
from clearprop.data.readers.number_marks import without_marks
from clearprop.data.readers.reading import DELIMITERS, Reading
from clearprop.errors import DataError

if TYPE_CHECKING:
    import polars


_SAMPLE = 1 << 18
"""The characters that are looked at to decide the form."""
_ROWS = 500
_DIGIT = re.compile(r"\d")
_HAS_GAP = re.compile(r"^ |  +\S|\t")
_PAGES = ("<html", "<!doctype", "<table", "<?xml")
_MOST_TITLES = 20
"""So many rows may stand above the names."""


@dataclass(frozen=True)
class TextForm:
    """The separator, whether one stands at the end of lines, too, and whether the first line holds names.

    `above` is the number of lines above the line of names that belong to no table, such as a title; `aligned` says that
    any number of blanks stands between two fields; `row_names`: the line of names has none for the first column.
    """

    separator: str
    trailing: bool
    header: bool
    above: int = 0
    aligned: bool = False
    row_names: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as usual, as sentences."""
        found = []
        if self.aligned:
            found.append("blanks, however many, stand between fields (--delimiter says another)")
        elif self.separator != ",":
            found.append(f"{DELIMITERS[self.separator]} stands between fields (--delimiter says another)")
        if self.trailing:
            found.append("a separator at the end of lines is no column")
        if not self.header:
            found.append("the first line holds no names: columns are numbered (--header yes says that it does)")
        return tuple(found)


def find_form(path: Path, reading: Reading) -> TextForm:
    """The form of a text file in UTF-8, decided on the first rows of the table, not on its header alone.

    >>> _ = Path("t.csv").write_text(chr(10).join(["rate, in %;area", "0.5;7", "1.5;8"]))
    >>> find_form(Path("t.csv"), Reading()).separator
    ';'
    """
    lines = _first_lines(path)
    _require_table(lines, path.name)
    known = [reading.separator] if reading.separator is not None else list(DELIMITERS)
    tables = {separator: _rows(lines, separator) for separator in known}
    scores = {separator: _score(rows, separator) for separator, rows in tables.items()}
    separator = max(known, key=lambda s: scores[s])
    habit = reading.habit.delimiter
    if habit in scores and scores[habit][0] >= scores[separator][0]:
        separator = habit
    said = reading.habit.header if reading.header is None else reading.header
    aligned = _aligned_rows(lines, scores, separator)
    if aligned:
        return TextForm(" ", False, _has_header(aligned) if said is None else said, aligned=True)
    rows = tables[separator]
    titles = 0 if said is not None else _titles(rows)
    if titles:
        return TextForm(separator, False, True, above=_lines_of(lines, separator, titles))
    return _form_of_rows(separator, rows, _has_header(rows) if said is None else said)


def _form_of_rows(separator: str, rows: list[list[str]], header: bool) -> TextForm:
    trailing = _is_trailing(rows, header)
    return TextForm(separator, trailing, header, row_names=header and not trailing and _lacks_a_name(rows))


def _lacks_a_name(rows: list[list[str]]) -> bool:
    """Whether the first row has one field less than all others: names of rows, as R writes them, have no name."""
    width = len(rows[1]) if len(rows) > 1 else 0
    return width > 2 and len(rows[0]) == width - 1 and all(len(row) == width for row in rows[1:])


def _require_table(lines: list[str], name: str) -> None:
    """Raise DataError for a page of the web, which some programs save under the name of a workbook."""
    if lines and lines[0].lstrip().lower().startswith(_PAGES):
        raise DataError(
            f"{name!r} is a page of HTML or XML, whatever its name says",
            expected="a table as text, a workbook, or another form of file",
            got=lines[0].strip()[:60],
            where=name,
            try_="open it in a spreadsheet, and save it as CSV or XLSX",
        )
    _require_dense(lines, name)


_SPARSE = re.compile(r"[+-]?[\d.,]+(?:e[+-]?\d+)?(?: qid:\d+)?(?: +\d+:\S+)+\s*(?:#.*)?", re.IGNORECASE)


def _require_dense(lines: list[str], name: str) -> None:
    """Raise DataError for rows of which only numbers other than 0 are written, each behind its place."""
    if len(lines) > 1 and all(map(_SPARSE.fullmatch, lines[:20])):
        raise DataError(
            f"{name!r} holds sparse rows, as LIBSVM and svmlight write them",
            expected="a table in which every row has all its cells",
            got=lines[0].strip()[:60],
            where=f"{name}:1",
            try_="x, y = sklearn.datasets.load_svmlight_file(path), then cl.fit((x.toarray(), y))",
        )


def _first_lines(path: Path) -> list[str]:
    """The lines that are looked at, without one that is cut off."""
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        text = file.read(_SAMPLE)
        whole = not file.read(1)
    lines = text.splitlines(keepends=True)
    return lines if whole or len(lines) < 2 else lines[:-1]


def _rows(lines: list[str], separator: str) -> list[list[str]]:
    """The first rows, as far as they can be read."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=separator):
            if row:
                rows.append(row)
            if len(rows) == _ROWS:
                break
    except csv.Error:  # said when the file is read
        pass
    return rows


def _aligned_rows(lines: list[str], scores: dict[str, tuple[float, ...]], best: str) -> list[list[str]]:
    """The first rows, where blanks in any number stand between all fields, and nothing else that could; else none."""
    others = [score[0] for sign, score in scores.items() if sign not in " \t"]
    if " " not in scores or any(others) or not any(map(_HAS_GAP.search, lines)):
        return []
    rows = _rows([single_blanks(line) + "\n" for line in lines[:_ROWS]], " ")
    of_one_width = len({len(row) for row in rows}) == 1
    return rows if of_one_width and _score(rows, " ")[:2] > scores[best][:2] else []


def _titles(rows: list[list[str]]) -> int:
    """How many rows stand above the one with the names: at most their first cell is filled, and names follow.

    Or they have fewer cells than the table, as the account and the period above a bank's statement do, and a row
    without any digit follows, below which there are some.

    >>> _titles([["Sales 2024", ""], ["area", "price"], ["1", "2"], ["3", "4"]])
    1
    >>> _titles([["Account", "12"], ["day", "text", "in"], ["1.1.24", "a", "9"], ["2.1.24", "b", "5"]])
    1
    """
    if not rows:
        return 0
    width = Counter(map(len, rows)).most_common(1)[0][0]
    if 1 < len(rows[0]) < width:
        return _short_rows(rows, width)
    for number, row in enumerate(rows[: _MOST_TITLES + 1]):
        if any(cell.strip() for cell in row[1:]):
            whole = len(row) == width > 1 and sum(bool(cell.strip()) for cell in row) >= max(2, width - 1)
            return number if whole and _has_header(rows[number:]) and len(rows) > number + 1 else 0
    return 0


def _short_rows(rows: list[list[str]], width: int) -> int:
    """How many rows with fewer cells stand above one without any digit, below which there are some; 0 without it."""
    number = next((k for k, row in enumerate(rows) if sum(bool(cell.strip()) for cell in row) == width), 0)
    named = len(set(rows[number])) == width and not _DIGIT.search("".join(rows[number]))
    counted = number + 1 < len(rows) and _DIGIT.search("".join(rows[number + 1]))
    return number if named and counted and number <= _MOST_TITLES else 0


def _lines_of(lines: list[str], separator: str, rows: int) -> int:
    """The number of lines that the first rows take, with blank ones."""
    reader = csv.reader(lines, delimiter=separator)
    seen = 0
    for row in reader:
        seen += bool(row)
        if seen == rows:
            break
    return reader.line_num


def _score(rows: list[list[str]], separator: str) -> tuple[float, ...]:
    """How well a separator suits rows: the share of rows of one width, header included, then the share of numbers."""
    widths = Counter(len(row) for row in rows)
    width, number = widths.most_common(1)[0] if widths else (1, 0)
    share = (number + _lacks_a_name(rows)) / max(len(rows), 1)
    if width < 2 or (separator == " " and share < 1):  # text has spaces
        return (0.0, 0.0, -list(DELIMITERS).index(separator))
    headed = abs(len(rows[0]) - width) <= 1
    cells = [cell for row in rows[1:50] for cell in row]
    numeric = sum(_is_numeric(cell) for cell in cells) / max(len(cells), 1)
    return (share if headed else share / 2, numeric, -list(DELIMITERS).index(separator))


def _is_numeric(cell: str) -> bool:
    cell = cell.strip()
    return bool(cell) and cell.lstrip("+-−").replace(".", "").replace(",", "").isdecimal()


def _is_trailing(rows: list[list[str]], header: bool) -> bool:
    """Whether all rows, or all but the header, end in a separator: nothing follows it, not even a name."""
    below = rows[header:] or rows
    if not below or any(len(row) < 2 or row[-1].strip() for row in below):
        return False
    width = len(below[0])
    named = len(rows[0]) == width and bool(rows[0][-1].strip())
    return not named and all(len(row) == width for row in below)


_NO_NAMES = frozenset({"-", "–", "--"})
"""What stands for a missing value, as web logs have it, and for no column."""


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row holds names: no numbers with decimals, no `-`, and not the same whole number twice."""
    if not rows:
        return True
    cells = [cell.strip() for cell in rows[0]]
    if any(_is_fraction(cell) or cell in _NO_NAMES for cell in cells) or _are_values(rows):
        return False
    numbers = [cell for cell in cells if cell.lstrip("+-").isdecimal()]
    return len(set(numbers)) == len(numbers)


def _are_values(rows: list[list[str]]) -> bool:
    """Whether the first row is one of values: each of its words stands at least twice more in its column.

    And each number and date in a column of such.

    >>> _are_values([["red", "5"], ["blue", "7"], ["red", "6"], ["red", "9"]]), _are_values([["red", "5"], ["a", "7"]])
    (True, False)
    """
    columns = [[row[place].strip() for row in rows if len(row) > place] for place in range(len(rows[0]))]
    kinds = [_kind_of_first(*column) for column in columns]
    return "word" in kinds and "" not in kinds


def _kind_of_first(name: str, *below: str) -> str:
    """What the first cell of a column is, if others below it are such: a number, a date, or a word; else empty."""
    form, others = re.sub(_DIGIT, "0", name), [cell for cell in below if cell]
    if not others or not name:
        return ""
    if _is_numeric(name):
        return "number" if all(map(_is_numeric, others)) else ""
    if _DATE_FORM.fullmatch(form):
        return "date" if all(re.sub(_DIGIT, "0", cell) == form for cell in others) else ""
    return "word" if below.count(name) > 1 else ""


_DATE_FORM = re.compile(r"0{1,4}([-/.])00?\1(?:0000|00?)(?:[ T]00:00(?::00)?)?")


def _is_fraction(name: str) -> bool:
    """Whether a name is a number with a fraction, which names are not (`2019` may be one)."""
    try:
        float(name)
    except ValueError:
        return False
    return not name.lstrip("+-").isdecimal() and name.lower().lstrip("+-") not in ("nan", "inf", "infinity")


_NUMERIC = re.compile(r"\d|inf|nan", re.IGNORECASE)
"""What every text has that is a number."""
_NOT_NUMERIC = re.compile(r"/|^[^ ]*:.*:|\d-\d")
"""What none of them has."""
_FEW = 64


@dataclass(frozen=True)
class NumberForm:
    """The sign before decimals, and the one that may group thousands; `lenient`: a point may begin decimals, too.

    A form is decided for a whole file, never for a column.
    """

    decimal: str = "."
    thousands: str = ","
    lenient: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as usual, as sentences."""
        return () if self.decimal == "." else ("a comma stands before decimals (--decimal says another)",)

    def read(self, text: polars.Series) -> tuple[polars.Series, bool] | None:
        """The texts as floats, and whether all are plain, without any mark; None where some text is no number."""
        import polars as pl

        first = text[0] if len(text) else None
        if first is not None and not _may_be_number(first):  # as most columns of words show at once
            return None
        if len(text) > _FEW and self.read(text.head(_FEW)) is None:
            return None
        if self.decimal == ".":
            plain = text.cast(pl.Float64, strict=False)
            if plain.null_count() == text.null_count():
                return plain, True
        else:
            plain = pl.repeat(None, len(text), dtype=pl.Float64, eager=True)
        marked = (plain.is_null() & text.is_not_null()).arg_true()
        if not len(marked):
            return plain, False
        texts = text.gather(marked)
        if not _may_be_number(texts[0]):
            return None
        for some in (texts.head(_FEW), texts):  # where words begin further down, too
            found = without_marks(some, self.decimal, self.thousands, self.lenient).cast(pl.Float64, strict=False)
            if found.null_count():
                return None
        return plain.scatter(marked, found), False


def _may_be_number(text: str) -> bool:
    return _NUMERIC.search(text) is not None and _NOT_NUMERIC.search(text) is None


def is_plain(text: polars.Series, decimal: str = ".") -> bool:
    """Whether all texts are numbers as programs write them.

    >>> import polars
    >>> is_plain(polars.Series(["1e3", "-2.5", None])), is_plain(polars.Series(["1,000"]))
    (True, False)
    """
    return plain_numbers(text, decimal).null_count() == text.null_count()


def plain_numbers(text: polars.Series, decimal: str = ".") -> polars.Series:
    """The numbers among texts, without groups of digits and marks; null for others.

    >>> import polars
    >>> plain_numbers(polars.Series(["1,5", "1.000"]), ",").to_list()
    [1.5, None]
    """
    import polars as pl

    if decimal == "," and text.dtype == pl.String:
        text = text.str.replace_many([".", ","], [",", "."])
    return text.cast(pl.Float64, strict=False)


def surely(decimal: str, texts: Iterable[polars.Series]) -> bool:
    """Whether columns of texts show beyond doubt that this sign stands before decimals, and none that the other does.

    >>> import polars
    >>> surely(",", [polars.Series(["1,5"]), polars.Series(["1.000"])]), surely(".", [polars.Series(["1.000"])])
    (True, False)
    """
    found = Evidence()
    for text in texts:
        found.add(text)
    comma, point = found.comma_decimals, found.point_decimals
    return comma and not point if decimal == "," else point and not comma


def trim_texts(data: polars.DataFrame, missing: tuple[str, ...], bare: bool) -> polars.DataFrame:
    """The texts without blanks around them, null where they say that a value is missing; all columns in one go."""
    import polars as pl

    data.columns = [f"c{i}" for i in range(data.width)]
    texts = data if bare else data.select(pl.all().str.strip_chars())
    return texts.select(pl.when(~pl.all().is_in(list(missing))).then(pl.all())) if missing else texts


@dataclass(eq=False)
class Codes:
    """Which columns hold codes such as `0815`; those that are `plain` hold none."""

    texts: polars.DataFrame
    header: tuple[str, ...]
    plain: frozenset[str]

    @cached_property
    def names(self) -> frozenset[str]:
        """Their names, found for all columns at once: one by one, a wide table takes seconds."""
        import polars as pl

        if len(self.plain) == len(self.header):
            return frozenset()
        places = [i for i, name in enumerate(self.header) if name not in self.plain]
        begun = pl.all().filter(pl.all().str.starts_with("0"))
        found = self.texts[:, places].select(begun.str.contains(r"^0\d{2,}$").any()).row(0)
        return frozenset(self.header[i] for i, codes in zip(places, found, strict=True) if codes)


@dataclass
class Evidence:
    """What the columns of numbers in a file show, and an example of each reading that cannot be told apart."""

    comma_decimals: bool = False
    point_decimals: bool = False
    comma_groups: bool = False
    point_groups: bool = False
    comma_either: str = ""
    point_either: str = ""

    def add(self, text: polars.Series) -> None:
        """Look at a column, or a part of one."""
        present = text.drop_nulls()
        if not len(present) or not present.str.contains(r"^[+-]?[\d.,]+$").all():
            return
        long = bool(present.str.contains(r"^[+-]?\d{4,}$").any())
        for name, sign, other in (("comma", ",", r"\."), ("point", r"\.", ",")):
            certain = rf"^[+-]?(\d*{sign}(\d{{1,2}}|\d{{4,}})|0?{sign}\d{{3}}|\d{{4,}}{sign}\d{{3}}|\d{{1,3}}({other}\d{{3}})+{sign}\d+)$"  # noqa: E501 - one pattern
            either = present.filter(present.str.contains(rf"^[+-]?[1-9]\d{{0,2}}{sign}\d{{3}}$"))
            decimals = bool(present.str.contains(certain).any()) or (long and len(either) > 0)
            groups = bool(present.str.contains(rf"^[+-]?[1-9]\d{{0,2}}({sign}\d{{3}}){{2,}}({other}\d*)?$").any())
            setattr(self, f"{name}_decimals", getattr(self, f"{name}_decimals") or decimals)
            setattr(self, f"{name}_groups", getattr(self, f"{name}_groups") or groups)
            if len(either) and not getattr(self, f"{name}_either"):
                setattr(self, f"{name}_either", str(either[0]))


def evidence_of(texts: polars.DataFrame) -> Iterator[Evidence]:
    """What each column, or a part of it, shows of the form of numbers."""
    for text in texts.iter_columns():
        found = Evidence()
        found.add(text)
        yield found


def decide_numbers(
    separator: str, decimal: str | None, evidence: Iterable[Evidence], source: str, habit: str | None = None
) -> NumberForm:
    """The form of the numbers in a file: as asked for, as commas between fields demand, or as the numbers show.

    `habit` decides where what is found can be read in two ways; without it DataError is raised there.

    >>> decide_numbers(";", None, [Evidence(comma_decimals=True)], "t.csv")
    NumberForm(decimal=',', thousands='.', lenient=False)
    """
    # In the order of certainty: what was asked for, what the separator demands, what some number shows beyond doubt.
    if decimal is not None:
        return NumberForm(decimal, "." if decimal == "," else ",")
    if separator == "," and habit is None:
        return NumberForm()
    found = Evidence()
    for one in evidence:
        for field in fields(one):
            setattr(found, field.name, getattr(found, field.name) or getattr(one, field.name))
    if separator == "," and not found.comma_decimals:
        return NumberForm()
    if found.comma_decimals and found.point_decimals:
        return NumberForm(",", "", lenient=True)
    if found.comma_decimals or (found.point_groups and not found.point_decimals):
        return NumberForm(",", ".")
    if found.point_decimals or found.comma_groups or not (found.comma_either or found.point_either):
        return NumberForm()
    if habit is not None:
        return NumberForm(habit, "." if habit == "," else ",")
    example = found.point_either or found.comma_either
    sign = "." if found.point_either else ","
    group, comma = f"--decimal '{'.' if sign == ',' else ','}'", f"--decimal '{sign}'"
    raise DataError(
        f"it cannot be told what {sign!r} means in the numbers of {source!r}",
        expected="decimals of another number of digits than three somewhere, or none in a file without groups",
        got=f"{example}: {example.replace(sign, '')}, or {example.replace(sign, '.')}",
        where=source,
        try_=f"{group} if {sign!r} groups thousands, {comma} if decimals follow it",
    )
