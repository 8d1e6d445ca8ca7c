"""What one of two processes does in a folder of several trainings, at the moment when it is told to.

    python -m tests.search.beside DOOR ACTION FOLDER [wait]

With `wait` it prints a line when it is ready, and begins when it reads one.
"""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clearprop as cl
from clearprop.errors import ClearpropError
from clearprop.search.cross_validation import conduct_folds, plan_folds_again
from clearprop.search.members import Extent, conduct_ensemble, plan_again
from tests.train.killed import use_eager_executor

SETTINGS = {"epochs": 8, "hidden": (4,), "batch_size": 40, "lr": 0.05, "seed": 1}
LASTING = ("model.safetensors", "preprocessing.json", "predictions.csv")


def ensemble(folder):
    return cl.ensemble("iris", members=3, out=folder, **SETTINGS)


def ensemble_again(folder):
    plan, ended = plan_again(folder, Extent(None, None))
    return conduct_ensemble(plan, folder, before=ended)


def folds(folder):
    return cl.cross_validate("iris", folds=3, out=folder, **SETTINGS)


def folds_again(folder):
    return conduct_folds(plan_folds_again(folder), folder)


def sweep(folder):
    with ThreadPoolExecutor(1) as executor:
        settings = {"l2": "0;0.1;0.2"}
        return cl.sweep("iris", settings, search="grid", trials=3, executor=executor, out=folder, **SETTINGS)


def sweep_again(folder):
    with ThreadPoolExecutor(1) as executor:
        return cl.sweep(resume=folder, executor=executor)


DOORS = {"ensemble": (ensemble, ensemble_again), "folds": (folds, folds_again), "sweep": (sweep, sweep_again)}
LEFT = {
    "ensemble": {"ensemble.json", "1"},
    "folds": {"asked.json", "1-1"},
    "sweep": {"sweep.json", "events.jsonl", "trials", "trial-000"},
}
"""What is in a folder that was left after its first training, beside what is in these."""


def leave(door, folder):
    """A folder as one leaves it that is killed after its first training."""
    DOORS[door][0](folder)
    for place in (*folder.iterdir(), *folder.glob("trials/*")):
        if place.name not in LEFT[door]:
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    if door == "sweep":
        events = (folder / "events.jsonl").read_text().splitlines(keepends=True)
        last = next(k for k, event in enumerate(events) if json.loads(event).get("status") == "done")
        (folder / "events.jsonl").write_text("".join(events[: last + 1]))


def kept(folder):
    """What the trainings in a folder came to, to the bit."""
    files = (p for p in sorted(folder.rglob("*")) if p.name in LASTING and "checkpoints" not in p.parts)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def read(door, folder):
    """Look at what is there, as other processes may at any time."""
    if door == "sweep":
        from clearprop.search.sweep_folder import SweepFolder

        list(SweepFolder(folder).trial_events())
    elif door == "ensemble" and (folder / "summary.json").exists():
        cl.load(folder).predict("iris")


def act(door, action, folder):
    if action == "leave":
        leave(door, folder)
    elif action == "read":
        read(door, folder)
    else:
        DOORS[door][action == "go on"](folder)


if __name__ == "__main__":
    use_eager_executor()
    if sys.argv[4:]:
        print("ready", flush=True)
        sys.stdin.readline()
    try:
        act(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    except ClearpropError as problem:
        print(problem, file=sys.stderr)
        raise SystemExit(2) from None
