"""Compiled kernels on disk: found again by other processes, and harmless whatever happens to the folder."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import platform
import py_compile
import shutil
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.native import cache

SCRIPT = """
    import json
    import sys

    import numpy as np

    import clearprop as cl

    LIMIT = {limit}
    if LIMIT:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    x = np.linspace(0.0, 1.0, 24).reshape(4, 6)
    f = cl.compile(lambda x: (cl.sum(cl.exp(x) * x, axis=1), x @ x.mT), executor="numba")
    rows, products = f(x)
    np.testing.assert_allclose(np.asarray(rows), (np.exp(x) * x).sum(1), rtol=1e-12)
    np.testing.assert_allclose(np.asarray(products), x @ x.T, rtol=1e-12)

    from clearprop.compiler.native.cache import stats

    print(json.dumps(vars(stats) | {{"numba": "numba" in sys.modules}}))
"""


def start(folder, limit=0):
    """A process that compiles a small function with its kernels in `folder`."""
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT.format(limit=limit))]
    environment = {**os.environ, "CLEARPROP_CACHE_DIR": str(folder)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    """What its cache did."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def run(folder, limit=0):
    return finish(start(folder, limit))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder that one process has filled, and what that process says."""
    folder = tmp_path_factory.mktemp("kernels")
    return folder, run(folder)


def test_a_second_process_finds_everything(filled):
    folder, first = filled
    assert first["compiled"] >= 2 and first["numba"] and first["note"] == ""
    assert first["folder"] == str(folder) and stat.S_IMODE(folder.stat().st_mode) == 0o700
    second = run(folder)
    assert second["compiled"] == 0 and second["rebuilt"] == 0
    assert second["cache_hits"] == len(list(folder.glob("*.o")))
    assert not second["numba"], "kernels that are known load without Numba"


def test_two_processes_that_race(tmp_path):
    both = [finish(p) for p in [start(tmp_path), start(tmp_path)]]
    assert all(r["note"] == "" for r in both)
    assert not list(tmp_path.glob("*.tmp"))
    third = run(tmp_path)
    assert third["compiled"] == third["rebuilt"] == 0 and third["cache_hits"] > 0


def test_kernels_for_another_processor_are_kept_apart(filled, tmp_path, monkeypatch):
    """Numba compiles for the processor that its variables name; those kernels are not taken for this one's."""
    first, folder = filled[1], tmp_path / "kernels"
    shutil.copytree(filled[0], folder)
    monkeypatch.setenv("NUMBA_CPU_NAME", "x86-64-v2" if platform.machine() == "x86_64" else "generic")
    other = run(folder)
    assert other["compiled"] == first["compiled"] and other["cache_hits"] == 0
    monkeypatch.delenv("NUMBA_CPU_NAME")
    assert run(folder)["compiled"] == 0


# ------------------------------------------------------------------------------------------------ within a process
KERNEL = '''"""Generated; do not edit."""

from clearprop.compiler.native.kernel_imports import *


@entry("f64")
def kernel(values):
    values[u64(1)] = values[u64(0)] + f64({number})
'''


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A cache that has done nothing yet, in a folder of its own; a function makes it forget what it has loaded."""
    folder = tmp_path / "kernels"
    monkeypatch.setenv("CLEARPROP_CACHE_DIR", str(folder))
    monkeypatch.setattr(cache, "stats", cache.Statistics())

    def forget():
        monkeypatch.setattr(cache, "_loaded", {})
        cache.cache_folder.cache_clear()
        cache._bound_folder.cache_clear()

    forget()
    yield folder, forget
    cache.cache_folder.cache_clear()


def works(number):
    """Compile or load the kernel that adds a number, and call it."""
    import ctypes

    text = KERNEL.format(number=number)
    values = np.array([1.0, 0.0])
    row = np.array([values.ctypes.data], np.uint64)
    ctypes.CFUNCTYPE(None, ctypes.c_uint64)(cache.kernel_address(text))(row.ctypes.data)
    assert values[1] == 1.0 + number
    return text


def entry_of(folder, text):
    return folder / f"kernel_{cache.kernel_key(text)}.o"


def test_damaged_entries_are_rebuilt(fresh):
    folder, forget = fresh
    path = entry_of(folder, works(1))
    healthy = path.read_bytes()
    other = entry_of(folder, works(2)).read_bytes()
    flipped = bytearray(healthy)
    flipped[-40] ^= 1
    damages = [b"", healthy[:10], healthy[: len(healthy) // 2], healthy[:-1], bytes(flipped), b"x" + healthy, other]
    for k, damage in enumerate(damages, start=1):
        path.write_bytes(damage)
        forget()
        works(1)
        assert cache.stats.rebuilt == k
        assert path.read_bytes() != damage
    forget()
    hits = cache.stats.cache_hits
    works(1)
    assert cache.stats.cache_hits == hits + 1 and cache.stats.rebuilt == len(damages)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may give files away")
def test_an_entry_of_another_user_is_rebuilt(fresh):
    folder, forget = fresh
    path = entry_of(folder, works(1))
    os.chown(path, 12345, -1)
    forget()
    works(1)
    assert cache.stats.rebuilt == 1
    assert path.stat().st_uid == 0


def test_a_folder_of_another_user_is_not_used(fresh, monkeypatch):
    folder, _ = fresh
    folder.mkdir(mode=0o700)
    owner = os.getuid()
    monkeypatch.setattr(cache.os, "getuid", lambda: owner + 1)
    works(1)
    assert cache.stats.note == f"compiled kernels are not kept on disk: {folder} belongs to another user"
    assert list(folder.iterdir()) == [] and cache.stats.folder == ""


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_is_not_used(fresh, mode):
    """What lies there may be another's, and would be executed; the folder itself is left alone."""
    folder, _ = fresh
    folder.mkdir()
    folder.chmod(mode)
    works(1)
    assert cache.stats.note == f"compiled kernels are not kept on disk: others can write in {folder}"
    assert list(folder.iterdir()) == [] and stat.S_IMODE(folder.stat().st_mode) == mode


