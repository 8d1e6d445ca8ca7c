"""What is done between two epochs in Python: little, and nothing that the epoch before did already."""

import sys

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.epoch_loop import NativeLoop
from clearprop.compiler.native.row_order import native_order
from clearprop.train.batches import Batching

MOST_CALLS = 300
"""Calls of Python functions and of built-in ones in an epoch that prints nothing and validates nothing."""


def fit(epochs, **more):
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("f")
    model = cl.nn.mlp([4, 8, 3], seed=0)
    return cl.fit(model, (x, np.arange(64) % 3), epochs=epochs, batch_size=32, progress=False, **more)


def calls(epochs):
    count = 0

    def watch(frame, event, _):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(watch)
    try:
        fit(epochs)
    finally:
        sys.setprofile(None)
    return count


def test_an_epoch_takes_few_calls():
    """With the kernel of the rows' order, which is compiled once it pays, and then found on disk."""
    native_order(cl.random.key(0), (0,), 4)
    fit(3)
    assert (calls(13) - calls(3)) / 10 <= MOST_CALLS


def test_arrays_that_are_at_the_state_are_not_loaded_again(monkeypatch):
    loads = []
    monkeypatch.setattr(
        NativeLoop, "load", lambda self, carry, load=NativeLoop.load: (loads.append(1), load(self, carry))
    )
    run = fit(5)
    assert len(loads) == 1
    assert run.replay(8).digest == fit(4).replay(8).digest


@pytest.mark.parametrize("rows", [1, 3, 8, 9, 16, 17, 25])
@pytest.mark.parametrize("least", [1, 2])
def test_sizes_of_batches_are_those_that_are_cut(rows, least):
    cut = Batching(8, least)
    sizes = [len(batch) for batch in cut.cut(np.arange(rows), 0)]
    for first in range(cut.count(rows)):
        for last in range(first + 1, cut.count(rows) + 1):
            assert cut.sizes(rows, first, last).tolist() == sizes[first:last]
