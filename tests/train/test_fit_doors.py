"""What `cl.fit` takes in place of a network and of a pair of arrays, and what it tells."""

import numpy as np
import polars
import pyarrow
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError, ClearpropError, DataError
from clearprop.train import job
from clearprop.train.executor import eager_executor

K = np.arange(60)
COLUMNS = {"size": K % 17 + 0.5, "place": np.array(["town", "land", "sea"])[K % 3], "price": 3.0 * (K % 17) + K % 3}
FRAME = polars.DataFrame(COLUMNS)
X, Y = (K[:, None] % np.array([7, 5])).astype(np.float32), (K % 7).astype(np.float64)
ONCE = {"epochs": 2, "progress": False}


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    monkeypatch.setattr(job, "choose_executor", eager_executor)


def batches():
    for i in range(0, 60, 20):
        yield X[i : i + 20], Y[i : i + 20, None]


TABLES = {
    "columns by name": lambda _: COLUMNS,
    "a lazy frame": lambda _: FRAME.lazy(),
    "a lazy file": lambda folder: (FRAME.write_csv(folder / "t.csv"), polars.scan_csv(folder / "t.csv"))[1],
    "pandas": lambda _: FRAME.to_pandas(),
    "Arrow": lambda _: pyarrow.table(COLUMNS),
    "a path": lambda folder: (FRAME.write_csv(folder / "t.csv"), folder / "t.csv")[1],
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_a_table_however_it_comes(name, tmp_path):
    known = cl.fit(cl.nn.mlp(hidden=[4]), FRAME, validation=0.25, **ONCE)
    data = TABLES[name](tmp_path)
    found = cl.fit(cl.nn.mlp(hidden=[4]), data, validation=0.25, **ONCE)
    assert found.replay(4).digest == known.replay(4).digest
    assert np.array_equal(found.predict(data), known.predict(FRAME))


def test_data_alone_get_the_network_that_suits_them():
    run = cl.fit(FRAME, target="price", **ONCE)
    assert [layer.weight.shape for layer in run.model.layers if isinstance(layer, cl.nn.Dense)] == [
        (4, 64),
        (64, 64),
        (64, 1),
    ]
    for same in (cl.fit(cl.nn.mlp("auto"), FRAME, **ONCE), cl.fit(cl.nn.mlp(hidden=[64, 64]), FRAME, **ONCE)):
        assert same.replay(4).digest == run.replay(4).digest
    assert cl.fit((X, Y), **ONCE).predict(X).shape == (60,)


def test_a_function_gives_batches_anew_and_its_run_can_be_replayed():
    run = cl.fit(cl.nn.mlp([2, 4, 1]), batches, **ONCE)
    assert run.replay(run.steps).digest == cl.fit(cl.nn.mlp([2, 4, 1]), list(batches()), **ONCE).replay(6).digest


@pytest.mark.parametrize("y", [Y, Y[:, None]], ids=["flat", "a column"])
def test_predictions_have_one_shape(y):
    run = cl.fit(cl.nn.mlp(hidden=[4]), (X, y), **ONCE)
    assert run.predict(X).shape == (60,) and run.predict(X[0]).shape == ()
    assert np.array_equal(run.predict(X), run.outputs(X)[:, 0])
    two = cl.fit(cl.nn.mlp(hidden=[4]), (X, np.stack([Y, Y], 1)), **ONCE)
    assert two.predict(X).shape == (60, 2)


def test_rows_to_predict_may_be_written_down():
    run = cl.fit(cl.nn.mlp(hidden=[4]), FRAME, **ONCE)
    row = FRAME.drop("price").row(7, named=True)
    expected = run.predict(FRAME)[7]
    assert run.predict(row) == run.predict([row]) == run.predict({n: [v] for n, v in row.items()}) == expected


MISTAKES = {
    "a network alone": (lambda: cl.fit(cl.nn.mlp([2, 1])), DataError, "nothing to train on"),
    "columns of several lengths": (lambda: cl.fit({"a": [1, 2], "b": [1, 2, 3]}), DataError, "no table"),
    "nothing": (lambda: cl.fit(None), DataError, "nothing to train on"),
    "both sizes": (lambda: cl.nn.mlp("auto", hidden=[3]), ArgumentError, "all sizes, or the hidden ones"),
    "another word": (lambda: cl.nn.mlp("car"), ArgumentError, "at least two layers"),
    "batches for auto": (lambda: cl.fit(cl.nn.mlp("auto"), batches), ClearpropError, "cannot be read again"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    do, kind, headline = MISTAKES[name]
    with pytest.raises(kind, match=headline):
        do()


def test_what_was_inferred_is_told_where_that_is_asked(capsys):
    cl.fit(FRAME, **ONCE)
    assert capsys.readouterr().out == ""
    cl.fit(FRAME, validation=0.25, verbose=True, **ONCE)
    told = capsys.readouterr().out
    for part in ("the target is 'price', the last column", "the loss is mse", "one-hot: land, sea, town", "epoch 2/2"):
        assert part in told, part
    assert told.splitlines()[-1].startswith("Predictions of 'price' are off by")


def test_one_number_is_no_table_to_predict():
    run = cl.fit(cl.nn.mlp([2, 4, 1]), (X, Y), **ONCE)
    with pytest.raises(ClearpropError, match="one number is no table of rows"):
        run.predict(np.array(1.0))


@pytest.mark.parametrize("outputs", [1, 2])
def test_no_rows_have_no_predictions_and_no_numbers_no_class(outputs):
    """The first class would be the largest of NaNs."""
    labels = (Y > 3).astype(np.float32 if outputs == 1 else int)
    run = cl.fit(
        cl.nn.mlp([2, 3, outputs], seed=0), (X, labels), loss=("binary_" * (outputs == 1)) + "cross_entropy", **ONCE
    )
    assert run.predict(X[:0]).shape == (0,)
    with pytest.raises(DataError, match="no class can be chosen"):
        run.predict(np.array([[1.0, 2.0], [np.nan, 1.0], [2.0, 1.0]]))


BATCHES = {
    "masked": (np.ma.masked_greater(X, 5.0), Y, "x holds masked values"),
    "float16": (X.astype(np.float16), Y, "x must hold numbers"),
    "complex": (X, Y.astype(complex), "y must hold numbers"),
    "text": (X, np.array(["a", "b"])[K % 2], "labels in batches are numbers"),
    "objects that are text": (X, np.array(["a", "b"], object)[K % 2], "labels in batches are numbers"),
    "gaps": (X, np.where(K > 3, Y, None), "y must hold numbers"),
}


@pytest.mark.parametrize("name", BATCHES)
def test_batches_have_the_door_of_arrays(name):
    x, y, said = BATCHES[name]
    with pytest.raises(DataError, match=said):
        cl.fit(cl.nn.mlp([2, 3, 1], seed=0), [(x[:30], y[:30]), (x[30:], y[30:])], loss="mse", **ONCE)
    own = X.astype(">f4"), Y[:, None].astype(object)
    run, same = (cl.fit(cl.nn.mlp([2, 3, 1], seed=0), [pair], loss="mse", **ONCE) for pair in (own, (X, Y[:, None])))
    assert run.history[-1]["train"] == same.history[-1]["train"]


LARGE = np.where(np.arange(12) == 7, 1e39, np.linspace(0.0, 1.0, 12))[:, None]
SMALL = np.linspace(0.0, 1.0, 12)[:, None]


@pytest.mark.parametrize(
    ("call", "name"),
    {
        "x": (lambda: cl.fit(cl.nn.mlp([1, 1]), (LARGE, SMALL), epochs=1), "x"),
        "y": (lambda: cl.fit(cl.nn.mlp([1, 1]), (SMALL, LARGE), epochs=1), "y"),
        "validation": (
            lambda: cl.fit(cl.nn.mlp([1, 1]), (SMALL, SMALL), validation=(LARGE, SMALL), epochs=1),
            "x",
        ),
        "predict": (lambda: cl.fit(cl.nn.mlp([1, 1]), (SMALL, SMALL), epochs=1).predict(LARGE), "x"),
        "evaluate": (lambda: cl.fit(cl.nn.mlp([1, 1]), (SMALL, SMALL), epochs=1).evaluate(LARGE, SMALL), "x"),
    }.values(),
)
def test_numbers_that_float32_does_not_hold_are_refused(call, name):
    with pytest.raises(ClearpropError, match=f"{name} holds numbers that are too large for the network") as caught:
        call()
    assert f"1e+39 at {name}[7, 0]" in str(caught.value) or f"1e+39 at {name}[7]" in str(caught.value)
    wide = cl.nn.mlp([1, 1], dtype=float)
    assert np.isfinite(cl.fit(wide, (SMALL, SMALL), epochs=1).predict(LARGE)).all()


@pytest.mark.parametrize(
    ("x", "dtype", "told"),
    [
        (SMALL + 1.7e9, np.float32, True),
        (np.arange(12)[:, None] + 2**40, np.float32, True),
        (SMALL + 1.7e9, np.float64, False),
        (SMALL + 1e3, np.float32, False),
        (np.full((12, 1), 1e9), np.float32, False),
        ((SMALL + 1.7e9).astype(np.float32), np.float32, False),
    ],
)
def test_digits_that_float32_loses_are_told(x, dtype, told, caplog):
    cl.fit(cl.nn.mlp([1, 1], dtype=dtype), (x, SMALL), epochs=1, optimizer=cl.optim.sgd(1e-25))
    assert ("x[:, 0] keep few of their digits in float32" in caplog.text) == told
