"""From a model, data and settings to a finished run: checks, the run folder, the loop, the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop import nn
from clearprop.data.parts import Pair, Part, rows_in
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.training_data import Prepared
from clearprop.errors import ArgumentError, RunError
from clearprop.files.tree_arrays import to_bytes
from clearprop.program.values import no_grad, raw
from clearprop.rules import random
from clearprop.runs.checkpoints import Keys, Standing, checkpoint_steps, load_checkpoint
from clearprop.runs.environment import environment
from clearprop.runs.events import Event, Events
from clearprop.runs.folder import FORMAT, Config, Forked, RunFolder, Settings, Summary, require_free
from clearprop.runs.model_json import describe
from clearprop.runs.state import State
from clearprop.train.array_alignment import adaptation
from clearprop.train.batches import ArrayFeed, BlockFeed, Feed, stream
from clearprop.train.interrupts import TrainingInterrupted
from clearprop.train.metrics import Measure, evaluate_part
from clearprop.train.native_executor import choose_executor
from clearprop.train.run import Run, Workings
from clearprop.train.step import make_step
from clearprop.train.suitability import require_suitable
from clearprop.train.training_loop import Callback, Loop, Plan, Tick

_FREE = ("epochs", "patience", "min_delta", "source")
"""Settings that may differ where a run is resumed, and where the data came from."""
_ORDER, _LAYERS = 1, 2


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a run starts that does not start at step 0: a fork's standing, its history so far, and what is recorded."""

    standing: Standing
    history: Sequence[Event]
    forked: Forked


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that `cl.fit` or `clearprop train` decided."""

    model: Any
    data: Prepared
    loss: Measure
    metrics: Sequence[Measure]
    optimizer: Any
    settings: Settings
    out: Path | None = None
    resume: Path | None = None
    callbacks: Sequence[Callback] = ()
    events: Events = field(default_factory=Events)
    tick: Tick | None = None
    command: dict[str, object] | None = None
    checkpoint_seconds: float = 10.0
    origin: Origin | None = None


def train(job: Job) -> Run:
    """Do the job.  Nothing is written before everything is known to fit together.

    Raises TrainingInterrupted, which holds the run, after Ctrl-C, and errors of ours for what does not fit.
    """
    if job.out is not None:
        require_free(job.out)
    job = fitted(job)
    plan = make_plan(job)
    first = State(job.model, job.optimizer.init(job.model))
    config, folder, standing, history = _opened(job, _config(job), plan, first)
    events = job.events
    loop = Loop(plan, standing, history, events, folder)
    _announce(job, config, standing.state, folder)
    loop.run()
    run = _ended(job, config, plan, first, loop)
    if loop.status == "interrupted":
        raise TrainingInterrupted(run)
    return run


# ---------------------------------------------------------------------------------------------- before it starts
def make_plan(job: Job) -> Plan:
    """The plan of a job whose data fit its model."""
    settings, optimizer = job.settings, job.optimizer
    by_batch = [metric for metric in job.metrics if metric.by_batch]
    step = make_step(job.loss, by_batch, optimizer, settings.l1, settings.l2)
    order, layers = _keys(settings.seed)
    return Plan(
        settings=settings,
        feed=_feed(job, order),
        executor=choose_executor(step, layers),
        shown=lambda state: optimizer.eval_params(state.optimizer, state.model),
        loss=job.loss,
        metrics=job.metrics,
        validation=job.data.validation,
        keys=Keys(tuple(order.tolist()), tuple(layers.tolist())),
        callbacks=job.callbacks,
        tick=job.tick,
        checkpoint_seconds=job.checkpoint_seconds,
    )


def _keys(seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The keys of the order of epochs and of random layers."""
    key = random.key(seed)
    return raw(random.fold_in(key, _ORDER)), raw(random.fold_in(key, _LAYERS))


def _feed(job: Job, order: NDArray[np.uint32]) -> Feed:
    data, settings = job.data.train, job.settings
    if isinstance(data, tuple):
        x, y = data
        return ArrayFeed(x, y, settings.batch_size or len(x), settings.shuffle, order)
    if isinstance(data, DiskRows):
        return BlockFeed(data, settings.batch_size or len(data), settings.shuffle, order)
    return stream(data, settings.epochs)


