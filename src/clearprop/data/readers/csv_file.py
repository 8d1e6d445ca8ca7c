"""Reading a table that is written as text: its form is checked line by line, its values are parsed by polars."""

from __future__ import annotations

import csv
import io
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Column, ColumnKind, Frame, Levels, TableColumns, TextBytes, same
from clearprop.data.kinds.time_forms import LONGEST_TIME
from clearprop.data.readers.dialects import (
    as_usual,
    rows_one_by_one,
    with_line_feeds,
    with_name_of_rows,
    with_single_blanks,
    without_first_lines,
)
from clearprop.data.readers.formats import (
    LINE_FEED,
    LONGEST_LINE,
    blank_lines,
    empty_error,
    is_large,
    long_line_error,
    no_rows_error,
    place_of_line,
    quote_error,
    ragged_error,
    require_columns_in_bounds,
    zeros_error,
)
from clearprop.data.readers.number_columns import NumberColumns, numbers_apart
from clearprop.data.readers.number_marks import marks_of
from clearprop.data.readers.plain_text import (
    NOTHING_KNOWN,
    PlainText,
    RegularRows,
    byte_of_line,
    look_at_lines,
    not_text_error,
    pieces_of_lines,
    plain_text,
)
from clearprop.data.readers.reading import AS_SHOWN, Reading
from clearprop.data.readers.text_codes import FewTexts, TextCodes, few_texts, known_places, levels_of
from clearprop.data.readers.text_form import (
    Codes,
    Evidence,
    NumberForm,
    TextForm,
    decide_numbers,
    evidence_of,
    find_form,
    is_plain,
    trim_texts,
)
from clearprop.errors import DataError

if TYPE_CHECKING:
    import polars


class Records:
    """The records of a CSV file, checked one by one; iterating gives the line where each row starts, −line for a blank.

    Raises DataError for a file that is empty, ragged, without header, with a quote out of place or two columns of one
    name.  With `keep`, `pieces` are the pieces of text, of about `size` characters, that were read since the list was
    last cut, and `starts` the lines with which they start.
    """

    def __init__(self, file: TextIO, form: TextForm, source: str, keep: bool = False, size: int = 1 << 18) -> None:
        self.source, self.form, self.keep, self.size = source, form, keep, size
        self.pieces: list[str] = []
        self.starts: list[int] = []
        self.header: tuple[str, ...] = ()
        self.first: tuple[list[str], int] | None = None
        """The first row of a file without names, and its line."""
        self.reader = csv.reader(self._lines(file), delimiter=form.separator, strict=True)
        for row, line in self._rows():
            if row:
                names = row[:-1] if form.trailing and not row[-1].strip() else row
                if not form.header:
                    self.first = (row, line)
                    names = [f"column {i + 1}" for i in range(len(names))]
                self.header = _checked_header(names, line, source)
                return
        raise empty_error(source)

    def __iter__(self) -> Iterator[int]:
        """The line at which each row starts, to the end of the file."""
        width = len(self.header)
        for row, start in chain([self.first] if self.first else [], self._rows()):
            if len(row) == width or (self.form.trailing and len(row) == width + 1 and not row[-1].strip()):
                yield start
            elif row:
                raise ragged_error(row, self.header, self.source, start)
            else:
                yield -start

    @property
    def begin(self) -> int:
        """The line at which the rows begin, behind the header and blank lines before it."""
        return self.first[1] if self.first else self.reader.line_num + 1

    def _rows(self) -> Iterator[tuple[list[str], int]]:
        """Further rows, each with the line at which it starts."""
        reader = self.reader
        start = reader.line_num + 1
        try:
            for row in reader:
                yield row, start
                start = reader.line_num + 1
        except csv.Error as problem:
            raise quote_error(self.source, start, str(problem)) from None
        except UnicodeDecodeError:
            raise not_text_error(self.source) from None

    def _lines(self, file: TextIO) -> Iterator[str]:
        """The lines of the file, with their ends, read piece by piece."""
        while piece := file.read(self.size):
            rest = "" if piece.endswith("\n") else file.readline(LONGEST_LINE)
            if len(rest) == LONGEST_LINE:
                raise long_line_error(self.source, self.reader.line_num + piece.count("\n") + 1)
            piece += rest
            if "\0" in piece:
                line = self.reader.line_num + piece[: piece.index("\0")].count("\n") + 1
                raise zeros_error(self.source, line) if line > 1 else not_text_error(self.source)
            if self.keep:
                self.pieces.append(piece)
                self.starts.append(self.reader.line_num + 1)
            yield from io.StringIO(piece, newline="")


