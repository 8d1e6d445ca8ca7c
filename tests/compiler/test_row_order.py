"""The order of rows: the native form gives the integers of `random.permutation`, whatever the keys and their number."""

from types import SimpleNamespace

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import epoch_loop
from clearprop.compiler.native import row_order
from clearprop.compiler.native.row_order import CALL, WORTH, Ledger, RowOrders, native_order
from clearprop.program.values import raw
from clearprop.train.batches import ArrayFeed, BlockFeed, drawn_order

PATHS = {"none": (), "an epoch": (5,), "an epoch and a block": (0, 2**32 - 1), "a number beyond 32 bits": (2**32 + 7,)}


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 1437, 4096, 38_400, 2**17 + 3])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_the_native_order_is_that_of_random_permutation(n, path):
    key = own = cl.random.key(2**63 + 11)
    for number in path:
        own = cl.random.fold_in(own, number)
    words = raw(cl.random.random_bits(own, shape=(2, n))).astype(np.uint64)
    expected = np.argsort((words[0] << np.uint64(32)) | words[1], kind="stable")
    assert np.array_equal(native_order(key, path, n), expected)
    assert np.array_equal(drawn_order(key, path, n), expected)


def test_ranges_may_hold_many_rows(monkeypatch):
    monkeypatch.setattr(row_order, "RANGE_BITS", 2)
    key = cl.random.key(1)
    assert np.array_equal(native_order(key, (), 500), cl.random.permutation(key, 500))


@pytest.mark.parametrize("digits", [40, 48, 60])
def test_keys_whose_high_bits_are_equal_are_compared_whole(digits):
    key = cl.random.key(1)
    orders = RowOrders(key, 0, 500)
    orders._row[-1] = digits  # so many that few bits of a key, or none beside its range, are left beside them
    assert np.array_equal(orders([]), cl.random.permutation(key, 500))


def test_equal_keys_stay_as_they_came_in_numpy_too(monkeypatch):
    monkeypatch.setattr(cl.rules.random, "random_bits", lambda key, *, shape: np.full(shape, 7, np.uint32))
    assert np.array_equal(cl.random.permutation(cl.random.key(0), 1000), np.arange(1000))


def test_a_kernel_that_must_be_compiled_waits_until_it_pays(monkeypatch):
    ready = []
    monkeypatch.setattr(row_order, "_is_ready", lambda: bool(ready))
    ledger, orders = Ledger(), WORTH // (1000 + CALL)
    assert not any(ledger.is_worth(1000) for _ in range(orders))
    assert ledger.is_worth(1000)
    ready.append(True)
    assert Ledger().is_worth(1)


def test_feeds_have_the_same_order_either_way():
    x, key = np.zeros((50, 1)), raw(cl.random.key(3))
    feed = ArrayFeed(x, x, 8, True, key)
    assert np.array_equal(feed.order(4, native_order), feed.order(4))
    for blocks in (1, 3):
        sizes = np.full(blocks, 20)
        disk = SimpleNamespace(blocks=blocks, sizes=sizes, buffers=lambda: (), read=lambda *_: (np.zeros(20),))
        several = BlockFeed(disk, 8, True, key)
        found = [[(b.first, *b.order) for b in several.blocks(4, 0, how)] for how in (native_order, drawn_order)]
        assert found[0] == found[1]
        assert len(found[0]) == blocks


def test_training_has_the_same_bits_in_either_order(monkeypatch):
    x = np.random.default_rng(0).normal(size=(300, 3)).astype("f")

    def trained(native):
        monkeypatch.setattr(epoch_loop, "LEDGER", SimpleNamespace(is_worth=lambda _: native))
        run = cl.fit(cl.nn.mlp([3, 4, 1]), (x, x[:, :1]), loss="mse", epochs=2, batch_size=64, progress=False)
        return run.replay(run.steps).digest

    assert trained(True) == trained(False)
