"""What a compiled function reads from around it is read at every call: a table of places × ways to use it."""

import functools
import sys
import types

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import captures, recorded_call, specialisation, surroundings
from clearprop.errors import DTypeError, TraceError

X = np.array([0.5, -1.0])
USES = {
    "itself": lambda w: w,
    "computed from": cl.exp,
    "an entry of it": lambda w: w[0],
    "with a number": lambda w: w * 2,
    "with a constant": lambda w: w + cl.arange(2) * 3,
    "squared and summed": lambda w: cl.sum(w**2),
    "as a tensor": cl.asarray,
    "as a tensor of its own": lambda w: cl.tensor(w, dtype=cl.float64),
    "in another dtype": lambda w: cl.asarray(cl.asarray(w, dtype=cl.float32), dtype=cl.float64),
    "in a list": lambda w: cl.asarray([w, w])[1],
}
KINDS = {
    "tensor": lambda v: cl.tensor(np.asarray(v, float)),
    "array": lambda v: np.asarray(v, float),
}


class Holder:
    """A user's object with an array, read in each way that a method may have."""

    def __init__(self, w, use):
        self.w, self.use = w, use
        self.step = cl.compile(self.forward)

    @property
    def weight(self):
        return self.w

    def helper(self):
        return self.use(self.w)

    def forward(self, x):
        return x * cl.sum(self.helper()) + cl.sum(self.use(self.weight)) + self.use(self.w)

    def __call__(self, x):
        return x * self.use(self.w)


def by_closure(w, use):
    f = cl.compile(lambda x: x * use(w))

    def put(new):
        nonlocal w
        w = new

    return f, put, lambda v, x: x * use(v)


def by_dictionary(w, use):
    held = {"w": w, "other": cl.tensor(1.0)}
    return cl.compile(lambda x: x * use(held["w"])), lambda new: held.update(w=new), lambda v, x: x * use(v)


def by_list(w, use):
    held = [[w]]
    return cl.compile(lambda x: x * use(held[0][0])), lambda new: held[0].__setitem__(0, new), lambda v, x: x * use(v)


def by_method(w, use):
    held = Holder(w, use)
    expected = lambda v, x: x * cl.sum(use(v)) + cl.sum(use(v)) + use(v)
    return held.step, lambda new: setattr(held, "w", new), expected


def by_callable_object(w, use):
    held = Holder(w, use)
    return cl.compile(held), lambda new: setattr(held, "w", new), lambda v, x: x * use(v)


def by_attribute(w, use):
    held = Holder(w, use)
    return cl.compile(lambda x: x * use(held.w)), lambda new: setattr(held, "w", new), lambda v, x: x * use(v)


def by_object_that_is_called(w, use):
    held = Holder(w, use)
    return cl.compile(lambda x: held(x) + 1), lambda new: setattr(held, "w", new), lambda v, x: x * use(v) + 1


def by_gradient(w, use):
    held = Holder(w, use)
    slope = cl.grad(lambda x: cl.sum(x * x * use(held.w)) / 2)
    return cl.compile(slope), lambda new: setattr(held, "w", new), lambda v, x: x * use(v)


def by_gradient_that_is_called(w, use):
    held = Holder(w, use)
    slope = cl.grad(cl.grad(lambda x: cl.sum(x**3 * use(held.w)) / 6))
    many = cl.vmap(lambda x: slope(x) + 0 * cl.sum(use(held.w)))
    return cl.compile(lambda x: many(x)), lambda new: setattr(held, "w", new), lambda v, x: x * cl.sum(use(v))


def by_gradient_of_a_method(w, use):
    class Learner(Holder):
        slope = cl.grad(lambda self, x: cl.sum(x * x * self.helper()) / 2, argnums=1)

    held = Learner(w, use)
    return cl.compile(held.slope), lambda new: setattr(held, "w", new), lambda v, x: x * use(v)


def by_function_with_a_rule(w, use):
    held = Holder(w, use)
    scaled = cl.custom_rule(x=lambda g: g)(lambda x: x * use(held.w))
    return cl.compile(scaled), lambda new: setattr(held, "w", new), lambda v, x: x * use(v)


def by_object_with_a_function(w, use):
    held = Holder(w, use)
    held.function = cl.tanh  # its own name for it, nothing of ours
    return cl.compile(held), lambda new: setattr(held, "w", new), lambda v, x: x * use(v)


def by_rule(w, use):
    held = Holder(w, use)
    scaled = cl.custom_rule(x=lambda g: g * use(held.w))(lambda x: x * 1.0)
    return cl.compile(cl.grad(lambda x: cl.sum(scaled(x)))), lambda new: setattr(held, "w", new), ones_times


