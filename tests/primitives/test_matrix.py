"""Every primitive × every check: the table times the factory."""

import pytest

from clearprop.primitives import REGISTRY
from tests.primitives.checks import CHECKS, SLOW, TRACING, cases_of
from tests.primitives.factory import samples
from tests.primitives.table import TABLE
from tests.tiers import together

OF_COMPLEX = {
    *("real", "imag", "conj", "eigvals", "general_eigenvectors", "determinant_phase"),
    *("fourier", "inverse_fourier", "half_fourier", "inverse_half_fourier"),
}
"""Primitives that give or take complex numbers alone: `test_complex` looks at them."""


def test_every_primitive_has_a_row():
    declared = {name for name, p in REGISTRY.items() if p.__module__.startswith("clearprop.")}
    assert declared == {row.name for row in TABLE} | OF_COMPLEX


@together("check", [name for name in CHECKS if name not in SLOW])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_matrix(row, check):
    tried = cases_of(row, check)
    for sample in samples(row):
        if sample.case in tried:
            CHECKS[check](sample)


@pytest.mark.verify
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
@pytest.mark.parametrize("check", SLOW)
def test_matrix_of_slow_checks(row, check):
    for sample in samples(row):
        CHECKS[check](sample)


def test_every_case_meets_one_check_that_traces_and_all_others():
    for row in TABLE:
        met = {check: cases_of(row, check) for check in CHECKS}
        assert all(met.values()) and set(TRACING) < set(CHECKS)
        assert {case for check in TRACING for case in met[check]} == set(row.cases)
        assert all(met[check] == row.cases for check in CHECKS if check not in TRACING)


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(6))  # the draws of `make test` too: with every case
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_matrix_at_other_draws(row, seed):
    for name, check in CHECKS.items():
        if name not in SLOW:
            for sample in samples(row, seed=seed):
                check(sample)
