"""How layers of ours and of PyTorch hold the same numbers: names, and the order of axes and gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import optree
from numpy.typing import NDArray

from clearprop import nn
from clearprop.autodiff.trees import NAMESPACE
from clearprop.errors import ArgumentError, user_line
from clearprop.interop.torch.graph import GIVEN
from clearprop.interop.torch.model import TorchModel, names_of
from clearprop.nn.argument_checks import is_module
from clearprop.nn.fields import CHILD, STATIC, HasFields

Arrays: TypeAlias = Sequence[NDArray[Any]]


class Slot(NamedTuple):
    """Arrays of a layer of ours, and those of PyTorch that say the same.

    ours      paths in our model
    theirs    names in their `state_dict`
    outwards  from the values of ours to those of theirs
    inwards   from theirs to ours
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    outwards: Callable[[Arrays], Arrays]
    inwards: Callable[[Arrays], Arrays]

    def below(self, ours: str, theirs: str) -> Slot:
        """The slot of a layer that stands at these places in a model."""
        return self._replace(
            ours=tuple(_join(ours, name) for name in self.ours),
            theirs=tuple(_join(theirs, name) for name in self.theirs),
        )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _as_they_are(arrays: Arrays) -> Arrays:
    return arrays


def slots_of(module: Any) -> Iterator[Slot]:
    """Where every array of a module stands in the `state_dict` of its like in PyTorch."""
    layout = next((LAYOUTS[kind] for kind in type(module).__mro__ if kind in LAYOUTS), None)
    yield from layout(module) if layout is not None else _by_fields(module)


def _by_fields(module: HasFields) -> Iterator[Slot]:
    """A module without a layout of its own: arrays by name, modules in tuples and dictionaries by number or key."""
    for name, kind in module.field_kinds.items():
        if kind == STATIC:
            continue
        held = getattr(module, name)
        places, parts, _ = optree.tree_flatten_with_accessor(held, is_leaf=is_module, namespace=NAMESPACE)
        for place, part in zip(places, parts, strict=True):
            ours = name + place.codify("")
            theirs = ".".join([name, *(str(step.entry) for step in place)])
            if kind == CHILD:
                yield from (slot.below(ours, theirs) for slot in slots_of(part))
            else:
                yield Slot((ours,), (theirs,), _as_they_are, _as_they_are)


def _of_sequence(module: nn.Sequential) -> Iterator[Slot]:
    """As in `torch.nn.Sequential`, layers have their number alone.

    A dense layer behind a flattening reads ours place by place, channel by channel within; PyTorch's channel by
    channel, place by place within.
    """
    channels = flattened = 0  # of the last convolution; those that a flattening has mixed with places
    for i, layer in enumerate(module.layers):
        slots = list(_of_flattened(layer, flattened) if isinstance(layer, nn.Dense) and flattened else slots_of(layer))
        yield from (slot.below(f"layers[{i}]", str(i)) for slot in slots)
        channels = _channels(layer) or channels
        flattened = channels if isinstance(layer, nn.Flatten) else 0 if slots else flattened


def _channels(layer: Any) -> int:
    """How many channels the last convolution in a layer has; 0 where there is none."""
    if isinstance(layer, CONVOLUTIONS):
        return layer.outputs
    held = [getattr(layer, name) for name, kind in layer.field_kinds.items() if kind == CHILD]
    parts = optree.tree_leaves(held, is_leaf=is_module, namespace=NAMESPACE)
    return next((n for part in reversed(parts) if (n := _channels(part))), 0)


def _of_flattened(module: nn.Dense, channels: int) -> Iterator[Slot]:
    """A dense layer that reads flattened images: ours (places·channels, outputs), theirs (outputs, channels·places)."""
    inputs, outputs = (int(n) for n in module.weight.shape)

    def outwards(arrays: Arrays) -> Arrays:
        return [arrays[0].reshape(-1, channels, outputs).transpose(2, 1, 0).reshape(outputs, inputs)]

    def inwards(arrays: Arrays) -> Arrays:
        return [arrays[0].reshape(outputs, channels, -1).transpose(2, 1, 0).reshape(inputs, outputs)]

    weight, *bias = _of_weight(module)
    yield weight._replace(outwards=outwards, inwards=inwards) if inputs % channels == 0 else weight
    yield from bias


def _with_names(**names: str) -> Callable[[Any], Iterator[Slot]]:
    """A layer whose arrays have other names there: ours=theirs."""

    def layout(module: Any) -> Iterator[Slot]:
        for ours, theirs in names.items():
            if getattr(module, ours) is not None:
                yield Slot((ours,), (theirs,), _as_they_are, _as_they_are)

    return layout


def _of_weight(module: Any) -> Iterator[Slot]:
    """Dense layers and convolutions: ours (*kernel, inputs, outputs), theirs (outputs, inputs, *kernel)."""
    space = len(module.weight.shape) - 2
    there, back = (space + 1, space, *range(space)), (*range(2, space + 2), 1, 0)
    yield Slot(("weight",), ("weight",), lambda a: [a[0].transpose(there)], lambda a: [a[0].transpose(back)])
    if module.bias is not None:
        yield Slot(("bias",), ("bias",), _as_they_are, _as_they_are)


