"""Every check by name."""

from collections.abc import Callable, Iterable

from tests.primitives import compiled_checks, derivative_checks, program_checks, value_checks
from tests.primitives.factory import Sample, samples
from tests.primitives.rows import Case, Row

Check = Callable[[Sample], None]

CHECKS: dict[str, Check] = {
    name.removeprefix("check_"): f
    for module in (value_checks, derivative_checks, program_checks, compiled_checks)
    for name, f in vars(module).items()
    if name.startswith("check_")
}

SLOW = ("native",)
"""Checks that compile many kernels; they run under `make verify`."""

TRACING = ("program", "generated_numpy", "vmap", "symbolic_sizes", "mixed_precision", "grads", "second_order")
"""Checks that trace, or differentiate twice: most of the time goes into them."""


def cases_of(row: Row, check: str) -> tuple[Case, ...]:
    """The cases that `make test` tries: all, but of those that trace a share each, so that every case meets one."""
    if check not in TRACING:
        return row.cases
    place = TRACING.index(check)
    return row.cases[place :: len(TRACING)] or (row.cases[place % len(row.cases)],)


def check_all(row: Row, checks: Iterable[Check]) -> None:
    """Every check on every sample of a row."""
    for check in checks:
        for sample in samples(row):
            check(sample)
