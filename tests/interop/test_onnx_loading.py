"""`cl.onnx.load`: a module with the names of the file; what cannot be taken is said at once."""

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

import clearprop as cl
from clearprop.errors import ArgumentError
from tests.interop.models import B1, B2, W1, W2, model, node, perceptron, value

X = np.linspace(-1.0, 1.0, 12).reshape(4, 3).astype(np.float32)
EXPORTED = Path(__file__).parent / "exported"


def reference(x, w1=W1):
    return np.tanh(x @ w1 + B1) @ W2 + B2


@pytest.fixture(scope="module")
def net():
    return cl.onnx.load(perceptron())


def test_it_computes_what_the_file_says_under_the_names_of_the_file(net):
    np.testing.assert_allclose(np.asarray(net(X)), reference(X), rtol=1e-6)
    assert list(net.parameters()) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    assert net.inputs == ("x",) and net.outputs == ("y",)
    assert list(net.by_name(x=X)) == ["y"]
    np.testing.assert_array_equal(np.asarray(net.parameters()["fc1.weight"]), W1)


def test_its_gradients_have_its_names_and_agree_with_differences(net):
    loss = lambda m: cl.sum(m(cl.asarray(X)) ** 2)
    grad = np.asarray(cl.grad(loss)(net).parameters()["fc1.weight"])
    step = np.zeros_like(W1, dtype=np.float64)
    step[1, 2] = 1e-6
    up, down = (np.sum(reference(X.astype(np.float64), W1 + s * step) ** 2) for s in (1, -1))
    assert grad[1, 2] == pytest.approx((up - down) / 2e-6, rel=1e-4)


def test_it_is_replaced_compiled_and_explained_by_name(net):
    zero = net.replace({"fc2.weight": np.zeros((4, 2))})
    np.testing.assert_allclose(np.asarray(zero(X)), np.broadcast_to(B2, (4, 2)))
    np.testing.assert_allclose(np.asarray(cl.compile(lambda m, x: m(x))(net, X)), reference(X), rtol=1e-6)
    entry = cl.explain(lambda m: cl.sum(m(cl.asarray(X)) ** 2), wrt="fc1.weight", args=(net,))[1, 2]
    entry.check()
    assert entry.value == pytest.approx(
        float(cl.grad(lambda m: cl.sum(m(cl.asarray(X)) ** 2))(net).parameters()["fc1.weight"][1, 2]), rel=1e-6
    )


def test_it_is_trained(net):
    run = cl.fit(
        net, (X, reference(X) + 1), loss="mse", epochs=3, optimizer=cl.optim.sgd(0.05), batch_size=2, validation=None
    )
    losses = [line["train"]["loss"] for line in run.history]
    assert losses[-1] < losses[0]
    assert list(run.model.parameters()) == list(net.parameters())


def test_what_cannot_be_taken_is_said_all_at_once():
    nodes = [
        node("StringNormalizer", "x", "a"),
        node("Gemm", "a w", "b", wings=2),
        node("Cast", "b", "c", to=TensorProto.FLOAT16),
        helper.make_node("Beam", ["c"], ["y"], domain="com.others"),
    ]
    inputs = [value("x", [1]), value("w", [1], TensorProto.BFLOAT16)]
    with pytest.raises(cl.ClearpropError) as caught:
        cl.onnx.load(model(nodes, inputs, [value("y")], domains=["com.others"]))
    assert str(caught.value.headline) == "the model holds what cannot be taken"
    for part in [
        "operator StringNormalizer of version 17",
        "operator Gemm with the attribute 'wings'",
        "operator Cast with to=FLOAT16",
        "operator com.others.Beam of version 1",
        "BFLOAT16 of the input 'w'",
    ]:
        assert part in caught.value.got


def test_names_that_nothing_gives_are_said_when_the_model_is_loaded():
    body = helper.make_graph([node("Add", "later ghost", "out")], "body", [], [value("out")])
    nodes = [
        helper.make_node("If", ["c"], ["a"], then_branch=body, else_branch=body),
        node("Relu", "a", "later"),
    ]
    with pytest.raises(cl.ClearpropError) as caught:
        cl.onnx.load(model(nodes, [value("c", [], TensorProto.BOOL)], [value("y")]))
    assert caught.value.got.split("\n") == [
        f"the name {name!r}, which nothing gives before it is read" for name in ("ghost", "later", "y")
    ]


