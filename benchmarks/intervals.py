"""How often `run.interval` holds the targets of rows that no training saw: `python -m benchmarks.intervals`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import clearprop as cl

LEVELS = (0.8, 0.9)
SEEDS = 40
VALIDATION, TEST = 100, 150
"""So many rows are the errors of, and so many are held against the intervals."""
PAGE = Path(__file__).parent.parent / "docs" / "tables" / "interval-coverage.md"
Pair = tuple[NDArray[Any], NDArray[Any]]


def _diabetes(_: np.random.Generator) -> Pair:
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    return np.asarray(x) * 20, np.asarray(y)


def _friedman(rng: np.random.Generator) -> Pair:
    x = rng.uniform(size=(450, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return x, y + rng.normal(size=450)


def _prices(rng: np.random.Generator) -> Pair:
    x = rng.normal(size=(450, 4))
    return x, np.exp(11 + 0.4 * x[:, 0] + rng.normal(0, 0.5, 450))


def _outliers(rng: np.random.Generator) -> Pair:
    x = rng.normal(size=(450, 4))
    return x, 3 * x[:, 0] + rng.standard_t(2, 450)


def _spread(rng: np.random.Generator) -> Pair:
    x = rng.uniform(size=(450, 3))
    return x, 5 * x[:, 0] + 4 * x[:, 1] * rng.normal(size=450)


def _counts(rng: np.random.Generator) -> Pair:
    x = rng.normal(size=(450, 3))
    return x, rng.poisson(np.exp(1 + 0.7 * x[:, 0])).astype(float)


TABLES: dict[str, Callable[[np.random.Generator], Pair]] = {
    "diabetes (scikit-learn)": _diabetes,
    "Friedman's first function": _friedman,
    "amounts with a long tail": _prices,
    "errors with outliers (t, 2 degrees)": _outliers,
    "a spread that depends on a column": _spread,
    "counts": _counts,
}


def coverage(table: str, seed: int, levels: tuple[float, ...] = LEVELS) -> list[float]:
    """The share of unseen rows that the interval of each level holds, for one draw, split and network."""
    rng = np.random.default_rng([seed, list(TABLES).index(table)])
    x, y = TABLES[table](rng)
    order = rng.permutation(len(x))
    test, held, rows = np.split(order, [TEST, TEST + VALIDATION])
    model = cl.nn.mlp([x.shape[1], 16, 1], seed=seed)
    scale = y[rows].std()
    run = cl.fit(
        model, (x[rows], y[rows] / scale), validation=(x[held], y[held] / scale), epochs=20, optimizer="adam",
        seed=seed, progress=False,
    )  # fmt: skip
    ends = [run.interval(x[test], level) for level in levels]
    known = y[test] / scale
    return [float(np.mean((low <= known) & (known <= high))) for low, high in (end.T for end in ends)]


def bounds(level: float, seeds: int = SEEDS) -> tuple[float, float]:
    """Where the mean over so many seeds lies but for three standard deviations.

    Of n validation rows the level is reached on the mean, and at most 1/(n + 1) more (Lei et al. 2018); one share
    varies by level·(1 − level)·(1/(n + 2) + 1/rows tested), as of a beta-binomial distribution.
    """
    deviation = np.sqrt(level * (1 - level) * (1 / (VALIDATION + 2) + 1 / TEST) / seeds)
    return float(level - 3 * deviation), float(level + 1 / (VALIDATION + 1) + 3 * deviation)


def page() -> str:
    """The table of all, as Markdown."""
    expected = [f"{low:.3f} to {high:.3f} for {level:.0%}" for level in LEVELS for low, high in [bounds(level)]]
    heads = " | ".join(f"of {level:.0%} hold" for level in LEVELS)
    lines = [
        "# How often prediction intervals hold",
        "",
        f"Made by `python -m benchmarks.intervals`: the share of {TEST} unseen rows that `run.interval` holds, the",
        f"mean over {SEEDS} draws, splits and networks of 16 units, with {VALIDATION} validation rows each. `make",
        f"verify` holds it to {' and '.join(expected)}: what is promised, by three standard deviations.",
        "",
        f"| table | {heads} |",
        "|---|" + "---|" * len(LEVELS),
    ]
    for table in TABLES:
        means = np.mean([coverage(table, seed) for seed in range(SEEDS)], axis=0)
        lines.append(f"| {table} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.parse_args(arguments).out.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
