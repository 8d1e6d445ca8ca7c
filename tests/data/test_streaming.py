"""Tables larger than memory: what is learned from them is what is learned from the same table in memory."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars
import pytest

import clearprop as cl
from clearprop.data import parts
from clearprop.data.readers import sources
from clearprop.data.streaming import disk_rows, memory
from clearprop.data.streaming.disk_rows import Dealing, DiskRows
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.summaries import order_statistics, summarise
from clearprop.data.training_data import from_source
from clearprop.errors import ArgumentError, ClearpropError, DataError
from clearprop.runs.asked_settings import settings_from
from clearprop.runs.settings import Settings
from clearprop.train.evaluation import evaluate, evaluate_part
from clearprop.train.job import make_plan
from clearprop.train.metrics import METRICS, find_loss
from clearprop.train.planning import job_for, with_defaults
from clearprop.train.training import train
from tests.data.mixed_table import saved, table

SMALL = 160_000
"""Bytes: so little that the tables here are cut into several blocks."""


@pytest.fixture(autouse=True)
def _any_memory(monkeypatch):
    monkeypatch.setattr(memory, "LEAST_MEMORY", 1)
    monkeypatch.setattr(memory, "FIXED", 0)


def stream(path, memory=SMALL, target=None, task="auto", val=0.15, test=0.15, seed=0):
    return stream_table(Path(path), str(path), target, task, val, test, seed, memory)


def arrays(rows):
    """The rows in the source's order."""
    places = rows.dealing.places(0, len(rows))
    assert sorted(places.tolist()) == list(range(len(rows)))
    return rows.x.get(0, len(rows))[places], rows.y.get(0, len(rows))[places]


# ------------------------------------------------------------------------------------- as the same table in memory
TARGETS = {None: "classification", "price": "regression", "even": "classification", "count": "classification"}


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", [SMALL, 10**9], ids=["blocks", "one block"])
def test_split_statistics_and_rows_are_those_of_the_table_in_memory(tmp_path, form, target, size):
    path = saved(tmp_path, table(3000), form)
    known = from_source(path, target, "auto", 0.15, 0.15, 7)
    found = stream(path, size, target, seed=7)
    assert found.preprocessing == known.preprocessing
    assert found.preprocessing.task == TARGETS[target]
    assert found.notes[:-1] == tuple(known.told["notes"])
    assert (found.train.blocks > 1) == (size == SMALL)
    parts = (known.train, known.validation, known.test)
    for rows, pair in zip((found.train, found.validation, found.test), parts, strict=True):
        for ours, theirs in zip(arrays(rows), pair, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


def test_rows_without_a_target_and_blank_lines(tmp_path):
    lines = [f"{i % 7}.5,{'ab'[i % 2] if i % 5 else ''}" for i in range(900)]
    lines[100:100] = ["", ""]
    path = tmp_path / "t.csv"
    path.write_text("\ufeffv,kind\n" + "\n".join(lines) + "\n", encoding="utf-8")
    known, found = from_source(path, None, "auto", 0.2, 0.1, 0), stream(path, val=0.2, test=0.1)
    whole = [note for note in known.told["notes"] if "stand in the training part" not in note]  # told later
    assert found.notes[:-1] == tuple(whole)
    assert "2 blank lines skipped" in found.notes
    np.testing.assert_array_equal(arrays(found.train)[0], known.train[0])


@pytest.mark.parametrize("size", [3 * SMALL, 10**9], ids=["blocks", "one block"])
def test_rows_in_two_parts_are_told(tmp_path, monkeypatch, size):
    """The first rows of each part in the order of the file are looked at, wherever they lie on disk."""
    monkeypatch.setattr(parts, "MOST_ROWS", 1500)
    monkeypatch.setattr(disk_rows, "_ROWS_AT_ONCE", 400)
    path = tmp_path / "t.csv"
    cells = [f"{i % 800 * 1.5 if i % 3 else i},{i % 800 % 5},{'ab'[i % 800 % 2]}" for i in range(6000)]
    path.write_text("\n".join(["v,w,kind", *cells, ""]))
    known = from_source(str(path), None, "auto", 0.3, 0.3, 0).told["notes"]
    monkeypatch.setattr(cl.data.training_data, "needs_streaming", lambda *_: True)
    found = from_source(str(path), None, "auto", 0.3, 0.3, 0, memory=size)
    assert (found.train.blocks > 1) == (size < 10**9)
    shared = [note for note in known if "stand in the training part" in note]
    assert len(shared) == 2 and [note for note in found.told["notes"] if "stand in" in note] == shared


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_texts_of_several_lines_are_not_cut(tmp_path, end):
    lines = [f'{i}.5,"a ""b""{end}{"x" * (i % 90)}{end}{i % 4}",{"uv"[i % 2]}' for i in range(6000)]
    path = tmp_path / "t.csv"
    path.write_text(f"{end}v,text,kind{end}" + end.join(lines) + end, encoding="utf-8", newline="")
    known, found = from_source(path, None, "auto", 0.15, 0.15, 0), stream(path, 2 * 10**6)
    assert path.stat().st_size > 5 * memory.Budget(2 * 10**6).text
    assert found.preprocessing == known.preprocessing
    np.testing.assert_array_equal(arrays(found.train)[0], known.train[0])


def test_statistics_do_not_depend_on_blocks():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=90_000) * 1e6, np.zeros(60_000), -np.abs(rng.normal(size=7))])
    rng.shuffle(values)
    whole = summarise(lambda: [values])
    for size in (150_007, 65_536, 50_000, 777):
        assert summarise(lambda size=size: (values[i : i + size] for i in range(0, len(values), size))) == whole
    assert whole.median == np.median(values)
    assert whole.mean == pytest.approx(values.mean(), rel=1e-12)
    assert whole.deviation == pytest.approx(values.std(), rel=1e-12)


