"""`explain`: what was asked for, checked, and the graph that answers it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np

from clearprop.arrays import Tensor
from clearprop.autodiff.trees import (
    as_leaf_value,
    checked_argnums,
    flatten,
    has_derivative,
    is_array,
    paths,
    tree_map,
    unflatten,
)
from clearprop.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    TraceError,
    checked_call,
    printable,
    unknown_name,
    user_line,
)
from clearprop.explanation.composite_bodies import open_body
from clearprop.explanation.derivation import Derivation
from clearprop.explanation.explanations import Entry, Explanation, Explanations, explanation_of
from clearprop.explanation.labels import Given
from clearprop.explanation.record import flat_position
from clearprop.explanation.runs import as_encoded, input_features, open_run
from clearprop.program.ir import Var
from clearprop.program.operands import admit, keep_value
from clearprop.program.types import is_floating, type_of
from clearprop.program.values import RECORDING, Node, call_site, raw
from clearprop.train import Run

_NOTHING = Given()


@overload
def explain(
    target: Any,
    wrt: Any,
    *,
    args: Sequence[Any] = ...,
    index: None = ...,
    output: Any = ...,
    step: int | None = ...,
    row: int | None = ...,
) -> Explanation | Explanations: ...
@overload
def explain(
    target: Any,
    wrt: Any,
    *,
    args: Sequence[Any] = ...,
    index: int | tuple[int, ...],
    output: Any = ...,
    step: int | None = ...,
    row: int | None = ...,
) -> Entry: ...
@checked_call
def explain(
    target: Any,
    wrt: Any,
    *,
    args: Sequence[Any] = (),
    index: Any = None,
    output: Any = None,
    step: int | None = None,
    row: int | None = None,
) -> Explanation | Explanations | Entry:
    """Open ∂target/∂wrt: every entry as a sum of terms, each a product of the chain rule's factors, with numbers.

    target   a Tensor; or a function of `args`; or a Run, whose loss on the training data is opened
    args     the arguments of a function, a tuple
    wrt      a Tensor that the target was computed from; an argument's position or name, or the path of one array in
             it; for a run a parameter's path, or the name of an input column
    output   the index of the entry of the target that is differentiated, if it is no scalar
    step     for a run: what that step minimised, on its own batch, with the model as it was before the step
    row      for a run: the loss of that row of the training data alone

    index    the index of one entry of `wrt`: that Entry is returned at once, as by `explanation[i, j]`

    Raises ArgumentError for unknown names and indices out of range, DTypeError for an integer target, GradientError
    for a target without history.

    >>> import clearprop as cl
    >>> w = cl.tensor([3.0, 2.0], name="w", requires_grad=True)
    >>> print(cl.explain(cl.relu(w[0] * w[1]), wrt=w, index=0))
    ∂y/∂w₀ = dReLU/dmul(w₀,w₁) · dmul(w₀,w₁)/dw₀ = 1 · 2 = 2
        dReLU/dmul(w₀,w₁)  1 if ReLU > 0 else 0 = 1   ReLU = 6
        dmul(w₀,w₁)/dw₀    w₁                   = 2
        finite difference 2, complex step 2: agrees within 1e-10
    """
    if isinstance(target, Node):
        found: Explanation | Explanations = _of_tensor(target, wrt, output)
    elif isinstance(target, Run):
        found = _of_run(target, wrt, step, row)
    elif callable(target) and not isinstance(target, type):
        found = _of_function(target, wrt, _arguments_for(target, args), output)
    else:
        raise ArgumentError(
            "explain needs something to differentiate",
            expected="a Tensor, a function with args=, or a run",
            got=type(target).__name__,
            where=user_line(),
        )
    if index is None:
        return found
    if isinstance(found, Explanations):
        raise ArgumentError(
            "index= needs one array",
            expected="wrt= with the path of one array: " + ", ".join(found.parts),
            got=f"wrt = {wrt!r}, which holds {len(found.parts)} arrays",
            where=user_line(),
        )
    return found[index]


# -------------------------------------------------------------------------------------------------- a tensor
def _of_tensor(target: Node, wrt: Any, output: Any) -> Explanation:
    _require_numbers(target)
    if not isinstance(wrt, Node):
        raise ArgumentError(
            "wrt is the tensor whose gradient is opened",
            expected="a Tensor that the target was computed from",
            got=f"wrt = {wrt!r}" if isinstance(wrt, (str, int)) else f"wrt: {type(wrt).__name__}",
            where=user_line(),
            try_="cl.explain(y, wrt=w); for a function: cl.explain(f, 'w', args=(…))",
        )
    if target.application is None and target is not wrt:
        raise GradientError(
            "the target has no history",
            expected="a value computed from tensors with requires_grad=True",
            got="a value whose computation was not recorded",
            where=user_line(),
            try_="cl.tensor(..., requires_grad=True), and no cl.no_grad() or detach() on the way",
        )
    at = _output_position(target, output)
    inline = target.application is not None and target.application.site == call_site()
    given = Given(target=target.name or "y") if inline else None  # `e = explain(f(x), …)` names e, and not the target
    derivation = Derivation(target, at, [wrt], given, open_body)
    missing = (
        "" if wrt.tracked else f"{printable(wrt.name) or 'it'} did not require a gradient when the target was computed"
    )
    return explanation_of(derivation, wrt, missing)


def _require_numbers(target: Node) -> None:
    if isinstance(target.value, Var):
        raise TraceError(
            "explain needs numbers, and this value is being traced",
            expected="a call of explain outside of compiled and mapped functions",
            got=f"a traced value of type {target.value.type}",
            where=user_line(),
        )
    dtype = type_of(target.value).dtype
    if not is_floating(dtype):
        raise DTypeError(
            "explain needs a floating target",
            expected="float32 or float64",
            got=dtype.name,
            where=user_line(),
            try_="the loss that the integer was made from: an integer has no derivative",
        )


def _output_position(target: Node, output: Any) -> int:
    shape = np.shape(raw(target))
    if output is None and shape:
        raise ArgumentError(
            "explain differentiates one number",
            expected="output=, the index of one entry of the target",
            got=f"a target of shape {shape}",
            where=user_line(),
            try_=f"output={tuple(0 for _ in shape) if len(shape) > 1 else 0}, or cl.sum(y)",
        )
    return flat_position(() if output is None else output, shape, "the target")


# ----------------------------------------------------------------------------------------------------- a run
def _of_run(run: Run, wrt: Any, step: int | None, row: int | None) -> Explanation | Explanations:
    opened = open_run(run, step, row)
    args = opened.model, opened.x, opened.y
    if not isinstance(wrt, str):
        raise ArgumentError(
            "wrt names what of the run is opened",
            expected="the path of a parameter, the name of an input column, 'model' or 'x'",
            got=f"wrt: {type(wrt).__name__}",
            where=user_line(),
            try_="list(run.model.parameters()) are the paths of its parameters",
        )
    parameters = _floating_names("model", opened.model)
    columns = {id(opened.x): opened.columns} if opened.columns and np.ndim(opened.x) == 2 else {}
    known = Given(columns=columns, origin=opened.title, native=opened.native)
    if wrt == "model" or wrt in parameters:
        return _of_function(opened.function, wrt, args, None, known)
    if wrt == "x":
        return _of_function(opened.function, "x", args, None, known)
    features = input_features(run, opened, wrt, parameters)
    positions = np.arange(opened.x.size).reshape(opened.x.shape)[:, features]
    positions = positions[0] if len(positions) == 1 else positions
    positions = positions[..., 0] if len(features) == 1 else positions
    known = replace(known, origin=opened.title + as_encoded(run, features[0]))
    derivation, nodes = _derivation(opened.function, "x", args, None, known)
    return explanation_of(derivation, nodes["x"], "", wrt, positions)


# ------------------------------------------------------------------------------------------------ a function
def _of_function(
    f: Callable[..., Any], wrt: Any, args: tuple[Any, ...], output: Any, known: Given = _NOTHING
) -> Explanation | Explanations:
    derivation, nodes = _derivation(f, wrt, args, output, known)
    if len(nodes) == 1:
        return explanation_of(derivation, next(iter(nodes.values())))
    return Explanations(derivation.target_label(), {n: explanation_of(derivation, v) for n, v in nodes.items()})


def explain_function(
    f: Callable[..., Any], wrt: str, args: tuple[Any, ...], output: Any, origin: str
) -> Explanation | Explanations:
    """`explain` of a function, for those who say where its numbers come from: `origin` stands for a line of code."""
    return _of_function(f, wrt, args, output, Given(origin=origin))


def _derivation(
    f: Callable[..., Any], wrt: Any, args: tuple[Any, ...], output: Any, known: Given
) -> tuple[Derivation, dict[str, Node]]:
    """The function, recorded, and the leaves that `wrt` means, by name."""
    args, known = _read_only(args, known)
    names = _argument_names(f, len(args))
    position, path = _position(wrt, names, args)
    leaves, structure = flatten(args[position])
    labels = _leaf_names(names[position], args[position])
    chosen = {path} if path else set(labels)
    made = [_leaf(v, n) if has_derivative(v) and n in chosen else v for v, n in zip(leaves, labels, strict=True)]
    given = [*args[:position], unflatten(structure, made), *args[position + 1 :]]
    target, at = _chosen_output(_call_recording(f, given), output)
    nodes = {n: v for n, v in zip(labels, made, strict=True) if n in chosen and has_derivative(v)}
    name = getattr(f, "__name__", "")
    named = replace(known, values=_constants(names, given), target=name if name.isidentifier() else "")
    return Derivation(target, at, list(nodes.values()), named, open_body), nodes


def _read_only(args: tuple[Any, ...], known: Given) -> tuple[tuple[Any, ...], Given]:
    """The arguments as arrays that nobody writes: what is opened later has the values of now, and their names.

    A run's own arrays never change; those of a caller are copied.
    """
    columns = dict(known.columns)

    def read_only(leaf: Any) -> Any:
        is_array = type(leaf) is np.ndarray
        if known.origin:  # its base tells that nobody writes there
            own = np.asarray(memoryview(leaf).toreadonly()) if is_array and leaf.flags.writeable else leaf
        else:
            own = keep_value(admit(leaf))
        if type(own) is np.ndarray and own is not leaf:
            own.flags.writeable = False
        if id(leaf) in columns:
            columns[id(own)] = columns[id(leaf)]
        return own

    return tuple(tree_map(read_only, arg) for arg in args), replace(known, columns=columns)


def _arguments_for(f: Callable[..., Any], args: Any) -> tuple[Any, ...]:
    """The arguments, if they are a tuple or list that the function takes."""
    if not isinstance(args, (tuple, list)):
        raise ArgumentError(
            "args holds the arguments of the function",
            expected="args=(…), a tuple with the values to differentiate at",
            got=f"args: {type(args).__name__}",
            where=user_line(),
            try_="args=(x,) for one argument",
        )
    try:
        if args:
            inspect.signature(f).bind(*args)
    except ValueError:
        pass  # it does not tell what it takes
    except TypeError as error:
        raise ArgumentError(
            "the function does not take these arguments",
            expected=f"the arguments of {getattr(f, '__name__', 'the function')}{inspect.signature(f)}",
            got=f"{len(args)} of them: {error}",
            where=user_line(),
            try_="args=(…), a tuple with the values to differentiate at",
        ) from None
    return tuple(args)


def _argument_names(f: Callable[..., Any], count: int) -> list[str]:
    try:
        found = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        found = []
    return [*found[:count], *(f"arg{i}" for i in range(len(found), count))]


def _position(wrt: Any, names: list[str], args: tuple[Any, ...]) -> tuple[int, str]:
    """The argument that `wrt` means, and the path inside it if one array is meant."""
    if not args:
        raise ArgumentError(
            "explaining a function needs its arguments",
            expected="args=(…), a tuple with the values to differentiate at",
            got="no args",
            where=user_line(),
        )
    if isinstance(wrt, (int, np.integer)) and not isinstance(wrt, bool):
        (position,) = checked_argnums(int(wrt), len(args), "explain")
        return _require_floating(position, names, args), ""
    if not isinstance(wrt, str):
        raise ArgumentError(
            "wrt says what the function is differentiated by",
            expected="the position or name of an argument, or the path of an array in one",
            got=f"wrt: {type(wrt).__name__}",
            where=user_line(),
            try_="wrt=0, or one of the names: " + ", ".join(names),
        )
    if wrt in names:
        return _require_floating(names.index(wrt), names, args), ""
    known = {n: i for i, a in enumerate(args) for n in _floating_names(names[i], a)}
    if wrt not in known:
        raise unknown_name("argument or parameter", wrt, {*names, *known}, user_line())
    return known[wrt], wrt


def _require_floating(position: int, names: list[str], args: tuple[Any, ...]) -> int:
    if not _floating_names(names[position], args[position]):
        leaf = next(iter(flatten(args[position])[0]), args[position])
        raise DTypeError(
            f"explain needs a floating argument, and {names[position]} is none",
            expected="an argument with at least one floating number",
            got=type_of(raw(leaf)).dtype.name if is_array(leaf) else type(leaf).__name__,
            where=user_line(),
            try_="write the numbers as floats: 3 → 3.0",
        )
    return position


def _floating_names(name: str, tree: Any) -> list[str]:
    return [n for n, v in zip(_leaf_names(name, tree), flatten(tree)[0], strict=True) if has_derivative(v)]


def _leaf_names(name: str, tree: Any) -> list[str]:
    """`w` for an argument that is an array; `layers[0].weight` for a model; `p['w']` inside a dict or list."""
    return [name + p if not p or p.startswith("[") else p for p in paths(tree)]


def _leaf(value: Any, name: str) -> Tensor:
    leaf = Tensor(raw(as_leaf_value(value)))
    leaf.name, leaf.requires_grad = name, True
    return leaf


def _call_recording(f: Callable[..., Any], args: Sequence[Any]) -> Any:
    before = RECORDING.on
    RECORDING.on = True
    try:
        return f(*args)
    finally:
        RECORDING.on = before


def _constants(names: Sequence[str], args: Sequence[Any]) -> dict[int, str]:
    """Names for the arrays that are not differentiated, by identity."""
    found: dict[int, str] = {}
    for name, arg in zip(names, args, strict=True):
        for leaf, label in zip(flatten(arg)[0], _leaf_names(name, arg), strict=True):
            if isinstance(raw(leaf), (np.ndarray, np.generic)):
                found[id(raw(leaf))] = label
    return found


def _chosen_output(result: Any, output: Any) -> tuple[Node, int]:
    leaves, _ = flatten(result)
    labels = paths(result)
    if len(leaves) > 1:
        result, output = _one_output(dict(zip(labels, leaves, strict=True)), output)
    else:
        (result,) = leaves
    if not is_array(result):
        raise ArgumentError(
            "explain needs a function that returns numbers",
            expected="a Tensor",
            got=type(result).__name__,
            where=user_line(),
        )
    node = result if isinstance(result, Node) else Tensor(raw(as_leaf_value(result)))
    _require_numbers(node)
    return node, _output_position(node, output)


def _one_output(results: dict[str, Any], output: Any) -> tuple[Any, Any]:
    """One of several results: `output` is its position or path, or that and an index."""
    which, *index = output if isinstance(output, tuple) and output else (output,)
    keys = list(results)
    if isinstance(which, (int, np.integer)) and -len(keys) <= which < len(keys):
        which = keys[which]
    if not isinstance(which, str) or which not in results:
        raise ArgumentError(
            "the function returns several results",
            expected="output=, the position or path of one of: " + ", ".join(keys),
            got=f"output = {output!r}",
            where=user_line(),
            try_="output=0, or output=(0, index) for an entry of it",
        )
    return results[which], tuple(index) or None
