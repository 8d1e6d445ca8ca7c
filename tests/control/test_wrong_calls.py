"""Loops, branches, solvers and products with curvature, called with one thing wrong: only our errors come out."""

import inspect
import traceback

import numpy as np
import pytest

import clearprop as cl
from tests.test_wrong_calls import TAKE_FUNCTIONS, WRONG, X
from tests.tiers import later

T = cl.tensor(X)
RIGHT = {
    "scan": ((lambda c, x: (c + x, c), 0.0, T[0]), {}),
    "map": ((lambda x: x * 2, T), {}),
    "fori_loop": ((0, 3, lambda i, c: c * 2, 1.0), {}),
    "while_loop": ((lambda c: c < 10, lambda c: c + 1, 1.0), {"max_steps": 20}),
    "cond": ((True, lambda x: x, lambda x: -x, T), {}),
    "switch": ((1, [lambda x: x, lambda x: -x], T), {}),
    "associative_scan": ((cl.add, T), {}),
    "remat": ((cl.sin,), {}),
    "root": ((lambda x: x * x - 2.0, 1.0), {}),
    "fixed_point": ((cl.cos, 1.0), {}),
    "odeint": ((lambda y, t: -y, 1.0, np.linspace(0, 1, 4)), {}),
    "linearize": ((cl.sin, T), {}),
    "jacfwd": ((cl.sin,), {}),
    "jacrev": ((cl.sin,), {}),
    "ggn_vp": ((lambda w: w * X, lambda o: cl.sum(o * o), T, T), {}),
    "fisher_vp": ((lambda w: w * X, T, T, "normal"), {}),
    "minimize": ((lambda x: cl.sum((x - 1) ** 2), np.zeros(2)), {}),
    "least_squares": ((lambda x: x - 1, np.zeros(2)), {}),
}
"""A right call of each, whose loops end whatever they begin with."""
PARTS = 8


def found(name):
    return getattr(cl.optim if name in ("minimize", "least_squares") else cl, name)


def wrong_calls(name):
    """The right call with too little, too much, an unknown word, and one wrong thing at each place and option."""
    right, words = RIGHT[name]
    names = list(inspect.signature(found(name)).parameters.values())
    yield (), {}
    yield right, {"no_such_name": 1}
    yield right * 3, words
    for wrong in WRONG:
        for place in range(len(right)):
            yield (*right[:place], wrong, *right[place + 1 :]), words
        for place, p in enumerate(names):
            if p.default is not p.empty:
                yield right[:place], {**words, p.name: wrong}


@pytest.mark.parametrize("part", [0, *later(range(1, PARTS))])
@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.filterwarnings("ignore")
def test_wrong_calls_end_in_our_errors(name, part):
    tried = refused = 0
    for args, kwargs in list(wrong_calls(name))[part::PARTS]:
        if any(given is f for given in (*args, *kwargs.values()) for f in TAKE_FUNCTIONS):
            continue
        tried += 1
        try:
            found(name)(*args, **kwargs)
        except cl.ClearpropError as error:
            refused += 1
            assert error.headline and (error.expected or error.got), (args, kwargs)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{name}{args!r:.200} {kwargs!r:.100} ended in {type(error).__name__}: {error}"
            assert (last.filename, last.name) == (__file__, "<lambda>"), said  # a function of the user's fails
    print(f"{name}: {tried} calls, {refused} refused")
    assert refused


@pytest.mark.parametrize("name", RIGHT)
def test_right_calls_are_right(name):
    args, words = RIGHT[name]
    found(name)(*args, **words)
