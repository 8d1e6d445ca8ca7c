"""Networks whose sizes the data decide; what a table is judged by and beside in Python; a run in a notebook."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError

RNG = np.random.default_rng(8)
X = RNG.normal(size=(60, 3)).astype(np.float32)
TABLE = pl.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "up", "down"), "y": 2 * X[:, 0] + X[:, 2]})
PENGUINS = Path(cl.__file__).parent / "data" / "datasets" / "penguins.csv"


@pytest.mark.parametrize(
    ("y", "more", "outputs"),
    [
        (X[:, 0], {}, 1),
        (X[:, :1], {}, 1),
        (X[:, :2], {}, 2),
        ((X[:, 0] > 0).astype(int), {}, 2),
        (X[:, 0] > 0, {}, 2),
        (np.arange(60) % 4, {}, 4),
        (np.arange(60), {"loss": "mse"}, 1),
        (np.arange(60), {"loss": "poisson"}, 1),
        ((X[:, 0] > 0).astype(int), {"loss": "binary_cross_entropy"}, 1),
        (np.arange(60) % 4, {"loss": "focal"}, 4),
    ],
)
def test_arrays_decide_inputs_and_outputs(y, more, outputs):
    run = cl.fit(cl.nn.mlp(hidden=[8]), (X, y), epochs=1, progress=False, **more)
    assert [layer.weight.shape for layer in run.model.layers[::2]] == [(3, 8), (8, outputs)]
    assert len(run.predict(X)) == 60


def test_a_table_decides_by_what_it_is_encoded_as():
    run = cl.fit(cl.nn.mlp(hidden=[8], seed=3), TABLE, epochs=1, progress=False)
    assert run.model.layers[0].weight.shape == (3, 8)  # a number, and two words
    same = cl.fit(cl.nn.mlp([3, 8, 1], seed=3), TABLE, epochs=1, progress=False)
    assert (run.predict(TABLE) == same.predict(TABLE)).all()
    assert cl.fit(cl.nn.mlp(hidden=[]), PENGUINS, target="species", epochs=1, progress=False).model.layers[
        -1
    ].bias.shape == (3,)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: cl.nn.mlp([1, 2], hidden=[3]), "all sizes, or the hidden ones alone"),
        (lambda: cl.nn.mlp(hidden=[0]), "an impossible size"),
        (lambda: cl.nn.mlp(hidden=[4], norm="none"), "no normalisation named"),
        (lambda: cl.fit(cl.nn.mlp(hidden=[8]), (X[:, 0], X[:, 0])), "do not say the sizes"),
        (lambda: cl.fit(cl.nn.mlp(hidden=[8]), iter([(X, X)]), epochs=1), "do not say the sizes"),
    ],
)
def test_what_cannot_be_sized(wrong, said):
    with pytest.raises(ArgumentError, match=said):
        wrong()


def test_a_table_in_python_is_judged_and_stands_beside_something(tmp_path):
    run = cl.fit(
        cl.nn.mlp(hidden=[16]), TABLE, validation=0.25, epochs=20, optimizer=cl.optim.adam(1e-2), progress=False,
        out=tmp_path / "run",
    )  # fmt: skip
    assert run.headline.startswith("Predictions of 'y' are off by ")
    assert list(run.results) == ["training", "validation", "constant, validation", "linear, validation"]
    assert set(run.results["validation"]) == {"loss", "r2", "mae"}
    assert cl.load(tmp_path / "run").headline == run.headline
    assert cl.fit(cl.nn.mlp(hidden=[4]), TABLE, epochs=1, baseline=False, progress=False).headline is None
    other = cl.fit(cl.nn.mlp(hidden=[4]), TABLE, validation=0.25, epochs=1, metrics=("median_ae",), progress=False)
    assert other.headline.startswith("The loss mse of 15 validation rows is ")


def test_a_notebook_shows_the_sentence_the_numbers_and_the_curve():
    run = cl.fit(cl.nn.mlp(hidden=[16]), TABLE, validation=0.25, epochs=5, progress=False)
    html = run._repr_html_()
    assert run.headline.replace("'", "&#x27;") in html
    assert '<th scope="row" style="text-align: left">constant, validation</th>' in html
    assert 'src="data:image/svg+xml;base64,' in html and "at the last of 5 epochs: training" in html
    bare = cl.fit(cl.nn.mlp(hidden=[4]), (X, X[:, 0]), epochs=1, progress=False)._repr_html_()
    assert "done after 1 epochs" in bare and "<img" not in bare
