"""A network answers each row by itself: one that takes the axis of rows for one of its own is refused."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError
from clearprop.train import metrics, shares_of_rows

RNG = np.random.default_rng(2)
N, STEPS, FEATURES = 12, 5, 4
FLAT = RNG.normal(size=(N, FEATURES)).astype(np.float32)
SEQUENCES = RNG.normal(size=(N, STEPS, FEATURES)).astype(np.float32)
Y = np.arange(N) % 2


class Centred(cl.nn.Module):
    """Without the mean of the batch, in inference as well."""

    inner: cl.nn.Dense = cl.nn.Dense(FEATURES, 2)

    def __call__(self, x):
        return self.inner(x - cl.mean(x, axis=0))


def over(layer, size=FEATURES):
    return cl.nn.Sequential(layer, cl.nn.LSTM(size, 6, output="last"), cl.nn.Dense(6, 2))


# name: network, rows, and the layer that is named
MIXING = {
    "statistics of images": (over(cl.nn.GroupNorm(1, FEATURES)), SEQUENCES, "layers[0], GroupNorm"),
    "statistics of each image": (over(cl.nn.InstanceNorm(FEATURES)), SEQUENCES, "layers[0], InstanceNorm"),
    "a pool of images": (over(cl.nn.AvgPool(3, stride=1, padding="same")), SEQUENCES, "layers[0], AvgPool"),
    "a convolution of images": (over(cl.nn.Conv2d(4, 4, 3, padding="same")), SEQUENCES, "layers[0], Conv2d"),
    "attention over rows": (
        cl.nn.Sequential(cl.nn.Dense(4, 4), cl.nn.MultiHeadAttention(4, 2), cl.nn.Dense(4, 2)), FLAT,
        "layers[1], MultiHeadAttention"),
    "rows as steps": (cl.nn.Sequential(cl.nn.LSTM(4, 3), cl.nn.Dense(3, 2)), FLAT, "layers[0], LSTM"),
    "rows as steps, both ways": (
        cl.nn.Sequential(cl.nn.GRU(4, 3, bidirectional=True), cl.nn.Dense(6, 2)), FLAT, "layers[0], GRU"),
    "rows as places": (
        cl.nn.Sequential(cl.nn.SinusoidalPositions(4), cl.nn.Dense(4, 2)), FLAT, "layers[0], Sinusoidal"),
    "rows as steps, from the last one": (
        cl.nn.Sequential(lambda x: cl.flip(cl.cumulative_sum(cl.flip(x, axis=0), axis=0), axis=0), cl.nn.Dense(4, 2)),
        FLAT, "layers[0], <lambda>"),
    "a softmax over rows": (
        cl.nn.Sequential(cl.nn.Dense(4, 2), lambda x: cl.softmax(x, axis=0)), FLAT, "layers[1], <lambda>"),
    "a module of one's own": (Centred(), FLAT, "x (2, 4)"),
}  # fmt: skip


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("name", MIXING)
def test_a_network_that_mixes_rows_is_refused(name, alike, tmp_path):
    net, x, got = MIXING[name]
    x = x.copy()
    if alike:  # the first rows say nothing then
        x[1] = x[0]
    with pytest.raises(ArgumentError, match="the network mixes rows") as error:
        cl.fit(net, (x, Y), epochs=1, batch_size=6, out=tmp_path / "run")
    assert got in error.value.got and not (tmp_path / "run").exists()


def test_batches_of_an_iterable_are_looked_at_too():
    net, x, got = MIXING["rows as steps"]
    with pytest.raises(ArgumentError, match="the network mixes rows") as error:
        cl.fit(net, [(x[:6], Y[:6]), (x[6:], Y[6:])], epochs=1)
    assert got in error.value.got


SEPARATE = {
    "the axes said": over(cl.nn.GroupNorm(1, FEATURES, space=1)),
    "rows within": cl.nn.Sequential(
        lambda x: cl.reshape(x, (-1, FEATURES)), cl.nn.Dense(FEATURES, 6), lambda x: cl.reshape(x, (-1, STEPS * 6)),
        cl.nn.Dense(STEPS * 6, 2)),
    "statistics of training": cl.nn.Sequential(
        cl.nn.BatchNorm(FEATURES), cl.nn.Dropout(0.5), cl.nn.Flatten(), cl.nn.Dense(STEPS * FEATURES, 2)),
    "steps before rows within": cl.nn.Sequential(
        lambda x: cl.permute_dims(x[:, :2], (1, 0, 2)), cl.nn.Dense(FEATURES, 3),
        lambda x: cl.permute_dims(x, (1, 0, 2)), cl.nn.Flatten(), cl.nn.Dense(6, 2)),
    "halves side by side": cl.nn.Sequential(
        cl.nn.Flatten(), lambda x: (x[:, :10], x[:, 10:]), lambda halves: halves[0] * halves[1], cl.nn.Dense(10, 2)),
    "two values of other shapes": cl.nn.Sequential(
        cl.nn.Flatten(), lambda x: (x, cl.sum(x, axis=0)), lambda pair: pair[0], cl.nn.Dense(STEPS * FEATURES, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", SEPARATE)
@pytest.mark.parametrize("value", [None, 0.0, 1.0])
def test_others_are_trained_whatever_the_numbers_are(name, value):
    x = SEQUENCES if value is None else np.full_like(SEQUENCES, value)
    assert cl.fit(SEPARATE[name], (x, Y), epochs=1, batch_size=6).status == "done"


def test_a_vocabulary_of_one_token_has_no_second():
    net = cl.nn.Sequential(cl.nn.Embedding(1, 3), cl.nn.Flatten(), cl.nn.Dense(6, 2))
    assert cl.fit(net, (np.zeros((N, 2), np.int64), Y), epochs=1, batch_size=6).status == "done"


def test_an_answer_that_changes_with_the_number_of_rows_is_refused():
    with pytest.raises(ArgumentError, match="mixes rows"):
        cl.fit(cl.nn.Sequential(cl.nn.Dense(4, 2), lambda h: h / float(h.shape[0])), (FLAT, Y), epochs=1)


@pytest.mark.parametrize("shape", [(1, 3), (1, 400), (7, 400), (400, 7), (5, 6, 300), (0, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shares_are_summed_in_one_order_along_either_axis(shape, dtype):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype) * 4
    parts = np.exp(x - x.max(axis=-1, keepdims=True))
    whole = np.add.accumulate(parts, axis=-1, dtype=np.float64)[..., -1:]
    shares = shares_of_rows(x)
    assert shares.dtype == dtype and np.array_equal(shares, (parts / whole).astype(dtype))


def test_shares_of_whole_numbers_are_no_whole_numbers():
    assert np.array_equal(shares_of_rows(np.array([[1, 2, 3]])), shares_of_rows(np.array([[1.0, 2.0, 3.0]])))


def test_a_few_rows_are_not_asked_for_segments(monkeypatch):
    asked = []
    monkeypatch.setattr(metrics, "by_segments", lambda *given: asked.append(given))
    model = cl.nn.Sequential(cl.nn.Conv2d(1, 2, 3), cl.nn.Flatten())
    for rows in (1, 32, 33):
        metrics.outputs_of(model, np.ones((rows, 4, 4, 1), np.float32))
    assert len(asked) == 1
