"""Numbers that kernels are given when they run: another value compiles nothing and gives the bits of the text."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import epoch_loop, kernels
from clearprop.compiler.native import cache
from clearprop.program.processes import Remembered

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("f")
Y = RNG.integers(0, 2, 40)


def new_kernels(call):
    """How many kernels a call needs that this process has not loaded yet."""
    before = len(cache._loaded)
    call()
    return len(cache._loaded) - before


def train(value):
    """A training with such a rate, decays, share that is dropped, penalty and limit."""
    optimizer = cl.optim.chain(
        cl.optim.clip_by_norm(7 * value),
        cl.optim.scale_by_adam(0.5 + value, 0.9 + value, value / 1e5),
        cl.optim.scale_by_learning_rate(value),
    )
    model = cl.nn.mlp([3, 40, 2], dropout=3 * value)
    run = cl.fit(model, (X, Y), optimizer=optimizer, epochs=1, batch_size=20, l2=value / 3, progress=False)
    return run.replay(run.steps).digest


RATES = [0.003 * 1.4**k for k in range(10)]


def test_ten_trainings_share_their_kernels():
    train(RATES[0])
    assert new_kernels(lambda: list(map(train, RATES[1:]))) == 0


def test_a_training_has_the_bits_that_it_has_with_its_numbers_in_the_text(monkeypatch):
    found = train(RATES[4])
    monkeypatch.setattr(kernels, "run_time_number", lambda *_: None)
    monkeypatch.setattr(epoch_loop, "_PROGRAMS", Remembered(epoch_loop.KNOWN))
    assert new_kernels(lambda: train(RATES[4])) > 0
    assert train(RATES[4]) == found


VALUES = [0.1, -0.1, 1 / 3, 1e-300, 1e-40, 1.4e-45, 7e-46, 16777217.5, 5e-324]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_is_rounded_as_numpy_rounds_it(dtype):
    x = np.array([1.0, 3.0, -7.0, 1e-3], dtype)

    def product(value):
        return np.asarray(cl.compile(lambda x: x * value, executor="numba")(x))

    product(0.3)
    found = []
    assert new_kernels(lambda: found.extend(map(product, VALUES))) == 0
    np.testing.assert_array_equal(found, [x * x.dtype.type(value) for value in VALUES])


COLUMNS = np.linspace(1.0, 2.0, 40)
KINDS = {
    "a factor": (lambda c: lambda x: x * c, 0.1, 0.7, True),
    "two that are equal": (lambda c: lambda x: x * 0.3 + cl.sqrt(x) * c, 0.3, 0.7, True),
    "a constant array": (lambda c: lambda x: x + cl.full((4,), c), 0.1, 0.7, True),
    "in a loop of numbers": (lambda c: lambda x: cl.fori_loop(0, 5, lambda _, s: s * c, x[0]), 0.1, 0.7, True),
    "beside a sum over rows": (lambda c: lambda x: cl.sum(x[:, None] * COLUMNS * c, axis=0), 0.3, 0.7, True),
    "beside one over short rows": (lambda c: lambda x: cl.sum(x[:, None] * COLUMNS[:3] * c, axis=0), 0.3, 0.7, False),
    "beside a random number": (lambda c: lambda x: x * cl.random.bernoulli(cl.random.key(0), c, (4,)), 0.3, 0.7, True),
    "beside a sum": (lambda c: lambda x: cl.sum(x * c), 0.3, 0.7, False),
    "beside a function": (lambda c: lambda x: cl.tanh(x) * c, 0.3, 0.7, False),
    "an exponent": (lambda c: lambda x: cl.abs(x) ** c, 0.3, 0.7, False),
    "a whole number": (lambda c: lambda x: x / c, 4.0, 5.0, False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_which_numbers_stand_in_the_text(kind):
    make, one, other, shared = KINDS[kind]
    x = np.linspace(0.5, 2.0, 4)
    cl.compile(make(one), executor="numba")(x)
    found = []
    call = cl.compile(make(other), executor="numba")
    assert (new_kernels(lambda: found.append(np.asarray(call(x)))) == 0) is shared
    np.testing.assert_allclose(found[0], np.asarray(make(other)(cl.tensor(x))), rtol=1e-15)


def test_the_source_that_is_read_shows_the_number():
    step = cl.compile(lambda x: cl.exp(x) * 0.7).lower(np.ones(3))
    assert "f64(0.7)" in step.source("numba")
