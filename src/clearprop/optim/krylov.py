"""The space that a matrix spans from one vector by products alone, and the matrix's eigenvalues there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clearprop.optim.objective import Vector

NEGATIVE = 1e-6
"""How far below 0 a curvature must be, in parts of the largest, to count as negative."""


class Krylov:
    """An orthonormal basis of span(v, Hv, H²v, …), grown by one product at a time (Lanczos 1950).

    Fully reorthogonalised.  Where the span is exhausted it goes on from a fixed random direction, so that a start
    without any part along an eigenvector hides nothing.
    """

    def __init__(self, times: Callable[[Vector], Vector], start: Vector) -> None:
        self.times, self.next = times, start
        self.random = np.random.default_rng(0)
        self.basis: list[Vector] = []
        self.images: list[Vector] = []
        self.values, self.vectors = np.zeros(0, start.dtype), np.zeros((0, 0), start.dtype)
        self.projected = self.vectors

    @property
    def k(self) -> int:
        """How many vectors there are."""
        return len(self.basis)

    @property
    def lowest(self) -> Vector:
        """The coefficients of the eigenvector with the lowest eigenvalue."""
        unit = np.zeros_like(self.values)
        unit[0] = 1
        return unit

    @property
    def negative(self) -> bool:
        """Whether the lowest eigenvalue is negative beyond rounding."""
        return bool(self.values[0] < -NEGATIVE * np.max(np.abs(self.values)))

    def grow(self) -> bool:
        """One more vector; False where the basis is the whole space already."""
        new = _orthogonal(self.next, self.basis)
        if new is None:
            size, dtype = self.next.size, self.next.dtype
            new = _orthogonal(self.random.standard_normal(size).astype(dtype), self.basis)
        if new is None or self.k == new.size:
            return False
        self.next = self.times(new)
        self.basis.append(new)
        self.images.append(self.next)
        self._decompose()
        return True

    def _decompose(self) -> None:
        """The eigenvalues (ascending) and -vectors of H within the space, after one more row and column."""
        column = self._onto(self.next)
        grown = np.empty((self.k, self.k), column.dtype)
        grown[:-1, :-1], grown[:, -1], grown[-1, :] = self.projected, column, column
        self.projected = grown
        self.values, self.vectors = np.linalg.eigh(grown)

    def _onto(self, v: Vector) -> Vector:
        return np.array([b @ v for b in self.basis])

    def _combined(self, vectors: list[Vector], weights: Vector) -> Vector:
        total: Vector = weights[0] * vectors[0]
        for w, v in zip(weights[1:], vectors[1:], strict=True):
            total = total + w * v
        return total

    def parts(self, g: Vector) -> Vector:
        """A vector's coefficients in the basis of the eigenvectors."""
        inside: Vector = self.vectors.T @ self._onto(g)
        return inside

    def full(self, q: Vector) -> Vector:
        """The vector with these coefficients."""
        return self._combined(self.basis, self.vectors @ q)

    def residual(self, q: Vector) -> float:
        """How much of H times the vector with these coefficients lies outside the space."""
        image = self._combined(self.images, self.vectors @ q)
        return float(np.linalg.norm(image - self._combined(self.basis, self._onto(image))))


def _orthogonal(v: Vector, basis: list[Vector]) -> Vector | None:
    """The unit vector of v without its parts along the basis; None if rounding is all that is left."""
    size = float(np.linalg.norm(v))
    for _ in range(2):
        for b in basis:
            v = v - (b @ v) * b
    left = float(np.linalg.norm(v))
    return v / v.dtype.type(left) if left > 100 * float(np.finfo(v.dtype).eps) * size else None
