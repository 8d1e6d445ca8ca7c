"""`cl.cond`, `cl.switch`, `cl.while_loop`, `cl.remat` against Python's own branches and loops."""

import functools
import pickle
import tracemalloc

import numpy as np
import pytest

import clearprop as cl
from tests.control.programs import PAIRS, numbers, unrolled
from tests.control.test_scan import close


def chooses(x, w):
    return cl.cond(cl.sum(x) > 0, lambda x: cl.sum(cl.sqrt(cl.abs(x)) * w), lambda x: cl.sum(x * w * w) * 0.5, x)


def chooses_in_python(x, w):
    return cl.sum(cl.sqrt(cl.abs(x)) * w) if np.sum(np.asarray(x)) > 0 else cl.sum(x * w * w) * 0.5


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("transform", [lambda f: f, lambda f: cl.grad(f, (0, 1)), lambda f: cl.hessian(f, 1)])
def test_a_branch_is_the_function_that_it_takes(sign, transform):
    x = sign * np.array([0.5, 2.0, 3.0])
    want = _of_numbers(transform, x)
    close(transform(chooses)(x, 2.0), want)
    close(cl.compile(transform(chooses), executor="numpy")(x, 2.0), want)


def _of_numbers(transform, x):
    """The branch is known before: inside a transform nothing is read as a number."""
    positive = np.sum(x) > 0
    return transform(lambda x, w: cl.sum(cl.sqrt(cl.abs(x)) * w) if positive else cl.sum(x * w * w) * 0.5)(x, 2.0)


def test_examples_that_differ_have_their_own_branch():
    x = np.stack([[0.5, 2.0], [-0.5, -2.0], [1.0, -3.0], [2.0, 0.0]])
    got = cl.vmap(cl.value_and_grad(chooses, (0, 1)), (0, None))(x, 2.0)
    rows = [cl.value_and_grad(chooses, (0, 1))(row, 2.0) for row in x]
    close(got, cl.tree_map(lambda *parts: np.stack([np.asarray(p) for p in parts]), *rows))


def test_what_was_not_taken_contributes_nothing():
    """The branch that was left has NaN and infinite derivatives; computed for the whole batch, they stay out."""
    f = lambda x: cl.cond(x > 0, lambda x: cl.sqrt(x) * cl.log(x), lambda x: x * x, x)
    got = cl.vmap(cl.grad(f))(np.array([4.0, 0.0, -1.0]))
    np.testing.assert_allclose(got.numpy(), [(np.log(4.0) / 2 + 1) / 2, 0.0, -2.0])


@pytest.mark.parametrize("k", [-1, 0, 1, 2, 7])
def test_switch_takes_the_nearest_branch(k):
    f = lambda k, x: cl.switch(k, [cl.sin, cl.cos, lambda x: x**3], x)
    want = [np.cos(0.5), -np.sin(0.5), 3 * 0.25][min(max(k, 0), 2)]
    assert cl.grad(f, 1)(k, 0.5).item() == pytest.approx(want)
    assert cl.compile(cl.grad(f, 1), executor="numpy")(k, 0.5).item() == pytest.approx(want)
    assert cl.vmap(cl.grad(f, 1), (0, None))(np.array([k, 1]), 0.5).tolist() == pytest.approx([want, -np.sin(0.5)])


def test_branches_may_read_what_stands_around_them():
    w = cl.tensor([1.0, 2.0], requires_grad=True)
    v = cl.tensor(3.0, requires_grad=True)
    cl.cond(cl.tensor(True), lambda: cl.sum(w * v), lambda: cl.sum(w)).backward()
    assert w.grad.tolist() == [3.0, 3.0] and v.grad.item() == 3.0


def test_numbers_adopt_the_dtype_of_the_other_branch():
    x = cl.tensor(np.float32(2.0))
    assert cl.cond(x > 3, lambda: x, lambda: 1).dtype == np.float32
    assert cl.cond(x > 3, lambda: 1, lambda: 2.5).dtype == np.float64


# ------------------------------------------------------------------------------------------------ while_loop
def root(a, **bound):
    """Heron's square root, and how many steps it took."""
    go_on = lambda s: cl.abs(s[0] * s[0] - a) > 1e-12
    return cl.while_loop(go_on, lambda s: (0.5 * (s[0] + a / s[0]), s[1] + 1), (a, 0), **bound)


@pytest.mark.parametrize("bound", [{}, {"max_steps": 30}])
@pytest.mark.parametrize("wrap", [lambda f: f, functools.partial(cl.compile, executor="numpy")])
def test_a_loop_ends_when_its_condition_fails(bound, wrap):
    x, steps = wrap(lambda a: root(a, **bound))(2.0)
    assert x.item() == pytest.approx(2**0.5) and steps.item() == 5
    _, (dot, _) = wrap(lambda a: cl.jvp(lambda a: root(a, **bound), (a,), (1.0,)))(2.0)
    assert dot.item() == pytest.approx(0.5 / 2**0.5)
    many, counts = wrap(lambda a: cl.vmap(lambda a: root(a, **bound))(a))(np.array([2.0, 3.0, 1e4]))
    np.testing.assert_allclose(many.numpy(), [2**0.5, 3**0.5, 100.0])
    assert counts.tolist() == [root(a)[1].item() for a in (2.0, 3.0, 1e4)]


