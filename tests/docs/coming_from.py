"""What the pages for those who come from other libraries say: their rows, and what both sides of a row give.

`python -m tests.docs.coming_from` prints how many functions of each library ours express in one call.  As a script
`coming_from.py pytorch` (or `jax`) prints what that library gives, as JSON, and `coming_from.py derivatives` PyTorch's
derivatives; it needs no clearprop, so that it can run where they are.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PAGES = Path(__file__).parents[2] / "docs" / "coming-from"


class Row(NamedTuple):
    theirs: str
    ours: str
    compared: bool


def rows(name: str) -> list[Row]:
    """The rows of a library's pages, in order."""
    found, compared = [], True
    for line in "".join(page.read_text(encoding="utf-8") for page in sorted(PAGES.glob(f"{name}*.md"))).splitlines():
        if line.startswith("## "):
            compared = "(not compared)" not in line
        row = re.fullmatch(r"\| `(.*)` \| `(.*)` \|", line)
        if row:
            found.append(Row(row[1], row[2], compared))
    return found


def libraries() -> set[str]:
    """The libraries that have pages."""
    return {page.stem.partition("-")[0] for page in PAGES.glob("*.md")}


def functions(name: str) -> set[str]:
    """Their functions that the pages of a library name, each once."""
    return {found[0] for row in rows(name) if (found := re.match(r"[A-Za-z_][\w.]*", row.theirs))}


def values() -> dict[str, np.ndarray]:
    """The arrays that the rows are about."""
    rng = np.random.default_rng(0)
    m = rng.uniform(-1, 1, (3, 3)) + 3 * np.eye(3)
    return {
        **{name: rng.uniform(-2, 2, (2, 3)) for name in "xy"},
        "p": rng.uniform(0.5, 3, (2, 3)),
        "u": rng.uniform(0.1, 0.9, (2, 3)),
        **{name: rng.uniform(-1, 1, 3) for name in "vw"},
        "m": m,
        "s": m @ m.T,
        "q": np.stack([m, m @ m]),
        **{name: rng.integers(0, 4, (2, 3)) for name in "ij"},
        **{name: rng.random((2, 3)) < 0.5 for name in "cd"},
        "k": np.array([0, 2]),
        "k3": np.array([0, 1, 0]),
        "e": np.array([0, 1]),
        "o": np.array([[0], [2]]),
        "labels": np.array([0, 2]),
    }


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    """What an expression gives, as nested lists of numbers, complex ones as pairs; what writes gives None."""
    if re.search(r"[^=!<>]=[^=]", expression.split("(")[0].split("]")[-1]):
        return None
    found = eval(expression, dict(names))
    if isinstance(found, bool):
        return found
    array = np.asarray(found.resolve_conj() if hasattr(found, "resolve_conj") else found)
    return (np.stack([array.real, array.imag], -1) if array.dtype.kind == "c" else array).tolist()


def pytorch() -> dict[str, Any]:
    import torch
    import torch.nn.functional

    names = {k: torch.from_numpy(v) for k, v in values().items()}
    names |= {"torch": torch, "F": torch.nn.functional}
    torch.set_default_dtype(torch.float64)
    return {row.theirs: evaluate(row.theirs, names) for row in rows("pytorch") if row.compared}


def jax() -> dict[str, Any]:
    import jax

    jax.config.update("jax_enable_x64", True)
    names = {**{k: jax.numpy.asarray(v) for k, v in values().items()}, "jax": jax, "jnp": jax.numpy, "np": np}
    return {row.theirs: evaluate(row.theirs, names) for row in rows("jax") if row.compared}


def arguments(expression: str) -> list[str]:
    """The arrays of numbers that an expression names: what it is differentiated by."""
    known = values()
    named = dict.fromkeys(re.findall(r"(?<![.\w])[a-z]\w*(?![\w(=])", expression))
    return [n for n in named if n in known and known[n].dtype.kind == "f"]


def wave(shape: Sequence[int], phase: float) -> np.ndarray:
    """Weights of outputs and directions of second derivatives: numbers without a pattern, none of them small."""
    return np.asarray(1.5 + np.cos(np.arange(int(np.prod(shape))) * 1.7 + phase)).reshape(shape)


