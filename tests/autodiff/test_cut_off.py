"""What the user cuts off stays cut off, in every transform that runs a program of the function: a table."""

import numpy as np
import pytest

import clearprop as cl
from tests.tiers import together


def by_function(x):
    return x * x + cl.stop_gradient(x)


def by_method(x):
    return x * x + x.detach()


def by_context(x):
    with cl.no_grad():
        k = x * 1.0
    return x * x + k


def by_context_over_a_transform(x):
    with cl.no_grad():
        k = cl.vmap(lambda v: v * 1.0)(cl.reshape(x, (1,)))[0]
    return x * x + k


def of_a_gradient_inside(x):
    return cl.grad(lambda v: v**3 / 3)(x) + x.detach()


CUTS = [by_function, by_method, by_context, by_context_over_a_transform, of_a_gradient_inside]
X = np.array([2.0, 3.0])


def recorded(f, x):
    leaf = cl.tensor(x, requires_grad=True)
    f(leaf).backward()
    return leaf.grad


def loop(f):
    return lambda x: cl.scan(lambda c, _: (f(c), None), x, None, length=1)[0]


WAYS = {
    "grad": lambda f: cl.grad(f)(2.0),
    "backward": lambda f: recorded(f, 2.0),
    "jvp": lambda f: cl.jvp(f, (2.0,), (1.0,))[1],
    "linearize": lambda f: cl.linearize(f, 2.0)[1](1.0),
    "jacfwd": lambda f: cl.jacfwd(f)(2.0),
    "vmap of grad": lambda f: cl.vmap(cl.grad(f))(X)[0],
    "grad of vmap": lambda f: cl.grad(lambda x: cl.sum(cl.vmap(f)(x)))(X)[0],
    "jvp of vmap": lambda f: cl.jvp(cl.vmap(f), (X,), (np.ones(2),))[1][0],
    "backward of vmap": lambda f: recorded(lambda x: cl.sum(cl.vmap(f)(x)), X)[0],
    "compiled grad of vmap": lambda f: cl.compile(cl.grad(lambda x: cl.sum(cl.vmap(f)(x))), executor="numpy")(X)[0],
    "remat": lambda f: cl.grad(cl.remat(f))(2.0),
    "scan": lambda f: cl.grad(loop(f))(2.0),
    "scan, recorded": lambda f: recorded(loop(f), 2.0),
    "scan of vmap": lambda f: cl.grad(lambda x: cl.sum(loop(cl.vmap(f))(x)))(cl.asarray(X))[0],
    "vmap of scan": lambda f: cl.grad(lambda x: cl.sum(cl.vmap(loop(f))(x)))(X)[0],
    "cond": lambda f: cl.grad(lambda x: cl.cond(x > 0, f, lambda v: v, x))(2.0),
    "while_loop": lambda f: cl.grad(lambda x: cl.while_loop(lambda c: c < 3, f, x, max_steps=2))(2.0),
    "map": lambda f: cl.grad(lambda x: cl.sum(cl.map(f, x)))(X)[0],
}


@together("way", WAYS)
@pytest.mark.parametrize("cut", CUTS)
def test_it_has_no_derivative(cut, way):
    assert float(WAYS[way](cut)) == pytest.approx(4.0, rel=1e-12)


@pytest.mark.parametrize("way", [w for w in WAYS if w not in ("backward", "backward of vmap", "scan, recorded")])
def test_a_whole_call_without_recording_still_differentiates_inside(way):
    with cl.no_grad():
        assert float(WAYS[way](by_method)) == pytest.approx(4.0, rel=1e-12)
