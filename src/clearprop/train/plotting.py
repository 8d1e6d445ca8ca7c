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
_FEW = 6
"""How many names fit inside a panel."""
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


@dataclass(frozen=True, eq=False)
class Panel:
    """Curves over one axis, with vertical lines at `marks`, each with its text."""

    curves: Sequence[Curve]
    x_label: str
    y_label: str
    log_x: bool = False
    log_y: bool = False
    marks: Sequence[tuple[float, str]] = ()


def save_plot(path: str | Path, panel: Panel, *more: Panel) -> Path:
    """Draw a panel into a file, or several, two beside one another, which share the names of their curves.

    Raises ArgumentError for another kind of file or without matplotlib, RunError if the file cannot be written.
    """
    path, panels = Path(path), (panel, *more)
    if path.suffix.lower() not in FORMATS:
        raise ArgumentError(
            f"a plot cannot be saved as {path.name!r}",
            expected="a name that ends in " + ", ".join(FORMATS),
            got=repr(str(path)),
            try_=str(path.with_suffix(".svg")),
        )
    figure, all_axes = _figure(len(panels))
    for axes, one in zip(all_axes, panels, strict=False):
        _draw_panel(axes, one)
    _name_curves(figure, all_axes[: len(panels)])
    for axes in all_axes[len(panels) :]:
        axes.remove()
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    except OSError as problem:
        raise cannot_write(path, problem) from None
    return path


def _draw_panel(axes: Any, panel: Panel) -> None:
    for number, curve in enumerate(panel.curves):
        _draw(axes, curve, COLOURS[number % len(COLOURS)], _DASHES[number // len(COLOURS) % len(_DASHES)])
    for place, text in panel.marks:
        axes.axvline(place, color="#000000", linewidth=0.8, linestyle=":", label=text)
    scales = {"xscale": "log" if panel.log_x else "linear", "yscale": "log" if panel.log_y else "linear"}
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label, **scales)
    axes.grid(alpha=0.25, linewidth=0.5)


def _name_curves(figure: Any, all_axes: Sequence[Any]) -> None:
    """The names inside the one panel, or beside several, or many curves, where they hide nothing."""
    handles, names = all_axes[0].get_legend_handles_labels()
    if len(all_axes) == 1 and len(names) <= _FEW:
        all_axes[0].legend(frameon=False, fontsize=8)
    else:
        figure.legend(handles, names, loc="outside right upper", frameon=False, fontsize=8)


def _figure(panels: int) -> tuple[Any, list[Any]]:
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
    if panels == 1:
        figure = Figure(figsize=(7.0, 4.2), layout="constrained", dpi=144)
        return figure, [figure.subplots()]
    rows = (panels + 1) // 2
    figure = Figure(figsize=(11.0, 3.6 * rows), layout="constrained", dpi=144)
    return figure, list(figure.subplots(rows, 2, squeeze=False).flat)


def _draw(axes: Any, curve: Curve, colour: str, dash: str) -> None:
    x, y = np.asarray(curve.x), np.asarray(curve.y)
    if curve.faint:
        axes.plot(x, y, color="#999999", linewidth=0.6, label=curve.name)
        return
    axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.5, label=curve.name)
    if curve.low is not None and curve.high is not None:
        axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
