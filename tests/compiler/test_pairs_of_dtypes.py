"""Two operands of two dtypes: the standard's table decides, and every executor computes what eager code computes."""

from __future__ import annotations

import itertools
import warnings

import array_api_strict as xp
import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import native_obstacle
from clearprop.primitives import REGISTRY
from tests.compiler.dtype_table import DTYPES, NATIVE, difference, operands, outcome
from tests.compiler.plain import plain

KEEPING = "add subtract multiply maximum minimum bitwise_and bitwise_or bitwise_xor".split()
"""Functions whose result has the dtype that their operands promote to; NumPy computes them in it."""
MEETING = {
    "concat": lambda x, y: cl.concat([x, y]),
    "concat in three": lambda x, y: cl.concat([y, x, y]),
    "stack": lambda x, y: cl.stack([x, y]),
    "where": lambda x, y: cl.where(x == x, x, y),
    "matmul": lambda x, y: cl.matmul(x, y),
    "outer": lambda x, y: cl.outer(x, y),
    "sum of both": lambda x, y: cl.sum(x) + cl.sum(y),
    "a quotient of sums": lambda x, y: (x + y) / 2,
    "a choice of a product": lambda x, y: cl.where(x > y, x * y, x),
}
FUNCTIONS = MEETING | {
    p.name: getattr(cl, p.name)
    for p in REGISTRY.values()
    if p.kind == "elementwise" and p.public and not p.conditions and len(p.operands) == 2 and hasattr(cl, p.name)
}
PAIRS = [pair for pair in itertools.product(DTYPES, repeat=2) if pair[0] != pair[1]]
SAMPLE = {("uint8", "int32"), ("bool", "float32"), ("int64", "float32"), ("uint32", "int64"), ("int16", "uint64")}


def promoted(a, b):
    """The standard's answer, or None where it has none."""
    try:
        return str(xp.result_type(getattr(xp, a), getattr(xp, b))).rsplit(".", 1)[-1]
    except TypeError:
        return None


@pytest.mark.parametrize(
    ("a", "b"), [pytest.param(*pair, marks=[pytest.mark.verify] * (pair not in SAMPLE)) for pair in PAIRS]
)
def test_a_pair_of_dtypes(a, b):
    x, y = operands(a)[0], operands(b)[1]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", cl.ExecutorWarning)
        want = {name: outcome(f, cl.asarray(x), cl.asarray(y)) for name, f in FUNCTIONS.items()}
        as_the_standard_has_it(x, y, want)
        given = [name for name, w in want.items() if not isinstance(w, type)]
        same(given, cl.compile(lambda x, y: tuple(FUNCTIONS[n](x, y) for n in given), executor="numpy")(x, y), want)
        for name in (n for n in want if n not in given):
            assert isinstance(outcome(cl.compile(FUNCTIONS[name]), x, y), type), f"{name} of {a}, {b} is not refused"
        if {a, b} <= set(NATIVE):
            own = [n for n in given if n in MEETING or ".on_demand." not in REGISTRY[n].__module__]
            lowered = {n: cl.compile(FUNCTIONS[n], executor="numpy").lower(x, y).lowered for n in own}
            native = [n for n in own if native_obstacle(lowered[n]) is None]
            with plain():
                same(native, cl.compile(lambda x, y: tuple(FUNCTIONS[n](x, y) for n in native))(x, y), want)


def as_the_standard_has_it(x, y, want):
    table = promoted(x.dtype.name, y.dtype.name)
    for name in KEEPING if table else ():
        if not isinstance(want[name], type):
            expected = getattr(np, name)(x.astype(table), y.astype(table))
            assert want[name].dtype == table and not difference(want[name], expected), name
    for name in ("concat", "stack", "where", "matmul", "outer"):
        assert table is None or isinstance(want[name], type) or want[name].dtype == table, name


def same(names, got, want):
    assert not {n: d for n, g in zip(names, got, strict=True) if (d := difference(np.asarray(g), want[n]))}


@pytest.mark.parametrize("number", [0.5, 1, True])
def test_a_python_number_that_is_an_argument_meets_an_array_as_eagerly(number):
    x = cl.tensor(np.array([0.25, 0.5, 0.75], np.float32))
    functions = {name: f for name, f in FUNCTIONS.items() if name not in MEETING}
    for order in ((x, number), (number, x)):
        want = {name: outcome(f, *order) for name, f in functions.items()}
        given = [name for name, w in want.items() if not isinstance(w, type)]
        assert "sigmoid_cross_entropy" in given or order[0] is number
        found = cl.compile(lambda a, b, given=given: tuple(functions[n](a, b) for n in given), executor="numpy")(*order)
        for name, value in zip(given, found, strict=True):
            assert value.dtype == want[name].dtype, name
