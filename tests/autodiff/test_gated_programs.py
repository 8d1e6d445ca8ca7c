"""Random programs whose gates leave what went wrong: every way to a derivative gives what the safe form gives.

And programs in which one number is NaN: where the value is NaN because of it, so is its derivative; where gates left
it, its derivative is 0.
"""

import warnings

import numpy as np
import pytest

import clearprop as cl
from tests.autodiff.gated_programs import draw, draw_with_one_nan
from tests.compiler.plain import plain
from tests.tiers import later

BLOCK, WHOLE = 10, 2000
"""Programs in one test, and in `make verify` together."""


def vectors(p):
    rng = np.random.default_rng(p.seed)
    return tuple(rng.uniform(0.5, 1.0, x.shape) for x in p.inputs)


def everything(f, p):
    """A function that gives value, gradients, a tangent and a product with the Hessian."""
    v = vectors(p)

    def found(*args):
        value, grads = cl.value_and_grad(f, (0, 1, 2))(*args)
        return value, *grads, cl.jvp(f, args, v)[1], *cl.hvp(f, args, v)

    return found


def eager(f, p):
    return everything(f, p)(*p.inputs)


def compiled(f, p):
    return cl.compile(everything(f, p), executor="numpy")(*p.inputs)


def interpreted(f, p):
    with plain(form=("", "rows", "lanes", "unrolled")[p.seed % 4]):
        return cl.compile(everything(f, p))(*p.inputs)


def on_numba(f, p):
    return cl.compile(everything(f, p), executor="numba")(*p.inputs)


def in_a_batch(f, p):
    rows = [np.stack([x, x]) for x in p.inputs]
    return [out[1] for out in cl.vmap(everything(f, p))(*rows)]


def in_a_loop(f, p):
    """In the only step of a loop, which it reads its arguments from."""
    step = lambda total, row: (total + f(*row), total)
    return everything(lambda *xs: cl.scan(step, 0.0, tuple(x[None] for x in xs))[0], p)(*p.inputs)


def in_a_branch(f, p):
    return everything(lambda x, *ys: cl.cond(ys[0][0, 0] > 0, f, lambda *_: 0.0, x, *ys), p)(*p.inputs)


def backwards(f, p):
    """Gradients on leaves; the rest as in `eager`, so that there is something to compare."""
    leaves = [cl.tensor(x, requires_grad=True) for x in p.inputs]
    value = f(*leaves)
    value.backward()
    grads = [np.zeros(x.shape) if x.grad is None else x.grad for x in leaves]
    return [value, *grads, *eager(f, p)[len(grads) + 1 :]]


def twice(f, p):
    """The product with the Hessian by reverse mode over itself."""
    v = vectors(p)
    along = lambda *xs: sum(cl.sum(g * u) for g, u in zip(cl.grad(f, (0, 1, 2))(*xs), v, strict=True))
    return [*eager(f, p)[:5], *cl.grad(along, (0, 1, 2))(*p.inputs)]


WAYS = (eager, compiled, interpreted, in_a_batch, in_a_loop, in_a_branch, backwards, twice)


def assert_same(found, wanted, p, way):
    for k, (a, b) in enumerate(zip(map(np.asarray, found), map(np.asarray, wanted), strict=True)):
        close = np.abs(a - b) <= 1e-9 * max(1.0, np.abs(b).max(initial=0.0))
        assert close.all(), f"{way.__name__}, result {k}: {a} instead of {b}\n{p}"


def check(seed, ways):
    p = draw(seed)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", cl.ExecutorWarning)  # some families are computed by NumPy alone
        wanted = eager(p.safe, p)
        for way in ways:
            assert_same(way(p, p), wanted, p, way)


@pytest.mark.parametrize("block", [0, 1, *later(range(2, WHOLE // BLOCK))])
def test_what_gates_leave_contributes_nothing(block):
    for seed in range(BLOCK * block, BLOCK * (block + 1)):
        ways = [WAYS[(seed * step + seed // 8) % len(WAYS)] for step in ((1,) if block < 2 else (1, 3, 5))]
        check(seed, dict.fromkeys([eager, *ways]))


@pytest.mark.verify
@pytest.mark.parametrize("block", range(8))
def test_what_gates_leave_contributes_nothing_on_numba(block):
    for seed in range(10_000 + 5 * block, 10_000 + 5 * (block + 1)):
        check(seed, [on_numba])


# ------------------------------------------------------------------------------------------- NaN that was chosen
def forward(f, x):
    def along(place):
        unit = np.zeros(x.shape)
        unit[place] = 1.0
        return cl.jvp(f, (x,), (unit,))[1].item()

    return along


@pytest.mark.parametrize("block", [0, *later(range(1, 20))])
def test_a_nan_that_was_chosen_shows_in_the_derivative_and_one_that_was_left_does_not(block):
    """Nothing here is piecewise constant, and first comes a sine, whose derivative at NaN is NaN."""
    chosen = 0
    for seed in range(25 * block, 25 * (block + 1)):
        p = draw_with_one_nan(seed)
        x, *others = p.inputs
        (place,) = np.argwhere(np.isnan(x))
        f = lambda x, p=p, others=others: p(cl.sin(x), *others)
        ways = [np.asarray(cl.grad(f)(x))[tuple(place)], forward(f, x)(tuple(place))]
        if seed % 5 == 0:
            ways.append(np.asarray(cl.compile(cl.grad(f), executor="numpy")(x))[tuple(place)])
        wanted = np.nan if np.isnan(f(cl.asarray(x)).item()) else 0.0
        chosen += np.isnan(wanted)
        np.testing.assert_array_equal(ways, wanted, err_msg=str(p))
    assert 1 <= chosen <= 24
