"""One more setting of training touches three files of the source: its declaration, the argument of `cl.fit`, its use.

A copy of the package gets one, `temper`, by which the loss is multiplied; every door then knows it.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import clearprop as cl

MOST_FILES = 4
CHANGES = {
    "runs/settings.py": [
        (
            "    shuffle: bool = training_setting(",
            '    temper: float = training_setting(1.0, "Multiplies the loss.", "a number, 0 or more", "1.5", '
            'range=NOT_NEGATIVE, metavar="FACTOR", fit="1.0", since="0.2")\n'
            "    shuffle: bool = training_setting(",
        )
    ],
    "train/fitting.py": [
        ("    min_delta: float = 0.0,\n", "    min_delta: float = 0.0,\n    temper: float = 1.0,\n"),
        ('"min_delta": min_delta}', '"min_delta": min_delta, "temper": temper}'),
        ("        seed=seed,\n    )\n", "        seed=seed,\n        temper=float(temper),\n    )\n"),
    ],
    "train/job.py": [
        (
            "    step = make_step(job.loss, by_batch,",
            "    step = make_step(lambda outputs, y: settings.temper * job.loss(outputs, y), by_batch,",
        )
    ],
}
QUICK = ("--epochs", "2", "--hidden", "4", "--batch-size", "60")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with a copy of the package that has one setting more."""
    assert len(CHANGES) <= MOST_FILES
    root = tmp_path_factory.mktemp("package")
    shutil.copytree(Path(cl.__file__).parent, root / "clearprop", ignore=shutil.ignore_patterns("__pycache__"))
    for name, edits in CHANGES.items():
        path = root / "clearprop" / name
        text = path.read_text(encoding="utf-8")
        for old, new in edits:
            assert text.count(old) == 1, f"{name}: {old}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def run(package, tmp_path):
    """Run Python with that package."""

    def call(code, *arguments):
        env = {**os.environ, "PYTHONPATH": str(package), "COLUMNS": "120"}
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )

    return call


COMMANDS = """
import contextlib, io, json, sys
from clearprop.cli import main
from clearprop.train import job
from clearprop.train.executor import eager_executor

job.choose_executor = eager_executor

def result(words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return code, out.getvalue(), err.getvalue()

print(json.dumps([result(words) for words in json.loads(sys.argv[1])]))
"""
"""Runs several commands in one process, uncompiled; prints exit code, output and messages of each."""


def test_the_command_line_has_it(run, tmp_path):
    (tmp_path / "t.toml").write_text("temper = 2.0\n")
    asked = [
        ["train", "--help"],
        ["config"],
        ["train", "penguins", "--temper", "-1"],
        ["train", "penguins", *QUICK, "--config", "t.toml", "--out", "first"],
        ["train", "--fork", "first@1", "--temper", "0.5", "--out", "second"],
        ["train", "--resume", "first", "--epochs", "3"],
    ]
    done = run(COMMANDS, json.dumps(asked))
    assert done.returncode == 0, done.stderr
    helped, shown, refused, trained, forked, resumed = json.loads(done.stdout)
    assert [code for code, _, _ in (helped, shown, trained, forked, resumed)] == [0] * 5, done.stdout
    assert "--temper" in helped[1]
    assert "# temper" in shown[1] or "temper = 1.0" in shown[1]
    assert refused[0] == 2
    assert refused[2].startswith("--temper cannot be '-1'\n  expected  a number, 0 or more\n")
    config = json.loads((tmp_path / "first" / "config.json").read_text())
    assert config["settings"]["temper"] == config["command"]["temper"] == 2.0
    assert "--temper 0.5" in forked[1]
    assert json.loads((tmp_path / "second" / "config.json").read_text())["settings"]["temper"] == 0.5


PYTHON = """
import json
from pathlib import Path
import numpy as np
import clearprop as cl

x = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
model = cl.nn.mlp([1, 2, 1], seed=0)
def weights(**more):
    run = cl.fit(model, (x, 2 * x), loss="mse", optimizer="sgd", epochs=2, batch_size=8, **more)
    return run.last.parameters()["layers[0].weight"]
print(np.array_equal(weights(), weights(temper=1.0)), np.array_equal(weights(), weights(temper=3.0)))
try:
    weights(temper=-1.0)
except cl.errors.ArgumentError as error:
    print(error.headline, "|", error.got)
cl.fit(model, (x, x), loss="mse", epochs=1, temper=2.0, out="run")
print(cl.load("run").config.settings.temper)
config = json.loads(Path("run/config.json").read_text())
del config["settings"]["temper"]                     # a run of a version before it
Path("run/config.json").write_text(json.dumps(config))
print(cl.load("run").config.settings.temper)
"""


def test_python_has_it(run):
    told = run(PYTHON)
    assert told.stdout.splitlines() == [
        "True False", "fit cannot work with this temper | temper = -1.0", "2.0", "1.0"
    ], told.stderr  # fmt: skip
