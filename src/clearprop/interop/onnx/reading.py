"""Files from outside are read with suspicion: sizes are checked before anything is made, no path leaves the folder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, DataError, user_line
from clearprop.files.onnx_package import onnx_package
from clearprop.files.presence import is_file

MOST_BYTES = 2**31
"""The largest file, and the largest array in it or beside it: protocol buffers hold no more."""
DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 11: "float64",
    12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128",
}  # fmt: skip
"""The dtypes that both have, by the format's numbers for them."""
_TYPED_FIELDS = {"int32": "int32_data", "int64": "int64_data", "float32": "float_data", "float64": "double_data",
                 "uint64": "uint64_data", "uint32": "uint64_data", "complex64": "float_data",
                 "complex128": "double_data"}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A model as it came, and the folder in which the files that it names must lie; None if it came without one."""

    proto: Any
    folder: Path | None
    name: str


def read_model(source: Any) -> Source:
    """The model of a path, of the bytes of a file, or of a `ModelProto`.

    Raises ArgumentError for something else, DataError for a file that is missing, too large or no model.
    """
    package = onnx_package()
    if isinstance(source, package.ModelProto):
        return Source(source, None, source.graph.name or "model")
    if isinstance(source, bytes):
        return Source(_parse(source, "the given bytes"), None, "model")
    if not isinstance(source, (str, Path)):
        raise ArgumentError(
            "cl.onnx.load takes a model",
            expected="a path, the bytes of a file, or an onnx.ModelProto",
            got=type(source).__name__,
            where=user_line(),
        )
    path = Path(source)
    return Source(_parse(_content(path), str(path)), path.parent, path.stem)


def _content(path: Path) -> bytes:
    if not is_file(path):
        raise DataError("the model's file is not there", expected="an ONNX file", got=str(path), where=user_line())
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DataError(
            "the model's file is too large",
            expected=f"at most {MOST_BYTES:,} bytes; larger weights lie in files beside it",
            got=f"{size:,} bytes",
            where=str(path),
        )
    try:
        return path.read_bytes()
    except OSError as problem:
        raise DataError("the model's file cannot be read", got=str(problem), where=str(path)) from None


def _parse(content: bytes, where: str) -> Any:
    package = onnx_package()
    from google.protobuf.message import DecodeError

    model = package.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RecursionError, ValueError) as problem:
        raise DataError(
            "the file holds no ONNX model", expected="a protocol buffer", got=str(problem)[:200], where=where
        ) from None
    if not model.HasField("graph"):
        raise DataError("the file holds no ONNX model", expected="a graph", got="none", where=where)
    if (wrong := next(_strings_without_text(model), None)) is not None:
        raise DataError("the file holds no ONNX model", expected="names in UTF-8", got=str(wrong[:40]), where=where)
    return model


def _strings_without_text(message: Any) -> Iterator[bytes]:
    """The strings of a message that are no UTF-8: the package gives them as bytes."""
    for field, value in message.ListFields():
        single = isinstance(value, (str, bytes)) or hasattr(value, "ListFields")
        if field.type == field.TYPE_MESSAGE:
            for part in (value,) if single else value:
                yield from _strings_without_text(part)
        elif field.type == field.TYPE_STRING:
            yield from (text for text in ((value,) if single else value) if isinstance(text, bytes))


def dtype_name(number: int) -> str:
    """What the format calls a dtype, such as `FLOAT16`; its number where it is none."""
    names: dict[int, str] = {v: k for k, v in onnx_package().TensorProto.DataType.items()}
    return names.get(number, f"dtype {number}")


def tensor_array(tensor: Any, folder: Path | None) -> np.ndarray[Any, Any]:
    """The numbers of a `TensorProto`, in a file beside the model too.

    Raises DataError where dtype, shape and the bytes that are there do not fit, or the file is not to be read.
    """
    dtype = _checked_dtype(tensor)
    shape = tuple(tensor.dims)
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize > MOST_BYTES:
        raise _bad_tensor(tensor, f"sizes from 0, at most {MOST_BYTES:,} bytes", f"shape {shape}")
    if tensor.data_location == tensor.EXTERNAL:
        content = _external_content(tensor, folder, count * dtype.itemsize)
    elif tensor.HasField("raw_data"):
        content = tensor.raw_data
    else:
        return _typed_numbers(tensor, dtype, shape)
    if len(content) != count * dtype.itemsize:
        raise _bad_tensor(tensor, f"{count * dtype.itemsize:,} bytes for shape {shape}", f"{len(content):,} bytes")
    found = np.frombuffer(content, dtype.newbyteorder("<")).reshape(shape).astype(dtype)
    return found


def _checked_dtype(tensor: Any) -> np.dtype[Any]:
    if tensor.data_type not in DTYPES:
        raise _bad_tensor(tensor, ", ".join(DTYPES.values()), dtype_name(tensor.data_type))
    return np.dtype(DTYPES[tensor.data_type])


def _typed_numbers(tensor: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Numbers that stand one by one: small integers and truth values among the 32-bit ones."""
    given = getattr(tensor, _TYPED_FIELDS.get(dtype.name, "int32_data"))
    parts = 2 if dtype.kind == "c" else 1
    if len(given) != math.prod(shape) * parts:
        raise _bad_tensor(tensor, f"{math.prod(shape) * parts:,} numbers for shape {shape}", f"{len(given):,} numbers")
    numbers = np.array(given, dtype=np.dtype(f"f{dtype.itemsize // 2}") if parts == 2 else None)
    found = numbers.view(dtype) if parts == 2 else numbers.astype(dtype)
    return found.reshape(shape)


def _bad_tensor(tensor: Any, expected: str, got: str) -> DataError:
    return DataError(f"the array {tensor.name!r} of the model cannot be read", expected=expected, got=got)


def _external_content(tensor: Any, folder: Path | None, needed: int) -> bytes:
    """The bytes in a file beside the model: below its folder after all links are followed, inside the file."""
    entries = {e.key: e.value for e in tensor.external_data}
    if folder is None:
        raise _bad_tensor(tensor, "a path given to cl.onnx.load, since its numbers lie in a file beside it", "no path")
    path = _inside(tensor, folder, entries.get("location", ""))
    offset, length = _number(tensor, entries, "offset", 0), _number(tensor, entries, "length", needed)
    if length != needed or offset + length > path.stat().st_size:
        raise _bad_tensor(
            tensor,
            f"{needed:,} bytes within the {path.stat().st_size:,} of {path.name}",
            f"{length:,} bytes from {offset:,} on",
        )
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _inside(tensor: Any, folder: Path, location: str) -> Path:
    base = folder.resolve()
    try:
        path = (base / location).resolve()
        inside = bool(location) and not Path(location).is_absolute() and path.is_relative_to(base)
    except (OSError, ValueError, RuntimeError):
        inside = False
    if not inside:
        raise _bad_tensor(tensor, "a file below the folder of the model", f"location {location!r}")
    if not is_file(path):
        raise _bad_tensor(tensor, "a file beside the model", f"{location!r} is not there")
    return path


def _number(tensor: Any, entries: dict[str, str], key: str, default: int) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise _bad_tensor(tensor, f"a number of bytes as {key}", repr(text))
    return int(text)
