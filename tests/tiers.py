"""How exhaustive tables are divided: `make test` tries a part in which every value occurs, `make verify` all of it.

A table is a product of lists (operation × dtype × executor …) whose members are one kind: what breaks one, breaks its
neighbours. The part is a diagonal, so that every value of each list meets every value of the others but one.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def later(values: Iterable[Any]) -> list[Any]:
    """Parameters that `make verify` alone tries."""
    return [pytest.param(value, marks=pytest.mark.verify) for value in values]


def diagonal(*lists: Iterable[Any], every: int = 0) -> list[Any]:
    """The product of lists as parameters; `make test` tries those whose places sum to a multiple of `every`.

    Without `every` it is the length of the shortest list: any choice from all lists but one then occurs.

    >>> [p.values for p in diagonal("ab", "xyz") if not p.marks]
    [('a', 'x'), ('a', 'z'), ('b', 'y')]
    """
    tables: list[Sequence[Any]] = [list(values) for values in lists]
    every = every or min(map(len, tables))
    return [
        pytest.param(
            *(value for _, value in chosen), marks=[pytest.mark.verify] * (sum(k for k, _ in chosen) % every > 0)
        )
        for chosen in itertools.product(*map(enumerate, tables))
    ]
