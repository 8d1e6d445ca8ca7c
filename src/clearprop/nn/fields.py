"""How a module's fields are declared: what is trained, what is remembered, what is fixed."""

from __future__ import annotations

import dataclasses
from typing import Any

PARAMETER, STATE, STATIC, CHILD = "parameter", "state", "static", "child"
_KIND = "clearprop"


def _declare(kind: str, default: Any, options: dict[str, Any]) -> Any:
    if default is not dataclasses.MISSING:
        options["default"] = default
    return dataclasses.field(metadata={_KIND: kind}, **options)


def parameter(default: Any = dataclasses.MISSING, **options: Any) -> Any:
    """A field of arrays that training changes.  `options` are those of `dataclasses.field`."""
    return _declare(PARAMETER, default, options)


def state(default: Any = dataclasses.MISSING, **options: Any) -> Any:
    """A field of arrays that a training pass recomputes (running statistics): no gradient, no optimizer.

    The module reads it through `stop_gradient`, so its gradient is 0; optimizers leave it alone.
    """
    return _declare(STATE, default, options)


def static(default: Any = dataclasses.MISSING, **options: Any) -> Any:
    """A field that is part of the module's structure: a rate, a size, a function.  It must be hashable."""
    return _declare(STATIC, default, options)


def kind_of(field: dataclasses.Field[Any]) -> str:
    """Parameter, state or static; a field without declaration holds modules and is a child."""
    return str(field.metadata.get(_KIND, CHILD))
