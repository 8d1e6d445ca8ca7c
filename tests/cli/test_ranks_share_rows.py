"""`predict` and `evaluate` on several ranks: each has its rows, and what comes of it is what one process gives."""

import io

import polars
import pytest

import clearprop as cl
from clearprop.cli.evaluate import _measure
from clearprop.cli.predict import _write_rows
from clearprop.data.streaming import encoded_source
from clearprop.data.streaming.encoded_source import merge_reports
from clearprop.data.streaming.sharers import ALONE
from clearprop.errors import DataError
from tests.data.mixed_table import saved, table
from tests.data.sharing_threads import together


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = saved(tmp_path_factory.mktemp("rows"), table(400), "csv")
    return cl.fit(cl.nn.mlp(hidden=[4]), path, target="price", epochs=1, progress=False, baseline=False)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(encoded_source, "MEMORY", 100_000)


@pytest.mark.parametrize("form", ["csv", "parquet", "rows in JSON"])
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_predict_and_evaluate_as_one(run, small_blocks, tmp_path, form, size):
    if form == "rows in JSON":  # read at once, by the first
        path = str(tmp_path / "t.jsonl")
        polars.read_csv(saved(tmp_path, table(200), "csv")).write_ndjson(path)
    else:
        path = saved(tmp_path, table(2000), form)

    def answered(ranks=ALONE):
        file = io.BytesIO()
        reports = _write_rows(run, path, file, True, (), None, None, ranks)
        return file.getvalue(), ranks.each(lambda: reports), _measure(run, path, {}, ranks)

    text, reports, measured = answered()
    found = together(size, answered)
    assert b"".join(own for own, *_ in found) == text
    for _, parts, told in found:
        every = [report for part in parts for report in part]
        assert told == measured and merge_reports(every).lines() == merge_reports(reports[0]).lines()
    assert (sum(bool(own) for own, *_ in found) > 1) == (form != "rows in JSON")


def test_rows_without_a_target_are_refused_by_all(run, small_blocks, tmp_path):
    path = tmp_path / "t.csv"
    frame = polars.read_csv(saved(tmp_path, table(300), "csv"))
    frame.with_columns(price=polars.lit(None, polars.Float64)).write_csv(path)

    def refused(ranks):
        with pytest.raises(DataError, match="no row can be evaluated"):
            _measure(run, str(path), {}, ranks)
        return True

    assert together(2, refused) == [True, True]
