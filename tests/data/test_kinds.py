"""Kinds of column beyond numbers and levels: dates, lists, ordered words, text; what is said of columns."""

import datetime
import re

import numpy as np
import pandas
import polars
import pytest

from clearprop.data.kinds.lists import list_sign
from clearprop.data.kinds.times import ORDERS, parts_of, read_times, seconds_of
from clearprop.data.kinds.word_encodings import hashed_text
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.readers.reading import ColumnChoice, Reading
from clearprop.data.streaming import memory
from clearprop.data.streaming.encoded_source import encoded_blocks
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.table import load_table
from clearprop.data.training_data import from_source
from clearprop.errors import ArgumentError, ClearpropError, DataError, RunError


@pytest.fixture(autouse=True)
def _any_memory(monkeypatch):
    monkeypatch.setattr(memory, "LEAST_MEMORY", 1)
    monkeypatch.setattr(memory, "FIXED", 0)


def stamp(*parts):
    """An independent clock."""
    return datetime.datetime(*parts, tzinfo=datetime.UTC).timestamp()


def of_week(year, week, day):
    return stamp(*datetime.date.fromisocalendar(year, week, day).timetuple()[:3])


# texts of one column, the order of day and month that they show (None: both readings fit), the first as seconds
TIMES = {
    "iso": (["2021-03-04", "1999-12-31"], "year-first", stamp(2021, 3, 4)),
    "slashed": (["2021/3/4"], "year-first", stamp(2021, 3, 4)),
    "before 1970": (["1931-05-06 01:02"], "year-first", stamp(1931, 5, 6, 1, 2)),
    "leap day": (["2024-02-29", None], "year-first", stamp(2024, 2, 29)),
    "month": (["2021-03", "2021-04"], "year-first", stamp(2021, 3, 1)),
    "minutes": (["2021-03-04 05:06"], "year-first", stamp(2021, 3, 4, 5, 6)),
    "T": (["2021-03-04T05:06:07"], "year-first", stamp(2021, 3, 4, 5, 6, 7)),
    "fraction": (["2021-03-04 05:06:07.25"], "year-first", stamp(2021, 3, 4, 5, 6, 7) + 0.25),
    "UTC": (["2021-03-04T05:06:07Z"], "year-first", stamp(2021, 3, 4, 5, 6, 7)),
    "east": (["2021-03-04 05:06+05:30"], "year-first", stamp(2021, 3, 3, 23, 36)),
    "west": (["2021-03-04 23:06 -0100"], "year-first", stamp(2021, 3, 5, 0, 6)),
    "half days": (["2021-03-04 12:30 AM", "2021-03-04 12:30 pm"], "year-first", stamp(2021, 3, 4, 0, 30)),
    "day first": (["3/4/2021", "13/4/2021"], "day-first", stamp(2021, 4, 3)),
    "month first": (["3/4/2021", "4/13/2021"], "month-first", stamp(2021, 3, 4)),
    "either": (["3/4/2021", "1/2/2021"], None, None),
    "equal": (["3/3/2021"], "day-first", stamp(2021, 3, 3)),
    "dotted": (["3.4.2021", "1.2.2021"], "day-first", stamp(2021, 4, 3)),
    "two digits": (["13/04/69", "13/04/68"], "day-first", stamp(1969, 4, 13)),
    "names": (["4 Mar 2021", "4. March 2021", "04-MAR-2021", "4th Mar 2021"], "year-first", stamp(2021, 3, 4)),
    "American names": (["March 4, 2021", "Sep 1st 2021", "Sept. 30, 2020"], "year-first", stamp(2021, 3, 4)),
    "weekday": (["Thu, 4 Mar 2021 05:06:07 GMT"], "year-first", stamp(2021, 3, 4, 5, 6, 7)),
    "time of day": (["05:06", "23:59:59"], "year-first", 5 * 3600 + 6 * 60.0),
    "weeks": (["2021-W01", "2020-W53", "2021W52"], "year-first", of_week(2021, 1, 1)),
    "days of weeks": (["2026-W01-4", "2020-W53-7", "2009W531"], "year-first", of_week(2026, 1, 4)),
    "quarters": (["2020-Q3", "2021Q1", "Q4 2020", "q2/2021"], "year-first", stamp(2020, 7, 1)),
    "months by name": (["Mar 2021", "September 2020", "Sept. 2020", "DEC-2019"], "year-first", stamp(2021, 3, 1)),
    "months of offices": (["2021M03", "2020M12"], "year-first", stamp(2021, 3, 1)),
    "months of years": (["12/2021", "3/2020"], "year-first", stamp(2021, 12, 1)),
    "halves of years": (["2021H2", "2020-S1"], "year-first", stamp(2021, 7, 1)),
    "hours alone": (["13/2/2020 3pm", "13/2/2020 12 a.m."], "day-first", stamp(2020, 2, 13, 15)),
    "hours of a day": (["3pm", "12 AM"], "year-first", 15 * 3600.0),
    "forms of a survey": (["2024/01/06 3:04:05 PM GMT+1"], "year-first", stamp(2024, 1, 6, 14, 4, 5)),
    "mixed ways": (["2021-03-04", "5 Mar 2021", "13/03/2021"], "day-first", stamp(2021, 3, 4)),
}
NO_TIMES = ["2021-02-30", "2021-13-01", "24:00", "12:60", "1.5.2", "10.0.0.1", "31/31/2021", "4 Xai 2021",
            "20210304", "a-b", "12-34-56", "2021-03-04 25:00", "0/1/2021", "13:30 pm",
            "2021-W53", "2021-W54", "2021-W00", "2021-W01-8", "2021-Q5", "2021-Q0", "2021M13", "Foo 2020",
            "2021-01-01 5", "13 pm", "2021-01-01 05:06 GMT+123",
            "13/2021", "0/2021", "12/2421", "3-2020", "2021H3", "2021-T4", "2020년 3월 4일",
            "KW 54/2020", "1/2", "2021-3-4-5", "+49 30 123"]  # fmt: skip


