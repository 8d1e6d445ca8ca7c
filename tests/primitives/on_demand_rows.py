"""Rows of the families that are loaded at their first use."""

from __future__ import annotations

import math

import numpy as np
import scipy.special

from clearprop.rules.random import threefry
from tests.primitives.elementwise_rows import ANY, ONE, POSITIVE, SPECIAL, THREE, TIES, TWO, binary, unary, with_params
from tests.primitives.rows import MP, Row, along, booleans, case, choice, elementwise, floats, integers, spaced, words

SMALL = integers(0, 60)


def _floor_divide(a, b):
    return MP.floor(a / b)


def _bits(operation):
    return lambda a, b: int(operation(int(a), int(b)))


def _sinc(x):
    return MP.sinpi(x) / (MP.pi * x) if x else MP.mpf(1)


DIVISION = [
    binary("floor_divide", _floor_divide, ANY, POSITIVE, ulps=0, analytic=False),
    binary("remainder", lambda a, b: a - b * MP.floor(a / b), ANY, POSITIVE, ulps=1, analytic=False, slope_scale=10),
    binary(
        "remainder",
        lambda a, b: a - b * MP.floor(a / b),
        ANY,
        floats(-3, -1.1),
        ulps=2,
        scale=1,
        analytic=False,
        slope_scale=10,
        variant="negative",
    ),
    binary("fmod", MP.fmod, POSITIVE, floats(0.4, 1.0), ulps=1, analytic=False, slope_scale=10),
    binary("gcd", _bits(math.gcd), integers(-99, 99), integers(-30, 30), kind="i"),
    binary("lcm", _bits(math.lcm), integers(-99, 99), integers(-30, 30), kind="i"),
    unary("trunc", lambda x: MP.floor(x) if x > 0 else MP.ceil(x), -3, 3, ulps=0, analytic=False),
]

BITS = [
    binary("bitwise_and", _bits(lambda a, b: a & b), SMALL, SMALL, kind="i"),
    binary("bitwise_or", _bits(lambda a, b: a | b), SMALL, SMALL, kind="i"),
    binary("bitwise_xor", _bits(lambda a, b: a ^ b), SMALL, SMALL, kind="i"),
    unary("bitwise_invert", lambda x: -int(x) - 1, 0, 1, draw=integers(-50, 50), kind="i"),
    binary("bitwise_left_shift", _bits(lambda a, b: a << b), integers(-9, 9), integers(0, 9), kind="i"),
    binary("bitwise_right_shift", _bits(lambda a, b: a >> b), integers(-99, 99), integers(0, 9), kind="i"),
    binary("logical_xor", lambda a, b: a != b, booleans(), booleans(), kind="b"),
]

