"""Sixty short trainings in two processes, and on a Dask cluster of two: the same best trial, to the bit.

Dask is installed beside the tests, by pip, into a folder of its own.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from tests.search.conftest import SETTINGS, weights

pytestmark = pytest.mark.verify
SPACE = {"epochs": "1..60"}
ON_DASK = """
import json, sys
import clearprop as cl
from distributed import LocalCluster

if __name__ == "__main__":
    settings, out = json.loads(sys.argv[1]), sys.argv[2]
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        cl.sweep("iris", {"epochs": "1..60"}, trials=60, search="grid", on=address, out=out, **settings)
"""


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return cl.sweep(
        "iris", SPACE, trials=60, search="grid", on="local:2", out=tmp_path_factory.mktemp("l") / "s", **SETTINGS
    )


def test_all_are_done_and_each_costs_little_more_than_its_training(local):
    assert [len(local.trials), local.stopped_by] == [60, None]
    events = [json.loads(line) for line in (local.folder / "events.jsonl").read_text().splitlines()]
    done = [e for e in events if e["event"] == "trial" and e["status"] == "done"]
    began = [e for e in events if e["event"] == "trial" and e["status"] == "begun"]
    warm = done[4:]  # by then both processes have loaded what they need
    span = (moment(done[-1]) - moment(done[3])).total_seconds()
    cost = (2 * span - sum(e["seconds"] for e in warm)) / len(warm)
    mean = sum(e["seconds"] for e in warm) / len(warm)
    print(f"overhead per trial: {1000 * cost:.1f} ms beside {mean:.3f} s of training")
    assert len(done) == len(began) == 60


def moment(event):
    return datetime.fromisoformat(event["time"])


def test_a_cluster_gives_the_same_best_trial_and_the_same_bits(local, dask, tmp_path):
    path = os.pathsep.join([str(Path(cl.__file__).parents[1]), str(dask)])
    script = tmp_path / "on_dask.py"
    script.write_text(ON_DASK)
    command = [sys.executable, script, json.dumps(SETTINGS), tmp_path / "sweep"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    there, here = (json.loads((folder / "result.json").read_text()) for folder in (tmp_path / "sweep", local.folder))
    assert {**there, "folder": "", "told": ""} == {**here, "folder": "", "told": ""}
    for number, network in weights(local).items():
        assert (tmp_path / f"sweep/trials/trial-{number:03d}/model.safetensors").read_bytes() == network


def test_an_address_where_nobody_answers_is_said(dask):
    code = "import clearprop as cl\ntry:\n    cl.sweep('iris', {'lr': '0.1;0.2'}, on='dask://127.0.0.1:9')\n"
    code += "except cl.ClearpropError as error:\n    print(error.headline)\n"
    path = os.pathsep.join([str(Path(cl.__file__).parents[1]), str(dask)])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout == "the scheduler cannot be reached\n", done.stderr


def test_rows_that_stream_are_cut_alike_by_every_process(tmp_path):
    numbers = np.random.default_rng(0).normal(size=(60_000, 7))
    np.savetxt(tmp_path / "t.csv", numbers, delimiter=",", header="a,b,c,d,e,f,y", comments="", fmt="%.5f")
    settings = {"hidden": (8,), "batch_size": 256, "memory": "24MB"}
    space = {"epochs": "1;2"}
    with ThreadPoolExecutor(1) as executor:
        here = cl.sweep(tmp_path / "t.csv", space, executor=executor, out=tmp_path / "here", **settings)
    there = cl.sweep(tmp_path / "t.csv", space, on="local:2", out=tmp_path / "there", **settings)
    assert weights(here) == weights(there) and here.choice.number == there.choice.number
    assert here.best.config.command["memory"] == 24_000_000 and here.choice.validation.interval is None
