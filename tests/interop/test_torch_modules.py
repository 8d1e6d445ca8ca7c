"""Modules of PyTorch give here what they give there: by records everywhere, live where PyTorch is installed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import sysconfig
import types

import numpy as np
import pytest

import clearprop as cl
from benchmarks.peers import ROOT, provide
from clearprop.errors import ArgumentError, ShapeError
from clearprop.interop.torch.graph import GIVEN, Input, Reference, TorchGraph, TorchNode, from_json, to_json
from clearprop.interop.torch.model import model_of
from clearprop.interop.torch.operators import OPERATORS, operator_named, refusals
from tests.interop.torch_modules import (
    compute,
    draw,
    expressions,
    free_names,
    in_short,
    read_records,
    table_rows,
    values,
    weights,
    worst,
)
from tests.interop.torch_zoo import INPUTS, inputs_of

MODULES, OF_EXPRESSIONS = read_records("modules"), read_records("expressions")
GRAPHS = [known["graph"] for known in [*MODULES.values(), *OF_EXPRESSIONS.values()]]

LESS_EXACT = {
    "hardsigmoid": 1e-8,  # PyTorch's slope is 1/6 in float32, also in float64
    "digamma": 1e-8,  # PyTorch's derivative of digamma is off by 1.5e-9; SciPy's and ours agree
}


def model(name):
    known = MODULES[name]
    return model_of(known["graph"], weights(known["shapes"]))


@pytest.mark.parametrize("name", MODULES)
def test_outputs_and_gradients_of_modules_are_pytorchs(name):
    assert worst(MODULES[name], in_short(compute(MODULES[name], inputs_of(name), "float64"))) < 1e-10


@pytest.mark.parametrize("expression", OF_EXPRESSIONS)
def test_outputs_and_gradients_of_expressions_are_pytorchs(expression):
    bound = max([1e-12, *(bound for word, bound in LESS_EXACT.items() if word in expression)])
    inputs = [values()[name] for name in free_names(expression)]
    known = OF_EXPRESSIONS[expression]
    assert worst(known, in_short(compute(known, inputs, "float64"))) < bound


def test_the_records_are_of_what_the_files_say():
    assert [*OF_EXPRESSIONS] == expressions()
    assert {name.removesuffix(", training") for name in MODULES} == set(INPUTS)
    assert len(INPUTS) == 12


def test_every_operator_of_the_table_is_in_a_record():
    met = {id(operator_named(node.operator)) for graph in GRAPHS for node in graph.nodes}
    drawn = {"native_dropout", "bernoulli.p"}  # in a test of their own: generators of random numbers do not agree
    assert {name for name, entry in OPERATORS.items() if id(entry) not in met} == drawn


@pytest.mark.parametrize("graph", GRAPHS[:3], ids=repr)
def test_graphs_are_written_and_read(graph):
    again = from_json(to_json(graph))
    assert again == graph
    assert hash(again) == hash(graph)


# --------------------------------------------------------------------------------------------------- what users see
def test_arrays_have_the_names_of_the_state_dict():
    found = model("cnn, training")
    assert list(found.parameters()) == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "4.weight",
        "4.bias",
        "8.weight",
        "8.bias",
    ]
    assert list(found.state()) == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert found.replace({"0.bias": np.ones(4)}).parameters()["0.bias"].tolist() == [1, 1, 1, 1]


def test_the_size_of_the_batch_is_open():
    found, (x,) = model("cnn"), inputs_of("cnn")
    step = cl.compile(found, executor="numpy")
    alone = [step(row[None])[0] for row in x]
    assert np.allclose(np.asarray(step(x)), np.asarray(cl.stack(alone)), rtol=1e-6)
    assert len(step.cache_info().programs) == 2


def test_bags_are_compiled_whole():
    found, (x,) = model("embedding bag"), inputs_of("embedding bag")
    assert np.allclose(np.asarray(cl.compile(found)(x)), np.asarray(found(x)), rtol=1e-12)  # it would warn of NumPy


@pytest.mark.parametrize("name", MODULES)
def test_an_entry_of_each_is_opened_and_its_sum_closes(name):
    found, inputs = model(name), inputs_of(name)

    def loss(model, *inputs):
        out = model(*inputs)
        return cl.mean(cl.square(out[0] if isinstance(out, tuple) else out))

    slopes = {path: np.abs(np.asarray(g)) for path, g in cl.grad(loss)(found, *inputs).parameters().items()}
    path = max(slopes, key=lambda path: slopes[path].max())
    index = tuple(map(int, np.unravel_index(np.argmax(slopes[path]), slopes[path].shape)))
    entry = cl.explain(loss, wrt=path, args=(found, *inputs), index=index)
    assert entry.status == "value"
    assert entry.check().agrees


def test_training_goes_on_here():
    found = model("mlp")
    x = draw("x of a training", (64, 4))
    y = np.argmax(x @ draw("w of a training", (4, 3)), axis=1)
    run = cl.fit(found, (x.astype(np.float32), y), loss="cross_entropy", epochs=5, optimizer=cl.optim.adam(0.05))
    assert run.history[-1]["train"]["loss"] < run.history[0]["train"]["loss"]
    assert list(run.model.parameters()) == list(found.parameters())


def test_dropout_and_statistics_follow_the_pass():
    found, (x,) = model("cnn, training"), inputs_of("cnn")
    _, after = cl.nn.apply(found, x, train=True, rng=0)
    assert after.state()["1.num_batches_tracked"] == 1
    assert not np.array_equal(after.state()["1.running_mean"], found.state()["1.running_mean"])
    _, same = cl.nn.apply(found, x, train=False)
    assert np.array_equal(same.state()["1.running_mean"], found.state()["1.running_mean"])


def test_models_are_pickled():
    found = model("cnn, training")
    again = pickle.loads(pickle.dumps(found))
    assert again.graph == found.graph
    (x,) = inputs_of("cnn")
    assert np.array_equal(np.asarray(again(x)), np.asarray(found(x)))
    assert cl.tree_map(lambda a, b: bool(cl.all(a == b)), again, found).parameters()["0.weight"]


def test_dropout_draws_in_training_passes_alone():
    x = Reference("x")
    nodes = (
        TorchNode("pair", "native_dropout.default", (x, 0.25, True)),
        TorchNode("dropped", "python.getitem", (Reference("pair"), 0)),
        TorchNode("empty", "new_empty.default", (x, (200, 50, 1))),
        TorchNode("kept", "bernoulli.p", (Reference("empty"), 0.5)),
        TorchNode("factors", "div.Scalar", (Reference("kept"), 0.5)),
        TorchNode("channels", "mul.Tensor", (x, Reference("factors"))),
    )
    given = Input("x", GIVEN, "x", shape=(200, 50, 3), dtype="float64")
    found = model_of(TorchGraph("Dropping", (given,), nodes, (Reference("dropped"), Reference("channels"))), {})
    ones = np.ones((200, 50, 3))
    assert all(np.array_equal(np.asarray(y), ones) for y in found(ones))
    (single, channels), _ = cl.nn.apply(found, ones, train=True, rng=0)
    assert abs(np.mean(np.asarray(single) == 0) - 0.25) < 0.01
    assert set(np.unique(np.asarray(channels))) == {0.0, 2.0}
    assert np.array_equal(np.asarray(channels)[:, :, 0], np.asarray(channels)[:, :, 2])


def test_slopes_are_drawn_in_training_passes_alone():
    x = Reference("x")
    nodes = (
        TorchNode("pair", "rrelu_with_noise_functional.default", (x, x, 0.25, 0.5, True)),
        TorchNode("y", "python.getitem", (Reference("pair"), 0)),
    )
    given = Input("x", GIVEN, "x", shape=(2000,), dtype="float64")
    found = model_of(TorchGraph("Leaking", (given,), nodes, Reference("y")), {})
    down = -np.ones(2000)
    assert np.array_equal(np.asarray(found(down)), np.full(2000, -0.375))
    drawn = -np.asarray(cl.nn.apply(found, down, train=True, rng=0)[0])
    assert drawn.min() >= 0.25 and drawn.max() < 0.5 and abs(drawn.mean() - 0.375) < 0.01
    assert np.array_equal(np.asarray(cl.nn.apply(found, -down, train=True, rng=0)[0]), -down)


def test_all_that_cannot_be_taken_is_said_at_once():
    x = Reference("x")
    graph = TorchGraph(
        "Odd",
        (Input("x", GIVEN, "x", shape=(2, 3), dtype="float32"),),
        (
            TorchNode("a", "fft_rfft.default", (x,), line="odd.py:3  torch.fft.rfft(x)"),
            TorchNode("b", "embedding.default", (x, x), (("sparse", True),)),
            TorchNode("c", "embedding.default", (x, x, -1, False, True)),
            TorchNode("d", "relu.default", (x,), (("strange", 1),)),
        ),
        Reference("b"),
    )
    assert refusals(graph) == [
        "fft_rfft.default: no such operator here  (odd.py:3  torch.fft.rfft(x))",
        "embedding.default: sparse=True",
        "relu.default: got an unexpected keyword argument 'strange'",
    ]


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        ((), ArgumentError, "the model takes other inputs\n  expected  1: input\n  got       0"),
        ((np.ones((2, 5)),), ShapeError, "for inputs input of shape (n, 4)\n  expected  shape (n, 4), n any size"),
        ((np.ones((2, 4), int),), ArgumentError, "the model takes float64 as input"),
    ],
)
def test_wrong_inputs(inputs, error, words):
    with pytest.raises(error) as caught:
        model("mlp")(*inputs)
    assert words in str(caught.value)


def test_without_pytorch_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ArgumentError) as caught:
        cl.torch.from_module(object(), np.ones((2, 3)))
    assert "pip install torch" in caught.value.message


def test_the_page_shows_the_table():
    page = (ROOT / "docs" / "pytorch-models.md").read_text(encoding="utf-8")
    assert [row for row in table_rows() if row not in page.splitlines()] == []


def run_with_pytorch(*words):
    """What `tests.interop.torch_modules` prints in a process that finds PyTorch behind everything of ours."""
    installed = provide(["torch"])["torch"]
    assert not installed.absent, installed.absent
    packages = sysconfig.get_path("purelib", vars={"base": str(ROOT / ".bench")})
    command = [sys.executable, "-W", "ignore", "-m", "tests.interop.torch_modules", packages, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_an_old_pytorch_is_told(monkeypatch):
    old = types.SimpleNamespace(export=types.SimpleNamespace(), __version__="2.1.0")
    monkeypatch.setitem(sys.modules, "torch", old)
    with pytest.raises(ArgumentError, match="too old to be read"):
        cl.torch.from_module(object(), np.ones((2, 3)))


@pytest.mark.verify
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("float64", 1e-10)])
def test_live_modules_agree(dtype, bound):
    found = [json.loads(line) for line in run_with_pytorch(dtype).splitlines()]
    assert {name.removesuffix(", training") for _, name, _ in found} == set(INPUTS)
    assert [row for row in found if row[2] > bound] == []


@pytest.mark.verify
def test_the_page_is_true():
    run_with_pytorch("page")
