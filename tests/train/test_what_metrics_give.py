"""What a loss or metric of the user's gives: one real number, or an error that says so."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ClearpropError

X = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
Y = X[:, 0]


def squares(o, t):
    return (o - t) ** 2


NUMBERS = {
    "mean": lambda o, t: cl.mean(squares(o, t)),
    "NumPy's": lambda o, t: np.mean(squares(o, t)),
    "method": lambda o, t: squares(o, t).mean(),
}
NONE = {
    "None": lambda o, t: None,
    "a pair": lambda o, t: (cl.mean(squares(o, t)), 1),
    "a list": lambda o, t: [cl.mean(squares(o, t))],
    "a dictionary": lambda o, t: {"mse": cl.mean(squares(o, t))},
    "text": lambda o, t: "0.5",
    "complex": lambda o, t: cl.sum(o) * 1j,
    "a complex number": lambda o, t: 1j,
}
ONCE = {"epochs": 1, "batch_size": 5, "progress": False, "validation": None}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_told(name):
    run = cl.fit(cl.nn.mlp([2, 3, 1], seed=0), (X, Y), loss="mse", metrics=[NUMBERS[name]], **ONCE)
    told = run.history[0]["train"]
    assert [*told.values()][-1] == pytest.approx(told["loss"], rel=1e-5)


@pytest.mark.parametrize("door", ["loss", "metrics"])
@pytest.mark.parametrize("name", NONE)
def test_what_is_no_number_is_refused(name, door):
    given = {"loss": NONE[name]} if door == "loss" else {"loss": "mse", "metrics": [NONE[name]]}
    with pytest.raises(ClearpropError) as caught:
        cl.fit(cl.nn.mlp([2, 3, 1], seed=0), (X, Y), **given, **ONCE)
    assert "expected" in str(caught.value)
