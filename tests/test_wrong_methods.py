"""Every public method of what public functions give, called with every wrong argument: only our errors come out."""

import functools
import inspect
import warnings
from unittest.mock import patch

import numpy as np
import pytest

import clearprop as cl
from clearprop.sklearn import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor
from clearprop.train import job
from clearprop.train.executor import eager_executor
from tests.test_wrong_calls import WRONG

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
CLASSES = (X[:, 0] > 0).astype(int)


@functools.cache
def run():
    return cl.fit(cl.nn.mlp([3, 4, 2], seed=0), (X, CLASSES), epochs=2, batch_size=8)


@functools.cache
def compiled():
    step = cl.compile(lambda w, x: cl.sum(w * x), executor="numpy")
    step(2.0, X)
    return step


@functools.cache
def explained():
    return cl.explain(lambda x: cl.sum(cl.exp(x)), 0, args=(X[:2],))


OBJECTS = {
    "run": run,
    "run of a table": lambda: cl.fit(cl.nn.mlp([4, 4, 3]), "iris", epochs=1),
    "cross-validation": lambda: cl.cross_validate("iris", folds=2, epochs=1, hidden=4),
    "range of rates": lambda: cl.lr_range_test(cl.nn.mlp([3, 2]), (X, CLASSES), steps=10),
    "compiled": compiled,
    "program": lambda: compiled().program,
    "explanation": explained,
    "entry": lambda: explained()[0, 0],
    "term": lambda: explained()[0, 0].terms[0],
    "explanations": lambda: cl.explain(run(), "layers[0].weight"),
    "entries to write": lambda: cl.tensor(X).at[0],
    "layer": lambda: cl.nn.Dense(3, 2),
    "network": lambda: run().model,
    "optimizer": cl.optim.adam,
    "link": cl.optim.scale_by_rms,
    "schedule": lambda: cl.optim.cosine(10),
    "chain": lambda: cl.optim.chain(cl.optim.scale(0.5), cl.optim.sgd()),
    "minimum": lambda: cl.optim.minimize(lambda x: (x - 1.0) ** 2, 0.5, steps=3),
}
ESTIMATORS = {kind.__name__: kind for kind in (MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor)}
HOOKS = {"leaf", "first", "first_carried", "scalars", "at", "measured"}
"""What a rule or a schedule of one's own defines, asked by `update` and the call of a schedule; and what takes what
`Run.encoded` gives."""
CALLBACKS = {"apply", "fork", "importance"}
"""What a function of the caller's own is given to: it may do anything."""


def methods(thing):
    """The methods that the package defines."""
    for name in dir(type(thing)):
        method = None if name.startswith("_") else getattr(thing, name)
        if callable(method) and getattr(method, "__module__", "").startswith("clearprop"):
            yield name, method


def ends_in_our_error(said, method, *args, **kwargs):
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            method(*args, **kwargs)
    except cl.ClearpropError as error:
        assert error.headline and (error.expected or error.got), said
        return True
    except Exception as error:
        raise AssertionError(
            f"{said} {args!r:.200} {kwargs!r:.100} ended in {type(error).__name__}: {error}"
        ) from error
    return False


def parameters_of(method):
    every = inspect.signature(method).parameters.values()
    return [p for p in every if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)], [p.kind for p in every]


def try_wrong_counts(name, method):
    """How many calls there were: with an unknown name, too many arguments, and none, where some are needed."""
    parameters, kinds = parameters_of(method)
    tried = 0
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        assert ends_in_our_error(name, method, no_such_name=1)
        tried += 1
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        assert ends_in_our_error(name, method, *[X] * 15)
        tried += 1
    if any(p.default is p.empty for p in parameters):
        assert ends_in_our_error(name, method)
        tried += 1
    return tried


@pytest.mark.parametrize("name", OBJECTS)
def test_wrong_calls_of_methods_end_in_our_errors(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tried = 0
    with patch.object(job, "choose_executor", eager_executor):  # nothing is compiled to ask it wrong things
        for method_name, method in methods(OBJECTS[name]()):
            said = f"{name}.{method_name}"
            tried += try_wrong_counts(said, method)
            parameters, _ = parameters_of(method)
            needed = sum(p.default is p.empty for p in parameters)
            for wrong in () if method_name in HOOKS else WRONG:
                if method_name in CALLBACKS and callable(wrong):
                    continue
                if needed:
                    ends_in_our_error(said, method, *[wrong] * needed)
                for p in parameters:
                    endless = p.name == "repeats" and type(wrong) is int and wrong > 1e9  # may be meant
                    if p.default is not p.empty and not endless:
                        ends_in_our_error(said, method, *[X] * needed, **{p.name: wrong})
                tried += 1
    print(f"{name}: {tried} calls")
    assert tried or name == "minimum"


@pytest.mark.parametrize("name", ESTIMATORS)
def test_wrong_arguments_of_estimators_methods_end_in_our_errors(name):
    tried = [try_wrong_counts(f"{name}.{n}", method) for n, method in methods(ESTIMATORS[name]())]
    assert sum(tried) > 10


def test_a_compiled_function_says_what_it_takes():
    for args, kwargs in [((), {}), ((1.0,), {}), ((1.0, X, X), {}), ((1.0,), {"y": X})]:
        for call in (compiled(), compiled().lower):
            with pytest.raises(cl.errors.ArgumentError, match="does not take these arguments"):
                call(*args, **kwargs)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: ascii(w)[:20])
def test_a_wrong_step_of_a_schedule_is_refused_or_has_a_rate(wrong):
    for schedule in (cl.optim.cosine(10), cl.optim.step(), cl.optim.constant(0.1)):
        ends_in_our_error(schedule, schedule, wrong)
