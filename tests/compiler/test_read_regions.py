"""The region of a value that is read: every element that an access names lies in it, and no smaller one would do."""

import itertools
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clearprop.compiler.array_access import Access, contiguous_strides
from clearprop.compiler.read_regions import region_read
from clearprop.program.ir import Var
from clearprop.program.types import FLOAT32, Type

AXIS = st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))


def plan(*reads, outputs=()):
    return SimpleNamespace(
        instructions=[SimpleNamespace(step=SimpleNamespace(reads=[r])) for r in reads], outputs=outputs
    )


def region(var, *reads, outputs=()):
    return region_read(plan(*reads, outputs=outputs), var, int)


@given(axes=st.lists(AXIS, min_size=1, max_size=4), order=st.randoms(use_true_random=False))
def test_a_part_is_read_in_any_order_of_its_axes(axes, order):
    shape = tuple(before + n + after for n, before, after in axes)
    var, strides = Var(Type(shape, FLOAT32)), contiguous_strides(shape)
    turned = order.sample(range(len(axes)), len(axes))
    offset = sum(s * before for s, (_, before, _) in zip(strides, axes, strict=True))
    read = Access(var, tuple(axes[k][0] for k in turned), tuple(strides[k] for k in turned), offset)
    assert region(var, read) == [(before, before + n) for n, before, _ in axes]


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    walk=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5)), max_size=3),
    offset=st.integers(0, 6),
)
def test_whatever_is_read_lies_in_the_region(shape, walk, offset):
    var = Var(Type(tuple(shape), FLOAT32))
    count = int(np.prod(shape))
    places = [offset + sum(i * s for i, (_, s) in zip(at, walk, strict=True))
              for at in itertools.product(*(range(n) for n, _ in walk))]  # fmt: skip
    if max(places) >= count:
        return
    found = region(var, Access(var, tuple(n for n, _ in walk), tuple(s for _, s in walk), offset))
    for place in places:
        assert all(lo <= i < hi for i, (lo, hi) in zip(np.unravel_index(place, shape), found, strict=True))


def test_what_a_program_gives_is_read_wholly_and_parts_are_joined():
    var, other = Var(Type((6, 4), FLOAT32)), Var(Type((6, 4), FLOAT32))
    first, second = Access(var, (2, 2), (4, 1), 5), Access(var, (1, 2), (0, 1), 16)
    assert region(var, first, second, Access(other, (6, 4), (4, 1))) == [(1, 5), (0, 3)]
    assert region(var, first, outputs=(var,)) == region(var) == [(0, 6), (0, 4)]
