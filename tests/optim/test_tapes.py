"""Step for step what PyTorch and optax do, where they have the rule: tapes made by `tapes/make.py`."""

from pathlib import Path

import numpy as np
import pytest

from clearprop import optim

TAPES = dict(np.load(Path(__file__).with_name("tapes") / "peers.npz"))
KEYS = ("bias", "weight")
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
        for key in KEYS:
            np.testing.assert_allclose(np.asarray(params[key]), TAPES[f"{name}/{key}"][t], rtol=1e-12, atol=1e-12)


def test_every_tape_is_compared():
    recorded = {name.rsplit("/", 1)[0] for name in TAPES} - {"start", "gradients"}
    assert recorded == set(SAME)
