"""The report of a run: one HTML page that loads nothing, runs nothing and can be printed."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from clearprop.charts.chart import Axis, Chart, Curve
from clearprop.charts.colours import ALARM
from clearprop.charts.svg import STYLE, Charts, measure_chart, reliability_chart
from clearprop.data.joint_target import unit_written
from clearprop.errors import ClearpropError, printable
from clearprop.explanation.printers.html import cell, html_table, number_cell, page
from clearprop.notation import number_text
from clearprop.notation.escaping import html_text
from clearprop.reporting.column_importance import columns_section
from clearprop.reporting.members import members_section
from clearprop.reporting.misses import in_units, missed_section
from clearprop.reporting.numbers import (
    Held,
    Sizes,
    amount_text,
    by_layer,
    calibration,
    confusion,
    count_labels,
    held_rows,
    sizes_over_time,
)
from clearprop.reporting.ranking import ranking_charts
from clearprop.runs.events import IN_DEVIATIONS, by_target, measure_text, overall
from clearprop.train import LEAST_COST, ArrayFeed, BlockFeed, Plan, Run
from clearprop.train.ensembles import members_of

LARGEST_CONFUSION, POINTS, LONGEST_NAME, MOST_TARGETS = 30, 1000, 24, 8
"""Up to so many classes a table of confusions is shown; so many points of a scatter chart are drawn; so many characters
of the target's name stand at an axis; of so many targets the errors are drawn."""

_STYLE = (
    STYLE
    + f".bad {{ border-left: 4px solid {ALARM}; }}"
    + """

.headline { font-size: 1.15rem; }
.bad { color: var(--ink); padding: 0.4rem 0.8rem; background: var(--band); }
.counts td { text-align: right; background: color-mix(in srgb, var(--c0) calc(var(--share) * 30%), transparent); }
pre { background: var(--band); padding: 0.6rem 0.8rem; overflow-x: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.long { overflow-wrap: anywhere; }
@media (max-width: 30rem) { th, td, .number { padding-right: 0.3rem; font-size: 0.78rem; white-space: normal; }
  .headline { font-size: 1.05rem; } th[scope="row"] { min-width: 4.5rem; } }
nav ul { columns: 3 12rem; } nav a { color: inherit; }
"""
)


@dataclass(frozen=True, eq=False)
class Report:
    """A page about a run, and the charts in it."""

    html: str
    charts: Sequence[Chart]


def report_of(run: Run) -> Report:
    """The whole page.  Parts whose data are not at hand say so, and a run that failed has a page too."""
    plan, why = _plan(run)
    charts = Charts()
    parts: dict[str, Callable[[], str]] = {
        "How it ended": lambda: _outcome(run),
        "Data": lambda: _data(run),
        "Network": lambda: _network(run),
        "Members" if run.summary.members else "Training": lambda: _curves(run, charts),
        "What it gets right and wrong": lambda: _with_rows(run, plan, why, lambda r, held: _judgement(r, held, charts)),
        "What it hangs on": lambda: _with_rows(run, plan, why, columns_section),
        "Worst misses": lambda: _with_rows(run, plan, why, missed_section),
        "Sizes of gradients and updates": lambda: _sizes(run, plan, why, charts),
        "How to repeat it": lambda: _repeat(run),
        "Environment": lambda: _environment(run),
    }
    bodies = {name: make() for name, make in parts.items()}
    links = "".join(f'<li><a href="#{_anchor(name)}">{html_text(name)}</a></li>' for name in bodies)
    sections = "".join(
        f'<section id="{_anchor(name)}">\n<h2>{html_text(name)}</h2>\n{body}</section>\n'
        for name, body in bodies.items()
    )
    name = run.folder.name if run.folder is not None else run.config.data.source
    body = f'<nav aria-label="Parts of the report"><ul>{links}</ul></nav>\n{sections}'
    return Report(page(f"Run {name}", body, _STYLE), charts.all)


def report_html(run: Run) -> str:
    """The page of `report_of` alone."""
    return report_of(run).html


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _plan(run: Run) -> tuple[Plan | None, str]:
    """The plan with the data, or why it cannot be had."""
    if run.workings is None:
        return None, "the run has no data at hand"
    try:
        return run.workings.plan(), ""
    except ClearpropError as problem:
        return None, problem.headline


