"""`cl.odeint`: SciPy's solver, closed forms and the order of the method as oracles; derivatives through the steps."""

import numpy as np
import pytest
import scipy.integrate

import clearprop as cl
from tests.control.test_scan import close

TIMES = np.array([0.0, 0.4, 1.0, 2.5])
P = {"k": np.float64(1.7), "c": np.float64(0.2)}


def pendulum(p, start, times, **options):
    slope = lambda y, t: {"q": y["v"], "v": -p["k"] * cl.sin(y["q"]) - p["c"] * y["v"] + 0.1 * t}
    return cl.odeint(slope, start, times, **options)


def by_scipy(start, times):
    f = lambda t, y: [y[1], -1.7 * np.sin(y[0]) - 0.2 * y[1] + 0.1 * t]
    found = scipy.integrate.solve_ivp(
        f, times[[0, -1]], [start["q"], start["v"]], "DOP853", times, rtol=1e-12, atol=1e-13
    )
    return found.y


START = {"q": 1.0, "v": np.float64(0.3)}


@pytest.mark.parametrize("times", [TIMES, -TIMES, TIMES[:2]])
@pytest.mark.parametrize(
    ("options", "tolerance"), [({"steps": 60}, 1e-5), ({}, 1e-5), ({"rtol": 1e-9, "atol": 1e-11}, 1e-8)]
)
def test_against_scipy(times, options, tolerance):
    found = pendulum(P, START, times, **options)
    np.testing.assert_allclose(
        [found["q"].numpy(), found["v"].numpy()], by_scipy(START, times), rtol=tolerance, atol=tolerance
    )


def test_the_classical_method_has_order_four():
    errors = []
    for steps in (4, 8, 16):
        end = cl.odeint(lambda y, t: -y * cl.cos(t), 1.0, np.array([0.0, 2.0]), steps=steps)[1].item()
        errors.append(abs(end - np.exp(-np.sin(2.0))))
    assert np.log2(errors[0] / errors[1]) > 3.5
    assert np.log2(errors[1] / errors[2]) > 3.7


@pytest.mark.parametrize("options", [{"steps": 3}, {"rtol": 1e-4, "max_steps": 12}])
def test_derivatives(options):
    """For the parameters, the start and the times; differences of adaptive steps jump where their lengths change."""
    loss = lambda p, q, times: cl.sum(pendulum(p, {"q": q, "v": 0.3}, times, **options)["q"] ** 2)
    args = P, np.float64(1.0), TIMES
    exact = cl.grad(lambda p, q, times: cl.sum(pendulum(p, {"q": q, "v": 0.3}, times, steps=60)["q"] ** 2), (0, 1, 2))(
        *args
    )
    close(cl.grad(loss, (0, 1, 2))(*args), exact, 2e-2)
    if "steps" in options:
        cl.check_grads(loss, args, order=2)


def test_the_derivative_by_the_last_time_is_the_slope_there():
    for options in ({"steps": 30}, {}):
        f = lambda end, options=options: cl.odeint(lambda y, t: -0.5 * y + t, 1.0, cl.stack([0.0, end]), **options)[1]
        end = f(2.0).item()
        assert cl.grad(f)(2.0).item() == pytest.approx(-0.5 * end + 2.0, rel=1e-4)


def test_compiled_and_batched():
    f = lambda k: cl.odeint(lambda y, t: -k * y, cl.ones(2), TIMES, steps=5)
    close(cl.compile(f, executor="numpy")(0.7), f(0.7))
    ks = np.array([0.5, 1.0])
    close(cl.vmap(f)(ks), cl.stack([f(0.5), f(1.0)]))


def test_too_few_steps_give_nan():
    found = cl.odeint(lambda y, t: -y, 1.0, TIMES, rtol=1e-10, max_steps=2).numpy()
    assert found[0] == 1.0
    assert np.isnan(found[1:]).all()


def test_mistakes():
    with pytest.raises(cl.errors.ShapeError, match="odeint needs the times in a vector"):
        cl.odeint(lambda y, t: y, 1.0, 2.0)
    with pytest.raises(cl.errors.ArgumentError, match="odeint: f gives another structure than it takes"):
        cl.odeint(lambda y, t: (y, y), 1.0, TIMES)
    with pytest.raises(cl.errors.DTypeError, match="odeint needs floating values to begin with"):
        cl.odeint(lambda y, t: y, 1, TIMES)
