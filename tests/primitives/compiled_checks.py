"""Checks of generated code: the NumPy source and the native kernels compute what eager execution computes."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import clearprop as cl
from clearprop.compiler.native.obstacles import obstacles
from tests.primitives.factory import Sample, array, assert_close
from tests.primitives.program_checks import differentiated


def check_generated_numpy(s: Sample) -> None:
    """The NumPy source of value and gradient gives the eager results."""
    _check(s, "numpy")


def check_native(s: Sample) -> None:
    """The native kernels of value and gradient give the eager results; only what is stated to have none has none."""
    page = (Path(__file__).parents[2] / "docs" / "native-forms.md").read_text(encoding="utf-8")
    stated = set(re.findall(r"`(\w+)`", page.partition("|---|---|")[2]))
    for _, f in differentiated(s)[:2]:
        lowered = cl.compile(f, executor="numpy").lower(*s.operands).lowered
        if missing := {eq.primitive.name for eq in obstacles(lowered)}:
            assert missing <= stated, f"{s}: no native form of {missing - stated}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cl.ExecutorWarning)
        _check(s, None)


def _check(s: Sample, executor: str | None) -> None:
    if not s.operands:
        return
    for what, f in differentiated(s)[:2]:
        got, want = (as_list(run(*s.operands)) for run in (cl.compile(f, executor=executor), f))
        for a, b in zip(got, want, strict=True):
            assert array(a).dtype == array(b).dtype, f"{s} {what} by {executor}: {array(a).dtype} for {array(b).dtype}"
            assert_close(a, array(b), 1e-12, 1e-1 * s.row.slope_scale, f"{s} {what} by {executor}")


def as_list(out: object) -> list[object]:
    return list(out) if isinstance(out, tuple) else [out]
