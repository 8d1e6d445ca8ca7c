"""Fourier transforms of signals whose last axis holds real and imaginary parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.interop.onnx.graph_values import checked_shape, dtype_of, integers, known_numbers, rank, sizes
from clearprop.interop.onnx.operator_table import operator
from clearprop.interop.onnx.operators.logic import taken_dtype


def _as_complex(x: Any) -> Any:
    parts = asarray(x)
    real = parts[..., 0]
    return real if sizes(x)[-1] == 1 else real + f.multiply(parts[..., 1], 1j)


def _as_parts(z: Any) -> Any:
    return f.stack([f.real(z), f.imag(z)], axis=-1)


def _transform(x: Any, length: int | None, axis: int, inverse: int, onesided: int) -> Any:
    z, kind = _as_complex(x), dtype_of(x)
    checked_shape([math.prod(sizes(z)) // max(sizes(z)[axis], 1), sizes(z)[axis] if length is None else length], "DFT")
    if inverse and onesided:
        y = f.fft.irfft(z, n=length, axis=axis)
        return f.astype(f.expand_dims(y, axis=-1), kind)
    if onesided:
        return f.astype(_as_parts(f.fft.rfft(z, n=length, axis=axis)), kind)
    z = z if dtype_of(z).kind == "c" else f.astype(z, "complex64" if kind == np.float32 else "complex128")
    transform = f.fft.ifft if inverse else f.fft.fft
    return f.astype(_as_parts(transform(z, n=length, axis=axis)), kind)


@operator("DFT", since=17, settings=(1,))
def dft_by_attribute(x: Any, length: Any = None, *, axis: int = 1, inverse: int = 0, onesided: int = 0) -> Any:
    """The discrete Fourier transform along an axis, of `length` numbers: cut, or filled with zeros."""
    count = None if length is None else integers(length, "the length")[0]
    return _transform(x, count, axis % rank(x), inverse, onesided)


@operator("DFT", since=20, settings=(1, 2))
def dft(x: Any, length: Any = None, axis: Any = None, *, inverse: int = 0, onesided: int = 0) -> Any:
    """The discrete Fourier transform along an axis, of `length` numbers: cut, or filled with zeros."""
    along = -2 if axis is None else integers(axis, "the axis")[0]
    return dft_by_attribute(x, length, axis=along, inverse=inverse, onesided=onesided)


@operator("STFT", since=17, settings=(1, 3))
def stft(x: Any, step: Any, window: Any = None, length: Any = None, *, onesided: int = 1) -> Any:
    """The transforms of pieces of a signal, each weighed by a window: (n, frames, frequencies, 2)."""
    hop = integers(step, "the step")[0]
    size = sizes(window)[0] if length is None else integers(length, "the length")[0]
    frames = (sizes(x)[1] - size) // hop + 1
    places = np.arange(frames)[:, None] * hop + np.arange(size)
    n, _, parts = sizes(x)
    checked_shape((n, frames, size, parts), "STFT")
    pieces = f.reshape(f.take(x, places.reshape(-1), axis=1), (n, frames, size, parts))
    pieces = pieces if window is None else pieces * f.reshape(window, (size, 1))
    return _transform(pieces, None, 2, 0, onesided)


@operator("MelWeightMatrix", since=17, settings=(0, 1, 2, 3, 4))
def mel_weight_matrix(bands: Any, length: Any, rate: Any, lower: Any, upper: Any, *, output_datatype: int = 1) -> Any:
    """Triangles over frequencies that lie evenly on the mel scale 2595·log₁₀(1 + Hz/700)."""
    count, size, hertz = (integers(v, "MelWeightMatrix")[0] for v in (bands, length, rate))
    low, high = (float(known_numbers(v, "MelWeightMatrix").reshape(())) for v in (lower, upper))
    bins = size // 2 + 1
    checked_shape((bins, count), "MelWeightMatrix")
    first_mel, last_mel = (2595 * math.log10(1 + v / 700) for v in (low, high))
    edges = np.linspace(first_mel, last_mel, count + 2, endpoint=False)
    places = np.floor((size + 1) * (700 * (10 ** (edges / 2595) - 1)) / hertz).astype(np.int64)
    matrix = np.zeros((bins, count))
    for band in range(count):
        first, middle, last = places[band : band + 3]
        if middle == first:
            matrix[middle, band] = 1
        else:
            matrix[first : middle + 1, band] = (np.arange(first, middle + 1) - first) / (middle - first)
        if last > middle:
            matrix[middle:last, band] = (last - np.arange(middle, last)) / (last - middle)
    return matrix.astype(taken_dtype(output_datatype))
