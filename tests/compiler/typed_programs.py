"""Random programs over every dtype, held equal between executors; natively with memory that ends at guard pages.

Values that a kernel may round otherwise (a product and a sum as one instruction) are followed: what jumps, as a
comparison or a rounding does, is applied only to those that are the same everywhere.
`python -m tests.compiler.typed_programs FIRST COUNT` runs natively, in a process that may die of a wrong address.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import binding, native_obstacle
from clearprop.compiler.native import native_executor
from clearprop.errors import ClearpropError
from clearprop.program.ir import Var
from tests.compiler.control_steps import draw_control
from tests.compiler.dtype_table import DTYPES, NATIVE

SMOOTH = "add subtract multiply divide maximum minimum squared_error".split()
EXACT = "negative abs maximum minimum".split()
JUMPS = "equal less greater_equal floor sign logical_not argmax count cast".split()
KINDS = "binary unary jump reduce number move take where cast".split()
WITH_CONTROL = 3
"""Every so many programs may hold loops, branches and convolutions, which take longer to compile."""
SMOOTH_REDUCTIONS = "sum mean max min prod".split()


@dataclass
class Typed:
    """A program: inputs, steps on positions of earlier values, how far executors may differ in each value.

    0 means the same to the bit everywhere; a double computed from a rounded single is as exact as the single.
    """

    seed: int
    inputs: list[np.ndarray]
    steps: list[tuple[str, tuple[int, ...], Callable[..., Any]]] = field(default_factory=list)
    tolerance: list[float] = field(default_factory=list)

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        values = list(inputs)
        for _, at, f in self.steps:
            values.append(f(*(values[i] for i in at)))
        return tuple(values[len(inputs) :])

    def __str__(self) -> str:
        told = [f"x{i} = {x.dtype}{x.shape}" for i, x in enumerate(self.inputs)]
        told += [f"x{len(self.inputs) + k} = {name} of {at}" for k, (name, at, _) in enumerate(self.steps)]
        return "\n".join([f"program {self.seed}", *told])


def draw(seed: int) -> Typed:
    """A program of six to twelve steps."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 9)), int(rng.integers(1, 20))
    shapes = [(n, m), (n, m), (m,), (n, 1)]
    dtypes = NATIVE if seed % 2 else DTYPES
    p = Typed(seed, [_values(rng, str(rng.choice(dtypes)), s) for s in shapes])
    p.tolerance = [0.0] * len(p.inputs)
    env: list[Any] = list(map(cl.asarray, p.inputs))
    length = int(rng.integers(6, 13))
    for _ in range(20 * length):
        if len(p.steps) == length:
            break
        name, at, f, exact = _step(rng, p, env, dtypes)
        try:
            with np.errstate(all="ignore"):
                out = f(*(env[i] for i in at))
        except ClearpropError:
            continue
        value = np.asarray(out)
        if value.dtype.kind == "f" and not (np.isfinite(value).all() and (np.abs(value) < 1e12).all()):
            continue
        p.steps.append((name, at, f))
        p.tolerance.append(0.0 if exact else max(_rounding(value.dtype), *(p.tolerance[i] for i in at)))
        env.append(out)
    return p


def _rounding(dtype: np.dtype[Any]) -> float:
    return {"float32": 1e-3, "float64": 1e-9}.get(dtype.name, 0.0)


