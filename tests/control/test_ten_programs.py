"""Ten programs with loops and branches: values, first and second derivatives as JAX computes them."""

import json

import numpy as np
import pytest

import clearprop as cl
from tests.control.ten_programs import PROGRAMS, RECORDED, THETA

JAX = json.loads(RECORDED.read_text(encoding="utf-8"))["values"]
TRANSFORMS = {"value": lambda f: f, "gradient": cl.grad, "hessian": cl.hessian}
programs = pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)


@programs
@pytest.mark.parametrize("what", TRANSFORMS)
def test_eager(program, what):
    got = TRANSFORMS[what](lambda t: program(cl, t))(THETA)
    np.testing.assert_allclose(np.asarray(got), JAX[program.__name__][what], rtol=1e-10, atol=1e-12)


@programs
@pytest.mark.parametrize("what", TRANSFORMS)
def test_compiled(program, what):
    got = cl.compile(TRANSFORMS[what](lambda t: program(cl, t)), executor="numpy")(THETA)
    np.testing.assert_allclose(np.asarray(got), JAX[program.__name__][what], rtol=1e-10, atol=1e-12)


@programs
def test_reverse_over_reverse(program):
    got = cl.jacobian(cl.grad(lambda t: program(cl, t)))(THETA)
    np.testing.assert_allclose(np.asarray(got), JAX[program.__name__]["hessian"], rtol=1e-10, atol=1e-12)
