"""The learner's loop: what `backward()` does to `.grad`, and what it refuses."""

import pickle

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import GradientError, TraceError


def leaf(value, **more):
    return cl.tensor(value, requires_grad=True, **more)


def test_the_worked_neuron():
    x = cl.tensor([1.0, -2.0, 3.0], name="x", requires_grad=True)
    w = cl.tensor([-3.0, -1.0, 2.0], name="w", requires_grad=True)
    b = cl.tensor(1.0, name="b", requires_grad=True)
    y = cl.relu(x @ w + b)
    assert y.item() == 6.0
    y.backward()
    assert w.grad.tolist() == [1.0, -2.0, 3.0]
    assert x.grad.tolist() == [-3.0, -1.0, 2.0]
    assert b.grad.item() == 1.0
    w = w.updated(-0.001 * w.grad)
    b = b.updated(-0.001 * b.grad)
    assert w.tolist() == [-3.001, -0.998, 1.997] and b.item() == 0.999
    assert (w.name, w.requires_grad, w.grad) == ("w", True, None)
    assert round(cl.relu(x @ w + b).item(), 12) == 5.985


def test_grad_is_none_before():
    x = leaf(2.0)
    assert x.grad is None
    y = x * x
    assert x.grad is None and y.grad is None
    y.backward()
    assert x.grad.item() == 4.0


def test_different_losses_accumulate():
    x = leaf([1.0, 2.0])
    cl.sum(x * x).backward()
    cl.sum(3 * x).backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_losses_that_share_values_accumulate():
    x = leaf(3.0)
    h = x * x
    (h + 1).backward()
    (h * 2).backward()
    assert x.grad.item() == 6.0 + 12.0


def test_a_gradient_is_a_tensor_without_history_of_the_leafs_shape_and_dtype():
    x = leaf(np.ones((2, 1), np.float32))
    cl.sum(x * np.ones((2, 3), np.float32)).backward()
    assert isinstance(x.grad, cl.Tensor) and not x.grad.tracked
    assert x.grad.shape == (2, 1) and x.grad.dtype == np.float32
    assert x.grad.tolist() == [[3.0], [3.0]]


def test_a_leaf_that_the_loss_does_not_reach_keeps_none():
    x, y = leaf(1.0), leaf(2.0)
    (x * 2).backward()
    assert y.grad is None


def test_a_leaf_is_its_own_loss():
    x = leaf(2.0)
    x.backward()
    assert x.grad.item() == 1.0


def test_gradients_of_two_leaves_do_not_share_what_accumulates():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    cl.sum(x + y).backward()
    cl.sum(x * 10).backward()
    assert x.grad.tolist() == [11.0, 11.0] and y.grad.tolist() == [1.0, 1.0]


def test_detach_stop_gradient_and_no_grad_cut():
    x = leaf(3.0)
    (x * x.detach()).backward()
    assert x.grad.item() == 3.0
    x = leaf(3.0)
    (x * cl.stop_gradient(x)).backward()
    assert x.grad.item() == 3.0
    x = leaf(3.0)
    with cl.no_grad():
        y = x * x
    assert not y.tracked and not y.requires_grad
    (x * y).backward()
    assert x.grad.item() == 9.0


def test_comparisons_and_integers_have_no_history():
    x = leaf([1.0, 3.0, 2.0])
    assert not (x > 1).tracked and not cl.argmax(x).tracked and not x.astype(int).tracked


def test_a_training_loop_converges():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((50, 3))
    targets = inputs @ np.array([1.0, -2.0, 0.5]) + 0.25
    w, b = leaf(np.zeros(3), name="w"), leaf(0.0, name="b")
    for _ in range(200):
        loss = cl.mean((inputs @ w + b - targets) ** 2)
        loss.backward()
        w, b = w.updated(-0.1 * w.grad), b.updated(-0.1 * b.grad)
    assert np.allclose(w, [1.0, -2.0, 0.5], atol=1e-6) and abs(b.item() - 0.25) < 1e-6


def test_float32_parameters_stay_float32_through_updates():
    w = leaf(np.ones(2, np.float32))
    cl.sum(w * w).backward()
    w = w.updated(-0.1 * w.grad)
    assert w.dtype == np.float32 and w.tolist() == [np.float32(0.8)] * 2


# ------------------------------------------------------------------------------------------------- refusals
def parts(call, kind):
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert error.where.startswith("test_backward.py:"), error.where
    return error.headline, error.expected, error.got, error.try_


def test_a_second_backward_raises_with_advice():
    x = leaf(2.0)
    y = x * x
    y.backward()
    assert parts(lambda: y.backward(), GradientError) == (
        "backward() ran through this value before",
        "one backward() per computed loss",
        "a second backward() on the same output",
        "compute the loss again; different losses accumulate in .grad",
    )
    assert x.grad.item() == 4.0


def test_a_loss_with_axes():
    x = leaf([1.0, 2.0])
    assert parts(lambda: (x * 2).backward(), GradientError) == (
        "backward() needs a scalar",
        "shape ()",
        "got shape (2,)".removeprefix("got "),
        "cl.mean(loss).backward(), or cl.vjp for a cotangent of your own",
    )


def test_a_value_without_history():
    assert parts(lambda: (cl.tensor(2.0) * 2).backward(), GradientError) == (
        "backward() found nothing to differentiate",
        "a value computed from tensors with requires_grad=True",
        "a value without history",
        "cl.tensor(..., requires_grad=True), and no cl.no_grad() or detach() on the way",
    )


def test_backward_inside_a_traced_function():
    def f(x):
        y = cl.sum(x * x)
        y.backward()
        return y

    assert parts(lambda: cl.vmap(f)(np.ones((2, 2))), TraceError) == (
        "backward() cannot be part of a traced function",
        "cl.grad or cl.value_and_grad",
        "backward() on a traced value",
        "loss, grads = cl.value_and_grad(loss_of)(parameters)",
    )


def test_an_integer_leaf():
    assert parts(lambda: leaf([1, 2]), cl.errors.DTypeError) == (
        "only a floating tensor can require a gradient",
        "float32 or float64",
        "int64",
        "write the numbers as floats: 3 → 3.0, or pass dtype=float",
    )


def test_an_operation_in_a_long_function_tells_its_own_line():
    """The line is found when it is asked for: to look for it in each operation would cost what the operation does."""
    lines = [f"    v{i} = {i} if x is None else (\n        {i} + 1\n    )" for i in range(200)]
    source = "\n".join(["def long(x):", *lines, "    y = (", "        x * 2.0", "    )", "    return y", ""])
    place = {}
    exec(compile(source, "long.py", "exec"), place)
    application = place["long"](cl.tensor([1.0], requires_grad=True)).application
    line = source.splitlines().index("        x * 2.0") + 1
    assert application.site == (place["long"].__code__, line)
    assert pickle.loads(pickle.dumps(application)).site[1] == line
