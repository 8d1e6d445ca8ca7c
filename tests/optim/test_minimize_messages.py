"""What a wrong function, start or option of a minimiser gets: whole messages."""

import math

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from tests.optim.test_messages import lines, message

X = np.array([1.0, 2.0])


def without_where(found):
    """The message without its `where` line, which must name this file."""
    where = [line for line in found if line.startswith("  where")]
    assert len(where) == 1 and "test_minimize_messages.py:" in where[0]
    return [line for line in found if not line.startswith("  where")]


def quadratic(x):
    return cl.sum(x * x)


def test_random_function():
    random = np.random.default_rng(0)

    def noisy(x):
        return cl.sum((x - random.normal(size=2).round(1)) ** 2)

    found = without_where(message(lambda: optim.minimize(noisy, X)))
    assert found[0] == "quasi_newton needs a function that is the same whenever it is evaluated"
    assert found[1] == "  expected  f(x0) == f(x0)"
    assert found[2].startswith("  got       ") and " and then " in found[2]
    advice = "the whole data set in place of mini-batches, fixed keys for random layers; or adam, which stands noise"
    assert found[3] == f"  try       {advice}"


def test_rules_that_stand_noise_get_new_noise_in_every_step():
    random = np.random.default_rng(0)
    seen = []

    def noisy(x):
        seen.append(random.normal())
        return cl.sum((x - seen[-1]) ** 2)

    optim.minimize(noisy, X, optim.adam(0.1), steps=5)
    assert len(seen) >= 7


def test_residuals_that_are_a_sum():
    assert without_where(message(lambda: optim.least_squares(quadratic, X))) == lines("""
least_squares needs the residuals themselves
  expected  a vector of shape (m,), one number per observation
  got       shape ()
  try       return prediction - y, not the sum of squares; minimize takes any scalar function
""")


def test_residuals_that_are_a_matrix():
    assert without_where(message(lambda: optim.least_squares(lambda x: x[:, None] * x, X))) == lines("""
least_squares needs a vector of residuals
  expected  a vector of shape (m,), one number per observation
  got       shape (2, 2)
  try       cl.reshape(residuals, (-1,)), or cl.concat of several
""")


def test_residuals_that_are_a_list():
    assert without_where(message(lambda: optim.least_squares(lambda x: [x[0], x[1]], X)))[2] == "  got       a list"


def test_start_that_is_not_finite():
    assert without_where(message(lambda: optim.minimize(lambda x: cl.sum(cl.log(x)), -X))) == lines("""
minimize needs a start where f and its gradient are finite
  expected  finite numbers
  got       f(x0) = nan
  try       another x0; smaller weights, or scaled data, where a network overflows
""")
    found = message(lambda: optim.minimize(lambda x: cl.sum(cl.sqrt(x)), np.array([0.0, 1.0])))
    assert found[2] == "  got       f(x0) = 1.0, but 1 partial derivatives that are not finite"
    found = message(lambda: optim.least_squares(lambda x: cl.log(x), -X))
    assert found[0] == "least_squares needs a start where f and its gradient are finite"


def test_start_without_numbers_to_change():
    assert without_where(message(lambda: optim.minimize(quadratic, np.array([1, 2])))) == lines("""
minimize has nothing to change
  expected  x0 with at least one floating number
  got       no floating leaf
  try       x0.astype(float)
""")


def test_impossible_options():
    assert without_where(message(lambda: optim.minimize(quadratic, X, steps=0))) == lines("""
minimize cannot work with this steps
  expected  1 <= steps, a whole number (default 1000)
  got       steps = 0
  try       steps=1000
""")
    for bad in (-1e-3, math.nan, "small"):
        found = without_where(message(lambda bad=bad: optim.least_squares(lambda x: x, X, tolerance=bad)))
        assert found[0] == "least_squares cannot work with this tolerance"
        assert found[1] == "  expected  0 <= tolerance or None (default None)"


def test_impossible_hyper_parameters():
    assert without_where(message(lambda: optim.quasi_newton("bgfs"))) == lines("""
no update of quasi_newton named 'bgfs'
  expected  one of: bfgs, dfp, lbfgs, sr1
  got       'bgfs'
  try       'bfgs', the nearest name
""")
    assert without_where(message(lambda: optim.quasi_newton(memory=0))) == lines("""
quasi_newton cannot work with this memory
  expected  1 <= memory, a whole number (default 10)
  got       memory = 0
  try       quasi_newton(memory=10)
""")
    assert message(lambda: optim.newton_cg(radius=0.0))[1] == "  expected  0 < radius (default 1.0)"
    assert (
        message(lambda: optim.levenberg_marquardt(initial=-1.0))[1] == "  expected  0 < initial or None (default None)"
    )
    assert message(lambda: optim.diag_newton(clip=0.0))[1] == "  expected  0 < clip or None (default None)"


