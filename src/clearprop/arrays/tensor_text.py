"""How a tensor prints: as Python would write the numbers, with name and history."""

from __future__ import annotations

import numpy as np

from clearprop.program.ir import Var
from clearprop.program.types import PYTHON_SCALARS, type_of
from clearprop.program.values import Node


def tensor_text(t: Node) -> str:
    """`Tensor([1.0, 2.0], name='w', requires_grad=True)`."""
    extra = ""
    if isinstance(t.value, Var):
        body = f"traced {t.value.type}"
    elif not isinstance(t.value, (*PYTHON_SCALARS, np.ndarray, np.generic)):
        body = repr(t.value)  # it says what became of the values
    else:
        body = _numbers(t.value)
        kind = type_of(t.value).dtype
        if kind.name not in ("float64", "int64", "bool"):
            extra += f", dtype={kind.name}"
    if t.name:
        extra += f", name={t.name!r}"
    if t.requires_grad:
        extra += ", requires_grad=True"
    elif t.application is not None:
        extra += f", from={t.application.primitive.name}"
    return f"Tensor({body}{extra})"


def _numbers(value: object) -> str:
    if type(value) in PYTHON_SCALARS:
        return _one(value) if isinstance(value, complex) else repr(value)
    array = np.asarray(value)
    if array.ndim == 0:
        return _one(array[()])
    return np.array2string(array, separator=", ", prefix="Tensor(", formatter={"all": _one}, threshold=1000)


def _one(x: object) -> str:
    if isinstance(x, (np.floating, float)):
        plain = x == 0 or 1e-4 <= abs(float(x)) < 1e10
        return np.format_float_positional(x, precision=8, trim="0") if plain else f"{float(x):.8g}"
    if isinstance(x, (np.complexfloating, complex)):
        imaginary = _one(abs(x.imag))
        return f"{_one(x.real)}{'-' if np.signbit(x.imag) else '+'}{imaginary}j"
    return str(x)
