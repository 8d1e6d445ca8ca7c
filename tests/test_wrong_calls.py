"""Every public function, called with every wrong kind, rank, axis, dtype and keyword: only our errors come out."""

import inspect
import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop.arrays import functions
from clearprop.rules.on_demand import NAMESPACES, names

X = np.arange(6.0).reshape(2, 3)
WRONG = [
    None, True, 1.5, -1, 7, 10**30, float("nan"), 1 + 2j, "text", b"ab", [], {}, ("a", 2), (0, 0), slice(None), ...,
    object(), int, np.int64(1), np.array(["a"]), np.array([1 + 2j]), np.zeros((2, 0)), np.array(object(), object),
    np.ones((3, 2, 2), np.float32), np.arange(4), np.array([True]), np.float16(1), range(2), "\ud800",
    np.ma.masked_array([1.0, 2.0], [0, 1]), np.datetime64("2020"),
]  # fmt: skip
OF_ARRAYS = [n for n in cl.__all__ if n in functions.__all__]
OF_RANDOM = ["key", "fold_in", "split", "uniform", "normal", "bernoulli", "permutation"]
OF_RANDOM += [n for found in NAMESPACES["random"].values() for n in found]
OF_DTYPES = ["broadcast_shapes", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]
OTHERS = [
    *("asarray", "check_grads", "compile", "explain", "explain_update", "export", "fit", "from_dlpack", "load"),
    *("lr_range_test", "set_threads", "tensor", "typecheck", "get_threads", "no_grad", "sweep"),
]
METHODS = [
    *("astype", "backward", "detach", "item", "max", "mean", "min", "numpy", "reshape", "sum", "to_device", "tolist"),
    "updated",
]
FUNCTIONS = {f"cl.{n}": getattr(cl, n) for n in [*OF_ARRAYS, *names(), *OF_DTYPES, *OTHERS]}
FUNCTIONS |= {f"cl.random.{n}": getattr(cl.random, n) for n in OF_RANDOM}
FUNCTIONS |= {f"cl.linalg.{n}": getattr(cl.linalg, n) for n in dir(cl.linalg)}
FUNCTIONS |= {f"cl.fft.{n}": getattr(cl.fft, n) for n in dir(cl.fft)}
OF_NETWORKS = {n: f for n in dir(cl.nn) if callable(f := getattr(cl.nn, n)) and not isinstance(f, type)}
FUNCTIONS |= {f"cl.nn.{n}": f for n, f in OF_NETWORKS.items()}
FUNCTIONS |= {f"cl.Tensor.{n}": getattr(cl.tensor(X), n) for n in METHODS}
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def calls(function):
    """Positional and named arguments: none, too many, unknown ones; then one wrong one at each place."""
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    count = max(1, len(needed))
    yield (), {}
    yield (X,) * 12, {}
    yield (X,) * len(needed), {"no_such_name": 1}
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


def loss(x, y=2.0):
    return cl.sum(x * x * y)


T = cl.tensor(X)
TRANSFORMS = {
    "grad": ((loss,), lambda g: g(T)),
    "value_and_grad": ((loss,), lambda g: g(T, 3.0)),
    "jacobian": ((lambda x: cl.sin(x),), lambda g: g(T)),
    "hessian": ((loss,), lambda g: g(T[0])),
    "hvp": ((loss, T, T), None),
    "jvp": ((loss, (T,), (T,)), None),
    "vjp": ((loss, T), lambda pair: pair[1](1.0)),
    "vmap": ((cl.sin,), lambda g: g(T)),
    "per_example_grad": ((lambda w, x, y: loss(w, x + y),), lambda g: g(1.0, T[0], T[0])),
    "tree_map": ((cl.add, {"a": T}, {"a": T}), None),
}
"""A right call of each, and what is done with its result."""
TAKE_FUNCTIONS = (int, object)
"""Wrong things that can be called: they are functions, which may do anything with what they get."""


def wrong_transforms(name):
    """The right call with one thing wrong: an argument, an option, something too much or too little."""
    right, _ = TRANSFORMS[name]
    parameters = inspect.signature(getattr(cl, name)).parameters.values()
    options = [p.name for p in parameters if p.default is not p.empty]
    bounded = all(p.kind is not p.VAR_POSITIONAL for p in parameters)  # else more arguments are more primals
    yield (), {}
    yield right, {"no_such_name": 1}
    for wrong in WRONG:
        for place in range(len(right)):
            yield (*right[:place], wrong, *right[place + 1 :]), {}
        for option in options:
            yield right, {option: wrong}
        if bounded and (options or name in ("hvp", "jvp")):
            yield (*right, *[wrong] * 6), {}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_wrong_calls_of_transforms_end_in_our_errors(name):
    _, use = TRANSFORMS[name]
    tried = refused = 0
    for args, kwargs in wrong_transforms(name):
        if args and any(args[0] is f for f in TAKE_FUNCTIONS):
            continue
        tried += 1
        try:
            made = getattr(cl, name)(*args, **kwargs)
            if use is not None:
                use(made)
        except cl.ClearpropError as error:
            refused += 1
            assert error.headline and (error.expected or error.got), (args, kwargs)
        except Exception as error:
            said = f"{name}{args!r:.200} {kwargs!r:.100} ended in {type(error).__name__}: {error}"
            raise AssertionError(said) from error
    print(f"{name}: {tried} calls, {refused} refused")
    assert refused > len(WRONG)


@pytest.mark.parametrize("name", ["jvp", "hvp", "vjp"])
@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: ascii(w)[:20])
def test_wrong_vectors_are_refused_or_numbers(name, wrong):
    calls = {
        "jvp": lambda: cl.jvp(cl.sin, (T,), (wrong,))[1],
        "hvp": lambda: cl.hvp(loss, T, wrong),
        "vjp": lambda: cl.vjp(cl.sin, T)[1](wrong)[0],
    }
    with pytest.raises(cl.ClearpropError):
        calls[name]()


VECTORS = [X, X.astype(np.float32), X.astype(int), X > 2, X.astype(">f8"), T]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{type(v).__name__} {v.dtype}")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_become_of_the_dtype_of_what_they_belong_to(vector, dtype):
    x = X.astype(dtype)
    expected = (np.cos(x) * np.asarray(vector)).astype(dtype)
    for found in (cl.jvp(cl.sin, (x,), (vector,))[1], cl.vjp(cl.sin, x)[1](vector)[0]):
        assert found.dtype == dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("argnums", [(0, 0), (0, -2), (1, 0, 1)], ids=str)
@pytest.mark.parametrize("transform", [cl.grad, cl.value_and_grad, cl.jacobian], ids=lambda t: t.__name__)
def test_an_argument_is_differentiated_once(transform, argnums):
    with pytest.raises(cl.errors.ArgumentError, match="to differentiate twice"):
        transform(loss, argnums)(1.0, 2.0)


def test_a_tangent_has_the_keys_of_its_primal():
    with pytest.raises(cl.errors.ArgumentError, match="another structure"):
        cl.jvp(lambda d: d["a"], ({"a": 1.0},), ({"b": 1.0},))
    _, dot = cl.jvp(lambda d: d["a"] * d["n"], ({"a": 1.0, "n": 3},), ({"a": 1.0, "n": None},))
    assert dot.item() == 3.0


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
