"""How many Python functions run from the user's operation to the gradient: `python -m benchmarks.calls clearprop`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def count(f: Callable[[], Any]) -> int:
    """Python calls within f, itself not counted; C functions do not count."""
    calls = 0

    def seen(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    f()  # what is made on first use does not count
    sys.setprofile(seen)
    try:
        f()
    finally:
        sys.setprofile(None)
    return calls - 1


def clearprop() -> Callable[[], Any]:
    import clearprop as cl

    x = cl.tensor(1.0, requires_grad=True)
    return lambda: cl.relu(x * 2).backward()


def autograd() -> Callable[[], Any]:
    import autograd.numpy as anp
    from autograd import grad

    return lambda: grad(lambda x: anp.maximum(x * 2, 0.0))(1.0)


if __name__ == "__main__":
    print(count({"clearprop": clearprop, "autograd": autograd}[sys.argv[1]]()))
