"""Every fact that a declaration states about its operation, against values; and that the compiler knows no names."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from clearprop.primitives import REGISTRY, Facts, Primitive
from clearprop.program.ir import Equation, Var
from clearprop.program.types import type_of

NUMBERS = {
    "b": np.array([True, False]),
    "i": np.array([-3, -1, 0, 1, 2, 7], np.int64),
    "u": np.array([0, 1, 2, 255], np.uint8),
    "f": np.array([-np.inf, -2.5, -1.0, -0.0, 0.0, 1e-310, 0.5, 1.0, 3.0, np.inf, np.nan]),
}
STATED = [p for p in REGISTRY.values() if p.facts != Facts()]


def having(fact):
    return pytest.mark.parametrize("p", [p for p in STATED if getattr(p.facts, fact)], ids=lambda p: p.name)


def assert_same_bits(got, want):
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    if want.dtype.kind == "f":
        number = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got)[number], np.signbit(want)[number])


@having("neutral")
@pytest.mark.parametrize("kind", "iuf")
def test_a_neutral_number_gives_back_the_other_operand(p, kind):
    x = NUMBERS[kind]
    for position, other, number in p.facts.neutral:
        if kind != "f" and p.dtype_rule == "float":
            continue  # the result has another type, and the compiler keeps types
        operands = [None, None]
        operands[position], operands[other] = int(number) if kind != "f" else number, x
        assert_same_bits(p.run(operands, {}), x)


@having("truth")
def test_a_comparison_of_a_truth_is_the_truth(p):
    x = NUMBERS["b"]
    for position, other, number in p.facts.truth:
        operands = [None, None]
        operands[position], operands[other] = number, x.astype(np.float64)
        assert_same_bits(p.run(operands, {}), x)


@having("same_on")
def test_an_identity_gives_back_its_operand(p):
    for kind in set(p.facts.same_on) & set(NUMBERS):
        assert_same_bits(p.run([NUMBERS[kind]], {}), NUMBERS[kind])


@having("chooses")
def test_a_choice_is_one_of_its_operands(p):
    a, b = NUMBERS["f"], NUMBERS["f"][::-1].copy()
    assert_same_bits(p.run([True, a, b], {}), a)
    assert_same_bits(p.run([False, a, b], {}), b)


X = np.arange(24.0).reshape(2, 3, 4)
MOVES = {
    "broadcast_to": {"shape": (5, 2, 3, 4)},
    "expand_dims": {"axis": (-2,)},
    "flip": {"axis": (-1, -3)},
    "getitem": {"key": (1, slice(2, None, -2), slice(1, 3, 1))},
    "permute_dims": {"axes": (-1, -3, -2)},
    "reshape": {"shape": (6, 4)},
    "squeeze": {"axis": ()},
}


@having("view")
def test_a_view_walks_its_operand(p):
    """The walk that the compiler takes for the equation visits the elements that the primitive gives."""
    from clearprop.compiler.array_access import view_of, whole_array

    params = MOVES[p.name]
    want = p.run([X], params)
    source, out = Var(type_of(X)), Var(type_of(want))
    walk = view_of(Equation(p, (source,), params, (out,)), whole_array(source))
    strides = tuple(8 * s for s in walk.strides)
    got = np.lib.stride_tricks.as_strided(X.reshape(-1)[walk.offset :], walk.shape, strides)
    np.testing.assert_array_equal(got, want)


@having("absorbs")
def test_the_last_move_alone_matters(p):
    first, last = ((4, 6), (12, 2)) if p.facts.view == "reshape" else ((1, 2, 3, 4), (5, 2, 3, 4))
    twice = p.run([p.run([X], {"shape": first})], {"shape": last})
    np.testing.assert_array_equal(twice, p.run([X], {"shape": last}))


@having("reduction")
def test_a_reduction_is_its_operation_repeated(p):
    ufunc = {"sum": np.add, "max": np.maximum, "min": np.minimum, "all": np.logical_and, "any": np.logical_or}
    x = X > 11 if p.facts.reduction in ("all", "any") else X
    np.testing.assert_array_equal(p.run([x], {"axis": (-2,), "keepdims": False}), ufunc[p.facts.reduction].reduce(x, 1))


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="view is one of broadcast, flip, permute, reshape, slice, not 'transpose'"):
        Facts(view="transpose")


def test_an_operation_of_the_users_own_states_facts_too():
    """Joining with −∞ changes nothing: the compiled program has no equation for it."""

    def upper(a, b, /):
        """The larger of two."""

    upper = Primitive(
        upper,
        "elementwise",
        numpy="np.maximum({a}, {b})",
        rules={},
        facts=Facts(neutral=((1, 0, -np.inf),)),
        register=False,
    )
    assert not cl.compile(lambda x: upper(x, -np.inf)).lower(X).lowered.equations


SOURCES = Path(cl.__file__).parent / "compiler"


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=lambda p: p.name)
def test_the_compiler_compares_no_names_of_operations(path):
    """What it must know of an operation it asks of the declaration's facts."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        sides = [ast.unparse(s) for s in (node.left, *node.comparators)] if isinstance(node, ast.Compare) else []
        named = [s for s in sides if s == "p.name" or s.endswith("primitive.name")]
        assert not named, f"{path.name}:{node.lineno} compares {ast.unparse(node)}"
