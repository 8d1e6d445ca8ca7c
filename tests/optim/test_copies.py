"""Models, optimizers, their states and what minimisers return: pickled, deep-copied, and read by another process."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn, optim
from clearprop.autodiff.trees import flatten
from clearprop.optim.hyperparameters import Configured
from clearprop.program.values import raw
from tests.tiers import together

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
PARAMS = {"w": cl.tensor(np.ones((3, 2)), name="w", requires_grad=True), "b": np.zeros(2), "n": 3}


class Own(nn.Module):
    inner: nn.Module
    scale: cl.Tensor = nn.parameter(default=2.0)
    seen: cl.Tensor = nn.state(default=0.0)
    power: int = nn.static(default=2)

    def forward(self, x):
        return self.scale * self.inner(x) ** self.power + self.seen


def forms():
    """One of everything: optimizers, links, schedules and criteria with their defaults, and what is built of them."""
    model = nn.Sequential(
        nn.Dense(3, 4), nn.BatchNorm(4), "relu", nn.Dropout(0.1), nn.LayerNorm(4), nn.Dense(4, 2), cl.tanh
    )
    found = {"model": model, "own": Own(inner=nn.Dense(3, 2)), "mlp": nn.mlp([3, 4, 2], norm="batch")}
    for name, kind in Configured.registry.items():
        if kind.__module__.startswith("clearprop.") and name[0] != "_":
            try:
                found[name] = kind()
            except cl.ClearpropError:  # chains and the like, which are below
                continue
    chain = optim.chain(optim.clip_by_norm(), optim.adam(optim.warmup(3, optim.cosine(0.1))), optim.average())
    grouped = optim.groups(optim.lookahead(chain), ("w", optim.switch(optim.sgd(), optim.lion(), optim.on_plateau())))
    numbers = {k: v for k, v in PARAMS.items() if k != "n"}
    _, state = grouped.update(numbers, grouped.init(numbers), numbers, value=1.0)
    return found | {
        "chain": chain, "groups": grouped, "state": state,
        "relay": optim.relay((optim.adam(), 2), (optim.newton_cg(), 3)),
        "result": optim.minimize(lambda p: cl.sum(p["w"] ** 2), {"w": np.ones(2), "n": 3}),
        "estimate": optim.least_squares(lambda p: cl.stack([p["a"] - 1, 2 * p["a"], 3 * p["a"]]), {"a": 0.5}),
        "memetic": optim.memetic(lambda x: (x - 1.0) ** 2, 0.5, rounds=2), "penalty": nn.Penalty(0.1, 0.2),
    }  # fmt: skip


FORMS = forms()
WAYS = {"pickle": lambda v: pickle.loads(pickle.dumps(v)), "deepcopy": copy.deepcopy, "copy": copy.copy}


def bits(tree):
    return [(np.asarray(raw(v)).dtype, np.asarray(raw(v)).tobytes()) for v in flatten(tree)[0]]


@together("way", WAYS)
@pytest.mark.parametrize("name", FORMS)
def test_a_copy_is_what_the_original_is(name, way):
    value, copied = FORMS[name], WAYS[way](FORMS[name])
    assert type(copied) is type(value) and repr(copied) == repr(value)
    if isinstance(value, nn.Module):
        assert bits(copied) == bits(value) and bits(copied(X)) == bits(value(X))
        grads = [cl.grad(lambda m: cl.sum(m(X) ** 2))(m) for m in (value, copied)]
        assert bits(grads[0]) == bits(grads[1])
        assert bits(nn.apply(copied, X, rng=1)) == bits(nn.apply(value, X, rng=1))
    elif isinstance(value, Configured):
        assert copied == value and copied.to_config() == value.to_config()
    elif name in ("state", "result", "estimate", "memetic"):
        assert bits(copied if name == "state" else copied.x) == bits(value if name == "state" else value.x)


def test_an_estimate_keeps_its_uncertainty():
    value = FORMS["estimate"]
    for way in WAYS.values():
        copied = way(value)
        assert np.array_equal(copied.covariance, value.covariance)
        assert float(copied.standard_errors["a"]) == float(value.standard_errors["a"])
        assert copied.residual_deviation == value.residual_deviation


def test_a_deep_copy_shares_nothing_that_is_written():
    """A compiled step may write its arguments in place: that of a copy leaves the original as it was."""
    model, opt = nn.Dense(3, 2), optim.adam(0.1)
    step = cl.compile(lambda m, s: opt.update(m, s, m), donate=("s",), executor="numpy")
    state = opt.init(model)
    before = bits(state)
    step(model, copy.deepcopy(state))
    assert bits(state) == before


def test_another_process_reads_them(tmp_path):
    """As process pools and joblib do it: the class of one's own is known there by its module, ours by import."""
    sent = {name: value for name, value in FORMS.items() if name != "own"}
    (tmp_path / "sent").write_bytes(pickle.dumps(sent))
    code = f"""
import pickle
from pathlib import Path
sent = pickle.loads(Path({str(tmp_path / "sent")!r}).read_bytes())
print(repr(sent["chain"]), sent["model"].layers[0].weight.numpy().tobytes().hex(), sent["estimate"].residual_deviation)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    weight = FORMS["model"].layers[0].weight.numpy().tobytes().hex()
    assert out == f"{FORMS['chain']!r} {weight} {FORMS['estimate'].residual_deviation}"
