"""Damaged folders of runs, ensembles, folds and sweeps at every command: four-part messages, nothing outside touched.

Every file of a folder × what was done to it × every command that opens the folder.
"""

import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import clearprop as cl
from tests.cli.conftest import command, eager  # noqa: F401 - fixtures
from tests.files.limits import SECONDS

QUICK = ("--epochs", "2", "--hidden", "3", "--val", "0.3")
NUMBER = re.compile(r"(?<=[:\[ ])-?\d+(\.\d+)?(e-?\d+)?(?=[,\}\]\n])")
COMMANDS = {
    "run": [
        ("compare", "W", "W2"), ("evaluate", "W", "t.csv"), ("predict", "W", "t.csv", "--out", "new.csv"),
        ("explain", "W", "--row", "3"), ("explain", "W"), ("report", "W"), ("train", "--resume", "W", "--epochs", "3"),
        ("train", "--fork", "W@1", "--epochs", "2", "--out", "forked"), ("export", "W", "--out", "new.py"),
        ("importance", "W", "--repeats", "1"), ("check", "W"), ("config", "W"),
    ],
    "ensemble": [
        ("predict", "W", "t.csv", "--out", "new.csv"), ("evaluate", "W", "t.csv"), ("explain", "W", "--row", "3"),
        ("train", "--resume", "W", "--members", "3"), ("compare", "W", "W2"),
    ],
    "folds": [("train", "--resume", "W")],
    "sweep": [("sweep", "--resume", "W"), ("compare", "W/trials/trial-000", "W2/trials/trial-001")],
}  # fmt: skip
"""What opens a folder of each kind; W is damaged, and W2 is whole."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder of each kind, and the table that they learned from."""
    from clearprop.cli import main
    from clearprop.train import job
    from clearprop.train.executor import eager_executor

    root, rng = tmp_path_factory.mktemp("whole"), np.random.default_rng(0)
    rows = [(*np.round(rng.normal(size=2), 3), "xyz"[i % 3]) for i in range(60)]
    text = "".join(f"{a},{b},{town},{'p' if a > 0 else 'q'}\n" for a, b, town in rows)
    (root / "t.csv").write_text("a,b,town,y\n" + text)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as executor:
        patch.setattr(job, "choose_executor", eager_executor)
        patch.chdir(root)
        for name, more in {"run": (), "ensemble": ("--members", "2"), "folds": ("--folds", "2")}.items():
            assert main(["train", "t.csv", *more, *QUICK, "--out", name]) == 0
        space, settings = {"lr": "0.01;0.1"}, {"epochs": 2, "hidden": (3,), "val": 0.3}
        cl.sweep("t.csv", space, search="grid", trials=2, executor=executor, out="sweep", **settings)
    return root


def replaced(pattern, by):
    return lambda path, data, outside: path.write_text(pattern.sub(by, data.decode(errors="replace")))


def linked(path, target):
    path.unlink()
    path.symlink_to(target)


def in_place(make):
    def act(path, data, outside):
        path.unlink()
        make(path)

    return act


def moved_away(path, data, outside):
    """The file stands outside, and a link to it in its place."""
    (outside / path.name).write_bytes(data)
    linked(path, outside / path.name)


def swapped(path, data, outside):
    others = (p for p in sorted(path.parent.rglob(f"*{path.suffix}")) if p != path and p.is_file())
    path.write_bytes(next(others, path).read_bytes())


