"""How exhaustive tables are divided: `make test` tries a part in which every value occurs, `make verify` all of it.

A table is a product of lists (operation × dtype × executor …) whose members are one kind: what breaks one, breaks its
neighbours. The part is a diagonal, so that every value of each list meets every value of the others but one.

Cases that take a millisecond are tried `together`, in one test: what pytest does around a test takes several.
"""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
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


def together(names: str, values: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What makes one test of a test and a list of values of its parameters `names`: each is tried, as by `parametrize`.

    Every value that fails is told, with its own error.  The cases share the test's fixtures, so none may leave
    something in them that another meets.

    >>> @together("a, b", [(1, 1), (1, 2)])
    ... def test_equal(a, b):
    ...     assert a == b
    >>> test_equal()
    Traceback (most recent call last):
    ExceptionGroup: 1 of 2 cases (1 sub-exception)
    """
    cases, own = list(values), [name.strip() for name in names.split(",")]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        tried = [dict(zip(own, case if len(own) > 1 else [case], strict=True)) for case in cases]

        @functools.wraps(test)
        def try_all(**others: Any) -> None:
            failures = []
            for case, arguments in zip(cases, tried, strict=True):
                try:
                    test(**arguments, **others)
                except Exception as error:
                    error.add_note(f"{names} = {case!r}")
                    failures.append(error)
            if failures:
                raise ExceptionGroup(f"{len(failures)} of {len(cases)} cases", failures)

        signature = inspect.signature(test)
        kept = [p for name, p in signature.parameters.items() if name not in own]
        try_all.tried_together = [*getattr(test, "tried_together", ()), tried]  # type: ignore[attr-defined]  # for counts
        try_all.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]  # read by inspect
        return try_all

    return decorate
