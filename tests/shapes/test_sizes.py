"""Symbolic sizes: arithmetic stays symbolic, numbers leave a guard, axes that must agree are merged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cl
from clearprop.program.ir import evaluate, trace
from clearprop.program.types import FLOAT64, Type
from clearprop.shapes import (
    Scope,
    Signature,
    Size,
    broadcast,
    dim_key,
    divide,
    evaluate_size,
    hint,
    normalise_axes,
    normalise_axis,
    same,
    size_of,
)


@pytest.fixture
def scope():
    return Scope()


def test_arithmetic_stays_symbolic_and_prints(scope):
    n, m = scope.new(4), scope.new(3)
    assert repr(n * m + 2 * n - 1) == "n0*n1 + 2*n0 - 1"
    assert hint(n * m + 2 * n - 1) == 19
    assert repr((n + 1) * (n - 1)) == "n0*n0 - 1"
    assert n - n == 0 and isinstance(n - n, int)
    assert repr(3 - n) == "-1*n0 + 3" and hint(10 - n) == 6
    assert not scope.guards


def test_exact_division_stays_symbolic(scope):
    n, m = scope.new(4), scope.new(3)
    assert repr(n * m // n) == "n1" and repr((6 * n) // 3) == "2*n0" and (n // n) == 1
    assert divide(n * m, m).key() == n.key() and divide(n + 1, n) is None and divide(n, 3) is None
    half = n // 3
    assert hint(half) == 1 and evaluate_size(half, scope.bind([(n, 10)])) == 3
    assert hint(n % 3) == 1 and evaluate_size(n % 3, scope.bind([(n, 11)])) == 2


@given(st.integers(2, 9), st.integers(2, 9), st.integers(2, 9), st.integers(2, 9), st.integers(-5, 5))
def test_polynomials_evaluate_as_numbers_do(a, b, c, d, k):
    scope = Scope()
    n, m = scope.new(a), scope.new(b)
    formulas = [
        lambda n, m: n * m + k * n - m,
        lambda n, m: (n + k) * (m - n) * 2,
        lambda n, m: (n * m * 6) // (2 * m),
        lambda n, m: (n + m) // 2 + n % m,
        lambda n, m: k - n * n,
    ]
    for f in formulas:
        size = f(n, m)
        assert hint(size) == f(a, b)
        assert evaluate_size(size, scope.bind([(n, c), (m, d)])) == f(c, d)


def test_numbers_leave_guards(scope):
    n = scope.new(4)
    assert int(n) == 4
    assert scope.holds(scope.bind([(n, 4)])) and not scope.holds(scope.bind([(n, 5)]))


@pytest.mark.parametrize(
    ("use", "good", "bad"),
    [
        (lambda n: n > 3, [4, 9], [2, 3]),
        (lambda n: n >= 4, [4, 9], [3]),
        (lambda n: n < 9, [4, 8], [9, 10]),
        (lambda n: n <= 4, [2, 4], [5]),
        (lambda n: n == 5, [4, 6], [5]),
        (lambda n: n != 4, [4], [5]),
        (lambda n: range(n), [4], [3]),
        (lambda n: float(n), [4], [3]),
        (lambda n: n % 2 == 0, [4, 6], [5]),
        (lambda n: [0] * n, [4], [5]),
        (lambda n: n > 3.5, [4, 9], [2, 3]),
        (lambda n: n <= 8.5, [4, 8], [9]),
    ],
)
def test_what_a_program_saw_of_a_size_is_guarded(scope, use, good, bad):
    n = scope.new(4)
    use(n)
    assert all(scope.holds(scope.bind([(n, k)])) for k in good)
    assert not any(scope.holds(scope.bind([(n, k)])) for k in bad)


def test_a_size_compares_with_anything(scope):
    n = scope.new(4)
    assert n != "four" and n is not None and n != None  # noqa: E711 - what users write
    assert n not in (None, "x")
    with pytest.raises(TypeError):
        n < "x"  # noqa: B015 - it is to fail


def test_a_symbolic_axis_is_never_one(scope):
    """Which axes are 1 is part of a program: they broadcast."""
    n = scope.new(4)
    assert scope.holds(scope.bind([(n, 2)])) and not scope.holds(scope.bind([(n, 1)]))


def test_axes_that_must_agree_are_merged(scope):
    n, m = scope.new(4), scope.new(4)
    assert dim_key(n) != dim_key(m)
    assert same(n, m) and dim_key(n) == dim_key(m)
    assert scope.holds(scope.bind([(n, 6), (m, 6)])) and not scope.holds(scope.bind([(n, 6), (m, 7)]))


def test_an_axis_that_must_be_a_number(scope):
    n = scope.new(4)
    assert same(n, 4)
    assert scope.holds(scope.bind([(n, 4)])) and not scope.holds(scope.bind([(n, 5)]))


def test_axes_that_differ_now_do_not_agree(scope):
    n, m = scope.new(4), scope.new(5)
    assert not same(n, m) and not same(n, 5)


def test_sums_that_must_agree(scope):
    """A concatenation of n and m rows beside an array of k rows: the sum is guarded, not merged away."""
    n, m, k = scope.new(2), scope.new(3), scope.new(5)
    assert same(n + m, k)
    assert scope.holds(scope.bind([(n, 4), (m, 5), (k, 9)]))
    assert not scope.holds(scope.bind([(n, 4), (m, 5), (k, 8)]))


def test_broadcasting_of_symbolic_shapes(scope):
    n, m = scope.new(4), scope.new(3)
    assert broadcast((n, 1), (m,)) == (n, m)
    assert broadcast((n, m), ()) == (n, m)
    with pytest.raises(ValueError, match="axis -1 is n0 in one operand and n1 in another"):
        broadcast((n,), (m,))


# ------------------------------------------------------------------------------------- programs over sizes
def check_at_other_sizes(f, *shapes, others, holds=True):
    """Trace f at `shapes` with every axis symbolic, and compare with eager at `others`."""
    scope = Scope()
    types = [Type(tuple(n if n == 1 else scope.new(n) for n in s), FLOAT64) for s in shapes]
    program = trace(lambda *xs: [f(*xs)], types, scope=scope)
    cl.typecheck(program)
    env = scope.bind((d, n) for t, s in zip(types, others, strict=True) for d, n in zip(t.shape, s, strict=True))
    assert scope.holds(env) is holds
    if holds:
        rng = np.random.default_rng(0)
        arrays = [rng.uniform(0.5, 1.5, s) for s in others]
        (got,) = evaluate(program, [*arrays, *program.captured])
        assert np.array_equal(got, np.asarray(f(*map(cl.asarray, arrays)))), (got, f(*arrays))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: cl.sum(x) / x.shape[0],
        lambda x: cl.reshape(x, (-1,)),
        lambda x: cl.reshape(x, (x.shape[1], x.shape[0])),
        lambda x: cl.reshape(x, (x.shape[0] * x.shape[1],)) * x.size,
        lambda x: x[1:],
        lambda x: x[:, :-1],
        lambda x: x[-2:, 1],
        lambda x: cl.concat([x, x], axis=0)[: x.shape[0]],
        lambda x: cl.broadcast_to(x[0], x.shape),
        lambda x: cl.mean(x, axis=0) * cl.sqrt(x.shape[0]),
        lambda x: x @ x.mT,
        lambda x: cl.tensordot(x, x, axes=2),
        lambda x: cl.zeros(x.shape) + cl.ones_like(x),
        lambda x: cl.flip(x, axis=0)[0],
        lambda x: cl.grad(lambda t: cl.mean(cl.softmax(t) * t))(x),
        lambda x: cl.vmap(lambda r: cl.sum(r * r))(x),
        lambda x: cl.grad(lambda t: cl.sum(cl.vmap(cl.logsumexp)(t)))(x),
        lambda x: cl.hvp(lambda t: cl.sum(t**3), x, x),
        lambda x: cl.var(x, axis=1) + cl.std(x),
        lambda x: cl.stack([x, 2 * x], axis=1),
        lambda x: x - cl.mean(x, axis=0, keepdims=True),
        lambda x: 0.5 ** x.shape[0] * x,
        lambda x: (x.shape[0] - 1) / x.shape[1] * x,
        lambda x: cl.one_hot(cl.argmax(x, axis=1), size=x.shape[1]),
        lambda x: cl.swapaxes(x, 0, 1),
        lambda x: cl.take_along_axis(x, cl.argmax(x, axis=1)[:, None]),
    ],
)
def test_one_program_serves_all_sizes(f):
    check_at_other_sizes(f, (4, 3), others=[(6, 5)])
    check_at_other_sizes(f, (4, 3), others=[(3, 7)])


def test_an_axis_that_becomes_one_broadcasts():
    """What is left of an axis may be 1: then the program is another one."""
    f = lambda x, y: x[1:] + y
    check_at_other_sizes(f, (4, 3), (3, 3), others=[(6, 3), (5, 3)])
    check_at_other_sizes(f, (4, 3), (3, 3), others=[(2, 3), (1, 3)], holds=False)
    check_at_other_sizes(f, (2, 3), (5, 3), others=[(2, 4), (6, 4)])
    check_at_other_sizes(f, (2, 3), (5, 3), others=[(3, 3), (5, 3)], holds=False)
    halves = lambda x, y: cl.sum(x[: x.shape[0] // 2], axis=0) + y
    check_at_other_sizes(halves, (6, 3), (3,), others=[(9, 4), (4,)])
    check_at_other_sizes(halves, (6, 3), (3,), others=[(3, 4), (4,)], holds=False)


def test_random_numbers_of_symbolic_shape():
    key = cl.random.key(1)
    check_at_other_sizes(lambda x: x + cl.random.normal(key, x.shape), (4, 3), others=[(6, 5)])


def test_axes_of_operands_that_meet():
    f = lambda x, w, b: cl.tanh(x @ w + b)
    check_at_other_sizes(f, (4, 3), (3, 2), (2,), others=[(7, 5), (5, 6), (6,)])
    check_at_other_sizes(f, (4, 3), (3, 2), (2,), others=[(7, 5), (4, 6), (6,)], holds=False)


def test_loops_over_a_size_specialise():
    def f(x):
        total = 0.0
        for i in range(x.shape[0]):
            total = total + x[i]
        return total

    check_at_other_sizes(f, (4, 3), others=[(4, 5)])
    check_at_other_sizes(f, (4, 3), others=[(5, 5)], holds=False)


def test_branches_on_a_size_specialise_no_more_than_they_must():
    f = lambda x: x * 2 if x.shape[0] > 3 else x
    check_at_other_sizes(f, (4, 3), others=[(9, 5)])
    check_at_other_sizes(f, (4, 3), others=[(2, 5)], holds=False)


def test_an_index_beyond_a_smaller_size_is_guarded():
    check_at_other_sizes(lambda x: x[3], (4, 3), others=[(6, 3)])
    check_at_other_sizes(lambda x: x[3], (4, 3), others=[(2, 3)], holds=False)
    check_at_other_sizes(lambda x: x[-4], (4, 3), others=[(2, 3)], holds=False)
    check_at_other_sizes(lambda x: x[1:4], (5, 3), others=[(2, 3)], holds=False)


# --------------------------------------------------------------------------------------- axes and signatures
def test_axes():
    assert normalise_axis(1, 3) == -2 and normalise_axis(-3, 3) == -3
    assert (
        normalise_axes(None, 2) == (-2, -1) and normalise_axes((0, -1), 3) == (-3, -1) and normalise_axes((), 2) == ()
    )
    assert size_of((2, 3)) == 6 and size_of(()) == 1


def test_signatures():
    s = Signature("(n,k),(k,m)->(n,m)")
    assert s.infer("matmul", ("a", "b"), [(2, 3), (3, 4)]) == (2, 4)
    assert s.infer("matmul", ("a", "b"), [(5, 1, 2, 3), (6, 3, 4)]) == (5, 6, 2, 4)


def test_sizes_are_hashable_and_print_in_shapes(scope):
    n = scope.new(4)
    assert len({n, n + 0, n * 1}) == 1 and str((n, 3)) == "(n0, 3)" and isinstance(n, Size)
