"""The run folder: its files, written whole, and read back with everything checked.

`config.json` (what repeats the run), `model.safetensors` (the best epoch's network), `preprocessing.json`,
`history.jsonl` (the `epoch` events), `summary.json` (how it ended), `checkpoints/STEP/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Self

from clearprop.data.preprocessing import Preprocessing
from clearprop.data.provenance import DataRecord
from clearprop.errors import RunError, nearest
from clearprop.files.atomic import as_path, cannot_write, create_folder, remove_leftovers, write_files
from clearprop.files.presence import is_file, is_folder, require_free
from clearprop.files.strict_json import parse_json, read_json, read_record, read_text, refuse
from clearprop.runs.environment import Environment
from clearprop.runs.events import Event, as_line, is_measure, plain
from clearprop.runs.settings import Settings

FORMAT = 1
"""The version of the form of run folders; a reader refuses another one."""
STATUSES = ("running", "done", "interrupted", "diverged")
"""How a run can stand; `running` in a folder that no process trains any more means that it was killed."""


@dataclass(frozen=True)
class Forked:
    """Where a forked run comes from: the folder and the step of the other run, and the settings that were changed."""

    run: str | None
    step: int
    changed: dict[str, object]


@dataclass(frozen=True)
class Stretch:
    """Steps up to number `until`, and the environment in which they were made."""

    until: int
    environment: Environment


@dataclass(frozen=True)
class Config:
    """The file `config.json`.

    `command` holds the options of `clearprop train`, None for `cl.fit`.  `environment` is that of the newest steps;
    `earlier` tells of those before them, where a run was resumed in another one.  `probe` is the loss of set weights on
    the first rows, where network or loss are of the user's own: that no other ones go on with the run.
    """

    format: int
    model: dict[str, object] | None
    parameters: int
    settings: Settings
    data: DataRecord
    command: dict[str, object] | None
    forked: Forked | None
    environment: Environment
    earlier: tuple[Stretch, ...] = ()
    probe: float | None = None

    def differences(self, after: int, until: int, now: Environment) -> list[str]:
        """What differs between `now` and where the steps from `after` + 1 to `until` were made, if that may matter."""
        made = [s.environment for s, first in zip(self.earlier, self._first_steps, strict=False)
                if first < until and s.until > after]  # fmt: skip
        if until > self._first_steps[-1]:
            made.append(self.environment)
        return list(dict.fromkeys(difference for one in made for difference in one.differences(now)))

    @property
    def _first_steps(self) -> tuple[int, ...]:
        """Before which step every stretch begins, the newest one included."""
        return (0, *(stretch.until for stretch in self.earlier))

    def resumed(self, before: Config, step: int) -> Config:
        """The config of a run that goes on from `step` and was `before`: it remembers where its steps were made."""
        made = zip((*before.earlier, Stretch(step, before.environment)), before._first_steps, strict=True)
        earlier = [Stretch(min(s.until, step), s.environment) for s, first in made if first < step]
        while earlier and not earlier[-1].environment.differences(self.environment):
            earlier.pop()
        return replace(self, forked=before.forked, earlier=tuple(earlier))

    def as_record(self) -> dict[str, Any]:
        """The config as JSON values."""
        return {**asdict(self), "settings": self.settings.kept()}


@dataclass(frozen=True)
class Summary:
    """The file `summary.json`: how the run ended, or `running`.

    `train`, `validation` and `test` are of the best epoch's network, as it predicts; `train_rows` says on how many rows
    to train on `train` was measured.  It is None where they cannot be read again, and in folders of earlier versions:
    there `train` is the mean over the steps of the best epoch, each before its update and in training mode.
    `baseline` tells what the results stand beside: the part that was judged, and the loss and the metrics of the
    `constant` answer and of the `linear` model there; None where they were not measured.  `errors` are quantiles of the
    errors of validation rows, of which intervals around predictions are made; None where there are none.  `threshold`
    is the one that was found for the choice between two classes; None where none was looked for.  `temperature` is what
    the last layer was divided by; None where it was not.  `members` are the networks whose answers are averaged; None
    for a network by itself.
    """

    status: str
    epochs: int
    steps: int
    best_epoch: int | None
    train: dict[str, Any] | None
    validation: dict[str, Any] | None
    test: dict[str, Any] | None
    seconds: float
    stopped_by: str | None
    baseline: dict[str, Any] | None = None
    errors: dict[str, Any] | None = None
    train_rows: int | None = None
    threshold: float | None = None
    temperature: float | None = None
    members: int | None = None


MANIFEST = "ensemble.json"
"""The file that makes a folder one of an ensemble: what was asked for."""


def is_ensemble(folder: Path) -> bool:
    """Whether the folder is one of an ensemble, ended or not."""
    return is_file(folder / MANIFEST)


FOLDS = "asked.json"
"""The file that makes a folder one of folds: what was asked for."""


def holds_folds(folder: Path) -> bool:
    """Whether the folder is one of a cross-validation, ended or not."""
    return is_file(folder / FOLDS)


def require_steps(folder: Path) -> None:
    """Raise RunError for the folder of an ensemble, which has no steps of its own."""
    if is_ensemble(folder):
        raise RunError(
            "an ensemble has no steps of its own: its members have them",
            expected="the folder of a member",
            got="that of the ensemble",
            where=str(folder),
            try_=str(folder / "1"),
        )


class RunFolder:
    """A run folder that exists.  `make` starts one, the constructor opens one."""

    def __init__(self, path: Path | str) -> None:
        self.path = as_path(path, "path")
        if not is_file(self.path / "config.json"):
            got = "a folder without config.json" if is_folder(self.path) else "no such folder"
            raise RunError(
                f"{str(path)!r} is no run folder",
                expected="a folder that `clearprop train` or `cl.fit(..., out=)` wrote",
                got="a file" if is_file(self.path) else got,
                where=str(path),
                try_=_others(self.path),
            )

    @classmethod
    def make(
        cls,
        path: Path | str,
        config: Config,
        preprocessing: Preprocessing | None,
        summary: Summary,
        history: Sequence[Event] = (),
        checkpoint: Mapping[str, bytes] = MappingProxyType({}),
    ) -> RunFolder:
        """Start a run folder in one step: before it there is nothing, and after it a run that can be resumed.

        `checkpoint` holds the files of the one that the run starts from, by their places in the folder; without it the
        run starts at step 0.  The folder is durable with its first checkpoint, before which nothing can be lost.

        Raises ArgumentError if it is not empty, RunError if it cannot be written.
        """
        path = as_path(path, "path")
        require_free(path)
        content = {} if preprocessing is None else {"preprocessing.json": preprocessing.to_json().encode()}
        content["history.jsonl"] = _lines(history)
        content["summary.json"] = _as_json(asdict(summary))
        content["config.json"] = _as_json(config.as_record())
        if not create_folder(path, {**content, **checkpoint}, durable=bool(checkpoint)):
            require_free(path)
        return cls(path)

    @classmethod
    def complete(
        cls, path: Path, config: Config, preprocessing: Preprocessing, summary: Summary, model: bytes
    ) -> RunFolder:
        """Make a folder that holds the runs of an ensemble a run folder itself, or write it anew.

        Raises RunError if it cannot be written.
        """
        content = {
            "preprocessing.json": preprocessing.to_json().encode(),
            "history.jsonl": b"",
            "model.safetensors": model,
            "summary.json": _as_json(asdict(summary)),
            "config.json": _as_json(config.as_record()),
        }
        write_files(path, content)
        return cls(path)

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def model_file(self) -> Path:
        """The file of the best epoch's network."""
        return self.path / "model.safetensors"

    @property
    def begun(self) -> list[Path]:
        """The files that `make` wrote, and the folder that names them."""
        names = ("preprocessing.json", "history.jsonl", "summary.json", "config.json")
        return [*(file for name in names if (file := self.path / name).exists()), self.path]

    @property
    def history_file(self) -> Path:
        """The file of the `epoch` events."""
        return self.path / "history.jsonl"

    def config(self) -> Config:
        """Read `config.json`."""
        since: dict[str, Any] = {"earlier": [], "probe": None, "data": {"columns": None, "labels": None}}
        config: Config = _read(Config, self.path / "config.json", "the run's config", since)
        return config

    def write_config(self, config: Config) -> None:
        """Replace `config.json`: a resumed run may have more epochs."""
        write_files(self.path, {"config.json": _as_json(config.as_record())})

    def preprocessing(self) -> Preprocessing | None:
        """Read `preprocessing.json`; None if the run was given arrays as they are."""
        path = self.path / "preprocessing.json"
        if not path.exists():
            return None
        text = read_text(path, "the stored preprocessing")
        return Preprocessing.from_json(text, str(path))

    def write_summary(self, summary: Summary) -> None:
        """Write `summary.json`."""
        write_files(self.path, {"summary.json": _as_json(asdict(summary))})

    def finish(self, model: bytes, summary: Summary) -> None:
        """Write the network of the best epoch, and how the run ended."""
        content = {self.model_file.name: model, "summary.json": _as_json(asdict(summary))}
        write_files(self.path, content, after=self.begun)

    def summary(self) -> Summary | None:
        """Read `summary.json`; None if the run has not ended yet."""
        path = self.path / "summary.json"
        if not path.exists():
            return None
        since = {"baseline": None, "errors": None, "train_rows": None, "threshold": None, "temperature": None}
        since |= {"members": None}
        summary: Summary = _read(Summary, path, "the run's summary", since)
        if summary.status not in STATUSES:
            refuse("the run's summary", "status " + ", ".join(STATUSES), repr(summary.status), str(path))
        return summary

    def history(self) -> list[Event]:
        """Read `history.jsonl`: one `epoch` event per epoch, in order.  A line cut short at the end is left out."""
        path = self.history_file
        lines = read_text(path, "the history").split("\n")[:-1]
        return [_epoch_event(line, number, path) for number, line in enumerate(lines, 1)]

    def keep_history(self, epochs: int) -> list[Event]:
        """Cut the history after so many epochs, and return it: what a resumed run does again is not said twice."""
        kept = self.history()[:epochs]
        if len(kept) < epochs:
            refuse("the history", f"{epochs} epochs", f"{len(kept)}", str(self.history_file))
        write_files(self.path, {self.history_file.name: _lines(kept)})
        remove_leftovers(self.path)
        remove_leftovers(self.checkpoints)
        return kept


