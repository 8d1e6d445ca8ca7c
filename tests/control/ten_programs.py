"""Ten programs with loops and branches, written once over a namespace `m`: clearprop's, or JAX's to record values.

Each is a scalar function of one vector.  `python -m tests.control.ten_programs` records value, gradient and Hessian as
JAX computes them into `jax_values.json`; it needs an environment with JAX.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

RECORDED = Path(__file__).parent / "jax_values.json"
DATA = np.sin(np.arange(1.0, 13.0)).reshape(4, 3)
THETA = np.array([0.7, -0.4, 1.1, 0.3, -0.8, 0.5])


def loops_in_loops(m, t):
    row = lambda i, c: m.fori_loop(0, 3, lambda j, c: m.sin(c * t[0]) + t[1] * (i + j), c)
    return m.fori_loop(0, 4, row, t[2]) ** 2


def a_scan_in_a_scan(m, t):
    def row(h, x):
        h, ys = m.scan(lambda c, e: (m.tanh(c * t[0] + e * t[1]), c * c), h, x)
        return h + t[2], m.sum(ys)

    h, sums = m.scan(row, t[3], DATA)
    return h * h + m.sum(sums**2)


def an_early_exit(m, t):
    """Powers of two thirds of a number, until they are small."""
    go_on = lambda c: m.sum(c * c) > 0.05
    return m.sum(m.while_loop(go_on, lambda c: c * m.sin(t[0]) + 0.01 * t[3:] ** 2, t[:3], 40) ** 2)


def a_solver_in_a_loss(m, t):
    """Newton's method for the root of x³ + a x = b, to a tolerance; then a loss of the root."""
    a, b = t[0] ** 2 + 1.0, t[1] + 2.0
    residual = lambda x: x**3 + a * x - b
    newton = lambda x: x - residual(x) / m.grad(residual)(x)
    x = m.while_loop(lambda x: residual(x) ** 2 > 1e-26, newton, t[2] * 0.0 + 1.0, 30)
    return (x - t[2]) ** 2 + x * t[3]


def an_ode_fitted_to_data(m, t):
    """A damped pendulum by Runge and Kutta's steps against measurements of its angle."""
    speed = lambda s: m.stack([s[1], -t[0] * m.sin(s[0]) - t[1] * s[1]])

    def step(s, _):
        h = 0.1
        k1 = speed(s)
        k2 = speed(s + h / 2 * k1)
        k3 = speed(s + h / 2 * k2)
        k4 = speed(s + h * k3)
        return s + h / 6 * (k1 + 2.0 * k2 + 2.0 * k3 + k4), s[0]

    _, angles = m.scan(step, t[2:4], None, 12)
    return m.sum((angles - DATA.reshape(-1)) ** 2) / 12


def vmap_of_cond(m, t):
    f = lambda x: m.cond(x * t[0] > 0.2, lambda x: m.sqrt(x * t[0]), lambda x: m.sin(x) * t[1], x)
    return m.sum(m.vmap(f)(DATA.reshape(-1))) * m.sum(m.vmap(f)(t))


def grad_of_vmap_of_scan(m, t):
    f = lambda x: m.scan(lambda c, e: (m.tanh(t[0] * c + e), c * t[1]), t[2], x)
    ends, ys = m.vmap(f)(DATA)
    return m.sum(ends**2) + m.sum(ys**3)


def hvp_through_a_scan(m, t):
    """A product with the Hessian of a loss of a loop, squared."""
    loss = lambda p: m.scan(lambda c, x: (m.sin(c * p[0] + m.sum(x * p)), None), p[1], DATA)[0]
    return m.sum(m.hvp(loss, t[:3], t[3:]) ** 2)


def branches_in_a_scan(m, t):
    kinds = [lambda c: m.sin(c * t[0]), lambda c: c * c + t[1], lambda c: c * t[2]]
    last, ys = m.scan(lambda c, k: (m.switch(k, kinds, c), c), t[3], np.array([0, 2, 1, 1, 0, 2]))
    return last * t[4] + m.sum(ys**2)


def a_kalman_filter(m, t):
    """The log-likelihood of a random walk with drift, observed with noise."""
    q, r = m.exp(t[0]), m.exp(t[1])

    def step(state, z):
        mean, variance = state
        mean, variance = mean * t[2] + t[3], variance * t[2] ** 2 + q
        spread, error = variance + r, z - mean
        gain = variance / spread
        return (mean + gain * error, (1.0 - gain) * variance), m.log(spread) + error**2 / spread

    _, terms = m.scan(step, (t[4], t[5] ** 2), DATA.reshape(-1))
    return 0.5 * m.sum(terms)


PROGRAMS = [
    loops_in_loops,
    a_scan_in_a_scan,
    an_early_exit,
    a_solver_in_a_loss,
    an_ode_fitted_to_data,
    vmap_of_cond,
    grad_of_vmap_of_scan,
    hvp_through_a_scan,
    branches_in_a_scan,
    a_kalman_filter,
]


def record(programs=PROGRAMS, path=RECORDED):
    """Write what JAX computes."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    class OfJax:
        sin, cos, tanh, exp, log, sqrt = jnp.sin, jnp.cos, jnp.tanh, jnp.exp, jnp.log, jnp.sqrt
        sum, stack, where, logical_not = jnp.sum, jnp.stack, jnp.where, jnp.logical_not
        scan, cond, switch, fori_loop = jax.lax.scan, jax.lax.cond, jax.lax.switch, jax.lax.fori_loop
        grad, vmap, map, associative_scan = jax.grad, jax.vmap, jax.lax.map, jax.lax.associative_scan

        @staticmethod
        def while_loop(condition, f, init, most):
            step = lambda c, _: (jax.lax.cond(condition(c), f, lambda c: c, c), None)
            return jax.lax.scan(step, init, None, most)[0]

        @staticmethod
        def hvp(f, x, v):
            return jax.jvp(jax.grad(f), (x,), (v,))[1]

    found = {}
    for program in programs:
        f = lambda t, program=program: program(OfJax, t)
        t = jnp.asarray(THETA)
        parts = {"value": f(t), "gradient": jax.grad(f)(t), "hessian": jax.hessian(f)(t)}
        found[program.__name__] = {k: np.asarray(v).tolist() for k, v in parts.items()}
    path.write_text(json.dumps({"jax": jax.__version__, "values": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
