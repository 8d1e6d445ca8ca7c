"""Loops and branches in native code: the same numbers as written out, inside their arrays, and they can be stopped."""

import json
import signal
import warnings
from contextlib import contextmanager

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import executor_choice
from clearprop.compiler.native import number_loops
from tests.compiler.plain import plain
from tests.compiler.typed_programs import guard_pages
from tests.control.programs import PAIRS, numbers, unrolled
from tests.control.ten_programs import PROGRAMS, RECORDED, THETA
from tests.control.test_scan import close

JAX = json.loads(RECORDED.read_text(encoding="utf-8"))["values"]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_the_text_of_loops_interpreted(pair):
    """Every access is looked at: see `plain`."""
    with plain():
        close(
            cl.compile(cl.value_and_grad(pair.loop, pair.wrt))(*pair.args),
            cl.value_and_grad(pair.written, pair.wrt)(*pair.args),
        )
        second = cl.compile(lambda *args: cl.hvp(pair.loop, args, args))(*pair.args)
    close(second, cl.hvp(pair.written, pair.args, pair.args), 1e-11)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_ten_programs_interpreted(program):
    with plain():
        found = cl.compile(cl.grad(lambda t: program(cl, t)))(THETA)
    np.testing.assert_allclose(np.asarray(found), JAX[program.__name__]["gradient"], rtol=1e-10, atol=1e-12)


def several(scan, w, x):
    """Carries that change places, stay as they are, are counted, and are given out as well; and a branch."""

    def step(c, x):
        a, b, n, s = c
        s = cl.cond(n > 1, lambda s: cl.sin(s) + w[0], lambda s: s * x[0], s)
        return (b * w + x, a, n + 1, s), (a, a * x, x)

    return scan(step, (x[0], w, 0, 0.5), x[:-1], reverse=True)


@pytest.mark.parametrize("at_end", [False, True])
def test_between_guard_pages(at_end):
    """Of all lengths, by one program: none, one, and both parities of carries that change places."""
    with guard_pages(at_end) as copied:
        natively = cl.compile(lambda w, x: several(cl.scan, w, x), executor="numba")
        for n in (3, 4, 7):
            w, x = copied(numbers(0, 3)), copied(numbers(1, n, 3))
            close(natively(w, x), several(unrolled, w, x))
    assert len(natively.cache_info().programs) == 1


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_a_loop_with_a_known_number_of_steps(steps):
    with plain():
        found = cl.compile(lambda v: cl.scan(lambda c, _: (cl.flip(c) * 0.5, c), v, None, steps))(numbers(0, 3))
    want = cl.scan(lambda c, _: (cl.flip(c) * 0.5, c), numbers(0, 3), None, steps)
    close(found, want)


def of_numbers(scan, w, x):
    """A carry, a counter, and one that stays; elements of rows of two; from the end."""
    step = lambda c, x: ((c[0] * w + x[0], c[1] + 1, c[2]), (c[0] * x[1], x[0] + c[2]))
    return scan(step, (0.5, 0, w), x, reverse=True)


@pytest.mark.parametrize("steps", [2, 3, 4, 6, 7])
def test_a_loop_of_numbers_stands_in_its_kernel(steps, monkeypatch):
    """Called for three steps at once, and for those that are left."""
    monkeypatch.setattr(number_loops, "TURNS", 3)
    args = np.float64(0.9), numbers(1, steps, 2)
    value = lambda scan: lambda w, x: (lambda c, ys: c[0] * c[2] + cl.sum(ys[0] * ys[1]))(*of_numbers(scan, w, x))
    with plain() as it:
        close(cl.compile(lambda w, x: of_numbers(cl.scan, w, x))(*args), of_numbers(unrolled, *args))
        close(cl.compile(cl.grad(value(cl.scan), (0, 1)))(*args), cl.grad(value(unrolled), (0, 1))(*args))
    assert any("for turn in range(lo, hi):" in text for text in it.texts)


def heron(a):
    """Square roots to a tolerance, and in how many steps."""
    far = lambda c: cl.abs(c[0] * c[0] - a) > 1e-12
    return cl.while_loop(far, lambda c: (0.5 * (c[0] + a / c[0]), c[1] + 1), (a, 0))


def swapped(a):
    return cl.while_loop(lambda c: cl.max(c[0]) > 1e-2, lambda c: (cl.flip(c[1]) * 0.4, c[0]), (a, 2.0 * a))


@pytest.mark.parametrize("loop", [heron, swapped, lambda a: cl.vmap(heron)(cl.stack([a, 2.0 * a, 9.0 + a]))])
@pytest.mark.parametrize("start", [1.0, 3.0, 7.5])
def test_loops_that_end_by_themselves(loop, start):
    a = np.array([start, 0.5]) if loop is swapped else np.float64(start)
    with plain():
        close(cl.compile(loop)(a), loop(a), 0.0)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_the_number_of_a_branch(dtype):
    """Of any dtype; one outside is the nearest."""
    branches = [lambda x: x + 1.0, lambda x: x * 3.0, cl.sin][: 2 if dtype == "bool" else 3]
    f = lambda k, x: cl.switch(k, branches, x) if dtype != "bool" else cl.cond(k, branches[1], branches[0], x)
    with plain():
        compiled = cl.compile(f)
        for k in (-2, 0, 1, 2, 9):
            number = np.array(k).astype(dtype)[()]
            close(compiled(number, numbers(0, 2)), f(number, numbers(0, 2)), 0.0)


def test_a_step_without_native_form_leaves_the_rest_native(monkeypatch):
    monkeypatch.setattr(executor_choice, "_SAID", set())  # another test may have been told already
    f = lambda x: cl.sum(cl.scan(lambda c, x: (c + cl.sort(x), None), cl.zeros(3), cl.tanh(x))[0])
    with pytest.warns(cl.ExecutorWarning, match="in part on the NumPy executor: argsort has no native form"):
        found = cl.compile(f)(numbers(0, 5, 3))
    close(found, f(numbers(0, 5, 3)))


def test_loops_run_natively_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = cl.compile(lambda x: cl.scan(lambda c, x: (c + x, c), 0.0, x)).lower(np.ones(3)).source("numba")
    assert "for i in range(n0):" in source
    assert "= scan2_1(" in source


# ------------------------------------------------------------------------------------------------ interrupts
@contextmanager
def an_alarm(after, handler):
    """A signal, so many seconds later."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def counting():
    """Counts by ones, in a loop in a loop: n times to the next multiple of m."""

    def count(n, m):
        inner = lambda c: cl.while_loop(lambda c: c % m != 0, lambda c: c + 1, c + 1)
        return cl.while_loop(lambda c: c < n * m, inner, 0)

    compiled = cl.compile(count, executor="numba")
    compiled(1, 2)
    return compiled


def test_a_long_loop_can_be_stopped(counting):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), an_alarm(0.1, stop):
        counting(10**6, 10**9)
    assert counting(3, 7).item() == 21


def test_a_long_loop_goes_on_where_a_handler_found_it(counting):
    heard = []
    with an_alarm(0.05, lambda *_: heard.append(counting(2, 3).item())):
        assert counting(3, 10**7).item() == 3 * 10**7
    assert heard == [6]
