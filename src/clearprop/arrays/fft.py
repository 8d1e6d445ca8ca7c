"""Fourier transforms: `cl.fft`, the extension of the array API standard, differentiable.

>>> import clearprop as cl
>>> cl.fft.rfft(cl.tensor([1.0, 1.0]))
Tensor([2.0+0.0j, 0.0+0.0j], dtype=complex128)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop.arrays.foreign_names import no_name
from clearprop.arrays.functions import public
from clearprop.rules.on_demand import NAMESPACES, find_in

_FOUND: dict[str, Callable[..., Any]] = {}


def __getattr__(name: str) -> Any:
    if name not in _FOUND:
        function = find_in("fft", name)
        if function is None:
            raise no_name("cl.fft", name, __dir__())
        found = _FOUND[name] = public(function, name, "cl.fft")
        found.__module__ = __name__
    return _FOUND[name]


def __dir__() -> list[str]:
    return sorted(name for names in NAMESPACES["fft"].values() for name in names)
