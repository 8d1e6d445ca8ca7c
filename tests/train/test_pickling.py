"""Runs and compiled functions travel to other processes: pools, joblib, copies."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import clearprop as cl

X, Y = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32), np.arange(40) % 3


def net():
    return cl.nn.mlp([4, 5, 3])


def own_loss(outputs, y):
    return cl.nn.cross_entropy(outputs, y) * 2.0


def halves(event, state):
    return None


@cl.compile
def decorated(x):
    return cl.sum(x * x)


def plain(x):
    return cl.sum(x * 3.0)


def local_loss():
    return lambda outputs, y: own_loss(outputs, y)


def masked():
    return cl.optim.masked(cl.optim.adam(0.01), lambda name, array: True)


FITS = {
    "plain": {},
    "own loss, metric, callback": {"loss": own_loss, "metrics": [own_loss], "callbacks": [halves]},
    "local callback": {"callbacks": [lambda event, state: None]},
    "validation": {"validation": 0.25, "metrics": ("accuracy",), "patience": 3},
}
WITH_LAMBDAS = {
    "loss": lambda: {"loss": local_loss()},
    "metric": lambda: {"metrics": [local_loss()]},
    "mask": lambda: {"optimizer": masked()},
}
WAYS = {"pickle": lambda v: pickle.loads(pickle.dumps(v)), "deepcopy": copy.deepcopy, "copy": copy.copy}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FITS)
def test_a_copy_of_a_run_predicts_replays_and_forks(name, way):
    run = cl.fit(net(), (X, Y), epochs=2, batch_size=10, **FITS[name])
    again = WAYS[way](run)
    np.testing.assert_array_equal(again.predict(X), run.predict(X))
    assert again.replay(2).digest == run.replay(2).digest
    assert again.fork(2, {}).replay(run.steps).digest == run.replay(run.steps).digest


@pytest.mark.parametrize("name", WITH_LAMBDAS)
def test_what_has_no_name_stays_behind_and_is_said_when_it_is_missed(name):
    run = cl.fit(net(), (X, Y), epochs=2, **WITH_LAMBDAS[name]())
    again = WAYS["pickle"](run)
    np.testing.assert_array_equal(again.predict(X), run.predict(X))
    with pytest.raises(cl.ClearpropError, match="left behind") as caught:
        again.replay(2)
    assert caught.value.try_
    assert WAYS["deepcopy"](run).replay(2).digest == run.replay(2).digest


def test_a_run_of_batches_leaves_them_behind():
    run = cl.fit(net(), (batch for batch in [(X, Y)] * 4), epochs=1)
    again = WAYS["pickle"](run)
    np.testing.assert_array_equal(again.predict(X), run.predict(X))
    with pytest.raises(cl.ClearpropError, match="left behind"):
        again.replay(1)


def test_a_run_that_was_loaded_and_an_interrupt_that_holds_one(tmp_path):
    run = cl.fit(net(), (X, Y), epochs=2, out=tmp_path / "run")
    again = WAYS["pickle"](cl.load(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict(X), run.predict(X))
    held = WAYS["pickle"](cl.TrainingInterrupted(run)).run
    np.testing.assert_array_equal(held.predict(X), run.predict(X))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("function", [decorated, cl.compile(plain)], ids=["decorated", "called"])
def test_compiled_functions_are_copied(function, way):
    x = cl.tensor([1.0, 2.0])
    want = float(function(x))
    assert float(WAYS[way](function)(x)) == want


def test_a_compiled_lambda_cannot_be_pickled_and_says_so():
    compiled = cl.compile(lambda x: x * 2.0)
    with pytest.raises(cl.ClearpropError, match="cannot be pickled"):
        pickle.dumps(compiled)
    assert float(copy.deepcopy(compiled)(cl.tensor(2.0))) == 4.0


def test_another_process_uses_a_run(tmp_path):
    run = cl.fit(net(), (X, Y), epochs=1)
    (tmp_path / "run.pickle").write_bytes(pickle.dumps(run))
    script = f"""
import pickle
import numpy as np
run = pickle.loads(open({str(tmp_path / "run.pickle")!r}, "rb").read())
print(run.replay(1).digest, *run.predict(np.eye(4, dtype=np.float32)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [run.replay(1).digest, *map(str, run.predict(np.eye(4, dtype=np.float32)))]


def slope_of(x):
    return cl.sum(x**3)


@cl.grad
def decorated_slope(x):
    return slope_of(x)


@cl.compile
@cl.grad
def compiled_slope(x):
    return slope_of(x)


DERIVED = {
    "grad": (cl.grad(slope_of), (2.0,)),
    "value_and_grad": (cl.value_and_grad(slope_of, has_aux=False), (2.0,)),
    "second order": (cl.grad(cl.grad(slope_of)), (2.0,)),
    "jacobian": (cl.jacobian(cl.sin), (np.arange(2.0),)),
    "hessian": (cl.hessian(slope_of), (np.arange(2.0),)),
    "vmap": (cl.vmap(slope_of), (np.arange(2.0),)),
    "per example": (cl.per_example_grad(cl.multiply, in_axes=(None, 0)), (2.0, np.arange(2.0))),
    "compiled where it is used": (cl.compile(cl.grad(slope_of)), (np.arange(2.0),)),
    "decorated": (decorated_slope, (2.0,)),
    "compiled": (compiled_slope, (2.0,)),
    "linear algebra": (cl.grad(cl.linalg.det), (np.eye(2),)),
    "late family": (cl.grad(cl.erfc), (0.5,)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", DERIVED)
def test_derivatives_travel(name, way):
    function, args = DERIVED[name]
    again = WAYS[way](function)
    for found, expected in zip(cl_leaves(again(*args)), cl_leaves(function(*args)), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert again.__name__ == function.__name__


def cl_leaves(tree):
    return [np.asarray(v) for v in (tree if isinstance(tree, tuple) else (tree,))]


def test_the_derivative_of_a_lambda_is_refused_with_advice():
    with pytest.raises(cl.errors.ArgumentError, match="grad of <lambda> cannot be pickled") as caught:
        pickle.dumps(cl.grad(lambda x: x))
    assert "top of a module" in caught.value.expected


def test_a_derivative_stands_in_a_class_as_a_method():
    class Cubic:
        scale = 2.0

        def value(self, x):
            return self.scale * x**3

        slope = cl.grad(value, argnums=1)

    assert Cubic().slope(2.0).item() == 24.0


@pytest.mark.parametrize("home", [cl, cl.nn, cl.optim, cl.random, cl.linalg], ids=lambda m: m.__name__)
def test_every_public_function_can_be_pickled(home):
    for name in dir(home):
        found = getattr(home, name)
        if name[0] != "_" and callable(found) and getattr(found, "__module__", "").startswith("clearprop."):
            assert pickle.loads(pickle.dumps(found)) is found, name
