"""Operators of ATen that make images larger or smaller, along one, two or three axes of space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.arrays import functions
from clearprop.interop.torch.operators.operator_table import operator


@operator("upsample_nearest1d.vec", "upsample_nearest2d.vec", "upsample_nearest3d.vec")
def nearest(input: Any, output_size: Any, scale_factors: Any = None) -> Any:
    """Every place of the result takes the number of the place below it, ⌊i · step⌋."""
    for axis, (size, step) in enumerate(_sizes(input.shape[2:], output_size, scale_factors), 2):
        places = np.minimum(np.floor(np.arange(size) * step).astype(np.int64), int(input.shape[axis]) - 1)
        input = functions.take(input, places, axis=axis)
    return input


@operator("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_trilinear3d.vec")
def linear(input: Any, output_size: Any, align_corners: bool, scale_factors: Any = None) -> Any:
    """Every place of the result is between its two neighbours, along each axis: a product with a matrix of shares."""
    for axis, (size, step) in enumerate(_sizes(input.shape[2:], output_size, scale_factors), 2):
        shares = _shares(int(input.shape[axis]), size, step, align_corners).astype(input.dtype)
        input = functions.moveaxis(functions.matmul(functions.moveaxis(input, axis, -1), shares.T), -1, axis)
    return input


def _sizes(space: Sequence[Any], output_size: Any, scale_factors: Any) -> list[tuple[int, float]]:
    """For each axis the size of the result, and how far a step of it goes in the input."""
    if output_size is not None:
        return [(int(size), int(n) / int(size)) for n, size in zip(space, output_size, strict=True)]
    return [(math.floor(int(n) * factor), 1 / factor) for n, factor in zip(space, scale_factors, strict=True)]


def _shares(size: int, result: int, step: float, align_corners: bool) -> NDArray[np.float64]:
    """(result, size): what each place of the result takes of each place of the input."""
    if align_corners:
        at = np.arange(result) * ((size - 1) / (result - 1) if result > 1 else 0.0)
    else:
        at = np.maximum((np.arange(result) + 0.5) * step - 0.5, 0.0)
    below = np.minimum(np.floor(at).astype(np.int64), size - 1)
    above = np.minimum(below + 1, size - 1)
    shares = np.zeros((result, size))
    np.add.at(shares, (np.arange(result), below), 1 - (at - below))
    np.add.at(shares, (np.arange(result), above), at - below)
    return shares


@operator("_upsample_bilinear2d_aa")
def linear_smoothed(
    self: Any, output_size: Any, align_corners: bool, scales_h: Any = None, scales_w: Any = None
) -> Any:
    """As `bilinear`, but each place of a smaller result takes the mean, by a triangle, of all places that it covers."""
    for axis, (size, scale) in enumerate(zip(output_size, (scales_h, scales_w), strict=True), 2):
        n, size = int(self.shape[axis]), int(size)
        if align_corners:
            step = (n - 1) / (size - 1) if size > 1 else 0.0
        else:
            step = 1 / scale if scale else n / size
        shares = _smoothed_shares(n, size, step).astype(self.dtype)
        self = functions.moveaxis(functions.matmul(functions.moveaxis(self, axis, -1), shares.T), -1, axis)
    return self


def _smoothed_shares(size: int, result: int, step: float) -> NDArray[np.float64]:
    """(result, size): triangles over the places that each place of the result covers, each of sum 1."""
    reach = max(step, 1.0)
    middles = step * (np.arange(result) + 0.5)
    triangles = np.maximum(0.0, 1 - np.abs(np.arange(size) + 0.5 - middles[:, None]) / reach)
    return np.asarray(triangles / triangles.sum(axis=1, keepdims=True))
