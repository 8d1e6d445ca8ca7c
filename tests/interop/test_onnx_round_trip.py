"""Networks of ours that were exported to ONNX come back: the same answers, and gradients under the same names."""

import numpy as np
import pytest

import clearprop as cl
from tests.interop.models import model, node, value

RNG = np.random.default_rng(3)
NETWORKS = {
    "perceptron": (lambda: cl.nn.mlp([3, 8, 2], activation="gelu", norm="layer", seed=0), (5, 3)),
    "images": (lambda: cl.nn.Sequential(cl.nn.Conv2d(1, 3, 3), cl.nn.MaxPool(2), cl.nn.Flatten()), (2, 8, 8, 1)),
    "recurrent": (lambda: cl.nn.Sequential(cl.nn.LSTM(3, 4), cl.nn.Flatten(), cl.nn.Dense(20, 2)), (2, 5, 3)),
    "attention": (lambda: cl.nn.MultiHeadAttention(4, 2), (2, 5, 4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back_from_its_file(name, tmp_path):
    make, shape = NETWORKS[name]
    ours, x = make(), cl.tensor(RNG.normal(size=shape), dtype=cl.float32)
    cl.export(ours, "onnx", tmp_path / "network.onnx", example=x)
    back = cl.onnx.load(tmp_path / "network.onnx")
    np.testing.assert_allclose(np.asarray(back(x)), np.asarray(ours(x)), rtol=1e-6, atol=1e-6)
    loss = lambda m: cl.sum(m(x) ** 2)
    found, wanted = (cl.grad(loss)(m).parameters() for m in (back, ours))
    assert found.keys() == wanted.keys()
    for path in wanted:
        np.testing.assert_allclose(np.asarray(found[path]), np.asarray(wanted[path]), rtol=1e-4, atol=1e-5)


def test_a_trained_run_is_loaded_with_the_model_as_its_template(tmp_path):
    """With dropout, whose numbers come from the run's seed."""
    nodes = [node("MatMul", "x weight", "h"), node("Dropout", "h", "d"), node("Add", "d bias", "y")]
    arrays = {"weight": np.ones((3, 1), np.float32), "bias": np.zeros(1, np.float32)}
    net = cl.onnx.load(model(nodes, [value("x", ["n", 3])], [value("y", ["n", 1])], arrays))
    x = RNG.normal(size=(12, 3)).astype(np.float32)
    data = x, x.sum(axis=1, keepdims=True)
    run = cl.fit(net, data, loss="mse", epochs=2, batch_size=8, out=tmp_path / "run", seed=4)
    again = cl.fit(net, data, loss="mse", epochs=2, batch_size=8, seed=4)
    back = cl.load(tmp_path / "run", template=net)
    for other in (again.model, back.model):
        np.testing.assert_array_equal(
            np.asarray(other.parameters()["weight"]), np.asarray(run.model.parameters()["weight"])
        )
    np.testing.assert_array_equal(back.predict(x), run.predict(x))
