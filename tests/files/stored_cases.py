"""What is stored beside data, damaged and read: run folders, sweeps, configs, ONNX models, weights."""

import io
import json
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout, suppress
from functools import cache
from hashlib import sha256

import numpy as np
import polars

import clearprop as cl
from clearprop.cli import main
from clearprop.data.training_data import from_source
from clearprop.reporting.page import report_of
from clearprop.reporting.runs_side_by_side import comparison_charts, differences, results
from clearprop.runs.asked_settings import as_toml, settings_from
from clearprop.runs.checkpoints import checkpoint_steps, load_checkpoint
from clearprop.search.page import PageWriter
from clearprop.search.sweep_folder import SweepFolder
from clearprop.search.sweeping import stored_plan
from clearprop.train import job
from clearprop.train.executor import eager_executor
from tests.files.damage import BYTES, as_json, as_onnx, as_safetensors, change
from tests.files.table_cases import FORMS, read_data
from tests.interop.test_onnx_hostile import BASES


@cache
def iris():
    return from_source("iris", None, "auto", 0.15, 0.15, 0)


# --------------------------------------------------------------------------------------------------- run folders
def damage_run(folder, rng):
    """Change one file of the folder, sometimes with a hash that fits; returns what was done."""
    path = rng.choice(sorted(p for p in folder.rglob("*") if p.is_file()))
    if rng.random() < 0.08:
        path.unlink()
        rng.choice([lambda: None, path.mkdir, lambda: path.symlink_to("/dev/zero"), lambda: os.mkfifo(path)])()
        return "replaced"
    data = path.read_bytes()
    special = {".json": as_json, ".jsonl": as_json, ".safetensors": as_safetensors}[path.suffix]
    act = special if rng.random() < 0.6 else rng.choice(BYTES)
    path.write_bytes(act(data, rng))
    stored = path.parent / "checkpoint.json"
    if stored.is_file() and path != stored and rng.random() < 0.7:
        document = json.loads(stored.read_bytes())
        new = path.read_bytes()
        document["files"][path.name] = {"sha256": sha256(new).hexdigest(), "bytes": len(new)}
        stored.write_text(json.dumps(document))
    return act.__name__


def read_run(folder, rng=None):
    """Load a run, and look at it as the commands do; with `rng` also by one of the doors that take longer."""
    run = cl.load(folder)
    x = iris().validation[0] if run.preprocessing else np.zeros((2, 3), np.float32)
    run.outputs(x)
    results([run]), differences([run]), comparison_charts([run])
    if run.workings.optimizer is not None:
        for step in checkpoint_steps(folder / "checkpoints"):
            load_checkpoint(folder / "checkpoints" / str(step), run.model, run.workings.optimizer.init(run.model))
    repr(run)
    if rng is not None and rng.random() < 0.1:
        rng.choice(SLOW_DOORS)(run)


SLOW_DOORS = (
    lambda run: run.replay(1),
    lambda run: str(cl.explain(run, run.model.parameters().popitem()[0], step=1)),
    report_of,
    lambda run: run.fork(1, {"epochs": 1, "l2": 0.5}),
)


# -------------------------------------------------------------------------------------------------------- sweeps
def damage_sweep(folder, rng):
    """Change what a sweep has written down; returns what was done."""
    path = folder / rng.choice(["sweep.json", "sweep.json", "events.jsonl", "result.json"])
    act = as_json if rng.random() < 0.7 else rng.choice(BYTES)
    path.write_bytes(act(path.read_bytes(), rng))
    return act.__name__


def read_sweep(folder):
    """What `clearprop sweep --resume` does before it trains, and the page."""
    place = SweepFolder(folder)
    plan = stored_plan(place)
    place.written_events(), place.begun(), place.result()
    plan.strategy(place.begun())
    PageWriter(place, plan.config, plan.higher).write(None)


# ------------------------------------------------------------------------------------------------ models of others
def read_onnx(path):
    net = cl.onnx.load(path)
    for x in (np.ones((2, 3), np.float32), np.ones((1, 1, 4, 4), np.float32)):
        net(*[x] * len(net.inputs))


