"""Expressions print from the primitives' own spellings, with parentheses exactly where they are needed."""

import ast
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given, reject
from hypothesis import strategies as st

from clearprop.notation import Call, Name, Number, mathml, number_tex, number_text, numpy_source, tex, text
from clearprop.notation.expressions import replace
from clearprop.primitives import HELPERS, REGISTRY

GOLDEN = Path(__file__).parents[1] / "golden" / "notation"
p = REGISTRY


def _call(name, *operands):
    return Call(p[name], operands, dict(p[name].params))


def _arguments(primitive):
    """A sum as first operand and a negation as second: what needs parentheses most."""
    first = _call("add", Name("u"), Name("v"))
    return tuple(first if i == 0 else _call("negative", Name("z")) for i, _ in enumerate(primitive.operands))


def _golden(name, lines):
    path = GOLDEN / name
    if os.environ.get("CLEARPROP_GOLDEN") == "write":
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("style", ["text", "tex"])
def test_every_primitive_prints_as_stored(style):
    show = {"text": text, "tex": tex}[style]
    shown = [
        q for q in p.values() if q.operands and (style == "text" or q.tex) and q.__module__.startswith("clearprop")
    ]
    lines = sorted(f"{q.name}: {show(Call(q, _arguments(q), q.params))}" for q in shown)
    assert lines == _golden(f"primitives.{style}", lines)


def test_every_formula_is_mathml_too():
    for q in p.values():
        root = ET.fromstring(mathml(tex(Call(q, _arguments(q), q.params))))
        assert root.tag == "math"
        assert "\\" not in "".join(root.itertext())


# ----------------------------------------------------------- the three styles mean what the expression means
_BINARY = ("add", "subtract", "multiply", "divide")
_UNARY = ("negative", "square", "exp", "tanh", "abs", "sqrt")
_LEAVES = st.sampled_from([Name("a"), Name("b"), Name("c"), Number(2), Number(-3), Number(0.5)])


def _deeper(inner):
    binary = st.builds(lambda n, x, y: _call(n, x, y), st.sampled_from(_BINARY), inner, inner)
    unary = st.builds(lambda n, x: _call(n, x), st.sampled_from(_UNARY), inner)
    power = st.builds(lambda x: _call("pow", x, Number(2)), inner)
    return st.one_of(binary, unary, power)


EXPRESSIONS = st.recursive(_LEAVES, _deeper, max_leaves=8)
POINT = {"a": 0.3, "b": -1.7, "c": 2.9}


def _value(e):
    if isinstance(e, Name):
        return POINT[e.name]
    if isinstance(e, Number):
        return e.value
    with np.errstate(all="ignore"):
        return e.function.run([np.float64(_value(o)) for o in e.operands], dict(e.params))


def _same(found, wanted):
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(np.asarray(found, float), float(wanted), rtol=1e-9, equal_nan=True)


@given(EXPRESSIONS)
def test_numpy_source_means_the_expression(e):
    with np.errstate(all="ignore"):
        try:
            found = eval(numpy_source(e), {"np": np, **HELPERS}, {n: np.float64(v) for n, v in POINT.items()})
        except ZeroDivisionError:  # Python divides numbers alone, and refuses where NumPy has an infinity
            reject()
        _same(found, _value(e))


@given(EXPRESSIONS)
def test_text_means_the_expression(e):
    source = text(e).replace("−", "-").replace("·", "*").replace("²", "**2").replace("^", "**").replace("√", "sqrt ")
    source = re.sub(r"\|", "", source) if "|" not in source else source
    if "|" in source or "sqrt " in source:
        return  # bars and roots are no Python
    names = {"exp": np.exp, "tanh": np.tanh, **{n: np.float64(v) for n, v in POINT.items()}}
    with np.errstate(all="ignore"):
        _same(eval(source, {}, names), _value(e))


@given(EXPRESSIONS)
def test_latex_means_the_expression(e):
    """Read back by a parser that knows LaTeX's precedence: our own, small, for exactly these signs."""
    with np.errstate(all="ignore"):
        _same(_Latex(tex(e)).sum(), _value(e))


class _Latex:
    """Evaluates the LaTeX of arithmetic at the point."""

    def __init__(self, latex):
        self.tokens = [t for t in re.findall(r"\\[a-zA-Z]+|\d+\.?\d*|\S", latex) if t not in (r"\left", r"\right")]

    def peek(self):
        return self.tokens[0] if self.tokens else ""

    def take(self, wanted=""):
        token = self.tokens.pop(0)
        assert not wanted or token == wanted, (token, wanted)
        return token

    def sum(self):
        value = self.product()
        while self.peek() in ("+", "-"):
            value = value + self.product() if self.take() == "+" else value - self.product()
        return value

    def product(self):
        if self.peek() == "-":
            self.take()
            return -self.product()
        value = self.power()
        while self.peek() in (r"\odot", r"\cdot"):
            self.take()
            value = value * self.power()
        return value

    def power(self):
        value = self.atom()
        while self.peek() == "^":
            self.take()
            value = np.float64(value) ** (self.group() if self.peek() == "{" else self.atom())
        return value

    def group(self):
        self.take("{")
        value = self.sum()
        self.take("}")
        return value

    def atom(self):
        token = self.take()
        if token == r"\frac":
            return np.float64(self.group()) / self.group()
        if token == r"\sqrt":
            return np.sqrt(np.float64(self.group()))
        if token == r"\tanh":
            return np.tanh(self.atom())
        if token == "e" and self.peek() == "^":
            self.take()
            return np.exp(self.group())
        if token in ("(", r"\lvert"):
            value = self.sum()
            self.take({"(": ")", r"\lvert": r"\rvert"}[token])
            return abs(value) if token == r"\lvert" else value
        return POINT[token] if token in POINT else np.float64(token)


def test_a_rule_printed_as_python_parses_and_agrees_with_sympy():
    e = _call("multiply", Name("y"), _call("subtract", Number(1), Name("y")))
    assert text(e) == "y · (1 − y)"
    assert tex(e) == r"y \odot \left(1 - y\right)"
    y = sympy.Symbol("y")
    assert sympy.simplify(sympy.sympify(numpy_source(e)) - y * (1 - y)) == 0


def test_names_are_replaced():
    e = _call("multiply", Name("a"), Name("b"))
    assert text(replace(e, {"a": Name("x₀"), "b": Number(-2)})) == "x₀ · (−2)"


@pytest.mark.parametrize(
    ("value", "plain", "latex"),
    [
        (6.0, "6", "6"),
        (-1.25, "−1.25", "-1.25"),
        (1e-7, "1e-07", r"1 \cdot 10^{-7}"),
        (float("-inf"), "−∞", r"-\infty"),
        (float("nan"), "NaN", r"\text{NaN}"),
        (True, "True", r"\text{true}"),
        (123456789.0, "123456789", "123456789"),
        (1 / 3, "0.333333", "0.333333"),
    ],
)
def test_numbers(value, plain, latex):
    assert (number_text(value), number_tex(value)) == (plain, latex)


def test_the_source_is_one_expression():
    for q in p.values():
        if q.operands:
            ast.parse(numpy_source(Call(q, _arguments(q), q.params)), mode="eval")
