"""Numbers that NumPy or Python draw within what is traced are drawn anew at each call, or refused."""

import functools
import os
import random
import secrets
import threading
import types

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import TraceError

X = np.array([1.0, 2.0, 3.0])
OWN = {"numpy.random": lambda: np.random.rand(), "random": lambda: random.random()}
GENERATORS = {
    "Generator": (np.random.default_rng(0), lambda g: g.normal()),
    "RandomState": (np.random.RandomState(0), lambda g: g.rand()),
    "Random": (random.Random(0), lambda g: g.gauss(0, 1)),
    "MT19937": (np.random.Generator(np.random.MT19937(0)), lambda g: g.normal(size=2)[1]),
}


class Holder:
    def __init__(self, generator, draw):
        self.generator, self.draw = generator, draw

    def step(self, x):
        return x * self.draw(self.generator)


def in_closure(generator, draw):
    return lambda x: x * draw(generator)


def in_method(generator, draw):
    return Holder(generator, draw).step


def in_dictionary(generator, draw):
    held = {"rng": generator}
    return lambda x: x * _drawn_by(held, draw)


def _drawn_by(held, draw):
    return draw(held["rng"])


def in_function_that_is_called(generator, draw):
    def inner(x):
        return x * draw(generator)

    return lambda x: inner(x) + 1


PLACES = [in_closure, in_method, in_dictionary, in_function_that_is_called]


def are_different(results):
    return len({np.asarray(r).tobytes() for r in results}) == len(results)


