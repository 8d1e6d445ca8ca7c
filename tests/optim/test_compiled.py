"""Optimizers inside a compiled training step: the same numbers as eager, whatever the model holds."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn, optim
from clearprop.autodiff.trees import flatten

X = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
Y = np.arange(16) % 3
OPTIMIZERS = {
    "adamw": optim.chain(optim.clip_by_norm(1.0), optim.adamw(optim.warmup(3, optim.cosine(1e-2, 50)))),
    "sgd": optim.chain(optim.clip_by_value(0.1), optim.sgd(optim.one_cycle(0.1, 20), 0.9, nesterov=True)),
    "amsgrad": optim.adam(amsgrad=True),
    "nadam": optim.adam(optim.step(1e-2, 3), nesterov=True),
    "radam": optim.adam(rectify=True),
    "rmsprop": optim.chain(optim.clip_adaptive(), optim.rmsprop(centered=True, momentum=0.5), optim.average()),
    "adagrad": optim.groups(optim.adagrad(), ("*.bias", optim.lion(optim.exponential(1e-3)))),
    "lion": optim.lookahead(optim.lion(1e-3, weight_decay=0.1), every=2),
    "rprop": optim.masked(optim.rprop(), ("*.weight",)),
    "schedule_free": optim.schedule_free(warmup=2),
}


def make_step(opt):
    def step(model, state, key, x, y):
        def loss(m):
            out, after = nn.apply(m, x, rng=key)
            return nn.cross_entropy(out, y), after

        (value, after), grads = cl.value_and_grad(loss, has_aux=True)(model)
        updates, state = opt.update(grads, state, model)
        return optim.apply_updates(after, updates), state, value

    return step


def check(opt):
    model = nn.mlp([4, 8, 3], "tanh", norm="batch", dropout=0.1)
    step = make_step(opt)
    compiled = cl.compile(step)
    eager, native = (model, opt.init(model)), (model, opt.init(model))
    for i in range(6):
        key = cl.random.fold_in(cl.random.key(0), i)
        *eager, _ = step(*eager, key, X, Y)
        *native, _ = compiled(*native, key, X, Y)
    for a, b in zip(flatten(eager)[0], flatten(native)[0], strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-4, atol=2e-6)


def test_a_compiled_step_equals_the_eager_one():
    check(OPTIMIZERS["adamw"])


@pytest.mark.verify
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_compiles(name):
    check(OPTIMIZERS[name])


def test_a_rule_that_changes_its_states_dtype_is_refused():
    """The native loop writes the state over itself: float64 in the place of float32 would not fit."""

    class widening(optim.Transform):
        def init(self, params):
            return optim.sgd(0.1, 0.9).init(params)

        def update(self, grads, state, params, **extra):
            updates, state = optim.sgd(0.1, 0.9).update(grads, state, params)
            return updates, cl.tree_map(lambda m: m * np.ones(m.shape), state)

    with pytest.raises(cl.ClearpropError) as caught:
        cl.fit(nn.mlp([4, 8, 3]), (X, Y), loss="cross_entropy", optimizer=widening(), epochs=1)
    parts = caught.value
    assert parts.headline == "a step changes the type of [1][0]['m'].layers[0].weight"
    assert (parts.expected, parts.got) == ("f32[4,8], as before the step", "f64[4,8]")
    assert parts.where.startswith("test_compiled.py:")
