"""The table optimizer × fork × range test, beside that of schedules and wrappers: each place works, or says why not."""

import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.errors import ArgumentError
from clearprop.optim.inspection import has_rate, parse, parts
from clearprop.train import job, rate_range
from clearprop.train.executor import eager_executor
from tests.optim.test_combinations import NAMES, RATED, SCHEDULES


@pytest.fixture
def started(network, data, monkeypatch):
    monkeypatch.setattr(job, "choose_executor", eager_executor)
    monkeypatch.setattr(rate_range, "choose_executor", eager_executor)
    return network, data


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_can_be_forked_to_every_schedule_and_to_every_other(name, started):
    network, (x, y) = started
    full = optim.by_name(name).full_batch
    run = cl.fit(network, (x, y), optimizer=name, epochs=1, batch_size=len(x) if full else 20)
    for rate in SCHEDULES.values():
        if name in RATED:
            forked = run.fork(run.steps, {"learning_rate": rate, "epochs": 2})
            assert np.isfinite(forked.history[-1]["train"]["loss"])
        else:
            with pytest.raises(ArgumentError, match="has no learning rate"):
                run.fork(run.steps, {"learning_rate": rate, "epochs": 2})
    for other in ("adam", "rprop", "clip_by_norm+sgd"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if other == "rprop" and not full:
                with pytest.raises(ArgumentError, match="rprop needs all rows in every step"):
                    run.fork(run.steps, {"optimizer": other, "epochs": 2})
            else:
                assert np.isfinite(run.fork(run.steps, {"optimizer": other, "epochs": 2}).history[-1]["train"]["loss"])


@pytest.mark.parametrize("text", [*NAMES, "clip_by_norm+adam", "sam:inner=lion", "hypergradient:inner=schedule_free"])
def test_every_optimizer_stands_the_range_test_or_says_why_not(text, started):
    network, data = started
    rule = parse(text)
    if text == "accumulate":
        with pytest.raises(ArgumentError, match="needs an update in every step"):
            cl.lr_range_test(network, data, optimizer=rule, steps=12, batch_size=20)
    elif any(map(has_rate, parts(rule))):
        top = 1e3 if text == "adadelta" else 10.0  # its first steps are √ε long, whatever the gradient
        batch, steps = 20, 12
        if getattr(rule, "full_batch", False):
            with pytest.raises(ArgumentError, match="needs all rows in every step"):
                cl.lr_range_test(network, data, optimizer=rule, steps=12, batch_size=batch)
            batch, steps = len(data[0]), 60
        found = cl.lr_range_test(network, data, optimizer=rule, steps=steps, batch_size=batch, highest=top)
        assert found.suggestion > 0
    else:
        with pytest.raises(ArgumentError, match="no learning rate"):
            cl.lr_range_test(network, data, optimizer=rule, steps=12, batch_size=20)
