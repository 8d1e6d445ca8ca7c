"""Random programs: whatever is composed, both modes agree with differences, tracing with eager, vmap with a loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cl
from clearprop.program.ir import evaluate, trace
from clearprop.program.types import type_of

C = np.array([0.5, -1.25, 2.0])
M = np.array([[0.5, -0.25, 1.0], [0.75, 0.5, -0.5], [-1.0, 0.25, 0.5]])

# vectors to vectors, bounded so that towers of them stay tame
ONE = [
    cl.tanh,
    cl.sin,
    cl.sigmoid,
    cl.softmax,
    cl.gelu,
    cl.atan,
    lambda x: cl.softplus(x) - 1,
    lambda x: x / (1 + x * x),
    lambda x: x @ M,
    lambda x: M @ x,
    lambda x: x * C,
    lambda x: 0.5 * cl.flip(x),
    lambda x: x - cl.mean(x),
    lambda x: x[::-1] * 0.9,
    lambda x: cl.concat([x[1:], x[:1]]),
    lambda x: cl.reshape(cl.tensordot(x, C, 0), (9,))[::4],
    lambda x: x[np.array([2, 0, 0])],
    lambda x: cl.cumulative_sum(x) / 3,
    lambda x: cl.log1p(cl.square(x)),
    lambda x: cl.grad(lambda t: cl.sum(cl.sin(t) * C))(x),
    lambda x: cl.vmap(lambda e: e * 0.5 + cl.cos(e))(x),
    lambda x: cl.jvp(cl.tanh, (x,), (C,))[1],
    lambda x: cl.where(C > 0, x, cl.sin(x)),
    lambda x: x / cl.sqrt(1 + cl.sum(x * x)),
    lambda x: cl.logsumexp(x) * C / 4,
    lambda x: cl.expand_dims(x, 0)[0] ** 2 / (1 + x**2),
    lambda x: cl.squeeze(cl.stack([x, x], axis=1)[:, 1:], axis=1),
]
TWO = [
    lambda x, y: x + y,
    lambda x, y: x * y / (1 + x * x + y * y),
    lambda x, y: cl.atan2(x, 3 + y * y),
    lambda x, y: x - cl.sum(y) / 3,
    lambda x, y: cl.logaddexp(x, y),
    lambda x, y: cl.tanh(x) * cl.sum(cl.sin(y)),
    lambda x, y: cl.concat([x[:1], y[:2]]),
    lambda x, y: cl.tensordot(x, y, 0) @ C / 4,
    lambda x, y: cl.hvp(lambda t: cl.sum(t * t * y), x, y) / 4,
]

steps = st.lists(
    st.tuples(st.integers(0, len(ONE) + len(TWO) - 1), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=7
)


def program_of(choices):
    """A function of a vector: each step reads earlier values, so values are shared and some are dropped."""

    def f(x):
        values = [x]
        for op, a, b in choices:
            left, right = values[-1 - a % len(values)], values[-1 - b % len(values)]
            values.append(ONE[op](left) if op < len(ONE) else TWO[op - len(ONE)](left, right))
        return cl.sum(values[-1] * C) + 0.1 * cl.sum(values[len(values) // 2])

    return f


@given(choices=steps, seed=st.integers(0, 99))
def test_random_programs(choices, seed):
    f, rng = program_of(choices), np.random.default_rng(seed)
    x, v = rng.uniform(-1.5, 1.5, 3), rng.standard_normal(3)
    value, g = cl.value_and_grad(f)(x)
    h = 6e-6
    numeric = (f(x + h * v).item() - f(x - h * v).item()) / (2 * h)
    assert abs(numeric - g.numpy() @ v) <= 1e-7 * (1 + np.linalg.norm(g.numpy()))
    _, tangent = cl.jvp(f, (x,), (v,))
    assert abs(tangent.item() - g.numpy() @ v) <= 1e-12 * (1 + np.linalg.norm(g.numpy()) * np.linalg.norm(v))

    leaf = cl.tensor(x, requires_grad=True)
    out = f(leaf)
    if out.tracked:
        out.backward()
        assert np.array_equal(leaf.grad, g)

    program = trace(lambda t: list(cl.value_and_grad(f)(t)), [type_of(x)])
    cl.typecheck(program)
    again = evaluate(program, [x, *program.captured])
    assert np.allclose(again[0], value, rtol=1e-14, atol=1e-14) and np.allclose(again[1], g, rtol=1e-13, atol=1e-14)

    rows = np.stack([x, v, 0.5 * x])
    loop = np.stack([np.asarray(cl.grad(f)(r)) for r in rows])
    assert np.allclose(cl.vmap(cl.grad(f))(rows), loop, rtol=1e-12, atol=1e-13)


@given(choices=steps, seed=st.integers(0, 99))
def test_hessians_of_random_programs_are_symmetric(choices, seed):
    f = program_of(choices[:4])
    x = np.random.default_rng(seed).uniform(-1.5, 1.5, 3)
    h = np.asarray(cl.hessian(f)(x))
    assert np.allclose(h, h.T, rtol=1e-10, atol=1e-10)
    assert np.allclose(cl.jacobian(cl.grad(f))(x), h, rtol=1e-10, atol=1e-10)
