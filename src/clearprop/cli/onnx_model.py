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

from clearprop import interop
from clearprop.arrays import Tensor, functions
from clearprop.cli.standard_input import given_data
from clearprop.errors import ArgumentError, unknown_name
from clearprop.explanation import Explanation, Explanations, explain_function
from clearprop.files.presence import is_file
from clearprop.notation.symbols import MINUS
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


def is_model(path: Path) -> bool:
    """Whether a path means a model: a file, or what is called as one."""
    return path.suffix.lower() == ".onnx" or is_file(path)


def refuse_for_a_run(data: str | None, example: bool, output: str | None = None) -> None:
    """Raise ArgumentError for options that only a model has."""
    given = {"--data": data, "--example": example or None, "--output": output}
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
    parameter, column = wanted
    if column is not None and column not in words:
        raise unknown_name("input of the model", column, words, "--input")
    if parameter is not None and parameter not in model.parameters():
        raise unknown_name("parameter of the model", parameter, model.parameters(), "--param")
    wrt = parameter or (words[column] if column is not None else "model")
    place = f"[{','.join(map(str, index))}]" if index else ""
    seen = "drawn numbers" if example else f"{data}" if row is None else f"row {row} of {data}"
    title = f"{name}{place} = {value:.6g} of {path}, for {seen}".replace("= -", f"= {MINUS}")
    return title, explain_function(function, wrt, (model, *arrays.values()), index or None, title)


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
    if not floating:
        raise ArgumentError(
            "the model gives no floating numbers", expected="an output that has a derivative", got="none"
        )
    if name is not None and name not in floating:
        raise unknown_name("floating output of the model", name, floating, "--output")
    chosen = name or next(iter(floating))
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

    kind = inspect.Parameter.POSITIONAL_ONLY
    compute.__name__ = _identifier(output, set())
    compute.__signature__ = inspect.Signature([inspect.Parameter(w, kind) for w in ("model", *words.values())])  # type: ignore[attr-defined]  # read by inspect
    return compute, words


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
