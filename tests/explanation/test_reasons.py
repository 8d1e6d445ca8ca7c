"""No zero without its reason."""

import math

import numpy as np
import pytest

import clearprop as cl
from clearprop.explanation import Check


def _entry(f, x, index=(), **options):
    return cl.explain(f, 0, args=(x,), index=index, **options)


def _gate(x):
    z = x - 2.3
    return cl.relu(z)


def _gates_of_many(w):
    z = np.array([1.0, 2.0, 3.0]) * w
    return cl.mean(cl.relu(z))


def _relu6(x):
    return cl.relu6(x * 10)


CASES = {
    "gate": (_gate, 1.0, (), "ReLU gate closed: z = −1.3"),
    "gates of many": (_gates_of_many, -1.5, (), "ReLU gate closed: z₀ = −1.5 (and so are all 3 terms)"),
    "relu6": (_relu6, 1.0, (), "relu6 gate closed: mul(x,10) = 10"),
    "clip": (lambda x: cl.clip(x, 0.0, 1.0), 3.0, (), "clip gate closed: x = 3"),
    "where": (
        lambda x: cl.sum(cl.where(np.array([True, False]), x, 0.0)),
        np.array([1.0, 2.0]),
        1,
        "masked by where: the condition chose the other branch",
    ),
    "maximum": (lambda x: cl.maximum(x, 2.0), 1.0, (), "maximum gate closed: x = 1"),
    "max": (lambda x: cl.max(x), np.array([1.0, 4.0]), 0, "max gate closed: x₀ = 1"),
    "stop": (lambda x: cl.stop_gradient(x) * 2.0, 1.0, (), "stopped by stop_gradient"),
    "constant": (
        lambda x: cl.floor(x) * 2.0,
        1.5,
        (),
        "piecewise constant: its derivative is 0 wherever it has one",
    ),
    "not selected": (
        lambda x: cl.exp(x[0]),
        np.array([1.0, 2.0]),
        1,
        "not on any path: x₁ is not selected by getitem",
    ),
    "unused": (lambda x: cl.tensor(3.0, requires_grad=True) * 1.0, 1.0, (), "not on any path from x to y"),
    "times zero": (lambda x: x[0] * x[1], np.array([1.0, 0.0]), 0, "multiplied by x₁ = 0"),
    "product with zero": (lambda w: np.array([[0.0, 1.0]]) @ w, np.ones((2, 1)), (0, 0), "multiplied by 0"),
    "cancels": (lambda x: x * 3.0 - x * 3.0, 1.0, (), "the 2 terms cancel"),
    "saturated": (lambda x: cl.tanh(x), 40.0, (), "∂tanh = 1 − y · y is 0 at x = 40"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_reason_for_zero(name):
    f, x, index, reason = CASES[name]
    output = (0, 0) if name == "product with zero" else None
    entry = _entry(f, x, index, output=output)
    assert (entry.value, entry.status, entry.reason) == (0.0, "zero", reason)
    assert reason in str(entry)
    for form in (entry.sentences(), entry.json(), entry.html()):
        assert reason.split(" = ")[0] in form
    assert entry.latex().startswith("\\begin{align*}")


def test_a_closed_gate_gives_zero_even_for_an_infinite_cotangent():
    x = cl.tensor(np.array([-1.0, 0.25]), name="x", requires_grad=True)
    y = cl.sum(cl.sqrt(cl.relu(x)))
    closed, opened = cl.explain(y, wrt=x)
    assert closed.terms[0].value == 0.0
    assert (closed.value, closed.status) == (0.0, "zero")
    assert closed.reason == "ReLU gate closed: x₀ = −1"
    assert closed.terms[0].delta == np.inf
    assert opened.value == 1.0


def test_a_gradient_too_small_for_its_dtype_says_so():
    x = cl.tensor(np.float32(1e-30), name="x", requires_grad=True)
    y = x * np.float32(1e-30) * np.float32(1e-30)
    entry = cl.explain(y, wrt=x, index=())
    assert entry.value == 0
    assert entry.reason.startswith("too small for float32: the terms sum to 1e-")


def test_a_constant_was_not_computed():
    x = cl.tensor([1.0, 2.0], name="x")
    w = cl.tensor([1.0, 2.0], name="w", requires_grad=True)
    y = cl.sum(x * w)
    entry = cl.explain(y, wrt=x)[1]
    assert (entry.status, entry.reason) == ("not computed", "x did not require a gradient when the target was computed")
    assert np.isnan(entry.value)
    assert str(entry) == "∂y/∂x₁ not computed: x did not require a gradient when the target was computed"


def test_an_intermediate_value_can_be_opened():
    x = cl.tensor([1.0, -2.0], name="x", requires_grad=True)
    h = cl.tanh(x)
    y = cl.sum(h * h)
    explanation = cl.explain(y, wrt=h)
    np.testing.assert_allclose(explanation.gradient, 2 * np.tanh([1.0, -2.0]))
    assert explanation[0].check().agrees
    assert explanation.name == "h"


def test_the_target_itself():
    x = cl.tensor(2.0, name="x", requires_grad=True)
    y = x * x
    entry = cl.explain(y, wrt=y, index=())
    assert entry.value == 1.0
    assert entry.check().agrees


@pytest.mark.parametrize("gate", [cl.relu, cl.relu6, lambda z: cl.maximum(z, 0.0), lambda z: cl.clip(z, 0.0, 9.0)])
def test_gates_are_told_as_open_closed_or_undecided(gate):
    told = []
    for value in (-1.0, 3.0, np.nan):
        z = cl.tensor(value, name="z", requires_grad=True)
        y = gate(z)
        told.append(cl.explain(y, wrt=z, index=()))
    closed, opened, undecided = told
    assert (closed.status, opened.status, undecided.status) == ("zero", "value", "value")
    assert "the gate is closed, nothing passes" in closed.sentences()
    assert "the gate is open, the gradient passes unchanged" in opened.sentences()
    assert undecided.sentences().startswith("∂y/∂z is not a number: y has no slope along z here.\nAt z = NaN ")
    assert "finite difference NaN: not a number either" in str(undecided)
    assert undecided.check().agrees
    assert "NaN" in undecided.html()


def test_a_number_beside_a_difference_that_is_none_disagrees():
    assert not Check(1.0, np.nan, 1e-6, None, 1e-6).agrees
    assert not Check(np.nan, 1.0, 1e-6, None, 1e-6).agrees
    assert Check(np.nan, np.nan, 1e-6, None, 1e-6).agrees


def test_a_difference_that_leaves_the_domain_cannot_confirm():
    x = cl.tensor(0.0, name="x", requires_grad=True)
    y = cl.log(x + 1e-30) * 1e-30
    assert "finite difference NaN: it leaves the domain, and cannot confirm 1" in str(cl.explain(y, wrt=x, index=()))


def test_what_was_not_chosen_says_so():
    x = cl.tensor([2.0, 0.0], name="x", requires_grad=True)
    largest, first = cl.max(cl.log(x)), cl.sum(cl.log(x)[:1])
    assert cl.explain(largest, wrt=x)[1].reason == "max gate closed: log(x₁) = −∞"
    assert cl.explain(first, wrt=x)[1].reason == "not on any path: log(x₁) is not selected by getitem"
    z = cl.tensor(0.0, name="z", requires_grad=True)
    y = cl.where(z < 1, z, cl.sqrt(z))
    entry = cl.explain(y, wrt=z, index=())
    assert entry.value == 1
    assert entry.rounding.difference == 0
    assert "dwhere/dsqrt(z) · dsqrt(z)/dz = 0 · ∞ = 0: not chosen" in str(entry)


def test_a_term_that_was_not_chosen_is_told_apart_from_a_zero_that_was_computed():
    """Both meet an infinite slope; the first is 0 by the choice, the second is not a number."""
    z = cl.tensor(0.0, name="z", requires_grad=True)
    y = cl.where(z > 0, cl.sqrt(z), z) + cl.sqrt(z) ** 2
    entry = cl.explain(y, wrt=z, index=())
    left, computed = (p for p in entry.paths(5) if "sqrt" in str(p))
    if math.isnan(left.value):
        left, computed = computed, left
    assert left.value == 0 and left.was_left and str(left).endswith("not chosen")
    assert math.isnan(computed.value) and not computed.was_left
    assert math.isnan(entry.value)
    values = [t.value for t in entry.terms]
    assert sum(map(math.isnan, values)) == 1 and 0.0 in values and 1.0 in values


def test_a_gate_is_called_closed_by_its_choice_and_not_by_a_zero():
    x = cl.tensor([0.0, 3.0], name="x", requires_grad=True)
    error = cl.sum(cl.huber_error(x, cl.tensor([0.0, 1.0])))
    assert "gate" not in cl.explain(error, wrt=x)[0].reason
    assert "gate closed" in cl.explain(cl.sum(cl.relu(x - 1.0)), wrt=x)[0].reason
    assert "gate closed" in cl.explain(cl.max(x), wrt=x)[0].reason
