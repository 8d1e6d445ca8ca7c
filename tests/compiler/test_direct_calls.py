"""Calls that came before are found directly: whatever differs from them is seen, and what is found is the same."""

import gc
import sys
import threading
import warnings
from collections import OrderedDict, namedtuple

import numpy as np
import optree
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.autodiff.trees import NAMESPACE
from clearprop.compiler import ExecutorWarning
from clearprop.compiler.direct_call import MISSED
from clearprop.compiler.native import native_executor
from clearprop.compiler.native.object_calls import ObjectCall
from clearprop.errors import TraceError

Pair = namedtuple("Pair", "left right")


class Registered:
    """A node of a user's own, told to the library of trees and not to us."""

    def __init__(self, x, tag):
        self.x, self.tag = x, tag


optree.register_pytree_node(
    Registered, lambda r: ([r.x], r.tag, ("x",)), lambda tag, c: Registered(c[0], tag), namespace=NAMESPACE
)


def value(tree):
    """Every leaf twice as large, in a tree of the same structure."""
    return cl.tree_map(lambda leaf: leaf if isinstance(leaf, str) else leaf * 2, tree)


def text_of(tree):
    """What a tree is, to the bit: structure, classes, dtypes, numbers."""
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    return structure, [(type(v), getattr(v, "dtype", None), str(np.asarray(v).tolist())) for v in leaves]


def found_directly(compiled, argument):
    """Whether the general way is not gone for this argument."""
    return compiled._run_directly((argument,)) is not MISSED


