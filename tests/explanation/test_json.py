"""The JSON of an explanation fits its schema, and says what the record says."""

import json
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from clearprop.notation import numpy_source
from clearprop.primitives import HELPERS
from tests.explanation.neuron import product_form
from tests.explanation.schema import problems
from tests.explanation.test_entries import _explained

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "explanation.schema.json").read_text(encoding="utf-8"))


def _infinite():
    x = cl.tensor(np.array([-1.0, 0.25]), name="x", requires_grad=True)
    y = cl.sum(cl.sqrt(cl.relu(x)))
    return cl.explain(y, wrt=x)


def _constant():
    x, w = cl.tensor(1.0, name="x"), cl.tensor(1.0, name="w", requires_grad=True)
    return cl.explain(x * w, wrt=x)


def _network():
    f, args, _ = _explained("layer_norm", "cross_entropy")
    return cl.explain(f, "layers[0].weight", args=args)


def _neuron():
    y, leaves = product_form()
    return cl.explain(y, wrt=leaves["w"])


CASES = {
    "neuron": _neuron,
    "infinite": _infinite,
    "constant": _constant,
    "network": _network,
}


@pytest.mark.parametrize("name", CASES)
def test_it_fits_the_schema(name):
    explanation = CASES[name]()
    for text in (explanation.json(), explanation.largest(1)[0].json()):
        assert problems(json.loads(text, parse_constant=pytest.fail), SCHEMA, SCHEMA) == []


def test_the_schema_is_strict():
    value = json.loads(_neuron().json())
    value["entries"][0]["terms"][0]["delta"] = "large"
    del value["entries"][0]["reason"]
    value["more"] = 1
    assert problems(value, SCHEMA, SCHEMA) != []


def test_it_says_what_the_record_says():
    entry = _neuron()[1]
    found = json.loads(entry.json())["entry"]
    assert found["symbol"]["text"] == "∂y/∂w₁"
    assert (found["value"], found["total"], found["rounding"]["difference"]) == (-2.0, -2.0, 0.0)
    (path,) = found["paths"]
    assert [f["value"] for f in path["factors"]] == [1.0, 1.0, -2.0]
    gate = path["factors"][0]
    assert gate["rule"] == {
        "text": "1 if ReLU > 0 else 0",
        "latex": r"\begin{cases}1 & \operatorname{ReLU} > 0\\0 & \text{otherwise}\end{cases}",
        "numpy": "np.where(y > 0, 1, np.where(np.isnan(y), y, 0.0))",
    }
    assert gate["operands"][0]["value"] == 6.0
    assert found["check"]["agrees"] is True


def test_the_rule_is_python_that_gives_the_value():
    f, args, rng = _explained("gelu", "mse")
    entry = cl.explain(f, "layers[0].weight", args=args)[1, 2]
    checked = 0
    while True:
        for term in entry.terms:
            for factor in term.factors:
                names = {o.symbol: np.float64(o.value) for o in factor.operands}
                found = eval(numpy_source(factor.formula), {"np": np, **HELPERS}, names)
                assert float(found) == pytest.approx(factor.value, rel=1e-12, abs=1e-300)
                checked += 1
        term = entry.terms[int(rng.integers(len(entry.terms)))]
        if term.is_last:
            break
        entry = term.open()
    assert checked > 10
