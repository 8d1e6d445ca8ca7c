"""`load_state` and `state_dict`: weights between PyTorch's names and layouts and ours, without a changed bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, checked_call, nearest, user_line
from clearprop.files.atomic import as_path
from clearprop.interop.torch.layouts import Slot, slots_of
from clearprop.interop.torch.model import TorchModel
from clearprop.interop.torch.reading import import_torch
from clearprop.interop.torch.weight_files import Described, described_arrays, read_arrays
from clearprop.nn import Module
from clearprop.nn.argument_checks import require_module
from clearprop.program.values import Node, raw

M = TypeVar("M", bound=Module)
_COUNTER = "num_batches_tracked"
"""How many batches a batch norm has seen: PyTorch keeps it, and reads it only where momentum is None."""

_MOST_LINES = 12


@checked_call
def load_state(state: Any, model: M, *, names: Mapping[str, str] | None = None) -> M:
    """The model with the weights of PyTorch's `state_dict`: layers of ours have PyTorch's layouts turned into theirs.

    state  `module.state_dict()`, a mapping from names to arrays, or the path of a safetensors file (which needs no
           PyTorch)
    model  of `cl.torch.from_module`, or of layers of ours: `cl.nn.Sequential` counts as `torch.nn.Sequential` does,
           fields of your own modules have their names, tuples their numbers (`blocks.0.norm1.weight`)
    names  where layers are called otherwise there: {theirs: ours}, such as {"fc1": "0", "head": "2"}

    Numbers keep their bits; float16 and bfloat16 become the float32 of the same value.  The two biases that PyTorch has
    for each gate of LSTM, RNN and GRU are added where ours has one.  A batch norm's count of batches is left out.

    Raises ArgumentError where names, shapes or dtypes do not fit, all in one message, and DataError for a file that
    cannot be read.

    >>> import clearprop as cl
    >>> import numpy as np
    >>> state = {"0.weight": np.array([[1.0, 2.0]], np.float32), "0.bias": np.zeros(1, np.float32)}
    >>> model = cl.torch.load_state(state, cl.nn.Sequential(cl.nn.Dense(2, 1)))
    >>> model.layers[0].weight
    Tensor([[1.0],
            [2.0]], dtype=float32)
    """
    require_module("load_state", model)
    slots = list(slots_of(model))
    source = _WeightFile(state) if isinstance(state, (str, Path)) else _ArraysByName(state)
    theirs = {_our_name(name, names or {}): name for name in source.described}
    theirs = {name: there for name, there in theirs.items() if not _is_left_out(name, slots, model)}
    held = {path: np.asarray(raw(a)) for path, a in model.arrays().items()}
    wanted = {name: kind for slot in slots for name, kind in zip(slot.theirs, _kinds(slot, held), strict=True)}
    _require_same(wanted, {name: source.described[there] for name, there in theirs.items()})
    read = source.read([theirs[name] for name in wanted])
    given = {name: read[theirs[name]].astype(kind.dtype) for name, kind in wanted.items()}
    new: M = model.replace(_inwards(slots, given))
    return new


def _inwards(slots: list[Slot], given: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays by our paths, of arrays by their names."""
    found: dict[str, NDArray[Any]] = {}
    for slot in slots:
        values = slot.inwards([given[name] for name in slot.theirs])
        found |= zip(slot.ours, (np.array(a, order="C") for a in values), strict=True)
    return found


@checked_call
def state_dict(model: Module, *, numpy: bool = False) -> dict[str, Any]:
    """The weights of a model under PyTorch's names and in PyTorch's layouts, for `module.load_state_dict(…)`.

    model  as `load_state` takes it
    numpy  whether the values are arrays of NumPy, which needs no PyTorch, or its tensors

    Raises ArgumentError for a layer that PyTorch has no like of, and where PyTorch is not installed.

    >>> import clearprop as cl
    >>> state = cl.torch.state_dict(cl.nn.mlp([4, 16, 3]), numpy=True)
    >>> {name: array.shape for name, array in state.items()}
    {'0.weight': (16, 4), '0.bias': (16,), '2.weight': (3, 16), '2.bias': (3,)}
    """
    require_module("state_dict", model)
    arrays = {path: np.asarray(raw(a)) for path, a in model.arrays().items()}
    found: dict[str, Any] = {}
    for slot in slots_of(model):
        values = slot.outwards([arrays[path] for path in slot.ours])
        found |= zip(slot.theirs, (np.array(a, order="C") for a in values), strict=True)
    if isinstance(model, TorchModel):
        found |= {name: found[other].copy() for name, other in model.graph.aliases if other in found}
    else:
        found |= {_counter_of(name): np.array(0) for name in list(found) if name.endswith("running_var")}
    if numpy:
        return found
    torch = import_torch()
    return {name: torch.from_numpy(a) for name, a in found.items()}


