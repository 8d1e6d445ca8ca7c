"""Few rows through plain networks: without the questions that layers ask, and with the bits that layers give."""

import copy
import pickle

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.row_products import FEW, few_rows_by, row_products
from clearprop.errors import ClearpropError
from clearprop.nn.layers import chain_of, few_through
from clearprop.program.values import quiet
from clearprop.train.metrics import outputs_of

DTYPES = [np.float32, np.float64]
SIZES = [[4, 16, 3], [2, 1], [1, 1, 1], [64, 37, 10], [7, 33, 65, 2]]
ROWS = [0, 1, 2, FEW, FEW + 1, 40]


def network(sizes, activation="relu", dtype=np.float32, bias=True):
    """A network whose biases are not 0."""
    model = cl.nn.mlp(sizes, activation=activation, seed=1, dtype=dtype)
    rng = np.random.default_rng(2)
    layers = []
    for layer in model.layers:
        if isinstance(layer, cl.nn.Dense):
            inputs, outputs = layer.weight.shape
            dense = cl.nn.Dense(inputs, outputs, bias=bias, dtype=dtype)
            values = {"weight": np.asarray(layer.weight)}
            layer = dense.replace(values | ({"bias": rng.normal(size=outputs)} if bias else {}))
        layers.append(layer)
    return cl.nn.Sequential(layers)


def rows(many, inputs, dtype=np.float32):
    return np.random.default_rng(3).normal(size=(many, inputs)).astype(dtype)


def one_after_another(model, x):
    """What the layers give, each called by itself."""
    for layer in model.layers:
        x = layer(x)
    return np.asarray(x)


def same(a, b):
    assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_few_rows_have_the_bits_of_the_layers(sizes, dtype, bias):
    model = network(sizes, dtype=dtype, bias=bias)
    for many in ROWS:
        x = rows(many, sizes[0], dtype)
        same(np.asarray(model(x)), one_after_another(model, x))
        same(np.asarray(model(cl.asarray(x))), one_after_another(model, x))
        with row_products():
            expected = one_after_another(model, x)
        same(outputs_of(model, x), expected)
        assert chain_of(model) is not None


@pytest.mark.parametrize("activation", cl.nn.ACTIVATIONS)
def test_every_activation(activation):
    model, x = network([5, 8, 3], activation), rows(3, 5)
    same(np.asarray(model(x)), one_after_another(model, x))
    with row_products():
        expected = one_after_another(model, x)
    same(outputs_of(model, x), expected)


@pytest.mark.parametrize("order", ["C", "F", "every second"])
def test_rows_and_weights_in_any_order_of_memory(order):
    def laid(a):
        if order == "every second":
            wide = np.zeros((2 * a.shape[0], 3 * a.shape[1]), a.dtype)
            wide[::2, ::3] = a
            return wide[::2, ::3]
        return np.asarray(a, order=order)

    model, x = network([6, 9, 4]), rows(5, 6)
    arrays = {path: laid(np.asarray(v)) if v.ndim == 2 else v for path, v in model.parameters().items()}
    other = model.with_fields(
        layers=tuple(
            layer.with_fields(weight=cl.asarray(arrays[f"layers[{k}].weight"])) if hasattr(layer, "weight") else layer
            for k, layer in enumerate(model.layers)
        )
    )
    same(outputs_of(other, laid(x)), outputs_of(model, x))
    same(np.asarray(other(laid(x))), one_after_another(other, laid(x)))


def test_memory_that_is_not_aligned():
    model, x = network([6, 9, 4]), rows(2, 6)
    bytes_of = np.zeros(x.nbytes + 1, np.uint8)
    odd = bytes_of[1:].view(np.float32).reshape(x.shape)
    odd[:] = x
    assert not odd.flags.aligned
    same(outputs_of(model, odd), outputs_of(model, x))


