"""Numbers, words, functions and classes around a compiled function count as they are when it is called."""

import collections
import dataclasses
import gc
import sys
import types
import warnings
import weakref

import numpy as np
import pytest

import clearprop as cl

X = np.array([0.5, -1.0])


def twice(x):
    return x * 2


def thrice(x):
    return x * 3


@dataclasses.dataclass(frozen=True)
class Options:
    rate: float


class Scale:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x * self.by


class Halving:
    def __new__(cls, x):
        return x / 2


VALUES = {
    "a float": (0.1, 0.25, lambda v, x: x * v),
    "an integer": (2, 3, lambda v, x: x[:1] ** v),
    "an integer or a float": (2, 2.5, lambda v, x: x * v),
    "a truth value": (True, False, lambda v, x: x if v else -x),
    "a word": ("sum", "max", lambda v, x: cl.sum(x) if v == "sum" else cl.max(x)),
    "none or a number": (None, 3.0, lambda v, x: x if v is None else x * v),
    "minus zero": (0.0, -0.0, lambda v, x: 1 / (x[:1] * v)),
    "a complex number": (1j, 2j, lambda v, x: cl.real(x * v * v)),
    "a NumPy number": (np.float32(0.5), np.float32(0.75), lambda v, x: x * v),
    "a NumPy number that Python reads": (np.int64(2), np.int64(3), lambda v, x: x * len(range(v))),
    "a function": (twice, thrice, lambda v, x: v(x)),
    "a function of ours": (cl.tanh, cl.exp, lambda v, x: v(x)),
    "a class": (Scale, Halving, lambda v, x: v(x) if v is Halving else v(7)(x)),
    "an object": (Scale(2.0), Scale(3.0), lambda v, x: v(x)),
    "a list of numbers": ([1, 2], [1, 3], lambda v, x: x * v[1]),
    "a longer list": ([1, 2], [1, 2, 3], lambda v, x: x * len(v)),
    "a list of functions": ([twice], [thrice], lambda v, x: v[0](x)),
    "a dictionary": ({"a": {"b": 2}}, {"a": {"b": 3}}, lambda v, x: x * v["a"]["b"]),
    "a deque": (collections.deque([1]), collections.deque([1, 2]), lambda v, x: x * sum(v)),
    "an object that is what its fields are": (Options(2.0), Options(3.0), lambda v, x: x * v.rate),
    "a set": ({1}, {1, 2}, lambda v, x: x * len(v)),
    "a number beside an array": ((2.0, np.ones(2)), (3.0, np.ones(2)), lambda v, x: x * v[0] + v[1]),
    "an option of a layer": (
        cl.nn.Dropout(0.25),
        cl.nn.Dropout(0.5),
        lambda v, x: x * v.rate,
    ),
}


def by_closure(value, use):
    f = cl.compile(lambda x: use(value, x), executor="numpy")

    def put(new):
        nonlocal value
        value = new

    return f, put


def by_global(value, use):
    scope = {"value": value, "use": use, "step": 0}
    return cl.compile(_defined("use(value, x)", scope), executor="numpy"), lambda new: scope.update(value=new)


def by_function_that_is_called(value, use):
    scope = {"value": value, "use": use}
    scope["inner"] = _defined("use(value, x)", scope)
    f = cl.compile(_defined("inner(x)", scope), executor="numpy")
    return f, lambda new: scope.update(value=new)


def by_attribute(value, use):
    holder = types.SimpleNamespace(value=value)
    return cl.compile(lambda x: use(holder.value, x), executor="numpy"), lambda new: setattr(holder, "value", new)


def by_method(value, use):
    class Learner:
        def __init__(self):
            self.value = value
            self.step = cl.compile(self.forward, executor="numpy")

        def forward(self, x):
            return use(self.value, x)

    learner = Learner()
    return learner.step, lambda new: setattr(learner, "value", new)


def by_class(value, use):
    class Options:
        pass

    Options.value = value
    return cl.compile(lambda x: use(Options.value, x), executor="numpy"), lambda new: setattr(Options, "value", new)


def by_module(value, use):
    module = types.ModuleType("options_of_a_test")
    module.value = value
    sys.modules[module.__name__] = module
    return cl.compile(lambda x: use(module.value, x), executor="numpy"), lambda new: setattr(module, "value", new)


