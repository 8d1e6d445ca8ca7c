"""Checks of values: against the oracle, in both precisions, in every layout, as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

import clearprop as cl
from clearprop.program.types import type_of
from tests.primitives.factory import Sample, array, assert_close, assert_same_bits


# ---------------------------------------------------------------------------------------------------- values
def check_value(s: Sample) -> None:
    """The value in float64, against the oracle."""
    want = np.asarray(s.row.oracle(*s.operands, **s.params))
    got = array(s(*s.operands))
    assert got.dtype.kind == s.row.kind, f"{s} has dtype {got.dtype}"
    want = want if want.size else want.astype(got.dtype)
    assert_close(got, want, s.row.ulps * np.finfo(np.float64).eps / 2, s.row.scale, f"{s} value")


def check_value_float32(s: Sample) -> None:
    """The value in float32, against the oracle on the same (rounded) operands, to at least four roundings if any."""
    operands = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in s.operands]
    if all(a.dtype == b.dtype for a, b in zip(operands, s.operands, strict=True)):
        return
    got = array(s(*operands))
    want = np.asarray(s.row.oracle(*(x.astype(np.float64) if x.dtype.kind == "f" else x for x in operands), **s.params))
    want = want if want.size else want.astype(got.dtype)
    if "dtype" not in s.params:
        assert got.dtype == np.float32 if s.row.kind == "f" else got.dtype.kind == s.row.kind, s
    bound = (s.row.ulps and max(s.row.ulps, 4)) * np.finfo(np.float32).eps / 2
    assert_close(got.astype(np.float64), want, bound, s.row.scale, f"{s} value in float32")


def check_type(s: Sample) -> None:
    """The inferred type is the computed one, in both precisions."""
    for dtype in (np.float64, np.float32):
        operands = [x.astype(dtype) if x.dtype.kind == "f" else x for x in s.operands]
        (inferred,) = s.primitive.infer([type_of(x) for x in operands], _bound(s))
        got = s(*operands)
        assert inferred == type_of(got), f"{s}: inferred {inferred}, computed {type_of(got)}"


def _bound(s: Sample) -> dict[str, Any]:
    _, params = s.primitive._bind_params(tuple(s.operands), s.params) if s.primitive.params else ((), {})
    return params


def check_layout(s: Sample) -> None:
    """Strided and transposed operands give the same values, and operands are left as they were."""
    before = [np.array(x) for x in s.operands]
    want = s(*s.operands)
    for layout in (_strided, _transposed, _reversed):
        got = s(*map(layout, s.operands))
        assert_close(got, want, 1e-13, s.row.scale, f"{s} on {layout.__name__[1:]} operands")
    for x, y in zip(s.operands, before, strict=True):
        assert_same_bits(x, y, f"{s}: an operand was changed")


def _strided(x: Any) -> Any:
    if np.ndim(x) == 0:
        return x
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def _transposed(x: Any) -> Any:
    return np.ascontiguousarray(np.transpose(x)).T if np.ndim(x) else x


def _reversed(x: Any) -> Any:
    return np.ascontiguousarray(x[::-1])[::-1] if np.ndim(x) else x


def check_tensor(s: Sample) -> None:
    """On tensors: the same value, as a tensor; recorded where it can be differentiated."""
    want = s(*s.operands)
    got = s(*map(cl.asarray, s.operands))
    if s.operands:
        assert isinstance(got, cl.Tensor), f"{s} returned {type(got).__name__}"
    assert_same_bits(got, want, f"{s} on tensors")
    tracked = [cl.tensor(x, requires_grad=k in s.smooth) for k, x in enumerate(s.operands)]
    assert_same_bits(s(*tracked), want, f"{s} on tracked tensors")


def check_integers(s: Sample) -> None:
    """On integers: the inferred type is the computed one, and the value that of the same numbers in float64."""
    if s.row.variant == "probabilities" or not all(np.isfinite(x).all() for x in s.operands):
        return  # integer labels are indices
    for dtype in (np.int64, np.int32):
        operands = [np.abs(np.ceil(x)).astype(dtype) if x.dtype.kind in "fi" else x for x in s.operands]
        if not any(x.dtype.kind == "f" for x in s.operands):
            return
        operands = [x[()] if np.ndim(x) == 0 else x for x in operands]
        got = s(*operands)
        (inferred,) = s.primitive.infer([type_of(x) for x in operands], _bound(s))
        assert inferred == type_of(got), f"{s}: inferred {inferred}, computed {type_of(got)} of integers"
        exact = [x.astype(k.dtype) for x, k in zip(operands, s.operands, strict=True)]
        want = array(s(*exact))
        if want.dtype.kind == "f":
            assert_close(array(got).astype(np.float64), want, 1e-14, s.row.scale, f"{s} of integers")
