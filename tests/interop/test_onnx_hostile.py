"""Files from outside: whatever is wrong with them ends in one of our errors, before much memory is taken."""

import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

import clearprop as cl
from clearprop.exporting.onnx import network_model
from clearprop.interop.onnx import graph_values
from tests.interop.models import model, node, perceptron, value

MOST = 2**16  # elements, while these tests run
BYTES = 2**26


def image_model():
    """Convolution, pools, a shape that is computed, a slice, a resize, normalisation, a product."""
    nodes = [
        node("Conv", "x k", "a", pads=[1, 1, 1, 1], strides=[1, 1]),
        node("BatchNormalization", "a s b m v", "n"),
        node("MaxPool", "n", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("AveragePool", "p", "q", kernel_shape=[2, 2], pads=[1, 0, 1, 0], ceil_mode=1),
        helper.make_node("Resize", ["q", "", "scales"], ["r"], mode="linear"),
        node("Slice", "r starts ends axes", "t"),
        node("Shape", "t", "shape"),
        node("Gather", "shape first", "rows"),
        node("Concat", "rows rest", "wanted", axis=0),
        node("Reshape", "t wanted", "flat"),
        node("Softmax", "flat", "y"),
    ]
    arrays = {
        "k": np.ones((2, 1, 3, 3), np.float32), "s": np.ones(2, np.float32), "b": np.ones(2, np.float32),
        "m": np.ones(2, np.float32), "v": np.ones(2, np.float32), "scales": np.float32([1, 1, 2, 2]),
        "starts": np.int64([0]), "ends": np.int64([3]), "axes": np.int64([2]), "first": np.int64([0]),
        "rest": np.int64([-1]),
    }  # fmt: skip
    return model(nodes, [value("x", [1, 1, 4, 4])], [value("y")], arrays)


def made_of_numbers():
    """Arrays that the numbers of a file ask for: filled, ranged, tiled, padded, hot, expanded, repeated, looped."""
    body = helper.make_graph(
        [node("Identity", "go", "again"), node("Add", "c c", "d"), node("Identity", "d", "out")],
        "body",
        [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("c")],
        [value("again", [], TensorProto.BOOL), value("d"), value("out")],
    )
    nodes = [
        node("ConstantOfShape", "two", "a"),
        node("Range", "zero three one", "b"),
        node("Tile", "a two", "c"),
        node("Pad", "c widths", "d"),
        node("Expand", "one_f two", "e"),
        node("OneHot", "two five pair", "f"),
        node("CumSum", "d zero", "g"),
        node("Split", "g", "h i", axis=0),
        node("TopK", "h one_v", "j places"),
        helper.make_node("Loop", ["three", "", "x"], ["k", "l"], body=body),
        node("MatMul", "column row", "m"),
        node("Einsum", "column row", "n", equation="ik,kj->ij"),
        node("Mul", "column row", "o"),
    ]
    arrays = {
        "two": np.int64([2, 2]), "zero": np.int64(0), "three": np.int64(3), "one": np.int64(1),
        "widths": np.int64([1, 1, 1, 1]), "one_f": np.float32([1]), "five": np.int64(5), "pair": np.float32([0, 1]),
        "one_v": np.int64([1]), "column": np.ones((3, 1), np.float32), "row": np.ones((1, 3), np.float32),
    }  # fmt: skip
    outputs = [value(n) for n in "b e f j k l m n o".split()]
    return model(nodes, [value("x", [1, 1, 4, 4])], outputs, arrays)


def exported():
    """What clearprop writes itself: layers and a norm."""
    steps = cl.nn.Sequential(cl.nn.Dense(3, 4), "tanh", cl.nn.LayerNorm(4), cl.nn.Dense(4, 2))
    return network_model(steps, np.ones((2, 3), np.float32))


BASES = [perceptron(), image_model(), made_of_numbers(), exported()]
STRANGE = st.sampled_from([-(2**63), -(2**31), -7, -1, 0, 1, 2, 3, 17, 2**15, 2**31 - 1, 2**40, 2**62, 2**63 - 1])
NAMES = st.sampled_from(["", "x", "y", "a", "two", "rest", "../x", "\x1b[31m", "forward", "parameters", "n" * 300])
KINDS = st.sampled_from(
    "Reshape Expand Tile Gather Conv Loop If Resize Concat Pad Unsqueeze Scan LSTM Cast Eye".split()
)


def numbers_of(proto):
    """Every integer of a model that can be changed: (holder, field, place)."""
    found = [(t.dims, None, i) for t in proto.graph.initializer for i in range(len(t.dims))]
    found += [(t, "data_type", None) for t in proto.graph.initializer]
    for made in proto.graph.node:
        for a in made.attribute:
            found += [(a.ints, None, i) for i in range(len(a.ints))]
            found += [(a, field, None) for field in ("i", "type") if a.HasField(field)]
    found += [(o, "version", None) for o in proto.opset_import]
    return found


def change_number(draw, proto):
    holder, field, place = draw(st.sampled_from(numbers_of(proto)))
    number = draw(STRANGE)
    if field is None:
        holder[place] = number
    elif field == "version" or field == "i":
        setattr(holder, field, number)
    else:
        setattr(holder, field, draw(st.integers(0, 14)) if field == "type" else number % 2**31)


def change_data(draw, proto):
    """Other numbers in an array, such as the shape that is asked for."""
    tensor = draw(st.sampled_from(list(proto.graph.initializer)))
    if tensor.data_type == TensorProto.INT64:
        count = len(tensor.raw_data) // 8
        tensor.raw_data = np.array([draw(STRANGE) for _ in range(count)], np.int64).tobytes()
    else:
        tensor.raw_data = draw(st.binary(max_size=len(tensor.raw_data) * 2))


def change_wiring(draw, proto):
    made = draw(st.sampled_from(list(proto.graph.node)))
    names = draw(st.sampled_from([made.input, made.output]))
    if len(names) and draw(st.booleans()):
        names[draw(st.integers(0, len(names) - 1))] = draw(NAMES)
    elif draw(st.booleans()):
        names.append(draw(NAMES))
    else:
        made.op_type = draw(KINDS)


def change_nodes(draw, proto):
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(draw(st.permutations(nodes))[: draw(st.integers(0, len(nodes)))])


CHANGES = [change_number, change_number, change_data, change_data, change_wiring, change_nodes]


@st.composite
def hostile_models(draw):
    """Models with a few things changed, and files with bytes changed."""
    proto = ModelProto()
    proto.CopyFrom(draw(st.sampled_from(BASES)))
    if draw(st.integers(0, 3)):
        for _ in range(draw(st.integers(1, 3))):
            draw(st.sampled_from(CHANGES))(draw, proto) if proto.graph.node else None
        return proto.SerializeToString()
    content = bytearray(proto.SerializeToString())
    for _ in range(draw(st.integers(1, 6))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(1, len(content)))])


