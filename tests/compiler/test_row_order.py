"""The order of rows: the native form gives the integers of `random.permutation`, whatever the keys and their number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clearprop as cl
from clearprop.compiler import epoch_loop
from clearprop.compiler.native import row_order
from clearprop.compiler.native.row_order import native_permutation, order_of
from clearprop.program.values import raw


@pytest.mark.parametrize("n", [0, 1, 2, 7, row_order.FEW, row_order.FEW + 1, 2**13, 38_400, 2**17 + 3])
@pytest.mark.parametrize("seed", [0, 2**63 + 11])
def test_the_native_order_is_that_of_random_permutation(n, seed):
    key = cl.random.fold_in(cl.random.key(seed), 5)
    words = raw(cl.random.random_bits(key, shape=(2, n))).astype(np.uint64)
    expected = np.argsort((words[0] << np.uint64(32)) | words[1], kind="stable")
    assert np.array_equal(native_permutation(key, n), expected)
    assert np.array_equal(cl.random.permutation(key, n), expected)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3) | st.just(2**64 - 1), max_size=300))
@settings(max_examples=200)
def test_keys_are_ordered_stably_also_where_many_are_equal(keys):
    keys = np.array(keys, np.uint64)
    assert np.array_equal(order_of(keys), np.argsort(keys, kind="stable"))


def test_equal_keys_stay_as_they_came_in_numpy_too(monkeypatch):
    monkeypatch.setattr(cl.rules.random, "random_bits", lambda key, *, shape: np.full(shape, 7, np.uint32))
    assert np.array_equal(cl.random.permutation(cl.random.key(0), 1000), np.arange(1000))


def test_training_has_the_same_bits_in_either_order(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(row_order.FEW + 50, 3)).astype("f")

    def trained():
        run = cl.fit(cl.nn.mlp([3, 4, 1]), (x, x[:, :1]), loss="mse", epochs=2, batch_size=64, progress=False)
        return run.replay(run.steps).digest

    native = trained()
    monkeypatch.setattr(epoch_loop, "FEW", len(x))
    assert trained() == native