def test_a_folder_of_the_users_files_keeps_them_and_its_mode(fresh, monkeypatch):
    folder, _ = fresh
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    others = [folder / name for name in ("thesis.o", "kernel_notes.py", "probe", "old.tmp")]
    for file in others:
        file.write_bytes(b"mine")
        os.utime(file, (1e9, 1e9))
    monkeypatch.setattr(cache, "LIMIT", 1)
    works(1)
    assert all(file.read_bytes() == b"mine" for file in others)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_bytecode_that_was_put_there_does_not_run(fresh, tmp_path):
    """Others may write in a folder beside the kernels, such as one that was made before: nothing in it is looked at."""
    folder, forget = fresh
    path = entry_of(folder, works(1)).with_suffix(".py")
    assert not (folder / "__pycache__").exists()
    mark, evil = tmp_path / "ran", tmp_path / "evil.py"
    evil.write_text(f"open({str(mark)!r}, 'w')")
    planted = Path(importlib.util.cache_from_source(str(path)))
    planted.parent.mkdir(mode=0o777)
    py_compile.compile(str(evil), cfile=str(planted), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    path.with_suffix(".o").unlink()
    forget()
    works(1)
    assert not mark.exists()


def test_a_pipe_in_the_place_of_an_entry_is_passed_over(fresh):
    folder, forget = fresh
    path = entry_of(folder, works(1))
    path.unlink()
    os.mkfifo(path)
    forget()
    works(1)
    assert path.is_file()


def test_a_folder_that_cannot_be_made_or_written(fresh, monkeypatch, tmp_path):
    _, forget = fresh
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("CLEARPROP_CACHE_DIR", str(blocked / "kernels"))
    works(1)
    assert cache.stats.note == f"compiled kernels are not kept on disk: {blocked / 'kernels'}: Not a directory"
    monkeypatch.setenv("CLEARPROP_CACHE_DIR", str(tmp_path / "read-only"))
    forget()

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(cache.tempfile, "mkstemp", refuse)
        assert cache.cache_folder() is None
    assert cache.stats.note == f"compiled kernels are not kept on disk: {tmp_path / 'read-only'}: Read-only file system"
    works(2)
    assert list((tmp_path / "read-only").iterdir()) == []


def test_a_full_disk_costs_the_entry_and_not_the_run(fresh, monkeypatch):
    folder, forget = fresh
    assert cache.cache_folder() == folder
    write = cache._write

    def full(path, data):
        if path.parent == folder:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(cache, "_write", full)
    works(1)
    assert cache.stats.note == "a compiled kernel was not kept on disk: No space left on device"
    assert list(folder.iterdir()) == []
    monkeypatch.setattr(cache, "_write", write)
    forget()
    works(1)
    assert len(list(folder.glob("*.o"))) == 1


TRIAL = 4096
"""Bytes that are written to try a folder."""


@pytest.mark.parametrize("note", ["compiled kernels are not kept", "kernel was not kept"])
def test_writes_that_fail_half_way(tmp_path, filled, note):
    """The operating system itself cuts the files, the trial of the folder or the largest: nothing incomplete stays."""
    largest = max(p.stat().st_size for p in filled[0].iterdir())
    assert largest > TRIAL, "the limit lies between the two: sizes of entries differ by some bytes from run to run"
    said = run(tmp_path, (TRIAL + largest) // 2 if note.startswith("kernel") else TRIAL // 2)
    assert note in said["note"] and said["note"].endswith("File too large")
    assert not list(tmp_path.glob("*.tmp"))
    again = run(tmp_path)
    assert again["rebuilt"] == 0 and again["compiled"] > 0


def test_the_folder_is_bounded(fresh, monkeypatch):
    folder, forget = fresh
    paths = [entry_of(folder, works(k)) for k in range(3)]
    for k, p in enumerate(paths):
        for file in (p, p.with_suffix(".py")):
            os.utime(file, (1e9 + k, 1e9 + k))
    left = folder / "kernel_left.tmp"
    left.write_bytes(b"half")
    os.utime(left, (1e9, 1e9))
    young = folder / "kernel_young.tmp"
    young.write_bytes(b"half")
    size = sum(f.stat().st_size for p in paths[1:] for f in (p, p.with_suffix(".py")))
    monkeypatch.setattr(cache, "LIMIT", size + 1024)  # and the text of another
    forget()
    assert cache.cache_folder() == folder and paths[0].exists(), "a process that adds nothing does not look"
    works(3)
    kept = {f.name for f in folder.iterdir()}
    assert {p.name for p in paths[1:]} <= kept and paths[0].name not in kept
    assert "kernel_left.tmp" not in kept and "kernel_young.tmp" in kept
    assert time.time() - young.stat().st_mtime < cache.STALE


@pytest.mark.usefixtures("fresh")
def test_kernels_are_shared_by_functions_and_sizes():
    """Another function with the same loops, and other layers, compile nothing."""
    x = np.ones((6, 20))
    w = np.ones((20, 30))
    cl.compile(lambda x, w, b: cl.tanh(x @ w + b), executor="numba")(x, w, np.ones(30))
    before = cache.stats.compiled
    assert before >= 2
    deep = cl.compile(lambda x, w, v, b: cl.tanh(cl.tanh(x @ w + b[:30]) @ v + b), executor="numba")
    deep(np.ones((9, 20)), w, np.ones((30, 40)), np.ones(40))
    assert cache.stats.compiled <= before + 1  # the slice of b is another walk


def test_many_new_kernels_are_shared_between_two_processes(fresh):
    folder, _ = fresh
    texts = [KERNEL.format(number=n) for n in range(2 * cache.HELPED)]
    cache.prepare(texts)
    assert cache.stats.compiled + cache.stats.cache_hits == len(texts)
    assert all(entry_of(folder, text).exists() for text in texts)
    for n in range(2 * cache.HELPED):
        works(n)
    assert cache.stats.compiled + cache.stats.cache_hits == len(texts)


def test_no_process_forks_beside_other_threads(fresh, monkeypatch):
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        cache.prepare([KERNEL.format(number=n) for n in range(cache.HELPED)])
    finally:
        stop.set()
        thread.join()
    assert cache.stats.compiled == cache.HELPED


def test_numba_knows_everything_afterwards():
    """Kernels are compiled with a part of Numba's declarations; what a user compiles next needs all of them."""
    code = """
import numba, numpy as np, clearprop as cl
cl.compile(lambda x: cl.tanh(x) @ x, executor="numba")(np.ones((3, 3)))
print(numba.njit(lambda a: np.linalg.inv(a).sum() + np.sort(a)[0, 0])(np.eye(3)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.returncode) == ("3.0", 0), done.stderr


OF_ONE_PLACE = ("sin", "cos", "log1p", "expm1")
"""Functions whose compiled forms are made in one place of the source, so that Numba names them alike."""
ONE_KERNEL = """
    import ctypes
    import sys

    import numpy as np

    from clearprop.compiler.native import cache

    y, found = np.array([0.75]), {}
    for name in sys.argv[1:]:
        out = np.zeros(3)
        text = (
            "from clearprop.compiler.native.kernel_imports import *\\n\\n\\n"
            '@entry("word", "word", "f64", "f64")\\n'
            f"def kernel(lo, hi, y, out):\\n    out[0] = {name}(y[0])\\n    out[1] = {name}(out[0] * 3.0)\\n"
            f"    out[2] = {name}(out[1] - 0.5 * out[0])\\n"
        )
        row = np.array([0, 1, y.ctypes.data, out.ctypes.data], np.uint64)
        ctypes.CFUNCTYPE(None, ctypes.c_uint64)(cache.kernel_address(text))(row.ctypes.data)
        f = getattr(np, name)
        np.testing.assert_allclose(out, [f(0.75), f(3 * f(0.75)), f(f(3 * f(0.75)) - f(0.75) / 2)], rtol=1e-13)
    print(cache.stats.cache_hits)
"""


def test_kernels_that_several_processes_compiled_are_themselves_when_one_loads_them(tmp_path):
    environment = {**os.environ, "CLEARPROP_CACHE_DIR": str(tmp_path)}

    def run(*names):
        command = [sys.executable, "-c", textwrap.dedent(ONE_KERNEL), *names]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    for name in OF_ONE_PLACE:
        assert run(name).stderr == ""
    told = run(*OF_ONE_PLACE)
    assert told.stderr == "" and int(told.stdout) == len(OF_ONE_PLACE)