def test_weights_that_were_written_into_are_read():
    weight = np.ones((2, 1), np.float32)
    model = cl.nn.Sequential(cl.nn.Dense(2, 1, bias=False).with_fields(weight=cl.asarray(weight)))
    x = rows(1, 2)
    before = outputs_of(model, x), np.asarray(model(x))
    weight *= 2
    for now, then in zip((outputs_of(model, x), np.asarray(model(x))), before, strict=True):
        same(now, 2 * then)


def test_rows_that_were_given_stay_what_they_are():
    model, x = network([3, 3]), rows(2, 3)
    held = x.copy()
    model(x), outputs_of(model, x)
    same(x, held)


def test_what_is_not_plain_takes_the_ordinary_way():
    dense = cl.nn.Dense(2, 2)
    models = {
        "another first layer": cl.nn.Sequential("relu", dense),
        "two activations": cl.nn.Sequential(dense, "relu", "tanh"),
        "another layer": cl.nn.Sequential(dense, cl.nn.Dropout(0.5)),
        "a function": cl.nn.Sequential(dense, lambda x: 2 * x),
        "softmax, which is not elementwise": cl.nn.Sequential(dense, cl.softmax),
        "two dtypes": cl.nn.Sequential(dense, cl.nn.Dense(2, 1, dtype=np.float64)),
        "sizes that do not meet": cl.nn.Sequential(dense, cl.nn.Dense(3, 1)),
        "a bias for each row": cl.nn.Sequential(dense.with_fields(bias=cl.zeros((3, 2), dtype=cl.float32))),
        "many weights": cl.nn.Sequential(dense.with_fields(weight=cl.zeros((3, 2, 2), dtype=cl.float32))),
        "half floats": cl.nn.Sequential(dense.with_fields(weight=np.zeros((2, 2), np.float16), bias=None)),
        "swapped bytes": cl.nn.Sequential(dense.with_fields(weight=np.zeros((2, 2), ">f4"), bias=None)),
        "a slope that has a derivative": cl.nn.Sequential(dense, cl.nn.Activation("leaky_relu", slope=cl.tensor(0.3))),
        "an option of another function": cl.nn.Sequential(dense, cl.nn.Activation("relu", slope=0.3)),
        "nothing": cl.nn.Sequential(),
        "a layer": dense,
    }
    for what, model in models.items():
        assert chain_of(model) is None, what
    with pytest.raises(ClearpropError, match="Dense"):
        models["sizes that do not meet"](rows(1, 2))


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("ask", [outputs_of, lambda model, x: model(x)])
def test_options_are_refused_for_any_number_of_rows(count, ask):
    for name, option in (("relu", "slope"), ("leaky_relu", "slop"), ("tanh", "a")):
        with pytest.raises(ClearpropError, match=f"{name} does not take these arguments"):
            ask(cl.nn.Sequential(cl.nn.Dense(2, 2), cl.nn.Activation(name, **{option: 0.1})), rows(count, 2))


def test_a_slope_has_a_gradient_in_few_rows():
    slope = cl.tensor(np.float32(0.3), requires_grad=True)
    dense = cl.nn.Dense(2, 3)
    y = cl.nn.Sequential(dense, cl.nn.Activation("leaky_relu", slope=slope))(rows(1, 2))
    cl.sum(y).backward()
    below = np.minimum(np.asarray(dense(rows(1, 2))), 0)
    np.testing.assert_allclose(slope.grad, below.sum(), rtol=1e-6)


@pytest.mark.parametrize("number", [np.float64, np.float32])
def test_a_slope_of_numpy_is_a_number(number):
    def network(slope):
        layer = cl.nn.Activation("leaky_relu", slope=slope)
        return cl.nn.Sequential(cl.nn.Dense(2, 3), layer, cl.nn.Dense(3, 4))

    models, x = [network(number(0.25)), network(0.25)], rows(17, 2)
    for count in (1, 17):
        same(*(outputs_of(model, x[:count]) for model in models))
    fits = [cl.fit(model, (x, np.arange(17) % 4), epochs=2, progress=False, batch_size=4) for model in models]
    same(*(fit.predict(x) for fit in fits))