def _fact(text: str) -> str:
    """A cell of text; a word too long for a phone, such as a checksum, is broken where it must be."""
    longest = max(map(len, text.split()), default=0)
    return cell(f'<span class="long">{html_text(text)}</span>' if longest > LONGEST_NAME else html_text(text))


def _facts(caption: str, facts: Mapping[str, Any]) -> str:
    rows = [(f'<th scope="row">{html_text(k)}</th>', _fact(str(v))) for k, v in facts.items() if v is not None]
    return html_table(caption, ("what", "value"), rows)


# ------------------------------------------------------------------------------------------------------ the parts
_ENDS = {
    "done": "The run came to its end.",
    "interrupted": "The run was interrupted; it can be resumed.",
    "killed": "The run was killed; it can be resumed from its newest checkpoint.",
    "diverged": "The run failed: its loss is no longer finite. Try a smaller learning rate, or clip the gradients.",
}


def _outcome(run: Run) -> str:
    summary = run.summary
    style = "" if summary.status == "done" else ' class="bad"'
    best = f", best epoch {summary.best_epoch}" if summary.best_epoch else ""
    told = f"{_quantity(summary.epochs, 'epoch')}, {_quantity(summary.steps, 'step')}, {summary.seconds:.1f} s{best}"
    if summary.members is not None:
        told = f"The mean of {_quantity(summary.members, 'member')}, {summary.seconds:.1f} s"
    lead = f"<p{style}>{html_text(_ENDS.get(summary.status, summary.status))}</p>\n<p>{html_text(told)}.</p>\n"
    given = run.results
    if run.headline is not None:
        lead = f'<p class="headline">{html_text(run.headline)}</p>\n{lead}'
    if not given:
        return lead + "<p>No epoch was evaluated.</p>\n"
    together = {part: overall(values) for part, values in given.items()}
    names = list(dict.fromkeys(name for values in together.values() for name in values))
    rows = [
        (f'<th scope="row">{part}</th>', *(_measure(name, values.get(name)) for name in names))
        for part, values in together.items()
    ]
    remark = "" if run.about_training is None else f"<p>{html_text(run.about_training)}.</p>\n"
    table = html_table("results of the best epoch", ("part", *map(html_text, names)), rows)
    return lead + table + remark + _results_by_target(given)


def _results_by_target(given: Mapping[str, Mapping[str, Any]]) -> str:
    """The metrics of each of several targets by itself, in its own unit; nothing for a single one."""
    each = {part: by_target(values) for part, values in given.items()}
    targets = list(dict.fromkeys(target for found in each.values() for target in found))
    if not targets:
        return ""
    names = list(dict.fromkeys(n for found in each.values() for values in found.values() for n in values))
    places = itertools.product(targets, each.items())
    rows = [
        (f'<th scope="row">{html_text(target)}</th>', cell(part), *(_measure(n, found[target].get(n)) for n in names))
        for target, (part, found) in places
    ]
    several = "quantiles" if "below" in names else "targets"
    told = f"<p>Above are means over the {several}{IN_DEVIATIONS if 'mae' in names else ''}.</p>\n"
    return told + html_table(f"results of each {several[:-1]}", (several[:-1], "part", *map(html_text, names)), rows)


