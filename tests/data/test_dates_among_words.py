"""Columns of dates and something else: one rule says what they are, whole and in blocks, wherever it stands."""

import numpy as np
import pytest

from clearprop.data.kinds.times import ORDERS, read_times
from clearprop.data.readers import csv_file
from clearprop.data.streaming import memory
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.training_data import from_source
from clearprop.errors import DataError
from tests.tiers import diagonal, later

ROWS = 400
DATES = {
    "few": lambda k: f"2021-0{1 + k % 9}-1{k % 10}",
    "many": lambda k: f"20{10 + k % 13}-{1 + k % 12:02}-{1 + k % 28:02} {k % 24:02}:{k % 60:02}:{k * 7 % 60:02}",
    "day first": lambda k: f"{13 + k % 15}/{1 + k % 12}/2021",
    "either": lambda k: f"{1 + k % 12}/{1 + k % 11}/2021",
    "months": lambda k: f"{('Jan', 'Feb', 'Mar')[k % 3]} 20{10 + k % 12}",
    "zones": lambda k: f"2021-0{1 + k % 9}-1{k % 10}T10:00Z",
}
OTHERS = {
    "a word": lambda k: "never",
    "words": lambda k: f"w{k % 40}",
    "digits": lambda k: f"{k % 50}",
    "decimals": lambda k: f"{k % 50}.5",
    "gaps": lambda k: "",
    "long": lambda k: "x" * 70 + f"{k % 9}",
    "month first": lambda k: f"{1 + k % 12}/{13 + k % 15}/2021",
    "dots": lambda k: f"{1 + k % 12}.{13 + k % 15}.21",
    "no zones": lambda k: f"2021-0{1 + k % 9}-1{k % 10}",
    "keys": lambda k: f"12-{k}",
}
PLACES = {
    "spread": lambda k, share: k % round(1 / share) == round(1 / share) // 2,
    "above": lambda k, share: k < share * ROWS,
    "below": lambda k, share: k >= (1 - share) * ROWS,
}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    for name, value in {"LEAST_MEMORY": 1, "FIXED": 0}.items():
        monkeypatch.setattr(memory, name, value)
    monkeypatch.setattr(memory.Budget, "text", 2000)
    monkeypatch.setattr(csv_file, "_SOME", 10)


def column(dates, others, share, place):
    return [(OTHERS[others] if PLACES[place](k, share) else DATES[dates])(k) for k in range(ROWS)]


def saved(folder, texts):
    path = folder / "t.csv"
    rows = [f"{k * k % 97}.5,{text},{'ab'[k % 2]}\n" for k, text in enumerate(texts)]
    path.write_text("".join(["x,when,kind\n", *rows]))
    return path


def told(read):
    try:
        found = read().preprocessing
    except DataError as error:
        return str(error)
    return found.columns, found.dropped


@pytest.mark.parametrize("share", [0.1, *later([0.02, 0.09, 0.12, 0.5])])
@pytest.mark.parametrize(("dates", "others", "place"), diagonal(DATES, OTHERS, PLACES, every=4))
def test_a_streamed_column_is_what_it_is_in_memory(dates, others, share, place, tmp_path):
    path = saved(tmp_path, column(dates, others, share, place))
    whole = told(lambda: from_source(path, None, "auto", 0.15, 0.15, 3))
    assert told(lambda: stream_table(path, str(path), None, "auto", 0.15, 0.15, 3, 10**6)) == whole


@pytest.mark.parametrize(("share", "refused"), [(0.02, True), (0.1, True), (0.12, False)])
@pytest.mark.parametrize("place", ["spread", "below"])
def test_at_most_one_text_in_ten_is_a_slip(share, refused, place, tmp_path):
    texts = column("few", "a word", share, place)
    found = told(lambda: from_source(saved(tmp_path, texts), None, "auto", 0.15, 0.15, 3))
    first, slips = texts.index("never"), texts.count("never")
    if refused:
        assert f"'never' among {ROWS - slips} dates, and {slips - 1} further" in found
        assert f"t.csv:{first + 2}, column 'when'" in found
    else:
        assert [encoding.kind for encoding in found[0]] == ["number", "category"]


def test_of_dates_in_two_orders_the_first_of_the_rarer_one_is_shown(tmp_path):
    texts = column("day first", "month first", 0.09, "below")
    found = told(lambda: from_source(saved(tmp_path, texts), None, "auto", 0.15, 0.15, 3))
    first = next(k for k, text in enumerate(texts) if int(text.split("/")[1]) > 12)
    assert f"{texts[first]!r} among {first} dates, and {ROWS - first - 1} further" in found
    assert f"t.csv:{first + 2}, column 'when'" in found


@pytest.mark.parametrize("others", OTHERS)
def test_what_parts_show_is_what_the_whole_shows(others):
    for dates, place in [(dates, place) for dates in DATES for place in PLACES]:
        texts = column(dates, others, 0.1, place)
        whole = read_times(texts).evidence
        parts = [read_times(texts[first : first + 37]).evidence for first in range(0, ROWS, 37)]
        found = parts[0]
        for part in parts[1:]:
            found |= part
        assert (found.refuted, found.times, found.fits) == (whole.refuted, whole.times, whole.fits)
        if not whole.refuted:
            assert found == whole
            fitting = [int((~np.isnan(seconds)).sum()) for seconds in read_times(texts).seconds.values()]
            assert whole.best == ORDERS[int(np.argmax(fitting))]