def read_weights(path, model):
    cl.torch.load_state(path, model)


RUNS = ("arrays", "table", "command", "command")


class Cases:
    """Makes what is stored, once, in a folder of its own; then cases of it."""

    def __init__(self, folder):
        self.folder = folder
        job.choose_executor = eager_executor
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2
        model = cl.nn.Sequential(cl.nn.Dense(3, 4, rng=1), cl.nn.LayerNorm(4), "gelu", cl.nn.Dense(4, 2, rng=2))
        settings = {"epochs": 2, "batch_size": 10, "checkpoint_seconds": 0}
        cl.fit(model, (x, y), out=folder / "arrays", validation=0.25, **settings)
        known = iris()
        frame = polars.DataFrame(
            {"abcd"[k]: known.train[0][:, k] for k in range(4)} | {"kind": known.train[1].astype(str)}
        )
        cl.fit(cl.nn.mlp([4, 5, 3]), frame, out=folder / "table", **{**settings, "batch_size": 75})
        with redirect_stdout(io.StringIO()):
            assert not main(["train", "iris", "--epochs", "2", "--hidden", "4", "--out", str(folder / "command")])
        self.toml = as_toml(settings_from({"data": "iris", "hidden": "4,4", "lr": "0.1"}))
        with ThreadPoolExecutor(1) as executor:
            space = {"epochs": "1;2", "lr": "1e-3..1:log"}
            cl.sweep("iris", space, trials=2, out=folder / "sweep", executor=executor, hidden=(4,), batch_size=75)
        shutil.rmtree(folder / "sweep" / "trials")
        self.network = cl.nn.mlp([3, 4, 2])
        self.weights = cl.export(self.network, "safetensors", folder / "weights.safetensors")[0].read_bytes()
        self.models = [proto.SerializeToString() for proto in BASES]
        self.models.append(cl.export(cl.load(folder / "table"), "onnx", folder / "table.onnx")[0].read_bytes())

    def run(self, rng):
        target = self.folder / "case"
        shutil.copytree(self.folder / rng.choice(RUNS), target)
        told = damage_run(target, rng)
        return told, lambda: read_run(target, rng)

    def data(self, rng):
        suffix = rng.choice([*FORMS])
        target = self.folder / ("case" + suffix)
        target.write_bytes(FORMS[suffix](rng))
        return suffix, lambda: read_data(target)

    def config(self, rng):
        as_text = rng.random() < 0.5
        target = self.folder / ("case.toml" if as_text else "case.json")
        document = {"data": "iris", "hidden": [4, 4], "lr": 0.1, "epochs": 3, "optimizer": "adam", "seed": 1}
        data = self.toml.encode() if as_text else json.dumps(change(document, rng)).encode()
        target.write_bytes(rng.choice(BYTES)(data, rng) if as_text or rng.random() < 0.3 else data)
        return target.suffix, lambda: settings_from({}, target)

    def sweep(self, rng):
        target = self.folder / "case"
        shutil.copytree(self.folder / "sweep", target)
        return damage_sweep(target, rng), lambda: read_sweep(target)

    def model(self, rng):
        if rng.random() < 0.3:
            target = self.folder / "case.safetensors"
            target.write_bytes(rng.choice([as_safetensors, as_safetensors, *BYTES])(self.weights, rng))
            return "weights", lambda: read_weights(target, self.network)
        target = self.folder / "case.onnx"
        target.write_bytes(rng.choice([as_onnx, as_onnx, as_onnx, *BYTES])(rng.choice(self.models), rng))
        return "onnx", lambda: read_onnx(target)

    def load_packages(self):
        """Read every kind of file once, so that no case is charged with a package that it is the first to need."""
        for folder in RUNS:
            read_run(self.folder / folder)
        for door in SLOW_DOORS:
            door(cl.load(self.folder / "command"))
        for number, suffix in enumerate(FORMS):
            (self.folder / f"case{suffix}").write_bytes(FORMS[suffix](random.Random(number)))
            with suppress(cl.ClearpropError):
                read_data(self.folder / f"case{suffix}")
        self.clear()

    def clear(self):
        for path in self.folder.glob("case*"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