def _quantity(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _measure(name: str, value: Any) -> str:
    """A loss or a metric, to as many digits as the terminal shows."""
    return f'<td class="number">{"" if value is None else html_text(measure_text(name, value))}</td>'


def _data(run: Run) -> str:
    record, fitted = run.config.data, run.preprocessing
    rows = {"training": record.train, "validation": record.validation, "test": record.test}
    facts = {
        "source": record.source,
        "rows": ", ".join(f"{n} {part}" for part, n in rows.items() if n),
        "SHA-256": record.digest,
    }
    if fitted is None:
        return _facts("the data", facts)
    facts["task"], facts["target"] = fitted.task, fitted.target.name
    columns = [asdict(row) for row in fitted.summary()]
    shown = columns if len(columns) <= 40 else [*columns[:39], columns[-1]]
    noted = any(c["note"] for c in shown)
    cells = [
        (
            f'<th scope="row">{html_text(c["column"])}</th>',
            cell(html_text("target" if c["role"] == "target" else c["kind"])),
            number_cell(c["missing"]),
            cell(html_text(c["encoding"])),
            *([cell(html_text(c["note"]))] if noted else []),
        )
        for c in shown
    ]
    more = f", {len(shown)} of {len(columns)}" if len(shown) < len(columns) else ""
    heads = ("column", "kind", "missing", "encoding", *(["note"] if noted else []))
    return _facts("the data", facts) + html_table(f"the columns{more}", heads, cells)


def _network(run: Run) -> str:
    rows = [
        (
            f'<th scope="row">{html_text(name)}</th>',
            cell(html_text(" × ".join(map(str, np.shape(value))) or "one number")),
            number_cell(int(np.size(value))),
            number_cell(float(np.sqrt(np.mean(np.square(np.asarray(value, dtype=np.float64)))))),
        )
        for name, value in ((n, np.asarray(p.value)) for n, p in run.model.parameters().items())
    ]
    settings = run.config.settings
    facts = {
        "parameters": f"{run.config.parameters:,}",
        "layers": " → ".join(_layers(run.model)),
        "loss": settings.loss + "".join(f" + {k} {v:g}" for k, v in settings.penalty._asdict().items() if v),
        "optimizer": _optimizer(settings.optimizer),
        "batch size": settings.batch_size,
        "seed": settings.seed,
    }
    caption = "the parameters of the best epoch" if _is_trained(run) else "the parameters that it began with"
    return _facts("the network and its training", facts) + html_table(
        caption, ("parameter", "shape", "numbers", "root mean square"), rows
    )


def _is_trained(run: Run) -> bool:
    return (run.summary.best_epoch or run.summary.members) is not None


def _layers(model: Any) -> list[str]:
    layers = getattr(model, "layers", (model,))
    return [str(getattr(layer, "name", "") or type(layer).__name__) for layer in layers]


def _optimizer(config: str | Mapping[str, Any] | None) -> str:
    if not isinstance(config, Mapping):
        return "one of its own"
    rest = ", ".join(f"{k}={v}" for k, v in config.items() if k != "name")
    return f"{config['name']}({rest})"


def _curves(run: Run, charts: Charts) -> str:
    history = run.history
    if run.summary.members is not None:
        return members_section(members_of(run))
    if not history:
        return "<p>No epoch was finished, so there is no curve.</p>\n"
    epochs = [float(e["epoch"]) for e in history]
    names = list(dict.fromkeys(n for e in history for n in (*overall(e["train"]), *overall(e["validation"] or {}))))
    best = run.summary.best_epoch
    marks = [] if best is None else [(float(best), f"best epoch, {best}")]
    figures = []
    for name in names:
        lines = [Curve(part, epochs, values) for part, values in _by_epoch(history, name).items()]
        figures.append(charts.add(replace(measure_chart(name, lines, name), marks=marks)))
    told = "<p>The curve of training is the mean over the steps of each epoch, in training mode.</p>\n"
    return told + "".join(figures)


def _by_epoch(history: Sequence[Mapping[str, Any]], name: str) -> dict[str, list[float]]:
    """A loss or a metric on the parts where it was measured."""
    parts = {"training": "train", "validation": "validation"}
    found = {told: [_float((e[part] or {}).get(name)) for e in history] for told, part in parts.items()}
    return {told: values for told, values in found.items() if any(v == v for v in values)}


def _float(value: Any) -> float:
    return float(value) if value is not None else float("nan")


def _with_rows(run: Run, plan: Plan | None, why: str, part: Callable[[Run, Held], str]) -> str:
    if plan is None:
        return f"<p>Not shown: {html_text(why)}.</p>\n"
    feed = plan.feed
    train = (feed.x, feed.y) if isinstance(feed, ArrayFeed) else feed.rows if isinstance(feed, BlockFeed) else None
    held = held_rows(run, plan.data, train)
    if held is None:
        return "<p>Not shown: the run learned from an iterable of batches.</p>\n"
    if not np.isfinite(held.outputs).all():
        return "<p>Not shown: the network's outputs are not finite.</p>\n"
    return part(run, held)


def _judgement(run: Run, held: Held, charts: Charts) -> str:
    rows = f"the {held.total} rows"
    if len(held.x) < held.total:
        rows = f"{len(held.x):,} of the {held.total:,} rows, evenly spread,"
    counted = " Here every row counts once; loss and metrics are by the weights of the rows." if held.weighted else ""
    before = "" if _is_trained(run) else " This is the network as it began: no epoch was finished."
    lead = f"<p>Judged by {rows} of the {held.part} part.{counted}{before}</p>\n"
    if run.summary.temperature is not None:
        told = f"Outputs are divided by {number_text(run.summary.temperature)}, a temperature found on validation rows"
        lead += f"<p>{told}: by those the calibration below looks a little better than it is.</p>\n"
    if isinstance(held.choice, float):
        chosen = f"{html_text(held.classes[1])} is chosen where its probability is above {number_text(held.choice)}"
        lead += f"<p>{chosen}, the threshold; calibration is of the larger probability.</p>\n"
    elif held.choice is not None:
        lead += f"<p>{LEAST_COST[0].upper()}{LEAST_COST[1:]}; calibration is of the largest probability.</p>\n"
    if held.classes:
        return lead + _confusion(held) + "".join(map(charts.add, ranking_charts(held))) + _calibration(held, charts)
    if held.labels_each:
        return lead + _labels(held)
    return lead + _residuals(run, held, charts)


def _confusion(held: Held) -> str:
    counts = confusion(held)
    if len(held.classes) > LARGEST_CONFUSION:
        pairs = np.argwhere((counts > 0) & ~np.eye(len(counts), dtype=bool))
        worst = sorted(pairs.tolist(), key=lambda ij: -counts[ij[0], ij[1]])[:10]
        rows = [
            (
                f'<th scope="row">{html_text(held.classes[i])}</th>',
                cell(html_text(held.classes[j])),
                number_cell(counts[i, j]),
            )
            for i, j in worst
        ]
        return html_table("the most frequent confusions", ("class", "taken for", "rows"), rows)
    table: list[tuple[str, ...]] = []
    for i, name in enumerate(held.classes):
        total = max(int(counts[i].sum()), 1)
        cells = [f'<td style="--share: {counts[i, j] / total:.3f}">{counts[i, j]}</td>' for j in range(len(counts))]
        table.append((f'<th scope="row">{html_text(name)}</th>', *cells, number_cell(float(counts[i, i] / total))))
    heads = ("true class, taken for", *map(html_text, held.classes), "found")
    return f'<div class="counts">{html_table("confusions: rows of each class by the answer", heads, table)}</div>\n'


def _labels(held: Held) -> str:
    """Labels that are answered for themselves; no precision of one that was never said, no recall of one nowhere."""
    heads = ("label", "rows with it", "rows said to have it", "precision", "recall", "right")
    rows = []
    for name, has, said, both, right in count_labels(held):
        shares = [number_cell(both / n) if n else cell("") for n in (said, has)]
        rows.append(
            (
                f'<th scope="row">{html_text(name)}</th>',
                number_cell(has),
                number_cell(said),
                *shares,
                number_cell(right),
            )
        )
    return html_table("labels, each answered for itself", heads, rows)


def _calibration(held: Held, charts: Charts) -> str:
    bins, error = calibration(held)
    chart = reliability_chart("Calibration", [b.confidence for b in bins], [b.right for b in bins])
    rows = [
        (f'<th scope="row">{number_text(b.confidence)}</th>', number_cell(b.right), number_cell(b.rows)) for b in bins
    ]
    told = f"<p>Expected calibration error: {number_text(error)}. On the dashed line confidence is deserved.</p>\n"
    table = html_table("calibration by confidence", ("mean confidence", "share that is right", "rows"), rows)
    return told + charts.add(chart) + table


def _residuals(run: Run, held: Held, charts: Charts) -> str:
    shown = [_residuals_of(run, held, charts, place) for place in range(min(held.outputs.shape[1], MOST_TARGETS))]
    left = held.outputs.shape[1] - len(shown)
    return "".join(shown) + (f"<p>{left} further targets are not shown.</p>\n" if left else "")


def _residuals_of(run: Run, held: Held, charts: Charts, place: int) -> str:
    """Predictions and errors of one target."""
    known_values, outputs = held.targets, held.outputs
    true, said = (in_units(run, values)[:, place] for values in (known_values, outputs))
    residuals = said - true
    unit = "" if run.preprocessing is None else unit_written(run.preprocessing.target, place)
    facts = {
        "mean residual (predicted − true)": amount_text(float(residuals.mean())),
        "median of |residual|": amount_text(float(np.median(np.abs(residuals)))),
        "90 % of |residual| are below": amount_text(float(np.quantile(np.abs(residuals), 0.9))),
        "largest |residual|": amount_text(float(np.abs(residuals).max())),
    }
    true, said, residuals = (v[:POINTS].tolist() for v in (true, said, residuals))
    ends = (min(true + said), max(true + said))
    equal = Curve("equal", ends, ends, look="guide")
    zero = Curve("no error", (min(said), max(said)), (0.0, 0.0), look="guide")
    first = Curve("rows", true, said, look="points")
    second = Curve("rows", said, residuals, look="points")
    name = run.target_names[place] if run.target_names else "target" if outputs.shape[1] == 1 else f"target {place}"
    target = f"{_for_an_axis(name)}, {unit}" if unit else _for_an_axis(name)
    told = f", in {unit}" if unit else ""
    of_one = f" of {target}" if outputs.shape[1] > 1 else ""
    known, guessed, off = (Axis(f"{what} {target}") for what in ("true", "predicted", "residual of"))
    return (
        _facts(f"residuals{of_one or told}", facts)
        + charts.add(Chart(f"Predicted against true{of_one}", [first, equal], known, guessed, square=True))
        + charts.add(Chart(f"Residuals{of_one}", [second, zero], guessed, off))
    )


def _for_an_axis(name: str) -> str:
    """A column's name, where there is room for so many characters only."""
    told = printable(name)
    return told if len(told) <= LONGEST_NAME else told[: LONGEST_NAME - 1] + "…"


def _sizes(run: Run, plan: Plan | None, why: str, charts: Charts) -> str:
    if plan is None:
        return f"<p>Not shown: {html_text(why)}.</p>\n"
    try:
        sizes = sizes_over_time(run, plan)
    except ClearpropError as problem:
        return f"<p>Not shown: {html_text(problem.headline)}.</p>\n"
    if not sizes:
        return "<p>The run took no step.</p>\n"
    steps = ", ".join(str(s.step) for s in sizes)
    lead = f"<p>Root mean squares over the entries of each parameter, from replays of the steps {steps}.</p>\n"
    return lead + "".join(
        _size_chart(title, sizes, part, charts) for title, part in (("Gradients", "gradients"), ("Updates", "updates"))
    )


def _size_chart(title: str, sizes: Sequence[Sizes], part: str, charts: Charts) -> str:
    steps = [float(s.step) for s in sizes]
    values = by_layer(sizes, part)
    lines = [Curve(name, steps, line) for name, line in values.items()]
    rows = [(f'<th scope="row">{html_text(name)}</th>', *map(number_cell, line)) for name, line in values.items()]
    heads = ("parameter", *(f"step {s.step}" for s in sizes))
    axes = Axis("step", logarithmic=True, whole=True), Axis("root mean square", logarithmic=True)
    return charts.add(Chart(title, lines, *axes)) + html_table(f"{title.lower()}: root mean squares", heads, rows)


# -------------------------------------------------------------------------------------------------- repeating it
def command_line(run: Run) -> str | None:
    """The command that repeats the run; None for one that `cl.fit` made."""
    options = run.config.command
    if options is None:
        return None
    words = ["clearprop", "train"]
    if run.config.forked is not None:
        return shlex.join([*words, "--fork", f"{run.config.forked.run}@{run.config.forked.step}",
                           *_options(run.config.forked.changed)])  # fmt: skip
    return shlex.join([*words, str(options.get("data")), *_options({k: v for k, v in options.items() if k != "data"})])


def _options(options: Mapping[str, Any]) -> Iterable[str]:
    for name, value in options.items():
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield from ("--" + name.replace("_", "-"), text)


def _repeat(run: Run) -> str:
    command = command_line(run)
    if command is None:
        forked = run.config.forked
        how = f"run.fork({forked.step}, {forked.changed})" if forked else "cl.fit with the settings above, and seed "
        how += "" if forked else str(run.config.settings.seed)
        return f"<p>The run was made in Python: {html_text(how)}, on data with the SHA-256 above.</p>\n"
    same = "On the same machine, with the same BLAS kernel and number of threads, it gives the same bits."
    return f'<pre tabindex="0" role="group" aria-label="command">{html_text(command)}</pre>\n<p>{same}</p>\n'


def _environment(run: Run) -> str:
    facts = asdict(run.config.environment)
    versions = facts.pop("versions")
    names = {"blas": "BLAS kernel"}
    return _facts("where it was made", {names.get(k, k): v for k, v in facts.items()} | versions)
