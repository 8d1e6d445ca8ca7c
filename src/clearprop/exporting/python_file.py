"""The Python file: prediction, gradients line by line, the update rule, a training loop and a gradient check.

Its functions are the compiled step's NumPy source, arranged for reading; the parts that never change stand in the
template below.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clearprop.compiler import NumpySource, closed_helpers, helper_source
from clearprop.errors import ArgumentError, printable, user_line
from clearprop.exporting.rule_text import rule_source
from clearprop.exporting.step_programs import StepProgram
from clearprop.primitives import HELPERS, REGISTRY
from clearprop.program.ir import Equation
from clearprop.program.values import raw

_TEMPLATE = '''"""{title}

{meaning}

Written by clearprop {version}; it needs NumPy alone.

    python {file}                checks its own gradients, then repeats the first steps of the run
    python {file} --steps 500    repeats more of them

Beside it: {stem}.safetensors (the weights and the optimizer's state at the start, and the trained weights) and
{stem}.npz (the encoded training rows).  h_bar is the gradient of the loss with respect to h.
"""

import argparse
import json
from pathlib import Path

import numpy as np

BATCH = {batch}
LEAST = {least}
SHUFFLE = {shuffle}
ORDER_KEY = np.array({order}, np.uint32)
LAYERS_KEY = np.array({layers}, np.uint32)
float_type = np.float32  # where the network is float32; gradients are checked in float64


{helpers}


# ------------------------------------------------------------------------------------------------ the network
{predict}


{gradients}


{update}


# ----------------------------------------------------------------------------------------------------- training
def train(parameters, state, x, y, steps):
    """Train by mini-batches; yields (step, loss) before each update, and changes nothing it was given."""
    step, epoch = 0, 0
    while step < steps:
        rows = permutation(fold_in(ORDER_KEY, epoch), len(x)) if SHUFFLE else np.arange(len(x))
        starts = range(0, max(len(rows) - LEAST + 1, 1), BATCH)  # a rest of fewer rows joins the batch before it
        for start in starts:
            batch = rows[start : None if start == starts[-1] else start + BATCH]
            rng = fold_in(LAYERS_KEY, step)
            loss, gradients, new = loss_and_gradients(parameters, x[batch], y[batch], rng)
            parameters, state = update({{**parameters, **new}}, gradients, state)
            step += 1
            yield step, float(loss), parameters, state
            if step == steps:
                return
        epoch += 1


def permutation(key, n):
    """The numbers 0 … n − 1 in the random order that belongs to a key."""
    words = random_bits(key, (2, n)).astype(np.uint64)
    return np.argsort((words[0] << np.uint64(32)) | words[1], kind="stable")


def check_gradients(parameters, x, y, entries=5):
    """The largest difference from the central difference, in float64, relative to the parameter's largest gradient.

    A parameter whose gradients are all below a thousandth of the largest of all is measured by that.
    """
    global float_type
    run_type, float_type = float_type, np.float64
    parameters = {{k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in parameters.items()}}
    x = x.astype(np.float64) if x.dtype.kind == "f" else x
    y = y.astype(np.float64) if y.dtype.kind == "f" else y
    _, gradients, _ = loss_and_gradients(parameters, x, y, LAYERS_KEY)
    worst, largest = 0.0, max(np.abs(gradient).max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        flat = np.abs(gradient).ravel()
        for at in np.argsort(-flat)[:entries]:
            index, h = np.unravel_index(at, gradient.shape), 1e-6
            sides = []
            for sign in (1, -1):
                moved = parameters[name].copy()
                moved[index] += sign * h
                sides.append(penalised(loss_and_gradients, {{**parameters, name: moved}}, x, y))
            numeric = (sides[0] - sides[1]) / (2 * h)
            worst = max(worst, abs(numeric - gradient[index]) / max(flat.max(), 1e-3 * largest))
    float_type = run_type
    return worst


def penalised(function, parameters, x, y):
    """The loss with the penalty on the weights, which is what the gradients belong to."""
    value = float(function(parameters, x, y, LAYERS_KEY)[0])
    weights = [v for k, v in parameters.items() if k in WEIGHTS]
    return value + {l1} * sum(np.abs(w).sum() for w in weights) + {l2} * sum(np.square(w).sum() for w in weights)


WEIGHTS = {weights}


# -------------------------------------------------------------------------------------------------------- files
def read_safetensors(path):
    """The arrays of a safetensors file, by name: a JSON header, then the bytes."""
    data = Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    kinds = {{"F32": "f4", "F64": "f8", "I64": "i8", "I32": "i4", "U32": "u4", "BOOL": "?"}}
    arrays = {{}}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            raw = data[8 + size + first : 8 + size + last]
            arrays[name] = np.frombuffer(raw, kinds[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def start(path):
    """Parameters and optimizer state with which the run began."""
    arrays = read_safetensors(path)
    parts = {{k: {{n.removeprefix(k): v for n, v in arrays.items() if n.startswith(k)}} for k in ("start ", "state ")}}
    return parts["start "], parts["state "]


def main():
    """Check the gradients, then repeat the first steps of the run."""
    here = Path(__file__)
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--steps", type=int, default=50)
    steps = arguments.parse_args().steps
    with np.load(here.with_suffix(".npz")) as data:
        x, y = data["x"], data["y"]
    parameters, state = start(here.with_suffix(".safetensors"))
    worst = check_gradients(parameters, x[:32], y[:32])
    print(f"gradients against central differences in float64: largest relative difference {{worst:.1e}}")
    for step, loss, parameters, state in train(parameters, state, x, y, steps):
        print(f"step {{step}}  loss {{loss:.7g}}")


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        main()
'''


LARGEST_CONSTANT = 10_000
"""The most numbers of an array that is written into the file."""


@dataclass(frozen=True)
class Setting:
    """What the run fixed beside its functions."""

    title: str
    meaning: Sequence[str]
    optimizer: str
    version: str
    file: str
    batch: int
    least: int
    shuffle: bool
    order: tuple[int, ...]
    layers: tuple[int, ...]
    l1: float
    l2: float
    weights: list[str]


def python_file(setting: Setting, predict: StepProgram, gradients: StepProgram, update: StepProgram) -> str:
    """The text of the file."""
    printed = {name: NumpySource(part.program, name) for name, part in _function_names(predict, gradients, update)}
    bodies = {name: source.body(_headings()) for name, source in printed.items()}
    helpers = {"random_bits": HELPERS["random_bits"], "fold_in": HELPERS["fold_in"]}
    for source in printed.values():
        helpers |= source.helpers
    return _TEMPLATE.format(
        title=_in_docstring(setting.title),
        meaning="\n".join(line for told in setting.meaning for line in textwrap.wrap(_in_docstring(told), 110)),
        version=setting.version,
        file=_in_docstring(setting.file),
        stem=_in_docstring(setting.file.removesuffix(".py")),
        batch=setting.batch,
        least=setting.least,
        shuffle=setting.shuffle,
        order=list(setting.order),
        layers=list(setting.layers),
        l1=setting.l1,
        l2=setting.l2,
        weights=repr(setting.weights),
        helpers="\n\n\n".join(helper_source(f) for f in closed_helpers(helpers)),
        predict=_function(
            printed["predict"], bodies["predict"], predict, "parameters, x", "The network's outputs for rows x."
        ),
        gradients=_gradients(printed["loss_and_gradients"], bodies["loss_and_gradients"], gradients),
        update=_update(printed["update"], bodies["update"], update, setting.optimizer),
    )


def _function_names(predict: StepProgram, gradients: StepProgram, update: StepProgram) -> list[tuple[str, StepProgram]]:
    return [("predict", predict), ("loss_and_gradients", gradients), ("update", update)]


def _headings() -> Callable[[Equation], str]:
    """Above each run of lines that come from one rule: what the rule says."""
    last = [""]

    def heading(eq: Equation) -> str:
        if eq.rule == last[0]:
            return ""
        last[0] = eq.rule
        p = REGISTRY.get(eq.rule)
        if p is None:
            return ""
        rules = [f"{o}_bar = {rule_source(p, o)}" for o in p.operands if rule_source(p, o)]
        return f"{p.name}({', '.join(p.operands)}), g = y_bar:  " + ";  ".join(rules)

    return heading


def _unpacking_lines(source: NumpySource, part: StepProgram, places: Sequence[tuple[str, str]]) -> list[str]:
    """Lines that give the program's inputs their names, from the dictionaries in which they come."""
    lines = []
    for var, name in zip(source.program.arguments, part.inputs, strict=True):
        for prefix, dictionary in places:
            if name.startswith(prefix) and name not in ("x", "y", "rng"):
                lines.append(f"    {source.names[var]} = {dictionary}[{_quote(name.removeprefix(prefix))}]")
                break
    return [*lines, *_constant_lines(source)]


def _constant_lines(source: NumpySource) -> Iterator[str]:
    """Lines that give the arrays of the surrounding code, such as the weights of classes, their names."""
    program = source.program
    for var, value in zip(program.inputs[len(program.arguments) :], program.captured, strict=True):
        array = np.asarray(raw(value))
        if array.size > LARGEST_CONSTANT:
            raise ArgumentError(
                "an array that the loss or the network uses is too large for a Python file",
                expected=f"at most {LARGEST_CONSTANT:,} numbers",
                got=f"{array.size:,}",
                where=user_line(),
                try_="cl.export(run, 'safetensors'), which holds the network's weights",
            )
        yield f"    {source.names[var]} = np.array({array.tolist()}, np.{array.dtype.name})"


def _function(source: NumpySource, body: Sequence[str], part: StepProgram, arguments: str, doc: str) -> str:
    head = [f"def {source.name}({arguments}):", f'    """{doc}"""']
    return "\n".join(
        [*head, *_unpacking_lines(source, part, [("", "parameters")]), *body, f"    return {source.results()[0]}"]
    )


def _gradients(source: NumpySource, body: Sequence[str], part: StepProgram) -> str:
    head = [
        "def loss_and_gradients(parameters, x, y, rng):",
        '    """The loss, its gradients by parameter, and renewed statistics; rng is for random layers."""',
    ]
    results = dict(zip(part.outputs, source.results(), strict=True))
    gradients = _dictionary("gradient ", results)
    renewed = _dictionary("new ", results)
    last = f"    return {results['loss']}, {gradients}, {renewed}"
    text = "\n".join([*head, *_unpacking_lines(source, part, [("", "parameters")]), *body, last])
    return re.sub(r"(?<!view\()np\.float32\b", "float_type", text)  # of as many letters: comments stay where they are


def _update(source: NumpySource, body: Sequence[str], part: StepProgram, optimizer: str) -> str:
    rule = textwrap.wrap(_in_docstring(optimizer), 100, initial_indent="    ", subsequent_indent="        ")
    head = [
        "def update(parameters, gradients, state):",
        '    """New parameters and state of the optimizer:',
        "",
        *rule,
        '    """',
    ]
    places = [("gradient ", "gradients"), ("state ", "state"), ("", "parameters")]
    results = dict(zip(part.outputs, source.results(), strict=True))
    changed, state = _dictionary("new ", results), _dictionary("state ", results)
    last = f"    return {{**parameters, **{changed}}}, {state}"
    return "\n".join([*head, *_unpacking_lines(source, part, places), *body, last])


def _in_docstring(text: str) -> str:
    """A name of the user's inside the file's prose: it can neither end the docstring nor be an escape in it."""
    return printable(text).replace("\\", "\\\\").replace('"', "'")


def _quote(text: str) -> str:
    """A name of the user's as a literal of Python, in the double quotes of the file."""
    return printable(json.dumps(text, ensure_ascii=False))


def _dictionary(prefix: str, results: dict[str, str]) -> str:
    entries = [f"        {_quote(k.removeprefix(prefix))}: {v}," for k, v in results.items() if k.startswith(prefix)]
    return "{\n" + "\n".join(entries) + "\n    }" if entries else "{}"
