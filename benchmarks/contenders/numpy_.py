"""NumPy: chains of its functions, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import workloads as w
from benchmarks.chains import arrays
from benchmarks.contenders import Repeated, Runner, chain_of

VERSION = np.__version__


def prepare(row: w.Workload) -> Any:
    return arrays(row.dtype)


def build(form: str, row: w.Workload, prepared: Any) -> Runner:
    f = chain_of(row).f
    return Repeated(row, lambda: f(np, *prepared))
