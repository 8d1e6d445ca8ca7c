"""`clearprop check`: gradients against central differences, of the first rows of a run or of what a step minimised."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.train import check_run

QUICK = ("--epochs", "2", "--hidden", "8")


@pytest.mark.usefixtures("eager")
def test_check_agrees_with_central_differences(command):
    command("train", "iris", *QUICK, "--activation", "tanh", "--l1", "0.01")
    result = command("check", "runs/iris-1", "--entries", "5")
    lines = result.out.splitlines()
    assert result.code == 0
    assert [line.split()[0] for line in lines[1:5]] == [
        "layers[0].weight", "layers[0].bias", "layers[3].weight", "layers[3].bias"
    ]  # fmt: skip
    assert all(line.split()[-1] == "agrees" for line in lines[1:5])
    assert lines[-1].startswith("all gradients agree with central differences")


@pytest.mark.usefixtures("eager")
def test_check_opens_what_a_step_minimised(command):
    """Its own batch, as the mean over its shards, dropped entries and weights included: as `explain` shows it."""
    command("train", "iris", *QUICK, "--activation", "tanh", "--dropout", "0.3", "--grad-shards", "2", "--l2", "0.1")
    result = command("check", "runs/iris-1", "--entries", "5", "--step", 3)
    assert result.code == 0 and "(float64, the batch of step 3, " in " ".join(result.out.split())
    run = cl.load("runs/iris-1")
    found = {checked.path: checked.largest for checked in check_run(run, step=3)}
    for path in ("layers[0].weight", "layers[0].bias"):
        shown = np.asarray(cl.explain(run, step=3, wrt=path).gradient)
        assert found[path] == pytest.approx(np.abs(shown).max(), rel=1e-5)
    for words, headline in (
        (("--step", 3, "--rows", 4), "a step of a training has a batch of its own"),
        (("--step", 99), "the run has no such step"),
        (("--step", 0), "the run has no such step"),
    ):
        told = command("check", "runs/iris-1", *words)
        assert (told.code, told.err.splitlines()[0]) == (2, headline)


@pytest.mark.usefixtures("eager")
def test_check_finds_a_wrong_gradient(command, monkeypatch):
    from clearprop.train import gradient_check

    command("train", "iris", *QUICK)
    right = gradient_check.grad

    def wrong(f):
        return lambda model: cl.tree_map(lambda g: g * 1.001, right(f)(model))

    monkeypatch.setattr(gradient_check, "grad", wrong)
    result = command("check", "runs/iris-1")
    assert result.code == 1
    assert "DIFFERS" in result.out
    assert "the gradient differs from the central difference in layers[0].weight, " in result.out