@pytest.mark.parametrize("name", TIMES)
def test_texts_are_the_times_that_they_say(name):
    texts, order, first = TIMES[name]
    found = read_times(texts).evidence
    assert found.times
    assert found.order == order
    if order is not None:
        seconds = seconds_of(np.array(texts, dtype=object), order)
        assert seconds[0] == first
        assert np.isnan(seconds).tolist() == [text is None for text in texts]
        assert found.ranges[ORDERS.index(order)] == (np.nanmin(seconds), np.nanmax(seconds))


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_none(text):
    assert not read_times([text]).evidence.times
    assert not read_times(["2021-03-04", text]).evidence.times


def test_evidence_of_parts_is_that_of_the_whole():
    texts = ["3/4/2021", None, "2021-01-01", "14/4/2021", "1/2/2020 03:04"]
    whole = read_times(texts).evidence
    for cut in range(1, len(texts)):
        first, second = read_times(texts[:cut]).evidence, read_times(texts[cut:]).evidence
        assert first | second == whole


def test_every_day_of_two_centuries_agrees_with_the_calendar():
    days = [datetime.date(1900, 1, 1) + datetime.timedelta(n) for n in range(0, 200 * 365, 13)]
    texts = np.array([day.strftime("%d/%m/%Y") for day in days], dtype=object)
    seconds = seconds_of(texts, "day-first")
    assert seconds.tolist() == [stamp(day.year, day.month, day.day) for day in days]
    parts = parts_of(seconds)
    assert parts["year"].tolist() == [day.year for day in days]
    assert np.allclose(parts["week share"] * 7, [day.weekday() for day in days])
    assert np.allclose(parts["year share"], [(day.timetuple().tm_yday - 1) / _length(day.year) for day in days])


def _length(year):
    return (datetime.date(year + 1, 1, 1) - datetime.date(year, 1, 1)).days


