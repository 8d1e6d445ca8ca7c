"""The network and the settings that suit a data set, where the user asks for none.

The values were chosen on the bundled sets and on Friedman's function with and without noise; `docs/tables/accuracy.md`
shows what they reach.  Small data need strong regularisation: half of it by dropout, half by the L2 penalty.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """What training needs besides data and seed.  `patience` counts only where there is a validation part."""

    hidden: tuple[int, ...]
    learning_rate: float
    dropout: float
    l2: float
    batch_size: int
    epochs: int
    patience: int
    activation: str = "relu"
    optimizer: str = "adam"


SMALL, LARGE = 1_000, 20_000
"""Below SMALL rows of the training part a data set is small, from LARGE rows on it is large."""


def recipe(rows: int) -> Recipe:
    """The recipe for so many rows of the training part."""
    if rows < SMALL:
        return Recipe((64, 64), 3e-3, 0.3, 0.01, 32, epochs=400, patience=40)
    if rows < LARGE:
        return Recipe((128, 64), 1e-3, 0.2, round(1.0 / rows, 6), 32, epochs=150, patience=20)
    return Recipe((128, 128), 1e-3, 0.1, round(1.0 / rows, 8), 128, epochs=60, patience=8)
