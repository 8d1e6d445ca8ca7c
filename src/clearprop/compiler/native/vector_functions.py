"""sin, cos, log1p and expm1 without branches, so that loops over them vectorise.

Every product that is added to something is one `fma`, and nothing else is contracted: the bits of a number do not
depend on where in an array it stands, nor on the width of the processor's vectors.  Errors in ulp, tested over every
exponent and at the arguments next to multiples of π/2:

         float32   float64
sin cos  0.6       1
log1p    1         1
expm1    1         1.5

The argument of sin and cos is reduced by Payne and Hanek's method (1983) at every size: x is multiplied by pieces of
2/π, without the digits that only add whole turns; which digits those are is read from a table by the exponent of x.
Polynomials of sin and cos in float64 and of log1p are those of fdlibm (Sun Microsystems 1993) and Cephes; the others
are minimax, found by Remez's exchange.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from clearprop.compiler.native.intrinsics import bits_of_f32, bits_of_f64, f32_of_bits, f64_of_bits, fma

f32, f64, i32, i64, u64 = np.float32, np.float64, np.int32, np.int64, np.uint64
_EXACT: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "fastmath": False,
    "forceinline": True,  # a loop over a call does not vectorise, and sin of float64 is long
    "no_cpython_wrapper": True,
    "nogil": True,
}
_DIGITS = 1400
"""Binary digits of 2/π: the largest float64 has 971 of them that only add whole turns, and 212 behind these count."""
_GROUP, _LARGE = 16, 95
"""So many exponents share an entry of the table of float64; from which entry on x is made smaller by 2⁶⁰⁰."""


def _two_over_pi() -> int:
    """2/π · 2^_DIGITS by Machin's formula, π = 16 arctan(1/5) − 4 arctan(1/239)."""
    one = 1 << (_DIGITS + 64)

    def arctan_of_inverse(n: int) -> int:
        power, k, total = one // n, 1, 0
        while power:
            total += power // k if k % 4 == 1 else -(power // k)
            power, k = power // (n * n), k + 2
        return total

    pi = 16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)
    return (2 * one << _DIGITS) // pi


def _round_to(number: int, bits: int) -> int:
    """The nearest integer with so many binary digits."""
    drop = max(number.bit_length() - bits, 0)
    return (number + (1 << drop >> 1)) >> drop << drop


def _pieces(whole: int, keep: int, widths: tuple[int, ...], scale: int) -> list[float]:
    """2/π without the digits worth 2^keep and more, as a sum of float64 with so many digits each, times 2^scale."""
    left, out = whole & ((1 << (_DIGITS + min(keep, 1))) - 1), []
    for bits in widths:
        piece = _round_to(abs(left), bits) * (1 if left >= 0 else -1)
        top = max(abs(piece).bit_length() - bits, 0)
        out.append(float(np.ldexp(float(piece >> top), top - _DIGITS + scale)))
        left -= piece
    return out


