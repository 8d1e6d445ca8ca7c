"""`clearprop train --unit char`: running text, learned by a transformer or an LSTM, and everything a run has."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

import clearprop as cl
from clearprop.data.readers.reading import Reading
from clearprop.data.running_text import RARE, Vocabulary, text_parts, windows
from clearprop.data.training_data import Prepared
from clearprop.errors import printable
from clearprop.train import text_writing

TEXT = load_iris().DESCR[:1600]
pytestmark = pytest.mark.usefixtures("eager")
QUICK = ("--unit", "char", "--context", "16", "--hidden", "8", "--epochs", "2", "--batch-size", "64")


@pytest.fixture
def files(command):
    Path("plays.txt").write_text(TEXT)
    Path("beginning.txt").write_text("The iris ")


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_text_is_learned_and_its_run_does_what_every_run_does(model, command, files):
    told = command("train", "plays.txt", "--model", model, *QUICK, "--out", "run")
    assert told.code == 0, told.err
    letters = len(set(TEXT))
    assert f"a text of 1,600 characters, {letters} different ones" in told.out
    assert f"network   {model}, {letters} → 8 → {letters}" in told.out
    run = cl.load("run")
    assert run.config.settings.unit == "char" and run.config.settings.context == 16
    assert "".join(run.class_names) == "".join(sorted(set(TEXT)))

    one, same = (command("predict", "run", "beginning.txt", "--length", "30").out for _ in range(2))
    assert one == same and one.startswith("The iris ") and len(one) == len("The iris ") + 30 + 1
    assert command("predict", "run", "beginning.txt", "--length", "30", "--seed", "1").out != one
    likeliest = command("predict", "run", "beginning.txt", "--length", "3", "--temperature", "0").out
    assert likeliest[:-1] == text_writing.continue_text(run, "The iris ", 3, temperature=0.0)
    measured = json.loads(command("evaluate", "run", "plays.txt", "--json").out)
    assert measured["rows"] == 99 and 0 < measured["loss"] < 6

    path = next(iter(run.model.parameters()))
    letter = run.config.data.labels.target.classes.index("e")
    assert cl.explain(run, path, step=2, index=(letter, 0)).check().agrees
    assert run.replay(3).digest == run.replay(3).digest
    assert command("train", "--resume", "run").code == 0
    assert command("report", "run").code == 0
    assert command("predict", "run", "beginning.txt", "-o", "written.txt").code == 0
    assert Path("written.txt").read_text().startswith("The iris ")


def test_a_terminal_gets_nothing_to_obey_and_a_pipe_what_is_there(command, files, monkeypatch):
    Path("plays.txt").write_text("\x1b[31mred\u202e\n" * 99)
    Path("beginning.txt").write_text("\x1b[31m")
    assert command("train", "plays.txt", *QUICK, "--out", "run").code == 0
    asked = ("predict", "run", "beginning.txt", "--length", "9", "--temperature", "0")
    piped = command(*asked).out
    assert piped.startswith("\x1b[31m")
    monkeypatch.setattr("clearprop.cli.written_text._is_terminal", lambda: True)
    assert command(*asked).out == printable(piped, keep="\n\t")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--target", "x"), "--target"),
        (("--drop", "x"), "--drop"),
        (("--only", "x"), "--only"),
        (("--kind", "x=number"), "--kind"),
        (("--split", "time:x"), "--split or --group"),
        (("--group", "x"), "--split or --group"),
        (("--weight", "x"), "--weight"),
        (("--sequence", "a:b"), "--sequence"),
        (("--target-transform", "log"), "--target-transform"),
        (("--header", "no"), "--header"),
        (("--decimal", ","), "--decimal"),
        (("--delimiter", ";"), "--delimiter"),
        (("--missing", "NA"), "--missing"),
        (("--size", "8x8"), "--size"),
        (("--task", "regression"), "--task"),
    ],
)
def test_what_is_said_of_columns_is_refused(words, named, command, files):
    result = command("train", "plays.txt", *QUICK, *words)
    assert result.code == 2 and "running text has no columns" in result.err
    assert f"got       {named}\n" in result.err
    assert not Path("runs").exists()


def test_a_context_is_that_of_running_text(command, files):
    result = command("train", "iris", "--context", "5")
    assert result.code == 2 and "--unit beside it, for running text" in result.err


def test_what_is_foretold_hangs_on_nothing_that_comes_later(command, files):
    """The first outputs of a row are the same, whatever its last characters are."""
    for model in ("lstm", "gru", "rnn", "transformer"):
        assert command("train", "plays.txt", "--model", model, *QUICK, "--out", model).code == 0
        run, x = cl.load(model), np.arange(16)[None] % 7
        other = x.copy()
        other[0, -1] = 9
        a, b = run.outputs(x)[0], run.outputs(other)[0]
        np.testing.assert_allclose(a[:-1], b[:-1], rtol=1e-5, atol=1e-6)
        assert not np.allclose(a[-1], b[-1])


def test_fit_reads_the_same_text(command, files):
    run = cl.fit("lstm", "plays.txt", unit="char", context=16, epochs=1, validation=0.1, test=0.1, batch_size=64)
    assert run.config.settings.unit == "char" and run.summary.test is not None
    assert run.predict(np.zeros((1, 16), int)).shape == (1, 16)
    images = cl.fit("conv", "digits", epochs=1, batch_size=500)
    assert type(images.model.layers[0]).__name__ == "Unflatten"


def test_parts_follow_each_other_and_share_no_character(tmp_path):
    (tmp_path / "t.txt").write_text("".join(map(chr, range(200, 300))))
    data = Prepared(**text_parts(tmp_path / "t.txt", Reading(unit="char", context=8), 0.2, 0.1))
    seen = [np.unique(np.concatenate([part[0].ravel(), part[1].ravel()])) for part in data.parts.values()]
    assert [part.min() for part in seen] == [0, 70, 90]
    assert all(a.max() < b.min() for a, b in pairwise(seen))
    for x, y in data.parts.values():
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    assert data.train[0][1, 0] - data.train[0][0, 0] == 4  # half a context


ENCODINGS = {
    "utf-8": "", "utf-8-sig": "", "utf-16": "utf-16", "utf-16-le": "utf-16-le", "cp1252": "cp1252",
}  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_text_in_another_encoding_is_told(encoding, tmp_path):
    text = "Ein Café, ein Tee.\n" * 20
    (tmp_path / "t.txt").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    reading = Reading(unit="char", context=8)
    parts = text_parts(tmp_path / "t.txt", reading, None, None)
    assert "".join(sorted(set(text))) == "".join(parts["labels"].target.classes)
    told = [note for note in parts["told"]["notes"] if "--encoding" in note]
    name = ENCODINGS[encoding]
    assert told == ([f"the text is read as {name} (--encoding says another)"] if name else [])


def test_words_are_those_that_are_written():
    text = "Don't stop! (Really?)\nDon't, stop; rare"
    known = Vocabulary.of(text, "word")
    assert known.items == (RARE, "Don't", "stop")  # what occurs once is rare
    assert known.text(known.encode("Don't never stop", "t")) == f"Don't {RARE} stop"
    signs = Vocabulary("word", ("\n", "(", ")", ",", "Ah", "stop"))
    assert signs.text([4, 3, 1, 5, 2, 0, 5]) == "Ah, (stop)\nstop"


def test_characters_are_numbered_and_given_back():
    known = Vocabulary.of(TEXT, "char")
    np.testing.assert_array_equal(known.encode(TEXT, "t")[:5], [known.items.index(c) for c in TEXT[:5]])
    assert known.text(known.encode(TEXT, "t")) == TEXT
    x, y = windows(np.arange(10, dtype=np.int32), 4, 3)
    assert x.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6]] and (y == x + 1).all()


MESSAGES = {
    "short": (("train", "plays.txt", "--unit", "char", "--context", "900"),
              "the validation part of the text is shorter than the context", "--context 60, or a longer text"),
    "unit": (("train", "plays.txt", "--unit", "letter"), "no unit named 'letter'", "one of the names above"),
    "conv": (("train", "plays.txt", "--unit", "char", "--model", "conv"),
             "running text is read by a transformer or by layers of cells", "--unit char --model transformer"),
    "no unit": (("train", "iris", "--model", "lstm"), "these data are no sequences",
                "--model mlp; where rows are steps --sequence ID:TIME; for running text --unit char"),
    "sizes": (("train", "plays.txt", "--unit", "char", "--hidden", "8,16"),
              "the blocks of a transformer have one size", "--hidden 128,128,128"),
    "no text": (("train", "iris", "--unit", "char"), "a unit is that of a text in a file", None),
    "folds": (("train", "plays.txt", "--unit", "char", "--folds", "3"),
              "running text has no rows that could be divided anew", "clearprop train plays.txt --unit char"),
    "ragged": (("train", "plays.txt"), "'plays.txt' is ragged: a row does not fit the header", None),
    "one character": (("train", "same.txt", "--unit", "char"), "there is nothing to learn in this text",
                      "a longer text"),
    "one word": (("train", "word.txt", "--unit", "word", "--context", "4"), "there is nothing to learn in this text",
                 "a longer text"),
    "words once": (("train", "once.txt", "--unit", "word", "--context", "4"), "there is nothing to learn in this text",
                   "a longer text"),
    "strange": (("predict", "run", "strange.txt"), "the text holds a character that training did not have",
                "take it out, or put another in its place"),
    "hot": (("predict", "run", "beginning.txt", "--temperature", "-1"), "a temperature is 0 or more",
            "--temperature 0.8"),
    "length": (("predict", "run", "beginning.txt", "--length", "0"), "--length cannot be 0", "--length 500"),
    "keep": (("predict", "run", "beginning.txt", "--keep", "x"), "--keep is for tables", None),
    "few": (("evaluate", "run", "beginning.txt"), "the text is shorter than the context of the run", "a longer text"),
}  # fmt: skip


def test_a_mistake_is_one_message_and_nothing_is_written(command, files):
    assert command("train", "plays.txt", "--model", "lstm", *QUICK, "--out", "run").code == 0
    Path("strange.txt").write_text("first line\nЖ")
    Path("same.txt").write_text("a" * 5000)
    Path("word.txt").write_text("the " * 3000)
    Path("once.txt").write_text(" ".join(f"word{k}" for k in range(500)))
    for name, (words, headline, remedy) in MESSAGES.items():
        told = command(*words)
        lines = told.err.splitlines()
        assert told.code == 2 and lines[0] == headline, (name, lines)
        assert remedy is None or lines[-1] == f"  try       {remedy}", (name, lines)
        assert "expected" in lines[1] and "got" in lines[2], (name, lines)
        assert not Path("runs").exists(), name
    assert "strange.txt:2" in command("predict", "run", "strange.txt").err
    assert command("predict", "iris", "iris").code == 2
    command("train", "iris", "--epochs", "1", "--out", "table")
    assert command("predict", "table", "iris", "--length", "3").err.startswith("--length is for a run of text")