FLOATING = [
    binary("hypot", MP.hypot, ANY, POSITIVE, ulps=2, analytic=False),
    binary(
        "copysign", lambda a, b: math.copysign(a, b), ANY, floats(-3, -0.3), ulps=0, analytic=False, variant="negative"
    ),
    binary("copysign", lambda a, b: abs(a), ANY, POSITIVE, ulps=0, analytic=False),
    Row("nextafter", (ANY, POSITIVE), TWO, elementwise(lambda a, b: a), ulps=2, differentiated=False),
    unary("signbit", lambda x: bool(x < 0), 0, 1, draw=choice(-2.0, 1.0, 3.0), kind="b"),
    unary("isinf", lambda x: bool(abs(x) == MP.inf), 0, 1, draw=SPECIAL, kind="b"),
    unary("positive", lambda x: x, -3, 3, ulps=0),
    unary("exp2", lambda x: MP.power(2, x), -3, 3, slope_scale=10),
    unary("rsqrt", lambda x: 1 / MP.sqrt(x), 0.3, 4, slope_scale=10),
    unary("deg2rad", MP.radians, -200, 200),
    unary("rad2deg", MP.degrees, -4, 4, slope_scale=100),
    Row("lerp", (ANY, ANY, ANY), THREE, elementwise(lambda a, b, t: a + t * (b - a)), ulps=8, scale=4),
    binary("xlogy", lambda a, b: a * MP.log(b), ANY, POSITIVE, scale=1, analytic=False),
    binary("xlog1py", lambda a, b: a * MP.log1p(b), ANY, POSITIVE, analytic=False),
    binary("fmax", max, ANY, ANY, ulps=0, analytic=False),
    binary("fmin", min, ANY, ANY, ulps=0, analytic=False),
    binary("heaviside", lambda x, h: h if x == 0 else MP.mpf(x > 0), TIES, ANY, ulps=0, differentiated=False),
    unary("logit", lambda x: MP.log(x / (1 - x)), 0.1, 0.9, scale=3, slope_scale=20),
    unary("softsign", lambda x: x / (1 + abs(x)), -3, 3, analytic=False, avoid=lambda x: abs(x) < 1e-3),
    unary("mish", lambda x: x * MP.tanh(MP.log1p(MP.exp(x))), -4, 4, scale=4, analytic=False),
    unary("hard_tanh", lambda x: min(max(x, MP.mpf(-1)), MP.mpf(1)), -3, 3, ulps=0, analytic=False),
    unary("hard_sigmoid", lambda x: min(max(x + 3, MP.mpf(0)), MP.mpf(6)) / 6, -4, 4, scale=1, analytic=False),
    unary("hard_silu", lambda x: x * min(max(x + 3, MP.mpf(0)), MP.mpf(6)) / 6, -4, 4, scale=4, analytic=False),
    unary("sinc", _sinc, -3, 3, scale=1, analytic=False, slope_scale=10),
]

PROBABILITY = floats(0.1, 0.9)

# what is SciPy's is held to no more than docs/numerics.md promises, where some bounds are in units of 1
SPECIAL_FUNCTIONS = [
    unary("erfc", MP.erfc, -3, 3, ulps=16, analytic=False),
    unary("erfcx", lambda x: MP.exp(x * x) * MP.erfc(x), -2, 5, ulps=8, analytic=False, slope_scale=100),
    unary("erfinv", MP.erfinv, -0.9, 0.9, analytic=False, slope_scale=20),
    unary("lgamma", MP.loggamma, 0.3, 5, scale=1, analytic=False, slope_scale=10),
    unary("digamma", MP.digamma, 0.5, 5, scale=1, analytic=False, slope_scale=20),
    Row("polygamma", (floats(0.6, 4),), with_params(ONE, order=1), elementwise(lambda x, order: MP.psi(order, x)),
        ulps=8, analytic=False, slope_scale=100),
    binary("gammainc", lambda a, x: MP.gammainc(a, 0, x, regularized=True), POSITIVE, POSITIVE, ulps=128,
           scale=1, analytic=False),
    binary("gammaincc", lambda a, x: MP.gammainc(a, x, MP.inf, regularized=True), POSITIVE, POSITIVE, ulps=128,
           scale=1, analytic=False),
    Row("betainc", (POSITIVE, POSITIVE, PROBABILITY), THREE,
        elementwise(lambda a, b, x: MP.betainc(a, b, 0, x, regularized=True)), ulps=16, scale=1, analytic=False,
        slope_scale=20),
    *(binary("gammainc_slope", lambda a, x, order: MP.diff(lambda v: MP.gammainc(v, 0, x, regularized=True), a, order),
             POSITIVE, POSITIVE, ulps=4096, scale=1, variant=f"order {order}", analytic=False, slope_scale=10,
             cases=with_params(TWO, order=order))
      for order in (1, 2)),
    *(Row("betainc_slope", (POSITIVE, POSITIVE, PROBABILITY), with_params(THREE[:2], by_a=by_a, by_b=by_b),
          elementwise(lambda a, b, x, by_a, by_b: MP.diff(
              lambda v, w: MP.betainc(v, w, 0, x, regularized=True), (a, b), (by_a, by_b))),
          ulps=4096, scale=1, variant=f"orders {by_a} and {by_b}", analytic=False, slope_scale=10)
      for by_a, by_b in ((1, 0), (0, 1), (1, 1))),
    binary("betaln", lambda a, b: MP.log(MP.beta(a, b)), POSITIVE, POSITIVE, scale=4, analytic=False, slope_scale=10),
    binary("beta", MP.beta, POSITIVE, POSITIVE, ulps=16, analytic=False, slope_scale=20),
    unary("i0", lambda x: MP.besseli(0, x), -3, 3, ulps=16, analytic=False),
    unary("i1", lambda x: MP.besseli(1, x), -3, 3, ulps=16, analytic=False),
    unary("i0e", lambda x: MP.exp(-abs(x)) * MP.besseli(0, x), -3, 3, analytic=False),
    unary("i1e", lambda x: MP.exp(-abs(x)) * MP.besseli(1, x), -3, 3, analytic=False),
    unary("ndtr", MP.ncdf, -3, 3, ulps=16, analytic=False),
    unary("log_ndtr", lambda x: MP.log(MP.ncdf(x)), -3, 3, ulps=16, analytic=False),
    unary("inverse_mills", lambda x: MP.npdf(x) / MP.ncdf(x), -3, 3, ulps=16, analytic=False),
    unary("ndtri", lambda x: MP.sqrt(2) * MP.erfinv(2 * x - 1), 0.1, 0.9, scale=1, analytic=False, slope_scale=50),
    binary("zeta", MP.zeta, floats(2.1, 4.0), floats(0.6, 3.0), ulps=8, analytic=False, slope_scale=100),
    unary("entr", lambda x: -x * MP.log(x), 0.1, 0.9, scale=1, analytic=False, slope_scale=20),
]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- orders
def ascending(rng, shape, sizes):
    return np.sort(rng.uniform(0.2, 3.0, shape))


