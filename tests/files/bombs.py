"""Small files that would take much time or memory, and files that nobody reads twice.

    python -m tests.files.bombs [some]

Every one must be refused with an error of ours, or read; prints one JSON object: seconds and headline of each, and the
peak of memory in bytes. `some` leaves out the dearest of those whose like is tried.
"""

import gzip
import io
import json
import os
import struct
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

import clearprop as cl
from benchmarks.machine import peak_memory
from clearprop.data.training_data import from_source
from clearprop.files.strict_json import read_json
from clearprop.runs.asked_settings import settings_from
from clearprop.runs.folder import RunFolder
from tests.files.table_cases import workbook


def header(descr, shape):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
    return magic(text.encode().ljust(117) + b"\n")


def magic(header):
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def npz(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as archive:  # the quickest; zeros shrink as they do
        for name, data in members.items():
            with archive.open(name + ".npy", "w", force_zip64=True) as file:
                for piece in data:
                    file.write(piece)


def zeros(rows, columns, dtype="<f8"):
    """An array of zeros, written piece by piece."""
    yield header(dtype, (rows, columns))
    size = rows * columns * np.dtype(dtype).itemsize
    for first in range(0, size, 2**20):
        yield bytes(min(2**20, size - first))


def whole(array):
    file = io.BytesIO()
    np.save(file, array)
    return [file.getvalue()]


def data(path):
    from_source(str(path), None, "auto", 0.15, 0.15, 0, 10**9)


def little(path):
    from_source(str(path), None, "auto", 0.15, 0.15, 0, 24 * 10**6)


def document(path):
    read_json(path, "the file")


def config(path):
    settings_from({}, path)


def history(path):
    folder = RunFolder(path)
    folder.history()


def text(content):
    return lambda path: path.write_bytes(content.encode("utf-8", "surrogatepass"))


def table(columns, rows, cell="1"):
    lines = [",".join(f"c{i}" for i in range(columns)), *[",".join([cell] * columns)] * rows]
    return text("\n".join(lines) + "\n")


Y = whole(np.arange(200) % 2)
NPZ = {
    "deflated doubles": lambda p: npz(p, {"x": zeros(200, 600_000), "y": Y}),
    "deflated bytes": lambda p: npz(p, {"x": zeros(2_000, 300_000, "|u1"), "y": whole(np.arange(2000) % 2)}),
    "bzip2": lambda p: npz(p, {"x": zeros(200, 20_000), "y": Y}, zipfile.ZIP_BZIP2),
    "lzma": lambda p: npz(p, {"x": zeros(200, 20_000), "y": Y}, zipfile.ZIP_LZMA),
    "wide": lambda p: npz(p, {"x": zeros(20, 400_000, "|u1"), "y": whole(np.arange(20) % 2)}),
    "one long row": lambda p: npz(p, {"x": [header("<f8", (1, 2**22)), bytes(2**25)], "y": whole(np.arange(1))}),
    "header: no end": lambda p: npz(p, {"x": [magic(b"{'descr': '<f8', 'shape': (" + b"\n")]}),
    "header: deep": lambda p: npz(p, {"x": [magic(b"(" * 9000 + b"\n")]}),
    "header: bytes": lambda p: npz(p, {"x": [magic(bytes(range(256)) * 8)]}),
    "header: strange dtype": lambda p: npz(p, {"x": [header("<V99999999999", (3, 2))]}),
    "header: no dtype": lambda p: npz(p, {"x": [header(("a", 1, 2, 3), (3, 2))]}),
    "header: huge": lambda p: npz(p, {"x": [header("<f8", (2**62, 2**62))]}),
    "header: texts of no characters": lambda p: npz(p, {"x": [header("<U0", (2**40,))], "y": Y}),
    "header: negative twice": lambda p: npz(p, {"x": [header("<f8", (-2, -1)), bytes(16)], "y": Y}),
    "header: negative": lambda p: npz(p, {"x": [header("<f8", (-1, 2))]}),
    "header: truth values": lambda p: npz(p, {"x": [header("<f8", (True, "a"))]}),
    "header: complex exponent": lambda p: npz(p, {"x": [magic(b"{'descr': 9**9**9**9**9}" + b"\n")]}),
}
CSV = {
    "200,000 columns": table(200_000, 2),
    "columns over the edge": table(32_769, 1),
    "one line": text("a" * (2**24 + 10)),
    "one quote": text('a,b\n"' + "x\n" * 500_000),
    "commas": text("a,b\n" + "," * 3_000_000),
    "lone surrogate": text("a,b\n\ud800,1\n"),
    "zeros": text("\0" * 3_000_000),
    "long names": text(",".join("n" * 5000 + str(i) for i in range(20)) + "\n" + ",".join("1" * 20) + "\n"),
    "long cells": text("a,b\n" + f"{'9' * 1_000_000},1\n" * 5),
    "empty lines": text("a,b\n1,2\n" + "\n" * 2_000_000),
}


def packed_line(path):
    """A line of 480 MB that packs to more than a hundredth of that, which other bounds allow."""
    words = np.random.default_rng(0).integers(97, 123, 6_000_000, np.uint8).tobytes()
    with gzip.open(path, "wb", compresslevel=1) as file:
        for first in range(0, len(words), 1000):
            file.write(words[first : first + 1000] + b"a" * 79_000)


BACKSLASHES = '{"a": "' + '\\"' * 200_000
JSON = {
    "backslashes": text(BACKSLASHES),
    "quotes": text("[" + '"' * 400_001),
    "sixty megabytes of objects": text("[" + "{}," * 20_000_000 + "{}]"),
    "numbers": text("[" + "1," * 5_000_000 + "1]"),
    "deep": text("[" * 1_000_000),
    "closed deep": text("[" * 400_000 + "]" * 400_000),
    "long number": text('{"a": ' + "9" * 2_000_000 + "}"),
    "lone surrogate": text('{"a": "\\ud800"}'),
    "surrogates turned": text('{"a": "\\udc00\\ud800"}'),
    "nan": text("[NaN]"),
}


def parquet(path):
    column = pyarrow.array(np.zeros(20_000_000))
    pyarrow.parquet.write_table(pyarrow.table({f"c{i}": column for i in range(8)}), path, compression="zstd")


def arrow(columns, packing=None, change=lambda data: data):
    """An Arrow file, changed behind its writer's back."""

    def make(path):
        file, table = io.BytesIO(), pyarrow.table(columns())
        with pyarrow.ipc.new_file(file, table.schema, options=pyarrow.ipc.IpcWriteOptions(compression=packing)) as out:
            out.write_table(table)
        path.write_bytes(change(file.getvalue()))

    return make


def gaps():
    nothing = pyarrow.Array.from_buffers(pyarrow.null(), 2**31 - 1, [None])
    return {"a": nothing, "b": nothing}


def one_long_text():
    text = pyarrow.array(["x" * 10**6])
    return {"a": pyarrow.DictionaryArray.from_arrays(np.zeros(10**5, np.int8), text), "b": np.arange(10**5) % 2}


def one_text_in_view():
    """A hundred thousand views of one text of a megabyte."""
    view = struct.pack("<i4sii", 10**6, b"xxxx", 0, 0)
    buffers = [None, *map(pyarrow.py_buffer, (view * 10**5, b"x" * 10**6))]
    return {"a": pyarrow.Array.from_buffers(pyarrow.string_view(), 10**5, buffers), "b": np.arange(10**5) % 2}


def zeros_of_a_column():
    return {"a": np.zeros(2 * 10**7), "b": np.zeros(2 * 10**7)}


def texts():
    return {"a": ["four"] * 40, "b": [0, 1] * 20}


def moved(data):
    return data.replace(struct.pack("<ii", 4, 8), struct.pack("<ii", 4, 2**30))


def no_text(data):
    return data.replace(b"four", b"\xf0our")


ARROW = {
    "gaps": arrow(gaps),
    "one text, again and again": arrow(one_long_text),
    "one text, seen again and again": arrow(one_text_in_view),
    "packed zeros": arrow(zeros_of_a_column, "zstd"),
    "texts outside": arrow(texts, change=moved),
    "no texts": arrow(texts, change=no_text),
    "codes outside": arrow(lambda: {"a": pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0, 7, -3, 2**30] * 10, pyarrow.int32()), pyarrow.array(["u", "v"]), safe=False)}),
}  # fmt: skip


