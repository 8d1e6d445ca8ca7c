"""A job is done: the run folder is opened, the loop runs, and the run ends."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from clearprop import nn
from clearprop.compiler import pool_asleep
from clearprop.data.parts import sample_rows
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.training_data import sample_weights
from clearprop.distributed import World
from clearprop.errors import RunError, user_line
from clearprop.files.folder_lock import hold_folder
from clearprop.files.presence import require_free
from clearprop.files.tree_arrays import to_bytes
from clearprop.nn.losses import loss_task
from clearprop.optim.hyperparameters import in_full
from clearprop.optim.transform import ParameterView
from clearprop.program.values import raw
from clearprop.runs.checkpoints import Standing, checkpoint_files, checkpoint_steps, load_checkpoint
from clearprop.runs.environment import environment
from clearprop.runs.events import Event, Events
from clearprop.runs.folder import FORMAT, Config, RunFolder, Summary
from clearprop.runs.model_json import describe
from clearprop.runs.settings import KEPT
from clearprop.runs.state import State
from clearprop.train.baselines import baselines_of, rows_to_measure
from clearprop.train.batches import ArrayFeed, BlockFeed
from clearprop.train.calibration import best_temperature, with_temperature
from clearprop.train.evaluation import evaluate_part
from clearprop.train.forking import forked_job
from clearprop.train.headline import as_summary
from clearprop.train.interrupts import TrainingInterrupted
from clearprop.train.intervals import validation_errors
from clearprop.train.job import Job, fit_to_model, make_plan
from clearprop.train.metrics import Measure, target_unit
from clearprop.train.probe import probe, require_same_code
from clearprop.train.run import Run
from clearprop.train.step import own_code
from clearprop.train.thresholds import AUTO, DECIDED, at_choice, choice_of, decide_by
from clearprop.train.training_loop import Callback, Decide, Loop, Plan, decide_alone
from clearprop.train.workings import Workings

_DIVIDED = 1 << 18
"""Multiply-adds of a product from which on OpenBLAS divides it among threads."""
_FREE = ("epochs", "patience", "min_delta", "source", "columns")
"""Settings that may differ where a run is resumed, and where the data came from and what their columns are called."""
_JOINED = "a last batch of one row joins the one before it: the network takes statistics of its batches"
_UNMOVED = "training has moved no parameter: the network is the one that it began with"
_FEW_FOR_SHARDS = "a last batch of too few rows for its shards joins the one before it"


def train(job: Job) -> Run:
    """Do the job.  Nothing is written before everything is known to fit together, and compiled.

    Raises TrainingInterrupted, which holds the run, after Ctrl-C, and errors of ours for what does not fit.
    """
    job = _silent(job) if job.world is not None and job.world.rank else job
    decide: Decide = decide_alone if job.world is None else job.world.lead
    least = decide(lambda: _least_rows_before(job))
    if least is not None:
        job = replace(job, settings=replace(job.settings, least_rows=least))
    with pool_asleep() if _multiplies_much(job) else nullcontext():
        job = fit_to_model(job)
    plan = make_plan(job)
    first = State(job.model, job.optimizer.init(job.model))
    if isinstance(plan.feed, ArrayFeed | BlockFeed):  # an iterable would give a batch away
        plan.executor(first, plan.feed, first.batch, lambda _: False)
    config = config_of(job)
    if job.world is not None:
        _shake_hands(job.world, job, config)
    with ExitStack() as held:
        config, folder, standing, history = decide(lambda: _open_folder(job, config, plan, first, held))
        folder = None if job.world is not None and job.world.rank else folder
        loop = Loop(plan, standing, history, job.events, folder)
        held.callback(loop.unsubscribe)
        _announce(job, config, standing.state, folder)
        for remark in _remarks(plan, config, standing.state):
            job.events.emit("warning", step=standing.state.step, epoch=standing.state.epoch, message=remark)
        loop.run()
        if loop.state.step > standing.state.step and _is_as_before(job.model, loop.state.model):
            job.events.emit("warning", step=loop.state.step, epoch=loop.state.epoch, message=_UNMOVED)
        run = _end_run(job, config, plan, first, loop)
    if loop.status == "interrupted":
        raise TrainingInterrupted(run)
    return run


def _is_as_before(begun: Any, ended: Any) -> bool:
    """Whether no parameter that could be trained has another bit than at the beginning."""
    first, last = ParameterView(begun), ParameterView(ended)
    rows = zip(first.leaves, last.leaves, first.trained, strict=True)
    return all(np.array_equal(raw(a), raw(b)) for a, b, trained in rows if trained)


def _multiplies_much(job: Job) -> bool:
    """Whether products on two rows may be large enough for NumPy to divide them among threads."""
    shape = getattr(job.data.train[0], "shape", ()) if isinstance(job.data.train, tuple) else ()
    return bool(2 * math.prod(shape[1:-1]) * nn.parameter_count(job.model) > _DIVIDED)


def _silent(job: Job) -> Job:
    """The job of a rank that is not the first: it computes, and tells and writes nothing."""
    return replace(job, events=Events(), callbacks=(), tick=None)


def _least_rows_before(job: Job) -> int | None:
    """How few rows a batch of the run that goes on has: version 0.1 left a single row alone.  None for a new run.

    Raises ArgumentError for a folder that is to be made and is there.
    """
    if job.out is not None:
        require_free(job.out)
    return None if job.resume is None else RunFolder(job.resume).config().settings.least_rows


def _shake_hands(world: World, job: Job, config: Config) -> None:
    """Raise an error of ours on all ranks unless they can share the work, and are about to do the same."""
    world.require_divisor(job.settings.grad_shards, job.command is not None)
    here = config.environment
    versions = {f"version_of_{name}": here.versions.get(name) for name in ("clearprop", "numpy", "numba")}
    world.require_same(
        **versions,
        processor=here.processor,
        BLAS_kernel=here.blas,
        settings=config.settings.kept(),
        data=(config.data.digest, config.data.source, config.data.train),
        network=config.model,
        start=zlib.crc32(to_bytes(job.model)),
    )


def train_fork(run: Run, step: int, change: Mapping[str, Any], out: Path | None, callbacks: Sequence[Callback]) -> Run:
    """The work of `Run.fork`: the job of the fork, done."""
    return train(forked_job(run, step, change, out, callbacks))


def config_of(job: Job) -> Config:
    """What `config.json` says of a job."""
    return Config(
        format=FORMAT,
        model=describe(job.model),
        parameters=nn.parameter_count(job.model),
        settings=job.settings,
        data=job.data.record(),
        command=job.command,
        forked=None if job.origin is None else job.origin.forked,
        environment=environment(),
        probe=_probe(job),
    )


def _probe(job: Job) -> float | None:
    """What tells a network and a loss of the user's from others; None where no folder is written, or for our own."""
    known = describe(job.model) is not None and loss_task(job.loss.name) is not None
    if known or (job.out or job.resume) is None or not isinstance(job.data.train, tuple):
        return None
    weight = [job.data.weights["training"]] if "training" in job.data.weights else []
    return probe(job.model, job.loss, *job.data.train, *weight)


