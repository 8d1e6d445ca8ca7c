"""The event file, read back by the protocol buffers of TensorBoard and by a reading of its records by hand."""

import struct
import sys

import pytest
from tensorboardX.proto.event_pb2 import Event

import clearprop as cl

pytestmark = pytest.mark.usefixtures("eager")


def messages(data):
    """Every record of the file: length, its checksum, bytes, their checksum (which TensorBoard verifies)."""
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def test_every_epoch_is_written_when_it_has_ended(network, data, tmp_path):
    board = cl.TensorBoard(tmp_path / "logs")
    seen = []
    run = cl.fit(
        network, data, epochs=3, validation=0.25, metrics=("accuracy",),
        callbacks=[board, lambda event, state: seen.append(len([*messages(board.path.read_bytes())]))],
    )  # fmt: skip
    assert [*dict.fromkeys(seen)] == [1, 2, 3, 4], "each epoch is on disk before the next begins"
    first, *rest = messages(board.path.read_bytes())
    assert first.file_version == "brain.Event:2"
    assert [r.step for r in rest] == [e["step"] for e in run.history]
    for written, event in zip(rest, run.history, strict=True):
        found = {v.tag: v.simple_value for v in written.summary.value}
        assert set(found) == {f"{p}/{m}" for p in ("train", "validation") for m in ("loss", "accuracy")}
        assert found["train/loss"] == pytest.approx(event["train"]["loss"], rel=1e-6)
        assert found["validation/accuracy"] == pytest.approx(event["validation"]["accuracy"], rel=1e-6)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(cl.errors.RunError, match="cannot write 'logs'"):
        cl.TensorBoard(tmp_path / "file" / "logs")


def test_a_full_disk_is_said(tmp_path, network, data, monkeypatch):
    board = cl.TensorBoard(tmp_path)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(board._records, "write", full)
    with pytest.raises(cl.errors.RunError, match="No space left on device"):
        cl.fit(network, data, epochs=1, callbacks=[board])


def test_without_the_package_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(cl.errors.ArgumentError) as caught:
        cl.TensorBoard(tmp_path / "logs")
    assert str(caught.value) == (
        "events for TensorBoard need tensorboardX\n"
        "  expected  tensorboardX, which the extra `tensorboard` brings\n"
        "  got       no module named 'tensorboardX'\n"
        "  try       pip install 'clearprop[tensorboard]'"
    )
    assert not (tmp_path / "logs").exists()


def test_the_former_name_still_gives_it_and_warns():
    with pytest.warns(DeprecationWarning, match=r"is cl\.TensorBoard now"):
        from clearprop.train.tensorboard import TensorBoard
    assert TensorBoard is cl.TensorBoard
