"""`.backward()`: the sweep of the tape that a learner's loop uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.autodiff.reverse import Slice, sweep
from clearprop.errors import GradientError, TraceError, user_line
from clearprop.program.ir import Var
from clearprop.program.operands import complex_error
from clearprop.program.types import Value, is_complex
from clearprop.program.values import Node, raw

_SWEPT: Any = "swept"


def backward(out: Any) -> None:
    """Add ∂out/∂leaf to `.grad` of every leaf that `out` depends on."""
    if isinstance(out.value, Var):
        raise TraceError(
            "backward() cannot be part of a traced function",
            expected="cl.grad or cl.value_and_grad",
            got="backward() on a traced value",
            where=user_line(),
            try_="loss, grads = cl.value_and_grad(loss_of)(parameters)",
        )
    if out.shape != ():
        raise GradientError(
            "backward() needs a scalar",
            expected="shape ()",
            got=f"shape {out.shape}",
            where=user_line(),
            try_="cl.mean(loss).backward(), or cl.vjp for a cotangent of your own",
        )
    if is_complex(out.dtype):
        raise complex_error(out.dtype, "backward() needs a real loss", try_="cl.real(loss) or cl.abs(loss)")
    if out.application is None:
        _require_history(out)
        _accumulate(out, _one(out.value))
        return
    if out.grad is _SWEPT:
        raise GradientError(
            "backward() ran through this value before",
            expected="one backward() per computed loss",
            got="a second backward() on the same output",
            where=user_line(),
            try_="compute the loss again; different losses accumulate in .grad",
        )
    part = Slice([out])
    cotangents = sweep(part, {out: _one(out.value)}, raw)
    out.grad = _SWEPT
    for leaf in part.leaves:
        c = cotangents.get(leaf)
        if c is not None:
            _accumulate(leaf, c)


def _one(value: Any) -> Any:
    """The cotangent that a sweep starts from; what is differentiated is floating."""
    return np.float64(1) if type(value) is float else value.dtype.type(1)


def _require_history(out: Node) -> None:
    if not out.requires_grad:
        raise GradientError(
            "backward() found nothing to differentiate",
            expected="a value computed from tensors with requires_grad=True",
            got="a value without history",
            where=user_line(),
            try_="cl.tensor(..., requires_grad=True), and no cl.no_grad() or detach() on the way",
        )


def _accumulate(leaf: Node, cotangent: Value) -> None:
    new = cotangent.value if isinstance(cotangent, Node) else cotangent
    before = leaf.grad
    leaf.grad = type(leaf)(new if before is None else before.value + new)