_HEAD = 1 << 18
"""The characters that are looked at to tell how fields are quoted."""


def _in_usual_quotes(plain: PlainText, source: str, reading: Reading) -> PlainText:
    """The text, or a copy of one that is quoted in another way than is usual; what we wrote ourselves is not."""
    if plain.joined:
        return plain
    with plain.path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        head = file.read(_HEAD)
    if not ("'" in head or '\\"' in head or head.lstrip("\r\n").startswith("#")):
        return plain
    whole = len(head) < _HEAD
    return as_usual(plain, source, head if whole else head[: head.rfind("\n") + 1], reading.separator)


class CsvFile:
    """A text file that holds a table: its text in UTF-8 (`path`), its form, and the form of its numbers.

    Raises DataError for a file that is no text.
    """

    def __init__(self, path: Path, source: str, reading: Reading = AS_SHOWN) -> None:
        plain = plain_text(path, source, reading.encoding, reading.habit.encoding)
        self.plain = _in_usual_quotes(plain, source, reading)
        self.source, self.reading = source, reading
        self.form = find_form(self.plain.path, reading)
        if self.form.above:
            self.plain = without_first_lines(self.plain, self.form.above)
            self.form = find_form(self.plain.path, reading)
        if self.form.row_names:
            self.plain = with_name_of_rows(self.plain, self.form.separator)
            self.form = find_form(self.plain.path, reading)
        if self.form.aligned:
            self.plain = with_single_blanks(self.plain)
        self.path = self.plain.path
        self.numbers = NumberForm()
        self.marked: set[str] = set()
        """Columns in which some text was met that is no plain number, although they began with such."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided and is not as usual, as sentences."""
        return (*self.plain.notes, *self.form.notes, *self.numbers.notes)

    @property
    def needs_evidence(self) -> bool:
        """Whether all rows must be looked at to decide the form of numbers."""
        return self.reading.decimal is None and (self.form.separator != "," or self.reading.habit.decimal is not None)

    @contextmanager
    def records(self, keep: bool = False, size: int = 1 << 18) -> Iterator[Records]:
        """The records, from the start."""
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            yield Records(file, self.form, self.source, keep, size)

    def decide_numbers(self, evidence: Iterable[Evidence]) -> None:
        """Decide the form of numbers for the whole file.  Raises DataError where two readings differ."""
        self.numbers = decide_numbers(
            self.form.separator, self.reading.decimal, evidence, self.source, self.reading.habit.decimal
        )

    def texts(
        self,
        file: Path | bytes,
        header: tuple[str, ...],
        kept: NDArray[np.bool_],
        headed: bool,
        known: RegularRows = NOTHING_KNOWN,
        as_text: Collection[str] | None = None,
    ) -> polars.DataFrame:
        """The texts of the rows that are `kept`, without blanks around them, null where a value is missing.

        `file` is the whole file or some of its text; `headed`: with a header, `known`: what is known of all its cells.
        Columns that are `numeric` are numbers at once, but for those that are needed `as_text` (None: all).
        """
        words = () if known.told else self.reading.missing_words
        texts = {name for i, name in enumerate(header) if as_text is None or name in as_text or i not in known.numeric}
        if known.bare and len(texts | self.marked) < len(header):
            data = self._parsed(file, headed, words, [name not in texts | self.marked for name in header])
            if data.shape == (len(kept), len(header)):
                return data
        data = self._parsed(file, headed)
        if self.form.trailing:
            data = data[:, : len(header)]
        if data.shape != (len(kept), len(header)):  # quotes within fields, such as 5" pipe
            data = rows_one_by_one(file, self.form.separator, header, len(kept), headed)
        rows = data if kept.all() else data.filter(kept)
        found = trim_texts(rows, words, known.bare)
        sign = self.numbers.decimal
        apart = [i for i, name in enumerate(header) if name not in texts]
        self.marked |= {header[i] for i in apart if not is_plain(found.to_series(i), sign)}
        return found

    def parts(
        self, records: Records, lines: Iterable[bytes], known: RegularRows, as_text: Collection[str] | None
    ) -> Iterator[tuple[int, polars.DataFrame]]:
        """The `texts` of lines, each of which is a row, some together, and the number of bytes that these are."""
        head = heading(records).encode()
        for piece in lines:
            yield len(piece), self.texts(head + piece, records.header, rows_of(piece), True, known, as_text)

    def _parsed(
        self, file: Path | bytes, headed: bool, missing: Sequence[str] = (), numbers: Sequence[bool] = ()
    ) -> polars.DataFrame:
        """The rows as polars reads them, some columns as numbers; without any where it cannot."""
        import polars as pl

        swapped = self.numbers.decimal == "," and any(numbers)
        if swapped and isinstance(file, bytes):  # polars takes points for decimals, too, which here group thousands
            file, missing = file.translate(_SWAPPED), [word.translate(_SWAPPED_SIGNS) for word in missing]
        try:
            found = pl.read_csv(
                file.absolute() if isinstance(file, Path) else file,  # the name as it is: t[1].csv is not t1.csv
                glob=False,
                separator=self.form.separator,
                has_header=headed,
                infer_schema=False,
                schema_overrides=[pl.Float64 if number else pl.String for number in numbers] or None,
                null_values=[*missing] or None,
                truncate_ragged_lines=self.form.trailing,
            )
        except pl.exceptions.PolarsError:
            return pl.DataFrame()
        found = found.with_columns(pl.col(pl.String).str.replace_many([".", ","], [",", "."])) if swapped else found
        return with_line_feeds(found) if self.plain.joined else found

    def cells(
        self,
        texts: polars.DataFrame,
        header: tuple[str, ...],
        target: str,
        known: RegularRows = NOTHING_KNOWN,
        different: Mapping[str, TextCodes] | None = None,
    ) -> list[Cells]:
        """The texts by column; those of the target, and what is said to be a number, hold no codes."""
        kinds = self.reading.columns
        plain = {name for i, name in enumerate(header) if known.bare and i not in known.coded}
        plain |= {name for name in header if name == target or kinds.kind_of(name) == "number"}
        codes = Codes(texts, header, frozenset(plain))
        met = [(different or {}).get(name) for name in header]
        places = known_places(texts, met) if different else {}
        return [
            Cells(name, texts.to_series(i), self.numbers, codes, met[i], places.get(i)) for i, name in enumerate(header)
        ]


