"""The processes of one machine that make one table ready together; and the process that does it alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

_T = TypeVar("_T")


class Sharers(Protocol):
    """The processes of one machine, which all run the same passes and see the same files on its disk."""

    rank: int
    size: int

    def lead(self, decide: Callable[[], _T]) -> _T:
        """What the first of them finds; an error of ours that it raises is raised by all."""

    def each(self, work: Callable[[], _T]) -> list[_T]:
        """What every one finds, in their order; an error of ours that one raises is raised by all."""

    def beat(self) -> None:
        """Say that work goes on, so that those who wait do not give up."""


class Alone:
    """A process that makes a table ready by itself.

    >>> Alone().lead(lambda: 3), Alone().each(lambda: 3)
    (3, [3])
    """

    rank, size = 0, 1

    def lead(self, decide: Callable[[], _T]) -> _T:
        """What it finds."""
        return decide()

    def each(self, work: Callable[[], _T]) -> list[_T]:
        """What it finds, as the only one."""
        return [work()]

    def beat(self) -> None:
        """Nobody waits."""


ALONE = Alone()
"""The process that shares nothing."""


def own_part(count: int, ranks: Sharers) -> range:
    """Which of so many things, in their order, fall to this process; the first has some if there are any.

    >>> list(own_part(5, ALONE))
    [0, 1, 2, 3, 4]
    """
    start, stop = (-(-rank * count // ranks.size) for rank in (ranks.rank, ranks.rank + 1))
    return range(start, stop)
