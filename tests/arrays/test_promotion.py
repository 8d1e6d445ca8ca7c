"""Data types: the array API's table, weak scalars, and the same answers in eager and traced code."""

import itertools
import warnings

import array_api_strict as xp
import numpy as np
import pytest

import clearprop as cl
from clearprop.arrays import functions
from clearprop.errors import DTypeError
from clearprop.program.ir import evaluate, trace
from clearprop.program.types import Type, type_of
from clearprop.rules import on_demand
from clearprop.shapes import Scope
from tests.tiers import later, together

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float32", "float64"]


def strict_result(a, b):
    """The array API's promotion, or None where the standard leaves it undefined."""
    try:
        return str(xp.result_type(getattr(xp, a), getattr(xp, b))).rsplit(".", 1)[-1]
    except TypeError:
        return None


@together("a, b", list(itertools.product(INTEGERS + FLOATS, repeat=2)))
def test_promotion_is_the_array_apis(a, b):
    want = strict_result(a, b)
    x, y = np.ones(2, a), np.ones(2, b)
    if want is not None:
        assert cl.add(x, y).dtype == want and cl.multiply(y, x).dtype == want
    elif {a, b} & set(FLOATS):
        assert cl.add(x, y).dtype == (a if a in FLOATS else b)  # the floating operand decides
    else:
        with pytest.raises(DTypeError, match="have no common integer type"):
            cl.add(x, y)