@pytest.mark.parametrize(
    ("source", "headline"),
    [
        (3, "cl.onnx.load takes a model"),
        ("nowhere.onnx", "the model's file is not there"),
        (b"\xff\xff\xff", "the file holds no ONNX model"),
        (b"", "the file holds no ONNX model"),
    ],
)
def test_what_is_no_model_is_said(source, headline):
    with pytest.raises(cl.ClearpropError) as caught:
        cl.onnx.load(source)
    assert caught.value.headline == headline


def test_a_missing_package_is_said_with_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(cl.ClearpropError) as caught:
        cl.onnx.load("model.onnx")
    assert caught.value.try_ == 'pip install "clearprop[onnx]"'


def test_wrong_inputs_are_said(net):
    for call, headline in [
        (lambda: net(X, X), "the model has fewer inputs"),
        (lambda: net(), "an input of the model is missing"),
        (lambda: net(z=X), "no input of the model named 'z'"),
        (lambda: net(np.ones((2, 3), np.int64)), "the input 'x' has another dtype"),
    ]:
        with pytest.raises(cl.ClearpropError) as caught:
            call()
        assert caught.value.headline == headline


def _ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


CONTRADICTIONS = {
    "Conv": ({"kernel_shape": [5, 5]}, _ones(1, 1, 6, 6), [_ones(1, 1, 3, 3)], "kernel_shape"),
    "ConvTranspose": ({"kernel_shape": [2, 3]}, _ones(1, 1, 6, 6), [_ones(1, 1, 3, 3)], "kernel_shape"),
    "ConvInteger": (
        {"kernel_shape": [1, 1]}, _ones(1, 1, 6, 6, dtype=np.uint8), [_ones(1, 1, 3, 3, dtype=np.uint8)], "kernel_shape"
    ),
    "RNN": ({"hidden_size": 7}, _ones(3, 1, 2), [_ones(1, 4, 2), _ones(1, 4, 4)], "hidden_size"),
    "GRU": ({"direction": "bidirectional"}, _ones(3, 1, 2), [_ones(1, 12, 2), _ones(1, 12, 4)], "directions"),
    "LSTM": ({"activations": ["Tanh"]}, _ones(3, 1, 2), [_ones(1, 16, 2), _ones(1, 16, 4)], "activations"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_attributes_that_contradict_the_weights_are_refused(kind):
    attributes, x, weights, told = CONTRADICTIONS[kind]
    dtype = helper.np_dtype_to_tensor_dtype(x.dtype)
    arrays = {f"w{i}": w for i, w in enumerate(weights)}
    nodes = [node(kind, " ".join(["x", *arrays]), "y", **attributes)]
    net = cl.onnx.load(model(nodes, [value("x", None, dtype)], [value("y")], arrays))
    with pytest.raises(ArgumentError, match=rf"{told} contradicts the weights"):
        net(x)


def test_statistics_of_every_place_are_refused():
    arrays = {name: _ones(2) for name in ("scale", "bias", "mean", "var")}
    nodes = [node("BatchNormalization", " ".join(["x", *arrays]), "y", spatial=0)]
    net = cl.onnx.load(model(nodes, [value("x")], [value("y")], arrays, version=8))
    assert net(_ones(3, 2)).shape == (3, 2)
    with pytest.raises(ArgumentError, match="statistics of every place"):
        net(_ones(3, 2, 1, 1))


def test_numbers_without_axes_and_settings_are_not_trained():
    arrays = {"scale": np.float32(2.0), "low": np.float32(-1.0), "w": np.ones(3, np.float32)}
    nodes = [node("Mul", "x scale", "a"), node("Mul", "a w", "b"), node("Clip", "b low", "y")]
    proto = model(nodes, [value("x", [3])], [value("y")], arrays)
    net = cl.onnx.load(proto)
    assert list(net.parameters()) == ["w"]
    assert list(net.state()) == ["scale"]
    assert list(cl.onnx.load(proto, trained=["scale"]).parameters()) == ["scale"]
    with pytest.raises(cl.ClearpropError, match="no floating initialiser named 'skale'"):
        cl.onnx.load(proto, trained=["skale"])


def test_functions_of_the_model_are_written_out():
    body = [node("Mul", "a b", "m"), helper.make_node("Elu", ["m"], ["c"], domain="")]
    body[1].attribute.append(AttributeProto(name="alpha", ref_attr_name="slope", type=AttributeProto.FLOAT))
    function = helper.make_function(
        "own", "ScaledElu", ["a", "b"], ["c"], body, [helper.make_opsetid("", 17)], ["slope"]
    )
    call = helper.make_node("ScaledElu", ["x", "w"], ["y"], domain="own", slope=0.5)
    net = cl.onnx.load(
        model([call], [value("x", [2])], [value("y")], {"w": np.float32([2, 2])}, functions=[function], domains=["own"])
    )
    np.testing.assert_allclose(np.asarray(net(np.float32([1, -1]))), [2, 0.5 * np.expm1(-2)], rtol=1e-6)


def with_tensor(change):
    """A model whose array `w` was changed."""
    proto = model([node("Mul", "x w", "y")], [value("x", [3])], [value("y")], {"w": np.ones(3, np.float32)})
    change(proto.graph.initializer[0])
    return proto


def external(location, **entries):
    def change(tensor):
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, text in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=str(text))

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.dims.append(2**40), "at most"),
        (lambda t: t.dims.append(-1), "sizes from 0"),
        (lambda t: t.dims.append(2), "24 bytes for shape (3, 2)"),
        (external("../secret"), "a file below the folder of the model"),
        (external("/etc/hostname"), "a file below the folder of the model"),
        (external("link.bin"), "a file below the folder of the model"),
        (external("small.bin"), "12 bytes within the 4 of small.bin"),
        (external("large.bin", offset="-4"), "a number of bytes as offset"),
        (external("large.bin", offset=8), "12 bytes within the 16 of large.bin"),
    ],
)
def test_arrays_that_do_not_fit_or_lie_outside_are_refused(tmp_path, change, expected):
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(12))
    (folder / "link.bin").symlink_to(tmp_path / "secret")
    (folder / "small.bin").write_bytes(bytes(4))
    (folder / "large.bin").write_bytes(bytes(16))
    path = folder / "m.onnx"
    path.write_bytes(with_tensor(change).SerializeToString())
    with pytest.raises(cl.ClearpropError) as caught:
        cl.onnx.load(path)
    assert expected in caught.value.expected


