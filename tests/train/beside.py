"""What one of two processes does in a run folder, at the moment when it is told to.

    python -m tests.train.beside ACTION FOLDER

It prints a line when it is ready, and begins when it reads one.
"""

import sys
from pathlib import Path

from clearprop.cli import main
from clearprop.train import training_loop
from tests.train.killed import use_eager_executor

EPOCHS = 30
TRAINING = ("iris", "--epochs", str(EPOCHS), "--hidden", "4", "--batch-size", "40", "--patience", "100",
            "--seed", "3")  # fmt: skip
ROWS = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5.1,3.5,1.4,0.2\n6.0,2.9,4.5,1.5\n"


def save_after_every_epoch():
    """A command saves every ten seconds: here there are as many moments as epochs."""
    training_loop.Loop._save_if_due = lambda self: self._save("epoch")


def act(action, folder):
    """The status with which the action ends."""
    if action == "train":
        return main(["train", *TRAINING, "--out", str(folder)])
    if action == "resume":
        return main(["train", "--resume", str(folder), "--epochs", str(EPOCHS)])
    if action == "fork":
        return main(["train", "--fork", f"{folder}@6", "--epochs", str(EPOCHS), "--out", f"{folder}-fork"])
    assert action == "predict"
    rows = folder.parent / "rows.csv"
    rows.write_text(ROWS)
    return max(main(["predict", str(folder), str(rows)]) for _ in range(10))


if __name__ == "__main__":
    use_eager_executor()
    save_after_every_epoch()
    print("ready", flush=True)
    sys.stdin.readline()
    raise SystemExit(act(sys.argv[1], Path(sys.argv[2])))
