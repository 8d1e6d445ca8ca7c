"""The architecture of a model as JSON, and back: so that a file is read without executing code from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.nn.fields import PARAMETER, STATE
from clearprop.nn.module import Module
from clearprop.program.tracing import shape_of
from clearprop.program.types import type_of
from clearprop.program.values import raw


def to_config(model: Module) -> dict[str, Any]:
    """Classes, static fields, shapes and dtypes of a model of clearprop's own modules, as JSON values.

    Raises ArgumentError for a class or function of the user's.

    >>> import clearprop as cl
    >>> cl.nn.to_config(cl.nn.Dropout(0.1))
    {'module': 'Dropout', 'rate': 0.1}
    """
    return _written(model)  # type: ignore[no-any-return]  # a module is written as a dict


def from_config(config: dict[str, Any]) -> Any:
    """The model of that architecture, every array 0: `model.replace(arrays)` puts the stored ones in.

    >>> import clearprop as cl
    >>> cl.nn.from_config(cl.nn.to_config(cl.nn.mlp([4, 16, 3], "tanh")))
    Sequential(
      layers[0]  Dense(4 → 16)  weight (4, 16), bias (16,)  80
      layers[1]  tanh
      layers[2]  Dense(16 → 3)  weight (16, 3), bias (3,)   51
      131 parameters, float32
    )
    """
    return _read(config)


def _built_in() -> dict[str, type[Module]]:
    found, todo = dict[str, type[Module]](), [Module]
    while todo:
        for cls in todo.pop().__subclasses__():
            todo.append(cls)
            if cls.__module__.startswith("clearprop."):
                found[cls.__name__] = cls
    return found


def _written(value: Any) -> Any:
    if isinstance(value, Module):
        name = type(value).__name__
        if _built_in().get(name) is not type(value):
            raise _not_ours(f"the class {name}")
        fields = {n: _field(n, getattr(value, n), k) for n, k in value.field_kinds.items()}
        return {"module": name, **fields}
    if isinstance(value, (list, tuple)):
        return [_written(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise _not_ours(f"the function {getattr(value, '__name__', value)}")


def _field(name: str, value: Any, kind: str) -> Any:
    if kind in (PARAMETER, STATE) and value is not None:
        return {"shape": list(map(int, shape_of(value))), "dtype": type_of(raw(value)).dtype.name}
    return _written(value)


def _not_ours(what: str) -> ArgumentError:
    return ArgumentError(
        f"{what} cannot be stored in a file",
        expected="modules and activations of clearprop",
        got=what,
        where=user_line(),
        try_="cl.load(path, template=model): a model of the same structure, made by your code",
    )


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_read, value))
    if not isinstance(value, dict):
        return value
    if "shape" in value:
        return np.zeros(value["shape"], value["dtype"])
    known = _built_in()
    if value.get("module") not in known:
        raise unknown_name("module", str(value.get("module")), known)
    cls = known[value["module"]]
    made = object.__new__(cls)
    Module.__init__(made, **{k: _read(v) for k, v in value.items() if k != "module"})
    return made