ORDERS = [
    Row("argsort", (spaced(),), (case("n"), case("nm", axis=-2), case("bnm")),
        along(lambda v: sorted(range(len(v)), key=v.__getitem__)), kind="i"),
    Row("searchsorted", (ascending, floats(0.0, 4.0)), (case("n", "m"), case("n", "mk", side="right"), case("n", "")),
        lambda a, b, side="left": np.sum(np.asarray(b)[..., None] > a, axis=-1), kind="i"),
]  # fmt: skip


def _last(indices, size):
    out = np.zeros((*indices.shape[:-1], size), np.int64)
    for at in np.ndindex(*indices.shape):
        out[(*at[:-1], indices[at])] = max(out[(*at[:-1], indices[at])], 1 + at[-1])
    return out


WRITERS = [
    Row("last_writer", (integers(0, "n"),), (case("k", given=lambda n: {"size": n}),
        case("bk", given=lambda n: {"size": n}), case("0", given=lambda n: {"size": n})), _last, ulps=0, kind="i"),
]  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- matrices
def regular(rng, shape, sizes):
    """Matrices with a large diagonal: regular, also when they are rounded to integers."""
    return rng.uniform(-0.9, -0.1, shape) + (3 + rng.random(shape)) * np.eye(*shape[-2:])


def definite(rng, shape, sizes):
    x = rng.uniform(-0.9, -0.1, shape)
    distinct = np.diag(4.0 + np.arange(shape[-1]))
    return 0.5 * (x + np.swapaxes(x, -1, -2)) + distinct


def rectangular(rng, shape, sizes):
    return rng.uniform(0.2, 1.0, shape) + np.eye(*shape[-2:]) * (2.0 + np.arange(shape[-1]))


def per_matrix(function):
    """An oracle from a function of one matrix with numbers of 40 digits, or of a matrix and a right side."""

    def oracle(*operands, **params):
        lead = np.broadcast_shapes(*(x.shape[:-2] for x in operands))
        wide = [np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in operands]
        out = [function(*(MP.matrix(x[at].tolist()) for x in wide), **params) for at in np.ndindex(*lead)]
        found = np.array([np.array(v.tolist(), float) if hasattr(v, "tolist") else float(v) for v in out])
        return found.reshape((*lead, *found.shape[1:]))

    return oracle


