"""NumPy's own OpenBLAS, by address: eager and compiled code share one library, one thread pool, the same bits."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

_PLACES = (  # of the wheels: Linux and Windows, macOS
    ("numpy.libs", "libscipy_openblas64_*", "64_"),
    ("numpy/.dylibs", "libscipy_openblas64_*", "64_"),
    ("scipy.libs", "libscipy_openblas*", ""),
    ("scipy/.dylibs", "libscipy_openblas*", ""),
)


@functools.cache
def _openblas() -> tuple[Any, str, Path]:
    """The loaded library, the suffix of its symbols, and its file; falls back to SciPy's where NumPy's is absent."""
    root = Path(np.__file__).parent.parent
    for folder, pattern, suffix in _PLACES:
        for path in sorted((root / folder).glob(pattern)):
            lib = ctypes.CDLL(str(path))
            if hasattr(lib, f"scipy_cblas_sgemm{suffix}"):
                return lib, suffix, path
    raise ImportError("no OpenBLAS was found beside NumPy or SciPy")


def library() -> tuple[Any, str]:
    """The loaded library and the suffix of its symbols."""
    return _openblas()[:2]


@functools.cache
def private_library() -> Any:
    """A second copy of the same library, which always works on the caller's thread; None where none can be loaded.

    How many threads a copy uses is one setting for the whole process.  Loops that divide their products among two
    threads of their own need one; were it set in the copy that NumPy uses, products of other threads would meanwhile
    have other last bits, and so would those of a forked child for ever.
    """
    _, suffix, path = _openblas()
    try:
        with tempfile.TemporaryDirectory(prefix="clearprop-") as name:
            folder = Path(name)
            for other in path.parent.iterdir():  # what the library needs is looked for beside it
                if other != path:
                    (folder / other.name).symlink_to(other)
            copy = ctypes.CDLL(str(shutil.copyfile(path, folder / path.name)))
    except OSError:
        return None
    getattr(copy, f"scipy_openblas_set_num_threads{suffix}")(1)
    return copy


def gemm_address(dtype: str, lib: Any = None) -> int:
    """The address of `cblas_sgemm` or `cblas_dgemm`, in NumPy's copy of the library or in another."""
    own, suffix = library()
    function = getattr(lib or own, f"scipy_cblas_{'s' if dtype == 'float32' else 'd'}gemm{suffix}")
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def integer_bits() -> int:
    """The width of the library's integers."""
    return 64 if library()[1] else 32


def get_threads() -> int:
    """How many threads the library uses."""
    lib, suffix = library()
    return int(getattr(lib, f"scipy_openblas_get_num_threads{suffix}")())


def set_threads(n: int) -> None:
    """Set how many threads the library uses."""
    lib, suffix = library()
    getattr(lib, f"scipy_openblas_set_num_threads{suffix}")(n)


def kernel_name() -> str:
    """The processor family whose kernels the library chose, such as SkylakeX."""
    lib, suffix = library()
    f = getattr(lib, f"scipy_openblas_get_corename{suffix}")
    f.restype = ctypes.c_char_p
    return bytes(f()).decode()


def describe() -> tuple[str, int]:
    """The kernels that the library chose, and its number of threads; ("unknown", all cores) where there is none."""
    try:
        return kernel_name(), get_threads()
    except ImportError:
        return "unknown", cores()


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