@pytest.mark.parametrize(
    "x",
    [
        rows(1, 3),
        rows(1, 2)[0],
        rows(1, 2).astype(np.float64),
        np.array([[1, 2]]),
        np.array([[1 + 1j, 0]]),
        [[1.0, 2.0]],
    ],
    ids=["columns", "one axis", "wider floats", "integers", "complex", "list"],
)
def test_other_inputs_are_answered_or_refused_as_by_the_layers(x):
    model = network([2, 3, 1])
    model(rows(1, 2))

    def told(function):
        try:
            return np.asarray(function(x))
        except ClearpropError as error:
            return str(error).partition("\n  where")[0]

    ours, layers = told(model), told(lambda x: one_after_another(model, x))
    assert ours == layers if isinstance(layers, str) else np.array_equal(ours, layers) and ours.dtype == layers.dtype


def test_what_is_tracked_is_recorded():
    model, x = network([2, 3, 1]), rows(2, 2)
    model(x)  # its chain is known
    loss = lambda m: cl.sum(m(x) ** 2)
    gradients = cl.grad(loss)(model).parameters()
    assert all(np.any(np.asarray(g)) for g in gradients.values())
    leaf = cl.tensor(x, requires_grad=True)
    cl.sum(model(leaf)).backward()
    assert leaf.grad is not None
    weight = model.layers[-1].weight
    weight.requires_grad = True  # from now on
    try:
        cl.sum(model(x)).backward()
        assert weight.grad is not None and np.any(np.asarray(weight.grad))
        with cl.no_grad():
            assert not model(x).requires_grad
    finally:
        weight.requires_grad = False


def test_a_network_is_traced_as_ever():
    model, x = network([2, 3, 1]), rows(2, 2)
    model(x)
    program = cl.compile(lambda x: model(x), executor="numpy")
    np.testing.assert_allclose(np.asarray(program(x)), np.asarray(model(x)), rtol=1e-6)
    assert "h0" in program.source("numpy")
    same(np.asarray(cl.vmap(lambda row: model(row[None])[0])(x)), np.asarray(model(x)))


def test_arrays_that_were_given_away_are_refused():
    model, x = network([2, 3, 1]), rows(1, 2)
    model(x), outputs_of(model, x)
    step = cl.compile(lambda m: cl.tree_map(lambda p: p * 2, m), donate=(0,), executor="numba")
    step(model)
    for ask in (lambda: model(x), lambda: outputs_of(model, x)):
        with pytest.raises(ClearpropError, match=r"given away|donated"):
            ask()


def test_copies_and_files_of_a_network_hold_what_they_held():
    model, fresh = network([2, 3, 1]), network([2, 3, 1])
    model(rows(1, 2)), outputs_of(model, rows(1, 2))
    assert pickle.dumps(model) == pickle.dumps(fresh)
    same(outputs_of(copy.deepcopy(model), rows(1, 2)), outputs_of(model, rows(1, 2)))


def test_nothing_is_warned_of_numbers_that_overflow():
    model = network([2, 3, 1])
    huge = np.full((1, 2), 3e38, np.float32)
    with np.errstate(all="raise"):
        outputs_of(model, huge)
        model(huge)


def test_large_matrices_and_no_compiler_take_the_ordinary_way(monkeypatch):
    assert few_rows_by([np.ones((1 << 11, 1 << 10))]) is None
    assert few_rows_by([np.ones((4, 6), np.float32).T]) is None
    model, x = network([2, 3, 1]), rows(1, 2)
    with quiet():
        assert few_through(model, x, lambda weights: None) is None
    monkeypatch.setitem(few_rows_by.__globals__, "can_compile", lambda: False)
    assert few_rows_by([np.ones((2, 3), np.float32)]) is None