def fitted(job: Job) -> Job:
    """The job with data in the model's dtype, after a trial of model, loss and step on the first two rows."""
    train = job.data.train
    rows = rows_in(train) if isinstance(train, tuple | DiskRows) else None
    require_suitable(job.optimizer, rows, job.settings.batch_size, job.command is not None)
    if isinstance(train, DiskRows):
        _require_float32(job, train)
        _try_step(job, train.sample(2))
        return job
    if not isinstance(train, tuple):
        return job if iter(train) is train else _tried_stream(job, train)
    adapt, outputs = adaptation(job.model, train, job.loss)

    def fit(part: Part) -> Pair:
        if not isinstance(part, tuple):
            raise ArgumentError("training on arrays needs arrays", expected="validation=(x, y)", got="rows on disk")
        pair = adapt(part)
        if job.loss.name in nn.CLASS_LOSSES:
            _check_labels(job.loss, outputs[:1], pair[1])
        return pair

    held, tested = job.data.validation, job.data.test
    data = replace(job.data, train=fit(train), validation=held and fit(held), test=tested and fit(tested))
    job = replace(job, data=data)
    _try_step(job, adapt((train[0][:2], train[1][:2])))
    return job


def _require_float32(job: Job, rows: DiskRows) -> None:
    """Rows on disk are float32 as they are read, and so must the network be."""
    sample = rows.sample(2)
    adapted = adaptation(job.model, sample, job.loss)[0](sample)
    if [a.dtype for a in adapted] != [a.dtype for a in sample] or adapted[1].shape != sample[1].shape:
        raise ArgumentError(
            "rows that are streamed are float32",
            expected="a network of float32, and a loss that suits the target",
            got=f"x {adapted[0].dtype}, y {adapted[1].dtype}",
            try_="cl.nn.mlp(...), which makes float32",
        )


def _tried_stream(job: Job, source: Iterable[Any]) -> Job:
    for x, y in stream(source, job.settings.epochs).batches(0, 0):
        _try_step(job, (x[:2], y[:2]))
        return job
    raise ArgumentError("the iterable gives no batch", expected="at least one batch (x, y)", got="none")


def _check_labels(loss: Measure, outputs: NDArray[Any], y: NDArray[Any]) -> None:
    """Let the loss itself check all labels: a compiled step cannot."""
    with no_grad():
        loss(np.broadcast_to(outputs, (len(y), *outputs.shape[1:])), y)


def _try_step(job: Job, pair: Pair) -> None:
    """Take one step and leave its result: what does not fit is said before anything is written."""
    settings = job.settings
    step = make_step(job.loss, job.metrics, job.optimizer, settings.l1, settings.l2)
    with np.errstate(all="ignore"):
        step(job.model, job.optimizer.init(job.model), *pair, random.key(0))


def _config(job: Job) -> Config:
    return Config(
        format=FORMAT,
        model=describe(job.model),
        parameters=nn.parameter_count(job.model),
        settings=job.settings,
        data=job.data.record(),
        command=job.command,
        forked=None if job.origin is None else job.origin.forked,
        environment=environment(),
    )


_Opened: TypeAlias = tuple[Config, RunFolder | None, Standing, list[Event]]
"""The config, the run folder, where the run stands, and its history so far."""


def _opened(job: Job, config: Config, plan: Plan, first: State) -> _Opened:
    if job.resume is not None:
        return _reopened(job.resume, config, plan, first)
    standing, history = (Standing(first), ()) if job.origin is None else (job.origin.standing, job.origin.history)
    folder = None
    if job.out is not None:
        folder = RunFolder.make(job.out, config, job.data.preprocessing, _running(standing.state), history)
    return config, folder, standing, list(history)


