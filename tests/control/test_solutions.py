"""`cl.root` and `cl.fixed_point`: SciPy and closed forms as oracles, and the implicit function theorem to any order."""

import numpy as np
import pytest
import scipy.optimize

import clearprop as cl
from tests.control.test_scan import close

P = {"m": np.array([[3.0, 1.0], [0.5, 2.0]]), "b": np.array([1.0, 2.0])}


def cubic(a):
    return cl.root(lambda x: x**3 + a * x - 5.0, 1.0)


def cardano(a):
    """The real root of x³ + a x = 5."""
    s = cl.sqrt(6.25 + a**3 / 27)
    return (2.5 + s) ** (1 / 3) - (s - 2.5) ** (1 / 3)


def cosine(w):
    return cl.fixed_point(lambda x: cl.cos(w * x), 0.5)


def system(p):
    """Unknowns as a tree, of two shapes."""
    equations = lambda v: {
        "u": p["m"] @ v["u"] + cl.tanh(v["u"]) - p["b"],
        "s": v["s"] ** 2 - cl.sum(v["u"] ** 2) - 1.0,
    }
    return cl.root(equations, {"u": np.zeros(2), "s": 1.0})


def test_every_derivative_of_a_root():
    f, want = cubic, cardano
    for _ in range(4):
        assert f(2.0).item() == pytest.approx(want(2.0).item(), rel=1e-12)
        f, want = cl.grad(f), cl.grad(want)
    close(cl.jvp(cl.grad(cubic), (2.0,), (1.0,)), cl.jvp(cl.grad(cardano), (2.0,), (1.0,)))


@pytest.mark.parametrize("executor", [None, "numpy"])
def test_compiled(executor):
    close(cl.compile(cl.value_and_grad(cubic), executor=executor)(2.0), cl.value_and_grad(cardano)(2.0))


def test_a_system():
    found = system(P)
    equations = lambda v: [*(P["m"] @ v[:2] + np.tanh(v[:2]) - P["b"]), v[2] ** 2 - v[:2] @ v[:2] - 1.0]
    want = scipy.optimize.root(equations, [0.0, 0.0, 1.0], tol=1e-14).x
    np.testing.assert_allclose([*found["u"].tolist(), found["s"].item()], want, rtol=1e-12)
    cl.check_grads(lambda p: cl.sum(system(p)["u"] ** 2) * system(p)["s"], (P,), order=2)


def test_a_fixed_point():
    x = scipy.optimize.brentq(lambda x: np.cos(0.9 * x) - x, 0.0, 1.0, xtol=1e-15)
    slope = lambda w, x: -x * np.sin(w * x) / (1 + w * np.sin(w * x))
    assert cosine(0.9).item() == pytest.approx(x, rel=1e-13)
    assert cl.grad(cosine)(0.9).item() == pytest.approx(slope(0.9, x), rel=1e-12)
    cl.check_grads(cosine, (0.9,), order=2)


@pytest.mark.parametrize("solve", [cubic, cosine])
def test_batches(solve):
    a = np.array([0.5, 0.7, 0.9])
    close(cl.vmap(cl.grad(solve))(a), np.array([cl.grad(solve)(v).item() for v in a]))
    close(
        cl.grad(lambda a: cl.sum(cl.vmap(solve)(a) * a))(a),
        np.array([cl.grad(lambda v: solve(v) * v)(v).item() for v in a]),
    )


def test_a_learners_loop():
    a = cl.tensor(2.0, requires_grad=True, name="a")
    x = cubic(a)
    entry = cl.explain(x, wrt=a, index=())
    assert entry.value == pytest.approx(cl.grad(cardano)(2.0).item(), rel=1e-12)
    assert "agrees within" in str(entry)
    x.backward()
    assert a.grad.item() == entry.value


def test_the_start_has_no_derivative():
    assert cl.grad(lambda x0: cl.root(lambda x: x * x - 4.0, x0))(1.0).item() == 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_in_the_dtype_of_the_start(dtype):
    found = cl.root(lambda x: x**2 - 2.0, np.ones(1, dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found.numpy(), np.sqrt(dtype(2)), rtol=2 * np.finfo(dtype).eps)


def test_steps_that_would_lead_away_are_halved():
    """arctan, from where a whole step of Newton's method goes farther and farther."""
    assert cl.root(cl.atan, 3.0).item() == pytest.approx(0.0, abs=1e-12)


def test_what_is_not_found_is_nan():
    assert np.isnan(cl.root(lambda x: x * x + 1.0, 0.5).item())
    assert np.isnan(cl.fixed_point(lambda x: 2.0 * x + 1.0, 0.5, max_steps=30).item())


WRONG = [
    (
        lambda: cl.root(lambda x: cl.stack([x, x]), 1.0),
        ["root needs as many equations as unknowns", "2 numbers from f"],
    ),
    (lambda: cl.root(lambda x: x, 1), ["root needs floating values to begin with", "i64"]),
    (lambda: cl.fixed_point(lambda x: (x, x), 1.0), ["fixed_point: f gives another structure than it takes"]),
    (lambda: cl.root(3, 1.0), ["root", "function"]),
]


@pytest.mark.parametrize(("call", "texts"), WRONG)
def test_mistakes(call, texts):
    with pytest.raises(cl.errors.ClearpropError) as error:
        call()
    for text in texts:
        assert text in str(error.value)
