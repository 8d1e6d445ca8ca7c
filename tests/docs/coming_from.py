"""What the pages for those who come from other libraries say: their rows, and what both sides of a row give.

`python -m tests.docs.coming_from` prints how many functions of each library ours express in one call.  As a script,
`coming_from.py pytorch` prints what PyTorch gives, as JSON; it needs no clearprop, so that it can run where PyTorch is.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PAGES = Path(__file__).parents[2] / "docs" / "coming-from"


class Row(NamedTuple):
    theirs: str
    ours: str
    compared: bool


def rows(name: str) -> list[Row]:
    """The rows of a page, in order."""
    found, compared = [], True
    for line in (PAGES / f"{name}.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            compared = "(not compared)" not in line
        row = re.fullmatch(r"\| `(.*)` \| `(.*)` \|", line)
        if row:
            found.append(Row(row[1], row[2], compared))
    return found


def functions(name: str) -> set[str]:
    """Their functions that a page names, each once."""
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
    """What an expression gives, as nested lists of numbers; statements that write give None."""
    if re.search(r"[^=!<>]=[^=]", expression.split("(")[0].split("]")[-1]):
        return None
    found = eval(expression, dict(names))
    return np.asarray(found).tolist() if not isinstance(found, bool) else found


def pytorch() -> dict[str, Any]:
    import torch
    import torch.nn.functional

    names = {k: torch.from_numpy(v) for k, v in values().items()}
    names |= {"torch": torch, "F": torch.nn.functional}
    torch.set_default_dtype(torch.float64)
    return {row.theirs: evaluate(row.theirs, names) for row in rows("pytorch") if row.compared}


def ours() -> dict[str, Any]:
    """Our names: tensors, the package, a function, a key."""
    import clearprop as cl

    names: dict[str, Any] = {k: cl.asarray(v) for k, v in values().items()}
    names |= {"cl": cl, "np": np, "key": cl.random.key(0), "f": lambda v: cl.sum(cl.sin(v) * v)}
    return names | {"step": lambda carry, x: (carry + x, carry), "isinstance": isinstance}


if __name__ == "__main__":
    if sys.argv[1:] == ["pytorch"]:
        print(json.dumps(pytorch()))
    else:
        for page in sorted(PAGES.glob("*.md")):
            print(f"{page.stem}: {len(functions(page.stem))} functions in one call")
