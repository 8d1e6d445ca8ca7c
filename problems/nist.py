"""The nonlinear regressions of NIST's Statistical Reference Datasets, with their certified answers.

The files are as published (NIST/ITL, StRD, nonlinear regression); the models are written here in the library's own
functions, after the formula in each file.
"""

import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import clearprop as cl

FOLDER = Path(__file__).parent / "nist-strd"


def _gaussians(b: Any, x: Any) -> Any:
    first = b[2] * cl.exp(-((x - b[3]) ** 2) / b[4] ** 2)
    return b[0] * cl.exp(-b[1] * x) + first + b[5] * cl.exp(-((x - b[6]) ** 2) / b[7] ** 2)


def _exponentials(b: Any, x: Any) -> Any:
    return b[0] * cl.exp(-b[1] * x) + b[2] * cl.exp(-b[3] * x) + b[4] * cl.exp(-b[5] * x)


def _cubics(b: Any, x: Any) -> Any:
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def _decay(b: Any, x: Any) -> Any:
    return cl.exp(-b[0] * x) / (b[1] + b[2] * x)


def _enso(b: Any, x: Any) -> Any:
    def wave(c: Any, s: Any, period: Any) -> Any:
        return c * cl.cos(2 * math.pi * x / period) + s * cl.sin(2 * math.pi * x / period)

    return b[0] + wave(b[1], b[2], 12) + wave(b[4], b[5], b[3]) + wave(b[7], b[8], b[6])


MODELS: dict[str, Callable[[Any, Any], Any]] = {
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
    "BoxBOD": lambda b, x: b[0] * (1 - cl.exp(-b[1] * x)),
    "Chwirut1": _decay,
    "Chwirut2": _decay,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "ENSO": _enso,
    "Eckerle4": lambda b, x: (b[0] / b[1]) * cl.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "Gauss1": _gaussians,
    "Gauss2": _gaussians,
    "Gauss3": _gaussians,
    "Hahn1": _cubics,
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Lanczos1": _exponentials,
    "Lanczos2": _exponentials,
    "Lanczos3": _exponentials,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * cl.exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * cl.exp(-x * b[3]) + b[2] * cl.exp(-x * b[4]),
    "Misra1a": lambda b, x: b[0] * (1 - cl.exp(-b[1] * x)),
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** (-2)),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** (-0.5)),
    "Misra1d": lambda b, x: b[0] * b[1] * x * ((1 + b[1] * x) ** (-1)),
    "Nelson": lambda b, x: b[0] - b[1] * x[:, 0] * cl.exp(-b[2] * x[:, 1]),
    "Rat42": lambda b, x: b[0] / (1 + cl.exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / ((1 + cl.exp(b[1] - b[2] * x)) ** (1 / b[3])),
    "Roszman1": lambda b, x: b[0] - b[1] * x - cl.atan(b[2] / (x - b[3])) / math.pi,
    "Thurber": _cubics,
}


@dataclass(frozen=True)
class Regression:
    """One problem: two starts, the certified parameters with their deviations and residual sum of squares, data."""

    name: str
    level: str
    starts: NDArray[np.float64]
    certified: NDArray[np.float64]
    deviations: NDArray[np.float64]
    sum_of_squares: float
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def residuals(self, b: Any) -> Any:
        """The residuals model(b, x) − y."""
        return MODELS[self.name](b, self.x) - self.y

    def digits(self, b: Any) -> float:
        """LRE = −log₁₀ of the largest relative error of a parameter, at most 11: so many digits are certified."""
        return _digits(b, self.certified)

    def deviation_digits(self, deviations: Any) -> float:
        """The same of the parameters' standard deviations."""
        return _digits(deviations, self.deviations)


def _digits(found: Any, certified: NDArray[np.float64]) -> float:
    error = np.max(np.abs(np.asarray(found) - certified) / np.abs(certified))
    return 0.0 if not np.isfinite(error) else float(np.clip(-math.log10(max(error, 1e-300)), 0, 11))


SOLVED = 4  # digits


@functools.cache
def regression(name: str) -> Regression:
    """A problem as its file says."""
    lines = (FOLDER / f"{name}.dat").read_text(encoding="ascii").splitlines()
    rows = [line.split("=")[1].split() for line in lines if re.match(r"\s*b\d+ = ", line)]
    table = np.array(rows, dtype=float)
    rss = next(line.split(":")[1] for line in lines if line.startswith("Residual Sum of Squares:"))
    (level,) = (m[1] for line in lines if (m := re.match(r"\s*(\w+) Level of Difficulty", line)))
    data = np.loadtxt(lines[60:], ndmin=2)
    y = np.log(data[:, 0]) if name == "Nelson" else data[:, 0]
    x = data[:, 1] if data.shape[1] == 2 else data[:, 1:]
    return Regression(name, level, table[:, :2].T, table[:, 2], table[:, 3], float(rss), x, y)


NAMES = sorted(MODELS)
