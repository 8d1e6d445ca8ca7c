"""Compiled kernels on disk: the text of each and its object code, named by a hash of the text.

The folder belongs to the user, and nobody else can write in it, because what lies there is executed: what the user
can write is trusted, what others can write is not.  Otherwise the cache is off and kernels are compiled anew.  Only
files that are named here are bounded and removed; the mode of a folder that exists is left alone.  Entries are
written whole or not at all, carry a hash of themselves, and are rebuilt when they are damaged.  Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import importlib.metadata
import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import platformdirs

from clearprop.compiler.kernels import Kernel, Parameter
from clearprop.compiler.native import blas, loader
from clearprop.compiler.native.compile_process import MOST, CompileProcesses, is_safe
from clearprop.compiler.native.scipy_addresses import register_functions_of
from clearprop.program.processes import awaited_lock, launched_processes, without_collector
from clearprop.rules import random

if TYPE_CHECKING:
    from clearprop.compiler.native.kernel_abi import CompiledKernel

_MAGIC = b"clearprop object 2\n"
LIMIT = 512 * 2**20
"""Bytes that the folder may hold; the oldest entries go first."""
_OFF = "compiled kernels are not kept on disk: {}"
HELPED = 4
"""From so many new kernels on several processes compile them."""


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
_modules: list[ModuleType] = []  # code compiled in this process lives as long as its module
_lock = awaited_lock()


def module_text(kernel: Kernel) -> str:
    """The module of a kernel: the loop, and what the words of its row in the table are."""
    words = ["word", "word", *map(_word_of, kernel.parameters)]
    options = [*map(repr, words), *(["shared=True"] if kernel.shared else [])]
    return (
        '"""Generated; do not edit."""\n\nfrom clearprop.compiler.native.kernel_imports import *\n\n\n'
        f"@entry({', '.join(options)})\n{kernel.text}\n"
    )


def _word_of(p: Parameter) -> str:
    """What a word of the row holds, as `kernel_abi.entry` reads it."""
    return f"number {p.dtype}" if p.kind == "number" else p.dtype or "word"


def kernel_key(text: str) -> str:
    """The name of a kernel module: a hash of its text and of what it is compiled with."""
    return hashlib.sha256((runtime_key() + text).encode()).hexdigest()[:20]


def kernel_address(text: str) -> int:
    """The address of the compiled entry of a kernel module."""
    key = kernel_key(text)
    with _lock:
        if key not in _loaded:
            folder = cache_folder()
            register_functions_of(text)
            known = None if folder is None else _load_entry(folder / f"kernel_{key}.o")
            _loaded[key] = compile_kernel(key, text, folder) if known is None else known
        return _loaded[key]


def is_ready(text: str) -> bool:
    """Whether a kernel module need not be compiled: it is loaded, or kept on disk."""
    return kernel_key(text) in _loaded or _is_kept(cache_folder(), text)


def expect_kernels(text: str) -> None:
    """Say that many kernels will be needed soon: where not even this one is kept, other processes load Numba meanwhile.

    They wait for the names of kernels for a while.
    """
    folder = cache_folder()
    while _expecting and not _expecting[0].alive:
        _expecting.pop().end()
    if folder is None or _expecting or is_ready(text) or launched_processes() > 1 or not is_safe():
        return  # processes of one job have a processor each
    _expecting.append(_compile_processes(folder, min(blas.cores(), MOST)))


_expecting: list[CompileProcesses] = []  # at most one


def _forget_processes() -> None:
    while _expecting:
        _expecting.pop().forget()


os.register_at_fork(after_in_child=_forget_processes)


def prepare(texts: Sequence[str]) -> None:
    """Have all these kernels loaded.  Many new ones are compiled by several processes."""
    texts = list(dict.fromkeys(texts))
    folder = cache_folder()
    missing = {kernel_key(t): t for t in sorted(texts, key=len, reverse=True) if not is_ready(t)}
    if folder is not None and len(missing) >= HELPED:
        with contextlib.suppress(OSError):  # what others could not do is done below
            _compile_together(missing, folder)
    for text in texts:
        kernel_address(text)


def _compile_together(missing: Mapping[str, str], folder: Path) -> None:
    """Compile kernels, the long ones first, in processes that take the next one as they become free."""
    for key, text in missing.items():
        _write(folder / f"kernel_{key}.py", text.encode())
    # Numba makes much that stays, in which a tenth of its time went into looking for cycles
    with without_collector():
        expected = _processes_at_hand()
        if expected is None:
            _load_numba()  # before the process forks, once for all
        processes = expected or _compile_processes(folder, min(blas.cores(), MOST) - 1)
        try:
            processes.give(list(missing))
            while expected is None and (taken := processes.take()):
                kernel_address(missing[taken])
            processes.wait()
        finally:
            processes.end()


def _processes_at_hand() -> CompileProcesses | None:
    """The processes that have loaded Numba meanwhile, for one use; None where there are none, or no longer."""
    found = _expecting.pop() if _expecting else None
    if found is None or found.alive:
        return found
    found.end()
    return None


def _load_numba() -> None:
    from clearprop.compiler.native import kernel_abi, kernel_imports  # noqa: F401 - start-up time: Numba

    kernel_abi.load()


def _compile_processes(folder: Path, many: int) -> CompileProcesses:
    """So many processes that compile the kernels of which the folder has the text."""

    def begin() -> None:
        gc.disable()
        _load_numba()
        loader.promise_private_blas()  # LLVM ends a process that compiles a call of a name that it does not know
        with contextlib.suppress(OSError):
            _bound_folder(folder)  # once for all of them

    def work(key: str) -> None:
        text = (folder / f"kernel_{key}.py").read_text()
        if kernel_key(text) == key and not _is_kept(folder, text):
            register_functions_of(text)
            compile_kernel(key, text, folder)

    return CompileProcesses(begin, work, many)


def _is_kept(folder: Path | None, text: str) -> bool:
    return folder is not None and (folder / f"kernel_{kernel_key(text)}.o").exists()


@functools.cache
def runtime_key() -> str:
    """What compiled code depends on beside its own text: the runtime's sources, Numba, LLVM, processor, BLAS."""
    versions = [importlib.metadata.version(name) for name in ("numba", "llvmlite")]
    digest = hashlib.sha256(" ".join([*versions, loader.processor(), str(blas.integer_bits())]).encode())
    spelled = ("math_functions", "special_functions", "vector_functions", "vectors")
    written = ("direct_lowering", "intrinsics", "kernel_abi", "kernel_imports")
    own = [Path(__file__).with_name(f"{name}.py") for name in (*written, *spelled)]
    rules = Path(random.__file__)
    constants = [rules, rules.with_name("on_demand") / "special_functions.py"]  # what functions are compiled with
    for path in [*own, *constants]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _load_entry(path: Path) -> int | None:
    """The address of a kernel kept on disk; None if there is none, or none that can be trusted."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would wait for a writer
            return None
        with path.open("rb") as file:
            data, owner = file.read(), os.fstat(file.fileno()).st_uid
    except OSError:
        return None
    seal, _, rest = data.removeprefix(_MAGIC).partition(b"\n")
    if data.startswith(_MAGIC) and seal == _seal(path, rest) and (not hasattr(os, "getuid") or owner == os.getuid()):
        symbol, _, code = rest.partition(b"\n")
        stats.cache_hits += 1
        return loader.load_object(symbol.decode(), code)
    stats.rebuilt += 1
    return None


def _seal(path: Path, rest: bytes) -> bytes:
    """The hash that an entry carries: of its name and its content, so that no entry passes for another."""
    return hashlib.sha256(path.stem.encode() + rest).hexdigest().encode()


def compile_kernel(key: str, text: str, folder: Path | None) -> int:
    """Compile a kernel module, and keep its object code if there is a folder for it."""
    path = Path(folder or _scratch()) / f"kernel_{key}.py"
    module = _module_of(path, text)
    _modules.append(module)
    made: CompiledKernel = module.kernel
    stats.compiled += 1
    if folder is not None:
        rest = made.symbol.encode() + b"\n" + made.code
        if loader.can_load(made.calls):
            _keep(path.with_suffix(".o"), _MAGIC + _seal(path, rest) + b"\n" + rest)
    return made.address


def _keep(path: Path, data: bytes) -> None:
    """Write an entry; a full disk costs the entry, not the run."""
    try:
        _bound_folder(path.parent)
        _write(path, data)
    except OSError as error:
        stats.note = f"a compiled kernel was not kept on disk: {error.strerror}"


def _module_of(path: Path, text: str) -> ModuleType:
    """A module of this text, which lies in a file, so that tracebacks and debuggers show the generated lines.

    What runs is the text, and not what lies in the folder, nor bytecode that somebody may have put beside it.
    """
    try:
        _write(path, text.encode())
    except OSError:
        path = Path(_scratch()) / path.name
        _write(path, text.encode())
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    module.__dict__["__text__"] = text  # from which the kernel is compiled
    sys.modules[path.stem] = module
    try:
        exec(compile(text, path, "exec"), module.__dict__)
    except BaseException:
        sys.modules.pop(path.stem, None)
        raise
    return module


def _write(path: Path, data: bytes) -> None:
    """The file appears whole, also when several processes write it at once."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix="kernel_", suffix=".tmp")
    try:
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


