"""A network of float32 as the same network of float64: gradient checks need the digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from clearprop.interop.onnx.building import DTYPE_ATTRIBUTES, Body
from clearprop.interop.onnx.graph import Description, NodeCall, NodeGraph

_FLOAT, _DOUBLE = 1, 11
"""float32 and float64 in the numbers of the format."""


def widen_description(description: Description) -> Description:
    """The network with inputs, constants and conversions of float32 in float64; its arrays are not part of it."""
    dtypes = {n: np.dtype(np.float64) if d == np.float32 else d for n, d in description.dtypes.items()}
    return replace(description, graph=_widen_graph(description.graph), dtypes=dtypes)


def widen_array(array: Any) -> Any:
    """An array of float32 in float64; anything else as it is."""
    return array.astype(np.float64) if getattr(array, "dtype", None) == np.float32 else array


def _widen_graph(graph: NodeGraph) -> NodeGraph:
    constants = {name: widen_array(array) for name, array in graph.constants.items()}
    return replace(graph, constants=constants, calls=tuple(map(_widen_call, graph.calls)))


def _widen_call(call: NodeCall) -> NodeCall:
    function = call.operator.function
    operator = call.operator
    if isinstance(function, Body):
        operator = replace(operator, function=Body(_widen_graph(function.graph)))
    return replace(call, operator=operator, attributes=_widen_attributes(call.attributes))


def _widen_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Bodies and arrays in float64, and a conversion to float32 as one to float64."""
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, NodeGraph):
            found[name] = _widen_graph(value)
        elif name in DTYPE_ATTRIBUTES and value == _FLOAT:
            found[name] = _DOUBLE
        else:
            found[name] = widen_array(value)
    return found
