"""From a module of PyTorch to a `TorchGraph` and arrays: the one file of ours that calls PyTorch."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import ArgumentError, DTypeError, user_line
from clearprop.interop.torch.graph import (
    BUFFER,
    CONSTANT,
    GIVEN,
    PARAMETER,
    Argument,
    Input,
    Reference,
    TorchGraph,
    TorchNode,
)
from clearprop.interop.torch.operators import nodes_for, operator_named
from clearprop.program.values import Node as Traced
from clearprop.program.values import raw

_KINDS = {"PARAMETER": PARAMETER, "BUFFER": BUFFER, "CONSTANT_TENSOR": CONSTANT, "USER_INPUT": GIVEN}
_WITHOUT_MEANING = frozenset({"device", "layout", "pin_memory", "memory_format"})
"""Options of operators that say where and how values lie in memory, and not what they are."""

_ORDER = "TOKEN"
"""What PyTorch hands from one check of values to the next, to keep their order; it is no value itself."""

_HELD = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")


class Read(NamedTuple):
    """What was read of a module: its graph, and its arrays by their names in `state_dict`."""

    graph: TorchGraph
    arrays: dict[str, NDArray[Any]]


def import_torch() -> Any:
    """PyTorch; raises ArgumentError where it is not installed."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        raise ArgumentError(
            "reading a module of PyTorch needs PyTorch",
            expected="the package torch, which no extra of clearprop brings",
            got="it is not installed",
            where=user_line(),
            try_="pip install torch; or cl.torch.load_state(path, model), which needs none",
        ) from None


def read_module(module: Any, example: Any) -> Read:
    """The graph and the arrays of a module, for inputs like the example."""
    torch = import_torch()
    if not hasattr(torch.export, "default_decompositions"):
        raise ArgumentError(
            "this PyTorch is too old to be read",
            expected="PyTorch 2.6 or newer, whose torch.export keeps layers whole",
            got=f"PyTorch {torch.__version__}",
            where=user_line(),
            try_="pip install --upgrade torch",
        )
    if not isinstance(module, torch.nn.Module):
        raise ArgumentError(
            "from_module reads a module of PyTorch",
            expected="an instance of torch.nn.Module",
            got=type(module).__name__,
            where=user_line(),
            try_="model.module, if the framework around it keeps one" if hasattr(module, "module") else "",
        )
    exported = _export(torch, module, _as_tensors(torch, example))
    return Read(_graph_of(exported, module), _arrays_of(exported))


def _as_tensors(torch: Any, example: Any) -> tuple[Any, ...]:
    given = example if isinstance(example, (tuple, list)) else (example,)
    return tuple(x if isinstance(x, torch.Tensor) else torch.from_numpy(_as_array(x).copy()) for x in given)


def _as_array(x: Any) -> NDArray[Any]:
    value = np.asarray(raw(x)) if isinstance(x, (Traced, np.ndarray, np.generic)) else None
    if value is None or value.dtype.name not in _HELD:
        raise ArgumentError(
            "an example is a tensor, or a tuple of tensors",
            expected="what the module is called with: tensors of PyTorch or clearprop, arrays of NumPy",
            got=type(x).__name__ if value is None else f"an array of {value.dtype}",
            where=user_line(),
            try_="cl.torch.from_module(module, torch.zeros(2, 4)); options belong into the module",
        )
    return value


