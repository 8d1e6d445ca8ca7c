"""What a mask hides does not count: padded sequences give what each gives by itself."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn

LENGTHS = (4, 1, 3)


class Own(nn.Module):
    """A layer of one's own that is told the mask, truth values (rows, steps)."""

    inner: nn.Module

    def forward(self, x, mask=None):
        kept = x if mask is None else cl.where(mask[..., None], x, 0.0)
        return self.inner(kept) + cl.sum(kept, axis=-2, keepdims=True)


def to_dense(size=4):
    return nn.Dense(2, size, dtype=np.float64)


LAYERS = {
    "RNN": lambda: [nn.RNN(2, 4, output="last", dtype=np.float64)],
    "LSTM": lambda: [nn.LSTM(2, 4, layers=2, bidirectional=True, output="last", dtype=np.float64)],
    "GRU": lambda: [nn.GRU(2, 4, output="last", dtype=np.float64)],
    "attention": lambda: [
        nn.Dense(2, 4, dtype=np.float64), nn.MultiHeadAttention(4, 2, dtype=np.float64), nn.MeanOverSteps()],
    "block": lambda: [
        nn.Dense(2, 4, dtype=np.float64), nn.TransformerBlock(4, 2, dtype=np.float64), "tanh", nn.MeanOverSteps()],
    "within a Sequential": lambda: [nn.Sequential(to_dense(), nn.Sequential("tanh", nn.MeanOverSteps()), "tanh")],
    "behind the steps": lambda: [
        nn.Sequential(nn.GRU(2, 4, output="last", dtype=np.float64), nn.Dense(4, 3, dtype=float))],
    "within a Residual": lambda: [
        to_dense(), nn.Residual(nn.Sequential(nn.GRU(4, 2, bidirectional=True, dtype=np.float64))), nn.MeanOverSteps()],
    "within a Parallel": lambda: [
        nn.Parallel(nn.GRU(2, 3, output="last", dtype=np.float64), nn.Sequential(to_dense(), nn.MeanOverSteps()))],
    "summed in a Parallel": lambda: [
        nn.Parallel(nn.GRU(2, 4, bidirectional=False, dtype=np.float64), to_dense(), join="sum"), nn.MeanOverSteps()],
    "a convolution": lambda: [nn.Conv1d(2, 3, 3, padding="same", dtype=np.float64), nn.MeanOverSteps()],
    "a layer of one's own": lambda: [Own(inner=to_dense(2)), nn.MeanOverSteps()],
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("filler", [0.0, np.nan, 1e9])
def test_padded_sequences_give_what_each_gives_by_itself_and_so_do_their_gradients(name, filler):
    rng = np.random.default_rng(0)
    each = [rng.normal(size=(length, 2)) for length in LENGTHS]
    layers = LAYERS[name]()
    x = np.full((len(LENGTHS), max(LENGTHS), 3), filler)
    x[..., 2] = 0.0
    for row, own in enumerate(each):
        x[row, : len(own)] = np.concatenate([own, np.ones((len(own), 1))], axis=1)
    masked = nn.Masked(*layers)
    outputs, gradient = cl.value_and_grad(lambda m: cl.sum(cl.square(m(x))))(masked)
    alone = nn.Sequential(*layers)
    values = [cl.value_and_grad(lambda m, own=own: cl.sum(cl.square(m(own[None]))))(alone) for own in each]
    np.testing.assert_allclose(outputs.item(), sum(value.item() for value, _ in values), rtol=1e-12)
    for path, array in gradient.parameters().items():
        np.testing.assert_allclose(array, sum(np.asarray(g.parameters()[path]) for _, g in values), atol=1e-10)


def test_the_mean_of_no_step_is_0():
    assert np.asarray(nn.MeanOverSteps()(np.ones((2, 3)), mask=np.zeros(2, bool))).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: nn.Masked(),
        lambda: nn.Masked("relu")(np.ones(3)),
        lambda: nn.Masked("relu")(np.ones((3, 1))),
        lambda: nn.MeanOverSteps()(1.0),
    ],
)
def test_what_is_no_sequence_is_refused(wrong):
    with pytest.raises(cl.errors.ClearpropError):
        wrong()


@pytest.mark.parametrize("mask", [None, np.ones((2, 0), bool)])
def test_the_mean_of_no_step_at_all_is_0(mask):
    assert np.array_equal(nn.MeanOverSteps()(cl.zeros((2, 0, 3)), mask=mask), np.zeros((2, 3)))
