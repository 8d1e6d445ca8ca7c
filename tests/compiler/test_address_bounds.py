"""No access of generated code leaves its array: what would is refused while sizes are bound, before anything runs."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cl
from clearprop.compiler import array_access, binding
from clearprop.compiler.address_bounds import require_inside, require_matrix_inside
from clearprop.compiler.array_access import Access
from clearprop.errors import ProgramError
from clearprop.program.ir import Var
from clearprop.program.types import FLOAT64, Type
from tests.compiler.plain import plain

AXES = st.lists(st.tuples(st.integers(0, 4), st.integers(-4, 4)), max_size=3)


def refuses(check):
    try:
        check()
    except ProgramError:
        return True
    return False


@given(count=st.integers(0, 12), offset=st.integers(-3, 12), axes=AXES)
def test_an_access_is_refused_where_one_of_its_elements_lies_outside(count, offset, axes):
    base = Var(Type((count,), FLOAT64))
    access = Access(base, tuple(n for n, _ in axes), tuple(s for _, s in axes), offset)
    # along stride 0 an element is read before the loop, even before one that runs no time
    ranges = [range(max(n, 1) if s == 0 else n) for n, s in axes]
    places = [offset + sum(i * s for i, (_, s) in zip(at, axes, strict=True)) for at in itertools.product(*ranges)]
    assert refuses(lambda: require_inside(access, int)) == any(not 0 <= p < count for p in places)


@given(
    count=st.integers(0, 30),
    offset=st.integers(-2, 8),
    sizes=st.tuples(*[st.integers(0, 3)] * 3),
    strides=st.tuples(st.integers(-9, 9), st.integers(0, 5)),
)
def test_a_matrix_is_refused_where_one_of_its_elements_lies_outside(count, offset, sizes, strides):
    places = [offset + q * strides[0] + i * strides[1] + j for q, i, j in itertools.product(*map(range, sizes))]
    got = refuses(lambda: require_matrix_inside(Var(Type((count,), FLOAT64)), offset, sizes, strides, int))
    assert got == any(not 0 <= p < count for p in places)


X = np.arange(24.0).reshape(4, 6)
PROGRAMS = {
    "map": lambda x: x[1:] * 2.0,
    "reduction": lambda x: cl.sum(x[1:], axis=0),
    "scatter": lambda x: cl.grad(lambda x: cl.sum(x[1:] ** 3))(x),
    "product": lambda x: x[1:] @ x.mT,
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("shift", [-7, 1, 24])
def test_an_access_that_was_made_wrong_never_runs(name, shift, monkeypatch):
    """Whatever fault a pass may have: here every slice begins elsewhere."""
    right = array_access.slice_axes
    wrong = lambda a, key, shape: replace(right(a, key, shape), offset=right(a, key, shape).offset + shift)
    monkeypatch.setitem(array_access._WALKS, "slice", lambda params, a, shape: wrong(a, params["key"], shape))
    monkeypatch.setattr("clearprop.compiler.native.structural_kernels.slice_axes", wrong)
    ran = []
    monkeypatch.setattr(binding.Binding, "thread_calls", lambda self, thread: ran.append(thread) or iter(()))
    with plain(), pytest.raises(ProgramError, match="outside of an array"):
        cl.compile(PROGRAMS[name])(X)
    assert not ran


@pytest.mark.parametrize("name", PROGRAMS)
def test_right_accesses_run(name):
    with plain():
        got = cl.compile(PROGRAMS[name])(X)
    np.testing.assert_allclose(np.asarray(got), np.asarray(PROGRAMS[name](cl.asarray(X))), rtol=1e-12)
