"""Events of a run as a run of MLflow: a callback of `cl.fit`, written by MLflow's own client."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from clearprop.errors import ArgumentError, RunError, checked_methods
from clearprop.runs.events import Event

_PARAMETERS = ("parameters", "optimizer", "loss", "epochs", "batch_size", "seed")
"""What of a run's start MLflow keeps as its parameters."""
_STATUS = {"done": "FINISHED", "interrupted": "KILLED"}
"""How MLflow calls the ends of a run; every other one has failed."""


@checked_methods
class MLflow:
    """A callback that writes a run of MLflow: settings at its start, loss and metrics of every epoch, how it ended.

    Metrics are called `train/loss`, `validation/accuracy` and the like, by step.  Needs the client of MLflow, which
    `[mlflow]` brings (mlflow-skinny).

    Args:
        store: a folder, or the address of a store or server, such as `https://example.org`.
        experiment: the experiment that the run belongs to; made if it is not there.
        name: what the run is called; by default MLflow names it.

    Raises:
        ArgumentError: mlflow is not installed.
        RunError: the store cannot be reached or written.

    >>> import clearprop as cl
    >>> import numpy as np
    >>> x = np.linspace(0.0, 1.0, 8)[:, None]
    >>> try:
    ...     tracker = cl.MLflow("mlruns", experiment="lines")
    ...     run = cl.fit(cl.nn.mlp([1, 4, 1]), (x, 2 * x), loss="mse", epochs=2, callbacks=[tracker])
    ... except cl.errors.ArgumentError as missing:
    ...     assert "clearprop[mlflow]" in str(missing)
    """

    def __init__(self, store: str | Path, experiment: str = "clearprop", name: str | None = None) -> None:
        self._package = _import_mlflow()
        self.store = _address(store)
        with _Writing(self.store):
            self._client = self._package.MlflowClient(tracking_uri=self.store)
            known = self._client.get_experiment_by_name(experiment)
            place = known.experiment_id if known else self._client.create_experiment(experiment)
            self.run_id: str = self._client.create_run(place, run_name=name).info.run_id

    def __call__(self, event: Event, state: Any) -> None:
        """Write a `start`, `epoch` or `end`; other events pass."""
        kind = event["event"]
        with _Writing(self.store):
            if kind == "start":
                for name in _PARAMETERS:
                    self._client.log_param(self.run_id, name, event[name])
            elif kind == "epoch":
                self._client.log_batch(self.run_id, metrics=self._metrics(event))
            elif kind == "end":
                self._client.set_terminated(self.run_id, _STATUS.get(event["status"], "FAILED"))

    def _metrics(self, event: Event) -> list[Any]:
        """The measures of an epoch in MLflow's form, whose names have few signs."""
        when = int(datetime.fromisoformat(event["time"]).timestamp() * 1000)
        measures = {f"{part}/{n}": v for part in ("train", "validation") for n, v in (event[part] or {}).items()}
        return [
            self._package.entities.Metric(re.sub(r"[^\w\-./: ]", "_", name), float(value), when, event["step"])
            for name, value in measures.items()
        ]


class _Writing:
    """What MLflow raises while it writes, as our error."""

    def __init__(self, store: str) -> None:
        self._store = store

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, _: object) -> None:
        if isinstance(problem, OSError) or (kind is not None and kind.__module__.partition(".")[0] == "mlflow"):
            raise RunError(
                "cannot write the run to MLflow",
                expected="a folder that can be written, or a store that answers",
                got=str(problem).partition("\n")[0][:200],
                where=self._store,
            ) from None


def _address(store: str | Path) -> str:
    """The address of a store; a folder has one, too."""
    if "://" in str(store):
        return str(store)
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # newer versions want to hear that a folder is meant
    return Path(store).resolve().as_uri()


def _import_mlflow() -> ModuleType:
    try:
        import mlflow
        import mlflow.entities
    except ModuleNotFoundError:
        raise ArgumentError(
            "runs for MLflow need its client",
            expected="mlflow, or mlflow-skinny, which the extra `mlflow` brings",
            got="no module named 'mlflow'",
            try_="pip install 'clearprop[mlflow]'",
        ) from None
    package: ModuleType = mlflow
    return package
