"""The folder of a sweep: what was asked for, once; a stream of events; and a run folder for every trial."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clearprop.errors import RunError
from clearprop.files.atomic import as_path, write_text
from clearprop.files.presence import is_file, start_folder
from clearprop.files.strict_json import parse_json, read_json, read_record, read_text, refuse
from clearprop.runs.events import Event, plain

FORMAT = 1
"""The version of the form of the folders of sweeps; a reader refuses another one."""
WHAT = "the sweep"


@dataclass(frozen=True)
class SweepConfig:
    """The file `sweep.json`: all that decides on the trials.

    `space` holds the settings that vary, as text; `asked` those that are the same for all, as JSON values; `source` the
    data as a sentence names them, `data` where they can be read again (None: they came from a program).
    """

    format: int
    source: str
    data: str | None
    space: dict[str, str]
    asked: dict[str, object]
    search: str
    trials: int
    metric: str
    seed: int
    threads: int


@dataclass(frozen=True)
class TrialFields:
    """What is read of a `trial` event."""

    number: int
    status: str
    settings: dict[str, object]
    epochs: int | None
    epoch: int | None
    metric: str
    value: object
    best_epoch: int | None
    seconds: float
    message: str


_TRIAL_FIELDS = tuple(TrialFields.__dataclass_fields__)


class SweepFolder:
    """The folder of a sweep that exists.  `make` starts one, the constructor opens one."""

    def __init__(self, path: Path | str) -> None:
        self.path = as_path(path, "out")
        if not is_file(self.path / "sweep.json"):
            raise RunError(
                f"{str(path)!r} is no folder of a sweep",
                expected="a folder that `clearprop sweep` or `cl.sweep` wrote",
                got="a folder without sweep.json" if self.path.is_dir() else "no such folder",
                where=str(path),
                try_="check the name; sweeps are under runs/ unless --out was given",
            )

    @classmethod
    def make(cls, path: Path, config: SweepConfig) -> SweepFolder:
        """Start the folder in one step.  Raises ArgumentError if it is not empty, RunError if it cannot be written."""
        text = json.dumps(plain(asdict(config)), indent=1, ensure_ascii=False, allow_nan=False)
        start_folder(path, {"sweep.json": f"{text}\n".encode(), "events.jsonl": b""})
        return cls(path)

    def config(self) -> SweepConfig:
        """Read `sweep.json`.  Raises RunError for one that cannot be trusted."""
        file = self.path / "sweep.json"
        value = read_json(file, WHAT)
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            refuse(WHAT, f"format {FORMAT}", repr(value)[:60], str(file), "sweep again, into another folder")
        return read_record(SweepConfig, value, WHAT, str(file))

    def trial(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.path / "trials" / f"trial-{number:03d}"

    @property
    def stop(self) -> Path:
        """The file that asks all trials to save and stop."""
        return self.path / "stop"

    @property
    def page(self) -> Path:
        """The page that shows the trials."""
        return self.path / "sweep.html"

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write `result.json`: which trial was chosen, and how good it is."""
        text = json.dumps(plain({"format": FORMAT, **result}), indent=1, ensure_ascii=False, allow_nan=False)
        write_text(self.path / "result.json", f"{text}\n")

    def result(self) -> dict[str, Any] | None:
        """Read `result.json`; None where no trial was chosen yet."""
        file = self.path / "result.json"
        if not file.is_file():
            return None
        value = read_json(file, WHAT)
        if not isinstance(value, dict):
            refuse(WHAT, "an object", repr(value)[:60], str(file))
        return value

    def begun(self) -> list[dict[str, Any]]:
        """What varied in the trials that were begun, by their numbers."""
        found: dict[int, dict[str, Any]] = {}
        for event in self.trial_events():
            found.setdefault(event["number"], event["settings"])
        return [found[number] for number in sorted(found)]

    def trial_events(self) -> Iterator[Event]:
        """The events of trials so far, each with its fields.  Raises RunError for a file that cannot be trusted."""
        for number, event in enumerate(self.events(), 1):
            if event.get("event") == "trial":
                fields = {name: event[name] for name in _TRIAL_FIELDS if name in event}
                read_record(TrialFields, fields, WHAT, f"{self.events_file}:{number}")
                yield event

    @property
    def events_file(self) -> Path:
        """The file of the events, one a line."""
        return self.path / "events.jsonl"

    def events(self) -> Iterator[Event]:
        """The events so far; a line cut short at the end is left out."""
        file = self.events_file
        for number, line in enumerate(read_text(file, WHAT).split("\n")[:-1], 1):
            event = parse_json(line, WHAT, f"{file}:{number}")
            if not isinstance(event, dict):
                refuse(WHAT, "events", repr(event)[:60], f"{file}:{number}")
            yield event

    def written_events(self) -> int:
        """How many events are written; one that was cut short is taken away."""
        file = self.events_file
        text = read_text(file, WHAT)
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_text(file, whole)
        return whole.count("\n")
