"""Line plots as image files, drawn by matplotlib, which is imported only here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError
from clearprop.train.atomic import cannot_write

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999")
"""Okabe and Ito's palette, which colour-blind readers can tell apart; then dashed lines."""
_DASHES = ("-", "--", ":")
FORMATS = (".svg", ".png", ".pdf")


@dataclass(frozen=True, eq=False)
class Curve:
    """A line: values over places, perhaps with a band between two others; a faint one stays in the background."""

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    low: NDArray[Any] | None = None
    high: NDArray[Any] | None = None
    faint: bool = False


def save_plot(
    path: str | Path,
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> Path:
    """Draw the curves into a file; vertical lines at `marks`, each with its text.

    Raises ArgumentError for another kind of file or without matplotlib, RunError if the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ArgumentError(
            f"a plot cannot be saved as {path.name!r}",
            expected="a name that ends in " + ", ".join(FORMATS),
            got=repr(str(path)),
            try_=str(path.with_suffix(".svg")),
        )
    figure, axes = _figure()
    for number, curve in enumerate(curves):
        _draw(axes, curve, COLOURS[number % len(COLOURS)], _DASHES[number // len(COLOURS) % len(_DASHES)])
    for place, text in marks:
        axes.axvline(place, color="#000000", linewidth=0.8, linestyle=":", label=text)
    axes.set(xlabel=x_label, ylabel=y_label, xscale="log" if log_x else "linear", yscale="log" if log_y else "linear")
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.legend(frameon=False, fontsize=8)
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    except OSError as problem:
        raise cannot_write(path, problem) from None
    return path


def _figure() -> Any:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ArgumentError(
            "plots need matplotlib",
            expected="matplotlib, which the command line's extra brings",
            got="no module named 'matplotlib'",
            try_="pip install 'clearprop[cli]'",
        ) from None
    matplotlib.rcParams["svg.hashsalt"] = "clearprop"  # the same plot is the same file
    figure = Figure(figsize=(7.0, 4.2), layout="constrained", dpi=144)
    return figure, figure.subplots()


def _draw(axes: Any, curve: Curve, colour: str, dash: str) -> None:
    x, y = np.asarray(curve.x), np.asarray(curve.y)
    if curve.faint:
        axes.plot(x, y, color="#999999", linewidth=0.6, label=curve.name)
        return
    axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.5, label=curve.name)
    if curve.low is not None and curve.high is not None:
        axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
