"""`cl.fit` without a loss takes the one that suits the targets; no loss or metric compares rows with other rows."""

import numpy as np
import polars
import pytest

import clearprop as cl

pytestmark = pytest.mark.usefixtures("eager")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
NUMBERS = 2.0 * X[:, 0] + 5.0
LABELS = np.arange(40) % 3
FRAME = polars.DataFrame({"a": X[:, 0], "b": X[:, 1]})
ONE, THREE = cl.nn.mlp([3, 1], seed=0), cl.nn.mlp([3, 3], seed=0)


@pytest.mark.parametrize(
    ("model", "y", "loss"),
    [
        (ONE, NUMBERS, "mse"),
        (ONE, NUMBERS[:, None], "mse"),
        (ONE, LABELS, "mse"),
        (ONE, LABELS > 1, "binary_cross_entropy"),
        (ONE, LABELS % 2, "binary_cross_entropy"),
        (ONE, (LABELS % 2)[:, None], "binary_cross_entropy"),
        (THREE, LABELS, "cross_entropy"),
        (THREE, LABELS.astype(np.uint8), "cross_entropy"),
        (THREE, np.eye(3)[LABELS], "cross_entropy"),
        (THREE, X, "mse"),
        (THREE, np.abs(X), "mse"),
    ],
    ids=str,
)
def test_arrays(model, y, loss):
    run = cl.fit(model, (X, y), epochs=2)
    assert run.config.settings.loss == loss
    batches = [(X[i : i + 8], y[i : i + 8]) for i in range(0, 40, 8)]
    if y.ndim > 1 or loss != "mse":  # a batch as it is given is not made a column
        y2 = y if y.ndim > 1 or loss == "cross_entropy" else y[:, None]
        batches = [(X[i : i + 8].astype(np.float32), y2[i : i + 8]) for i in range(0, 40, 8)]
        assert cl.fit(model, batches, epochs=1).config.settings.loss == loss


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("loss", [None, "cross_entropy"])
def test_a_one_among_zeros_is_a_class_in_every_dtype(dtype, loss):
    """As indicator columns are written; learned, measured and predicted as the classes themselves."""
    hot = np.eye(3, dtype=dtype)[LABELS]
    options = {"epochs": 2, "metrics": ["accuracy"], "validation": (X[:9], hot[:9])}
    run = cl.fit(THREE, (X, hot), loss=loss, **options)
    by_number = cl.fit(THREE, (X, LABELS), **{**options, "validation": (X[:9], LABELS[:9])})
    assert run.config.settings.loss == "cross_entropy"
    for a, b in zip(run.model.parameters().values(), by_number.model.parameters().values(), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(run.predict(X), by_number.predict(X))
    measured, known = run.evaluate(X, hot), by_number.evaluate(X, LABELS)
    assert measured == pytest.approx(known, rel=1e-5) and set(measured) == {"loss", "accuracy"}
    assert cl.fit(cl.nn.mlp([3, 3]), (X, (X > 0).astype(dtype)), epochs=1).config.settings.loss == "mse"


def test_batches_of_them_are_probabilities_or_refused():
    batches = [(X[i : i + 8].astype(np.float32), np.eye(3, dtype=int)[LABELS[i : i + 8]]) for i in range(0, 40, 8)]
    with pytest.raises(cl.ClearpropError, match="cross_entropy cannot compare logits") as error:
        cl.fit(THREE, batches, epochs=1)
    assert "or probabilities of shape (2, 3)" in error.value.expected


@pytest.mark.parametrize(
    ("y", "outputs", "loss"),
    [
        (NUMBERS, 1, "mse"),
        (np.array(["yes", "no"])[LABELS % 2], 2, "cross_entropy"),
        (np.array(["yes", "no"])[LABELS % 2], 1, "binary_cross_entropy"),
    ],
)
def test_frames(y, outputs, loss):
    run = cl.fit(cl.nn.mlp([2, outputs], seed=0), FRAME.with_columns(y=polars.Series(y)), epochs=1)
    assert run.config.settings.loss == loss


WORDS = RNG.integers(0, 5, (40, 6))
TAGGER = cl.nn.Sequential(cl.nn.Embedding(5, 4), cl.nn.Dense(4, 5))


@pytest.mark.parametrize(
    ("y", "loss"),
    [
        (WORDS[:, ::-1], "cross_entropy"),
        (WORDS.astype(np.uint8), "cross_entropy"),
        (np.eye(5)[WORDS], "cross_entropy"),
        (RNG.normal(size=(40, 6, 5)), "mse"),
    ],
    ids=["a class for each element", "of bytes", "shares", "numbers"],
)
def test_sequences(y, loss):
    """Whole numbers, one for each element of a sequence, are classes; accuracy counts elements."""
    run = cl.fit(TAGGER, (WORDS, y), epochs=1, metrics=["accuracy"] if y.ndim == 2 else [])
    assert run.config.settings.loss == loss
    if y.ndim == 2:
        answers = run.predict(WORDS)
        assert answers.shape == y.shape
        assert run.evaluate(WORDS, y)["accuracy"] == pytest.approx((answers == y).mean())
    batches = [(WORDS[i : i + 8], y[i : i + 8]) for i in range(0, 40, 8)]
    if y.dtype.kind == "i":
        assert cl.fit(TAGGER, batches, epochs=1).config.settings.loss == loss


def test_something_is_learned_without_a_loss():
    run = cl.fit(ONE, (X, NUMBERS), optimizer=cl.optim.adam(0.1), epochs=60)
    assert run.history[-1]["train"]["loss"] < 0.01 * np.var(NUMBERS)


def squares(p, t):
    return cl.mean((p - t) ** 2)


@pytest.mark.parametrize("y", [NUMBERS, NUMBERS.astype(np.float32), LABELS], ids=["f64", "f32", "i64"])
def test_a_loss_of_ones_own_gets_its_targets_as_the_named_one(y):
    own = cl.fit(ONE, (X, y), loss=squares, epochs=5)
    named = cl.fit(ONE, (X, y.astype(np.float64)), loss="mse", epochs=5)
    assert own.history[-1]["train"]["loss"] == pytest.approx(named.history[-1]["train"]["loss"], rel=1e-6)
    assert own.evaluate(X, y)["loss"] == pytest.approx(named.evaluate(X, y)["loss"], rel=1e-6)


def test_what_is_right_as_it_stands_is_left_alone():
    own = cl.fit(ONE, (X, NUMBERS), loss=lambda p, t: cl.mean((p[:, 0] - t) ** 2), epochs=3)
    named = cl.fit(ONE, (X, NUMBERS), loss="mse", epochs=3)
    assert own.history[-1]["train"]["loss"] == pytest.approx(named.history[-1]["train"]["loss"], rel=1e-6)


def all_pairs(p, t):
    return cl.nn.mse(p, t[:, None]) + cl.mean((p[:, None] - p[None]) ** 2) + cl.mean(p @ p.mT)


def test_who_means_all_pairs_writes_both_axes():
    assert cl.fit(ONE, (X, NUMBERS), loss=all_pairs, epochs=1).status == "done"


@pytest.mark.parametrize(
    "more",
    [
        {"loss": lambda p, t: cl.mean((p[:, 0] - t) ** 2), "metrics": (squares,)},
        {"loss": lambda p, t: cl.mean((p[:, 0] - t) ** 2), "metrics": ("rmse",)},
    ],
    ids=["own metric", "named metric"],
)
def test_rows_against_all_rows_are_refused(more, tmp_path):
    with pytest.raises(cl.errors.ShapeError) as caught:
        cl.fit(ONE, (X, NUMBERS), epochs=1, out=tmp_path / "run", **more)
    e = caught.value
    assert e.headline.endswith("compares every row with every other")
    assert e.expected == "one comparison a row of outputs (rows, 1) and targets (rows,)"
    assert e.got == "(rows, 1) against (rows,), which broadcast to (rows, rows)"
    assert not (tmp_path / "run").exists()


def test_batches_are_checked_too():
    batches = [(X[:8].astype(np.float32), NUMBERS[:8].astype(np.float32))]
    with pytest.raises(cl.errors.ShapeError, match="compares every row with every other"):
        cl.fit(ONE, batches, loss=squares, epochs=1)
