"""Parts that are joined are computed where they stand in the whole: the same bits as copies of them."""

import itertools

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import memory_plan
from tests.tiers import later

SHAPES = [
    ((3, 4, 5),) * 3,
    ((3, 4, 1),) * 3,
    ((64, 32, 16),) * 2,
    ((20, 1, 3),) * 2,
    ((1, 1, 1),) * 2,
    ((2, 4, 8),) * 2,
]
PARTS = {
    "computed": lambda x: cl.sin(x) * 2 + x,
    "turned": lambda x: cl.permute_dims(cl.permute_dims(x + 1.0, (2, 1, 0)), (2, 1, 0)),
    "copied into another shape": lambda x: cl.reshape(cl.permute_dims(x, (1, 0, 2)), x.shape),
    "repeated": lambda x: cl.broadcast_to(x[:1] * 2.0, x.shape),
    "given": lambda x: x,
    "read twice": lambda x: (y := cl.exp(-x)) + 0.0 * cl.sum(y),
    "numbers": lambda x: cl.astype(x > 0.0, np.float64),
}
USES = {
    "given": lambda y: y,
    "multiplied": lambda y: y @ cl.ones((y.shape[-1], 2)),
    "summed": lambda y: (y, cl.sum(y, axis=-1)),
    "joined again": lambda y: cl.concat([y, cl.tanh(y)], axis=-1),
}


@pytest.mark.parametrize("use", ["given", *later(["multiplied", "summed", "joined again"])])
@pytest.mark.parametrize("axis", [1, *later([0, -1])])
def test_same_bits(axis, use, monkeypatch):
    """Pairs of parts of every kind, in every shape."""
    for shapes, (first, second) in itertools.product(SHAPES, itertools.combinations_with_replacement(PARTS, 2)):
        xs = [cl.tensor(np.random.default_rng(k).standard_normal(shape)) for k, shape in enumerate(shapes)]

        def f(xs, first=first, second=second):
            parts = [PARTS[first if k % 2 else second](x) for k, x in enumerate(xs)]
            return USES[use](cl.concat(parts, axis=axis))

        found = [np.asarray(v) for v in _flat(cl.compile(f)(xs))]
        with monkeypatch.context() as patch:
            patch.setattr(memory_plan, "_with_parts_in_place", lambda ops, *_: (list(ops), {}))
            copied = [np.asarray(v) for v in _flat(cl.compile(f)(xs))]
        for a, b in zip(found, copied, strict=True):
            np.testing.assert_array_equal(a, b)


def _flat(value):
    return value if isinstance(value, tuple) else (value,)


def test_joining_is_no_step_of_its_own():
    step = cl.compile(lambda x: cl.concat([cl.sin(x), cl.cos(x)], axis=1))
    step(cl.ones((3, 4)))
    assert "concat" not in step.source("numba")
