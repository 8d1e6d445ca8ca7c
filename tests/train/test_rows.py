"""What is predicted for a row does not depend on the table that it stands in: alone, in any order, in any block."""

import functools
import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import row_products
from clearprop.errors import ClearpropError
from clearprop.explanation.runs import open_run
from clearprop.program.values import raw
from clearprop.train import class_probabilities, metrics

ROWS = 1300
NETWORKS = {
    "narrow": ([4, 16, 3], "relu"),
    "one output": ([13, 40, 1], "tanh"),
    "wide": ([200, 130, 70, 10], "gelu"),
    "deep sums": ([700, 20, 2], "sigmoid"),
}


def network(name, dtype=np.float32):
    sizes, activation = NETWORKS[name]
    x = np.random.default_rng(3).normal(size=(ROWS, sizes[0])).astype(dtype)
    return cl.nn.mlp(sizes, activation=activation, seed=0, dtype=dtype), x


def assert_rows_stand_by_themselves(model, x):
    whole = metrics.outputs_of(model, x)
    order = np.random.default_rng(4).permutation(len(x))
    assert np.array_equal(metrics.outputs_of(model, x[order]), whole[order])
    for i in range(0, len(x), 97):
        assert np.array_equal(metrics.outputs_of(model, x[i : i + 1]), whole[i : i + 1])
    for lo, hi in [(0, 2), (5, 14), (100, 400), (3, len(x))]:
        assert np.array_equal(metrics.outputs_of(model, x[lo:hi]), whole[lo:hi])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_rows_stand_by_themselves(name, dtype):
    assert_rows_stand_by_themselves(*network(name, dtype))


class Doubled(cl.nn.Dense):
    """A subclass of a plain layer, which is none."""

    def forward(self, x):
        return 2 * super().forward(x)


LINES = {
    **{name: ["dense", name] for name in cl.nn.ACTIVATIONS},
    "with parameters": ["dense", cl.nn.Activation("leaky_relu", slope=0.3), cl.nn.Activation("linear"), "dense"],
    "without bias": [cl.nn.Dense(5, 5, bias=False, dtype=np.float64), "relu"],
    "of other layers": ["dense", cl.nn.LayerNorm(5, dtype=np.float64), cl.nn.Dropout(0.5), cl.exp, "dense"],
    "of a layer of the user's": [Doubled(5, 5, rng=1, dtype=np.float64), "tanh"],
    "within each other": [cl.nn.Sequential("relu", cl.nn.Dense(5, 5, rng=2, dtype=np.float64)), "dense"],
    "of another dtype": [cl.nn.Dense(5, 5), "gelu"],
    "of nothing": [],
}


@pytest.mark.parametrize("rows", [(1, 5), (4, 5), (0, 5), (5,), (2, 3, 5)])
@pytest.mark.parametrize("name", LINES)
def test_an_array_on_its_way_through_a_line_of_layers_has_the_bits_of_a_tensor(name, rows):
    layers = [cl.nn.Dense(5, 5, rng=3, dtype=np.float64) if layer == "dense" else layer for layer in LINES[name]]
    model = cl.nn.Sequential(*layers)
    x = np.random.default_rng(0).normal(size=rows)
    for array in (x, x.astype(np.float32), np.where(x > 1, np.nan, x), (10 * x).astype(np.int64)):
        with row_products():
            wanted = np.asarray(model(cl.asarray(array)))
        found = metrics.outputs_of(model, array)
        assert type(found) is np.ndarray
        assert found.dtype == wanted.dtype
        assert found.shape == wanted.shape
        assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("x", [np.ones((2, 4)), np.ones((2, 6), np.float32), np.ones((2, 5), complex)])
def test_what_the_first_layer_refuses_is_refused_as_ever(x):
    model = cl.nn.mlp([5, 3, 2])
    with pytest.raises(ClearpropError) as wanted:
        model(x)
    with pytest.raises(ClearpropError) as found:
        metrics.outputs_of(model, x)
    told = [(type(e), e.headline, {**e.parts, "where": ""}) for e in (found.value, wanted.value)]
    assert told[0] == told[1]


def test_layers_that_look_at_whole_rows():
    x = network("narrow")[1]
    first, last = cl.nn.Dense(4, 24, rng=1), cl.nn.Dense(24, 3, rng=2)
    model = cl.nn.Sequential(first, cl.nn.LayerNorm(24), cl.nn.BatchNorm(24), last)
    assert_rows_stand_by_themselves(model, x)


def test_blocks_of_any_length_are_the_same(monkeypatch):
    model, x = network("wide")
    whole = metrics.outputs_of(model, x)
    for rows in (1, 7, 64, 1024):
        monkeypatch.setattr(sys.modules["clearprop.compiler.row_products"], "MOST", rows)
        assert np.array_equal(metrics.outputs_of(model, x[:200]), whole[:200])


