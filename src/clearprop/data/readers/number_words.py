"""Numbers as people write them: decimals, groups of thousands, signs of money and percent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from clearprop.errors import DataError

if TYPE_CHECKING:
    import polars

_GROUPS = " \u00a0\u202f\u2009'’"
"""Signs that group thousands and never stand before decimals."""
_CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|KRW|TRY|SGD|HKD"
MONEY = rf"(?:[$€£¥₹₩₺]|{_CODES})"
"""The signs of money, and the codes of ISO 4217 that are seen most, as a pattern."""


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

    def numbers(self, text: polars.Series) -> polars.Series:
        """The texts as floats, null where they are none."""
        import polars as pl

        if self.decimal == ".":
            plain = text.cast(pl.Float64, strict=False)
            if plain.null_count() == text.null_count():
                return plain
        return self._without_marks(text).cast(pl.Float64, strict=False)

    def _without_marks(self, text: polars.Series) -> polars.Series:
        """Numbers in the way that programs write them."""
        import polars as pl

        point, comma = (r"\.", ",") if self.decimal == "," else (",", r"\.")
        column = pl.col("t")
        plain = (
            column.str.replace_all("\u2212", "-", literal=True)
            .str.replace(r"^\((.+)\)$", "-$1")
            .str.replace(r"^(\d[\d.,]*)-$", "-$1")
            .str.replace(rf"^([+-]?)\s*{MONEY}\s*", "$1")
            .str.replace(rf"\s*(?:{MONEY}|%)$", "")
        )
        spaced = rf"^[+-]?\d{{1,3}}([{_GROUPS}]\d{{3}})+({comma}\d*)?$"
        grouped = rf"^[+-]?[1-9]\d{{0,2}}({point}\d{{3}})+({comma}\d*)?$"
        frame = pl.DataFrame({"t": text}).select(plain)
        frame = frame.select(
            pl.when(column.str.contains(spaced)).then(column.str.replace_all(f"[{_GROUPS}]", "")).otherwise(column)
        )
        if not self.lenient:
            rest = column.str.replace_all(self.thousands, "", literal=True)
            frame = frame.select(pl.when(column.str.contains(grouped)).then(rest).otherwise(column))
        if self.decimal == ",":
            frame = frame.select(column.str.replace(",", ".", literal=True))
        return frame.to_series()


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
