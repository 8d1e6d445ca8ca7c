"""The settings of `clearprop train`: from options and a config file, validated in one place."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from clearprop.data.readers.formats import DATA_FILE
from clearprop.data.streaming.memory import parse_size
from clearprop.errors import ArgumentError, unknown_name
from clearprop.files.strict_json import parse_json, read_text
from clearprop.optim.inspection import parse

LARGEST_LAYER = 65_536
"""The most units that `--hidden` takes for one layer."""


def setting(expected: str, example: str, default: Any = None, **limits: Any) -> Any:
    """A setting: what it may be in words and as limits, and an example of it."""
    return Field(default, description=expected, examples=[example], **limits)


class TrainSettings(BaseModel):
    """What `clearprop train` was asked for; None stands for what suits the data."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: str | None = setting(f"{DATA_FILE}, or a bundled set", "digits")
    target: str | None = setting("the name of a column", "price")
    task: str = setting("auto, classification or regression", "auto", "auto")
    hidden: tuple[int, ...] | None = setting(f"sizes from 1 to {LARGEST_LAYER:,}, with commas between them", "64,64")
    activation: str | None = setting("the name of an activation", "relu")
    optimizer: str | None = setting("the name of an optimizer, perhaps with settings: sgd:momentum=0.9", "adam")
    lr: Annotated[float, Field(gt=0, le=100)] | Literal["auto"] | None = setting(
        "a number above 0 and at most 100, or auto", "1e-3"
    )
    epochs: int | None = setting("a whole number, 1 or more", "100", ge=1)
    batch_size: int | None = setting("a whole number, 1 or more", "32", ge=1)
    dropout: float | None = setting("a share from 0 up to, but not including, 1", "0.1", ge=0, lt=1)
    l1: float = setting("a number, 0 or more", "0.001", 0.0, ge=0)
    l2: float | None = setting("a number, 0 or more", "0.001", ge=0)
    patience: int | None = setting("a whole number, 1 or more", "20", ge=1)
    val: float = setting("a share of the rows from 0 up to, but not including, 1", "0.15", 0.15, ge=0, lt=1)
    test: float = setting("a share of the rows from 0 up to, but not including, 1", "0.15", 0.15, ge=0, lt=1)
    memory: int | None = setting("a size, such as 500MB or 2GB", "500MB", ge=1)
    seed: int = setting("a whole number from 0 up to 2**64 - 1", "0", 0, ge=0, lt=2**64)

    @field_validator("memory", mode="before")
    @classmethod
    def _bytes(cls, value: Any) -> Any:
        return parse_size(value) if isinstance(value, str) else value

    @field_validator("hidden", mode="before")
    @classmethod
    def _sizes(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, list | tuple):
            for size in value:
                if not str(size).isdecimal() or not 1 <= int(size) <= LARGEST_LAYER or len(value) > 100:
                    raise ValueError("a size is out of range")
            return tuple(map(int, value))
        return value


def settings_from(options: Mapping[str, Any], file: Path | None = None) -> TrainSettings:
    """The settings of a config file with the options over them (None: not given).

    Raises ArgumentError that names the option or the key, for anything out of range or unknown.
    """
    from_file = {} if file is None else read_config(file)
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = TrainSettings(**{**from_file, **given})
    except ValidationError as problem:
        raise _mistake(problem, from_file | given, given, file) from None
    _check_names(settings, given, file)
    return settings


def read_config(file: Path) -> dict[str, Any]:
    """The contents of a TOML or JSON file of settings.  Raises ArgumentError, RunError for one that cannot be read."""
    what = f"the config {str(file)!r}"
    if not file.is_file():
        raise ArgumentError(
            f"no config file {str(file)!r}",
            expected="a TOML or JSON file",
            got="a folder" if file.is_dir() else "no such file",
            where="--config",
            try_="clearprop config > train.toml",
        )
    text = read_text(file, what)
    if file.suffix.lower() == ".json":
        value = parse_json(text, what, str(file))
    else:
        value = _toml(text, file)
    if not isinstance(value, dict):
        raise ArgumentError(f"{what} holds no settings", expected="keys and values", got=type(value).__name__)
    return value


def _toml(text: str, file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise ArgumentError(
            f"the config {str(file)!r} cannot be read",
            expected="TOML, such as: lr = 0.001",
            got=str(problem),
            where=str(file),
            try_="clearprop config shows how it looks",
        ) from None


def place(name: str, given: Mapping[str, Any], file: Path | None) -> str:
    """Where a setting was given: the option, or the file and the key."""
    return option_of(name) if name in given or file is None else f"{file}, key {name}"


def option_of(name: str) -> str:
    """The command line's name of a setting."""
    return "DATA" if name == "data" else "--" + name.replace("_", "-")


def _mistake(
    problem: ValidationError, values: Mapping[str, Any], given: Mapping[str, Any], file: Path | None
) -> ArgumentError:
    name = str(problem.errors()[0]["loc"][0])
    known = TrainSettings.model_fields
    if name not in known:
        return unknown_name("setting", name, known, where=str(file))
    field = known[name]
    where = place(name, given, file)
    example = (field.examples or [""])[0]
    return ArgumentError(
        f"{where if where.startswith('--') else name} cannot be {_shown(values[name])}",
        expected=str(field.description),
        got=_shown(values[name]),
        where=where,
        try_=f"{option_of(name)} {example}" if where.startswith("--") else f"{name} = {example}",
    )


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _check_names(settings: TrainSettings, given: Mapping[str, Any], file: Path | None) -> None:
    choices = {"task": ("auto", "classification", "regression"), "activation": activations()}
    for name, known in choices.items():
        value = getattr(settings, name)
        if value is not None and value not in known:
            raise unknown_name(name, value, known, where=place(name, given, file))
    if settings.optimizer is not None:
        parse(settings.optimizer, place("optimizer", given, file))


def activations() -> tuple[str, ...]:
    """The activations for hidden layers, by name."""
    from clearprop import nn

    return ("linear", *(name for name in nn.ACTIVATIONS if "softmax" not in name))


def optimizers() -> tuple[str, ...]:
    """The optimizers, by name."""
    from clearprop import optim

    return tuple(optim.optimizers())


def as_toml(settings: TrainSettings, comments: bool = False) -> str:
    """The settings as TOML; with `comments`, every setting with what it may be, those not given commented out."""
    lines = []
    for name, field in TrainSettings.model_fields.items():
        value = getattr(settings, name)
        if comments:
            lines.append(f"# {field.description}")
        if value is not None:
            lines.append(f"{name} = {_toml_value(value)}")
        elif comments:
            lines.append(f"# {name} = {_toml_value(_example(name))}      # default: what suits the data")
        if comments:
            lines.append("")
    return "\n".join(lines).rstrip("\n")


def _example(name: str) -> Any:
    text = (TrainSettings.model_fields[name].examples or [""])[0]
    return getattr(TrainSettings.model_validate({name: text}), name)


def _toml_value(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
