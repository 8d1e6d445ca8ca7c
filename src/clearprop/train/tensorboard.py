"""Where `TensorBoard` was in version 0.1: the name is found here for one release more, with a warning."""

from __future__ import annotations

import warnings
from typing import Any

from clearprop.runs import tensorboard as _moved


def __getattr__(name: str) -> Any:
    """`TensorBoard`, from where it is now."""
    if name != "TensorBoard":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"{__name__}.{name} is {_moved.__name__}.{name} now", DeprecationWarning, stacklevel=2)
    return _moved.TensorBoard
