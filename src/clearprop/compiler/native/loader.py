"""Compiled kernels as object code: loaded by LLVM alone, in a fraction of a millisecond each, without Numba.

One engine holds them all for the life of the process.  What an object calls outside itself is BLAS, by the names
registered here, and the C library.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Iterable
from typing import Any

import llvmlite.binding as llvm

from clearprop.compiler.native import blas
from clearprop.program.processes import awaited_lock

_LOCK = awaited_lock()


@functools.cache
def register_blas() -> None:
    """Give LLVM the addresses of the matrix products, by the names that kernels call."""
    for dtype, symbol in (("float32", "clearprop_sgemm"), ("float64", "clearprop_dgemm")):
        llvm.add_symbol(symbol, blas.gemm_address(dtype))


@functools.cache
def register_private_blas() -> None:
    """Likewise those of the private library, which large products call."""
    for dtype, symbol in (("float32", "clearprop_private_sgemm"), ("float64", "clearprop_private_dgemm")):
        llvm.add_symbol(symbol, blas.gemm_address(dtype, blas.private_library()))


def promise_private_blas() -> None:
    """Let LLVM find these names in a process that compiles kernels and runs none, so that it needs no such library."""
    for dtype, symbol in (("float32", "clearprop_private_sgemm"), ("float64", "clearprop_private_dgemm")):
        llvm.add_symbol(symbol, blas.gemm_address(dtype))


@functools.cache
def processor() -> str:
    """The processor that object code is made for, with its features: this one, unless Numba is told of another."""
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    return (name or str(llvm.get_host_cpu_name())) + (features or str(llvm.get_host_cpu_features().flatten()))


@functools.cache
def _engine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    register_blas()
    _register_unreachable()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=3, jit=True, codemodel="jitdefault")
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


_UNREACHABLE = (
    "NRT_decref",
    "NRT_incref",
    "numba_do_raise",
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_runtime_build_excinfo_struct",
    "numba_unpickle",
)
"""What the error path of Numba's wrappers calls.  Kernels cannot raise, so it is never taken."""


def _register_unreachable() -> None:
    abort = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value
    for name in _UNREACHABLE:
        if llvm.address_of_symbol(name) is None:  # an imported Numba adds its own only when it first compiles
            llvm.add_symbol(name, abort)


def can_load(names: Iterable[str]) -> bool:
    """Whether all functions that an object calls can be found without Numba."""
    process = ctypes.CDLL(None)
    ours = ("llvm.", "clearprop_", *_UNREACHABLE)
    return all(n.startswith(ours) or hasattr(process, n) for n in names)


def load_text(symbol: str, text: str) -> int:
    """The address of `symbol` in a module of LLVM's language, which stays loaded."""
    with _LOCK:
        engine = _engine()
        engine.add_module(llvm.parse_assembly(text))
        engine.finalize_object()
        return int(engine.get_function_address(symbol))


def load_object(symbol: str, code: bytes) -> int:
    """The address of `symbol` in an object file's bytes, which stay loaded."""
    with _LOCK:
        engine = _engine()
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        return int(engine.get_function_address(symbol))
