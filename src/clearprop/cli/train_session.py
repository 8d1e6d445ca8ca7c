"""What `clearprop train` does: data and settings to a job, the job done, the outcome told."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from clearprop import nn
from clearprop.cli.console import (
    Display,
    divergence,
    messages,
    output,
    print_json,
    rule_text,
    say,
    tell_data,
    tell_results,
)
from clearprop.cli.exit_codes import DONE, INTERRUPTED, MISTAKE
from clearprop.cli.standard_input import NAME, given_data
from clearprop.data.parts import batches_in, rows_in
from clearprop.data.readers.formats import DATA_FILE
from clearprop.data.readers.reading import READING_TEXT, Reading
from clearprop.data.readers.sources import BUNDLED, default_memory
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.streaming.sharers import ALONE
from clearprop.data.training_data import Prepared, from_source
from clearprop.distributed import World
from clearprop.errors import ArgumentError, ClearpropError
from clearprop.files.presence import free_folder, require_free
from clearprop.nn.losses import task_under
from clearprop.runs.asked_settings import settings_from
from clearprop.runs.events import Events, log_events
from clearprop.runs.folder import RunFolder, require_steps
from clearprop.runs.settings import CHANGEABLE, OPTIONS, Settings, option_of
from clearprop.train import (
    AUTO,
    Decide,
    Job,
    Run,
    TrainingInterrupted,
    as_in_training,
    begin_with,
    command_of,
    decide_alone,
    job_for,
    load,
    network_for,
    require_kept,
    settled_data,
    starting_from,
    tested_rate,
    train,
    transform_asked,
    with_defaults,
    with_weights_of,
)

_RESUMABLE = ("data", "epochs", "patience")
_CHANGEABLE = ("lr", *(name for name in CHANGEABLE if name != "lr" and name in OPTIONS))


def start(
    session: Session, given: Mapping[str, Any], *, out: Path | None, config: Path | None, weights: Path | None
) -> int:
    """A new run, which begins with the `weights` of another one if that is asked for."""
    with session:
        asked = settings_from(given, config)
        if "data" not in asked:
            raise ArgumentError(
                "there is nothing to train on",
                expected=f"DATA: {DATA_FILE}, or one of: " + ", ".join(BUNDLED),
                got="no DATA",
                try_="clearprop train digits",
            )
        if out is not None:
            require_free(out)
        session.do(asked, out=out, weights=weights)
    return session.code


def resume(
    session: Session,
    folder: Path,
    given: Mapping[str, Any],
    *,
    out: Path | None,
    config: Path | None,
    weights: Path | None,
) -> int:
    """A run that is continued, with its own settings; only epochs and patience may be others."""
    with session:
        other = [option_of(name) for name in given if name not in _RESUMABLE]
        options = (("--out", out), ("--config", config), ("--initial-weights", weights))
        other += [name for name, value in options if value is not None]
        if other:
            raise ArgumentError(
                "a resumed run keeps its settings",
                expected="--resume with at most --epochs and --patience",
                got=", ".join(other),
                where=f"--resume {folder}",
                try_=f"clearprop train --resume {folder}, or a new run with {other[0]}",
            )
        stored = command_of(RunFolder(folder).config(), str(folder / "config.json"))
        _require_scheduled_epochs(stored, given, folder)
        session.do(settings_from({**stored, **given}), resume=folder, before=folder)
    return session.code


def _require_scheduled_epochs(stored: Mapping[str, Any], given: Mapping[str, Any], folder: Path) -> None:
    """Raise ArgumentError for other epochs than those over which the learning rate moves."""
    schedule, epochs = stored["schedule"], stored["epochs"]
    if schedule != "constant" and "epochs" in given and str(given["epochs"]) != str(epochs):
        raise ArgumentError(
            f"the learning rate of this run moves over {epochs} epochs",
            expected=f"--resume without --epochs: --schedule {schedule} would give its steps other rates",
            got=f"--epochs {given['epochs']}",
            where=f"--resume {folder}",
            try_=f"a new run, --initial-weights {folder} --schedule {schedule}",
        )


def fork(
    session: Session,
    place: str,
    given: Mapping[str, Any],
    *,
    out: Path | None,
    resume: Path | None,
    config: Path | None,
    weights: Path | None,
) -> int:
    """A new run from the state of a step of another one; only what keeps network and data may be changed."""
    with session:
        path, step = _place(place)
        other = [option_of(name) for name in given if name not in _CHANGEABLE]
        options = (("--resume", resume), ("--config", config), ("--initial-weights", weights))
        other += [name for name, value in options if value is not None]
        if other:
            raise ArgumentError(
                "a fork keeps the network and the data",
                expected="--fork with " + ", ".join(map(option_of, _CHANGEABLE)) + " or --out",
                got=", ".join(other),
                where=f"--fork {place}",
                try_=f"a new run with {other[0]}",
            )
        if out is not None:
            require_free(out)
        require_steps(path)
        run = load(path)
        if step > run.steps:
            raise ArgumentError(
                "the run has no such step",
                expected=f"a step from 0 to {run.steps}",
                got=str(step),
                where=f"--fork {place}",
                try_=f"--fork {path}@{run.steps}",
            )
        asked = settings_from({**command_of(run.config, str(path / "config.json")), **given})
        changed = {name: asked[name] for name in given}
        session.do(asked, out=out, before=path, origin=lambda job: starting_from(job, run, step, changed))
    return session.code


def _place(text: str) -> tuple[Path, int]:
    """A run folder and a step: `runs/digits-1@400`."""
    path, _, step = text.rpartition("@")
    if not path or not step.isdecimal() or len(step) > 18:
        raise ArgumentError(
            f"--fork cannot be {text!r}",
            expected="the folder of a run, @, and the number of a step",
            got=repr(text),
            where="--fork",
            try_=f"--fork {path or text}@100",
        )
    return Path(path), int(step)


class Session:
    """One call of `clearprop train`: its events, what it prints, and its exit code.

    A mistake within the `with` block is an event too.
    """

    def __init__(self, json: bool, world: World | None = None) -> None:
        self.json, self.code, self.world = json, DONE, world
        self.lead: Decide = decide_alone if world is None else world.lead
        self.events = Events([print_json] if json else [])
        self._before = warnings.showwarning
        logging.getLogger("clearprop").addHandler(logging.NullHandler())
        self.events.subscribe(log_events)

    def __enter__(self) -> Session:
        warnings.showwarning = self._warn
        return self

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> None:
        warnings.showwarning = self._before
        if isinstance(problem, ClearpropError):
            self.events.error(problem)

    def _warn(self, message: Warning | str, *_: Any, **__: Any) -> None:
        self.events.emit("warning", message=str(message).partition("\n")[0])

    def do(
        self,
        asked: Mapping[str, Any],
        out: Path | None = None,
        resume: Path | None = None,
        before: Path | None = None,
        origin: Callable[[Job], Job] | None = None,
        weights: Path | None = None,
    ) -> None:
        """Train, and tell how it went.

        `before` is the folder of the run that goes on; `origin` makes the job start elsewhere than at step 0; `weights`
        is the run whose weights are begun with.
        """
        settings = Settings(**{**asked, "task": task_under(asked.get("task", "auto"), asked.get("loss"))})
        if before is not None:
            require_kept(settings.data, str(before))
        data = settings.data or ""
        with nullcontext(data) if data != NAME else given_data(data, self.world) as source:
            self._train(source, settings, asked, before, out, resume, origin, weights)

    def _train(
        self,
        source: str,
        settings: Settings,
        asked: Mapping[str, Any],
        before: Path | None,
        out: Path | None,
        resume: Path | None,
        origin: Callable[[Job], Job] | None,
        weights: Path | None,
    ) -> None:
        # a run that goes on keeps its blocks, which its memory decides, whatever is free here and now
        memory = settings.memory if settings.memory is not None or before is not None else self._memory()

        def read(transform: str) -> Prepared:
            return self._read(source, replace(settings, target_transform=transform), memory, before)

        transform = transform_asked(asked)
        data = settled_data(asked, read, self.lead) if transform == AUTO else read(transform)
        if isinstance(data.table, DiskRows):
            asked = {**asked, "memory": memory}
        kept = source in BUNDLED or settings.data == NAME
        where = settings.data if kept else str(Path(source).resolve())
        full = self._rated(replace(with_defaults(asked, data), data=where), data)
        job = job_for(
            data,
            full,
            None if weights is None else with_weights_of(weights, network_for(full, data)),
            out=out if resume else out or self.lead(lambda: free_folder(Path(source).stem or "run")),
            resume=resume,
            events=self.events,
            command=full.options(),
            world=self.world,
        )
        job = job if origin is None else origin(job)
        job = job if weights is None else begin_with(weights, job)
        data = job.data
        if not self.json:
            tell_data(data)
            _tell_plan(job, asked, full)
        display = Display(messages(), full.epochs, batches_in(data.table, full.batch_size or 1))
        if not self.json:
            self.events.subscribe(display)
        try:
            with display:
                run = train(replace(job, tick=display.tick))
        except TrainingInterrupted as stop:
            self.code = INTERRUPTED
            run = stop.run
        if run.status == "diverged":
            self.code = MISTAKE
        if not self.json:
            _tell_run(run)
        if run.status == "diverged":
            raise divergence(run, full)

    def _read(self, source: str, settings: Settings, memory: int | None, before: Path | None) -> Prepared:
        """The data; on a terminal a line says meanwhile what is being done."""
        asked = (settings.target, settings.task, settings.val, settings.test, settings.seed, memory)
        reading = Reading.from_words(**{name: getattr(settings, name) for name in READING_TEXT})
        reading = reading if before is None else as_in_training(reading, RunFolder(before))
        ranks = ALONE if self.world is None else self.world.machine
        if self.json:
            return from_source(source, *asked, reading=reading, ranks=ranks, member=settings.member)
        with messages().status(f"{source} is read") as status:
            return from_source(source, *asked, status.update, reading, ranks, settings.member)

    def _memory(self) -> int:
        """The bytes that data may take on each process, the same on all."""
        ranks = 1 if self.world is None else self.world.size
        return self.lead(lambda: default_memory() // ranks)

    def _rated(self, full: Settings, data: Prepared) -> Settings:
        """The settings with the rate that a range test suggests in place of `auto`."""
        if full.lr != AUTO:
            return full
        found = self.lead(lambda: tested_rate(full, data))
        if not self.json:
            say(output(), found.reason)
            output().print()
        return replace(full, lr=found.suggestion)


# ----------------------------------------------------------------------------------------------------- what is told
def _tell_plan(job: Job, asked: Mapping[str, Any], full: Settings) -> None:
    # One sentence for rows, network and training each; what is not used (dropout, penalty, patience) is not named.
    console, data = output(), job.data
    parts = {"train": data.train, "validate": data.validation, "test": data.test}
    rows = ", ".join(
        f"{rows_in(part):,} to {name}" for name, part in parts.items() if isinstance(part, tuple | DiskRows)
    )
    say(console, f"rows      {rows}")
    pieces = any(isinstance(layer, nn.PiecewiseLinear) for layer in job.model.layers)
    extra = f", numbers in {full.pieces} pieces" if pieces else ""
    extra += f", dropout {full.dropout:g}" if full.dropout else ""
    extra += f", augmented by {full.augment}" if full.augment else ""
    network = _network_text(job, full)
    act = "" if full.unit is not None else f", {full.activation}"
    say(console, f"network   {network}{act}{extra}: {nn.parameter_count(job.model):,} parameters")
    penalty = f", l2 {full.l2:g}" if full.l2 else ""
    wait = f", until {full.patience} without a better validation loss" if full.patience else ""
    rule = rule_text(full)
    plan = f"{rule}, batches of {full.batch_size}{penalty}, up to {full.epochs} epochs{wait}"
    say(console, f"training  {plan}")
    if job.origin is not None:
        forked = job.origin.forked
        changed = ", ".join(f"{option_of(name)} {value}" for name, value in forked.changed.items())
        say(console, f"fork      from step {forked.step} of {forked.run}, {changed or 'with nothing changed'}")
    given = [name for name in ("hidden", "activation", "optimizer", "lr", "epochs") if name in asked]
    if not given and job.resume is None:
        say(console, "          (chosen for data of this size; the options of clearprop train --help change it)")
    console.print()


def _network_text(job: Job, full: Settings) -> str:
    """The sizes of the network, from its inputs to its outputs."""
    outputs = [layer.weight.shape[1] for layer in job.model.layers if isinstance(layer, nn.Dense)]
    inputs = job.data.told["features"]
    if full.unit is not None:
        inputs = f"{full.model}, {outputs[-1]}"
    if full.model not in ("mlp", "conv") and full.unit is None:
        steps, features = job.model.layers[0].shape
        steps = steps if steps > 0 else inputs // features
        inputs = f"{steps} steps × {features - isinstance(job.model.layers[1], nn.Masked)}, {full.model}"
    if full.model == "conv":
        height, width, channels = job.model.layers[0].shape
        inputs = f"{height} × {width} × {channels}, convolutions"
    return " → ".join(map(str, [inputs, *full.hidden, outputs[-1]]))


def _tell_run(run: Run) -> None:
    console, summary = output(), run.summary
    best = f"best epoch {summary.best_epoch} of {summary.epochs}" if summary.best_epoch else "no epoch was finished"
    say(console, f"{summary.status}: {best}, {summary.steps:,} steps, {summary.seconds:.1f} s")
    tell_results(run)
    if summary.status == "interrupted":
        say(console, f"saved in {run.folder}; clearprop train --resume {run.folder} goes on from there")
    elif summary.status == "done":
        say(console, f"saved in {run.folder}; next: clearprop predict {run.folder} DATA")
