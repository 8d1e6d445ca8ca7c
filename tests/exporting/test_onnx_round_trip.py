"""What is exported is loaded again: the same outputs, the same gradients, under the same names."""

import numpy as np
import pytest

import clearprop as cl
from tests.exporting.onnx_models import COLUMNS, mixed_run
from tests.exporting.test_onnx_runs import NETWORKS

TOLERANCE = 1e-5


def gradients(model, x):
    """The gradients of Σ y² by parameter."""
    if not model.parameters():
        return {}
    found = cl.grad(lambda m: cl.sum(cl.square(m(x))))(model)
    return {name: np.asarray(cl.asarray(g)) for name, g in found.parameters().items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_come_back(name, tmp_path):
    model, x = NETWORKS[name]()
    (path,) = cl.export(model, "onnx", tmp_path / "n.onnx", example=x)
    loaded = cl.onnx.load(path)
    np.testing.assert_allclose(np.asarray(cl.asarray(loaded(x))), np.asarray(cl.asarray(model(x))), atol=TOLERANCE)
    own, back = gradients(model, x), gradients(loaded, x)
    assert own.keys() <= back.keys()
    largest = max((abs(gradient).max() for gradient in own.values()), default=0.0)
    for parameter, gradient in own.items():
        np.testing.assert_allclose(back[parameter], gradient, rtol=TOLERANCE, atol=TOLERANCE * largest)


@pytest.mark.filterwarnings("ignore::clearprop.errors.DataWarning")  # levels and numbers that training lacks are meant
def test_a_run_on_numbers_comes_back_with_its_preprocessing(tmp_path):
    run, source, rows = mixed_run(tmp_path, "numbers", COLUMNS[:2])
    (path,) = cl.export(run, "onnx", tmp_path / "n.onnx")
    loaded = cl.onnx.load(path)
    columns = [np.array([[float(word or "nan")] for word in column]) for column in zip(*rows, strict=True)]
    found = np.asarray(cl.asarray(loaded(**dict(zip(COLUMNS[:2], columns, strict=True)))))
    np.testing.assert_allclose(found[:, 0], run.predict(source), rtol=TOLERANCE)


def test_texts_are_not_loaded_and_that_is_said(tmp_path):
    run = cl.fit(cl.nn.mlp(hidden=[8]), "penguins", epochs=1, progress=False)
    (path,) = cl.export(run, "onnx", tmp_path / "n.onnx")
    with pytest.raises(cl.errors.ArgumentError, match="LabelEncoder"):
        cl.onnx.load(path)
