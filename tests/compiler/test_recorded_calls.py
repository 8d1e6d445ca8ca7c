"""Compiled functions through which gradients flow: what uncompiled ones give, in every mode and order, compiled."""

import copy
import pickle

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import executor_choice, recorded_call
from tests.compiler.plain import plain
from tests.control.test_scan import close

X, W = np.arange(4.0) + 0.3, np.array([0.1, 0.2, 0.3, 0.4])


def parts(w, p):
    """Trees in and out, with what is no array and what has no derivative; read from around it: X."""
    return {"y": cl.tanh(w * p["x"]) * X, "n": p["n"] + 1, "s": "text"}, cl.sum(w) ** 2


def loss_of(f):
    def loss(w):
        out, total = f(w, {"x": X, "n": np.int64(3)})
        return cl.sum(out["y"] ** 2) * total

    return loss


TRANSFORMS = {
    "grad": cl.grad,
    "value_and_grad": cl.value_and_grad,
    "jvp": lambda f: lambda w: cl.jvp(f, (w,), (X,)),
    "hvp": lambda f: lambda w: cl.hvp(f, (w,), (X,)),
    "hessian": cl.hessian,
    "third": lambda f: cl.grad(lambda w: cl.sum(cl.grad(lambda w: cl.sum(cl.grad(f)(w) ** 2))(w))),
    "jacfwd": cl.jacfwd,
    "linearize": lambda f: lambda w: cl.linearize(f, w)[1](X),
    "vjp": lambda f: lambda w: cl.vjp(f, w)[1](2.0),
    "vmap of grad": lambda f: lambda w: cl.vmap(cl.grad(f))(np.stack([w, -w])),
    "grad of vmap": lambda f: cl.grad(lambda w: cl.sum(cl.vmap(f)(cl.stack([w, -w])))),
    "compile of grad": lambda f: cl.compile(cl.grad(f), executor="numpy"),
    "grad of scan": lambda f: cl.grad(lambda w: cl.scan(lambda c, x: (c * f(w + x), None), 1.0, X[:2])[0]),
    "grad of cond": lambda f: cl.grad(lambda w: cl.cond(w[0] > 0, f, lambda w: cl.sum(w), w)),
    "grad of remat": lambda f: cl.grad(cl.remat(f)),
}


@pytest.fixture(scope="module")
def numpy_loss():
    return loss_of(cl.compile(parts, executor="numpy"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name, numpy_loss):
    close(TRANSFORMS[name](numpy_loss)(W), TRANSFORMS[name](loss_of(parts))(W))


def test_natively(monkeypatch):
    """Both ways, and the derivative of the way back, without a word."""
    chosen = []

    def choose(lowered, name, *rest):
        chosen.append((name, executor_choice.native_obstacle(lowered)))
        return executor_choice.choose_executor(lowered, name, *rest)

    monkeypatch.setattr(recorded_call, "choose_executor", choose)
    with plain():
        compiled = cl.compile(parts)
        close(cl.hvp(loss_of(compiled), (W,), (X,)), cl.hvp(loss_of(parts), (W,), (X,)))
        count = len(chosen)
        close(cl.hvp(loss_of(compiled), (W,), (W,)), cl.hvp(loss_of(parts), (W,), (W,)))
    assert len(chosen) == count >= 3, "known from the first time"
    assert set(chosen) == {("parts", None)}


def test_other_sizes_and_dtypes():
    f = cl.compile(lambda x: cl.sum(cl.sin(x) * x), executor="numpy")
    for x in (X, X[:2], X.astype(np.float32), np.float64(0.5), np.ones((2, 3))):
        close(cl.grad(f)(x), cl.grad(f.function)(x), 1e-6)


def test_tensors_around_are_seen_when_they_are_replaced():
    w, k = cl.tensor(W, requires_grad=True), np.ones(4)
    f = cl.compile(lambda x: cl.sum(x * w * k), executor="numpy")
    for factor in (1.0, 2.0):
        k = np.full(4, factor)
        w = w.updated(0.5 * np.ones(4))
        out = f(X)
        out.backward()
        assert out.item() == pytest.approx(np.sum(X * w.numpy() * k))
        close(w.grad, X * k)
    w = cl.tensor(np.ones((2, 4)), requires_grad=True)  # of another kind
    f(X).backward()
    close(w.grad, np.tile(X * k, (2, 1)))


def test_what_is_cut_off_stays_cut_off():
    f = cl.compile(lambda x: cl.sum(x * x.detach()) + cl.stop_gradient(x)[0] * x[0], executor="numpy")
    close(cl.grad(f)(X), X + np.array([X[0], 0.0, 0.0, 0.0]))


def test_a_buffer_may_be_refilled_before_the_way_back():
    buffer, w = X.copy(), cl.tensor(W, requires_grad=True)
    out = cl.compile(lambda w, x: cl.sum(w * x), executor="numpy")(w, buffer)
    buffer[:] = 0.0
    out.backward()
    close(w.grad, X)


def test_an_entry_opens_into_what_the_function_did():
    w = cl.tensor(W, name="w", requires_grad=True)
    out = cl.compile(lambda w: cl.sum(cl.sin(w) * X), executor="numpy")(w)
    entry = cl.explain(out, wrt=w, index=(1,))
    (factor,) = entry.terms[0].factors
    assert entry.check().agrees and factor.is_composite
    assert entry.value == pytest.approx(np.cos(W[1]) * X[1])
    assert "cos" in str(factor.body()) or "sin" in str(factor.body())
    assert factor.body().value == pytest.approx(entry.value)


def test_the_check_of_derivatives_passes():
    cl.check_grads(loss_of(cl.compile(parts, executor="numpy")), (W,), order=2)


def test_a_result_is_copied_with_its_history():
    w = cl.tensor(W, requires_grad=True)
    out = cl.compile(cl.sum, executor="numpy")(w * 2.0)
    for twin in (copy.deepcopy((w, out)), pickle.loads(pickle.dumps((w, out)))):
        twin[1].backward()
        close(twin[0].grad, np.full(4, 2.0))


def test_an_error_of_the_users_leaves_nothing_that_later_calls_meet():
    def step(x):
        if x.shape[0] == 3:
            raise ValueError("no three")
        return cl.sum(x * x)

    f = cl.compile(step, executor="numpy")
    for n in (3, 2, 3, 4):
        if n == 3:
            with pytest.raises(ValueError, match="no three"):
                cl.grad(lambda x: f(x))(np.ones(n))
        else:
            assert cl.grad(lambda x: f(x))(np.ones(n)).tolist() == [2.0] * n
