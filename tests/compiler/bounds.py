"""How far apart two executors of one program may be: a running error analysis (Wilkinson 1963, Higham 2002 §3.3).

Beside every value of a lowered program stands a bound E on |difference between two executors|.  One operation adds

    c·eps·|y|          to an elementwise result: c = 1 for + − × ÷ √ (each side rounds by eps/2), FUNCTION_ULPS else;
    n·eps·Σ|x|         to a sum of n numbers, in any order of summation;
    k·eps·(|A||B|)     to a matrix product over k, the classical bound of both sides together;

and passes on what its operands bring along: Σ E for sums, |A|E + E|B| + EE for products, and for an elementwise
function the farthest that it moves when its operands move by ±E, computed in extended precision.  Where a comparison,
a rounding or an index could fall either way within E, the result is uncertain: E is as large as the jump, or infinite.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.primitives import REGISTRY
from clearprop.program.ir import Equation, Program, Var, shape_of, substitute
from clearprop.program.values import raw

EXACT = frozenset(
    "negative abs sign maximum minimum floor ceil round identity equal not_equal less less_equal greater "
    "greater_equal logical_and logical_or logical_not isnan isfinite uniform_float32 uniform_float64 "
    "normal_quantile".split()
)
ROUNDED = frozenset("add subtract multiply divide square sqrt reciprocal astype".split())
FUNCTION_ULPS = 8.0
"""Units of eps for functions that are not correctly rounded: NumPy's share and ours (at most 6, for erf)."""
COMPARISONS = frozenset("equal not_equal less less_equal greater greater_equal".split())
Values = tuple[Any, Any]
"""A value and its bound."""


def bounded(program: Program, arguments: Sequence[Any]) -> list[Values]:
    """(value, bound) of every output of a lowered program, for the values of all inputs."""
    env: dict[Any, Values] = {}
    for var, value in zip(program.inputs, arguments, strict=True):
        env[var] = (raw(value), np.zeros(np.shape(raw(value))))
    sizes = program.scope.bind(
        (dim, n)
        for var, (value, _) in list(env.items())
        for dim, n in zip(var.type.shape, shape_of(value), strict=True)
    )
    with np.errstate(all="ignore"):
        for eq in program.equations:
            operands = [env[a] if isinstance(a, Var) else (a, np.zeros(())) for a in eq.inputs]
            params = {k: substitute(v, sizes) for k, v in eq.params.items()}
            env[eq.outputs[0]] = _applied(eq, operands, params)
    return [env[a] if isinstance(a, Var) else (a, np.zeros(())) for a in program.outputs]


def _applied(eq: Equation, operands: list[Values], params: dict[str, Any]) -> Values:
    p = eq.primitive
    y = p(*(v for v, _ in operands), **params)
    bound = _RULES.get(p.name, _elementwise if p.kind == "elementwise" else _moved)(eq, y, operands, params)
    bound = np.where(np.isnan(bound), np.inf, bound)
    if np.asarray(y).dtype.kind == "f":
        bound = np.where(np.isfinite(y), bound + np.finfo(np.asarray(y).dtype).smallest_subnormal, bound)
    return y, np.broadcast_to(bound, np.shape(y))


def eps_of(y: Any) -> float:
    """The unit of rounding of a result."""
    dtype = np.asarray(y).dtype
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def size(x: Any) -> Any:
    """|x| as float64."""
    return np.abs(np.asarray(x, np.float64))


