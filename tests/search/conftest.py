"""Sweeps of six tiny trainings that share one compiled step: they differ in how long they train."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import clearprop as cl
from tests.cli.conftest import command, eager  # noqa: F401 - fixtures

SPACE = {"epochs": "1;2;3;4;5;6"}
SETTINGS = {"hidden": (4,), "batch_size": 40, "lr": 0.05, "metric": "accuracy", "dropout": 0.0, "seed": 1}
TRIALS = 6


def sweep_of_six(out, **how):
    return cl.sweep("iris", SPACE, trials=TRIALS, search="grid", out=out, **SETTINGS, **how)


def weights(found):
    """The bytes of every trial's network, by number."""
    folders = {e.request.number: found.folder / f"trials/trial-{e.request.number:03d}" for e in found.trials}
    return {number: (folder / "model.safetensors").read_bytes() for number, folder in folders.items()}


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """The sweep on two threads of this process."""
    with ThreadPoolExecutor(2) as executor:
        return sweep_of_six(tmp_path_factory.mktemp("sweep") / "six", executor=executor)


@pytest.fixture(scope="session")
def dask(tmp_path_factory):
    """A folder with Dask."""
    place = tmp_path_factory.mktemp("dask")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), "distributed"]
    if subprocess.run(install, capture_output=True).returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("pip cannot install distributed")
        pytest.skip("pip cannot install distributed")
    return place
