"""`clearprop explain`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from clearprop.attribution import PredictionExplanation
from clearprop.cli.exit_codes import DONE
from clearprop.cli.onnx_model import (
    DataFile,
    Drawn,
    LossName,
    RunOrModel,
    TargetName,
    is_model,
    open_loss,
    open_output,
    refuse_for_a_model,
    refuse_for_a_run,
)
from clearprop.cli.predict import require_new
from clearprop.errors import ArgumentError, ClearpropError, unknown_name
from clearprop.explanation import Entry, Explanation, Explanations, explain_update
from clearprop.explanation import explain as opened
from clearprop.explanation.printers.terminal import chain_lines, native_text
from clearprop.files.atomic import write_text
from clearprop.train import Run, load

FORMATS = ("text", "latex", "html", "json", "sentences")
_INDEXED = re.compile(r"(?P<name>.*\S)\s*\[(?P<index>\s*-?\d+\s*(?:,\s*-?\d+\s*)*)\]")


def explain(
    run: RunOrModel,
    param: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A parameter, or one entry of it: 'layers[0].weight[3,5]'."),
    ] = None,
    input_: Annotated[
        str | None, typer.Option("--input", metavar="COLUMN", help="An input: how much it matters.")
    ] = None,
    row: Annotated[
        int | None, typer.Option(metavar="N", help="The loss of this row of the data, from 0: its number in the file.")
    ] = None,
    step: Annotated[int | None, typer.Option(metavar="K", help="What this step of the training minimised.")] = None,
    data: DataFile = None,
    example: Drawn = False,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of an ONNX model the output that is opened, or one entry of it: 'y[0,2]'; of a run that predicts "
            "several targets the one of --prediction.",
        ),
    ] = None,
    loss: LossName = None,
    target: TargetName = None,
    top: Annotated[int, typer.Option(metavar="N", help="So many of the largest terms.")] = 8,
    paths: Annotated[int, typer.Option(metavar="N", help="So many of the largest whole paths, too.")] = 0,
    native: Annotated[bool, typer.Option("--native", help="Compare with the compiled step, for --step.")] = False,
    prediction: Annotated[
        bool, typer.Option("--prediction", help="Open the prediction for --row N: what each column adds to it.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Open the update Δw of one weight in step K instead of its gradient.")
    ] = False,
    format_: Annotated[str, typer.Option("--format", metavar="FORM", help=", ".join(FORMATS))] = "text",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write a file instead of stdout.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace FILE if it exists.")] = False,
) -> int:
    """Open a gradient of a run: terms, factors, rules and numbers, summed and checked.

    Without `--row` and `--step` it is the gradient of the loss over all training rows, at the run's model; `--step`
    replays the training up to that step.  Without `--param` and `--input` the gradients of all parameters are listed.
    `--prediction` opens what the model says of a row instead: a sum over the columns, in the target's unit.

    Of an ONNX model it is the gradient of one number that the model gives: that of `--output`, or the largest one; or
    with `--loss` and `--target` that of a loss of its output.

    **Examples**

    * `clearprop explain runs/iris-1`

    * `clearprop explain runs/iris-1 --param 'layers[0].weight[2,5]'`

    * `clearprop explain runs/iris-1 --input 'petal width' --row 3`

    * `clearprop explain runs/iris-1 --param 'layers[0].bias[1]' --step 40 --format html -o why.html`

    * `clearprop explain runs/iris-1 --param 'layers[0].bias[1]' --step 40 --update`

    * `clearprop explain runs/iris-1 --row 3 --prediction`

    * `clearprop explain runs/sizes-1 --row 3 --prediction --output height`

    * `clearprop explain model.onnx --data images.npz --row 3 --output 'logits[0,7]' --param 'conv1.weight[0,0,1,1]'`

    * `clearprop explain model.onnx --data images.npz --loss cross_entropy --target labels`

    * `clearprop explain model.onnx --example --input image`
    """
    _check(param, input_, top, paths, format_, native and step is None)
    if out is not None and not overwrite:
        require_new(out)
    if is_model(run):
        refuse_for_a_model({"--step": step, "--prediction": prediction or None, "--update": update or None})
        title, found = _open_model(run, output, param, input_, (data, example, row), (loss, target))
        _write(_titled_text(title, found, format_, top, paths, False), out)
        return DONE
    refuse_for_a_run(data, example, output=None if prediction else output, loss=loss, target=target)
    if prediction:
        _require_a_row(row, {"--param": param, "--input": input_, "--step": step, "--update": update or None}, format_)
        found_sum = _prediction(load(run), row, output)
        text = found_sum._repr_html_() if format_ == "html" else repr(found_sum)
        _write(text, out)
        return DONE
    if update:
        typer.echo(_update(load(run), param, step))
        return DONE
    title, found = _open_entries(load(run), param, input_, row, step)
    _write(_titled_text(title, found, format_, top, paths, native), out)
    return DONE


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text)
    else:
        write_text(out, text + "\n")


def _require_a_row(row: int | None, others: Mapping[str, Any], format_: str) -> None:
    """Raise ArgumentError for what does not go together with a prediction."""
    given = [name for name, value in others.items() if value is not None]
    if row is None or given or format_ not in ("text", "html"):
        raise ArgumentError(
            "a prediction is that of one row",
            expected="--prediction with --row N, perhaps with --format html",
            got="no --row" if row is None else given[0] if given else f"--format {format_}",
            where="--prediction",
            try_="--row 3 --prediction",
        )


def _prediction(run: Run, row: int | None, output: str | None) -> PredictionExplanation:
    """The prediction for a row of the run's data, as a sum over the columns."""
    try:
        return run.explain_prediction(row, output=output)
    except ClearpropError as mistake:
        raise _at_option(mistake, None, None, row, None) from None