def signed(vectors, lapack, axis):
    """Vectors are known up to their sign, which is here that of LAPACK's."""

    def oracle(x, **params):
        found, theirs = per_matrix(vectors)(x), lapack(x)
        return found * np.sign(np.sum(found * theirs, axis=axis, keepdims=True))

    return oracle


def eliminated(m):
    """Gaussian elimination by rows with the largest pivot: the places of the rows, and both factors in one matrix."""
    n, order = m.rows, list(range(m.rows))
    rows = [[m[i, j] for j in range(n)] for i in range(n)]
    for k in range(n):
        best = max(range(k, n), key=lambda i: abs(rows[i][k]))
        rows[k], rows[best], order[k], order[best] = rows[best], rows[k], order[best], order[k]
        for i in range(k + 1, n):
            rows[i][k] /= rows[k][k]
            rows[i][k + 1 :] = [a - rows[i][k] * b for a, b in zip(rows[i][k + 1 :], rows[k][k + 1 :], strict=True)]
    return MP.matrix([order.index(i) for i in range(n)]), MP.matrix(rows)


def shuffled(rng, shape, sizes):
    """Regular matrices whose rows stand in another order."""
    return regular(rng, shape, sizes)[..., ::-1, :]


def triangle(m, lower, unit):
    n = m.rows
    kept = [[m[i, j] if (j < i if lower else j > i) else 0 for j in range(n)] for i in range(n)]
    for i in range(n):
        kept[i][i] = 1 if unit else m[i, i]
    return MP.matrix(kept)