def _values(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if kind.kind == "f":
        return rng.normal(size=shape).astype(kind)
    info = np.iinfo(kind)
    wide = rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
    return np.where(rng.random(shape) < 0.5, wide, rng.integers(0, 4, shape).astype(kind)).astype(kind)


def _step(rng: np.random.Generator, p: Typed, env: list[Any], dtypes: list[str]) -> Any:
    """Name, operands, function, and whether the result is the same to the bit everywhere."""
    at = int(rng.integers(len(env)))
    other = int(rng.integers(len(env)))
    kind = str(rng.choice([*KINDS, "control"] if p.seed % WITH_CONTROL == 0 else KINDS))
    same = not p.tolerance[at]
    integers = all(np.asarray(env[i]).dtype.kind != "f" for i in (at, other))
    if kind == "binary":
        name = str(rng.choice(SMOOTH))
        return name, (at, other), getattr(cl, name), integers and name != "divide"
    if kind == "unary":
        name = str(rng.choice(EXACT[:2]))
        return name, (at,), getattr(cl, name), same
    if kind == "number":
        name, number = str(rng.choice(SMOOTH[:6])), (2, 3, 0, 100, -1, True, 0.5)[int(rng.integers(7))]
        return f"{name} {number}", (at,), lambda x: getattr(cl, name)(x, number), False
    if kind == "reduce":
        name, keep = str(rng.choice(SMOOTH_REDUCTIONS)), bool(rng.random() < 0.5)
        axis = int(rng.integers(max(np.ndim(np.asarray(env[at])), 1)))
        return f"{name} {axis}", (at,), lambda x: getattr(cl, name)(x, axis=axis, keepdims=keep), False
    if kind == "move":
        key = (slice(None, None, -1), slice(1, None), slice(None, -1, 2), 0, -1)[int(rng.integers(5))]
        return f"[{key}]", (at,), lambda x: x[key], same
    if kind == "take":
        indices = rng.integers(0, 2, 5)
        return "take", (at,), lambda x: cl.take(x, indices - 1, axis=0), same
    if kind == "control":
        name, f, exact = draw_control(rng, same, np.asarray(env[at]).dtype.kind != "f")
        return name, (at,), f, exact
    if not same or p.tolerance[other]:  # what follows may jump
        return "abs", (at,), cl.abs, same
    if kind == "where":
        return "where", (at, other), lambda a, b: cl.where(a > b, a, b), True
    if kind == "cast":
        dtype = "bool" if np.asarray(env[at]).dtype.kind == "f" else str(rng.choice(dtypes))
        return f"as {dtype}", (at,), lambda x: x.astype(dtype), True
    name = str(rng.choice(["equal", "less", "greater_equal", "maximum", "argmax", "count"]))
    if name == "argmax":
        return name, (at,), lambda x: cl.argmax(x, axis=0), True
    if name == "count":
        return name, (at,), lambda x: cl.sum(x > 1, axis=0), True
    return name, (at, other), getattr(cl, name), True


def compare(p: Typed, got: tuple[Any, ...], what: str) -> None:
    """Raise where an output is not the one of eager code."""
    with np.errstate(all="ignore"):
        want = p(*map(cl.asarray, p.inputs))
    for k, (a, b) in enumerate(zip(map(np.asarray, got), map(np.asarray, want), strict=True)):
        told = f"{what}, x{len(p.inputs) + k}: {a.dtype} {a} instead of {b.dtype} {b}\n{p}"
        assert a.dtype == b.dtype and a.shape == b.shape, told
        eps = p.tolerance[len(p.inputs) + k]
        scale = float(np.max(np.abs(b), initial=1.0)) if eps else 0.0
        assert np.allclose(a, b, rtol=eps, atol=eps * scale) if eps else np.array_equal(a, b), told


def has_native_form(p: Typed) -> bool:
    return native_obstacle(cl.compile(p, executor="numpy").lower(*p.inputs).lowered) is None


# ------------------------------------------------------------------------------------------------ guard pages
PAGE = mmap.PAGESIZE
_KEPT: list[Any] = []


def guarded(size: int, at_end: bool) -> np.ndarray:
    """Bytes between two pages that nobody may touch: they begin behind the first, or end before the second."""
    pages = -(-max(size, 1) // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    _KEPT.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (start, start + (pages + 1) * PAGE):
        assert protect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0) == 0
    offset = (pages + 1) * PAGE - size if at_end else PAGE
    return np.frombuffer(memory, np.uint8, max(size, 0), offset)


@contextmanager
def guard_pages(at_end: bool) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """Within this block every buffer of native code lies between guard pages; gives a function that copies inputs."""

    def between_pages(self: Any) -> tuple[Any, dict[Any, int]]:
        sizes = {held: self.bytes(held) if isinstance(held, Var) else held.size for held in self.layout}
        pieces = {held: guarded(max(size, 1), at_end) for held, size in sizes.items()}
        return pieces, {held: memory.ctypes.data for held, memory in pieces.items()}

    def allocate(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return guarded(size, at_end).view(dtype).reshape(shape) if size else np.empty(shape, dtype)

    def copied(x: np.ndarray) -> np.ndarray:
        out = allocate(x.shape, x.dtype)
        out[...] = x
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binding.Binding, "allocate", between_pages)
        patch.setattr(native_executor, "_allocate", allocate)
        yield copied


def main(first: int, count: int) -> None:
    """Run programs that have a native form, every other one with memory that begins at a guard page."""
    ran, seed = 0, first
    warnings.simplefilter("ignore", cl.ExecutorWarning)
    while ran < count:
        p = draw(seed)
        if has_native_form(p):
            with guard_pages(bool(ran % 2)) as copied:
                compare(p, cl.compile(p, executor="numba")(*map(copied, p.inputs)), "native")
            ran += 1
        seed += 1
    print(f"{ran} programs, seeds {first} to {seed - 1}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
