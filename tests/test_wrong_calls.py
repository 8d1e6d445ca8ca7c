"""Every public function, called with every wrong kind, rank, axis, dtype and keyword: only our errors come out."""

import inspect
import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop.arrays import functions
from clearprop.rules import on_demand

X = np.arange(6.0).reshape(2, 3)
WRONG = [
    None, True, 1.5, -1, 7, 10**30, float("nan"), 1 + 2j, "text", b"ab", [], {}, ("a", 2), (0, 0), slice(None), ...,
    object(), int, np.int64(1), np.array(["a"]), np.array([1 + 2j]), np.zeros((2, 0)), np.array(object(), object),
    np.ones((3, 2, 2), np.float32), np.arange(4), np.array([True]), np.float16(1), range(2), "\ud800",
    np.ma.masked_array([1.0, 2.0], [0, 1]), np.datetime64("2020"),
]  # fmt: skip
OF_ARRAYS = [n for n in cl.__all__ if n in functions.__all__]
OF_RANDOM = ["key", "fold_in", "split", "uniform", "normal", "bernoulli", "permutation"]
OTHERS = ["check_grads", "compile", "fit", "load", "lr_range_test"]
FUNCTIONS = {f"cl.{n}": getattr(cl, n) for n in (*OF_ARRAYS, *on_demand.names(), *OTHERS)}
FUNCTIONS |= {f"cl.random.{n}": getattr(cl.random, n) for n in OF_RANDOM}
FUNCTIONS |= {f"cl.linalg.{n}": getattr(cl.linalg, n) for n in dir(cl.linalg)}


def calls(function):
    """Positional and named arguments: none, too many, unknown ones; then one wrong one at each place."""
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    count = max(1, len(needed))
    yield (), {}
    yield (X,) * 12, {}
    yield (X,) * count, {"no_such_name": 1}
    for wrong in WRONG:
        yield (wrong,) * count, {}
        for place in range(count):
            yield tuple(wrong if i == place else X for i in range(count)), {}
        for p in parameters:
            if p not in needed and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD):
                yield (X,) * count, {p.name: wrong}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_wrong_calls_end_in_our_errors(name, record_property, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tried = refused = 0
    for args, kwargs in calls(FUNCTIONS[name]):
        tried += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                FUNCTIONS[name](*args, **kwargs)
        except cl.ClearpropError as error:
            refused += 1
            assert error.headline and (error.expected or error.got), (args, kwargs)
        except Exception as error:
            said = f"{name}{args!r:.200} {kwargs!r:.100} ended in {type(error).__name__}: {error}"
            raise AssertionError(said) from error
    record_property("tried", tried)
    print(f"{name}: {tried} calls, {refused} refused")
    assert refused


@pytest.mark.parametrize("transform", [cl.grad, cl.value_and_grad, cl.jacobian], ids=lambda t: t.__name__)
def test_what_is_no_function_is_said(transform):
    with pytest.raises(cl.errors.ArgumentError, match="takes a function"):
        transform(3)(1.0)


MEANT = [({"validation_split": 0.2}, "validation"), ({"n_epochs": 3}, "epochs"), ({"random_state": 1}, "seed")]


@pytest.mark.parametrize("given, name", MEANT)
def test_the_name_that_is_meant_is_named(given, name):
    with pytest.raises(cl.errors.ArgumentError) as caught:
        cl.fit(cl.nn.mlp([3, 2]), (X, np.array([0, 1])), **given)
    assert f"'{name}', the nearest name" in caught.value.message


def test_a_rate_range_of_numbers_takes_the_loss_of_numbers():
    network = cl.nn.mlp([3, 2, 1], seed=0)
    data = np.linspace(0, 1, 120).reshape(40, 3), np.linspace(0, 1, 40)
    found = cl.lr_range_test(network, data, steps=12)
    assert found.losses.tolist() == cl.lr_range_test(network, data, loss="mse", steps=12).losses.tolist()
    assert found.losses[0] > 0
