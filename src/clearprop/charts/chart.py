"""Charts: lines, bands and points over two axes, described as values and drawn by matplotlib, imported only here."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clearprop.charts.colours import CURVES, INK, LINE, SOFT
from clearprop.errors import ArgumentError
from clearprop.files.atomic import as_path, make_folder, write_bytes

FORMATS = (".svg", ".png", ".pdf")
WIDTH, HEIGHT = 640, 300
SQUARE = 440, 420
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2.5), (1.2, 1.8), (6, 2, 1.2, 2))
_CIRCLE = {"marker": "o", "markersize": 4.5, "markerfacecolor": "none", "markeredgewidth": 1.2}
_FEW, _FEW_NAMES = 10, 4
MARK: Mapping[str, Any] = {"color": INK, "linewidth": 1, "dashes": (1, 1.65)}
"""How a vertical line is drawn, as matplotlib's arguments."""
_LARGEST = 1e300
"""Beyond it a value is not drawn, as one that is not finite: an axis as long as that overflows.

So is one below its inverse on a logarithmic axis."""
_SETTINGS = {
    "svg.fonttype": "none",  # words stay words, which can be searched and read aloud
    "svg.hashsalt": "clearprop",  # the same chart is the same file
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "text.parse_math": False,  # a name with two dollar signs is no formula
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


@dataclass(frozen=True, eq=False)
class Curve:
    """Values over places, perhaps with a band between two others; what is not finite is a gap.

    `faint` stays in the background, `points` are not connected, and a `guide` is what the others are compared with.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    look: Literal["line", "faint", "points", "guide"] = "line"


@dataclass(frozen=True)
class Axis:
    """A label; whether steps of ten are equally far apart; whether only whole numbers have a tick."""

    label: str
    logarithmic: bool = False
    whole: bool = False


@dataclass(frozen=True, eq=False)
class Chart:
    """Curves over two axes, with vertical lines at `marks`, each with its text.

    `told` says what it shows to those who do not see it, where the values of the lines alone would not; `name` is that
    of its files, by default from the title.  A `square` one has the same scale on both axes.
    """

    title: str
    curves: Sequence[Curve]
    x: Axis
    y: Axis
    marks: Sequence[tuple[float, str]] = ()
    told: str = ""
    name: str = ""
    square: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return SQUARE if self.square else (WIDTH, HEIGHT)

    @property
    def file_name(self) -> str:
        """The name of a file that holds it, without a suffix."""
        return self.name or re.sub(r"\W+", "-", self.title.lower()).strip("-_") or "chart"


def save_chart(path: str | Path, chart: Chart, *more: Chart) -> Path:
    """Draw a chart into a file, or several, two beside one another, which share the names of their curves.

    Raises ArgumentError for another kind of file or without matplotlib, RunError if the file cannot be written.

    >>> chart = Chart("Loss", [Curve("training", [1, 2, 3], [1.0, 0.5, 0.4])], Axis("epoch", whole=True), Axis("loss"))
    >>> save_chart("loss.svg", chart).name
    'loss.svg'
    """
    path = as_path(path, "path")
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ArgumentError(
            f"a plot cannot be saved as {path.name!r}",
            expected="a name that ends in " + ", ".join(FORMATS),
            got=repr(str(path)),
            try_=str(path.with_suffix(".svg")),
        )
    undated = {".svg": {"Date": None, "Title": chart.title}, ".pdf": {"CreationDate": None, "Title": chart.title}}
    buffer = io.BytesIO()
    with draw_figure(chart, *more, titled=True) as figure:
        figure.savefig(buffer, format=suffix[1:], dpi=144, metadata=undated.get(suffix))
    write_bytes(path, buffer.getvalue())
    return path


def save_charts(folder: Path, charts: Sequence[Chart]) -> list[Path]:
    """Draw every chart into `folder`, as PNG and as SVG, named by its title; returns the paths.

    Raises ArgumentError without matplotlib, RunError if a file cannot be written.
    """
    make_folder(folder)
    written: list[Path] = []
    for number, chart in enumerate(charts, 1):
        name = chart.file_name
        if any(path.stem == name for path in written):
            name = f"{name}-{number}"
        written += [save_chart(folder / f"{name}{suffix}", chart) for suffix in (".png", ".svg")]
    return written


@contextmanager
def draw_figure(*charts: Chart, titled: bool) -> Iterator[Any]:
    """The charts as a matplotlib figure, with matplotlib set up to save it; with titles and key if it stands alone."""
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
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the viewer's font may have it
        rows, columns = (len(charts) + 1) // 2, min(2, len(charts))
        width, height = charts[0].size if len(charts) == 1 else (WIDTH, HEIGHT)
        size = (width * columns**0.5 / 72, (height + 30 * titled) * rows / 72)
        figure = Figure(figsize=size, dpi=72, layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).flat
        for axes, chart in zip(places, charts, strict=False):
            _draw(axes, chart)
            if titled:
                axes.set_title(chart.title, loc="left", fontweight="bold", fontsize=11)
        for axes in places[len(charts) :]:
            axes.remove()
        if titled:
            _name_curves(figure, charts)
        yield figure


def _name_curves(figure: Any, charts: Sequence[Chart]) -> None:
    """The key: below a chart with few curves, else beside it, where it hides nothing."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    few = len(charts) == 1 and len(names) <= _FEW_NAMES
    where = {"loc": "outside lower center", "ncols": len(names)} if few else {"loc": "outside right upper"}
    figure.legend(handles, names, frameon=False, fontsize=10, handlelength=3, **where)


def _draw(axes: Any, chart: Chart) -> None:
    for curve, pen in zip(chart.curves, pens(chart.curves), strict=True):
        x, y = (_drawable(values, axis) for values, axis in ((curve.x, chart.x), (curve.y, chart.y)))
        marked = _marked_places(x, y) if curve.look == "line" else []
        axes.plot(x, y, label=curve.name, **pen, **({**_CIRCLE, "markevery": marked} if marked else {}))
        if curve.low is not None and curve.high is not None:
            low, high = _drawable(curve.low, chart.y), _drawable(curve.high, chart.y)
            axes.fill_between(x, low, high, color=pen["color"], alpha=0.15, linewidth=0)
    for place, text in chart.marks:
        axes.axvline(place, **MARK, label=text)
    for side, axis in (("x", chart.x), ("y", chart.y)):
        _set_axis(axes, side, axis, [v for c in chart.curves for v in _drawable(getattr(c, side), axis)])
    if chart.square:
        ends = *axes.get_xlim(), *axes.get_ylim()
        axes.set(xlim=(min(ends), max(ends)), ylim=(min(ends), max(ends)), aspect="equal")
    axes.grid(axis="y", color=LINE, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=5)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _drawable(values: ArrayLike, axis: Axis) -> NDArray[np.float64]:
    """The values with NaN, which leaves a gap, for those that the axis cannot show."""
    found = np.asarray(values, dtype=np.float64)
    known = np.abs(found) < _LARGEST  # false for NaN
    return np.where(known & (found > 1 / _LARGEST) if axis.logarithmic else known, found, np.nan)


def pens(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """How each curve is drawn, as matplotlib's arguments."""
    number, found = 0, []
    for curve in curves:
        found.append(_pen(curve.look, number))
        number += curve.look in ("line", "points")
    return found


def _pen(look: str, number: int) -> dict[str, Any]:
    if look == "guide":
        return {"color": SOFT, "linewidth": 1.2, "dashes": (4, 4)}
    if look == "faint":
        return {"color": SOFT, "linewidth": 0.6}
    colour = CURVES[number % len(CURVES)]
    if look == "points":
        return {"color": colour, "linestyle": "none", **_CIRCLE}
    dashes = _DASHES[(number // len(CURVES) + number % 2) % len(_DASHES)]  # neighbours differ in it, too
    return {"color": colour, "linewidth": 1.8, **({"dashes": dashes} if dashes else {})}


def _marked_places(x: NDArray[Any], y: NDArray[Any]) -> list[int]:
    """The places of values that are points, too: all of a few, and those without neighbours, which no line shows."""
    there = np.isfinite(x) & np.isfinite(y)
    if len(there) <= _FEW:
        return [int(i) for i in np.flatnonzero(there)]
    beside = np.r_[False, there[:-1]] | np.r_[there[1:], False]
    return [int(i) for i in np.flatnonzero(there & ~beside)]


def _set_axis(axes: Any, side: str, axis: Axis, values: Sequence[float]) -> None:
    """Label, scale, limits and ticks of one axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    known = [v for v in values if math.isfinite(v)]
    low, high = min(known, default=1.0), max(known, default=1.0)
    axes.set(**{f"{side}label": axis.label, f"{side}scale": "log" if axis.logarithmic else "linear"})
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value, or none, makes no axis
        room = 0.5 * abs(low) or 0.5
        axes.set(**{f"{side}lim": (low / 3, high * 3) if axis.logarithmic else (low - room, high + room)})
    one = getattr(axes, f"{side}axis")
    if not axis.logarithmic or high < 5 * low:
        short = max(abs(low), abs(high)) < 1e5  # or the texts of eight ticks have no room beside each other
        one.set_major_locator(MaxNLocator(8 if side == "x" and short else 6, integer=axis.whole, steps=[1, 2, 5, 10]))
    else:
        one.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=8))
    one.set_minor_locator(NullLocator())
    plain = 6 if axis.logarithmic else 7
    one.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, plain)))


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _tick(value: float, plain: int) -> str:
    """A number at a tick: 0.001, 20000, 10⁻⁶, 2·10⁷; below 10 to the power `plain` it is written out."""
    power = math.floor(math.log10(abs(value)) + 1e-9) if value else 0
    if -5 < power < plain:
        return f"{value:.{max(6, plain)}g}".replace("-", "−")
    size = f"{value / 10.0**power:.6g}".replace("-", "−")
    raised = f"10{str(power).translate(_RAISED)}"
    return raised if size == "1" else f"{size}·{raised}"
