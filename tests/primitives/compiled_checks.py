"""Checks of generated code: the NumPy source and the native kernels compute what eager execution computes."""

from __future__ import annotations

import clearprop as cl
from tests.primitives.factory import Sample, array, assert_close
from tests.primitives.program_checks import differentiated


def check_generated_numpy(s: Sample) -> None:
    """The NumPy source of value and gradient gives the eager results."""
    _check(s, "numpy")


def check_native(s: Sample) -> None:
    """The native kernels of value and gradient give the eager results."""
    _check(s, "numba")


def _check(s: Sample, executor: str) -> None:
    if not s.operands:
        return
    for what, f in differentiated(s)[:2]:
        got, want = (as_list(run(*s.operands)) for run in (cl.compile(f, executor=executor), f))
        for a, b in zip(got, want, strict=True):
            assert array(a).dtype == array(b).dtype, f"{s} {what} by {executor}: {array(a).dtype} for {array(b).dtype}"
            assert_close(a, array(b), 1e-12, 1e-1 * s.row.slope_scale, f"{s} {what} by {executor}")


def as_list(out: object) -> list[object]:
    return list(out) if isinstance(out, tuple) else [out]
