"""Every fact that a declaration states about its operation, against values; and that the compiler knows no names."""

from __future__ import annotations

import ast
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cl
from clearprop.control.scan_operation import scan_
from clearprop.control.switch_operation import switch_
from clearprop.control.while_operation import while_loop_
from clearprop.errors import DTypeError
from clearprop.primitives import REGISTRY, Facts, Primitive
from clearprop.program import facts
from clearprop.program.ir import Equation, Var, trace
from clearprop.program.types import type_of

NUMBERS = {
    "b": np.array([True, False]),
    "i": np.array([-3, -1, 0, 1, 2, 7], np.int64),
    "u": np.array([0, 1, 2, 255], np.uint8),
    "f": np.array([-np.inf, -2.5, -1.0, -0.0, 0.0, 1e-310, 0.5, 1.0, 3.0, np.inf, np.nan]),
}
STATED = [p for p in [*REGISTRY.values(), scan_, switch_, while_loop_] if p.facts != Facts()]


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


@having("negates")
@pytest.mark.parametrize("kind", "if")  # −1 is no unsigned number
def test_a_number_that_negates_gives_the_other_operand_negated(p, kind):
    x = NUMBERS[kind]
    for position, other, number in p.facts.negates:
        if kind == "i" and p.dtype_rule == "float":
            continue  # the result has another type
        operands = [None, None]
        operands[position], operands[other] = int(number) if kind != "f" else number, x
        assert_same_bits(p.run(operands, {}), REGISTRY["negative"].run([x], {}))


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


@having("undefined_on")
def test_an_operation_is_refused_where_it_has_no_meaning(p):
    for kind in p.facts.undefined_on:
        with pytest.raises(cl.errors.DTypeError, match="has no meaning"):
            p(*[NUMBERS[kind]] * len(p.operands))
    x = next(NUMBERS[kind] for kind in "fi" if kind not in p.facts.undefined_on)
    assert p(*[abs(x)] * len(p.operands)).shape == x.shape


@having("nonempty")
def test_axes_that_are_reduced_must_have_elements(p):
    axis = (-1,) if p.facts.reduction else -1  # of several axes there is no place
    along = partial(p, axis=axis, keepdims=False)
    for call in (along, cl.compile(lambda x: along(x), executor="numpy"), cl.compile(lambda x: along(x))):
        with pytest.raises(cl.ClearpropError, match="no elements have no largest"):
            call(np.zeros((2, 0)))
    assert p(np.zeros((0, 2)), axis=axis, keepdims=False).shape == (0,)


@having("nonnegative")
def test_negative_integers_are_refused_where_they_must_not_be(p):
    for position in p.facts.nonnegative:
        operands = [np.array([2, 3])] * len(p.operands)
        assert p.run(operands, {}).dtype.kind == "i"
        operands[position] = np.array([1, -1])
        with pytest.raises(ValueError, match="negative"):
            p.run(operands, {})


@having("modular")
@pytest.mark.parametrize("narrow", [np.int8, np.uint16, np.int32])
@given(numbers=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=2))
def test_low_bits_depend_on_low_bits_alone(p, narrow, numbers):
    operands = [np.array([n]) for n in numbers[: len(p.operands)]]
    with np.errstate(over="ignore"):
        wide, low = (p.run([x.astype(dtype) for x in operands], {}) for dtype in (np.int64, narrow))
    assert_same_bits(low, wide.astype(narrow))


@having("spelled_as")
def test_a_number_makes_it_the_operation_that_is_named(p):
    for position, number, name in p.facts.spelled_as:
        operands = [NUMBERS["f"]] * len(p.operands)
        operands[position] = number
        with np.errstate(all="ignore"):
            assert_same_bits(p.run(operands, {}), REGISTRY[name].run([NUMBERS["f"]], {}))


@having("converts")
@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("dtype", [np.float32, np.bool_, np.float64])
def test_a_conversion_is_the_operand_in_another_dtype(p, kind, dtype):
    assert_same_bits(p.run([NUMBERS[kind]], {"dtype": np.dtype(dtype)}), NUMBERS[kind].astype(dtype))


