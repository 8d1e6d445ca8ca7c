"""`clearprop sweep`: the options, and nothing else; the work is in `sweep_session`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearprop.cli.options import with_settings
from clearprop.runs.settings import OPTIONS

_SWEEP = "Sweep"


@with_settings(OPTIONS)
def sweep(
    set: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUES",
            help="What varies, once for each setting: lr=1e-4..1e-1:log, batch_size=16..128:int, hidden='32;64,64'.",
            rich_help_panel=_SWEEP,
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many, at most (20).", rich_help_panel=_SWEEP)
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="WAY",
            help="random (the default), grid, tpe (by Optuna), or halving: the better third is trained on, and so on.",
            rich_help_panel=_SWEEP,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Stop after 90s, 10m, 2h; what runs is saved.", rich_help_panel=_SWEEP),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="local:N (N processes; by default one a core), dask://HOST:PORT, or slurm-array.",
            rich_help_panel=_SWEEP,
        ),
    ] = None,
    threads: Annotated[
        str | None, typer.Option(metavar="N", help="Threads for each trial (1).", rich_help_panel=_SWEEP)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A new folder for the sweep; by default runs/DATA-sweep-1, -2, …", rich_help_panel=_SWEEP),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="SWEEP", help="Go on with a sweep; trials that ended are not repeated.", rich_help_panel=_SWEEP
        ),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="With --resume: this trial alone, as a job array does it.", rich_help_panel=_SWEEP
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print events on stdout, one JSON object per line.", rich_help_panel=_SWEEP)
    ] = False,
    **settings: str | None,
) -> int:
    """Train with many settings side by side, and choose the best.

    Every trial learns from the same rows and is a run folder of its own; the best is chosen by --metric on the
    validation rows, and looked at on the test rows once. Settings beside --set are the same for all trials.
    Ctrl-C once saves what runs; --resume goes on.

    **Examples**

    * `clearprop sweep digits --set lr=1e-4..1e-1:log --set hidden='32;64;64,64' --trials 30`

    * `clearprop sweep houses.csv --set l2=1e-6..1e-1:log --search halving --metric mae --on local:4 --time 10m`

    * `clearprop sweep digits --set dropout=0..0.5 --on slurm-array --out runs/dropout`

    * `clearprop sweep --resume runs/digits-sweep-1`
    """
    from clearprop.cli.sweep_session import SweepSession  # start-up time: pydantic, which the help does not need

    session = SweepSession(json=json, on=on, time=time, resume=resume)
    own = {"--set": set, "--trials": trials, "--search": search, "--threads": threads, "--out": out}
    given = {name: value for name, value in settings.items() if value is not None}
    if resume is not None:
        return session.go_on(resume, [name for name, value in own.items() if value], given, trial)
    return session.start(
        given, texts=set or [], search=search or "random", trials=trials or 20, threads=threads or "1", out=out,
        trial=trial,
    )  # fmt: skip
