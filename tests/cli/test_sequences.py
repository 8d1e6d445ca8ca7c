"""`clearprop train --model lstm`, `gru` and `transformer`: sequences in an NPZ file, and everything a run has."""

from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from clearprop.data.training_data import from_source

pytestmark = pytest.mark.usefixtures("eager")
QUICK = ("--hidden", "4", "--epochs", "2")
STEPS, FEATURES = 5, 2


def sequences(rows=60, seed=0):
    """Sequences with random lengths, and whether their first features sum to more than 0."""
    rng = np.random.default_rng(seed)
    x, lengths = rng.normal(size=(rows, STEPS, FEATURES)), rng.integers(1, STEPS + 1, rows)
    there = np.arange(STEPS) < lengths[:, None]
    return x, np.where((x[..., 0] * there).sum(axis=1) > 0, "up", "down"), lengths


def filled(x, lengths, value):
    changed = x.copy()
    changed[np.arange(STEPS) >= lengths[:, None]] = value
    return changed


@pytest.mark.parametrize("model", ["lstm", "gru", "transformer"])
def test_sequences_of_several_lengths_give_a_run_like_every_other(model, command):
    x, y, lengths = sequences()
    np.savez("s.npz", x=filled(x, lengths, np.nan), y=y, lengths=lengths)
    told = command("train", "s.npz", "--model", model, *QUICK, "--out", "run")
    assert told.code == 0, told.err
    assert f"network   5 steps × 2, {model} → 4 → 2" in told.out
    predicted = command("predict", "run", "s.npz").out
    np.savez("other.npz", x=filled(x, lengths, 1e6), lengths=lengths)
    assert command("predict", "run", "other.npz").out == predicted
    run = cl.load("run")
    assert [line.split(",")[1] for line in predicted.splitlines()[1:]] == run.predict("s.npz").tolist()
    assert "60 rows" in command("evaluate", "run", "s.npz").out
    assert run.replay(2).digest == run.replay(2).digest
    weight = (
        "layers[1].layers[3].attention.query.weight"
        if model == "transformer"
        else "layers[1].layers[1].cells[0].recurrent"
    )
    assert cl.explain(run, weight, row=3)[0, 1].check().agrees
    assert command("train", "--resume", "run").code == 0
    assert command("report", "run").code == 0


def test_numbers_are_learned_of_sequences_of_one_length(command):
    x, _, _ = sequences()
    np.savez("s.npz", x=x, y=x[..., 0].sum(axis=1))
    assert command("train", "s.npz", "--model", "gru", "--hidden", "4,3", "--epochs", "2", "--out", "run").code == 0
    run = cl.load("run")
    assert [type(layer).__name__ for layer in run.model.layers] == ["Unflatten", "BatchNorm", "GRU", "GRU", "Dense"]
    assert run.predict(x).shape == (60,)
    assert cl.fit("lstm", "s.npz", epochs=1).predict(x).shape == (60,)


def test_what_fills_sequences_up_enters_no_scale(tmp_path, monkeypatch):
    """Mean and deviation are those of the steps of the training part that are there."""
    monkeypatch.chdir(tmp_path)
    x, y, lengths = sequences()
    np.savez("s.npz", x=1000 + x, y=y, lengths=lengths)
    data = from_source("s.npz", None, "auto", 0.2, 0.2, 0)
    rows = data.rows["training"].numbers
    known = (1000 + x[rows])[np.arange(STEPS) < lengths[rows, None]]
    numbers = [c for c in data.preprocessing.columns if c.shared]
    assert len(numbers) == 2 * STEPS
    for column in numbers:
        assert column.centre == pytest.approx(known.mean(), rel=1e-12)
        assert column.scale == pytest.approx(known.std(), rel=1e-9)
    there = data.train[0].reshape(len(rows), STEPS, 3)[..., 2] > 0.5
    assert (there == (np.arange(STEPS) < lengths[rows, None])).all()


