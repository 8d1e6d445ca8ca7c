"""The program as a value: what tracing keeps, how it prints, and what the type checker refuses."""

import dataclasses

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ProgramError
from clearprop.primitives import REGISTRY
from clearprop.program.ir import Equation, Program, Var, evaluate, trace
from clearprop.program.types import FLOAT32, FLOAT64, INT64, Type, type_of
from clearprop.shapes import Scope

VECTOR, NUMBER = Type((3,), FLOAT64), Type((), FLOAT64)


def neuron(x, w, b):
    product = x * w
    total = cl.sum(product) + b
    return [cl.relu(total)]


def layer(x, w, b):
    pre = x @ w + b
    hidden = cl.tanh(pre)
    return [cl.mean(hidden**2)]


def traced_neuron():
    return trace(neuron, [VECTOR, VECTOR, NUMBER], ["x", "w", "b"])


# -------------------------------------------------------------------------------------------------- printing
def test_a_program_prints_with_the_users_names():
    assert (
        str(traced_neuron())
        == """\
program(x: f64[3], w: f64[3], b: f64):
  product: f64[3] = multiply(x, w)
  v1: f64 = sum(product, axis=(-1,), keepdims=False)
  total: f64 = add(v1, b)
  v2: f64 = relu(total)
  return v2"""
    )


def test_a_gradient_prints_as_a_program():
    f = lambda *args: list(cl.grad(lambda *a: neuron(*a)[0], argnums=(0, 1, 2))(*args))
    assert (
        str(trace(f, [VECTOR, VECTOR, NUMBER], ["x", "w", "b"]))
        == """\
program(x: f64[3], w: f64[3], b: f64):
  product: f64[3] = multiply(x, w)
  v1: f64 = sum(product, axis=(-1,), keepdims=False)
  total: f64 = add(v1, b)
  v2: f64 = relu(total)
  v3: f64 = full(shape=(), value=1, dtype=float64)
  v4: bool = greater(v2, 0)
  v5: f64 = zero_or_nan(v2)
  total_bar: f64 = where(v4, v3, v5)
  product_bar: f64[3] = broadcast_to(total_bar, shape=(3,))
  v6: f64[3] = multiply(product_bar, w)
  v7: bool = less_equal(v2, 0)
  v8: bool = logical_not(v7)
  v9: bool[1] = reshape(v8, shape=(1,))
  v10: bool[3] = equal(v6, v6)
  v11: f64[3] = stop_gradient(v6)
  v12: f64[3] = where(v10, v11, 0.0)
  x_bar: f64[3] = where(v9, v6, v12)
  v13: f64[3] = multiply(product_bar, x)
  v14: bool[3] = equal(v13, v13)
  v15: f64[3] = stop_gradient(v13)
  v16: f64[3] = where(v14, v15, 0.0)
  w_bar: f64[3] = where(v9, v13, v16)
  return x_bar, w_bar, total_bar"""
    )


def test_symbolic_sizes_print_as_symbols():
    scope = Scope()
    n, m = scope.new(4), scope.new(3)
    types = [Type((n, m), FLOAT32), Type((m, 2), FLOAT32), Type((2,), FLOAT32)]
    assert (
        str(trace(layer, types, ["x", "w", "b"], scope=scope))
        == """\
program(x: f32[n0,n1], w: f32[n1,2], b: f32[2]):
  v1: f32[n0,2] = matmul(x, w)
  pre: f32[n0,2] = add(v1, b)
  hidden: f32[n0,2] = tanh(pre)
  v2: f32[n0,2] = pow(hidden, 2)
  v3: f32 = mean(v2, axis=(-2, -1), keepdims=False)
  return v3"""
    )


def test_a_name_used_twice_is_numbered():
    def f(x):
        y = x * 2
        y = cl.sin(y)
        return [y * y]

    assert (
        str(trace(f, [NUMBER], ["y"]))
        == """\
program(y: f64):
  y_2: f64 = multiply(y, 2)
  y_3: f64 = sin(y_2)
  v1: f64 = multiply(y_3, y_3)
  return v1"""
    )


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (Type((), FLOAT64), "f64"),
        (Type((2, 3), FLOAT32), "f32[2,3]"),
        (Type((0,), np.dtype("uint8")), "u8[0]"),
        (Type((), np.dtype("bool")), "bool"),
        (Type((), INT64, weak=True), "i64~"),
    ],
)
def test_types_print(type_, text):
    assert str(type_) == text


# --------------------------------------------------------------------------------------------------- tracing
def test_equal_equations_are_shared():
    program = trace(lambda x: [cl.sin(x) * 2 + cl.sin(x) * 2], [VECTOR])
    assert [e.primitive.name for e in program.equations] == ["sin", "multiply", "add"]


def test_what_looks_equal_and_is_not_is_kept_apart():
    program = trace(lambda x: [x * 1, x * 1.0, x * True, cl.sum(x, axis=0), cl.sum(x, axis=0, keepdims=True)], [VECTOR])
    assert len(program.equations) == 5
    zeros = trace(lambda x: [cl.full(0.0), cl.full(-0.0)] if False else [x + 0.0, x + -0.0], [VECTOR])
    assert len(zeros.equations) == 2


def test_equations_nothing_depends_on_are_dropped():
    def f(x):
        cl.exp(x)
        return [x + 1]

    program = trace(f, [VECTOR, VECTOR][:1])
    assert [e.primitive.name for e in program.equations] == ["add"]


