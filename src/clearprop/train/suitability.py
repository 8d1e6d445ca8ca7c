"""Whether an optimizer suits the way that it is to be used."""

from __future__ import annotations

from typing import Any

from clearprop.errors import ArgumentError, user_line
from clearprop.optim.inspection import full_batch_part


def require_suitable(optimizer: Any, rows: int | None, batch_size: int | None, command: bool) -> None:
    """Raise ArgumentError for a full-batch method that would be given mini-batches.

    `rows` is None for an iterable of batches; `command` says that the command line asked.
    """
    part = full_batch_part(optimizer)
    if part is None or (rows is not None and (batch_size is None or batch_size >= rows)):
        return
    name = type(part).__name__
    whole = f"--batch-size {rows}" if command else f"batch_size={rows}"
    remedy = f"{whole}, or an optimizer for mini-batches such as adam"
    raise ArgumentError(
        f"{name} needs all rows in every step",
        expected=f"a batch size of at least {rows}, the rows to train on" if rows else "arrays (x, y) in one batch",
        got=f"batches of {batch_size} rows: their noise breaks {name}" if rows else "an iterable of batches",
        where="--optimizer" if command else user_line(),
        try_=remedy if rows else "the data as one pair (x, y), or an optimizer for mini-batches such as adam",
    )


def require_rows(least: int, rows: int, batch_size: int, command: bool) -> None:
    """Raise ArgumentError for batches that are too small for a network that takes statistics of them.

    `least` is the fewest rows of a batch, `rows` those to train on.
    """
    if min(rows, batch_size) >= least:
        return
    few = rows < least
    raise ArgumentError(
        "this network takes statistics of a batch, of which one row has none",
        expected=f"{least} rows or more " + ("to train on" if few else "in every batch"),
        got=f"{rows} rows" if few else f"batches of {batch_size} rows",
        where="--batch-size" if command else user_line(),
        try_='cl.nn.mlp(..., norm="layer"), which works on single rows'
        if few
        else f"{'--batch-size 32' if command else 'batch_size=32'}; or LayerNorm, which works on single rows",
    )