def _remarks(plan: Plan, config: Config, state: State) -> Iterator[str]:
    """What is to be known before the first step."""
    if isinstance(plan.feed, ArrayFeed | BlockFeed) and plan.feed.joins:
        yield _JOINED if plan.settings.grad_shards == 1 else _FEW_FOR_SHARDS
    if config.earlier and config.earlier[-1].until == state.step:
        changed = "; ".join(config.earlier[-1].environment.differences(config.environment))
        yield f"the run goes on in another environment, so its bits may differ from here on: {changed}"


_Opened: TypeAlias = tuple[Config, RunFolder | None, Standing, list[Event]]
"""The config, the run folder, where the run stands, and its history so far."""


def _open_folder(job: Job, config: Config, plan: Plan, first: State, held: ExitStack) -> _Opened:
    """The folder is held until `held` ends: two processes never write one run."""
    if job.resume is not None:
        held.enter_context(hold_folder(job.resume))
        return _reopen_folder(job.resume, config, plan, first, job.events)
    standing, history = (Standing(first), ()) if job.origin is None else (job.origin.standing, job.origin.history)
    folder = None
    if job.out is not None:
        # a fork is nothing without the state that it starts from: both appear in one step
        begun = {} if job.origin is None else checkpoint_files(standing, plan.keys)
        files = {f"checkpoints/{standing.state.step}/{name}": data for name, data in begun.items()}
        running = _running(standing.state)
        folder = RunFolder.make(job.out, config, job.data.preprocessing, running, history, files)
        held.enter_context(hold_folder(job.out))
    return config, folder, standing, list(history)