def test_numbers_in_a_file_beside_the_model_are_read(tmp_path):
    (tmp_path / "w.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (tmp_path / "m.onnx").write_bytes(with_tensor(external("w.bin", offset=4, length=12)).SerializeToString())
    net = cl.onnx.load(tmp_path / "m.onnx")
    np.testing.assert_array_equal(np.asarray(net(np.ones(3, np.float32))), [1, 2, 3])


def test_a_small_file_is_no_endless_network():
    functions = []
    for i in range(12):
        calls = [helper.make_node(f"f{i + 1}", ["a"], ["b" if j == 9 else f"t{j}"], domain="own") for j in range(10)]
        functions.append(helper.make_function("own", f"f{i}", ["a"], ["b"], calls, [helper.make_opsetid("own", 1)]))
    functions.append(
        helper.make_function("own", "f12", ["a"], ["b"], [node("Relu", "a", "b")], [helper.make_opsetid("", 17)])
    )
    call = helper.make_node("f0", ["x"], ["y"], domain="own")
    with pytest.raises(cl.ClearpropError, match="the model is too large"):
        cl.onnx.load(model([call], [value("x", [2])], [value("y")], functions=functions, domains=["own"]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint64", "bool", "complex64"])
@pytest.mark.parametrize("typed", [False, True])
def test_arrays_are_read_as_they_were_written(dtype, typed):
    array = np.array([[0, 1], [1, 3]]).astype(dtype)
    number = helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = (
        helper.make_tensor("w", number, array.shape, array.reshape(-1)) if typed else numpy_helper.from_array(array)
    )
    tensor.name = "w"
    proto = model([node("Identity", "w", "y")], [], [value("y", None, number)])
    proto.graph.initializer.append(tensor)
    found = np.asarray(cl.onnx.load(proto)())
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("name", ["jax", "keras_dense", "keras_images"])
def test_networks_of_others_are_opened(name):
    """What jax2onnx and Keras wrote gives what it gave there, and an entry of its gradient is opened."""
    with np.load(EXPORTED / "outputs.npz") as outputs:
        x, right = outputs[f"{name}_in"], outputs[name]
    net = cl.onnx.load(EXPORTED / f"{name}.onnx")
    np.testing.assert_allclose(np.asarray(net(x)), right, rtol=1e-5, atol=1e-6)
    assert np.asarray(net(x[:3])).shape == (3, 3)  # rows are open
    weight = next(path for path, array in net.parameters().items() if array.ndim > 1)
    loss = lambda m: cl.mean(m(x) ** 2)
    slopes = np.asarray(cl.grad(loss)(net).parameters()[weight])
    largest = np.unravel_index(np.argmax(np.abs(slopes)), slopes.shape)
    entry = cl.explain(loss, wrt=weight, args=(net,))[tuple(map(int, largest))]
    assert entry.status == "value" and entry.value == pytest.approx(float(slopes[largest]), rel=1e-5)
