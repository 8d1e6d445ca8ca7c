"""A run for MLflow: what is written, by a client that notes it here, and by the real one in `make verify`."""

import json
import os
import subprocess
import sys
import sysconfig
import types

import pytest

import clearprop as cl
from benchmarks.peers import ROOT, provide
from clearprop.errors import ArgumentError, RunError


class Client:
    """What a client of MLflow is told."""

    def __init__(self, tracking_uri):
        self.uri, self.params, self.metrics, self.status = tracking_uri, {}, [], None

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        return f"number of {name}"

    def create_run(self, experiment, run_name):
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=f"{run_name} in {experiment}"))

    def log_param(self, run, name, value):
        self.params[name] = value

    def log_batch(self, run, metrics):
        self.metrics += metrics

    def set_terminated(self, run, status):
        self.status = status


@pytest.fixture
def package(monkeypatch):
    found, entities = types.ModuleType("mlflow"), types.ModuleType("mlflow.entities")
    entities.Metric = lambda key, value, when, step: (key, value, step)
    found.MlflowClient, found.entities = Client, entities
    monkeypatch.setitem(sys.modules, "mlflow", found)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return found


@pytest.mark.usefixtures("eager", "package")
def test_settings_epochs_and_the_end_are_written(network, data, tmp_path):
    tracker = cl.MLflow(tmp_path / "runs", experiment="small", name="first")
    run = cl.fit(network, data, epochs=3, validation=0.25, metrics=("accuracy",), callbacks=[tracker])
    client = tracker._client
    assert client.uri == (tmp_path / "runs").resolve().as_uri()
    assert tracker.run_id == "first in number of small"
    assert (client.params["epochs"], client.params["seed"], client.status) == (3, 0, "FINISHED")
    told = {(key, step): value for key, value, step in client.metrics}
    assert told == {
        (f"{part}/{name}", event["step"]): event[part][name]
        for event in run.history
        for part in ("train", "validation")
        for name in ("loss", "accuracy")
    }


def test_a_store_that_fails_is_said(package, monkeypatch):
    class Refused(Exception):
        __module__ = "mlflow.exceptions"

    def refuse(self, name):
        raise Refused("no such host")

    monkeypatch.setattr(Client, "get_experiment_by_name", refuse)
    with pytest.raises(RunError, match="no such host"):
        cl.MLflow("https://example.org")


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ArgumentError, match=r"pip install 'clearprop\[mlflow\]'"):
        cl.MLflow("runs")


REAL = """
import json, sys
sys.path.append(sys.argv[1])  # behind everything of ours
import numpy as np
import clearprop as cl
from mlflow import MlflowClient

tracker = cl.MLflow("runs", experiment="lines", name="first")
x = np.linspace(0.0, 1.0, 8)[:, None]
run = cl.fit(cl.nn.mlp([1, 4, 1]), (x, 2 * x), loss="mse", epochs=3, validation=0.25, callbacks=[tracker])
client = MlflowClient(tracking_uri=tracker.store)
(found,) = client.search_runs([client.get_experiment_by_name("lines").experiment_id])
told = {k: [[m.step, m.value] for m in client.get_metric_history(found.info.run_id, k)] for k in found.data.metrics}
wanted = {
    f"{part}/{name}": [[e["step"], e[part][name]] for e in run.history]
    for part in ("train", "validation") for name in run.history[0][part]
}
print(json.dumps([found.info.status, found.info.run_name, found.data.params["loss"], told == wanted, len(told)]))
"""


@pytest.mark.verify
def test_the_real_client_writes_a_folder(tmp_path):
    installed = provide(["mlflow"])["mlflow"]
    assert not installed.absent, installed.absent
    packages = sysconfig.get_path("purelib", vars={"base": str(ROOT / ".bench")})
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    command = [sys.executable, "-W", "ignore", "-c", REAL, packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    status, name, loss, same, measures = json.loads(done.stdout.splitlines()[-1])
    assert (status, name, loss, same) == ("FINISHED", "first", "mse", True)
    assert measures >= 2
