"""Whole paths: their sum is the entry, and the best-first search finds the largest ones in order."""

import numpy as np
import pytest

import clearprop as cl


def _small(activation="tanh"):
    model = cl.nn.mlp([3, 4, 2], activation=activation, seed=1)
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((3, 3)), rng.integers(0, 2, 3)
    return lambda m, x, t: cl.nn.cross_entropy(m(x), t), (model, x, t)


def _softmax_in_the_middle():
    rng = np.random.default_rng(1)
    w = rng.standard_normal((2, 3, 4))
    return lambda w, b: cl.sum(cl.softmax(cl.tanh(w) @ b) ** 2), (w, rng.standard_normal((4, 3)))


def _broadcast_and_moves():
    rng = np.random.default_rng(2)

    def f(w, x):
        h = cl.permute_dims(cl.exp(w[:, None] * x), (1, 0))
        return cl.mean(cl.cumulative_sum(h, axis=0) * w) + cl.max(h)

    return f, (rng.standard_normal(3), rng.standard_normal((3, 2)))


PROGRAMS = {
    "mlp": _small,
    "relu": lambda: _small("relu"),
    "softmax": _softmax_in_the_middle,
    "moves": _broadcast_and_moves,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_paths_of_an_entry_sum_to_it_and_are_found_in_order(name):
    f, args = PROGRAMS[name]()
    found = cl.explain(f, 0, args=args)
    explanation = found[next(iter(found))] if name in ("mlp", "relu") else found
    for at in range(0, len(explanation), 3):
        entry = explanation[np.unravel_index(at, explanation.shape)]
        paths = entry.all_paths(100_000)
        assert sum(p.value for p in paths) == pytest.approx(entry.value, rel=1e-5, abs=1e-9)
        sizes = sorted((abs(p.value) for p in paths), reverse=True)
        best = entry.paths(7)
        np.testing.assert_allclose([abs(p.value) for p in best], sizes[:7], rtol=1e-12)
        assert len({(*(f.symbol for f in p.factors), p.value) for p in best}) == len(best)


def test_all_paths_says_when_there_are_too_many():
    f, args = _small()
    entry = cl.explain(f, 0, args=args)["layers[0].weight"][0, 0]
    assert entry.all_paths(3) is None
    assert len(entry.all_paths(100)) == 3 * 2  # three examples, two classes


def test_a_deep_chain_is_searched_without_recursion():
    x = cl.tensor(0.5, name="x", requires_grad=True)
    y = x
    for _ in range(3000):
        y = cl.sin(y)
    entry = cl.explain(y, wrt=x, index=())
    (path,) = entry.paths(1)
    assert len(path.factors) == 3000
    assert path.value == pytest.approx(entry.value, rel=1e-9)
    assert entry.all_paths(5) is None