def test_many_columns_that_differ_are_one_line(command):
    x, y, _ = sequences()
    np.savez("s.npz", x=x, y=y)
    assert command("train", "s.npz", "--epochs", "1", "--out", "run").code == 0
    x[:3] = np.nan
    x[3:5] = 1e6
    np.savez("other.npz", x=x)
    told = command("predict", "run", "other.npz").err
    assert "missing values filled in: x[0, 0] (3), x[0, 1] (3), x[1, 0] (3)" in told  # few are all named
    np.savez("s.npz", x=np.tile(x[5:], (1, 3, 1)), y=y[5:])
    assert command("train", "s.npz", "--epochs", "1", "--out", "long").code == 0
    np.savez("other.npz", x=np.tile(x, (1, 3, 1)))
    told = command("predict", "long", "other.npz").err
    assert "missing values filled in: 90 in 30 columns, such as x[0, 0] (3), x[0, 1] (3)" in told
    assert "numbers far outside the range of training: 60 in 30 columns, such as x[0, 0] (2), x[0, 1] (2)" in told


X, Y, LENGTHS = sequences(20)
ONE_ARRAY = "numpy.savez(file, x=x, y=y, lengths=lengths) of all sequences: --split takes a part of them for the test"
MESSAGES = {
    "no sequences": (
        {"x": X.reshape(20, -1), "y": Y}, ("--model", "gru"), "these data are no sequences",
        "--model mlp; where rows are steps --sequence ID:TIME; for running text --unit char"),
    "lengths of other rows": (
        {"x": X, "y": Y, "lengths": LENGTHS[:5]}, ("--model", "gru"), "these are no lengths of the sequences in x",
        "numpy.savez(file, x=x, y=y, lengths=lengths), or without lengths where all have all steps"),
    "lengths of nothing": (
        {"x": X, "y": Y, "lengths": 0 * LENGTHS}, ("--model", "gru"), "these are no lengths of the sequences in x",
        "numpy.savez(file, x=x, y=y, lengths=lengths), or without lengths where all have all steps"),
    "too long": (
        {"x": X, "y": Y, "lengths": LENGTHS + STEPS}, ("--model", "gru"), "these are no lengths of the sequences in x",
        "numpy.savez(file, x=x, y=y, lengths=lengths), or without lengths where all have all steps"),
    "lengths beside parts": (
        {"x_train": X, "y_train": Y, "lengths": LENGTHS}, ("--model", "gru"),
        "lengths of sequences stand beside what they cannot be lengths of", ONE_ARRAY),
    "lengths of parts": (
        {"x": X, "y": Y, "lengths_train": LENGTHS}, ("--model", "gru"),
        "lengths of sequences stand beside what they cannot be lengths of", ONE_ARRAY),
    "lengths of rows": (
        {"x": X.reshape(20, -1), "y": Y, "lengths": LENGTHS}, (),
        "lengths of sequences stand beside what they cannot be lengths of", ONE_ARRAY),
    "pieces": (
        {"x": X, "y": Y}, ("--model", "lstm", "--pieces", "4"), "these settings do not suit --model lstm",
        "--hidden 64"),
    "activation": (
        {"x": X, "y": Y}, ("--model", "lstm", "--activation", "relu"),
        "the cells of --model lstm have activations of their own",
        "--model transformer, or cl.nn.RNN(…, activation=…) in Python"),
    "sizes of blocks": (
        {"x": X, "y": Y}, ("--model", "transformer", "--hidden", "4,6"), "the blocks of a transformer have one size",
        "--hidden 64,64"),
    "augmented": (
        {"x": X, "y": Y}, ("--model", "lstm", "--augment", "flip"),
        "--augment is for images, which --model conv learns", "--model conv --augment flip"),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_a_mistake_is_one_message_and_nothing_is_written(name, command):
    arrays, words, headline, remedy = MESSAGES[name]
    np.savez("s.npz", **arrays)
    told = command("train", "s.npz", *words)
    assert told.code == 2 and told.out == ""
    lines = told.err.splitlines()
    assert lines[0] == headline and lines[-1] == f"  try       {remedy}"
    assert [line.split()[0] for line in lines[1:]] == ["expected", "got", "where", "try"]
    assert not Path("runs").exists()