SQUARES = (case("nn"), case("bnn"), case("mm"))
OF_ONE_MATRIX = {"scale": 1, "analytic": False, "slope_scale": 10}
MATRICES = [
    Row("inv", (regular,), SQUARES, per_matrix(MP.inverse), **OF_ONE_MATRIX),
    Row("solve", (regular, ANY), (case("nn", "nk"), case("bnn", "nk"), case("nn", "bn1")),
        per_matrix(lambda a, b: MP.inverse(a) * b), **OF_ONE_MATRIX),
    *(Row("solve_triangular", (regular, ANY),
          (case("nn", "nk", lower=lower, unit=unit), case("bnn", "nk", lower=lower, unit=unit)),
          per_matrix(lambda a, b, lower, unit: MP.inverse(triangle(a, lower, unit)) * b),
          variant=f"{'lower' if lower else 'upper'}{', ones' if unit else ''}", **OF_ONE_MATRIX)
      for lower in (False, True) for unit in (False, True)),
    Row("orthonormal_factor", (rectangular,), (case("nm"), case("bnm"), case("nn")),
        signed(lambda m: MP.qr(m, mode="skinny")[0], lambda x: np.linalg.qr(x)[0], -2), ulps=32, fixed="its size",
        **OF_ONE_MATRIX),
    Row("triangular_factor", (rectangular,), (case("nm"), case("bnm"), case("nn")),
        signed(lambda m: MP.qr(m, mode="skinny")[1], lambda x: np.linalg.qr(x)[1], -1), ulps=32, fixed="its size",
        **OF_ONE_MATRIX),
    Row("complete_factor", (rectangular,), (case("nm"), case("bnm")),
        signed(lambda m: MP.qr(m, mode="full")[0], lambda x: np.linalg.qr(x, mode="complete")[0], -2), ulps=32,
        scale=1, differentiated=False),
    Row("pivot_places", (shuffled,), SQUARES, lambda x: np.squeeze(per_matrix(lambda m: eliminated(m)[0])(x), -1),
        kind="i"),
    Row("packed_lu", (shuffled,), SQUARES, per_matrix(lambda m: eliminated(m)[1]), **OF_ONE_MATRIX),
    Row("det", (regular,), SQUARES, per_matrix(MP.det), ulps=8, scale=1, analytic=False, slope_scale=100),
    Row("cofactors", (regular,), SQUARES, per_matrix(lambda x: MP.det(x) * MP.inverse(x).T), ulps=16, scale=1,
        analytic=False, slope_scale=100),
    Row("logabsdet", (regular,), SQUARES, per_matrix(lambda x: MP.log(abs(MP.det(x)))), **OF_ONE_MATRIX),
    Row("determinant_sign", (regular,), SQUARES, per_matrix(lambda x: MP.sign(MP.det(x))), differentiated=False),
    Row("cholesky", (definite,), SQUARES, per_matrix(MP.cholesky), scale=1, differentiated=False),
    Row("eigvalsh", (definite,), SQUARES, lambda x: np.squeeze(per_matrix(
        lambda m: MP.matrix(sorted(MP.eigsy(m, eigvals_only=True))))(x), -1), ulps=16, scale=1, differentiated=False),
    Row("eigenvectors", (definite,), SQUARES, signed(lambda m: MP.eigsy(m)[1], lambda x: np.linalg.eigh(x)[1], -2),
        ulps=32, scale=1, differentiated=False),
    Row("svdvals", (rectangular,), (case("nm"), case("mn"), case("bnm")), lambda x: np.squeeze(per_matrix(
        lambda m: MP.svd_r(m, compute_uv=False))(x), -1), ulps=16, scale=1, differentiated=False, fixed="its size"),
    Row("left_vectors", (rectangular,), (case("nm", whole=False), case("bnm", whole=False)),
        signed(lambda m: MP.svd_r(m)[0], lambda x: np.linalg.svd(x, full_matrices=False)[0], -2),
        ulps=32, scale=1, differentiated=False, fixed="its size"),
    Row("right_vectors", (rectangular,), (case("nm", whole=False), case("bnm", whole=False)),
        signed(lambda m: MP.svd_r(m)[2], lambda x: np.linalg.svd(x, full_matrices=False)[2], -1),
        ulps=32, scale=1, differentiated=False, fixed="its size"),
    Row("expm", (floats(-1.0, 1.0),), SQUARES, per_matrix(MP.expm), ulps=32, scale=4, analytic=False, slope_scale=10),
    Row("pinv", (rectangular,), (case("nm"), case("bnm")),

        per_matrix(lambda m, rtol=None: MP.inverse(m.T * m) * m.T), ulps=32, scale=1, analytic=False, slope_scale=10),
]  # fmt: skip


# ------------------------------------------------------------------------------------------------------ random numbers
def uniform_of(words):
    high, low = (int(w) for w in words)
    return ((high >> 6) * 2**26 + (low >> 6) + 0.5) / 2**52


def attempt(key, number, place, stream):
    return threefry(threefry(key, number, 1), place, stream)


def gamma_number(key, a, place):
    """One number by the squeeze-free form of Marsaglia & Tsang, entry by entry with Python's own functions."""
    d, number = (a + 1 if a < 1 else a) - 1 / 3, 0
    while True:
        x = scipy.special.ndtri((int(attempt(key, number, place, 2)[0]) + 0.5) / 2**32)
        v = (1 + x / math.sqrt(9 * d)) ** 3
        if v > 0 and math.log(uniform_of(attempt(key, number, place, 3))) < x * x / 2 + d * (1 - v + math.log(v)):
            power = uniform_of(attempt(key, 2**32 - 1, place, 2)) ** (1 / a) if a < 1 else 1.0
            return d * v * power
        number += 1


def poisson_number(key, rate, place):
    u, k, p = uniform_of(attempt(key, 0, place, 2)), 0, MP.exp(-rate)
    total = p
    while u > total:
        k += 1
        p *= rate / k
        total += p
    return k


def drawn(number):
    def oracle(key, parameters):
        keys, rows = key.reshape(-1, 2), parameters.reshape(len(key.reshape(-1, 2)), -1)
        return np.array([[number(k, v, i) for i, v in enumerate(r)] for k, r in zip(keys, rows, strict=True)]).reshape(
            parameters.shape
        )

    return oracle


