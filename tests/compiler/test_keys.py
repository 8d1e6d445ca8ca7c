"""What Python calls equal and programs are not: a call finds the program of its own values, and of its own pass."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.compiler import ExecutorWarning
from clearprop.errors import ArgumentError
from clearprop.program.types import exactly


@dataclasses.dataclass(frozen=True)
class Chosen:
    by: Any
    name: str = "chosen"


ALIKE = [(0.0, -0.0), (1, 1.0), (1, True), (2.0, 2), (1.0, True), (0j, complex(0.0, -0.0)), (np.int64(1), np.int32(1))]
HELD = {
    "alone": lambda value: value,
    "in a tuple": lambda value: ("a", (value,)),
    "in a data class": Chosen,
    "in a frozen set": lambda value: frozenset([value]),
}


@pytest.mark.parametrize("place", HELD)
@pytest.mark.parametrize("pair", ALIKE, ids=map(str, ALIKE))
def test_values_that_python_calls_equal_are_two(pair, place):
    hold = HELD[place]
    first, second = map(hold, pair)
    assert first == second and exactly(first) != exactly(second)
    assert exactly(first) == exactly(hold(pair[0])) and hash(exactly(first)) == hash(exactly(hold(pair[0])))


def test_nan_is_itself():
    assert exactly((math.nan, "x")) == exactly((float("nan"), "x"))


def the_number(held):
    while isinstance(held, (tuple, frozenset, Chosen)):
        held = held.by if isinstance(held, Chosen) else list(held)[-1]
    return held


class Times(nn.Module):
    by: Any = nn.static()

    def forward(self, x):
        return (x + 100 if isinstance(self.by, bool) else x) * self.by


def same(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    return found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("place", HELD)
@pytest.mark.parametrize("executor", ["numpy", None])
def test_a_static_argument_is_what_it_is_to_the_bit(executor, place):
    def times(x, held):
        return Times(the_number(held))(x)

    f, x = cl.compile(times, static="held", executor=executor), np.array([1, 2], np.int32)
    for number in (1, 1.0, True, 0.0, -0.0, 0, False, 1, 0.0):
        for _ in range(4):  # a call that comes again has a function of its own
            assert same(f(x, HELD[place](number)), Times(number)(x)), number


@pytest.mark.parametrize("executor", ["numpy", None])
def test_a_static_field_is_what_it_is_to_the_bit(executor):
    f, x = cl.compile(lambda model, x: model(x), executor=executor), np.array([1, 2], np.int32)
    for number in (1, 1.0, True, 0.0, -0.0, 0, False, (), 1, 0.0):
        model = Times(number) if number != () else nn.Sequential(Times(1), Times(2.0))
        for _ in range(4):
            assert same(f(model, x), model(x)), number


# ------------------------------------------------------------------------------------------------------- passes
class Block(nn.Module):
    """Layers that a compiled function calls."""

    inner: Any
    compiled: Any = nn.static()

    def forward(self, x):
        return self.compiled(self.inner, x)


def call(layer, x):
    return layer(x)


LAYERS = {"draws": nn.Dropout(0.5), "remembers": nn.BatchNorm(6), "asks": nn.Function(lambda x: x * nn.is_training())}
X = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)


@pytest.mark.parametrize("first", ["training", "inference"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_compiled_part_of_a_network_belongs_to_the_pass_that_calls_it(kind, first):
    layer = LAYERS[kind]
    compiled = cl.compile(lambda layer, x: call(layer, x))
    block, told = Block(layer, compiled), []

    def train():
        for seed in range(4):
            expected, after = nn.apply(layer, X, rng=seed)
            if told:
                found, block_after = nn.apply(block, X, rng=seed)
            else:
                told.append(True)
                with pytest.warns(ExecutorWarning, match=r"runs uncompiled within cl\.nn\.apply"):
                    found, block_after = nn.apply(block, X, rng=seed)
            assert same(found, expected)
            assert all(map(same, block_after.state().values(), after.state().values()))

    for step in [train, lambda: None][:: 1 if first == "training" else -1]:
        step()
        for _ in range(4):
            np.testing.assert_allclose(block(X), layer(X), rtol=1e-6)
    train()


def test_a_pass_that_is_compiled_compiles_what_it_calls():
    block = Block(nn.BatchNorm(6), cl.compile(call))
    found, after = cl.compile(lambda model, x: nn.apply(model, x))(block, X)
    expected, state = nn.apply(nn.BatchNorm(6), X)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(after.inner.mean, state.mean, rtol=1e-5, atol=1e-6)


WITHIN = {
    "remat": lambda f, x: cl.remat(f)(x),
    "vmap": lambda f, x: cl.vmap(f)(x[None]),
    "map": lambda f, x: cl.map(f, x[None]),
    "scan": lambda f, x: cl.scan(lambda carry, v: (carry, f(v)), 0.0, x[None]),
    "cond": lambda f, x: cl.cond(cl.sum(x) > 0, f, lambda v: v, x),
    "fori_loop": lambda f, x: cl.fori_loop(0, 2, lambda _, v: f(v), x),
}


class Within(nn.Module):
    inner: Any
    way: str = nn.static()

    def forward(self, x):
        return WITHIN[self.way](self.inner, x)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("way", WITHIN)
def test_what_a_layer_would_remember_in_another_program_is_refused(way, compiled):
    model = Within(nn.BatchNorm(6), way)

    def step(model, x):
        return nn.apply(model, x)

    with pytest.raises(ArgumentError) as caught:
        (cl.compile(step) if compiled else step)(model, X)
    assert str(caught.value).splitlines()[:3] == [
        "BatchNorm cannot remember what belongs to another program",
        "  expected  a layer that remembers in the pass itself, or in a part of it that is differentiated",
        "  got       one within cl.remat, cl.vmap, a loop or a branch, whose steps are programs of their own",
    ]
    assert model(X) is not None  # inference remembers nothing


# ---------------------------------------------------------------------------------------------------- whose memory
GIVEN = {
    "itself": lambda x: x,
    "reshaped": lambda x: cl.reshape(x, (3, 2)),
    "turned": lambda x: x.mT,
    "part": lambda x: x[:1],
    "repeated": lambda x: cl.broadcast_to(x, (2, 2, 3)),
    "twice": lambda x: (x, x[0]),
    "beside what NumPy computes": lambda x: (cl.reshape(x, (6,)), cl.sort(x)),
}


@pytest.mark.parametrize("dtype", ["f4", "c8"])
@pytest.mark.parametrize("executor", ["numpy", None])
@pytest.mark.parametrize("kind", GIVEN)
@pytest.mark.filterwarnings("ignore::clearprop.compiler.ExecutorWarning")
def test_results_have_memory_of_their_own(kind, executor, dtype):
    if dtype == "c8" and "NumPy" in kind:
        return  # complex numbers have no order
    around = np.arange(6.0).reshape(2, 3).astype(dtype)
    x = around.copy()
    for f in (cl.compile(GIVEN[kind], executor=executor), cl.compile(lambda: GIVEN[kind](around), executor=executor)):
        for _ in range(5):
            given = (x,) if f.parameters.names else ()
            results = f(*given)
            for result in results if isinstance(results, tuple) else (results,):
                assert not any(np.shares_memory(np.asarray(result), array) for array in (x, around))


def test_results_are_compared_with_every_operand_only_where_memory_is_foreign(monkeypatch):
    f = cl.compile(lambda xs: [x + 1.0 for x in xs] + [cl.reshape(x, (2, 1)) for x in xs], executor="numpy")
    xs = [np.array([1.0, k]) for k in range(8)]
    f(xs)
    compared = []
    monkeypatch.setattr(np, "may_share_memory", lambda a, b: compared.append(a) or False)
    results = f(xs)
    assert not any(np.shares_memory(np.asarray(r), x) for r in results for x in xs)
    assert not compared


@pytest.mark.parametrize("view", [np.frombuffer, lambda b: np.frombuffer(b)[1:], lambda b: np.frombuffer(b)[::2]])
def test_results_have_memory_of_their_own_beside_foreign_memory(view):
    x = view(bytearray(np.arange(4.0).tobytes()))
    f = cl.compile(lambda x: (x, cl.reshape(x, (-1, 1)), x[1:]), executor="numpy")
    for _ in range(3):
        assert not any(np.shares_memory(np.asarray(r), x) for r in f(x))


# ------------------------------------------------------------------------------------ data classes that are special
@dataclasses.dataclass(frozen=True)
class Listed:
    """Comparable by its fields, of which one has no hash."""

    parts: list = dataclasses.field(default_factory=list)

    def __hash__(self):
        return 7


@dataclasses.dataclass(frozen=True)
class Unset:
    """One of its fields is set later, if at all."""

    scale: float = 2.0
    later: float = dataclasses.field(init=False, hash=False)


@dataclasses.dataclass(frozen=True)
class Alike:
    """Equal to every other of its kind."""

    scale: float = 2.0

    def __eq__(self, other):
        return isinstance(other, Alike)

    def __hash__(self):
        return 1


@dataclasses.dataclass(eq=False)
class Itself:
    """Equal to itself alone, whatever stands in it."""

    parts: list = dataclasses.field(default_factory=list)


@pytest.mark.parametrize("static", [Listed(), Unset(), Alike(), Itself(), nn.Dense, Listed, Unset])
@pytest.mark.parametrize("how", ["static", "leaf"])
def test_special_data_classes_are_parts_of_programs(static, how):
    f = cl.compile(lambda x, s: x * (2.0 if s is static else 0.0), static=1 if how == "static" else ())
    for _ in range(3):
        assert f(cl.tensor([1.0]), static).tolist() == [2.0]
    assert f.cache_info().misses == 1


def test_a_list_in_a_data_class_is_compared():
    f = cl.compile(lambda x, s: x * len(s.parts), static=1)
    assert [f(cl.tensor([1.0]), Listed([0] * n)).tolist() for n in (1, 2, 1)] == [[1.0], [2.0], [1.0]]


def test_what_a_data_class_calls_equal_is_one_program():
    f = cl.compile(lambda x, s: x * s.scale, static=1)
    assert [f(cl.tensor([1.0]), Alike(s)).tolist() for s in (2.0, 3.0)] == [[2.0], [2.0]]