def by_rule_in_a_loop(w, use):
    held = Holder(w, use)
    scaled = cl.custom_rule(x=lambda g: g * use(held.w))(lambda x: x * 1.0)
    total = lambda x: cl.scan(lambda c, v: (c + cl.sum(scaled(v)), c), 0.0, x[None])[0]
    return cl.compile(cl.grad(total)), lambda new: setattr(held, "w", new), ones_times


def ones_times(v, x, use):
    return np.ones(2) * use(v)


def by_layer(w, use):
    held = Holder(w, use)

    class Layer(cl.nn.Module):
        def forward(self, x):
            return x * use(held.w)

    model = Layer()
    return cl.compile(lambda x: model(x)), lambda new: setattr(held, "w", new), lambda v, x: x * use(v)


def by_layer_among_others(w, use):
    class Layer(cl.nn.Module):
        def forward(self, x):
            return x * use(w)

    def put(new):
        nonlocal w
        w = new

    model = cl.nn.Sequential(cl.nn.Function(lambda x: x * 1.0), cl.nn.Residual(Layer()))
    return cl.compile(lambda x: model(x)), put, lambda v, x: x + x * use(v)


def by_functions_in_containers(w, use):
    held = Holder(w, use)
    table = {"first": [lambda x: x, lambda x: x * use(held.w)]}
    return cl.compile(lambda x: table["first"][1](x)), lambda new: setattr(held, "w", new), lambda v, x: x * use(v)


def by_objects_in_a_list(w, use):
    held = [Holder(w, use), Holder(w, use)]
    return cl.compile(lambda x: x * use(held[1].w)), lambda new: setattr(held[1], "w", new), lambda v, x: x * use(v)


def by_module(w, use):
    module = types.ModuleType("of_the_user")
    module.w, module.use = w, use
    exec("def step(x):\n    return x * use(w)", vars(module))
    return (
        cl.compile(lambda x: x * use(module.w) + module.step(x)),
        lambda new: setattr(module, "w", new),
        lambda v, x: x * use(v) + x * use(v),
    )


def by_module_that_is_imported_inside(w, use):
    module = sys.modules["of_the_user"] = types.ModuleType("of_the_user")
    module.w, module.use = w, use

    def step(x):
        import of_the_user

        return x * of_the_user.use(of_the_user.w)

    return cl.compile(step), lambda new: setattr(module, "w", new), lambda v, x: x * use(v)


def by_class(w, use):
    class Held:
        shared = w

        @classmethod
        def by_class(cls, x):
            return x * use(cls.shared)

        @staticmethod
        def alone(x):
            return x * use(Held.shared)

    return (
        cl.compile(lambda x: Held.by_class(x) + Held.alone(x) + x * use(Held.shared) + Held().alone(x)),
        lambda new: setattr(Held, "shared", new),
        lambda v, x: x * use(v) + x * use(v) + x * use(v) + x * use(v),
    )


def by_method_of_a_base(w, use):
    class Learner(Holder):
        def __call__(self, x):
            return super().__call__(x) + 1

    held = Learner(w, use)
    return cl.compile(held), lambda new: setattr(held, "w", new), lambda v, x: x * use(v) + 1


def by_operator(w, use):
    class Scale(Holder):
        def __rmatmul__(self, x):
            return cl.multiply(x, use(self.w))

        def __getitem__(self, key):
            return cl.multiply(use(self.w), key)

    held = Scale(w, use)
    return cl.compile(lambda x: (2.0 @ held) * x + held[1.0]), lambda new: setattr(held, "w", new), operators_of


def operators_of(v, x, use):
    return 2.0 * use(v) * x + use(v) * 1.0


def by_name_as_a_text(w, use):
    held = Holder(w, use)
    step = lambda x: x * use(getattr(held, "w")) + use(vars(held)["w"])  # noqa: B009 - the text is what is tried
    return cl.compile(step), lambda new: setattr(held, "w", new), lambda v, x: x * use(v) + use(v)


def by_many_functions(w, use):
    held = Holder(w, use)
    step = lambda x: x * use(held.w)
    for _ in range(10):
        step = (lambda inner: lambda x: inner(x))(step)
    return cl.compile(step), lambda new: setattr(held, "w", new), lambda v, x: x * use(v)


PLACES = [
    *(by_rule, by_rule_in_a_loop, by_layer, by_layer_among_others, by_functions_in_containers, by_objects_in_a_list),
    *(by_module, by_module_that_is_imported_inside, by_class, by_method_of_a_base, by_operator, by_name_as_a_text),
    by_many_functions,
    *(by_closure, by_dictionary, by_list, by_method, by_callable_object, by_attribute, by_object_that_is_called),
    *(by_gradient, by_gradient_that_is_called, by_gradient_of_a_method),
    *(by_function_with_a_rule, by_object_with_a_function),
]


