"""Parallel coordinates (Inselberg 1985): an upright axis for every quantity, a line through all of them a case."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from clearprop.notation.escaping import html_text

WIDTH, HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 80, 34, 18
_LABEL = 18
"""So many characters of a name or of a value are shown."""

PARALLEL_STYLE = """
svg.parallel { width: 100%; max-width: 60rem; height: auto; display: block; font: 11px system-ui, sans-serif; }
svg.parallel text { fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
svg.parallel .axis { stroke: var(--soft); stroke-width: 1; }
svg.parallel polyline { fill: none; stroke-linejoin: round; }
svg.parallel .far { stroke: var(--soft); stroke-width: 0.8; opacity: 0.55; }
svg.parallel .lost { stroke: var(--soft); stroke-width: 0.8; stroke-dasharray: 2 3; }
svg.parallel .near { stroke: var(--c0); stroke-width: 1.2; opacity: 0.8; }
svg.parallel .best { stroke: var(--c1); stroke-width: 2.6; }
svg.parallel .band { fill: var(--c0); opacity: 0.18; }
"""
"""What a page with such a chart adds to its style, besides the colours of curves."""


@dataclass(frozen=True)
class ParallelAxis:
    """A name, and ticks: places from 0 (below) to 1 (above) with their texts."""

    name: str
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class ParallelLine:
    """A place on every axis, from 0 to 1; a line that is lost ends before an axis on which it has none (None)."""

    places: Sequence[float | None]
    look: Literal["best", "near", "far", "lost"]
    title: str


@dataclass(frozen=True)
class ParallelChart:
    """Lines through axes; `band` is a part of the last axis, and `told` what the chart shows, in words.

    >>> axes = [ParallelAxis("rate", [(0.0, "0.1"), (1.0, "1")]), ParallelAxis("loss", [(0.0, "0"), (1.0, "2")])]
    >>> chart = ParallelChart("Trials", axes, [ParallelLine((0.5, 0.2), "best", "trial 1")], None, "one trial")
    >>> chart.svg()[:21]
    '<svg class="parallel"'
    """

    title: str
    axes: Sequence[ParallelAxis]
    lines: Sequence[ParallelLine]
    band: tuple[float, float] | None
    told: str

    def svg(self) -> str:
        """The chart as an element of a page; the lines that matter most are drawn last, above the others."""
        order = {"lost": 0, "far": 1, "near": 2, "best": 3}
        lines = sorted(self.lines, key=lambda line: order[line.look])
        body = "".join([*self._band(), *map(self._line, lines), *self._drawn_axes()])
        label = html_text(f"{self.title}. {self.told}")
        return f'<svg class="parallel" role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}">{body}</svg>\n'

    def _x(self, number: int) -> float:
        return _LEFT + number * (WIDTH - _LEFT - _RIGHT) / max(len(self.axes) - 1, 1)

    def _band(self) -> Iterator[str]:
        if self.band is not None:
            low, high = (_y(place) for place in self.band)
            yield (
                f'<rect class="band" x="{self._x(len(self.axes) - 1) - 7:.1f}" y="{high:.1f}" width="14" '
                f'height="{max(low - high, 1):.1f}"/>'
            )

    def _line(self, line: ParallelLine) -> str:
        points = " ".join(
            f"{self._x(i):.1f},{_y(place):.1f}" for i, place in enumerate(line.places) if place is not None
        )
        return f'<polyline class="{line.look}" points="{points}"><title>{html_text(line.title)}</title></polyline>'

    def _drawn_axes(self) -> Iterator[str]:
        for number, axis in enumerate(self.axes):
            x = self._x(number)
            yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_y(0)}" y2="{_y(1)}"/>'
            yield f'<text x="{x:.1f}" y="{_TOP - 16}" text-anchor="middle" font-weight="600">{_short(axis.name)}</text>'
            for place, text in axis.ticks:
                yield f'<text x="{x + 6:.1f}" y="{_y(place) + 4:.1f}">{_short(text)}</text>'


def _y(place: float) -> float:
    return round(HEIGHT - _BOTTOM - place * (HEIGHT - _TOP - _BOTTOM), 1)


def _short(text: str) -> str:
    return html_text(text if len(text) <= _LABEL else text[: _LABEL - 1] + "…")
