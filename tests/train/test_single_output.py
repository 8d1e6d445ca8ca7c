"""A single output that tells two classes apart says the same at every door as two outputs would."""

import io

import numpy as np
import polars as pl
import pytest

import clearprop as cl
from clearprop.cli.predict import write_predictions
from clearprop.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
Y = np.where(X.sum(axis=1) > 0, "yes", "no")
FRAME = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": Y})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One output, two classes: no loss is named."""
    return cl.fit(cl.nn.mlp([2, 8, 1]), FRAME, target="y", epochs=20, optimizer=cl.optim.adam(0.02),
                  out=tmp_path_factory.mktemp("run") / "run", progress=False)  # fmt: skip


def test_probabilities_of_both_classes(run):
    shares = run.probabilities(FRAME)
    assert shares.shape == (60, 2)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-6)
    logits = run.outputs(run.encode(FRAME).x)[:, 0]
    np.testing.assert_allclose(shares[:, 1], 1 / (1 + np.exp(-logits)), rtol=1e-5)
    assert np.array_equal(np.array(run.class_names)[shares.argmax(axis=1)], run.predict(FRAME))
    assert np.mean(run.predict(FRAME) == Y) > 0.9


def test_the_file_of_predictions_says_the_same(run, tmp_path):
    FRAME.write_csv(tmp_path / "rows.csv")
    file = io.BytesIO()
    write_predictions(cl.load(run.folder), str(tmp_path / "rows.csv"), file)
    told = pl.read_csv(io.BytesIO(file.getvalue()))
    assert told["y"].to_list() == run.predict(FRAME).tolist()
    np.testing.assert_allclose(told.select("p(no)", "p(yes)").to_numpy(), run.probabilities(FRAME), atol=6e-5)


def test_it_is_judged_from_a_source_as_in_training(run):
    assert run.config.settings.loss == "binary_cross_entropy"
    judged = cl.load(run.folder).evaluate(FRAME)
    assert judged["accuracy"] == np.mean(run.predict(FRAME) == Y)
    assert judged["loss"] == pytest.approx(-np.mean(np.log(run.probabilities(FRAME)[range(60), (Y == "yes") * 1])))
    assert run.importance(FRAME, metric="loss", repeats=2).base > 0


def test_several_outputs_answer_each_for_itself():
    labels = np.stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 0] > X[:, 1]], axis=1)
    run = cl.fit(
        cl.nn.mlp([2, 8, 3]), (X, labels), loss="binary_cross_entropy:label_smoothing=0.1", epochs=3, progress=False
    )
    assert np.array_equal(run.predict(X), run.probabilities(X) > 0.5)
    np.testing.assert_allclose(run.probabilities(X), 1 / (1 + np.exp(-run.outputs(X.astype(np.float32)))), rtol=1e-5)


def test_text_of_one_class_is_refused():
    with pytest.raises(DataError, match="one class only"):
        cl.fit(cl.nn.mlp([2, 8, 1]), (X, np.full(60, "yes")))


def test_a_frame_of_text_is_told_how_it_is_trained_on():
    with pytest.raises(DataError, match=r"try +cl\.fit\(frame, target='column'\)"):
        cl.fit(cl.nn.mlp([2, 8, 1]), (FRAME.select("a", "y"), X[:, 0]))
