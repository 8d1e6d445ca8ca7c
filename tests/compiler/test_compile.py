"""What `cl.compile` means: specialisation, sizes, donation, captured arrays, trees, and other transforms inside."""

from __future__ import annotations

import threading
from collections import namedtuple

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn, optim
from clearprop.compiler import Compiled, executable
from clearprop.errors import ShapeError, TraceError

X = np.array([1.0, 2.0, 3.0])
M = np.arange(12.0).reshape(3, 4)


def numpy(f=None, **options):
    """Compiled for the NumPy executor: what is tested here does not depend on the executor, and it starts at once."""
    return cl.compile(f, executor="numpy", **options)


def close(got, want):
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------------------ forms
def test_as_a_decorator_with_and_without_arguments_and_as_a_function():
    @cl.compile
    def plain(x):
        """Twice."""
        return 2 * x

    @cl.compile(static="n", executor="numpy")
    def power(x, n):
        return x**n

    assert isinstance(plain, Compiled) and plain.__name__ == "plain" and plain.__doc__ == "Twice."
    assert repr(plain) == "<compiled plain>"
    close(plain(X), 2 * X)
    close(power(X, 3), X**3)
    close(cl.compile(lambda x: x + 1)(X), X + 1)


def test_keywords_defaults_and_collected_arguments():
    def f(x, a=1.0, b=2.0):
        return x * a + b

    g = numpy(f)
    for args, kwargs in [((X,), {}), ((X, 3.0), {}), ((X,), {"b": 5.0}), ((X,), {"a": 3.0}), ((), {"b": 1.0, "x": X})]:
        close(g(*args, **kwargs), f(*args, **kwargs))
    close(numpy(lambda x, *, scale: x * scale)(X, scale=3.0), 3 * X)
    close(numpy(lambda *xs: xs[0] + 2 * xs[1])(X, X), 3 * X)
    close(numpy(lambda x, **more: x * more["a"] + more["b"])(X, b=1.0, a=2.0), 2 * X + 1)


def test_static_arguments_by_position_name_and_keyword():
    traced = []

    @numpy(static=("n", 2))
    def f(x, n, mode="sum"):
        traced.append((n, mode))
        return cl.sum(x) * n if mode == "sum" else cl.max(x) * n

    close(f(X, 2), 12)
    close(f(X, 2), 12)
    close(f(X, n=2), 12)
    close(f(X, 3, "max"), 9)
    close(f(X, 2, mode="max"), 6)
    assert traced.count((2, "sum")) <= 2 and (3, "max") in traced and (2, "max") in traced
    kinds = numpy(static="n")(lambda x, n: x * n if isinstance(n, bool) else x + n)
    close(kinds(X, 1), X + 1)
    close(kinds(X, True), X)
    close(kinds(X, 1.0), X + 1)


def test_python_numbers_are_weak_run_time_values():
    f = numpy(lambda x, rate: x * rate)
    x = X.astype(np.float32)
    assert f(x, 0.5).dtype == np.float32
    close(f(x, 0.25), x * 0.25)
    assert f.cache_info().misses == 1
    assert f(x, 2).dtype == np.float32 and f.cache_info().misses == 2


# ------------------------------------------------------------------------------------------------ sizes
def test_other_sizes_do_not_trace_again():
    f = numpy(lambda x, w: cl.mean(cl.tanh(x @ w), axis=0) / x.shape[0])
    w = np.ones((4, 2))
    for n in (3, 5, 1000, 2, 0):
        x = np.full((n, 4), 0.25)
        with np.errstate(all="ignore"):
            want = np.tanh(x @ w).sum(0) / n / n if n else [np.nan, np.nan]
        close(f(x, w), want)
    assert f.cache_info().misses == 1 and f.cache_info().hits == 4
    assert f.cache_info().programs == ["step(f64[n0,n1], f64[n1,n3])"]


def test_an_axis_of_one_is_another_program():
    f = numpy(lambda x, y: x + y)
    close(f(M, M), 2 * M)
    close(f(M, M[:1]), M + M[:1])
    close(f(M[:2], M[:1]), M[:2] + M[:1])
    assert f.cache_info().misses == 2


def test_looking_at_a_size_makes_the_program_special_to_it():
    f = numpy(lambda x: x / 2 if x.shape[0] > 4 else x)
    close(f(np.ones(3)), np.ones(3))
    close(f(np.ones(2)), np.ones(2))
    close(f(np.ones(5)), 0.5 * np.ones(5))
    info = f.cache_info()
    assert (info.misses, info.hits) == (2, 1)
    assert info.programs == ["step(f64[n0]) where n0 <= 4 is True", "step(f64[n0]) where n0 <= 4 is False"]
    g = numpy(lambda x: cl.stack([x[i] * i for i in range(x.shape[0])]))
    for n in (3, 4, 3):
        close(g(np.ones(n)), np.arange(n))
    assert g.cache_info().programs == ["step(f64[n0]) where n0 == 3 is True", "step(f64[n0]) where n0 == 4 is True"]