# -------------------------------------------------------------------------------------------- the same by every door
def mixed(rows=900, seed=0):
    """A table with every kind of column."""
    rng = np.random.default_rng(seed)
    start, span = np.datetime64("2015-01-01", "us"), 8 * 365 * 86_400 * 10**6
    when = (start + rng.integers(0, span, rows).astype("timedelta64[us]")).tolist()
    tags = [sorted(set(rng.choice(["a", "b", "c", "d"], rng.integers(1, 4)).tolist())) for _ in range(rows)]
    return polars.DataFrame(
        {
            "customer_id": rng.permutation(rows) + 1000,
            "when": [None if rng.random() < 0.1 else moment for moment in when],
            "day": [moment.date() for moment in when],
            "written": [moment.strftime("%d/%m/%Y") for moment in when],
            "american": [moment.strftime("%m/%d/%y %I:%M %p") for moment in when],
            "clock": [moment.strftime("%H:%M") for moment in when],
            "digits": [int(moment.strftime("%Y%m%d")) for moment in when],
            "tags": ["|".join(items) for items in tags],
            "size": rng.choice(["S", "M", "L", None], rows).tolist(),
            "zip": rng.integers(100, 120, rows),
            "flag": ["X" if rng.random() < 0.3 else None for _ in range(rows)],
            "note": rng.choice(["a good one", "a bad one", "neither of both"], rows).tolist(),
            "unused": rng.normal(size=rows),
            "y": rng.normal(size=rows),
        }
    )


SAID = Reading.from_words(kind="size=S<M<L,zip=category,note=text,digits=date", drop="unused")
KINDS = {
    "when": "time", "day": "time", "written": "time", "american": "time", "clock": "time", "digits": "time",
    "tags": "list", "size": "ordinal", "zip": "category", "flag": "category", "note": "text",
}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    frame = mixed()
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet", row_group_size=100)
    return tmp_path


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("size", [400_000, 10**9], ids=["blocks", "one block"])
def test_streamed_in_memory_and_both_forms_give_the_same_bits(files, form, size):
    known = from_source(str(files / "t.csv"), None, "auto", 0.15, 0.15, 7, reading=SAID)
    path = files / f"t.{form}"
    found = stream_table(path, "t", None, "auto", 0.15, 0.15, 7, size, reading=SAID)
    assert found.preprocessing == known.preprocessing
    assert {c.name: c.kind for c in found.preprocessing.columns} == KINDS
    assert Preprocessing.from_json(known.preprocessing.to_json()) == known.preprocessing
    for part, rows in ((known.train, found.train), (known.validation, found.validation), (known.test, found.test)):
        places = rows.dealing.places(0, len(rows))
        assert rows.x.get(0, len(rows))[places].tobytes() == part[0].tobytes()
        assert rows.y.get(0, len(rows))[places].tobytes() == part[1].tobytes()


@pytest.mark.parametrize("library", ["polars", "pandas"])
def test_data_frames_and_predictions_give_the_same_bits(files, library):
    frame = mixed() if library == "polars" else mixed().to_pandas()
    fitted = Preprocessing.fit(load_table(str(files / "t.csv"), reading=SAID))
    assert Preprocessing.fit(load_table(frame, reading=SAID)) == fitted
    known = fitted.encode(str(files / "t.csv"), with_target=True)
    for source in (frame, str(files / "t.parquet")):
        again = fitted.encode(source, with_target=True)
        assert again.x.tobytes() == known.x.tobytes()
        assert not again.report.lines()[1:]
    for name in ("t.csv", "t.parquet"):
        blocks = np.concatenate([block.x for block in encoded_blocks(fitted, str(files / name), with_target=True)])
        assert blocks.tobytes() == known.x.tobytes()


def test_the_features_of_a_time_say_what_they_are(files):
    fitted = Preprocessing.fit(load_table(str(files / "t.csv"), reading=SAID))
    names = [name for name in fitted.feature_names if name.startswith("when")]
    cyclic = [f"when {part} of {period}" for period in ("year", "week", "day") for part in ("sin", "cos")]
    assert names == ["when", "when year", *cyclic, "when missing"]
    [row] = [row for row in fitted.summary() if row.column == "american"]
    assert row.note.endswith(", month-first")
    x = fitted.encode(pandas.DataFrame(mixed().to_pandas())).x
    column = dict(zip(fitted.feature_names, x.T, strict=True))
    moments = mixed()["when"].to_list()
    there = np.array([moment is not None for moment in moments])
    elapsed = np.array([0.0 if m is None else m.replace(tzinfo=datetime.UTC).timestamp() for m in moments])
    hours = elapsed % 86_400 / 3600
    assert np.allclose(column["when sin of day"][there], np.sin(2 * np.pi * hours[there] / 24), atol=1e-6)
    assert column["when missing"].tolist() == (~there).astype(float).tolist()
    filled = np.where(there, elapsed, np.median(elapsed[there]))
    expected = (filled - elapsed[there].mean()) / elapsed[there].std()
    assert np.allclose(column["when"], expected, atol=1e-5)


