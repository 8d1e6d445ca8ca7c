"""Schedules against closed forms, eager and traced."""

import math

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.program.ir import evaluate, trace
from clearprop.program.types import type_of


def cosine(value, steps, floor=0.0):
    return lambda t: floor + (value - floor) * (1 + math.cos(math.pi * min(t / steps, 1))) / 2


def one_cycle(peak, steps, rise, start, end):
    top = rise * steps - 1

    def rate(t):
        if t <= top:
            return peak + (peak / start - peak) * (1 + math.cos(math.pi * t / top)) / 2
        share = min((t - top) / (steps - 1 - top), 1)
        low = peak / start / end
        return low + (peak - low) * (1 + math.cos(math.pi * share)) / 2

    return rate


FORMS = {
    "constant": (optim.constant(0.3), lambda t: 0.3),
    "step": (optim.step(0.5, every=7, factor=0.2), lambda t: 0.5 * 0.2 ** (t // 7)),
    "exponential": (optim.exponential(0.5, every=7, factor=0.2), lambda t: 0.5 * 0.2 ** (t / 7)),
    "inverse_power": (optim.inverse_power(0.5, 0.2, 0.75), lambda t: 0.5 / (1 + 0.2 * t) ** 0.75),
    "cosine": (optim.cosine(0.5, steps=30, floor=0.1), cosine(0.5, 30, 0.1)),
    "warmup": (optim.warmup(10, then=0.4), lambda t: 0.4 * min((t + 1) / 10, 1)),
    "warmup, cosine": (
        optim.warmup(10, then=optim.cosine(0.4, 30)),
        lambda t: 0.4 * (t + 1) / 10 if t < 10 else cosine(0.4, 30)(t - 10),
    ),
    "one_cycle": (optim.one_cycle(0.4, 40, rise=0.25, start=10, end=100), one_cycle(0.4, 40, 0.25, 10, 100)),
}


@pytest.mark.parametrize("name", FORMS)
def test_schedule(name):
    schedule, form = FORMS[name]
    program = trace(lambda t: [schedule(t)], [type_of(np.int64(0))])
    for t in range(60):
        assert float(schedule(t)) == pytest.approx(form(t), rel=1e-13)
        assert float(schedule(np.int64(t))) == pytest.approx(form(t), rel=1e-13)
        assert float(evaluate(program, [np.int64(t)])[0]) == pytest.approx(form(t), rel=1e-13)


@pytest.mark.parametrize("name", FORMS)
def test_the_first_update_uses_step_zero_and_keeps_float32(name):
    schedule, form = FORMS[name]
    opt, p = optim.sgd(schedule), {"w": cl.tensor([1.0], dtype=np.float32)}
    state = opt.init(p)
    for t in range(3):
        updates, state = opt.update({"w": np.ones(1, np.float32)}, state, p)
        assert updates["w"].dtype == np.float32
        assert float(updates["w"][0]) == pytest.approx(-form(t), rel=1e-6)
