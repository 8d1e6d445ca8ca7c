"""`clearprop train --model conv`: images in an NPZ file, learned by convolutions, and everything a run has."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import clearprop as cl
from tests.data.png import save_pictures

pytestmark = pytest.mark.usefixtures("eager")
QUICK = ("--hidden", "4", "--epochs", "2", "--batch-size", "64")


def images(rows=160):
    x, y = load_digits(return_X_y=True)
    return (16 * x[:rows].reshape(-1, 8, 8)).clip(0, 255).astype(np.uint8), y[:rows]


@pytest.fixture
def files():
    """`images.npz` with a test part of its own."""
    x, y = images()
    np.savez("images.npz", x_train=x[:120], y_train=y[:120], x_test=x[120:], y_test=y[120:])


def test_images_are_learned_by_convolutions_and_their_run_does_what_every_run_does(command, files):
    told = command("train", "images.npz", "--model", "conv", "--augment", "shift:1,flip", *QUICK, "--out", "run")
    assert told.code == 0, told.err
    assert "network   8 × 8 × 1, convolutions → 4 → 10, relu, dropout 0.3, augmented by shift:1,flip" in told.out
    assert "by one_cycle" in told.out
    run = cl.load("run")
    kinds = [type(layer).__name__ for layer in run.model.layers[:4]]
    assert kinds == ["Unflatten", "RandomShift", "RandomFlip", "Conv2d"]
    assert json.loads(Path("run/config.json").read_text())["settings"]["schedule"] == "one_cycle"

    predicted = command("predict", "run", "images.npz").out.splitlines()
    assert predicted[0].startswith("row,y,p(0)") and len(predicted) == 161
    assert [line.split(",")[1] for line in predicted[1:]] == run.predict("images.npz").astype(str).tolist()
    assert "160 rows" in command("evaluate", "run", "images.npz").out
    assert run.replay(3).digest == run.replay(3).digest
    assert cl.explain(run, "layers[3].weight", step=2)[1, 1, 0, 3].check().agrees
    assert command("report", "run").code == 0
    assert command("export", "run", "--format", "onnx").code == 0


def test_a_run_goes_on_with_its_schedule(command, files):
    """Epochs over which the rate moves are part of the run; without them it is resumed as ever."""
    assert command("train", "images.npz", "--model", "conv", *QUICK, "--out", "run").code == 0
    assert command("train", "--resume", "run").code == 0
    told = command("train", "--resume", "run", "--epochs", "3")
    assert told.code == 2
    assert told.err.splitlines()[:3] == [
        "the learning rate of this run moves over 2 epochs",
        "  expected  --resume without --epochs: --schedule one_cycle would give its steps other rates",
        "  got       --epochs 3",
    ]
    assert command("train", "--fork", "run@2", "--lr", "0.001", "--out", "second").code == 0


def test_a_rate_moves_over_all_updates(command):
    told = command(
        "train", "iris", "--schedule", "cosine", "--lr", "0.1", "--epochs", "4", "--batch-size", "53", "--out", "run"
    )
    assert told.code == 0 and "adam 0.1 by cosine" in told.out
    assert cl.load("run").config.settings.optimizer["learning_rate"] == {
        "name": "cosine", "value": 0.1, "steps": 8, "floor": 0.0
    }  # fmt: skip


def npz(**arrays):
    np.savez("images.npz", **arrays)


X, Y = images(20)
MESSAGES = {
    "no images": (
        lambda: npz(x=X.reshape(20, -1), y=Y), ("--model", "conv"),
        "these data are no images", "--model mlp, or numpy.savez(file, x=x.reshape(-1, 28, 28), y=y)"),
    "channels first": (
        lambda: npz(x=np.repeat(X[:, None], 3, axis=1), y=Y), ("--model", "conv"),
        "the channels of these images come first", "numpy.savez(file, x=numpy.moveaxis(x, 1, -1), y=y)"),
    "too small": (
        lambda: npz(x=X, y=Y), ("--model", "conv", "--hidden", "4,4,4,4"),
        "these convolutions do not suit images of this size", "fewer sizes, such as --hidden 16"),
    "pieces": (
        lambda: npz(x=X, y=Y), ("--model", "conv", "--pieces", "4"),
        "--pieces cuts the numbers of a table", "--model mlp, or no --pieces"),
    "unknown way": (
        lambda: npz(x=X, y=Y), ("--model", "conv", "--augment", "turn"),
        "--augment cannot be 'turn'", "--augment shift:2,flip"),
    "no pixels": (
        lambda: npz(x=X, y=Y), ("--model", "conv", "--augment", "shift:0"),
        "--augment cannot be 'shift:0'", "--augment shift:2,flip"),
    "augmented table": (
        lambda: npz(x=X, y=Y), ("--augment", "flip"),
        "--augment is for images, which --model conv learns", "--model conv --augment flip"),
    "unknown network": (
        lambda: npz(x=X, y=Y), ("--model", "cnn"), "no model named 'cnn'", "'conv', the nearest name"),
    "unknown schedule": (
        lambda: npz(x=X, y=Y), ("--schedule", "cosin"), "no schedule named 'cosin'", "'cosine', the nearest name"),
    "no rate": (
        lambda: npz(x=X, y=Y), ("--optimizer", "polyak", "--schedule", "cosine"),
        "polyak has no learning rate that could move", "--schedule constant"),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_a_mistake_is_one_message_and_nothing_is_written(name, command):
    make, words, headline, remedy = MESSAGES[name]
    make()
    told = command("train", "images.npz", *words)
    assert told.code == 2 and told.out == ""
    lines = told.err.splitlines()
    assert lines[0] == headline and lines[-1] == f"  try       {remedy}"
    assert [line.split()[0] for line in lines[1:]] == ["expected", "got", "where", "try"]
    assert not Path("runs").exists()


def test_a_folder_of_pictures_is_learned_and_its_run_does_what_every_run_does(command):
    save_pictures(Path("halves"), 20)
    told = command("train", "halves", "--model", "conv", "--size", "6x6", *QUICK, "--out", "run")  # of two updates
    assert told.code == 0, told.err
    assert "40 pictures resized to 6 × 6" in told.out and "network   6 × 6 × 1, convolutions → 4 → 2" in told.out
    predicted = command("predict", "run", "halves")
    lines = predicted.out.splitlines()
    assert lines[0] == "row,file,class,p(left),p(right)" and lines[1].startswith("0,left/000.png,")
    assert len(lines) == 41 and predicted.err == "40 pictures resized to 6 × 6\n"
    single = command("predict", "run", "halves/right/003.png").out.splitlines()
    assert single[1].split(",")[2:] == lines[24].split(",")[2:] and single[1].startswith("0,003.png,")
    run = cl.load("run")
    assert [line.split(",")[2] for line in lines[1:]] == run.predict("halves").tolist()
    assert "40 rows" in command("evaluate", "run", "halves").out
    assert run.replay(2).digest == run.replay(2).digest
    assert cl.explain(run, "layers[1].weight", row=3)[1, 1, 0, 3].check().agrees
    assert command("report", "run").code == 0
    assert command("train", "--resume", "run").code == 0
    changed = Path("halves/left/000.png")
    changed.write_bytes(Path("halves/right/000.png").read_bytes())
    assert "data.digest" in command("train", "--resume", "run").err


def test_pictures_that_cannot_be_judged_say_so(command):
    save_pictures(Path("halves"), 8)
    assert command("train", "halves", "--model", "conv", *QUICK, "--out", "run").code == 0
    told = command("evaluate", "run", "halves/left")
    assert told.code == 2 and told.err.splitlines()[0] == "these pictures have no classes"
    assert command("predict", "run", "halves/left").code == 0


def test_fit_takes_a_folder_of_pictures(command):
    save_pictures(Path("halves"), 8)
    run = cl.fit("conv", "halves", size="4x4", epochs=1, validation=0.25)
    assert run.predict("halves/left/000.png").shape == (1,)
    assert run.evaluate("halves").keys() == {"loss", "accuracy"}