BY_NUMPY = {"an entry of it", "with a number", "squared and summed"}
"""Of an array of NumPy these are numbers before the program could hold them."""
CASES = [
    ("numpy", kind, use, place)
    for kind in KINDS
    for use in USES
    for place in PLACES
    if kind == "tensor" or use not in BY_NUMPY
]
NATIVE = [("numba", "tensor", "computed from", by_closure), ("numba", "array", "computed from", by_method)]


@pytest.mark.parametrize(("executor", "kind", "use", "place"), CASES + NATIVE)
def test_what_is_put_there_later_is_seen(executor, kind, use, place):
    make = KINDS[kind]
    step, put, expected = place(make([1.0, 2.0]), USES[use])
    step.executor = executor
    own = expected if expected.__code__.co_argcount == 2 else functools.partial(expected, use=USES[use])
    for values in ([1.0, 2.0], [0.5, -3.0], [2.0, 2.0]):
        new = make(values)
        put(new)
        for _ in range(3):
            assert np.allclose(np.asarray(step(X)), np.asarray(own(new, X)), rtol=1e-12), values


def test_an_array_that_changes_in_place_is_seen():
    w = np.array([1.0, 2.0])
    f = cl.compile(lambda x: x + cl.exp(w), executor="numpy")
    g = cl.compile(functools.partial(lambda v, x: x + cl.exp(v), w), executor="numpy")
    for values in ([1.0, 2.0], [0.0, 3.0]):
        w[:] = values
        assert np.array_equal(np.asarray(f(X)), X + np.exp(w))
        assert np.array_equal(np.asarray(g(X)), X + np.exp(w))


@pytest.mark.filterwarnings("ignore:Setting the .* on a NumPy array:DeprecationWarning")  # whoever still does it
@pytest.mark.parametrize("executor", ["numpy", "numba"])
@pytest.mark.parametrize("held", [lambda w: w, cl.asarray, lambda w: cl.sum(w, axis=0)])
def test_an_array_that_gets_another_shape_or_dtype_in_place_is_seen(executor, held):
    w, places = np.arange(6.0).reshape(2, 3), [np.arange(6.0)]
    f = cl.compile(lambda x: cl.sum(held(w)) * x + cl.sum(held(places[0])), executor=executor)
    g = cl.compile(lambda: cl.multiply(held(w), 1.0), executor=executor)
    for change in (lambda: None, lambda: setattr(w, "shape", (3, 2)), lambda: setattr(w, "dtype", np.int64)):
        change()
        for _ in range(4):
            assert np.array_equal(np.asarray(g()), np.asarray(cl.multiply(held(w), 1.0)))
            assert np.allclose(np.asarray(f(2.0)), np.asarray(cl.sum(held(w)) * 2.0 + cl.sum(held(places[0]))))
        places[0].shape = (3, 2) if places[0].ndim == 1 else (6,)


def test_an_integer_that_no_array_holds_is_refused():
    x = np.array([1.0, 2.0], np.float32)
    f = cl.compile(lambda x, n: x * n)
    for n in (2, 2, 2, 2, 2**63, -(2**63) - 1, 2**70):
        if n == 2:
            assert f(x, n).tolist() == [2.0, 4.0]
            continue
        with pytest.raises(DTypeError, match="a compiled function takes integers of 64 bits"):
            f(x, n)
    assert f(x, 2).tolist() == [2.0, 4.0]


def test_a_number_of_what_may_change_is_refused():
    w = cl.tensor([1.0, 2.0])
    f = cl.compile(lambda x: x if cl.sum(w) > 0 else -x, executor="numpy")
    with pytest.raises(TraceError, match="being traced"):
        f(X)


def test_what_is_made_inside_is_a_constant():
    f = cl.compile(lambda x: x if int(cl.sum(cl.arange(3))) == 3 else -x, executor="numpy")
    assert np.array_equal(np.asarray(f(X)), X)


class Learner:
    """An object whose every call leaves something in it that its function never mentions."""

    def __init__(self):
        self.w, self.losses, self.last = cl.tensor([1.0, 2.0]), [], None

    def __call__(self, x):
        return cl.sum(x * self.w)

    def step(self, x):
        return cl.sum(x * self.w)


@pytest.mark.parametrize("by", ["object", "method", "closure"])
@pytest.mark.filterwarnings("error")
def test_attributes_that_a_function_never_mentions_make_no_other_program(by):
    held = Learner()
    f = cl.compile({"object": held, "method": held.step, "closure": lambda x: held.step(x)}[by], executor="numpy")
    for _ in range(10):
        held.last = f(X)
        held.losses.append(held.last)
    assert f.cache_info().misses == 1
    held.w = cl.tensor([3.0, 4.0])
    assert float(f(X)) == -2.5