X, Y = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(4.0)
T, U = cl.tensor(X), cl.tensor(Y)
DENSE, WIDE = nn.Dense(3, 2, rng=0), nn.Dense(3, 4, rng=0)
KINDS = {
    "array": [X, X.astype(np.float64), X[:1], X.T, X.astype(">f4"), T, 1.5, [X], X.astype(int)],
    "tensor": [T, T * 1.0, cl.tensor(2.0), U, X],
    "number": [1.5, 2, True, np.float32(1.5), np.float64(1.5), cl.tensor(1.5)],
    "transposed": [X.T, X, np.asfortranarray(X), X[:, ::-1]],
    "tuple": [(X, Y), [X, Y], (X,), (X, Y, Y), Pair(X, Y), (X, (Y,)), (X, None), {"a": X, "b": Y}],
    "list": [[T, U], (T, U), [T], [T, U, U], []],
    "pair": [Pair(T, Y), (T, Y), Pair(Y, T), Pair((T,), Y)],
    "dictionary": [{"b": X, "a": Y}, {"a": Y, "b": X}, {"b": X, "c": Y}, {"b": X}, OrderedDict(b=X, a=Y)],
    "nothing": [{"a": None, "b": X}, {"a": Y, "b": X}, {"a": None, "b": Y}, {"a": [], "b": X}],
    "registered": [Registered(X, 1), Registered(X, 2), Registered(Y, 1), [Registered(X, 1)]],
    "layer": [DENSE, WIDE, nn.Dense(3, 2, bias=False, rng=0), {"w": X}, nn.Sequential((DENSE,))],
    "network": [
        nn.mlp([3, 4, 2], seed=0), nn.mlp([3, 4, 2], activation="tanh", seed=0), nn.mlp([3, 4, 4, 2], seed=0),
        nn.mlp([3, 4, 2], norm="layer", seed=0), nn.mlp([3, 4, 2], dtype="float64", seed=0),
    ],
    "text": [("double", X), ("twice", X), ("double", Y), (1, X)],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_differs_from_calls_that_came_before_is_seen(kind):
    first, *others = KINDS[kind]
    compiled = cl.compile(value, executor="numpy")
    want = text_of(cl.compile(value, executor="numpy")(first))
    assert [text_of(compiled(first)) for _ in range(5)] == [want] * 5
    assert found_directly(compiled, first)
    for other in others:
        want_other = text_of(cl.compile(value, executor="numpy")(other))
        assert [text_of(compiled(other)) for _ in range(5)] == [want_other] * 5, other
        assert text_of(compiled(first)) == want
    assert compiled.cache_info().hits + compiled.cache_info().misses == 5 + 6 * len(others) + 1


def test_arguments_that_are_part_of_the_program_are_told_apart():
    compiled = cl.compile(lambda x, power, *, scale=1: x**power * scale, static=("power", "scale"), executor="numpy")
    for _ in range(5):
        assert [float(compiled(cl.tensor(3.0), p)) for p in (1, 2, 3)] == [3.0, 9.0, 27.0]
        assert float(compiled(cl.tensor(3.0), 2, scale=10)) == 90.0
        assert float(compiled(power=2, x=cl.tensor(3.0))) == 9.0
    with pytest.raises(cl.errors.ArgumentError, match="power"):
        compiled(cl.tensor(3.0))


def test_results_that_are_the_same_in_every_call_stay_what_they_are():
    compiled = cl.compile(lambda x: {"y": x * 2, "name": "double", "n": 3, "parts": (), "none": None}, executor="numpy")
    for n in range(6):
        out = compiled(cl.tensor(float(n)))
        assert (float(out.pop("y")), out) == (2.0 * n, {"name": "double", "n": 3, "parts": (), "none": None})
        out["parts"] = "another"  # nobody else has this dictionary


def test_parts_without_arrays_are_the_same_object_unless_they_can_be_changed():
    network = nn.Sequential((nn.Dense(2, 2, rng=0), nn.Activation("tanh")))
    compiled = cl.compile(lambda m: (cl.tree_map(lambda w: w * 2, m), [()], {}), executor="numpy")
    calls = [compiled(network) for _ in range(7)]
    assert len({id(m.layers[1]) for m, _, _ in calls[4:]}) == 1
    assert (
        len({id(m.layers[0]) for m, _, _ in calls}) == len({id(part) for _, *rest in calls for part in rest}) / 2 == 7
    )
    other = nn.Sequential((network.layers[0], nn.Activation("relu")))
    assert [compiled(m)[0].layers[1].name for m in (other, network) * 6] == ["relu", "tanh"] * 6


def test_many_lengths_are_found_directly():
    compiled = cl.compile(lambda x: x * 2, executor="numpy")
    calls = [np.ones(n) for n in range(2, 10)]
    for _ in range(6):
        assert [compiled(x).tolist() for x in calls] == [[2.0] * len(x) for x in calls]
    assert all(found_directly(compiled, x) for x in calls)
    assert compiled.cache_info().misses == 1


def test_arrays_around_a_function_are_looked_at_before():
    around = {"w": cl.tensor([1.0, 2.0])}
    compiled = cl.compile(lambda x: x * around["w"])
    for n in range(8):
        around["w"] = cl.tensor([float(n), 1.0]) if n != 6 else cl.tensor([6, 1])
        assert compiled(cl.tensor([1.0, 1.0])).tolist() == [float(n), 1.0]
    around["w"] = cl.tensor([5.0, 1.0], requires_grad=True)
    with warnings.catch_warnings(action="ignore", category=ExecutorWarning):  # which is given once
        cl.sum(compiled(cl.tensor([1.0, 1.0]))).backward()
    assert around["w"].grad.tolist() == [1.0, 1.0]


def test_a_gradient_flows_through_whatever_came_before():
    compiled = cl.compile(lambda x: cl.sum(x * x))
    for _ in range(5):
        compiled(cl.tensor([1.0, 2.0]))
    x = cl.tensor([1.0, 2.0], requires_grad=True)
    with warnings.catch_warnings(action="ignore", category=ExecutorWarning):  # which is given once
        compiled(x).backward()
    assert x.grad.tolist() == [2.0, 4.0]
    with cl.no_grad():
        assert float(compiled(x)) == 5.0
    assert float(cl.grad(lambda y: compiled(y))(cl.tensor([1.0, 2.0])).sum()) == 6.0


@pytest.mark.parametrize("executor", ["numba", "numpy"])
def test_donated_memory_is_taken_over_only_where_nobody_else_holds_it(executor):
    @cl.compile(donate="state", executor=executor)
    def step(state, x):
        return {"m": state["m"] * 0.5 + x, "n": state["n"] + 1}, cl.sum(state["m"])

    state, x, want = {"m": cl.tensor(np.ones(4)), "n": cl.tensor(0)}, cl.tensor(np.arange(4.0)), np.ones(4)
    kept = []
    for n in range(12):
        given, seen = state, want.copy()
        if n % 4 == 1:
            kept.append((state["m"].detach(), seen))  # another tensor of the same array
        if n % 4 == 2:
            kept.append((state["m"].numpy()[1:], seen[1:]))  # a view
        state, total = step(state, x)
        assert float(total) == want.sum()
        want = want * 0.5 + np.arange(4.0)
        assert (state["m"].tolist(), int(state["n"])) == (want.tolist(), n + 1)
        with pytest.raises(TraceError, match="was donated"):
            given["m"] + 1
    with pytest.raises(TraceError, match="was donated"):
        step(given, x)
    assert all(np.array_equal(held, as_it_was) for held, as_it_was in kept)
    same = cl.compile(lambda a, b: (a + 1, b + 2), donate=(0, 1), executor=executor)
    a = cl.tensor(np.zeros(3))
    for _ in range(6):
        left, _ = same(a, a)
        a = cl.asarray(left)
        assert same(cl.tensor(np.zeros(3)), cl.tensor(np.zeros(3)))[1].tolist() == [2.0] * 3


def test_memory_that_is_written_is_the_same_from_call_to_call():
    step = cl.compile(lambda w: w * 0.5, donate=0)
    w, places = cl.tensor(np.ones(8)), []
    for _ in range(6):
        w = step(w)
        places.append(w.value.ctypes.data)
    assert len(set(places)) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "bool", "uint32", "uint8"])