def _export(torch: Any, module: Any, example: tuple[Any, ...]) -> Any:
    """The program that PyTorch makes of the module, without writes in place; what our table has is still whole."""
    with _quiet(), torch.no_grad():
        try:
            shapes = _open_batch(torch, module, example)
            exported = torch.export.export(module, example, dynamic_shapes=shapes)
            whole = exported.run_decompositions(_decompositions(torch))
            beyond = _calls_beyond(whole)
            return whole.run_decompositions(_decompositions(torch, beyond)) if beyond else whole
        except Exception as problem:  # of any class: whatever the module's own code and PyTorch raise
            lines = [line for line in str(problem).strip().splitlines() if line.strip()] or [""]
            raise ArgumentError(
                f"PyTorch cannot export this {type(module).__name__}",
                expected="a module that torch.export.export takes with the example",
                got=f"{type(problem).__name__}: {lines[0]}",
                where=user_line(),
                try_="torch.export.export(module, example), which says more; an example of the right shape and dtype",
            ) from problem


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what PyTorch warns of itself and writes to its log: what is wrong with a module is in its error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _decompositions(torch: Any, beyond: Iterable[Any] = ()) -> Any:
    """PyTorch's own rules for what is made of simpler operators: of what our table does not have, and of `beyond`."""
    rules = torch.export.default_decompositions()
    for known in [target for target in rules if operator_named(_operator_name(target)) is not None]:
        if known not in beyond:
            del rules[known]
    return rules


def _calls_beyond(exported: Any) -> set[Any]:
    """Operators of the table that are called with what our function does not do, and PyTorch may take apart."""
    nodes = [node for node in exported.graph.nodes if node.op == "call_function"]
    entries = [(node, operator_named(_operator_name(node.target))) for node in nodes]
    return {node.target for node, entry in entries if entry is not None and entry.refusals(_node_of(node))}


def _open_batch(torch: Any, module: Any, example: tuple[Any, ...]) -> dict[str, Any]:
    """The first axis of every argument may have any size, where the module allows it; PyTorch fixes sizes of 1."""
    first = [{0: torch.export.Dim.AUTO} if x.ndim and x.shape[0] != 1 else None for x in example]
    return dict(inspect.signature(module.forward).bind(*first).arguments)


# -------------------------------------------------------------------------------------------------------- the graph
def _graph_of(exported: Any, module: Any) -> TorchGraph:
    signature = exported.graph_signature
    _require_outputs({spec.kind.name for spec in signature.output_specs})
    inputs = _inputs_of(exported, module)
    nodes = tuple(_node_of(node) for node in exported.graph.nodes if node.op not in ("placeholder", "output"))
    mutations = [spec for spec in signature.output_specs if spec.kind.name == "BUFFER_MUTATION"]
    updates = tuple((spec.target, Reference(spec.arg.name)) for spec in mutations)
    output = _output_of(exported)
    return TorchGraph(
        name=type(module).__name__,
        inputs=inputs,
        nodes=nodes_for(nodes, output, tuple(reference for _, reference in updates)),
        output=output,
        updates=updates,
        aliases=_aliases(module, {i.target for i in inputs}),
    )


def _inputs_of(exported: Any, module: Any) -> tuple[Input, ...]:
    metadata = {node.name: node.meta.get("val") for node in exported.graph.nodes if node.op == "placeholder"}
    frozen = {name for name, p in module.named_parameters(remove_duplicate=False) if not p.requires_grad}
    specs = [spec for spec in exported.graph_signature.input_specs if spec.kind.name != _ORDER]
    return tuple(_input_of(spec, metadata, frozen, exported) for spec in specs)


def _require_outputs(kinds: set[str]) -> None:
    others = kinds - {"USER_OUTPUT", "BUFFER_MUTATION", _ORDER}
    if others:
        raise ArgumentError(
            "this module writes into what it is called with",
            expected="a module that returns its results, and writes into its own buffers at most",
            got=", ".join(sorted(others)).lower().replace("_", " "),
            where=user_line(),
            try_="x = x + y in place of x += y, where x is an input or a parameter",
        )


