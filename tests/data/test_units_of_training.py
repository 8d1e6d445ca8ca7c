"""Numbers of another unit or kind than those that were learned: refused at every door, or told."""

import numpy as np
import pandas
import polars
import pytest

import clearprop as cl
from clearprop.errors import DataError

N = 60
K = [k * 7 % 50 + 1 for k in range(N)]
FORMS = {
    "bare": lambda k: f"{k}",
    "decimals": lambda k: f"{k}.0",
    "$": lambda k: f"${k}",
    "USD": lambda k: f"{k} USD",
    "€": lambda k: f"{k} €",
    "%": lambda k: f"{k} %",
    "share": lambda k: f"{k / 100}",
    "duration": lambda k: f"PT{k}S",
    "lap": lambda k: f"0:{k:02}.0",
}
MONEY, FREE = {"$": "USD", "USD": "USD", "€": "EUR"}, ("bare", "decimals")
TOLD = {("%", "share"), *(("duration", b) for b in (*FREE, "share")), *(("lap", b) for b in (*FREE, "share"))}


def unit(form):
    return MONEY.get(form) or {"duration": "s", "lap": "s", "%": "%"}.get(form, "")


def refused(learned, now):
    if unit(learned):
        return bool(unit(now)) and unit(now) != unit(learned)
    return unit(now) == "s" or (unit(now) == "%" and learned == "share")


def saved(path, form, head="v\tx\ty\n"):
    path.write_text(head + "".join(f"{FORMS[form](k)}\t{i % 7}.5\t{k}\n" for i, k in enumerate(K)))
    return path


def trained(source, **words):
    return cl.fit(cl.nn.mlp("auto"), source, epochs=1, progress=False, **words)


def answers(run, path):
    """What a run encodes, in memory and in blocks, and what it tells; or the error, which is the same in both."""
    try:
        whole = run.encode(path)
    except DataError as error:
        with pytest.raises(DataError) as caught:
            next(run.encoded(path))
        assert str(caught.value) == str(error)
        return error
    assert np.array_equal(np.concatenate([block.x for block in run.encoded(path)]), whole.x)
    return whole.report.lines()


@pytest.mark.parametrize("learned", FORMS)
def test_features_told_in_another_unit_are_refused_or_told(learned, tmp_path, eager):
    run = trained(saved(tmp_path / "t.csv", learned), target="y", out=tmp_path / "run")
    for known in (run, cl.load(tmp_path / "run")):
        for now in FORMS:
            found = answers(known, saved(tmp_path / "new.csv", now))
            if refused(learned, now):
                assert found.headline == "column 'v' is told in another unit than in training", (learned, now)
            else:
                said = [line for line in found if "without a sign" in line]
                assert bool(said) == ((learned, now) in TOLD), (learned, now)


def test_the_message_says_both_units(tmp_path, eager):
    run = trained(saved(tmp_path / "t.csv", "€"), target="y")
    with pytest.raises(DataError) as caught:
        run.predict(saved(tmp_path / "new.csv", "$"))
    assert str(caught.value) == (
        "column 'v' is told in another unit than in training\n"
        "  expected  numbers in EUR, or without a sign\n"
        "  got       USD\n"
        f"  where     {tmp_path}/new.csv:2, column 'v'\n"
        "  try       convert them; numbers that are in the unit of training may be written without a sign"
    )


@pytest.mark.parametrize("first", [0, 1, 17, 39])
def test_the_message_names_the_first_row_that_differs(first, tmp_path, eager):
    """Training on two currencies, and predicting from another one: by the line of the file, few texts or many."""
    run = trained(saved(tmp_path / "t.csv", "€"), target="y")
    for mixed, distinct in ((True, 40), (True, 5), (False, 40), (False, 5)):
        amounts = [f"{'$' if i >= first else '€' if mixed else ''}{i % distinct}" for i in range(40)]
        rows = "".join(f"{text}\t1.5\t{i}\n" for i, text in enumerate(amounts))
        (tmp_path / "new.csv").write_text("v\tx\ty\n" + rows)
        assert answers(run, tmp_path / "new.csv").where == f"{tmp_path}/new.csv:{first + 2}, column 'v'"
        if mixed and first:
            for target in ("v", "y"):
                with pytest.raises(DataError, match="more than one unit") as caught:
                    trained(tmp_path / "new.csv", target=target)
                assert caught.value.where == f"{tmp_path}/new.csv:{first + 2}, column 'v'"


def test_amounts_in_two_currencies_are_refused_at_prediction_too(tmp_path, eager):
    for learned, got in (("bare", "EUR and USD"), ("$", "EUR and USD"), ("%", "% and shares of 1")):
        run = trained(saved(tmp_path / "t.csv", learned), target="y")
        both = ("%", "share") if learned == "%" else ("$", "€")
        rows = "".join(f"{FORMS[both[i % 2]](k)}\t1.5\t{k}\n" for i, k in enumerate(K))
        (tmp_path / "new.csv").write_text("v\tx\ty\n" + rows)
        assert f"got       {got}" in str(answers(run, tmp_path / "new.csv")), learned


def test_numbers_that_are_taken_as_they_stand_stay_so(tmp_path, eager):
    rows = "".join(f"{FORMS['$€'[i % 2]](k)}\t1.5\t{k}\n" for i, k in enumerate(K))
    (tmp_path / "t.csv").write_text("v\tx\ty\n" + rows)
    run = trained(tmp_path / "t.csv", target="y", kind="v=number")
    assert isinstance(answers(run, tmp_path / "t.csv"), list)


