"""Labels that no loss has a meaning for are refused by every executor; trusted loops do not look again."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.epoch_loop import NativeLoop
from clearprop.errors import ClearpropError
from clearprop.rules.checking import require_range_
from tests.compiler.plain import plain

Z = np.random.default_rng(0).normal(size=(4, 3))
EXECUTORS = ["eager", "numpy", "numba", "interpreted"]
WRONG = {
    "too large": (cl.nn.cross_entropy, Z, np.array([0, 3, 1, 2])),
    "negative": (cl.nn.cross_entropy, Z, np.array([0, -1, 1, 2])),
    "negative, narrow": (cl.nn.cross_entropy, Z, np.array([0, -1, 1, 2], np.int32)),
    "negative probability": (cl.nn.cross_entropy, Z, np.array([[1.5, -0.5, 0.0]] * 4)),
    "binary, negative": (cl.nn.binary_cross_entropy, Z[:, 0], np.array([1, -1, 0, 0])),
    "binary, above": (cl.nn.binary_cross_entropy, Z[:, 0], np.array([0.0, 0.5, 1.5, 0.0])),
    "probabilities that sum to more": (cl.nn.cross_entropy, Z, np.array([[0.5, 0.5, 0.5]] * 4)),
    "probabilities, float32": (cl.nn.cross_entropy, Z, np.array([[0.5, 0.25, 0.0]] * 4, np.float32)),
    "probabilities, not numbers": (cl.nn.cross_entropy, Z, np.array([[0.5, np.nan, 0.5]] * 4)),
    "direct, too large": (cl.softmax_cross_entropy, Z, np.array([0, 3, 1, 2])),
    "direct, negative": (cl.softmax_cross_entropy, Z, np.array([0, -1, 1, 2])),
    "direct, bytes": (cl.softmax_cross_entropy, Z, np.array([0, 255, 1, 2], np.uint8)),
    "direct, beyond int64": (cl.softmax_cross_entropy, Z, np.array([0, 2**64 - 1, 1, 2], np.uint64)),
    "direct, negative probability": (cl.softmax_cross_entropy, Z, np.array([[1.5, -0.5, 0.0]] * 4)),
    "direct, counts": (cl.softmax_cross_entropy, Z, np.array([[1.0, 2.0, 0.0]] * 4)),
    "direct, binary": (cl.sigmoid_cross_entropy, Z, np.array([0.0, 1.0, -0.1])),
    "direct, binary integers": (cl.sigmoid_cross_entropy, Z, np.array([0, 1, 2])),
    "binary, not a number": (cl.nn.binary_cross_entropy, Z[:, 0], np.array([0.0, 0.5, np.nan, 0.0])),
}
RIGHT = {
    "classes": (cl.nn.cross_entropy, Z, np.array([0, 2, 1, 2])),
    "bytes": (cl.nn.cross_entropy, Z, np.array([0, 2, 1, 2], np.uint8)),
    "probabilities": (cl.nn.cross_entropy, Z, np.array([[0.2, 0.3, 0.5]] * 4)),
    "binary": (cl.nn.binary_cross_entropy, Z[:, 0], np.array([0.0, 0.5, 1.0, 0.0])),
    "binary, truth": (cl.nn.binary_cross_entropy, Z[:, 0], np.array([True, False, True, False])),
    "direct": (cl.softmax_cross_entropy, Z, np.array([0, 2, 1, 2], np.uint32)),
    "direct, probabilities": (cl.softmax_cross_entropy, Z, np.array([[0.2, 0.3, 0.5]] * 4, np.float32)),
    "direct, binary": (cl.sigmoid_cross_entropy, Z, np.array([0.0, 1.0, 0.5])),
    "direct, truth": (cl.sigmoid_cross_entropy, Z, np.array([True, False, True])),
    "no rows": (cl.softmax_cross_entropy, Z[:0], np.zeros((0, 3))),
    "nothing": (cl.nn.mse, np.zeros((2, 1)), np.ones((2, 1))),
}


def run(f, z, labels, executor):
    if executor == "eager":
        return f(z, labels)
    if executor == "interpreted":
        with plain():
            return cl.compile(f)(z, labels)
    return cl.compile(f, executor=executor)(z, labels)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", WRONG)
def test_wrong_labels_are_refused(name, executor):
    f, z, labels = WRONG[name]
    for loss in (f, lambda z, y: cl.grad(lambda z: cl.sum(f(z, y)))(z)):
        with pytest.raises(ClearpropError):
            run(loss, z, labels, executor)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", RIGHT)
def test_right_labels_give_the_loss(name, executor):
    f, z, labels = RIGHT[name]
    loss = cl.value_and_grad(lambda z, y: cl.sum(f(z, y)))
    for a, b in zip(run(loss, z, labels, executor), loss(z, labels), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12)


def test_the_call_after_a_refusal_is_right():
    f = cl.compile(cl.nn.cross_entropy, executor="numba")
    for _ in range(2):
        with pytest.raises(ClearpropError, match="a label lies outside its range"):
            f(Z, np.array([0, 1, 2, 3]))
        np.testing.assert_allclose(float(f(Z, np.array([0, 1, 2, 2]))), float(cl.nn.cross_entropy(Z, [0, 1, 2, 2])))


@pytest.mark.parametrize("trusted", [False, True])
def test_a_loop_looks_at_labels_unless_they_are_trusted(trusted):
    step = lambda w, x, y: (w - cl.grad(lambda w: cl.nn.cross_entropy(x @ w, y))(w), cl.sum(w))
    x, y = Z, np.array([0, 1, 2, 2])
    loop = NativeLoop(step, np.eye(3), [x, y], trusted=trusted)
    names = [eq.primitive.name for eq in loop.lowered.equations]
    assert ("require_range" in names) is not trusted


def test_the_class_of_labels_is_mapped_over_a_batch():
    """`vmap` checks the labels of every example."""
    f = cl.compile(cl.vmap(lambda z, y: cl.nn.cross_entropy(z, y)), executor="numpy")
    np.testing.assert_allclose(np.asarray(f(Z, np.array([0, 1, 2, 2]))).shape, (4,))
    with pytest.raises(ClearpropError):
        f(Z, np.array([0, 1, 2, 3]))


def test_tangents_of_labels_are_no_labels():
    """Forward mode through the check of labels passes the tangent on, whatever it is."""
    z, y, tangent = Z[:, 0], np.array([0.2, 0.5, 1.0, 0.0]), np.array([5.0, -3.0, 2.0, 9.0])
    checked = lambda y: cl.sum(z * require_range_(y, low=0, high=1, name="f"))
    for f in (lambda y, t: cl.jvp(checked, (y,), (t,))[1], cl.compile(lambda y, t: cl.jvp(checked, (y,), (t,))[1])):
        np.testing.assert_allclose(float(f(y, tangent)), float(z @ tangent))
