"""`clearprop explain` and `clearprop check` of an ONNX model, and the inputs they read or draw."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, save

import clearprop as cl
from clearprop.cli import onnx_model
from clearprop.errors import ArgumentError, DataError
from tests.interop.models import model, node, perceptron, value

ROWS = np.random.default_rng(0).normal(size=(5, 3))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model, its inputs in every form, and a model of two columns with names."""
    monkeypatch.chdir(tmp_path)
    save(perceptron(), "two.onnx")
    np.savez("x.npz", x=ROWS.astype(np.float32), more=np.zeros((2, 2, 2)))
    np.save("x.npy", ROWS)
    text = "a,b,c\n" + "".join(",".join(map(repr, row)) + "\n" for row in ROWS.tolist())
    (tmp_path / "x.csv").write_text(text)
    parts = [node("Concat", "size input.1", "both", axis=1), node("MatMul", "both w", "price")]
    columns = [value("size", ["N", 1]), value("input.1", ["N", 1])]
    save(model(parts, columns, [value("price")], {"w": np.ones((2, 1), np.float32)}), "columns.onnx")
    (tmp_path / "columns.csv").write_text("more,input.1,size\nred,2,5\nblue,4,7\n")
    return tmp_path


# ------------------------------------------------------------------------------------------------------- explain
@pytest.mark.parametrize("file", ["x.npz", "x.npy", "x.csv"])
def test_an_entry_is_the_gradient_of_the_largest_output(folder, command, file):
    net, x = cl.onnx.load("two.onnx"), ROWS[1:2].astype(np.float32)
    told = command("explain", "two.onnx", "--data", file, "--row", 1, "--param", "fc1.weight[2,3]")
    outputs = np.asarray(net(x))[0]
    chosen = int(np.argmax(outputs))
    assert told.code == 0
    assert told.out.startswith(f"y[0,{chosen}] = {outputs[chosen]:.6g}".replace("-", "−"))
    gradient = cl.grad(lambda m: m(x)[0, chosen])(net).parameters()["fc1.weight"]
    assert f"∂y[0,{chosen}]/∂fc1.weight[2,3] = {float(gradient[2, 3]):.6g}".replace("-", "−") in told.out
    assert "agrees" in told.out


def test_outputs_inputs_and_forms(folder, command):
    listed = command("explain", "two.onnx", "--example")
    assert all(name in listed.out for name in cl.onnx.load("two.onnx").parameters())
    found = command(
        "explain", "two.onnx", "--data", "x.npz", "--output", "y[3,1]", "--input", "x[3,0]", "--format", "json"
    )
    entry = json.loads(found.out)["entry"]
    slope = cl.jacobian(cl.onnx.load("two.onnx"))(ROWS.astype(np.float32))[3, 1, 3, 0]
    assert entry["value"] == pytest.approx(float(slope), rel=1e-5)
    other = command("explain", "two.onnx", "--data", "x.npz", "--output", "y[3,1]", "--input", "x[2,0]")
    assert "zero" in other.out or "= 0" in other.out  # another row


def test_columns_become_the_inputs_of_their_names(folder, command):
    told = command("explain", "columns.onnx", "--data", "columns.csv", "--output", "price[1,0]", "--param", "w[0,0]")
    assert told.out.startswith("price[1,0] = 11 of columns.onnx, for columns.csv\n")
    assert "∂price[1,0]/∂w[0,0] = " in told.out and "7" in told.out
    named = command(
        "explain", "columns.onnx", "--data", "columns.csv", "--output", "price[1,0]", "--input", "input.1[1,0]"
    )
    assert "/∂input_1[1,0]" in named.out and named.code == 0


@pytest.mark.parametrize("file", ["labelled.npz", "labelled.csv"])
@pytest.mark.parametrize("row", [None, 3])
def test_a_loss_is_opened(folder, command, file, row):
    """Of the file's labels, all or one, whatever the file: the gradient that `cl.grad` gives of the same loss."""
    net, labels = cl.onnx.load("two.onnx"), np.array([1, 0, 0, 1, 1])
    rows = slice(None) if row is None else slice(row, row + 1)
    x = ROWS.astype(np.float32)
    np.savez("labelled.npz", x=x, label=labels)
    np.savetxt("labelled.csv", np.c_[ROWS, labels], "%.17g", ",", header="a,b,c,label", comments="")
    words = () if row is None else ("--row", row)
    loss = ("--data", file, "--loss", "cross_entropy", "--target", "label")
    told = command("explain", "two.onnx", *loss, *words, "--param", "fc1.weight[2,3]")
    value, gradient = cl.value_and_grad(lambda m: cl.nn.cross_entropy(m(x[rows]), labels[rows]))(net)
    assert told.code == 0 and told.out.startswith(
        f"cross_entropy = {float(value):.6g} of two.onnx, for y against label"
    )
    slope = float(gradient.parameters()["fc1.weight"][2, 3])
    assert f"∂loss/∂fc1.weight[2,3] = {slope:.6g}".replace("-", "−") in told.out and "agrees" in told.out


