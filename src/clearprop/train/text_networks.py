"""Networks for running text, as settings describe them: blocks of attention, or layers of cells."""

from __future__ import annotations

from clearprop import nn
from clearprop.errors import ArgumentError
from clearprop.rules import random
from clearprop.runs.settings import Settings

FEW = 2_000
"""Below FEW rows of the training part a text is small."""
HEADS = 4
"""The heads of each attention, where the size of a block can be divided so."""
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
"""The layers of cells, by the names of networks made of them."""
NETWORKS = ("transformer", *CELLS)
"""The networks that read text."""


def network_for_text(settings: Settings, words: int) -> nn.Sequential:
    """The network of the settings, for so many different characters or words.

    Raises ArgumentError for settings that do not suit text.
    """
    if settings.model not in NETWORKS or settings.augment is not None or settings.pieces or not settings.hidden:
        raise ArgumentError(
            "running text is read by a transformer or by layers of cells",
            expected="--model transformer, lstm, gru or rnn with sizes of layers, without --augment and --pieces",
            got=f"--model {settings.model}"
            + (f" --augment {settings.augment}" if settings.augment is not None else "")
            + (f" --pieces {settings.pieces}" if settings.pieces else "")
            + ("" if settings.hidden else ", no sizes of layers"),
            where="--model",
            try_=f"--unit {settings.unit} --model transformer",
        )
    return _transformer(settings, words) if settings.model == "transformer" else _cells(settings, words)


def block_size(settings: Settings, example: str) -> int:
    """The size of every block of a transformer.  Raises ArgumentError for several sizes, or an odd one."""
    size = settings.hidden[0]
    if len(set(settings.hidden)) > 1 or size % 2:
        raise ArgumentError(
            "the blocks of a transformer have one size",
            expected="--hidden with one even number for every block",
            got=f"--hidden {','.join(map(str, settings.hidden))}",
            where="--hidden",
            try_=example,
        )
    return size


def heads_of(size: int) -> int:
    """The heads of each attention of blocks of a size."""
    return HEADS if size % HEADS == 0 else 2


def _transformer(settings: Settings, words: int) -> nn.Sequential:
    size = block_size(settings, "--hidden 128,128,128")
    return nn.transformer(
        words,
        size=size,
        heads=heads_of(size),
        layers=len(settings.hidden),
        longest=settings.context,
        dropout=settings.dropout,
        seed=settings.own_seed,
    )


def _cells(settings: Settings, words: int) -> nn.Sequential:
    """An embedding of half the size of the first layer, layers of cells, and an output for every word."""
    key, before = random.key(settings.own_seed), max(settings.hidden[0] // 2, 1)
    layers: list[nn.Module] = [nn.Embedding(words, before, rng=random.fold_in(key, 0))]
    for i, size in enumerate(settings.hidden):
        layers.append(CELLS[settings.model](before, size, rng=random.fold_in(key, i + 1)))
        layers += [nn.Dropout(settings.dropout)] if settings.dropout else []
        before = size
    return nn.Sequential(*layers, nn.Dense(before, words, rng=random.fold_in(key, len(settings.hidden) + 1)))


def text_recipe(windows: int, model: str) -> Settings:
    """What suits so many windows of running text: two or three blocks of attention, or one layer of cells.

    >>> text_recipe(14_000, "lstm").hidden, text_recipe(200, "transformer").epochs
    ((256,), 20)
    """
    few, recurrent = windows < FEW, model in CELLS
    blocks = (64, 64) if few else (128, 128, 128)
    return Settings(
        model=model,
        hidden=((64,) if few else (256,)) if recurrent else blocks,
        activation="gelu",
        optimizer="adamw" if recurrent else "muon",
        lr=3e-3,
        schedule="one_cycle",
        epochs=20 if few else 4,
        batch_size=32,
    )
