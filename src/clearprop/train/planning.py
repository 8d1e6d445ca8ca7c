"""One way to a job: what suits the data where nothing was asked for, the network, the loss and metrics of the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn, optim
from clearprop.data.parts import rows_in
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.training_data import Prepared
from clearprop.errors import ArgumentError
from clearprop.optim.inspection import has_rate, parse, parts, says_rate, with_rate
from clearprop.program.values import raw
from clearprop.runs.settings import SUITED, Settings
from clearprop.train.array_alignment import adapted_inputs
from clearprop.train.job import Job
from clearprop.train.metrics import Measure, find_loss, measures_for, outputs_of
from clearprop.train.rate_range import RateRange, lr_range_test

AUTO = "auto"
"""The learning rate that asks for the range test."""
LARGEST_NETWORK = 500_000_000
"""The most parameters of a network that is built from settings."""
SMALL, LARGE = 1_000, 20_000
"""Below SMALL rows of the training part a data set is small, from LARGE rows on it is large."""


def suitable_measures(classes: bool) -> tuple[str, tuple[str, ...]]:
    """The loss and the metrics that suit a task, by name: a choice among classes, or numbers."""
    return ("cross_entropy", ("accuracy",)) if classes else ("mse", ("r2", "mae"))


def suitable_loss(model: Any, data: Prepared) -> str:
    """The loss that suits the targets and the outputs of a network, by name.

    Classes by name (a data frame): cross-entropy.  Whole numbers, one a row: cross-entropy for several outputs, binary
    cross-entropy for one output and targets 0 and 1.  Probabilities, one for each output, that sum to 1:
    cross-entropy.  All other numbers: mse.  An iterable is judged by its first batch; one that can only be gone
    through once gets cross-entropy.
    """
    # The targets decide: names, whole numbers, shares, other numbers; the outputs settle what two of them leave open.
    if data.preprocessing is not None:
        return suitable_measures(bool(data.preprocessing.class_names))[0]
    pair = data.train if isinstance(data.train, tuple) else _first_batch(data.train)
    if pair is None:
        return "cross_entropy"
    x, y = pair
    outputs = outputs_of(model, adapted_inputs(model, x[:2]))
    several = outputs.shape[-1] > 1
    if y.dtype.kind in "biu" and not (several and y.ndim == outputs.ndim):
        two = not several and bool(np.isin(y, (0, 1)).all())
        return "cross_entropy" if several else "binary_cross_entropy" if two else "mse"
    shares = several and y.shape[1:] == outputs.shape[1:] and y.dtype.kind == "f" and bool((y >= 0).all())
    return "cross_entropy" if shares and np.allclose(y.sum(axis=-1), 1.0, atol=nn.losses.ROUNDING) else "mse"


def _first_batch(batches: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """The first batch of what can be gone through again; None of what cannot."""
    if isinstance(batches, DiskRows) or iter(batches) is batches:
        return None
    first = next(iter(batches), None)
    return first if first is None else (np.asarray(raw(first[0])), np.asarray(raw(first[1])))


def with_defaults(asked: Mapping[str, Any], data: Prepared) -> Settings:
    """The settings that were asked for, with what suits the data in place of those that were not."""
    assert data.preprocessing is not None
    chosen = recipe(rows_in(data.table))
    suits = {name: getattr(chosen, name) for name in SUITED}
    suits["loss"], suits["metrics"] = suitable_measures(bool(data.preprocessing.class_names))
    optimizer = asked.get("optimizer", chosen.optimizer)
    if isinstance(optimizer, str) and not takes_rate(optimizer):
        del suits["lr"]
    if data.validation is None:
        suits["patience"] = None
    return Settings(**{**suits, **asked})


def takes_rate(optimizer: str) -> bool:
    """Whether a learning rate is still to be chosen for the optimizer of that text."""
    return not says_rate(optimizer) and any(map(has_rate, parts(parse(optimizer))))


def optimizer_for(settings: Settings) -> Any:
    """The optimizer that the settings name; `lr`, where it is a number, is its rate unless its text says another.

    None for a run whose optimizer could not be written down.  Raises ArgumentError for a rate that it does not take.
    """
    text, rate = settings.optimizer, settings.lr
    if not isinstance(text, str):
        return None if text is None else optim.from_config(text)
    rule = parse(text, "--optimizer")
    if not isinstance(rate, float) or says_rate(text):
        return rule
    if not any(map(has_rate, parts(rule))):
        raise ArgumentError(
            f"{text} has no learning rate",
            expected=f"--optimizer {text} without --lr: it chooses the rate itself",
            got=f"--lr {rate:g}",
            where="--lr",
            try_=f"--optimizer {text}, or --optimizer adam --lr {rate:g}",
        )
    return with_rate(rule, rate)


def tested_rate(settings: Settings, data: Prepared) -> RateRange:
    """The range test behind `--lr auto`.  Raises ArgumentError for an optimizer that has no rate to choose."""
    text, part = settings.optimizer, data.table
    assert isinstance(text, str) and settings.batch_size
    if not takes_rate(text):
        raise ArgumentError(
            f"--lr auto has nothing to choose for {text}",
            expected="an optimizer with a learning rate that is not set",
            got=f"--optimizer {text}",
            where="--lr",
            try_="--optimizer adam --lr auto",
        )
    return lr_range_test(
        network_for(settings, data),
        part if isinstance(part, tuple) else next(part.pairs()),
        loss=settings.loss,
        optimizer=parse(text),
        batch_size=settings.batch_size,
        l1=settings.l1,
        l2=settings.l2,
        seed=settings.seed,
    )


def network_for(settings: Settings, data: Prepared) -> Any:
    """The multilayer perceptron of the settings, for the features and the outputs of the data."""
    fitted = data.preprocessing
    assert fitted is not None
    sizes = [len(fitted.feature_names), *(settings.hidden), fitted.outputs]
    _require_buildable(sizes)
    return nn.mlp(sizes, settings.activation, seed=settings.seed, dropout=settings.dropout)


def _require_buildable(sizes: list[int]) -> None:
    count = sum((a + 1) * b for a, b in pairwise(sizes))
    if count > LARGEST_NETWORK:
        raise ArgumentError(
            "the network would be too large",
            expected=f"at most {LARGEST_NETWORK:,} parameters",
            got=f"{count:,} with the layers {' → '.join(map(str, sizes))}",
            where="--hidden",
            try_="--hidden 128,64",
        )


def job_for(
    data: Prepared,
    settings: Settings,
    model: Any = None,
    *,
    optimizer: Any = None,
    loss: Measure | None = None,
    metrics: Sequence[Measure] | None = None,
    **more: Any,
) -> Job:
    """The job that settings describe.

    Network, optimizer, loss and metrics are made from the settings where they are not given; what they are called is
    recorded in the settings of the job.  `more` are further fields of `Job`.
    """
    loss = find_loss(settings.loss) if loss is None else loss
    metrics = measures_for(settings.metrics, data.preprocessing) if metrics is None else metrics
    optimizer = optimizer_for(settings) if optimizer is None else optimizer
    model = network_for(settings, data) if model is None else model
    settings = replace(
        settings,
        least_rows=nn.least_rows(model),
        loss=loss.name,
        metrics=tuple(m.name for m in metrics),
        optimizer=written_optimizer(optimizer),
    )
    return Job(model, data, loss, metrics, optimizer, settings, **more)


def written_optimizer(optimizer: Any) -> dict[str, object] | None:
    """The optimizer's `to_config()`; None for one that cannot be written down."""
    try:
        written: dict[str, object] = optimizer.to_config()
        return written
    except ArgumentError:
        return None


def recipe(rows: int) -> Settings:
    """What suits so many rows of the training part: network and training; patience counts only with validation.

    The values were chosen on the bundled sets and on Friedman's function with and without noise;
    `docs/tables/accuracy.md` shows what they reach.  Small data need strong regularisation: half of it by dropout,
    half by the L2 penalty.
    """
    if rows < SMALL:
        hidden, rate, dropout, l2, size, epochs, patience = (64, 64), 3e-3, 0.3, 0.01, 32, 400, 40
    elif rows < LARGE:
        hidden, rate, dropout, l2, size, epochs, patience = (128, 64), 1e-3, 0.2, round(1.0 / rows, 6), 32, 150, 20
    else:
        hidden, rate, dropout, l2, size, epochs, patience = (128, 128), 1e-3, 0.1, round(1.0 / rows, 8), 128, 60, 8
    return Settings(
        hidden=hidden,
        activation="relu",
        dropout=dropout,
        optimizer="adam",
        lr=rate,
        epochs=epochs,
        batch_size=size,
        l2=l2,
        patience=patience,
    )
