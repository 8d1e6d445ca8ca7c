"""A run as a notebook shows it: how good it is, beside what, and the curve of its loss."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clearprop.attribution import html_rows
from clearprop.charts.chart import Curve, draw_figure
from clearprop.charts.svg import measure_chart
from clearprop.errors import ArgumentError
from clearprop.notation.escaping import html_text
from clearprop.runs.events import Event, measure_text


def run_html(
    told: str,
    headline: str | None,
    results: Mapping[str, Mapping[str, Any]],
    remark: str | None,
    history: Sequence[Event],
    best: int | None,
) -> str:
    """One block of HTML; the curve is left out where matplotlib, which draws it, is not installed."""
    parts = [f"<p>{html_text(told)}</p>\n"]
    if headline is not None:
        parts.insert(0, f"<p><strong>{html_text(headline)}</strong></p>\n")
    names = list(dict.fromkeys(name for values in results.values() for name in values))
    rows = [(part, *(_measure(name, values.get(name)) for name in names)) for part, values in results.items()]
    if rows:
        parts.append(html_rows("results of the best epoch", ("part", *names), rows))
    if remark is not None:
        parts.append(f"<p>{html_text(remark)}</p>\n")
    return "<div>\n" + "".join(parts) + _curve(history, best) + "</div>\n"


def _measure(name: str, value: Any) -> str:
    return "" if value is None else measure_text(name, value)


def _curve(history: Sequence[Event], best: int | None) -> str:
    """The loss by epoch as a picture that stands alone, its numbers told to those who do not see it."""
    if len(history) < 2:
        return ""
    epochs = [float(event["epoch"]) for event in history]
    curves = []
    for part, name in (("train", "training"), ("validation", "validation")):
        values = [_number((event[part] or {}).get("loss")) for event in history]
        if any(value == value for value in values):
            curves.append(Curve(name, epochs, values))
    marks = [] if best is None else [(float(best), "best epoch")]
    chart = replace(measure_chart("loss by epoch", curves, "loss"), marks=marks)
    buffer = io.BytesIO()
    try:
        with draw_figure(chart, titled=True) as figure:
            figure.savefig(buffer, format="svg", metadata={"Date": None})
    except ArgumentError:  # matplotlib is not there
        return ""
    last = "; ".join(f"{curve.name} {measure_text('loss', history[-1][_part(curve)]['loss'])}" for curve in curves)
    picture = base64.b64encode(buffer.getvalue()).decode()
    style = "max-width: 100%; background: white"
    alt = html_text(f"Loss by epoch, at the last of {len(history)} epochs: {last}")
    return f'<img style="{style}" alt="{alt}" src="data:image/svg+xml;base64,{picture}">\n'


def _part(curve: Curve) -> str:
    return "train" if curve.name == "training" else curve.name


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
