"""Random numbers: known answers, golden bits, statistics, and the same bits however they are asked for."""

import math

import numpy as np
import pytest
from scipy import special, stats

import clearprop as cl
from clearprop.errors import ArgumentError
from clearprop.primitives import REGISTRY
from clearprop.program.ir import evaluate, trace
from clearprop.program.types import type_of
from clearprop.rules.random import threefry

# Random123's kat_vectors for threefry2x32 with 20 rounds: counter, key, answer
KNOWN_ANSWERS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]
N = 200_000


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter, key, answer):
    assert tuple(map(int, threefry(key, *counter))) == answer


def test_golden_numbers():
    """What a seed gives, for ever and everywhere."""
    key = cl.random.key(0)
    assert cl.random.uniform(key, (3,)).tolist() == [0.41845711022987275, 0.3146817218764961, 0.39316028345159515]
    assert cl.random.uniform(key, (2,), dtype="float32").tolist() == [0.4184570908546448, 0.6004990339279175]
    assert cl.random.normal(key, (2,)).tolist() == [-0.20584213953955213, 0.25463915609248866]
    assert cl.random.bernoulli(key, 0.5, (4,)).tolist() == [True, True, False, False]
    assert cl.random.permutation(key, 5).tolist() == [1, 2, 0, 4, 3]
    assert cl.random.fold_in(key, 7).tolist() == [717347438, 460501108]


def test_keys_hold_the_whole_seed():
    assert cl.random.key(2**40 + 5).tolist() == [256, 5] and cl.random.key(2**64 - 1).tolist() == [2**32 - 1] * 2
    assert cl.random.key(-1).tolist() == [2**32 - 1] * 2


@pytest.mark.parametrize("seed", [1.5, True, "1", 2**64, None])
def test_a_seed_that_is_none(seed):
    with pytest.raises(ArgumentError) as caught:
        cl.random.key(seed)
    error = caught.value
    assert (error.headline, error.expected, error.got, error.try_) == (
        "a seed is an integer of up to 64 bits", "0 <= seed < 2**64", repr(seed), "seed=0",
    )  # fmt: skip


def test_different_keys_and_streams_differ():
    a, b = cl.random.split(cl.random.key(3))
    keys = [cl.random.key(3), a, b, cl.random.fold_in(cl.random.key(3), 2), cl.random.key(4)]
    draws = [tuple(cl.random.uniform(k, (4,)).tolist()) for k in keys]
    assert len(set(draws)) == len(draws)
    assert cl.random.fold_in(cl.random.key(3), 0).tolist() == a.tolist()
    assert len({tuple(k.tolist()) for k in cl.random.split(cl.random.key(3), 100)}) == 100


def test_a_step_count_may_be_traced():
    key = cl.random.key(1)
    program = trace(lambda t: [cl.random.uniform(cl.random.fold_in(key, t), (3,))], [type_of(np.int64(0))])
    for step in (0, 5, 2**33):
        (got,) = evaluate(program, [np.int64(step), *program.captured])
        assert np.array_equal(got, cl.random.uniform(cl.random.fold_in(key, step), (3,)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_numbers(dtype):
    u = np.asarray(cl.random.uniform(cl.random.key(5), (N,), dtype=dtype), dtype=np.float64)
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 4 / math.sqrt(12 * N) and abs(u.var() - 1 / 12) < 4 / math.sqrt(180 * N)
    assert stats.kstest(u, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 4 / math.sqrt(N)
    assert abs(np.corrcoef(u[: N // 2], u[N // 2 :])[0, 1]) < 4 / math.sqrt(N / 2)


def test_uniform_numbers_on_an_interval():
    u = np.asarray(cl.random.uniform(cl.random.key(5), (1000,), low=-2.0, high=3.0))
    assert u.min() >= -2 and u.max() < 3 and abs(u.mean() - 0.5) < 0.2
    assert cl.random.uniform(cl.random.key(5), (2,), low=-1.0, high=1.0, dtype="float32").dtype == np.float32


def test_normal_numbers():
    z = np.asarray(cl.random.normal(cl.random.key(6), (N,)))
    assert abs(z.mean()) < 4 / math.sqrt(N) and abs(z.var() - 1) < 4 * math.sqrt(2 / N)
    assert stats.kstest(z, "norm").pvalue > 0.001
    assert abs(stats.skew(z)) < 4 * math.sqrt(6 / N) and abs(stats.kurtosis(z)) < 4 * math.sqrt(24 / N)
    scaled = cl.random.normal(cl.random.key(6), (N,), mean=2.0, std=3.0)
    assert np.allclose(scaled, 2 + 3 * z, rtol=1e-15)
    narrow = cl.random.normal(cl.random.key(6), (N,), dtype="float32")
    assert narrow.dtype == np.float32 and np.array_equal(narrow, z.astype(np.float32))


def test_the_normal_quantile_is_scipys():
    """Over all of (0, 1), the rare tails of the 32-bit grid included."""
    bits = np.concatenate(
        [np.arange(1000), 2**32 - 1 - np.arange(1000), np.random.default_rng(0).integers(0, 2**32, 20_000)]
    )
    got = REGISTRY["normal_quantile"](bits.astype(np.uint32))
    want = special.ndtri((bits + 0.5) / 2**32)
    assert np.max(np.abs(got - want) / np.abs(want)) < 1e-14
    assert np.isfinite(got).all() and got.min() > -6.5 and got.max() < 6.5


def test_bernoulli():
    hits = np.asarray(cl.random.bernoulli(cl.random.key(7), 0.3, (N,)))
    assert hits.dtype == np.bool_ and abs(hits.mean() - 0.3) < 4 * math.sqrt(0.21 / N)
    assert not np.any(np.asarray(cl.random.bernoulli(cl.random.key(7), 0.0, (100,))))
    assert np.all(np.asarray(cl.random.bernoulli(cl.random.key(7), 1.0, (100,))))


def test_permutations():
    p = cl.random.permutation(cl.random.key(8), 1000)
    assert sorted(p.tolist()) == list(range(1000))
    firsts = [cl.random.permutation(k, 4).tolist() for k in cl.random.split(cl.random.key(9), 2400)]
    counts = np.array([firsts.count(q) for q in {tuple(f): f for f in firsts}.values()])
    assert len(counts) == 24 and stats.chisquare(counts).pvalue > 0.001


def test_numbers_inside_transforms():
    """Random numbers are constants of the differentiation, and of the batch."""
    key = cl.random.key(2)
    noise = cl.random.normal(key, (3,)).numpy()
    assert np.array_equal(cl.grad(lambda x: cl.sum(x * cl.random.normal(key, (3,))))(np.ones(3)), noise)
    assert np.array_equal(cl.vmap(lambda x: x + cl.random.normal(key, (3,)))(np.zeros((2, 3))), np.stack([noise] * 2))
    keys = np.stack([k.numpy() for k in cl.random.split(key, 3)])
    want = np.stack([np.asarray(cl.random.uniform(k, (2,))) for k in keys])
    assert np.array_equal(cl.vmap(lambda k: cl.random.uniform(k, (2,)))(keys), want)
