"""`clearprop train`: the options, and nothing else; the work is in `train_session`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearprop.cli.options import with_settings
from clearprop.cli.standard_input import on_all_ranks
from clearprop.distributed import World
from clearprop.errors import ArgumentError
from clearprop.program.processes import is_one_of_several
from clearprop.runs.folder import holds_folds, is_ensemble
from clearprop.runs.settings import OPTIONS

_RUN = "Run"


@with_settings(OPTIONS)
def train(
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
    initial_weights: Annotated[
        Path | None,
        typer.Option(
            help="Begin with the best weights of another run with the same network, columns and classes.",
            metavar="RUN",
            rich_help_panel=_RUN,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Test every row once, in so many parts, by trainings on the other rows: a run for each part.",
            metavar="N",
            rich_help_panel=_RUN,
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(help="With --folds: divide the rows anew so often (1).", metavar="N", rich_help_panel=_RUN),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(
            help="An ensemble: so many networks, each with other rows to validate, whose answers are averaged.",
            metavar="N",
            rich_help_panel=_RUN,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="An ensemble of as many networks as end in this time, at least one: 60s, 5m.",
            metavar="TIME",
            rich_help_panel=_RUN,
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Folds or members: train several at once, by local:N (processes), or dask://HOST:PORT.",
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
    world: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help="Whether processes that mpiexec or srun started share this training: auto, none or mpi.",
            rich_help_panel=_RUN,
        ),
    ] = "auto",
    rank_timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="A process that has waited so long for the others ends all, and prints where it waited.",
            rich_help_panel=_RUN,
            min=1.0,
        ),
    ] = 600.0,
    **settings: str | None,
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

    * `clearprop train penguins --folds 5 --repeats 3 --metric auc`

    * `clearprop train houses.csv --recipe best --time 60s`

    * `clearprop train houses.csv --members 5 --on local:2`

    * `clearprop train iris --json > events.jsonl`

    * `mpiexec -n 4 clearprop train houses.csv --grad-shards 4 --batch-size 512`
    """
    from clearprop.cli import train_session  # start-up time: pydantic, which the help does not need

    given = {name: value for name, value in settings.items() if value is not None}
    if folds is not None or repeats is not None:
        from clearprop.cli import folds_session  # start-up time: a training by itself does without

        others = {
            "--resume": resume,
            "--fork": fork,
            "--initial-weights": initial_weights,
            "--world mpi": world if world == "mpi" else None,
            "--members": members,
            "--time": time,
        }
        return folds_session.cross_validate(given, folds, repeats, others, out=out, config=config, json=json, on=on)

    if resume is not None and holds_folds(resume):
        from clearprop.cli import folds_session  # start-up time: as above

        further = {"--fork": fork, "--out": out, "--config": config, "--initial-weights": initial_weights}
        return folds_session.resume(resume, given, {**further, "--members": members, "--time": time}, json=json, on=on)
    if members is not None or time is not None or (resume is not None and is_ensemble(resume)):
        from clearprop.cli import ensemble_session  # start-up time: as above

        extent = ensemble_session.asked_extent(members, time)
        others = {
            "--fork": fork,
            "--initial-weights": initial_weights,
            "--world mpi": "mpi" if world == "mpi" else None,
        }
        if resume is None:
            return ensemble_session.start(given, extent, others, out=out, config=config, json=json, on=on)
        others |= {"--out": out, "--config": config}
        return ensemble_session.resume(resume, given, extent, others, json=json, on=on)
    if on is not None:
        raise _only_one(on)

    begun = {"weights": initial_weights}

    def work(ranks: World | None) -> int:
        session = train_session.Session(json, ranks)
        if fork is not None:
            return train_session.fork(session, fork, given, out=out, resume=resume, config=config, **begun)
        if resume is not None:
            return train_session.resume(session, resume, given, out=out, config=config, **begun)
        return train_session.start(session, given, out=out, config=config, **begun)

    if is_one_of_several(world, "--world"):
        return on_all_ranks(work, rank_timeout)
    return work(None)


def _only_one(on: str) -> ArgumentError:
    return ArgumentError(
        "--on is for several trainings, and this is one",
        expected="--on with --folds, --members or --time; the processes of one training are started by mpiexec",
        got=f"--on {on}",
        where="--on",
        try_=f"--folds 5 --on {on}; or mpiexec -n 2 clearprop train DATA --grad-shards 2",
    )
