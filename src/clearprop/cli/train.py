"""`clearprop train`: the options, and nothing else; the work is in `session`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearprop.data.readers.formats import STREAMED, forms_text

_MODEL, _TRAINING, _DATA, _RUN = "Network", "Training", "Data", "Run"


def _bundled(incomplete: str) -> list[str]:
    from clearprop.data.readers.sources import BUNDLED

    return [name for name in BUNDLED if name.startswith(incomplete)]


def _activations(incomplete: str) -> list[str]:
    from clearprop.cli.settings import activations

    return [name for name in activations() if name.startswith(incomplete)]


def _optimizers(incomplete: str) -> list[str]:
    from clearprop.cli.settings import optimizers

    return [name for name in optimizers() if name.startswith(incomplete)]


def _tasks(incomplete: str) -> list[str]:
    return [name for name in ("auto", "classification", "regression") if name.startswith(incomplete)]


def train(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help=f"A {forms_text()} file, or a bundled set: "
            "digits, iris, wine, breast-cancer, diabetes, penguins, spirals.",
            show_default=False,
            autocompletion=_bundled,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="The column to learn; by default the last.", metavar="COL", rich_help_panel=_DATA),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="auto (the default), classification or regression.", autocompletion=_tasks, rich_help_panel=_DATA
        ),
    ] = None,
    val: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="The share of rows that chooses the best epoch (0.15).", rich_help_panel=_DATA
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE", help="The share of rows that is used once, at the end (0.15).", rich_help_panel=_DATA
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="The most memory that data may take: 500MB, 2GB; "
            f"larger {forms_text('and', STREAMED)} files are streamed. "
            "By default half of what is free.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(help="The sizes of the hidden layers: 64,64.", metavar="SIZES", rich_help_panel=_MODEL),
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="relu, tanh, gelu, …", autocompletion=_activations, rich_help_panel=_MODEL)
    ] = None,
    dropout: Annotated[
        str | None, typer.Option(metavar="SHARE", help="The share of hidden units to drop.", rich_help_panel=_MODEL)
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,…]",
            help="adam, adamw, sgd:momentum=0.9, …",
            autocompletion=_optimizers,
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    lr: Annotated[
        str | None,
        typer.Option(
            "--lr",
            "--learning-rate",
            metavar="RATE",
            help="The learning rate; auto finds one.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    epochs: Annotated[
        str | None, typer.Option(metavar="N", help="At most so many epochs.", rich_help_panel=_TRAINING)
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(metavar="N", help="Rows per step.", rich_help_panel=_TRAINING)
    ] = None,
    l1: Annotated[
        str | None,
        typer.Option(metavar="L1", help="Adds l1·Σ|w| over the weights to the loss.", rich_help_panel=_TRAINING),
    ] = None,
    l2: Annotated[
        str | None,
        typer.Option(metavar="L2", help="Adds l2·Σw² over the weights to the loss.", rich_help_panel=_TRAINING),
    ] = None,
    patience: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Stop after so many epochs without a better validation loss.", rich_help_panel=_TRAINING
        ),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(metavar="N", help="Same seed, same network, to the bit (0).", rich_help_panel=_TRAINING),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A new folder for the run; by default runs/DATA-1, -2, …", rich_help_panel=_RUN),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Continue the run in this folder.", metavar="RUN", rich_help_panel=_RUN),
    ] = None,
    fork: Annotated[
        str | None,
        typer.Option(
            help="Start from the exact state of a step of another run, with the settings that are given changed.",
            metavar="RUN@STEP",
            rich_help_panel=_RUN,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="A TOML or JSON file of settings; options win over it.", rich_help_panel=_RUN),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print events on stdout, one JSON object per line.", rich_help_panel=_RUN)
    ] = False,
) -> int:
    """Train a network on a table.

    Columns, classes and task are inferred and told; settings that are not given suit the size of the data.
    Ctrl-C once finishes the step, saves and reports; twice stops at once.

    **Examples**

    * `clearprop train digits`

    * `clearprop train houses.csv --target price --out runs/houses`

    * `clearprop train data.npz --hidden 128,64 --dropout 0.2 --epochs 50`

    * `clearprop train year.parquet --memory 500MB`

    * `clearprop train --resume runs/digits-1 --epochs 300`

    * `clearprop train --fork runs/digits-1@400 --lr 1e-4`

    * `clearprop train iris --json > events.jsonl`
    """
    from clearprop.cli import train_session

    options = {
        "data": data,
        "target": target,
        "task": task,
        "val": val,
        "test": test,
        "memory": memory,
        "hidden": hidden,
        "activation": activation,
        "dropout": dropout,
        "optimizer": optimizer,
        "lr": lr,
        "epochs": epochs,
        "batch_size": batch_size,
        "l1": l1,
        "l2": l2,
        "patience": patience,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if fork is not None:
        return train_session.fork(fork, given, out=out, resume=resume, config=config, json=json)
    if resume is not None:
        return train_session.resume(resume, given, out=out, config=config, json=json)
    return train_session.start(given, out=out, config=config, json=json)
