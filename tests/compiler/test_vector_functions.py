"""sin, cos, log1p and expm1 in kernels: exact to 2 ulp at the hardest arguments, with the same bits everywhere."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest

import clearprop as cl
from benchmarks.machine import LIMITS

NAMES = ("sin", "cos", "log1p", "expm1")
DTYPES = {"float32": 24, "float64": 53}
MP = mpmath.mp.clone()
MP.prec = 1300


@functools.cache
def near_multiples(dtype):
    """Of every exponent numbers nearest to a multiple of π/2, found by continued fractions of 2^e/(π/2)."""
    bits, found = DTYPES[dtype], []
    for e in range(-bits, np.finfo(dtype).maxexp - bits + 1):
        rest, before, this = MP.ldexp(1, e) / (MP.pi / 2), 1, 0
        while True:
            whole = int(MP.floor(rest))
            before, this = this, whole * this + before
            if this >= 1 << bits:
                break
            found.append((this, e))
            rest = 1 / (rest - whole)
    return np.ldexp(*map(np.array, zip(*found, strict=True))).astype(dtype)


@functools.cache
def compiled(name):
    return cl.compile(getattr(cl, name), executor="numba")


def natively(name, x):
    return np.asarray(compiled(name)(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_arguments_beside_multiples_of_a_right_angle(name, dtype):
    x = near_multiples(dtype)
    x = x if dtype == "float32" else x[:: len(x) // 4000]  # all exponents, of which the cost is in mpmath
    x = np.concatenate([x, -x[-300:], [np.finfo(dtype).max]]).astype(dtype)
    right = [getattr(MP, name)(MP.mpf(v)) for v in x.tolist()]
    step = np.spacing(np.abs(np.array([float(r) for r in right]).astype(dtype))).tolist()
    off = [float(abs(MP.mpf(g) - r)) / s for g, r, s in zip(natively(name, x).tolist(), right, step, strict=True)]
    assert max(off) <= 2, x[int(np.argmax(off))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_special(name, dtype):
    """Zeros with their signs, subnormal numbers, infinities, NaN and the ends of what can be told."""
    info = np.finfo(dtype)
    x = [0.0, -0.0, info.tiny, -info.smallest_subnormal, info.max, -info.max, np.inf, -np.inf, np.nan, -1, -2, -200]
    x = np.array([*x, np.nextafter(info.dtype.type(-1), info.dtype.type(0))], dtype)
    with np.errstate(all="ignore"):
        want = getattr(np, name)(x)
    got = natively(name, x)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
    kept = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got[kept]), np.signbit(want[kept]))
    np.testing.assert_array_equal(got[:4], want[:4])  # 0, −0 and the least numbers to the bit
    finite = np.isfinite(want)
    np.testing.assert_array_max_ulp(got[finite], want[finite], 4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_bits_do_not_depend_on_the_place(name, dtype):
    """In the vector body and in the rest of a loop, alone, beside other operations, in columns and along rows."""
    x = np.random.default_rng(0).uniform(-0.9, 60, 67).astype(dtype)
    whole = natively(name, x)
    for count in (1, 2, 3, 7, 8, 15, 16, 17, 33, 66):
        np.testing.assert_array_equal(natively(name, x[-count:]), whole[-count:])
    f = getattr(cl, name)
    beside = cl.compile(lambda v: (cl.sum(f(v) * 2 + v, axis=-1), f(v)), executor="numba")
    for turned in (x[:, None], x[None, :], np.repeat(x, 3).reshape(-1, 3)):
        want = np.repeat(whole, turned.size // len(x)).reshape(turned.shape)
        np.testing.assert_array_equal(np.asarray(beside(turned)[1]), want)


BITS = """
from tests.compiler.test_vector_functions import bits
print(bits())
"""


def bits():
    """A hash of all four functions at numbers of every size."""
    found = hashlib.sha256()
    for dtype in DTYPES:
        info, r = np.finfo(dtype), np.random.default_rng(0)
        x = (2.0 ** r.uniform(info.minexp, info.maxexp - 1e-3, 500)).astype(dtype)
        for name in NAMES:
            found.update(natively(name, np.concatenate([x, -x])).tobytes())
    return found.hexdigest()


@pytest.mark.verify
def test_bits_are_the_same_on_narrower_processors(tmp_path):
    limits = {name: LIMITS["avx2"][name] for name in ("OPENBLAS_CORETYPE", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")}
    env = {**os.environ, **limits, "CLEARPROP_CACHE_DIR": str(tmp_path)}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", BITS], env=env, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == bits()
