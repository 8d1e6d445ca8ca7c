"""What was recorded is what is differentiated: buffers may be refilled between an operation and its derivative."""

import numpy as np
import pytest

import clearprop as cl


def leaf():
    return cl.tensor([1.0, 1.0], requires_grad=True)


@pytest.mark.parametrize(
    "held",
    [
        lambda buffer: buffer,
        cl.asarray,
        lambda buffer: cl.reshape(cl.asarray(buffer), (2,)),
        lambda buffer: cl.asarray(buffer)[0:2],
        lambda buffer: buffer[::1],
    ],
)
def test_a_refilled_buffer_keeps_the_gradients_that_were_computed_with_it(held):
    w, buffer, total = leaf(), np.empty(2), 0.0
    for row in ([1.0, 2.0], [10.0, 20.0]):
        buffer[:] = row
        total = total + cl.sum(w * held(buffer))
    buffer[:] = np.nan
    total.backward()
    assert w.grad.tolist() == [11.0, 22.0]


@pytest.mark.parametrize("operation", [cl.multiply, cl.divide, cl.pow, cl.matmul, cl.maximum])
def test_every_kind_of_operation_keeps_what_it_read(operation):
    buffer = np.array([2.0, 3.0])
    gradients = []
    for refill in (False, True):
        w = cl.tensor([1.5, 2.5], requires_grad=True)
        out = cl.sum(operation(w, buffer.copy() if not refill else buffer))
        if refill:
            buffer[:] = 77.0
        out.backward()
        gradients.append(w.grad.tolist())
    assert gradients[0] == gradients[1]


def test_a_pullback_belongs_to_the_values_that_it_was_made_with():
    a = np.array([1.0, 2.0])
    _, pullback = cl.vjp(lambda v: cl.sum(v * v), a)
    a[:] = 0
    assert pullback(1.0)[0].tolist() == [2.0, 4.0]


def test_asarray_shares_memory_until_something_is_recorded():
    a = np.array([1.0, 2.0])
    t = cl.asarray(a)
    a[0] = 5.0
    assert t.tolist() == [5.0, 2.0]
    assert cl.tensor(a).tolist() == [5.0, 2.0]


def test_an_explanation_shows_the_values_that_were_used():
    w, buffer = leaf(), np.array([3.0, 4.0])
    y = cl.sum(w * buffer)
    buffer[:] = 0
    assert [t.value for t in cl.explain(y, wrt=w, index=0).terms] == [3.0]


# ------------------------------------------------------------------------- each door × each way to hold a buffer
def unwritten(buffer):
    view = buffer[:]
    view.flags.writeable = False
    return view


HELD = {
    "array": lambda buffer: buffer,
    "view": lambda buffer: buffer[:, :],
    "every second": lambda buffer: np.lib.stride_tricks.as_strided(buffer, (2, 3), (24, 8)),
    "tensor": cl.asarray,
    "part of a tensor": lambda buffer: cl.asarray(buffer)[:, 0:3],
    "view that is not written": unwritten,
    "row for all": lambda buffer: np.broadcast_to(buffer[0], (2, 3)),
    "tensor of a row for all": lambda buffer: cl.asarray(np.broadcast_to(buffer[0], (2, 3))),
}


def curved(w):
    return lambda v: cl.tanh(v * w) * w


def total(w):
    return lambda v: cl.sum(curved(w)(v))