def array(descr, shape, values=b""):
    return lambda path: path.write_bytes(header(descr, shape) + values)


NPY = {
    "texts of no characters": array("<U0", (2**40,)),
    "nothing": array("|V0", (10**9, 3)),
    "fields of nothing": array([("a", "<U0"), ("b", "<U0")], (10**10,)),
    "less than nothing": array("<f8", (-2, -1), bytes(16)),
    "no characters": array("<U2", (4, 2), b"\xff\xff\xff\x7f" * 16),
    "half characters": array("<U1", (4, 2), b"\x00\xd8\x00\x00" * 8),
    "no text": array("|S1", (4, 2), b"\xff" * 8),
}


def far(place):
    """A workbook with two cells, and one that is far away."""
    row = '<row><c r="A1"><v>1</v></c><c r="B1"><v>1</v></c></row>'
    return lambda path: path.write_bytes(workbook(f'{row}<row><c r="{place}"><v>1</v></c></row>'))


EXCEL = {place: far(place) for place in ("XFD3000", "XFD1048576", "A0", "A99999999999")}


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def endless(path):
    path.symlink_to("/dev/urandom")


SPECIAL = {"pipe": pipe, "device": device, "endless": endless, "loop": lambda p: p.symlink_to(p)}
EPOCH = {"v": 1, "event": "epoch", "step": 1, "epoch": 1, "epochs": 1, "train": {"loss": 1.0}, "validation": None,
         "best": True, "seconds": 1.0}  # fmt: skip
