"""Kernels written straight from their text compute what Numba makes of the same text; what is not known is Numba's."""

import ctypes

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.native import cache, kernel_abi
from clearprop.compiler.native.direct_lowering import LeftToNumba

HEAD = "from clearprop.compiler.native.kernel_imports import *\n\n\n"
N = 37
KERNELS = {
    "loops in loops": """
        for i in range(lo, hi):
            s = f64(0)
            for j in range(i):
                s = accumulate(s, f64(x[j]) * y[i])
            out[i] = s
    """,
    "ways in turn": """
        for i in range(lo, hi):
            if x[i] > f32(0) and (y[i] > 0.5 or not k[i] < i64(3)):
                out[i] = y[i]
                continue
            elif 0 < k[i] <= 5 or x[i] != x[i]:
                out[i] = -1.0
            else:
                out[i] = f64(k[i] % i64(7)) if k[i] != 0 else 0.25
            out[i] += 1.0
    """,
    "truth values": """
        for i in range(lo, hi):
            a = x[i] < f32(0)
            b = a or y[i] > 0.5
            c = not (a and b)
            out[i] = f64(c) + 2.0 * f64(b)
    """,
    "extremes": """
        top = min(hi, u64(20))
        for i in range(lo, hi):
            out[i] = max(y[i], 0.25, f64(x[i])) + f64(min(k[i], i64(4), i64(i % top)))
    """,
    "while": """
        i = lo
        while True:
            if i >= hi:
                break
            out[i], i = y[i] * 2.0, i + u64(1)
        step = 0
        while step < 5:
            step += 1
            if step == 2:
                continue
            out[u64(step)] = out[u64(step)] / f64(step)
    """,
    "one name, one type after the other": """
        for i in range(lo, hi):
            t = x[i]
            t = t * t
            out[i] = f64(t)
            t = k[i]
            t += 1
            out[i] += f64(t)
        for i in range(lo, hi):
            t = y[i]
            for j in range(3):
                t = t * 0.5
            out[i] += t
    """,
    "a swap": """
        a, b = y[0], y[1]
        for i in range(lo, hi):
            a, b = b, a + b * 0.1
            out[i] = a
    """,
    "tiles": """
        for q in range(u64(1)):
            t = zero_tile_f64(2, 1)
            for p in range(u64(3)):
                t = add_outer(t, address(y) + p * u64(8), u64(8), address(y))
            keep_tile(address(out), u64(64), t)
            t = zero_tile_f64(1, 1)
            keep_tile(address(out) + u64(200), u64(64), t)
    """,
    "functions": """
        for i in range(lo, hi):
            out[i] = exp(y[i]) + f64(exp(x[i])) + sqrt(abs(y[i])) + tanh(y[i]) + power(abs(y[i]), 1.5) + log(1.0 + y[i])
    """,
    "an early end": """
        for i in range(lo, hi):
            out[i] = 1.0
            if k[i] == i64(5):
                return
    """,
}
LEFT = {
    "a type that hangs on the way": """
        for i in range(lo, hi):
            t = k[i]
            if x[i] > f32(0):
                t = y[i]
            out[i] = f64(t)
    """,
    "a type that changes from turn to turn": """
        t = 1
        for i in range(lo, hi):
            out[i] = f64(t)
            t = t * 0.5
    """,
    "a choice between types": """
        for i in range(lo, hi):
            out[i] = f64(k[i] if x[i] > f32(0) else y[i])
    """,
    "a function with words for arguments": """
        for i in range(lo, hi):
            out[i] = float(round(y[i] * 10.0))
    """,
}


def text_of(body):
    lines = [line[4:] for line in body.strip("\n").splitlines()]
    words = '"word", "word", "f32", "f64", "i64", "f64"'
    return HEAD + f"@entry({words})\ndef kernel(lo, hi, x, y, k, out):\n" + "\n".join(lines) + "\n"


