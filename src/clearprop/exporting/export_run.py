"""`cl.export`: a run taken away, as a Python file that needs NumPy alone, as an ONNX file, or as its weights."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten, paths
from clearprop.data.columns import name_list
from clearprop.data.encodings import NumberTarget
from clearprop.data.joint_target import JointTarget
from clearprop.data.preprocessing import Preprocessing
from clearprop.errors import ArgumentError, RunError, checked_call, unknown_name, user_line
from clearprop.exporting.onnx import network_model, run_model
from clearprop.exporting.python_file import Setting, python_file
from clearprop.exporting.step_programs import Tracer
from clearprop.files.atomic import as_path, write_bytes, write_text
from clearprop.nn.losses import has_log_link
from clearprop.nn.module import Module
from clearprop.program.ir import shape_of
from clearprop.program.values import raw
from clearprop.train import ArrayFeed, BlockFeed, Plan, Run, make_objective

SUFFIXES = {"python": ".py", "onnx": ".onnx", "safetensors": ".safetensors"}
"""The ending of the file of each format."""
FORMATS = tuple(SUFFIXES)


@checked_call
def export(target: Any, format: str = "python", path: str | Path | None = None, *, example: Any = None) -> list[Path]:
    """Write a run (or a model, where a form holds no training) so that others read it; returns the files.

    target   a run; for onnx and safetensors also a module of `cl.nn`
    format   "python": one readable file with named layers, forward, backward line by line, the update rule, a training
             loop and its own gradient check; it needs NumPy alone and repeats the run's losses.  Beside it the weights
             (`.safetensors`) and the encoded training rows (`.npz`).  Of a table it takes encoded rows, and its answers
             about numbers are standardised: its first lines tell the formula by which they come to the target's unit
             "onnx": one file that any ONNX runtime computes, raw columns in, class and probabilities or the value out,
             the encoding of training within (operators of ONNX 1.15); of a module its outputs.  Needs the package
             onnx, which `[onnx]` brings
             "safetensors": the weights alone, by parameter path
    path     the file to write, in a folder that exists; if it is not given, `network` with the ending of the format
    example  for onnx, rows such as the network takes: of a module, and of a run on arrays whose data are not at hand

    Raises ArgumentError for an unknown format or a target that the format cannot express, of which it names all parts.

    >>> import clearprop as cl
    >>> [path.name for path in cl.export(cl.nn.mlp([2, 1]), "safetensors", "weights.safetensors")]
    ['weights.safetensors']
    """
    files = files_of(format, path)
    if format != "onnx" and example is not None:
        raise ArgumentError(
            "an example is of rows for an ONNX file",
            expected='format="onnx"',
            got=f"format={format!r}",
            where=user_line(),
            try_="no example",
        )
    if format == "onnx":
        return [_onnx(target, example, files[0])]
    if format == "safetensors":
        model = target.model if isinstance(target, Run) else target
        return [_weights(_parameters(model), files[0])]
    if not isinstance(target, Run):
        raise ArgumentError(
            "a Python file is written of a run",
            expected="a run: the file trains as the run did, on its data",
            got=type(target).__name__,
            where=user_line(),
            try_='cl.export(model, "safetensors"), or cl.export(cl.fit(...))',
        )
    return _python(target, files[0])


def files_of(format: str, path: str | Path | None, name: str = "network") -> list[Path]:
    """The files that an export writes, the one that `path` names first."""
    if not isinstance(format, str) or format not in FORMATS:
        raise unknown_name("export format", str(format), FORMATS, user_line())
    suffix = SUFFIXES[format]
    out = as_path(name.replace("-", "_") + suffix if path is None else path, "path")
    if out.suffix != suffix:
        raise ArgumentError(
            "the file's ending does not fit the format",
            expected=f"a path that ends in {suffix}",
            got=str(out),
            where=user_line(),
        )
    if not out.parent.is_dir():
        raise ArgumentError(
            "the folder does not exist", expected="an existing folder", got=str(out.parent), where=user_line()
        )
    return [out, out.with_suffix(".safetensors"), out.with_suffix(".npz")] if format == "python" else [out]


def _parameters(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    if not isinstance(model, Module):
        raise ArgumentError(
            "only a network has weights",
            expected="a module of cl.nn or a run",
            got=type(model).__name__,
            where=user_line(),
        )
    return {p: np.asarray(raw(v)) for p, v in zip(paths(model), flatten(model)[0], strict=True)}


def _weights(arrays: dict[str, np.ndarray[Any, Any]], path: Path) -> Path:
    from safetensors.numpy import save

    write_bytes(path, save({k: np.ascontiguousarray(v).reshape(v.shape) for k, v in arrays.items()}))
    return path


def _onnx(target: Any, example: Any, path: Path) -> Path:
    if isinstance(target, Run):
        model = run_model(target, example)
    elif isinstance(target, Module) and example is not None:
        model = network_model(target, example)
    else:
        raise ArgumentError(
            "an ONNX file is written of a run, or of a network with an example of its rows",
            expected='a run, or cl.export(model, "onnx", example=x)',
            got=f"{type(target).__name__}" + ("" if isinstance(target, Module) else ", which is no module of cl.nn"),
            where=user_line(),
        )
    _require_numbers(_parameters(target.model if isinstance(target, Run) else target))
    write_bytes(path, model.SerializeToString())
    return path


def _require_numbers(arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """Refuse parameters that are NaN: a runtime would name the first class in every row, without a word."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise RunError(
                "the network answers nothing: its parameters are not all numbers",
                expected="numbers, as training leaves them that did not diverge",
                got=f"NaN in {name}",
                where=user_line(),
                try_='a run that did not diverge; format="safetensors" keeps the parameters as they are',
            )


