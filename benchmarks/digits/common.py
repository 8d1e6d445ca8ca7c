"""What the scripts of all libraries share: data, initial weights, and the line they print."""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any

import numpy as np

from benchmarks.machine import peak_memory

SIZES, BATCH, RATE, GOAL, MOST = (64, 64, 64, 10), 32, 1e-3, 0.97, 100
ROWS = 1408
"""44 full batches; the other 389 digits are for validation."""


def arguments() -> tuple[dict[str, np.ndarray], int]:
    """The arrays of the file named first, and the seed."""
    with np.load(sys.argv[1]) as file:
        return dict(file), int(sys.argv[2])


def initial(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same weights for every library: uniform, He et al. 2015."""
    r = np.random.default_rng(seed)
    return [
        (r.uniform(-1, 1, (a, b)).astype(np.float32) * np.float32(np.sqrt(6 / a)), np.zeros(b, np.float32))
        for a, b in itertools.pairwise(SIZES)
    ]


def done(epochs: int, accuracy: Any) -> None:
    print(json.dumps({"epochs": epochs, "accuracy": float(accuracy), "memory": peak_memory()}))