def test_lists_orders_and_texts_encode_as_they_say():
    frame = pandas.DataFrame(
        {
            "tags": ["a|b", "b", "a | c", None, "b|c|b", "c"] * 5,
            "size": ["S", "M", "L", "M", "S", None] * 5,
            "note": ["Good", "bad", "good ", None, "", "x"] * 5,
            "y": np.arange(30.0),
        }
    )
    fitted = Preprocessing.fit(load_table(frame, reading=Reading.from_words(kind="size=S<M<L,note=text")))
    x = dict(zip(fitted.feature_names, fitted.encode(frame[:6]).x.T.tolist(), strict=True))
    assert [x[f"tags={item}"] for item in "abc"] == [[1, 0, 1, 0, 0, 0], [1, 1, 0, 0, 1, 0], [0, 0, 1, 0, 1, 1]]
    assert x["tags missing"] == [0, 0, 0, 1, 0, 0]
    assert [x["size≥M"], x["size≥L"], x["size missing"]] == [[0, 1, 1, 1, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]]
    note = np.array([x[f"note #{i}"] for i in range(64)])
    assert np.array_equal(note[:, 0], note[:, 2])
    assert np.allclose(np.linalg.norm(note, axis=0), [1, 1, 1, 0, 0, 1])
    unseen = fitted.encode(pandas.DataFrame({"tags": ["a|z"], "size": ["S"], "note": ["new words"]}))
    assert unseen.report.unseen == {"tags": {"z": 1}}


def test_hashes_stay_what_they_are():
    """Bits that runs on disk rely on."""
    assert np.flatnonzero(hashed_text("ab", 64)).tolist() == [32, 40]


@pytest.mark.parametrize(
    ("texts", "sign"),
    [
        (["a;b", "b;c", "a", "c"], ";"),
        (["a|b;c", "b;c|a", "a|b;c", "b;c"], "|"),
        (["x", "y"], ""),
        (["one; two words", "three; four"], ""),
        ([], ""),
        (["a,b", "b,a"], ""),
    ],
)
def test_lists_are_known_by_items_that_come_again(texts, sign):
    assert list_sign(texts) == sign


# -------------------------------------------------------------------------------------------------- both ways refused
def table(tmp_path, cells, form="csv", name="v"):
    rows = len(cells)
    frame = polars.DataFrame(
        {name: cells, "x": [i % 5 * 1.5 for i in range(rows)], "y": [i * 0.5 for i in range(rows)]}
    )
    path = tmp_path / f"t.{form}"
    if form == "csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    return path


