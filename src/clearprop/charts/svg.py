"""Charts in a page: matplotlib's SVG in the colours of the page, light or dark, with words that stay words."""

from __future__ import annotations

import io
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.charts.chart import MARK, Axis, Chart, Curve, draw_figure, pens
from clearprop.charts.colours import CURVES_STYLE, VARIABLES
from clearprop.notation import number_text
from clearprop.notation.escaping import html_text

STYLE = f"""
figure {{ margin: 0.75rem 0 1.25rem; break-inside: avoid; }} figcaption {{ font-weight: 600; }}
svg.chart {{ width: 100%; max-width: 44rem; height: auto; display: block; }} svg.square {{ max-width: 30rem; }}
@media (max-width: 40rem) {{
  svg.chart:not(.square) text {{ font-size: 16px !important; }}
  svg.chart:not(.square) text[transform^="rotate(-90"] {{ display: none; }} }}  /* the title above says it */
svg.chart * {{ stroke-linejoin: round; }} svg.chart text {{ font-family: system-ui, sans-serif; }}
{CURVES_STYLE}
.key {{ list-style: none; padding: 0; margin: 0.25rem 0; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }}
.key svg {{ width: 2.2rem; height: 0.7rem; vertical-align: middle; margin-right: 0.4rem; }}
"""


class Charts:
    """The charts of a page, in their order: `add` gives each as HTML, and all can be saved as files afterwards."""

    def __init__(self) -> None:
        self.all: list[Chart] = []

    def add(self, chart: Chart) -> str:
        """The chart as a figure with its key and, for readers who do not see it, a summary of every line."""
        self.all.append(chart)
        picture = _picture(chart, f"chart{len(self.all)}-")
        keyed = zip(chart.curves, pens(chart.curves), strict=True)
        named = [(pen, curve.name) for curve, pen in keyed] + [(MARK, text) for _, text in chart.marks]
        items = "".join(f"<li>{_key(pen)}{html_text(name)}</li>" for pen, name in named)
        return (
            f"<figure>\n<figcaption>{html_text(chart.title)}</figcaption>\n"
            f'<ul class="key">{items}</ul>\n{picture}\n</figure>\n'
        )


def measure_chart(title: str, curves: Sequence[Curve], name: str) -> Chart:
    """Lines by epoch; the axis of a loss that falls far is logarithmic.

    >>> measure_chart("loss", [Curve("training", [1, 2], [100.0, 0.1])], "loss").y.logarithmic
    True
    """
    values = [v for c in curves for v in np.ravel(c.y).tolist() if 0 < v < math.inf]
    logarithmic = name == "loss" and bool(values) and max(values) > 20 * min(values)
    return Chart(title, curves, Axis("epoch", whole=True), Axis(name, logarithmic))


def reliability_chart(title: str, confidence: Sequence[float], right: Sequence[float]) -> Chart:
    """How often predictions of each confidence were right, with the line of a calibrated network."""
    told = "; ".join(f"confidence {a:.2f}: {b:.2f} right" for a, b in zip(confidence, right, strict=True))
    curves = [Curve("this network", confidence, right), Curve("calibrated", (0, 1), (0, 1), look="guide")]
    return Chart(title, curves, Axis("confidence"), Axis("share that is right"), told=told, square=True)


# --------------------------------------------------------------------------------------------------- the SVG itself
def _picture(chart: Chart, prefix: str) -> str:
    """The chart as an element of a page."""
    buffer = io.StringIO()
    with draw_figure(chart, titled=False) as figure:
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ET.fromstring(buffer.getvalue())
    _adapt(root, prefix)
    label, (width, height) = f"{chart.title}. {_description(chart)}", chart.size
    look = "chart square" if chart.square else "chart"
    root.attrib = {"class": look, "role": "img", "aria-label": label, "viewBox": f"0 0 {width} {height}"}
    return _in_page_colours(ET.tostring(root, encoding="unicode"))


def _adapt(root: ET.Element, prefix: str) -> None:
    """Leave what a page needs: no namespaces, no metadata, no style of its own, names unique within the page.

    Nothing is clipped: the axes are as long as the curves.
    """
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style", "}title", "}clipPath")):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if element.tag == "g":
            element.attrib.pop("id", None)  # names of matplotlib's parts, to which nothing refers
        element.attrib.pop("clip-path", None)
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            element.set(name.rpartition("}")[2], _with_prefix(name, value, prefix))
        if element.tag == "text":
            element.set("style", re.sub(r"font-family:[^;]*;", "", element.get("style", "")))
        element.text, element.tail = (element.text or "").strip(), ""


def _with_prefix(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    return f"#{prefix}{value[1:]}" if name.endswith("href") else value


def _in_page_colours(text: str) -> str:
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var({name})")
    return text


def _key(pen: Mapping[str, Any]) -> str:
    """A short piece of a curve, for the key."""
    if "marker" in pen and pen.get("linestyle") == "none":
        shape = f'<circle cx="18" cy="5" r="3.5" fill="none" stroke-width="1.5" style="stroke: {pen["color"]}"/>'
    else:
        dashes = " ".join(f"{pen['linewidth'] * d:g}" for d in pen.get("dashes", ())) or "none"
        shape = (
            f'<line x1="0" y1="5" x2="36" y2="5" stroke-width="{pen["linewidth"]}" '
            f'style="stroke: {pen["color"]}; stroke-dasharray: {dashes}"/>'
        )
    return f'<svg aria-hidden="true" viewBox="0 0 36 10">{_in_page_colours(shape)}</svg>'


def _description(chart: Chart) -> str:
    return chart.told or "; ".join(_summary(curve) for curve in chart.curves if curve.look != "guide")


def _summary(curve: Curve) -> str:
    values = np.ravel(curve.y).tolist()
    if curve.look == "points":
        return f"{len(values)} points"
    known = [y for y in values if math.isfinite(y)]
    if not known:
        return f"{curve.name}: no finite value"
    first, last, low = (number_text(v) for v in (known[0], known[-1], min(known)))
    return f"{curve.name}: from {first} to {last}, lowest {low}"
