"""What an installation without the extra `[cli]` does, with Numba or without it: `.ci/bare` runs this."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import clearprop as cl

os.chdir(tempfile.mkdtemp())
assert Path(cl.__file__).is_relative_to(sys.prefix), f"{cl.__file__} is not the installed one"
native = importlib.util.find_spec("numba") is not None
x = np.random.default_rng(0).normal(size=(64, 3))
y = np.where(x @ [1.0, -2.0, 0.5] > 0, "yes", "no")
columns = {"a": x[:, 0], "b": x[:, 1], "y": y}

assert cl.grad(lambda x: x**3)(2.0) == 12.0
w = cl.tensor([-3.0, -1.0, 2.0], name="w", requires_grad=True)
assert "agrees within" in str(cl.explain(cl.relu(cl.sum(w * w)), wrt=w))

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always", cl.ExecutorWarning)
    run = cl.fit((x, y), epochs=2, out="run", progress=False)
messages = [str(warning.message) for warning in said]
assert messages == ([] if native else ["training runs on the NumPy executor: Numba is not installed"]), messages
assert said == [] or Path(said[0].filename).name == Path(__file__).name, f"told at {said[0].filename}"
assert np.array_equal(cl.load("run").predict(x), run.predict(x))
assert "layers[0].weight" in str(cl.explain(run, wrt="layers[0].weight", step=1))
assert run.replay(1) and cl.export(run, "python")


def error_of(use: Callable[[], object]) -> str:
    """The message of the error in which it ends."""
    try:
        use()
    except cl.errors.ArgumentError as error:
        return str(error)
    raise AssertionError("it ended in no error")


USES = {
    "a table": lambda: cl.fit(columns, target="y"),
    "a sweep": lambda: cl.sweep(columns, {"lr": [0.1]}),
    "folds": lambda: cl.cross_validate(columns),
    "estimators": lambda: cl.sklearn,
    "a metric of scikit-learn": lambda: cl.fit((x, y), epochs=1, metrics=["auc"]),
}
for name, use in USES.items():
    message = error_of(use)
    assert "pip install 'clearprop[cli]'" in message and Path(__file__).name in message, f"{name}: {message}"

done = subprocess.run([Path(sys.executable).parent / "clearprop", "train"], capture_output=True, text=True, check=False)
assert done.returncode == 2 and "pip install 'clearprop[cli]'" in done.stderr, done.stderr
print(f"without the extra [cli], {'with' if native else 'without'} Numba: all works that should")  # noqa: T201 - a command