def test_arrays_that_come_back_have_the_dtype_that_numpy_knows_by_its_identity(dtype):
    x = cl.tensor(np.ones(3, dtype))
    same = np.dtype(dtype)
    for donate in ((), ("x",)):
        out = cl.compile(lambda x: cl.where(x > 0, x, x), donate=donate, executor="numba")(x)
        assert np.asarray(out).dtype is same
    assert np.asarray(cl.compile(lambda x: cl.concat([x, x]), executor="numba")(np.asarray(out))).dtype is same


def test_arrays_that_are_as_kernels_read_them_are_not_converted(monkeypatch):
    x, w = (cl.tensor(np.full(4, v, "f")) for v in (2.0, 3.0))
    f = cl.compile(lambda x, w: x * w, executor="numba")
    f(x, w)
    monkeypatch.setattr(native_executor.np, "asarray", lambda *_, **__: pytest.fail("converted"))
    first = f(x, w)
    again = f(first, w)
    monkeypatch.undo()
    assert again.tolist() == [18.0] * 4


# ------------------------------------------------------------------------------------- calls that begin at objects
@pytest.fixture
def natively(monkeypatch):
    """How often a call went from its leaves to the program without Python looking at them."""
    begun = []

    class Counted(ObjectCall):
        def __init__(self, *given):
            super().__init__(*given)
            begin, words = self.begin, self.words
            self.begin = lambda row: (begin(row), begun.append(words[1] == 0))

    monkeypatch.setattr(native_executor, "ObjectCall", Counted)
    return begun


NATIVE = {
    "an array": (lambda x: x + 1, [(X,)]),
    "two tensors": (lambda x, y: x * 2 + y, [(T, T)]),
    "a tensor without axes": (lambda x, y: (x * y, cl.sum(x)), [(T, cl.tensor(np.float32(3.0)))]),
    "numbers": (lambda x, n, r, s: x * n * r + s, [(T, 3, 1.5, np.float32(0.5)), (T, -4, 2.5, np.float32(1.5))]),
    "a boolean": (lambda x, b: cl.where(b, x, -x), [(T, True), (T, False)]),
    "layers": (lambda m, x: m(x), [(DENSE, X), (nn.Dense(3, 2, rng=1), X + 1)]),
    "nothing to compute from": (lambda: cl.zeros(3), [()]),
    "the same in every call": (lambda x: (x, "x", 3, {"y": x * 2}), [(T,)]),
    "no rows": (lambda x: x * 2, [(np.zeros((0, 3), np.float32),)]),
}


@pytest.mark.parametrize("kind", NATIVE)
def test_calls_that_begin_natively_give_what_others_give(natively, kind):
    f, calls = NATIVE[kind]
    compiled, wanted = cl.compile(f, executor="numba"), [text_of(cl.compile(f, executor="numpy")(*g)) for g in calls]
    for _ in range(6):
        assert [text_of(compiled(*given)) for given in calls] == wanted
    assert natively.count(True) >= len(calls)