def require_one_of_our_errors(content):
    """Load and run a file; returns whether an error of ours came."""
    inputs = [np.ones((2, 3), np.float32), np.ones((1, 1, 4, 4), np.float32)]
    refused = True
    tracemalloc.start()
    try:
        net = cl.onnx.load(content)
        for x in inputs:
            try:
                net(*[x] * len(net.inputs))
                refused = False
            except cl.ClearpropError as error:
                assert error.headline
    except cl.ClearpropError as error:
        assert error.headline and "Traceback" not in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < BYTES, f"{peak:,} bytes"
    return refused


@pytest.fixture
def small_bound(monkeypatch):
    monkeypatch.setattr(graph_values, "MOST_ELEMENTS", MOST)


def check(examples):
    """Try so many files; returns how many were different ones, and how many of these were refused."""
    told = {}

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(hostile_models())
    def run(content):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy: hostile numbers overflow
            told[content] = require_one_of_our_errors(content)

    run()
    return len(told), sum(told.values())


def test_changed_files_end_in_our_errors(small_bound):
    check(40)


@pytest.mark.verify
def test_many_changed_files_end_in_our_errors(small_bound):
    files, refused = check(3500)
    print(f"{files:,} files, {refused:,} refused")
    assert files >= 2000


def test_the_models_that_are_changed_run():
    for proto in BASES:
        net = cl.onnx.load(proto)
        net(np.ones((2, 3) if proto in (BASES[0], BASES[3]) else (1, 1, 4, 4), np.float32))


@pytest.mark.parametrize("name", [b"fc1.weight", b"fc2.bias", b"Tanh"])
def test_names_that_are_no_text_are_refused(name):
    content = perceptron().SerializeToString()
    assert name in content
    with pytest.raises(cl.ClearpropError, match="names in UTF-8"):
        cl.onnx.load(content.replace(name, b"\xff" + name[1:], 1))


def test_a_type_in_place_of_a_dtype_is_refused():
    cast = node("Cast", "x", "y")
    cast.attribute.append(helper.make_attribute("to", helper.make_tensor_type_proto(TensorProto.FLOAT, [2])))
    with pytest.raises(cl.ClearpropError, match="no number of a dtype"):
        cl.onnx.load(model([cast], [value("x", [2])], [value("y")], {}))


@pytest.mark.parametrize("k", [2**31 - 1, 2**62, -1, 3])
def test_more_than_there_is_cannot_be_the_largest(k):
    net = cl.onnx.load(model([node("TopK", "x k", "y places")], [value("x", [2])], [value("y")], {"k": np.int64([k])}))
    with pytest.raises(cl.ClearpropError, match="TopK takes no more than there is"):
        net(np.ones(2, np.float32))
