"""Runs and networks as ONNX files: raw columns in, the answers of the run out, by ONNX's reference implementation."""

import csv
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import clearprop as cl
from clearprop.cli import main
from clearprop.data.columns import Column, Findings
from clearprop.data.encodings import NumberTarget
from clearprop.data.kinds.time_encoding import fit_time
from clearprop.data.kinds.times import ORDERS, parts_of, seconds_of
from clearprop.data.preprocessing import Preprocessing
from clearprop.exporting.onnx import models, network_model, run_model, times
from clearprop.exporting.onnx.column_encodings import encode_columns, inputs_of
from clearprop.exporting.onnx.translation import checked_model
from clearprop.program.types import Type
from tests.exporting.onnx_models import COLUMNS, by_column, feeds, mixed_run

TOLERANCE = 1e-5
PENGUINS = Path(cl.__file__).parent / "data/datasets/penguins.csv"


def answers(model, given):
    with np.errstate(all="ignore"):
        found = ReferenceEvaluator(model).run(None, given)
    return dict(zip([o.name for o in model.graph.output], found, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("onnx")


@pytest.fixture(scope="module")
def classes(folder):
    return mixed_run(folder, "classes")


@pytest.fixture(scope="module")
def amounts(folder):
    return mixed_run(folder, "numbers")


@pytest.fixture(scope="module")
def penguins(folder):
    run = cl.fit(cl.nn.mlp(hidden=[8]), "penguins", epochs=1, progress=False, out=folder / "peng")
    (path,) = cl.export(run, "onnx", folder / "penguins.onnx")
    return run, path


# -------------------------------------------------------------------------------------------------------- tables
@pytest.mark.filterwarnings("ignore::clearprop.errors.DataWarning")  # levels and numbers that training lacks are meant
def test_classes_of_a_table_of_everything(classes):
    run, source, rows = classes
    found = answers(run_model(run), feeds(run_model(run), by_column(COLUMNS, rows)))
    assert found["label"].tolist() == run.predict(source).tolist()
    np.testing.assert_allclose(found["probabilities"], run.probabilities(source), atol=TOLERANCE)


@pytest.mark.filterwarnings("ignore::clearprop.errors.DataWarning")  # levels and numbers that training lacks are meant
def test_values_of_a_table_of_everything(amounts):
    run, source, rows = amounts
    model = run_model(run)
    found = answers(model, feeds(model, by_column(COLUMNS, rows)))
    assert found["value"].shape == (len(rows), 1) and found["value"].dtype == np.float64
    np.testing.assert_allclose(found["value"][:, 0], run.predict(source), rtol=TOLERANCE)
    assert {c.kind for c in run.preprocessing.columns} == {"number", "boolean", "category", "ordinal", "list", "time"}


def test_several_targets_and_a_threshold():
    rng = np.random.default_rng(0)
    a = rng.normal(size=60)
    kind, rare = np.where(a > 0.5, "x", "y"), np.where(a > 1, "c", "b")
    table = {"a": a, "k": kind, "big": 100 + 9 * a, "small": 0.1 * a, "rare": rare}
    given = by_column(("a", "k"), [[repr(v), k] for v, k in zip(a.tolist(), kind.tolist(), strict=True)])
    run = cl.fit(cl.nn.mlp(hidden=[3]), table, target="big,small", only="a,k", epochs=1, progress=False)
    model = run_model(run)
    found = answers(model, feeds(model, given))["value"]
    np.testing.assert_allclose(found, run.predict(table), rtol=TOLERANCE)
    one = cl.fit(cl.nn.mlp(hidden=[3]), table, target="rare", only="a,k", epochs=1, progress=False, threshold=0.2)
    model = run_model(one)
    said = answers(model, feeds(model, given))["label"].tolist()
    assert said == one.predict(table).tolist() and len(set(said)) == 2


def test_features_to_the_digit(classes):
    run, source, rows = classes
    model = run_model(run)
    gather = [node.output[0] for node in model.graph.node if node.output[0].startswith("features")][-1]
    model.graph.output.append(onnx.helper.make_tensor_value_info(gather, onnx.TensorProto.FLOAT, None))
    found = answers(model, feeds(model, by_column(COLUMNS, rows)))[gather]
    np.testing.assert_allclose(found, run.encode(source).x, rtol=1e-6, atol=1e-6)


REFUSED = {
    "size": "-inf",
    "year_built": "1e200",
    "heated": "perhaps",
    "grade": "lowest",
    "sold": "31 Smarch 2021",
    "seen": "2021-02-29 00:00",
}


@pytest.mark.parametrize("column", REFUSED)
def test_what_predict_refuses_is_not_a_number(amounts, column):
    run, _, rows = amounts
    row = list(rows[0])
    row[COLUMNS.index(column)] = REFUSED[column]
    model = run_model(run)
    assert np.isnan(answers(model, feeds(model, by_column(COLUMNS, [row, rows[1]])))["value"]).ravel().tolist() == [
        True,
        False,
    ]


def test_the_file_of_the_penguins(penguins):
    run, path = penguins
    model = onnx.load(path)
    with PENGUINS.open(newline="") as file:
        columns = by_column((table := list(csv.reader(file)))[0], table[1:])
    found = answers(model, feeds(model, columns))
    assert found["label"].tolist() == run.predict("penguins").tolist()
    np.testing.assert_allclose(found["probabilities"], run.probabilities("penguins"), atol=TOLERANCE)
    told = {p.key: p.value for p in model.metadata_props}
    assert told == {
        "run": "peng",
        "classes": '["Adelie", "Chinstrap", "Gentoo"]',
        "loss": "cross_entropy",
        "target": "species",
        "task": "classification",
    }
    assert (model.producer_name, [o.version for o in model.opset_import]) == ("clearprop", [20, 3])
    assert {i.name: i.doc_string.split(";")[0] for i in model.graph.input}["sex"] == "text"
    names = {t.name for t in model.graph.initializer}
    assert set(run.model.parameters()) <= names


# ----------------------------------------------------------------------------------------- times, against ours
def test_the_calendar_is_that_of_the_encoding():
    texts = ["1900-02-28", "1900-03-01", "1970-01-01", "2000-02-29 12:00", "2100-12-31 23:59:59", "1582-10-15 00:00:01"]
    seconds = seconds_of(np.array(texts, dtype=object), "year-first")
    column = fit_time("t", "", lambda: [np.append(seconds, 3.5e7)], 1)
    dates = [np.datetime64(int(s), "s") for s in seconds]
    parts = [[*map(float, str(d).replace("T", "-").replace(":", "-").split("-"))] for d in dates]
    yes = np.ones((len(texts), 1), bool)
    features = times.time_features(column, np.zeros((1, len(column.features)), np.float32))
    more = len(times.PARTS) - len(parts[0])
    found = features(cl.asarray(np.pad(np.array(parts), [(0, 0), (0, more)])), yes, ~yes)
    shares = parts_of(seconds)
    want = [(seconds - column.centre) / column.scale, (shares["year"] - column.year_centre) / column.year_scale]
    for period in column.periods:
        angle = 2 * np.pi * shares[f"{period} share"]
        want += [np.sin(angle), np.cos(angle)]
    want += [np.zeros(len(texts))] if column.indicator else []
    np.testing.assert_allclose(np.asarray(found), np.array(want).T, atol=2e-6)


FORMS = [
    *("2021-12-31", "2021/2/03", "2021.02.03 7:05", "2021-12-31T23:59:59.25", "31.12.2021", "12.01.2021 00:00"),
    *("05/06/2021", "13/06/2021 12:30", "05-06-2021", "23:59", "7:05:30", "2021-02-29", "32/01/2021", "2021-13-01"),
    *("24:00", "2021-12-31 12:60", "31 Dec 2021", "yesterday", "1/2/21", "13/2/69", "01.02.70", "2021-12", "20211231"),
    *("Fri, 31 December 2021 23:59:59 GMT", "Sept. 9 2021", "December 3rd, 2021, 11:59 pm", "31-DEC-2021 12:00 am"),
    *("31 Dez 2021", "2021-12-31T23:30:00Z", "2021-12-31 23:30-05:30", "2022-01-01T00:30:00.123456+02", "13:00 pm"),
    *(
        "2021-W01",
        "2020-W53-7",
        "2021-W53",
        "2009W531",
        "2020-Q3",
        "Q4 2021",
        "Mar 2021",
        "sept-2020",
        "2021M12",
        "2020Q5",
    ),
    *("2020/2/13 3pm", "5 May 2021 12 a.m.", "2021-01-01 5", "11 pm", "2024/01/06 3:04:05 PM GMT+1", "01:00 UTC-9"),
    *(
        "12. März 2023",
        "1er février 2020",
        "3 juil. 2021 7:05",
        "jui 2021",
        "14 juin 2021",
        "5 de enero de 2021",
        "Dic-69",
    ),
    *(
        "Jan-20",
        "Aug '68",
        "Montag, 2. Okt. 2023",
        "20-Jan",
        "Xyz-20",
        "gen-21",
        "24 déc. 1999",
        "Mrz 2021",
        "30. Februar 2021",
        "jui-21",
        "ma 2021",
    ),
    *("12/2021", "3-2020", "13/2021", "2021H2", "2020-S1 7:05", "KW 5/2021", "KW 54/2020", "T3 2021", "2021-T4"),
    *("2020年2月30日", "2020年3月4日 7:05", "2020年11月", "2020년 3월 4일", "05JAN2020", "31FEB2020", "5Mai2021 23:59"),
    *("05/Jan/2020 10:11:12 +0100", "5 januari 2020", "Jänner 2020", "3 março 2021", "1 maj 2020", "9. Feber 2021"),
    *("7:05 AM", "2021-01-01 00:10 UTC+01:00", " 2021-12-31 ", "2021-12-31T23:59:60,5", "5 may 2021", "1399-12"),
]
"""Dates and times in their forms, and some that do not exist."""
NAMES_ZONE = re.compile(r":\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?|(?:GMT|UTC)(?:.\d)?)\s*$")


def time_question(order, zoned):
    """A model of a column of times, what it is given, and the features that are wanted: NaN where none are told."""
    column = fit_time("when", order, lambda: [np.array([0.0, 1e9, 1.6e9])], 9, zoned)
    builder = models.ModelBuilder()
    fitted = Preprocessing("regression", (column,), NumberTarget("y", 0.0, 1.0))
    (given,) = inputs_of(fitted, builder.graph)
    builder.open_rows(given.name)
    builder.graph.result(encode_columns(fitted, [given], builder.graph, builder.rows, builder.enter), "features")
    types = Type((builder.rows, 1), given.dtype), Type((builder.rows, len(column.features)), np.dtype(np.float32))
    infos = [builder.graph.value_info(n, t) for n, t in zip(("when", "features"), types, strict=True)]
    texts = np.array([*FORMS, ""], dtype=object)
    seconds = seconds_of(texts, order)
    if zoned is not None:
        seconds[[bool(NAMES_ZONE.search(text)) != zoned for text in texts]] = np.nan
    wanted = column.encode(Column("when", "time", seconds), lambda *_: "", Findings()).T
    wanted[np.isnan(seconds) & (texts != "")] = np.nan
    return checked_model(builder.graph, infos[:1], infos[1:]), {"when": texts[:, None]}, wanted


QUESTIONS = [*((order, None) for order in ORDERS), (ORDERS[0], True), (ORDERS[1], False)]
"""Orders of day and month, and whether the run learned times with a zone, without one, or no times at all."""


@pytest.mark.parametrize(("order", "zoned"), QUESTIONS)
def test_times_are_read_as_the_files_are(order, zoned):
    model, given, wanted = time_question(order, zoned)
    assert 0.2 < np.isnan(wanted).mean() < (1 if zoned else 0.8)
    np.testing.assert_allclose(answers(model, given)["features"], wanted, atol=2e-6)


# --------------------------------------------------------------------------------------------- arrays, networks
def fitted(y, loss, outputs, **more):
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    run = cl.fit(cl.nn.mlp([3, 4, outputs], seed=1), (x, y), loss=loss, epochs=1, progress=False, **more)
    return run, x, answers(run_model(run), {"x": x})


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (np.array([7, 9] * 6, np.uint8), np.uint8),
        (np.array(["no", "yes"] * 6), object),
        (np.array([0.5, 2.0] * 6), np.float64),
        (np.array([False, True] * 6), np.bool_),
    ],
)
def test_labels_come_back_as_they_came(labels, dtype):
    run, x, found = fitted(labels, "cross_entropy", 2)
    assert found["label"].dtype == dtype
    assert found["label"].tolist() == run.predict(x).tolist()


