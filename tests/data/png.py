"""PNG files written by hand, so that what reads them is compared with something else than itself."""

import struct
import zlib

import numpy as np

TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def png(values, size=None, **chunks):
    """The bytes of a PNG of these values `(height, width[, channels])`; its header may tell another size."""
    rows = values.reshape(len(values), values.shape[1], -1)
    lines = [row.astype(row.dtype.newbyteorder(">")).tobytes() for row in rows]
    return png_of(lines, size or rows.shape[:2], 8 * values.itemsize, TYPES[rows.shape[2]], **chunks)


def png_of(lines, size, depth, kind, before=(), after=()):
    """The bytes of a PNG of rows as they are stored, with more chunks `(name, bytes)` before the pixels and behind."""
    header = struct.pack(">IIBBBBB", size[1], size[0], depth, kind, 0, 0, 0)
    pixels = (b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines)))
    chunks = (b"IHDR", header), *before, pixels, *after, (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks))


def _chunk(named):
    name, body = named
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def save_pictures(folder, rows, shape=(8, 8), classes=("left", "right"), seed=0):
    """So many pictures in a subfolder for each class, whose bright half tells them apart; their values by file."""
    rng = np.random.default_rng(seed)
    written = {}
    for side, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for row in range(rows):
            values = rng.integers(0, 100, shape, dtype=np.uint8)
            half = shape[1] // 2
            values[:, side % 2 * half : side % 2 * half + half] += 120
            file = f"{name}/{row:03}.png"
            (folder / file).write_bytes(png(values))
            written[file] = values
    return written
