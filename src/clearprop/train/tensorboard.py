"""Where `TensorBoard` was in version 0.1: the name is found here for one release more, with a warning."""

from __future__ import annotations

import warnings
from typing import Any

from clearprop.runs.tensorboard import TensorBoard as _TensorBoard


def __getattr__(name: str) -> Any:
    """`cl.TensorBoard`, whose old name this is."""
    if name != "TensorBoard":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"{__name__}.{name} is cl.{name} now", DeprecationWarning, stacklevel=2)
    return _TensorBoard