def _reopen_folder(path: Path, config: Config, plan: Plan, first: State, events: Events) -> _Opened:
    folder = RunFolder(path)
    before = folder.config()
    require_same_code(config.probe, before.probe, path, own_code(first.model, plan.loss), events)
    _require_same(config, before, path)
    steps = checkpoint_steps(folder.checkpoints)
    standing = Standing(first)
    if steps:
        standing = load_checkpoint(folder.checkpoints / str(steps[-1]), first.model, first.optimizer, plan.keys)
    elif before.forked is not None:
        raise RunError(
            "nothing of this fork has been saved",
            expected=f"the checkpoint of step {before.forked.step}, where it starts",
            got="none: it was stopped before its first step",
            where=str(path),
            try_=f"fork again from {before.forked.run or 'the other run'}",
        )
    config = config.resumed(before, standing.state.step)
    history = folder.keep_history(standing.state.epoch)
    folder.write_config(config)
    folder.write_summary(_running(standing.state))
    return config, folder, standing, history


def _require_same(now: Config, before: Config, path: Path) -> None:
    """Raise RunError unless the run continues with the same network, data and settings."""
    for part in ("model", "parameters", "settings", "data"):
        new, old = getattr(now, part), getattr(before, part)
        if part in ("settings", "data"):
            named = KEPT if part == "settings" else [f.name for f in fields(new)]
            names = [name for name in named if name not in _FREE]
            if part == "data" and old.labels is None and new.labels is not None and new.labels.counted:
                old = replace(old, labels=new.labels)  # labels that are learned as they are were not always kept
            names.sort(key=lambda name: name == "optimizer")  # last: other settings may be links of it
            if part == "settings":  # an earlier version knew fewer hyper-parameters
                new, old = (replace(s, optimizer=in_full(s.optimizer)) for s in (new, old))
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
def _end_run(job: Job, config: Config, plan: Plan, first: State, loop: Loop) -> Run:
    """Restore the best epoch, touch the test part once, write and tell how the run ended."""
    standing, best = loop.standing, loop.standing.best
    model = plan.shown(standing.state) if best is None else best.model
    loop.finish()
    summary = plan.decide(lambda: _summary(job, model, loop))
    loop.status = summary.status
    model = model if summary.temperature is None else with_temperature(model, summary.temperature)
    if loop.folder is not None:
        loop.folder.finish(to_bytes(model), summary)
    forked_from = None if job.origin is None else job.origin.standing.state
    start = first if config.forked is None else forked_from
    # what is replayed or forked later is computed by this process alone
    known = config.data.digest if isinstance(job.data.train, tuple) else None  # what lies on disk is not the caller's
    alone = job if job.world is None else replace(job, world=None)
    held = JobAtHand(alone, plan if job.world is None else None, known)
    metrics = at_choice(job.metrics, job.settings, choice_of(job.settings, summary.threshold))
    workings = Workings(job.optimizer, job.loss, metrics, held.plan, start, standing, held, train_fork)
    last = plan.shown(loop.state)
    run = Run(model, last, loop.history, summary, config, job.data.preprocessing, job.resume or job.out, workings)
    _tell_end(job.events, run)
    return run


class JobAtHand:
    """A job that was made in this process, and its plan; called, it gives the job.

    Arrays are those of the caller, who may have changed them since: where the `digest` that they had is known, other
    numbers are refused.  A pickle holds a job with arrays, without those that listen; its plan, whose steps may be
    compiled, is made anew.
    """

    def __init__(self, job: Job, plan: Plan | None = None, digest: str | None = None) -> None:
        self.job, self._plan, self._digest = job, plan, digest

    def __call__(self) -> Job:
        """The job.  Raises RunError for data that have changed."""
        self._require_same_arrays()
        return self.job

    def plan(self) -> Plan:
        """The plan of the job.  Raises RunError for data that have changed."""
        self._require_same_arrays()
        if self._plan is None:
            self._plan = make_plan(self.job)
        return self._plan

    def _require_same_arrays(self) -> None:
        if self._digest is None or self.job.data.record().digest == self._digest:
            return
        raise RunError(
            "the arrays of this run have changed since it was trained",
            expected="the numbers that it learned from, by their SHA-256",
            got="others in the same arrays",
            where=user_line(),
            try_="train on copies of arrays that are written to later: cl.fit(model, (x.copy(), y.copy()))",
        )

    def __getstate__(self) -> dict[str, Any]:
        alone = replace(self.job, callbacks=(), events=Events(), tick=None, world=None)
        return {"job": alone, "_plan": None, "_digest": self._digest}


