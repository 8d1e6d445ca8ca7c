"""What is read around a compiled function in several places, or by way of functions that are made anew."""

import types
import warnings

import numpy as np
import pytest

import clearprop as cl

X = np.array([0.5, -1.0])


def same(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and np.array_equal(a, b)


def making(w):
    return {
        "by closure": lambda x: x * w,
        "by default": lambda x, w=w: x * w,
        "by keyword": lambda x, *, w=w: x * w,
        "of a list": lambda x, held=[w]: x * held[0],
    }


@pytest.mark.parametrize("kind", making(1.0))
@pytest.mark.parametrize("place", ["variable", "list"])
def test_a_function_made_anew_with_another_array_is_another(kind, place):
    held = [making(cl.tensor(X))[kind]]
    g = held[0]
    f = cl.compile((lambda x: g(x)) if place == "variable" else (lambda x: held[0](x)), executor="numpy")
    for n in range(3):
        g = held[0] = making(cl.tensor(X + n))[kind]
        assert same(f(X), X * (X + n))


def test_what_one_function_takes_by_key_another_takes_whole():
    held = {"a": 2.0, "b": 3.0}

    def whole(x):
        return x * held.get("b")

    for first in (True, False):
        held.update(a=2.0, b=3.0)
        by_key = (lambda x: x * held["a"] + whole(x)) if first else (lambda x: whole(x) + x * held["a"])
        f = cl.compile(by_key, executor="numpy")
        assert same(f(X), X * 5.0)
        held["b"] = 5.0
        assert same(f(X), X * 7.0)


def test_a_key_that_comes_later_is_seen():
    held = {"a": 2.0}

    def step(x):
        try:
            return x * held["s"]
        except KeyError:
            return x

    f = cl.compile(step, executor="numpy")
    assert same(f(X), X)
    held["s"] = 5.0
    assert same(f(X), X * 5.0)


def test_a_name_that_another_function_gives_as_a_text_is_read():
    holder = types.SimpleNamespace(scale=2.0, options={"a": 1.0, "b": 2.0})

    def pick(place, name):
        return getattr(place, name)

    f = cl.compile(lambda x: x * pick(holder, "scale"), executor="numpy")
    g = cl.compile(lambda x: x * holder.options["a"] * pick(holder, "options")["b"], executor="numpy")
    assert same(f(X), X * 2.0) and same(g(X), X * 2.0)
    holder.scale, holder.options["b"] = 5.0, 5.0
    assert same(f(X), X * 5.0) and same(g(X), X * 5.0)


def test_a_default_that_is_changed_in_place_counts():
    held = {"s": 2.0}

    def inner(x, options=held, *, more=held):
        return x * options["s"] + more["s"]

    f = cl.compile(lambda x: inner(x), executor="numpy")
    assert same(f(X), X * 2.0 + 2.0)
    held["s"] = 5.0
    assert same(f(X), X * 5.0 + 5.0)


def test_a_class_within_a_function_reads_what_is_around_it():
    held = {"a": 2.0, "b": 3.0}

    def step(x):
        class Within:
            w = [*held.values()][1]

        return x * held["a"] * Within.w

    f = cl.compile(step, executor="numpy")
    assert same(f(X), X * 6.0)
    held["b"] = 5.0
    assert same(f(X), X * 10.0)


def test_functions_that_hold_each_other_are_looked_at_once():
    registry = []

    def make(n):
        return lambda x: x * len(registry) + n

    registry += [make(n) for n in range(30)]
    f = cl.compile(lambda x: registry[0](x), executor="numpy")
    assert same(f(X), X * 30)


def test_values_that_take_turns_are_found_again():
    rate = 0.0
    f = cl.compile(lambda x: x * rate, executor="numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for rate in list(np.arange(12.0)) * 3:
            rate = float(rate)
            assert same(f(X), X * rate)
    assert f.cache_info().misses == 12