FUNCTIONS = {
    "add": lambda m, x, y: m.add(x, y),
    "divide": lambda m, x, y: m.divide(x, y),
    "pow": lambda m, x, y: m.pow(x, y),
    "maximum": lambda m, x, y: m.maximum(x, y),
    "less": lambda m, x, y: m.less(x, y),
    "exp": lambda m, x, y: m.exp(x),
    "abs": lambda m, x, y: m.abs(x),
    "sign": lambda m, x, y: m.sign(x),
    "floor": lambda m, x, y: m.floor(x),
    "sum": lambda m, x, y: m.sum(x),
    "prod": lambda m, x, y: m.prod(x),
    "mean": lambda m, x, y: m.mean(x),
    "max": lambda m, x, y: m.max(x),
    "argmax": lambda m, x, y: m.argmax(x),
    "all": lambda m, x, y: m.all(m.equal(x, y)),
    "matmul": lambda m, x, y: m.matmul(x, y),
    "tensordot": lambda m, x, y: m.tensordot(x, y, axes=1),
    "vecdot": lambda m, x, y: m.vecdot(x, y),
    "cumulative_sum": lambda m, x, y: m.cumulative_sum(x),
    "concat": lambda m, x, y: m.concat([x, y]),
    "stack": lambda m, x, y: m.stack([x, y]),
    "where": lambda m, x, y: m.where(m.equal(x, y), x, y),
    "take": lambda m, x, y: m.take(x, m.asarray([0, 1])),
    "isfinite": lambda m, x, y: m.isfinite(x),
    "clip": lambda m, x, y: m.clip(x, min=1),
    "logaddexp": lambda m, x, y: m.logaddexp(x, y),
    "zeros_like": lambda m, x, y: m.zeros_like(x),
    "var": lambda m, x, y: m.var(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_have_the_standards_dtypes(name):
    """Where the standard's strict implementation computes, ours gives the same dtype and values."""
    for dtype in ["int32", "int64", "uint8", *FLOATS]:
        a, b = np.array([1, 2, 3], dtype), np.array([2, 2, 1], dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                want = FUNCTIONS[name](xp, xp.asarray(a), xp.asarray(b))
            except TypeError:
                continue  # undefined in the standard, as exp of integers
        got = FUNCTIONS[name](cl, cl.asarray(a), cl.asarray(b))
        assert got.dtype == np.asarray(want).dtype, (name, dtype)
        assert np.allclose(got, np.asarray(want), rtol=1e-6)


def test_functions_of_integers_are_float64_where_the_standard_is_silent():
    for f in (cl.exp, cl.sqrt, cl.tanh, cl.reciprocal, cl.erf, cl.sigmoid, cl.mean):
        assert f(np.array([1, 2])).dtype == np.float64
    assert cl.divide(np.array([1]), np.array([2])).dtype == np.float64
    assert cl.add(np.array([True]), np.array([1.5], np.float32)).dtype == np.float32


# ---------------------------------------------------------------------------------------------- weak scalars
F32 = np.float32
STEP = np.int64(3)
WEAK = {
    "a Python float": lambda x, t: x * 0.5,
    "a Python integer": lambda x, t: x + 1,
    "a power of a step count": lambda x, t: x * 0.9**t,
    "one minus that power": lambda x, t: x / (1 - 0.9**t),
    "a root of a step count": lambda x, t: x / cl.sqrt(t),
    "a quotient of step counts": lambda x, t: x * (t / (t + 1)),
    "a minimum with a step count": lambda x, t: x * cl.minimum(1.0, t / 10),
    "the size of an axis": lambda x, t: x / x.shape[0],
    "a choice of Python numbers": lambda x, t: x * cl.where(t > 2, 0.5, 2.0),
    "a clipped step count": lambda x, t: x * cl.clip(t / 100, 0.0, 1.0),
    "the cosine of a step count": lambda x, t: x * (0.5 * (1 + cl.cos(3.14 * t / 10))),
}


@pytest.mark.parametrize("case", WEAK)
def test_weak_scalars_adopt_float32(case):
    f = WEAK[case]
    x, t = cl.tensor([1.0, 2.0, 3.0], dtype="float32"), cl.tensor(STEP)
    eager = f(x, t)
    assert eager.dtype == np.float32
    types = [Type((3,), np.dtype(F32)), Type((), np.dtype("int64"))]
    program = trace(lambda x, t: [f(x, t)], types)
    cl.typecheck(program)
    (traced,) = evaluate(program, [x.value, STEP])
    assert program.outputs[0].type == Type((3,), np.dtype(F32))
    assert traced.dtype == np.float32 and np.array_equal(traced, eager)
    scope = Scope()
    sized = trace(lambda x, t: [f(x, t)], [Type((scope.new(3),), np.dtype(F32)), types[1]], scope=scope)
    (traced,) = evaluate(sized, [x.value, STEP])
    assert traced.dtype == np.float32 and np.array_equal(traced, eager)


def test_weak_scalars_adopt_float64_with_full_precision():
    x = cl.tensor([1.0])
    assert (x * 0.9 ** cl.tensor(STEP)).item() == 0.9**3
    assert (x * 0.1).item() == 0.1


def test_weak_scalars_stay_weak_among_themselves():
    w = 0.9 ** cl.tensor(STEP)
    assert w.type == Type((), np.dtype("float64"), weak=True)
    assert (1 - w).type.weak and cl.sqrt(1 - w).type.weak
    assert not cl.tensor(0.5).type.weak and not (cl.tensor(0.5) * 2).type.weak


def test_a_float64_scalar_is_not_weak():
    assert (cl.tensor([1.0], dtype="float32") * np.float64(2)).dtype == np.float64
    assert (cl.tensor([1.0], dtype="float32") * cl.tensor(2.0)).dtype == np.float64


def test_a_float_beside_an_integer_array():
    assert (cl.tensor([1, 2]) * 0.5).dtype == np.float64
    assert (cl.tensor([1, 2], dtype="int32") + 1).dtype == np.int32
    assert (cl.tensor([True, False]) + 1).dtype == np.int64


GRADIENTS = {
    "weak factor": lambda x: cl.sum(x * 0.5),
    "power": lambda x: cl.sum(x**2.5),
    "integer power": lambda x: cl.sum(x**3),
    "step count": lambda x: cl.sum(x * 0.9 ** cl.tensor(STEP)),
    "float64 constant": lambda x: cl.sum(x * np.float64(2.0)),
    "float64 array": lambda x: cl.sum(x * np.array([1.0, 2.0, 3.0])),
    "mean": cl.mean,
    "softmax": lambda x: cl.softmax(x)[0],
    "huber": lambda x: cl.sum(cl.huber_error(x, cl.zeros_like(x))),
    "maximum with a number": lambda x: cl.sum(cl.maximum(x, 0.5)),
    "number to the power": lambda x: cl.sum(2.0**x),
    "cast": lambda x: cl.sum(x.astype("float64") ** 2),
    "norm": cl.norm,
    "gelu": lambda x: cl.sum(cl.gelu(x)),
    "logsumexp": cl.logsumexp,
    "prod": cl.prod,
    "std": cl.std,
    "leaky": lambda x: cl.sum(cl.leaky_relu(x, slope=0.2)),
    "clip": lambda x: cl.sum(cl.clip(x, 0.0, 2.0)),
    "take": lambda x: cl.sum(x[np.array([0, 0, 2])]),
}  # fmt: skip


@pytest.mark.parametrize("case", GRADIENTS)
def test_gradients_keep_the_dtype_of_what_they_belong_to(case):
    """Gradients of float32 parameters are float32, in eager and traced code, of first and second order."""
    f = GRADIENTS[case]
    x = np.array([0.75, 1.5, 2.25], F32)
    g = cl.grad(f)(x)
    assert g.dtype == np.float32
    second = cl.grad(lambda t: cl.sum(cl.grad(f)(t) * x))(x)
    assert second.dtype == np.float32
    program = trace(lambda t: [cl.grad(f)(t)], [type_of(x)])
    cl.typecheck(program)
    (traced,) = evaluate(program, [x, *program.captured])
    assert traced.dtype == np.float32 and np.array_equal(traced, g)
    assert cl.jvp(f, (x,), (x,))[1].dtype == f(cl.tensor(x)).dtype


def test_activations_of_integers_are_floating_in_eager_and_traced_code():
    for f in (cl.relu, cl.sigmoid, cl.softplus, cl.gelu, cl.elu, cl.erf, cl.silu, cl.relu6, cl.leaky_relu):
        x = np.array([-1, 0, 2])
        want = np.asarray(f(x.astype(float)))
        program = trace(lambda t, f=f: [f(t)], [type_of(x)])
        assert program.outputs[0].type.dtype == np.float64
        assert np.array_equal(f(x), want) and np.array_equal(evaluate(program, [x])[0], want)
        assert np.allclose(cl.compile(f)(x), want, rtol=1e-15, atol=1e-15)


def test_integers_to_negative_powers():
    with pytest.raises(cl.ClearpropError) as caught:
        cl.tensor([2, 3]) ** -1
    assert caught.value.headline == "pow: Integers to negative integer powers are not allowed."


# ------------------------------------------------------------------------------------------ small integers
NARROW = {"take", "take_along_axis", "one_hot"}
"""What reads its operands as places, which the numbers below are not."""
EVERY = {f"cl.{n}": getattr(cl, n) for n in (*functions.__all__, *on_demand.names()) if n not in NARROW}
EVERY |= {f"cl.linalg.{n}": getattr(cl.linalg, n) for n in dir(cl.linalg)}


@pytest.mark.parametrize("dtype", ["uint8", "int8", *later(["int16"])])
def test_what_is_computed_of_small_integers_is_what_is_computed_of_wide_ones(dtype):
    """A result that is floating, or of 64 bits, has lost nothing on the way: no sum or difference wrapped around."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    x = np.random.default_rng(0).integers(low, high, (3, 3), endpoint=True).astype(dtype)
    x[0, :2] = low, high
    compared = 0
    for name, function in EVERY.items():
        for args in ((x,), (x, x), (x, np.array([0, 1, 1])), (x[0],), (x[0], x[0]), (x, x, x)):
            for options in ({}, {"axis": 0}, {"size": 3}, {"bins": 3}):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        found, wide = function(*args, **options), function(*(a.astype(int) for a in args), **options)
                    except cl.ClearpropError:
                        continue
                pairs = zip(found, wide, strict=True) if isinstance(found, tuple | list) else [(found, wide)]
                for a, b in pairs:
                    if isinstance(a, cl.Tensor) and (a.dtype.kind == "f" or a.dtype.itemsize == 8):
                        compared += 1
                        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, err_msg=f"{name}{args} {options}")
    assert compared > 300


@pytest.mark.parametrize("name", EVERY)
def test_what_is_computed_of_float32_is_float32(name):
    x = np.array([[0.3, 0.7], [0.2, 0.9]], np.float32)
    for args in ((x,), (x, x), (x, x, x)):
        try:
            found = EVERY[name](*args)
        except cl.ClearpropError:
            continue
        for out in found if isinstance(found, tuple | list) else [found]:
            assert getattr(out, "dtype", None) != np.float64 or name == "cl.histogram"  # whose edges are its own


# ------------------------------------------------------------------------------------------- one table for all
MEETING = {
    "add": lambda a, b: cl.add(a, b),
    "maximum": lambda a, b: cl.maximum(a, b),
    "concat": lambda a, b: cl.concat([a, b]),
    "concat in three": lambda a, b: cl.concat([b, a, b]),
    "stack": lambda a, b: cl.stack([a, b]),
    "where": lambda a, b: cl.where(np.array([True, False]), a, b),
    "matmul": lambda a, b: cl.matmul(a, b),
    "a matrix product": lambda a, b: cl.matmul(cl.stack([a, a]), cl.stack([b, b])),
    "tensordot": lambda a, b: cl.tensordot(a, b, axes=1),
    "vecdot": lambda a, b: cl.vecdot(a, b),
    "outer": lambda a, b: cl.linalg.outer(a, b),
}
"""Functions in which two arrays meet."""
EXECUTORS = {
    "arrays": lambda f, *args: f(*args),
    "eager": lambda f, *args: f(*map(cl.tensor, args)),
    "recorded": lambda f, *args: f(*(cl.tensor(a, requires_grad=a.dtype.kind == "f") for a in args)),
    "traced": lambda f, *args: cl.compile(f, executor="numpy")(*map(cl.tensor, args)),
}
PAIRS = list(itertools.product(["bool", *INTEGERS, *FLOATS], repeat=2))


@pytest.mark.parametrize("share", [1, *later([0, 2, 3])])
@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", MEETING)
def test_one_table_decides_wherever_two_arrays_meet(name, executor, share):
    """The standard's, where it has an answer; and that of a maximum where it has none. Each executor has its pairs."""
    for a, b in PAIRS[(share + list(EXECUTORS).index(executor)) % len(EXECUTORS) :: len(EXECUTORS)]:
        x, y = np.ones(2).astype(a), np.array([1, 0]).astype(b)
        try:
            expected = cl.result_type(x, y)
        except DTypeError:
            with pytest.raises(DTypeError):
                EXECUTORS[executor](MEETING[name], x, y)
            continue
        found = EXECUTORS[executor](MEETING[name], x, y)
        assert found.dtype == expected, (a, b)
        wide = MEETING[name](x.astype(float), y.astype(float))
        np.testing.assert_array_equal(np.asarray(found), np.asarray(wide).astype(expected), err_msg=f"{a} {b}")
        assert strict_result(a, b) in (None, str(expected))


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("dtype", ["bool", *INTEGERS, *FLOATS])
def test_python_numbers_adopt_the_dtype_of_what_they_are_joined_with(dtype, executor):
    x = np.ones((), dtype)
    for number in (True, 2, 2.5):
        expected = cl.result_type(x, number)
        for f in (lambda v, n=number: cl.stack([v, n]), lambda v, n=number: cl.stack([n, v])):
            found = EXECUTORS[executor](f, x)
            assert found.dtype == expected and sorted(found.tolist()) == sorted([1, number])


def test_a_python_number_that_does_not_fit_is_refused():
    with pytest.raises(DTypeError, match="stack: the number 300 does not fit in uint8"):
        cl.stack([np.uint8(1), 300])
