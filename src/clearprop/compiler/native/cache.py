"""Compiled kernels on disk: one module per kernel, named by a hash of its text.

The folder belongs to the user alone (mode 0700, owner checked), because what lies there is executed; otherwise the
cache is off and kernels are compiled anew.  Entries are written whole or not at all, compared with the text they
should hold before they are imported, and rebuilt when they are damaged.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import platformdirs

from clearprop.compiler.kernels import Parameter

LIMIT = 512 * 2**20
"""Bytes that the folder may hold; the oldest entries go first."""


@dataclass
class Statistics:
    """What the cache did in this process."""

    cache_hits: int = 0
    compiled: int = 0
    rebuilt: int = 0
    folder: str = ""
    note: str = ""


stats = Statistics()
_loaded: dict[str, int] = {}
_modules: list[ModuleType] = []  # compiled code lives as long as its module


def module_text(kernel: str, parameters: Sequence[Parameter]) -> str:
    """The module of a kernel: the loop, and an entry that reads its arguments from a row of the table."""
    arguments = ["r[0]", "r[1]"]
    for i, p in enumerate(parameters, start=2):
        arguments.append(f"at_{p.dtype}(r[{i}])" if p.dtype else f"r[{i}]")
    return (
        '"""Generated; do not edit."""\n\nfrom clearprop.compiler.native.prelude import *\n\n\n'
        f"@njit(**KERNEL)\n{kernel}\n\n"
        f"@cfunc(SIGNATURE, **ENTRY)\ndef entry(row):\n    r = at_u64(row)\n    kernel({', '.join(arguments)})\n"
    )


def kernel_address(text: str) -> int:
    """The address of the compiled entry of a kernel module."""
    key = hashlib.sha256((runtime_key() + text).encode()).hexdigest()[:20]
    if key not in _loaded:
        module = _load(key, text)
        _modules.append(module)
        _loaded[key] = int(module.entry.address)
    return _loaded[key]


@functools.cache
def runtime_key() -> str:
    """What compiled code depends on beside its own text: the runtime's sources and Numba."""
    digest = hashlib.sha256(numba.__version__.encode())
    for name in ("functions.py", "intrinsics.py", "prelude.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()


def _load(key: str, text: str) -> ModuleType:
    folder = cache_folder()
    if folder is None:
        return _import(Path(_scratch()) / f"kernel_{key}.py", text)
    path = folder / f"kernel_{key}.py"
    known = path.exists()
    try:
        module = _import(path, text)
    except Exception:  # a damaged cache may fail in any way; what is rebuilt must not
        stats.rebuilt += 1
        _remove_entry(path)
        return _import(path, text)
    stats.cache_hits += known and module.entry.cache_hits > 0
    return module


def _import(path: Path, text: str) -> ModuleType:
    if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
        _remove_entry(path)
        _write(path, text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(path.stem, None)
        raise
    stats.compiled += not module.entry.cache_hits
    return module


def _write(path: Path, text: str) -> None:
    """The file appears whole, also when several processes write it at once."""
    fd, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            f.write(text)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _remove_entry(path: Path) -> None:
    for old in [path, *(path.parent / "__pycache__").glob(path.stem + "*")]:
        with contextlib.suppress(OSError):
            old.unlink()


@functools.cache
def _scratch() -> str:
    """A private folder of this process, where the cache on disk cannot be used."""
    folder = tempfile.TemporaryDirectory(prefix="clearprop-")
    _keep.append(folder)
    return folder.name


_keep: list[Any] = []


@functools.cache
def cache_folder() -> Path | None:
    """The folder of compiled kernels, or None (and a note that says why) when it cannot be trusted or written."""
    chosen = os.environ.get("CLEARPROP_CACHE_DIR")
    folder = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("clearprop")) / "kernels"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = folder.stat()
        if hasattr(os, "getuid") and info.st_uid != os.getuid():
            return _off(f"{folder} belongs to another user")
        if stat.S_IMODE(info.st_mode) & 0o077:
            folder.chmod(0o700)
        fd, name = tempfile.mkstemp(dir=folder, suffix=".tmp")
        os.write(fd, b"x" * 4096)
        os.close(fd)
        Path(name).unlink()
    except OSError as error:
        return _off(f"{folder}: {error.strerror}")
    _bound(folder)
    stats.folder = str(folder)
    return folder


def _off(why: str) -> None:
    stats.note = f"compiled kernels are not kept on disk: {why}"


def _bound(folder: Path) -> None:
    """Remove the oldest entries when the folder has outgrown its limit."""
    files = [(f.stat().st_mtime, f.stat().st_size, f) for f in folder.rglob("*") if f.is_file()]
    excess = sum(size for _, size, _ in files) - LIMIT
    for _, size, file in sorted(files, key=lambda item: item[0]):
        if excess <= 0:
            return
        with contextlib.suppress(OSError):
            file.unlink()
            excess -= size