@dataclass(frozen=True)
class EpochFields:
    """What is read of an `epoch` event."""

    step: int
    epoch: int
    epochs: int
    train: dict[str, object]
    validation: dict[str, object] | None
    best: bool
    seconds: float


_EPOCH_FIELDS = tuple(EpochFields.__dataclass_fields__)


class HistoryWriter:
    """A subscriber that appends events of one kind, or with None of any, to a file while it is entered.

    Every line is handed to the system at once: a process that is killed leaves what it has said.
    """

    def __init__(self, path: Path, kind: str | None = "epoch") -> None:
        self.path, self.kind = path, kind
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._file = self.path.open("a", encoding="utf-8", buffering=1)
        except OSError as problem:
            raise cannot_write(self.path, problem) from None
        return self

    def __call__(self, event: Event) -> None:
        """Append the event if it is of the kind.  Raises RunError if the disk refuses."""
        if self.kind not in (None, event["event"]) or self._file is None:
            return
        try:
            self._file.write(as_line(event) + "\n")
        except OSError as problem:
            raise cannot_write(self.path, problem) from None

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with suppress(OSError):  # what the disk refused has been said, and closing tries it once more
                self._file.close()


def _others(path: Path) -> str:
    """The remedy: the run that was probably meant."""
    folder = path.parent
    known = [str(p.parent) for p in folder.glob("*/config.json")] if is_folder(folder) else []
    close = nearest(str(path), known)
    return f"{close!r}, the nearest run" if close else "check the name; runs are under runs/ unless --out was given"


