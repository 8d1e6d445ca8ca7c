"""Speed against peers, and against the floor.

python -m benchmarks                         every row, every peer (installed into .bench/), docs/tables/
python -m benchmarks --rows W0,W3 --quick    some rows, a few short rounds: figures are only indicative
python -m benchmarks --peers jax,torch       these peers only; --peers none: ours, NumPy and the floor
python -m benchmarks --kernel avx2           every contender held to the instructions that most processors have
python -m benchmarks --keep                  only the rows that the table lacks, and those that --rows names
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import first, processes, report, workloads
from benchmarks.busy import busy_processors
from benchmarks.contenders import taking_part
from benchmarks.machine import LIMITS, Others, description, environment, limit
from benchmarks.measure import QUICK, Effort, Result, import_seconds, side_by_side
from benchmarks.peers import FOLDER, OUR_NUMPY, OURS, PEERS, ROOT, Installed, provide

PER = {"step": " (per step)", "epoch": " (per epoch)"}


def main(arguments: list[str] | None = None) -> None:
    args = _parsed(arguments)
    if args.kernel:
        limit(args.kernel)
    folder = Path(args.out or (FOLDER / "quick" if args.quick else ROOT / "docs" / "tables"))
    effort = QUICK if args.quick else Effort(rounds=args.rounds)
    options = {"--peers": args.peers, "--rounds": args.rounds, "--kernel": args.kernel}
    given = [f"{n} {v}" for n, v in options.items() if v != _parsed([]).__dict__[n[2:]]]
    table = report.Table([*given, *["--quick"] * args.quick], args.quick, effort.rounds, description())
    rows = workloads.chosen(args.rows)
    if args.keep:
        table = table.continued(folder)
        rows = rows if args.rows else [w for w in rows if w.name not in table.rows]
    names = list(PEERS) if args.peers == "all" else [] if args.peers == "none" else args.peers.split(",")
    installed = provide(names, install=not args.offline)
    for peer in installed.values():
        if peer.absent:
            print(f"{peer.name} takes no part: {peer.absent}", file=sys.stderr)
    for row in rows:
        print(f"{row.name}: {row.title}", file=sys.stderr, flush=True)
        others = Others()
        measured = {r.contender: r for r in _measured(row, installed, effort)}
        table.add(f"{row.name}: {row.title}{PER.get(row.unit, '')}", row.name, measured, others.share())
        table.write(folder)  # after every row: a run that is interrupted goes on by --keep
        _say(measured)
    table.families = [_family(i, effort) for i in installed.values() if i.name not in OUR_NUMPY]
    print(table.write(folder))
    print(f"written to {folder}/{table.name}.md and {table.name}.json", file=sys.stderr)


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", help="W0,W3: names, or their beginnings (default: all)")
    parser.add_argument("--peers", default="all", help=f"of {', '.join(PEERS)}; all, none (default: all)")
    parser.add_argument("--quick", action="store_true", help="three short rounds, one start")
    parser.add_argument("--rounds", type=int, default=Effort.rounds, help=f"rounds (default {Effort.rounds})")
    parser.add_argument("--kernel", choices=[*LIMITS], help="hold every contender to these instructions")
    parser.add_argument("--offline", action="store_true", help="install nothing: peers that are not there are absent")
    parser.add_argument("--keep", action="store_true", help="keep the rows of the table that is there (see above)")
    parser.add_argument(
        "--out", help="folder for speed.md, speed.json or speed-avx2.… (default docs/tables; .bench/quick if --quick)"
    )
    return parser.parse_args(arguments)


def _measured(row: workloads.Workload, installed: dict[str, Installed], effort: Effort) -> list[Result]:
    families = {n for n, i in installed.items() if not i.absent}
    if row.kind == workloads.PROCESS:
        return processes.measured(row, installed, effort)
    if row.kind == workloads.COMMAND:
        return processes.predicted(installed, effort)
    if row.kind == workloads.RECORDED:
        return processes.recorded(installed, effort)
    contenders = taking_part(row, families)
    if row.kind in (workloads.FIRST, workloads.FIRST_FIT):
        return first.measured(row, contenders, installed, effort)
    if row.kind == workloads.BUSY:
        with busy_processors():
            return side_by_side(row, contenders, installed, effort)
    return side_by_side(row, contenders, installed, effort)


def _say(row: dict[str, Result]) -> None:
    for r in row.values():
        text = f"failed: {r.error.splitlines()[0]}" if r.error else report.duration(r.median)
        print(f"  {r.label:48s} {text}", file=sys.stderr, flush=True)


def _family(i: Installed, effort: Effort) -> dict[str, Any]:
    """Version, size, import time, and for those with a Python tape the calls of one small gradient."""
    module = OURS.module if i.name == OURS.name else PEERS[i.name].module
    times = [] if i.absent else import_seconds(i.python, module, effort.starts)
    return {
        "name": i.name, "version": i.version, "bytes": i.bytes, "absent": i.absent,
        "import": sorted(times)[len(times) // 2] if times else None, "imports": times, "calls": _calls(i),
    }  # fmt: skip


def _calls(i: Installed) -> int | None:
    if i.absent or i.name not in ("clearprop", "autograd"):
        return None
    command = [i.python, "-m", "benchmarks.calls", i.name]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment()).stdout)


if __name__ == "__main__":
    main()
