"""Linear algebra: `cl.linalg`, the extension of the array API standard and what the field uses besides.

>>> import clearprop as cl
>>> cl.linalg.solve(cl.tensor([[2.0, 0.0], [0.0, 4.0]]), cl.tensor([2.0, 2.0]))
Tensor([1.0, 0.5])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop.arrays.foreign_names import no_name
from clearprop.arrays.functions import FUNCTIONS, public
from clearprop.rules.on_demand import NAMESPACES, find_in

SHARED_FUNCTIONS = ("matmul", "matrix_transpose", "tensordot", "vecdot")
"""Functions of `cl` that the standard names here, too."""
_FOUND: dict[str, Callable[..., Any]] = {name: FUNCTIONS[name] for name in SHARED_FUNCTIONS}


def __getattr__(name: str) -> Any:
    if name not in _FOUND:
        function = find_in("linalg", name)
        if function is None:
            raise no_name("cl.linalg", name, __dir__())
        found = _FOUND[name] = public(function, name, "cl.linalg")
        found.__module__ = __name__
    return _FOUND[name]


def __dir__() -> list[str]:
    return sorted([*SHARED_FUNCTIONS, *(name for names in NAMESPACES["linalg"].values() for name in names)])