def _input_of(spec: Any, metadata: dict[str, Any], frozen: set[str], exported: Any) -> Input:
    kind, name = _KINDS.get(spec.kind.name), getattr(spec.arg, "name", "")
    value: Any = metadata.get(name)
    if kind is None or not hasattr(value, "shape"):
        raise ArgumentError(
            "this module takes something that is no tensor",
            expected="tensors as inputs, parameters and buffers",
            got=f"{name or spec.target}: {spec.kind.name.lower().replace('_', ' ')}",
            where=user_line(),
        )
    if kind == GIVEN:
        sizes = tuple(int(n) if isinstance(n, int) else None for n in value.shape)
        return Input(name, kind, name, shape=sizes, dtype=_word(value.dtype))
    trained = kind == PARAMETER and spec.target not in frozen
    persistent = spec.target in exported.state_dict
    return Input(name, PARAMETER if trained else BUFFER if kind == PARAMETER else kind, spec.target, persistent)


def _node_of(node: Any) -> TorchNode:
    options = tuple((key, _plain(value)) for key, value in node.kwargs.items() if key not in _WITHOUT_MEANING)
    return TorchNode(node.name, _operator_name(node.target), _plain(node.args), options, _line_of(node))


def _operator_name(target: Any) -> str:
    """`add.Tensor`; `python.mul` for what Python computes; another library's with its namespace."""
    schema = getattr(target, "_schema", None)
    if schema is None:
        return f"python.{getattr(target, '__name__', target)}"
    name = schema.name.removeprefix("aten::").replace("::", ".")
    return f"{name}.{schema.overload_name or 'default'}"


def _plain(value: Any) -> Argument:
    """An argument without PyTorch: nodes are references, dtypes are words."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if type(value) in (bool, int, float, complex, str) or value is None:
        return value
    if hasattr(value, "op") and hasattr(value, "graph"):
        return Reference(value.name)
    return _word(value)


def _word(value: Any) -> str:
    return str(value).removeprefix("torch.")


def _line_of(node: Any) -> str:
    """Where the module's own code calls the operator: the last line of the trace outside PyTorch."""
    trace = str(node.meta.get("stack_trace") or "").strip().splitlines()
    places = [
        f"{line.split(chr(34))[1].rpartition('/')[2]}:{line.split('line ')[1].split(',')[0]}  {code.strip()}"
        for line, code in itertools.pairwise(trace)
        if line.strip().startswith("File ") and "site-packages/torch/" not in line
    ]
    return places[-1] if places else ""


def _output_of(exported: Any) -> Argument:
    """What the call returns, in its own structure, as references."""
    tree = importlib.import_module("torch.utils._pytree")
    names = [s.arg for s in exported.graph_signature.output_specs if s.kind.name == "USER_OUTPUT"]
    leaves = [Reference(a.name) if hasattr(a, "name") and not hasattr(a, "value") else a.value for a in names]
    return _structure(tree.tree_unflatten(leaves, exported.call_spec.out_spec))


def _structure(value: Any) -> Argument:
    if isinstance(value, dict):
        return {str(key): _structure(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(map(_structure, value))
    return value


def _aliases(module: Any, targets: set[str]) -> tuple[tuple[str, str], ...]:
    """Names that `state_dict` has besides, for arrays that stand under another name already: tied weights."""
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    owners = {id(p): name for name, p in named if name in targets}
    return tuple((name, owners[id(p)]) for name, p in named if name not in targets and id(p) in owners)


# ------------------------------------------------------------------------------------------------------- the arrays
def _arrays_of(exported: Any) -> dict[str, NDArray[Any]]:
    held = {**exported.constants, **exported.state_dict}
    targets = [s.target for s in exported.graph_signature.input_specs if s.kind.name not in ("USER_INPUT", _ORDER)]
    wrong = [f"{name}: {_word(held[name].dtype)}" for name in targets if _word(held[name].dtype) not in _HELD]
    if wrong:
        raise DTypeError(
            "arrays of this module have dtypes that clearprop does not compute with",
            expected=", ".join(_HELD),
            got=_list_text(wrong),
            where=user_line(),
            try_="module.float(), then from_module",
        )
    return {name: held[name].detach().cpu().contiguous().numpy().copy() for name in targets}


def _list_text(words: Sequence[str], most: int = 8) -> str:
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")
