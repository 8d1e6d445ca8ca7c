"""Predictions are labels of the type that they came with, and classes are called as they were spelled."""

import numpy as np
import pandas
import polars
import pytest

import clearprop as cl
from clearprop.data.parts import split_table
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.table import load_table

BIG = 2**53
LABELS = {
    "int": [0, 1],
    "negative": [-1, 1],
    "big": [BIG, BIG + 1],
    "bool": [False, True],
    "float": [0.0, 1.0],
    "half": [0.5, 1.5],
    "text": ["ham", "spam"],
}
SPELLED = {
    "leading zeros": (["007", "7", "9"], "U"),
    "exponents": (["1E2", "100", "3"], "U"),
    "whole": (["10", "9", "-3"], "i"),
    "big": ([str(BIG), str(BIG + 1)], "i"),
    "decimals": (["0.5", "1.0", "2"], "f"),
    "truths": (["False", "True"], "b"),
    "capitals": (["FALSE", "TRUE"], "b"),
    "text": (["a", "B", "c"], "U"),
    "plus": (["+1", "1"], "U"),
}


def rows(labels, n=90):
    """A table of which the label is easily learned."""
    k = np.arange(n) % len(labels)
    return np.random.default_rng(0).normal(size=n) * 0.1 + k, [labels[i] for i in k]


def learned(source, **options):
    return cl.fit(
        cl.nn.mlp([1, 8, 2], seed=0),
        source,
        target="y",
        task="classification",
        epochs=30,
        optimizer=cl.optim.adam(0.1),
        progress=False,
        **options,
    )


@pytest.mark.parametrize("library", [pandas, polars], ids=["pandas", "polars"])
@pytest.mark.parametrize("kind", LABELS)
def test_predictions_are_labels_of_a_frame(kind, library, eager):
    x, y = rows(LABELS[kind])
    frame = library.DataFrame({"x": x, "y": y})
    run = learned(frame)
    predicted = run.predict(frame)
    assert np.mean(predicted == np.array(y, dtype=object)) > 0.9
    assert {type(label) for label in predicted.tolist()} == {type(y[0])}


@pytest.mark.parametrize("form", ["memory", "streamed"])
@pytest.mark.parametrize("kind", SPELLED)
def test_classes_are_spelled_as_in_the_file(kind, form, tmp_path):
    labels, dtype = SPELLED[kind]
    x, y = rows(labels)
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(x, y, strict=True)))
    if form == "memory":
        fitted = Preprocessing.fit(split_table(load_table(path, task="classification")).train)
    else:
        fitted = stream_table(path, "t", None, "classification", 0.15, 0.15, 0, 24_000_000).preprocessing
    assert set(fitted.class_names) == set(labels)
    assert fitted.class_labels.astype(str).dtype.kind == "U"
    assert fitted.class_labels.dtype.kind == ("O" if dtype == "U" else dtype)
    again = Preprocessing.from_json(fitted.to_json())
    assert again == fitted
    encoded = again.encode(path, with_target=True)
    assert [again.class_names[k] for k in encoded.y] == y


def test_streamed_and_in_memory_agree_in_every_class(tmp_path):
    for kind, (labels, _) in SPELLED.items():
        x, y = rows(labels)
        path = tmp_path / f"{kind}.csv"
        path.write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(x, y, strict=True)))
        parts = split_table(load_table(path, task="classification"))
        found = stream_table(path, "t", None, "classification", 0.15, 0.15, 0, 24_000_000)
        fitted = Preprocessing.fit(parts.train)
        assert found.preprocessing == fitted
        for mine, theirs in zip(fitted.transform(parts.train), next(found.train.pairs()), strict=True):
            assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("form", ["memory", "streamed"])
def test_truth_values_spelled_in_several_ways_are_one_class(form, tmp_path):
    x, y = rows(["True", "false", "TRUE", "False"])
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(x, y, strict=True)))
    if form == "memory":
        fitted = Preprocessing.fit(split_table(load_table(path)).train)
    else:
        fitted = stream_table(path, "t", None, "auto", 0.15, 0.15, 0, 24_000_000).preprocessing
    assert fitted.class_names == ("false", "true")
    assert fitted.encode(path, with_target=True).y.tolist() == [int(label.lower() == "true") for label in y]


def test_a_class_is_known_by_its_value_where_it_is_written_otherwise(tmp_path):
    x, y = rows(["1", "2"])
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(x, y, strict=True)))
    fitted = Preprocessing.fit(split_table(load_table(path)).train)
    path.write_text("x,y\n0.1,1.0\n0.2,2e0\n")
    assert fitted.encode(path, with_target=True).y.tolist() == [0, 1]
    assert fitted.encode(pandas.DataFrame({"x": [0.1, 0.2], "y": [1.0, 2.0]}), with_target=True).y.tolist() == [0, 1]


def test_whole_numbers_beyond_floats_stay_apart(tmp_path):
    x, y = rows([BIG, BIG + 1])
    frame = polars.DataFrame({"x": x, "y": y})
    frame.write_parquet(tmp_path / "t.parquet")
    for source in (frame, tmp_path / "t.parquet", (x[:, None], np.array(y))):
        fitted = Preprocessing.fit(split_table(load_table(source, task="classification")).train)
        assert fitted.class_labels.tolist() == [BIG, BIG + 1]
        assert [fitted.class_labels[k] for k in fitted.encode(source, with_target=True).y] == y


def test_fit_takes_a_path(tmp_path, eager):
    x, y = rows(["007", "7"])
    path = tmp_path / "t.csv"
    path.write_text("x;y\n" + "".join(f"{a:.3f};{b}\n".replace(".", ",") for a, b in zip(x, y, strict=True)))
    for source in (path, str(path)):
        run = learned(source)
        assert run.predict(source)[:2].tolist() == ["007", "7"]
        assert run.evaluate(path)["loss"] < 0.5