def test_sizes_that_agreed_and_agree_no_more_are_traced_again_and_told():
    f = numpy(lambda x, w: x @ w)
    close(f(M, M.T), M @ M.T)
    with pytest.raises(ShapeError) as caught:
        f(M, np.ones((5, 2)))
    assert caught.value.headline == "matmul cannot multiply (n0, n1) by (n2, n3)"
    assert caught.value.where.startswith("test_compile.py:")
    close(f(M, M.T), M @ M.T)


def test_a_size_is_a_number_when_it_is_returned():
    assert int(numpy(lambda x: x.shape[0] * 2)(X)) == 6


# ------------------------------------------------------------------------------------------------ trees
def test_trees_of_arguments_and_results():
    Pair = namedtuple("Pair", "a b")
    f = numpy(lambda p, d: ({"sum": p.a + d["x"], "none": None}, [p.b, (p.a,)], Pair(1, "text")))
    out = f(Pair(X, 2 * X), {"x": 3.0})
    close(out[0]["sum"], X + 3)
    assert out[0]["none"] is None and type(out[1]) is list and type(out[2]) is Pair
    close(out[1][0], 2 * X)
    assert (out[2].a, out[2].b) == (1, "text") and type(out[2].a) is int
    close(f(Pair(X[:2], X[:2]), {"x": 1.0})[0]["sum"], X[:2] + 1)
    assert f.cache_info().misses == 1


def test_none_and_text_among_the_arguments_are_part_of_the_program():
    f = numpy(lambda x, how: x if how is None else x * (2 if how == "twice" else 3))
    close(f(X, None), X)
    close(f(X, "twice"), 2 * X)
    close(f(X, "thrice"), 3 * X)
    assert f.cache_info().misses == 3


def test_an_argument_that_is_returned_is_a_value_of_its_own():
    for executor in ("numpy", "numba"):
        x = X.copy()
        same, again = cl.compile(lambda x: (x, x), executor=executor)(x)
        close(same, X)
        close(again, X)


def test_dtypes_and_byte_orders():
    f = cl.compile(lambda x: x * 2)
    assert f(np.arange(3)).dtype == np.int64
    assert f(np.array([True, False])).dtype == np.int64
    big = np.arange(3, dtype=">f8")
    for executor in ("numpy", "numba"):
        close(cl.compile(lambda x: x * 2 + 1, executor=executor)(big), [1, 3, 5])
    strided = np.arange(12.0).reshape(3, 4)[:, ::2]
    close(cl.compile(lambda x: x + 1, executor="numba")(strided), strided + 1)


@pytest.mark.parametrize("executor", ["numpy", "numba"])
def test_joined_arrays_of_several_dtypes(executor):
    """Native kernels read what they write: the operands are converted first."""
    small, whole = M.astype(np.float32) / 3, np.arange(8).reshape(2, 4)
    f = cl.compile(lambda a, b, c: (cl.concat([a, b, c]), cl.stack([a, b])), executor=executor)
    joined, stacked = f(small, M / 7, whole)
    assert joined.dtype == stacked.dtype == np.float64
    close(joined, np.concatenate([small, M / 7, whole]))
    close(stacked, np.stack([small, M / 7]))


@pytest.mark.parametrize("executor", ["numpy", "numba"])
def test_functions_without_arguments_or_without_results(executor):
    assert cl.compile(lambda x: None, executor=executor)(X) is None
    assert cl.compile(lambda x: ("text", 3), executor=executor)(X) == ("text", 3)
    close(cl.compile(lambda: cl.ones((2, 3)) * 2, executor=executor)(), 2 * np.ones((2, 3)))
    close(cl.compile(lambda: W * 2, executor=executor)(), 2 * np.asarray(W))


def test_names_that_python_or_numpy_has_already():
    """Two names that become one identifier, keywords, and names that the printed source uses itself."""

    def np(float, erf, tree):
        n0 = tree["a.b"] - tree["a_b"]
        slice = cl.erf(float) * erf + tree["lambda"] * n0.shape[0]
        return slice + n0 * 0.9 ** tree["class"]

    tree = {"a.b": X, "a_b": 2 * X, "lambda": 0.5 * X, "class": 2}
    want = np(cl.asarray(X), X, tree)
    compiled = numpy(np)
    close(compiled(X, X, tree), want)
    assert "def np_(float_2, erf_2, tree_a_b, tree_a_b_2, tree_class, tree_lambda):" in compiled.source("numpy")
    assert compiled.source("numba").count("tree_a_b_2") > 1


# ------------------------------------------------------------------------------------------------ captured
W = cl.tensor([1.0, 1.0, 1.0])


