"""Certified answers: the nonlinear regressions of NIST, by least squares and by BFGS."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from tests.optim.nist import FOLDER, NAMES, SOLVED, regression

SAMPLE = ["Bennett5", "BoxBOD", "MGH09", "MGH10", "Rat42", "Thurber"]  # the hard ones, and the headline


def test_there_are_all_27_files():
    assert sorted(path.stem for path in FOLDER.glob("*.dat")) == NAMES
    assert len(NAMES) == 27


@pytest.mark.parametrize("name", NAMES)
def test_model_has_the_certified_sum_of_squares(name):
    """The model, the data and the certificate belong together; Lanczos1's 1.4e-25 is the rounding of its data."""
    problem = regression(name)
    found = float(np.sum(np.asarray(problem.residuals(problem.certified)) ** 2))
    if name == "Lanczos1":
        assert found < 1e-20
    else:
        assert found == pytest.approx(problem.sum_of_squares, rel=2e-8 if name == "Lanczos2" else 1e-9)


def test_digits():
    problem = regression("Rat42")
    assert problem.digits(problem.certified) == 11
    assert problem.digits(problem.certified * (1 + 1e-6)) == pytest.approx(6)
    assert problem.digits(problem.certified * np.nan) == 0


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("name", SAMPLE)
def test_hard_regressions_are_solved_to_nine_digits(name, start):
    problem = regression(name)
    found = optim.least_squares(problem.residuals, problem.starts[start])
    assert found.converged
    assert problem.digits(found.x) > 9
    assert found.value == pytest.approx(problem.sum_of_squares, rel=1e-9)


def test_damping_of_nielsen_solves_them_too():
    problem = regression("Bennett5")
    found = optim.least_squares(problem.residuals, problem.starts[0], optim.levenberg_marquardt("nielsen"))
    assert problem.digits(found.x) > 9


def test_bending_steps_follows_curved_valleys():
    """Bennett5 from its first start: above a thousand Jacobians without the second derivative, below a hundred with."""
    problem = regression("Bennett5")
    straight = optim.least_squares(problem.residuals, problem.starts[0], optim.levenberg_marquardt(acceleration=0.0))
    bent = optim.least_squares(problem.residuals, problem.starts[0])
    assert bent.evaluations.cost * 4 < straight.evaluations.cost


def test_bfgs_on_the_headline():
    problem = regression("Rat42")
    found = optim.minimize(lambda b: cl.sum(problem.residuals(b) ** 2), problem.starts[1], optim.quasi_newton("bfgs"))
    assert problem.digits(found.x) >= SOLVED


@pytest.mark.verify
def test_all_54_are_solved_and_no_worse_than_by_scipy():
    from benchmarks.optimizers.nist import SOLVERS, mean, scores, solved

    own, peer = scores(SOLVERS["`least_squares` (radius)"]), scores(SOLVERS['SciPy `trf`, `x_scale="jac"`'])
    assert solved(own) == 54
    assert mean(own) >= max(mean(peer), 9.4)


@pytest.mark.verify
def test_bfgs_is_no_worse_than_scipys():
    from benchmarks.optimizers.nist import SOLVERS, mean, scores, solved

    own, peer = scores(SOLVERS['`quasi_newton("bfgs")`']), scores(SOLVERS["SciPy `BFGS`"])
    assert solved(own) >= solved(peer)
    assert mean(own) >= mean(peer)
