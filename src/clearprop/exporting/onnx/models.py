"""A run as an ONNX model: its columns, or its array, in; class and probabilities, or the value, out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.autodiff.trees import flatten, paths, unflatten
from clearprop.data.preprocessing import Preprocessing
from clearprop.errors import ArgumentError, user_line
from clearprop.exporting.onnx.column_encodings import ColumnInput, encode_columns, inputs_of
from clearprop.exporting.onnx.graph import GraphBuilder
from clearprop.exporting.onnx.translation import Translation, checked_model
from clearprop.nn.losses import is_binary, loss_task
from clearprop.nn.module import Module
from clearprop.program.ir import trace
from clearprop.program.types import FLOAT32, FLOAT64, INT64, Type, type_of
from clearprop.program.values import raw
from clearprop.rules.checking import trusted_values
from clearprop.rules.elementwise import astype, greater
from clearprop.rules.reductions import argmax
from clearprop.shapes import Scope, lone_symbol
from clearprop.train import ArrayFeed, Run, class_probabilities, shift_by, target_unit

ROWS = 7
"""A number of rows that no layer has a reason to take for something else."""
LARGEST = 2**31 - 2**20
"""The most bytes of numbers in one file: protocol buffers hold 2 GiB."""


class ModelBuilder:
    """A graph whose axis of rows is open, and what traces functions into it."""

    def __init__(self) -> None:
        self.graph, self.translation, self.scope = GraphBuilder(), Translation(), Scope()
        self.rows = self.scope.new(ROWS)

    def open_rows(self, name: str) -> None:
        """The size of the axis of rows is that of an input."""
        symbol = lone_symbol(self.rows)
        assert symbol is not None
        self.graph.sizes[symbol] = self.graph.node("Shape", name, start=0, end=1, name="rows")

    def enter(self, f: Callable[..., Any], types: Sequence[Type], names: Sequence[str], graph: GraphBuilder) -> str:
        """Put a function of values of these types into the graph; returns the name of its result."""
        program = trace(lambda *values: [f(*values)], types, scope=self.scope)
        (found,) = self.translation.enter(program, names, graph)
        return found if isinstance(found, str) else graph.constant(found)

    def enter_model(self, model: Any, x: Type, name: str) -> tuple[str, Type]:
        """Put a network into the graph, its parameters as constants under their names; its outputs, and their type."""
        leaves, structure = flatten(model)
        arrays = [np.asarray(raw(leaf)) for leaf in leaves]
        _require_size(arrays)
        labels = paths(model)
        with trusted_values():  # as in training
            program = trace(
                lambda *values: [unflatten(structure, list(values[:-1]))(values[-1])],
                [*map(type_of, arrays), x],
                [*labels, "x"],
                self.scope,
            )
        constants = [self.graph.constant(v, name=k) for k, v in zip(labels, arrays, strict=True)]
        (outputs,) = self.translation.enter(program, [*constants, name], self.graph)
        assert isinstance(outputs, str)
        return outputs, type_of(program.outputs[0])

    def require_complete(self) -> None:
        """Raise ArgumentError where something has no form in ONNX, or holds for some numbers of rows alone."""
        self.translation.require_all()
        symbol = lone_symbol(self.rows)
        assert symbol is not None
        if not all(self.scope.holds({symbol: n}) for n in (2, 3, 64, 4099)):
            raise ArgumentError(
                "the network computes otherwise for other numbers of rows",
                expected="one computation for any number of rows",
                got="a program that asks how many rows there are",
                where=user_line(),
                try_="a layer that treats every row alike, without int(x.shape[0])",
            )


def _require_size(arrays: Sequence[NDArray[Any]]) -> None:
    size = sum(array.nbytes for array in arrays)
    if size > LARGEST:
        raise ArgumentError(
            "the network is too large for one ONNX file",
            expected="2 GiB of parameters at most",
            got=f"{size / 2**30:.1f} GiB",
            where=user_line(),
            try_="--format safetensors (in Python a path that ends in .safetensors), which has no limit",
        )


def network_model(model: Module, example: Any) -> Any:
    """A network as an ONNX model with the input `x`, rows like those of the example, and the output `outputs`."""
    builder = ModelBuilder()
    x = _array_type(np.asarray(raw(example)), builder)
    given, told = builder.graph.unique("x"), builder.graph.unique("outputs")
    builder.open_rows(given)
    outputs, kind = builder.enter_model(model, x, given)
    builder.require_complete()
    builder.graph.result(outputs, told)
    info = builder.graph.value_info
    return checked_model(builder.graph, [info(given, x)], [info(told, kind)])


def run_model(run: Run, example: Any = None) -> Any:
    """A run as an ONNX model.

    Inputs   one for each column of training, `(N, 1)`: numbers float64, NaN where missing; everything else text, empty
             where missing; of a run on arrays `x`, rows as they are
    Outputs  `label` `(N,)` and `probabilities` `(N, classes)`, or `value` `(N, 1)` in the unit of the target

    Raises ArgumentError for columns and operations that ONNX has no form for, which it lists, for more than 2 GiB, and
    where the shape of x is not at hand and no example is given.
    """
    builder = ModelBuilder()
    graph, fitted = builder.graph, run.preprocessing
    if fitted is None:
        x = _array_type(_rows_of(run) if example is None else np.asarray(raw(example)), builder)
        inputs = [ColumnInput(graph.unique("x"), "x", x.dtype, "rows as in training")]
        told = [graph.value_info(inputs[0].name, x, inputs[0].note)]
        builder.open_rows(inputs[0].name)
        features = inputs[0].name
    else:
        inputs = inputs_of(fitted, graph)
        once = inputs[: len(fitted.source_columns)]
        told = [graph.value_info(i.name, Type((builder.rows, 1), i.dtype), i.note) for i in once]
        builder.open_rows(inputs[0].name)
        x = Type((builder.rows, len(fitted.feature_names)), FLOAT32)
        features = encode_columns(fitted, inputs, graph, builder.rows, builder.enter)
    names = {name: graph.unique(name) for name in _answers(run)}
    outputs, kind = builder.enter_model(run.model, x, features)
    answers = [_enter_answer(run, name, builder, outputs, kind) for name in names]
    builder.require_complete()
    results = []
    for name, (value, own) in zip(names.values(), answers, strict=True):
        graph.result(value, name)
        results.append(graph.value_info(name, own))
    return checked_model(graph, told, results, _metadata(run, fitted))


# --------------------------------------------------------------------------------------------------------- answers
def _answers(run: Run) -> tuple[str, ...]:
    has_classes = loss_task(run.config.settings.loss) == "classes"
    if not (has_classes or run.class_names):
        return ("value",)
    return ("label", "probabilities") if has_classes else ("label",)


def _enter_answer(run: Run, answer: str, builder: ModelBuilder, outputs: str, kind: Type) -> tuple[str, Type]:
    """An answer of the run, from the outputs of its network: the name of the value, and its type."""
    loss = run.config.settings.loss
    function: dict[str, Callable[[Any], Any]] = {
        "label": lambda z: class_codes(shift_by(z, run.choice), loss),
        "probabilities": lambda z: class_probabilities(z, loss),
        "value": lambda z: _value(run, z),
    }
    (found,) = trace(lambda z: [function[answer](z)], [kind], scope=builder.scope).outputs
    t = type_of(found)
    name = builder.enter(function[answer], [kind], [outputs], builder.graph)
    labels = _class_labels(run) if answer == "label" else None
    if labels is None:
        return name, t
    return builder.graph.node("Gather", builder.graph.constant(labels, name="classes"), name), Type(
        t.shape, labels.dtype
    )


def class_codes(outputs: Any, loss: str) -> Any:
    """The place of the class with the largest output; under binary_cross_entropy 1 for outputs above 0.

    >>> import clearprop as cl
    >>> class_codes(cl.tensor([[0.5], [-0.5]]), "binary_cross_entropy")
    Tensor([1, 0])
    """
    single = outputs.shape[-1] == 1
    if single or is_binary(loss):
        yes = astype(greater(outputs, 0.0), dtype=INT64)
        return yes[..., 0] if single else yes
    return argmax(outputs, axis=-1)


def _value(run: Run, outputs: Any) -> Any:
    """The outputs in the unit of the target, as `Run.values` computes them."""
    unit = target_unit(run.preprocessing, run.config.settings.loss)
    if unit is None:
        return outputs
    return unit.of_outputs(outputs if run.preprocessing is None else astype(outputs, dtype=FLOAT64))


def _class_labels(run: Run) -> NDArray[Any] | None:
    """The classes as they came; None where their places are all that is known."""
    labels = run.config.data.labels
    if run.preprocessing is not None:
        found = run.preprocessing.class_labels
    else:
        found = np.empty(0) if labels is None else labels.values
    if not len(found):
        return None
    if found.dtype.kind in "SUT":
        return np.array([name.decode() if isinstance(name, bytes) else str(name) for name in found], dtype=object)
    return found


# ---------------------------------------------------------------------------------------------------- rows, words
def _array_type(example: NDArray[Any], builder: ModelBuilder) -> Type:
    return Type((builder.rows, *example.shape[1:]), example.dtype)


def _rows_of(run: Run) -> NDArray[Any]:
    """Some rows of a run on arrays."""
    feed = None if run.workings is None else run.workings.plan().feed
    if isinstance(feed, ArrayFeed):
        return np.asarray(feed.x[:2])
    raise ArgumentError(
        "the shape of the rows is not at hand",
        expected="a run whose data are at hand, or rows like those of the training",
        got="neither",
        where=user_line(),
        try_='cl.export(run, "onnx", example=x)',
    )


def _metadata(run: Run, fitted: Preprocessing | None) -> dict[str, str]:
    """What the file says of the run."""
    told = {"run": run.folder.name if run.folder else "", "loss": run.config.settings.loss}
    if fitted is not None:
        told |= {"target": fitted.target.name, "task": fitted.task}
    if run.class_names:
        told["classes"] = json.dumps(run.class_names, ensure_ascii=False)
    if run.choice is not None:
        how = run.choice
        told |= {"threshold": repr(how)} if isinstance(how, float) else {"costs": json.dumps(how.of)}
    if run.config.data.columns is not None:
        told["columns"] = json.dumps(run.config.data.columns, ensure_ascii=False)
    return {key: value for key, value in told.items() if value}
