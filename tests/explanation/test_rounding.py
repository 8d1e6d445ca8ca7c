"""The remainder cannot be wrong: it is bounded, and whoever tampers with a term breaks the bound.

What a bound can notice is a term that is more than rounding.  Where a rule subtracts what is equal, as a variance does
of equal numbers, the term is the rounding of that subtraction, and nothing tells whether it is there.  Whether a term
is so is asked of the rule itself, moved by a unit in the last place of each number that it reads: `_last_places`.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cl
from clearprop.autodiff.reverse import undo_broadcasting
from clearprop.explanation.chain_rule import bundles
from clearprop.explanation.jacobians import wide
from clearprop.program.values import raw
from tests.explanation.programs import random_program

DTYPES = (np.float64, np.float32)


def _levels(entry, depth, rng):
    """Entries met on a random way down."""
    yield entry
    for _ in range(depth):
        onward = [t for t in entry.terms if not t.is_last]
        if not onward:
            return
        entry = onward[rng.integers(len(onward))].open().show(10_000)
        yield entry


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 10_000))
def test_the_bound_holds_at_every_level_of_random_programs(dtype, seed):
    f, w = random_program(seed, dtype)
    explanation, rng = cl.explain(f, 0, args=(w,)), np.random.default_rng(seed)
    for at in rng.permutation(w.size)[:3]:
        entry = explanation[np.unravel_index(at, w.shape)].show(10_000)
        for level in _levels(entry, 6, rng):
            assert level.rounding.holds, (level.symbol, level.rounding)
            assert level.total == math.fsum([*(t.value for t in level.terms), level.rest])
            _tampering_is_seen(level)


def _tampering_is_seen(level):
    """Drop a term, or swap the operands of two terms' factors: the bound fails, unless nothing but rounding changed."""
    bound, value = level.rounding.bound, level.value
    sizes = [abs(t.value) for t in level.terms]
    if not sizes or not 0 < max(sizes) < np.inf or np.isnan(level.value):
        return
    largest = int(np.argmax(sizes))
    dropped = level.total - level.terms[largest].value
    seen = abs(dropped - value) > bound
    assert seen or sizes[largest] <= _last_places(level), f"dropping {level.terms[largest]} goes unnoticed"
    for other in level.terms[:largest]:
        a, b = _local(level.terms[largest]), _local(other)
        change = (level.terms[largest].delta - other.delta) * (b - a)
        if abs(change) > 3 * bound:
            assert abs(level.total + change - value) > bound


def _last_places(level):
    """How far the terms of a level move with a unit in the last place of every number that their rules read.

    Each number in turn is moved by 2⁻²⁶ of itself, in float64: slopes of the rule, which the bound does not look at.
    """
    graph, moved, step = level._derivation.graph, 0.0, 2.0**-26
    for bundle in bundles(graph, level._node, level._position):
        local = bundle.local
        if local is None or not local.rounds:
            continue
        g = np.asarray(graph.delta(local.node), np.float64).reshape(local.out_shape)
        read = [g, *map(wide, (local.app.outputs, *local.app.raw))]
        product = _pulled(local, read, bundle.inner)
        for k, number in enumerate(read):
            for at in np.ndindex(np.shape(number)):
                nudged = np.array(number)
                nudged[at] *= 1 + step
                change = _pulled(local, [*read[:k], nudged, *read[k + 1 :]], bundle.inner) - product
                moved += float(np.sum(np.abs(change))) / step
    return moved * float(np.finfo(level.rounding.dtype).eps)


def _pulled(local, read, inner):
    """What the rule of an application gives to entries of its operand, from cotangent, output and inputs."""
    product = local.primitive.pullback(local.k, read[0], read[1], read[2:], local.app.params)
    return np.ravel(np.asarray(raw(undo_broadcasting(product, read[2 + local.k]))))[np.unique(inner)]


def _local(term):
    return float(np.prod([f.value for f in term.factors]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_term_is_lost_where_it_is_rounding_and_only_there(dtype):
    """Of a variance: 2·(x − mean)/n of equal numbers is what their mean was rounded by, and of others it is not."""
    start = np.asarray(0.9, dtype)
    for places in (0, 1, *2 ** np.arange(5, 20)):
        x = np.asarray([start, start, start + places * np.spacing(start)], dtype)
        level = cl.explain(cl.var, 0, args=(x,), index=2)
        (term,) = level.terms
        assert level.rounding.holds
        assert (abs(term.value) > level.rounding.bound) == (places >= 32), places


@pytest.mark.parametrize("dtype", DTYPES)
def test_swapping_operands_of_a_layer_is_seen(dtype):
    rng = np.random.default_rng(0)
    x, w, t = (rng.standard_normal(s).astype(dtype) for s in ((50, 8), (8, 3), (50, 3)))
    entry = cl.explain(lambda w: cl.mean(cl.square(cl.tanh(x @ w) - t)), 0, args=(w,))[2, 1].show(50)
    assert entry.count == 50
    assert entry.rounding.holds
    first, second = entry.terms[0], entry.terms[1]
    change = (first.delta - second.delta) * (_local(second) - _local(first))
    assert abs(change) > 10 * entry.rounding.bound
    for size in sorted(abs(t.value) for t in entry.terms)[10:]:
        assert size > entry.rounding.bound


def test_a_saturated_rule_is_covered_by_the_bound():
    """1 − y·y in float32 near |y| = 1 is wrong by far more than a few units of its own last place."""
    x = cl.tensor(np.float32([3.0, 5.0, 6.0, -7.0, 8.0]), name="x", requires_grad=True)
    for activation in (cl.tanh, cl.sigmoid, cl.erf, cl.gelu, cl.silu, cl.softplus):
        y = cl.sum(activation(x * 1.2) * x)
        for entry in cl.explain(y, wrt=x):
            for level in _levels(entry, 4, np.random.default_rng(0)):
                assert level.rounding.holds


def test_rounding_is_the_difference_to_what_the_run_computed():
    rng = np.random.default_rng(0)
    x = cl.tensor(rng.standard_normal((64, 5)).astype(np.float32), name="x")
    w = cl.tensor(rng.standard_normal((5, 4)).astype(np.float32), name="w", requires_grad=True)
    loss = cl.mean(cl.exp(cl.tanh(x @ w)))
    explanation = cl.explain(loss, wrt=w)
    loss.backward()
    np.testing.assert_array_equal(explanation.gradient, w.grad.numpy())
    entry = explanation[1, 2].show(1000)
    assert entry.value == float(w.grad.numpy()[1, 2])
    assert entry.rounding.dtype == "float32"
    assert entry.rounding.difference == entry.value - entry.total
    assert 0 < abs(entry.rounding.difference) <= entry.rounding.bound < 1e-3 * abs(entry.value)
