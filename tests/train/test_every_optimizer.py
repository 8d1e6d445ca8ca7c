"""Every optimizer and link that there is, in a real run: stopped and resumed from its folder, and natively compiled."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.optim.hyperparameters import Configured
from clearprop.optim.inspection import parts
from clearprop.optim.transform import Composed, Transform
from clearprop.train import job
from clearprop.train.executor import eager_executor
from tests.train.conftest import bits, network_of

FORMS = {
    "sgd": optim.sgd(0.05, momentum=0.9, nesterov=True),
    "adam": optim.adam(0.02, amsgrad=True),
    "adamw": optim.adamw(optim.warmup(3, optim.cosine(0.02, 30))),
    "nadam": optim.adam(0.02, nesterov=True),
    "radam": optim.adam(0.02, b2=0.9, rectify=True),
    "nadam and radam": optim.adam(0.02, b2=0.9, nesterov=True, rectify=True),
    "rmsprop": optim.rmsprop(0.02, momentum=0.5, centered=True),
    "adagrad": optim.adagrad(0.1),
    "adadelta": optim.adadelta(0.5, weight_decay=1e-3),
    "adamax": optim.adamax(0.01, weight_decay=1e-3),
    "nadam, PyTorch's form": optim.nadam(0.02, weight_decay=1e-3, decoupled=True),
    "radam, PyTorch's form": optim.radam(0.02, b2=0.9, weight_decay=1e-3),
    "adafactor": optim.adafactor(0.05, weight_decay=1e-3),
    "asgd": optim.asgd(0.05, start=5),
    "dampened": optim.sgd(0.05, momentum=0.9, dampening=0.5),
    "muon": optim.muon(0.02),
    "lbfgs": optim.lbfgs(0.1, memory=3),
    "lion": optim.lion(0.005, weight_decay=0.1),
    "rprop": optim.rprop(),
    "schedule_free": optim.schedule_free(0.02, warmup=4),
    "polyak": optim.polyak(growth=1.05),
    "armijo": optim.armijo(),
    "hypergradient": optim.hypergradient(optim.adam(0.02)),
    "sam": optim.sam(optim.adam(0.02), adaptive=True),
    "lookahead": optim.lookahead(optim.adam(0.02), every=3),
    "switch": optim.switch(optim.adam(0.02), optim.sgd(0.05, 0.9), when=7),
    "switch on a plateau": optim.switch(optim.adam(0.02), optim.schedule_free(0.02), optim.on_plateau(patience=1)),
    "swats": optim.swats(0.02, eps=0.5),
    "diag_newton": optim.diag_newton(0.1),
    "diag_newton, clipped": optim.diag_newton(0.1, clip=1.0),
    "clipped": optim.chain(optim.clip_by_norm(1.0), optim.clip_by_value(0.5), optim.clip_adaptive(), optim.adam(0.02)),
    "averaged": optim.chain(optim.sgd(0.05), optim.average(0.9)),
    "frozen": optim.chain(optim.freeze(("*.bias",)), optim.sgd(0.05)),
    "accumulated": optim.accumulate(optim.chain(optim.adam(0.02), optim.average(0.9)), every=3),
    "plateau": optim.chain(optim.scale(2.0), optim.adam(0.02), optim.reduce_on_plateau(0.5, patience=1, every=2)),
    "fractional_memory": optim.chain(optim.fractional_memory(0.7, window=3), optim.sgd(0.05)),
    "caputo": optim.chain(optim.caputo(0.9), optim.sgd(0.05)),
    "cfgd": optim.chain(optim.cfgd(0.7, nodes=2), optim.sgd(0.05)),
    "groups": optim.groups(optim.adam(0.02), ("*.bias", optim.sgd(0.05, 0.9))),
    "masked": optim.chain(optim.masked(optim.clip_by_value(0.1), ("*.weight",)), optim.sgd(0.05)),
}
OPTIONS = {"batch_size": 8, "validation": 0.25, "seed": 3}
FULL_BATCH = ("rprop", "lbfgs")


def named(rule):
    """The names of all rules within a rule, those that a composed one is made of included."""
    for part in parts(rule):
        yield type(part).__name__
        if isinstance(part, Composed):
            for link in part.links:
                yield from named(link)


def test_every_transform_that_there_is_has_a_form():
    own = {n for n, kind in Configured.registry.items() if kind.__module__.startswith("clearprop.optim")}
    known = {name for name in own if issubclass(Configured.registry[name], Transform) and name[0] != "_"}
    used = {name for rule in FORMS.values() for name in named(rule)}
    assert known - used == {"scale_by_rprop"}  # rprop is it
    assert own.intersection(optim.optimizers()) <= known


def resumed_is_undisturbed(name, network, data, folder, stop, end):
    options = {**OPTIONS, "optimizer": FORMS[name]}
    if name in FULL_BATCH:
        options["batch_size"] = 30
    undisturbed = cl.fit(network, data, epochs=end, **options)
    cl.fit(network, data, epochs=stop, out=folder, **options)
    run = cl.fit(network, data, epochs=end, resume=folder, **options)
    assert bits(run.last) == bits(undisturbed.last)
    assert bits(run.replay(run.steps).optimizer) == bits(undisturbed.replay(undisturbed.steps).optimizer)
    losses = [e["train"]["loss"] for e in run.history]
    assert losses == [e["train"]["loss"] for e in undisturbed.history]
    assert np.isfinite(losses).all() and len(set(losses)) == end
    return undisturbed


@pytest.mark.parametrize("name", FORMS)
def test_every_optimizer_resumes_exactly(name, eager, network, data, tmp_path):
    resumed_is_undisturbed(name, network, data, tmp_path / "run", stop=1, end=3)


@pytest.mark.verify
@pytest.mark.parametrize("name", FORMS)
def test_every_optimizer_compiles_into_the_native_loop_and_resumes_there(name, network, data, tmp_path, monkeypatch):
    """A step without a native form would warn, and warnings are errors.

    The losses are compared in float64: what a rule that amplifies makes of float32's roundings has no bound.
    """
    resumed_is_undisturbed(name, network, data, tmp_path / "run", stop=2, end=5)
    settings = {**OPTIONS, "batch_size": 30} if name in FULL_BATCH else OPTIONS
    exact = network_of("float64")
    native = cl.fit(exact, data, epochs=1, optimizer=FORMS[name], **settings)
    monkeypatch.setattr(job, "choose_executor", eager_executor)
    readable = cl.fit(exact, data, epochs=1, optimizer=FORMS[name], **settings)
    assert native.history[0]["train"]["loss"] == pytest.approx(readable.history[0]["train"]["loss"], rel=1e-9)
