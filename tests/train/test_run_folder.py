"""A run folder that somebody else may have written: every damage is an error of ours, and nothing is executed."""

import json
import random
import shutil
import struct

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ClearpropError
from clearprop.files.strict_json import parse_json
from clearprop.runs.events import Events, as_sentence, log_events, measure_text, plain
from clearprop.runs.folder import RunFolder
from clearprop.train.loading import load
from tests.train.conftest import bits

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder to be damaged in copies."""
    from clearprop.train import job
    from clearprop.train.executor import eager_executor

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2
    out = tmp_path_factory.mktemp("made") / "run"
    model = cl.nn.Sequential(cl.nn.Dense(3, 4), cl.nn.LayerNorm(4), "gelu", cl.nn.Dropout(0.1), cl.nn.Dense(4, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "choose_executor", eager_executor)
        cl.fit(model, (x, y), epochs=2, batch_size=10, validation=0.25, out=out, checkpoint_seconds=0)
    return out


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def change(path, *keys, to):
    document = json.loads(path.read_text())
    inner = document
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    path.write_text(json.dumps(document))


def test_the_folder_is_as_described(made):
    assert sorted(p.name for p in made.iterdir()) == [
        "checkpoints", "config.json", "history.jsonl", "model.safetensors", "summary.json"
    ]  # fmt: skip
    assert sorted(p.name for p in (made / "checkpoints" / "4").iterdir()) == [
        "best.safetensors", "checkpoint.json", "model.safetensors", "optimizer.safetensors"
    ]  # fmt: skip
    config = json.loads((made / "config.json").read_text())
    assert set(config) == {
        "format",
        "model",
        "parameters",
        "settings",
        "data",
        "command",
        "forked",
        "environment",
        "earlier",
        "probe",
    }
    assert set(config["environment"]) == {"python", "platform", "processor", "blas", "threads", "versions"}
    assert config["settings"]["optimizer"]["name"] == "adam"
    assert len((made / "history.jsonl").read_text().splitlines()) == 2
    summary = json.loads((made / "summary.json").read_text())
    assert (summary["status"], summary["epochs"], summary["steps"], summary["stopped_by"]) == ("done", 2, 4, "epochs")


def nested(folder):
    (folder / "config.json").write_text("[" * 100_000 + "]" * 100_000)


def huge_shape(folder):
    change(folder / "config.json", "model", "fields", "layers", 0, "fields", "weight", "shape", to=[2**40, 2**40])


def other_class(folder):
    change(folder / "config.json", "model", "fields", "layers", 2, "module", to="os.system")


def foreign_static(folder):
    change(folder / "config.json", "model", "fields", "layers", 2, "fields", "name", to="exec")


def bit_flipped(folder):
    path = folder / "checkpoints" / "4" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def header_lies(folder):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(struct.pack("<Q", 2**62) + data[8:])


CASES = {
    "no config": (
        lambda f: (f / "config.json").unlink(),
        """\
'RUN' is no run folder
  expected  a folder that `clearprop train` or `cl.fit(..., out=)` wrote
  got       a folder without config.json
  where     RUN
  try       check the name; runs are under runs/ unless --out was given""",
    ),
    "no JSON": (
        lambda f: (f / "config.json").write_text("{"),
        """\
the run's config cannot be trusted
  expected  JSON
  got       Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
  where     RUN/config.json
  try       restore the file as the run wrote it, or train again""",
    ),
    "deep JSON": (
        nested,
        """\
the run's config cannot be trusted
  expected  at most 32 levels of lists and objects
  got       100000 levels
  where     RUN/config.json
  try       restore the file as the run wrote it, or train again""",
    ),
    "NaN": (
        lambda f: (f / "summary.json").write_text('{"format": NaN}'),
        """\
the run's summary cannot be trusted
  expected  JSON
  got       NaN is not JSON
  where     RUN/summary.json
  try       restore the file as the run wrote it, or train again""",
    ),
    "other format": (
        lambda f: change(f / "config.json", "format", to=7),
        """\
the run's config cannot be trusted
  expected  format 1
  got       format 7
  where     RUN/config.json
  try       restore the file as the run wrote it, or train again""",
    ),
    "wrong type": (
        lambda f: change(f / "config.json", "settings", "epochs", to="2"),
        """\