# ------------------------------------------------------------------------------ objects that do not like to be read
class NeverRun(Exception):
    """Something ran that only the user's own program runs."""


def never(*_):
    raise NeverRun


class Later:
    """Each of these runs when it is read as an attribute."""

    w = cl.tensor([1.0, 2.0])
    table = functools.cached_property(never)
    weight = property(never)
    read = type("Read", (), {"__get__": never})()
    __len__ = type("Measured", (), {"__get__": never})()


class Guarded:
    w = cl.tensor([1.0, 2.0])
    __getattr__ = never


class Placeless:
    w = cl.tensor([1.0, 2.0])


Placeless.__module__ = None


def in_itself(container, put):
    put(container)
    return container


ODD = {
    "cached and other properties": Later(),
    "missing attributes": Guarded(),
    "a class without a module": Placeless(),
    "a dictionary of its own": type("Table", (dict,), dict.fromkeys(("items", "__getitem__", "__iter__"), never))(
        a=1, b=never
    ),
    "a list of its own": type("Row", (list,), dict.fromkeys(("__iter__", "__getitem__"), never))([1, never]),
    "a tuple of its own": type("Pair", (tuple,), dict.fromkeys(("__iter__", "__getitem__"), never))([1, never]),
    "what makes what is missing": type("Made", (dict,), {"__missing__": never})(a=never),
    "what stands for nothing now": type("Proxy", (), {"__class__": property(never)})(),
    "a list with such": [type("Proxy", (), {"__class__": property(never)})()],
    "no comparison": type("Unequal", (), {"__eq__": never, "__hash__": None})(),
    "what is called": type("Called", (), {"__call__": len, "__getattr__": never, "function": property(never)})(),
    "a list in itself": in_itself([], lambda a: a.append(a)),
    "a dictionary in itself": in_itself({}, lambda a: a.update(a=a)),
    "a class that does not tell": type("Meta", (type,), {"__module__": property(never)})("Hidden", (), {}),
}


@pytest.mark.parametrize("odd", ODD)
def test_compiling_runs_nothing_of_what_it_looks_at(odd):
    held, w = ODD[odd], cl.tensor([1.0, 2.0])

    def step(x, skip):
        if not skip:
            return held.table + held.weight + held.read + held.w + held["mean"]
        return cl.sum(x * w)

    f = cl.compile(step, static=1, executor="numpy")
    assert float(f(X, True)) == -1.5
    w = cl.tensor([3.0, 4.0])
    assert float(f(X, True)) == -2.5


@pytest.mark.parametrize("before", [True, False])
def test_cached_properties_are_captured_once_they_are_there(before):
    class Cached:
        @functools.cached_property
        def table(self):
            return cl.tensor([1.0, 2.0])

    held = Cached()
    f = cl.compile(lambda x: x * held.table, executor="numpy")
    if before:
        assert held.table.tolist() == [1.0, 2.0]
    for new in ([1.0, 2.0], [4.0, 5.0], [6.0, 7.0]):
        if new[0] > 1:
            held.table = cl.tensor(new)
        assert np.array_equal(np.asarray(f(X)), X * new)


def test_what_comes_to_be_while_a_function_is_traced_is_seen_later():
    class Lazy:
        parts = None

        def __call__(self, x):
            if self.parts is None:
                self.parts = {"w": cl.tensor([1.0, 2.0])}
            return x * self.parts["w"]

    held = Lazy()
    f = cl.compile(held, executor="numpy")
    for new in ([1.0, 2.0], [4.0, 5.0], [6.0, 7.0]):
        if held.parts is not None:
            held.parts["w"] = cl.tensor(new)
        assert np.array_equal(np.asarray(f(X)), X * new)


@pytest.mark.parametrize("gradient", [False, True])
def test_what_is_around_a_function_is_looked_for_once_for_a_program(monkeypatch, gradient):
    w, searches = cl.tensor([1.0, 2.0]), []
    search = surroundings.variables_around
    for module in (captures, recorded_call, specialisation):
        monkeypatch.setattr(module, "variables_around", lambda f: searches.append(f) or search(f))
    f = cl.compile(lambda x: cl.sum(x * w), executor="numpy")
    for _ in range(2):
        cl.grad(f)(X) if gradient else f(X)
    assert len(searches) == 1


@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
def test_installed_modules_are_no_users_modules(folder, monkeypatch):
    module = types.ModuleType("installed_somewhere")
    module.__file__ = f"/usr/lib/python3/{folder}/installed_somewhere.py"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.w = cl.tensor([1.0, 2.0])
    f = lambda x: x * module.w
    assert not any(read() is module.w for read in surroundings.variables_around(f))