def _exportable_feed(plan: Plan) -> ArrayFeed:
    """The batches of a run, if a program of its own can make them again.  Raises ArgumentError if not."""
    feed = plan.feed
    if isinstance(feed, BlockFeed):
        raise ArgumentError(
            "a run on streamed data cannot be exported with its data",
            expected="a run on data that fit into memory",
            got=f"{len(feed.rows):,} rows on disk",
            where=user_line(),
            try_="--format safetensors (in Python a path that ends in .safetensors), which holds the network alone",
        )
    if not isinstance(feed, ArrayFeed):
        raise ArgumentError(
            "a run on an iterable of batches cannot be exported",
            expected="a run on arrays or a table",
            got="batches",
            where=user_line(),
        )
    number, name = plan.settings.grad_shards, "grad_shards"
    if plan.settings.buckets > 1:
        number, name = plan.settings.buckets, "buckets"
    if number > 1:
        made = "sums over shards" if name == "grad_shards" else "of sequences of similar lengths"
        raise ArgumentError(
            f"a run whose batches are {made} cannot be exported with its training",
            expected=f"a run with {name} = 1",
            got=f"{name} = {number}",
            where=user_line(),
            try_="--format safetensors (in Python a path that ends in .safetensors), which holds the network alone",
        )
    if feed.weight is not None:
        raise ArgumentError(
            "a run whose rows have weights cannot be exported with its training",
            expected="a run without sample_weight",
            got=f"weights of {len(feed.weight):,} rows",
            where=user_line(),
            try_="--format safetensors (in Python a path that ends in .safetensors), which holds the network alone",
        )
    return feed


def _meaning(run: Run) -> list[str]:
    """What the rows that the network takes are, and what its outputs say, as sentences."""
    fitted = run.preprocessing
    if fitted is None:
        return ["The rows x are those that the network was trained on."]
    rows = f"The rows x are encoded, feature by feature: {name_list(fitted.feature_names, 12)}."
    return [rows, *_answers_text(fitted, run.config.settings.loss), *_choice_text(run)]


