"""Hyper-parameters that are arrays of no axes: of float64 beside parameters of float32, which keep their dtype."""

import numpy as np
import pytest

import clearprop as cl

RULES = {
    "sgd": lambda n: cl.optim.sgd(n(0.1), momentum=n(0.9)),
    "adam": lambda n: cl.optim.adam(n(0.1), b1=n(0.9), b2=n(0.99), eps=n(1e-6)),
    "adamw": lambda n: cl.optim.adamw(0.1, weight_decay=n(0.1)),
    "rmsprop": lambda n: cl.optim.rmsprop(0.1, decay=n(0.9)),
    "lion": lambda n: cl.optim.lion(0.1, b1=n(0.9)),
    "clipped": lambda n: cl.optim.chain(cl.optim.clip_by_norm(n(0.5)), cl.optim.sgd(0.1)),
    "lookahead": lambda n: cl.optim.lookahead(cl.optim.sgd(0.1, momentum=n(0.9)), alpha=n(0.5), every=2),
    "masked": lambda n: cl.optim.masked(cl.optim.sgd(n(0.2), momentum=n(0.5)), ("bias",)),
}


@pytest.mark.parametrize("number", [lambda v: np.array(v), cl.tensor], ids=["array", "tensor"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_parameters_keep_their_dtype(rule, number):
    params = {"weight": cl.tensor(np.arange(6, dtype=np.float32)), "bias": cl.tensor(np.float32(1.0))}
    grads = cl.tree_map(lambda p: p * 0.3 - 0.1, params)

    def steps(opt):
        now, state = params, opt.init(params)

        @cl.compile
        def step(now, state):
            updates, state = opt.update(grads, state, now)
            return cl.optim.apply_updates(now, updates), state

        for _ in range(3):
            now, state = step(now, state)
        return now

    found, usual = steps(rule(number)), steps(rule(float))
    for path, p in found.items():
        assert p.dtype == np.float32
        np.testing.assert_allclose(p, usual[path], rtol=3e-6, atol=1e-7)


def test_a_training_takes_them():
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    runs = [
        cl.fit(cl.nn.mlp([3, 4, 1]), (x, x[:, 0]), optimizer=cl.optim.sgd(0.1, momentum=m), epochs=2, batch_size=8)
        for m in (0.9, np.array(0.9))
    ]
    assert runs[1].history[-1]["train"]["loss"] == pytest.approx(runs[0].history[-1]["train"]["loss"], rel=1e-5)