def _read(kind: type[Any], path: Path, what: str, since: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """`since` holds what files of earlier versions do not have, also within an object of theirs."""
    value = read_json(path, what)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        got = f"format {value.get('format')!r}" if isinstance(value, dict) else type(value).__name__
        refuse(what, f"format {FORMAT}", got, str(path))
    if "format" not in kind.__dataclass_fields__:
        value = {name: item for name, item in value.items() if name != "format"}
    return read_record(kind, _with_new_fields(value, since), what, str(path))


def _with_new_fields(value: Mapping[str, Any], since: Mapping[str, Any]) -> dict[str, Any]:
    objects = [name for name, new in since.items() if isinstance(new, dict) and isinstance(value.get(name), dict)]
    inner = {name: {**since[name], **value[name]} for name in objects}
    return {**since, **value, **inner}


def _as_json(value: dict[str, Any]) -> bytes:
    text = json.dumps(plain({"format": FORMAT, **value}), indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _lines(events: Sequence[Event]) -> bytes:
    return "".join(as_line(event) + "\n" for event in events).encode()


def _epoch_event(line: str, number: int, path: Path) -> Event:
    where = f"{path}:{number}"
    event = parse_json(line, "the history", where)
    if not isinstance(event, dict) or event.get("event") != "epoch" or event.get("epoch") != number:
        refuse("the history", f"the event of epoch {number}", line[:60], where)
    known = {name: event[name] for name in _EPOCH_FIELDS if name in event}
    fields = read_record(EpochFields, known, "the history", where)
    for value in (*fields.train.values(), *(fields.validation or {}).values()):
        if not is_measure(value):
            refuse("the history", "numbers, or the texts nan, inf and -inf, as results", repr(value)[:60], where)
    return event
