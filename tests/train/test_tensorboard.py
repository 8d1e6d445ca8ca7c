"""The event file, read by a decoder of its own."""

import struct

import pytest

import clearprop as cl
from clearprop.runs.tensorboard import TensorBoard, crc32c

pytestmark = pytest.mark.usefixtures("eager")


def records(data):
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert unmasked(data[8:12]) == crc32c(data[:8])
        message = data[12 : 12 + length]
        assert unmasked(data[12 + length : 16 + length]) == crc32c(message)
        yield message
        data = data[16 + length :]


def unmasked(four):
    value = (struct.unpack("<I", four)[0] - 0xA282EAD8) % 2**32
    return ((value >> 17) | (value << 15)) % 2**32


def fields(message):
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        field, kind = divmod(varint(), 8)
        size = {0: 0, 1: 8, 5: 4}.get(kind)
        if kind == 0:
            yield field, varint()
            continue
        if size is None:
            size = varint()
        yield field, message[at : at + size]
        at += size


def test_the_checksum_is_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_every_epoch_is_written(network, data, tmp_path):
    board = TensorBoard(tmp_path / "logs")
    run = cl.fit(network, data, epochs=3, validation=0.25, metrics=("accuracy",), callbacks=[board])
    first, *rest = (dict(fields(m)) for m in records(board.path.read_bytes()))
    assert first[3] == b"brain.Event:2"
    assert [r[2] for r in rest] == [e["step"] for e in run.history]
    for written, event in zip(rest, run.history, strict=True):
        values = [dict(fields(v)) for _, v in fields(written[5])]
        found = {v[1].decode(): struct.unpack("<f", v[2])[0] for v in values}
        assert set(found) == {f"{p}/{m}" for p in ("train", "validation") for m in ("loss", "accuracy")}
        assert found["train/loss"] == pytest.approx(event["train"]["loss"], rel=1e-6)
        assert found["validation/accuracy"] == pytest.approx(event["validation"]["accuracy"], rel=1e-6)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(cl.errors.RunError, match="cannot write 'logs'"):
        TensorBoard(tmp_path / "file" / "logs")
