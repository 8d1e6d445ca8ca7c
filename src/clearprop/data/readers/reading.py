"""How a table is to be read: what the user says of file and columns, and what stands for a missing value."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from clearprop.data.kinds.choice import AS_THEY_ARE, ColumnChoice
from clearprop.errors import ArgumentError

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "null", "NULL", "None", "?")
"""The spellings of a missing value, unless the user says others."""
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar", " ": "a space"}
"""What may stand between fields, in the order of preference."""
_WORDS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "bar": "|", "pipe": "|", "space": " "}


@dataclass(frozen=True)
class Reading:
    r"""What a user says of a file and its columns; None where the file itself shall show it.

    Arguments:
        encoding: the encoding of the text, by a name that Python knows: `cp1252`, `utf-16`.
        delimiter: what stands between fields: one of , ; | or a tab or a space, also by name.
        decimal: the sign before the decimals, `.` or `,`; the other one may group thousands.
        header: whether the first line holds the names of the columns.
        missing: the words for a missing value, in place of the usual ones; an empty cell always is one.
        columns: which columns are used, and as what.

    >>> Reading(delimiter="tab").separator, Reading(missing=("-",)).missing_words
    ('\t', ('', '-'))
    """

    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] | None = None
    columns: ColumnChoice = AS_THEY_ARE

    def __post_init__(self) -> None:
        if self.delimiter is not None and self.separator not in DELIMITERS:
            raise _option_error("--delimiter", ", ; | tab space", self.delimiter, "--delimiter ';'")
        if self.decimal not in (None, ".", ","):
            raise _option_error("--decimal", ". or ,", str(self.decimal), "--decimal ,")
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except (LookupError, ValueError):
                raise _option_error(
                    "--encoding", "the name of an encoding", self.encoding, "--encoding cp1252"
                ) from None

    @classmethod
    def from_words(
        cls,
        encoding: str | None = None,
        delimiter: str | None = None,
        decimal: str | None = None,
        header: str | None = None,
        missing: str | None = None,
        **columns: str | None,
    ) -> Reading:
        """The same from words of the command line: `header` is auto, yes or no, `missing` words with commas between.

        `columns` are the words of `ColumnChoice.from_words`.

        >>> Reading.from_words(header="no", missing="-,999").missing
        ('-', '999')
        """
        known = {"auto": None, "yes": True, "no": False}
        if header is not None and header not in known:
            raise _option_error("--header", "auto, yes or no", header, "--header no")
        words = None if missing is None else tuple(word.strip() for word in missing.split(","))
        choice = ColumnChoice.from_words(**columns)
        return cls(encoding, delimiter, decimal, known[header or "auto"], words, choice)

    @property
    def separator(self) -> str | None:
        """The delimiter as a character."""
        return None if self.delimiter is None else _WORDS.get(self.delimiter, self.delimiter)

    @property
    def missing_words(self) -> tuple[str, ...]:
        """The spellings of a missing value."""
        return MISSING if self.missing is None else tuple(dict.fromkeys(("", *self.missing)))


def _option_error(option: str, expected: str, got: str, try_: str) -> ArgumentError:
    return ArgumentError(f"{option} cannot be {got!r}", expected=expected, got=repr(got), where=option, try_=try_)


READING = ("encoding", "delimiter", "decimal", "header", "missing", "drop", "only", "kind")
"""The words of `Reading.from_words`, as settings and options are called."""
AS_SHOWN = Reading()
"""Nothing is said: the file shows all."""
