"""Times with a zone and times without one are not told apart by their seconds: what was learned is what is read."""

import datetime
import json
from pathlib import Path

import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clearprop.cli import main
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.table import load_table
from clearprop.errors import DataError
from clearprop.sklearn import TabularRegressor

ROWS = 40
WHEN = [datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=7 * k, minutes=k) for k in range(ROWS)]
Y = np.sin(np.arange(ROWS)).tolist()
HERE = datetime.timezone(datetime.timedelta(hours=2))


def texts(zoned):
    """The times as text; with a zone they are the same moments two hours ahead of UTC."""
    if not zoned:
        return [str(moment) for moment in WHEN]
    return [moment.replace(tzinfo=datetime.UTC).astimezone(HERE).isoformat(" ") for moment in WHEN]


def moments(zoned):
    return [moment.replace(tzinfo=datetime.UTC) if zoned else moment for moment in WHEN]


def csv(zoned, folder):
    path = folder / f"zoned-{zoned}.csv"
    path.write_text("when,y\n" + "".join(f"{w},{y}\n" for w, y in zip(texts(zoned), Y, strict=True)))
    return str(path)


def parquet(zoned, folder):
    path = folder / f"zoned-{zoned}.parquet"
    kind = pa.timestamp("us", tz="Europe/Paris" if zoned else None)
    pq.write_table(pa.table({"when": pa.array(moments(zoned), kind), "y": Y}), path)
    return str(path)


SOURCES = {
    "csv": csv,
    "parquet": parquet,
    "pandas": lambda zoned, _: pandas.DataFrame({"when": pandas.to_datetime(moments(zoned)), "y": Y}),
    "objects": lambda zoned, _: pandas.DataFrame({"when": pandas.Series(moments(zoned), dtype=object), "y": Y}),
    "polars": lambda zoned, _: polars.DataFrame(
        {"when": polars.Series(moments(zoned), dtype=polars.Datetime("ms", "UTC" if zoned else None)), "y": Y}
    ),
    "pyarrow": lambda zoned, _: pa.table({"when": pa.array(moments(zoned)), "y": Y}),
}  # fmt: skip


def fitted_on(source, **more):
    return Preprocessing.fit(load_table(source, "y", **more))


@pytest.mark.parametrize("zoned", [True, False])
@pytest.mark.parametrize("learned", SOURCES)
def test_every_source_knows_its_zone_and_refuses_the_other(learned, zoned, tmp_path):
    fitted = fitted_on(SOURCES[learned](zoned, tmp_path))
    assert [column.zoned for column in fitted.columns] == [zoned]
    fitted = Preprocessing.from_json(fitted.to_json(), "here")
    want = fitted.encode(csv(zoned, tmp_path)).x
    for name, source in SOURCES.items():
        assert fitted.encode(source(zoned, tmp_path)).x.tobytes() == want.tobytes(), name
        with pytest.raises(DataError, match=f"must hold times with{'' if zoned else 'out'} a zone, as in training"):
            fitted.encode(source(not zoned, tmp_path))


@pytest.mark.parametrize("zoned", [True, False])
@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_streamed_tables_know_it_too(source, zoned, tmp_path):
    path = Path(SOURCES[source](zoned, tmp_path))
    found = stream_table(path, "t", None, "auto", 0.2, 0.0, 0, 10**8).preprocessing
    assert [column.zoned for column in found.columns] == [zoned]


@pytest.mark.parametrize("zoned", [True, False])
def test_runs_of_versions_that_did_not_know_read_both(zoned, tmp_path):
    stored = json.loads(fitted_on(csv(zoned, tmp_path)).to_json())
    assert stored["columns"][0].pop("zoned") is zoned
    old = Preprocessing.from_json(json.dumps(stored))
    assert [column.zoned for column in old.columns] == [None]
    assert len({old.encode(csv(z, tmp_path)).x.tobytes() for z in (True, False)}) == 1
    assert json.loads(old.to_json()) == stored


SAID = """column 'when' holds times with a zone and times without one
  expected  a zone in every row, or in none: a time without one is not known in UTC
  got       '2024-01-01 07:01:00', and '2024-01-01 02:00:00+02:00' at {place}:2, column 'when'
  where     {place}:3, column 'when'
  try       write the zone that is meant (Z for UTC), or leave all off; --kind when=category takes all as words"""


@pytest.mark.parametrize("memory", ["", "24MB"])
@pytest.mark.parametrize("kind", ["", "when=date", "when=day-first"])
def test_a_column_of_both_is_refused_in_memory_and_streamed(memory, kind, tmp_path, capsys):
    path = tmp_path / "both.csv"
    both = [texts(k % 2 == 0)[k] for k in range(ROWS)]
    rows = [f"{w},{y}\n" for w, y in zip(both * 3000, Y * 3000, strict=True)]
    path.write_text("when,y\n" + "".join(rows))
    words = [*(["--kind", kind] if kind else []), *(["--memory", memory] if memory else [])]
    assert main(["train", str(path), "--epochs", "1", "--out", str(tmp_path / "run"), *words]) == 2
    assert SAID.format(place=path) in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_command_line_says_what_to_write(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main(["train", csv(True, tmp_path), "--epochs", "1", "--out", run]) == 0
    capsys.readouterr()
    for command in ("predict", "evaluate"):
        assert main([command, run, csv(False, tmp_path)]) == 2
        assert capsys.readouterr().err.endswith(f"""column 'when' must hold times with a zone, as in training
  expected  a zone with each time, such as 2021-12-31 23:59+01:00
  got       '2024-01-01 00:00:00', without a zone: it may be another hour than the one that is meant
  where     {tmp_path}/zoned-False.csv:2, column 'when'
  try       write the zone that is meant, Z for UTC; in pandas: .dt.tz_localize('UTC'), or the name of the zone
""")


def test_estimators_refuse_the_other(tmp_path):
    frames = {zoned: pandas.DataFrame({"when": pandas.to_datetime(moments(zoned))}) for zoned in (True, False)}
    for zoned, frame in frames.items():
        fitted = TabularRegressor(epochs=1).fit(frame, np.array(Y))
        fitted.predict(frame)
        with pytest.raises(DataError, match="as in training"):
            fitted.predict(frames[not zoned])
