"""What is said when something cannot be compiled: the user's line, and what to write instead; word for word."""

import linecache
import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.compiler import ExecutorWarning, executor_choice, helper_source
from clearprop.errors import ArgumentError, ClearpropError, TraceError
from clearprop.primitives import HELPERS, REGISTRY

X = np.array([1.0, 2.0, 3.0])


def chosen(x):
    if x[0] > 0:
        return x
    return -x


def repeated(x):
    while cl.sum(x) < 10:
        x = x * 2
    return x


def asserted(x):
    assert cl.all(x > 0)
    return x


def both(x):
    return x if x[0] > 0 and x[1] > 0 else -x


def negated(x):
    return x if not x[0] > 0 else -x


def as_float(x):
    return x * float(x[0])


def as_int(x):
    return x * int(x[0])


def as_item(x):
    return x * x[0].item()


def as_array(x):
    return np.linalg.norm(np.asarray(x))


def counted(x):
    return sum(x[i] for i in range(cl.argmax(x)))


def largest(x):
    return x * max(x[0], 0.0)


def in_order(x):
    return x * sorted([x[0], x[1]])[0]


def any_of_python(x):
    return x if any(v > 0 for v in (x[0], x[1])) else -x


CONTROL_FLOW = {
    largest: (
        "max(x, y) needs numbers, and this value is being traced",
        "a traced value of type bool",
        "return x * max(x[0], 0.0)",
        "cl.maximum(x, y) of two, cl.max(cl.stack(values)) of many",
    ),
    in_order: (
        "sorted(x) needs numbers, and this value is being traced",
        "a traced value of type bool",
        "return x * sorted([x[0], x[1]])[0]",
        "cl.sort(cl.stack(values)) of many, cl.sort(x) of one array",
    ),
    any_of_python: (
        "any(x) needs numbers, and this value is being traced",
        "a traced value of type bool",
        "return x if any(v > 0 for v in (x[0], x[1])) else -x",
        "cl.any(cl.stack(values)) of many, cl.any(x) of one array",
    ),
    chosen: (
        "if x needs numbers, and this value is being traced",
        "a traced value of type bool",
        "if x[0] > 0:",
        "return cl.cond(x[0] > 0, lambda: x, lambda: -x); cl.where chooses element by element; "
        "what is fixed goes into static=",
    ),
    repeated: (
        "while x needs numbers, and this value is being traced",
        "a traced value of type bool",
        "while cl.sum(x) < 10:",
        "x = cl.while_loop(lambda x: cl.sum(x) < 10, lambda x: x * 2, x), with max_steps= where gradients flow "
        "through it",
    ),
    asserted: (
        "assert x needs numbers, and this value is being traced",
        "a traced value of type bool",
        "assert cl.all(x > 0)",
        "return the condition and check it outside; cl.isfinite and its like can be part of the program",
    ),
    both: (
        "x and y needs numbers, and this value is being traced",
        "a traced value of type bool",
        "return x if x[0] > 0 and x[1] > 0 else -x",
        "cl.cond(cl.logical_and(x[0] > 0, x[1] > 0), lambda: x, lambda: -x); cl.where chooses element by element; "
        "what is fixed goes into static=",
    ),
    negated: (
        "not x needs numbers, and this value is being traced",
        "a traced value of type bool",
        "return x if not x[0] > 0 else -x",
        "cl.cond(cl.logical_not(x[0] > 0), lambda: x, lambda: -x); cl.where chooses element by element; "
        "what is fixed goes into static=",
    ),
    as_float: (
        "float(x) needs numbers, and this value is being traced",
        "a traced value of type f64",
        "return x * float(x[0])",
        "keep the tensor, which every operation takes; float(...) of the returned value, outside",
    ),
    as_int: (
        "int(x) needs numbers, and this value is being traced",
        "a traced value of type f64",
        "return x * int(x[0])",
        "keep the tensor, x.astype(int) if it must be an integer; int(...) of the returned value, outside",
    ),
    as_item: (
        "item() needs numbers, and this value is being traced",
        "a traced value of type f64",
        "return x * x[0].item()",
        "keep the tensor, which every operation takes; .item() of the returned value, outside",
    ),
    as_array: (
        "np.asarray(x) needs numbers, and this value is being traced",
        "a traced value of type f64[n0]",
        "return np.linalg.norm(np.asarray(x))",
        "return the value from the function and convert it outside",
    ),
    counted: (
        "range(x) needs numbers, and this value is being traced",
        "a traced value of type i64",
        "return sum(x[i] for i in range(cl.argmax(x)))",
        "cl.while_loop with a counter; cl.fori_loop where the number is x.shape[i] or given in static=",
    ),
}