OPTION = "--kind 'v=day-first' or --kind 'v=month-first'"
REFUSED = {
    "either order": (["3/4/2021", "5/6/2021"] * 20, "", "it cannot be told whether day or month comes first", OPTION),
    "asked date": (["3/4/2021", "5/6/2021"] * 20, "v=date", "it cannot be told whether day or month", OPTION),
    "no date": (["2021-01-01", "soon"] * 20, "v=date", "column 'v' must hold dates or times", "correct the value"),
    "wrong order": (["13/04/2021", "1/4/2021"] * 20, "v=month-first", "column 'v' must hold dates", "correct"),
    "no number": (["1", "2", "x", "3"] * 20, "v=number", "column 'v' must hold numbers", "correct the value"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_in_memory_and_streamed(tmp_path, name):
    cells, kind, message, try_ = REFUSED[name]
    path = table(tmp_path, cells)
    reading = Reading.from_words(kind=kind or None)
    problems = []
    for read in (
        lambda: from_source(str(path), None, "auto", 0.2, 0.0, 0, reading=reading),
        lambda: stream_table(path, str(path), None, "auto", 0.2, 0.0, 0, 10**8, reading=reading),
    ):
        with pytest.raises(DataError, match=message) as problem:
            read()
        problems.append(str(problem.value))
        assert try_ in problems[-1]
    assert problems[0] == problems[1]


def test_a_column_of_words_without_a_place_is_refused(tmp_path):
    path = table(tmp_path, ["S", "M", "XL"] * 10)
    reading = Reading.from_words(kind="v=S<M")
    problems = []
    for read in (
        lambda: from_source(str(path), None, "auto", 0.2, 0.0, 0, reading=reading),
        lambda: stream_table(path, str(path), None, "auto", 0.2, 0.0, 0, 10**8, reading=reading),
    ):
        with pytest.raises(DataError, match="holds a word that has no place in its order") as problem:
            read()
        problems.append(str(problem.value))
    assert problems[0] == problems[1]
    assert f"{path}:4" in problems[0]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_constant_time_is_left_out_and_a_flag_is_not(tmp_path, form):
    path = table(tmp_path, ["2021-01-01", "1 Jan 2021"] * 20, form)
    found = stream_table(path, "t", None, "auto", 0.2, 0.0, 0, 10**8).preprocessing
    assert found == from_source(str(path), None, "auto", 0.2, 0.0, 0).preprocessing
    assert [d.reason for d in found.dropped] == ["it is constant: '2021-01-01 00:00:00'"]
    flagged = table(tmp_path, ["X", None, None] * 13, form)
    assert "v=X" in from_source(str(flagged), None, "auto", 0.2, 0.0, 0).preprocessing.feature_names


IDENTIFIERS = {"customer_id": True, "PassengerId": True, "uuid": True, "id": True, "width": False, "paid": False}


@pytest.mark.parametrize("name", IDENTIFIERS)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_numbers_that_identify_rows_are_left_out_and_told(tmp_path, name, form):
    numbers = np.random.default_rng(0).permutation(50) + 7000
    path = table(tmp_path, numbers, form, name)
    known = from_source(str(path), None, "auto", 0.2, 0.0, 0)
    assert [d.name for d in known.preprocessing.dropped] == [name] * IDENTIFIERS[name]
    assert stream_table(path, "t", None, "auto", 0.2, 0.0, 0, 10**8).preprocessing == known.preprocessing
    kept = from_source(str(path), None, "auto", 0.2, 0.0, 0, reading=Reading.from_words(kind=f"{name}=number"))
    assert name in kept.preprocessing.feature_names


# --------------------------------------------------------------------------------------------------- what is said
def test_only_and_drop_choose_columns(files):
    reading = Reading.from_words(only="zip,customer_id,flag", drop="flag")
    for found in (
        from_source(str(files / "t.csv"), None, "auto", 0.2, 0.0, 0, reading=reading),
        stream_table(files / "t.csv", "t", None, "auto", 0.2, 0.0, 0, 10**8, reading=reading),
    ):
        assert [c.name for c in found.preprocessing.columns] == ["customer_id", "zip"]
        assert {d.reason for d in found.preprocessing.dropped} == {"as asked"}


MISTAKES = {
    "unknown drop": ({"drop": "zipp"}, DataError, "no column named 'zipp'"),
    "unknown only": ({"only": "a,b"}, DataError, "no column named 'a'"),
    "unknown kind's column": ({"kind": "zap=category"}, DataError, "no column named 'zap'"),
    "unknown kind": ({"kind": "zip=colour"}, ArgumentError, "--kind cannot be 'zip=colour'"),
    "no kind": ({"kind": "zip"}, ArgumentError, "--kind cannot be 'zip'"),
    "one word twice": ({"kind": "size=S<S"}, ArgumentError, "--kind cannot be 'size=S<S'"),
    "target dropped": ({"drop": "y"}, DataError, "'y' is the target, for which --drop cannot be"),
    "target a date": ({"kind": "y=date"}, DataError, "'y' is the target, for which --kind y=date cannot be"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_what_is_said(files, name):
    words, kind, message = MISTAKES[name]
    for read in (
        lambda: from_source(str(files / "t.csv"), None, "auto", 0.2, 0.0, 0, reading=Reading.from_words(**words)),
        lambda: stream_table(
            files / "t.csv", "t", None, "auto", 0.2, 0.0, 0, 10**8, reading=Reading.from_words(**words)
        ),
    ):
        with pytest.raises(kind, match=re.escape(message)):
            read()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_target_of_numbers_can_be_classes(tmp_path, form):
    rng = np.random.default_rng(0)
    frame = polars.DataFrame({"x": rng.normal(size=200), "y": rng.integers(0, 40, 200) * 10})
    path = tmp_path / f"t.{form}"
    frame.write_csv(path) if form == "csv" else frame.write_parquet(path)
    reading = Reading.from_words(kind="y=category")
    known = from_source(str(path), None, "auto", 0.2, 0.0, 0, reading=reading)
    assert known.preprocessing.task == "classification"
    found = stream_table(path, "t", None, "auto", 0.2, 0.0, 0, 10**8, reading=reading)
    assert found.preprocessing == known.preprocessing


def test_names_with_commas_are_quoted():
    choice = ColumnChoice.from_words(drop='"rate, in %",b', kind='"a, b=category"')
    assert choice.drop == ("rate, in %", "b")
    assert choice.kind_of("a, b") == "category"


CORRUPT = {
    "order": ('"month-first"', '"sideways"'),
    "scale of years": ('"year_scale": ', '"year_scale": -'),
    "period": ('"year",\n    "week"', '"eon",\n    "week"'),
    "separator": ('"separator": "|"', '"separator": "x"'),
    "buckets": ('"buckets": 64', '"buckets": 99999999999'),
}


@pytest.mark.parametrize("name", CORRUPT)
def test_what_could_not_encode_a_column_is_refused(files, name):
    text = Preprocessing.fit(load_table(str(files / "t.csv"), reading=SAID)).to_json()
    old, new = CORRUPT[name]
    assert old in text
    with pytest.raises(RunError):
        Preprocessing.from_json(text.replace(old, new))


@pytest.mark.parametrize("kind", ["v=date", "v=text", "v=list", "v=a<b", "v=number", "v=category", "v=day-first"])
@pytest.mark.parametrize(
    "cells",
    [[None] * 20, ["?"] * 20, ["x"] * 20, [""] * 19 + ["1"], [str(i) for i in range(20)], ["a", "1/2/2021"] * 10],
)
def test_any_kind_of_any_cells_ends_in_an_answer(tmp_path, kind, cells):
    path = table(tmp_path, cells)
    reading = Reading.from_words(kind=kind)
    answers = []
    for read in (
        lambda: from_source(str(path), "y", "auto", 0.2, 0.0, 0, reading=reading),
        lambda: stream_table(path, str(path), "y", "auto", 0.2, 0.0, 0, 10**8, reading=reading),
    ):
        try:
            answers.append(read().preprocessing)
        except ClearpropError as problem:
            answers.append(str(problem).split("where")[0])
    assert answers[0] == answers[1]


def test_every_week_of_two_centuries_agrees_with_the_calendar():
    days = [datetime.date(1899, 12, 20) + datetime.timedelta(n) for n in range(0, 200 * 365, 5)]
    weeks = [day.isocalendar() for day in days]
    texts = np.array([f"{year}-W{week:02d}-{day}" for year, week, day in weeks], dtype=object)
    assert seconds_of(texts, "year-first").tolist() == [stamp(day.year, day.month, day.day) for day in days]
    there = {(year, week) for year, week, _ in weeks}
    last = [
        year for year in range(1900, 2099) if np.isnan(seconds_of(np.array([f"{year}-W53"], object), "year-first")[0])
    ]
    assert last == [year for year in range(1900, 2099) if (year, 53) not in there]


FORMS = ("%Y-%m-%dT%H:%M:%S.%f%z", "%d.%m.%y %H:%M", "%d %b %Y, %I:%M %p", "%G-W%V-%u", "%B %Y", "%Y%m%d")
"""Ways to write a time, as `strftime` does it."""


def test_texts_of_many_forms_are_each_the_time_that_datetime_reads():
    rng = np.random.default_rng(4)
    start = datetime.datetime(1990, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
    seconds = []
    texts = []
    for passed, form in zip(rng.uniform(0, 1e9, 500), rng.choice(FORMS, 500), strict=True):
        texts.append((start + datetime.timedelta(seconds=passed)).strftime(form))
        back = datetime.datetime.strptime(texts[-1], form)
        back = back if back.tzinfo else back.replace(tzinfo=datetime.UTC)
        seconds.append(int(back.timestamp()) + back.microsecond / 10**6)
    column = np.array([*texts, None] * 150, dtype=object)  # more than are read at a time
    found = read_times(column, asked=True).seconds["year-first"]
    assert np.array_equal(found, [*seconds, np.nan] * 150, equal_nan=True)
