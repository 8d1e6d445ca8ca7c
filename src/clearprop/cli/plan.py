"""The plan of a run: what suits the data where nothing was asked for, the network, and the job."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from clearprop import nn
from clearprop.cli.optimizer_words import made, takes_rate
from clearprop.cli.settings import TrainSettings
from clearprop.data.readers.sources import BUNDLED
from clearprop.data.training_data import Prepared
from clearprop.errors import ArgumentError
from clearprop.runs.events import Events
from clearprop.runs.folder import Settings
from clearprop.train.defaults import Recipe
from clearprop.train.job import Job
from clearprop.train.metrics import find_loss, measures_for

LARGEST_NETWORK = 500_000_000
"""The most parameters that the command line builds."""


def completed(settings: TrainSettings, chosen: Recipe, source: str, data: Prepared) -> TrainSettings:
    """The settings with what suits the data in place of what was not given."""
    fitting = {
        "hidden": chosen.hidden,
        "activation": chosen.activation,
        "optimizer": chosen.optimizer,
        "lr": chosen.learning_rate,
        "epochs": chosen.epochs,
        "batch_size": chosen.batch_size,
        "dropout": chosen.dropout,
        "l2": chosen.l2,
        "patience": chosen.patience,
    }
    missing = {name: value for name, value in fitting.items() if getattr(settings, name) is None}
    if not takes_rate(settings.optimizer or chosen.optimizer):
        missing.pop("lr", None)
    if data.validation is None:
        missing["patience"] = None
    where = source if source in BUNDLED else str(Path(source).resolve())
    return settings.model_copy(update={**missing, "data": where})


def job_for(full: TrainSettings, data: Prepared, events: Events, out: Path | None, resume: Path | None) -> Job:
    """The job that completed settings describe."""
    fitted = data.preprocessing
    model, name = network_for(full, data)
    loss = find_loss(name)
    metrics = measures_for(("accuracy",) if name == "cross_entropy" else ("r2", "mae"), fitted)
    optimizer = made(full.optimizer or "adam", number(full.lr))
    settings = Settings(
        loss=loss.name,
        metrics=tuple(m.name for m in metrics),
        optimizer=optimizer.to_config(),
        epochs=full.epochs or 1,
        batch_size=full.batch_size,
        l1=full.l1,
        l2=full.l2 or 0.0,
        patience=full.patience,
        min_delta=0.0,
        shuffle=True,
        seed=full.seed,
    )
    command: dict[str, object] = full.model_dump(mode="json")
    return Job(model, data, loss, metrics, optimizer, settings, out, resume, events=events, command=command)


def network_for(full: TrainSettings, data: Prepared) -> tuple[Any, str]:
    """The network and the name of its loss."""
    fitted = data.preprocessing
    assert fitted is not None
    sizes = [len(fitted.feature_names), *(full.hidden or ()), fitted.outputs]
    _check_size(sizes)
    model = nn.mlp(sizes, full.activation, seed=full.seed, dropout=full.dropout or 0.0)
    return model, "cross_entropy" if fitted.class_names else "mse"


def number(rate: float | str | None) -> float | None:
    """A learning rate that is a number; None for `auto` and for rules without one."""
    return rate if isinstance(rate, float) else None


def _check_size(sizes: list[int]) -> None:
    count = sum((a + 1) * b for a, b in pairwise(sizes))
    if count > LARGEST_NETWORK:
        raise ArgumentError(
            "the network would be too large",
            expected=f"at most {LARGEST_NETWORK:,} parameters",
            got=f"{count:,} with the layers {' → '.join(map(str, sizes))}",
            where="--hidden",
            try_="--hidden 128,64",
        )
