"""The exported file of every kind of layer repeats the run, and its gradients are those of central differences."""

import runpy

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.train.executor import eager_executor
from tests.exporting.test_python_file import own_losses

RNG, ROWS = np.random.default_rng(5), 24
ROW, SEQUENCE = (RNG.normal(size=(ROWS, *shape)).astype(np.float32) for shape in ((4,), (5, 3)))
IMAGE, VOLUME = (RNG.normal(size=(ROWS, *shape)).astype(np.float32) for shape in ((5, 7, 2), (3, 4, 2, 1)))
WORDS, Y = RNG.integers(0, 5, (ROWS, 4)), RNG.integers(0, 2, ROWS)
MASKED = np.concatenate([SEQUENCE, (np.arange(5) < RNG.integers(0, 6, ROWS)[:, None])[..., None]], axis=-1)
LAYERS = {
    "embedding": (WORDS, lambda: [nn.Embedding(5, 3, padding=0), nn.Flatten(), nn.Dense(12, 2)]),
    "gru of all steps": (SEQUENCE, lambda: [nn.GRU(3, 4), nn.Flatten(), nn.Dense(20, 2)]),
    "masked transformer": (
        MASKED,
        lambda: [nn.Masked(nn.Dense(3, 4), nn.TransformerBlock(4, 2), nn.MeanOverSteps()), nn.Dense(4, 2)],
    ),
    "convolution": (
        IMAGE,
        lambda: [
            nn.Conv2d(2, 3, (3, 2), stride=(2, 3), padding=(1, 2), dilation=(1, 2)), "relu", nn.Dropout2d(0.3),
            nn.Flatten(), nn.Dense(27, 2),
        ],
    ),
    "bag": (WORDS, lambda: [nn.EmbeddingBag(5, 3, mode="max", padding=0), nn.Dense(3, 2)]),
    "lstm, two layers both ways": (
        SEQUENCE,
        lambda: [nn.LSTM(3, 4, layers=2, bidirectional=True, output="last"), nn.Dense(8, 2)],
    ),
    "masked rnn with statistics": (
        MASKED,
        lambda: [nn.Masked(nn.BatchNorm(3), nn.RNN(3, 4, output="last")), nn.Dense(4, 2)],
    ),
    "attention, grouped, turned": (
        SEQUENCE,
        lambda: [
            nn.Dense(3, 8), nn.MultiHeadAttention(8, 4, kv_heads=2, causal=True, rotary=True),
            nn.LearnedPositions(9, 8), nn.Flatten(), nn.Dense(40, 2),
        ],
    ),
    "block, norms last": (
        SEQUENCE,
        lambda: [
            nn.Dense(3, 8), nn.SinusoidalPositions(8), nn.TransformerBlock(8, 2, first=False, norm="rms"),
            nn.Flatten(), nn.Dense(40, 2),
        ],
    ),
    "convolution along one axis": (
        SEQUENCE,
        lambda: [nn.Conv1d(3, 4, 3, padding=2, dilation=2), nn.GlobalPool(space=1), nn.Dense(4, 2)],
    ),
    "convolution of volumes": (VOLUME, lambda: [nn.Conv3d(1, 2, (2, 1, 2)), nn.Flatten(), nn.Dense(16, 2)]),
    "transposed": (
        IMAGE,
        lambda: [
            nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1, output_padding=1), nn.GlobalPool(), nn.Dense(2, 2),
        ],
    ),
    "pools": (
        IMAGE,
        lambda: [
            nn.MaxPool((3, 2), stride=1, padding=1), nn.AvgPool(3, stride=2, padding=1, count_padding=False),
            nn.AdaptivePool((2, 3), mode="max"), nn.Upsample((2, 1), mode="linear"), nn.Flatten(), nn.Dense(24, 2),
        ],
    ),
    "norms of groups": (
        IMAGE,
        lambda: [nn.Conv2d(2, 6, 2, groups=2, padding="same"), nn.GroupNorm(3, 6), nn.InstanceNorm(6, affine=True),
                 nn.Flatten(), nn.Dense(210, 2)],
    ),
    "norms of weights, gates": (
        ROW,
        lambda: [
            nn.WeightNorm(nn.Dense(4, 6)), nn.PReLU(6), nn.GLU(), nn.SwiGLU(3, 5, 4), nn.RMSNorm(4),
            nn.Residual(nn.Sequential(nn.Dense(4, 4), nn.DropPath(0.3))), nn.Dense(4, 2),
        ],
    ),
}  # fmt: skip
FIRST = ("embedding", "gru of all steps", "masked transformer", "convolution")
"""Those that had faults of their own, and the dearest one of the others."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.verify] * (name not in FIRST)) for name in LAYERS]
)
def test_the_file_of_every_layer_repeats_the_run(name, tmp_path, monkeypatch):
    monkeypatch.setattr("clearprop.train.job.choose_executor", eager_executor)
    x, layers = LAYERS[name]
    run = cl.fit(
        nn.Sequential(*layers()), (x, Y), epochs=2, batch_size=7, optimizer=cl.optim.adam(1e-2), progress=False
    )
    cl.export(run, "python", tmp_path / "network.py")
    there = runpy.run_path(str(tmp_path / "network.py"))
    with np.load(tmp_path / "network.npz") as data:
        rows = data["x"], data["y"]
    parameters, state = there["start"](tmp_path / "network.safetensors")
    with np.errstate(all="ignore"):
        assert there["check_gradients"](parameters, *rows) < 1e-6
        losses = [float(step[1]) for step in there["train"](parameters, state, *rows, 6)]
    np.testing.assert_allclose(losses, own_losses(run, 6), rtol=1e-5)
