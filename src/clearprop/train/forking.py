"""Forks: a new run that starts from the exact state of a step of another one, with some settings changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clearprop import optim
from clearprop.errors import ArgumentError, ClearpropError, RunError, require_names, unknown_name, user_line
from clearprop.files.tree_arrays import tree_arrays, with_arrays
from clearprop.optim.inspection import has_rate, parse, parts, require_transform, says_rate, with_rate
from clearprop.runs.checkpoints import Standing
from clearprop.runs.events import plain
from clearprop.runs.folder import Forked
from clearprop.runs.setting_checks import check_arguments, patience_needs_validation
from clearprop.runs.settings import CHANGEABLE as SETTINGS
from clearprop.runs.settings import OPTIONS
from clearprop.runs.state import State
from clearprop.train.job import Job, Origin
from clearprop.train.notebook import notebook_events
from clearprop.train.planning import tailor_optimizer, written_optimizer
from clearprop.train.run import Run
from clearprop.train.training_loop import Callback, as_callbacks

CHANGEABLE = ("learning_rate", *(name for name in SETTINGS if name != "lr"))
"""What a fork may change, by its names in Python."""


def forked_job(run: Run, step: int, change: Mapping[str, Any], out: Path | None, callbacks: Sequence[Callback]) -> Job:
    """The job of a fork: that of the run from a step on, with some settings changed."""
    # All that can be wrong is said before the run is replayed, which may take as long as training did.
    require_names("fork", "change", change, '{"learning_rate": 1e-4}')
    for name in change:
        if name not in CHANGEABLE:
            raise unknown_name("setting", name, CHANGEABLE, user_line())
    if run.workings is None or run.workings.job is None:
        raise RunError("this run cannot be forked", got="a run without its workings", try_="cl.load(folder)")
    job: Job = run.workings.job()
    given = {name: value for name, value in change.items() if name not in ("learning_rate", "optimizer")}
    check_arguments({name: value for name, value in given.items() if not (name == "patience" and value is None)})
    settings = replace(job.settings, **given)
    if settings.patience is not None and job.data.validation is None:
        raise patience_needs_validation(settings.patience)
    optimizer = _changed_optimizer(job.optimizer, change)
    if "optimizer" in change:
        optimizer = tailor_optimizer(optimizer, settings)
    settings = replace(settings, optimizer=written_optimizer(optimizer))
    events, tick = notebook_events(True)
    job = replace(
        job,
        settings=settings,
        optimizer=optimizer,
        out=out,
        resume=None,
        callbacks=as_callbacks(callbacks),
        events=events,
        tick=tick,
        command=job.command and {**job.command, **_as_options(given, job, optimizer, change.get("optimizer"))},
    )
    return starting_from(job, run, step, change)


def starting_from(job: Job, run: Run, step: int, change: Mapping[str, Any]) -> Job:
    """The job, made to start from the state after step number `step` of the run."""
    replayed = run.replay(step)
    state = replayed.state
    if replayed.difference:
        job.events.emit("warning", message=f"the fork does not start bit-exact, because {replayed.difference}")
    _check_place(job, run, state)
    optimizer = _optimizer_state(job, run, state)
    if optimizer is None:
        job.events.emit("warning", message=f"{type(job.optimizer).__name__} starts with a state of its own")
        optimizer = job.optimizer.init(state.model)
    told = {name: _change_record(value) for name, value in change.items()}
    record = Forked(None if run.folder is None else str(run.folder), state.step, told)
    standing = Standing(replace(state, optimizer=optimizer))
    return replace(job, origin=Origin(standing, run.history[: state.epoch], record))


def _check_place(job: Job, run: Run, state: State) -> None:
    if state.epoch >= job.settings.epochs:
        raise ArgumentError(
            "there is nothing left to train after that step",
            expected=f"more than {state.epoch} epochs",
            got=f"epochs = {job.settings.epochs}",
            where=user_line(),
            try_=f"epochs = {state.epoch + 10}, or an earlier step",
        )
    before = run.config.settings.batch_size
    if state.batch and job.settings.batch_size != before:
        first = state.step - state.batch
        raise ArgumentError(
            "the size of batches cannot change within an epoch",
            expected=f"the step at an epoch's end, such as {first}, or batch_size = {before}",
            got=f"step {state.step}, batch {state.batch} of epoch {state.epoch + 1}",
            where=user_line(),
            try_=f"step {first}",
        )


def _optimizer_state(job: Job, run: Run, state: State) -> Any:
    """The run's optimizer state in the form of the job's optimizer; None if that is another kind of optimizer."""
    fresh, held = job.optimizer.init(state.model), tree_arrays(state.optimizer)
    wanted = {name: (a.dtype, a.shape) for name, a in tree_arrays(fresh).items()}
    same_kind = run.workings is not None and type(run.workings.optimizer) is type(job.optimizer)
    if not same_kind or wanted != {name: (a.dtype, a.shape) for name, a in held.items()}:
        return None
    return with_arrays(fresh, held)


def _changed_optimizer(optimizer: Any, change: Mapping[str, Any]) -> Any:
    new = change.get("optimizer", optimizer)
    rate = change.get("learning_rate")
    if isinstance(new, str):
        new = _from_text(new, rate, optimizer)
    require_transform(new, '{"optimizer": cl.optim.adam(1e-3)}')
    if rate is None:
        return new
    if not any(map(has_rate, parts(new))):
        raise ArgumentError(
            f"{type(new).__name__} has no learning rate",
            expected="an optimizer with a learning rate",
            got=repr(new),
            where=user_line(),
            try_='{"optimizer": cl.optim.adam(1e-3)}',
        )
    return with_rate(new, rate)


def _from_text(text: str, rate: Any, before: Any) -> optim.Transform:
    """The optimizer of that text, at the learning rate of the one before unless a rate is given."""
    if rate is not None and says_rate(text):
        raise ArgumentError(
            "the learning rate is given twice",
            expected="learning_rate, or lr= in the optimizer's text",
            got=f"learning_rate = {rate!r} and optimizer = {text!r}",
            where=user_line(),
            try_="leave one of them out",
        )
    kept = getattr(before, "learning_rate", None)
    return parse(text, user_line(), **({} if kept is None else {"learning_rate": kept}))


def _as_options(given: Mapping[str, Any], job: Job, optimizer: Any, told: Any) -> dict[str, object]:
    """The changes as options of `clearprop train`, so that the fork can be resumed there."""
    options = {name: value for name, value in given.items() if name in OPTIONS}
    before = (job.command or {}).get("optimizer")
    texts = (told,) if isinstance(told, str) else (type(optimizer).__name__, str(before))
    found = (_described_by(text, job, optimizer) for text in texts)
    return options | next((words for words in found if words), {})


def _described_by(text: str, job: Job, optimizer: Any) -> dict[str, object]:
    """The options `--optimizer` and `--lr` with which that text gives the optimizer; none if it gives another."""
    rate = next((part.settings()["learning_rate"] for part in parts(optimizer) if has_rate(part)), None)
    try:
        read = parse(text)
        read = read if rate is None or says_rate(text) else with_rate(read, rate)
    except ClearpropError:
        return {}
    option = rate if isinstance(rate, float | int) and not says_rate(text) else None
    return {"optimizer": text, "lr": option} if tailor_optimizer(read, job.settings) == optimizer else {}


def _change_record(value: Any) -> object:
    if isinstance(value, optim.Transform):
        return written_optimizer(value) or repr(value)
    told: object = plain(value)
    return told