def _choice_text(run: Run) -> list[str]:
    """How a class is chosen by the outputs, where it is not the one of the largest."""
    if run.choice is None:
        return []
    if isinstance(run.choice, float):
        return [f"The run chooses {run.class_names[1]} where its probability is above {run.choice:.6g}."]
    table = "; ".join(" ".join(f"{cost:g}" for cost in row) for row in run.choice.of)
    return [f"The run chooses the class j of least Σᵢ pᵢ·Cᵢⱼ, p = softmax(outputs), with the costs C = {table}."]


def _answers_text(fitted: Preprocessing, loss: str) -> list[str]:
    """What the outputs say: logits of classes, or for each target of numbers how it comes to the unit of the data."""
    if fitted.class_names:
        return [f"The outputs are logits of the classes {name_list(fitted.class_names, 12)}."]
    if fitted.label_names:
        return [f"The outputs are logits of the labels {name_list(fitted.label_names, 12)}, each by itself."]
    parts = fitted.target.numbers if isinstance(fitted.target, JointTarget) else (fitted.target,)
    several = len(parts) > 1
    return [
        f"{part.name} = {_formula(part, has_log_link(loss))}, z the output{f' number {k}, from 0' if several else ''}."
        for k, part in enumerate(parts)
        if isinstance(part, NumberTarget)
    ]


def _formula(part: NumberTarget, log: bool) -> str:
    """A target of its output z.

    >>> _formula(NumberTarget("price", 5.0, 2.0), log=False), _formula(NumberTarget("price", 5.0, 2.0), log=True)
    ('2.0·z + 5.0', '5.0·exp(z)')
    """
    if log:
        return f"{part.centre or 1.0!r}·exp(z)"
    straight = f"{part.scale!r}·z + {part.centre!r}"
    known = part.transform
    if known is None:
        return straight
    back = f"exp({straight}) − 1" if known.name == "log" else f"t⁻¹({straight})"
    ends = f"{known.low!r}, {known.high!r}"
    return f"clip({back}, {ends})" + ("" if known.name == "log" else f", t: {known.formula}")


def _python(run: Run, path: Path) -> list[Path]:
    if run.workings is None or run.workings.optimizer is None:
        raise RunError("this run cannot be exported", got="a run without its workings", try_="cl.load(folder)")
    plan, optimizer = run.workings.plan(), run.workings.optimizer
    feed, settings = _exportable_feed(plan), plan.settings
    if optimizer.needs:
        raise ArgumentError(
            "this optimizer cannot be written as an update rule alone",
            expected="an optimizer that needs gradients only",
            got=f"one that needs {', '.join(sorted(optimizer.needs))}",
            where=user_line(),
        )
    begun = run.replay(0)
    tracer = Tracer(begun.model, begun.optimizer, feed.x[:2], feed.y[:2])
    objective = make_objective(plan.loss, (), settings.penalty)
    weights = [p for p, v in begun.model.parameters().items() if len(shape_of(v)) > 1]
    setting = Setting(
        title=f"A network, its gradients and its training ({settings.loss} loss).".replace('"', "'"),
        meaning=_meaning(run),
        optimizer=repr(optimizer),
        version=importlib.metadata.version("clearprop"),
        file=path.name,
        batch=feed.batch_size,
        least=feed.least,
        shuffle=feed.shuffle,
        order=plan.keys.order,
        layers=plan.keys.layers,
        l1=settings.penalty.l1,
        l2=settings.penalty.l2,
        weights=weights,
    )
    text = python_file(setting, tracer.predict(), tracer.gradients(objective), tracer.update(optimizer))
    write_text(path, text)
    arrays = {f"start {k}": v for k, v in _parameters(begun.model).items()}
    state = dict(zip(paths(begun.optimizer), flatten(begun.optimizer)[0], strict=True))
    arrays |= {f"state {k}": np.asarray(raw(v)) for k, v in state.items()}
    arrays |= {f"trained {k}": v for k, v in _parameters(run.model).items()}
    rows = path.with_suffix(".npz")
    np.savez(rows, x=feed.x, y=feed.y)
    return [path, _weights(arrays, path.with_suffix(".safetensors")), rows]