COMPILED = cl.compile(lambda w, x: cl.sum(cl.tanh(w * x)), executor="numpy")
DOORS = {
    "operators": lambda w, x: cl.sum(x * cl.tanh(w * x) + x @ w.mT @ x),
    "joined": lambda w, x: cl.sum(cl.tanh(cl.stack([w, x]) * cl.stack([x, w]))),
    "chosen": lambda w, x: cl.sum(cl.where(cl.asarray(x) > 0.7, w * x, w)),
    "loss": lambda w, x: cl.nn.mse(w, x),
    "compiled": COMPILED,
    "loop": lambda w, x: cl.scan(lambda c, v: (c + cl.sum(cl.tanh(w * v)), c), 0.0, x)[0],
    "branch": lambda w, x: cl.cond(True, lambda w: cl.sum(cl.tanh(w * x)), cl.sum, w),
    "remat": lambda w, x: cl.remat(lambda w: cl.sum(cl.tanh(w * x)))(w),
    "vmap": lambda w, x: cl.sum(cl.vmap(lambda w, x: cl.tanh(w * x))(w, x)),
    "root": lambda w, x: cl.sum(cl.root(lambda y: y**3 + y * cl.square(w) - x, np.ones((2, 3)))),
    "grad": lambda w, x: cl.sum(cl.grad(total(w))(x)),
    "value": lambda w, x: cl.value_and_grad(total(w))(x)[0],
    "vjp": lambda w, x: cl.sum(cl.vjp(curved(w), x)[1](x)[0]),
    "cotangent": lambda w, x: cl.sum(cl.vjp(cl.tanh, x)[1](w)[0]),
    "jvp": lambda w, x: cl.sum(cl.jvp(curved(w), (x,), (x,))[1]),
    "tangent": lambda w, x: cl.sum(cl.jvp(cl.tanh, (x,), (w,))[1]),
    "linearize": lambda w, x: cl.sum(cl.linearize(curved(w), x)[1](x)),
    "jacobian": lambda w, x: cl.sum(cl.square(cl.jacobian(curved(w))(x))),
    "jacfwd": lambda w, x: cl.sum(cl.square(cl.jacfwd(curved(w))(x))),
    "hessian": lambda w, x: cl.sum(cl.square(cl.hessian(total(w))(x))),
    "hvp": lambda w, x: cl.sum(cl.hvp(total(w), (x,), (x,))[0]),
    "ggn_vp": lambda w, x: cl.sum(cl.ggn_vp(curved(w), lambda o: cl.sum(cl.square(o)), x, x)),
    "per_example_grad": lambda w, x: cl.sum(cl.per_example_grad(total(w[0]), in_axes=(0,))(x)),
    "grad of remat": lambda w, x: cl.sum(cl.grad(cl.remat(total(w)))(x)),
    "grad of a loop": lambda w, x: cl.sum(cl.grad(lambda v: cl.scan(lambda c, r: (c + total(w)(r), c), 0.0, v)[0])(x)),
}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("door", DOORS)
def test_what_was_recorded_is_differentiated_however_the_buffer_is_held(door, held):
    found = []
    for refill in (False, True):
        w, buffer = cl.tensor(np.arange(6.0).reshape(2, 3) * 0.1 + 0.5, requires_grad=True), np.empty((2, 3))
        buffer[...] = [[0.3, 0.6, 0.9], [1.2, 1.5, 1.8]]
        out = DOORS[door](w, HELD[held](buffer))
        if refill:
            buffer[...] = -77.0
        out.backward()
        found.append(w.grad.tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("made", [cl.vjp, cl.linearize])
def test_what_is_called_later_belongs_to_the_values_that_it_was_made_with(made, held):
    found = []
    for refill in (False, True):
        buffer = np.array([[0.3, 0.6, 0.9], [1.2, 1.5, 1.8]])
        later = made(lambda v: cl.sum(cl.tanh(v) * v), HELD[held](buffer))[1]
        if refill:
            buffer[...] = -77.0
        found.append(np.asarray(later(1.0)[0] if made is cl.vjp else later(np.ones((2, 3)))).tolist())
    assert found[0] == found[1]


ORDERS = {"other order": np.asfortranarray, "turned": lambda buffer: np.ascontiguousarray(buffer.T).T}


@pytest.mark.parametrize("held", HELD | ORDERS)
def test_an_explanation_keeps_what_it_was_made_of_and_checks_it_in_any_order(held):
    buffers = [np.ones((2, 3)), np.array([[0.3, 0.6, 0.9], [1.2, 1.5, 1.8]])]
    w, x = map((HELD | ORDERS)[held], buffers)
    leaf = cl.tensor(w, requires_grad=True)
    entries = [cl.explain(total_of, "w", args=(w, x))[0, 1], cl.explain(total_of(leaf, x), wrt=leaf)[0, 1]]
    for array in (*buffers, w, x) if held in ORDERS else buffers:
        array[...] = -77.0
    for entry in entries:
        check = entry.check()
        assert [t.value for t in entry.terms] == [check.gradient] == [pytest.approx(0.6 * (1 - np.tanh(0.6) ** 2))]
        assert check.finite_difference == pytest.approx(check.gradient, rel=1e-6)


def total_of(w, x):
    return cl.sum(cl.tanh(w * x))