DEEP = {
    "images": (lambda: cl.nn.Sequential(cl.nn.Conv2d(1, 16, 3), "relu", cl.nn.Flatten(), cl.nn.Dense(16 * 26 * 26, 3)),
               (28, 28, 1)),
    "sequences": (lambda: cl.nn.Sequential(cl.nn.LSTM(4, 8), cl.nn.Dense(8, 3)), (40, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", DEEP)
def test_rows_that_products_widen_are_fewer_at_a_time(name, monkeypatch):
    """As many as stay near, told by the first of them; with the bits of each row alone."""
    make, shape = DEEP[name]
    model, x = make(), np.random.default_rng(0).normal(size=(300, *shape)).astype(np.float32)
    seen, through = [], metrics.array_through
    monkeypatch.setattr(metrics, "array_through", lambda model, rows: seen.append(len(rows)) or through(model, rows))
    found = metrics.outputs_of(model, x)
    assert np.array_equal(
        found[[0, 31, 32, 299]], np.concatenate([metrics.outputs_of(model, x[[k]]) for k in (0, 31, 32, 299)])
    )
    tried, *others = seen[:-4]
    assert (tried, sum(seen[:-4])) == (32, 300)
    assert (max(others) < 128) == (name == "images"), others


def test_a_training_leaves_nothing_for_the_collector():
    """Else its arrays stay until that comes, and of trainings in a row there are many."""
    x, y = np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 3
    model, events = cl.nn.mlp([4, 8, 3]), []
    train = functools.partial(
        cl.fit, model, (x, y), epochs=2, batch_size=16, validation=0.2, callbacks=[lambda e, _: events.append(e)]
    )
    train()
    gc.collect()
    gc.disable()
    kinds = ("BoundLoop", "NativeLoop", "Loop", "Run")
    standing = lambda: [o for o in gc.get_objects() if type(o).__name__ in kinds]
    others = standing()  # what other tests have left
    try:
        run = train()
        held = [weakref.ref(o) for o in standing() if all(o is not other for other in others)]
        assert {type(ref()).__name__ for ref in held} >= {"BoundLoop", "NativeLoop", "Run"}
        del run
        assert [ref() for ref in held if ref() is not None] == []
    finally:
        gc.enable()
    assert events[-1]["event"] == "end"


EVERY = """
import json
from tests.train import test_rows
print(json.dumps(test_rows.unstable()))
"""


def unstable():
    """The networks that fail, here."""
    found = []
    for name in NETWORKS:
        try:
            assert_rows_stand_by_themselves(*network(name))
        except AssertionError:
            found.append(name)
    return found


@pytest.mark.verify
@pytest.mark.parametrize("kernel", ["", "Haswell", "Nehalem"])
def test_every_kernel_of_openblas(kernel):
    env = {**os.environ, "OPENBLAS_CORETYPE": kernel} if kernel else dict(os.environ)
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", EVERY], env=env, cwd=root, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_run_gives_a_row_one_value_at_every_door():
    """Predicted in a table and alone, evaluated, and opened by an explanation."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 30)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] ** 2).astype(np.float32)
    run = cl.fit(cl.nn.mlp([30, 50, 1], seed=0), (x, y), epochs=2, validation=None, loss="mse")
    whole = run.predict(x)
    for row in (0, 77, 149):
        alone = x[row : row + 1], y[row : row + 1]
        assert np.array_equal(run.predict(alone[0]), whole[row : row + 1])
        opened = open_run(run, None, row)
        assert float(raw(opened.function(opened.model, opened.x, opened.y))) == run.evaluate(*alone)["loss"]


def test_images_stand_by_themselves():
    """A convolution of images is a product of rows, too."""
    images = np.random.default_rng(6).normal(size=(40, 9, 9, 3)).astype(np.float32)
    w = np.random.default_rng(7).normal(size=(3, 3, 3, 20)).astype(np.float32)

    def outputs(x):
        return np.asarray(raw(metrics.outputs_as_predicted(lambda x: cl.conv(x, w, padding="same"), x)))

    whole = outputs(images)
    assert np.array_equal(outputs(images[7:8]), whole[7:8])
    assert np.array_equal(outputs(images[::-1]), whole[::-1])


def test_every_activation_predicts_first_of_all():
    """In a process in which nothing has asked for any of them before."""
    code = (
        "import numpy as np, clearprop as cl\n"
        "from clearprop.nn.layers import array_through\n"
        "x = np.linspace(-3, 3, 8, dtype=np.float32).reshape(2, 4)\n"
        "for name in cl.nn.ACTIVATIONS:\n"
        "    net = cl.nn.Sequential(cl.nn.Dense(4, 4, rng=0), name)\n"
        "    first = array_through(net, x)\n"
        "    assert first is None or np.array_equal(first, np.asarray(net(x))), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3, 8, 17])
def test_the_probabilities_of_a_row_are_those_it_has_alone(classes, dtype):
    outputs = np.random.default_rng(classes).normal(size=(150, classes)).astype(dtype) * 3
    whole = np.asarray(class_probabilities(outputs, "cross_entropy"))
    for size in (1, 2, 7, 64):
        parts = [class_probabilities(outputs[i : i + size], "cross_entropy") for i in range(0, len(outputs), size)]
        assert np.array_equal(np.concatenate(parts), whole)
    assert whole.dtype == dtype
    np.testing.assert_allclose(whole, cl.softmax(outputs), rtol=4 * np.finfo(dtype).eps)
    outputs[3, 0], outputs[4, 1], outputs[5, 0] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(np.isnan(class_probabilities(outputs, "")), np.isnan(np.asarray(cl.softmax(outputs))))
