"""Numbers as people write them, with signs of money, multiples, groups of digits, as programs write them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars


_GROUPS = " \u00a0\u202f\u2009'’"
"""Signs that group thousands and never stand before decimals."""
_CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|KRW|TRY|SGD|HKD"
MONEY = rf"(?:(?:US|HK|NT|[ACRS])?[$]|[€£¥₹₩₺]|{_CODES}|S?Fr\.|SFr|Rs\.?|zł|Kč)"
"""The signs of money, and the codes of ISO 4217 that are seen most, as a pattern."""
_SAME_MONEY = {"€": "EUR", "£": "GBP", "₹": "INR", "Rs": "INR", "Rs.": "INR", "₩": "KRW", "₺": "TRY", "zł": "PLN"}
_SAME_MONEY |= dict.fromkeys(("Fr.", "SFr", "SFr."), "CHF") | {"R$": "BRL", "Kč": "CZK", "HK$": "HKD", "S$": "SGD"}
_SAME_MONEY |= {"$": "USD", "US$": "USD", "C$": "CAD", "A$": "AUD", "¥": "JPY"}
NO_CENTS = "[.,](?:-{1,2}|[–—])"
"""What the Swiss write in place of no decimals, `12.-` and `12.--`, as a pattern."""
MULTIPLES = {"e3": r"[kK]|\s?Tsd\.?", "e6": r"M|\s?(?:Mio\.?|mln|mn)", "e9": r"\s?(?:Mrd\.?|bn)"}
"""What stands behind a number of thousands, millions, and thousands of millions, as patterns by the exponent."""
ABOUT = r"[~≈]\s*"
"""What stands before a number that is not meant to the last digit, as a pattern."""
LAP = r"(\d+):([0-5]\d)[.,](\d+)"
"""Minutes, seconds and their decimals, as a pattern: no time of day is written so."""
SECONDS = "m:ss"
"""The mark of numbers that are written as minutes and seconds."""
DURATION = "PT5M"
"""The mark of numbers that are written as durations."""
_ISO = r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d+))?S)?)?"
_DAYS = r"(\d+) days?,? (\d{1,2}):([0-5]\d):([0-5]\d)(?:\.(\d+))?"
DURATIONS = rf"{_ISO}(?<=\d[WDHMS])|{_DAYS}"
"""Durations as ISO 8601 has them, `PT5M30S`, without months and years; and as Python and pandas, `1 day, 2:03:04`."""
_IN_SECONDS = {LAP: (60, 1), _ISO: (604_800, 86_400, 3600, 60, 1), _DAYS: (86_400, 3600, 60, 1)}
"""The patterns of durations, and the seconds of each number in them, the last of which has decimals behind it."""
_WIDE = {ord("，"): ",", ord("．"): ".", ord("－"): "-", ord("＋"): "+", ord("％"): "%", ord("＄"): "$", ord("￥"): "¥"}
_WIDE |= {zero + k: str(k) for zero in (0xFF10, 0x0660, 0x06F0, 0x0966) for k in range(10)} | {ord("٫"): "."}


def without_marks(text: polars.Series, decimal: str, thousands: str, lenient: bool) -> polars.Series:
    """Numbers in the way that programs write them."""
    import polars as pl

    point, comma = (r"\.", ",") if decimal == "," else (",", r"\.")
    column = pl.col("t")
    plain = (
        column.str.replace_all("\u2212", "-", literal=True)
        .str.replace(rf"^{ABOUT}", "")
        .str.replace(rf"^(?:{MONEY}\s*)?\((.+)\)$", "-$1")
        .str.replace(rf"(\d){NO_CENTS}(\s*{MONEY})?$", "$1$2")
        .str.replace(r"^(\d[\d.,]*)-$", "-$1")
        .str.replace(rf"^([+-]?)\s*{MONEY}\s*", "$1")
        .str.replace(rf"\s*(?:{MONEY}|%)$", "")
    )
    for exponent, words in MULTIPLES.items():
        plain = plain.str.replace(rf"(\d)(?:{words})$", f"${{1}}{exponent}")
    spaced = rf"^[+-]?\d{{1,3}}([{_GROUPS}]\d{{3}})+({comma}\d*)?(e\d)?$"
    grouped = rf"^[+-]?[1-9]\d{{0,2}}({point}\d{{3}})+({comma}\d*)?(e\d)?$"
    if decimal == ".":
        grouped += r"|^[+-]?[1-9]\d?(,\d{2})+,\d{3}(\.\d*)?$"  # lakhs and crores: 12,34,567
    frame = pl.DataFrame({"t": _in_seconds(_in_plain_digits(text), decimal)}).select(plain)
    frame = frame.select(
        pl.when(column.str.contains(spaced)).then(column.str.replace_all(f"[{_GROUPS}]", "")).otherwise(column)
    )
    if not lenient:
        rest = column.str.replace_all(thousands, "", literal=True)
        frame = frame.select(pl.when(column.str.contains(grouped)).then(rest).otherwise(column))
    if decimal == ",":
        frame = frame.select(column.str.replace(",", ".", literal=True))
    return frame.to_series()


def _in_seconds(text: polars.Series, decimal: str) -> polars.Series:
    """Durations such as `2:07.3` or `PT5M` as seconds with this sign before decimals; all other texts as they are.

    >>> import polars
    >>> _in_seconds(polars.Series(["2:07.3", "12:30", "5", "PT1H0.5S", "1 day, 0:00:07", "PT"]), ".").to_list()
    ['127.3', '12:30', '5', '3600.5', '86407', 'PT']
    """
    import polars as pl

    column = pl.col("t")
    for pattern, sizes in _IN_SECONDS.items():
        fits = text.str.contains(f"^(?:{pattern})$") & text.str.contains(r"\d[WDHMS]?$")
        if not fits.any():
            continue
        amounts = [column.str.extract(f"^(?:{pattern})$", k).fill_null("0") for k in range(1, len(sizes) + 1)]
        seconds = [one.cast(pl.Int64, strict=False) * size for one, size in zip(amounts, sizes, strict=True)]
        whole = pl.sum_horizontal(seconds, ignore_nulls=False).cast(pl.String)
        decimals = column.str.extract(f"^(?:{pattern})$", len(sizes) + 1)  # as they stand: nothing is rounded twice
        told = pl.when(decimals.is_null()).then(whole).otherwise(pl.concat_str(whole, pl.lit(decimal), decimals))
        text = pl.DataFrame({"t": text, "fits": fits}).select(pl.when("fits").then(told).otherwise(column))["t"]
    return text


def _in_plain_digits(text: polars.Series) -> polars.Series:
    """Texts whose digits and signs are those of ASCII: not full-width, Arabic or Devanagari ones.

    >>> import polars
    >>> _in_plain_digits(polars.Series(["１２．５", "٣", "9"])).to_list()
    ['12.5', '3', '9']
    """
    if bool((text.str.len_bytes() == text.str.len_chars()).all()):
        return text
    return text.str.replace_many([chr(code) for code in _WIDE], list(_WIDE.values()))


def marks_of(text: polars.Series) -> frozenset[str]:
    """What stands beside the numbers of a column: codes of money, `%`, multiples such as `k`; a `share` has no sign.

    >>> import polars
    >>> sorted(marks_of(polars.Series(["$1.5", "2 €", "3"]))), sorted(marks_of(polars.Series(["5 %", "0.07"])))
    (['EUR', 'USD'], ['%', 'share'])
    """
    import polars as pl

    words = "|".join(MULTIPLES.values())
    found = pl.DataFrame({"t": text.drop_nulls().unique()}).select(
        money=pl.col("t").str.extract(f"({MONEY})"),
        share=pl.col("t").str.contains("%", literal=True),
        times=pl.when(~pl.col("t").str.starts_with("P")).then(pl.col("t").str.extract(rf"\d({words})(?:\s*{MONEY})?$")),
        bare=pl.col("t").str.contains(r"^[+-]?0?[.,]\d*[1-9]\d*$"),
        about=pl.col("t").str.contains(f"^{ABOUT}"),
        lap=pl.col("t").str.contains(f"^{LAP}$"),
        duration=pl.col("t").str.contains(f"^P[0-9T]|^{_DAYS}$"),
    )
    marks = {_SAME_MONEY.get(sign, sign) for sign in found["money"].drop_nulls().unique().to_list()}
    marks |= {sign.strip() for sign in found["times"].drop_nulls().unique().to_list()}
    seen = (("%", "share"), ("share", "bare"), ("~", "about"), (SECONDS, "lap"), (DURATION, "duration"))
    return frozenset(marks | {sign for sign, name in seen if found[name].any()})


def mixed_units(marks: Collection[str]) -> list[str]:
    """What the numbers of one column are told in, where it is more than one thing; else nothing.

    >>> mixed_units(["EUR", "USD"]), mixed_units(["%", "share"]), mixed_units(["USD", "share"]), mixed_units(["k", "M"])
    (['EUR', 'USD'], ['%', 'shares of 1'], [], [])
    """
    money = sorted(mark for mark in marks if re.fullmatch("[A-Z]{3}", mark))
    shares = ["%", *money, *(["shares of 1"] if "share" in marks else [])] if "%" in marks else money
    return shares if len(shares) > 1 else []


def units_in(marks: Collection[str]) -> tuple[str, ...]:
    """In what the numbers of a column are told: codes of money, `%`, s for durations; nothing for bare numbers.

    >>> units_in(["EUR", "k"]), units_in(["%", "share"]), units_in([DURATION]), units_in(["~"])
    (('EUR',), ('%',), ('s',), ())
    """
    money = {mark for mark in marks if re.fullmatch("[A-Z]{3}", mark)}
    return tuple(sorted(money | {"%"} & set(marks) | ({"s"} if {SECONDS, DURATION} & set(marks) else set())))


def units_of_one_kind(marks: Collection[str]) -> tuple[str, ...] | None:
    """`units_in`, of which there is one at most; None where numbers of several are taken as they stand.

    >>> units_of_one_kind(["EUR", "k"]), units_of_one_kind(["%", "share"]), units_of_one_kind(["EUR", "m:ss"])
    (('EUR',), None, None)
    """
    found = units_in(marks)
    return None if mixed_units(marks) or len(found) > 1 else found


_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩", "TRY": "₺"}


def unit_by_marks(marks: Collection[str]) -> str:
    """The one currency that stands beside the numbers, as it is told, or s for durations; else empty.

    >>> unit_by_marks(["EUR", "k"]), unit_by_marks(["CHF"]), unit_by_marks(["%"]), unit_by_marks(["m:ss"])
    ('€', 'CHF', '', 's')
    """
    if units_of_one_kind(marks) is None:
        return ""
    if SECONDS in marks or DURATION in marks:
        return "s"
    return next((_SIGNS.get(mark, mark) for mark in marks if re.fullmatch("[A-Z]{3}", mark)), "")


def code_of_unit(unit: str) -> tuple[str, ...] | None:
    """The unit that `unit_by_marks` told by its code; None where none was told: it may have been percent.

    >>> code_of_unit("€"), code_of_unit("CHF"), code_of_unit("")
    (('EUR',), ('CHF',), None)
    """
    return ({sign: code for code, sign in _SIGNS.items()}.get(unit, unit),) if unit else None


def multiples_in(marks: Collection[str]) -> dict[str, str]:
    """The multiples that stand behind numbers, with what they are.

    >>> multiples_in(["k", "M", "USD"])
    {'M': '1,000,000', 'k': '1,000'}
    """
    told = {"e3": "1,000", "e6": "1,000,000", "e9": "1,000,000,000"}
    return {m: told[e] for m in sorted(marks) for e, words in MULTIPLES.items() if re.fullmatch(words, m)}
