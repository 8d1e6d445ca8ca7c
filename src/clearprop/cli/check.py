"""`clearprop check`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from clearprop.cli.console import output, say, table
from clearprop.cli.exit_codes import DONE, FAULT
from clearprop.cli.onnx_model import DataFile, Drawn, RunOrModel, check_outputs, is_model, refuse_for_a_run
from clearprop.errors import ArgumentError
from clearprop.train import Checked, check_run, load


def check(
    run: RunOrModel,
    rows: Annotated[
        int | None, typer.Option(metavar="N", help="So many rows of its training data, or of --data (32).")
    ] = None,
    entries: Annotated[int, typer.Option(metavar="N", help="At most so many entries of a parameter.")] = 20,
    step: Annotated[
        int | None, typer.Option(metavar="K", help="What this step of the training minimised: its whole batch.")
    ] = None,
    data: DataFile = None,
    example: Drawn = False,
) -> int:
    """Check the gradients of a run: its own network, loss and data, parameter by parameter.

    Each checked entry of our gradient is compared, in float64, with the central difference
    (L(w + h) − L(w − h)) / 2h of the loss.  Entries where a kink of the network lies within ±h are told apart.

    Of an ONNX model, which has no loss, it is the sum of all numbers that it gives, each with a weight of its own.

    **Examples**

    * `clearprop check runs/digits-1`

    * `clearprop check runs/digits-1 --entries 200`

    * `clearprop check runs/digits-1 --step 40`

    * `clearprop check model.onnx --example`

    * `clearprop check model.onnx --data inputs.npz`
    """
    _require_numbers(rows, entries)
    if step is not None and (rows is not None or is_model(run)):
        raise _step_alone("--rows" if rows is not None else str(run))
    many = 32 if rows is None else rows
    if is_model(run):
        checked, seen = check_outputs(run, data, example, many, entries)
    else:
        refuse_for_a_run(data, example)
        checked = check_run(load(run), rows=many, entries=entries, step=step)
        seen = f"{many} rows" if step is None else f"the batch of step {step}"
    return _tell(checked, seen)


def _require_numbers(rows: int | None, entries: int) -> None:
    for option, number in (("--rows", rows), ("--entries", entries)):
        if number is not None and number < 1:
            raise ArgumentError(
                f"{option} cannot be {number}",
                expected="a whole number, 1 or more",
                got=str(number),
                where=option,
                try_=f"{option} 20",
            )


def _tell(checked: Sequence[Checked], seen: str) -> int:
    """A row for each parameter, and whether all agree."""
    lines = [
        [
            c.path,
            f"{c.entries}",
            f"{c.kinks}",
            f"{c.largest:.3g}",
            f"{c.error:.1e}",
            "agrees" if c.agrees else "DIFFERS",
        ]
        for c in checked
    ]
    console = output()
    heads = ["parameter", "checked", "at a kink", "largest |gradient|", "largest error", ""]
    console.print(table(heads, lines, right=(1, 2, 3, 4)))
    wrong = [c.path for c in checked if not c.agrees]
    console.print()
    if wrong:
        say(console, f"the gradient differs from the central difference in {', '.join(wrong)}")
        return FAULT
    say(console, f"all gradients agree with central differences (float64, {seen}, error relative to the largest)")
    return DONE


def _step_alone(other: str) -> ArgumentError:
    return ArgumentError(
        "a step of a training has a batch of its own",
        expected="--step of a run, without --rows",
        got=f"--step and {other}",
        where="--step",
        try_="clearprop check RUN --step 40",
    )
