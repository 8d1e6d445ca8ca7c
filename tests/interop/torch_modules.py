"""Modules of PyTorch, and what PyTorch gives for them, recorded: so the table is tested where PyTorch is not.

`python -m tests.interop.torch_modules PACKAGES` records them all; PACKAGES is the site-packages folder of an
environment that has PyTorch, such as `.bench/lib/python3.11/site-packages`.  With `float32` or `float64` behind it, the
modules are compared live; with `page`, the page of the documentation is run.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.interop.torch.graph import TorchGraph, from_json, to_json
from clearprop.interop.torch.operators import OPERATORS

FOLDER = Path(__file__).parents[1] / "fixtures" / "torch_graphs"


def draw(name: str, shape: Any) -> np.ndarray:
    """Numbers that hang on the name alone, so that nothing but names is kept of them."""
    return np.random.default_rng(zlib.crc32(name.encode())).uniform(-1.2, 1.2, tuple(shape))


def values() -> dict[str, np.ndarray]:
    """The arrays that expressions are of."""
    floats = {
        "x": (3, 4),
        "y": (3, 4),
        "v": (4,),
        "v4": (4,),
        "w": (4, 8),
        "r": (4, 4),
        "state": (1, 2, 4),
        "v3": (3,),
        "v5": (5,),
        "v6": (6,),
        "m": (4, 5),
    }
    floats |= {"sequence": (2, 3, 8), "image": (2, 3, 6, 6), "heads": (2, 2, 3, 4), "bias": (3, 3)}
    floats |= {"kernel1": (6, 3, 3), "kernel2": (4, 3, 3, 2), "kernel3": (2, 2, 2, 2, 2), "depthwise": (3, 1, 2, 2)}
    floats |= {"kernelt": (3, 2, 4)}
    arrays: dict[str, np.ndarray] = {name: draw(name, shape) for name, shape in floats.items()}
    arrays |= {"p": np.abs(draw("p", (3, 4))) + 0.3, "u": draw("u", (3, 4)) * 0.7}
    arrays |= {name: np.abs(draw(name, shape) * 10).astype(int) % 4 for name, shape in (("i", (3, 4)), ("flat", (6,)))}
    arrays |= {"k": np.array([2, 0]), "offsets": np.array([0, 2, 2])}
    return arrays | {name: draw(name, (3, 4)) > 0 for name in "cd"} | {"seen": np.tril(np.ones((3, 3), bool))}


def free_names(expression: str) -> list[str]:
    """The arrays that an expression is of, in the order of `values()`."""
    words = set(re.findall(r"(?<![\w.\"])([a-z]\w*)\b(?!=[^=])", expression))
    return [name for name in values() if name in words]


# -------------------------------------------------------------------------------------------------- what is compared
def weights(shapes: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a module: variances are positive, counters 0."""
    drawn = {name: 0.5 * draw(name, shape) for name, (_, shape) in shapes.items()}
    drawn |= {name: np.abs(a) + 0.5 for name, a in drawn.items() if name.endswith("running_var")}
    return {
        name: np.asarray(a if dtype.startswith("float") else np.zeros(a.shape), dtype)
        for (name, (dtype, _)), a in zip(shapes.items(), drawn.values(), strict=True)
    }


def record(torch: Any, module: Any, inputs: list[np.ndarray], dtype: str) -> dict[str, Any]:
    """What PyTorch gives: outputs, gradients of their sum with drawn factors, and buffers after a training pass."""
    from clearprop.interop.torch.reading import read_module

    kind = getattr(torch, dtype)
    module = module.to(kind)
    shapes = {name: (str(a.dtype).removeprefix("torch."), list(a.shape)) for name, a in module.state_dict().items()}
    module.load_state_dict({name: torch.from_numpy(a) for name, a in weights(shapes).items()})
    tensors = [torch.from_numpy(a) for a in inputs]
    tensors = [t.to(kind).requires_grad_() if t.is_floating_point() else t for t in tensors]
    read = read_module(module, tuple(t.detach() for t in tensors))
    out = module(*tensors)
    outs = list(out) if isinstance(out, (tuple, list)) else [out]
    sum((o * torch.from_numpy(draw(f"factors {n}", o.shape)).to(kind)).sum() for n, o in enumerate(outs)).backward()
    leaves = {**dict(module.named_parameters()), **{str(n): t for n, t in enumerate(tensors) if t.requires_grad}}
    return {
        "graph": read.graph,
        "shapes": shapes,
        "constants": {k: a.tolist() for k, a in read.arrays.items() if k not in shapes},
        "train": module.training,
        "outputs": [o.detach().numpy() for o in outs],
        "gradients": {n: np.zeros(t.shape) if t.grad is None else t.grad.numpy() for n, t in leaves.items()},
        "buffers": {name: b.numpy() for name, b in module.named_buffers()} if module.training else {},
    }


