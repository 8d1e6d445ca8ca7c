"""`cl.load`: a run folder read back, with every file checked; what it cannot hold is missed only where it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from clearprop import optim
from clearprop.data.parts import split_table
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.readers.reading import READING_TEXT, Reading
from clearprop.data.table import load_table
from clearprop.data.training_data import Prepared, from_members, from_source
from clearprop.errors import ArgumentError, ClearpropError, RunError, checked_call, user_line
from clearprop.files.strict_json import refuse
from clearprop.nn.losses import loss_task, task_under
from clearprop.runs.checkpoints import Standing, checkpoint_model, checkpoint_steps, load_checkpoint
from clearprop.runs.folder import Config, RunFolder, Summary
from clearprop.runs.model_json import read_model
from clearprop.runs.settings import OPTIONS, Settings, default_of
from clearprop.runs.state import State
from clearprop.train.expected_costs import require_recorded
from clearprop.train.job import Job, fit_to_model, make_plan
from clearprop.train.metrics import METRICS, Measure, find_loss, find_metrics, in_units
from clearprop.train.planning import job_for, optimizer_for, suited_to_target
from clearprop.train.run import Run
from clearprop.train.thresholds import Choice, at_choice, checked_threshold, choice_of
from clearprop.train.training import train_fork
from clearprop.train.training_loop import Plan
from clearprop.train.workings import Workings


@checked_call
def load(path: str | Path, template: Any = None) -> Run:
    """The run that a run folder holds: to predict, to evaluate, to replay.

    A network of standard modules is rebuilt from its description; one with modules of its own needs `template`, a
    network of the same structure.  No class is imported because a file names it, and nothing in it is executed.

    Raises RunError for a folder that is no run, is damaged, or cannot be trusted.

    >>> import tempfile
    >>> import clearprop as cl
    >>> import numpy as np
    >>> x = np.eye(2, dtype=np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = cl.fit(cl.nn.Dense(2, 2), (x, np.array([0, 1])), epochs=2, out=f"{folder}/run")
    ...     cl.load(f"{folder}/run").status
    'done'
    """
    if not isinstance(path, str | Path):
        raise ArgumentError(
            "a run is loaded from its folder",
            expected="a path",
            got=f"a value of type {type(path).__name__}",
            where=user_line(),
            try_="cl.load('runs/first')",
        )
    folder = RunFolder(path)
    config, preprocessing, history = folder.config(), folder.preprocessing(), folder.history()
    optimizer = _optimizer(config, folder)
    model, last, standing = _networks(folder, config, template, optimizer)
    summary = folder.summary() or _unfinished_summary(standing)
    if summary.status == "running":
        summary = _unfinished_summary(standing)
    settings = config.settings
    loss = _loss(config, str(folder.path / "config.json"))
    known = [name for name in settings.metrics if name in METRICS]
    choice = _choice(config, summary, folder, preprocessing)
    job = partial(_job, folder, config, model, loss, optimizer)
    workings = Workings(
        optimizer=optimizer,
        loss=loss and suited_to_target(loss, preprocessing, settings.class_weight),  # type: ignore[arg-type]  # in a record weights are by name
        metrics=at_choice(in_units(find_metrics(known), preprocessing, settings.loss), settings, choice),
        plan=partial(_plan, job),
        standing=standing,
        job=job,
        fork=train_fork,
    )
    return Run(model, last, history, summary, config, preprocessing, folder.path, workings)


def _choice(config: Config, summary: Summary, folder: RunFolder, fitted: Preprocessing | None) -> Choice:
    """How a class is chosen: what was asked for, or found.  Raises RunError for what is no threshold, or no costs."""
    costs, place = config.settings.costs, str(folder.path / "config.json")
    try:
        checked_threshold(config.settings.threshold)
    except ArgumentError as problem:
        refuse("the stored threshold", str(problem.expected), problem.got or "", place)
    if costs is not None:
        labels = config.data.labels
        known = fitted.class_names if fitted is not None else () if labels is None else labels.target.classes
        require_recorded(costs, known or tuple(costs), place)
    return choice_of(config.settings, summary.threshold)


def _unfinished_summary(standing: Standing | None) -> Summary:
    state = standing.state if standing else State(None, None)
    best = standing.best if standing else None
    epoch = best.epoch if best else None
    return Summary(
        "killed", state.epoch, state.step, epoch, None, None, None, standing.seconds if standing else 0.0, None
    )


def _optimizer(config: Config, folder: RunFolder) -> Any:
    """The optimizer as it was written down; None if it was not."""
    where = str(folder.path / "config.json")
    try:
        found = optimizer_for(config.settings)
    except (ClearpropError, KeyError, TypeError, ValueError) as problem:
        refuse("the stored optimizer", "an optimizer of cl.optim", str(problem).partition("\n")[0], where)
    if found is not None and not isinstance(found, optim.Transform):
        refuse("the stored optimizer", "an optimizer of cl.optim", repr(found), where)
    return found


def _loss(config: Config, where: str) -> Measure | None:
    """The loss as it was written down; None for one of the user's own."""
    if loss_task(config.settings.loss) is None:
        return None
    try:
        return find_loss(config.settings.loss)
    except ClearpropError as problem:
        refuse("the stored loss", "a loss of cl.nn", str(problem).partition("\n")[0], where)


def _networks(folder: RunFolder, config: Config, template: Any, optimizer: Any) -> tuple[Any, Any, Standing | None]:
    """The best network, the last one, and the standing at the newest checkpoint."""
    steps = checkpoint_steps(folder.checkpoints)
    newest = folder.checkpoints / str(steps[-1]) if steps else None
    file = folder.model_file
    if not file.exists() and newest is None:
        raise RunError(
            "nothing of this run has been saved",
            expected="model.safetensors, or a checkpoint",
            got="neither: it was stopped before its first step",
            where=str(folder.path),
            try_="resume it: it starts from its first step",
        )
    if not file.exists() and newest is not None:
        best = newest / "best.safetensors"
        file = best if best.exists() else newest / "model.safetensors"
    model = read_model(file, config.model, template)
    if newest is None:
        return model, model, None
    if optimizer is None:
        return model, checkpoint_model(newest, model), None
    standing = load_checkpoint(newest, model, optimizer.init(model))
    return model, optimizer.eval_params(standing.state.optimizer, standing.state.model), standing


def _job(folder: RunFolder, config: Config, model: Any, loss: Measure | None, optimizer: Any) -> Job:
    """The job, made again when it is asked for; RunError says what is missing if it cannot be."""
    if config.command is None or loss is None or optimizer is None:
        raise RunError(
            "the data of this run are not at hand",
            expected="a run of `clearprop train`, or one that cl.fit returned",
            got="a run of cl.fit, loaded from its folder",
            where=str(folder.path),
            try_="run = cl.fit(model, data, ..., resume=folder), which brings data and loss along",
        )
    data = data_again(config, folder)
    made = job_for(data, config.settings, model, optimizer=optimizer, loss=loss, command=config.command)
    return fit_to_model(made)


def _plan(job: Callable[[], Job]) -> Plan:
    return make_plan(job())


def command_of(config: Config, where: str) -> dict[str, Any]:
    """The options of the `clearprop train` that made the run.  Raises RunError for a run of `cl.fit`."""
    if config.command is None:
        raise RunError(
            "this run was not made by `clearprop train`",
            expected="a run whose data can be read again",
            got="a run of cl.fit",
            where=where,
            try_="cl.fit(model, data, ..., resume=folder), which brings data and loss along",
        )
    newer = {name: default_of(name) for name in OPTIONS if name not in config.command and name != "loss"}
    command = {**{name: value for name, value in newer.items() if value is not None}, **config.command}
    if command.get("unit") is None:
        command["context"] = default_of("context")  # earlier versions took any for a table, where it does nothing
    return command


def require_kept(data: object, where: str) -> None:
    """Raise RunError for data of standard input, which cannot be read again."""
    if data == "-":
        raise RunError(
            "the data of this run came on standard input, and are gone",
            expected="a run that learned from a file",
            got="-",
            where=where,
            try_="train again, from a file; predict and evaluate work as they are",
        )


def as_in_training(reading: Reading, folder: RunFolder) -> Reading:
    """How the data of a run are read once more."""
    fitted = folder.preprocessing()
    return reading if fitted is None else fitted.reading_again(reading)


def _for_members(given: Mapping[str, Any], reading: Reading, folder: RunFolder) -> Prepared:
    """The data of an ensemble, encoded for all of its members."""
    fitted = folder.preprocessing()
    if fitted is None:
        refuse("the ensemble", "the encodings of its members", "no preprocessing.json", str(folder.path))
    table = load_table(given["data"], given["target"], given["task"], reading)
    parts = split_table(table, given["val"], given["test"], given["seed"])
    return from_members(table, parts, reading, fitted)


def data_again(config: Config, folder: RunFolder) -> Prepared:
    """The data of a run of `clearprop train`, read again.  Raises RunError if they are not the same any more."""
    where = str(folder.path)
    command = command_of(config, where)
    require_kept(command.get("data"), where)
    kinds = {**get_type_hints(Settings), "data": str}
    given = {name: command.get(name) for name in ("data", "target", "task", "val", "test", "seed", "memory")}
    if isinstance(given["task"], str):
        given["task"] = task_under(given["task"], command.get("loss"))
    member = command.get("member")
    for name, value in {**given, "member": member}.items():
        kind = kinds[name]
        if not isinstance(value, kind):
            refuse("the run's config", f"a value of type {kind} for {name}", repr(value)[:60], where)
    words = {name: command.get(name) for name in READING_TEXT}
    for name, word in words.items():
        if not isinstance(word, int if name == "context" else str | None):
            refuse("the run's config", f"a text for {name}", repr(word)[:60], where)
    reading = as_in_training(Reading.from_words(**words), folder)
    if command.get("members") is None:
        data: Prepared = from_source(*given.values(), reading=reading, member=member)  # type: ignore[arg-type, misc]  # checked just above
    else:
        data = _for_members(given, reading, folder)
    if data.record().digest != config.data.digest:
        raise RunError(
            "the data are not those that the run learned from",
            expected=f"{config.data.source} with SHA-256 {str(config.data.digest)[:12]}…",
            got=f"{str(data.record().digest)[:12]}…",
            where=where,
            try_="restore the data, or train again",
        )
    return data
