"""Operators of ATen that move entries, choose them, or make tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arrays import asarray, functions
from clearprop.errors import ArgumentError
from clearprop.interop.torch.operators.operator_table import operator

_LARGEST = np.iinfo(np.int64).max
"""How PyTorch writes an end of a slice that is open."""


@operator("view", "_unsafe_view")
def view(self: Any, size: Any) -> Any:
    """The entries in their order, in another shape."""
    return functions.reshape(self, tuple(size))


@operator("transpose")
def transpose(self: Any, dim0: int, dim1: int) -> Any:
    """Two axes change places."""
    return functions.swapaxes(self, dim0, dim1)


@operator("t")
def t(self: Any) -> Any:
    """The transpose of a matrix."""
    return self if len(self.shape) < 2 else functions.swapaxes(self, -2, -1)


@operator("permute")
def permute(self: Any, dims: Any) -> Any:
    """The axes in another order."""
    return functions.permute_dims(self, tuple(d % len(self.shape) for d in dims))


@operator("unsqueeze")
def unsqueeze(self: Any, dim: int) -> Any:
    """A new axis of size 1."""
    return functions.expand_dims(self, axis=dim)


@operator("squeeze")
def squeeze(self: Any, dim: Any = None) -> Any:
    """Without axes of size 1; an axis that is named and has another size stays."""
    n = len(self.shape)
    asked = range(n) if dim is None else [d % n for d in ([dim] if isinstance(dim, int) else dim)] if n else []
    axes = tuple(d for d in asked if isinstance(self.shape[d], int) and self.shape[d] == 1)
    return functions.squeeze(self, axis=axes) if axes else self


@operator("expand", implicit=(False,))
def expand(self: Any, size: Any, implicit: bool = False) -> Any:
    """Axes of size 1 repeated; −1 leaves an axis as it is."""
    given = (1,) * (len(size) - len(self.shape)) + tuple(self.shape)
    wanted = tuple(g if isinstance(s, int) and s == -1 else s for s, g in zip(size, given, strict=True))
    return functions.broadcast_to(self, wanted)


@operator("repeat")
def repeat(self: Any, repeats: Any) -> Any:
    """The whole tensor, again and again along its axes."""
    return functions.tile(self, tuple(repeats))


@operator("repeat_interleave.self_int")
def repeat_interleave(self: Any, repeats: int, dim: int | None = None, output_size: Any = None) -> Any:
    """Each entry several times."""
    return functions.repeat(self, repeats, axis=dim)


@operator("cat")
def cat(tensors: Any, dim: int = 0) -> Any:
    """Tensors behind each other."""
    return functions.concat(tensors, axis=dim)


@operator("stack")
def stack(tensors: Any, dim: int = 0) -> Any:
    """Tensors along a new axis."""
    return functions.stack(tensors, axis=dim)


def _cut(x: Any, sizes: Sequence[int], dim: int) -> list[Any]:
    ends = np.cumsum(sizes)
    return [_along(x, dim, slice(int(end - n), int(end))) for end, n in zip(ends, sizes, strict=True)]


def _along(x: Any, dim: int, key: Any) -> Any:
    return x[(slice(None),) * (dim % len(x.shape)) + (key,)]


@operator("split_with_sizes")
def split_with_sizes(self: Any, split_sizes: Any, dim: int = 0) -> list[Any]:
    """Pieces of these sizes."""
    return _cut(self, split_sizes, dim)


@operator("split.Tensor")
def split(self: Any, split_size: int, dim: int = 0) -> list[Any]:
    """Pieces of one size; the last may be smaller."""
    n = int(self.shape[dim])
    return _cut(self, [min(split_size, n - i) for i in range(0, n, split_size)], dim)


@operator("unbind")
def unbind(self: Any, dim: int = 0) -> list[Any]:
    """The slices along an axis."""
    return [_along(self, dim, i) for i in range(int(self.shape[dim]))]


@operator("slice.Tensor")
def slice_tensor(self: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """A slice along an axis."""
    end = None if isinstance(end, int) and end == _LARGEST else end
    whole = end is None and step == 1 and (start is None or (isinstance(start, int) and start == 0))
    return self if whole else _along(self, dim, slice(start, end, step))


@operator("select.int")
def select(self: Any, dim: int, index: int) -> Any:
    """One slice along an axis, without the axis."""
    return _along(self, dim, index)


@operator("slice_scatter")
def slice_scatter(self: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """The tensor with another one in place of a slice."""
    end = None if isinstance(end, int) and end == _LARGEST else end
    return self.at[(slice(None),) * (dim % len(self.shape)) + (slice(start, end, step),)].set(src)


@operator("select_scatter")
def select_scatter(self: Any, src: Any, dim: int, index: int) -> Any:
    """The tensor with another one in place of a slice without its axis."""
    return self.at[(slice(None),) * (dim % len(self.shape)) + (index,)].set(src)


@operator("index_select")
def index_select(self: Any, dim: int, index: Any) -> Any:
    """Slices by their numbers."""
    return functions.take(self, index, axis=dim)


@operator("index.Tensor")
def index(self: Any, indices: Any) -> Any:
    """Entries by tensors of numbers; an axis without one is taken whole."""
    return self[tuple(slice(None) if i is None else i for i in indices)]


@operator("index_put")
def index_put(self: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """The tensor with other values at places, or with values added there."""
    places = self.at[tuple(slice(None) if i is None else i for i in indices)]
    return places.add(values) if accumulate else places.set(values)


@operator("gather", sparse_grad=(False,))
def gather(self: Any, dim: int, index: Any, sparse_grad: bool = False) -> Any:
    """Along an axis, the entry that is named for each place."""
    return functions.take_along_axis(self, index, axis=dim)


@operator("flip")
def flip(self: Any, dims: Any) -> Any:
    """Axes turned around."""
    return functions.flip(self, axis=tuple(dims))


@operator("roll")
def roll(self: Any, shifts: Any, dims: Any = ()) -> Any:
    """Entries moved on, those that leave the end coming in at the beginning."""
    return functions.roll(self, tuple(shifts), axis=tuple(dims) or None)


@operator("tril")
def tril(self: Any, diagonal: int = 0) -> Any:
    """0 above a diagonal."""
    return functions.tril(self, k=diagonal)


@operator("triu")
def triu(self: Any, diagonal: int = 0) -> Any:
    """0 below a diagonal."""
    return functions.triu(self, k=diagonal)


def _pad_or_cut(self: Any, pad: Any, value: Any = 0) -> Any:
    """Values around; `pad` begins with the last axis, and what is negative cuts off."""
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    pairs = [(0, 0)] * (len(self.shape) - len(pairs)) + pairs
    for axis, pair in enumerate(pairs):
        before, after = (max(-n, 0) for n in pair)
        self = _along(self, axis, slice(before, -after or None)) if before or after else self
    return functions.pad(self, [(max(a, 0), max(b, 0)) for a, b in pairs], value=value)


@operator("pad")
def pad(self: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Values around, or the tensor's own: reflected or its border again."""
    if mode == "constant":
        return _pad_or_cut(self, pad, 0 if value is None else value)
    ours = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    return functions.pad(self, [(0, 0)] * (len(self.shape) - len(pairs)) + pairs, mode=ours[mode])


