"""NumPy's functions on tensors: ours where we have them, a refusal where not; nothing detaches silently."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import TraceError

X = np.array([0.25, 0.5, 0.75])

UNARY = [
    "negative",
    "square",
    "absolute",
    "sign",
    "floor",
    "ceil",
    "rint",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sqrt",
    "reciprocal",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "arctanh",
    "isnan",
    "isfinite",
    "logical_not",
]
BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "power",
    "maximum",
    "minimum",
    "arctan2",
    "logaddexp",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
]


@pytest.mark.parametrize("name", UNARY)
def test_unary_ufuncs(name):
    got = getattr(np, name)(cl.tensor(X))
    assert isinstance(got, cl.Tensor) and np.allclose(got, getattr(np, name)(X), rtol=1e-15)


@pytest.mark.parametrize("name", BINARY)
def test_binary_ufuncs(name):
    f = getattr(np, name)
    for a, b in ((cl.tensor(X), X[::-1]), (X, cl.tensor(X[::-1])), (cl.tensor(X), cl.tensor(X[::-1]))):
        got = f(a, b)
        assert isinstance(got, cl.Tensor) and np.allclose(got, f(X, X[::-1]), rtol=1e-15)


def test_functions():
    x = cl.tensor([[1.0, 2.0], [3.0, 4.0]])
    a = np.asarray(x)
    for f in (np.sum, np.mean, np.max, np.min, np.prod, np.var, np.std, np.amax, np.amin):
        assert isinstance(f(x), cl.Tensor) and np.allclose(f(x), f(a)) and np.allclose(f(x, axis=0), f(a, axis=0))
    assert np.array_equal(np.concatenate([x, x], axis=1), np.concatenate([a, a], axis=1))
    assert np.array_equal(np.stack([x, x]), np.stack([a, a]))
    assert np.array_equal(np.reshape(x, (4,)), a.reshape(4))
    assert np.array_equal(np.transpose(x, (1, 0)), a.T)
    assert np.array_equal(np.where(a > 2, x, 0.0), np.where(a > 2, a, 0.0))
    assert np.array_equal(np.clip(x, 2.0, 3.0), a.clip(2, 3))
    assert np.array_equal(np.squeeze(x[None], 0), a) and np.array_equal(np.expand_dims(x, 0), a[None])
    assert np.array_equal(np.sort(x, axis=0), np.sort(a, axis=0)) and np.median(x).item() == 2.5
    assert np.array_equal(np.matmul(x, x), a @ a) and np.array_equal(np.tensordot(x, x, 1), a @ a)


def test_they_are_differentiated():
    assert np.allclose(cl.grad(lambda x: np.sum(np.sin(x) * X))(X), np.cos(X) * X, rtol=1e-15)
    assert cl.grad(lambda x: np.exp(x))(0.0).item() == 1.0
    assert cl.grad(lambda x: np.float64(3.0) * x)(2.0).item() == 3.0
    assert np.array_equal(cl.grad(lambda x: cl.sum(X * x))(X), X)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: np.linalg.lstsq(x[:, None], x), "lstsq"),
        (lambda x: np.average(x, weights=x, returned=True), "average"),
        (lambda x: np.fft.fft(x, out=np.empty(3, complex)), "fft"),
        (lambda x: np.argpartition(x, 1), "argpartition"),
        (lambda x: np.cbrt(x), "cbrt"),
        (lambda x: np.add.reduce(x), "add"),
        (lambda x: np.exp(x, out=np.empty(3)), "exp"),
        (lambda x: np.poly(x), "poly"),
    ],
)
def test_others_raise(call, name):
    with pytest.raises(TraceError) as caught:
        call(cl.tensor(X, requires_grad=True))
    assert caught.value.headline == f"np.{name} on a Tensor is not supported"
    assert caught.value.try_ == f"np.{name}(np.asarray(x)) if no derivative should flow through it"
    assert caught.value.where.startswith("test_numpy_protocol.py:")


def test_questions_with_no_derivative_are_answered():
    x = cl.tensor(X, requires_grad=True)
    assert np.allclose(x, X) and np.array_equal(x, X) and np.shape(x) == (3,) and np.ndim(x) == 1 and np.size(x) == 3


def test_reading_the_values_of_a_tracked_tensor_is_explicit():
    x = cl.tensor(X, requires_grad=True)
    assert np.asarray(x * 2).tolist() == (2 * X).tolist()
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
