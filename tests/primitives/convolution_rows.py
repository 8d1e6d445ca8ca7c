"""Rows of the three sums over windows, and of the largest; values by loops over every output, tap and channel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.primitives.rows import Row, case, floats, spaced

ANY = floats(-2.0, 2.0)
FIXED = "a program is made for one size of space"


def meetings(space: Any, kernel: Any, out: Any, stride: Any, dilation: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Every position p, tap a and output i with stride·i + dilation·a = p."""
    for i, a in itertools.product(itertools.product(*map(range, out)), itertools.product(*map(range, kernel))):
        p = tuple(s * j + e * b for s, j, e, b in zip(stride, i, dilation, a, strict=True))
        if all(q < n for q, n in zip(p, space, strict=True)):
            yield p, a, i


def triples(x_shape: Any, w_shape: Any, y_shape: Any, stride: Any, dilation: Any, groups: int) -> Iterator[Any]:
    """Every entry of x, w and y whose product and sum meet."""
    each, many = w_shape[-2], w_shape[-1] // groups
    for p, a, i in meetings(x_shape[1:-1], w_shape[:-2], y_shape[1:-1], stride, dilation):
        for n, o, c in itertools.product(range(x_shape[0]), range(w_shape[-1]), range(each)):
            yield (n, *p, o // many * each + c), (*a, c, o), (n, *i, o)


def outputs(space: Any, kernel: Any, stride: Any, dilation: Any) -> tuple[int, ...]:
    return tuple(len(range(0, n - e * (k - 1), s)) for n, k, s, e in zip(space, kernel, stride, dilation, strict=True))


def by_conv(x: Any, w: Any, stride: Any, dilation: Any, groups: int) -> Any:
    y = np.zeros((len(x), *outputs(x.shape[1:-1], w.shape[:-2], stride, dilation), w.shape[-1]))
    for at_x, at_w, at_y in triples(x.shape, w.shape, y.shape, stride, dilation, groups):
        y[at_y] += x[at_x] * w[at_w]
    return y


def by_conv_input(dy: Any, w: Any, size: Any, stride: Any, dilation: Any, groups: int) -> Any:
    x = np.zeros((len(dy), *size, w.shape[-2] * groups))
    for at_x, at_w, at_y in triples(x.shape, w.shape, dy.shape, stride, dilation, groups):
        x[at_x] += dy[at_y] * w[at_w]
    return x


def by_conv_weight(x: Any, dy: Any, kernel: Any, stride: Any, dilation: Any, groups: int) -> Any:
    w = np.zeros((*kernel, x.shape[-1] // groups, dy.shape[-1]))
    for at_x, at_w, at_y in triples(x.shape, w.shape, dy.shape, stride, dilation, groups):
        w[at_w] += x[at_x] * dy[at_y]
    return w


def by_max_pool(x: Any, window: Any, stride: Any, dilation: Any) -> Any:
    out = outputs(x.shape[1:-1], window, stride, dilation)
    y = np.full((len(x), *out, x.shape[-1]), -np.inf)
    for p, _, i in meetings(x.shape[1:-1], window, out, stride, dilation):
        y[:, *i] = np.maximum(y[:, *i], x[:, *p])
    return y


LINE = {"stride": (1,), "dilation": (1,), "groups": 1}
PLANE = {"stride": (2, 1), "dilation": (1, 2), "groups": 1}
PARTS = {"stride": (1, 2), "dilation": (2, 1), "groups": 2}
SPACE = {"stride": (1, 2, 1), "dilation": (1, 1, 1), "groups": 1}
FORM = {"ulps": 32, "scale": 8, "slope_scale": 10, "fixed": FIXED}

ROWS = [
    Row("conv", (ANY, ANY), (case("n5k", "2km", **LINE), case("n64k", "32km", **PLANE), case("n564", "2324", **PARTS),
        case("2343k", "212km", **SPACE)), by_conv, **FORM),
    Row("conv_input", (ANY, ANY), (case("n4m", "2km", size=(5,), **LINE), case("n22m", "32km", size=(6, 4), **PLANE),
        case("n324", "2324", size=(5, 6), **PARTS), case("2222m", "212km", size=(3, 4, 3), **SPACE)),
        by_conv_input, **FORM),
    Row("conv_weight", (ANY, ANY), (case("n5k", "n4m", kernel=(2,), **LINE),
        case("n64k", "n22m", kernel=(3, 2), **PLANE), case("n564", "n324", kernel=(2, 3), **PARTS),
        case("2343k", "2222m", kernel=(2, 1, 2), **SPACE)), by_conv_weight, **FORM),
    Row("max_pool", (spaced(),), (case("n5k", window=(2,), stride=(2,), dilation=(1,)),
        case("n5k", window=(1,), stride=(2,), dilation=(1,)),
        case("n45k", window=(3, 2), stride=(1, 2), dilation=(1, 2)), case("n56k", window=(2, 2), stride=(3, 2),
        dilation=(1, 1)), case("2343k", window=(2, 1, 2), stride=(1, 2, 1), dilation=(1, 1, 1))),
        by_max_pool, slope_scale=10, analytic=False, fixed=FIXED),
]  # fmt: skip
