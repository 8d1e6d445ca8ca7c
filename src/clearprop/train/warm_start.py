"""Another run's weights, with which a training begins: refused where they mean something else there.

Arrays of the same shapes say little: inputs in another order, other classes behind the outputs or another activation
between two layers would make other answers of them, without a word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from clearprop.data.columns import name_list
from clearprop.data.preprocessing import Preprocessing
from clearprop.errors import ArgumentError, RunError, user_line
from clearprop.nn.loss_text import is_normal
from clearprop.nn.losses import has_log_link, is_binary, loss_task, quantiles_of, several_quantiles_of
from clearprop.runs.folder import Config, RunFolder
from clearprop.runs.model_json import describe, read_model
from clearprop.train.job import Job

_OF_TRAINING = ("Dropout", "Dropout2d", "DropPath", "RandomCrop", "RandomFlip", "RandomShift")
"""Modules that are nothing in inference: how they are set changes no answer."""
_OF_TRAINING_ALONE = ("dropout", "decay")
"""Fields of other modules that change none."""
_MOST_SHIFT = 0.1
"""Numbers whose centre or scale differs by more than this share of the scale are told to be standardised anew."""


def with_weights_of(source: Any, model: Any) -> Any:
    """The model with the weights, and the state, of a run's best epoch: where another training begins.

    Raises RunError unless the run's network has arrays of the same names, shapes and dtypes.
    """
    if not isinstance(source, str | Path):
        raise ArgumentError(
            "initial weights come from the folder of a run",
            expected="a path, or None",
            got=f"initial_weights = {source!r:.80}",
            where=user_line(),
            try_="initial_weights=run.folder",
        )
    folder = RunFolder(source)
    folder.config()  # or it is no run
    return read_model(folder.model_file, None, model)


def begin_with(source: str | Path, job: Job) -> Job:
    """The job whose network has the weights of the run; what is standardised by other numbers there is told.

    Raises RunError where inputs, outputs or layers mean something else in that run.
    """
    folder = RunFolder(source)
    config, own = folder.config(), folder.preprocessing()
    _require_same_layers(config, job, folder)
    _require_same_loss(config, job, folder)
    fitted = job.data.preprocessing
    if own is None or fitted is None:
        if own is not fitted:
            kinds = ["a table" if known else "arrays" for known in (own, fitted)]
            _refuse("data", f"{kinds[0]}, as the run learned", kinds[1], folder)
        _require_same_arrays(config, job, folder)
        return job
    _require_same_table(own, fitted, folder)
    moved = _numbers_anew(own, fitted)
    if not moved:
        return job
    note = f"standardised by the rows here, by other numbers than in {folder.path}: {name_list(moved, 6)}"
    told = {**job.data.told, "notes": [*job.data.told.get("notes", ()), note]}
    return replace(job, data=replace(job.data, told=told))


def _refuse(what: str, expected: str, got: str, folder: RunFolder) -> NoReturn:
    raise RunError(
        f"the weights of that run are for other {what}",
        expected=expected,
        got=got,
        where=str(folder.path),
        try_=f"what it learned from, or, whatever they mean: cl.fit(cl.load({str(folder.path)!r}).model, …)",
    )


def _require_same_layers(config: Config, job: Job, folder: RunFolder) -> None:
    """Raise RunError for a network that computes other answers from the same arrays; one's own modules may."""
    here = describe(job.model)
    if config.model is None or here is None:
        return
    there, own = dict(_settings_in(config.model)), dict(_settings_in(here))
    for path in [*there, *own]:
        if there.get(path) != own.get(path):
            shown = [f"{path} = {known[path]!r}" if path in known else "no such layer" for known in (there, own)]
            _refuse("layers", shown[0], shown[1], folder)


