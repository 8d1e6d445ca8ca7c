"""`Replayed`: a state of a run that was reached again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from clearprop.files.tree_arrays import to_bytes
from clearprop.runs.state import State


@dataclass(frozen=True, eq=False, repr=False)
class Replayed:
    """A state that was reached again.  `difference` says why it may not be exact in every bit; empty if it is."""

    state: State
    difference: str = ""

    def __repr__(self) -> str:
        exact = f"not bit-exact here, because {self.difference}" if self.difference else "exact in every bit"
        return f"<the state after step {self.step}: {exact}>"

    @property
    def digest(self) -> str:
        """SHA-256 of all parameters and of the optimizer's state: two states with one digest agree in every bit."""
        return hashlib.sha256(to_bytes(self.model) + to_bytes(self.optimizer)).hexdigest()

    @property
    def model(self) -> Any:
        """The network after that step."""
        return self.state.model

    @property
    def optimizer(self) -> Any:
        """The optimizer's state after that step."""
        return self.state.optimizer

    @property
    def step(self) -> int:
        """The number of the step; 0 is the start."""
        return self.state.step
