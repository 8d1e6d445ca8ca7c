"""An ONNX model where a command takes a run: an entry of what it gives is opened, and its gradients are checked."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from clearprop import interop, nn
from clearprop.arrays import Tensor, functions
from clearprop.cli.standard_input import given_data
from clearprop.errors import ArgumentError, DataError, unknown_name
from clearprop.explanation import Explanation, Explanations, explain_function
from clearprop.files.presence import is_file
from clearprop.nn.losses import loss_task
from clearprop.notation.expressions import MINUS
from clearprop.program.values import raw
from clearprop.train import Checked, check_objective

RunOrModel = Annotated[
    Path,
    typer.Argument(metavar="RUN|MODEL.onnx", help="The folder of a run, or an ONNX model.", show_default=False),
]
DataFile = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="FILE", help="Of an ONNX model: its inputs, in an NPZ, NPY or CSV file, or - for stdin."
    ),
]
Drawn = Annotated[
    bool, typer.Option("--example", help="Of an ONNX model: draw numbers for its inputs, by their declared shapes.")
]
LossName = Annotated[
    str | None,
    typer.Option(
        "--loss",
        metavar="NAME",
        help="Of an ONNX model: open this loss of its output: cross_entropy, mse, ...",
    ),
]
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="NAME", help="With --loss: the array or column of --data with what should come out."
    ),
]


_TO_LOGITS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("cross_entropy", "Softmax"): functions.log,
    ("focal", "Softmax"): functions.log,
    ("binary_cross_entropy", "Sigmoid"): functions.logit,
}
"""What makes logits, which these losses take, of the probabilities that these operators give."""


def is_model(path: Path) -> bool:
    """Whether a path means a model: a file, or what is called as one."""
    return path.suffix.lower() == ".onnx" or is_file(path)


def refuse_for_a_run(data: str | None, example: bool, **more: str | None) -> None:
    """Raise ArgumentError for options that only a model has."""
    given = {"--data": data, "--example": example or None, **{f"--{name}": value for name, value in more.items()}}
    _refuse(given, "a run has its own data and loss", "an ONNX model with this option: model.onnx")


def refuse_for_a_model(options: Mapping[str, Any]) -> None:
    """Raise ArgumentError for options, by their words, that only a run has."""
    _refuse(options, "an ONNX model knows nothing of its training", "a run with this option")


def _refuse(options: Mapping[str, Any], why: str, expected: str) -> None:
    for option, value in options.items():
        if value is not None:
            raise ArgumentError(why, expected=expected, got=option, where=option, try_=f"leave {option} out")


# ---------------------------------------------------------------------------------------------------- opening
def open_output(
    path: Path,
    output: tuple[str | None, tuple[int, ...] | None],
    wanted: tuple[str | None, str | None],
    inputs: tuple[str | None, bool, int | None],
) -> tuple[str, Explanation | Explanations]:
    """One number that a model gives, opened, and a line that says which number it is.

    output  a name and an index; without an index it is the largest entry, without a name that of the first output
    wanted  the parameter or the input whose gradient is opened; without both it is that of all parameters
    inputs  a file, or whether they are drawn; and one row, or None for all
    """
    model = interop.onnx.load(path)
    data, example, row = inputs
    arrays = _inputs(model, data, example, row, row)
    name, index, value = _entry(model, arrays, *output)
    function, words = _function_of(model, name)
    wrt = _differentiated_by(model, words, *wanted)
    place = f"[{','.join(map(str, index))}]" if index else ""
    seen = "drawn numbers" if example else f"{data}" if row is None else f"row {row} of {data}"
    title = _title(f"{name}{place}", value, path, seen)
    return title, explain_function(function, wrt, (model, *arrays.values()), index or None, title)


def open_loss(
    path: Path,
    output: str | None,
    wanted: tuple[str | None, str | None],
    inputs: tuple[str | None, bool, int | None],
    loss: tuple[str | None, str | None],
) -> tuple[str, Explanation | Explanations]:
    """The loss of what a model gives, opened, and a line that says which loss it is.

    output  the name of the output that is compared; None: the first
    loss    its name, and the array or column of the data that holds the target
    """
    data, _, row = inputs
    word, target = loss
    if data is None or word is None or target is None or inputs[1]:
        raise _no_loss({"--data": data, "--example": inputs[1], "--loss": word, "--target": target})
    compare = _loss_named(word)
    model = interop.onnx.load(path)
    with given_data(data) as source:
        arrays, goal = model.read_batch(source, target, row)
    outputs = _floating(model.by_name(**arrays))
    name = _output_name(outputs, output)
    given, words = _function_of(model, name)
    goal = _as_target(goal, word, outputs[name])
    inverse = _TO_LOGITS.get((word.partition(":")[0], model.output_operators[name]))

    def loss_of(found: Any) -> Any:
        return compare(found if inverse is None else inverse(found), goal)

    def compute(model: Any, *inputs: Any) -> Any:
        return loss_of(given(model, *inputs))

    _name(compute, "loss", words)
    wrt = _differentiated_by(model, words, *wanted)
    compared = name if inverse is None else f"{inverse.__name__}({name})"
    seen = f"{compared} against {target}, for {data if row is None else f'row {row} of {data}'}"
    title = _title(word, float(raw(loss_of(outputs[name]))), path, seen)
    return title, explain_function(compute, wrt, (model, *arrays.values()), None, title)


def _no_loss(options: Mapping[str, Any]) -> ArgumentError:
    given = [word if value is True else f"{word} {value}" for word, value in options.items() if value]
    return ArgumentError(
        "a loss compares what the model gives with a target",
        expected="--data FILE --loss NAME --target NAME",
        got=" ".join(given),
        where="--loss",
        try_="--data images.npz --loss cross_entropy --target labels",
    )


def _loss_named(word: str) -> Callable[..., Any]:
    try:
        loss: Callable[..., Any] = nn.loss_named(word)
        return loss
    except ArgumentError as mistake:
        parts = {"expected": mistake.expected, "got": mistake.got, "try_": mistake.try_}
        raise ArgumentError(mistake.headline, where="--loss", **parts) from None


def _as_target(goal: NDArray[Any], loss: str, output: Tensor) -> NDArray[Any]:
    """The target in the kind of numbers that the loss takes, one column for one output."""
    if goal.dtype.kind not in "fiub":
        raise DataError("the target holds no numbers", expected="numbers", got=f"dtype {goal.dtype}", where="--target")
    if goal.dtype.kind in "fb" and loss_task(loss) == "numbers":
        goal = goal.astype(output.dtype)
    return goal.reshape(output.shape) if (*goal.shape, 1) == tuple(output.shape) else goal


def _title(what: str, value: float, path: Path, seen: str) -> str:
    return f"{what} = {value:.6g} of {path}, for {seen}".replace("= -", f"= {MINUS}")


def _differentiated_by(
    model: interop.onnx.OnnxModel, words: Mapping[str, str], parameter: str | None, column: str | None
) -> str:
    """What a function of the model and its inputs is differentiated by: a parameter, an input, or all parameters."""
    if column is not None and column not in words:
        raise unknown_name("input of the model", column, words, "--input")
    if parameter is not None and parameter not in model.parameters():
        raise unknown_name("parameter of the model", parameter, model.parameters(), "--param")
    return parameter or (words[column] if column is not None else "model")


def _inputs(
    model: interop.onnx.OnnxModel, data: str | None, example: bool, row: int | None, rows: int | slice | None
) -> dict[str, Any]:
    if (data is None) != example or (example and row is not None):
        raise ArgumentError(
            "an ONNX model is opened for inputs",
            expected="--data FILE, perhaps with --row N, or --example",
            got="neither" if data is None and not example else "--example beside --data or --row",
            where="--data",
            try_="--example draws numbers by the shapes that the model declares",
        )
    if data is None:
        return model.example()
    with given_data(data) as source:
        return model.read_inputs(source, rows)


def _entry(
    model: interop.onnx.OnnxModel, arrays: Mapping[str, Any], name: str | None, index: tuple[int, ...] | None
) -> tuple[str, tuple[int, ...], float]:
    """Which number of the outputs is opened, and the number."""
    floating = _floating(model.by_name(**arrays))
    chosen = _output_name(floating, name)
    values = np.asarray(raw(floating[chosen]))
    if index is None:
        largest = int(np.argmax(np.where(np.isnan(values), -np.inf, values))) if values.size else 0
        index = tuple(map(int, np.unravel_index(largest, values.shape))) if values.size else (0,)
    try:
        return chosen, index, float(values[index])
    except (IndexError, TypeError, ValueError):
        raise ArgumentError(
            f"the output {chosen!r} has no such entry",
            expected=f"{values.ndim} indices within {values.shape}",
            got=f"[{','.join(map(str, index))}]",
            where="--output",
        ) from None


def _output_name(floating: Mapping[str, Tensor], name: str | None) -> str:
    """The floating output of that name, or the first."""
    if not floating:
        raise ArgumentError(
            "the model gives no floating numbers", expected="an output that has a derivative", got="none"
        )
    if name is not None and name not in floating:
        raise unknown_name("floating output of the model", name, floating, "--output")
    return name or next(iter(floating))


def _floating(outputs: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: found for name, found in outputs.items() if isinstance(found, Tensor) and found.dtype.kind == "f"}


def _function_of(model: interop.onnx.OnnxModel, output: str) -> tuple[Callable[..., Any], dict[str, str]]:
    """An output as a function of the model and its inputs, and what each input is called as an argument of it.

    The function carries the names of the file as far as Python has them, so that explanations show them.
    """
    names = model.required_inputs
    words: dict[str, str] = {}
    for name in names:
        words[name] = _identifier(name, {"model", *words.values()})

    def compute(model: Any, *inputs: Any) -> Any:
        return model.by_name(**dict(zip(names, inputs, strict=True)))[output]

    _name(compute, _identifier(output, set()), words)
    return compute, words


def _name(function: Callable[..., Any], name: str, words: Mapping[str, str]) -> None:
    """Give a function of the model and its inputs its name and those of its arguments."""
    kind = inspect.Parameter.POSITIONAL_ONLY
    function.__name__ = name
    function.__signature__ = inspect.Signature([inspect.Parameter(w, kind) for w in ("model", *words.values())])  # type: ignore[attr-defined]  # read by inspect


def _identifier(name: str, taken: set[str]) -> str:
    """The name, with `_` for signs that no name of Python has."""
    word = re.sub(r"\W", "_", name) or "_"
    word = f"_{word}" if word[0].isdigit() or keyword.iskeyword(word) else word
    while word in taken:
        word += "_"
    return word


# --------------------------------------------------------------------------------------------------- checking
def check_outputs(path: Path, data: str | None, example: bool, rows: int, entries: int) -> tuple[list[Checked], str]:
    """The gradients of a weighted sum of all that a model gives, against central differences; and for what inputs."""
    model = interop.onnx.load(path)
    arrays = _inputs(model, data, example, None, slice(0, rows))
    if not model.parameters():
        raise ArgumentError(
            "the model has no parameters to check",
            expected="a model with floating arrays that have an axis",
            got="none",
        )
    checked = check_objective(lambda wide: _weighted_sum(wide, arrays), model.in_float64(), entries)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    return checked, f"{shapes}, drawn" if example else shapes


def _weighted_sum(model: Any, arrays: Mapping[str, Any]) -> Any:
    """Σ cos(k)·yₖ over all numbers y of all floating outputs: no symmetry of them hides an entry."""
    parts = [
        functions.sum(found * np.cos(np.arange(1.0, found.size + 1)).reshape(found.shape))
        for found in _floating(model.by_name(**arrays)).values()
    ]
    return functions.sum(functions.stack(parts))
