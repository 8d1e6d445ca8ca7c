"""NumPy's own OpenBLAS, by address: eager and compiled code share one library, one thread pool, the same bits."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
def library() -> tuple[Any, str]:
    """The loaded library and the suffix of its symbols; falls back to SciPy's where NumPy's is absent."""
    root = Path(np.__file__).parent.parent
    for folder, pattern, suffix in _PLACES:
        for path in sorted((root / folder).glob(pattern)):
            lib = ctypes.CDLL(str(path))
            if hasattr(lib, f"scipy_cblas_sgemm{suffix}"):
                return lib, suffix
    raise ImportError("no OpenBLAS was found beside NumPy or SciPy")


def gemm_address(dtype: str) -> int:
    """The address of `cblas_sgemm` or `cblas_dgemm`."""
    lib, suffix = library()
    function = getattr(lib, f"scipy_cblas_{'s' if dtype == 'float32' else 'd'}gemm{suffix}")
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


@contextmanager
def threads(n: int) -> Iterator[None]:
    """The library limited to n threads within the block."""
    before = get_threads()
    if before != n:
        set_threads(n)
    try:
        yield
    finally:
        if before != n:
            set_threads(before)


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
