"""Speed against peers, and against the floor.

python -m benchmarks                         every row, every peer (installed into .bench/), docs/tables/
python -m benchmarks --rows W0,W3 --quick    some rows, a few short rounds: figures are only indicative
python -m benchmarks --peers jax,torch       these peers only; --peers none: ours, NumPy and the floor
python -m benchmarks --kernel avx2           every contender held to the instructions that most processors have
"""

from __future__ import annotations

import argparse
import json
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
    rows = workloads.chosen(args.rows)
    names = list(PEERS) if args.peers == "all" else [] if args.peers == "none" else args.peers.split(",")
    installed = provide(names, install=not args.offline)
    for peer in installed.values():
        if peer.absent:
            print(f"{peer.name} takes no part: {peer.absent}", file=sys.stderr)
    effort = QUICK if args.quick else Effort(rounds=args.rounds)
    given = sys.argv[1:] if arguments is None else arguments
    record = {
        "command": " ".join(["python -m benchmarks", *given]),
        "quick": args.quick, "rounds": effort.rounds, "machine": description(),
        "titles": {w.name: f"{w.name}: {w.title}" + PER.get(w.unit, "") for w in rows}, "others": {},
    }  # fmt: skip
    measured: dict[str, dict[str, Result]] = {}
    for row in rows:
        print(f"{row.name}: {row.title}", file=sys.stderr, flush=True)
        others = Others()
        measured[row.name] = {r.contender: r for r in _measured(row, installed, effort)}
        record["others"][row.name] = others.share()
        _say(measured[row.name])
    record["families"] = [_family(i, effort) for i in installed.values() if i.name not in OUR_NUMPY]
    record["targets"] = report.judged(measured)
    record["rows"] = {name: [r.record() for r in row.values()] for name, row in measured.items()}
    _write(Path(args.out or (FOLDER / "quick" if args.quick else ROOT / "docs" / "tables")), record, measured)


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


def _write(folder: Path, record: dict[str, Any], rows: dict[str, dict[str, Result]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = report.markdown(record, rows)
    kernel = record["machine"]["kernel"]
    name = f"speed-{kernel}" if kernel else "speed"
    (folder / f"{name}.md").write_text(text)
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(text)
    print(f"written to {folder}/{name}.md and {name}.json", file=sys.stderr)


if __name__ == "__main__":
    main()
