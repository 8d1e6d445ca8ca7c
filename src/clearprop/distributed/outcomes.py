"""What a piece of work came to, as ranks tell it to each other: what it found, or the mistake that it met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from clearprop.errors import ClearpropError

_T = TypeVar("_T")


@dataclass(frozen=True)
class RankOutcome(Generic[_T]):
    """What was found, or the mistake that came instead."""

    found: _T | None
    mistake: ClearpropError | None = None


def outcome_of(work: Callable[[], _T]) -> RankOutcome[_T]:
    """What work comes to; only errors of ours are outcomes.

    >>> outcome_of(lambda: 3)
    RankOutcome(found=3, mistake=None)
    """
    try:
        return RankOutcome(work())
    except ClearpropError as problem:
        return RankOutcome(None, problem)


def raise_alone(outcome: RankOutcome[_T]) -> _T:
    """What was found; a mistake is raised, of which ranks elsewhere do not know."""
    if outcome.mistake is not None:
        raise outcome.mistake
    return outcome.found  # type: ignore[return-value]  # where there is no mistake