def test_what_native_code_finds_different_is_left_to_python(natively):
    f = cl.compile(lambda x, y: x * 2 + y, executor="numba")
    for _ in range(5):
        f(T, X)
    assert natively == [True]
    others = {
        "other sizes": (cl.tensor(X[:, :2]), X[:, :2]),
        "other axes": (cl.tensor(X[0]), X[0]),
        "another dtype": (cl.tensor(X.astype(np.float64)), X),
        "columns first": (cl.tensor(X), np.asfortranarray(X)),
        "a view with gaps": (cl.tensor(X), np.repeat(X, 2, axis=1)[:, ::2]),
        "not aligned": (T, np.frombuffer(b"." + X.tobytes(), np.float32, offset=1).reshape(X.shape)),
        "other byte order": (T, X.astype(">f4")),
        "a number": (T, 1.5),
        "a class of its own": (T, np.ma.array(X)),
        "an array for a tensor": (X, X),
        "a tensor for an array": (T, T),
    }
    for name, (x, y) in others.items():
        assert np.array_equal(np.asarray(f(x, y)), np.asarray(x) * 2 + np.asarray(y)), name
    assert natively == [True] + [False] * (len(natively) - 1)
    f(T, X)
    assert natively[-1]


def test_tensors_of_results_are_whole(natively):
    f = cl.compile(lambda w, x: (w * x, cl.sum(w)), donate="w")
    w = cl.tensor([1.0, 2.0])
    for _ in range(6):
        old = w
        w, total = f(w, cl.tensor([1.0, 1.0]))
        for new in (w, total):
            assert (new.application, new.position, new.name, new.requires_grad, new.grad) == (None, 0, "", False, None)
            assert type(new) is cl.Tensor
        assert repr(old).startswith("Tensor(donated in test_direct_calls.py:")
    assert natively == [True] * 2


def test_calls_that_begin_natively_keep_the_count_of_every_object():
    f = cl.compile(lambda w, x, n: ({"w": w * 0.5 + x, "n": n + 1}, cl.sum(x)), donate="w")
    state, x = {"w": cl.tensor(np.ones(4)), "n": np.int64(0)}, cl.tensor(np.ones(4))
    watched = [None, False, 0, "", cl.Tensor, np.ndarray, np.dtype(np.float64), np.dtype(np.int64), x, x.value]
    for _ in range(6):
        state, _ = f(state["w"], x, state["n"])
    gc.collect()
    before, tensors = list(map(sys.getrefcount, watched)), sum(type(o) is cl.Tensor for o in gc.get_objects())
    for _ in range(1000):
        state, total = f(state["w"], x, state["n"])
    del total
    gc.collect()
    after = list(map(sys.getrefcount, watched))
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) < 100
    assert abs(sum(type(o) is cl.Tensor for o in gc.get_objects()) - tensors) < 5
    assert sys.getrefcount(state["w"].value) == sys.getrefcount(np.ones(4)) + 1


def test_what_a_call_reads_is_not_written_by_another_thread_meanwhile():
    slow = cl.compile(lambda x, y: cl.sum(cl.exp(cl.sin(x) * cl.cos(x))) + y)
    give = cl.compile(lambda x: x * 0.0, donate=0)
    one, many = np.linspace(0.0, 1.0, 200_000), 6
    want = [float(slow(cl.tensor(one), cl.tensor(0.0))) for _ in range(4)][-1]
    for _ in range(4):
        give(cl.tensor(one))
    for _ in range(many):
        x, y, found = cl.tensor(one), cl.tensor(0.0), []
        thread = threading.Thread(target=lambda x=x, y=y, found=found: found.append(float(slow(x, y))))
        thread.start()
        zeros = give(x)
        thread.join()
        assert not found or found == [want]
        assert not np.any(np.asarray(zeros))


def test_a_collection_while_tensors_are_made_may_call_again():
    f = cl.compile(lambda x: (x + 1, x + 2, x + 3))
    found = []

    class Loud:
        def __init__(self):
            self.me = self

        def __del__(self):
            found.append([v.tolist() for v in f(cl.tensor([10.0]))])

    for _ in range(4):
        f(cl.tensor([1.0]))
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for n in range(50):
            Loud()
            assert [v.tolist() for v in f(cl.tensor([float(n)]))] == [[n + 1.0], [n + 2.0], [n + 3.0]]
    finally:
        gc.set_threshold(*before)
    assert len(found) > 40
    assert all(each == [[11.0], [12.0], [13.0]] for each in found)


def test_where_objects_are_laid_out_otherwise_python_looks(natively, monkeypatch):
    monkeypatch.setattr(native_executor, "reads_tensors", lambda: False)
    f = cl.compile(lambda x: x * 2, executor="numba")
    assert [f(T).tolist() for _ in range(5)] == [(X * 2).tolist()] * 5
    assert not natively
    assert found_directly(f, T)
