"""The settings that were asked for: from options and a config file, read by pydantic as they are declared."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, ValidationError, create_model

from clearprop.data.readers.reading import words_of
from clearprop.errors import ArgumentError, unknown_name
from clearprop.files.strict_json import parse_json, read_text
from clearprop.nn import loss_named
from clearprop.nn.loss_text import loss_of_quantiles
from clearprop.optim.hyperparameters import Range
from clearprop.optim.inspection import parse
from clearprop.runs.cost_text import costs_in
from clearprop.runs.settings import (
    LARGEST_LAYER,
    MODELS,
    OPTIONS,
    RECIPES,
    REDUCTIONS,
    SCHEDULES,
    SUITED,
    UNITS,
    Settings,
    declaration_of,
    default_of,
    hidden_activations,
    option_of,
)

_LARGEST_DEPTH = 100


def _limits(within: Range | None) -> dict[str, Any]:
    """A range as pydantic writes it."""
    if within is None:
        return {}
    low = {"gt" if "[" in within.open_ else "ge": within.low}
    return low | ({} if within.high == float("inf") else {"lt" if "]" in within.open_ else "le": within.high})


def _sizes(value: Any) -> Any:
    """`64,64`, or the one size 64, as a tuple."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):
        for size in value:
            if not str(size).isdecimal() or not 1 <= int(size) <= LARGEST_LAYER or len(value) > _LARGEST_DEPTH:
                raise ValueError("a size is out of range")
        return tuple(map(int, value))
    return value


def _weights(value: Any) -> Any:
    """`yes=5,no=1` as weights by class."""
    if not isinstance(value, str) or "=" not in value:
        return value
    pairs = [word.rpartition("=") for word in words_of(value)]
    return {name.strip(): float(weight) for name, _, weight in pairs}


def _numbers(value: Any) -> Any:
    """Numbers of a file, or of Python, as the command line has them: `0.1,0.9`."""
    if isinstance(value, float):
        return str(value)
    numbers = isinstance(value, list | tuple) and all(isinstance(item, float) for item in value)
    return ",".join(map(repr, value)) if numbers else value


_HINTS = get_type_hints(Settings)
_Cost = Annotated[float, Field(ge=0)]
_OR_AUTO = ("lr", "threshold")
# what is typed otherwise than it is kept: sizes in words, text for an optimizer, `auto` for a number
_TYPED: Mapping[str, Any] = {
    "hidden": Annotated[tuple[int, ...], BeforeValidator(_sizes)],
    "memory": ByteSize | None,
    "quantiles": Annotated[str | None, BeforeValidator(_numbers)],
    "class_weight": Annotated[
        Literal["balanced"] | dict[str, Annotated[float, Field(ge=0)]] | None, BeforeValidator(_weights)
    ],
    "costs": dict[str, _Cost | dict[str, _Cost]] | str | None,
    "optimizer": str | None,
    **{
        name: Annotated[float, Field(**_limits(declaration_of(name).range))] | Literal["auto"] | None
        for name in _OR_AUTO
    },
}


def _definition(name: str) -> Any:
    kind = _TYPED.get(name, _HINTS[name])
    limits: dict[str, Any] = {} if name in _OR_AUTO else _limits(declaration_of(name).range)
    return (kind, Field(default_of(name), **limits))


_Asked: type[BaseModel] = create_model(
    "_Asked",
    __config__=ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False),
    **{name: _definition(name) for name in OPTIONS},
)


def settings_from(options: Mapping[str, Any], file: Path | None = None) -> dict[str, Any]:
    """The settings that were asked for: those of a config file, with the options over them (None: not given).

    Raises ArgumentError that names the option or the key, for anything out of range or unknown.
    """
    from_file = {} if file is None else read_config(file)
    given = {name: value for name, value in options.items() if value is not None}
    values = {name: value for name, value in {**from_file, **given}.items() if value is not None}
    try:
        read = _Asked(**values)
    except ValidationError as problem:
        raise _mistake(problem, values, given, file) from None
    asked = {name: getattr(read, name) for name in values}
    _check_names(asked, given, file)
    if isinstance(asked.get("costs"), str):
        asked["costs"] = costs_in(asked["costs"], place("costs", given, file))
    return _with_quantiles(asked, given, file)


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


def _mistake(
    problem: ValidationError, values: Mapping[str, Any], given: Mapping[str, Any], file: Path | None
) -> ArgumentError:
    name = str(problem.errors()[0]["loc"][0])
    if name not in OPTIONS:
        return unknown_name("setting", name, OPTIONS, where=str(file))
    said, where = declaration_of(name), place(name, given, file)
    return ArgumentError(
        f"{where if where.startswith('--') else name} cannot be {_value_text(values[name])}",
        expected=said.expected,
        got=_value_text(values[name]),
        where=where,
        try_=f"{option_of(name)} {said.example}" if where.startswith("--") else f"{name} = {said.example}",
    )


def _value_text(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _check_names(asked: Mapping[str, Any], given: Mapping[str, Any], file: Path | None) -> None:
    choices = {"task": ("auto", "classification", "regression"), "activation": hidden_activations(), "recipe": RECIPES}
    choices |= {"reduce": REDUCTIONS, "model": MODELS, "schedule": SCHEDULES, "unit": UNITS}
    for name, known in choices.items():
        if name in asked and asked[name] not in known:
            raise unknown_name(name, asked[name], known, where=place(name, given, file))
    if "loss" in asked:
        _check_loss(asked["loss"], place("loss", given, file))
    if "optimizer" in asked:
        parse(asked["optimizer"], place("optimizer", given, file))


def _check_loss(text: str, where: str) -> None:
    with _said_at(where):
        loss_named(text)


def _with_quantiles(asked: dict[str, Any], given: Mapping[str, Any], file: Path | None) -> dict[str, Any]:
    """The settings, whose loss says what quantiles are learned where some are asked for."""
    if asked.get("quantiles") is None:
        return asked
    with _said_at(place("quantiles", given, file)):
        loss = loss_of_quantiles(asked.get("loss"), asked["quantiles"])
    return {**asked, "loss": loss}


@contextmanager
def _said_at(where: str) -> Iterator[None]:
    """Mistakes of what was asked for, with the place where it stands."""
    try:
        yield
    except ArgumentError as mistake:
        said = {name: getattr(mistake, name) for name in ("expected", "got", "try_")}
        raise ArgumentError(mistake.headline, **said, where=where) from None


def as_toml(asked: Mapping[str, Any], comments: bool = False) -> str:
    """Settings as TOML; with `comments`, every setting with what it may be, those not given commented out."""
    lines = []
    for name in OPTIONS:
        said = declaration_of(name)
        value = asked.get(name, None if name in SUITED else default_of(name))
        if comments:
            lines.append(f"# {said.expected}")
        if value is not None:
            lines.append(f"{name} = {_toml_value(value)}")
        elif comments:
            example = settings_from({name: said.example})[name]
            lines.append(f"# {name} = {_toml_value(example)}      # default: what suits the data")
        if comments:
            lines.append("")
    return "\n".join(lines).rstrip("\n")


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {_toml_value(v)}" for k, v in value.items()) + " }"
        )
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