def _check(param: str | None, input_: str | None, top: int, paths: int, format_: str, no_step: bool) -> None:

    if format_ not in FORMATS:
        raise unknown_name("format", format_, FORMATS, "--format")
    if param is not None and input_ is not None:
        raise ArgumentError(
            "one thing is explained at a time",
            expected="--param or --input",
            got=f"--param {param} and --input {input_}",
            where="--input",
        )
    if no_step:
        raise ArgumentError(
            "only a step of the training was run by compiled code",
            expected="--step with --native",
            got="--native alone",
            where="--native",
            try_="--step 1",
        )
    for option, number, least in (("--top", top, 1), ("--paths", paths, 0)):
        if number < least:
            raise ArgumentError(
                f"{option} cannot be {number}",
                expected=f"a whole number, {least} or more",
                got=str(number),
                where=option,
            )


def _open_entries(
    run: Any, param: str | None, input_: str | None, row: int | None, step: int | None
) -> tuple[str, Entry | Explanation | Explanations]:
    """What the options ask for, and what it is the gradient of."""
    name, index = _split_index(param or input_ or "model")
    try:
        found = opened(run, name, row=row, step=step)
        if isinstance(found, Explanations):
            return found[next(iter(found))].where, found
        return found.where, found if index is None else found[index]
    except ClearpropError as mistake:
        raise _at_option(mistake, param, input_, row, step) from None


def _open_model(
    path: Path,
    output: str | None,
    param: str | None,
    input_: str | None,
    inputs: tuple[str | None, bool, int | None],
    loss: tuple[str | None, str | None],
) -> tuple[str, Entry | Explanation | Explanations]:
    """What the options ask of an ONNX model, and which number it is the gradient of."""
    name, index = _split_index(param or input_ or "")
    wanted = (name if param else None), (name if input_ else None)
    if loss == (None, None):
        title, found = open_output(path, _split_index(output) if output else (None, None), wanted, inputs)
    else:
        title, found = open_loss(path, output, wanted, inputs, loss)
    try:
        return title, found if index is None or isinstance(found, Explanations) else found[index]
    except ClearpropError as mistake:
        raise _at_option(mistake, param, input_, None, None) from None


def _update(run: Any, param: str | None, step: int | None) -> str:
    """The parts of the update of one weight."""
    name, index = _split_index(param or "")
    if index is None or step is None:
        raise ArgumentError(
            "an update is that of one weight in one step",
            expected="--param with an index, and --step",
            got=f"--param {param}" if step is not None else "no --step",
            where="--update",
            try_="--param 'layers[0].weight[3,5]' --step 1 --update",
        )
    try:
        return str(explain_update(run, name, index, step))
    except ClearpropError as mistake:
        raise _at_option(mistake, param, None, None, step) from None


def _at_option(mistake: Any, param: str | None, input_: str | None, row: int | None, step: int | None) -> Any:
    """The same mistake, with the option as its place instead of a line of code."""
    options = {"step": step, "row": row, "param": param, "input": input_}
    given = {name: value for name, value in options.items() if value is not None}
    meant = [n for n in ("step", "row") if f"such {n}" in mistake.headline]
    name = next((n for n in [*meant, "param", "input"] if n in given), None)
    where = f"--{name} {given[name]}" if name else mistake.where
    parts = {
        "expected": mistake.expected,
        "got": mistake.got,
        "try_": mistake.try_.replace("step=", "--step ").replace("row=", "--row "),
    }
    return type(mistake)(mistake.headline, where=where, **parts)


def _split_index(text: str) -> tuple[str, tuple[int, ...] | None]:
    """A name, and the index behind it: `layers[0].weight[3,5]`."""
    found = _INDEXED.fullmatch(text)
    if found is None:
        return text, None
    return found["name"], tuple(int(part) for part in found["index"].split(","))


def _titled_text(
    title: str, found: Entry | Explanation | Explanations, format_: str, top: int, paths: int, native: bool
) -> str:
    """The text, under a line that says what is differentiated."""
    text = _form_text(found, format_, top, paths, native)
    return f"{title}\n{text}" if format_ == "text" and not text.startswith(title) else text


def _form_text(found: Entry | Explanation | Explanations, format_: str, top: int, paths: int, native: bool) -> str:
    """The text of the file, or of the terminal."""
    # Three kinds of answer meet two kinds of form: a list of all has only text, and only an entry has paths.
    if isinstance(found, Explanations):
        if format_ != "text":
            raise ArgumentError(
                f"--format {format_} needs one parameter or input",
                expected="--param or --input",
                got="neither",
                where="--format",
                try_=f"--param '{next(iter(found.parts))}'",
            )
        return str(found)
    shown = found.show(top) if isinstance(found, Entry) else found
    text = str(shown) if format_ == "text" else str(getattr(shown, format_)())
    if paths and format_ == "text" and isinstance(shown, Entry):
        whole = [line for path in shown.paths(paths) for line in chain_lines("    ", path)]
        text = "\n".join(
            [text, "the largest whole path:" if paths == 1 else f"the {paths} largest whole paths:", *whole]
        )
    if native and format_ == "text" and isinstance(shown, Entry):
        text = f"{text}\n    {native_text(shown)}"
    return text