# -------------------------------------------------------------------------------------------------- making tensors
@operator("sym_size.int")
def sym_size(self: Any, dim: int) -> Any:
    """The size of an axis."""
    return self.shape[dim]


@operator("zeros", "empty.memory_format", "empty_permuted")
def zeros(size: Any, physical_layout: Any = None, dtype: str | None = None) -> Any:
    """Zeros; also for what PyTorch leaves to be filled."""
    return functions.zeros(tuple(size), dtype=dtype or "float32")


@operator("ones")
def ones(size: Any, dtype: str | None = None) -> Any:
    """Ones."""
    return functions.ones(tuple(size), dtype=dtype or "float32")


@operator("full")
def full(size: Any, fill_value: Any, dtype: str | None = None) -> Any:
    """One number everywhere."""
    return functions.full(tuple(size), fill_value, dtype=dtype or _dtype_of(fill_value))


@operator("scalar_tensor")
def scalar_tensor(s: Any, dtype: str | None = None) -> Any:
    """A number as a tensor."""
    return functions.full((), s, dtype=dtype or "float32")


@operator("zeros_like")
def zeros_like(self: Any, dtype: str | None = None) -> Any:
    """Zeros in the shape of a tensor."""
    return functions.zeros(self.shape, dtype=dtype or self.dtype)


