"""Every operation that is exported: the graph gives what ours gives, by ONNX's own reference implementation."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import clearprop as cl
from clearprop.exporting.onnx import elementwise
from clearprop.exporting.onnx.models import ROWS, ModelBuilder
from clearprop.exporting.onnx.translation import TABLE, checked_model
from clearprop.primitives import REGISTRY, Primitive
from clearprop.program.ir import trace
from clearprop.program.types import Type, type_of
from clearprop.rules.indexing import getitem_, scatter_slice
from clearprop.rules.on_demand.convolution import conv_input
from clearprop.rules.structural import arange_, full_, size


def model_of(f, arrays):
    """The model of a function; an axis of `ROWS` numbers is open."""
    builder = ModelBuilder()
    types = [Type(tuple(builder.rows if n == ROWS else n for n in a.shape), a.dtype) for a in arrays]
    names = [builder.graph.unique(f"x{i}") for i in range(len(arrays))]
    if ROWS in arrays[0].shape[:1]:
        builder.open_rows(names[0])
    told = type_of(trace(lambda *xs: [f(*xs)], types, scope=builder.scope).outputs[0])
    found = builder.enter(f, types, names, builder.graph)
    builder.translation.require_all()
    builder.graph.result(found, result := builder.graph.unique("result"))
    infos = [builder.graph.value_info(n, t) for n, t in zip(names, types, strict=True)]
    return checked_model(builder.graph, infos, [builder.graph.value_info(result, told)])


def compare(f, *arrays, tolerance=0.0):
    model = model_of(f, arrays)
    with np.errstate(all="ignore"):
        want = np.asarray(cl.asarray(f(*map(cl.asarray, arrays))))
        (got,) = ReferenceEvaluator(model).run(None, {f"x{i}": a for i, a in enumerate(arrays)})
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    return model


def numbers(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


DOMAIN = {"asin": (-1, 1), "acos": (-1, 1), "atanh": (-0.9, 0.9), "acosh": (1, 3)}
BROADCAST = [(ROWS, 3), (3,), (1, 1)]
ULPS = 16
IN_SINGLE = {"erf", "gelu"}
"""What the reference implementation computes in float32 alone."""


def elementwise_params(name, dtype):
    return {"dtype": np.dtype(np.float64 if dtype == np.float32 else np.int64)} if name == "astype" else {}


def elementwise_arrays(name, dtype):
    """Operands that broadcast, within the domain; zeros of both signs, NaN and a tiny number among them."""
    primitive, arrays = REGISTRY[name], []
    for i, _ in enumerate(primitive.operands):
        x = numbers(*BROADCAST[i if len(primitive.operands) > 1 else 0], dtype=dtype, seed=i)
        if name in DOMAIN:
            low, high = DOMAIN[name]
            x = (low + (high - low) / (1 + np.exp(-x))).astype(dtype)
        if i == 0 and name != "astype":
            x.flat[:4] = [0.0, -0.0, np.nan, 1e-9]
        arrays.append(x > 0 if i < primitive.conditions or name.startswith("logical") else x)
    return arrays


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(elementwise.RULES))
def test_elementwise(name, dtype):
    params, exact = elementwise_params(name, dtype), np.float32 if name in IN_SINGLE else dtype
    arrays = elementwise_arrays(name, dtype)
    compare(lambda *xs: REGISTRY[name](*xs, **params), *arrays, tolerance=ULPS * np.finfo(exact).eps)


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "less", "abs", "negative", "equal", "floor_divide"])
def test_whole_numbers(name):
    primitive = REGISTRY[name]
    if name == "floor_divide":
        with pytest.raises(cl.errors.ArgumentError, match="floor_divide"):
            model_of(primitive, [np.arange(ROWS), np.arange(1, ROWS + 1)])
        return
    given = np.arange(-3, ROWS - 3, dtype=np.int64), np.array([2], np.int64)
    compare(primitive, *given[: len(primitive.operands)])


def scanned(reverse):
    """A running sum that is weighed by a constant from outside."""

    def f(x, w):
        def step(carry, row):
            carry = carry + row * w
            return carry, carry * 2.0

        last, stacked = cl.scan(step, x[0] * 0.0, x, reverse=reverse)
        return stacked + last

    return f


IMAGES, KERNEL = numbers(ROWS, 6, 5, 4), numbers(3, 2, 2, 6, seed=1)
STRIDES = {"stride": (2, 1), "dilation": (1, 2), "groups": 2}
WEIGHT = abs(numbers(3, seed=1))
PLACES = np.array([[0, 2, 1]] * ROWS)
CASES = {
    "full": [(lambda x: full_(shape=(x.shape[0], 2), value=3, dtype=np.float32) + x, numbers(ROWS, 1))],
    "size": [(lambda x: x / size(dim=x.shape[0] * 2 + 1), numbers(ROWS, 2))],
    "arange": [(lambda x: arange_(size=x.shape[0], dtype=np.int32) + cl.astype(x, np.int32), numbers(ROWS))],
    "reshape": [
        (lambda x: cl.reshape(x, (x.shape[0], 4)), numbers(ROWS, 2, 2)),
        (lambda x: cl.reshape(x, (x.shape[0] * 4,)), numbers(ROWS, 2, 2)),
        (lambda x: cl.reshape(x, (2, 3)), numbers(3, 2)),
        (lambda x: cl.reshape(x[:, None, :] + x[None], (x.shape[0], 2, x.shape[0])), numbers(ROWS, 2)),
    ],
    "squeeze": [(lambda x: cl.squeeze(x, 1), numbers(ROWS, 1, 3))],
    "expand_dims": [(lambda x: cl.expand_dims(x, 1), numbers(ROWS, 3))],
    "permute_dims": [(lambda x: cl.permute_dims(x, (2, 0, 1)), numbers(ROWS, 2, 3))],
    "broadcast_to": [(lambda x: cl.broadcast_to(x, (2, x.shape[0], 3)), numbers(ROWS, 1))],
    "flip": [(lambda x: cl.flip(x, axis=(0, 2)), numbers(ROWS, 2, 3)), (lambda x: cl.flip(x), numbers(ROWS, 2))],
    "getitem": [
        (lambda x: x[:, 1], numbers(ROWS, 3)),
        (lambda x: x[:, -1, 1:], numbers(ROWS, 3, 4)),
        (lambda x: x[..., ::2], numbers(ROWS, 5)),
        (lambda x: x[:, ::-1], numbers(ROWS, 5)),
        (lambda x: x[:, 3:0:-2], numbers(ROWS, 5)),
        (lambda x: x[1:], numbers(ROWS, 2)),
        (lambda x: x[:-1], numbers(ROWS, 2)),
        (lambda x: getitem_(x, key=(slice(None), slice(None))), numbers(ROWS, 2)),
    ],
    "scatter_slice": [
        (
            lambda x: scatter_slice(x, shape=(x.shape[0], 6, 4), key=(slice(None), slice(2, 4), slice(0, 3))),
            numbers(ROWS, 2, 3),
        ),
        (lambda x: scatter_slice(x, shape=(x.shape[0], 6), key=(slice(None), 2)), numbers(ROWS)),
    ],
    "take": [(lambda x, i: cl.take(x, i, axis=1), numbers(ROWS, 4), np.array([[3, -1], [0, 2]], np.int32))],
    "take_along_axis": [(lambda x, i: cl.take_along_axis(x, i, axis=1), numbers(ROWS, 4), PLACES)],
    "concat": [(lambda x, y: cl.concat([x, y, x], axis=-1), numbers(ROWS, 2), numbers(ROWS, 3, seed=1))],
    "sum": [
        (lambda x: cl.sum(x, axis=(0, -1)), numbers(ROWS, 2, 3)),
        (lambda x: cl.sum(x > 0, axis=1, keepdims=True), numbers(ROWS, 3)),
        (lambda x: cl.sum(x), numbers(ROWS, 3)),
    ],
    "mean": [(lambda x: cl.mean(x, axis=1, keepdims=True), numbers(ROWS, 3))],
    "max": [(lambda x: cl.max(x, axis=1), numbers(ROWS, 3))],
    "min": [(lambda x: cl.min(x), numbers(ROWS, 3))],
    "prod": [(lambda x: cl.prod(x, axis=1), numbers(ROWS, 3))],
    "all": [(lambda x: cl.all(x > -1, axis=1), numbers(ROWS, 3))],
    "any": [(lambda x: cl.any(x > 1, axis=1, keepdims=True), numbers(ROWS, 3))],
    "argmax": [(lambda x: cl.argmax(x, axis=1), numbers(ROWS, 3))],
    "argmin": [(lambda x: cl.argmin(x, axis=0, keepdims=True), numbers(ROWS, 3))],
    "cumulative_sum": [(lambda x: cl.cumulative_sum(x, axis=0), numbers(ROWS, 3))],
    "softmax": [(lambda x: cl.softmax(x), numbers(ROWS, 3)), (lambda x: cl.softmax(x, axis=0), numbers(ROWS, 3))],
    "log_softmax": [(lambda x: cl.log_softmax(x), numbers(ROWS, 3))],
    "matmul": [
        (lambda x, w: x @ w, numbers(ROWS, 3), numbers(3, 4)),
        (lambda x, w: x @ w, numbers(ROWS, 3), numbers(3)),
        (lambda x: x @ x.mT, numbers(ROWS, 2, 3)),
    ],
    "conv": [
        (lambda x, w: cl.conv(x, w, padding="same"), numbers(ROWS, 5, 5, 2), numbers(3, 3, 2, 4)),
        (lambda x, w: cl.conv(x, w, **STRIDES), IMAGES, KERNEL),
        (lambda x, w: cl.conv(x, w, stride=2), numbers(ROWS, 9, 2), numbers(3, 2, 4)),
    ],
    "conv_input": [
        (lambda x, w: cl.conv_transpose(x, w, stride=3, output_padding=1), numbers(ROWS, 4, 3), numbers(2, 5, 3)),
        (  # one group: the reference implementation knows no others
            lambda g, w: conv_input(g, w, size=(6, 5), stride=(2, 1), dilation=(1, 2), groups=1),
            *(numbers(ROWS, 2, 3, 6), KERNEL),
        ),
    ],
    "max_pool": [
        (lambda x: cl.max_pool(x, (2, 3), stride=(1, 2)), IMAGES),
        (lambda x: cl.max_pool(x, (3, 3), padding=1, dilation=(1, 2)), IMAGES),
    ],
    "scan": [(scanned(reverse), numbers(ROWS, 3), numbers(3, seed=1)) for reverse in (False, True)],
    "while_loop": [
        (lambda x, w: cl.while_loop(lambda s: cl.sum(s) < 20, lambda s: s + w, x), abs(numbers(ROWS, 3)), WEIGHT),
        (lambda x, w: cl.while_loop(lambda s: cl.sum(s) < 20, lambda s: s + w, x), numbers(ROWS, 3) + 9, WEIGHT),
    ],
    "switch": [
        (lambda x, w: cl.cond(cl.sum(x) > 0, lambda a: a * w, lambda a: a - 1, x), numbers(ROWS, 3), numbers(3)),
        *[
            (lambda x, i: cl.switch(i[0], [lambda a: a, lambda a: a * 2, lambda a: -a], x), numbers(ROWS, 3), places)
            for places in (np.array([0]), np.array([1]), np.array([7]))
        ],
    ],
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_structural(name):
    for f, *arrays in CASES[name]:
        compare(f, *arrays, tolerance=1e-6)


def test_every_operation_of_the_table_has_a_case():
    assert TABLE.keys() == CASES.keys() | elementwise.RULES.keys()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: cl.remat(lambda v: cl.sin(cl.sin(v)))(x),
        lambda x: cl.var(x, axis=-1) + cl.logsumexp(x, axis=-1),
        lambda x: cl.einsum("nab,mab->nm", x, x),
        lambda x: cl.softplus(x) + cl.mish(x) + cl.clip(x, -1.0, 0.5) + cl.norm(x),
        lambda x: cl.pad(x, [(0, 0), (1, 2), (0, 1)], value=3.0),
        lambda x: cl.tril(cl.broadcast_to(x[:, :, :1], x.shape)),
    ],
)
def test_what_has_a_body_is_written_out(f):
    compare(f, numbers(ROWS, 2, 2), tolerance=1e-5)


def test_the_axis_of_rows_is_open():
    def f(x):
        return cl.reshape(x, (x.shape[0] * 2, 2)) - cl.mean(x) + x.shape[0]

    model = compare(f, numbers(ROWS, 2, 2), tolerance=1e-6)
    for rows in (1, 2, 50):
        x = numbers(rows, 2, 2)
        (got,) = ReferenceEvaluator(model).run(None, {"x0": x})
        np.testing.assert_allclose(got, f(cl.asarray(x)), rtol=1e-6)


def test_all_that_has_no_form_is_told_at_once():
    def f(x):
        spread = scatter_slice(x, shape=(x.shape[0], 7), key=(slice(None), slice(1, 6, 2)))
        return cl.sum(cl.real(cl.fft.rfft(x))) + cl.sort(cl.erfinv(x)) + cl.sum(spread)

    with pytest.raises(cl.errors.ArgumentError) as found:
        model_of(f, [numbers(ROWS, 3)])
    message = str(found.value)
    assert message.startswith("the network computes what ONNX has no operator for\n")
    names = ("half_fourier", "real", "argsort", "erfinv", "scatter_slice", "test_onnx_operations.py")
    assert all(word in message for word in names)


def test_an_operation_of_the_users_is_not_taken_for_ours():
    def trunc(x, /):
        """Not the integral part."""

    own = Primitive(trunc, "elementwise", numpy="{x} * 3.0", register=False, rules={})
    with pytest.raises(cl.errors.ArgumentError, match="trunc"):
        model_of(own, [numbers(ROWS, 2)])


def test_names_stand_once_and_constants_are_shared():
    model = model_of(lambda x: x * 2.0 + (x + 2.0) * (x - 2.0), [numbers(ROWS, 2)])
    assert len(model.graph.initializer) == 1
    names = [name for node in model.graph.node for name in node.output]
    assert len(set(names)) == len(names)
    assert {(o.domain, o.version) for o in model.opset_import} == {("", 20), ("ai.onnx.ml", 3)}
    assert model.ir_version == onnx.helper.find_min_ir_version_for(list(model.opset_import))
