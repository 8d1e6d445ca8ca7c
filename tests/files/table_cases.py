"""Tables in every form of file, as they are written, damaged, or made to lie; and the doors that read them."""

import bz2
import gzip
import io
import json
import lzma
import struct
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import polars
import pyarrow

import clearprop as cl
from clearprop.data.readers.formats import ARROW, NPY, NPZ
from clearprop.data.readers.sources import file_form
from clearprop.data.streaming.memory import LEAST_MEMORY
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.training_data import from_source
from tests.files.damage import BYTES, HOSTILE, Bomb, as_archive, blank, change, flip


def perhaps(damages):
    """Often nothing, else one of the damages."""
    return lambda data, rng: data if rng.random() < 0.4 else rng.choice(damages)(data, rng)


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
    return perhaps(BYTES)(data, rng)


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
    return perhaps(BYTES)(PACKINGS[suffix](data), rng)


def npy(array, rng):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    data = file.getvalue()
    if rng.random() < 0.3:  # a header that promises more than there is
        shape = rng.choice([(2**40,), (2**31, 2**31), (10**9, 8), (0, 4), (-1,), (-3, -1), (3, 10**7)])
        kind = rng.choice(["<f8", "|O", "<U1000000", "<f4", "<U0", "|V0"])
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
    return perhaps(BYTES)(data, rng)


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
    return perhaps(BYTES)(data, rng)


