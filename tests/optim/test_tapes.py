"""Step for step what PyTorch and optax do, where they have the rule: tapes made by `tapes/make.py`."""

from pathlib import Path

import numpy as np
import pytest

from clearprop import optim

TAPES = dict(np.load(Path(__file__).with_name("tapes") / "peers.npz"))
KEYS = ("bias", "weight")
ASGD = optim.asgd(0.05, shrink=0.1, power=0.6, start=21, weight_decay=0.05)  # torch's t0 counts from 0
SAME = {
    "torch/sgd": optim.sgd(0.05),
    "torch/momentum": optim.sgd(0.05, momentum=0.9, weight_decay=0.1),
    "torch/nesterov": optim.sgd(0.05, momentum=0.9, nesterov=True),
    "torch/adam": optim.adam(0.05),
    "torch/amsgrad": optim.adam(0.05, 0.8, 0.9, amsgrad=True),
    "torch/adamw": optim.adamw(0.05, weight_decay=0.1, mask="all"),
    "torch/nadam": optim.adam(0.05, nesterov=True),
    "torch/radam": optim.adam(0.05, eps=0.0, rectify=True),  # torch puts eps before the correction of v
    "torch/rmsprop": optim.rmsprop(0.05),
    "torch/rmsprop centered": optim.rmsprop(0.05, 0.95, momentum=0.5, centered=True),
    "torch/adagrad": optim.adagrad(0.1),
    "torch/adadelta": optim.adadelta(0.5, 0.95, 1e-5, weight_decay=0.1),
    "torch/adamax": optim.adamax(0.05, 0.8, 0.95, weight_decay=0.1),
    "torch/rprop": optim.rprop(0.05),
    "torch/dampened": optim.sgd(0.05, momentum=0.9, dampening=0.4),
    "torch/maximized": optim.chain(optim.scale(-1.0), optim.sgd(0.05, momentum=0.9, weight_decay=0.1)),
    "torch/nadam, all options": optim.nadam(0.05, 0.8, 0.95, 1e-3, momentum_decay=0.02, weight_decay=0.1),
    "torch/nadam, decoupled": optim.nadam(0.05, weight_decay=0.1, decoupled=True),
    "torch/radam, eps": optim.radam(0.05, 0.8, 0.95, 1e-2, weight_decay=0.1),
    "torch/radam, decoupled": optim.radam(0.05, weight_decay=0.1, decoupled=True),
    "torch/adafactor": optim.adafactor(0.3),
    "torch/adafactor, all options": optim.adafactor(0.05, 0.6, 1.2, 1e-3, 0.5, weight_decay=0.1),
    "torch/muon": optim.muon(0.05, weight_decay=0.0, scaling="width", b2=0.95),
    "torch/muon, all options": optim.muon(0.05, 0.1, 0.8, nesterov=False, steps=3),
    "torch/asgd": ASGD,
    "torch/asgd, mean": ASGD,
    "torch/cosine": optim.sgd(optim.cosine(0.1, 120)),
    "torch/step": optim.sgd(optim.step(0.1, 30)),
    "torch/exponential": optim.sgd(optim.exponential(0.1, 1, 0.97)),
    "torch/one_cycle": optim.sgd(optim.one_cycle(0.1, 100)),
    "optax/sgd": optim.sgd(0.05),
    "optax/nesterov": optim.sgd(0.05, momentum=0.9, nesterov=True),
    "optax/adam": optim.adam(0.05),
    "optax/adamw": optim.adamw(0.05, weight_decay=0.1, mask="all"),
    "optax/radam": optim.adam(0.05, rectify=True),
    "optax/rmsprop": optim.rmsprop(0.05),
    "optax/adagrad": optim.adagrad(0.1, eps=0.0, initial=0.1),  # optax puts eps under the root
    "optax/lion": optim.lion(0.01, weight_decay=0.1, mask="all"),
    "optax/clipped": optim.chain(optim.clip_by_norm(0.3), optim.clip_by_value(0.2), optim.adam(0.05)),
    "optax/adaptive clipping": optim.chain(optim.clip_adaptive(0.05), optim.sgd(0.5)),
    "optax/lookahead": optim.lookahead(optim.adam(0.05)),
    "optax/schedule_free sgd": optim.schedule_free(0.05, base="sgd"),
}


@pytest.mark.parametrize("name", SAME)
def test_equals_the_peer_step_for_step(name):
    opt = SAME[name]
    params = {k: TAPES[f"start/{k}"] for k in KEYS}
    state = opt.init(params)
    for t in range(100):
        updates, state = opt.update({k: TAPES[f"gradients/{k}"][t] for k in KEYS}, state, params)
        params = optim.apply_updates(params, updates)
        counts = opt.eval_params(state, params) if name.endswith("mean") else params
        for key in KEYS:
            np.testing.assert_allclose(np.asarray(counts[key]), TAPES[f"{name}/{key}"][t], rtol=1e-12, atol=1e-12)


def curved(params):
    """The gradient of a convex function, as in `tapes/make.py`."""
    flat = np.concatenate([np.ravel(np.asarray(params[k])) for k in KEYS])
    mix = np.random.default_rng(5).normal(size=(flat.size, flat.size))
    slope = mix.T @ (mix @ flat) + flat**3
    return {"bias": slope[:1], "weight": slope[1:].reshape(2, 2)}


def test_lbfgs_equals_optax_step_for_step():
    """With gradients of a convex function; those of the tapes are noise, whose pairs it passes over."""
    opt, params = optim.lbfgs(0.3, memory=3), {k: TAPES[f"start/{k}"] for k in KEYS}
    state = opt.init(params)
    for t in range(100):
        updates, state = opt.update(curved(params), state, params)
        params = optim.apply_updates(params, updates)
        for key in KEYS:
            np.testing.assert_allclose(np.asarray(params[key]), TAPES[f"curved/lbfgs/{key}"][t], rtol=1e-9, atol=1e-12)


def test_every_tape_is_compared():
    recorded = {name.rsplit("/", 1)[0] for name in TAPES} - {"start", "gradients"}
    assert recorded == {*SAME, "curved/lbfgs"}