def _elementwise(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    name = eq.primitive.name
    ulps = 0.0 if name in EXACT else 1.0 if name in ROUNDED else FUNCTION_ULPS
    own = ulps * eps_of(y) * size(y)
    moved = [k for k, (_, e) in enumerate(operands) if np.any(e)]
    if not moved:
        return own
    wide = [np.asarray(v, np.longdouble) if np.asarray(v).dtype.kind == "f" else np.asarray(v) for v, _ in operands]
    compute = eq.primitive._compute
    centre = _number(compute(*wide, **params))
    farthest = np.zeros(np.shape(centre))
    for signs in itertools.product((-1, 1), repeat=len(moved)):
        corner = list(wide)
        for k, s in zip(moved, signs, strict=True):
            corner[k] = _shifted(wide[k], s * operands[k][1])
        farthest = np.maximum(farthest, np.abs(_number(compute(*corner, **params)) - centre))
    if name in COMPARISONS:  # equal because both sides are computed alike: it stays so
        farthest = np.where(np.equal(operands[0][0], operands[1][0]), 0.0, farthest)
    return own + np.where(np.isnan(farthest), np.inf, farthest).astype(np.float64)


def _shifted(x: Any, by: Any) -> Any:
    if x.dtype.kind == "b":
        return np.where(by != 0, by > 0, x)
    return x + by if x.dtype.kind == "f" else x + np.where(np.isfinite(by), by, 2**40).astype(x.dtype)


def _number(x: Any) -> Any:
    return np.asarray(x, np.longdouble)


def _where(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    (condition, doubt), (a, ea), (b, eb) = operands
    chosen = np.where(condition, ea, eb)
    return np.where(doubt != 0, size(np.subtract(a, b, dtype=np.float64)) + ea + eb, chosen)


def _sum(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    ((x, e),) = operands
    n = np.size(x) / max(np.size(y), 1)
    kept = {k: params[k] for k in ("axis", "keepdims")}
    return n * eps_of(y) * np.sum(size(x), **kept) + np.sum(e, **kept)


def _extremum(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    return np.max(operands[0][1], axis=params["axis"], keepdims=params["keepdims"])


def _cumulative(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    ((x, e),) = operands
    axis = params["axis"]
    return np.shape(x)[axis] * eps_of(y) * np.cumsum(size(x), axis) + np.cumsum(e, axis)


def _index(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    ((x, e),) = operands
    axis, keepdims = params["axis"], params["keepdims"]
    signed = np.asarray(x, np.float64) * (1 if eq.primitive.name == "argmax" else -1)
    best = np.max(signed, axis=axis, keepdims=True)
    close = (signed + e >= best - np.max(e, axis=axis, keepdims=True)) & (signed != best)
    return np.where(np.any(close, axis=axis, keepdims=keepdims), np.inf, 0.0)


def _product(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    (a, ea), (b, eb) = operands
    k = np.shape(a)[-1]
    if not all(np.all(np.isfinite(e)) for e in (ea, eb)):
        return np.full(np.shape(y), np.inf)
    return k * eps_of(y) * (size(a) @ size(b)) + size(a) @ eb + ea @ size(b) + ea @ eb


def _gathered(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    (_, e), (indices, doubt) = operands
    if np.any(doubt):
        return np.full(np.shape(y), np.inf)
    return eq.primitive(e, indices, **params)


def _collected(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    (x, e), (indices, doubt) = operands
    if np.any(doubt):
        return np.full(np.shape(y), np.inf)
    n = max(np.size(indices), 1)
    return n * eps_of(y) * eq.primitive(size(x), indices, **params) + eq.primitive(e, indices, **params)


def _moved(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    """Entries in other places: so are their bounds."""
    if not operands:
        return np.zeros(np.shape(y))
    if eq.primitive.name.startswith("require_"):  # a check of values, which bounds are not
        return operands[0][1]
    return eq.primitive(*(e for _, e in operands), **params)


def _none(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    return np.zeros(np.shape(y))


def _truth(eq: Equation, y: Any, operands: list[Values], params: dict[str, Any]) -> Any:
    return np.any(operands[0][1] != 0, axis=params["axis"], keepdims=params["keepdims"]).astype(float)


_RULES: dict[str, Callable[..., Any]] = {
    "where": _where,
    "sum": _sum,
    "max": _extremum,
    "min": _extremum,
    "all": _truth,
    "any": _truth,
    "cumulative_sum": _cumulative,
    "argmax": _index,
    "argmin": _index,
    "matmul": _product,
    "take": _gathered,
    "take_along_axis": _gathered,
    "take_transposed": _collected,
    "along_transposed": _collected,
    "random_bits": _none,
    "fold_in": _none,
}

LEAVES_WITHOUT_RULE = {
    p.name
    for p in REGISTRY.values()
    if ".on_demand." not in p.__module__ and p.kind == "general" and not p.is_composite
} - set(_RULES)
assert not LEAVES_WITHOUT_RULE, LEAVES_WITHOUT_RULE


def assert_within(got: Any, want: Any, bound: Any, what: str) -> float:
    """|got − want| ≤ bound entry by entry; NaN and infinities at the same places; returns the largest share of it."""
    got, want = np.asarray(raw(got)), np.asarray(raw(want))
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    assert got.dtype == want.dtype, f"{what}: dtype {got.dtype}, expected {want.dtype}"
    with np.errstate(all="ignore"):
        distance = np.abs(got.astype(np.float64) - want.astype(np.float64))
        alike = (got == want) | ((got != got) & (want != want))
        share = np.where(alike | np.isinf(bound), 0.0, distance / bound)
    wrong = ~(share <= 1)
    assert not np.any(wrong), (
        f"{what}: {got[wrong][:4]} instead of {want[wrong][:4]}, |difference| {distance[wrong][:4]} "
        f"where {np.broadcast_to(bound, want.shape)[wrong][:4]} is allowed"
    )
    return float(np.max(share, initial=0.0))


def certain(bounds: Sequence[Any]) -> float:
    """The share of entries with a finite bound."""
    total = sum(np.size(b) for b in bounds)
    return sum(int(np.sum(np.isfinite(b))) for b in bounds) / total if total else math.nan
