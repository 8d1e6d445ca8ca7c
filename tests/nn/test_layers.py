"""Layers against formulas written again in NumPy, with gradients by hand or by differences."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.program.ir import evaluate, trace
from clearprop.program.types import type_of

RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 4))


def as_float64(model):
    """The model with random float64 arrays: zeros and ones hide mistakes."""
    values = {p: 0.5 + np.abs(RNG.normal(size=v.shape)) for p, v in model.arrays().items()}
    return cl.tree_map(lambda v: v.astype(np.float64), model).replace(values)


def near(found, wanted, rtol=1e-13):
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=rtol, atol=1e-13)


def test_dense_value_and_gradient():
    layer = as_float64(nn.Dense(4, 3))
    w, b = np.asarray(layer.weight), np.asarray(layer.bias)
    near(layer(X), X @ w + b)
    near(layer(X[0]), X[0] @ w + b)
    near(layer(np.stack([X, X])), np.stack([X @ w + b] * 2))
    ct = RNG.normal(size=(6, 3))
    grads = cl.grad(lambda m: cl.sum(m(X) * ct))(layer)
    near(grads.weight, X.T @ ct)
    near(grads.bias, ct.sum(axis=0))


def test_dense_without_bias_has_one_parameter():
    layer = nn.Dense(4, 3, bias=False)
    assert list(layer.parameters()) == ["weight"]
    near(layer(X.astype(np.float32)), X.astype(np.float32) @ np.asarray(layer.weight), rtol=1e-6)


def test_layers_start_in_float32_with_bias_zero():
    layer = nn.Dense(4, 3, rng=7)
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert not np.any(np.asarray(layer.bias)) and np.all(np.asarray(layer.weight) != 0)
    assert np.array_equal(np.asarray(layer.weight), np.asarray(nn.Dense(4, 3, rng=cl.random.key(7)).weight))
    assert layer(X.astype(np.float32)).dtype == np.float32


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
    "linear": lambda x: x,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_name(name):
    near(nn.Activation(name)(cl.asarray(X)), ACTIVATIONS[name](X))


def test_every_activation_name_is_a_function():
    for name in nn.ACTIVATIONS:
        assert nn.Activation(name)(cl.asarray(X)).shape == X.shape
    near(nn.Activation("leaky_relu", slope=0.3)(cl.asarray(X)), np.where(X > 0, X, 0.3 * X))


def test_sequential_takes_names_and_functions():
    first, last = nn.Dense(4, 3, rng=1), nn.Dense(3, 2, rng=2)
    x = cl.asarray(X, dtype=np.float32)
    wanted = np.asarray(last(cl.tanh(first(x))))
    for act in ("tanh", cl.tanh, nn.Activation("tanh"), lambda v: cl.tanh(v)):
        near(nn.Sequential(first, act, last)(x), wanted, rtol=1e-6)
    model = nn.Sequential(first, "tanh", last)
    assert len(model) == 3 and model[0] is first and len(model[:2]) == 2


# ----------------------------------------------------------------------------------------- normalisation
def layer_norm(x, scale, offset, eps):
    mean = x.mean(axis=-1, keepdims=True)
    return scale * (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + eps) + offset


def test_layer_norm():
    layer = as_float64(nn.LayerNorm(4, eps=1e-3))
    scale, offset = np.asarray(layer.scale), np.asarray(layer.offset)
    near(layer(X), layer_norm(X, scale, offset, 1e-3))
    near(layer(X[0]), layer_norm(X[0], scale, offset, 1e-3))
    ct = RNG.normal(size=X.shape)
    grads = cl.grad(lambda m: cl.sum(m(X) * ct))(layer)
    near(grads.scale, (ct * layer_norm(X, 1.0, 0.0, 1e-3)).sum(axis=0))
    near(grads.offset, ct.sum(axis=0))


def test_layer_norm_gradient_of_the_input_by_hand():
    """∂L/∂x = (ĉ − mean(ĉ) − x̂·mean(ĉ·x̂))/σ with ĉ = scale·c, each mean over the features."""
    layer, ct = as_float64(nn.LayerNorm(4, eps=0.0)), RNG.normal(size=X.shape)
    sigma = X.std(axis=-1, keepdims=True)
    unit, c = (X - X.mean(axis=-1, keepdims=True)) / sigma, np.asarray(layer.scale) * ct
    wanted = (c - c.mean(axis=-1, keepdims=True) - unit * (c * unit).mean(axis=-1, keepdims=True)) / sigma
    near(cl.grad(lambda x: cl.sum(layer(x) * ct))(X), wanted, rtol=1e-11)


def test_batch_norm_in_training_and_inference():
    layer = as_float64(nn.BatchNorm(4, decay=0.8, eps=1e-3))
    scale, offset, mean, variance = (np.asarray(v) for v in layer.arrays().values())
    y, after = nn.apply(layer, X, train=True)
    near(y, scale * (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + 1e-3) + offset)
    near(after.mean, 0.8 * mean + 0.2 * X.mean(axis=0))
    near(after.variance, 0.8 * variance + 0.2 * X.var(axis=0, ddof=1))
    near(layer(X), scale * (X - mean) / np.sqrt(variance + 1e-3) + offset)
    near(layer.mean, mean)  # the layer itself never changes
    assert after.scale is layer.scale


def test_batch_norm_takes_all_but_the_last_axis_as_the_batch():
    layer, x = nn.BatchNorm(4, dtype=np.float64), RNG.normal(size=(3, 5, 4))
    y, after = nn.apply(layer, x)
    flat, flat_after = nn.apply(layer, x.reshape(15, 4))
    near(y, np.asarray(flat).reshape(3, 5, 4))
    near(after.variance, np.asarray(flat_after.variance))


def test_statistics_keep_their_dtype_for_an_input_of_another():
    y, after = nn.apply(nn.BatchNorm(4), X)
    assert y.dtype == np.float64 and after.mean.dtype == after.variance.dtype == np.float32


def test_running_statistics_converge_to_the_population():
    layer = nn.BatchNorm(4, dtype=np.float64)
    for _ in range(200):
        _, layer = nn.apply(layer, X)
    near(layer.mean, X.mean(axis=0), rtol=1e-8)
    near(layer.variance, X.var(axis=0, ddof=1), rtol=1e-8)


@pytest.mark.parametrize("norm", [None, "layer", "batch"])
@pytest.mark.parametrize("train", [True, False])
def test_gradients_of_whole_networks(norm, train):
    """Every parameter of a network, and its input, by central differences and the adjoint identity."""
    model = as_float64(nn.mlp([4, 5, 3], "tanh", norm=norm, dropout=0.25))
    labels = np.array([0, 1, 2, 0, 1, 2])

    def loss(parameters, x):
        out, _ = nn.apply(model.replace(parameters), x, train=train, rng=cl.random.key(2))
        return nn.cross_entropy(out, labels)

    cl.check_grads(loss, [{p: np.asarray(v) for p, v in model.parameters().items()}, X], order=2)


# ----------------------------------------------------------------------------------------------- dropout
def test_dropout_keeps_the_mean_and_drops_the_share():
    x = cl.ones((200, 100))
    y = np.asarray(nn.apply(nn.Dropout(0.3), x, rng=cl.random.key(0))[0])
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    assert abs((y == 0).mean() - 0.3) < 4 * np.sqrt(0.21 / y.size)
    assert nn.Dropout(0.3)(x) is x


def test_dropout_gradient_flows_only_through_what_was_kept():
    layer, x = nn.Dropout(0.5), cl.asarray(X)
    y, _ = nn.apply(layer, x, rng=cl.random.key(1))
    slope = cl.grad(lambda x: cl.sum(nn.apply(layer, x, rng=cl.random.key(1))[0]))(x)
    near(slope, np.where(np.asarray(y) == 0, 0.0, 2.0))


def test_each_random_layer_has_a_key_of_its_own():
    model, x = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)), cl.ones((50, 40))
    key = cl.random.key(4)
    first = nn.apply(nn.Dropout(0.5), x, rng=cl.random.fold_in(cl.random.key(4), 0))
    y, _ = nn.apply(model, x, rng=key)
    assert 0.2 < float(cl.mean(y != 0)) < 0.3  # one mask twice would keep a half
    again, _ = nn.apply(model, x, rng=key)
    other, _ = nn.apply(model, x, rng=cl.random.key(5))
    assert np.array_equal(np.asarray(y), np.asarray(again)) and not np.array_equal(np.asarray(y), np.asarray(other))
    assert first[0].shape == x.shape


def test_a_seed_may_be_given_in_place_of_a_key():
    x = cl.ones(30)
    by_seed, by_key = (nn.apply(nn.Dropout(0.5), x, rng=r)[0] for r in (3, cl.random.key(3)))
    assert np.array_equal(np.asarray(by_seed), np.asarray(by_key))


# ---------------------------------------------------------------------------------------------- tracing
@pytest.mark.parametrize("norm", [None, "layer", "batch"])
def test_a_traced_training_pass_equals_the_eager_one(norm):
    from clearprop.autodiff.trees import flatten, unflatten

    model, key = nn.mlp([4, 5, 3], "gelu", norm=norm, dropout=0.25), cl.random.key(8)
    x = cl.asarray(X, dtype=np.float32)
    leaves, structure = flatten((model, x, key))

    def flat(*values):
        model, x, key = unflatten(structure, list(values))
        return flatten(nn.apply(model, x, rng=key))[0]

    given = [v.value for v in leaves]
    program = trace(flat, [type_of(v) for v in given])
    cl.typecheck(program)
    assert len(program.inputs) == len(given)
    for traced, eager in zip(evaluate(program, given), flat(*leaves), strict=True):
        near(traced, np.asarray(eager), rtol=1e-6)
        assert np.asarray(traced).dtype == eager.dtype


def test_a_running_variance_that_no_float_holds_is_no_number():
    """In inference everything would be 0 by an infinite one."""
    x = (RNG.normal(size=(6, 2)) * 1e25).astype(np.float32)
    y, after = nn.apply(nn.BatchNorm(2), x)
    assert np.isnan(np.asarray(y)).all()
    assert np.isnan(np.asarray(after.variance)).all()
    assert np.isnan(np.asarray(after(x))).all()
    _, after = nn.apply(nn.BatchNorm(2), (x * 1e-25).astype(np.float32))
    assert np.isfinite(np.asarray(after(x))).all()
