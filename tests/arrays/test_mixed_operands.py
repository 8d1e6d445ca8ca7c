"""Operands of two dtypes: every function computes what it computes of operands in the dtype that they promote to."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest

import clearprop as cl
from clearprop.arrays import functions
from clearprop.primitives import REGISTRY
from clearprop.rules import on_demand
from tests.tiers import together

VECTOR, MATRIX, OTHER, SQUARE = (3,), (2, 3), (3, 2), (3, 3)
ELEMENTWISE = {p.name: p for p in REGISTRY.values() if p.public and p.kind == "elementwise" and not p.conditions}
ELEMENTWISE |= {n: f for n in on_demand.names() if getattr(f := on_demand.find(n), "kind", "") == "elementwise"}
TABLE = {
    **{n: (getattr(cl, n), [VECTOR] * len(p.operands)) for n, p in ELEMENTWISE.items() if len(p.operands) > 1},
    "where": (lambda a, b: cl.where(np.array([True, False, True]), a, b), [VECTOR, VECTOR]),
    "clip": (cl.clip, [VECTOR] * 3),
    "matmul": (cl.matmul, [MATRIX, OTHER]),
    "tensordot": (lambda a, b: cl.tensordot(a, b, 1), [MATRIX, OTHER]),
    "vecdot": (cl.vecdot, [VECTOR, VECTOR]),
    "inner": (cl.inner, [MATRIX, VECTOR]),
    "einsum": (lambda a, b, c: cl.einsum("ij,jk,k->i", a, b, c), [MATRIX, OTHER, (2,)]),
    "broadcast_arrays": (lambda a, b: cl.concat(cl.broadcast_arrays(a, b)), [VECTOR, VECTOR]),
    "concat": (lambda a, b: cl.concat([a, b]), [VECTOR, VECTOR]),
    "stack": (lambda a, b: cl.stack([a, b]), [VECTOR, VECTOR]),
    "diff": (lambda a, b, c: cl.diff(a, prepend=b, append=c), [VECTOR] * 3),
    "trapezoid": (cl.trapezoid, [MATRIX, VECTOR]),
    "interp": (cl.interp, [VECTOR] * 3),
    "isin": (cl.isin, [VECTOR, VECTOR]),
    "conv": (cl.conv, [(1, 5, 2), (3, 2, 2)]),
    "conv_transpose": (cl.conv_transpose, [(1, 5, 2), (3, 2, 2)]),
    "linalg.cholesky_solve": (cl.linalg.cholesky_solve, [SQUARE, VECTOR]),
    "linalg.cross": (cl.linalg.cross, [VECTOR, VECTOR]),
    "linalg.kron": (cl.linalg.kron, [MATRIX, OTHER]),
    "linalg.lstsq": (lambda a, b: cl.linalg.lstsq(a, b).solution, [SQUARE, VECTOR]),
    "linalg.multi_dot": (lambda a, b, c: cl.linalg.multi_dot([a, b, c]), [MATRIX, OTHER, (2,)]),
    "linalg.outer": (cl.linalg.outer, [VECTOR, VECTOR]),
    "linalg.solve": (cl.linalg.solve, [SQUARE, OTHER]),
    "linalg.solve_triangular": (cl.linalg.solve_triangular, [SQUARE, VECTOR]),
}
"""A function of arrays that meet, and their shapes."""
NOT_MEETING = {
    "index_add masked_fill put_along_axis": "what is written takes the dtype of the array that it is written into",
    "take take_along_axis searchsorted bincount histogram": "places and counts are no operands that meet",
    "segment_sum segment_mean segment_prod segment_max segment_min": "numbers of segments are no operands that meet",
    "cross kron outer": "those of `cl.linalg`, under a second name",
    "softmax_cross_entropy one_hot": "labels are classes, or probabilities",
    "full full_like": "a value in the dtype that is asked for",
    "meshgrid": "vectors of one dtype, as the standard has it",
    "elu leaky_relu": "a slope is a parameter",
}
DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]
PAIRS = [pair for pair in itertools.product(DTYPES, repeat=2) if len(set(pair)) > 1]
FEW = [("int32", "float32"), ("float32", "uint8"), ("float32", "float64"), ("uint8", "int32")]
EXECUTORS = {
    "arrays": (lambda f: f, PAIRS),
    "tensors": (lambda f: lambda *args: f(*map(cl.tensor, args)), FEW),
    "compiled": (lambda f: cl.compile(f, executor="numpy"), FEW),
}


def numbers(shape, place):
    """Small numbers that differ, a whole one in each place; of a square a matrix that can be solved with."""
    x = (np.arange(np.prod(shape)) * 7 % 5 + 1 + place).reshape(shape)
    return x % 4 + 10 * np.eye(3) if shape == SQUARE else x.astype(float)


def outcome(f, args):
    try:
        return np.asarray(f(*args))
    except cl.ClearpropError as error:
        return type(error)


@together("executor", EXECUTORS)
@pytest.mark.parametrize("name", TABLE)
def test_operands_of_two_dtypes_meet_in_the_one_that_they_promote_to(name, executor):
    function, shapes = TABLE[name]
    run, pairs = EXECUTORS[executor]
    computed = run(function)
    for pair in pairs:
        args = [numbers(s, k).astype(d) for k, (s, d) in enumerate(zip(shapes, itertools.cycle(pair), strict=False))]
        expected = outcome(function, [cl.tensor(a.astype(cl.result_type(*args))) for a in args])
        found = outcome(computed, args)
        if isinstance(expected, type):
            assert isinstance(found, type), f"{pair}: {found!r}"
            continue
        assert not isinstance(found, type) and found.dtype == expected.dtype, f"{pair}: {found!r}"
        np.testing.assert_array_equal(found, expected, err_msg=str(pair))


def test_every_function_of_two_arrays_is_in_the_table():
    excused = set(" ".join(NOT_MEETING).split())
    names = {n: getattr(cl, n) for n in (*functions.__all__, *on_demand.names())}
    names |= {f"linalg.{n}": getattr(cl.linalg, n) for n in dir(cl.linalg) if n not in names}
    for name, function in names.items():
        parameters = inspect.signature(function).parameters.values()
        values = [q for q in parameters if str(q.annotation).startswith("Value")]
        if len(values) > 1 or any(q.kind is q.VAR_POSITIONAL for q in values):
            assert name in TABLE or name in excused, name
