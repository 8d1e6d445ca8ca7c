"""Telling a lesson: all at once, or question by question with the answer revealed after yours."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from clearprop.errors import checked_call
from clearprop.explanation import Entry
from clearprop.lessons.lesson import Lesson, LessonStep
from clearprop.notation.expressions import number_text
from clearprop.program.values import raw

WIDTH = 80
CLOSE = 0.02
"""An answer is right within two per cent, or two in the last digit shown of a small number."""


@dataclass
class Score:
    """How many questions were asked and answered rightly; `finished` is False if the learner left."""

    asked: int = 0
    right: int = 0
    finished: bool = False


@checked_call
def tell(lesson: Lesson, write: Callable[[str], None], read: Callable[[str], str] | None = None) -> Score:
    """Tell a lesson, all at once or question by question.

    lesson   a Lesson, from `lesson(name)`
    write    called with every line
    read     `read(prompt)` gives the learner's answer, and raises EOFError when they leave; without it the answers are
             told at once

    >>> from clearprop.lessons import lesson
    >>> lines = []
    >>> tell(lesson("relu-neuron"), lines.append).finished, lines[0] == lesson("relu-neuron").title
    (True, True)
    """
    numbers = lesson.experiment()
    score = Score()
    write(lesson.title)
    write("═" * len(lesson.title))
    for step in lesson.steps:
        write("")
        try:
            _tell_step(step, numbers, score, write, read)
        except EOFError:
            write("")
            return score
    score.finished = True
    if read is not None and score.asked:
        write("")
        write(f"{score.right} of {score.asked} answers were right.")
    return score


def _tell_step(
    step: LessonStep,
    numbers: Mapping[str, Any],
    score: Score,
    write: Callable[[str], None],
    read: Callable[[str], str] | None,
) -> None:
    if step.ask:
        answer = float(raw(numbers[step.answer]))
        write(_fill_numbers("? " + step.ask, numbers))
        if read is None:
            write(f"  = {number_text(answer)}")
        else:
            _question(answer, score, write, read)
    if step.open:
        write(_explanation_text(numbers[step.open]))
    if step.say:
        if step.ask or step.open:
            write("")
        write(_fill_numbers(step.say, numbers))


def _question(answer: float, score: Score, write: Callable[[str], None], read: Callable[[str], str]) -> None:
    """Ask until there is a number, or nothing, which means: show me."""
    score.asked += 1
    while True:
        given = read("your answer (Enter shows it): ").strip()
        if not given:
            write(f"  = {number_text(answer)}")
            return
        value = parse_number(given)
        if value is not None:
            break
        write("  a number, please: 3, -0.5, 1/4 or 2e-3")
    if is_right(value, answer):
        score.right += 1
        write(f"  right: {number_text(answer)}")
    else:
        write(f"  not quite: it is {number_text(answer)}, you said {given}")


def parse_number(text: str) -> float | None:
    """A number as people write it: decimal, with a power of ten, or a fraction."""
    try:
        value = float(Fraction(text.replace("−", "-").replace(",", ".").replace(" ", "")))
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None


def is_right(value: float, answer: float) -> bool:
    """Whether an answer counts as right."""
    return abs(value - answer) <= max(CLOSE * abs(answer), 1e-9)


def _explanation_text(shown: Any) -> str:
    return textwrap.indent(str(shown), "    ")


def _fill_numbers(text: str, numbers: Mapping[str, Any]) -> str:
    shown = {name: _number_or_text(value) for name, value in numbers.items()}
    paragraphs = text.strip().format_map(shown).split("\n\n")
    return "\n\n".join(_wrap_paragraph(p) for p in paragraphs)


def _wrap_paragraph(paragraph: str) -> str:
    """Running text is wrapped; lines that begin with a space stand as they are."""
    if paragraph.startswith("    "):
        return paragraph
    lines = paragraph.splitlines()
    indent = "  " if lines[0].startswith("? ") else ""
    return textwrap.fill(" ".join(lines), WIDTH, subsequent_indent=indent)


def _number_or_text(value: Any) -> str:
    value = raw(value)
    array = np.asarray(value) if not isinstance(value, (str, Entry)) and hasattr(value, "shape") else None
    if array is not None and array.ndim:
        return "(" + ", ".join(number_text(float(v), 4) for v in array.ravel()) + ")"
    if isinstance(value, (int, float, np.generic)) or array is not None:
        return number_text(float(value))
    return str(value)
