"""Every count that a user gives, as no count or beyond what can be done: refused at once, with what it may be."""

import inspect
import math

import numpy as np
import pytest

import clearprop as cl
from clearprop.sklearn import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
NO_COUNTS = [10**30, -1, 0, True, 1.5, math.nan, "3", [2]]
DATA = (X, Y)
CALLS = {
    "fit": lambda **given: cl.fit(cl.nn.mlp([3, 2]), DATA, **({"epochs": 1} | given)),
    "cross_validate": lambda **given: cl.cross_validate(DATA, hidden=4, epochs=1, **given),
    "lr_range_test": lambda **given: cl.lr_range_test(cl.nn.mlp([3, 2]), DATA, **given),
    "check_grads": lambda **given: cl.check_grads(lambda x: cl.sum(x * x), (X[0],), **given),
    "memetic": lambda **given: cl.optim.minimize(lambda x: cl.sum(x * x), X[0], cl.optim.memetic(**given)),
}
"""A call that is right but for the count."""
COUNTS = {
    "fit": ["epochs", "batch_size", "patience", "accumulate"],
    "cross_validate": ["folds", "repeats"],
    "lr_range_test": ["steps", "batch_size"],
    "check_grads": ["order"],
    "memetic": ["rounds", "particles", "steps"],
}
CASES = [(name, count) for name, counts in COUNTS.items() for count in counts]


def assert_refused(call, name, wrong):
    with pytest.raises(cl.ClearpropError) as caught:
        call(**{name: wrong})
    assert caught.value.expected and caught.value.got


@pytest.mark.parametrize(("function", "count"), CASES)
@pytest.mark.parametrize("wrong", NO_COUNTS, ids=repr)
def test_functions(function, count, wrong):
    assert_refused(CALLS[function], count, wrong)


@pytest.mark.parametrize("wrong", NO_COUNTS, ids=repr)
def test_importance(wrong):
    run = cl.fit(cl.nn.mlp([3, 2], seed=0), DATA, epochs=1)
    assert_refused(run.importance, "repeats", wrong)


WHOLE = ("batch_size", "max_iter", "n_iter_no_change", "max_fun", "random_state", "hidden_layer_sizes")


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor])
@pytest.mark.parametrize("wrong", [10**30, -1, 1.5, math.nan, "3"], ids=repr)
def test_estimators(kind, wrong):
    names = [n for n in inspect.signature(kind).parameters if n in {*WHOLE, "epochs", "patience", "hidden"}]
    assert names
    for name in names:
        if (name, wrong) != ("hidden", "3"):  # sizes may be text, as on the command line
            assert_refused(lambda **given: kind(**given).fit(X, Y), name, wrong)


@pytest.mark.parametrize("wrong", [3, 1.5, True, "even", [1.0, 2.0], {0: math.nan}, {0: "much"}], ids=repr)
def test_weights_of_classes(wrong):
    assert_refused(CALLS["fit"], "class_weight", wrong)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -0.1, 1.0, 0.001, 10**30], ids=repr)
def test_the_share_of_validation(wrong):
    assert_refused(CALLS["fit"], "validation", wrong)
