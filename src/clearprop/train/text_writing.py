"""What a run of running text says of other texts: how well it foretells them, and how it goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.compiler import compile
from clearprop.data.running_text import Vocabulary, read_text, windows
from clearprop.errors import ArgumentError, DataError
from clearprop.program.values import raw
from clearprop.rules import random
from clearprop.rules.reductions import softmax
from clearprop.train.run import Run


def vocabulary_of(run: Run) -> Vocabulary | None:
    """The characters or words of a run of running text; None for any other run."""
    unit, labels = run.config.settings.unit, run.config.data.labels
    return None if unit is None or labels is None else Vocabulary.of_labels(unit, labels)


def measure_text(run: Run, source: str, encoding: str | None = None) -> tuple[int, dict[str, float]]:
    """The number of stretches of a text, and loss and metrics on them, each foretold from its own beginning.

    Raises DataError for a text that is shorter than one stretch, or holds what training did not have.
    """
    known, context = _require_vocabulary(run), run.config.settings.context
    codes = known.encode(read_text(source, encoding), source)
    if len(codes) <= context:
        raise DataError(
            "the text is shorter than the context of the run",
            expected=f"at least {context + 1} of its units",
            got=str(len(codes)),
            where=source,
            try_="a longer text",
        )
    x, y = windows(codes, context, context)
    return len(x), run.evaluate(x, y)


def continue_text(run: Run, begun: str, length: int, temperature: float = 1.0, seed: int = 0, source: str = "") -> str:
    """A text, and so many characters or words more: each drawn by what the run foretells from those before it.

    begun        the beginning; without one, a line begins
    length       how much is written
    temperature  logits are divided by it: below 1 what is likely comes more often, at 0 always
    seed         what is drawn depends on it
    """
    known, context = _require_vocabulary(run), run.config.settings.context
    if not 0 <= temperature < 100:
        raise ArgumentError(
            "a temperature is 0 or more",
            expected="a number from 0 up to, but not including, 100",
            got=f"{temperature:g}",
            where="--temperature",
            try_="--temperature 0.8",
        )
    codes = [int(code) for code in known.encode(begun, source)]
    seen = list(codes) or [known.items.index("\n") if "\n" in known.items else 0]
    first, outputs = len(codes), compile(lambda model, x: model(x)[-1])
    draws = np.asarray(raw(random.uniform(random.key(seed), (max(length, 1),))), dtype=np.float64)
    for draw in draws[:length]:
        window = np.array(seen[-context:], dtype=np.int32)
        logits = outputs(run.model, window) if len(window) == context else run.model(window)[-1]
        code = _draw_place(np.asarray(raw(logits), dtype=np.float64), temperature, float(draw))
        seen.append(code)
        codes.append(code)
    written = known.text(codes)
    return begun + written[len(known.text(codes[:first])) :]


def _draw_place(logits: NDArray[np.float64], temperature: float, draw: float) -> int:
    """The place at which a number from 0 to 1 falls among the probabilities."""
    if temperature == 0:
        return int(np.argmax(logits))
    shares: Any = np.cumsum(np.asarray(raw(softmax(logits / temperature))))
    return min(int(np.searchsorted(shares, draw * shares[-1], side="right")), len(logits) - 1)


def _require_vocabulary(run: Run) -> Vocabulary:
    known = vocabulary_of(run)
    if known is None:
        raise ArgumentError(
            "this run did not learn running text",
            expected="a run of clearprop train --unit char or --unit word",
            got="a run of a table, or of arrays",
            where=str(run.folder or ""),
        )
    return known