the run's config cannot be trusted
  expected  a value of type int
  got       '2'
  where     RUN/config.json, settings, epochs
  try       restore the file as the run wrote it, or train again""",
    ),
    "unknown status": (
        lambda f: change(f / "summary.json", "status", to="fine"),
        """\
the run's summary cannot be trusted
  expected  status running, done, interrupted, diverged
  got       'fine'
  where     RUN/summary.json
  try       restore the file as the run wrote it, or train again""",
    ),
    "class from a file": (
        other_class,
        """\
the stored network cannot be trusted
  expected  a module of cl.nn, such as Dense
  got       'os.system'
  where     RUN/config.json
  try       restore the file as the run wrote it, or train again""",
    ),
    "function from a file": (
        foreign_static,
        """\
the stored network cannot be trusted
  expected  fields that Activation takes
  got       no activation named 'exec'
  where     RUN/config.json
  try       restore the file as the run wrote it, or train again""",
    ),
    "absurd shape": (
        huge_shape,
        """\
the stored network cannot be trusted
  expected  layers[0].weight: float32 (1099511627776, 1099511627776)
  got       float32 (3, 4)
  where     RUN/model.safetensors
  try       restore the file as the run wrote it, or train again""",
    ),
    "absurd header": (
        header_lies,
        """\
the stored network cannot be trusted
  expected  a safetensors file
  got       Error while deserializing header: header too large
  where     RUN/model.safetensors
  try       restore the file as the run wrote it, or train again""",
    ),
    "foreign optimizer": (
        lambda f: change(f / "config.json", "settings", "optimizer", to={"name": "eval"}),
        """\
the stored optimizer cannot be trusted
  expected  an optimizer of cl.optim
  got       no optimizer named 'eval'
  where     RUN/config.json
  try       restore the file as the run wrote it, or train again""",
    ),
    "a bit of a checkpoint": (bit_flipped, None),
    "checkpoint without a file": (
        lambda f: (f / "checkpoints" / "4" / "optimizer.safetensors").unlink(),
        """\
the checkpoint cannot be trusted
  expected  the file optimizer.safetensors
  got       No such file or directory
  where     RUN/checkpoints/4/optimizer.safetensors
  try       remove RUN/checkpoints/4: the run then goes on from step 2""",
    ),
    "checkpoint that names files elsewhere": (
        lambda f: change(f / "checkpoints" / "4" / "checkpoint.json", "files", to={"../../config.json": {}}),
        """\
the checkpoint cannot be trusted
  expected  the fields bytes, sha256
  got       none
  where     RUN/checkpoints/4/checkpoint.json, files, ../../config.json
  try       restore the file as the run wrote it, or train again""",
    ),
    "history of something else": (
        lambda f: (f / "history.jsonl").write_text('{"event": "epoch", "epoch": 2}\n'),
        """\