def bomb_file():
    """An archive of a few bytes that says it unpacks to three gigabytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(2**20))
        archive.getinfo("x.npy").file_size = 3 * 2**30
    return file.getvalue()


def numbers(rng):
    """Some columns of a table, as lists by name."""
    n = rng.choice([0, 1, 40, 200])
    return {
        "a": [rng.gauss(0, 1) for _ in range(n)],
        "b": [rng.choice([None, 1, 2, 10**12]) for _ in range(n)],
        "text": [rng.choice(["u", "v", "\x1b[31m", None]) for _ in range(n)],
        "kind": [rng.choice(["yes", "no"]) for _ in range(n)],
    }


def npy_file(rng):
    n = rng.choice([0, 1, 20, 60])
    structured = np.zeros(n, [("a", "f8"), ("b", "i4"), ("kind", rng.choice(["U3", "S3", "i1", "U0"]))])
    plain = np.linspace(-1, 1, n * 3).reshape(n, 3)
    arrays = [structured, plain, plain, plain.astype("f4"), plain > 0, plain * 1j, plain.astype("U"), plain[:, 0]]
    return perhaps(BYTES)(npy(rng.choice(arrays), rng), rng)


def strange_column(rng, n):
    """A column that no table should hold: nested, of another kind, or one whose parts lie about each other."""
    indices = pyarrow.array([rng.choice([0, 1, 7, -1, 2**30]) for _ in range(n)], pyarrow.int32())
    return rng.choice([
        lambda: pyarrow.array([[1, 2]] * n),
        lambda: pyarrow.array([{"x": 1}] * n),
        lambda: pyarrow.array([b"\xff\xfe"] * n),
        lambda: pyarrow.array([2**62] * n, pyarrow.duration("ns")),
        lambda: pyarrow.array([2**62] * n, pyarrow.timestamp("s")),
        lambda: pyarrow.array([date(9999, 12, 31)] * n),
        lambda: pyarrow.nulls(n),
        lambda: pyarrow.array(["four"] * n),
        lambda: pyarrow.DictionaryArray.from_arrays(indices, pyarrow.array(["u", "v"]), safe=False),
    ])()  # fmt: skip


def arrow_file(rng):
    table = pyarrow.table({name: pyarrow.array(values) for name, values in numbers(rng).items()})
    if rng.random() < 0.4:
        table = table.add_column(rng.randrange(4), rng.choice(["odd", "a"]), strange_column(rng, table.num_rows))
    if rng.random() < 0.03:
        nothing = pyarrow.Array.from_buffers(pyarrow.null(), rng.choice([10**6, 10**8, 2**31 - 1]), [None])
        table = pyarrow.table({"a": nothing, "b": nothing})
    file = io.BytesIO()
    packing = pyarrow.ipc.IpcWriteOptions(compression=rng.choice([None, "lz4", "zstd"]))
    with pyarrow.ipc.new_file(file, table.schema, options=packing) as writer:
        writer.write_table(table, max_chunksize=7 if table.num_rows < 1000 and rng.random() < 0.5 else None)
    data = file.getvalue()
    if rng.random() < 0.2:  # places of texts that lie outside
        data = data.replace(struct.pack("<ii", 4, 8), struct.pack("<ii", 4, rng.choice([2**30, -1, 9])))
    if rng.random() < 0.4:  # what says how much there is and where lies at the end, and before every batch
        start = rng.choice([0, max(0, len(data) - rng.randint(9, 1500))])
        data = data[:start] + rng.choice([flip, blank])(data[start:], rng)
    return perhaps(BYTES)(data, rng)


def json_file(rng):
    columns = numbers(rng)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if rng.random() < 0.5:
        rows = change(rows, rng)
    if isinstance(rows, list) and rng.random() < 0.6:
        text = rng.choice(["\n", "\n\n", "\r\n"]).join(json.dumps(row) for row in rows)
    else:
        text = json.dumps(rows)
    return perhaps(BYTES)(text.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16"])), rng)


# ------------------------------------------------------------------------------------------------------ workbooks
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
FAR = ("XFD1", "A1048576", "XFD1048576", "ZZZ9", "AB200000", "A0", "1A", "", "A99999999999", "CV20000")
"""Places of cells that are far away, or nowhere."""


def sheet_cell(value, place, rng):
    known = f' r="{place}"' if place else ""
    if isinstance(value, str):
        return f'<c{known} t="inlineStr"><is><t>{value}</t></is></c>'
    if rng.random() < 0.02:
        return f'<c{known} t="{rng.choice(["s", "b", "e", "d", "n", "str"])}"><v>{rng.choice(HOSTILE)}</v></c>'
    return f"<c{known}/>" if value is None else f"<c{known}><v>{value}</v></c>"


def excel_file(rng):
    columns = numbers(rng)
    columns["text"] = [value and value.strip("\x1b") for value in columns["text"]]
    rows = [tuple(columns), *zip(*columns.values(), strict=True)]
    placed, far = rng.random() < 0.5, rng.random() < 0.15
    lines = []
    for number, row in enumerate(rows, 1):
        cells = [sheet_cell(v, f"{'ABCD'[i]}{number}" if placed else "", rng) for i, v in enumerate(row)]
        if far and rng.random() < 2 / len(rows):
            cells.append(sheet_cell(1, rng.choice(FAR), rng))
        lines.append(f"<row>{''.join(cells)}</row>")
    size = f'<dimension ref="A1:{rng.choice(FAR)}"/>' if rng.random() < 0.1 else ""
    return perhaps([as_archive, as_archive, *BYTES])(workbook("".join(lines), size), rng)


def workbook(rows, size=""):
    """The bytes of a workbook with one sheet, of the XML of its rows."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        link = f'<Relationship Id="r1" Type="{OFFICE}/%s" Target="%s"/>'
        for name, kind, target in (
            ("_rels/.rels", "officeDocument", "xl/workbook.xml"),
            ("xl/_rels/workbook.xml.rels", "worksheet", "worksheets/sheet1.xml"),
        ):
            archive.writestr(name, f'<Relationships xmlns="{PACKAGE}">{link % (kind, target)}</Relationships>')
        sheets = '<sheets><sheet name="One" sheetId="1" r:id="r1"/></sheets>'
        archive.writestr("xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">{sheets}</workbook>')
        body = f'<worksheet xmlns="{MAIN}">{size}<sheetData>{rows}</sheetData></worksheet>'
        archive.writestr("xl/worksheets/sheet1.xml", body.encode("utf-8", "surrogatepass"))
    return file.getvalue()


FORMS = {
    ".csv": csv_file, ".npz": npz_file, ".npy": npy_file, ".parquet": parquet_file, ".arrow": arrow_file,
    ".feather": arrow_file, ".jsonl": json_file, ".json": json_file, ".xlsx": excel_file,
    **{".csv" + packing: lambda rng, packing=packing: packed_file(packing, rng) for packing in PACKINGS},
}  # fmt: skip
AT_ONCE = (NPZ, NPY, ARROW)
"""Forms that are never read in blocks."""


def read_data(path):
    """Read a file at once; a table also in blocks, which must come to the same end."""
    try:
        from_source(str(path), None, "auto", 0.15, 0.15, 0)
    except cl.errors.ClearpropError as problem:
        refused = problem
    else:
        refused = None
    if file_form(path, str(path)) in AT_ONCE:
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