WRONG = {
    "train a number": {"train": 3},
    "train a list": {"train": [["loss", 1]]},
    "loss a text": {"train": {"loss": "=1+1"}},
    "loss a list": {"train": {"loss": [1]}},
    "loss true": {"train": {"loss": True}},
    "no train": {"train": None},
    "validation a text": {"validation": "good"},
    "step a text": {"step": "many"},
    "best a number": {"best": 1},
    "seconds a text": {"seconds": "nan"},
    "a half": {"train": {"\ud800": 1.0}},
}


def events(change):
    def make(path):
        path.mkdir()
        (path / "config.json").write_text("{}")
        (path / "history.jsonl").write_text(json.dumps({**EPOCH, **change}) + "\n")

    return make


CASES = [
    *((f"npz, {name}", "x.npz", make, data) for name, make in NPZ.items()),
    *((f"npz with little memory, {name}", "x.npz", NPZ[name], little) for name in ("deflated bytes", "wide")),
    *((f"csv, {name}", "x.csv", make, data) for name, make in CSV.items()),
    *((f"csv with little memory, {name}", "x.csv", make, little) for name, make in CSV.items()),
    ("csv, one packed line", "x.csv.gz", packed_line, data),
    *((f"json, {name}", "x.json", make, document) for name, make in JSON.items()),
    *((f"config, {name}", "x.json", JSON[name], config) for name in ("backslashes", "deep", "lone surrogate")),
    ("parquet, zeros", "x.parquet", parquet, data),
    *((f"arrow, {name}", "x.arrow", make, data) for name, make in ARROW.items()),
    *((f"npy, {name}", "x.npy", make, data) for name, make in NPY.items()),
    *((f"excel, {name}", "x.xlsx", make, data) for name, make in EXCEL.items()),
    *((f"rows of json, {name}", "x.jsonl", make, data) for name, make in JSON.items()),
    *((f"{name} as {suffix}, {read.__name__}", "x." + suffix, make, read) for name, make in SPECIAL.items()
      for suffix, read in (("csv", data), ("npz", data), ("parquet", little), ("json", document), ("json", config))),
    *((f"history, {name}", "run", events(change), history) for name, change in WRONG.items()),
    ("a name of 5,000 characters", None, None, lambda _: data(Path("n" * 5000))),
    ("a folder of 5,000 characters", None, None, lambda _: cl.load("n" * 5000)),
]  # fmt: skip
LIKE = {
    "csv with little memory, empty lines": "csv, empty lines",
    "csv with little memory, one line": "csv, one line",
    "json, closed deep": "json, deep",
    "config, deep": "json, deep",
}
"""The dearest, and what is of their kind."""


def main():
    told, left = {}, LIKE if "some" in sys.argv[1:] else {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for number, (name, file, make, read) in enumerate(case for case in CASES if case[0] not in left):
            path = Path(folder) / str(number) / (file or "")
            path.parent.mkdir(exist_ok=True)
            if make is not None:
                make(path)
            began = time.perf_counter()
            try:
                read(path)
                told[name] = [time.perf_counter() - began, "harmless"]
            except cl.errors.ClearpropError as problem:
                assert problem.headline and problem.expected and problem.got and problem.try_, name
                assert len(problem.message) < 4000, name
                told[name] = [time.perf_counter() - began, problem.headline[:100]]
            except BaseException as problem:
                told[name] = [time.perf_counter() - began, f"FAILED {type(problem).__name__}: {problem}"[:300]]
            if path.is_file() and not path.is_symlink():
                path.unlink()
    json.dump({"told": told, "memory": peak_memory()}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
