"""The worked neuron prints as the textbook prints it, in both forms, for every element of w, x and b."""

import os
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from tests.explanation.neuron import product_form, sum_form

GOLDEN = Path(__file__).parent.parent / "golden" / "explanation"
FORMS = {"product": product_form, "sum": sum_form}
GRADIENTS = {"w": [1.0, -2.0, 3.0], "x": [-3.0, -1.0, 2.0], "b": 1.0}


def golden(name, text):
    """The stored text; CLEARPROP_GOLDEN=write stores it anew."""
    path = GOLDEN / name
    if os.environ.get("CLEARPROP_GOLDEN") == "write":
        path.write_text(text + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").removesuffix("\n")


@pytest.mark.parametrize("form", FORMS)
def test_the_terminal_reads_like_the_textbook(form):
    y, leaves = FORMS[form]()
    text = "\n\n".join(str(cl.explain(y, wrt=v)) for v in leaves.values())
    assert text == golden(f"neuron_{form}.txt", text)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("form", FORMS)
def test_latex_reads_like_the_textbook(form):
    y, leaves = FORMS[form]()
    text = "\n\n".join(cl.explain(y, wrt=v).latex() for v in leaves.values())
    assert text == golden(f"neuron_{form}.tex", text)


@pytest.mark.parametrize("form", FORMS)
def test_the_first_line_of_the_tutorial(form):
    y, leaves = FORMS[form]()
    first = str(cl.explain(y, wrt=leaves["w"], index=0)).splitlines()[0]
    assert first == "∂y/∂w₀ = dReLU/dsum · dsum/dmul(x₀,w₀) · dmul(x₀,w₀)/dw₀ = 1 · 1 · 1 = 1"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", GRADIENTS)
def test_every_entry_is_the_published_number_and_is_confirmed(form, name):
    y, leaves = FORMS[form]()
    explanation = cl.explain(y, wrt=leaves[name])
    np.testing.assert_array_equal(explanation.gradient, GRADIENTS[name])
    for entry in explanation:
        (path,) = entry.all_paths(5)
        assert entry.status == "value"
        assert entry.value == entry.total == path.value
        assert entry.rounding.difference == 0
        assert entry.check().agrees


def test_the_record_holds_symbols_rules_operands_numbers_and_lines():
    y, leaves = product_form()
    entry = cl.explain(y, wrt=leaves["w"], index=1)
    (path,) = entry.all_paths(1)
    relu, added, product = path.factors
    assert [f.symbol for f in path.factors] == ["dReLU/dsum", "dsum/dmul(x₁,w₁)", "dmul(x₁,w₁)/dw₁"]
    assert [f.value for f in path.factors] == [1.0, 1.0, -2.0]
    assert [(o.symbol, o.label.text, o.value) for o in relu.operands] == [("y", "ReLU", 6.0)]
    assert [(o.symbol, o.label.text, o.value) for o in product.operands] == [("a", "x₁", -2.0)]
    assert (added.operation, product.operation, relu.operation) == ("sum", "multiply", "relu")
    assert relu.where.endswith("y = cl.relu(x @ w + b)")


def test_a_term_opens_into_the_next_level():
    y, leaves = sum_form()
    (term,) = cl.explain(y, wrt=leaves["w"], index=2).terms
    assert [f.symbol for f in term.factors] == ["dsum/dmul(x₂,w₂)", "dmul(x₂,w₂)/dw₂"]
    assert term.value == 3.0
    assert term.consumer.label.text == "sum"
    assert term.consumer.value == 6.0
    (last,) = term.open().terms
    assert last.is_last
    assert [f.symbol for f in last.factors] == ["dReLU/dsum"]


def test_a_closed_gate_says_so():
    x = cl.tensor([1.0, 2.0], name="x", requires_grad=True)
    z = x[0] - 1.15 * x[1]
    y = cl.relu(z)
    entry = cl.explain(y, wrt=x, index=1)
    assert (entry.status, entry.value) == ("zero", 0.0)
    assert entry.reason == "ReLU gate closed: z = −1.3"


def test_records_have_short_representations():
    y, leaves = product_form()
    explanation = cl.explain(y, wrt=leaves["w"])
    entry = explanation[1]
    assert repr(explanation) == "<explanation of ∂y/∂w, shape (3,)>"
    assert repr(entry) == "<∂y/∂w₁ = -2, 1 term>"
    assert repr(entry.terms[0]) == "<term -2 through sum>"
    assert repr(entry.terms[0].factors[1]) == "<dmul(x₁,w₁)/dw₁ = -2>"
    assert str(entry.paths(1)[0]) == str(entry).splitlines()[0].partition(" = ")[2]
