"""Random numbers from explicit keys: `cl.random`, as users see it; the generator is in `rules/random.py`.

>>> import clearprop as cl
>>> cl.random.uniform(cl.random.key(0), (2,))
Tensor([0.41845711, 0.31468172])
"""

from __future__ import annotations

from typing import Any

from clearprop.arrays.foreign_names import no_name
from clearprop.rules import random as _generator
from clearprop.rules.on_demand import NAMESPACES

GENERATOR = ("bernoulli", "fold_in", "key", "normal", "permutation", "split", "uniform")
"""What the generator itself declares; every other distribution is loaded when it is first asked for."""


def __getattr__(name: str) -> Any:
    try:
        return getattr(_generator, name)
    except AttributeError:
        raise no_name("cl.random", name, __dir__()) from None


def __dir__() -> list[str]:
    return sorted([*GENERATOR, *(name for names in NAMESPACES["random"].values() for name in names)])
