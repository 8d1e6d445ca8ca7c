"""`OnnxModel`: the module that a loaded file becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from clearprop.errors import ArgumentError, checked_methods, unknown_name, user_line
from clearprop.interop.named_arrays import NamedArrays
from clearprop.interop.onnx.double_precision import widen_array, widen_description
from clearprop.interop.onnx.graph import Description
from clearprop.interop.onnx.inputs import InputType, draw_inputs, read_inputs
from clearprop.program.values import raw


@checked_methods
class OnnxModel(NamedArrays, init=False):
    """A network read from an ONNX file by `cl.onnx.load`; it is called with the inputs in order, or by name.

    One output comes back as it is, several as a tuple.  `model.parameters()` are the floating initialisers by their
    names; running statistics of batch norms are state, and integers (shapes, indices) belong to the structure.

    Raises ArgumentError for an input that the model does not have or that is missing.
    """

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in order."""
        return self._description().inputs

    @property
    def required_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that have no value of their own in the file."""
        return tuple(name for name in self.inputs if name not in self._description().names)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs, in order."""
        return self._description().outputs

    @property
    def output_operators(self) -> dict[str, str]:
        """The operator that gives each output: whether `probabilities` come from a `Softmax`, say."""
        giving = {name: call.operator.name for call in self._description().graph.calls for name in call.outputs}
        return {name: giving.get(name, "") for name in self.outputs}

    def _description(self) -> Description:
        description: Description = self.__dict__["description"]
        return description

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The outputs of the graph."""
        results = list(self.by_name(*inputs, **named).values())
        return results[0] if len(results) == 1 else tuple(results)

    def by_name(self, *inputs: Any, **named: Any) -> dict[str, Any]:
        """The outputs of the graph by their names."""
        description = self._description()
        arrays = {name: self.array(own) for name, own in description.names.items()}
        return description.run(arrays, self._given(inputs, named))

    def example(self, rows: int = 2, seed: int = 0) -> dict[str, NDArray[Any]]:
        """Numbers drawn for every input by the shapes that the file declares.

        The first axis has `rows` rows where it is open; another open size is 2, and the same wherever it has the same
        name.  Floating numbers are normal, integers are 0 and 1, which every table of embeddings has.  Raises
        ArgumentError for an input whose shape is not declared.

        >>> import clearprop as cl
        >>> import numpy as np
        >>> path = cl.export(cl.nn.mlp([3, 4, 2]), "onnx", "drawn.onnx", example=np.zeros((1, 3)))
        >>> {name: array.shape for name, array in cl.onnx.load("drawn.onnx").example(rows=5).items()}
        {'x': (5, 3)}
        """
        return draw_inputs(self._input_types(), rows, seed)

    def read_inputs(self, source: str | Path, rows: int | slice | None = None) -> dict[str, NDArray[Any]]:
        """The inputs from a file: an NPZ file with arrays of their names, an NPY file, or a table of numbers.

        Where the model has one input, an NPZ file may hold one array, or `x`, and a table has its columns in order.
        Several inputs of one column, as runs are exported, are found by the names of the columns.  `rows` chooses
        one row, from 0, or a slice of them.  Raises DataError for a file that does not hold them.

        >>> import clearprop as cl
        >>> import numpy as np
        >>> path = cl.export(cl.nn.mlp([3, 4, 2]), "onnx", "read.onnx", example=np.zeros((1, 3)))
        >>> np.savez("rows.npz", x=np.ones((7, 3)))
        >>> {name: array.shape for name, array in cl.onnx.load("read.onnx").read_inputs("rows.npz").items()}
        {'x': (7, 3)}
        """
        return read_inputs(self._input_types(), Path(source), _slice_of(rows))[0]

    def read_batch(
        self, source: str | Path, target: str, rows: int | slice | None = None
    ) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
        """The inputs from a file, and the array or column `target` of it, which holds what should come out.

        In a table whose columns are one input the target is left out of it.  Raises DataError as `read_inputs`, and for
        a column that holds no numbers; ArgumentError for a name that the file does not have.

        >>> import clearprop as cl
        >>> import numpy as np
        >>> path = cl.export(cl.nn.mlp([3, 4, 2]), "onnx", "batch.onnx", example=np.zeros((1, 3)))
        >>> np.savez("labelled.npz", x=np.ones((7, 3)), labels=np.arange(7) % 2)
        >>> inputs, labels = cl.onnx.load("batch.onnx").read_batch("labelled.npz", "labels", slice(0, 4))
        >>> inputs["x"].shape, labels
        ((4, 3), array([0, 1, 0, 1]))
        """
        inputs, goal = read_inputs(self._input_types(), Path(source), _slice_of(rows), target)
        assert goal is not None
        return inputs, goal

    def in_float64(self) -> OnnxModel:
        """The same network computing in float64: what is float32 in it, numbers and conversions, becomes float64.

        Central differences need the digits; `clearprop check MODEL.onnx` is made of it.

        >>> import clearprop as cl
        >>> import numpy as np
        >>> path = cl.export(cl.nn.mlp([3, 4, 2]), "onnx", "wide.onnx", example=np.zeros((1, 3)))
        >>> cl.onnx.load("wide.onnx").in_float64()(np.ones((1, 3), np.float32)).dtype.name
        'float64'
        """
        groups = self.parameters(), self.state()
        wide = [{name: widen_array(raw(array)) for name, array in group.items()} for group in groups]
        return OnnxModel(widen_description(self._description()), *wide)

    def _input_types(self) -> tuple[InputType, ...]:
        """The inputs that have no value of their own."""
        told = self._description()
        return tuple(InputType(name, told.dtypes.get(name), told.shapes.get(name)) for name in self.required_inputs)

    def _given(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        known = self.inputs
        if len(inputs) > len(known):
            raise ArgumentError(
                "the model has fewer inputs",
                expected=", ".join(known) or "no input",
                got=f"{len(inputs)} arrays",
                where=user_line(),
            )
        given = {**dict(zip(known, inputs, strict=False)), **named}
        for name in named:
            if name not in known:
                raise unknown_name("input of the model", name, known, user_line())
        missing = [name for name in self.required_inputs if name not in given]
        if missing:
            raise ArgumentError(
                "an input of the model is missing",
                expected=", ".join(known),
                got=", ".join(given) or "nothing",
                where=user_line(),
                try_=f"model({missing[0]}=...)" if missing[0].isidentifier() else f"model(**{{{missing[0]!r}: ...}})",
            )
        return given


def _slice_of(rows: int | slice | None) -> slice:
    return slice(rows, rows + 1) if isinstance(rows, int) else rows or slice(None)
