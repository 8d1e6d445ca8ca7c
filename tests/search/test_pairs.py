"""Two processes in one folder of several trainings: what can be done is done, and what cannot harms nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.search.beside import DOORS, kept

ROOT = Path(__file__).parents[2]
PAIRS = [("begin", "begin"), ("begin", "go on"), ("go on", "go on"), ("go on", "read")]
"""What both do; where neither begins, one training has ended before."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """For each place what one process makes of it, and one that was left after its first training."""
    folder = tmp_path_factory.mktemp("alone")
    for door in DOORS:
        for action, name in (("begin", "whole"), ("leave", "left")):
            require_done(door, action, folder / door / name)
    return folder


def command(door, action, folder):
    return [sys.executable, "-m", "tests.search.beside", door, action, str(folder)]


def require_done(door, action, folder):
    subprocess.run(command(door, action, folder), cwd=ROOT, check=True, capture_output=True, timeout=240)


def waiting(door, action, folder):
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([*command(door, action, folder), "wait"], cwd=ROOT, text=True, **pipes)


def require_unharmed(door, actions, alone, folder):
    shutil.rmtree(folder, ignore_errors=True)
    if "begin" not in actions:
        shutil.copytree(alone / door / "left", folder)
    children = [waiting(door, action, folder) for action in actions]
    for child in children:
        assert child.stdout.readline() == "ready\n", child.communicate()
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=240)[1] for child in children]
    codes = [child.returncode for child in children]
    for code, text in zip(codes, said, strict=True):
        assert code in (0, 2) and "Traceback" not in text, text
        assert code == 0 or text.count("  expected  ") == text.count("  try       ") == 1, text
    writers = [code for action, code in zip(actions, codes, strict=True) if action != "read"]
    assert 0 in writers, said
    assert kept(folder) == kept(alone / door / "whole"), said
    assert not [p for p in folder.parent.rglob(".*") if "partial" in p.name]
    assert not (folder / "stop").exists()
    require_done(door, "read", folder)


@pytest.mark.verify
@pytest.mark.parametrize("actions", PAIRS, ids=" and ".join)
@pytest.mark.parametrize("door", DOORS)
def test_every_pair(door, actions, alone, tmp_path, record_property):
    for number in range(3):
        require_unharmed(door, actions, alone, tmp_path / f"all-{number}")
    record_property("tried", f"3 pairs of {' and '.join(actions)}, {door}")