def compute(known: dict[str, Any], inputs: list[np.ndarray], dtype: str) -> dict[str, Any]:
    """What clearprop gives for the same graph, in the same form."""
    import clearprop as cl
    from clearprop.interop.torch.model import model_of

    constants = {k: np.asarray(a) for k, a in known["constants"].items()}
    arrays = {k: a.astype(dtype) if a.dtype.kind == "f" else a for k, a in weights(known["shapes"]).items()}
    constants = {k: a.astype("float32" if a.dtype.kind == "f" else a.dtype) for k, a in constants.items()}
    model = model_of(known["graph"], {**arrays, **constants})
    given = [a.astype(dtype) if a.dtype.kind == "f" else a for a in inputs]
    floating = [n for n, a in enumerate(given) if a.dtype.kind == "f"]

    def loss(model: Any, *given: Any) -> Any:
        out, after = cl.nn.apply(model, *given, train=known["train"], rng=0)
        outs = out if isinstance(out, tuple) else (out,)
        factors = [draw(f"factors {n}", o.shape).astype(dtype) for n, o in enumerate(outs)]
        return cl.sum(cl.stack([cl.sum(o * f) for o, f in zip(outs, factors, strict=True)])), (outs, after)

    chosen = [*([0] if model.parameters() else []), *[n + 1 for n in floating]]
    grads, (outs, after) = cl.grad(loss, argnums=chosen, has_aux=True)(model, *given)
    found = dict(grads[0].parameters()) if model.parameters() else {}
    found |= dict(zip(map(str, floating), grads[len(grads) - len(floating) :], strict=True))
    return {
        "outputs": [np.asarray(o) for o in outs],
        "gradients": {name: np.asarray(g) for name, g in found.items()},
        "buffers": {name: np.asarray(after.arrays()[name]) for name in known["buffers"]},
    }


def worst(known: dict[str, Any], found: dict[str, Any]) -> float:
    """The largest difference between what is known and what was found, by the larger of 1 and the largest number."""

    def gap(a: Any, b: Any) -> float:
        a, b = np.asarray(a, float), np.asarray(b, float)
        assert a.shape == b.shape, (a.shape, b.shape)
        return float(np.max(np.abs(a - b), initial=0.0) / max(1.0, np.max(np.abs(a), initial=0.0)))

    pairs = list(zip(known["outputs"], found["outputs"], strict=True))
    for part in ("gradients", "buffers"):
        assert known[part].keys() == found[part].keys()
        pairs += [(known[part][name], found[part][name]) for name in known[part]]
    return max(gap(a, b) for a, b in pairs)


# ------------------------------------------------------------------------------------------------------- the record
def in_short_form(name: str, array: Any) -> list[float]:
    """Three numbers in place of an array: no error leaves all of them as they are."""
    flat = np.asarray(array, float).ravel()
    return [float(flat @ draw(f"{name} {n}", flat.shape)) for n in range(3)]


def in_short(result: dict[str, Any]) -> dict[str, Any]:
    """A result with its arrays in_short_form."""
    parts: dict[str, Any] = {"outputs": [in_short_form("output", a) for a in result["outputs"]]}
    for part in ("gradients", "buffers"):
        parts[part] = {name: in_short_form(name, a) for name, a in result[part].items()}
    return parts


def read_records(name: str) -> dict[str, dict[str, Any]]:
    """The records of a file by what they are of."""
    told = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return {what: {**known, "graph": from_json(json.dumps(known["graph"]))} for what, known in told.items()}


def write_records(name: str, records: dict[str, dict[str, Any]]) -> None:
    """Keep records, one a line."""
    lines = []
    for what, known in records.items():
        graph: TorchGraph = known["graph"]
        kept = {**known, **in_short(known), "graph": json.loads(to_json(graph))}
        lines.append(f"{json.dumps(what)}: {json.dumps(kept, separators=(',', ':'))}")
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def expression_module(torch: Any, expression: str) -> tuple[Any, list[np.ndarray]]:
    """A module without parameters that computes an expression of its inputs."""
    names = free_names(expression)
    function = eval(f"lambda {', '.join(names)}: {expression}", {"torch": torch, "F": torch.nn.functional})

    class Expression(torch.nn.Module):  # type: ignore[misc]  # known where this runs
        def forward(self, *inputs: Any) -> Any:
            return function(*inputs)

    return Expression(), [values()[name] for name in names]


def expressions() -> list[str]:
    """What is computed of `values()`, one graph a line."""
    return (FOLDER / "expressions.txt").read_text(encoding="utf-8").splitlines()


def everything(torch: Any, dtype: str) -> dict[str, dict[str, dict[str, Any]]]:
    """All records, by file and by what they are of."""
    from tests.interop.torch_zoo import zoo

    found: dict[str, dict[str, Any]] = {"modules": {}, "expressions": {}}
    for name, (module, inputs) in zoo(torch).items():
        found["modules"][name] = record(torch, module, inputs, dtype)
    for expression in expressions():
        found["expressions"][expression] = record(torch, *expression_module(torch, expression), dtype)
    return found


def table_rows() -> list[str]:
    """The table of operators as the page shows it, a row for each family."""
    families: dict[str, list[str]] = {}
    for name, entry in OPERATORS.items():
        if not name.startswith("python."):
            families.setdefault(entry.compute.__module__.rpartition(".")[2], []).append(name.partition(".")[0])
    return [f"| {family} | {', '.join(f'`{n}`' for n in dict.fromkeys(names))} |" for family, names in families.items()]


def main(packages: str, *dtypes: str) -> None:
    """Record all, run the page, or say for each module by how much ours differ."""
    sys.path.append(packages)
    import torch

    if dtypes == ("page",):
        from tests.docs.pages import ROOT, run_page

        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            run_page(ROOT / "docs" / "pytorch-models.md")
        return
    if not dtypes:
        for name, records in everything(torch, "float64").items():
            write_records(name, records)
    for dtype in dtypes:
        from tests.interop.torch_zoo import zoo

        for name, (module, inputs) in zoo(torch).items():
            known = record(torch, module, inputs, dtype)
            print(json.dumps([dtype, name, worst(known, compute(known, inputs, dtype))]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
