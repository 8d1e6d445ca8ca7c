"""What a lesson is: a title, the experiment whose numbers it shows, and steps, read from a TOML file of the package.

A step has `say` (text, with numbers of the experiment in braces), or `ask` and `answer` (the name of a number) with
`say` as what is told after the answer, or `open` (the name of an explanation).  No number is written in a text.  The
experiment is named by its module, which is loaded for its lessons alone, and its function.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from typing import Any

from clearprop.errors import checked_call, unknown_name

_TEXTS = files("clearprop.lessons") / "texts"


@dataclass(frozen=True)
class LessonStep:
    """One step of a lesson; texts may hold `{name}` for a number of the experiment."""

    say: str = ""
    ask: str = ""
    answer: str = ""
    open: str = ""


@dataclass(frozen=True)
class Lesson:
    """A lesson, ready to be told."""

    name: str
    title: str
    experiment: Callable[[], dict[str, Any]]
    steps: tuple[LessonStep, ...]


def lessons() -> dict[str, str]:
    """The names of all lessons with their titles, in the order in which they are best taken.

    >>> next(iter(lessons()))
    'relu-neuron'
    """
    found = []
    for file in _TEXTS.iterdir():
        if file.name.endswith(".toml"):
            text = tomllib.loads(file.read_text(encoding="utf-8"))
            found.append((text["order"], file.name.removesuffix(".toml"), text["title"]))
    return {name: title for _, name, title in sorted(found)}


@checked_call
def lesson(name: str) -> Lesson:
    """The lesson of this name.  Raises ArgumentError for an unknown name, and gives the nearest.

    >>> len(lesson("relu-neuron").steps) > 3
    True
    """
    if not isinstance(name, str) or name not in lessons():
        raise unknown_name("lesson", str(name), lessons(), where="clearprop lesson")
    text = tomllib.loads((_TEXTS / f"{name}.toml").read_text(encoding="utf-8"))
    steps = tuple(LessonStep(**step) for step in text["step"])
    module, _, function = text["experiment"].partition(".")
    return Lesson(name, text["title"], getattr(import_module(f"clearprop.lessons.{module}"), function), steps)
