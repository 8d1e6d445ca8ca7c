"""Networks of standard modules as JSON: described by name and rebuilt from a closed table.

No class is ever imported because a file names it.  A network with other modules is read into a template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from clearprop import nn
from clearprop.errors import ClearpropError, RunError
from clearprop.files.strict_json import refuse, require_keys
from clearprop.files.tree_arrays import read_arrays, read_tree
from clearprop.nn.fields import CHILD, PARAMETER, STATE, STATIC
from clearprop.program.types import type_of
from clearprop.program.values import Node, raw

Description = dict[str, Any]
Wanted = dict[str, tuple[str, tuple[int, ...]]]

STANDARD = frozenset(
    "Activation AdaptivePool AvgPool BatchNorm Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d "
    "Dense Dropout Dropout2d DropPath Embedding EmbeddingBag Ensemble Flatten GlobalPool GLU GroupNorm GRU GRUCell "
    "Increasing InstanceNorm LayerNorm LearnedPositions LSTM LSTMCell Masked MaxPool MeanOverSteps "
    "MultiHeadAttention NormalInterval Parallel "
    "PiecewiseLinear PReLU RandomCrop RandomFlip RandomShift Residual RMSNorm RNN RNNCell Sequential "
    "SinusoidalPositions SmoothClip SwiGLU TransformerBlock Unflatten Upsample WeightNorm".split()
)
"""The modules that a file can describe, by their names in `cl.nn`, where those that a network has are loaded."""
_REMAKE: dict[str, Callable[..., nn.Module]] = {
    "Activation": lambda name, options: nn.Activation(name, **dict(options)),
    "Sequential": lambda layers: nn.Sequential(*layers),
    "Masked": lambda layers: nn.Masked(*layers),
}
"""How a module is made again whose constructor takes other arguments than its fields."""
_OWN_FIELDS = frozenset(
    "DropPath Dropout Dropout2d Ensemble Flatten GLU Increasing NormalInterval RandomCrop RandomFlip RandomShift "
    "SinusoidalPositions SmoothClip Unflatten".split()
)
"""The modules whose constructor takes their fields, and checks them."""
_WHAT = "the stored network"


def describe(model: Any) -> Description | None:
    """The structure of a model as JSON can hold it; None if a module of it is not standard."""
    try:
        return _describe(model)
    except _NotStandard:
        return None


class _NotStandard(Exception):
    pass


def _describe(module: Any) -> Description:
    name = type(module).__name__
    if name not in STANDARD or getattr(nn, name) is not type(module):
        raise _NotStandard
    fields = {n: _field(kind, getattr(module, n)) for n, kind in module.field_kinds.items()}
    return {"module": name, "fields": fields}


def _field(kind: str, value: Any) -> Any:
    if kind == CHILD:
        return _children(value)
    if kind == STATIC:
        return _static(value)
    if value is None:
        return None
    if not isinstance(value, Node):
        raise _NotStandard
    own = type_of(raw(value))
    return {"dtype": own.dtype.name, "shape": list(own.shape)}


def _children(value: Any) -> Any:
    return [_describe(child) for child in value] if isinstance(value, tuple) else _describe(value)


def _static(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_static(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise _NotStandard


def read_model(path: Path, description: Description | None, template: Any = None) -> Any:
    """The model whose arrays the safetensors file holds, of the described structure or of the template's.

    Raises RunError if the file, the description or the two together cannot be trusted.
    """
    if template is not None:
        return read_tree(path, template, _WHAT)
    if description is None:
        raise RunError(
            "this network has modules of its own",
            expected="template=, a network of the same structure; no class is imported from a file",
            got="no template",
            where=str(path.parent),
            try_="cl.load(path, template=MyNetwork(...))",
        )
    where = str(path.parent / "config.json")
    wanted = dict(_arrays(description, "", where))
    return _rebuild(description, "", read_arrays(path, wanted, _WHAT), where)


def _checked_module(description: Any, where: str) -> tuple[type[nn.Module], dict[str, Any]]:
    given = require_keys(description, {"module", "fields"}, _WHAT, where)
    if not isinstance(given["module"], str) or given["module"] not in STANDARD:
        refuse(_WHAT, "a module of cl.nn, such as Dense", repr(given["module"])[:60], where)
    kind: type[nn.Module] = getattr(nn, given["module"])
    return kind, dict(require_keys(given["fields"], set(kind.field_kinds), _WHAT, where))


def _parts(description: Any, prefix: str, where: str) -> Iterator[tuple[str, str, Any]]:
    """Field kind, path and value of every field of one module."""
    kind, fields = _checked_module(description, where)
    for name, field_kind in kind.field_kinds.items():
        yield field_kind, f"{prefix}.{name}".removeprefix("."), fields[name]


def _arrays(description: Any, prefix: str, where: str) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    """Path, dtype and shape of every array that the description announces."""
    for kind, path, value in _parts(description, prefix, where):
        if kind == CHILD:
            for inner, child in _child_paths(path, value):
                yield from _arrays(child, inner, where)
        elif kind in (PARAMETER, STATE) and value is not None:
            yield path, _declared_array(value, where)


def _child_paths(path: str, value: Any) -> list[tuple[str, Any]]:
    return [(f"{path}[{i}]", child) for i, child in enumerate(value)] if isinstance(value, list) else [(path, value)]


def _declared_array(value: Any, where: str) -> tuple[str, tuple[int, ...]]:
    given = require_keys(value, {"dtype", "shape"}, _WHAT, where)
    shape = given["shape"]
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        refuse(_WHAT, "a shape, a list of sizes", repr(shape)[:60], where)
    if given["dtype"] not in ("float32", "float64"):
        refuse(_WHAT, "dtype float32 or float64", repr(given["dtype"])[:60], where)
    return given["dtype"], tuple(shape)


def _rebuild(description: Any, prefix: str, arrays: dict[str, NDArray[Any]], where: str) -> nn.Module:
    values: dict[str, Any] = {}
    for kind, path, value in _parts(description, prefix, where):
        name = path.rpartition(".")[2]
        if kind == CHILD:
            children = tuple(_rebuild(child, inner, arrays, where) for inner, child in _child_paths(path, value))
            values[name] = children if isinstance(value, list) else children[0]
        elif kind == STATIC:
            values[name] = _static_value(value, where)
        else:
            values[name] = None if value is None else arrays[path]
    return _make_module(description["module"], values, where)


def _static_value(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        refuse(_WHAT, "numbers, texts and lists of them", "an object", where)
    return tuple(_static_value(item, where) for item in value) if isinstance(value, list) else value


def _make_module(name: str, values: dict[str, Any], where: str) -> nn.Module:
    """The module with these fields, through its own constructor where that one checks them."""
    try:
        if name in _REMAKE:
            return _REMAKE[name](**values)
        kind = getattr(nn, name)
        if name in _OWN_FIELDS:
            made: nn.Module = kind(**values)
            return made
        new: nn.Module = object.__new__(kind)
        nn.Module.__init__(new, **values)
        return new
    except (ClearpropError, TypeError, ValueError) as problem:
        refuse(_WHAT, f"fields that {name} takes", str(problem).partition("\n")[0], where)