@pytest.mark.parametrize("executor", ["numpy", "numba"])
def test_a_captured_tensor_that_is_replaced_is_seen(executor):
    global W
    W = cl.tensor([1.0, 1.0, 1.0])
    w = cl.tensor([1.0, 2.0, 3.0])

    def helper(x):
        return x * W

    f = cl.compile(lambda x: cl.sum(helper(x) * w), executor=executor)
    close(f(X), 14)
    w = w * 2
    close(f(X), 28)
    W = W * 2
    close(f(X), 56)
    assert f.cache_info().misses == 1
    w = cl.tensor(1.0)
    close(f(X), 12)
    assert f.cache_info().misses == 2
    assert len(f.program.captured) == 2 and len(f.program.inputs) == 3


def test_captured_arrays_are_not_copied_into_the_program():
    contiguous, turned = np.ones((2, 3)), np.ones((3, 2)).T
    for executor in ("numpy", "numba"):
        contiguous[:], turned[:] = 1.0, 1.0
        f = cl.compile(lambda x: cl.sum(x * contiguous) + 10 * cl.sum(x * turned), executor=executor)
        close(f(X), 2 * 6 + 20 * 6)
        contiguous[:], turned[:] = 2.0, 3.0
        close(f(X), 4 * 6 + 60 * 6)


def test_a_captured_model_that_is_replaced_is_seen():
    model = nn.mlp([3, 4, 2], seed=0)
    f = numpy(lambda x: model(x))
    x = X.astype(np.float32)[None]
    for seed, hidden in ((0, 4), (1, 4), (1, 6)):
        model = nn.mlp([3, hidden, 2], seed=seed)
        close(f(x), model(x))


def test_no_gradient_is_lost():
    f = numpy(lambda x: cl.sum(x * x))
    close(cl.grad(f)(X), 2 * X)
    w = cl.tensor(X, requires_grad=True)
    f(w).backward()
    close(w.grad, 2 * X)
    with cl.no_grad():
        assert not f(w).requires_grad
    g = numpy(lambda x: cl.sum(x * w))
    w.grad = None
    g(X).backward()
    close(w.grad, X)