the history cannot be trusted
  expected  the event of epoch 1
  got       {"event": "epoch", "epoch": 2}
  where     RUN/history.jsonl:1
  try       restore the file as the run wrote it, or train again""",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_damage_is_told(case, folder):
    damage, message = CASES[case]
    damage(folder)
    with pytest.raises(cl.errors.RunError) as caught:
        load(folder)
    text = str(caught.value).replace(str(folder), "RUN")
    text = text.replace("HeaderTooLarge", "header too large")  # the words of safetensors 0.5
    if message is None:
        assert text.startswith("the checkpoint cannot be trusted\n  expected  model.safetensors with SHA-256 ")
    else:
        assert text == message


def test_fuzzed_folders_give_errors_of_ours(made, tmp_path):
    """Files cut, overwritten and shuffled at random: an error of ours, or a run that predicts."""
    source = random.Random(0)
    files = [p.relative_to(made) for p in sorted(made.rglob("*")) if p.is_file()]
    for trial in range(60):
        folder = shutil.copytree(made, tmp_path / str(trial))
        path = folder / source.choice(files)
        data = bytearray(path.read_bytes())
        for _ in range(source.randrange(1, 4)):
            at = source.randrange(len(data))
            data[at : at + source.randrange(3)] = source.randbytes(source.randrange(3))
        path.write_bytes(bytes(data[: source.choice([len(data), source.randrange(len(data) + 1)])]))
        try:
            load(folder).predict(np.zeros((2, 3), np.float32))
        except ClearpropError as problem:
            assert str(problem).count("\n") >= 2


def test_resuming_with_anything_else_is_refused(folder, made):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2
    model = cl.nn.Sequential(cl.nn.Dense(3, 4), cl.nn.LayerNorm(4), "gelu", cl.nn.Dropout(0.1), cl.nn.Dense(4, 2))
    options = {"epochs": 2, "batch_size": 10, "validation": 0.25, "resume": folder}
    assert cl.fit(model, (x, y), **options).status == "done"
    for change_, told in [
        ({"batch_size": 5}, "settings.batch_size: 10"),
        ({"seed": 3}, "settings.seed: 0"),
        ({"l2": 0.5}, "settings.l2: 0.0"),
        ({"validation": 0.5}, "data.digest: "),
    ]:
        with pytest.raises(cl.errors.RunError) as caught:
            cl.fit(model, (x, y), **{**options, **change_})
        assert str(caught.value).startswith("the run can only be resumed as it was started\n  expected  " + told)
    with pytest.raises(cl.errors.RunError, match="expected  model: "):
        cl.fit(cl.nn.mlp([3, 5, 2]), (x, y), **options)


def test_the_same_network_comes_back(made):
    run = load(made)
    assert bits(load(made).model) == bits(run.model)
    assert [type(layer).__name__ for layer in run.model.layers] == [
        "Dense", "LayerNorm", "Activation", "Dropout", "Dense"
    ]  # fmt: skip


def test_a_folder_opened_twice_is_not_changed(made):
    before = {p: p.read_bytes() for p in made.rglob("*") if p.is_file()}
    load(made).predict(np.zeros((1, 3), np.float32))
    RunFolder(made)
    assert {p: p.read_bytes() for p in made.rglob("*") if p.is_file()} == before


def test_json_depth_counts_brackets_outside_texts():
    assert parse_json('{"a": "[[[[["}', "it", "here") == {"a": "[[[[["}
    with pytest.raises(cl.errors.RunError, match="too large"):
        parse_json("[1e999]", "it", "here")


# ---------------------------------------------------------------------------------------------------------- events
def test_events_are_numbered_and_plain():
    sent = []
    events = Events([sent.append], first=4)
    events.emit("warning", message="x", value=np.float32(np.nan), many=(np.arange(2), {"a": np.inf}))
    events.error(cl.errors.DataError("no", expected="e", got="g", where="w", try_="t"))
    assert [e["seq"] for e in sent] == [4, 5]
    assert (sent[0]["value"], sent[0]["many"]) == ("nan", [[0, 1], {"a": "inf"}])
    assert {k: sent[1][k] for k in ("event", "kind", "message", "expected", "got", "where", "try")} == {
        "event": "error", "kind": "data", "message": "no", "expected": "e", "got": "g", "where": "w", "try": "t"
    }  # fmt: skip
    assert sent[0]["time"].endswith("Z")


def test_events_go_to_logging(caplog):
    with caplog.at_level("DEBUG", logger="clearprop"):
        event = Events([log_events]).emit("warning", message="careful")
    assert caplog.records[0].getMessage() == "careful" == as_sentence(event)
    assert caplog.records[0].event == event
    assert caplog.records[0].levelname == "WARNING"


@pytest.mark.parametrize(
    "name, value, text",
    [
        ("accuracy", 1, "1.0000"), ("accuracy", 0.9, "0.9000"), ("accuracy", 0.98149, "0.9815"),
        ("accuracy", "nan", "nan"), ("loss", 1.0, "1"), ("loss", 0.0796812, "0.07968"), ("loss", "inf", "inf"),
    ],
)  # fmt: skip
def test_measures_for_a_reader(name, value, text):
    assert measure_text(name, value) == text


def test_plain_leaves_plain_values_alone():
    assert plain({"a": [1, 2.5, None, True, "x"]}) == {"a": [1, 2.5, None, True, "x"]}
