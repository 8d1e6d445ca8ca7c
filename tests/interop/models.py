"""Small ONNX models that tests load, made by the package onnx."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(5)
W1, B1 = RNG.normal(size=(3, 4)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
W2, B2 = RNG.normal(size=(4, 2)).astype(np.float32), RNG.normal(size=2).astype(np.float32)


def value(name, shape=None, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(nodes, inputs, outputs, arrays=None, version=17, functions=(), domains=()):
    """A model of these nodes; arrays are its initialisers by name."""
    tensors = [numpy_helper.from_array(np.asarray(a), n) for n, a in (arrays or {}).items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, tensors)
    sets = [helper.make_opsetid("", version), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=sets, functions=list(functions))


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def perceptron():
    """Tanh between two layers: relu would hide half of the derivatives."""
    nodes = [
        node("Gemm", "x fc1.weight fc1.bias", "h"),
        node("Tanh", "h", "a"),
        node("Gemm", "a fc2.weight fc2.bias", "y"),
    ]
    arrays = {"fc1.weight": W1, "fc1.bias": B1, "fc2.weight": W2, "fc2.bias": B2}
    return model(nodes, [value("x", ["rows", 3])], [value("y", ["rows", 2])], arrays)