# ------------------------------------------------------------------------------------------------ donation
@pytest.mark.parametrize("executor", ["numpy", "numba"])
def test_donated_tensors_become_invalid_and_name_the_call(executor):
    f = cl.compile(lambda x, y: x + y, donate="x", executor=executor)
    first = f(cl.tensor(X), X)
    second = f(first, X)
    close(second, 3 * X)
    assert repr(first).startswith("Tensor(donated in test_compile.py:")
    uses = [
        lambda: first + 1, lambda: np.asarray(first), lambda: f(first, X), lambda: f(X, first), lambda: first.shape,
        lambda: cl.grad(cl.sum)(first), lambda: float(first), lambda: first.item(), lambda: first[0],
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(TraceError) as caught:
            use()
        error = caught.value
        assert error.headline == "this tensor was donated and its memory reused"
        assert error.expected == "the tensors that the call returned"
        assert error.got == "a tensor given away in an earlier call"
        assert error.where.startswith("test_compile.py:") and "second = f(first, X)" in error.where
        assert error.try_ == "use the returned value, or leave the argument out of donate="


@pytest.mark.parametrize("reads", [True, False])
def test_native_code_finds_arrays_in_their_objects_or_is_told(monkeypatch, reads):
    monkeypatch.setattr(executable, "READS_OBJECTS", reads)
    f = cl.compile(lambda a, b: (a * 2 + b, cl.sum(a)), executor="numba")
    base = np.arange(24.0)
    for a in (base[:6], base[3:9], base[::4], base[6:12][::-1], cl.tensor(base[6:12]), base[:6] + 1):
        doubled, total = f(a, base[-6:])
        close(doubled, 2 * np.asarray(a) + base[-6:])
        close(total, np.asarray(a).sum())


def test_donated_memory_is_reused_and_nobody_elses():
    f = cl.compile(lambda x, y: x + y, donate=0, executor="numba")
    mine = X.copy()
    shared = cl.asarray(mine)
    first = f(mine, X)
    close(f(shared, X), 2 * X)
    close(mine, X)  # neither the array nor the tensor's memory
    address = first.value.ctypes.data
    second = f(first, X)
    assert second.value.ctypes.data == address
    seen = np.asarray(second)  # a view that the caller keeps
    third = f(second, X)
    close(seen, 3 * X)
    close(third, 4 * X)
    slice_ = np.asarray(third)[1:]
    close(f(third, X), 5 * X)
    close(slice_, 4 * X[1:])
    once = f(X, X)
    close(f(once, once.value), 4 * X)


def test_a_donated_tree_by_name():
    @cl.compile(donate=("state",), executor="numba")
    def step(state, x):
        return {"a": state["a"] + x, "b": state["b"] * 2, "n": state["n"] + 1}

    state = step({"a": X, "b": X, "n": np.int64(0)}, X)
    for _ in range(3):
        state = step(state, x=X)
    close(state["a"], 5 * X)
    close(state["b"], 16 * X)
    assert state["n"].item() == 4


def test_values_that_change_places_in_donated_memory():
    f = cl.compile(lambda a, b: (b, a), donate=(0, 1), executor="numba")
    a, b = f(X, 2 * X)
    for _ in range(3):
        a, b = f(a, b)
    close(a, X * 1)
    close(b, 2 * X)
    g = cl.compile(lambda a: (a * 2, a[::-1] + a), donate=0, executor="numba")
    twice, sums = g(*g(X)[:1])
    close(twice, 4 * X)
    close(sums, 2 * (X + X[::-1]))


# ------------------------------------------------------------------------------------------------ transforms inside
def test_a_compiled_function_inside_another():
    inner = cl.compile(lambda x: cl.sin(x) * 2)
    outer = numpy(lambda x: cl.sum(inner(x)) + inner(x)[0])
    close(outer(X), 2 * np.sin(X).sum() + 2 * np.sin(1.0))
    assert inner.cache_info().misses == 0


def scalar(w):
    return cl.sum(cl.tanh(w) * w * w)


TRANSFORMS = {
    "grad": cl.grad(scalar),
    "value_and_grad": cl.value_and_grad(scalar),
    "hessian": cl.hessian(scalar),
    "jacobian": cl.jacobian(lambda w: cl.exp(w) * w[0]),
    "hvp": lambda w: cl.hvp(scalar, (w,), (w * 0.5,)),
    "vmap": cl.vmap(lambda v: cl.exp(-v) * v),
    "per_example_grad": lambda w: cl.per_example_grad(lambda v, a, b: (v[0] * a - b) ** 2)(w, w + 1, w - 1),
    "vjp": lambda w: cl.vjp(scalar, w)[1](1.0),
    "jvp": lambda w: cl.jvp(scalar, (w,), (w,)),
    "grad of grad": cl.grad(lambda w: cl.sum(cl.grad(scalar)(w) ** 2)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_compile(name):
    f = TRANSFORMS[name]
    compiled = numpy(lambda w: f(w))
    for x in (X, X[:2], 0.1 * np.arange(5.0)):
        got, want = compiled(x), f(x)
        for a, b in zip(*(v if isinstance(v, tuple) else (v,) for v in (got, want)), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12)


def test_state_and_random_layers_compile():
    """BatchNorm's statistics come out renewed, Dropout drops as eager does, and inference uses both."""
    model = nn.mlp([3, 6, 2], "tanh", norm="batch", dropout=0.5)
    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    train = lambda m, key, x: nn.apply(m, x, train=True, rng=key)
    compiled = cl.compile(train, executor="numba")
    for i in range(2):
        key = cl.random.fold_in(cl.random.key(0), i)
        got, after = compiled(model, key, x)
        want, expected = train(model, key, x)
        np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=2e-5, atol=1e-6)
        for a, b in zip(*(m.state().values() for m in (after, expected)), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-7)
        assert np.array_equal(np.asarray(got) == 0, np.asarray(want) == 0)
    np.testing.assert_allclose(np.asarray(numpy(lambda m, x: m(x))(after, x)), np.asarray(after(x)), rtol=1e-6)


def test_a_training_step_of_trees_by_an_optimizer():
    opt = optim.chain(optim.clip_by_norm(1.0), optim.adam(1e-2))
    params = {"w": np.ones((4, 2)), "b": np.zeros(2)}

    @numpy(donate=("params", "state"))
    def step(params, state, x, y):
        value, grads = cl.value_and_grad(lambda p: nn.mse(x @ p["w"] + p["b"], y))(params)
        updates, state = opt.update(grads, state, params)
        return optim.apply_updates(params, updates), state, value

    state, losses = opt.init(params), []
    for n in (6, 6, 3, 8):
        params, state, value = step(params, state, np.ones((n, 4)), np.ones((n, 2)))
        losses.append(float(value))
    assert losses == sorted(losses, reverse=True)
    assert step.cache_info().misses == 1 + (len(step.cache_info().programs) - 1) <= 2


def test_functions_of_python_threads():
    """One compiled function called by many threads, of which some trace at the same time."""
    f = cl.compile(lambda x: cl.sum(x * x) / x.shape[0], executor="numba")
    wrong, start = [], threading.Barrier(6)

    def work(k):
        start.wait()
        for i in range(60):
            x = np.full(3 + (k + i) % 5, float(k))
            if abs(float(f(x)) - k * k) > 1e-12:
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
    assert f.cache_info().misses == 1
