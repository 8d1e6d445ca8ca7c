"""One record of a run, kept row by row: printed as Markdown and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import Result
from benchmarks.targets import TARGETS, Rows, ours
from benchmarks.workloads import WORKLOADS

MARKS = {"goal": "goal", "reached": "yes", "missed": "**no**", "not measured": "not measured"}


@dataclass
class Table:
    """What was measured, how, and on what; `families` are the libraries that took part."""

    options: list[str]
    """Of the command, but for the rows."""
    quick: bool
    rounds: int
    machine: dict[str, Any]
    titles: dict[str, str] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)
    """The share of the processors' time that others took meanwhile, by row."""
    rows: Rows = field(default_factory=dict)
    families: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the files, without their endings."""
        kernel = self.machine["kernel"]
        return f"speed-{kernel}" if kernel else "speed"

    @property
    def command(self) -> str:
        """What makes all of its rows."""
        left = [w.name for w in WORKLOADS if w.name not in self.rows]
        rows = [f"--rows {','.join(self._ordered)}"] if left else []
        return " ".join(["python -m benchmarks", *rows, *self.options])

    @property
    def _ordered(self) -> list[str]:
        return [w.name for w in WORKLOADS if w.name in self.rows]

    def add(self, title: str, row: str, results: dict[str, Result], others: float) -> None:
        """A row that was measured, in place of an earlier one."""
        self.titles[row], self.rows[row], self.others[row] = title, results, others

    def continued(self, folder: Path) -> Table:
        """This run with the rows of the table in the folder; ends the program where they are of another kind."""
        file = folder / f"{self.name}.json"
        if not file.exists():
            return self
        record = json.loads(file.read_text())
        for what in ("quick", "rounds"):
            if record[what] != getattr(self, what):
                raise SystemExit(f"{file} was made with {what} {record[what]}: its rows cannot stand beside others")
        if differing := [n for n in SAME if record["machine"][n] != self.machine[n]]:
            raise SystemExit(f"{file} was made on another machine: its {', '.join(differing)} differ")
        rows = {n: {r["contender"]: Result.of_record(r) for r in row} for n, row in record["rows"].items()}
        return replace(self, machine=record["machine"], titles=record["titles"], others=record["others"], rows=rows)

    def write(self, folder: Path) -> str:
        """Both files; returns the page. Rows stand in the order of the workloads."""
        folder.mkdir(parents=True, exist_ok=True)
        ordered = self._ordered
        record = {
            "command": self.command, "quick": self.quick, "rounds": self.rounds, "machine": self.machine,
            "titles": {n: self.titles[n] for n in ordered}, "others": {n: self.others[n] for n in ordered},
            "families": self.families, "targets": judged(self.rows),
            "rows": {n: [r.record() for r in self.rows[n].values()] for n in ordered},
        }  # fmt: skip
        text = markdown(record, self.rows)
        (folder / f"{self.name}.md").write_text(text)
        (folder / f"{self.name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        return text


SAME = ("processor", "cores", "vector", "system", "python", "kernel")
"""What a machine must have in common with another for rows to stand in one table."""


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
