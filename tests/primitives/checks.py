"""Every check by name."""

from collections.abc import Callable, Iterable

from tests.primitives import compiled_checks, derivative_checks, program_checks, value_checks
from tests.primitives.factory import Sample, samples
from tests.primitives.rows import Row

Check = Callable[[Sample], None]

CHECKS: dict[str, Check] = {
    name.removeprefix("check_"): f
    for module in (value_checks, derivative_checks, program_checks, compiled_checks)
    for name, f in vars(module).items()
    if name.startswith("check_")
}

SLOW = ("native",)
"""Checks that compile many kernels; they run under `make verify`."""


def check_all(row: Row, checks: Iterable[Check]) -> None:
    """Every check on every sample of a row."""
    for check in checks:
        for sample in samples(row):
            check(sample)