def _reopened(path: Path, config: Config, plan: Plan, first: State) -> _Opened:
    folder = RunFolder(path)
    before = folder.config()
    _require_same(config, before, path)
    config = replace(config, forked=before.forked)
    steps = checkpoint_steps(folder.checkpoints)
    standing = Standing(first)
    if steps:
        standing = load_checkpoint(folder.checkpoints / str(steps[-1]), first.model, first.optimizer, plan.keys)
    elif config.forked is not None:
        raise RunError(
            "nothing of this fork has been saved",
            expected=f"the checkpoint of step {config.forked.step}, where it starts",
            got="none: it was stopped before its first step",
            where=str(path),
            try_=f"fork again from {config.forked.run or 'the other run'}",
        )
    history = folder.keep_history(standing.state.epoch)
    folder.write_config(config)
    folder.write_summary(_running(standing.state))
    return config, folder, standing, history


def _require_same(now: Config, before: Config, path: Path) -> None:
    """Raise RunError unless the run continues with the same network, data and settings."""
    for part in ("model", "parameters", "settings", "data"):
        new, old = getattr(now, part), getattr(before, part)
        if part in ("settings", "data"):
            names = [f.name for f in fields(new) if f.name not in _FREE]
            differing = next((n for n in names if getattr(new, n) != getattr(old, n)), None)
            if differing is None:
                continue
            new, old, part = getattr(new, differing), getattr(old, differing), f"{part}.{differing}"
        if new != old:
            raise RunError(
                "the run can only be resumed as it was started",
                expected=f"{part}: {_short(old)}",
                got=f"{part}: {_short(new)}",
                where=str(path),
                try_="the same network, data and settings (only epochs and patience may differ), or a new run",
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + " …"


def _announce(job: Job, config: Config, state: State, folder: RunFolder | None) -> None:
    settings, record = job.settings, config.data
    job.events.emit(
        "start",
        step=state.step,
        epoch=state.epoch,
        folder=str(folder.path) if folder else None,
        resumed=job.resume is not None,
        parameters=config.parameters,
        optimizer=repr(job.optimizer),
        loss=settings.loss,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        seed=settings.seed,
        versions=config.environment.versions,
    )
    job.events.emit(
        "data",
        step=state.step,
        epoch=state.epoch,
        source=record.source,
        rows={"train": record.train, "validation": record.validation, "test": record.test},
        digest=record.digest,
        **job.data.told,
    )


def _running(state: State) -> Summary:
    return Summary("running", state.epoch, state.step, None, None, None, None, 0.0, None)


# ------------------------------------------------------------------------------------------------- after it ended
def _ended(job: Job, config: Config, plan: Plan, first: State, loop: Loop) -> Run:
    """Restore the best epoch, touch the test part once, write and tell how the run ended."""
    standing, best = loop.standing, loop.standing.best
    model = plan.shown(standing.state) if best is None else best.model
    loop.finish()
    results: Event = next((e for e in loop.history if best and e["epoch"] == best.epoch), {})
    tested = None
    if job.data.test is not None and loop.status == "done":
        tested = evaluate_part(model, job.data.test, job.loss, job.metrics)
    summary = Summary(
        status=loop.status,
        epochs=standing.state.epoch,
        steps=loop.state.step,
        best_epoch=best.epoch if best else None,
        train=results.get("train"),
        validation=results.get("validation"),
        test=tested,
        seconds=round(loop.seconds, 3),
        stopped_by=loop.stopped_by,
    )
    if loop.folder is not None:
        loop.folder.finish(to_bytes(model), summary)
    forked_from = None if job.origin is None else job.origin.standing.state
    start = first if config.forked is None else forked_from
    workings = Workings(job.optimizer, job.loss, job.metrics, lambda: plan, start, standing, lambda: job)
    path = loop.folder.path if loop.folder else None
    last = plan.shown(loop.state)
    run = Run(model, last, loop.history, summary, config, job.data.preprocessing, path, workings)
    _tell_end(job.events, run)
    return run


def _tell_end(events: Events, run: Run) -> None:
    summary = run.summary
    events.emit(
        "end",
        step=summary.steps,
        epoch=summary.epochs,
        status=summary.status,
        stopped_by=summary.stopped_by,
        best_epoch=summary.best_epoch,
        train=summary.train,
        validation=summary.validation,
        test=summary.test,
        seconds=summary.seconds,
        folder=str(run.folder) if run.folder else None,
    )
