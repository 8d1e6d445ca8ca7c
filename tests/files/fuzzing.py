"""Hostile files: run folders, checkpoints, data and configs, damaged by chance and by malice, then read.

    python -m tests.files.fuzzing CASES [SEED]

Every case must be read as if nothing were wrong, or refused with an error of ours.  It prints one JSON object: how
many cases of which kind were refused and how many harmless, what failed, what was executed, and by how many bytes
the peak of memory rose, and how many seconds the slowest took.
"""

import bz2
import copy
import gzip
import io
import json
import lzma
import os
import random
import shutil
import struct
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars
import pyarrow

import clearprop as cl
from benchmarks.machine import peak_memory
from clearprop.data.readers.formats import NPZ
from clearprop.data.readers.sources import file_form
from clearprop.data.streaming.memory import LEAST_MEMORY
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.training_data import from_source
from clearprop.reporting.runs_side_by_side import comparison_charts, differences, results
from clearprop.runs.asked_settings import as_toml, settings_from
from clearprop.train import job
from clearprop.train.executor import eager_executor

EXECUTING = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "pickle.find_class", "socket.connect")
HOSTILE = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**40, 0.5, -0.0, 1e308, 5e-324, "", "0",
    "../../etc/passwd", "/dev/zero", "os.system", "__class__", "\u0000", "\ud83d\ude00", "a" * 5000, [], {}, [[]],
    [1] * 2000, {"a": {"b": []}}, {"name": "adam", "learning_rate": "x"}, {"name": "chain", "parts": []},
    {"name": "eval"}, "nan", [2**40, 2**40], [-1, 3],
]  # fmt: skip


class Bomb:
    """Leaves a mark if it is ever unpickled."""

    def __reduce__(self):
        return os.system, ("touch " + MARK,)


MARK = "clearprop-was-executed"


# ------------------------------------------------------------------------------------------------ damage of bytes
def flip(data, rng):
    changed = bytearray(data or b"\0")
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data, rng):
    return data[: rng.randrange(len(data) + 1)]


def insert(data, rng):
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randint(1, 200)) + data[at:]


def repeat(data, rng):
    a, b = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    return data[:b] + data[a:b] * rng.randint(1, 20) + data[b:]


def blank(data, rng):
    a, b = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    return data[:a] + rng.choice([b"\0", b"[", b"9", b'"', b"\n", b"\xff"]) * (b - a) + data[b:]


def noise(data, rng):
    return rng.randbytes(rng.randrange(400))


def nest(data, rng):
    depth = rng.choice([40, 1000, 200_000])
    return rng.choice([b"[", b'{"a":']) * depth


BYTES = (flip, cut, insert, repeat, blank, noise, nest)


# ------------------------------------------------------------------------------------------------- damage of JSON
def places(value, at=()):
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*at, key))


def hostile(rng):
    return copy.deepcopy(rng.choice(HOSTILE))


def change(document, rng):
    """The document with a few of its values replaced, removed, doubled or added."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.choice(list(places(document)))
        if not at:
            if rng.random() < 0.1:
                return hostile(rng)
            continue
        inner = document
        for key in at[:-1]:
            inner = inner[key]
        act = rng.randrange(5)
        if act < 3:
            inner[at[-1]] = hostile(rng)
        elif act == 3:
            del inner[at[-1]]
        elif isinstance(inner, dict):
            inner[rng.choice(["extra", "__class__", "format", ""])] = hostile(rng)
        else:
            inner.append(copy.deepcopy(inner[at[-1]]))
    return document


def as_json(data, rng):
    text = data.decode()
    if "\n{" in text:  # lines of JSON
        lines = text.splitlines()
        k = rng.randrange(len(lines))
        lines[k] = json.dumps(change(json.loads(lines[k]), rng))
        return ("\n".join(lines) + "\n").encode()
    return json.dumps(change(json.loads(text), rng)).encode()


def as_safetensors(data, rng):
    """A header that lies."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.dumps(change(json.loads(data[8 : 8 + size]), rng)).encode()
    told = rng.choice([len(header), len(header), size, 2**62, 0, len(data) * 2])
    return struct.pack("<Q", told) + header + data[8 + size :]


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


def read_run(folder):
    run = cl.load(folder)
    x = (
        from_source("iris", None, "auto", 0.15, 0.15, 0).validation[0]
        if run.preprocessing
        else np.zeros((2, 3), np.float32)
    )
    run.outputs(x)
    results([run]), differences([run]), comparison_charts([run])
    if run.workings.optimizer is not None:
        from clearprop.runs.checkpoints import checkpoint_steps, load_checkpoint

        for step in checkpoint_steps(folder / "checkpoints"):
            load_checkpoint(folder / "checkpoints" / str(step), run.model, run.workings.optimizer.init(run.model))
    repr(run)