@pytest.mark.parametrize("place", PLACES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", GENERATORS)
def test_a_compiled_function_that_draws_runs_as_it_is_written(kind, place):
    f = cl.compile(place(*GENERATORS[kind]), executor="numpy")
    with pytest.warns(cl.ExecutorWarning, match="draws random numbers that would be the same at every call"):
        first = f(X)
    assert are_different([first, f(X), f(X)])
    slopes = [cl.grad(lambda x: cl.sum(f(x)))(X) for _ in range(3)]
    assert are_different(slopes)


@pytest.mark.parametrize("name", OWN)
def test_so_does_one_that_draws_from_what_all_share(name):
    f = cl.compile(lambda x: x * OWN[name](), executor="numpy")
    with pytest.warns(cl.ExecutorWarning, match="it runs uncompiled"):
        assert are_different([f(X), f(X), f(X)])
    with pytest.raises(TraceError, match=f"numbers of {name}, drawn while it was traced"):
        f.lower(X)


@pytest.mark.parametrize("draw", ["shared", "own"])
@pytest.mark.parametrize("loop", ["scan", "fori_loop", "while_loop", "vmap"])
def test_the_step_of_a_loop_that_draws_is_refused(loop, draw):
    rng = np.random.default_rng(0)
    drawn = np.random.rand if draw == "shared" else rng.random
    loops = {
        "scan": lambda: cl.scan(lambda c, x: (c + x * drawn(), c), 0.0, X),
        "fori_loop": lambda: cl.fori_loop(0, 3, lambda i, c: c + drawn(), 0.0),
        "while_loop": lambda: cl.while_loop(lambda c: c < 9, lambda c: c + 1 + drawn(), 0.0),
        "vmap": lambda: cl.vmap(lambda x: x + drawn())(X),
    }
    # a bound method is no code of the user's: the word that draws stands in none
    loops = loops if draw == "own" else {name: _written(name) for name in loops}
    with pytest.raises(TraceError, match="draws random numbers that would be the same"):
        loops[loop]()


def _written(name):
    rand = np.random
    return {
        "scan": lambda: cl.scan(lambda c, x: (c + x * rand.rand(), c), 0.0, X),
        "fori_loop": lambda: cl.fori_loop(0, 3, lambda i, c: c + np.random.rand(), 0.0),
        "while_loop": lambda: cl.while_loop(lambda c: c < 9, lambda c: c + 1 + np.random.rand(), 0.0),
        "vmap": lambda: cl.vmap(lambda x: x + np.random.rand())(X),
    }[name]


class Drawer:
    """What draws where a name alone does not tell: methods, callable objects, attributes and entries."""

    __slots__ = ("__dict__", "held")
    shared = np.random.default_rng(0)

    def __init__(self):
        self.rng, self.held, self.noise = np.random.default_rng(0), np.random.default_rng(0), None
        self.entries = {"rng": [np.random.default_rng(0)]}

    def method(self, x):
        return x + self.rng.normal()

    def of_method(self, x):
        return self.method(x)

    def of_entry(self, x):
        return x + self.entries["rng"][0].normal()

    def of_slot(self, x):
        return x + self.held.normal()

    def of_class(self, x):
        return x + self.shared.normal()

    @property
    def drawn(self):
        return self.rng.normal()

    def of_property(self, x):
        return x + self.drawn

    @staticmethod
    def static(x):
        return x + np.random.normal()

    def __call__(self, x):
        return x + self.rng.normal()


class Noisy(cl.nn.Module):
    rng: object = cl.nn.static()

    def forward(self, x):
        return x + self.rng.normal()


def by_decorator(f):
    @functools.wraps(f)
    def noisy(x):
        return f(x) + np.random.normal()

    return noisy


def _steps():
    drawer = Drawer()
    outer = Drawer()
    outer.noise = drawer
    return {
        "method": drawer.method,
        "method of a method": drawer.of_method,
        "entry": drawer.of_entry,
        "slot": drawer.of_slot,
        "class": drawer.of_class,
        "property": drawer.of_property,
        "static": drawer.static,
        "object": drawer,
        "lambda of an object": lambda x: drawer(x),
        "lambda of a method": lambda x: drawer.method(x),
        "attribute of an attribute": lambda x: x + outer.noise.rng.normal(),
        "object of an object": lambda x: outer.noise(x),
        "partial": functools.partial(lambda k, x: x + k * drawer.rng.normal(), 2.0),
        "partial of a method": functools.partial(drawer.method),
        "generator in a partial": functools.partial(lambda rng, x: x + rng.normal(), drawer.rng),
        "default": lambda x, rng=drawer.rng: x + rng.normal(),
        "decorated": by_decorator(lambda x: x),
        "gradient": cl.grad(lambda x: x * drawer.rng.normal()),
        "layer": Noisy(rng=drawer.rng),
        "layers": cl.nn.Sequential(cl.nn.Activation("tanh"), Noisy(rng=drawer.rng)),
        "fresh": lambda x: x + np.random.default_rng().normal(),
        "fresh RandomState": lambda x: x + np.random.RandomState().rand(),
        "fresh Random": lambda x: x + random.Random().random(),
        "system": lambda x: x + random.SystemRandom().random(),
        "urandom": lambda x: x + float(os.urandom(7)[0] * 1e3 + os.urandom(7)[3]) + secrets.randbelow(10**9),
    }


LOOPS = {
    "scan": lambda f: cl.scan(lambda c, x: (c, f(x)), 0.0, X),
    "map": lambda f: cl.map(f, X),
    "batches": lambda f: cl.map(f, X, batch_size=2),
    "fori_loop": lambda f: cl.fori_loop(0, 3, lambda i, c: f(c), 0.0),
    "while_loop": lambda f: cl.while_loop(lambda c: c < -1e9, f, 0.0),  # traced all the same
    "vmap": lambda f: cl.vmap(f)(X),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", _steps())
def test_a_step_that_draws_in_any_way_is_refused(kind, loop):
    with pytest.raises(TraceError, match="draws random numbers that would be the same"):
        LOOPS[loop](_steps()[kind])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_step_that_goes_a_drawn_way_is_refused(loop):
    for seed in range(20):
        random.seed(seed)
        with pytest.raises(TraceError, match="numbers of random, drawn"):
            LOOPS[loop](lambda x: x * 2 if random.random() < 0.8 else x)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_drawn_from_a_seed_within_a_step_passes(loop):
    LOOPS[loop](lambda x: x + 9 * np.random.default_rng(0).random() + random.Random(0).random())


def test_a_compiled_function_that_goes_a_drawn_way_runs_as_it_is_written():
    for seed in range(20):
        random.seed(seed)
        f = cl.compile(lambda x: x * 2 if random.random() < 0.8 else x, executor="numpy")
        with pytest.warns(cl.ExecutorWarning, match="it runs uncompiled"):
            assert len({float(f(X)[0]) for _ in range(80)}) == 2


@pytest.mark.parametrize("kind", ["fresh", "fresh RandomState", "fresh Random", "system", "urandom"])
def test_a_compiled_function_that_makes_generators_runs_as_it_is_written(kind):
    f = cl.compile(_steps()[kind], executor="numpy")
    with pytest.warns(cl.ExecutorWarning, match="it runs uncompiled"):
        assert are_different([f(X), f(X), f(X)])
    f = cl.compile(_steps()[kind], executor="numpy")
    with pytest.warns(cl.ExecutorWarning, match="it runs uncompiled"):
        slopes = [cl.value_and_grad(lambda x: cl.sum(f(x)))(X)[0] for _ in range(3)]
    assert are_different(slopes)


def test_numbers_that_a_function_draws_from_a_seed_of_its_own_are_its_constants():
    f = cl.compile(lambda x: x * np.random.default_rng(0).normal(size=3), executor="numpy")
    expected = X * np.random.default_rng(0).normal(size=3)
    assert np.array_equal(f(X), expected) and np.array_equal(f(X), expected)
    assert np.array_equal(cl.vmap(lambda x: x * np.random.default_rng(0).random())(X), X * 0.6369616873214543)


def test_what_another_thread_draws_meanwhile_is_no_matter_of_the_function():
    over = threading.Event()

    def draw():
        while not over.is_set():
            np.random.rand(), random.random()

    other = threading.Thread(target=draw)
    other.start()
    try:
        f = cl.compile(lambda x: x * 2 + np.random.default_rng(0).random(), executor="numpy")
        for n in range(2, 12):
            f(np.ones(n)), f(np.ones((n, 1)))
        assert f.cache_info().misses > 0
    finally:
        over.set()
        other.join()


def test_keys_of_ours_are_drawn_from_as_before():
    f = cl.compile(lambda key: cl.random.normal(key, (2,)), executor="numpy")
    assert are_different([f(cl.random.key(n)) for n in range(3)])
    keys = cl.random.split(cl.random.key(0), 3)
    assert are_different([f(key) for key in keys])


def test_a_source_of_the_system_has_no_state_and_is_no_obstacle():
    source = random.SystemRandom()
    f = lambda x: x * 2.0 if source else x
    assert np.array_equal(cl.compile(f, executor="numpy")(X), X * 2.0)
    assert np.array_equal(cl.vmap(f)(X), X * 2.0)


def test_draws_in_a_module_of_the_users_and_in_a_condition_are_found():
    helpers = types.ModuleType("helpers_of_a_test")
    exec(
        "import numpy as np\nrng = np.random.default_rng(0)\ndef noise(x):\n    return x + rng.normal()\n",
        vars(helpers),
    )
    with pytest.raises(TraceError, match="would be the same for all examples"):
        cl.vmap(lambda x: helpers.noise(x))(X)
    with pytest.raises(TraceError, match="would be the same for all examples"):
        cl.vmap(lambda x: x * helpers.rng.random())(X)
    rng = np.random.default_rng(0)
    with pytest.raises(TraceError, match="would be the same at every step"):
        cl.while_loop(lambda c: c < 3 + rng.random(), lambda c: c + 1.0, 0.0)
