"""numexpr: chains as texts, with as many threads as it takes by itself."""

from __future__ import annotations

from typing import Any

import numexpr

from benchmarks import workloads as w
from benchmarks.chains import CONSTANTS, arrays
from benchmarks.contenders import Repeated, Runner, chain_of

VERSION = numexpr.__version__


def prepare(row: w.Workload) -> Any:
    return arrays(row.dtype)


def build(form: str, row: w.Workload, prepared: Any) -> Runner:
    f = chain_of(row).numexpr
    return Repeated(row, lambda: f(evaluate, *prepared))


def evaluate(text: str, **operands: Any) -> Any:
    """The value of a text over these arrays and the constants."""
    return numexpr.evaluate(text, local_dict={**CONSTANTS, **operands}, global_dict={})
