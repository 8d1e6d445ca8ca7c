"""Operators in versions and combinations that the node tests leave out, against onnx's reference evaluator."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import clearprop as cl
from clearprop.errors import ArgumentError
from tests.interop.models import model, node, value

RNG = np.random.default_rng(11)
X = RNG.normal(size=(2, 3, 4)).astype(np.float32)
IMAGE = RNG.normal(size=(1, 2, 4, 4)).astype(np.float32)

WEIGHTS = RNG.normal(size=8).astype(np.float32).tolist()

OLDER = {  # of a node: version, inputs, attributes, how many outputs
    "pad": ("Pad", 2, [X], {"pads": [0, 1, 0, 0, 0, 2], "value": 0.5}, 1),
    "pad by reflection": ("Pad", 2, [X], {"pads": [0, 1, 1, 0, 1, 1], "mode": "reflect"}, 1),
    "slice": ("Slice", 1, [X], {"starts": [1, -2], "ends": [9, -1], "axes": [1, 2]}, 1),
    "split": ("Split", 2, [X], {"axis": 2, "split": [1, 3]}, 2),
    "split evenly": ("Split", 2, [X], {"axis": 2}, 2),
    "squeeze": ("Squeeze", 11, [X[:, :1]], {"axes": [1]}, 1),
    "unsqueeze": ("Unsqueeze", 11, [X], {"axes": [0, 4]}, 1),
    "topk": ("TopK", 1, [X], {"k": 2, "axis": 1}, 2),
    "sum": ("ReduceSum", 11, [X], {"axes": [0, 2], "keepdims": 0}, 1),
    "mean": ("ReduceMean", 13, [X], {"axes": [-1]}, 1),
    "clip": ("Clip", 6, [X], {"min": -0.5, "max": 0.5}, 1),
    "dropout": ("Dropout", 10, [X], {"ratio": 0.5}, 1),
    "global norm": ("GlobalLpPool", 2, [IMAGE], {"p": 3}, 1),
    "binarizer": ("Binarizer", 1, [X], {"threshold": 0.1}, 1),
    "scaler": ("Scaler", 1, [X[0]], {"offset": [0.5, 0.0, 1.0, 2.0], "scale": [2.0, 1.0, 0.5, 0.0]}, 1),
    "scaler by one number": ("Scaler", 1, [X[0]], {"offset": [0.5], "scale": [2.0]}, 1),
    **{f"normalizer {norm}": ("Normalizer", 1, [X[0]], {"norm": norm}, 1) for norm in ("L1", "L2")},
    "linear regressor": (
        "LinearRegressor", 1, [X[0]], {"coefficients": WEIGHTS, "intercepts": [0.5, 1.0], "targets": 2}, 1,
    ),
    **{
        f"linear classifier {kind}": (
            "LinearClassifier", 1, [X[0]],
            {"coefficients": WEIGHTS, "intercepts": [0.1, -0.1], "classlabels_ints": [7, 3], "post_transform": kind}, 2,
        )
        for kind in ("NONE", "SOFTMAX", "LOGISTIC")
    },
}  # fmt: skip
OF_ML = ("Binarizer", "Scaler", "Normalizer", "LinearRegressor", "LinearClassifier")


def assert_is_reference(proto, inputs):
    wanted = ReferenceEvaluator(proto).run(None, inputs)
    found = cl.onnx.load(proto).by_name(**inputs)
    for f, w in zip(found.values(), wanted, strict=True):
        assert np.asarray(f).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(np.asarray(f), w, rtol=1e-5, atol=1e-6)


def single(kind, version, inputs, attributes, outputs, domain=""):
    names = [f"i{k}" for k in range(len(inputs))]
    made = helper.make_node(kind, names, [f"o{k}" for k in range(outputs)], domain=domain, **attributes)
    kinds = [
        value(n, list(a.shape), helper.np_dtype_to_tensor_dtype(a.dtype)) for n, a in zip(names, inputs, strict=True)
    ]
    sets = [helper.make_opsetid(domain, version)] + [helper.make_opsetid("", 11)] * bool(domain)
    graph = helper.make_graph([made], "one", kinds, [value(f"o{k}") for k in range(outputs)])
    return helper.make_model(graph, opset_imports=sets), dict(zip(names, inputs, strict=True))


@pytest.mark.parametrize("case", OLDER, ids=lambda c: c.replace(" ", "-"))
def test_older_versions_are_what_the_reference_gives(case):
    kind, *rest = OLDER[case]
    if kind in ("GlobalLpPool", "Clip"):  # the reference has no such operator
        proto, inputs = single(kind, *rest)
        found = np.asarray(cl.onnx.load(proto)(**inputs))
        given = inputs["i0"]
        wanted = (
            np.clip(given, -0.5, 0.5) if kind == "Clip" else (abs(given) ** 3).sum((2, 3), keepdims=True) ** (1 / 3)
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
        return
    assert_is_reference(*single(kind, *rest, domain="ai.onnx.ml" if kind in OF_ML else ""))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize(("kind", "log"), [("Softmax", False), ("LogSoftmax", True)])
def test_softmax_before_version_13_has_all_axes_from_one_on(kind, log, axis):
    proto, inputs = single(kind, 11, [X], {"axis": axis}, 1)
    axes = tuple(range(axis % 3, 3))
    shares = np.exp(X) / np.exp(X).sum(axis=axes, keepdims=True)
    np.testing.assert_allclose(np.asarray(cl.onnx.load(proto)(**inputs)), np.log(shares) if log else shares, rtol=1e-5)


def test_sequences_are_built_read_and_joined():
    nodes = [
        node("SequenceConstruct", "x z x", "s"),
        node("SequenceErase", "s last", "t"),
        node("SequenceAt", "t first", "a"),
        node("ConcatFromSequence", "t", "b", axis=0),
        node("Optional", "a", "c"),
        node("OptionalGetElement", "c", "y"),
    ]
    arrays = {"last": np.int64(-1), "first": np.int64(0)}
    proto = model(nodes, [value("x", [2]), value("z", [2])], [value("y"), value("b")], arrays, version=18)
    y, b = cl.onnx.load(proto)(np.float32([1, 2]), np.float32([3, 4]))
    assert (np.asarray(y).tolist(), np.asarray(b).tolist()) == ([1, 2], [1, 2, 3, 4])


@pytest.mark.parametrize(
    "kind", ["RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"]
)
def test_random_numbers_come_from_the_key_of_a_pass_or_a_seed(kind):
    like = kind.endswith("Like") or kind == "Bernoulli"
    options = {} if like else {"shape": [200]}
    inputs = [value("x", [200])]
    start = [np.full(200, 0.5, np.float32)]
    make = lambda **seed: cl.onnx.load(
        model([node(kind, "x" if like else "", "r", **options, **seed), node("Add", "r x", "y")], inputs, [value("y")])
    )
    draw = lambda net, key: np.asarray(cl.nn.apply(net, *start, train=True, rng=key)[0])
    net = make()
    assert (draw(net, 1) == draw(net, 1)).all() and (draw(net, 1) != draw(net, 2)).any()
    with pytest.raises(cl.ClearpropError, match="the model draws random numbers"):
        net(*start)
    seeded = make(seed=3.0)
    assert (np.asarray(seeded(*start)) == np.asarray(seeded(*start))).all()


def test_dropout_is_active_in_a_training_pass_alone():
    net = cl.onnx.load(model([node("Dropout", "x", "y")], [value("x", [400])], [value("y")]))
    x = np.ones(400, np.float32)
    assert (np.asarray(net(x)) == 1).all()
    trained = np.asarray(cl.nn.apply(net, x, train=True, rng=0)[0])
    assert set(trained.tolist()) == {0.0, 2.0}


def branch(kind, name):
    return helper.make_graph([node(kind, "x", name)], name, [], [value(name)])


def test_both_branches_are_differentiated_where_the_condition_is_traced():
    nodes = [
        node("ReduceSum", "x", "s", keepdims=0),
        node("Greater", "s zero", "c"),
        helper.make_node("If", ["c"], ["y"], then_branch=branch("Exp", "a"), else_branch=branch("Sin", "b")),
    ]
    net = cl.onnx.load(model(nodes, [value("x", [2])], [value("y")], {"zero": np.float32(0)}))
    step = cl.compile(lambda x: cl.grad(lambda x: cl.sum(net(x)))(x))
    for sign, wanted in [(1, np.exp), (-1, np.cos)]:
        x = np.float32([0.5, 1.0]) * sign
        np.testing.assert_allclose(np.asarray(step(x)), wanted(x), rtol=1e-6)
        np.testing.assert_allclose(np.asarray(cl.grad(lambda x: cl.sum(net(x)))(cl.asarray(x))), wanted(x), rtol=1e-6)


def test_shapes_that_the_graph_computes_are_numbers_when_it_is_compiled():
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Concat", "n rest", "shape", axis=0),
        node("Reshape", "x shape", "y"),
    ]
    arrays = {"zero": np.int64([0]), "rest": np.int64([-1])}
    net = cl.onnx.load(model(nodes, [value("x", ["n", 3, 4])], [value("y")], arrays))
    given, captured = cl.compile(lambda m, x: m(x)), cl.compile(lambda x: net(x))
    for rows in (2, 1, 5):
        x = np.ones((rows, 3, 4), np.float32)
        assert given(net, x).shape == captured(x).shape == (rows, 12)
    assert not net.parameters() and not net.state()


def test_gradient_sees_what_the_nodes_before_compute():
    training = "ai.onnx.preview.training"
    nodes = [
        node("Mul", "x w", "p"),
        node("Sin", "p", "y"),
        helper.make_node("Gradient", ["x", "w"], ["dx", "dw"], domain=training, xs=["x", "w"], y="y"),
    ]
    inputs = [value("x", [3]), value("w", [3])]
    net = cl.onnx.load(model(nodes, inputs, [value("dx"), value("dw")], domains=[training]))
    x, w = np.float32([1, 2, 3]), np.float32([0.5, -1, 2])
    dx, dw = net(x, w)
    np.testing.assert_allclose(np.asarray(dx), w * np.cos(x * w), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(dw), x * np.cos(x * w), rtol=1e-6)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_recurrent_gradients_agree_with_differences(kind, direction):
    """And sequences that end earlier leave what comes after them at 0."""
    gates, ways = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind], 1 + (direction == "bidirectional")
    arrays = {
        "w": RNG.normal(size=(ways, gates * 2, 3)) * 0.5,
        "r": RNG.normal(size=(ways, gates * 2, 2)) * 0.5,
        "b": RNG.normal(size=(ways, gates * 4)) * 0.5,
        "ends": np.int32([4, 2]),
    }
    proto = model(
        [node(kind, "x w r b ends", "y", hidden_size=2, direction=direction)],
        [value("x", [4, 2, 3], TensorProto.DOUBLE)],
        [value("y", None, TensorProto.DOUBLE)],
        arrays,
    )
    net, x = cl.onnx.load(proto), cl.tensor(RNG.normal(size=(4, 2, 3)))
    assert (np.asarray(net(x))[2:, :, 1] == 0).all()
    loss = lambda r: cl.sum(net.replace({"r": r})(x) ** 2)
    cl.check_grads(loss, (net.parameters()["r"],), order=1, modes=("rev",))


def test_classes_by_text_are_refused():
    proto, inputs = single(
        "LinearClassifier", 1, [X[0]], {"coefficients": WEIGHTS, "classlabels_strings": ["a", "b"]}, 2, "ai.onnx.ml"
    )
    with pytest.raises(ArgumentError, match="classlabels_strings"):
        cl.onnx.load(proto)(**inputs)
