"""What a loop refuses, literally."""

import numpy as np
import pytest

import clearprop as cl

X = np.ones((3, 2))

REFUSED = {
    "shape": (
        lambda: cl.scan(lambda c, x: ({"h": cl.concat([c["h"], x]), "t": c["t"]}, None), {"h": cl.ones(2), "t": 0}, X),
        cl.errors.ShapeError,
        "scan: a step changes the shape of the carry",
        "expected  ['h']: f64[2]",
        "got       ['h']: f64[4]",
    ),
    "dtype": (
        lambda: cl.scan(lambda c, x: (c.astype(np.float32), None), cl.ones(2), X),
        cl.errors.DTypeError,
        "scan: a step changes the dtype of the carry",
        "expected  f64[2]",
        "got       f32[2]",
        "try       start with it: init.astype(np.float32), or convert in the step",
    ),
    "structure": (
        lambda: cl.scan(lambda c, x: ({"h": c["h"]}, None), {"h": cl.ones(2), "t": 0}, X),
        cl.errors.ArgumentError,
        "scan: a step returns a carry of another structure than it takes",
        "expected  {'h': *, 't': *}",
        "got       {'h': *}",
    ),
    "no pair": (
        lambda: cl.scan(lambda c, x: c, cl.ones(2), X),
        cl.errors.ArgumentError,
        "a step of scan returns two things",
        "try       return carry, None",
    ),
    "lengths": (
        lambda: cl.scan(lambda c, x: (c, None), 0.0, {"a": X, "b": np.ones(4)}),
        cl.errors.ShapeError,
        "scan needs one length",
        "got       leading axes of sizes 3, 4",
    ),
    "length": (
        lambda: cl.scan(lambda c, x: (c, None), 0.0, X, length=4),
        cl.errors.ShapeError,
        "expected  4 steps, as length= says",
    ),
    "no length": (
        lambda: cl.scan(lambda c, x: (c, None), 0.0),
        cl.errors.ArgumentError,
        "scan does not know how many steps to take",
    ),
    "half a step": (
        lambda: cl.scan(lambda c, x: (c, None), 0.0, length=2.5),
        cl.errors.ArgumentError,
        "got       float 2.5",
    ),
    "negative": (
        lambda: cl.scan(lambda c, x: (c, None), 0.0, length=-1),
        cl.errors.ArgumentError,
        "got       length = -1",
    ),
    "a number": (
        lambda: cl.scan(lambda c, x: (c, None), 0.0, 3.0),
        cl.errors.ShapeError,
        "scan runs over the leading axis of xs, and a number has none",
    ),
    "text": (
        lambda: cl.scan(lambda c, x: (c, None), "a", X),
        cl.errors.ArgumentError,
        "scan: init holds something that is no array",
        "got       str 'a'",
    ),
    "branches of two kinds": (
        lambda: cl.cond(True, lambda: {"a": 1.0}, lambda: 2.0),
        cl.errors.ArgumentError,
        "cond: branches return different structures",
        "expected  *, as if_false returns",
        "got       {'a': *} from if_true",
    ),
    "branches of two shapes": (
        lambda: cl.switch(0, [lambda: (1, cl.ones(2)), lambda: (1, cl.ones(3))]),
        cl.errors.ArgumentError,
        "switch: branches return different types",
        "expected  [1]: f64[2] from every branch",
        "got       [1]: f64[3] from branch 1",
    ),
    "a number for a truth": (
        lambda: cl.cond(1.0, lambda: 1, lambda: 2),
        cl.errors.DTypeError,
        "cond needs a predicate that is true or false",
        "got       f64~",
    ),
    "many truths": (
        lambda: cl.cond(np.ones(3) > 0, lambda: 1, lambda: 2),
        cl.errors.DTypeError,
        "got       bool[3]",
        "cl.any(x) or cl.all(x) for an array, or cl.where, which chooses entry by entry",
    ),
    "half a branch": (
        lambda: cl.switch(1.0, [cl.sin], 1.0),
        cl.errors.DTypeError,
        "switch needs the number of a branch",
    ),
    "no branches": (lambda: cl.switch(1, []), cl.errors.ArgumentError, "switch has no branches"),
    "a condition that is none": (
        lambda: cl.while_loop(lambda c: c, lambda c: c, 1),
        cl.errors.DTypeError,
        "while_loop needs a condition that is true or false",
        "got       i64",
    ),
    "another carry": (
        lambda: cl.while_loop(lambda c: c > 0, lambda c: (c,), 1),
        cl.errors.ArgumentError,
        "while_loop: a step returns a carry of another structure than it takes",
        "got       (*,)",
    ),
    "no function": (lambda: cl.scan(3, 0.0, X), cl.errors.ArgumentError, "scan takes a function"),
    "a traced bound": (
        lambda: cl.compile(lambda n: cl.fori_loop(0, n, lambda i, c: c, 0.0))(3),
        cl.errors.ArgumentError,
        "fori_loop needs upper before it begins",
        "try       cl.while_loop, whose steps may depend on values",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    call, kind, *lines = REFUSED[case]
    with pytest.raises(kind) as error:
        call()
    for line in [*lines, "test_messages.py"]:
        assert line in str(error.value)


N = 10**15
TOO_LARGE = {
    "fori_loop": lambda: cl.grad(lambda x: cl.fori_loop(0, N, lambda i, c: c * x, x))(1.0),
    "odeint": lambda: cl.odeint(lambda y, t: -y, 1.0, np.array([0.0, 1.0]), steps=N),
    "rows of a scan": lambda: cl.scan(lambda c, _: (c, cl.zeros(2**14)), 1.0, None, length=2**45),
    "an operator": lambda: cl.zeros(2**12)[:, None, None] * np.broadcast_to(1.0, (1, 2**20, 2**20)),
    "zeros": lambda: cl.zeros((N,)),
    "one_hot": lambda: cl.one_hot([1], N),
    "compiled": lambda: cl.compile(lambda x: x + cl.zeros((N,)))(cl.ones(2)[0]),
    "what a compiled loop keeps": lambda: cl.compile(
        cl.grad(lambda x: cl.fori_loop(0, N, lambda i, c: c * x, x)), executor="numpy"
    )(cl.ones(2)[0]),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_what_no_memory_holds_is_told(case):
    with pytest.raises(cl.errors.ArgumentError, match="needs more memory than there is") as error:
        TOO_LARGE[case]()
    assert "of a loop fewer steps, cl.remat" in error.value.try_
    assert "Unable to allocate" in error.value.got