DAMAGE = {
    "half": lambda path, data, outside: path.write_bytes(data[: len(data) // 2]),
    "empty": lambda path, data, outside: path.write_bytes(b""),
    "swapped": swapped,
    "6 GB": lambda path, data, outside: os.truncate(path, 6 << 30),
    "NaN": replaced(NUMBER, "NaN"),
    "infinite": replaced(NUMBER, "1e999"),
    "text": replaced(NUMBER, '"x"'),
    "negative": replaced(NUMBER, "-1"),
    "large": replaced(NUMBER, "999999999999"),
    "a list": lambda path, data, outside: path.write_text("[]\n"),
    "null": lambda path, data, outside: path.write_text("null\n"),
    "a device": lambda path, data, outside: linked(path, "/dev/zero"),
    "another's": lambda path, data, outside: linked(path, "/etc/passwd"),
    "a pipe": in_place(os.mkfifo),
    "a folder": in_place(os.mkdir),
    "outside": moved_away,
}


def try_all(kind, whole, run, tmp_path, chosen):
    """Damage files of the folder and open it; `chosen(number)` of the cases. Returns how many were tried."""
    shutil.copy(whole / "t.csv", tmp_path / "t.csv")
    shutil.copytree(whole / kind, tmp_path / "W2")
    outside, files = tmp_path / "outside", sorted(p.relative_to(whole / kind) for p in (whole / kind).rglob("*.*"))
    cases = [(f, d, c) for f in files if (whole / kind / f).is_file() for d in DAMAGE for c in COMMANDS[kind]]
    tried = 0
    for file, damage, words in (case for number, case in enumerate(cases) if chosen(number)):
        for path in (tmp_path / "W", outside, tmp_path / "forked"):
            shutil.rmtree(path, ignore_errors=True)
        for path in tmp_path.glob("new.*"):
            path.unlink()
        outside.mkdir()
        shutil.copytree(whole / kind, tmp_path / "W")
        path = tmp_path / "W" / file
        DAMAGE[damage](path, path.read_bytes(), outside)
        before, began = {p: p.read_bytes() for p in outside.iterdir()}, time.process_time()
        code, out, err = run(*words)
        told = f"{file} {damage}: clearprop {' '.join(words)}\n{out[-300:]}{err[-600:]}"
        assert code in (0, 2) and "Traceback" not in err, told
        assert code == 0 or err.count("  expected  ") == err.count("  try       ") > 0, told
        assert time.process_time() - began < SECONDS, told
        assert {p: p.read_bytes() for p in outside.iterdir()} == before, told
        tried += 1
    return tried


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("kind", COMMANDS)
def test_damaged_folders(kind, whole, command, tmp_path):  # noqa: F811 - a fixture
    """A few of all, spread over files, damages and commands."""
    assert try_all(kind, whole, command, tmp_path, lambda number: number % 311 == 7)


@pytest.mark.verify
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("block", range(8))
@pytest.mark.parametrize("kind", COMMANDS)
def test_all_damaged_folders(kind, block, whole, command, tmp_path, record_property):  # noqa: F811 - a fixture
    tried = try_all(kind, whole, command, tmp_path, lambda number: number % 8 == block)
    record_property("tried", f"{tried} commands on a damaged {kind}")


FOLDERS = [
    ("run", "checkpoints"), ("run", "checkpoints/*"), ("ensemble", "2"), ("ensemble", "1/checkpoints"),
    ("folds", "1-2"), ("sweep", "trials"), ("sweep", "trials/trial-001"),
]  # fmt: skip
WRITERS = {
    "run": ("train", "--resume", "W", "--epochs", "3"), "ensemble": ("train", "--resume", "W", "--members", "3"),
    "folds": ("train", "--resume", "W"), "sweep": ("sweep", "--resume", "W"),
}  # fmt: skip


def contents(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("kind", "name"), FOLDERS)
def test_nothing_is_written_through_links_to_folders(kind, name, whole, command, tmp_path):  # noqa: F811 - a fixture
    shutil.copy(whole / "t.csv", tmp_path / "t.csv")
    shutil.copytree(whole / kind, tmp_path / "W")
    outside, place = tmp_path / "outside", sorted((tmp_path / "W").glob(name))[-1]
    place.rename(outside)
    (outside / ".left.partial-1").write_text("somebody's")
    place.symlink_to(outside)
    before = contents(outside)
    code, _, err = command(*WRITERS[kind])
    assert contents(outside) == before
    assert code == 2 and f"{place.name!r} leads out of the folder that is to be written" in err, err
    if kind != "folds" and name != "trials":
        assert command("predict", "W/trials/trial-001" if kind == "sweep" else "W", "t.csv")[0] == 0