def gamma_slope_of(a, z):
    moved = MP.diff(lambda a: MP.gammainc(a, 0, z, regularized=True), a)
    return -moved * MP.gamma(a) * MP.exp(z) / z ** (a - 1)


def von_mises_number(key, k, place):
    """One angle by Best & Fisher's own form, with cosines of a uniform angle."""
    tau = 1 + math.sqrt(1 + 4 * k * k)
    rho = (tau - math.sqrt(2 * tau)) / (2 * k)
    r, number = (1 + rho * rho) / (2 * rho), 0
    while True:
        a, b = (scipy.special.ndtri((int(w) + 0.5) / 2**32) for w in attempt(key, number, place, 2))
        z = math.cos(2 * math.atan(a / b))
        f = (1 + r * z) / (r + z)
        c = k * (r - f)
        if math.log(uniform_of(attempt(key, number, place, 3))) <= math.log(c) + 1 - c:
            return math.copysign(math.acos(f), a / b)
        number += 1


def von_mises_slope_of(k, angle):
    def moved(t):
        return (MP.cos(t) - MP.besseli(1, k) / MP.besseli(0, k)) * MP.exp(k * (MP.cos(t) - MP.cos(angle)))

    return -MP.quad(moved, [0, angle])


def wald_number_of(z, u, mean, concentration):
    """The smaller root of λ(x − μ)² = z²μ²x, or the other one, with which its product is μ²."""
    half = mean + mean**2 * z**2 / (2 * concentration)
    x = half - MP.sqrt(half**2 - mean**2)
    return x if u <= mean / (mean + x) else mean**2 / x


def zipf_number(key, a, place):
    number, two = 0, 2.0 ** (a - 1)
    while True:
        u, v = (uniform_of(attempt(key, number, place, s)) for s in (2, 3))
        least = 2.0 ** (-63 * (a - 1))
        k = math.floor((u + (1 - u) * least) ** (-1 / (a - 1)))
        t = (1 + 1 / k) ** (a - 1)
        if v * k * (t - 1) / (two - 1) <= t / two:
            return k
        number += 1


PER_KEY = (case("2", "n"), case("2", "nm"), case("b2", "bn"), case("2", ""))
RANDOM = [
    binary("open_uniform", lambda high, low: (MP.floor(high / 64) * 2**26 + MP.floor(low / 64) + 0.5) / 2**52,
           words(), words(), ulps=0),
    unary("exact_log", MP.log, 0.1, 9, ulps=4, scale=1, differentiated=False),
    binary("gamma_slope", gamma_slope_of, POSITIVE, POSITIVE, ulps=1e5, differentiated=False),
    Row("gamma_numbers", (words(), POSITIVE), PER_KEY, drawn(gamma_number), ulps=256, differentiated=False),
    Row("poisson_numbers", (words(), floats(0.2, 8.0)), PER_KEY, drawn(poisson_number), ulps=0, kind="i"),
    Row("von_mises_numbers", (words(), floats(0.3, 6.0)), PER_KEY, drawn(von_mises_number), ulps=1e4, scale=1,
        differentiated=False),
    binary("von_mises_slope", von_mises_slope_of, floats(0.3, 6.0), floats(-3.0, 3.0), ulps=256, differentiated=False),
    Row("zipf_numbers", (words(), floats(1.3, 4.0)), PER_KEY, drawn(zipf_number), ulps=0, kind="i"),
    Row("wald_number", (floats(-2.0, 2.0), floats(0.01, 0.99), POSITIVE, POSITIVE),
        (case("n", "n", "n", "n"), case("n", "n", "", "")), elementwise(wald_number_of), ulps=32, differentiated=False),
]  # fmt: skip

ROWS = [*DIVISION, *BITS, *FLOATING, *SPECIAL_FUNCTIONS, *ORDERS, *WRITERS, *MATRICES, *RANDOM]
