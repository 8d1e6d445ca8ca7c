"""Damage by chance and by malice: to bytes, JSON, safetensors, parts of archives, and ONNX models."""

import copy
import io
import json
import os
import struct
import zipfile

import onnx

MARK = "clearprop-was-executed"
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


# ------------------------------------------------------------------------------------------ damage within archives
def as_archive(data, rng):
    """One part of an archive is changed, and packed again as if it had always been so; or the directory lies."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        parts = {info.filename: old.read(info) for info in old.infolist()}
        name = rng.choice(sorted(parts))
        parts[name] = rng.choice((flip, flip, cut, repeat, blank))(parts[name], rng)
        if rng.random() < 0.1:
            del parts[name]
        for name, part in parts.items():
            new.writestr(name, part)
        if rng.random() < 0.1 and new.infolist():
            rng.choice(new.infolist()).file_size = rng.choice([0, 1, 2**31, 2**32 - 2])
    return file.getvalue()


# ------------------------------------------------------------------------------------------- damage of ONNX models
STRANGE = (-(2**63), -(2**31), -7, -1, 0, 1, 2, 3, 17, 2**15, 2**31 - 1, 2**40, 2**62, 2**63 - 1)
OPERATORS = "Reshape Expand Tile Gather Conv Loop If Resize Concat Pad Unsqueeze Scan LSTM Cast Eye Softmax".split()


def as_onnx(data, rng):
    """A few numbers, arrays, names, operators or the order of nodes are changed."""
    proto = onnx.ModelProto.FromString(data)
    graph = proto.graph
    for _ in range(rng.randint(1, 3)):
        tensor = rng.choice(graph.initializer) if graph.initializer else onnx.TensorProto(dims=[1])
        made = rng.choice(graph.node) if graph.node else onnx.NodeProto()
        act = rng.randrange(7)
        if act == 0 and tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(STRANGE)
        elif act == 1:
            tensor.raw_data = rng.choice([b"", rng.randbytes(len(tensor.raw_data)), tensor.raw_data * 2])
        elif act == 2:
            tensor.data_type = rng.randrange(24)
        elif act == 3 and made.attribute:
            attribute = rng.choice(made.attribute)
            attribute.i = rng.choice(STRANGE)
            attribute.ints[:] = [rng.choice(STRANGE) for _ in attribute.ints]
        elif act == 4:
            names = rng.choice([made.input, made.output])
            names.append(rng.choice(["", "x", "../x", "\x1b[31m", "parameters", "n" * 5000]))
            names[rng.randrange(len(names))] = names[-1]
        elif act == 5:
            made.op_type = rng.choice(OPERATORS)
        else:
            nodes = rng.sample(list(graph.node), rng.randint(0, len(graph.node)))
            del graph.node[:]
            graph.node.extend(nodes)
    return proto.SerializeToString()