# ---------------------------------------------------------------------------------------------------------- data
def csv_file(rng):
    spoiled = rng.choice([0, 0, 0.003, 0.03])
    rows = [["a", "b", "c", "y"]]
    separator = rng.choice([",", ",", ";", "\t", "|"])
    pool = [
        "1.5",
        "-2",
        "",
        "red",
        "blue",
        "NaN",
        "inf",
        "1e999",
        '"',
        '""',
        "\0",
        "=cmd()",
        "é",
        "a,b",
        "9" * 400,
        " 1 ",
        "1,5",
    ]
    for _ in range(rng.choice([0, 1, 3, 40, 40, 200])):
        usual = [f"{rng.gauss(0, 1):.3f}", rng.choice(["u", "v"]), str(rng.randrange(9)), rng.choice(["yes", "no"])]
        rows.append(
            [rng.choice(pool) if rng.random() < spoiled else cell for cell in usual][
                : 3 if rng.random() < spoiled / 10 else 4
            ]
        )
    text = rng.choice(["\n", "\r\n", "\r"]).join(separator.join(row) for row in rows)
    data = text.encode(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"]), "replace")
    return rng.choice([lambda d, r: d, lambda d, r: d, *BYTES])(data, rng)


def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", data)
    return file.getvalue()


PACKINGS = {
    ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zip": zipped,
    ".zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True),
}  # fmt: skip
INFLATED = (b"a,b\n", b"1,2\n", b" ", b"\0", b'"', b"a,", b"\n")


def packed_file(suffix, rng):
    """A table that is packed, damaged after or before; one in twenty unpacks to some hundred times its size."""
    data = csv_file(rng) if rng.random() > 0.05 else rng.choice(INFLATED) * rng.choice([10**4, 10**5, 10**6])
    return rng.choice([lambda d, r: d, lambda d, r: d, *BYTES])(PACKINGS[suffix](data), rng)


def npy(array, rng):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    data = file.getvalue()
    if rng.random() < 0.3:  # a header that promises more than there is
        shape = rng.choice([(2**40,), (2**31, 2**31), (10**9, 8), (0, 4), (-1,), (3, 10**7)])
        kind = rng.choice(["<f8", "|O", "<U1000000", "<f4"])
        header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
        body = header.encode().ljust(117) + b"\n"
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body + data[128:]
    return data


def npz_file(rng):
    n = rng.choice([0, 1, 20, 60])
    x, y = np.linspace(-1, 1, n * 3).reshape(n, 3), np.arange(n) % 2
    evil = np.array([Bomb()], dtype=object)
    arrays = {"x": x, "y": y}
    if rng.random() < 0.5:
        arrays[rng.choice(["x", "y", "x_train", "../../x", "/tmp/x", "z"])] = rng.choice(
            [
                evil,
                np.array(3.0),
                np.array(["a", "b"]),
                np.full((n, 3), np.nan),
                np.zeros((0, 3)),
                np.zeros((2, 3, 4, 5)),
                x[:5],
            ]
        )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, array in arrays.items():
            archive.writestr(name + ".npy", npy(array, rng))
    data = file.getvalue()
    return rng.choice([lambda d, r: d, lambda d, r: d, *BYTES])(data, rng)


def parquet_file(rng):
    n = rng.choice([0, 1, 40, 200])
    columns = {
        "a": [rng.gauss(0, 1) for _ in range(n)],
        "b": [rng.choice([None, 1, 2, 10**12]) for _ in range(n)],
        "text": [rng.choice(["u", "v", None]) for _ in range(n)],
        "kind": [rng.choice(["yes", "no"]) for _ in range(n)],
    }
    if rng.random() < 0.2:
        columns[rng.choice(["a", "odd"])] = rng.choice([[[1, 2]] * n, [{"x": 1}] * n, [b"\xff\xfe"] * n])
    file = io.BytesIO()
    compression = rng.choice(["snappy", "zstd", "uncompressed"])
    polars.DataFrame(columns).write_parquet(file, row_group_size=rng.choice([7, 50]), compression=compression)
    data = file.getvalue()
    if rng.random() < 0.4:  # the footer, which says how much there is and where
        start = max(4, len(data) - rng.randint(9, 1500))
        footer = rng.choice([flip, blank])(data[start:-8], rng)
        data = data[:start] + footer + data[-8:]
    return rng.choice([lambda d, r: d, *BYTES])(data, rng)


def bomb_file():
    """An archive of a few bytes that says it unpacks to three gigabytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(2**20))
        archive.getinfo("x.npy").file_size = 3 * 2**30
    return file.getvalue()


def read_data(path):
    """Read a file at once; a table also in blocks, which must come to the same end."""
    try:
        from_source(str(path), None, "auto", 0.15, 0.15, 0)
    except cl.errors.ClearpropError as problem:
        refused = problem
    else:
        refused = None
    if file_form(Path(path), str(path)) is NPZ:
        if refused is not None:
            raise refused
        return
    try:
        stream_table(Path(path), str(path), None, "auto", 0.15, 0.15, 0, LEAST_MEMORY)
    except cl.errors.ClearpropError as problem:
        assert refused is not None, f"refused in blocks alone: {problem}"
    else:
        assert refused is None, f"refused at once alone: {refused}"
    if refused is not None:
        raise refused


# ------------------------------------------------------------------------------------------------------ the cases
class Cases:
    """Makes and reads cases in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        job.choose_executor = eager_executor
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2
        model = cl.nn.Sequential(cl.nn.Dense(3, 4, rng=1), cl.nn.LayerNorm(4), "gelu", cl.nn.Dense(4, 2, rng=2))
        settings = {"epochs": 2, "batch_size": 10, "checkpoint_seconds": 0}
        cl.fit(model, (x, y), out=folder / "arrays", validation=0.25, **settings)
        table = from_source("iris", None, "auto", 0.15, 0.15, 0)
        frame = polars.DataFrame(
            {"abcd"[k]: table.train[0][:, k] for k in range(4)} | {"kind": table.train[1].astype(str)}
        )
        cl.fit(cl.nn.mlp([4, 5, 3]), frame, out=folder / "table", **{**settings, "batch_size": 75})
        self.toml = as_toml(settings_from({"data": "iris", "hidden": "4,4", "lr": "0.1"}))

    def run(self, rng):
        target = self.folder / "case"
        shutil.copytree(self.folder / rng.choice(["arrays", "table"]), target)
        told = damage_run(target, rng)
        return told, lambda: read_run(target)

    def data(self, rng):
        make, suffix = rng.choice(
            [(csv_file, ".csv"), (npz_file, ".npz"), (parquet_file, ".parquet"), (packed_file, rng.choice([*PACKINGS]))]
        )
        target = self.folder / ("case" + (".csv" if make is packed_file else "") + suffix)
        target.write_bytes(packed_file(suffix, rng) if make is packed_file else make(rng))
        return make.__name__, lambda: read_data(target)

    def config(self, rng):
        as_text = rng.random() < 0.5
        target = self.folder / ("case.toml" if as_text else "case.json")
        document = {"data": "iris", "hidden": [4, 4], "lr": 0.1, "epochs": 3, "optimizer": "adam", "seed": 1}
        data = self.toml.encode() if as_text else json.dumps(change(document, rng)).encode()
        target.write_bytes(rng.choice(BYTES)(data, rng) if as_text or rng.random() < 0.3 else data)
        return target.suffix, lambda: settings_from({}, target)

    def clear(self):
        for path in self.folder.glob("case*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    executed, failures, told = [], [], Counter()
    watching, slowest = False, 0.0
    sys.addaudithook(lambda event, args: executed.append(event) if watching and event in EXECUTING else None)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        os.chdir(name)
        cases = Cases(Path(name))
        read_run(cases.folder / "arrays")
        read_run(cases.folder / "table")
        (cases.folder / "case.npz").write_bytes(bomb_file())
        before = peak_memory()
        for number in range(count):
            rng = random.Random(seed * 1_000_003 + number)
            kind = ("run", "run", "data", "config")[number % 4] if number else "bomb"
            what, read = (
                ("bomb", lambda: read_data(cases.folder / "case.npz")) if not number else getattr(cases, kind)(rng)
            )
            watching, began = True, time.perf_counter()
            try:
                read()
                told[f"{kind} harmless"] += 1
            except cl.errors.ClearpropError as problem:
                assert problem.headline and problem.expected
                told[f"{kind} refused"] += 1
            except BaseException as problem:  # whatever else comes out is what is looked for
                failures.append([number, kind, what, "".join(traceback.format_exception(problem)[-3:])])
            watching, slowest = False, max(slowest, time.perf_counter() - began)
            cases.clear()
        rose = peak_memory() - before
        marked = Path(MARK).exists()
    print(json.dumps({"told": told, "failures": failures, "executed": executed, "marked": marked, "memory": rose,
                      "slowest": slowest}))  # fmt: skip


if __name__ == "__main__":
    main()
