"""Charts as inline SVG: their colours are the page's, light or dark, and their words are text.

No plotting library draws into the colours of the page that holds the plot, or keeps its words searchable, without a
script or a font; these charts are lines, points and a grid, and need neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from clearprop.notation import number_text
from clearprop.notation.numbers import MINUS

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 44
COLOURS = 6
"""So many lines have colours of their own; further ones begin anew with another dash."""
_DASHES = ("", "7 4", "2 3", "9 3 2 3")

STYLE = """
figure { margin: 0.75rem 0 1.25rem; } figcaption { font-weight: 600; }
svg.chart { width: 100%; max-width: 44rem; height: auto; display: block; }
svg.chart text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg.chart .grid { stroke: var(--line); stroke-width: 1; } svg.chart .axis { stroke: var(--soft); }
svg.chart .plot { fill: none; stroke-width: 2; } svg.chart .even { stroke: var(--soft); stroke-dasharray: 4 4; }
svg.chart circle { fill: none; stroke-width: 1.5; }
:root { --c0: #0550ae; --c1: #a83200; --c2: #1a7f37; --c3: #8250df; --c4: #7a5c00; --c5: #bf1f6a; }
@media (prefers-color-scheme: dark) { :root { --c0: #79c0ff; --c1: #ffa657; --c2: #7ee787; --c3: #d2a8ff; --c4: #e3c24a;
  --c5: #ff9bce; } }
.key { list-style: none; padding: 0; margin: 0.25rem 0; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
.key svg { width: 2.2rem; height: 0.7rem; vertical-align: middle; margin-right: 0.4rem; }
"""


@dataclass(frozen=True)
class Series:
    """A line: points whose value is not finite are gaps."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Axis:
    """A label, and whether steps of ten are equally far apart."""

    label: str
    logarithmic: bool = False


class _Scale:
    """From values to places on the paper."""

    def __init__(self, values: Iterable[float], axis: Axis, start: float, end: float) -> None:
        self.logarithmic = axis.logarithmic
        known = [self._place(v) for v in values if math.isfinite(v) and (v > 0 or not axis.logarithmic)]
        low, high = min(known, default=0.0), max(known, default=1.0)
        if high - low <= 1e-9 * max(abs(low), abs(high)):
            room = 0.5 if self.logarithmic or not low else 0.5 * abs(low)
            low, high = low - room, high + room
        self.low, self.high, self.start, self.end = low, high, start, end

    def _place(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def __call__(self, value: float) -> float:
        share = (self._place(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def shows(self, value: float) -> bool:
        return math.isfinite(value) and (value > 0 or not self.logarithmic)

    def ticks(self) -> list[float]:
        """About five round values."""
        span = self.high - self.low
        if self.logarithmic:
            return _powers(self.low, self.high)
        step = _round_step(span / 5)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Powers of ten between two exponents; where they are few, twice and five times them, too."""
    every = max(1, math.ceil((high - low) / 6))
    factors = (1, 2, 5) if high - low < 2 else (1,)
    found = [m * 10.0**k for k in range(math.floor(low), math.floor(high) + 1, every) for m in factors]
    return [v for v in found if low - 1e-9 <= math.log10(v) <= high + 1e-9]


def _round_step(step: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * 0.999)


def line_chart(title: str, series: Sequence[Series], x: Axis, y: Axis) -> str:
    """Lines over a common axis, with a key and, for readers who do not see it, a summary of every line."""
    paper = _Paper(series, x, y)
    body = "".join(paper.line(i, one) for i, one in enumerate(series))
    return _figure(title, "; ".join(map(_told, series)), paper.frame() + body, series)


def scatter_chart(title: str, points: Series, right: Series, x: Axis, y: Axis) -> str:
    """Points, with the line, from end to end, on which a network without errors had them."""
    paper = _Paper([points, right], x, y)
    dots = "".join(
        f'<circle cx="{paper.x(a):.1f}" cy="{paper.y(b):.1f}" r="3" style="stroke: var(--c0)"/>'
        for a, b in zip(points.x, points.y, strict=True)
    )
    return _figure(title, f"{len(points.x)} points", paper.frame() + paper.even(right) + dots, ())


def reliability_chart(title: str, points: Series) -> str:
    """How often predictions of each confidence were right, with the line of a calibrated network."""
    right = Series("calibrated", (0, 1), (0, 1))
    paper = _Paper([right], Axis("confidence"), Axis("share that is right"))
    body = paper.frame() + paper.even(right) + paper.line(0, points)
    told = "; ".join(f"confidence {a:.2f}: {b:.2f} right" for a, b in zip(points.x, points.y, strict=True))
    return _figure(title, told, body, ())


class _Paper:
    """The frame of a chart: scales, grid and labels."""

    def __init__(self, series: Sequence[Series], x: Axis, y: Axis) -> None:
        self.labels = x.label, y.label
        self.x = _Scale((v for s in series for v in s.x), x, _LEFT, WIDTH - _RIGHT)
        self.y = _Scale((v for s in series for v in s.y), y, HEIGHT - _BOTTOM, _TOP)

    def frame(self) -> str:
        bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        parts = []
        for value in self.y.ticks():
            at = self.y(value)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            parts.append(_text(_LEFT - 6, at + 4, _tick(value), "end"))
        parts += [_text(self.x(value), bottom + 16, _tick(value), "middle") for value in self.x.ticks()]
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        parts.append(_text((_LEFT + right) / 2, HEIGHT - 8, self.labels[0], "middle"))
        middle = (_TOP + bottom) / 2
        turned = f'transform="rotate(-90 14 {middle:.1f})"'
        parts.append(_text(14, middle, self.labels[1], "middle", turned))
        return "".join(parts)

    def line(self, number: int, series: Series) -> str:
        """The line, interrupted where a value cannot be shown; a value without neighbours is a point."""
        runs: list[list[str]] = [[]]
        for a, b in zip(series.x, series.y, strict=True):
            if self.x.shows(a) and self.y.shows(b):
                runs[-1].append(f"{self.x(a):.1f},{self.y(b):.1f}")
            elif runs[-1]:
                runs.append([])
        drawn = []
        for run in runs:
            if len(run) == 1:
                cx, cy = run[0].split(",")
                drawn.append(f'<circle cx="{cx}" cy="{cy}" r="3" style="stroke: {_colour(number)}"/>')
            elif run:
                drawn.append(f'<polyline class="plot" points="{" ".join(run)}" {_pen(number)}/>')
        return "".join(drawn)

    def even(self, right: Series) -> str:
        """A dashed straight line."""
        a, b = ((self.x(x), self.y(y)) for x, y in zip(right.x, right.y, strict=True))
        return f'<line class="even" x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'


def _tick(value: float) -> str:
    return f"{value:.6g}".replace("-", MINUS) if value < 0 else f"{value:.6g}"


def _colour(number: int) -> str:
    return f"var(--c{number % COLOURS})"


def _pen(number: int) -> str:
    dash = _DASHES[(number // COLOURS) % len(_DASHES)] or _DASHES[number % 2]
    return f'style="stroke: {_colour(number)}" stroke-dasharray="{dash or "none"}"'


def _told(series: Series) -> str:
    known = [y for y in series.y if math.isfinite(y)]
    if not known:
        return f"{series.name}: no finite value"
    first, last, low = (number_text(v) for v in (known[0], known[-1], min(known)))
    return f"{series.name}: from {first} to {last}, lowest {low}"


def _figure(title: str, told: str, body: str, keyed: Sequence[Series]) -> str:
    label = escape(f"{title}. {told}", quote=True)
    items = "".join(
        f'<li><svg aria-hidden="true" viewBox="0 0 36 10"><line x1="0" y1="5" x2="36" y2="5" stroke-width="2" '
        f"{_pen(i)}/></svg>{escape(s.name)}</li>"
        for i, s in enumerate(keyed)
    )
    key = f'<ul class="key">{items}</ul>\n' if keyed else ""
    return (
        f"<figure>\n<figcaption>{escape(title)}</figcaption>\n{key}"
        f'<svg class="chart" role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}">{body}</svg>\n</figure>\n'
    )
