"""Optimizers as the command line names them: `adam`, `sgd:momentum=0.9`; and `--lr auto`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.errors import ArgumentError
from clearprop.optim.inspection import has_rate, parse, parts, says_rate, with_rate
from clearprop.train.rate_range import RateRange, lr_range_test

AUTO = "auto"


def made(text: str, rate: float | None, where: str = "--optimizer") -> Any:
    """The optimizer of that text; `rate`, if any, is its learning rate unless the text says another."""
    rule = parse(text, where)
    if rate is None or says_rate(text):
        return rule
    if not any(map(has_rate, parts(rule))):
        raise ArgumentError(
            f"{text} has no learning rate",
            expected=f"--optimizer {text} without --lr: it chooses the rate itself",
            got=f"--lr {rate:g}",
            where="--lr",
            try_=f"--optimizer {text}, or --optimizer adam --lr {rate:g}",
        )
    return with_rate(rule, rate)


def takes_rate(text: str) -> bool:
    """Whether a learning rate is still to be chosen for the optimizer of that text."""
    return not says_rate(text) and any(map(has_rate, parts(parse(text))))


def told(text: str, rate: float | None) -> str:
    """The optimizer and its rate, for a sentence."""
    return text if rate is None else f"{text} {rate:g}"


def tested_rate(
    model: Any, pair: Any, loss: str, text: str, batch_size: int, penalty: Sequence[float], seed: int
) -> RateRange:
    """The range test behind `--lr auto`.  Raises ArgumentError for an optimizer that has no rate to choose."""
    if not takes_rate(text):
        raise ArgumentError(
            f"--lr auto has nothing to choose for {text}",
            expected="an optimizer with a learning rate that is not set",
            got=f"--optimizer {text}",
            where="--lr",
            try_="--optimizer adam --lr auto",
        )
    l1, l2 = penalty
    return lr_range_test(model, pair, loss=loss, optimizer=parse(text), batch_size=batch_size, l1=l1, l2=l2, seed=seed)