WORDS = np.array([2**32 - 1, 2**31 + 1, 7, 0], np.uint32)
READ = {  # operands whose dtypes, or whose result's, would change them
    "astype": ([np.array([0.5, 300.7, -1.5, 0.0])], {"dtype": np.dtype(np.int64)}),
    "logical_and": ([np.array([0.5, 0.0]), np.array([256, 256])], {}),
    "logical_or": ([np.array([0.5, 0.0]), np.array([0, 256])], {}),
    "logical_not": ([np.array([0.5, 0.0])], {}),
    "uniform_float32": ([WORDS], {}),
    "uniform_float64": ([WORDS, WORDS[::-1].copy()], {}),
    "normal_quantile": ([WORDS], {}),
    "open_uniform": ([WORDS, WORDS[::-1].copy()], {}),
}


@having("unconverted")
def test_operands_are_read_in_their_own_dtypes(p):
    """Also by the kernel; converted to the result's dtype before, they would give something else."""
    operands, params = READ[p.name]
    want = p.run(operands, params)
    assert_same_bits(cl.compile(lambda *xs: p(*xs, **params))(*operands), want)
    assert {x.dtype for x in operands} != {want.dtype}


@having("one_dtype")
@pytest.mark.parametrize("kinds", ["bi", "uf", "iu"])
def test_operands_may_be_converted_to_the_dtype_of_the_result_before(p, kinds):
    operands = [NUMBERS[kind] for kind in kinds][: None if p.variadic else 1]
    want = p.run(operands, {"axis": -1})
    assert_same_bits(p.run([x.astype(want.dtype) for x in operands], {"axis": -1}), want)


MADE = {
    "constant": ({"shape": (2, 3), "value": 2.5, "dtype": np.dtype(np.float32)}, np.full((2, 3), 2.5, np.float32)),
    "indices": ({"size": 4, "dtype": np.dtype(np.int64)}, np.array([0, 1, 2, 3])),
    "size": ({"dim": 7}, 7),
}


@having("source")
def test_a_source_is_made_of_its_parameters(p):
    params, want = MADE[p.facts.source]
    assert p.operands == ()
    np.testing.assert_array_equal(p.run([], params), want)


@having("product")
def test_a_product_is_rows_times_columns(p):
    a, b = X, X.reshape(2, 4, 3)
    want = [[[sum(a[n, i, k] * b[n, k, j] for k in range(4)) for j in range(3)] for i in range(3)] for n in range(2)]
    np.testing.assert_array_equal(p.run([a, b], {}), want)


@having("paired")
def test_paired_operands_meet_row_by_row(p):
    indices = np.array([[3, 0, 3, 1], [1, 1, 2, 2], [0, 3, 3, 0]])
    params = {"axis": -1} | ({"size": 4} if "size" in p.params else {})
    rows = [p.run([x, at], params) for x, at in zip(X[0], indices, strict=True)]
    np.testing.assert_array_equal(p.run([X[0], indices], params), rows)


@having("picks")
def test_what_is_picked_is_named_by_the_indices(p):
    assert p.is_gate
    if len(p.operands) == 1:  # the values themselves say which: the largest of each window
        image = X.reshape(2, 3, 4, 1)
        found = p.run([image], {"window": (3, 2), "stride": (1, 2), "dilation": (1, 1)})
        np.testing.assert_array_equal(np.asarray(found)[:, 0, :, 0], X.max(axis=1).reshape(2, 2, 2).max(axis=-1))
        return
    if p.facts.picks == "slices":
        indices, want = np.array([[2, 0], [1, 1]]), X[:, [[2, 0], [1, 1]]]
    else:
        indices = np.array([[[2, 0, 1, 1]], [[0, 0, 2, 1]]])
        want = [[[X[n, indices[n, 0, j], j] for j in range(4)]] for n in range(2)]
    np.testing.assert_array_equal(p.run([X, indices], {"axis": -2}), want)


