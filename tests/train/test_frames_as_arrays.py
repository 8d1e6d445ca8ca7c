"""A frame whose numbers are taken as they are: its columns meet by name at every door, never by position."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import clearprop as cl
from clearprop.errors import DataError

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.normal(size=(40, 3)), columns=["a", "b", "c"])
Y = (X["a"] - 2 * X["c"]).to_numpy()
SWAPPED = ["c", "a", "b"]
FRAMES = {"pandas": lambda x: x, "polars": lambda x: pl.from_pandas(x)}


@pytest.fixture(scope="module", params=FRAMES)
def frames(request):
    return FRAMES[request.param]


@pytest.fixture(scope="module")
def run(frames, tmp_path_factory):
    return cl.fit(cl.nn.mlp([3, 1]), (frames(X), Y), epochs=3, out=tmp_path_factory.mktemp("run") / "run")


DOORS = {
    "predict": lambda run, x: run.predict(x),
    "predict of a loaded run": lambda run, x: cl.load(run.folder).predict(x),
    "evaluate": lambda run, x: np.array(run.evaluate(x, Y)["loss"]),
    "importance": lambda run, x: np.array([c.drop for c in run.importance(x, Y, repeats=2).columns]),
    "explain_prediction": lambda run, x: np.array(run.explain_prediction(x[:1]).predicted),
    "validation": lambda run, x: np.array(
        cl.fit(cl.nn.mlp([3, 1]), (X, Y), validation=(x, Y), epochs=1).history[-1]["validation"]["loss"]
    ),
    "test": lambda run, x: np.array(cl.fit(cl.nn.mlp([3, 1]), (X, Y), test=(x, Y), epochs=1).summary.test["loss"]),
}


@pytest.mark.parametrize("door", DOORS)
def test_columns_meet_by_name(door, run, frames):
    expected = DOORS[door](run, frames(X))
    assert np.array_equal(DOORS[door](run, frames(X[SWAPPED])), expected)


@pytest.mark.parametrize("door", DOORS)
def test_other_columns_are_refused(door, run, frames):
    with pytest.raises(DataError, match="has other columns than the data of the training"):
        DOORS[door](run, frames(X.rename(columns={"b": "d"})))


def test_what_has_no_names_is_taken_by_position(run):
    assert np.array_equal(run.predict(X.to_numpy()), run.predict(X))
    assert np.array_equal(run.predict(pd.DataFrame(X.to_numpy())), run.predict(X))


WEIGHED = {
    "fit": lambda model, x, y, w, whole: cl.fit(model, (x, y), sample_weight=w, epochs=1, progress=False),
    "validation": lambda model, x, y, w, whole: cl.fit(
        model, (x, y), sample_weight=whole, validation=(x, y, w), epochs=1, progress=False
    ),
    "evaluate": lambda model, x, y, w, whole: cl.fit(
        model, (x, y), sample_weight=whole, epochs=1, progress=False
    ).evaluate(x, y, sample_weight=w),
}


@pytest.mark.parametrize("door", WEIGHED)
def test_weights_of_other_rows_are_refused(door):
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 2)), columns=["a", "b"])
    y, whole = x["a"] * 2, pd.Series(np.arange(1.0, 13.0))
    model = cl.nn.mlp([2, 3, 1], seed=0)
    WEIGHED[door](model, x, y, whole, whole)
    for other in (whole[::-1], whole.set_axis(range(5, 17))):
        with pytest.raises(DataError, match=r"rows of x and sample_weight of .* are labelled otherwise"):
            WEIGHED[door](model, x, y, other, whole)
