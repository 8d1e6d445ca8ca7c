"""safetensors files of others: looked through before an array is read, and never run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import DataError

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
           "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
           "BOOL": "bool"}  # fmt: skip


class Described(NamedTuple):
    """What is known of an array before it is read."""

    dtype: str
    shape: tuple[int, ...]


def described_arrays(path: Path) -> dict[str, Described]:
    """Dtype and shape of every array of a file, by name.

    Raises DataError for what is no safetensors file: the package checks that sizes lie within the file and fill it, so
    that nothing larger than the file is ever made.
    """
    from safetensors import SafetensorError, safe_open

    _require_file(path)
    try:
        with safe_open(path, framework="numpy") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            kinds = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
    except (SafetensorError, OSError, ValueError) as problem:
        raise _no_safetensors(path, str(problem)) from None
    return {name: Described(_DTYPES.get(dtype, dtype), shape) for name, (dtype, shape) in kinds.items()}


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """These arrays of a file; bfloat16, which NumPy does not have, as the float32 of the same value."""
    from safetensors import SafetensorError, deserialize, safe_open

    kinds = described_arrays(path)
    wanted = list(names)
    short = {name for name in wanted if kinds[name].dtype == "bfloat16"}
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: file.get_tensor(name) for name in wanted if name not in short}
        if short:
            parts = dict(deserialize(path.read_bytes()))  # type: ignore[no-untyped-call]  # of the package
            found |= {name: _float32_of(parts[name]["data"], kinds[name].shape) for name in short}
    except (SafetensorError, OSError, ValueError) as problem:
        raise _no_safetensors(path, str(problem)) from None
    return {name: found[name] for name in wanted}


def _float32_of(data: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
    """bfloat16 is the upper half of a float32."""
    words = np.frombuffer(data, "<u2").astype(np.uint32) << 16
    return words.view(np.float32).reshape(shape)


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise DataError("weights cannot be read", expected="a safetensors file", got="no such file", where=str(path))
    if path.suffix in (".pt", ".pth", ".bin", ".ckpt", ".pkl"):
        raise DataError(
            "weights in this form are not read",
            expected="a safetensors file, or a state_dict",
            got=f"{path.name}: a pickle, which can run any code",
            where=str(path),
            try_='cl.torch.load_state(torch.load(path, weights_only=True, map_location="cpu"), model)',
        )


def _no_safetensors(path: Path, problem: str) -> DataError:
    return DataError("weights cannot be read", expected="a safetensors file", got=problem[:200], where=str(path))
