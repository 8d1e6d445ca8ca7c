"""Every public function of arrays, with operands of one dtype and Python numbers beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import clearprop as cl
from clearprop.errors import ClearpropError
from clearprop.primitives import REGISTRY

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64".split()
NATIVE = "bool int32 int64 uint8 uint32 float32 float64".split()
NUMBERS = (2, 300, -1, 2**40, 2**70, 0.5, True, 0.0, -0.0)
REDUCTIONS = "sum max min all any prod mean var std norm logsumexp cumulative_sum argmax argmin".split()
Function = Callable[[Any, Any], Any]

FUSED: dict[str, Function] = {
    "half of a sum": lambda x, y: (x + y) / 2,
    "beside its square": lambda x, y: x >= cl.square(x),
    "sum of products": lambda x, y: cl.sum(x * y),
    "difference of products": lambda x, y: (x * y - y) > 0,
    "absolute difference": lambda x, y: cl.abs(x - y) >= 0,
    "choice": lambda x, y: cl.where(x > y, x, y),
    "choice of a number": lambda x, y: cl.where(x > y, x, 300),
    "product": lambda x, y: x @ y,
    "joined": lambda x, y: cl.concat([x, y]),
    "times the size": lambda x, y: x * x.shape[0],
    "within the size": lambda x, y: x < x.shape[0],
    "negated difference": lambda x, y: 0 - (x - y),
    "negated product": lambda x, y: -(x * y) + 0,
    "sign of a sum": lambda x, y: cl.copysign(1.0, x * y + 0.0),
    "sum of one": lambda x, y: cl.sum(x[:, None], axis=1),
    "largest of one": lambda x, y: cl.max(x[:, None], axis=1) + cl.min(y[:, None], axis=1),
    "clipped": lambda x, y: cl.clip(x, 0, 2),
    "clipped widely": lambda x, y: cl.clip(x, -1, 300),
}


def _binary(f: Any, k: Any) -> dict[str, Function]:
    return {
        f"{f.__name__}(x, {k})": lambda x, y: f(x, k),
        f"{f.__name__}({k}, x)": lambda x, y: f(k, x),
    }


def functions() -> dict[str, Function]:
    """By a name that says the call."""
    out: dict[str, Function] = {}
    for p in REGISTRY.values():
        f = getattr(cl, p.name, None)
        if p.kind != "elementwise" or not p.public or p.conditions or f is None:
            continue
        if len(p.operands) == 1:
            out[p.name] = lambda x, y, f=f: f(x)
        elif len(p.operands) == 2:
            out[p.name] = lambda x, y, f=f: f(x, y)
            for k in NUMBERS:
                out |= _binary(f, k)
    for name in REDUCTIONS:
        f = getattr(cl, name)
        out[name] = lambda x, y, f=f: f(x, axis=0)
        out[f"{name} of nothing"] = lambda x, y, f=f: f(x[:0], axis=0)
    return out | FUSED


def operands(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a dtype where something may go wrong: its ends, zeros, what is no number."""
    kind = np.dtype(dtype)
    if dtype == "bool":
        return np.array([True, False, True, False]), np.array([True, True, False, False])
    if kind.kind == "f":
        x = [-np.inf, -2.5, -1, -0.0, 0.0, 0.5, 1, 3, np.inf, np.nan, 1e30, -0.0, 0.0, 3, -0.0]
        y = [0.0, -0.0, 1, -0.0, 0.0, 2, 1, -3, np.inf, 1, np.nan, 0.0, -0.0, 3, np.nan]
        return np.array(x, kind), np.array(y, kind)
    i = np.iinfo(kind)
    x = [0, 1, 2, 3, 7, i.max, i.max - 1, i.min, i.min + 1, 100, i.max // 2]
    return np.array(x, kind), np.array([3, 2, 1, 0, 5, i.max, 2, i.min, 1, 100, 2], kind)


def outcome(f: Callable[..., Any], *args: Any) -> Any:
    """The value as an array, or the class of our own error: other errors are nobody's wish, and pass through."""
    try:
        return np.asarray(f(*args))
    except ClearpropError as error:
        return type(error)


def difference(got: Any, want: Any) -> str:
    """What differs between two outcomes; empty if nothing does."""
    if isinstance(want, type) or isinstance(got, type):
        return "" if isinstance(want, type) and isinstance(got, type) else f"{got} instead of {want}"
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{got.dtype}{got.shape} instead of {want.dtype}{want.shape}"
    if want.dtype.kind != "f":
        return "" if np.array_equal(got, want) else f"{got} instead of {want}"
    close = np.isclose(got, want, rtol=1e-5 if want.dtype == np.float32 else 1e-13, atol=0, equal_nan=True)
    close &= (want != 0) | (np.signbit(got) == np.signbit(want))  # 0 and −0 are two
    return "" if close.all() else f"{got[~close]} instead of {want[~close]}"
