"""What callbacks change around a loss or a network of the user's counts in the steps that follow, and is told."""

import numpy as np
import pytest

import clearprop as cl

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype(np.float32)
Y = (X @ np.array([1.0, 2.0, 3.0])).astype(np.float32)


class Scaled(cl.nn.Module):
    def forward(self, x):
        return x * OPTIONS["scale"]


OPTIONS = {"scale": 1.0, "beta": 1.0}


def weighted(said, true):
    return cl.mean((said - true) ** 2) * OPTIONS["beta"]


def halve(name):
    def callback(event, _):
        if event["event"] == "epoch":
            OPTIONS[name] *= 0.5

    return callback


def losses(callback=None, **options):
    OPTIONS.update(scale=1.0, beta=1.0)
    settings = {"loss": weighted, "optimizer": cl.optim.sgd(0.0), "epochs": 4, "progress": False, "validation": None}
    network = cl.nn.Sequential(Scaled(), cl.nn.Dense(3, 1, rng=0))
    run = cl.fit(network, (X, Y), callbacks=[callback] if callback else [], **{**settings, **options})
    return np.array([epoch["train"]["loss"] for epoch in run.history])


@pytest.mark.parametrize("options", [{}, {"grad_shards": 2}, {"batch_size": 64}], ids=str)
def test_a_weight_that_a_callback_lowers_counts_from_the_next_epoch_on(options):
    same = losses(**options)
    with pytest.warns(cl.ExecutorWarning, match=r"OPTIONS\['beta'\], which the network, the loss"):
        lowered = losses(halve("beta"), **options)
    assert np.allclose(lowered, same * 0.5 ** np.arange(4), rtol=1e-6)


def test_so_does_an_option_of_the_network():
    with pytest.warns(cl.ExecutorWarning, match="a replay takes what it holds then"):
        found = losses(halve("scale"))
    OPTIONS.update(beta=1.0)
    dense = cl.nn.Dense(3, 1, rng=0)
    expected = [np.mean((np.asarray(dense(X * np.float32(0.5**n)))[:, 0] - Y) ** 2) for n in range(4)]
    assert np.allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("place", ["loss", "network"])
def test_numbers_that_code_of_the_users_draws_are_drawn_at_every_step(place):
    drawn = np.random.default_rng(0)
    seen = []

    def draw():
        seen.append(drawn.random())
        return seen[-1]

    class Noisy(cl.nn.Module):
        def forward(self, x):
            return x * draw() if cl.nn.is_training() else x

    def noisy(said, true):
        return cl.mean((said - true) ** 2) * draw()

    network = cl.nn.Sequential(Noisy(), cl.nn.Dense(3, 1)) if place == "network" else cl.nn.Dense(3, 1)
    loss = {"loss": noisy} if place == "loss" else {}
    with pytest.warns(cl.ExecutorWarning, match="draws random numbers that would be the same at every step"):
        cl.fit(network, (X, Y), epochs=5, progress=False, validation=None, baseline=False, **loss)
    assert len(seen) >= 5 * 2