def result(text, tmp_path, monkeypatch, directly):
    """What a kernel writes, compiled one way or the other; it writes nowhere else."""

    def refuse(*_):
        raise LeftToNumba("here")

    rng = np.random.default_rng(4)
    x, y = rng.normal(size=N).astype(np.float32), rng.random(N)
    k, out = rng.integers(0, 9, N), np.full(N + 8, 7.5)
    x[3] = np.nan
    with monkeypatch.context() as patched:
        if not directly:
            patched.setattr(kernel_abi, "_compile_directly", refuse)
        address = cache.compile_kernel(f"k{abs(hash((text, directly))):x}", text, tmp_path)
    row = np.array([0, N, *(a.ctypes.data for a in (x, y, k, out))], np.uint64)
    ctypes.CFUNCTYPE(None, ctypes.c_uint64)(address)(row.ctypes.data)
    return out


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_from_its_text_is_numbas(name, tmp_path, monkeypatch):
    text = text_of(KERNELS[name])
    asked, way = [], kernel_abi._compile_directly
    monkeypatch.setattr(kernel_abi, "_compile_directly", lambda *a: asked.append(way(*a)) or asked[-1])
    found = result(text, tmp_path, monkeypatch, directly=True)
    assert len(asked) == 1  # and nothing was left to Numba
    expected = result(text, tmp_path, monkeypatch, directly=False)
    assert found.tobytes() == expected.tobytes() and (found != 7.5).any() and (found[N:] == 7.5).all()


@pytest.mark.parametrize("name", LEFT)
def test_what_is_not_known_is_numbas_as_a_whole(name, tmp_path, monkeypatch):
    text = text_of(LEFT[name])
    asked, way = [], kernel_abi._compile_directly

    def noted(*arguments):
        try:
            return way(*arguments)
        except LeftToNumba as reason:
            asked.append(str(reason))
            raise

    monkeypatch.setattr(kernel_abi, "_compile_directly", noted)
    found = result(text, tmp_path, monkeypatch, directly=True)
    assert len(asked) == 1
    assert found.tobytes() == result(text, tmp_path, monkeypatch, directly=False).tobytes()


def test_trainings_leave_no_kernel_to_numba(tmp_path, monkeypatch):
    """Dense networks, convolutions, attention and cells: all that they compile is written from its text."""
    kept = tmp_path / "kernels"
    kept.mkdir(0o700)
    left = []

    def noted(body, *rest):
        try:
            return way(body, *rest)
        except LeftToNumba as reason:
            left.append((body.__module__, str(reason)))
            raise

    way = kernel_abi._compile_directly
    monkeypatch.setattr(kernel_abi, "_compile_directly", noted)
    monkeypatch.setattr(cache, "cache_folder", lambda: None)
    monkeypatch.setattr(cache, "_loaded", {})
    x, y = np.random.default_rng(0).normal(size=(16, 6, 6, 1)).astype(np.float32), np.arange(16) % 3
    net = cl.nn.Sequential(cl.nn.Conv2d(1, 4, 3, padding="same"), cl.nn.MaxPool(2), "relu", cl.nn.Flatten())
    model = cl.nn.Sequential([*net.layers, cl.nn.Dense(36, 3)])
    cl.fit(model, (x, y), epochs=1, batch_size=8, progress=False)
    assert not left


FUNCTIONS = ("exp", "log", "tanh", "sin", "cos", "log1p", "expm1", "erf", "sqrt", "power2", "remainder")


@pytest.mark.parametrize("directly", [True, False])
def test_an_object_shows_its_entry_alone(directly, tmp_path, monkeypatch):
    """What other objects hold under the same name may be another function: of those that are made in one place."""
    calls = [f"{name[:-1]}(y[0], 2.5)" if name == "power2" else f"{name}(y[0])" for name in FUNCTIONS[:-1]]
    body = [f"out[{i}] = {call}" for i, call in enumerate([*calls, "f64(remainder(k[0], i64(2)))"])]
    result(text_of("\n".join("        " + line for line in body)), tmp_path, monkeypatch, directly)
    library = cache._modules[-1].kernel.library
    module, entry = library._final_module, cache._modules[-1].kernel.symbol
    shown = [v for v in (*module.functions, *module.global_variables) if not v.is_declaration]
    assert [v.name for v in shown if v.linkage.name not in ("internal", "private")] == [entry]
