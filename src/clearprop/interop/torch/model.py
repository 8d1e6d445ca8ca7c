"""`TorchModel`: the module that a module of PyTorch becomes."""

from __future__ import annotations

from typing import Any

from clearprop.arrays import asarray, functions
from clearprop.errors import ArgumentError, ClearpropError, ShapeError, user_line
from clearprop.interop.named_arrays import NamedArrays, free_names
from clearprop.interop.torch.graph import BUFFER, CONSTANT, GIVEN, PARAMETER, Input, TorchGraph, TorchNode, resolve
from clearprop.interop.torch.operators import operator_named
from clearprop.nn import parameter_count, remember


class TorchModel(NamedArrays, init=False):
    """A network that `cl.torch.from_module` read: it is called as the module is, with arrays in PyTorch's layout.

    `model.parameters()` and `model.state()` have the names of the module's `state_dict`; gradients, `replace` and
    `cl.explain` know the arrays by the same names.  What was not trained there (`requires_grad=False`) is state.
    """

    @property
    def graph(self) -> TorchGraph:
        """What is computed: the nodes that `torch.export` gave."""
        graph: TorchGraph = self.__dict__["description"]
        return graph

    def forward(self, *inputs: Any) -> Any:
        """What the module returns."""
        graph, own = self.graph, names_of(self.graph)
        values = {i.name: self.array(own[i.target]) for i in graph.inputs if i.kind != GIVEN}
        values |= _by_name(graph.named(GIVEN), inputs)
        for node in graph.nodes:
            values[node.name] = _value_of(node, values)
        updates = {own[target]: values[reference.name] for target, reference in graph.updates}
        if updates:
            remember(self, **updates)
        output = resolve(graph.output, values.__getitem__)
        return tuple(output) if isinstance(output, list) else output

    def __repr__(self) -> str:
        """The arrays of every layer, a line each."""
        layers: dict[str, list[str]] = {}
        for name, array in self.arrays().items():
            layer, _, own = name.rpartition(".")
            layers.setdefault(layer, []).append(f"{own} {tuple(array.shape)}")
        width = max(map(len, layers), default=0)
        rows = [f"  {layer:<{width}}  {', '.join(arrays)}" for layer, arrays in layers.items()]
        return "\n".join([f"{self.label()}, {parameter_count(self):,} parameters", *rows])

    def label(self) -> str:
        """`Sequential from PyTorch, 9 nodes`."""
        return f"{self.graph.name} from PyTorch, {len(self.graph.nodes)} nodes"


def model_of(graph: TorchGraph, arrays: dict[str, Any]) -> TorchModel:
    """The module that computes a graph with these arrays, which are named as `state_dict` names them."""
    own = names_of(graph)
    trained = {own[i.target]: arrays[i.target] for i in graph.named(PARAMETER)}
    kept = {own[i.target]: arrays[i.target] for kind in (BUFFER, CONSTANT) for i in graph.named(kind)}
    return TorchModel(graph, trained, kept)


def names_of(graph: TorchGraph) -> dict[str, str]:
    """The name under which the model holds each array: PyTorch's own, but where a method of modules has it."""
    return free_names([i.target for i in graph.inputs if i.kind != GIVEN], TorchModel)


def _value_of(node: TorchNode, values: dict[str, Any]) -> Any:
    """The value of a node; an error says which node it was."""
    found = operator_named(node.operator)
    if found is None:
        raise ArgumentError(f"{node.operator} is not in the table of operators", where=node.line)
    arguments, options = resolve(node.arguments, values.__getitem__), resolve(dict(node.options), values.__getitem__)
    try:
        return found.compute(*arguments, **options)
    except ClearpropError as problem:
        problem.add_note(f"  in        {node.name} = {node.operator}" + (f"  ({node.line})" if node.line else ""))
        raise


def _by_name(expected: tuple[Input, ...], inputs: tuple[Any, ...]) -> dict[str, Any]:
    """The arguments of a call by their names in the graph, checked against the shapes that the graph is for."""
    if len(inputs) != len(expected):
        raise ArgumentError(
            "the model takes other inputs",
            expected=f"{len(expected)}: {', '.join(i.target for i in expected)}",
            got=f"{len(inputs)}",
            where=user_line(),
        )
    return {i.name: _require_fit(i, asarray(x)) for i, x in zip(expected, inputs, strict=True)}


def _require_fit(expected: Input, x: Any) -> Any:
    """The argument in the dtype that the graph is for; another shape or kind of number is refused."""
    if not _has_shape(expected.shape, x.shape):
        sizes = ", ".join("n" if n is None else str(n) for n in expected.shape)
        raise ShapeError(
            f"the model was read for inputs {expected.target} of shape ({sizes})",
            expected=f"shape ({sizes})" + (", n any size" if None in expected.shape else ""),
            got=f"shape {tuple(x.shape)}",
            where=user_line(),
            try_="cl.torch.from_module(module, example) with an example of that shape, and of two rows or more",
        )
    if (x.dtype.kind == "f") != expected.dtype.startswith("float"):
        raise ArgumentError(
            f"the model takes {expected.dtype} as {expected.target}",
            expected=expected.dtype,
            got=x.dtype.name,
            where=user_line(),
            try_=f"x.astype({expected.dtype!r}), if that is what the numbers mean",
        )
    same = x.dtype.name == expected.dtype or x.dtype.kind != "f"
    return x if same else functions.astype(x, expected.dtype)


def _has_shape(known: tuple[int | None, ...], shape: Any) -> bool:
    """Whether a shape is the known one; sizes that are not known, there or here, may be any."""
    if len(known) != len(shape):
        return False
    return all(n is None or not isinstance(m, int) or n == m for n, m in zip(known, shape, strict=True))