def test_small_columns_are_measured_as_numpy_measures_them():
    values = np.random.default_rng(1).normal(size=60_000)
    found = summarise(lambda: [values])
    assert (found.mean, found.deviation, found.median) == (values.mean(), values.std(), np.median(values))


@pytest.mark.parametrize("groups", [1, 3, 300])
def test_selection_finds_the_ranks_of_each_group(groups):
    rng = np.random.default_rng(groups)
    keys = rng.integers(0, 2**64, 20_000, dtype=np.uint64)
    keys[::3] = keys[0]  # many equal ones
    group = rng.integers(0, groups, len(keys))
    ranks = np.stack([rng.integers(0, np.bincount(group, minlength=groups)) for _ in range(2)], axis=1)
    found = order_statistics(lambda: ((keys[i : i + 999], group[i : i + 999]) for i in range(0, len(keys), 999)), ranks)
    for g in range(groups):
        assert found[g].tolist() == np.sort(keys[group == g])[ranks[g]].tolist()


def test_dealing_gives_every_block_a_share_of_every_stretch():
    dealing = Dealing(10_007, 10, 3, shuffled=True)
    places = dealing.places(0, 10_007)
    assert sorted(places.tolist()) == list(range(10_007))
    blocks = np.searchsorted(dealing.starts, places, side="right") - 1
    for first in range(0, 10_000, 10):
        assert sorted(blocks[first : first + 10].tolist()) == list(range(10))
    pieces = [dealing.places(i, min(i + 13, 10_007)) for i in range(0, 10_007, 13)]
    assert np.array_equal(np.concatenate(pieces), places)
    assert not np.array_equal(Dealing(10_007, 10, 4, shuffled=True).places(0, 10_007), places)


def test_columns_that_turn_into_text_late_are_counted_from_the_start(tmp_path):
    """Codes that are numbers for many blocks, and one that is not at the end."""
    codes = [str(i % 40) for i in range(4000)] + [f"Q{i % 400}" for i in range(800)]
    frame = polars.DataFrame({"code": codes, "v": np.arange(4800) % 3, "kind": ["a", "b"] * 2400})
    path = saved(tmp_path, frame, "csv")
    assert stream(path, 10**6).preprocessing == from_source(path, None, "auto", 0.15, 0.15, 0).preprocessing


@pytest.mark.parametrize("rows", [3000, 70_000])
def test_a_column_that_identifies_rows_is_left_out_and_takes_no_memory(tmp_path, rows):
    rng = np.random.default_rng(0)
    colours, kinds = rng.choice(["red", "blue"], rows), rng.choice(["a", "b"], rows)
    frame = polars.DataFrame({"id": [f"{i:032x}" for i in range(rows)], "colour": colours, "kind": kinds})
    path = saved(tmp_path, frame, "parquet")
    known, found = from_source(path, None, "auto", 0.15, 0.15, 0), stream(path, 10**6)
    assert found.preprocessing == known.preprocessing
    assert [d.name for d in found.preprocessing.dropped] == ["id"]