@functools.cache
def _scratch() -> str:
    """A private folder of this process, where the cache on disk cannot be used."""
    folder = tempfile.TemporaryDirectory(prefix="clearprop-")
    _folders.append(folder)
    return folder.name


_folders: list[Any] = []


@functools.cache
def cache_folder() -> Path | None:
    """The folder of compiled kernels, or None (and a note that says why) when it cannot be trusted or written."""
    chosen = os.environ.get("CLEARPROP_CACHE_DIR")
    folder = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("clearprop")) / "kernels"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = folder.stat()
        if hasattr(os, "getuid") and info.st_uid != os.getuid():
            stats.note = _OFF.format(f"{folder} belongs to another user")
            return None
        if stat.S_IMODE(info.st_mode) & 0o022:
            stats.note = _OFF.format(f"others can write in {folder}")
            return None
        probe = folder / f"kernel_{os.getpid()}.probe"
        _write(probe, b"x" * 4096)
        probe.unlink(missing_ok=True)
    except OSError as error:
        stats.note = _OFF.format(f"{folder}: {error.strerror}")
        return None
    stats.folder = str(folder)
    return folder


def _is_ours(file: Path) -> bool:
    """Whether a file's name is one that is given here: nothing else in the folder is looked at or removed."""
    return re.fullmatch(r"kernel_[0-9a-f]{20}\.(py|o)|kernel_\w+\.tmp", file.name) is not None


STALE = 3600.0
"""Seconds after which a half-written file belongs to a process that was killed."""


@functools.cache
def _bound_folder(folder: Path) -> None:
    """Remove the oldest entries when the folder has outgrown its limit, and what killed processes left.

    Once in a process, and only before it adds something: to look at thousands of files takes a tenth of a second.
    """
    files = []
    for file in filter(_is_ours, folder.iterdir()):
        with contextlib.suppress(OSError):  # other processes write and remove at the same time
            info = file.stat()
            if stat.S_ISREG(info.st_mode):
                files.append((info.st_mtime, info.st_size, file))
    excess = sum(size for _, size, _ in files) - LIMIT
    for written, size, file in sorted(files, key=lambda item: item[0]):
        abandoned = file.suffix == ".tmp" and time.time() - written > STALE
        if excess > 0 or abandoned:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)  # another process may have removed it, and it counts as well
                excess -= size
