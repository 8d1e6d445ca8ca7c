"""Measures how exact every function and reduction is, and writes it into `docs/numerics.md`.

`python -m tests.primitives.accuracy` takes some minutes; `… NAME` prints what is measured of some functions.  NumPy has
other kernels for other processors: it is measured with this processor's and without AVX-512, eagerly and natively.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import clearprop as cl
from tests.primitives import whole_range_special
from tests.primitives.whole_range import FUNCTIONS, errors
from tests.primitives.whole_range_pairs import PAIRS, pair_errors
from tests.primitives.whole_range_reductions import REDUCTIONS, reduction_errors

PAGE = Path(__file__).parents[2] / "docs" / "numerics.md"
DTYPES = ("float32", "float64")
NAMES = (*FUNCTIONS, *PAIRS, *REDUCTIONS)
SLOW = {*whole_range_special.VALUES, *PAIRS} - {
    "abs",
    "negative",
    "positive",
    "sign",
    "floor",
    "ceil",
    "trunc",
    "round",
}
"""Functions whose right values take milliseconds each."""
QUICK = 40
"""How many sizes `make test` tries."""
WITHOUT_AVX512 = {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"}
STEPS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
"""The sizes of bounds."""
ROOM = 1.5
"""How far a bound above 2 is from what was measured, at least: another processor's last bits are other ones."""
GENERAL = {"value": 2.0, "derivative": 4.0}
"""What holds of every function that stands in no table: in units in the last place."""
BEGIN, END = "<!-- made by `python -m tests.primitives.accuracy` -->", "<!-- end of what is made -->"

Found = dict[str, dict[str, dict[str, tuple[float, float]]]]


def measured(name: str, dtype: str, count: int, run: Callable[..., Any]) -> dict[str, tuple[float, float, Any]]:
    """By part (value, derivative …): the largest error in units of the right value, and of 1; where it is met."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in REDUCTIONS:
            return reduction_errors(name, dtype, run)
        return errors(name, dtype, count, run) if name in FUNCTIONS else pair_errors(name, dtype, count, run)


def sizes(name: str, count: int) -> int:
    """How many sizes of numbers are tried of a function, where so many are of one that is quick in mpmath."""
    return count // 4 if name in SLOW else count


def beside_a_zero(worst: float, of_one: float) -> bool:
    """Whether the error is large for its value alone: beside a zero or in a tail, where a formula subtracts."""
    return worst > 4 and of_one <= worst / 2


def bound(measure: float) -> float:
    """What the page promises for what was measured."""
    room = measure if measure <= STEPS[0] else ROOM * measure
    return next((float(s) for s in STEPS if room <= s), float("inf"))


def bounds() -> dict[tuple[str, str, str], tuple[float, bool]]:
    """What the page promises: the bound of each function, part and dtype, and whether it is in units of 1."""
    text = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 4 and cells[0].startswith("`"):
            for dtype, cell in zip(DTYPES, cells[2:], strict=True):
                if cell:
                    found[cells[0].strip("`"), cells[1], dtype] = float(cell.split()[0]), cell.endswith("of 1")
    return found


def promised(name: str, part: str, dtype: str, listed: dict[tuple[str, str, str], tuple[float, bool]]) -> Any:
    """The bound of one, listed or the general one."""
    return listed.get((name, part, dtype), (GENERAL[part.split()[0]], False))


def measure_here(names: Iterable[str], count: int, native: bool) -> Found:
    """Every function in both dtypes, eagerly or natively."""
    run = (lambda f: cl.compile(f)) if native else (lambda f: f)
    found: Found = {}
    for name in names:
        for dtype in DTYPES:
            for many in (sizes(name, count), sizes(name, QUICK)):
                for part, (worst, of_one, _) in measured(name, dtype, many, run).items():
                    have = found.setdefault(name, {}).setdefault(part, {}).get(dtype, (0.0, 0.0))
                    found[name][part][dtype] = max(worst, have[0]), max(of_one, have[1])
        print(name, end=" ", file=sys.stderr, flush=True)
    return found


def merged(several: list[Found]) -> Found:
    """The larger of each."""
    out: Found = {}
    for found in several:
        for name, parts in found.items():
            for part, dtypes in parts.items():
                for dtype, (a, b) in dtypes.items():
                    have = out.setdefault(name, {}).setdefault(part, {}).get(dtype, (0.0, 0.0))
                    out[name][part][dtype] = max(a, have[0]), max(b, have[1])
    return out


def section(found: Found) -> str:
    """The made part of the page."""
    lines = [BEGIN]
    for what, title in (("value", "Values"), ("derivative", "Derivatives")):
        limit = GENERAL[what]
        table, rest = [], []
        for name in sorted(found):
            for part, dtypes in found[name].items():
                if part.split()[0] != what:
                    continue
                in_ones = any(beside_a_zero(*dtypes[d]) for d in DTYPES)
                cells = {d: (bound(dtypes[d][in_ones]), in_ones) for d in DTYPES}
                above = {d: c for d, c in cells.items() if c[0] > limit or c[1]}
                told = [f"{above[d][0]:g}{' of 1' * above[d][1]}" if d in above else "" for d in DTYPES]
                if above:
                    table.append(f"| `{name}` | {part} | {' | '.join(told)} |")
                else:
                    rest.append(name)
        inside = ", ".join(f"`{n}`" for n in dict.fromkeys(rest))
        lines += ["", f"**{title}** within {limit:g} units in the last place, in both dtypes:", "", inside + ".", "",
                  f"{title} that need more (an empty cell: no more than {limit:g}):", "",
                  "| function | of | float32 | float64 |", "|---|---|---|---|", *table]  # fmt: skip
    return "\n".join([*lines, "", END])


def _child(options: list[str], environment: dict[str, str]) -> Found:
    command = [sys.executable, "-W", "ignore", "-m", "tests.primitives.accuracy", "--json", *options]
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    found: Found = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.primitives.accuracy", description=__doc__)
    parser.add_argument("names", nargs="*", help="functions that are measured and printed; none: all, into the page")
    parser.add_argument("--count", type=int, default=400, help="how many sizes are tried (default 400)")
    parser.add_argument("--native", action="store_true", help="compiled functions")
    parser.add_argument("--json", action="store_true", help="print what was measured")
    args = parser.parse_args()
    if args.json:
        print(json.dumps(measure_here(args.names or NAMES, args.count, args.native)))
        return
    if args.names:
        for name, parts in measure_here(args.names, args.count, args.native).items():
            for part, dtypes in parts.items():
                print(f"{name:24} {part:26}", *(f"{d} {w:.3g} ({o:.3g} of 1)" for d, (w, o) in dtypes.items()))
        return
    size = ["--count", str(args.count)]
    found = merged([_child(size, {}), _child(size, WITHOUT_AVX512), _child([*size, "--native"], {})])
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(head + section(found) + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
