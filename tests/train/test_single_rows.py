"""A last batch of one row, where the network takes statistics of its batches: it joins the one before it."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cl
from clearprop.errors import ArgumentError, ClearpropError, ShapeError
from clearprop.runs.folder import RunFolder
from clearprop.train import compiled_executor, job
from clearprop.train.batches import Batching
from clearprop.train.executor import eager_executor
from tests.train.conftest import bits

ROWS, BATCH = 33, 8
OPTIONS = {"epochs": 2, "batch_size": BATCH, "metrics": ("accuracy",), "checkpoint_seconds": 0.0}


def pair(rows=ROWS):
    rng = np.random.default_rng(1)
    y = np.arange(rows) % 2
    return (rng.normal(size=(rows, 4)) + 1.5 * y[:, None]).astype(np.float32), y


@given(rows=st.integers(1, 60), size=st.integers(1, 20), least=st.integers(1, 3), first=st.integers(0, 70))
def test_every_row_is_in_one_batch_and_no_batch_is_too_small(rows, size, least, first):
    least = min(least, size)  # smaller batches than a network can have are refused with the settings
    cut, order = Batching(size, least), np.arange(rows)
    parts = list(cut.cut(order, 0))
    assert np.array_equal(np.concatenate(parts), order) and len(parts) == cut.count(rows)
    assert all(len(p) == size for p in parts[:-1])
    assert len(parts[-1]) >= least or len(parts) == 1
    assert cut.joins(rows) == (len(parts[-1]) > size)
    assert [p.tolist() for p in cut.cut(order, first)] == [p.tolist() for p in parts[first:]]
    if least == 1:
        assert len(parts) == -(-rows // size) and len(parts[-1]) <= size


def test_it_joins_and_that_is_said_once(network, caplog):
    with caplog.at_level(logging.WARNING, "clearprop"):
        run = cl.fit(network, pair(), **OPTIONS)
    assert [r.message for r in caplog.records] == [
        "a last batch of one row joins the one before it: the network takes statistics of its batches"
    ]
    assert run.summary.steps == 2 * 4


def test_networks_without_statistics_are_cut_as_ever(caplog):
    run = cl.fit(cl.nn.mlp([4, 6, 2]), pair(), **OPTIONS)
    assert run.summary.steps == 2 * 5 and not caplog.records


def test_the_native_loop_does_what_the_readable_step_does(network, monkeypatch):
    whole = cl.fit(network, pair(), **OPTIONS)
    for chunk in (1, 3):
        monkeypatch.setattr(compiled_executor._NativeEpochs, "_chunk", lambda self, n=chunk: n)
        assert bits(cl.fit(network, pair(), **OPTIONS).last) == bits(whole.last)
    assert bits(whole.replay(5).model) != bits(whole.last) == bits(whole.replay(8).model)
    monkeypatch.setattr(job, "choose_executor", eager_executor)
    readable = cl.fit(network, pair(), **OPTIONS)
    for path, value in readable.last.arrays().items():
        np.testing.assert_allclose(whole.last.arrays()[path].numpy(), value.numpy(), rtol=2e-5, atol=2e-6)
    assert whole.history[-1]["train"] == pytest.approx(readable.history[-1]["train"], rel=1e-5)


def test_a_run_resumes_as_it_was_begun(network, eager, tmp_path):
    """Also one of version 0.1, which left the single row alone, and had nothing to say about it."""
    straight = cl.fit(network, pair(), **OPTIONS | {"epochs": 3})
    cl.fit(network, pair(), **OPTIONS, out=tmp_path / "run")
    resumed = cl.fit(network, pair(), **OPTIONS | {"epochs": 3}, resume=tmp_path / "run")
    assert bits(resumed.last) == bits(straight.last)
    old = cl.nn.mlp([4, 6, 2])
    cl.fit(old, pair(), **OPTIONS, out=tmp_path / "old")
    config = (tmp_path / "old" / "config.json").read_text(encoding="utf-8")
    assert '"least_rows"' in config
    (tmp_path / "old" / "config.json").write_text(config.replace('"least_rows": 1,', ""), encoding="utf-8")
    assert RunFolder(tmp_path / "old").config().settings.least_rows == 1


@pytest.mark.parametrize(
    ("rows", "batch", "text"),
    [
        (32, 1, ["  expected  2 rows or more in every batch", "  got       batches of 1 rows"]),
        (1, 32, ["  expected  2 rows or more to train on", "  got       1 rows"]),
    ],
)
def test_batches_of_one_row_are_refused_before_anything_is_written(rows, batch, text, network, tmp_path):
    with pytest.raises(ArgumentError) as caught:
        cl.fit(network, pair(rows), batch_size=batch, out=tmp_path / "run")
    lines = caught.value.message.split("\n")
    assert lines[0] == "this network takes statistics of a batch, of which one row has none"
    assert lines[1:3] == text and not (tmp_path / "run").exists()
    with pytest.raises(ArgumentError):
        cl.lr_range_test(network, pair(rows), batch_size=batch)


@pytest.mark.parametrize("shape", [(1, 6), (1, 1, 6), (0, 6)])
@pytest.mark.parametrize("executor", ["eager", "numpy"])
def test_the_layer_refuses_them_whoever_calls(shape, executor):
    layer, x = cl.nn.BatchNorm(6), np.ones(shape, np.float32)

    def train(layer, x):
        return cl.nn.apply(layer, x)

    with pytest.raises(ShapeError, match="cannot take statistics of fewer than two rows"):
        (train if executor == "eager" else cl.compile(train, executor=executor))(layer, x)
    assert layer(x).shape == shape  # inference takes any number


def test_an_iterable_that_gives_one_row_is_refused_when_it_comes(network):
    x, y = pair(9)
    with pytest.raises(ClearpropError, match="fewer than two rows"):
        cl.fit(network, [(x[:8], y[:8]), (x[8:], y[8:])], epochs=1)