def _settings_in(module: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The name of every module in the description of a network, and its settings that change answers, by path."""
    yield path or "network", module["module"]
    for name, value in module["fields"].items():
        inner = f"{path}.{name}".removeprefix(".")
        children = [*_children(value, inner)]
        for where, child in children:
            yield from _settings_in(child, where)
        stays = module["module"] in _OF_TRAINING or name in _OF_TRAINING_ALONE
        if not (children or stays or isinstance(value, dict)):
            yield inner, value


def _children(value: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The modules in a field, with their paths."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _children(item, f"{path}[{i}]")
    elif isinstance(value, dict) and "module" in value:
        yield path, value


def _require_same_loss(config: Config, job: Job, folder: RunFolder) -> None:
    """Raise RunError where outputs are something else under the loss of the run; functions of one's own may be."""
    losses = (config.settings.loss, job.loss.name)
    there, here = map(_outputs_under, losses)
    learned = [quantiles_of(loss) for loss in losses]
    if there and here and (there != here or (all(learned) and learned[0] != learned[1])):
        _refuse("outputs", f"{there}, under {config.settings.loss}", f"{here}, under {job.loss.name}", folder)


def _outputs_under(loss: str) -> str:
    """What outputs are under a loss of cl.nn; '' under one of the user's own."""
    task = loss_task(loss)
    if task == "classes":
        return "a logit for each answer of yes or no" if is_binary(loss) else "a logit for each class"
    if task is None:
        return ""
    if is_normal(loss):
        return "means and deviations"
    several = several_quantiles_of(loss)
    return "several quantiles" if several else "logarithms of numbers" if has_log_link(loss) else "numbers"


def _require_same_arrays(config: Config, job: Job, folder: RunFolder) -> None:
    """Raise RunError for arrays with other classes, or with columns of other names."""
    there, here = config.data, job.data
    labels = [None if known is None else known.target.classes for known in (there.labels, here.labels)]
    if labels[0] and labels[1] and labels[0] != labels[1]:
        _refuse("classes", name_list(labels[0], 8), name_list(labels[1], 8), folder)
    if config.settings.unit != job.settings.unit:
        _refuse("data", f"unit = {config.settings.unit}", f"unit = {job.settings.unit}", folder)
    if there.columns and here.columns and tuple(there.columns) != tuple(here.columns):
        _refuse("columns", name_list(there.columns, 8), name_list(here.columns, 8), folder)


def _require_same_table(own: Preprocessing, fitted: Preprocessing, folder: RunFolder) -> None:
    """Raise RunError for other columns, or for some that are encoded otherwise than by other numbers alone."""
    there, here = (json.loads(known.to_json()) for known in (own, fitted))
    names = [[column["name"] for column in known["columns"]] for known in (there, here)]
    if names[0] != names[1]:
        _refuse("columns", name_list(names[0], 8), name_list(names[1], 8), folder)
    pairs: list[tuple[str, Any, Any]] = [("target", there["target"], here["target"])]
    pairs += [(f"column {a['name']}", a, b) for a, b in zip(there["columns"], here["columns"], strict=True)]
    pairs += [("order of steps", there.get("sequence"), here.get("sequence"))]
    for what, one, other in pairs:
        _require_same_words(what, _words(one) or {}, _words(other) or {}, folder)


def _require_same_words(what: str, one: dict[str, Any], other: dict[str, Any], folder: RunFolder) -> None:
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    if keys:
        shown = [", ".join(f"{key} = {_text(words.get(key))}" for key in keys) for words in (one, other)]
        kind = "classes" if keys == ["classes"] else "targets" if what == "target" else "columns"
        _refuse(kind, f"{what}: {shown[0]}", f"{what}: {shown[1]}", folder)


def _text(value: Any) -> str:
    return name_list([str(item) for item in value], 8) if isinstance(value, list) else str(value)


def _words(record: Any) -> Any:
    """What is no number in a record, and none of what numbers there are: kinds, levels; not how dates are written."""
    if isinstance(record, dict):
        if record.get("kind") == "time":
            record = {name: value for name, value in record.items() if name != "order"}
        kept = {name: _words(value) for name, value in record.items() if not _is_number(value)}
        return {name: value for name, value in kept.items() if value is not None}
    if isinstance(record, list):
        return [_words(item) for item in record if not _is_number(item)]
    return record


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers_anew(own: Preprocessing, fitted: Preprocessing) -> list[str]:
    """The names of columns, and of the target, whose centre or scale is clearly another one than in the run."""
    pairs = [*zip(own.columns, fitted.columns, strict=False), (own.target, fitted.target)]
    return [here.name for there, here in pairs if _has_moved(there, here)]


def _has_moved(there: Any, here: Any) -> bool:
    if not hasattr(there, "scale") or not hasattr(here, "scale"):
        return False
    most = _MOST_SHIFT * abs(there.scale)
    return bool(abs(there.centre - here.centre) > most or abs(there.scale - here.scale) > most)