@pytest.mark.parametrize("learned", ["$", "€", "lap", "bare"])
def test_a_target_told_in_another_unit_is_not_evaluated(learned, tmp_path, eager):
    run = trained(saved(tmp_path / "t.csv", learned), target="v", task="regression")
    for now in ("bare", "$", "€", "USD"):
        path = saved(tmp_path / "new.csv", now)
        if learned != "bare" and unit(now) not in ("", unit(learned)):
            with pytest.raises(DataError, match="column 'v' is told in another unit than in training"):
                run.evaluate(path)
        else:
            assert run.evaluate(path)["mae"] >= 0


FRAME = polars.DataFrame({"v": [float(k) for k in K], "y": [k * 2.0 for k in K]})
KINDS = {
    "dates": (pandas.to_datetime("2020-01-01") + pandas.to_timedelta(K, unit="D"), "dates"),
    "dates with a zone": (pandas.to_datetime("2020-01-01", utc=True) + pandas.to_timedelta(K, unit="D"), "dates"),
    "truth values": (np.array(K) > 20, "truth values"),
    "truth values with gaps": (pandas.array([True, False, None] * 20, dtype="boolean"), "truth values"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_columns_of_another_kind_are_no_numbers(name, eager):
    values, got = KINDS[name]
    run = trained(FRAME, target="y")
    other = FRAME.to_pandas().assign(v=values)
    for use in (run.predict, lambda frame: run.evaluate(FRAME.to_pandas().assign(y=values))):
        with pytest.raises(DataError) as caught:
            use(other)
        assert "must hold numbers" in caught.value.headline and ("text" in caught.value.got or caught.value.got == got)


def test_truth_values_stand_for_0_and_1_and_dates_for_seconds_where_these_were_learned(eager):
    flags = FRAME.with_columns(v=polars.Series([k % 2 for k in range(N)]))
    run = trained(flags, target="y")
    assert np.array_equal(run.predict(flags.with_columns(polars.col("v") == 1)), run.predict(flags))
    times = FRAME.with_columns(v=polars.datetime(2020, 1, 1) + polars.duration(hours=polars.Series(range(N))))
    run = trained(times, target="y", kind={"v": "number"})
    assert [c.kind for c in run.preprocessing.columns] == ["number"] and len(run.predict(times)) == N


USES = {
    "predict": lambda run, frame: run.predict(frame),
    "evaluate": lambda run, frame: run.evaluate(frame),
    "interval": lambda run, frame: run.interval(frame, 0.5),
    "importance": lambda run, frame: run.importance(frame, repeats=1),
    "validation": lambda run, frame: trained(PLACES, target="y", validation=frame),
    "test": lambda run, frame: trained(PLACES, target="y", test=frame),
}
PLACES = FRAME.with_columns(place=polars.Series(["town", "sea"] * (N // 2)))


@pytest.mark.parametrize("use", USES)
def test_what_training_had_not_met_is_told_in_python(use, eager, recwarn):
    run = trained(PLACES, target="y", validation=0.2)
    USES[use](run, PLACES)
    assert not [w for w in recwarn if w.category is cl.errors.DataWarning]
    other = PLACES.with_columns(place=polars.lit("moon"), v=polars.col("v") * 1000)
    with pytest.warns(cl.errors.DataWarning, match=r"no feature for 'moon' \(60 rows\).*far outside.*v \(60\)") as told:
        USES[use](run, other)
    assert told[0].filename == __file__


def test_percents_may_be_asked_without_a_sign_however_they_are_spelled(tmp_path):
    rows = "".join(f"{k / 7:.2f} %;{i % 7};{k}\n".replace(".", ",") for i, k in enumerate(K))
    (tmp_path / "learned.csv").write_text("v;x;y\n" + rows)
    (tmp_path / "asked.csv").write_text("v;x;y\n0,50;1;2\n3,20;1;2\n")
    run = trained(tmp_path / "learned.csv", target="y", decimal=",")
    assert run.encode(tmp_path / "asked.csv").x.shape == (2, 2)


@pytest.mark.parametrize("other", ["share", "€", "lap"])
def test_numbers_of_several_units_are_taken_as_they_stand_where_that_is_asked(other, tmp_path):
    cells = [FORMS["%" if i % 2 else other](k) for i, k in enumerate(K)]
    (tmp_path / "t.csv").write_text("v\tx\ty\n" + "".join(f"{cell}\t{i % 7}\t{i}\n" for i, cell in enumerate(cells)))
    run = trained(tmp_path / "t.csv", target="y", kind={"v": "number"})
    assert run.encode(tmp_path / "t.csv").x.shape == (N, 2)
    assert np.isfinite(trained(tmp_path / "t.csv", target="v", kind={"v": "number"}).predict(tmp_path / "t.csv")).all()


GAPS = {
    "truth values": polars.Series("v", [None, None], dtype=polars.Boolean),
    "dates": pandas.to_datetime(pandas.Series([None, None])),
    "durations": polars.Series("v", [None, None], dtype=polars.Duration),
}


@pytest.mark.parametrize("name", GAPS)
def test_a_column_with_nothing_but_gaps_has_no_kind(name, tmp_path):
    run = trained(saved(tmp_path / "t.tsv", "$"), target="y")
    column = GAPS[name]
    frame = (polars if isinstance(column, polars.Series) else pandas).DataFrame({"v": column, "x": [1.0, 2.0]})
    assert np.isfinite(run.predict(frame)).all()
