"""The network and the settings that suit a data set, where the user asks for none.

The values were chosen on the bundled sets and on Friedman's function with and without noise; `docs/tables/accuracy.md`
shows what they reach.  Small data need strong regularisation: half of it by dropout, half by the L2 penalty.
"""

from __future__ import annotations

from clearprop.runs.settings import Settings

SMALL, LARGE = 1_000, 20_000
"""Below SMALL rows of the training part a data set is small, from LARGE rows on it is large."""


def recipe(rows: int) -> Settings:
    """What suits so many rows of the training part: network and training; patience counts only with validation."""
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
