"""One program serves all sizes; where it does not, that is told once, and what is kept of them is bounded."""

import gc
import warnings
import weakref

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import ExecutorWarning
from clearprop.compiler.compiled_function import AGAIN, MANY_SIZES, PROGRAMS


def numpy(f, **options):
    return cl.compile(f, executor="numpy", **options)


def weighted(x):
    return cl.sum(cl.stack([x[i] * i for i in range(x.shape[0])]))  # looks at the size


def said_of(calls):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        calls()
    return caught


def test_lengths_that_nobody_looks_at_are_one_program():
    f = numpy(lambda x: cl.sum(x * x) / x.shape[0])
    for n in range(2, 40):
        np.testing.assert_allclose(f(np.ones(n)), 1.0)
    assert f.cache_info().misses == 1


def test_one_size_after_another_is_told_once_at_the_line_of_the_user():
    f = numpy(weighted)
    lengths = range(2, 2 + MANY_SIZES)
    assert not said_of(lambda: [f(np.ones(n)) for n in (*lengths, *lengths)])
    assert f.cache_info().misses == MANY_SIZES
    caught = said_of(lambda: [f(np.ones(n)) for n in range(20, 26)])
    assert [w.category for w in caught] == [ExecutorWarning] and caught[0].filename == __file__
    assert str(caught[0].message) == (
        "weighted was compiled 9 times for arguments that differ in their sizes alone, and each time costs as much as "
        "the first: the last one is weighted(f64[n0]) where n0 == 20 is True. Pad to a few sizes, or compute with "
        "x.shape without looking at it; cache_info() counts the programs"
    )
    assert f.cache_info().misses == MANY_SIZES + 6


def test_calls_that_a_gradient_flows_through_are_told_too():
    f = numpy(lambda x: cl.sum(x * x))

    def learn(n):
        x = cl.tensor(np.arange(float(n)), requires_grad=True)
        f(x).backward()
        np.testing.assert_allclose(x.grad, 2.0 * np.arange(n))

    assert not said_of(lambda: [learn(n) for n in range(2, 2 + MANY_SIZES)])
    (caught,) = said_of(lambda: [learn(n) for n in range(20, 24)])
    assert "9 times" in str(caught.message) and "a gradient flows through" in str(caught.message)


def test_programs_are_let_go_of_but_for_those_in_use():
    f = numpy(lambda x, n: x * n.real, static=("n",))
    x = np.arange(3.0)

    def call(n):
        np.testing.assert_array_equal(f(x, n), x * n)

    for _ in range(AGAIN + 1):  # a direct call from now on
        call(1)
    call(2)
    old, used = (weakref.ref(f.lower(x, n)) for n in (2, 1))

    def go_on():
        for n in range(3, PROGRAMS + 30):
            call(n)
            call(1)

    (caught,) = said_of(go_on)
    assert f"{PROGRAMS} programs that were used last are kept" in str(caught.message)
    info = f.cache_info()
    assert info.misses == PROGRAMS + 29 and len(info.programs) == len(f.kept) == PROGRAMS
    assert len(f.entries) <= PROGRAMS and len(f.specialisations) == PROGRAMS
    gc.collect()
    assert old() is None and used() is not None
    call(2)
    assert f.cache_info().misses == PROGRAMS + 30


def test_what_is_asked_for_by_name_stays_as_long_as_it_is_asked_for():
    f = numpy(lambda x, n: x * n.real, static=("n",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExecutorWarning)
        for n in range(2 * PROGRAMS):
            f(np.ones(2), n=n)
            f(np.ones(2), n=0)
    assert f.cache_info().misses == 2 * PROGRAMS


def test_a_warning_that_stops_leaves_the_program():
    f = numpy(weighted)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExecutorWarning)
        for n in range(2, 2 + MANY_SIZES):
            f(np.ones(n))
        with pytest.raises(ExecutorWarning):
            f(np.ones(30))
        np.testing.assert_allclose(f(np.ones(30)), sum(range(30)))
    assert f.cache_info().misses == MANY_SIZES + 1
