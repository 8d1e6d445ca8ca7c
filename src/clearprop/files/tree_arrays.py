"""Trees of arrays in safetensors files: one entry per leaf, named by its path; read only into a known structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.autodiff.trees import flatten, is_array, paths, unflatten
from clearprop.errors import RunError
from clearprop.files.strict_json import refuse
from clearprop.program.types import PYTHON_SCALARS
from clearprop.program.values import Node, raw

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "I64": "int64", "I32": "int32", "I16": "int16",
           "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool"}  # fmt: skip


def tree_arrays(tree: Any) -> dict[str, NDArray[Any]]:
    """The leaves of a tree as arrays by path; a Python number becomes an array of shape ()."""
    leaves, _ = flatten(tree)
    named = zip(paths(tree), map(raw, leaves), strict=True)
    return {path: np.asarray(value, order="C") for path, value in named if is_array(value)}


def to_bytes(tree: Any) -> bytes:
    """The tree's arrays as the bytes of a safetensors file."""
    from safetensors.numpy import save

    return bytes(save(tree_arrays(tree)))


def read_tree(path: Path, template: Any, what: str) -> Any:
    """The tree of `template`'s structure whose arrays the file holds.

    Raises RunError if the file is damaged, or if names, shapes or dtypes differ from the template's; this is known from
    the file's header, before any array is read.
    """
    wanted = {name: (value.dtype.name, value.shape) for name, value in tree_arrays(template).items()}
    return with_arrays(template, read_arrays(path, wanted, what))


def read_arrays(path: Path, wanted: dict[str, tuple[str, tuple[int, ...]]], what: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file, which must have exactly the `wanted` names, dtypes and shapes."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        refuse(what, f"the file {path.name}", "no such file", str(path))
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: _header(file.get_slice(name)) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            _compare(found, wanted, what, path)
            return {name: file.get_tensor(name) for name in wanted}
    except RunError:
        raise
    except (SafetensorError, OSError, ValueError) as problem:
        refuse(what, "a safetensors file", str(problem), str(path))


def _header(part: Any) -> tuple[str, tuple[int, ...]]:
    return _DTYPES.get(part.get_dtype(), part.get_dtype()), tuple(part.get_shape())


def _compare(found: dict[str, Any], wanted: dict[str, Any], what: str, path: Path) -> None:
    for name, (dtype, shape) in wanted.items():
        expected = f"{name}: {dtype} {shape}"
        if name not in found:
            refuse(what, expected, "no array of that name", str(path))
        if found[name] != (dtype, shape):
            refuse(what, expected, f"{found[name][0]} {found[name][1]}", str(path))
    extra = sorted(set(found) - set(wanted))
    if extra:
        refuse(what, "only the arrays of the network", f"{extra[0]} besides", str(path))


def with_arrays(template: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """The template with its leaves replaced by the arrays of their paths; each keeps its kind."""
    leaves, structure = flatten(template)
    named = zip(paths(template), leaves, strict=True)
    return unflatten(structure, [_like_leaf(leaf, arrays[path]) if is_array(leaf) else leaf for path, leaf in named])


def _like_leaf(leaf: Any, value: NDArray[Any]) -> Any:
    """`value` as the kind of thing that `leaf` is: a Python number, a tensor (with its name), or an array."""
    inner = raw(leaf)
    if type(inner) in PYTHON_SCALARS:
        new: Any = type(inner)(value.item())
    else:
        new = value if value.ndim else value[()]
    if not isinstance(leaf, Node):
        return new
    node = type(leaf)(new)
    node.name, node.requires_grad = leaf.name, leaf.requires_grad
    return node