@pytest.mark.parametrize("f", CONTROL_FLOW, ids=lambda f: f.__name__)
def test_control_flow_on_traced_values(f):
    headline, got, line, advice = CONTROL_FLOW[f]
    compiled = cl.compile(f)
    with pytest.raises(TraceError) as caught:
        compiled(X)
    error = caught.value
    assert error.headline == headline
    assert error.expected == "operations that can be part of the program"
    assert error.got == got
    assert error.where == f"test_compile_messages.py:{_line_of(f, line)}  {line}"
    assert error.try_ == advice
    with pytest.raises(TraceError):
        compiled(X)  # a failed trace leaves nothing behind


def _line_of(f, text):
    import inspect

    lines, start = inspect.getsourcelines(f)
    return start + next(k for k, line in enumerate(lines) if line.strip() == text)


def test_iteration_over_a_traced_array_is_over_its_rows():
    """That is allowed: it makes the program special to the size."""
    f = cl.compile(lambda x: [row * 2 for row in x], executor="numpy")
    assert [float(v) for v in f(X)] == [2.0, 4.0, 6.0]
    assert f.cache_info().programs == ["step(f64[n0]) where n0 == 3 is True"]


def test_an_error_inside_the_function_names_the_users_line():
    with pytest.raises(ClearpropError) as caught:
        cl.compile(lambda w: nn.mse(w @ np.ones((4, 2)), np.ones(3)))(X)
    assert caught.value.where == (
        f"test_compile_messages.py:{_line_of(test_an_error_inside_the_function_names_the_users_line, _WRONG)}  {_WRONG}"
    )


_WRONG = "cl.compile(lambda w: nn.mse(w @ np.ones((4, 2)), np.ones(3)))(X)"


MISTAKES = {
    "donate": (
        lambda: cl.compile(lambda model, x: x, donate="modle"),
        "no argument to donate named 'modle'",
        "one of: model, x",
        "'modle'",
        "'model', the nearest name",
    ),
    "static position": (
        lambda: cl.compile(lambda x: x, static=1),
        "static names a position that does not exist",
        "0 to 0",
        "1",
        "",
    ),
    "executor": (
        lambda: cl.compile(lambda x: x, executor="numbo"),
        "no executor named 'numbo'",
        "one of: numba, numpy",
        "'numbo'",
        "'numba', the nearest name",
    ),
    "source": (
        lambda: _called().source("llvm"),
        "no source named 'llvm'",
        "one of: numba, numpy",
        "'llvm'",
        "one of the names above",
    ),
    "nothing yet": (
        lambda: cl.compile(lambda x: x).source(),
        "nothing was compiled yet",
        "a call, or .lower(*arguments), before the program can be shown",
        "no program",
        "step(*arguments), then step.source('numpy')",
    ),
    "no hash": (
        lambda: cl.compile(lambda x, n: x, static="n")(X, [1, 2]),
        "an argument that is part of the program cannot be compared between calls",
        "numbers, texts, tuples and other values that have a hash",
        "a list",
        "a tuple in place of a list; an array as an ordinary argument, not in static=",
    ),
}


def _called():
    f = cl.compile(lambda x: x, executor="numpy")
    f(X)
    return f


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case):
    call, headline, expected, got, advice = MISTAKES[case]
    with pytest.raises(ArgumentError) as caught:
        call()
    e = caught.value
    assert (e.headline, e.expected, e.got, e.try_) == (headline, expected, got, advice)
    assert e.where.startswith("test_compile_messages.py:")


# ------------------------------------------------------------------------------------------------ executors
@cl.primitive("elementwise", numpy="np.sinc({x})", d_x=lambda g, x: g)
def wavelet(x, /):
    """sin(πx)/(πx)."""


@cl.primitive("structural", numpy="np.roll({x}, 1)", shape=lambda x: x.shape)
def rolled(x, /):
    """The entries moved on by one."""


for _name in ("wavelet", "rolled"):
    del REGISTRY[_name]


@pytest.fixture
def unsaid(monkeypatch):
    monkeypatch.setattr(executor_choice, "_SAID", set())


@pytest.mark.parametrize(
    ("leaf", "reason"),
    [(wavelet, "wavelet is spelled with np.sinc, which kernels do not know"), (rolled, "rolled has no native form")],
)
def test_a_leaf_without_native_form_runs_on_numpy_and_says_so_once(leaf, reason, unsaid):
    def filtered(x):
        return cl.exp(leaf(x))

    compiled = cl.compile(filtered)
    with pytest.warns(ExecutorWarning) as said:
        got = compiled(X)
    kept = "all else, in loops too, runs natively"
    assert [str(w.message) for w in said] == [f"filtered runs in part on the NumPy executor: {reason}; {kept}"]
    assert said[0].filename == __file__
    want = np.exp(np.sinc(X) if leaf is wavelet else np.roll(X, 1))
    np.testing.assert_allclose(np.asarray(got), want, rtol=1e-15)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(X[:2])
        compiled(X.astype(np.float32))
        cl.compile(filtered)(X)
        cl.compile(filtered, executor="numpy")(X)
    with pytest.raises(ArgumentError) as caught:
        cl.compile(filtered, executor="numba")(X)
    e = caught.value
    assert (e.headline, e.expected, e.got, e.try_) == (
        "filtered has no native form",
        "primitives with a native form",
        reason,
        'executor="numpy"',
    )