def _of_attention(module: nn.MultiHeadAttention) -> Iterator[Slot]:
    """`torch.nn.MultiheadAttention` holds the weights of query, key and value in one array."""
    if module.kv_heads != module.heads or module.rotary:
        raise ArgumentError(
            "this attention has no like in PyTorch",
            expected="as many heads for keys as for queries, and no rotary positions",
            got=module.label() + (", rotary" if module.rotary else ""),
            where=user_line(),
        )
    parts = ("query", "key", "value")
    yield Slot(tuple(f"{p}.weight" for p in parts), ("in_proj_weight",), _stack_turned, _split_turned)
    if module.query.bias is not None:
        yield Slot(tuple(f"{p}.bias" for p in parts), ("in_proj_bias",), _stack_turned, _split_turned)
    yield from (slot.below("output", "out_proj") for slot in slots_of(module.output))


def _stack_turned(arrays: Arrays) -> Arrays:
    return [np.concatenate([a.T for a in arrays])]


def _split_turned(arrays: Arrays) -> Arrays:
    return [part.T for part in np.split(arrays[0], 3)]


def _of_block(module: nn.TransformerBlock) -> Iterator[Slot]:
    """`torch.nn.TransformerEncoderLayer`."""
    parts = {"attention": "self_attn", "norm1": "norm1", "norm2": "norm2"}
    for ours, theirs in parts.items():
        yield from (slot.below(ours, theirs) for slot in slots_of(getattr(module, ours)))
    for i, theirs in ((0, "linear1"), (2, "linear2")):
        yield from (slot.below(f"feed.layers[{i}]", theirs) for slot in slots_of(module.feed.layers[i]))


# ------------------------------------------------------------------------------------------------------- recurrences
def _of_recurrence(module: nn.LSTM) -> Iterator[Slot]:
    """Cells by layer and direction: `weight_ih_l0`, `weight_ih_l0_reverse`, and so on."""
    ways = 2 if module.bidirectional else 1
    for i, cell in enumerate(module.cells):
        suffix = f"_l{i // ways}" + ("_reverse" if i % ways else "")
        for slot in _of_cell(cell):
            yield slot._replace(
                ours=tuple(f"cells[{i}].{name}" for name in slot.ours),
                theirs=tuple(name + suffix for name in slot.theirs),
            )


def _of_cell(cell: Any) -> Iterator[Slot]:
    """A cell; gates have one order here and there: i, f, g, o and r, z, n."""
    for ours, theirs in (("weight", "weight_ih"), ("recurrent", "weight_hh")):
        yield Slot((ours,), (theirs,), lambda a: [a[0].T], lambda a: [a[0].T])
    if cell.bias is None:
        return
    biases = ("bias_ih", "bias_hh")
    if isinstance(cell, nn.GRUCell):
        yield Slot(("bias", "hidden_bias"), biases, _split_gru_bias, _join_gru_bias)
    else:
        yield Slot(("bias",), biases, lambda a: [a[0], _nothing_like(a[0])], lambda a: [a[0] + a[1]])


def _nothing_like(array: NDArray[Any]) -> NDArray[Any]:
    """Minus zeros: the numbers to which adding them changes no bit, not even of −0."""
    return np.full_like(array, -0.0)


def _split_gru_bias(arrays: Arrays) -> Arrays:
    bias, hidden = arrays
    return [bias, np.concatenate([_nothing_like(bias[: -len(hidden)]), hidden])]


def _join_gru_bias(arrays: Arrays) -> Arrays:
    """PyTorch has two biases for each gate; those of r and z are one here, their sum."""
    by_input, by_state = arrays
    last = len(by_input) // 3 * 2
    return [np.concatenate([by_input[:last] + by_state[:last], by_input[last:]]), by_state[last:]]


def _of_model(module: TorchModel) -> Iterator[Slot]:
    """A model that came from PyTorch has its names and its layouts."""
    own = names_of(module.graph)
    for given in module.graph.inputs:
        if given.kind != GIVEN and given.persistent:
            yield Slot((own[given.target],), (given.target,), _as_they_are, _as_they_are)


_NORM = _with_names(scale="weight", offset="bias")
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYOUTS: dict[type, Callable[[Any], Iterator[Slot]]] = {
    TorchModel: _of_model,
    nn.Sequential: _of_sequence,
    nn.Dense: _of_weight,
    **dict.fromkeys(CONVOLUTIONS, _of_weight),
    nn.BatchNorm: _with_names(scale="weight", offset="bias", mean="running_mean", variance="running_var"),
    **dict.fromkeys((nn.LayerNorm, nn.GroupNorm), _NORM),
    nn.RMSNorm: _with_names(scale="weight"),
    nn.PReLU: _with_names(slope="weight"),
    **dict.fromkeys((nn.RNN, nn.LSTM, nn.GRU), _of_recurrence),
    **dict.fromkeys((nn.RNNCell, nn.LSTMCell, nn.GRUCell), _of_cell),
    nn.MultiHeadAttention: _of_attention,
    nn.TransformerBlock: _of_block,
}
"""Layers that hold their arrays otherwise than PyTorch; all others have theirs under their own names."""