def test_scratch_files_have_no_name(tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    found = stream(saved(tmp_path, table(500), "csv"))
    assert len(arrays(found.train)[0]) == 350
    assert not list((tmp_path / "scratch").iterdir())


# ------------------------------------------------------------------------------------------------------- training
def settings(path, **options):
    return settings_from({"data": str(path), "hidden": "8", "batch_size": 32, "epochs": 3, "l2": 0.0, **options})


def job(path, folder=None, resume=None, callbacks=(), **options):
    asked = settings(path, **options)
    usual = Settings(**asked)
    data = from_source(str(path), usual.target, usual.task, usual.val, usual.test, usual.seed, usual.memory)
    full = with_defaults(asked, data)
    return job_for(data, full, out=folder, resume=resume, callbacks=callbacks, command=full.options())


def same_bits(a, b):
    left, right = a.parameters(), b.parameters()
    return left.keys() == right.keys() and all(np.array_equal(left[k], right[k]) for k in left)


@pytest.fixture
def streams(monkeypatch):
    """Files are streamed, whatever their size."""
    monkeypatch.setattr(cl.data.training_data, "needs_streaming", lambda *_: True)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("target", ["kind", "price"])
def test_one_block_trains_to_the_bits_of_the_table_in_memory(tmp_path, form, target, monkeypatch):
    path = saved(tmp_path, table(1000), form)
    whole = train(job(path, target=target))
    monkeypatch.setattr(cl.data.training_data, "needs_streaming", lambda *_: True)
    run = train(job(path, target=target, memory=10**9))
    assert run.workings.plan().feed.rows.blocks == 1
    assert same_bits(run.last, whole.last) and same_bits(run.model, whole.model)
    assert [e["train"] for e in run.history] == [e["train"] for e in whole.history]
    assert run.summary.test == whole.summary.test
    assert run.config.data == whole.config.data


@pytest.mark.usefixtures("streams")
def test_every_epoch_takes_every_row_once_in_an_order_of_its_own(tmp_path):
    feed = make_plan(job(saved(tmp_path, table(2000), "parquet"), memory=SMALL)).feed
    assert feed.rows.blocks > 2
    known = np.sort(feed.rows.x.get(0, len(feed.rows))[:, 0])
    orders = []
    for epoch in (0, 1):
        batches = [x[:, 0].copy() for x, _ in feed.batches(epoch, 0)]
        assert len(batches) == feed.count
        assert max(map(len, batches)) == 32
        orders.append(np.concatenate(batches))
        np.testing.assert_array_equal(np.sort(orders[-1]), known)
        for first in (1, 17, feed.count - 1):
            later = [x[:, 0].copy() for x, _ in feed.batches(epoch, first)]
            assert all(map(np.array_equal, later, batches[first:]))
    assert not np.array_equal(*orders)


@pytest.mark.usefixtures("streams")
def test_the_native_loop_takes_the_steps_of_the_readable_one(tmp_path, monkeypatch):
    path = saved(tmp_path, table(1500), "csv")
    native = train(job(path, memory=SMALL, epochs=2))
    assert native.workings.plan().feed.rows.blocks > 2
    monkeypatch.setattr(cl.train.job, "choose_executor", cl.train.executor.eager_executor)
    eager = train(job(path, memory=SMALL, epochs=2))
    assert native.steps == eager.steps
    for name, value in native.last.parameters().items():
        np.testing.assert_allclose(value, eager.last.parameters()[name], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("streams")
def test_interrupted_resumed_replayed_and_forked(tmp_path):
    path = saved(tmp_path, table(1500), "parquet")
    whole = train(job(path, tmp_path / "whole", memory=SMALL))
    stops = []

    def interrupt(state):
        if state.step >= 50 and not stops:
            stops.append(state.step)
            cl.train.interrupts.signal.raise_signal(cl.train.interrupts.signal.SIGINT)

    made = replace(job(path, tmp_path / "cut", memory=SMALL), tick=interrupt)
    with pytest.raises(cl.TrainingInterrupted):
        train(made)
    assert 50 <= stops[0] < whole.steps
    run = train(job(path, resume=tmp_path / "cut", memory=SMALL))
    assert same_bits(run.last, whole.last) and same_bits(run.model, whole.model)
    loaded = cl.load(tmp_path / "whole")
    assert loaded.workings.plan().feed.rows.blocks > 2
    assert loaded.replay(41).digest == whole.replay(41).digest
    assert loaded.replay(whole.steps).digest == whole.replay(whole.steps).digest
    assert same_bits(loaded.fork(60, {}).last, whole.last)
    assert not same_bits(loaded.fork(60, {"learning_rate": 0.1}).last, whole.last)


@pytest.mark.parametrize("target", ["kind", "price"])
def test_measures_over_blocks_are_measures_over_all_rows(tmp_path, target):
    rows = stream(saved(tmp_path, table(2000), "parquet"), target=target, val=0.4).validation
    assert rows.blocks > 1
    classes = rows.y.tail == ()
    model = cl.nn.mlp([rows.features, 6, 3 if classes else 1], seed=1)
    loss = find_loss("cross_entropy" if classes else "mse")
    metrics = [METRICS["accuracy"]] if classes else [METRICS[name] for name in ("mae", "mse", "rmse", "r2")]
    whole = evaluate(model, rows.x.get(0, len(rows)), rows.y.get(0, len(rows)), loss, metrics)
    assert evaluate_part(model, rows, loss, metrics) == pytest.approx(whole, rel=1e-5)


# ----------------------------------------------------------------------------------------------- using such a run
@pytest.fixture
def streamed_run(tmp_path, streams):
    path = saved(tmp_path, table(1500), "parquet")
    train(job(path, tmp_path / "run", memory=SMALL, epochs=2))
    return tmp_path / "run", path


def test_explanations_of_a_step_and_of_a_row(streamed_run):
    run, path = cl.load(streamed_run[0]), streamed_run[1]
    entry = cl.explain(run, "layers[0].weight", step=30, index=(0, 1))
    assert entry.check().agrees
    whole, rows = from_source(path, None, "auto", 0.15, 0.15, 0), run.workings.plan().feed.rows
    assert np.array_equal(rows.row(7)[0][0], whole.train[0][7])
    numbers = whole.rows["training"].numbers
    assert [rows.numbers[k] for k in range(len(rows))] == numbers.tolist()
    opened = cl.explain(run, "layers[0].weight", row=int(numbers[7]))
    assert opened[0, 1].check().agrees and f"training row {numbers[7]}," in opened.where
    with pytest.raises(ArgumentError) as caught:
        cl.explain(run, "layers[0].weight")
    assert "streamed data cannot be opened" in str(caught.value) and f"step=1, or row={numbers[0]}" in str(caught.value)


def test_a_report_judges_by_some_of_the_rows(streamed_run, monkeypatch):
    from clearprop.reporting import numbers
    from clearprop.reporting.page import report_html

    monkeypatch.setattr(numbers, "MOST_ROWS", 100)
    page = report_html(cl.load(streamed_run[0]))
    assert "Judged by 100 of the 225 rows, evenly spread, of the validation part." in page


# ------------------------------------------------------------------------------------------------------- mistakes
def refused(path, **options):
    with pytest.raises(ClearpropError) as caught:
        stream(path, **options)
    return str(caught.value).replace(str(path), "FILE")


def test_a_class_of_the_last_rows_is_learned(tmp_path):
    frame = table(2000).sort("kind").with_row_index("at")
    rare = polars.when(polars.col("at") > 1990).then(polars.lit("rare")).otherwise("kind").alias("kind")
    found = stream(saved(tmp_path, frame.with_columns(rare).drop("at"), "parquet"))
    assert found.preprocessing.class_names == ("high", "low", "middle", "rare")
    sizes = [len(np.unique(y)) for _, y in found.train.pairs()]
    assert len(sizes) > 3 and min(sizes) >= 3, "a sorted file is dealt to blocks that hold all classes"


def test_text_among_the_numbers_of_a_late_block(tmp_path):
    lines = [f"{i}.5,{'ab'[i % 2]}" for i in range(9000)]
    lines[8000] = "oops,a"
    path = tmp_path / "t.csv"
    path.write_text("size,kind\n" + "\n".join(lines) + "\n", encoding="utf-8")
    assert (
        refused(path, memory=10**6)
        == """\
column 'size' holds text among its numbers
  expected  numbers, and an empty cell where one is missing
  got       'oops' among 8999 numbers
  where     FILE:8002, column 'size'
  try       correct it or leave it empty, or --missing 'oops'; --kind size=category takes all as words"""
    )


def test_infinite_numbers_are_counted_over_all_blocks(tmp_path):
    values = np.arange(3000.0)
    values[[1500, 2900]] = np.inf
    path = saved(tmp_path, polars.DataFrame({"v": values, "kind": ["a", "b"] * 1500}), "parquet")
    with pytest.raises(DataError) as caught:
        from_source(path, None, "auto", 0.15, 0.15, 0)
    assert refused(path) == str(caught.value).replace(str(path), "FILE")
    assert "inf; 2 infinite values in the column" in str(caught.value)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_changes_between_the_passes(tmp_path, form, monkeypatch):
    from clearprop.data.streaming import streamed_table

    path = saved(tmp_path, table(2000), form)
    store = streamed_table.store_columns

    def changed(*given):
        saved(tmp_path, table(1999), form)
        return store(*given)

    monkeypatch.setattr(streamed_table, "store_columns", changed)
    assert (
        refused(path)
        == """\
'FILE' changed while it was read
  expected  a file that stays as it is until all its rows have been read
  got       another size, time of change or content than in the pass before
  where     FILE
  try       train again when the file is complete; nothing was written"""
    )


@pytest.mark.usefixtures("streams")
def test_a_file_that_changed_since_the_run(tmp_path):
    path = saved(tmp_path, table(1500), "csv")
    train(job(path, tmp_path / "run", memory=SMALL, epochs=1))
    saved(tmp_path, table(1500, 1), "csv")
    with pytest.raises(ClearpropError) as caught:
        cl.load(tmp_path / "run").replay(3)
    assert str(caught.value).startswith("the data are not those that the run learned from")


def test_too_small_a_memory(tmp_path, monkeypatch):
    path = saved(tmp_path, table(500), "csv")
    assert (
        refused(path, memory=10_000)
        == """\
the memory is too small to train on these data
  expected  at least 94.7 kB: 256 rows of 14 features at a time
  got       10 kB
  where     --memory, FILE
  try       --memory 95kB, or more"""
    )
    texts = polars.DataFrame({"text": [f"{i % 300:0500}x" for i in range(900)], "kind": ["a", "b"] * 450})
    assert (
        refused(saved(tmp_path, texts, "csv"), memory=200_000)
        == """\
the memory is too small for the different texts of these data
  expected  at most 25 kB of different texts in all columns, an eighth of the memory
  got       more
  where     --memory, FILE, column 'text'
  try       --memory 1MB, or leave out the column"""
    )
    monkeypatch.setattr(memory, "LEAST_MEMORY", 16_000_000)
    assert (
        refused(path)
        == """\
the memory is too small to read these data
  expected  at least 16 MB, much of which readers take whatever they read
  got       160 kB
  where     --memory, FILE
  try       --memory 16MB, or more"""
    )


def test_no_space_on_disk(tmp_path, monkeypatch):
    from clearprop.data.streaming import scratch

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda _: type("", (), {"free": 1000})())
    text = refused(saved(tmp_path, table(500), "csv"))
    assert text.startswith("there is not enough space on disk for the encoded rows")
    assert "TMPDIR=FOLDER" in text


def test_the_command_line_streams_keeps_the_memory_and_goes_on(tmp_path, monkeypatch, capsys):
    from clearprop.cli import main

    monkeypatch.chdir(tmp_path)
    saved(tmp_path, table(1500), "csv")
    quick = ("--hidden", "4", "--batch-size", "32")
    assert main(["train", "t.csv", "--memory", "160kB", "--epochs", "2", *quick, "--out", "cut"]) == 0
    said = capsys.readouterr()
    assert "t.csv: rows are streamed in blocks of " in said.out
    assert "is read" not in said.err, "only a terminal is told what is being done"
    assert json.loads(Path("cut/config.json").read_text())["command"]["memory"] == 160_000
    monkeypatch.setattr(
        cl.cli.train_session, "default_memory", lambda: pytest.fail("a run that goes on keeps its blocks")
    )
    assert main(["train", "--resume", "cut", "--epochs", "3"]) == 0
    assert main(["train", "t.csv", "--memory", "160000", "--epochs", "3", *quick, "--out", "whole"]) == 0
    assert Path("cut/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


@pytest.mark.parametrize(("form", "least"), [("csv", 10), ("parquet", 44 * 9)])
def test_what_fits_is_not_streamed(tmp_path, form, least):
    path = saved(tmp_path, table(300), form)
    size = least * (path.stat().st_size if form == "csv" else 300)
    assert isinstance(from_source(path, None, "auto", 0.15, 0.15, 0, size).train, tuple)
    assert isinstance(from_source(path, None, "auto", 0.15, 0.15, 0, size - 1).train, DiskRows)
    assert isinstance(from_source("iris", None, "auto", 0.15, 0.15, 0, 1).train, tuple)


def test_half_of_what_is_free_is_the_default():
    assert 2**20 < sources.default_memory() == pytest.approx(sources.free_memory() / 2, rel=0.5)
