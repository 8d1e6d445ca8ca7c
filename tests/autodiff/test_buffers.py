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