# ---------------------------------------------------------------------------------------------------------- sources
class _ArraysByName:
    """Arrays by name, of PyTorch, NumPy or ours."""

    def __init__(self, state: Any) -> None:
        if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
            raise ArgumentError(
                "load_state takes arrays by their names",
                expected="module.state_dict(), a mapping from names to arrays, or the path of a safetensors file",
                got=type(state).__name__,
                where=user_line(),
                try_="cl.torch.load_state(module.state_dict(), model)",
            )
        self._arrays = {name: _as_array(name, value) for name, value in state.items()}
        self.described = {name: Described(a.dtype.name, a.shape) for name, a in self._arrays.items()}

    def read(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        return {name: self._arrays[name] for name in names}


class _WeightFile:
    """Arrays of a safetensors file; none is read before all are known to fit."""

    def __init__(self, path: str | Path) -> None:
        self._path = as_path(path, "path")
        self.described = described_arrays(self._path)

    def read(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        return read_arrays(self._path, names)


def _as_array(name: str, value: Any) -> NDArray[Any]:
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor of PyTorch, which need not be imported here
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).contiguous().numpy()
    value = raw(value) if isinstance(value, Node) else value
    if not isinstance(value, (np.ndarray, np.generic)):
        raise ArgumentError(
            f"{name} is no array",
            expected="tensors of PyTorch or clearprop, or arrays of NumPy",
            got=type(value).__name__,
            where=user_line(),
            try_='checkpoint["state_dict"], where a checkpoint holds more than weights',
        )
    return np.asarray(value)


# ---------------------------------------------------------------------------------------------------------- fitting
def _our_name(name: str, names: Mapping[str, str]) -> str:
    """A name of theirs as our layers have it: the longest beginning that is known counts."""
    for theirs in sorted(names, key=len, reverse=True):
        if name == theirs or name.startswith(f"{theirs}."):
            return f"{names[theirs]}{name[len(theirs) :]}".removeprefix(".")
    return name


def _is_left_out(name: str, slots: list[Slot], model: Any) -> bool:
    """What a model need not be told: counts of batches, and the second names of tied weights."""
    if any(name in slot.theirs for slot in slots):
        return False
    aliases = dict(model.graph.aliases) if isinstance(model, TorchModel) else {}
    return name in aliases or name.rpartition(".")[2] == _COUNTER


def _counter_of(name: str) -> str:
    return name.removesuffix("running_var") + _COUNTER


def _kinds(slot: Slot, known: dict[str, NDArray[Any]]) -> list[Described]:
    """Dtype and shape of each array of theirs."""
    return [Described(a.dtype.name, a.shape) for a in slot.outwards([known[path] for path in slot.ours])]


def _require_same(wanted: dict[str, Described], found: dict[str, Described]) -> None:
    problems = [f"{name}: missing" for name in wanted if name not in found]
    for name, (dtype, shape) in found.items():
        if name not in wanted:
            close = nearest(name, wanted)
            problems.append(f"{name}: not in the model" + (f" ({close}?)" if close else ""))
        elif shape != wanted[name].shape:
            problems.append(f"{name}: shape {shape}, where the model has {wanted[name].shape}")
        elif not _fits(dtype, wanted[name].dtype):
            problems.append(f"{name}: {dtype}, where the model has {wanted[name].dtype}")
    if problems:
        more = len(problems) - _MOST_LINES
        raise ArgumentError(
            "these weights are not of this model",
            expected="the names, shapes and dtypes of cl.torch.state_dict(model, numpy=True)",
            got="\n".join(problems[:_MOST_LINES] + ([f"and {more} more"] if more > 0 else [])),
            where=user_line(),
            try_="names={theirs: ours} for layers that are called otherwise; dtype= where the model is made",
        )


def _fits(dtype: str, wanted: str) -> bool:
    """Whether numbers keep their values: a wider dtype does, a narrower one would round."""
    given = "float32" if dtype == "bfloat16" else dtype
    return given == wanted or (given in ("float16", "float32") and wanted in ("float32", "float64"))
