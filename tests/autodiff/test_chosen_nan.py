"""A NaN that was chosen shows in the derivative; what was not chosen shows nothing; steps stay flat."""

import numpy as np
import pytest

import clearprop as cl
from tests.tiers import diagonal

X = np.array([1.0, np.nan, 2.0])
CHOOSE = {
    "max": cl.max,
    "min": cl.min,
    "maximum": lambda x: cl.sum(cl.maximum(x, 1.5)),
    "maximum, second": lambda x: cl.sum(cl.maximum(1.5, x)),
    "minimum": lambda x: cl.sum(cl.minimum(x, 1.5)),
    "clip": lambda x: cl.sum(cl.clip(x, 0.0, 1.5)),
    "clip, low": lambda x: cl.sum(cl.clip(1.0, x, 3.0)),
    "clip, high": lambda x: cl.sum(cl.clip(1.0, 0.0, x)),
    "relu": lambda x: cl.sum(cl.relu(x)),
    "relu6": lambda x: cl.sum(cl.relu6(x)),
    "leaky_relu": lambda x: cl.sum(cl.leaky_relu(x)),
    "elu": lambda x: cl.sum(cl.elu(x)),
    "selu": lambda x: cl.sum(cl.selu(x)),
    "softplus": lambda x: cl.sum(cl.softplus(x)),
    "abs": lambda x: cl.sum(cl.abs(x)),
    "logsumexp": cl.logsumexp,
    "norm": cl.norm,
    "std": cl.std,
    "huber": lambda x: cl.sum(cl.huber_error(x, 0.0)),
}
WAYS = {
    "reverse": lambda f, x: np.asarray(cl.grad(f)(x)),
    "forward": lambda f, x: forward(f, x),
    "compiled": lambda f, x: np.asarray(cl.compile(cl.grad(f))(x)),
}


def forward(f, x):
    return np.array([cl.jvp(f, (x,), (unit,))[1].item() for unit in np.eye(len(x), dtype=x.dtype)])


@pytest.mark.parametrize(("name", "way", "dtype"), diagonal(CHOOSE, WAYS, [np.float32, np.float64]))
def test_a_nan_that_was_chosen_has_derivative_nan(name, way, dtype):
    x = X.astype(dtype)
    assert np.isnan(CHOOSE[name](cl.asarray(x)).item())
    assert np.isnan(WAYS[way](CHOOSE[name], x)[1])


@pytest.mark.parametrize("way", ["reverse", "compiled"])  # forward mode adds the neighbours up
@pytest.mark.parametrize("name", ["maximum", "minimum", "clip", "relu", "relu6", "leaky_relu"])
def test_its_neighbours_keep_theirs(name, way):
    clean = np.array([1.0, 0.5, 2.0])
    np.testing.assert_array_equal(WAYS[way](CHOOSE[name], X)[[0, 2]], WAYS[way](CHOOSE[name], clean)[[0, 2]])


@pytest.mark.parametrize("step", [cl.floor, cl.ceil, cl.round, cl.sign, cl.stop_gradient])
@pytest.mark.parametrize("way", WAYS)
def test_steps_are_flat_at_nan_too(step, way):
    np.testing.assert_array_equal(WAYS[way](lambda x: cl.sum(step(x)), X), 0.0)


@pytest.mark.parametrize("way", WAYS)
def test_the_other_operand_of_a_maximum_is_not_to_blame(way):
    assert not np.isnan(WAYS[way](lambda b: cl.sum(cl.maximum(X, b)), np.ones(3))).any()
