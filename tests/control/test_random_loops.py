"""Random steps, with branches and loops in them: one operation against written out, eager against compiled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clearprop as cl
from tests.control.programs import numbers, unrolled
from tests.control.test_scan import close

UNARY = [
    cl.sin,
    cl.tanh,
    lambda v: v * v * 0.3,
    lambda v: cl.exp(-v * v),
    lambda v: cl.where(v > 0, v, 0.2 * v),
    cl.flip,
]
BINARY = [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - 0.5 * b, lambda a, b: a * cl.sum(b) * 0.2]


def branch(a, b):
    return cl.cond(cl.sum(a) > 0.1, lambda: cl.sin(a) * b, lambda: a - b)


def inner_loop(scan):
    return lambda a, b: scan(lambda c, e: (cl.tanh(c * e + b), c), a, b)[0]


@st.composite
def steps(draw):
    """The instructions of a step: which operation, on which of the values so far."""
    count = draw(st.integers(1, 6))
    places = st.integers(0, 20)
    return [(draw(st.integers(0, len(UNARY) + len(BINARY) + 1)), draw(places), draw(places)) for _ in range(count)]


def program(scan, instructions, reverse):
    """The loop of a step that does as instructed with the weight, the carry and the element."""

    def loss(w, h, x):
        def step(h, x):
            values = [w, h, x]
            for kind, i, j in instructions:
                a, b = values[i % len(values)], values[j % len(values)]
                several = [*BINARY, branch, inner_loop(scan)]
                values.append(UNARY[kind](a) if kind < len(UNARY) else several[kind - len(UNARY)](a, b))
            return cl.tanh(values[-1] + 0.5 * h), values[-1] * values[-2]

        last, ys = scan(step, h, x, reverse=reverse)
        return cl.sum(last * w) + cl.mean(ys**2)

    return loss


ARGS = (numbers(0, 3), numbers(1, 3), numbers(2, 4, 3))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(steps(), st.booleans())
def test_a_loop_is_its_steps(instructions, reverse):
    loop, written = program(cl.scan, instructions, reverse), program(unrolled, instructions, reverse)
    want = cl.value_and_grad(written, (0, 1, 2))(*ARGS)
    close(cl.value_and_grad(loop, (0, 1, 2))(*ARGS), want, 1e-11)
    close(cl.compile(cl.value_and_grad(loop, (0, 1, 2)), executor="numpy")(*ARGS), want, 1e-11)
    close(cl.hvp(loop, ARGS, ARGS), cl.hvp(written, ARGS, ARGS), 1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_a_loop_is_differentiated_as_it_is_differenced(seed):
    instructions = [tuple(row) for row in np.random.default_rng(seed).integers(0, 11, (5, 3)).tolist()]
    cl.check_grads(program(cl.scan, instructions, False), ARGS, order=2)