def pytorch_derivatives() -> dict[str, Any]:
    """First and second derivatives of the sum of weighted outputs, by row and argument; None where PyTorch has none."""
    import torch

    torch.set_default_dtype(torch.float64)
    found = {}
    for row in rows("pytorch"):
        if row.compared and arguments(row.theirs):
            try:
                found[row.theirs] = _pytorch_derivatives(row)
            except (RuntimeError, TypeError) as error:  # what cannot be differentiated is said by either
                found[row.theirs] = {"why": str(error).splitlines()[0]}
    return found


def _pytorch_derivatives(row: Row) -> dict[str, Any]:
    import torch
    import torch.nn.functional

    given = {k: torch.from_numpy(v) for k, v in values().items()}
    leaves = {n: given[n].clone().requires_grad_() for n in arguments(row.theirs)}
    out = eval(row.theirs, {**given, **leaves, "torch": torch, "F": torch.nn.functional})
    if not isinstance(out, torch.Tensor) or not out.requires_grad:
        return {"why": "no tensor that depends on an argument"}

    def gradients(total: Any) -> dict[str, Any]:
        got = torch.autograd.grad(total, [*leaves.values()], create_graph=True, materialize_grads=True)
        return dict(zip(leaves, got, strict=True))

    first = gradients((out * torch.from_numpy(wave(out.shape, 0.0))).sum())
    moved = sum((g * torch.from_numpy(wave(g.shape, 1.0))).sum() for g in first.values())
    second = gradients(moved) if moved.requires_grad else {n: 0 * g for n, g in first.items()}
    return {"first": _lists(first), "second": _lists(second)}


def _lists(gradients: Mapping[str, Any]) -> dict[str, Any]:
    return {n: (g + 0.0).tolist() for n, g in gradients.items()}  # a zero of PyTorch's may have no memory


def our_derivatives(row: Row) -> dict[str, Any]:
    """The same of what stands on the right."""
    import clearprop as cl

    names, given = ours(), values()

    def total(leaves: dict[str, Any]) -> Any:
        out = eval(row.ours, {**names, **leaves})
        return cl.sum(out * wave(out.shape, 0.0))

    def moved(leaves: dict[str, Any]) -> Any:
        return sum(cl.sum(g * wave(g.shape, 1.0)) for g in cl.grad(total)(leaves).values())

    leaves = {n: given[n] for n in arguments(row.theirs)}
    return {order: _lists(cl.grad(f)(leaves)) for order, f in (("first", total), ("second", moved))}


def opinfo() -> dict[str, int]:
    """How many functions PyTorch's own tests go through (OpInfo), and how many of them are on the page."""
    from torch.testing._internal.common_methods_invocations import op_db

    named = set()
    for name in functions("pytorch"):
        plain = re.sub(r"^F\.", "nn.functional.", name.removeprefix("torch."))
        method = re.sub(r"^[a-z]\.", "", plain)  # `x.view`; of `x.fill_` the test is that of `fill`
        named |= {plain, method, method if method.startswith("_") else method.rstrip("_")}
    found = [op for op in op_db if {op.name, *(alias.name for alias in op.aliases)} & named]
    return {"there": len(op_db), "found": len(found)}


def asked_of_pytorch(what: str) -> Any:
    """What this file prints where PyTorch is."""
    return asked_of("torch", what)


def asked_of(library: str, what: str) -> Any:
    """What this file prints where a library is: in an environment of its own, into which it may be installed now."""
    from benchmarks.peers import provide

    installed = provide([library])[library]
    if installed.absent:
        raise RuntimeError(installed.absent)
    alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [installed.python, "-W", "ignore", __file__, what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def ours() -> dict[str, Any]:
    """Our names: tensors, the package, a function, a key."""
    import clearprop as cl

    names: dict[str, Any] = {k: cl.asarray(v) for k, v in values().items()}
    names |= {"cl": cl, "np": np, "key": cl.random.key(0), "f": lambda v: cl.sum(cl.sin(v) * v)}
    return names | {"step": lambda carry, x: (carry + x, carry), "isinstance": isinstance}


if __name__ == "__main__":
    asked = {"jax": jax, "pytorch": pytorch, "derivatives": pytorch_derivatives, "opinfo": opinfo}
    if sys.argv[1:]:
        print(json.dumps(asked[sys.argv[1]]()))
    else:
        for library in sorted(libraries()):
            print(f"{library}: {len(functions(library))} functions in one call")
        count = asked_of_pytorch("opinfo")
        print(f"of the {count['there']} functions that PyTorch's own tests go through: {count['found']} in one call")
