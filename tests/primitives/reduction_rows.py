"""Rows of reductions, normalisations, matrix products and random bits; values by mpmath, fsum and loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.primitives.rows import (
    MP,
    Row,
    along,
    by_entry,
    case,
    choice,
    distributions,
    floats,
    integers,
    spaced,
    words,
)

ANY = floats(-2.5, 2.5)
INT64 = np.dtype("int64")


# ------------------------------------------------------------------------------------------------- reductions
AXES = (
    case("n"),
    case("nm", axis=0),
    case("nm", axis=-1, keepdims=True),
    case("nmk", axis=(0, 2)),
    case("n1", axis=1),
    case("1nm", axis=(0, 1), keepdims=True),
    case(""),
    case("nm"),
)
EMPTY = (case("0"), case("0n", axis=0), case("n0", axis=0))
ONE_AXIS = (case("n"), case("nm", axis=0), case("nm", axis=1), case("n1m", axis=-1), case("1n", axis=0))


def reduction(name: str, value: Callable[[Sequence[Any]], Any], draw: Any = ANY, **options: Any) -> Row:
    cases = options.pop("cases", AXES + (EMPTY if options.pop("empty", False) else ()))
    return Row(name, (draw,), cases, by_entry(value), **options)


def _mp_mean(v: Sequence[Any]) -> Any:
    return math.fsum(v) / len(v) if len(v) else math.nan


def _mp_var(v: Sequence[Any]) -> Any:
    mean = MP.fsum(map(MP.mpf, v)) / len(v)
    return float(MP.fsum((MP.mpf(x) - mean) ** 2 for x in v) / len(v))


def _lse(v: Sequence[Any]) -> float:
    return float(MP.log(MP.fsum(MP.exp(x) for x in v)))


def _norm(v: Sequence[Any]) -> float:
    return float(MP.sqrt(MP.fsum(MP.mpf(x) ** 2 for x in v)))


def _softmax(v: Sequence[Any]) -> list[float]:
    e = [MP.exp(x) for x in v]
    return [float(x / MP.fsum(e)) for x in e]


def _log_softmax(v: Sequence[Any]) -> list[float]:
    return [float(x - MP.log(MP.fsum(MP.exp(u) for u in v))) for x in v]


def _running(v: Sequence[Any]) -> list[float]:
    return [math.fsum(v[: i + 1]) for i in range(len(v))]


def _cross_entropy(logits: Any, labels: Any) -> np.ndarray:
    given = labels.dtype.kind == "f"
    shape = np.broadcast_shapes(logits.shape[:-1], labels.shape[:-1] if given else labels.shape)
    z = np.broadcast_to(logits, (*shape, logits.shape[-1]))
    p = np.broadcast_to(labels, (*shape, *labels.shape[-1:])) if given else np.broadcast_to(labels, shape)
    out = np.empty(shape)
    for at in np.ndindex(*shape):
        logs = [z_c - MP.log(MP.fsum(MP.exp(u) for u in z[at])) for z_c in map(MP.mpf, z[at].tolist())]
        weights = p[at].tolist() if given else [float(c == p[at]) for c in range(z.shape[-1])]
        out[at] = float(-MP.fsum(w * v for w, v in zip(weights, logs, strict=True)))
    return out


REDUCTIONS = [
    reduction("sum", math.fsum, empty=True, scale=5),
    reduction("mean", _mp_mean, cases=(*AXES, case("n0", axis=0)), scale=2),
    reduction("max", max, spaced(), cases=(*AXES, case("n0", axis=0)), ulps=0, analytic=False),
    reduction("min", min, spaced(), cases=(*AXES, case("n0", axis=0)), ulps=0, analytic=False),
    reduction("logsumexp", _lse, scale=2, analytic=False),
    reduction("prod", math.prod, empty=True, ulps=20, slope_scale=1000, fixed="a tree over the axis"),
    reduction("var", _mp_var, scale=5, ulps=8),
    reduction(
        "std",
        lambda v: math.sqrt(_mp_var(v)),
        spaced(0.7),
        scale=5,
        ulps=8,
        cases=(case("n"), case("nm", axis=0), case("nm", axis=-1, keepdims=True), case("nmk", axis=(0, 2)), case("nm")),
    ),
    reduction("norm", _norm, floats(0.3, 2.5)),
    reduction("all", all, choice(0.0, 1.0, 2.0), empty=True, kind="b"),
    reduction("any", any, choice(0.0, 0.0, 2.0), empty=True, kind="b"),
    reduction(
        "argmax",
        lambda v: v.index(max(v)),
        choice(-1.0, 0.5, 2.0),
        kind="i",
        cases=(*ONE_AXIS, case("nm", axis=0, keepdims=True), case("n0", axis=0)),
    ),
    reduction(
        "argmin",
        lambda v: v.index(min(v)),
        choice(-1.0, 0.5, 2.0),
        kind="i",
        cases=(*ONE_AXIS, case("nm", axis=0, keepdims=True), case("n0", axis=0)),
    ),
    Row(
        "cumulative_sum",
        (ANY,),
        (*(case(c.shapes[0], axis=-1) for c in ONE_AXIS), case("nm", axis=0), case("0", axis=0)),
        along(_running),
        scale=5,
    ),
    Row("softmax", (ANY,), (*ONE_AXIS, case("0n", axis=1)), along(_softmax), ulps=8),
    Row("log_softmax", (ANY,), (*ONE_AXIS, case("0n", axis=1)), along(_log_softmax), ulps=8, scale=2),
    Row(
        "softmax_cross_entropy",
        (ANY, integers(0, "m")),
        (case("nm", "n"), case("m", ""), case("knm", "kn"), case("1m", "1"), case("0m", "0")),
        _cross_entropy,
        ulps=8,
        scale=2,
        variant="integers",
        analytic=False,
    ),
    Row(
        "softmax_cross_entropy",
        (ANY, distributions()),
        (case("nm", "nm"), case("m", "m"), case("1m", "1m"), case("knm", "knm"), case("0m", "0m")),
        _cross_entropy,
        ulps=8,
        scale=2,
        variant="probabilities",
        analytic=False,
    ),
]

LINEAR = [
    Row(
        "matmul",
        (ANY, ANY),
        tuple(
            case(*s)
            for s in (
                ("nk", "km"),
                ("1k", "km"),
                ("nk", "k1"),
                ("bnk", "km"),
                ("nk", "bkm"),
                ("bnk", "bkm"),
                ("b1nk", "1bkm"),
                ("n0", "0m"),
                ("0k", "km"),
            )
        ),
        lambda a, b: np.einsum("...nk,...km->...nm", a, b),
        ulps=16,
        scale=5,
    ),
]


def _threefry_words(key: Any, low: int, high: int) -> tuple[int, int]:
    """Threefry-2x32-20 in Python integers, from the paper's description (Salmon et al. 2011)."""
    mask, k = 0xFFFFFFFF, [int(key[0]), int(key[1])]
    k.append(k[0] ^ k[1] ^ 0x1BD11BDA)
    x, y = (low + k[0]) & mask, (high + k[1]) & mask
    for i in range(20):
        r = (13, 15, 26, 6, 17, 29, 16, 24)[i % 8]
        x = (x + y) & mask
        y = (((y << r) | (y >> (32 - r))) & mask) ^ x
        if i % 4 == 3:
            s = i // 4 + 1
            x, y = (x + k[s % 3]) & mask, (y + k[(s + 1) % 3] + s) & mask
    return x, y


def _bits(key: Any, shape: Any) -> np.ndarray:
    n = math.prod(shape)
    half = (n + 1) // 2
    pairs = [_threefry_words(key, i, 0) for i in range(half)]
    return np.array([p[0] for p in pairs] + [p[1] for p in pairs], np.uint32)[:n].reshape(shape)


def _folded(key: Any, data: Any) -> np.ndarray:
    return np.array(_threefry_words(key, int(data) & 0xFFFFFFFF, 1), np.uint32)


RANDOM = [
    Row(
        "random_bits",
        (words(),),
        (case("2", shape=(5,)), case("2", shape=(2, 3)), case("2", shape=()), case("2", shape=(0, 2))),
        _bits,
        ulps=0,
        kind="u",
    ),
    Row("fold_in", (words(), integers(0, 1000)), (case("2", ""),), _folded, ulps=0, kind="u"),
]

ROWS = [*REDUCTIONS, *LINEAR, *RANDOM]