LAST = {
    "cross_entropy": ("Softmax", lambda z, y: cl.nn.cross_entropy(z, y), [1, 0, 0, 1, 1]),
    "binary_cross_entropy": ("Sigmoid", lambda z, y: cl.nn.binary_cross_entropy(z, y), np.eye(2)[[1, 0, 0, 1, 1]]),
    "mse": ("Identity", lambda z, y: cl.nn.mse(z, y), ROWS[:, :2]),
}


@pytest.mark.parametrize("loss", LAST)
def test_probabilities_are_compared_as_such(folder, command, loss):
    """A model that ends in a softmax gives no logits: the loss is that of the logarithms, not of a second softmax."""
    operator, compare, target = LAST[loss]
    parts = [node("MatMul", "x w", "z"), node(operator, "z", "p")]
    save(model(parts, [value("x", ["N", 3])], [value("p")], {"w": ROWS[:3, :2].astype(np.float32)}), "p.onnx")
    np.savez("p.npz", x=ROWS.astype(np.float32), y=np.asarray(target))
    told = command("explain", "p.onnx", "--data", "p.npz", "--loss", loss, "--target", "y")
    right = float(compare(cl.asarray(ROWS @ ROWS[:3, :2]), np.asarray(target)))
    assert told.code == 0 and told.out.startswith(f"{loss} = {right:.5g}"), told.err


MISTAKES = {
    "no inputs": (("two.onnx",), "--example draws numbers"),
    "both": (("two.onnx", "--example", "--data", "x.npz"), "--example beside --data"),
    "a row of what is drawn": (("two.onnx", "--example", "--row", "1"), "--example beside --data or --row"),
    "no model": (("three.onnx", "--example"), "the model's file is not there"),
    "no such file": (("two.onnx", "--data", "y.npz"), "the file with the inputs is not there"),
    "no such row": (("two.onnx", "--data", "x.npz", "--row", "5"), "a row from 0 to 4"),
    "no such input": (("two.onnx", "--example", "--input", "xx"), "'x', the nearest name"),
    "no such output": (("two.onnx", "--example", "--output", "z"), "no floating output of the model named 'z'"),
    "no such entry": (("two.onnx", "--example", "--output", "y[0,2]"), "no such entry"),
    "no such parameter": (("two.onnx", "--example", "--param", "fc1.wight"), "'fc1.weight', the nearest name"),
    "no such weight": (("two.onnx", "--example", "--param", "fc1.weight[3,0]"), "--param fc1.weight[3,0]"),
    "a step": (("two.onnx", "--example", "--step", "1"), "leave --step out"),
    "an update": (("two.onnx", "--example", "--update"), "leave --update out"),
    "a loss alone": (("two.onnx", "--data", "x.npz", "--loss", "mse"), "--loss NAME --target NAME"),
    "a loss of what is drawn": (("two.onnx", "--example", "--loss", "mse", "--target", "x"), "--data FILE"),
    "no such loss": (("two.onnx", "--data", "x.csv", "--loss", "mes", "--target", "a"), "'mse', the nearest name"),
    "no such target": (("two.onnx", "--data", "columns.csv", "--loss", "mse", "--target", "siz"), "'size'"),
    "a target of words": (("two.onnx", "--data", "columns.csv", "--loss", "mse", "--target", "more"), "no numbers"),
    "another shape": (("two.onnx", "--data", "x.npz", "--loss", "mse", "--target", "more"), "cannot compare"),
    "other columns": (("two.onnx", "--data", "columns.csv"), "no numbers"),
    "another width": (("columns.onnx", "--data", "x.csv"), "does not hold the inputs"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_said(folder, command, case):
    words, said = MISTAKES[case]
    told = command("explain", *words)
    assert (told.code, told.out) == (2, "")
    assert said in told.err and "Traceback" not in told.err


def test_options_of_models_are_none_of_runs(command, folder):
    (folder / "run").mkdir()
    for command_words in (("explain", "run", "--output", "y"), ("check", "run", "--example")):
        told = command(*command_words)
        assert told.code == 2 and f"leave {command_words[2]} out" in told.err


# --------------------------------------------------------------------------------------------------------- check
def test_gradients_are_checked_in_float64(folder, command):
    told = command("check", "two.onnx", "--data", "x.csv", "--rows", 4)
    assert told.code == 0
    assert [line.split()[0] for line in told.out.splitlines()[1:5]] == list(cl.onnx.load("two.onnx").parameters())
    assert told.out.endswith(
        "all gradients agree with central differences (float64, x (4, 3), error relative to the largest)\n"
    )
    assert command("check", "two.onnx", "--example").code == 0


def test_a_wrong_gradient_is_found(folder, command, monkeypatch):
    right = onnx_model._weighted_sum
    monkeypatch.setattr(
        onnx_model, "_weighted_sum", lambda net, x: right(net, x) + 0.01 * cl.stop_gradient(right(net, x))
    )
    told = command("check", "two.onnx", "--example")
    assert told.code == 1 and "DIFFERS" in told.out


# ------------------------------------------------------------------------------------------------- the whole in float64
def _conversions():
    body = helper.make_graph([node("Mul", "h half", "out")], "then", [], [value("out")])
    other = helper.make_graph([node("Identity", "h", "out2")], "else", [], [value("out2")])
    nodes = [
        node("Cast", "x", "c", to=TensorProto.FLOAT),
        node("MatMul", "c w", "h"),
        node("ConstantOfShape", "two", "ones", value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])),
        helper.make_node("If", ["yes"], ["i"], then_branch=body, else_branch=other),
        node("Add", "i ones", "y"),
    ]
    arrays = {
        "w": ROWS[:3, :2].astype(np.float32),
        "two": np.int64([2]),
        "half": np.float32(0.1),
        "yes": np.bool_(True),
    }
    return model(nodes, [value("x", ["N", 3])], [value("y")], arrays)


