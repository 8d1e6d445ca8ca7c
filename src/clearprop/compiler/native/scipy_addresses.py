"""SciPy's special functions by address, so that kernels call what NumPy's executor calls: the same code, the same bits.

`scipy.special.cython_special` publishes each as a C function of numbers.  One that it lacks is called by the inner loop
of its ufunc, over one element.  LLVM knows them by names of ours, and an object on disk holds the name alone: where the
functions stand is looked up in each process, when the first kernel that needs them is loaded.
"""

from __future__ import annotations

import ctypes
import functools
import re
from typing import Any

import llvmlite.binding as llvm

from clearprop.compiler.native.loader import load_text

FUNCTIONS: dict[str, int] = {
    **dict.fromkeys(("erfc", "erfcx", "erfinv", "gammaln", "i0", "i0e", "i1", "i1e"), 1),
    **dict.fromkeys(("log_ndtr", "ndtr", "ndtri", "psi"), 1),
    **dict.fromkeys(("beta", "betaln", "gammainc", "gammaincc", "zeta"), 2),
    "betainc": 3,
}
"""What kernels call, in float64, with the number of its operands."""
_NEEDS = re.compile(r"\bspecial_\w+\(")


def scipy_symbol(name: str) -> str:
    """The name by which LLVM knows SciPy's function of float64."""
    return f"clearprop_scipy_{name}"


def register_functions_of(text: str) -> None:
    """Give LLVM the addresses of SciPy's functions if the text of a kernel calls any."""
    if _NEEDS.search(text):
        _register_all()


@functools.cache
def _register_all() -> None:
    for name, operands in FUNCTIONS.items():
        llvm.add_symbol(scipy_symbol(name), published_address(name, operands) or inner_loop_address(name, operands))


def published_address(name: str, operands: int) -> int | None:
    """The address of a C function `double (double, …, int)`; several may bear the name, by the types that they take."""
    from scipy.special import cython_special  # start-up time: SciPy

    wanted = f"double ({', '.join(['double'] * operands)}, int __pyx_skip_dispatch)".encode()
    capsules: dict[str, Any] = cython_special.__pyx_capi__
    for key in (name, *(f"__pyx_fuse_{n}{name}" for n in range(4))):
        if key in capsules and _capsule_name(capsules[key]) == wanted:
            return _capsule_pointer(capsules[key], wanted)
    return None


def _capsule_name(capsule: Any) -> bytes:
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return bytes(name(capsule))


def _capsule_pointer(capsule: Any, name: bytes) -> int:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return int(pointer(capsule, name))


class _Ufunc(ctypes.Structure):
    """The head of NumPy's `PyUFuncObject`, as its C interface publishes it, behind that of every object."""

    _fields_ = (
        ("object", ctypes.c_byte * object.__basicsize__),
        ("counts", ctypes.c_int * 4),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
    )


_ONE_ELEMENT = """
define double @{name}({parameters}, i32 %unused) {{
  %count = alloca i64
  store i64 1, i64* %count
  %steps = alloca [{places} x i64]
  %places = alloca [{places} x i8*]
  %result = alloca double
{stores}
  %first = getelementptr [{places} x i8*], [{places} x i8*]* %places, i64 0, i64 0
  %step = getelementptr [{places} x i64], [{places} x i64]* %steps, i64 0, i64 0
  %loop = inttoptr i64 {loop} to void (i8**, i64*, i64*, i8*)*
  %data = inttoptr i64 {data} to i8*
  call void %loop(i8** %first, i64* %count, i64* %step, i8* %data)
  %y = load double, double* %result
  ret double %y
}}
"""
_STORE = """  %cell{k} = bitcast double* {cell} to i8*
  %place{k} = getelementptr [{places} x i8*], [{places} x i8*]* %places, i64 0, i64 {k}
  store i8* %cell{k}, i8** %place{k}
  %step{k} = getelementptr [{places} x i64], [{places} x i64]* %steps, i64 0, i64 {k}
  store i64 8, i64* %step{k}"""


def inner_loop_address(name: str, operands: int) -> int:
    """The address of a function that calls the ufunc's inner loop, where that stands in this process, for one element.

    What it needs beside the loop stands in its text, which is compiled here and kept nowhere.
    """
    loop, data = _inner_loop(name, operands)
    places = operands + 1
    copies = "\n".join(
        f"  %operand{k} = alloca double\n  store double %x{k}, double* %operand{k}" for k in range(operands)
    )
    cells = [*(f"%operand{k}" for k in range(operands)), "%result"]
    stores = "\n".join(_STORE.format(k=k, cell=cell, places=places) for k, cell in enumerate(cells))
    parameters = ", ".join(f"double %x{k}" for k in range(operands))
    inner = f"one_element_{name}"
    text = _ONE_ELEMENT.format(
        name=inner, parameters=parameters, places=places, stores=f"{copies}\n{stores}", loop=loop, data=data
    )
    return load_text(inner, text)


def _inner_loop(name: str, operands: int) -> tuple[int, int]:
    """The inner loop of SciPy's ufunc for float64, and what it is to be given."""
    from scipy import special  # start-up time: SciPy

    ufunc = getattr(special._ufuncs, f"_{name}", None) or getattr(special._ufuncs, name)
    held = _Ufunc.from_address(id(ufunc))
    at = ufunc.types.index(f"{'d' * operands}->d")
    return int(held.functions[at] or 0), int(held.data[at] or 0)
