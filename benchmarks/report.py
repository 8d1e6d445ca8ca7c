"""One record of a run, printed as Markdown and as JSON."""

from __future__ import annotations

from typing import Any

from benchmarks.measure import Result
from benchmarks.targets import TARGETS, Rows, ours

MARKS = {"goal": "goal", "reached": "yes", "missed": "**no**", "not measured": "not measured"}


def markdown(record: dict[str, Any], rows: Rows) -> str:
    """The page: machine, verdicts, a table per row, sizes."""
    parts = [
        "# Speed",
        f"Made by `{record['command']}`. Medians of {record['rounds']} rounds; every contender in its own process, "
        "contenders in turns, batches gathered inside the time on all sides. How: [benchmarks](../benchmarks.md).",
        _machine(record["machine"]),
        *(["**Quick run: figures are only indicative.**"] if record["quick"] else []),
        "## Must show",
        _verdicts(record["targets"]),
        *(_row(title, rows[name], record["others"][name]) for name, title in record["titles"].items() if name in rows),
        "## Install, import, Python calls",
        _families(record["families"]),
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def judged(rows: Rows) -> list[dict[str, Any]]:
    """Every target of a row that was run."""
    return [t.judged(rows) for t in TARGETS if t.row in rows]


# ----------------------------------------------------------------------------------------------------- parts
def _machine(m: dict[str, Any]) -> str:
    unset = f"; unset for the run: {', '.join(m['unset'])}" if m["unset"] else ""
    held = f"; every contender held to {m['kernel'].upper()}" if m["kernel"] else ""
    return (
        f"{m['processor']}, {m['cores']} cores, {', '.join(m['vector'])}, {m['memory_gb']} GB, {m['system']}, "
        f"Python {m['python']}; load before the run {m['load']}{unset}{held}."
    )


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *lines])


def _verdicts(targets: list[dict[str, Any]]) -> str:
    lines = []
    for t in targets:
        sign, unit = "≤" if t["at_most"] else "≥", t["unit"]
        goal = "" if t["goal"] is None else f"{sign} {t['goal']:g}{unit}"
        value = "" if t["value"] is None else f"{t['value']:.2f}{unit}"
        lines.append([t["row"], t["text"], f"{sign} {t['bound']:g}{unit}", goal, value, MARKS[t["verdict"]]])
    return (
        table(["row", "", "at least", "goal", "measured", "reached"], lines)
        if lines
        else "No row with a target was run."
    )


def _row(title: str, row: dict[str, Result], others: float | None = None) -> str:
    own = ours(row)
    lines = [_line(r, own) for r in row.values()]
    head = ["contender", "median", "quartiles", "over ours", "first call", "peak memory", "check", "BLAS"]
    shared = "" if others is None else f"\n\nOthers used {others:.0%} of the machine's processor time meanwhile."
    return f"## {title}\n\n{table(head, lines)}{_notes(row)}{shared}"


def _line(r: Result, own: float | None) -> list[str]:
    if r.error:
        return [r.label, "failed", "", "", "", "", "", ""]
    q = r.quartiles
    ratio = f"{r.median / own:.2f}×" if own and r.median else ""
    return [
        r.label, duration(r.median), f"{duration(q[0])} – {duration(q[1])}" if q else "", ratio,
        duration(_middle(r.first)), size(r.memory), "" if r.check is None else f"{r.check:.5g}", _kernels(r.blas),
    ]  # fmt: skip


def _notes(row: dict[str, Result]) -> str:
    notes = [f"- {r.label}: {r.error.splitlines()[0]}" for r in row.values() if r.error]
    notes += [
        f"- {r.label}: medians of its processes {', '.join(map(duration, r.modes))}"
        for r in row.values()
        if len(r.modes) > 1
    ]
    notes += [
        f"- {r.label}: epochs {', '.join(map(str, r.notes['epochs']))}" for r in row.values() if "epochs" in r.notes
    ]
    notes += [
        f"- {r.label}: processor time {duration(_middle(r.notes['cpu_seconds']))}"
        for r in row.values()
        if "cpu_seconds" in r.notes
    ]
    return "\n\n" + "\n".join(notes) if notes else ""


def _families(families: list[dict[str, Any]]) -> str:
    lines = [
        [f["name"], f["absent"] or f["version"], size(f["bytes"]), duration(f["import"]), str(f["calls"] or "")]
        for f in families
    ]
    return table(
        ["", "version", "on disk with its dependencies", "import", "Python calls of `relu(x * 2)` and its gradient"],
        lines,
    )


def _kernels(blas: list[str]) -> str:
    return ", ".join(dict.fromkeys(" ".join(b.split()[2:]) if b.startswith("openblas") else b for b in blas))


def _middle(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def duration(seconds: float | None) -> str:
    """Three digits in a unit that fits."""
    if seconds is None:
        return ""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds / scale < 1000 else f"{seconds / scale:.0f} {unit}"
    return f"{seconds / 1e-9:.0f} ns" if seconds else "0"


def size(number: int) -> str:
    return f"{number / 2**20:.0f} MiB" if number else ""