@operator("ones_like")
def ones_like(self: Any, dtype: str | None = None) -> Any:
    """Ones in the shape of a tensor."""
    return functions.ones(self.shape, dtype=dtype or self.dtype)


@operator("full_like")
def full_like(self: Any, fill_value: Any, dtype: str | None = None) -> Any:
    """One number in the shape of a tensor."""
    return functions.full(self.shape, fill_value, dtype=dtype or self.dtype)


@operator("new_zeros", "new_empty")
def new_zeros(self: Any, size: Any, dtype: str | None = None) -> Any:
    """Zeros in the dtype of a tensor; also for what PyTorch leaves to be filled."""
    return functions.zeros(tuple(size), dtype=dtype or self.dtype)


@operator("new_ones")
def new_ones(self: Any, size: Any, dtype: str | None = None) -> Any:
    """Ones in the dtype of a tensor."""
    return functions.ones(tuple(size), dtype=dtype or self.dtype)


@operator("new_full")
def new_full(self: Any, size: Any, fill_value: Any, dtype: str | None = None) -> Any:
    """One number everywhere, in the dtype of a tensor."""
    return functions.full(tuple(size), fill_value, dtype=dtype or self.dtype)


@operator("arange.default")
def arange(end: Any, dtype: str | None = None) -> Any:
    """0, 1, … below the end."""
    return arange_step(0, end, 1, dtype)


@operator("arange.start")
def arange_start(start: Any, end: Any, dtype: str | None = None) -> Any:
    """The numbers from a start to below the end."""
    return arange_step(start, end, 1, dtype)


@operator("arange.start_step")
def arange_step(start: Any, end: Any, step: Any = 1, dtype: str | None = None) -> Any:
    """start, start + step, … below the end, which may hang on the size of the batch."""
    dtype = dtype or ("float32" if float in map(type, (start, end, step)) else "int64")
    fixed = all(isinstance(n, (int, float)) for n in (start, end, step))
    if fixed:
        return functions.arange(start, end, step, dtype=dtype)
    return start + step * functions.arange((end - start + step - 1) // step, dtype=dtype)


@operator("tril_indices")
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: str | None = None) -> Any:
    """Rows and columns of the places on and below a diagonal, (2, places)."""
    return asarray(np.stack(np.tril_indices(row, offset, col)).astype(dtype or "int64"))


@operator("triu_indices")
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: str | None = None) -> Any:
    """Rows and columns of the places on and above a diagonal, (2, places)."""
    return asarray(np.stack(np.triu_indices(row, offset, col)).astype(dtype or "int64"))


@operator("eye")
def eye(n: int, dtype: str | None = None) -> Any:
    """Ones on the diagonal."""
    return functions.eye(n, dtype=dtype or "float32")


@operator("one_hot")
def one_hot(self: Any, num_classes: int = -1) -> Any:
    """A 1 at the place that each number names."""
    if num_classes < 0:
        raise ArgumentError(
            "one_hot without a number of classes has a size that hangs on the values",
            expected="num_classes",
            got=f"{num_classes}",
            try_="torch.nn.functional.one_hot(x, num_classes=10)",
        )
    return functions.one_hot(self, num_classes, dtype="int64")


def _dtype_of(number: Any) -> str:
    return {bool: "bool", int: "int64"}.get(type(number), "float32")