def test_arrays_of_the_surrounding_code_are_hidden_inputs_once():
    a = np.array([1.0, 2.0, 3.0])
    unused = np.ones(3)

    def f(x):
        cl.sum(unused * x)
        return [x * a + a]

    program = trace(f, [VECTOR], ["x"])
    assert len(program.inputs) == 2 and program.arguments == program.inputs[:1] and program.captured[0] is a
    assert np.array_equal(evaluate(program, [np.ones(3), *program.captured])[0], 2 * a)


def test_results_may_be_inputs_numbers_and_arrays():
    a = np.array([1.0])
    program = trace(lambda x: [x, 2.0, a, x], [VECTOR])
    x = np.ones(3)
    out = evaluate(program, [x, *program.captured])
    assert out[0] is x and out[1] == 2.0 and out[2] is a and out[3] is x
    cl.typecheck(program)


def test_every_equation_knows_its_line_and_its_rule():
    program = trace(lambda x: [cl.grad(lambda t: cl.sum(cl.sin(t)))(x)], [VECTOR])
    assert all(e.where.startswith("test_program.py:") for e in program.equations)
    rules = {e.primitive.name: e.rule for e in program.equations}
    assert rules["cos"] == "sin"


def test_a_program_evaluated_in_a_trace_is_inlined():
    inner = trace(lambda x: [cl.sin(x) * 2], [VECTOR])
    outer = trace(lambda x: evaluate(inner, [cl.exp(x)]), [VECTOR])
    assert [e.primitive.name for e in outer.equations] == ["exp", "sin", "multiply"]
    cl.typecheck(outer)


def test_a_program_evaluated_on_tracked_tensors_is_differentiated():
    program = trace(lambda x: [cl.sum(cl.sin(x))], [VECTOR])
    x = cl.tensor([0.1, 0.2, 0.3], requires_grad=True)
    evaluate(program, [x])[0].backward()
    assert np.allclose(x.grad, np.cos(x.numpy()))


def test_programs_are_immutable():
    program = traced_neuron()
    with pytest.raises(dataclasses.FrozenInstanceError):
        program.outputs = ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        program.equations[0].params = {}


def test_control_flow_over_shapes_is_python():
    def f(x):
        for i in range(x.shape[0]):
            x = x * (i + 1)
        return [x if x.ndim == 1 else cl.sum(x)]

    assert len(trace(f, [VECTOR]).equations) == 3


# -------------------------------------------------------------------------------------------------- typecheck
def replaced(program, number, **change):
    equations = list(program.equations)
    equations[number] = dataclasses.replace(equations[number], **change)
    return dataclasses.replace(program, equations=tuple(equations))


def malformed():
    p = traced_neuron()
    x, w, b = p.inputs
    product, summed, total, _ = (e.outputs[0] for e in p.equations)
    stranger = Var(VECTOR, "stranger")
    matmul = Equation(REGISTRY["matmul"], (x, w), {}, (Var(VECTOR),))
    yield "used before", replaced(p, 0, inputs=(total, w)), (
        "total is used before it is assigned", "inputs and earlier outputs", "equation 1: multiply",
    )  # fmt: skip
    yield "of another program", replaced(p, 0, inputs=(stranger, w)), (
        "a variable of another program is used before it is assigned", "inputs and earlier outputs",
        "equation 1: multiply",
    )  # fmt: skip
    yield "twice", replaced(p, 2, outputs=(summed,)), ("v1 is assigned twice", "single assignment", "equation 3: add")
    yield "an input", replaced(p, 0, outputs=(x,)), ("x is assigned twice", "single assignment", "equation 1: multiply")
    yield "one input twice", dataclasses.replace(p, inputs=(x, x, b)), ("x is an input twice", "distinct inputs", "")
    yield "an output", dataclasses.replace(p, outputs=(stranger,)), (
        "an output is never assigned", "outputs among inputs and equations", "",
    )  # fmt: skip
    yield "a wrong type", replaced(p, 0, outputs=(Var(NUMBER, "product"),)), (
        "an equation's output has another type than its primitive gives", "f64[3]", "equation 1: multiply",
    )  # fmt: skip
    yield "a wrong dtype", replaced(p, 0, outputs=(Var(Type((3,), FLOAT32), "product"),)), (
        "an equation's output has another type than its primitive gives", "f64[3]", "equation 1: multiply",
    )  # fmt: skip
    yield "outputs too many", replaced(p, 0, outputs=(product, Var(VECTOR))), (
        "an equation's output has another type than its primitive gives", "f64[3]", "equation 1: multiply",
    )  # fmt: skip
    yield "shapes", Program((x, w), (matmul,), matmul.outputs), (
        "an equation is not well typed", "axes (n, k) at the end of a   [(n,k),(k,m)->(n,m)]", "equation 1: matmul",
    )  # fmt: skip


@pytest.mark.parametrize(("program", "want"), [c[1:] for c in malformed()], ids=[c[0] for c in malformed()])
def test_malformed_programs_are_refused(program, want):
    with pytest.raises(ProgramError) as caught:
        cl.typecheck(program)
    headline, expected, where = want
    assert (caught.value.headline, caught.value.expected) == (headline, expected)
    assert caught.value.where.startswith(where)


def test_well_formed_programs_pass():
    cl.typecheck(traced_neuron())
    cl.typecheck(trace(lambda x: [cl.grad(cl.grad(lambda t: cl.exp(t) * t))(x)], [NUMBER]))


# ------------------------------------------------------------------------------------------------------ types
def test_types_of_values():
    assert type_of(2) == Type((), INT64, weak=True) and type_of(2.0) == Type((), FLOAT64, weak=True)
    assert type_of(np.float32(2)) == Type((), FLOAT32) and type_of(np.ones((2, 1))) == Type((2, 1), FLOAT64)
    assert type_of(cl.tensor([1.0])) == Type((1,), FLOAT64)