def _summary(job: Job, model: Any, loop: Loop) -> Summary:
    """How the run ended; the test part is touched here, and only here."""
    standing, best = loop.standing, loop.standing.best
    results: Event = next((e for e in loop.history if best and e["epoch"] == best.epoch), {})
    status = loop.status
    try:
        measured = _measure_end(job, model, status, results)
    except KeyboardInterrupt:  # all steps are there: resumed, the run measures what is missing
        status, measured = "interrupted", _Measured(None, results.get("validation"), None)
    return Summary(
        status=status,
        epochs=standing.state.epoch,
        steps=loop.state.step,
        best_epoch=best.epoch if best else None,
        seconds=round(loop.seconds, 3),
        stopped_by=loop.stopped_by if status == loop.status else status,
        **vars(measured),
    )


def evaluate_test(job: Job, model: Any, metrics: Sequence[Measure] | None = None) -> dict[str, float] | None:
    """The loss and the metrics of a network on the test part of a job whose data fit it; None where there is none.

    The metrics are those of the job, at the threshold that it asks for, or `metrics`, which choose by theirs.
    """
    if job.data.test is None:
        return None
    measures = decide_by(model, job.data, job.settings, job.metrics)[1] if metrics is None else metrics
    return evaluate_part(model, job.data.test, job.loss, measures, job.data.weights.get("test"))


@dataclass(frozen=True)
class _Measured:
    """The fields of a summary that are measured when a run has ended."""

    train: dict[str, Any] | None
    validation: dict[str, Any] | None
    test: dict[str, Any] | None
    baseline: dict[str, object] | None = None
    errors: dict[str, object] | None = None
    train_rows: int | None = None
    threshold: float | None = None
    temperature: float | None = None


def _measure_end(job: Job, model: Any, status: str, in_epoch: Event) -> _Measured:
    """What the network of the best epoch reaches on rows to train on and on the test part, and beside what.

    Temperature and threshold are found first; the results of the validation rows are those by which the epoch was
    chosen, but for what temperature and threshold change.
    """
    done, found, metrics = status == "done", None, job.metrics
    temperature = best_temperature(model, job.data, job.loss.name) if done and job.settings.calibration else None
    model = model if temperature is None else with_temperature(model, temperature)
    if done or job.settings.threshold != AUTO:
        found, metrics = decide_by(model, job.data, job.settings, job.metrics)
    tested = evaluate_test(job, model, metrics) if job.tested and done else None
    trained, rows = _training_results(job, model, metrics, in_epoch.get("train"))
    changed = metrics if temperature is not None else [m for m in metrics if m.name in DECIDED and found is not None]
    validated = _judged_anew(job, model, changed, in_epoch.get("validation"), temperature is not None)
    baseline, errors = _baseline(job, status), _errors(job, model, status)
    return _Measured(trained, validated, tested, baseline, errors, rows, found, temperature)


def _judged_anew(
    job: Job, model: Any, metrics: Sequence[Measure], results: dict[str, Any] | None, with_loss: bool
) -> dict[str, Any] | None:
    """The results of the validation rows, of which these metrics, and perhaps the loss, are other ones by now."""
    part = job.data.validation
    if not (metrics or with_loss) or results is None or part is None:
        return results
    judged = evaluate_part(model, part, job.loss, metrics, job.data.weights.get("validation"))
    loss = {"loss": judged["loss"]} if with_loss else {}
    return {**results, **loss, **{m.name: judged[m.name] for m in metrics}}


def _training_results(
    job: Job, model: Any, metrics: Sequence[Measure], in_steps: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, int | None]:
    """What the best epoch's network reaches on rows that it learned from, and on how many of them.

    It is measured as validation and test are, in inference mode and after the last update of the epoch.  An iterable of
    batches cannot be read again: it has the means over the steps of that epoch, and no number of rows.
    """
    data = job.data
    if in_steps is None or not isinstance(data.train, tuple | DiskRows):
        return in_steps, None
    number = rows_to_measure(data.train)
    weight = sample_weights(data, number)
    return evaluate_part(model, sample_rows(data.train, number), job.loss, metrics, weight), number


def _baseline(job: Job, status: str) -> dict[str, object] | None:
    """What the results stand beside."""
    if not job.baseline or status != "done":
        return None

    def decided(model: Any) -> Sequence[Measure]:
        return decide_by(model, job.data, job.settings, job.metrics)[1]

    return as_summary(baselines_of(job.data, job.loss, decided))


def _errors(job: Job, model: Any, status: str) -> dict[str, object] | None:
    """What intervals around predictions are made of: the errors of numbers, of validation rows that count alike."""
    data, loss = job.data, job.loss.name
    numbers = loss_task(loss) == "numbers" if data.preprocessing is None else not data.preprocessing.of_classes
    if status != "done" or data.validation is None or not numbers or data.weighted or "validation" in data.weights:
        return None
    return validation_errors(model, data.validation, target_unit(data.preprocessing, loss))


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