def _tables() -> tuple[Any, Any]:
    """Pieces of 2/π by the exponent of float32, and by groups of exponents of float64."""
    whole = _two_over_pi()
    single = [_pieces(whole, 2 + 150 - max(e, 1), (29, 53), 0) for e in range(256)]
    double = [
        _pieces(whole, 2 + 1075 - max(_GROUP * g, 1), (53, 53, 53, 53), 600 if g >= _LARGE else 0)
        for g in range(2048 // _GROUP)
    ]
    return np.array(single).T.copy(), np.array(double).T.copy()


(_S1, _S2), (_D1, _D2, _D3, _D4) = _tables()


@njit(**_EXACT)
def _circular32(x: Any, shift: Any) -> Any:
    """sin(x + shift·π/2) for shift 0 and 1, computed in float64: r is the rest of x in quarters of a turn."""
    d = f64(x) if abs(x) < f32(np.inf) else 0.0
    at = u64((bits_of_f32(x) >> i32(23)) & i32(255))
    a = d * _S1[at]  # exact, of 24 and 29 digits
    n = np.rint(a)
    r = fma(d, _S2[at], a - n)
    quarter = i32(n) + i32(shift)
    z = r * r
    p = fma(z, 0.00015687794747183198, -0.004680507849189335)
    p = fma(z, p, 0.07969244739191116)
    p = fma(z, p, -0.6459640884659569)
    p = fma(z, p, 1.5707963267210356) * r
    q = fma(z, 0.000893832256261198, -0.02085435439342171)
    q = fma(z, q, 0.2536681524169378)
    q = fma(z, q, -1.2337004783014127)
    q = fma(z, q, 0.9999999993706923)
    y = q if quarter & i32(1) else p
    return f32(-y if quarter & i32(2) else y)


@njit(**_EXACT)
def _sin32(x: Any) -> Any:
    y = _circular32(x, 0)
    y = y if abs(x) > f32(2.0e-4) else x  # both zeros with their signs
    return y if abs(x) < f32(np.inf) else x - x


@njit(**_EXACT)
def _cos32(x: Any) -> Any:
    y = _circular32(x, 1)
    return y if abs(x) < f32(np.inf) else x - x


@njit(**_EXACT)
def _two_sum(a: Any, b: Any) -> Any:
    """a + b, and what rounding took from it."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@njit(**_EXACT)
def _circular64(x0: Any, shift: Any) -> Any:
    """sin(x + shift·π/2) for shift 0 and 1."""
    x = x0 if abs(x0) < np.inf else 0.0
    at = u64(((bits_of_f64(x) >> i64(52)) & i64(2047)) >> i64(4))
    x = x * 2.409919865102884e-181 if at >= u64(_LARGE) else x  # 2⁻⁶⁰⁰
    # x · 2/π = p1 + e1 + p2 + e2 + p3 + e3 + p4, of which the first may be many turns
    p1, p2, p3 = x * _D1[at], x * _D2[at], x * _D3[at]
    e1, e2, e3 = fma(x, _D1[at], -p1), fma(x, _D2[at], -p2), fma(x, _D3[at], -p3)
    a = fma(-4.0, np.rint(0.25 * p1), p1)
    s, t1 = _two_sum(a, e1)
    s, t2 = _two_sum(s, p2)
    n = np.rint(s)
    s, t3 = _two_sum(s - n, t1)
    s, t4 = _two_sum(s, t2)
    s, t5 = _two_sum(s, e2)
    s, t6 = _two_sum(s, p3)
    m = np.rint(s)  # 0, or ±1 where the parts behind s carried
    low = ((t3 + t4) + (t5 + t6)) + (e3 + x * _D4[at])
    s, low = _two_sum(s - m, low)
    quarter = i64(n) + i64(m) + i64(shift)
    r = s * 1.5707963267948966
    c = fma(s, 6.123233995736766e-17, fma(s, 1.5707963267948966, -r)) + low * 1.5707963267948966
    z = r * r
    p = fma(z, 1.58969099521155010221e-10, -2.50507602534068634195e-08)
    p = fma(z, p, 2.75573137070700676789e-06)
    p = fma(z, p, -1.98412698298579493134e-04)
    p = fma(z, p, 8.33333333332248946124e-03)
    v = z * r
    sine = r - (fma(z, fma(0.5, c, -v * p), -c) - v * -1.66666666666666324348e-01)
    q = fma(z, -1.13596475577881948265e-11, 2.08757232129817482790e-09)
    q = fma(z, q, -2.75573143513906633035e-07)
    q = fma(z, q, 2.48015872894767294178e-05)
    q = fma(z, q, -1.38888888888741095749e-03)
    q = fma(z, q, 4.16666666666666019037e-02)
    half = 0.5 * z
    w = 1.0 - half
    cosine = w + (((1.0 - w) - half) + fma(z * z, q, -r * c))
    y = cosine if quarter & i64(1) else sine
    return -y if quarter & i64(2) else y


@njit(**_EXACT)
def _sin64(x: Any) -> Any:
    y = _circular64(x, 0)
    y = y if abs(x) > 1.0e-8 else x
    return y if abs(x) < np.inf else x - x


@njit(**_EXACT)
def _cos64(x: Any) -> Any:
    y = _circular64(x, 1)
    return y if abs(x) < np.inf else x - x


@njit(**_EXACT)
def _log1p32(x: Any) -> Any:
    u = f32(1.0) + x
    i = i32(bits_of_f32(u) - i32(0x3F3504F3))
    k = i >> i32(23)
    m = f32_of_bits(i32((i & i32(0x7FFFFF)) + i32(0x3F3504F3)))
    # what rounding took from 1 + x, by u: only where x is not itself the mantissa's distance from 1
    lost = (f32(1.0) - (u - x) if x > f32(1.0) else x - (u - f32(1.0))) / u
    f, lost, e = (x, f32(0.0), f32(0.0)) if k == i32(0) else (m - f32(1.0), lost, f32(k))
    z = f * f
    p = fma(f, f32(7.0376836292e-2), f32(-1.1514610310e-1))
    p = fma(p, f, f32(1.1676998740e-1))
    p = fma(p, f, f32(-1.2420140846e-1))
    p = fma(p, f, f32(1.4249322787e-1))
    p = fma(p, f, f32(-1.6668057665e-1))
    p = fma(p, f, f32(2.0000714765e-1))
    p = fma(p, f, f32(-2.4999993993e-1))
    p = fma(p, f, f32(3.3333331174e-1))
    small = fma(e, f32(-2.12194440e-4), fma(p, f * z, fma(f32(-0.5), z, lost)))
    y = fma(e, f32(0.693359375), f + small)
    y = y if x > f32(-1.0) else (f32(-np.inf) if x == f32(-1.0) else f32(np.nan))
    y = y if abs(x) > f32(2.0e-8) else x
    return y if x < f32(np.inf) else x if x == f32(np.inf) else y


@njit(**_EXACT)
def _log1p64(x: Any) -> Any:
    u = 1.0 + x
    i = bits_of_f64(u) - i64(0x3FE6A09E667F3BCD)
    k = i >> i64(52)
    m = f64_of_bits((i & i64(0xFFFFFFFFFFFFF)) + i64(0x3FE6A09E667F3BCD))
    lost = (1.0 - (u - x) if x > 1.0 else x - (u - 1.0)) / u
    f, lost, e = (x, 0.0, 0.0) if k == i64(0) else (m - 1.0, lost, f64(k))
    s = f / (2.0 + f)
    z = s * s
    p = fma(z, 1.479819860511658591e-01, 1.531383769920937332e-01)
    p = fma(z, p, 1.818357216161805012e-01)
    p = fma(z, p, 2.222219843214978396e-01)
    p = fma(z, p, 2.857142874366239149e-01)
    p = fma(z, p, 3.999999999940941908e-01)
    p = fma(z, p, 6.666666666666735130e-01) * z
    half = 0.5 * f * f
    low = fma(s, half + p, fma(e, 1.90821492927058770002e-10, lost))
    y = fma(e, 6.93147180369123816490e-01, f - (half - low))
    y = y if x > -1.0 else (-np.inf if x == -1.0 else np.nan)
    y = y if abs(x) > 1.0e-17 else x
    return y if x < np.inf else x if x == np.inf else y


@njit(**_EXACT)
def _expm132(x0: Any) -> Any:
    x = min(max(x0, f32(-20.0)), f32(88.73))
    n = np.rint(x * f32(1.44269504088896341))
    r = fma(n, f32(2.12194440e-4), fma(n, f32(-0.693359375), x))
    p = fma(r, f32(1.9908909009103669e-4), f32(1.3934544127228022e-3))
    p = fma(p, r, f32(8.333284098592944e-3))
    p = fma(p, r, f32(4.166645678309699e-2))
    p = fma(p, r, f32(1.6666666761944682e-1))
    p = fma(p, r, f32(0.5)) * (r * r)
    # 2ᵏ(r + p) + 2ᵏ − 1: r is added to the number exactly; 2¹²⁸ is made of two factors
    last = n == f32(128.0)
    power = f32_of_bits(i32(i32(n) - (i32(1) if last else i32(0)) + i32(127)) << i32(23))
    whole = power - f32(1.0)
    s = fma(power, r, whole)
    y = s + fma(power, p, fma(power, r, whole - s))
    y = y + y if last else y
    y = f32(np.inf) if x0 > f32(88.72283) else y
    y = y if abs(x0) > f32(2.0e-8) else x0
    return y if x0 == x0 else x0


@njit(**_EXACT)
def _expm164(x0: Any) -> Any:
    x = min(max(x0, -45.0), 709.79)
    n = np.rint(x * 1.4426950408889634073599)
    r = fma(n, -1.90821492927058770002e-10, fma(n, -6.93147180369123816490e-01, x))
    p = fma(r, 2.0923392913062863e-09, 2.5107354418087623e-08)
    p = fma(p, r, 2.755724746964202e-07)
    p = fma(p, r, 2.7557250161195712e-06)
    p = fma(p, r, 2.4801587353088785e-05)
    p = fma(p, r, 0.00019841269879034769)
    p = fma(p, r, 0.001388888888887192)
    p = fma(p, r, 0.008333333333324906)
    p = fma(p, r, 0.041666666666666685)
    p = fma(p, r, 0.1666666666666667)
    p = fma(p, r, 0.5) * (r * r)
    last = n == 1024.0
    power = f64_of_bits((i64(n) - (i64(1) if last else i64(0)) + i64(1023)) << i64(52))
    whole = power - 1.0
    s = fma(power, r, whole)
    y = s + fma(power, p, fma(power, r, whole - s))
    y = y + y if last else y
    y = np.inf if x0 > 709.782712893384 else y
    y = y if abs(x0) > 1.0e-17 else x0
    return y if x0 == x0 else x0


FORMS: dict[str, tuple[Any, Any]] = {
    "sin": (_sin32, _sin64),
    "cos": (_cos32, _cos64),
    "log1p": (_log1p32, _log1p64),
    "expm1": (_expm132, _expm164),
}
"""Of each function the form of float32 and that of float64."""
