"""Python's `if` and `while` rewritten with clearprop's functions: the texts, and that they compute the same."""

import linecache

import numpy as np
import pytest

import clearprop as cl
from clearprop.arrays.rewritten_control import rewritten_control
from clearprop.errors import TraceError

STATEMENTS = {
    "if x[0] > 1: return x * 2\nreturn x": "return cl.cond(x[0] > 1, lambda: x * 2, lambda: x)",
    "if x[0] > 1:\n    return x * 2\nelse:\n    return x": "return cl.cond(x[0] > 1, lambda: x * 2, lambda: x)",
    "if x[0] > 1:\n    y = x * 2\nelse:\n    y = x\nreturn y": "y = cl.cond(x[0] > 1, lambda: x * 2, lambda: x)",
    "if x[0] > 1:\n    x = x * 2\nreturn x": "x = cl.cond(x[0] > 1, lambda: x * 2, lambda: x)",
    "if x[0] > 1 and not x[1] > 5 or x[2] > 9:\n    x += 2.0\nreturn x": (
        "x = cl.cond(cl.logical_or(cl.logical_and(x[0] > 1, cl.logical_not(x[1] > 5)), x[2] > 9), "
        "lambda: x + 2.0, lambda: x)"
    ),
    "return x * 2 if 1 < x[0] < 3 else -x": (
        "cl.cond(cl.logical_and(1 < x[0], x[0] < 3), lambda: x * 2, lambda: -x)"
    ),
    "while cl.sum(x) < 50:\n    x *= 2.0\nreturn x": (
        "x = cl.while_loop(lambda x: cl.sum(x) < 50, lambda x: x * 2.0, x)"
    ),
}  # fmt: skip
NO_PROPOSAL = [
    "if x[0] > 1:\n    y = x\n    x = y * 2\nreturn x",
    "if x[0] > 1:\n    return x\nelif x[0] > 0:\n    return -x\nreturn x * 3",
    "while x[0] < 9:\n    x, y = x * 2, x\nreturn x",
    "y = (x if x[0] > 1 else -x) + (x if x[1] > 1 else -x)\nreturn y",
    "if x[0] > 1:\n    print(x)\nreturn x",
]


def function_of(body, name):
    """The function of one argument with these lines, as if they stood in a file."""
    text = "def f(x):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope = {"cl": cl}
    exec(compile(text, name, "exec"), scope)
    return scope["f"]


@pytest.mark.parametrize("body", STATEMENTS)
def test_a_statement_is_rewritten_to_one_that_computes_the_same(body):
    f = function_of(body, "user_code.py")
    with pytest.raises(TraceError) as info:
        cl.vmap(f)(np.ones((2, 3)))
    assert info.value.try_.startswith(STATEMENTS[body] + (", with max_steps=" if "while" in body else "; cl.where"))
    new = STATEMENTS[body] if STATEMENTS[body][0] in "rxy" else f"return {STATEMENTS[body]}"
    rewritten = function_of(new if new.startswith("return") else f"{new}\nreturn {new[0]}", "rewritten_code.py")
    for x in (np.array([2.0, 1.0, 0.5]), np.array([0.5, 4.0, 10.0]), np.array([4.0, 6.0, 1.0])):
        np.testing.assert_array_equal(np.asarray(rewritten(cl.tensor(x))), np.asarray(f(cl.tensor(x))))


@pytest.mark.parametrize("body", NO_PROPOSAL)
def test_where_there_is_more_to_it_nothing_is_proposed(body):
    with pytest.raises(TraceError) as info:
        cl.vmap(function_of(body, "user_code.py"))(np.ones((2, 3)))
    assert info.value.try_.startswith(("cl.cond(x[0] > 1, f, g, x) is", "cl.while_loop(lambda x: x[0] < 9, step, x)"))


@pytest.mark.parametrize("text", ["", "def f(:\n", "x = 1\n"])
def test_what_is_no_source(text):
    linecache.cache["broken.py"] = (len(text), None, text.splitlines(keepends=True), "broken.py")
    assert rewritten_control("broken.py", 1) == rewritten_control("nowhere.py", 3) == ""
