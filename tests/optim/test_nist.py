"""Certified answers: the nonlinear regressions of NIST, by least squares and by BFGS."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from problems.nist import FOLDER, NAMES, SOLVED, regression

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


@pytest.mark.parametrize("name", NAMES)
def test_standard_errors_have_the_certified_digits(name):
    """Ten of eleven; three for Lanczos1, whose residuals of 1e-13 are the rounding of its data."""
    problem = regression(name)
    found = optim.least_squares(problem.residuals, problem.starts[1])
    assert problem.deviation_digits(found.standard_errors) >= (3 if name == "Lanczos1" else 10)
    n = len(problem.certified)
    assert found.degrees_of_freedom == len(problem.y) - n and found.covariance.shape == (n, n)
    assert found.residual_deviation == pytest.approx(
        (problem.sum_of_squares / (len(problem.y) - n)) ** 0.5, rel=1e-2 if name == "Lanczos1" else 1e-9
    )


def test_the_covariance_is_that_of_linear_regression():
    """Against the textbook's s²(XᵀX)⁻¹; a tree keeps its form."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    start = {"slopes": np.zeros(2), "rest": np.zeros(())}
    found = optim.least_squares(lambda p: x[:, :2] @ p["slopes"] + x[:, 2] * p["rest"] - y, start)
    order = [2, 0, 1]  # leaves go by name: rest, slopes
    r = x @ np.linalg.lstsq(x, y, rcond=None)[0] - y
    expected = np.linalg.inv(x.T @ x)[np.ix_(order, order)] * (r @ r) / 17
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found.standard_errors["slopes"], np.sqrt(np.diag(expected))[1:], rtol=1e-10)
    assert np.shape(found.standard_errors["rest"]) == ()


def test_units_do_not_change_which_covariances_there_are():
    problem = regression("MGH10")  # parameters from 1e-3 to 1e4

    def scaled(b):
        return problem.residuals(b * np.array([1e-9, 1e6, 1e6]))

    found = optim.least_squares(scaled, problem.starts[1] / np.array([1e-9, 1e6, 1e6]))
    assert problem.deviation_digits(np.asarray(found.standard_errors) * np.array([1e-9, 1e6, 1e6])) > 9


@pytest.mark.verify
def test_standard_errors_are_right_in_repeated_experiments():
    """The deviation of 200 estimates is what each of them says of itself; 4 standard errors of a deviation allowed."""
    t, rng = np.linspace(0, 4, 40), np.random.default_rng(0)
    estimates, told = [], []
    for _ in range(200):
        y = 2 * np.exp(-0.7 * t) + 0.02 * rng.normal(size=t.size)
        found = optim.least_squares(lambda p, y=y: p[0] * cl.exp(-p[1] * t) - y, np.array([1.0, 1.0]), executor="eager")
        estimates.append(np.asarray(found.x))
        told.append(np.asarray(found.standard_errors))
    np.testing.assert_allclose(np.std(estimates, axis=0), np.mean(told, axis=0), rtol=4 / np.sqrt(400))


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


@pytest.mark.parametrize("name", ["MGH10", "Misra1a"])
def test_newton_in_units_of_the_start_solves_what_it_does_not_without(name):
    """The parameters of MGH10 and Misra1a differ by seven and six powers of ten."""
    problem = regression(name)

    def digits(scaling):
        method = optim.newton_cg(scaling=scaling)
        f = lambda b: cl.sum(problem.residuals(b) ** 2)
        found = optim.minimize(f, problem.starts[0], method, tolerance=0, steps=3000)
        return problem.digits(found.x)

    assert digits("none") < SOLVED < 9 < digits("start")


@pytest.mark.verify
@pytest.mark.parametrize(("saddle_free", "plainly", "scaled"), [(False, 48, 53), (True, 49, 52)])
def test_scaling_solves_more(saddle_free, plainly, scaled):
    from benchmarks.optimizers.nist import own_minimize, scores, solved

    assert solved(scores(own_minimize(optim.newton_cg(saddle_free)))) <= plainly
    assert solved(scores(own_minimize(optim.newton_cg(saddle_free, scaling="start")))) >= scaled


@pytest.mark.verify
def test_bfgs_is_no_worse_than_scipys():
    from benchmarks.optimizers.nist import SOLVERS, mean, scores, solved

    own, peer = scores(SOLVERS['`quasi_newton("bfgs")`']), scores(SOLVERS["SciPy `BFGS`"])
    assert solved(own) >= solved(peer)
    assert mean(own) >= mean(peer)
