"""More programs with loops and branches of every kind, over a namespace `m` as in `ten_programs`.

Loops that end by themselves within loops within branches of a batch, trees, integers and truth values that are carried,
no steps at all, carries that stay or change places, small matrices.  `python -m tests.control.further_programs` records
what JAX computes into `jax_further_values.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.control.ten_programs import DATA, record

RECORDED = Path(__file__).parent / "jax_further_values.json"


class State(NamedTuple):
    """An angle and its momentum."""

    q: Any
    p: Any


def while_in_scan_in_cond_vmap(m, t):
    def inner(x):
        def step(c, e):
            c = m.while_loop(lambda c: c * c > 0.3, lambda c: c * m.sin(t[0]) * 0.8, c + e, 25)
            return c, c * t[1]

        h, ys = m.scan(step, x, DATA[0])
        return h + m.sum(ys**2)

    f = lambda x: m.cond(x * t[2] > 0.1, inner, lambda x: m.exp(x * t[3]), x)
    return m.sum(m.vmap(f)(DATA.reshape(-1)) ** 2)


def named_tuple_carry(m, t):
    def step(s, x):
        p = s.p - 0.1 * m.sin(s.q) * t[0] + x
        return State(s.q + 0.1 * p, p), {"e": p * p, "q": (s.q,)}

    s, ys = m.scan(step, State(t[1], t[2]), DATA[:, 0])
    return s.q * s.p + m.sum(ys["e"]) + m.sum(ys["q"][0] ** 3)


def integer_and_bool_carries(m, t):
    def step(c, x):
        n, on, h = c
        h = m.where(on, h * t[0] + x * n, m.cos(h) * t[1])
        return (n + 1, m.logical_not(on), h), (n, on, h)

    (n, _, h), (ns, ons, hs) = m.scan(step, (0, True, t[2:5]), DATA)
    return m.sum(h * n) + m.sum(hs[1] ** 2) + m.sum(m.where(ons, ns, 2 * ns) * hs[:, 0])


def zero_length(m, t):
    h, ys = m.scan(lambda c, x: (c * t[0] + x, c * x), t[1:4], DATA[:0])
    return m.sum(h**2) + m.sum(ys)


def zero_turns_fori(m, t):
    return (
        m.fori_loop(3, 3, lambda i, c: c * 0.0, t[0]) ** 2
        + m.while_loop(lambda c: c < -10, lambda c: c * 2, t[1], 5) ** 3
    )


def untouched(m, t):
    def step(c, x):
        a, b, d = c
        return (a, b * a + x, d), (a * b, d)

    (a, b, d), (y, z) = m.scan(step, (t[0], t[1], t[2:4]), DATA[:, 1])
    return a * b + m.sum(y**2) + m.sum(z * z) * m.sum(d)


def swapping(m, t):
    (a, b, c), ys = m.scan(
        lambda c, x: ((c[1] * x, c[2] + t[5], c[0]), c[0] * c[2]), (t[0], t[1], t[2]), DATA.reshape(-1)
    )
    return a * b + c + m.sum(ys**2)


def closure_over_traced(m, t):
    w = m.sin(t[:3]) * t[3]

    def outer(c, x):
        v = w * c
        inner = lambda h, e: (m.tanh(h * v + e * w), m.sum(h * v))
        h, ys = m.scan(inner, w * x, DATA[:2])
        return c + m.sum(h) * 0.1, m.sum(ys)

    c, ys = m.scan(outer, t[4], DATA[:, 2])
    return c * c + m.sum(ys**2)


def switch_in_while(m, t):
    def body(c):
        i, x = c
        return i + 1, m.switch(i % 3, [lambda x: m.sin(x * t[0]), lambda x: x * t[1] + 1.0, lambda x: x**2 * t[2]], x)

    return m.while_loop(lambda c: c[0] < 7, body, (0, t[3]), 10)[1] ** 2


def reverse_scan_of_vmap_of_while(m, t):
    def step(c, x):
        g = m.vmap(lambda u: m.while_loop(lambda v: v > 0.5, lambda v: v * t[0] ** 2, u * u + 0.6, 12))(x + c)
        return m.sum(g) * 0.2, g

    c, ys = m.scan(step, t[1], DATA, reverse=True)
    return c**2 + m.sum(ys**2)


def cond_of_unused_and_nan(m, t):
    f = lambda x: m.cond(x > 0, lambda x: m.sqrt(x) * t[0], lambda x: x * t[1], x)
    return m.sum(m.vmap(f)(DATA.reshape(-1) * t[2]))


def matrix_scan(m, t):
    A = m.stack([m.stack([t[0] * 0.3, t[1]]), m.stack([t[2], t[3] * 0.2])]) * 0.4

    def step(P, x):
        P = A @ P @ A.T + 0.1
        k = P[:, 0] / (P[0, 0] + 1.0 + x * x)
        return P - k[:, None] * P[0][None, :], m.log(P[0, 0] + 2.0)

    P, ys = m.scan(step, m.stack([t[4:6], t[0:2]]) + 3.0, DATA.reshape(-1))
    return m.sum(P**2) + m.sum(ys)


def rnn_batched(m, t):
    W = m.stack([t[:3], t[3:6], t[1:4]]) * 0.5

    def step(h, x):
        h = m.tanh(h @ W + x)
        return h, m.sum(h, axis=0)

    X = DATA[:, None, :] * np.array([1.0, 0.5, -0.3, 0.2, 0.9])[None, :, None]
    h, ys = m.scan(step, np.zeros((5, 3)), X)
    return m.sum(h * h) + m.sum(ys**2)


def kalman_vmapped(m, t):
    A = m.stack([m.stack([1.0 + 0 * t[0], 0.1 * t[0]]), m.stack([0.0 * t[1], 1.0 + 0.1 * t[1]])])

    def run(z):
        def step(s, z):
            x, P = s
            x, P = A @ x, A @ P @ A.T + 0.05 * t[2] ** 2
            S = P[0, 0] + 0.3
            k = P[:, 0] / S
            e = z - x[0]
            return (x + k * e, P - k[:, None] * P[0][None, :]), m.log(S) + e * e / S

        return m.sum(m.scan(step, (t[3:5], np.eye(2)), z)[1])

    return m.sum(m.vmap(run)(DATA))


def grad_in_scan(m, t):
    def step(p, x):
        g = m.grad(lambda p: m.sum((p * t[:3] - x) ** 2) + m.sum(p) ** 3 * 0.01)(p)
        return p - 0.05 * g, m.sum(g * g)

    p, ys = m.scan(step, t[3:6], DATA)
    return m.sum(p * p) + m.sum(ys) * 0.1


def scan_of_scan_reverse(m, t):
    def outer(c, row):
        h, ys = m.scan(lambda h, e: (m.sin(h * t[0] + e), h * e), c, row, reverse=True)
        return h, ys

    h, ys = m.scan(outer, t[1], DATA, reverse=True)
    return h + m.sum(ys * ys * t[2])


def assoc(m, t):
    ys = m.associative_scan(
        lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1]), (m.sin(DATA * t[0]), DATA * t[1:4]), reverse=False
    )
    return m.sum(ys[1] ** 2)


def map_chunks(m, t):
    return m.sum(m.map(lambda r: m.sum(m.sin(r * t[:3]) ** 2) * t[3], DATA) ** 2)


PROGRAMS = [
    while_in_scan_in_cond_vmap,
    named_tuple_carry,
    integer_and_bool_carries,
    zero_length,
    zero_turns_fori,
    untouched,
    swapping,
    closure_over_traced,
    switch_in_while,
    reverse_scan_of_vmap_of_while,
    cond_of_unused_and_nan,
    matrix_scan,
    rnn_batched,
    kalman_vmapped,
    grad_in_scan,
    scan_of_scan_reverse,
    assoc,
    map_chunks,
]


if __name__ == "__main__":
    record(PROGRAMS, RECORDED)
