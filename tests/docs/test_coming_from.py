"""The pages for those who come from other libraries are true: every line runs, and gives what stands beside it."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.special

from tests.docs.coming_from import (
    Row,
    asked_of,
    asked_of_pytorch,
    evaluate,
    functions,
    libraries,
    our_derivatives,
    ours,
    rows,
    values,
)

NAMES = ours()
AT_LEAST = {"autograd": 20, "jax": 50, "numpy": 230, "pytorch": 520}


def test_the_pages_name_that_many_functions():
    assert libraries() == set(AT_LEAST)
    counts = {name: len(functions(name)) for name in AT_LEAST}
    assert all(counts[name] >= least for name, least in AT_LEAST.items()), counts


@pytest.mark.parametrize("name", AT_LEAST)
def test_every_line_runs(name):
    broken = []
    for row in rows(name):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                eval(row.ours, dict(NAMES))
        except Exception as error:
            broken.append((row.ours, str(error).splitlines()[0]))
    assert not broken


NINE_DIGITS = {"torch.polygamma(1, p)", "torch.special.polygamma(1, p)"}
"""What PyTorch computes less exactly than SciPy and we do, who agree with mpmath to the last digits."""
IN_FLOAT32 = {"jax.nn.dot_product_attention(q[:, :, None], q[:, :, None], q[:, :, None])[:, :, 0]"}
"""Where JAX takes the softmax in float32 whatever the operands are."""


def disagreements(pairs: list[tuple[Row, object]]) -> list[tuple[str, object, object]]:
    found = []
    for row, theirs in pairs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mine, want = np.asarray(evaluate(row.ours, NAMES)), np.asarray(theirs)
        relative = 1e-9 if row.theirs in NINE_DIGITS else 1e-6 if row.theirs in IN_FLOAT32 else 1e-12
        if mine.shape != want.shape or not np.allclose(mine, want, rtol=relative, atol=1e-13, equal_nan=True):
            found.append((row.theirs, theirs, mine.tolist()))
    return found


@pytest.mark.filterwarnings("ignore:numpy.* is deprecated:DeprecationWarning")  # a later NumPy's word on its own
def test_numpy_and_scipy_give_the_same():
    names = {**values(), "np": np, "scipy": scipy}
    compared = [row for row in rows("numpy") if row.compared]
    assert len(compared) > 200
    with np.errstate(all="ignore"):
        assert not disagreements([(row, evaluate(row.theirs, names)) for row in compared])


@pytest.mark.verify
def test_pytorch_gives_the_same():
    given = asked_of_pytorch("pytorch")
    assert not disagreements([(row, given[row.theirs]) for row in rows("pytorch") if row.compared])


@pytest.mark.verify
def test_jax_gives_the_same():
    given = asked_of("jax", "jax")
    assert len(given) > 30 and not disagreements([(row, given[row.theirs]) for row in rows("jax") if row.compared])


@pytest.mark.verify
def test_pytorch_has_the_same_first_and_second_derivatives():
    given = {theirs: found for theirs, found in asked_of_pytorch("derivatives").items() if "first" in found}
    assert len(given) > 370
    different = []
    for row in (r for r in rows("pytorch") if r.theirs in given):
        mine = our_derivatives(row)
        for order, by in itertools.product(mine, mine["first"]):
            pair = np.array(mine[order][by]), np.array(given[row.theirs][order][by])
            if pair[0].shape != pair[1].shape or not np.allclose(*pair, rtol=1e-9, atol=1e-10, equal_nan=True):
                different.append((row.theirs, order, by, *pair))
    assert not different


@pytest.mark.verify
def test_four_hundred_of_pytorchs_tested_functions_are_one_call():
    count = asked_of_pytorch("opinfo")
    assert count["there"] > 650 and count["found"] >= 450, count