def test_a_single_output_has_two_probabilities():
    run, x, found = fitted(np.array([0, 1] * 6), "binary_cross_entropy", 1)
    assert found["label"].tolist() == run.predict(x).tolist()
    np.testing.assert_allclose(found["probabilities"], run.probabilities(x), atol=TOLERANCE)
    assert found["probabilities"].shape == (12, 2)


def test_several_answers_each_for_itself():
    y = np.random.default_rng(1).integers(0, 2, size=(12, 3)).astype(np.float32)
    run, x, found = fitted(y, "binary_cross_entropy", 3)
    assert found["label"].tolist() == run.predict(x).tolist()
    np.testing.assert_allclose(found["probabilities"], run.probabilities(x), atol=TOLERANCE)


def test_amounts_come_back_from_their_logarithm():
    run, x, found = fitted(np.arange(12.0), "poisson", 1)
    np.testing.assert_allclose(found["value"][:, 0], run.predict(x), rtol=TOLERANCE)


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


nn = cl.nn
NETWORKS = {
    "convolutional": lambda: (nn.lenet(), numbers(2, 28, 28, 1)),
    "norms": lambda: (
        nn.Sequential(nn.Dense(3, 4), nn.BatchNorm(4), nn.LayerNorm(4), nn.Dropout(0.5), nn.GroupNorm(2, 4, space=0)),
        numbers(3, 3),
    ),
    "pools": lambda: (
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding="same", groups=2), nn.MaxPool(3, stride=2, padding=1), nn.AvgPool(2),
            nn.ConvTranspose2d(4, 2, 3, stride=2), nn.Upsample(2, mode="linear"), nn.GlobalPool(),
        ),
        numbers(2, 9, 9, 2),
    ),
    "recurrent": lambda: (nn.LSTM(3, 4, layers=2, bidirectional=True), numbers(2, 5, 3)),
    "gated": lambda: (nn.GRU(3, 4), numbers(2, 5, 3)),
    "words": lambda: (nn.lstm_classifier(10, 3, size=4), np.arange(10).reshape(2, 5)),
    "attention": lambda: (
        nn.transformer(20, size=8, heads=2, layers=1, longest=8), np.arange(10, dtype=np.int32).reshape(2, 5),
    ),
    "activations": lambda: (nn.Sequential(*map(nn.Activation, sorted(nn.ACTIVATIONS))), numbers(4, 5)),
    "gates": lambda: (nn.Sequential(nn.Dense(4, 8), nn.GLU(), nn.SwiGLU(4, 8), nn.PReLU(4)), numbers(4, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, tmp_path):
    model, x = NETWORKS[name]()
    (path,) = cl.export(model, "onnx", tmp_path / "n.onnx", example=x[:1])
    for rows in (x, x[:1]):
        found = answers(onnx.load(path), {"x": rows})["outputs"]
        np.testing.assert_allclose(found, np.asarray(cl.asarray(model(rows))), atol=TOLERANCE)


# ---------------------------------------------------------------------------------------------------- what cannot be
def test_free_text_is_named_and_nothing_written(folder, tmp_path):
    source = folder / "text.csv"
    source.write_text("story,n,y\n" + "".join(f"a tale of {i} days,{i},{i % 3}.5\n" for i in range(30)))
    run = cl.fit(nn.mlp(hidden=[4]), str(source), target="y", kind="story=text", epochs=1, progress=False)
    with pytest.raises(cl.errors.ArgumentError, match="free text cannot be exported") as found:
        cl.export(run, "onnx", tmp_path / "n.onnx")
    assert found.value.got == "'story'" and not list(tmp_path.iterdir())


def test_a_run_whose_rows_are_not_at_hand():
    run, x, found = fitted(np.arange(12.0), "mse", 1)
    bare = replace(run, workings=None)
    with pytest.raises(cl.errors.ArgumentError, match="the shape of the rows is not at hand"):
        run_model(bare)
    assert np.array_equal(answers(run_model(bare, x[:1]), {"x": x})["value"], found["value"])


def test_a_network_that_counts_its_rows():
    class Counting(nn.Module):
        def __call__(self, x):
            return x * int(x.shape[0])

    with pytest.raises(cl.errors.ArgumentError, match="otherwise for other numbers of rows"):
        network_model(Counting(), numbers(2, 3))


def test_too_large_for_one_file(monkeypatch):
    monkeypatch.setattr(models, "LARGEST", 3)
    with pytest.raises(cl.errors.ArgumentError, match="too large for one ONNX file"):
        network_model(nn.Dense(3, 2), numbers(1, 3))


def test_calls_that_cannot_be(tmp_path):
    for target, more in ((nn.Dense(3, 2), {}), (np.zeros(3), {"example": numbers(1, 3)})):
        with pytest.raises(cl.errors.ArgumentError, match="written of a run, or of a network with an example"):
            cl.export(target, "onnx", tmp_path / "n.onnx", **more)
    with pytest.raises(cl.errors.ArgumentError, match="an example is of rows for an ONNX file"):
        cl.export(nn.Dense(3, 2), "safetensors", tmp_path / "n.safetensors", example=numbers(1, 3))


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(cl.errors.ArgumentError, match="need the package onnx") as found:
        cl.export(nn.Dense(3, 2), "onnx", tmp_path / "n.onnx", example=numbers(1, 3))
    assert found.value.try_ == 'pip install "clearprop[onnx]"' and not list(tmp_path.iterdir())


def test_the_command(penguins, tmp_path, capsys, monkeypatch):
    run, path = penguins
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run.folder), "--format", "onnx"]) == 0
    assert capsys.readouterr().out == f"peng.onnx  {path.stat().st_size:,} bytes\n"
    assert (tmp_path / "peng.onnx").read_bytes() == path.read_bytes()
    assert main(["export", str(run.folder), "--format", "onnx"]) == 2  # the file is there
