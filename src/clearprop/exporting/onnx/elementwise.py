"""The table of elementwise operations: ours beside ONNX's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from clearprop.exporting.onnx.call import EquationCall, Rule
from clearprop.program.types import BOOL, FLOAT32, FLOAT64, DType, is_floating

SAME: dict[str, str] = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "negative": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "maximum": "Max",
    "minimum": "Min",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "pow": "Pow",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "reciprocal": "Reciprocal",
    "erf": "Erf",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "tanh": "Tanh",
    "asinh": "Asinh",
    "acosh": "Acosh",
    "atanh": "Atanh",
    "stop_gradient": "Identity",
    "identity": "Identity",
    "positive": "Identity",
    "equal": "Equal",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "softsign": "Softsign",
}
"""Operations that ONNX has under another name, with operands and result of the dtype in which the operands meet."""
TRUTHS: dict[str, str] = {"logical_and": "And", "logical_or": "Or", "logical_not": "Not", "logical_xor": "Xor"}
"""Operations on truth values."""
OPEN: dict[str, str] = {"isnan": "IsNaN", "isinf": "IsInf"}
"""Questions that whole numbers answer with no."""
SINGLE: dict[str, tuple[str, Callable[[EquationCall], dict[str, Any]]]] = {
    "selu": ("Selu", lambda call: {}),
    "elu": ("Elu", lambda call: {"alpha": float(call.params["alpha"])}),
    "leaky_relu": ("LeakyRelu", lambda call: {"alpha": float(call.params["slope"])}),
    "gelu": ("Gelu", lambda call: {}),
    "gelu_tanh": ("Gelu", lambda call: {"approximate": "tanh"}),
    "hard_silu": ("HardSwish", lambda call: {}),
}
"""Operations whose numbers ONNX holds in single precision, whatever the operands are, with their attributes."""


def _single(op: str, attributes: Callable[[EquationCall], dict[str, Any]]) -> Rule:
    """In double precision the operation is written out instead."""

    def rule(call: EquationCall) -> str | None:
        return call.node(op, call.operand(0), **attributes(call)) if call.types[0].dtype == FLOAT32 else None

    return rule


def _same(op: str) -> Rule:
    return lambda call: call.node(op, *(call.operand(i, call.common) for i in range(len(call.operands))))


def _truth(op: str) -> Rule:
    return lambda call: call.node(op, *(call.operand(i, BOOL) for i in range(len(call.operands))))


def _question(op: str) -> Rule:
    return lambda call: call.node(op, call.operand(0, _floating(call)))


def _floating(call: EquationCall) -> DType:
    return call.types[0].dtype if is_floating(call.types[0].dtype) else FLOAT64


def _not_equal(call: EquationCall) -> str:
    return call.node("Not", call.step("Equal", call.operand(0, call.common), call.operand(1, call.common)))


def _isfinite(call: EquationCall) -> str:
    x = call.operand(0, _floating(call))
    return call.node("Not", call.step("Or", call.step("IsNaN", x), call.step("IsInf", x)))


def _where(call: EquationCall) -> str:
    return call.node("Where", call.operand(0, BOOL), call.operand(1, call.common), call.operand(2, call.common))


def _astype(call: EquationCall) -> str:
    name = call.operand(0)
    cast = call.cast(name, call.types[0].dtype, call.out.dtype)
    return call.node("Identity", name) if cast == name else cast


def _square(call: EquationCall) -> str:
    x = call.operand(0, call.out.dtype)
    return call.node("Mul", x, x)


def _expm1(call: EquationCall) -> str:
    """Near 0, where exp(x) − 1 has lost its digits: 2t / (1 − t) with t = tanh(x / 2)."""
    x = call.operand(0, call.out.dtype)
    one = call.number(1)
    half = call.step("Tanh", call.step("Mul", x, call.number(0.5)))
    near = call.step("Div", call.step("Add", half, half), call.step("Sub", one, half))
    is_near = call.step("Less", call.step("Abs", x), call.number(0.5))
    return call.node("Where", is_near, near, call.step("Sub", call.step("Exp", x), one))


def _log1p(call: EquationCall) -> str:
    """x·log(u) / (u − 1) with u = 1 + x, which mends what rounding took from u (Kahan; Higham 2002, §1.14.1)."""
    x = call.operand(0, call.out.dtype)
    one = call.number(1)
    u = call.step("Add", one, x)
    log = call.step("Log", u)
    mended = call.step("Mul", log, call.step("Div", x, call.step("Sub", u, one)))
    # beyond 1 nothing needs mending, and infinity would not survive it; below all digits of 1, u is 1
    plain = call.step("Where", call.step("Greater", x, one), log, mended)
    return call.node("Where", call.step("Equal", u, one), x, plain)


def _log_to(base: float) -> Rule:
    def rule(call: EquationCall) -> str:
        return call.node("Mul", call.step("Log", call.operand(0, call.out.dtype)), call.number(1 / math.log(base)))

    return rule


def _trunc(call: EquationCall) -> str:
    x = call.operand(0)
    return call.node("Mul", call.step("Sign", x), call.step("Floor", call.step("Abs", x)))


def _hypot(call: EquationCall) -> str:
    """√(a² + b²), by the larger of both, so that no square overflows."""
    a, b = (call.step("Abs", call.operand(i, call.out.dtype)) for i in range(2))
    large, small = call.step("Max", a, b), call.step("Min", a, b)
    none = call.step("Equal", large, call.number(0))
    ratio = call.step("Div", small, call.step("Where", none, call.number(1), large))
    one = call.step("Add", call.step("Mul", ratio, ratio), call.number(1))
    return call.node("Mul", large, call.step("Sqrt", one))


def _silu(call: EquationCall) -> str:
    x = call.operand(0, call.out.dtype)
    return call.node("Mul", x, call.step("Sigmoid", x))


RULES: dict[str, Rule] = {
    **{name: _same(op) for name, op in SAME.items()},
    **{name: _truth(op) for name, op in TRUTHS.items()},
    **{name: _question(op) for name, op in OPEN.items()},
    **{name: _single(*form) for name, form in SINGLE.items()},
    "not_equal": _not_equal,
    "isfinite": _isfinite,
    "where": _where,
    "astype": _astype,
    "square": _square,
    "expm1": _expm1,
    "log1p": _log1p,
    "log2": _log_to(2),
    "log10": _log_to(10),
    "trunc": _trunc,
    "hypot": _hypot,
    "silu": _silu,
}
"""What puts each elementwise operation into a graph."""
