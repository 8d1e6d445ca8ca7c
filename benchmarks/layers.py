"""The rows of layers: single layers with both gradients, and networks of them, as data and arrays; NumPy only.

An image is (height, width, channels) here, as for us and JAX; PyTorch's contenders turn it to their channels-last form.
Weights stand in the order of our networks' parameters, matrices as (inputs, outputs).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.workloads import Workload

LETTERS = 65
"""As many characters as the plays that `examples/text.py` was tried on."""
WIDTH, HEADS, BLOCKS, LENGTH = 128, 4, 3, 128
"""The networks of that example: numbers for a character, heads, blocks, characters of a row."""
Arrays = list[np.ndarray[Any, Any]]


def layer_arrays(row: Workload) -> tuple[Arrays, np.ndarray[Any, Any]]:
    """What a layer takes (images, and of a convolution its kernel), and the cotangent of what it gives."""
    r = np.random.default_rng(0)
    if row.source == "pool":
        n, h, c = row.sizes
        return [_normal(r, n, h, h, c)], _normal(r, n, h // 2, h // 2, c)
    n, h, inputs, outputs, k, groups = row.sizes
    return [_normal(r, n, h, h, inputs), 0.1 * _normal(r, k, k, inputs // groups, outputs)], _normal(
        r, n, h, h, outputs
    )


def net_data(row: Workload) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows of a network's training: x and y."""
    r, n = np.random.default_rng(0), row.rows
    if row.source == "images":
        return _normal(r, n, 28, 28, 1), r.integers(0, 10, n)
    if row.source == "cells":
        return _normal(r, n, 50, 16), r.integers(0, 10, n)
    if row.source == "block":
        return _normal(r, n, 64, 64), _normal(r, n, 64, 64)
    return r.integers(0, LETTERS, (n, LENGTH)).astype(np.int32), r.integers(0, LETTERS, (n, LENGTH)).astype(np.int32)


def net_weights(row: Workload) -> Arrays:
    """The arrays that a network starts from."""
    r = np.random.default_rng(1)
    if row.source == "images":
        return _drawn(r, (3, 3, 1, 16), (16,), (3, 3, 16, 32), (32,), (1568, 10), (10,))
    if row.source == "cells":
        return _drawn(r, (16, 256), (64, 256), (256,), (64, 10), (10,))
    if row.source == "block":
        return _block(r, 64)
    table = _drawn(r, (LETTERS, WIDTH))
    if row.source == "letters by cells":
        size = 2 * WIDTH
        return table + _drawn(r, (WIDTH, 4 * size), (size, 4 * size), (4 * size,), (size, LETTERS), (LETTERS,))
    blocks = [a for _ in range(BLOCKS) for a in _block(r, WIDTH)]
    return table + _drawn(r, (LENGTH, WIDTH)) + blocks + [*_norm(WIDTH), *_drawn(r, (WIDTH, LETTERS), (LETTERS,))]


def _block(r: np.random.Generator, size: int) -> Arrays:
    """Query, key, value, output; two normalisations; the two dense layers."""
    dense = [a for _ in range(4) for a in _drawn(r, (size, size), (size,))]
    return [*dense, *_norm(size), *_norm(size), *_drawn(r, (size, 4 * size), (4 * size,), (4 * size, size), (size,))]


def _norm(size: int) -> Arrays:
    return [np.ones(size, np.float32), np.zeros(size, np.float32)]


def _drawn(r: np.random.Generator, *shapes: tuple[int, ...]) -> Arrays:
    """Weights whose products have the variance of their inputs; biases, of one axis, are 0."""
    return [
        _normal(r, *s) / np.float32(np.sqrt(np.prod(s[:-1]))) if len(s) > 1 else np.zeros(s, np.float32) for s in shapes
    ]


def _normal(r: np.random.Generator, *shape: int) -> np.ndarray[Any, Any]:
    return r.standard_normal(shape, np.float32)