def read_csv(
    path: Path,
    source: str,
    as_text: frozenset[str] = frozenset(),
    target: str | None = None,
    reading: Reading = AS_SHOWN,
) -> Frame:
    """Read a table that is written as text, whatever its separator, encoding and packing.

    Columns named in `as_text` stay text even where they look like numbers; of `target`, by default the last column, the
    spelling is kept.  Raises DataError for a file that is empty, binary, ragged, without rows, with two columns of one
    name, or with numbers that can be read in two ways.
    """
    table = CsvFile(path, source, reading)
    with table.records() as records:
        regular = regular_rows(table, records)
        if regular is None:
            starts = np.array(array("q", records), dtype=np.int64)
        else:
            starts = np.arange(records.begin, records.begin + regular.number)
    kept, known = starts > 0, regular or NOTHING_KNOWN
    rows = int(kept.sum())
    if not rows:
        raise no_rows_error(records.header, source)
    goal = records.header[-1] if target is None else target
    spelled = reading.spelled | {goal}
    numbers = NumberColumns(len(records.header), rows) if is_large(rows, len(records.header)) else None
    makers, texts = ({}, None) if numbers is None else numbers_apart(table, records, known, as_text | spelled, numbers)
    if texts is None:
        texts = table.texts(table.path, records.header, kept, table.form.header, known, as_text | spelled)
    table.decide_numbers(evidence_of(texts) if table.needs_evidence else ())
    rest = [place for place, name in enumerate(records.header) if name not in makers]
    cells = table.cells(texts, tuple(records.header[place] for place in rest), goal, known.of(rest))
    kinds: list[ColumnKind] = ["category" if cell.name in as_text else cell.kind for cell in cells]
    for cell in cells[:1]:
        cell.codes.texts = texts = texts.clear()  # those of a column go when it is made: no table is in memory twice
    for kind in kinds:
        cell = cells.pop(0)
        column = cell.as_kind(kind, cell.name in spelled)
        makers[cell.name] = partial(same, column) if numbers is None else numbers.keep(column)
    columns = TableColumns(records.header, [makers[name] for name in records.header], rows)
    notes = table.notes + blank_lines(len(kept) - rows - table.plain.blanked)
    lines = starts[kept] - table.plain.shift
    where = partial(place_of_line, source, lines)
    return Frame(source, columns, where, notes=notes, lines=lines, decimal=table.numbers.decimal)


