"""Networks for sequences of numbers, as settings describe them: layers of cells, or blocks of attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clearprop import nn
from clearprop.data.image_shape import THERE, sequence_shape
from clearprop.data.training_data import Prepared
from clearprop.errors import ArgumentError
from clearprop.rules import random
from clearprop.runs.settings import Settings
from clearprop.train.batches import bucket_rows, lengths_in
from clearprop.train.text_networks import CELLS, block_size, heads_of

BUCKETS, LONG, WORTH = 8, 30, 0.8
"""There are BUCKETS where sequences have LONG steps or more, and less than the part WORTH of them is left so."""
FEW = 20_000
"""Below FEW sequences of the training part, batches are smaller and epochs more."""


def network_for_sequences(settings: Settings, columns: Sequence[str], outputs: int, source: str) -> nn.Sequential:
    """The network of the settings for sequences that lie flat in these columns.

    Each feature is normalised over all steps, unless it is a column of a table, which is already; what is read is the
    state after the last step that is there, or the mean of what attention gives for each.

    Raises DataError for columns that are no sequences, ArgumentError for settings that do not suit them.
    """
    if settings.pieces or not settings.hidden:
        raise ArgumentError(
            f"these settings do not suit --model {settings.model}",
            expected="sizes of layers, and no --pieces, which cuts the numbers of a table",
            got=f"--pieces {settings.pieces}" if settings.pieces else "no sizes of layers",
            where="--pieces" if settings.pieces else "--hidden",
            try_="--hidden 64",
        )
    steps, features, masked, even = sequence_shape(columns, source)
    key = random.key(settings.own_seed)
    make = _blocks if settings.model == "transformer" else _cells
    layers = [*([] if even else [nn.BatchNorm(features)]), *make(settings, features, key)]
    front = nn.Unflatten((-1 if masked else steps, features + masked))
    drop = [nn.Dropout(settings.dropout)] if settings.dropout else []
    last = nn.Dense(settings.hidden[-1], outputs, rng=random.fold_in(key, len(settings.hidden) + 1))
    return nn.Sequential(front, *([nn.Masked(*layers)] if masked else layers), *drop, last)


def _cells(settings: Settings, features: int, key: Any) -> Iterator[Any]:
    """Layers of cells; of the last one the output after the last step."""
    if settings.activation != "tanh":
        raise ArgumentError(
            f"the cells of --model {settings.model} have activations of their own",
            expected="no --activation",
            got=f"--activation {settings.activation}",
            where="--activation",
            try_="--model transformer, or cl.nn.RNN(…, activation=…) in Python",
        )
    kind = CELLS[settings.model]
    sizes = settings.hidden
    for i, size in enumerate(sizes):
        before = features if i == 0 else sizes[i - 1]
        yield kind(before, size, output="last" if i == len(sizes) - 1 else "all", rng=random.fold_in(key, i + 1))


def _blocks(settings: Settings, features: int, key: Any) -> Iterator[Any]:
    """Blocks of attention over features with positions, and the mean over the steps."""
    size = block_size(settings, "--hidden 64,64")
    yield nn.Dense(features, size, rng=random.fold_in(key, 0))
    yield nn.SinusoidalPositions(size)
    for i in range(len(settings.hidden)):
        yield nn.TransformerBlock(
            size,
            heads_of(size),
            activation=settings.activation,
            dropout=settings.dropout,
            rng=random.fold_in(key, i + 1),
        )
    yield nn.LayerNorm(size)
    yield nn.MeanOverSteps()


def sequences_recipe(rows: int, model: str) -> Settings:
    """What suits so many sequences of the training part.

    >>> sequences_recipe(500, "gru").hidden, sequences_recipe(500, "transformer").hidden
    ((64,), (64, 64))
    """
    few = rows < FEW
    return Settings(
        model=model,
        hidden=(64, 64) if model == "transformer" else (64,),
        activation="gelu" if model == "transformer" else "tanh",
        optimizer="adamw",
        lr=3e-3,
        schedule="one_cycle",
        epochs=30 if few else 10,
        batch_size=32 if few else 128,
    )


def suitable_buckets(data: Prepared) -> int:
    """Into how many buckets of lengths batches are divided: none where little would be saved."""
    part = data.train
    names = () if data.preprocessing is None else data.preprocessing.feature_names
    if not isinstance(part, tuple) or not any(name.startswith(THERE) for name in names):
        return 1
    steps = sequence_shape(names, data.source).steps
    lengths = lengths_in(part[0].reshape(len(part[0]), steps, -1))
    buckets = bucket_rows(lengths, BUCKETS, 2)
    filled = sum(len(rows) * longest for rows, longest in buckets) / (len(lengths) * steps)
    return BUCKETS if steps >= LONG and filled < WORTH else 1
