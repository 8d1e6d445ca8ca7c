"""Minima inside losses: closed forms as oracles, in every mode and order, at once and in programs; what is refused."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError, GradientError, TraceError
from tests.control.test_scan import close

minimize, least_squares = cl.optim.minimize, cl.optim.least_squares


def logarithm(w):
    """The minimum of exp(x) − w·x is log(w)."""
    return minimize(lambda x: cl.exp(x) - w * x, 0.0).x


def ridge(w, x0=None):
    """Coefficients by a penalised sum of squares, in a tree; their squares, and the value at the minimum."""
    a, b = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.2]]), np.array([1.0, -0.5, 2.0])
    f = lambda p: cl.sum((a @ p["u"] - b * w) ** 2) + cl.exp(w) * (cl.sum(p["u"] ** 2) + (p["s"] - w) ** 2)
    found = minimize(f, x0 or {"u": np.zeros(2), "s": 1.0})
    return cl.sum(found.x["u"] ** 2) * found.x["s"] + found.value


def ridge_by_hand(w):
    a, b = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.2]]), np.array([1.0, -0.5, 2.0])
    u = cl.linalg.solve(a.T @ a + cl.exp(w) * np.eye(2), cl.asarray(a.T @ b) * w)
    return cl.sum(u**2) * w + cl.sum((a @ u - b * w) ** 2) + cl.exp(w) * cl.sum(u**2)


def banana(w):
    """A curved valley, where the search takes dozens of steps; the minimum is at (w, w²)."""
    x = minimize(lambda x: (w - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2, np.array([-1.2, 1.0])).x
    return x[0] * x[1]


def fitted(w):
    """Least squares whose residuals stay: the minimum of (x − w)² + (2x − w²)² is at (w + 2w²)/5."""
    found = least_squares(lambda x: cl.stack([x - w, 2 * x - w * w]), 0.0)
    return found.x**2 + found.value


CASES = {
    "logarithm": (logarithm, cl.log, 2.0),
    "ridge": (ridge, ridge_by_hand, 0.7),
    "banana": (banana, lambda w: w**3, 1.3),
    "fitted": (fitted, lambda w: ((w + 2 * w**2) / 5) ** 2 + (w**2 - 2 * w) ** 2 / 5, 0.7),
}
ORDERS = {
    "gradient": cl.grad,
    "forward": lambda f: lambda w: cl.jvp(f, (w,), (1.0,))[1],
    "reverse over reverse": lambda f: cl.grad(cl.grad(f)),
    "forward over reverse": lambda f: lambda w: cl.hvp(f, (w,), (1.0,))[0],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("order", ORDERS)
def test_derivatives_are_those_of_the_minimum(case, order):
    f, by_hand, at = CASES[case]
    close(ORDERS[order](f)(at), ORDERS[order](by_hand)(at), 1e-9)


@pytest.mark.parametrize("case", ["logarithm", "ridge", "banana"])
def test_a_search_in_a_program(case):
    f, by_hand, at = CASES[case]
    together = lambda f: lambda w: (*cl.value_and_grad(f)(w), cl.hvp(f, (w,), (1.0,))[0])
    close(cl.compile(together(f), executor="numpy")(at), together(by_hand)(at), 1e-9)


def test_a_batch_of_minima():
    w = np.array([0.5, 2.0, 5.0])
    close(cl.vmap(cl.value_and_grad(logarithm))(w), (np.log(w), 1 / w))


@pytest.mark.verify
def test_one_unknown_is_native():
    close(cl.compile(cl.value_and_grad(logarithm))(2.0), (np.log(2.0), 0.5))


@pytest.mark.parametrize("method", [cl.optim.newton_cg(), cl.optim.adam(0.1), cl.optim.quasi_newton("bfgs")])
def test_how_it_was_found_plays_no_part(method):
    f = lambda w: minimize(lambda x: cl.exp(x) - w * x, 0.0, method, tolerance=1e-5, steps=3000).x
    assert cl.grad(f)(2.0).item() == pytest.approx(0.5, rel=1e-9)


def test_the_learner_has_it_too():
    w = cl.tensor(2.0, requires_grad=True)
    minimize(lambda x: cl.exp(x) - w * x, 0.0).x.backward()
    assert w.grad.item() == pytest.approx(0.5, rel=1e-12)
    with cl.no_grad():
        assert not minimize(lambda x: cl.exp(x) - w * x, 0.0).x.requires_grad


def test_a_minimum_of_what_is_not_followed_is_a_number():
    assert isinstance(minimize(lambda x: (x - 1.0) ** 2, 0.0).value, float)


def test_a_search_in_a_program_says_how_it_went():
    def run(w, steps):
        found = minimize(lambda x: cl.exp(x) - w * x, 0.0, steps=steps)
        return found.x, found.converged, found.steps, found.evaluations.gradients

    x, converged, steps, gradients = cl.compile(run, static="steps", executor="numpy")(2.0, 100)
    assert converged.item() and 3 <= steps.item() < gradients.item() < 40
    x, converged, steps, _ = cl.compile(run, static="steps", executor="numpy")(2.0, 2)
    assert not converged.item() and steps.item() == 2 and np.isnan(x.item())


WRONG = {
    "not converged": (
        lambda: cl.grad(lambda w: minimize(lambda x: cl.exp(x) - w * x, 0.0, steps=2).x)(2.0),
        (GradientError, "minimize found nothing through which a derivative could pass", "2 steps allowed"),
    ),
    "not by itself": (
        lambda: cl.grad(lambda w: cl.sum(minimize(lambda x: (x[0] + x[1] - w) ** 2, np.zeros(2)).x))(2.0),
        (GradientError, "minimize found nothing", "a second derivative that is singular"),
    ),
    "another method in a program": (
        lambda: cl.compile(lambda w: minimize(lambda x: (x - w) ** 2, 0.0, cl.optim.adam(0.1)).x)(2.0),
        (ArgumentError, "minimize searches by quasi-Newton steps", "method = adam"),
    ),
    "least squares in a program": (
        lambda: cl.vmap(fitted)(np.ones(2)),
        (TraceError, "least_squares cannot be part of a program", "cl.optim.minimize of"),
    ),
    "its uncertainty": (
        lambda: cl.grad(
            lambda w: least_squares(lambda x: cl.stack([x - w, x + 1, x]), 0.0).residual_deviation
        )(1.0),
        (GradientError, "the uncertainty of least squares has no derivative", "x and value alone"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_what_is_refused(mistake):
    call, (kind, *parts) = WRONG[mistake]
    with pytest.raises(kind) as info:
        call()
    assert all(part in str(info.value) for part in parts)
    assert "test_minimum_in_a_loss.py" in info.value.where
