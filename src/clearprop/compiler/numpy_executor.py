"""The executor that runs the printed NumPy source: what is shown is what is executed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.compiler.captures import Captures
from clearprop.compiler.numpy_source import compile_numpy
from clearprop.program.ir import Program


class NumpyExecutor:
    """Runs the printed NumPy source of a lowered program."""

    def __init__(self, lowered: Program, name: str, captures: Captures) -> None:
        self.hidden: Sequence[Any] = captures.values
        self.source, self.function = compile_numpy(lowered, name)

    def bind(self, inputs: Sequence[Any]) -> Callable[[Sequence[Any]], Sequence[Any]]:
        """What computes the outputs for inputs of these sizes: the same for all."""
        return self._run

    def renew(self, hidden: Sequence[Any]) -> None:
        """Take these arrays for the captured ones from now on."""
        self.hidden = list(hidden)

    def _run(self, inputs: Sequence[Any]) -> Sequence[Any]:
        with np.errstate(all="ignore"):
            results: Sequence[Any] = self.function(*inputs, *self.hidden)
            return results
