"""Prediction from another form of the file: the same answers, or what could not be done is said."""

import gzip
import json

import numpy as np
import polars
import pytest

import clearprop as cl
from clearprop.data.readers.reading import PLAIN
from clearprop.errors import ArgumentError, DataError

N = 80
K = np.arange(N)
DATA = polars.DataFrame(
    {
        "town": [("Zürich", "Genève", "Bern")[k % 3] for k in K],
        "area": (K * 37 % 61) / 7 + 1013.25,
        "rooms": K % 5,
        "sold": [f"2024-{k % 12 + 1:02}-{k % 28 + 1:02}" for k in K],
        "garden": [("yes", "no")[k % 2] for k in K],
        "price": K % 17 * 2.0 + K / 8,
    }
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("train") / "t.csv"
    DATA.write_csv(path)
    fitted = cl.nn.mlp([11, 1], seed=0)
    found = cl.fit(fitted, path, epochs=2, progress=False)
    assert found.preprocessing.habit == PLAIN
    return found


def lines(separator=",", decimal=".", names=DATA.columns, day="%Y-%m-%d"):
    frame = DATA.select(names).with_columns(polars.col("sold").str.to_date().dt.strftime(day))
    rows = [[str(v).replace(".", decimal) if isinstance(v, float) else str(v) for v in row] for row in frame.rows()]
    cells = [[f'"{c}"' if separator in c else c for c in row] for row in rows]
    return "\n".join(separator.join(row) for row in [list(names), *cells]) + "\n"


OTHERS = {
    "semicolons": lambda p: p.write_text(lines(";")),
    "tabs": lambda p: p.write_text(lines("\t")),
    "decimal commas": lambda p: p.write_text(lines(";", ",")),
    "another order": lambda p: p.write_text(lines(names=DATA.columns[::-1])),
    "without the target": lambda p: p.write_text(lines(names=DATA.columns[:-1])),
    "further columns": lambda p: DATA.with_columns(more=1).write_csv(p),
    "dates with the day first": lambda p: p.write_text(lines(day="%d.%m.%Y")),
    "dates in words": lambda p: p.write_text(lines(day="%d %B %Y")),
    "Latin-1": lambda p: p.write_bytes(lines().encode("latin-1")),
    "UTF-16": lambda p: p.write_bytes(lines().encode("utf-16")),
    "packed": lambda p: p.write_bytes(gzip.compress(lines().encode())),
    "a title": lambda p: p.write_text("Houses\n\n" + lines(), encoding="utf-8"),
    "JSON lines": lambda p: p.write_text("".join(json.dumps(row) + "\n" for row in DATA.to_dicts())),
    "Parquet": lambda p: DATA.with_columns(polars.col("sold").str.to_date()).write_parquet(p),
    "truth values": lambda p: DATA.with_columns(polars.col("garden") == "yes").write_csv(p),
    "ja and nein": lambda p: DATA.with_columns(polars.col("garden").replace({"yes": "ja", "no": "Nein"})).write_csv(p),
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_same_table_gets_the_same_answers(name, run, tmp_path):
    OTHERS[name](tmp_path / "new")
    assert np.array_equal(run.predict(tmp_path / "new"), run.predict(DATA))


def test_levels_that_training_did_not_meet_are_told(run, tmp_path):
    DATA.with_columns(polars.col("town").replace("Bern", "Basel")).write_csv(tmp_path / "new.csv")
    report = run.encode(tmp_path / "new.csv").report.lines()
    assert any("no feature for 'Basel' (26 rows)" in line for line in report)


@pytest.mark.parametrize("column", ["town", "area", "sold"])
def test_a_missing_column_is_named(column, run, tmp_path):
    DATA.drop(column).write_csv(tmp_path / "new.csv")
    with pytest.raises(DataError, match=f"1 column of training missing: {column}"):
        run.predict(tmp_path / "new.csv")


POINTS = "area;price\n" + "".join(f"{1 + k}.{k * 7 % 900 + 100};{k}\n" for k in K)


def test_dates_in_another_order_of_day_and_month_are_refused(run, tmp_path):
    (tmp_path / "new.csv").write_text(lines(day="%m/%d/%Y"))
    with pytest.raises(DataError) as caught:
        run.predict(tmp_path / "new.csv")
    assert caught.value.headline == "column 'sold' must hold dates or times" and "year-first" in caught.value.expected


SAID = {
    "decimal commas within commas": (lambda p: p.write_text(lines(",", ",")), {"decimal": ","}),
    "points that group": (
        lambda p: p.write_text(POINTS), {"decimal": ","}
    ),
    "points before decimals": (
        lambda p: p.write_text(POINTS), {"decimal": "."}
    ),
    "another alphabet": (
        lambda p: p.write_bytes("\n".join(["town,price", *(f"{'ŁŻK'[k % 3]}ódź,{k}" for k in K)]).encode("iso8859-2")),
        {"encoding": "iso8859-2"},
    ),
    "no names": (lambda p: p.write_text("".join(f"{k},{k % 7},{k * 2}\n" for k in K)), {"header": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_was_said_of_the_file_holds_for_prediction(name, tmp_path):
    write, words = SAID[name]
    write(tmp_path / "t.csv")
    width = {"decimal commas within commas": 11, "another alphabet": 3}.get(name, 1)
    run = cl.fit(cl.nn.mlp([width, 1], seed=0), tmp_path / "t.csv", task="regression", epochs=1, progress=False,
                 out=tmp_path / "run", **words)  # fmt: skip
    train = run.workings.job().data.train[0]
    again = cl.load(tmp_path / "run")
    assert again.preprocessing == run.preprocessing != PLAIN
    for kept in (run, again):
        assert np.array_equal(kept.encode(tmp_path / "t.csv").x, train)
        blocks = np.concatenate([block.x for block in kept.encoded(tmp_path / "t.csv")])
        assert np.array_equal(blocks, train)


def test_a_run_of_decimal_commas_reads_points(tmp_path):
    (tmp_path / "t.csv").write_text(lines(";", ","))
    DATA.write_csv(tmp_path / "point.csv")
    run = cl.fit(cl.nn.mlp([11, 1], seed=0), tmp_path / "t.csv", epochs=1, progress=False)
    assert run.preprocessing.habit.decimal == ","
    assert np.array_equal(run.predict(tmp_path / "point.csv"), run.predict(tmp_path / "t.csv"))
    one = tmp_path / "one.csv"
    one.write_text("town;area;rooms;sold;garden\nBern;1.014;3;2024-01-05;yes\n")
    assert run.encode(one).x[0][3] == run.encode(DATA.head(1).with_columns(area=1014.0)).x[0][3]


GAPS = DATA.with_columns(area=polars.when(polars.col("rooms") == 3).then(None).otherwise(polars.col("area")))
NOW_SAID = {
    "another word for a missing value": (
        lambda p: GAPS.write_csv(p, null_value="k.A."),
        {"missing": ["k.A."]},
        GAPS,
    ),
    "decimal commas within commas": (lambda p: p.write_text(lines(",", ",")), {"decimal": ","}, DATA),
    "letters between fields that look like dots": (
        lambda p: p.write_text(lines("|", ",")),
        {"delimiter": "bar", "decimal": ",", "header": True},
        DATA,
    ),
    "another alphabet": (
        lambda p: p.write_bytes(lines().replace("Zürich", "Łódź").encode("iso8859-2", "replace")),
        {"encoding": "iso8859-2"},
        DATA.with_columns(polars.col("town").replace({"Zürich": "Łódź", "Genève": "Gen?ve"})),
    ),
    "a column less": (
        lambda p: DATA.drop("area").write_csv(p),
        {"fill": "area"},
        DATA.with_columns(area=polars.lit(None, polars.Float64)),
    ),
    "a column of words and one of dates less": (
        lambda p: DATA.drop("town", "sold").write_parquet(p),
        {"fill": ["town", "sold"]},
        DATA.with_columns(town=polars.lit(None, polars.String), sold=polars.lit(None, polars.String)),
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::clearprop.errors.DataWarning")  # levels and numbers that training lacks are meant
@pytest.mark.parametrize("name", NOW_SAID)
def test_what_is_said_at_prediction_holds(name, run, tmp_path):
    write, words, same = NOW_SAID[name]
    write(tmp_path / "new")
    expected = run.encode(same).x
    assert np.array_equal(run.encode(tmp_path / "new", **words).x, expected)
    assert np.array_equal(np.concatenate([b.x for b in run.encoded(tmp_path / "new", **words)]), expected)
    assert np.array_equal(run.predict(tmp_path / "new", **words), run.predict(same))
    assert run.evaluate(tmp_path / "new", **words) == run.evaluate(same)


WRONG = {
    "no such column": ({"fill": "aera"}, "no column named 'aera'"),
    "the target": ({"fill": "price"}, "no column named 'price'"),
    "every column": ({"fill": DATA.columns[:-1]}, "5 columns of training missing"),
    "no sign": ({"decimal": ";"}, "--decimal cannot be ';'"),
    "no text": ({"missing": 3}, "this missing is not understood"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_said_wrongly_is_refused(name, run, tmp_path):
    words, headline = WRONG[name]
    (tmp_path / "new.csv").write_text("other,price\n1,2\n")
    for use in (run.predict, run.evaluate, lambda data, **w: next(run.encoded(data, **w))):
        with pytest.raises((ArgumentError, DataError), match=headline):
            use(tmp_path / "new.csv", **words)


def test_a_run_on_arrays_takes_no_words_on_files():
    x = np.arange(8.0).reshape(4, 2)
    run = cl.fit(cl.nn.mlp([2, 1], seed=0), (x, x[:, 0]), epochs=1, progress=False)
    for use in (lambda: run.predict(x, decimal=","), lambda: run.evaluate(x, x[:, 0], decimal=",")):
        with pytest.raises(ArgumentError, match="trained on arrays as they are"):
            use()
