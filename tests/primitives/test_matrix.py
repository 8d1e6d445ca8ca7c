"""Every primitive × every check: the table times the factory."""

import pytest

from clearprop.primitives import REGISTRY
from tests.primitives.checks import CHECKS, SLOW, check_all
from tests.primitives.factory import samples
from tests.primitives.table import TABLE

OF_COMPLEX = {
    *("real", "imag", "conj", "eigvals", "general_eigenvectors", "determinant_phase"),
    *("fourier", "inverse_fourier", "half_fourier", "inverse_half_fourier"),
}
"""Primitives that give or take complex numbers alone: `test_complex` looks at them."""


def test_every_primitive_has_a_row():
    declared = {name for name, p in REGISTRY.items() if p.__module__.startswith("clearprop.")}
    assert declared == {row.name for row in TABLE} | OF_COMPLEX


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
@pytest.mark.parametrize(
    "check", [pytest.param(f, id=name, marks=[pytest.mark.verify] * (name in SLOW)) for name, f in CHECKS.items()]
)
def test_matrix(row, check):
    check_all(row, [check])


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_matrix_at_other_draws(row, seed):
    for name, check in CHECKS.items():
        if name not in SLOW:
            for sample in samples(row, seed=seed):
                check(sample)
