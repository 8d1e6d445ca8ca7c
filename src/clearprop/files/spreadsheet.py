"""Texts in CSV files that a spreadsheet may open."""

from __future__ import annotations

import re

from clearprop.errors import printable

_FORMULA = re.compile(r"\s*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d[\d.,]*|[.,]\d+)([eE][+-]?\d+)?")


def spreadsheet_text(text: str, quote_formulas: bool = True) -> str:
    """A text for a cell: printable, and with ' before what a spreadsheet would take for a formula; numbers stay.

    OWASP 2020, "CSV Injection": a cell that begins with =, +, -, @, a tab or a carriage return is run as a formula.

    Arguments:
        text: the content of the cell.
        quote_formulas: false to leave formulas as they are.

    >>> spreadsheet_text("=1+1"), spreadsheet_text("-3"), spreadsheet_text("=1+1", quote_formulas=False)
    ("'=1+1", '-3', '=1+1')
    """
    formula = quote_formulas and _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return ("'" if formula else "") + printable(text)
