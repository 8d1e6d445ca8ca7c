"""Every kind of wrong carry, predicate and length, in every loop and branch and wherever they stand: our own errors."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest

import clearprop as cl

V, N = np.array([0.5, -1.0]), np.array(2.0)

LOOPS = {
    "scan": lambda change, init: cl.scan(lambda c, _: (change(c), None), init, None, 3),
    "scan over elements": lambda change, init: cl.scan(lambda c, x: (change(c), x), init, np.ones(3), reverse=True),
    "fori_loop": lambda change, init: cl.fori_loop(0, 3, lambda i, c: change(c), init),
    "while_loop": lambda change, init: cl.while_loop(lambda c: cl.asarray(True), change, init),
    "while_loop of at most": lambda change, init: cl.while_loop(lambda c: cl.asarray(True), change, init, 3),
}
CARRIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "an array": (
        V,
        {
            "shape": lambda c: c[:1],
            "rank": lambda c: c[0],
            "larger": lambda c: cl.concat([c, c]),
            "dtype": lambda c: c.astype(np.float32),
            "to integers": lambda c: c.astype(np.int64),
            "to truths": lambda c: c > 0,
            "structure": lambda c: (c,),
            "a list": lambda c: [c[0], c[1]],
            "nothing": lambda c: None,
            "text": lambda c: "c",
        },
    ),
    "a tree": (
        {"v": V, "n": (N, 1)},
        {
            "shape": lambda c: {**c, "v": c["v"][None]},
            "dtype": lambda c: {**c, "n": (c["n"][0].astype(np.float32), c["n"][1])},
            "a key less": lambda c: {"v": c["v"]},
            "a key more": lambda c: {**c, "w": c["v"]},
            "a list": lambda c: {**c, "n": list(c["n"])},
            "longer": lambda c: {**c, "n": (*c["n"], 1)},
            "nothing within": lambda c: {**c, "v": None},
        },
    ),
    "an integer": (
        np.int32(1),
        {
            "wider": lambda c: c.astype(np.int64),
            "divided": lambda c: c / 2,
            "a row": lambda c: cl.stack([c, c]),
        },
    ),
}
PLACES = {
    "eager": lambda f: f(),
    "compiled": lambda f: cl.compile(f)(),
    "differentiated": lambda f: cl.grad(lambda w: w * f())(1.0),
    "mapped": lambda f: cl.vmap(lambda w: f())(np.ones(2)),
    "in a loop": lambda f: cl.scan(lambda c, _: (c, f()), 0.0, None, 2),
    "in a branch": lambda f: cl.cond(True, f, f),
}
ELSEWHERE = list(PLACES)[1:]
WRONG = [(carry, wrong) for carry, (_, changes) in CARRIES.items() for wrong in changes]


def refused(call, place="eager"):
    """The error of ours that the call ends in: both sides, and the line that is at fault."""
    with pytest.raises(cl.errors.ClearpropError) as caught:
        PLACES[place](call)
    error = caught.value
    assert error.expected, error
    assert error.got, error
    assert error.expected != error.got, error
    assert error.where.startswith("test_wrong_loops.py:"), error
    return error


@pytest.mark.parametrize("loop", LOOPS)
def test_a_carry_that_changes(loop):
    """Each directly, and in one of the other places."""
    for (carry, wrong), place in zip(WRONG, itertools.cycle(ELSEWHERE), strict=False):
        init, changes = CARRIES[carry]
        call = partial(LOOPS[loop], changes[wrong], init)
        said = refused(call).headline
        assert "carry" in said or "leaf" in said, said
        refused(call, place)


NO_TRUTHS = {
    "a number": 1.0,
    "an integer": 1,
    "no number": None,
    "text": "yes",
    "many": np.array([True, False]),
    "one of an axis": np.array([True]),
    "none": np.zeros(0, bool),
    "a list": [True],
    "a pair": (True, False),
    "a float array": np.array(0.5),
    "complex": 1j,
    "a byte": np.uint8(1),
    "a function": abs,
}


def test_a_predicate_that_is_no_truth_value():
    for value, place in zip(NO_TRUTHS.values(), itertools.cycle(ELSEWHERE), strict=False):
        calls = [
            partial(cl.cond, value, lambda x: x, lambda x: -x, V),
            partial(cl.while_loop, lambda c, value=value: value, lambda c: c + 1.0, 0.0),
            partial(cl.while_loop, lambda c, value=value: value, lambda c: c + 1.0, 0.0, max_steps=2),
        ]
        for call in calls:
            assert "true or false" in refused(call).headline
        assert "true or false" in refused(calls[0], place).headline


LENGTHS = {
    "of a pair": ((np.ones(3), np.ones(4)), None),
    "of a tree": ({"a": np.ones((2, 3)), "b": [np.ones((2, 1)), np.ones((5, 2))]}, None),
    "of none": ((np.ones(0), np.ones(1)), None),
    "of one row": ((np.ones((1, 3)), np.ones((3, 3))), None),
    "other than said": (np.ones(3), 4),
    "longer than said": ((np.ones((4, 2)), np.ones(4)), 3),
    "a number beside": ((np.ones(3), 1.0), None),
}


def test_lengths_that_differ():
    for (xs, length), place in zip(LENGTHS.values(), itertools.cycle(ELSEWHERE), strict=False):
        for reverse in (False, True):
            call = partial(cl.scan, lambda c, x: (c, x), 0.0, xs, length, reverse=reverse)
            assert refused(call).headline.startswith("scan")
        assert refused(call, place).headline.startswith("scan")


BRANCHES = {
    "shape": (lambda x: x, lambda x: x[0]),
    "dtype": (lambda x: x, lambda x: x.astype(np.float32)),
    "truths": (lambda x: x, lambda x: x > 0),
    "structure": (lambda x: (x, x), lambda x: [x, x]),
    "keys": (lambda x: {"a": x}, lambda x: {"b": x}),
    "nothing": (lambda x: x, lambda x: None),
    "text": (lambda x: x, lambda x: "x"),
    "longer": (lambda x: (x,), lambda x: (x, x)),
}


def test_branches_that_differ():
    for (f, g), place in zip(BRANCHES.values(), itertools.cycle(ELSEWHERE), strict=False):
        for first, second in ((f, g), (g, f)):
            refused(partial(cl.cond, True, first, second, V))
            refused(partial(cl.switch, 1, [first, first, second], V))
        refused(partial(cl.cond, True, f, g, V), place)
