"""Three loops as programs over a namespace `m`, clearprop's or JAX's, and their value by kernels written by hand.

A program takes a list of arrays and gives a number; the row says of which name, of how many steps, and whether the
gradient by the first array is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import workloads as w

UNITS, INPUTS = 32, 8


def recurrence(m: Any, a: Any, x: Any) -> Any:
    """cₜ₊₁ = a·cₜ + xₜ; the mean of the squares."""
    _, squares = m.scan(lambda c, e: (a * c + e, c * c), 0.5 * a, x)
    return m.mean(squares)


def network(m: Any, weight: Any, inward: Any, start: Any, x: Any) -> Any:
    """hₜ₊₁ = tanh(xₜ·U + hₜ·W) of 32 units; the mean of the last."""

    def step(h: Any, e: Any) -> tuple[Any, Any]:
        h = m.tanh(e @ inward + h @ weight)
        return h, h

    last, states = m.scan(step, start, x)
    return m.mean(last) + m.mean(states)


def kalman(m: Any, move: Any, look: Any, noise: Any, start: Any, spread: Any, z: Any) -> Any:
    """The log-likelihood of measurements of a state of four numbers (Kalman 1960)."""

    def step(state: Any, z: Any) -> tuple[Any, Any]:
        x, p = state
        x, p = move @ x, move @ p @ move.T + noise
        s = (look @ p @ look.T)[0, 0] + 0.1
        gain = (p @ look.T)[:, 0] / s
        error = z - (look @ x)[0]
        return (x + gain * error, p - gain[:, None] * (look @ p)), m.log(s) + error * error / s

    _, terms = m.scan(step, (start, spread), z)
    return 0.5 * m.mean(terms)


PROGRAMS: dict[str, Callable[..., Any]] = {"recurrence": recurrence, "network": network, "kalman": kalman}


def program_of(row: w.Workload) -> tuple[Callable[..., Any], bool]:
    """The program of a row, and whether its gradient is asked for."""
    name, _, gradient = row.source.partition(", ")
    return PROGRAMS[name], bool(gradient)


def arguments(row: w.Workload) -> list[Any]:
    """The arrays of a row's program."""
    r, t = np.random.default_rng(0), np.arange(row.rows)
    found: dict[str, list[Any]] = {
        "recurrence": [np.array(0.9), np.sin(t)],
        "network": [
            0.1 * r.standard_normal((UNITS, UNITS)), 0.3 * r.standard_normal((INPUTS, UNITS)), np.zeros(UNITS),
            r.standard_normal((row.rows, INPUTS)),
        ],
        "kalman": [
            np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.1], [0, 0, 0, 1]]), np.array([[1.0, 0, 1, 0]]),
            0.01 * np.eye(4), np.zeros(4), np.eye(4), np.sin(0.1 * t),
        ],
    }  # fmt: skip
    return [np.asarray(a, row.dtype) for a in found[row.source.partition(", ")[0]]]


def by_hand(row: w.Workload) -> Callable[..., float]:
    """The same number by a kernel of Numba's that is written out, outputs of all steps in memory as in a scan."""
    import numba

    return numba.njit(BY_HAND[row.source], error_model="numpy", fastmath={"contract"})


def recurrence_by_hand(a: Any, x: Any) -> float:
    """See `recurrence`."""
    c, squares = 0.5 * a.item(), np.empty(x.size, x.dtype)
    for t in range(x.size):
        squares[t] = c * c
        c = a.item() * c + x[t]
    return squares.mean()


def network_by_hand(weight: Any, inward: Any, start: Any, x: Any) -> float:
    """See `network`; products row by row, which vector units take."""
    n, states = start.size, np.empty((len(x), start.size), x.dtype)
    h, z = start.copy(), np.empty(start.size, x.dtype)
    for t in range(len(x)):
        z[:] = 0
        for k in range(x.shape[1]):
            for j in range(n):
                z[j] += x[t, k] * inward[k, j]
        for k in range(n):
            for j in range(n):
                z[j] += h[k] * weight[k, j]
        for j in range(n):
            h[j] = np.tanh(z[j])
            states[t, j] = h[j]
    return h.mean() + states.mean()


def kalman_by_hand(move: Any, look: Any, noise: Any, start: Any, spread: Any, z: Any) -> float:
    """See `kalman`; sums of four terms in loops."""
    n, terms = start.size, np.empty(z.size, z.dtype)
    x, p, y, q, u = start.copy(), spread.copy(), start.copy(), spread.copy(), start.copy()
    for t in range(z.size):
        for i in range(n):
            y[i] = 0
            for j in range(n):
                y[i] += move[i, j] * x[j]
                q[i, j] = 0
                for k in range(n):
                    q[i, j] += move[i, k] * p[k, j]
        for i in range(n):
            for j in range(n):
                p[i, j] = noise[i, j]
                for k in range(n):
                    p[i, j] += q[i, k] * move[j, k]
        s, error = 0.1, z[t]
        for i in range(n):
            error -= look[0, i] * y[i]
            u[i] = 0
            for k in range(n):
                u[i] += p[i, k] * look[0, k]
        for i in range(n):
            s += look[0, i] * u[i]
        for i in range(n):
            x[i] = y[i] + u[i] / s * error
            for j in range(n):
                q[i, j] = 0
                for k in range(n):
                    q[i, j] += look[0, k] * p[k, j]
        for i in range(n):
            for j in range(n):
                p[i, j] -= u[i] / s * q[i, j]
        terms[t] = np.log(s) + error * error / s
    return 0.5 * terms.mean()


BY_HAND: dict[str, Callable[..., float]] = {
    "recurrence": recurrence_by_hand, "network": network_by_hand, "kalman": kalman_by_hand,
}  # fmt: skip