def regular_rows(table: CsvFile, records: Records) -> RegularRows | None:
    """The rows, where each line below the header is one, as in most; None where `Records` must look closer."""
    width, words = len(records.header), table.reading.missing_words
    if table.form.trailing or width < 2:
        return None
    found = look_at_lines(table.path, records.begin, width, table.form.separator, words)
    if found is None or not found.bare or table.needs_evidence or table.reading.decimal == ",":
        return found
    piece = next(pieces_of_lines(table.path, byte_of_line(table.path, records.begin), _OPENING))
    texts = table.texts(heading(records).encode() + piece, records.header, rows_of(piece), True, found)
    some = [i for i, text in enumerate(texts.iter_columns()) if is_plain(text) and text.null_count() < len(text)]
    return found._replace(numeric=frozenset(some) - found.coded)


_OPENING = 1 << 14
_SWAPPED_SIGNS = str.maketrans(".,", ",.")
_SWAPPED = bytes.maketrans(b".,", b",.")


def heading(records: Records) -> str:
    """A line of names for a part of a file."""
    width = len(records.header) + records.form.trailing
    return records.form.separator.join(f"c{i}" for i in range(width)) + "\n"


def rows_of(piece: bytes) -> NDArray[np.bool_]:
    """True for every line, each of which is a row."""
    line_feeds = np.count_nonzero(np.frombuffer(piece, np.uint8) == ord("\n"))
    return np.ones(line_feeds + (not piece.endswith(b"\n")), np.bool_)


