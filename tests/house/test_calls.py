"""The way from the user's operation to the gradient stays short: Python functions that run on it, counted."""

import pytest

import clearprop as cl
from benchmarks.calls import count

X = cl.tensor(1.0, requires_grad=True)


@pytest.mark.parametrize(
    ("run", "most"),
    [
        pytest.param(lambda: cl.grad(lambda x: cl.tanh(2 * x))(1.0), 80, id="grad of tanh(2x)"),
        pytest.param(lambda: cl.relu(X * 2).backward(), 60, id="backward of relu(2x)"),
    ],
)
def test_few_python_functions_run_to_a_gradient(run, most):
    assert count(run) <= most
