"""Random loops: one operation against Python's own loops and branches; eager, NumPy's executor and native code agree.

Value, gradient, tangent and a product with the Hessian are compared, and every entry of an explanation closes.  A few
programs run in `make test`; in `make verify` there are many, whose number is in the names of the tests.
"""

import numpy as np
import pytest

import clearprop as cl
from tests.compiler.plain import plain
from tests.control.random_loops import ARGS, Written, instructions, program
from tests.control.test_scan import close

MANY, NATIVE = 400, 40
"""Programs in `make verify`: interpreted, and on Numba."""


def everything(loss):
    """Value and gradient, a tangent, and a product with the Hessian."""

    def found(*args):
        return (
            *cl.value_and_grad(loss, (0, 1, 2))(*args),
            cl.jvp(loss, args, (args[1], args[0], 0.5 * args[2]))[1],
            cl.hvp(loss, args, (args[1], args[0], 0.5 * args[2])),
        )

    return found


def close_at_terms(loss):
    """Terms add up to the entry, which a finite difference confirms."""
    args = [cl.tensor(a, name=n, requires_grad=True) for a, n in zip(ARGS, "whx", strict=True)]
    out = loss(*args)
    for wrt in args:
        entry = cl.explain(out, wrt=wrt, index=(1,) * len(wrt.shape))
        assert entry.check().agrees
        total = sum(term.value for term in entry.terms) + entry.rest
        np.testing.assert_allclose(total, entry.value, rtol=1e-11, atol=1e-13)


def check(seed, *, natively=False):
    """A program in every way; `natively` on Numba, else its kernels are interpreted."""
    rows, reverse = instructions(seed), bool(seed % 2)
    loop, written = program(cl, rows, reverse), program(Written, rows, reverse)
    want = everything(written)(*ARGS)
    try:
        close(everything(loop)(*ARGS), want, 1e-10)
        close(cl.compile(everything(loop), executor="numpy")(*ARGS), want, 1e-10)
        if natively:
            close(cl.compile(everything(loop), executor="numba")(*ARGS), want, 1e-10)
        else:
            with plain():
                close(cl.compile(everything(loop))(*ARGS), want, 1e-10)
        close_at_terms(loop)
    except AssertionError as error:
        raise AssertionError(f"program {seed}: {rows}\n{error}") from error


@pytest.mark.parametrize("seed", range(4))
def test_a_loop_is_its_steps(seed):
    check(seed)


@pytest.mark.verify
@pytest.mark.parametrize("first", range(1000, 1000 + MANY, 20), ids=lambda first: f"{first} to {first + 19}")
def test_many_random_loops(first):
    for seed in range(first, first + 20):
        check(seed)


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(5000, 5000 + NATIVE))
def test_random_loops_on_numba(seed):
    check(seed, natively=True)


@pytest.mark.parametrize("seed", range(2))
def test_a_loop_is_differentiated_as_it_is_differenced(seed):
    cl.check_grads(program(cl, instructions(seed + 100)), ARGS, order=2)