def test_a_bounded_loop_has_reverse_mode_to_any_order():
    f = lambda a: root(a, max_steps=30)[0]
    assert cl.grad(f)(2.0).item() == pytest.approx(0.5 * 2**-0.5)
    assert cl.grad(cl.grad(f))(2.0).item() == pytest.approx(-0.25 * 2**-1.5)
    np.testing.assert_allclose(cl.vmap(cl.grad(f))(np.array([4.0, 9.0])).numpy(), [1 / 4, 1 / 6])


def test_a_bound_ends_the_loop():
    assert cl.while_loop(lambda c: c < 100, lambda c: c + 1, 0, max_steps=7).item() == 7


def test_a_loop_without_a_bound_has_no_reverse_mode():
    with pytest.raises(cl.errors.GradientError) as error:
        cl.grad(lambda a: root(a)[0])(2.0)
    assert str(error.value).splitlines()[0] == "a loop that runs until its condition fails has no reverse mode"
    assert "try       cl.while_loop(condition, step, init, max_steps=1000), or forward mode: cl.jvp" in str(error.value)
    constant = lambda a: root(2.0)[0] * a + cl.stop_gradient(root(a)[0])  # nothing flows into these two
    assert cl.grad(constant)(2.0).item() == pytest.approx(2**0.5)


def test_results_are_no_memory_of_the_users():
    for bound, step in ((3, lambda c: c), (1.5, cl.flip)):  # no step; a step that gives a view
        init = np.array([2.0, 1.0])
        out = cl.while_loop(lambda c, bound=bound: c[0] > bound, step, init)
        want = out.tolist()
        init[:] = 7
        assert out.tolist() == want


# ----------------------------------------------------------------------------------------------------- remat
def inner(x, w):
    return {"y": cl.sin(cl.sin(x) * w), "what": "sines"}


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: cl.grad(f, (0, 1)),
        lambda f: cl.hessian(f),
        lambda f: cl.jacobian(cl.grad(f)),
        lambda f: cl.vmap(cl.grad(f, (0, 1)), (None, 0)),
        lambda f: lambda x, w: cl.jvp(f, (x, w), (x, w)),
        lambda f: cl.compile(cl.grad(f)),
    ],
)
def test_remat_changes_no_derivative(transform):
    x, w = np.array([0.1, 0.2]), np.array([2.0, 3.0])
    loss = lambda f: lambda x, w: cl.sum(f(x, w)["y"] ** 2)
    close(transform(loss(cl.remat(inner)))(x, w), transform(loss(inner))(x, w))
    assert cl.remat(inner)(x, w)["what"] == "sines"


def peak(f):
    tracemalloc.start()
    f()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_what_remat_leaves_out_takes_no_memory():
    def deep(x):
        for _ in range(30):
            x = cl.sin(x)
        return x

    def loss(f):
        return lambda x: cl.sum(f(f(f(x))))

    x = np.ones(20_000)
    assert peak(lambda: cl.grad(loss(cl.remat(deep)))(x)) < 0.6 * peak(lambda: cl.grad(loss(deep))(x))


@pytest.mark.parametrize("options", [{"remat": True}, {"unroll": 2}, {"unroll": 3}, {"unroll": 100}], ids=str)
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_loops_of_loops_have_the_same_derivatives(pair, options):
    with_options = lambda f, init, xs=None, length=None, reverse=False: cl.scan(
        f, init, xs, length=length, reverse=reverse, **options
    )
    program = pair.program
    got = cl.grad(lambda *args: program(with_options, *args), pair.wrt)(*pair.args)
    close(got, cl.grad(lambda *args: program(unrolled, *args), pair.wrt)(*pair.args))


def test_memory_grows_as_the_root_of_the_steps():
    h = numbers(0, 1000)

    def memory(n):
        loop = lambda w: cl.sum(cl.scan(lambda c, _: (cl.tanh(c * w), None), h, length=n, remat=True)[0])
        return peak(lambda: cl.grad(loop)(1.0))

    memory(400)  # what is traced and imported for the first time is no carry
    assert memory(6400) < 5 * memory(400)  # √16 = 4, and what does not grow; all carries would take 16 times as much


RECORDED = {
    "scan": lambda w: cl.scan(lambda c, e: (c * e, None), 1.0, w)[0],
    "cond": lambda w: cl.cond(w[0] > 0, cl.sum, lambda w: 1.0 * w[0], w),
    "cond of its argument": lambda w: cl.cond(True, lambda a: cl.sum(a * a), cl.sum, w),
    "while_loop": lambda w: cl.while_loop(lambda c: c < 3, lambda c: c + cl.sum(w), 0.0, max_steps=5),
    "remat": lambda w: cl.remat(lambda v: cl.sum(v * v))(w),
    "root": lambda w: cl.root(lambda x: x - cl.sum(w), 1.0),
}


@pytest.mark.parametrize("name", RECORDED)
def test_what_was_recorded_goes_to_other_processes(name):
    w = cl.tensor(np.array([0.5, 2.0, 1.5]), requires_grad=True)
    twin, out = pickle.loads(pickle.dumps((w, RECORDED[name](w))))
    out.backward()
    RECORDED[name](w).backward()
    close(twin.grad, w.grad)
