"""Weights of another run are begun with where they mean the same, and refused where they do not."""

from pathlib import Path

import numpy as np
import polars
import pytest

import clearprop as cl
from clearprop.cli.app import main
from clearprop.errors import RunError

N = 60
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, 2)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
WORDS = np.array(["no", "yes"])[Y]
FRAME = polars.DataFrame(
    {"a": X[:, 0], "b": X[:, 1], "c": np.array(["red", "green", "blue"])[np.arange(N) % 3], "y": WORDS}
)
NUMBERS = FRAME.with_columns(y=polars.Series(np.abs(X[:, 0]) + 1.5))
BARE = FRAME.select("a", "b")
WHO, WHEN = np.arange(N) // 3, np.arange(N) % 3
STEPS = polars.DataFrame({"who": WHO, "t": WHEN, "v": X[:, 0], "z": WHO % 2})


def changed(frame, column, **names):
    return frame.with_columns(polars.col(column).replace(names))


def dated(form):
    days = polars.date_range(polars.date(2020, 1, 1), polars.date(2021, 2, 1), "1w", eager=True)[:N].dt.strftime(form)
    return polars.DataFrame({"d": days, "y": np.arange(len(days)) / 2})


def net(*layers, outputs=2):
    return cl.nn.Sequential(cl.nn.Dense(2, 4, rng=1), *layers, cl.nn.Dense(4, outputs, rng=2))


class Own(cl.nn.Module):
    """A network that no file describes."""

    inner: cl.nn.Dense = cl.nn.Dense(2, 2)

    def __call__(self, x):
        return self.inner(x)


def heads(count):
    return cl.nn.Sequential(cl.nn.Unflatten((1, 2)), cl.nn.MultiHeadAttention(2, count, rng=1), cl.nn.Flatten())


TEXT = {"unit": "char", "context": 8, "model": "gru"}
# name: how the first run is made, what differs in the second, the message's end and what it expected and got
REFUSED = {
    "other words as classes of an array": (
        {"data": (X, WORDS)}, {"data": (X, np.array(["off", "on"])[Y])}, "classes", "no, yes", "off, on"),
    "classes of an array that are other numbers": (
        {"data": (X, Y)}, {"data": (X, Y + 1)}, "classes", "0, 1", "1, 2"),
    "columns of an array in another order": (
        {"data": (BARE, WORDS)}, {"data": (BARE.select("b", "a"), WORDS)}, "columns", "a, b", "b, a"),
    "classes of a table": (
        {"data": FRAME}, {"data": changed(FRAME, "y", yes="maybe")}, "classes", "target: classes = no, yes",
        "target: classes = maybe, no"),
    "columns of a table in another order": (
        {"data": FRAME}, {"data": FRAME.select("b", "a", "c", "y")}, "columns", "a, b, c", "b, a, c"),
    "a column with another name": (
        {"data": FRAME}, {"data": FRAME.rename({"b": "d"})}, "columns", "a, b, c", "a, d, c"),
    "other words in a column": (
        {"data": FRAME}, {"data": changed(FRAME, "c", red="pink")}, "columns", "column c: levels = blue, green, red",
        "column c: levels = blue, green, pink"),
    "words in another order": (
        {"data": FRAME, "kind": "c=blue<green<red"}, {"kind": "c=red<green<blue"}, "columns",
        "column c: levels = blue, green, red", "column c: levels = red, green, blue"),
    "a column of another kind": (
        {"data": FRAME.with_columns(b=polars.Series(Y > 0))}, {"data": FRAME}, "columns",
        "column b: kind = boolean", "column b: kind = number"),
    "another target": (
        {"data": FRAME}, {"data": FRAME.rename({"y": "z"})}, "targets", "target: name = y", "target: name = z"),
    "another transform of the target": (
        {"data": NUMBERS}, {"target_transform": "log"}, "targets", "target: transform = None", "target: transform = {"),
    "arrays for a table": (
        {"data": FRAME.select("a", "b", "y")}, {"data": (X, Y)}, "data", "a table, as the run learned", "arrays"),
    "steps in the order of another column": (
        {"data": STEPS, "sequence": "who:t", "model": "gru"}, {"data": STEPS.rename({"t": "s"}), "sequence": "who:s"},
        "columns", "order of steps: time = t", "order of steps: time = s"),
    "other characters": ({**TEXT, "data": "abcd"}, {"data": "abce"}, "classes", "a, b, c, d", "a, b, c, e"),
    "another activation": (
        {"data": (X, Y), "model": net("relu")}, {"model": net("tanh")}, "layers", "layers[1].name = 'relu'",
        "layers[1].name = 'tanh'"),
    "other heads": (
        {"data": (X, Y), "model": heads(1)}, {"model": heads(2)}, "layers", "layers[1].heads = 1",
        "layers[1].heads = 2"),
    "logarithms": (
        {"data": NUMBERS, "loss": "mse"}, {"loss": "poisson"}, "outputs", "numbers, under mse",
        "logarithms of numbers, under poisson"),
    "an answer of yes or no for a number": (
        {"data": (X, Y.astype(np.float32)), "model": net("relu", outputs=1), "loss": "mse"},
        {"loss": "binary_cross_entropy"}, "outputs", "numbers, under mse", "a logit for each answer"),
    "a mean and a deviation for two quantiles": (
        {"data": NUMBERS, "loss": "pinball:0.1,0.9"}, {"loss": "gaussian_nll:0.8"}, "layers",
        "layers[5] = 'Increasing'", "layers[5] = 'NormalInterval'"),
    "the same of a network with modules of its own": (
        {"data": (X, X[:, :1]), "model": Own(), "loss": "pinball:0.1,0.9"}, {"loss": "gaussian_nll:0.8"}, "outputs",
        "several quantiles, under pinball", "means and deviations, under gaussian_nll"),
    "another quantile": (
        {"data": NUMBERS, "loss": "pinball:quantile=0.9"}, {"loss": "pinball:quantile=0.1"}, "outputs",
        "numbers, under pinball:quantile=0.9", "numbers, under pinball:quantile=0.1"),
}  # fmt: skip


