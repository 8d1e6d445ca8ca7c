"""Runs side by side: what differed between them, how they ended, and their curves in one chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clearprop.charts.chart import Chart, Curve
from clearprop.charts.svg import STYLE, Charts, measure_chart
from clearprop.errors import printable
from clearprop.explanation.printers.html import cell, html_table, page
from clearprop.notation.escaping import html_text
from clearprop.runs.events import measure_text
from clearprop.train import Run

TextTable = tuple[list[str], list[list[str]]]
"""The heads and the rows of a table, as text."""


def names_of(runs: Sequence[Run]) -> list[str]:
    """A short name for each run: its folder's, or the whole path where two folders have one name."""
    paths = [run.folder or Path(f"run {i}") for i, run in enumerate(runs, 1)]
    short = [path.name for path in paths]
    return [printable(str(path) if short.count(path.name) > 1 else path.name) for path in paths]


def results(runs: Sequence[Run]) -> TextTable:
    """How each run ended: its best epoch, and loss and metrics on the parts that judge, or on what it learned from."""
    # Runs of other tasks have other metrics: every one that any of them has is a column, empty where it is not.
    parts = [("validation", "val"), ("test", "test")]
    if not any(run.summary.validation or run.summary.test for run in runs):
        parts = [("train", "train")]
    measures = [
        (part, name, f"{short} {name}")
        for part, short in parts
        for name in dict.fromkeys(n for run in runs for n in getattr(run.summary, part) or {})
    ]
    rows = []
    for name, run in zip(names_of(runs), runs, strict=True):
        s = run.summary
        values = [(getattr(s, part) or {}).get(measure) for part, measure, _ in measures]
        told = [
            "" if v is None else measure_text(measure, v) for v, (_, measure, _) in zip(values, measures, strict=True)
        ]
        steps = "" if s.members is not None else f"{s.steps:,}"
        rows.append([name, s.status, str(s.best_epoch or ""), steps, f"{s.seconds:.1f}", *told])
    return ["run", "status", "best epoch", "steps", "seconds", *(head for _, _, head in measures)], rows


def differences(runs: Sequence[Run]) -> TextTable:
    """The settings in which the runs differ, one row each."""
    settings = [_flat(run) for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    differing = [n for n in names if len({repr(one.get(n)) for one in settings}) > 1]
    rows = [[name, *(_text(one.get(name)) for one in settings)] for name in differing]
    return ["setting", *names_of(runs)], rows


def _flat(run: Run) -> dict[str, Any]:
    config = run.config
    settings = asdict(config.settings)
    optimizer = settings.pop("optimizer") or {"name": "one of its own"}
    found = {"optimizer": optimizer.get("name")}
    found |= {f"optimizer's {name}": value for name, value in optimizer.items() if name != "name"}
    found |= settings | {"data": config.data.digest and config.data.digest[:12], "parameters": config.parameters}
    options = config.command or {}
    found |= {name: options[name] for name in ("hidden", "activation", "dropout") if name in options}
    if config.forked is not None:
        found["forked from"] = f"{config.forked.run} at step {config.forked.step}"
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    return printable(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def remarks(runs: Sequence[Run]) -> list[str]:
    """What must be known before the numbers are compared."""
    found = []
    if len({run.config.data.digest for run in runs}) > 1:
        found.append("the runs did not learn from the same data: their losses measure different things")
    if len({run.config.settings.loss for run in runs}) > 1:
        found.append("the runs minimised different losses: compare their metrics")
    if len({run.config.settings.seed for run in runs}) == 1 and len(runs) > 1:
        found.append("all runs have one seed: a difference as small as that between seeds says little")
    return found


def curves(runs: Sequence[Run], part: str, measure: str = "loss") -> list[Curve]:
    """One line per run: the measure on a part of the data by epoch."""
    found = []
    for name, run in zip(names_of(runs), runs, strict=True):
        values = [(float(e["epoch"]), (e[part] or {}).get(measure)) for e in run.history]
        known = [(x, float(y)) for x, y in values if y is not None]
        if known:
            found.append(Curve(name, [x for x, _ in known], [y for _, y in known]))
    return found


def record(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Everything compared, as JSON holds it."""
    return [
        {"run": name, "summary": asdict(run.summary), "settings": _flat(run), "history": run.history}
        for name, run in zip(names_of(runs), runs, strict=True)
    ]


def comparison_html(runs: Sequence[Run]) -> str:
    """One page that loads and runs nothing: results, differences, and a chart of every measure."""
    tables = [("how they ended", results(runs)), ("what differed", differences(runs))]
    body = "".join(f"<p>{html_text(text[:1].upper() + text[1:])}.</p>\n" for text in remarks(runs))
    body += "".join(_html(caption, table) for caption, table in tables if table[1])
    charts = Charts()
    drawn = "".join(map(charts.add, comparison_charts(runs))) or "<p>No epoch was finished.</p>\n"
    return page("Runs compared", f"<section>\n{body}</section>\n<section>\n{drawn}</section>\n", STYLE)


def _html(caption: str, table: TextTable) -> str:
    heads, rows = table
    cells = [(f'<th scope="row">{html_text(row[0])}</th>', *(cell(html_text(c)) for c in row[1:])) for row in rows]
    return html_table(caption, [html_text(h) for h in heads], cells)


def comparison_charts(runs: Sequence[Run]) -> list[Chart]:
    """A chart of every measure on every part of the data, with a line per run."""
    events = [event for run in runs for event in run.history]
    measures = dict.fromkeys(name for e in events for name in (*e["train"], *(e["validation"] or {})))
    charts = []
    for name in measures:
        for part, told in (("validation", "validation"), ("train", "training")):
            lines = curves(runs, part, name)
            if lines:
                charts.append(measure_chart(f"{told} {name}", lines, name))
    return charts