def test_a_dtype_without_native_form_is_told(unsaid):
    with pytest.warns(ExecutorWarning, match="step runs in part on the NumPy executor: int8 has no native form"):
        out = cl.compile(lambda x: x.astype(np.float32) * 2)(X.astype(np.int8))
    assert out.dtype == np.float32 and np.array_equal(np.asarray(out), 2 * X.astype(np.int8))


def test_without_numba_the_numpy_executor_runs_and_says_so_once(unsaid, monkeypatch):
    monkeypatch.setattr(executor_choice.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(executor_choice, "can_compile", executor_choice.can_compile.__wrapped__)  # what it knows aside

    def doubled(x):
        return x * 2

    compiled = cl.compile(doubled)
    with pytest.warns(ExecutorWarning) as said:
        compiled(X)
        compiled(X[:2])
        compiled(X.astype(np.float32))
    assert [str(w.message) for w in said] == ["doubled runs on the NumPy executor: Numba is not installed"]


def test_where_numba_cannot_be_imported_the_reason_is_told(unsaid, monkeypatch):
    import builtins

    original = builtins.__import__

    def refusing(name, *args, **kwargs):
        if name == "clearprop.compiler.native.obstacles":
            raise ImportError("libsvml.so: wrong ELF class")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refusing)
    with pytest.warns(ExecutorWarning) as said:
        out = cl.compile(lambda x: x * 3)(X)
    reason = "Numba cannot be used (libsvml.so: wrong ELF class)"
    assert [str(w.message) for w in said] == [f"step runs on the NumPy executor: {reason}"]
    assert np.array_equal(np.asarray(out), 3 * X)


def test_helpers_of_the_users_are_found(monkeypatch):
    """A leaf may be spelled with a function of its own; the printed source carries its text."""
    monkeypatch.setitem(HELPERS, "smoothed", _smoothed)
    leaf = cl.primitive("elementwise", numpy="smoothed({x})")(_leaf)
    del REGISTRY[leaf.name]
    f = cl.compile(lambda x: leaf(x) + 1, executor="numpy")
    assert np.array_equal(np.asarray(f(X)), X / (1 + X) + 1)
    assert "def smoothed(x):\n    return x / (1 + x)" in f.source("numpy")


@pytest.mark.parametrize("known", ["", "import sys\nprint(1 / 0)\n"])
def test_a_helper_without_a_file_still_runs(monkeypatch, known):
    """Also where Python has a text for "<string>", that of `python -c`: it is another function's."""
    monkeypatch.setitem(linecache.cache, "<string>", (len(known), None, known.splitlines(keepends=True), "<string>"))
    scope = {}
    exec("def halved(x):\n    return x / 2", scope)
    monkeypatch.setitem(HELPERS, "halved", scope["halved"])
    leaf = cl.primitive("elementwise", numpy="halved({x})")(_leaf)
    del REGISTRY[leaf.name]
    f = cl.compile(lambda x: leaf(x) + 1, executor="numpy")
    assert np.array_equal(np.asarray(f(X)), X / 2 + 1)
    assert "# called, but its source is not in a file: halved" in f.source("numpy")


def _smoothed(x):
    return x / (1 + x)


def _leaf(x, /):
    """x/(1 + x)."""


def _typed(x: np.ndarray, *, ß: tuple[int, ...] = (1, 2), **rest: dict[str, int]) -> tuple[np.ndarray, int]:
    """x."""
    return x, ß[0]


def test_the_text_of_a_helper_shows_no_types():
    """Their names need not be known where the text is read; names and defaults stay."""
    text = helper_source(_typed)
    assert text.splitlines()[0] == "def _typed(x, *, ß = (1, 2), **rest):"
    assert text.splitlines()[1:] == ['    """x."""', "    return x, ß[0]"]


SIZES = {
    "ones": lambda n: cl.ones((n, 2)),
    "eye": lambda n: cl.eye(n),
    "one_hot": lambda n: cl.one_hot(cl.tensor([0]), n),
    "segment_sum": lambda n: cl.segment_sum(cl.ones(2), [0, 1], size=n),
    "bincount": lambda n: cl.bincount(np.array([0]), size=n),
    "reshape": lambda n: cl.reshape(cl.ones(4), (n, 2)),
    "normal": lambda n: cl.random.normal(cl.random.key(0), (n,)),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_traced_value_is_no_size(name):
    assert 2 in SIZES[name](cl.tensor(2)).shape
    with pytest.raises(TraceError) as caught:
        cl.compile(SIZES[name])(np.array(2))
    assert caught.value.got == "a traced value of type i64"
