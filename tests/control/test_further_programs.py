"""Further programs with loops and branches against JAX: values, first and second derivatives, also compiled."""

import json

import numpy as np
import pytest

import clearprop as cl
from tests.compiler.plain import plain
from tests.control.further_programs import PROGRAMS, RECORDED
from tests.control.ten_programs import THETA

JAX = json.loads(RECORDED.read_text(encoding="utf-8"))["values"]
each = pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)


def agree(found, program, part):
    np.testing.assert_allclose(np.asarray(found), JAX[program.__name__][part], rtol=1e-10, atol=1e-10)


@each
def test_value_and_gradient(program):
    value, gradient = cl.value_and_grad(lambda t: program(cl, t))(THETA)
    agree(value, program, "value")
    agree(gradient, program, "gradient")


@pytest.mark.verify
@each
def test_second_derivatives(program):
    """Forward over reverse, reverse over reverse, and compiled for kernels, which are interpreted."""
    f = lambda t: program(cl, t)
    agree(cl.hessian(f)(THETA), program, "hessian")
    agree(cl.jacrev(cl.grad(f))(THETA), program, "hessian")
    with plain():
        agree(cl.compile(cl.hessian(f))(THETA), program, "hessian")


@pytest.mark.verify
@each
def test_natively(program):
    value, gradient = cl.compile(cl.value_and_grad(lambda t: program(cl, t)))(THETA)
    agree(value, program, "value")
    agree(gradient, program, "gradient")