def test_a_matrix_for_too_many_variables():
    assert without_where(
        message(lambda: optim.minimize(quadratic, np.ones(6000), optim.quasi_newton("bfgs")))
    ) == lines("""
"bfgs" keeps a matrix of n × n numbers
  expected  at most 5,000 variables
  got       n = 6,000
  try       quasi_newton("lbfgs"), whose memory grows with n alone
""")


def test_no_method():
    assert without_where(message(lambda: optim.minimize(quadratic, X, "lbfgs"))) == lines("""
minimize needs a method
  expected  a method (quasi_newton(), newton_cg()) or a transform (adam(0.01))
  got       'lbfgs'
  try       method=cl.optim.quasi_newton()
""")
    found = message(lambda: optim.least_squares(lambda x: x, X, optim.quasi_newton()))
    assert found[0] == "least_squares needs levenberg_marquardt()"


@pytest.mark.parametrize("method", ["newton_cg", optim.newton_cg()], ids=str)
def test_fit_takes_no_method_of_minimize(method):
    found = message(lambda: cl.fit(cl.nn.mlp([2, 2]), (np.ones((4, 2)), np.arange(4) % 2), optimizer=method))
    assert without_where(found) == lines("""
newton_cg needs the whole data set in every step, and fit takes mini-batches
  expected  a transform of cl.optim, such as cl.optim.adam(1e-3)
  got       optimizer=newton_cg(saddle_free=False, krylov=None, radius=1.0, scaling='none')
  try       cl.optim.minimize(lambda m: cl.nn.cross_entropy(m(x), y), model, cl.optim.newton_cg())
""")


def test_unknown_executor():
    assert without_where(message(lambda: optim.minimize(quadratic, X, executor="jit")))[0] == "no executor named 'jit'"


def test_a_function_that_is_no_scalar():
    found = without_where(message(lambda: optim.minimize(lambda x: x, X)))
    assert found == lines("""
minimize needs a function that returns one number
  expected  a scalar: a Tensor of shape ()
  got       shape (2,)
  try       cl.mean or cl.sum of it; least_squares, if these are residuals
""")


@pytest.mark.parametrize(("result", "kind"), [(None, "NoneType"), ("low", "str"), ((1.0, 2.0), "tuple")])
def test_a_function_that_returns_something_else(result, kind):
    assert without_where(message(lambda: optim.minimize(lambda x: result, X)))[2] == f"  got       a {kind}"
    assert without_where(message(lambda: optim.least_squares(lambda x: result, X)))[2] == f"  got       a {kind}"


def test_a_run_that_diverges_keeps_its_best_point():
    found = optim.minimize(quadratic, X, optim.sgd(1e200), steps=50)
    assert found.reason == "the value is not finite any more: a smaller learning rate may help"
    assert not found.converged and found.value == 5.0 and np.asarray(found.x).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("method", [optim.quasi_newton(), optim.newton_cg()], ids=repr)
def test_a_function_without_a_minimum_ends(method):
    found = optim.minimize(lambda x: -cl.sum(x), X, method, steps=60)
    assert not found.converged and found.value < -1e6


def test_uncertainty_of_what_the_residuals_do_not_determine():
    exact = optim.least_squares(lambda x: x - 1.0, X)
    assert without_where(message(lambda: exact.standard_errors)) == lines("""
the residuals say nothing about the uncertainty of x
  expected  more residuals than variables: at least 3
  got       2 residuals for 2 variables
  try       more observations, or fewer variables
""")
    y = np.array([1.0, 2.0, 4.0])
    twins = optim.least_squares(lambda x: (x[0] + x[1]) * np.arange(1.0, 4.0) - y, X)
    found = without_where(message(lambda: twins.covariance))
    assert found[:2] == ["the residuals do not determine x", "  expected  a Jacobian whose columns are independent"]
    assert found[2].startswith("  got       some combination of the variables changes no residual")
    assert found[3] == "  try       leave a variable out, or add observations that tell them apart"