def fitted(model="mlp", data=None, **words):
    if isinstance(data, str):  # a text of these characters
        Path("t.txt").write_text("".join(data[k] for k in np.random.default_rng(0).integers(0, len(data), 300)))
        data = "t.txt"
    return cl.fit(model, data, epochs=1, progress=False, **words)


def bits(model):
    return {path: np.asarray(array).tobytes() for path, array in model.parameters().items()}


@pytest.mark.parametrize("name", REFUSED)
def test_weights_that_mean_something_else_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, change, what, expected, got = REFUSED[name]
    fitted(out="first", **first)
    with pytest.raises(RunError) as error:
        fitted(out="next", initial_weights="first", **{**first, **change})
    problem = error.value
    assert str(problem).startswith(f"the weights of that run are for other {what}\n")
    assert expected in problem.expected and got in problem.got and problem.try_
    assert not Path("next").exists()


ACCEPTED = {
    "the same": ({"data": FRAME}, {}),
    "further rows, standardised by themselves": ({"data": FRAME}, {"data": FRAME.tail(45)}),
    "another loss of numbers": ({"data": NUMBERS}, {"loss": "mae"}),
    "a quantile after the mean": ({"data": NUMBERS}, {"loss": "pinball:quantile=0.9"}),
    "dates written otherwise": (
        {"data": dated("%d/%m/%Y"), "target": "y"}, {"data": dated("%Y-%m-%d")}),
    "what training alone does": (
        {"data": (X, Y), "model": net("relu", cl.nn.Dropout(0.1))}, {"model": net("relu", cl.nn.Dropout(0.5))}),
    "a loss of one's own": (
        {"data": (X, Y.astype(np.float32)), "model": net("relu", outputs=1)},
        {"loss": lambda outputs, y: cl.mean((outputs - y) ** 2)}),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_weights_that_mean_the_same_are_begun_with(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, change = ACCEPTED[name]
    run = fitted(out="first", **first)
    later = fitted(initial_weights="first", **{**first, **change})
    assert bits(later.replay(0).state.model) == bits(run.model)


def test_what_is_standardised_by_other_numbers_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    NUMBERS.write_csv("t.csv")
    NUMBERS.with_columns(b=polars.col("b") * 100).write_csv("far.csv")
    common = ["--epochs", "1", "--seed", "1"]
    assert main(["train", "t.csv", *common, "--out", "first"]) == 0
    capsys.readouterr()
    assert main(["train", "far.csv", *common, "--initial-weights", "first", "--out", "next"]) == 0
    assert "standardised by the rows here, by other numbers than in first: b\n" in capsys.readouterr().out
    assert main(["train", "t.csv", *common, "--initial-weights", "first", "--activation", "tanh"]) == 2
    assert "got       layers[1].name = 'tanh'" in capsys.readouterr().err
