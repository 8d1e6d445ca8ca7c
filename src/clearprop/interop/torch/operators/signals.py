"""Operators of ATen for signals: Fourier transforms, complex numbers, windows along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arrays import functions
from clearprop.interop.torch.operators.operator_table import operator

_NORMS = ("backward", "ortho", "forward")
_INVERSE_NORMS = ("forward", "ortho", "backward")
"""By PyTorch's number of what the sums are divided by: nothing, √n, n."""


@operator("_fft_r2c")
def fft_of_real(self: Any, dim: Sequence[int], normalization: int, onesided: bool) -> Any:
    """The Fourier transform of real numbers; one-sided: without the frequencies that mirror others."""
    transform = functions.fft.rfftn if onesided else functions.fft.fftn
    return transform(self, axes=tuple(dim), norm=_NORMS[normalization])


@operator("_fft_c2c")
def fft(self: Any, dim: Sequence[int], normalization: int, forward: bool) -> Any:
    """The Fourier transform, or its inverse."""
    if forward:
        return functions.fft.fftn(self, axes=tuple(dim), norm=_NORMS[normalization])
    return functions.fft.ifftn(self, axes=tuple(dim), norm=_INVERSE_NORMS[normalization])


@operator("_fft_c2r")
def fft_to_real(self: Any, dim: Sequence[int], normalization: int, last_dim_size: int) -> Any:
    """The inverse of the one-sided transform, of so many real numbers along its last axis."""
    sizes = [int(self.shape[d]) for d in dim[:-1]]
    return functions.fft.irfftn(
        self, s=(*sizes, int(last_dim_size)), axes=tuple(dim), norm=_INVERSE_NORMS[normalization]
    )


@operator("complex")
def complex_of(real: Any, imag: Any) -> Any:
    """real + i·imag."""
    return real + imag * 1j


@operator("polar")
def polar(abs: Any, angle: Any) -> Any:
    """abs · e^(i·angle)."""
    return complex_of(abs * functions.cos(angle), abs * functions.sin(angle))


@operator("view_as_real")
def as_real(self: Any) -> Any:
    """Real and imaginary parts along a last axis of two."""
    return functions.stack([functions.real(self), functions.imag(self)], axis=-1)


@operator("view_as_complex")
def as_complex(self: Any) -> Any:
    """Complex numbers of the two along the last axis."""
    return complex_of(self[..., 0], self[..., 1])


@operator("unfold")
def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """Windows along an axis, so many numbers each along a new last axis: what a spectrogram is made of."""
    if not self.shape:
        return functions.reshape(self, (size,))
    dimension %= len(self.shape)
    count = (int(self.shape[dimension]) - size) // step + 1
    places = (np.arange(count)[:, None] * step + np.arange(size)).reshape(-1)
    rows = functions.take(self, places, axis=dimension)
    split = functions.reshape(rows, (*self.shape[:dimension], count, size, *self.shape[dimension + 1 :]))
    return functions.moveaxis(split, dimension + 1, -1)
