"""`cl.onnx.load`: from a file to a module."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, checked_call, unknown_name, user_line
from clearprop.interop.named_arrays import free_names
from clearprop.interop.onnx.building import Building, build_graph
from clearprop.interop.onnx.graph import Description, NodeGraph
from clearprop.interop.onnx.limits import require_bounded
from clearprop.interop.onnx.model import OnnxModel
from clearprop.interop.onnx.old_versions import in_taken_version
from clearprop.interop.onnx.reading import read_model


@checked_call
def load(source: str | Path | bytes | Any, *, trained: Collection[str] | None = None) -> OnnxModel:
    """The network of an ONNX file, as a module: it is called, differentiated, trained and explained as any other.

    source   a path, the bytes of a file, or an `onnx.ModelProto`
    trained  the names of the initialisers that training changes; by default all floating ones that have an axis and
             are no running statistics and no settings of an operator (bounds of `Clip`, scales of `Resize`)

    Operators are those of the opsets from 7 on, composed of functions of clearprop; the package onnx converts older
    models.  What is floating and not trained is state (`model.state()`); integers belong to the structure.  Sizes that
    the graph computes are numbers.

    Raises ArgumentError if the package onnx is not there or if the model holds what cannot be taken: operators,
    attributes, versions and dtypes are listed at once.  Raises DataError for a file that is no model, and for numbers
    that do not fit their shape or lie outside the folder.

    >>> import clearprop as cl
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> import numpy as np
    >>> weight = numpy_helper.from_array(np.array([[1.0], [2.0]], np.float32), "weight")
    >>> x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["rows", None]) for n in "xy")
    >>> graph = helper.make_graph([helper.make_node("MatMul", ["x", "weight"], ["y"])], "line", [x], [y], [weight])
    >>> model = cl.onnx.load(helper.make_model(graph))
    >>> model(cl.tensor([[3.0, 4.0]], dtype=cl.float32))
    Tensor([[11.0]], dtype=float32)
    >>> cl.grad(lambda m, x: cl.sum(m(x)))(model, cl.tensor([[3.0, 4.0]], dtype=cl.float32)).array("weight")
    Tensor([[3.0],
            [4.0]], dtype=float32)
    """
    found = read_model(source)
    require_bounded(found.proto)
    proto = in_taken_version(found.proto)
    building = Building(proto, found.folder)
    graph, arrays = build_graph(building, proto.graph)
    building.refuse_unknown_names(graph, arrays)
    building.require_nothing_refused()
    parameters, state, constants = _sorted_arrays(building, arrays, trained)
    names = free_names([*parameters, *state], OnnxModel)
    description = Description(
        found.name,
        NodeGraph(_inputs(graph, arrays), graph.outputs, {**graph.constants, **constants}, graph.calls),
        building.input_dtypes,
        building.input_shapes,
        names,
    )
    return OnnxModel(
        description,
        {names[n]: v for n, v in parameters.items()},
        {names[n]: v for n, v in state.items()},
    )


_Arrays = dict[str, np.ndarray[Any, Any]]


def _inputs(graph: NodeGraph, arrays: _Arrays) -> tuple[str, ...]:
    """Inputs without a value of their own first; before the fourth version of the format arrays are inputs as well."""
    return tuple(name for name in graph.inputs if name not in arrays)


def _sorted_arrays(
    building: Building, arrays: _Arrays, trained: Collection[str] | None
) -> tuple[_Arrays, _Arrays, _Arrays]:
    """The arrays of the file as parameters, state and constants."""
    floating = {n: a for n, a in arrays.items() if a.dtype.kind == "f"}
    chosen = _usually_trained(building, floating) if trained is None else _checked_names(trained, floating)
    groups: tuple[_Arrays, _Arrays, _Arrays] = {}, {}, {}
    for name, array in arrays.items():
        kept = name in floating and not building.only_setting(name)
        groups[0 if name in chosen else 1 if kept else 2][name] = array
    return groups


def _usually_trained(building: Building, floating: _Arrays) -> set[str]:
    """What has an axis and is neither a setting nor a statistic."""
    weights = {n for n in floating if not (building.only_setting(n) or building.only_statistic(n))}
    return {n for n in weights if floating[n].ndim}


def _checked_names(trained: Collection[str], floating: _Arrays) -> set[str]:
    if isinstance(trained, (str, bytes)) or not all(isinstance(n, str) for n in trained):
        raise ArgumentError(
            "trained lists names of initialisers",
            expected='such as ["conv1.weight"]',
            got=repr(trained)[:100],
            where=user_line(),
        )
    for name in trained:
        if name not in floating:
            raise unknown_name("floating initialiser", name, floating, user_line())
    return set(trained)
