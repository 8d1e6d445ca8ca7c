"""The table of convolutions and pools.  Ours have channels last, ONNX's have them first: transposes stand between."""

from __future__ import annotations

from collections.abc import Sequence

from clearprop.exporting.onnx.call import EquationCall, Rule


def _channels_first(call: EquationCall, x: str, ndim: int) -> str:
    return call.step("Transpose", x, perm=[0, ndim - 1, *range(1, ndim - 1)])


def _channels_last(call: EquationCall, x: str, ndim: int) -> str:
    return call.node("Transpose", x, perm=[0, *range(2, ndim), 1])


def _kernel(call: EquationCall, number: int, first: int, second: int) -> str:
    """The weight (*kernel, a, b) with its last axes in front, in the order that is asked for."""
    ndim = call.types[number].ndim
    return call.step("Transpose", call.operand(number, call.out.dtype), perm=[first, second, *range(ndim - 2)])


def _conv(call: EquationCall) -> str:
    ndim = call.out.ndim
    y = call.step(
        "Conv",
        _channels_first(call, call.operand(0, call.out.dtype), ndim),
        _kernel(call, 1, ndim - 1, ndim - 2),
        strides=list(call.params["stride"]),
        dilations=list(call.params["dilation"]),
        group=call.params["groups"],
    )
    return _channels_last(call, y, ndim)


def _conv_input(call: EquationCall) -> str:
    """The transpose of a convolution; where a stride left positions open, they are added behind."""
    p, ndim = call.params, call.out.ndim
    dy = _channels_first(call, call.operand(0, call.out.dtype), ndim)
    more = _left_open(p["size"], call.types[0].shape[1:-1], call.types[1].shape[:-2], p["stride"], p["dilation"])
    y = call.step(
        "ConvTranspose",
        dy,
        _kernel(call, 1, ndim - 1, ndim - 2),
        strides=list(p["stride"]),
        dilations=list(p["dilation"]),
        group=p["groups"],
        output_padding=more,
    )
    return _channels_last(call, y, ndim)


def _left_open(
    size: Sequence[int], out: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """How many positions of the input no window met, behind, along each axis.

    >>> _left_open((6,), (2,), (2,), (3,), (1,))
    [1]
    """
    return [
        int(n) - ((int(m) - 1) * s + e * (int(k) - 1) + 1)
        for n, m, k, s, e in zip(size, out, kernel, stride, dilation, strict=True)
    ]


def _max_pool(call: EquationCall) -> str:
    p, ndim = call.params, call.out.ndim
    y = call.step(
        "MaxPool",
        _channels_first(call, call.operand(0), ndim),
        kernel_shape=list(p["window"]),
        strides=list(p["stride"]),
        dilations=list(p["dilation"]),
    )
    return _channels_last(call, y, ndim)


RULES: dict[str, Rule] = {"conv": _conv, "conv_input": _conv_input, "max_pool": _max_pool}
"""What puts each of these operations into a graph."""