def by_dictionary(value, use):
    held = {"value": value, "other": 1}
    return cl.compile(lambda x: use(held["value"], x), executor="numpy"), lambda new: held.update(value=new)


def by_list(value, use):
    held = [[value]]
    return cl.compile(lambda x: use(held[0][0], x), executor="numpy"), lambda new: held[0].__setitem__(0, new)


def by_default(value, use):
    def inner(x, value=value):
        return use(value, x)

    f = cl.compile(lambda x: inner(x), executor="numpy")
    return f, lambda new: setattr(inner, "__defaults__", (new,))


PLACES = [v for name, v in list(globals().items()) if name.startswith("by_")]


def _defined(formula, scope):
    """A function of a module of its own, `scope` being what the module holds."""
    exec(f"def f(x):\n    return {formula}", scope)
    return scope["f"]


def same(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and np.array_equal(a, b)


@pytest.mark.parametrize("place", PLACES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_a_variable_holds_when_it_is_called_counts(kind, place):
    first, second, use = VALUES[kind]
    f, put = place(first, use)
    assert same(f(X), use(first, cl.tensor(X)))
    for value in (second, first, second, second):
        put(value)
        for _ in range(4):  # as often as makes a direct call
            assert same(f(X), use(value, cl.tensor(X)))


@pytest.mark.parametrize("place", PLACES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", ["a float", "a truth value", "a function", "a dictionary"])
def test_so_it_does_where_a_gradient_flows_through_the_call(kind, place):
    first, second, use = VALUES[kind]
    f, put = place(first, use)
    for value in (first, second, first):
        put(value)
        slope = cl.grad(lambda x: cl.sum(f(x)))(X)
        assert same(slope, cl.grad(lambda x, v=value: cl.sum(use(v, x)))(X))


def test_what_was_found_before_is_found_again():
    training = True
    f = cl.compile(lambda x: x * 2 if training else x, executor="numpy")
    for training in [True, False] * 4:  # noqa: B007 - the compiled function reads it
        f(X)
    assert f.cache_info().misses == 2


def test_a_word_that_is_no_variable_of_the_code_is_not_looked_at():
    scope = {"shape": 0, "step": 0}
    f = cl.compile(_defined("x * x.shape[0]", scope), executor="numpy")
    for n in range(5):
        scope.update(shape=n, step=n)
        f(X)
    assert f.cache_info().misses == 1


def test_a_function_that_is_replaced_in_place_is_the_new_one():
    def inner(x):
        return x * 2

    f = cl.compile(lambda x: inner(x), executor="numpy")
    assert f(X)[0] == 1.0
    inner.__code__ = (lambda x: x * 4).__code__
    assert f(X)[0] == 2.0


def test_a_method_that_is_replaced_in_its_class_is_the_new_one():
    class Net:
        def forward(self, x):
            return x * 2

    net = Net()
    f = cl.compile(lambda x: net.forward(x), executor="numpy")
    assert f(X)[0] == 1.0
    Net.forward = lambda self, x: x * 4
    assert f(X)[0] == 2.0


def test_a_variable_that_was_deleted_is_an_error_as_it_is_without_compiling():
    scope = {"rate": 2.0}
    f = cl.compile(_defined("x * rate", scope), executor="numpy")
    f(X)
    del scope["rate"]
    with pytest.raises(NameError):
        f(X)


def test_what_makes_its_value_anew_is_not_looked_at():
    class Fresh:
        def __get__(self, *_):
            return object()

    class Net:
        made = Fresh()

    net = Net()
    f = cl.compile(lambda x: (net.made, x * 2)[1], executor="numpy")
    for _ in range(5):
        f(X)
    assert f.cache_info().misses == 1


def test_new_weights_of_a_network_make_no_new_program():
    held = {"w": cl.tensor(X), "rate": 0.5}
    f = cl.compile(lambda x: x * held["w"] * held["rate"], executor="numpy")
    for n in range(5):
        held["w"] = cl.tensor(X + n)
        assert same(f(X), X * (X + n) * 0.5)
    assert f.cache_info().misses == 1


def test_a_number_that_is_another_at_each_call_is_told_of():
    rate = 0.0
    f = cl.compile(lambda x: x * rate, executor="numpy")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for rate in np.arange(8.0).tolist():
            assert same(f(X), X * rate)
    assert [str(w.message).partition(" was compiled ")[2][:7] for w in told] == ["5 times"]
    assert "rate" in str(told[0].message)


def test_a_number_that_is_assigned_within_is_told_of():
    calls = 0

    def step(x):
        nonlocal calls
        calls += 1
        return x * 2

    f = cl.compile(step, executor="numpy")
    with pytest.warns(cl.ExecutorWarning, match="step assigns calls while it is traced"):
        f(X)
    f(X)
    assert calls == 1 == f.cache_info().misses


def misses_of(f, change):
    """How many programs five calls make, with a change before each."""
    for n in range(5):
        change(n)
        f(X)
    return f.cache_info().misses


class Trainer:
    def __init__(self):
        self.loss, self.mean, self.x = 0.0, 0.0, cl.tensor(X)
        self.named = cl.compile(self.name, executor="numpy")
        self.centred = cl.compile(self.centre, executor="numpy")

    def name(self, x):
        return {"loss": x * self.x}

    def centre(self, x):
        return (x - self.x).mean()


def test_a_word_or_a_method_like_an_attribute_is_no_reading_of_it():
    trainer = Trainer()
    assert misses_of(trainer.named, lambda n: setattr(trainer, "loss", float(n))) == 1
    assert misses_of(trainer.centred, lambda n: setattr(trainer, "mean", float(n))) == 1


OTHERS = {
    "a count beside": lambda held, n: held.update(step=n),
    "a list that grows beside": lambda held, n: held["history"].append(n),
    "a new entry": lambda held, n: held.update({f"k{n}": n}),
    "new weights": lambda held, n: held.update(w=cl.tensor(X + n)),
}


@pytest.mark.parametrize("other", OTHERS)
def test_of_a_dictionary_the_entries_that_are_taken_count(other):
    held = {"rate": 2.0, "w": cl.tensor(X), "step": 0, "history": []}
    f = cl.compile(lambda x: x * held["rate"] * held["w"], executor="numpy")
    assert misses_of(f, lambda n: OTHERS[other](held, n)) == 1
    held["rate"] = 3.0
    assert same(f(X), X * 3.0 * held["w"])


ALIKE = {
    "an object of the same fields": lambda: Options(0.5),
    "a dictionary": lambda: {"rate": 0.5, "w": cl.tensor(X)},
    "a layer": lambda: cl.nn.Dropout(0.5),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_what_is_made_anew_and_alike_makes_no_new_program(kind):
    def take(v, x):
        return x * (v["rate"] if kind == "a dictionary" else v.rate)

    held = ALIKE[kind]()
    f = cl.compile(lambda x: take(held, x), executor="numpy")

    def change(_):
        nonlocal held
        held = ALIKE[kind]()

    assert misses_of(f, change) == 1


def test_a_function_of_the_same_text_with_another_closure_is_another():
    def made(k):
        return lambda x: x * k

    held = made(2.0)
    f = cl.compile(lambda x: held(x), executor="numpy")
    for k in (2.0, 3.0, 2.0, 4.0):
        held = made(k)
        assert same(f(X), X * k)


@pytest.mark.filterwarnings("ignore::clearprop.ExecutorWarning")
def test_arrays_that_were_replaced_are_let_go_of():
    state = {"w": np.ones(2), "step": 0}
    f = cl.compile(lambda x: x * state["w"] * len(state), executor="numpy")
    seen = []
    for n in range(20):
        state = {**state, "w": np.ones(2) * n, f"k{n}": n}  # another length each time: another program
        seen.append(weakref.ref(state["w"]))
        assert same(f(X), X * n * len(state))
    gc.collect()
    assert sum(ref() is not None for ref in seen) <= 8


def test_each_call_is_a_hit_or_a_miss():
    rate = 1.0
    f = cl.compile(lambda x: x * rate, executor="numpy")
    for rate in (1.0, 2.0, 3.0, 3.0):  # noqa: B007 - the compiled function reads it
        f(X)
    assert (f.cache_info().hits, f.cache_info().misses) == (1, 3)


def test_the_methods_that_a_dataclass_writes_are_no_reading_of_its_fields():
    @dataclasses.dataclass(frozen=True)
    class Settings:
        rate: float
        title: str
        sizes: tuple

    settings = Settings(2.0, "t", (1, 2))
    f = cl.compile(lambda x: x * settings.rate, executor="numpy")
    f(X)
    assert [fixed.variable.name for fixed in f.last.captures.fixed.known] == ["settings", "settings.rate"]
