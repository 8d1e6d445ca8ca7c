"""A run goes on with code of the user's that draws, or reads what a callback changes; and not with other code."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import RunError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype(np.float32)
Y = (X @ np.array([1.0, 2.0, 3.0])).astype(np.float32)
WEIGHT = {"beta": 1.0}
OWN = np.random.default_rng(3)


class Noisy(cl.nn.Module):
    w: object = cl.nn.parameter()

    def forward(self, x):
        noise = np.random.normal(size=x.shape).astype(np.float32) if cl.nn.is_training() else 0.0
        return (x + noise) @ self.w


class Gated(cl.nn.Module):
    """Its `layers` are no chain: the last entry is not what comes out."""

    layers: object
    head: object

    def forward(self, x):
        return self.head(self.layers["gate"](x))


def plain(said, true):
    return cl.mean((said - true) ** 2)


def drawn(said, true):
    return cl.mean((said - true) ** 2) * OWN.random()


def weighted(said, true):
    return cl.mean((said - true) ** 2) * WEIGHT["beta"]


def halve(event, _):
    if event["event"] == "epoch":
        WEIGHT["beta"] *= 0.5


CODE = {
    "a network that draws": (lambda: Noisy(w=cl.zeros((3,), dtype=cl.float32)), plain, []),
    "a loss that draws": (lambda: cl.nn.mlp([3, 1], seed=0), drawn, []),
    "a loss whose weight a callback lowers": (lambda: cl.nn.mlp([3, 1], seed=0), weighted, [halve]),
}


def fit(kind, **options):
    model, loss, callbacks = CODE[kind]
    OWN.bit_generator.state = np.random.default_rng(3).bit_generator.state
    np.random.seed(0)
    return cl.fit(model(), (X, Y), loss=loss, callbacks=callbacks, progress=False, validation=None, **options)


@pytest.mark.filterwarnings("ignore::clearprop.ExecutorWarning")
@pytest.mark.parametrize("kind", CODE)
def test_it_goes_on_and_a_folder_moves_no_numbers(kind, tmp_path):
    WEIGHT["beta"] = 1.0
    alone = fit(kind, epochs=3)
    WEIGHT["beta"] = 1.0
    kept = fit(kind, epochs=3, out=tmp_path / "run")
    assert [e["train"] for e in alone.history] == [e["train"] for e in kept.history]
    assert len(fit(kind, epochs=5, resume=tmp_path / "run").history) == 5


def test_other_code_is_refused(tmp_path):
    cl.fit(cl.nn.mlp([3, 1]), (X, Y), loss=plain, epochs=1, progress=False, validation=None, out=tmp_path / "run")
    with pytest.raises(RunError, match="by the network and the loss that it was started with"):
        cl.fit(
            cl.nn.mlp([3, 1]), (X, Y), loss=lambda p, t: cl.mean((p - t) ** 4), epochs=2, progress=False,
            validation=None, resume=tmp_path / "run",
        )  # fmt: skip


def test_a_network_whose_layers_are_no_chain_is_trained_without_a_word(caplog):
    gate = cl.nn.Sequential(cl.nn.Dense(3, 4), cl.nn.Activation("sigmoid"))
    network = Gated(layers={"gate": gate}, head=cl.nn.Dense(4, 2))
    labels = (Y > 0).astype(int)
    cl.fit(network, (X, labels), loss="cross_entropy", epochs=1, progress=False, validation=None)
    assert "probabilities already" not in caplog.text
