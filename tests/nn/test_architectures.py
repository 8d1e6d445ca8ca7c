"""Named networks: they compute, learn, are stored, and their gradients are the slopes that they have."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.train import job
from clearprop.train.executor import eager_executor

RNG = np.random.default_rng(11)
IMAGES = RNG.normal(size=(24, 16, 16, 1)).astype(np.float32)
WORDS = RNG.integers(0, 6, size=(24, 5))
SMALL = {
    "lenet": (nn.lenet(1, 2, size=(16, 16)), IMAGES, (24, 2)),
    "convnet": (nn.convnet(1, 2, size=(6, 6), widths=[2, 3], dropout=0.1), IMAGES[:, :6, :6], (24, 2)),
    "resnet": (nn.resnet(1, 2, widths=[2, 4], blocks=1), IMAGES[:, :6, :6], (24, 2)),
    "transformer": (nn.transformer(6, 3, size=8, heads=2, layers=1, longest=5), WORDS, (24, 5, 3)),
    "lstm_classifier": (nn.lstm_classifier(6, 2, size=4, layers=2, dropout=0.1), WORDS, (24, 2)),
    "autoencoder": (nn.autoencoder([16, 4, 2], "tanh"), IMAGES[:, 0, :, 0], (24, 16)),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_gradient_is_the_slope_along_it(name):
    """In float64, in training, all parameters together: f(w + h·d) − f(w − h·d) against ⟨∇f, d⟩."""
    model, x, shape = SMALL[name]
    model = cl.tree_map(lambda v: v.astype(np.float64), model)
    x = x.astype(np.float64) if x.dtype.kind == "f" else x

    def loss(m):
        y, _ = nn.apply(m, x, rng=cl.random.key(0))
        return cl.mean(cl.square(y))

    assert model(x).shape == shape
    direction = cl.tree_map(lambda v: RNG.normal(size=v.shape), model)
    moved = [float(loss(cl.tree_map(lambda v, d, h=h: v + h * d, model, direction))) for h in (1e-6, -1e-6)]
    products = cl.tree_map(lambda g, d: float(cl.sum(g * d)), cl.grad(loss)(model), direction)
    slope = sum(v.item() for v in products.parameters().values())
    assert (moved[0] - moved[1]) / 2e-6 == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("name", ["lenet", "convnet", "resnet", "lstm_classifier"])
def test_it_is_trained_stored_replayed_and_explained(name, tmp_path, monkeypatch):
    """Images and sequences go through `fit` as rows of numbers do."""
    monkeypatch.setattr(job, "choose_executor", eager_executor)
    model, x, _ = SMALL[name]
    y = (x.reshape(len(x), -1).mean(axis=1) > x.mean()).astype(int)
    run = cl.fit(model, (x, y), epochs=2, batch_size=8, validation=0.25, out=tmp_path / "run")
    assert len(run.history) == 2 and run.predict(x).shape == y.shape
    again = cl.load(tmp_path / "run")
    np.testing.assert_array_equal(np.asarray(again.model(x)), np.asarray(run.model(x)))
    assert run.evaluate(x, y)["loss"] == again.evaluate(x, y)["loss"]
    path = next(iter(model.parameters()))
    state = run.replay(3)
    assert state is not None
    index = (0,) * len(model.parameters()[path].shape) if name != "lstm_classifier" else (int(x[0, 0]), 0)
    entry = cl.explain(run, path, index=index)
    assert entry.check().agrees


def test_networks_of_one_seed_are_one():
    images = nn.lenet, nn.convnet, nn.resnet
    for make in (*images, lambda **o: nn.transformer(5, **o), lambda **o: nn.lstm_classifier(5, 2, **o)):
        one, same, other = (make(seed=seed).parameters() for seed in (1, 1, 2))
        differing = [not np.array_equal(np.asarray(one[p]), np.asarray(other[p])) for p in one]
        assert any(differing) and all(np.array_equal(np.asarray(one[p]), np.asarray(same[p])) for p in one)


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.lenet(size=(12, 28)),
        lambda: nn.lenet(size=28),
        lambda: nn.convnet(size=(3, 28)),
        lambda: nn.convnet(size=(1, 28)),
        lambda: nn.convnet(widths=[]),
        lambda: nn.convnet(norm=1),
        lambda: nn.resnet(widths=[]),
        lambda: nn.resnet(blocks=0),
        lambda: nn.transformer(0),
        lambda: nn.transformer(5, size=10, heads=3),
        lambda: nn.transformer(5, longest=4)(np.zeros((1, 5), int)),
        lambda: nn.lstm_classifier(5, 0),
        lambda: nn.autoencoder([4]),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(cl.ClearpropError, match=r"where +test_architectures\.py:"):
        call()