def _checked_header(row: list[str], line: int, source: str) -> tuple[str, ...]:
    require_columns_in_bounds(len(row), source)
    names = tuple(name.replace(LINE_FEED, "\n").strip() or f"column {i + 1}" for i, name in enumerate(row))
    if any("\0" in name for name in names):
        raise not_text_error(source)
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise DataError(
            f"{source!r} has two columns of one name",
            expected="a name of its own for every column",
            got=", ".join(f"{name!r} {names.count(name)} times" for name in double),
            where=f"{source}:{line}",
            try_="rename one of them" if any(map(str.isalpha, double[0])) else "--header no if this is a row of values",
        )
    return names


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one column, null where a value is missing: as text without blanks around it, or numbers already.

    `different` are the different texts of the column as far as it was read, where it is read in blocks; `places` those
    of its texts that were known.
    """

    name: str
    text: polars.Series
    form: NumberForm
    codes: Codes
    different: TextCodes | None = None
    places: polars.Series | None = None

    def is_numbers(self) -> bool:
        """Whether every value is a number, and none a code."""
        if self._few is not None:
            return self._few.cells.is_numbers()
        return self._read is not None and self.name not in self.codes.names

    def is_booleans(self) -> bool:
        """Whether every value is `true` or `false`."""
        if self._few is not None:
            return self._few.cells.is_booleans()
        if (self.text[0] or "true").lower() not in ("true", "false"):
            return False
        truths = self.text.str.to_lowercase().is_in(["true", "false"]).sum()
        return bool(truths == len(self.text) - self.text.null_count())

    @property
    def kind(self) -> ColumnKind:
        """Numbers where all values are numbers, else truth values where all are these, else text."""
        return "number" if self.is_numbers() else "boolean" if self.is_booleans() else "category"

    def as_kind(self, kind: ColumnKind, spelled: bool = False) -> Column:
        """The column as that kind, which its values allow; `spelled` keeps how numbers and truth values are written."""
        import polars as pl

        marks: frozenset[str] = frozenset()
        known = self.known if kind == "category" or spelled else None
        if kind == "category":
            values = self.objects
        elif self._few is not None:
            values, marks = self._few.values(kind)
        elif kind == "number":
            numbers, plain = self._read or self._no_numbers()
            values, marks = numbers.to_numpy(), frozenset() if plain else marks_of(self.text)
        else:
            values = (self.text.str.to_lowercase() == "true").cast(pl.Float64).to_numpy()
        spelling = self.objects if spelled and kind != "category" else None
        written = (lambda: self.objects) if marks else None
        return Column(self.name, kind, values, spelling=spelling, marks=marks, known=known, written=written)

    @cached_property
    def _read(self) -> tuple[polars.Series, bool] | None:
        return (self.text, True) if self.text.dtype.is_float() else self.form.read(self.text)

    def _no_numbers(self) -> NoReturn:
        raise ValueError(f"not all values of {self.name!r} are numbers")

    @property
    def objects(self) -> NDArray[Any]:
        """The texts, None where there is none; equal ones share an object where few are different, and cost little."""
        return self._objects if self.known is None else self.known.texts

    @cached_property
    def _objects(self) -> NDArray[Any]:
        return np.asarray(self.text.to_numpy())

    @cached_property
    def known(self) -> Levels | TextBytes | None:
        """The texts by those that are different, where these are few, or by their bytes, where all have as many."""
        return self._bytes() if self.levels is None and len(self.text) > _SOME else self.levels

    @cached_property
    def levels(self) -> Levels | None:
        """The texts by those that are different, where these are few."""
        if self.text.dtype.is_float() or (len(self.text) <= _SOME and self.different is None):
            return None
        return levels_of(self.text, self.different, self.places, _SOME)

    @cached_property
    def _few(self) -> FewTexts | None:
        """The different texts as cells of their own, which say the same as all."""
        return None if self.levels is None else few_texts(self.levels, self.different, self.of_texts)

    def of_texts(self, texts: Sequence[str | None]) -> Cells:
        """Cells of the same column with these texts."""
        import polars as pl

        text = pl.Series(self.name, texts, dtype=pl.String)
        codes = Codes(text.to_frame(), (self.name,), self.codes.plain & {self.name})
        return Cells(self.name, text, self.form, codes)

    def _bytes(self) -> TextBytes | None:
        size = (sizes := self.text.str.len_bytes())[0]
        if self.text.null_count() or not 0 < size <= LONGEST_TIME or sizes.n_unique() > 1:
            return None
        table = np.frombuffer(self.text.str.join("").item().encode(), np.uint8).reshape(-1, size)
        bare = table.max() < 128 and table[:, [0, -1]].min() > ord(" ")
        return TextBytes(lambda: self._objects, table) if bare else None


_SOME = 4096
