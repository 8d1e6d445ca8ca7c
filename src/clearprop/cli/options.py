"""The options of commands that are settings, made from their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, cast

import typer

from clearprop import nn, optim
from clearprop.data.readers.reading import FormWords
from clearprop.data.readers.sources import BUNDLED
from clearprop.runs.settings import declaration_of, hidden_activations

_COMPLETIONS: dict[str, Callable[[], Iterable[str]]] = {
    "data": lambda: BUNDLED,
    "task": lambda: ("auto", "classification", "regression"),
    "activation": hidden_activations,
    "optimizer": optim.optimizers,
    "loss": lambda: nn.LOSSES,
}


def with_settings(names: Iterable[str]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """What gives a command an option for each of these settings; each comes as text, or None.

    The command takes them as `**settings`.  typer reads signature and annotations, and makes options and help of them.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
        hints = inspect.get_annotations(command, eval_str=True)
        made = {name: setting_option(name) for name in names}
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter(name, kind, default=None, annotation=a) for name, a in made.items()]
        parameters += [p.replace(kind=kind, annotation=hints[p.name]) for p in own]
        command.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]  # read by inspect
        command.__annotations__ = {**made, **{p.name: hints[p.name] for p in own}, "return": int}
        return command

    return decorate


Fill = Annotated[
    str | None,
    typer.Option(
        "--fill",
        metavar="COLS",
        help="Columns of the training that DATA may lack: missing in every row.",
        rich_help_panel=declaration_of("data").panel,
    ),
]
"""The option of the commands that take other data than those of the training."""


def form_words(fill: str | None, form: Mapping[str, str | None]) -> FormWords:
    """What the options say of the data, as `run.predict` takes it; what was not given is left out."""
    given = {"fill": fill, **form}
    return cast(FormWords, {name: value for name, value in given.items() if value is not None})


def setting_option(name: str) -> Any:
    """What typer reads of a setting: text, with the help that was declared."""
    said = declaration_of(name)
    complete = _completion(name)
    if name == "data":
        argument = typer.Argument(metavar=said.metavar, help=said.meaning, show_default=False, autocompletion=complete)
        return Annotated[str | None, argument]
    option = typer.Option(
        *said.words, metavar=said.metavar, help=said.meaning, autocompletion=complete, rich_help_panel=said.panel
    )
    return Annotated[str | None, option]


def _completion(name: str) -> Callable[[str], list[str]] | None:
    known = _COMPLETIONS.get(name)
    if known is None:
        return None

    def complete(incomplete: str) -> list[str]:
        return [word for word in known() if word.startswith(incomplete)]

    return complete
