"""A loss from which no derivative reaches the network is refused before a step, however the network is trained."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.errors import GradientError
from clearprop.train.executor import eager_executor

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


class CutOff(cl.nn.Module):
    """Its outputs have no history."""

    inner: cl.nn.Dense

    def forward(self, x):
        return cl.stop_gradient(self.inner(x))


def accuracy(outputs, y):
    return -cl.mean((cl.argmax(outputs, axis=1) == y).astype(np.float32))


LOSSES = {
    "of the targets alone": lambda outputs, y: cl.mean(cl.asarray(y) * 1.0),
    "of outputs that are held": lambda outputs, y: cl.nn.cross_entropy(cl.stop_gradient(outputs), y),
    "of outputs that are rounded": lambda outputs, y: cl.mean((cl.round(outputs)[:, 0] - y) ** 2),
    "a share of right answers": accuracy,
}
DATA = {"arrays": (X, Y), "batches": [(X[:6], Y[:6]), (X[6:], Y[6:])]}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_that_does_not_reach_the_network_is_refused(loss, data, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(GradientError) as caught:
        cl.fit(cl.nn.mlp([3, 4, 2], seed=0), DATA[data], loss=LOSSES[loss], epochs=1, out=out)
    assert caught.value.headline == "no derivative of the loss reaches the network"
    assert not out.exists()


def test_a_network_that_cuts_itself_off_is_refused():
    with pytest.raises(GradientError, match="no derivative of the loss reaches the network"):
        cl.fit(CutOff(cl.nn.Dense(3, 2)), (X, Y), epochs=1)


def test_a_derivative_that_is_zero_here_is_no_cut():
    run = cl.fit(cl.nn.mlp([3, 2]), (X, Y), loss=lambda outputs, y: cl.mean(cl.relu(-abs(outputs))), epochs=1)
    assert run.status == "done"


class Half(cl.nn.Module):
    used: cl.nn.Module
    idle: cl.nn.Module

    def forward(self, x):
        return self.used(x)


def test_parameters_that_the_loss_does_not_hang_on_are_told(caplog):
    net = Half(used=cl.nn.Dense(2, 1), idle=cl.nn.Dense(2, 1))
    cl.fit(net, (np.ones((4, 2)), np.ones((4, 1))), epochs=1)
    assert "idle.weight, idle.bias: not trained" in caplog.text


class Whole(cl.nn.Module):
    w: cl.Tensor = cl.nn.parameter()
    times: cl.Tensor = cl.nn.parameter()

    def forward(self, x):
        return x @ self.w * self.times


def test_so_are_whole_numbers(caplog):
    cl.fit(Whole(np.ones((2, 1)), 3), (np.ones((4, 2)), np.zeros((4, 1))), epochs=1)
    assert "times: not trained" in caplog.text


class Shares(nn.Module):
    """A network of one's own whose answers are probabilities."""

    inner: nn.Dense

    def forward(self, x):
        return cl.softmax(self.inner(x))


LABELS = np.arange(12) % 3
ENDS = {
    "softmax": (lambda: nn.Sequential(nn.Dense(4, 3), "softmax"), LABELS, None, "cross_entropy"),
    "of one's own": (lambda: Shares(inner=nn.Dense(4, 3)), LABELS, "focal", "focal"),
    "sigmoid": (lambda: nn.Sequential(nn.Dense(4, 1), "sigmoid"), LABELS % 2, None, "binary_cross_entropy"),
    "within": (
        lambda: nn.Sequential(nn.Sequential(nn.Dense(4, 3), nn.Function(cl.sigmoid))),
        np.eye(3)[LABELS],
        "binary_cross_entropy",
        "binary_cross_entropy",
    ),
    "logits": (lambda: nn.mlp([4, 3]), LABELS, None, ""),
    "logarithms": (lambda: nn.Sequential(nn.Dense(4, 3), "log_softmax"), LABELS, None, ""),
    "numbers": (lambda: nn.Sequential(nn.Dense(4, 1), "sigmoid"), LABELS % 2 / 1.0, "mse", ""),
}


@pytest.mark.parametrize("case", ENDS)
def test_probabilities_that_a_loss_takes_for_logits_are_told(case, caplog, monkeypatch):
    monkeypatch.setattr("clearprop.train.job.choose_executor", eager_executor)
    model, y, loss, told = ENDS[case]
    x = np.random.default_rng(3).normal(size=(12, 4)).astype(np.float32)
    cl.fit(model(), (x, y), loss=loss, epochs=1)
    said = caplog.text
    assert (f"{told} takes what comes before" in said) if told else ("takes what comes before" not in said)
