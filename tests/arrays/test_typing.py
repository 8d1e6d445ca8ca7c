"""Type checkers and completion know what there is: nothing of typical code is unknown, every name says what it is."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import clearprop as cl
from tests.docs.pages import ROOT

USE = Path(__file__).with_name("typed_use.py")


@pytest.mark.verify
def test_typical_code_has_types(tmp_path):
    api = pytest.importorskip("mypy.api", reason="mypy is installed by clearprop[check]")
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)]
    options += ["--python-executable", sys.executable, "--disallow-any-unimported"]
    said, errors, code = api.run([*options, str(USE)])
    assert code == 0, said + errors


@pytest.mark.verify
def test_nothing_is_unknown_to_pyright(tmp_path):
    pytest.importorskip("pyright", reason="pyright is no dependency: pip install pyright")
    (tmp_path / USE.name).write_text(USE.read_text(encoding="utf-8"), encoding="utf-8")  # it takes no absolute path
    settings = {"typeCheckingMode": "strict", "include": [USE.name], "extraPaths": [str(ROOT / "src")]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    call = [sys.executable, "-m", "pyright", "--project", str(tmp_path), "--pythonpath", sys.executable]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0 and "0 errors, 0 warnings" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("place", ["cl", "cl.nn", "cl.optim", "cl.random", "cl.fft", "cl.linalg"])
def test_completion_says_what_every_name_is(place):
    space = eval(place, {"cl": cl})
    values = {name: getattr(space, name) for name in dir(space) if not name.startswith("_")}
    assert [name for name, value in values.items() if callable(value) and not inspect.getdoc(value)] == []


PLACES = [
    "cl",
    "cl.nn",
    "cl.optim",
    "cl.random",
    "cl.fft",
    "cl.linalg",
    "cl.sklearn",
    "cl.onnx",
    "cl.torch",
    "cl.errors",
]
SPACES = {place.removeprefix("cl.") for place in PLACES} - {"cl"}


@pytest.mark.parametrize("place", ["cl", *(f"cl.{space}" for space in sorted(SPACES))])
def test_completion_lists_what_is_public_and_nothing_else(place):
    space = eval(place, {"cl": cl})
    shown = [name for name in dir(space) if not name.startswith("__")]
    assert len(shown) >= 2 and not [name for name in shown if name.startswith("_")]
    modules = {name for name in shown if inspect.ismodule(getattr(space, name))}
    assert modules <= (SPACES if place == "cl" else set()), f"{place} shows {modules}"
    foreign = [n for n in shown if not getattr(getattr(space, n), "__module__", "clearprop").startswith("clearprop")]
    assert foreign == [], f"{place} shows {foreign}"
