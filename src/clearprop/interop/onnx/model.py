"""`OnnxModel`: the module that a loaded file becomes."""

from __future__ import annotations

from typing import Any

from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.interop.named_arrays import NamedArrays
from clearprop.interop.onnx.graph import Description


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
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs, in order."""
        return self._description().outputs

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
        missing = [name for name in known if name not in given and name not in self._description().names]
        if missing:
            raise ArgumentError(
                "an input of the model is missing",
                expected=", ".join(known),
                got=", ".join(given) or "nothing",
                where=user_line(),
                try_=f"model({missing[0]}=...)" if missing[0].isidentifier() else f"model(**{{{missing[0]!r}: ...}})",
            )
        return given