@pytest.mark.parametrize("proto", [perceptron(), _conversions()], ids=["layers", "conversions, branches, arrays"])
def test_what_is_float32_becomes_float64(proto):
    narrow = cl.onnx.load(proto)
    wide = narrow.in_float64()
    x = ROWS.astype(np.float32)
    assert np.asarray(wide(x)).dtype == np.float64
    assert np.asarray(narrow(x)).dtype == np.float32
    np.testing.assert_allclose(np.asarray(wide(x)), np.asarray(narrow(x)), rtol=1e-5, atol=1e-6)
    assert {np.asarray(a).dtype.name for a in wide.parameters().values()} == {"float64"}


# ------------------------------------------------------------------------------------------------------- inputs
def test_inputs_are_drawn_by_their_shapes():
    parts = [node("Gather", "table ids", "rows"), node("Mul", "rows scale", "y")]
    given = [value("ids", ["N", "T"], TensorProto.INT64), value("scale", ["N", "T", 4]), value("table", [7, 4])]
    net = cl.onnx.load(model(parts, given, [value("y")], {"table": np.ones((7, 4), np.float32)}))
    drawn = net.example(rows=3)
    assert {name: a.shape for name, a in drawn.items()} == {"ids": (3, 2), "scale": (3, 2, 4)}
    assert drawn["ids"].dtype == np.int64 and set(drawn["ids"].ravel()) <= {0, 1}
    assert net.required_inputs == ("ids", "scale")
    assert np.array_equal(net.example(seed=1)["scale"], net.example(seed=1)["scale"])
    shapeless = cl.onnx.load(model([node("Relu", "x", "y")], [value("x")], [value("y")]))
    with pytest.raises(ArgumentError, match="no numbers can be drawn for the input 'x'"):
        shapeless.example()


def test_a_model_made_for_one_row_takes_one(tmp_path):
    net = cl.onnx.load(model([node("Tanh", "x", "y")], [value("x", [1, 3])], [value("y")]))
    path = tmp_path / "x.npy"
    np.save(path, ROWS.astype(np.float32))
    assert net.read_inputs(path, 4)["x"].tolist() == ROWS[4:].astype(np.float32).tolist()
    assert net.read_inputs(path, slice(0, 32))["x"].shape == (1, 3)
    with pytest.raises(DataError, match="--row 0"):
        net.read_inputs(path)
    np.save(path, ROWS.astype(int))
    with pytest.raises(DataError, match="another dtype"):
        net.read_inputs(path, 0)
