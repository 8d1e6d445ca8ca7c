"""Every layer computes what PyTorch's does from the same weights, and has its gradients (`peers/make.py`)."""

import numpy as np
import pytest

import clearprop as cl
from tests.nn.peer_cases import LAYERS, NAMES

CASES = pytest.mark.parametrize("case", LAYERS, ids=lambda c: c.name)


def differentiated(case, dtype):
    """Output and gradients of Σ cotangent · output, by path and by input."""
    model, ct = case.model(dtype), case.arrays["ct"].astype(dtype)
    inputs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in case.inputs]

    def total(tree, *fixed):
        values = [tree.get(f"in{i}", x) for i, x in enumerate(inputs)]
        out = case.compute(tree.get("model", model), *values)
        return cl.sum(out * ct), out

    tree = {f"in{i}": x for i, x in enumerate(inputs) if x.dtype.kind == "f"}
    if model is not None and model.parameters():
        tree["model"] = model
    (_, out), grads = cl.value_and_grad(total, has_aux=True)(tree)
    found = {name: g for name, g in grads.items() if name != "model"}
    return out, found | (grads["model"].parameters() if "model" in grads else {})


@CASES
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_value_and_gradients_equal_the_peers(case, dtype, tolerance):
    out, grads = differentiated(case, dtype)
    assert out.dtype == dtype and out.shape == case.arrays["out"].shape
    np.testing.assert_allclose(np.asarray(out), case.arrays["out"], rtol=tolerance, atol=tolerance)
    wanted = case.part("grad/")
    assert grads.keys() == wanted.keys()
    scale = max([1.0, *(np.abs(g).max() for g in wanted.values())])  # some are 0 but for rounding of what cancels
    for name, g in grads.items():
        np.testing.assert_allclose(np.asarray(g), wanted[name], rtol=0, atol=tolerance * scale, err_msg=name)


@CASES
def test_second_order_and_both_modes(case):
    model = case.model()
    floating = [i for i, x in enumerate(case.inputs) if x.dtype.kind == "f"]

    def f(*values):
        inputs = list(case.inputs)
        for i, v in zip(floating, values[: len(floating)], strict=True):
            inputs[i] = v
        own = model if model is None or not model.parameters() else model.replace(values[-1])
        return case.compute(own, *inputs)

    arguments = [case.inputs[i] for i in floating]
    if model is not None and model.parameters():
        arguments.append({path: np.asarray(v) for path, v in model.parameters().items()})
    cl.check_grads(f, arguments, order=2)


@CASES
def test_a_compiled_call_takes_the_layer_or_the_inputs_as_arguments(case):
    """What is not an argument is captured: then either has sizes that are known, and the other's are symbols."""
    model, inputs = case.model(), case.inputs
    wanted = np.asarray(case.compute(model, *inputs))
    of_inputs = cl.compile(lambda *values: case.compute(model, *values), executor="numpy")
    of_layer = cl.compile(lambda layer: case.compute(layer, *inputs), executor="numpy")
    np.testing.assert_allclose(np.asarray(of_inputs(*inputs)), wanted, rtol=1e-13, atol=1e-13)
    if model is not None and model.parameters():
        np.testing.assert_allclose(np.asarray(of_layer(model)), wanted, rtol=1e-13, atol=1e-13)


def test_every_recorded_case_is_compared():
    assert sorted(case.name for case in LAYERS) == NAMES