LOOPS = {
    "scan": (lambda x: cl.scan(lambda c, x: (c + x, c), 0.0, x), "for i in range(n0):"),
    "switch": (lambda x: cl.cond(cl.sum(x) > 2, lambda: cl.sin(x), lambda: cl.cos(x)), "else:"),
    "while": (lambda x: cl.while_loop(lambda c: cl.sum(c) < 50, lambda c: 2 * c, x), "while True:"),
}


@having("control")
def test_programs_are_run_and_written_as_stated(p):
    f, line = LOOPS[p.facts.control]
    compiled = cl.compile(f, executor="numpy")
    x = np.array([1.0, 2.0, 4.0])
    cl.tree_map(assert_same_bits, compiled(x), f(x))
    assert line in compiled.source()


COMPLEX = np.array([[4.0, 1j, 0.5], [-1j, 5.0, 1 - 1j], [0.5, 1 + 1j, 6.0]])


@having("on_complex")
def test_complex_operands_give_what_is_inferred_or_are_refused(p):
    operands = [COMPLEX == COMPLEX] * p.conditions + [COMPLEX] * (len(p.operands) - p.conditions)
    params = {"dtype": COMPLEX.dtype} if "dtype" in p.params else {}
    if p.facts.on_complex == "refused":
        with pytest.raises(DTypeError, match="not defined for complex numbers"):
            p(*operands, **params)
        return
    program = trace(lambda *xs: [p(*xs, **params)], list(map(type_of, operands)))
    assert type_of(p(*operands, **params)) == program.outputs[0].type


@having("adds")
@pytest.mark.parametrize("kind", "iuf")
def test_what_adds_is_the_sum_whichever_comes_first(p, kind):
    x, y = np.meshgrid(NUMBERS[kind], NUMBERS[kind])
    with np.errstate(invalid="ignore"):
        assert_same_bits(p.run([x, y], {}), x + y)
        assert_same_bits(p.run([y, x], {}), x + y)


@having("places")
def test_what_is_placed_stands_among_zeros(p):
    want = np.zeros((4, 5))
    want[:, 1:4] = X[0].T + 1
    got = p.run([want[:, 1:4].copy()], {"shape": (4, 5), "key": (slice(None), slice(1, 4, 1))})
    assert_same_bits(got, want)


@having("joins")
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_what_joins_puts_one_behind_the_other(p, axis):
    parts = [np.arange(6.0).reshape(2, 3), -np.arange(6.0).reshape(2, 3)]
    assert_same_bits(p.run(parts, {"axis": axis}), np.concatenate(parts, axis=axis))


@having("mixes")
def test_what_mixes_depends_on_entries(p):
    params = {"axis": -1, "norm": "backward"} | ({"n": 4} if "n" in p.params else {})
    x = np.array([1.0, 2.0, 4.0])
    for k in range(3):
        moved = x + np.eye(3)[k]
        assert not np.allclose(p(moved, **params), p(x, **params))


@having("rounded")
def test_the_exact_result_is_rounded_once(p):
    """In twice the digits and two more, a rounding before the last one changes nothing (Figueroa 1995)."""
    rng = np.random.default_rng(0)
    xs = [np.exp(rng.standard_normal(10_000)).astype(np.float32) for _ in p.operands]
    assert_same_bits(p.run(xs, {}), p.run([x.astype(np.float64) for x in xs], {}).astype(np.float32))


def test_every_fact_is_checked():
    """By a test that goes through all operations that state it."""
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "having"]
    assert {ast.literal_eval(c.args[0]) for c in calls} == set(facts.NAMES)


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


PACKAGE = Path(cl.__file__).parent
ASKING = sorted(path for folder in ("compiler", "autodiff") for path in (PACKAGE / folder).rglob("*.py"))


@pytest.mark.parametrize("path", ASKING, ids=lambda p: p.name)
def test_compiler_and_autodiff_compare_no_names_of_operations(path):
    """What it must know of an operation it asks of the declaration's facts."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        sides = [ast.unparse(s) for s in (node.left, *node.comparators)] if isinstance(node, ast.Compare) else []
        named = [s for s in sides if s == "p.name" or s.endswith("primitive.name")]
        assert not named, f"{path.name}:{node.lineno} compares {ast.unparse(node)}"
