"""Checks of derivatives: both modes, against differences and each other, to second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import clearprop as cl
from clearprop.primitives import Zero
from clearprop.program.values import complex_step
from tests.primitives.factory import STEP, Sample, array, assert_close, assert_same_bits, direction, groups


# ----------------------------------------------------------------------------------------------- derivatives
def check_central_difference(s: Sample) -> None:
    """J·v by forward mode, against (f(x + hv) − f(x − hv)) / 2h, for each operand alone and for all together."""
    for positions in groups(s.smooth):
        f, x = s.at(s.operands, positions), [s.operands[k] for k in positions]
        v = [direction(s.rng, a) for a in x]
        _, tangent = cl.jvp(f, x, v)
        up, down = (array(f(*[a + sign * STEP * d for a, d in zip(x, v, strict=True)])) for sign in (1, -1))
        numeric = (up - down) / (2 * STEP)
        assert_close(tangent, numeric, 1e-8, s.row.slope_scale, f"{s} J·v for operands {positions}")


def check_complex_step(s: Sample) -> None:
    """J·v against Im f(x + ihv)/h with h = 10⁻³⁰, which subtracts nothing; where f computes with complex numbers."""
    if not s.row.analytic:
        return
    for positions in groups(s.smooth):
        f, x = s.at(s.operands, positions), [s.operands[k] for k in positions]
        v = [direction(s.rng, a) for a in x]
        _, tangent = cl.jvp(f, x, v)
        with complex_step():
            stepped = array(f(*[a + 1e-30j * d for a, d in zip(x, v, strict=True)])).imag / 1e-30
        assert_close(tangent, stepped, 1e-13, s.row.slope_scale, f"{s} J·v for operands {positions}, complex step")


def check_adjoint(s: Sample) -> None:
    """⟨u, J·v⟩ = ⟨Jᵀ·u, v⟩ to rounding, with gradients of the operands' shapes and dtypes."""
    for positions in groups(s.smooth):
        f, x = s.at(s.operands, positions), [s.operands[k] for k in positions]
        v = [direction(s.rng, a) for a in x]
        out, tangent = cl.jvp(f, x, v)
        u = s.weights(out)
        _, pullback = cl.vjp(f, *x)
        back = pullback(u)
        for g, a in zip(back, x, strict=True):
            assert (g.shape, g.dtype) == (a.shape, a.dtype), (
                f"{s}: gradient {g.shape} {g.dtype} for {a.shape} {a.dtype}"
            )
        left = u * array(tangent)
        right = [array(g) * d for g, d in zip(back, v, strict=True)]
        size = np.sum(np.abs(left)) + sum(np.sum(np.abs(r)) for r in right)
        gap = abs(np.sum(left) - sum(np.sum(r) for r in right))
        assert gap <= 1e-12 * size, f"{s}: ⟨u, Jv⟩ − ⟨Jᵀu, v⟩ = {gap} for operands {positions}"


def check_second_order(s: Sample) -> None:
    """H·v forward over reverse and reverse over reverse, against the difference of gradients."""
    if not s.smooth:
        return
    f, x = s.at(s.operands, s.smooth), s.primals
    w = s.weights(s(*s.operands))
    every = tuple(range(len(x)))
    g = cl.grad(lambda *xs: cl.sum(f(*xs) * w), argnums=every)
    v = [direction(s.rng, a) for a in x]
    _, hv = cl.jvp(g, x, v)
    up, down = (g(*[a + sign * STEP * d for a, d in zip(x, v, strict=True)]) for sign in (1, -1))
    twice = cl.grad(lambda *xs: sum(cl.sum(a * b) for a, b in zip(g(*xs), v, strict=True)), argnums=every)(*x)
    for k, (h, a, b, r) in enumerate(zip(hv, up, down, twice, strict=True)):
        numeric = (array(a) - array(b)) / (2 * STEP)
        scale = s.row.slope_scale * 10
        assert_close(h, numeric, 1e-7, scale, f"{s} H·v for operand {k}")
        assert_close(r, h, 1e-12, scale, f"{s} H·v by reverse over reverse for operand {k}")


def check_grads(s: Sample) -> None:
    """The library's own `check_grads` to second order."""
    if s.smooth:
        cl.check_grads(s.at(s.operands, s.smooth), s.primals, order=2, tolerance=1e-6 * s.row.slope_scale)


def check_cotangents(s: Sample) -> None:
    """Cotangents given and returned stay as they are: no sweep writes into what it was handed or has handed out."""
    if not s.smooth:
        return
    out, pullback = cl.vjp(lambda *xs: (s.at(s.operands, s.smooth)(*xs), s.at(s.operands, s.smooth)(*xs)), *s.primals)
    u = [s.weights(o) for o in out]
    kept = [np.array(a) for a in u]
    first = pullback(tuple(u))
    saved = [array(g).copy() for g in first]
    pullback((2 * u[0], 3 * u[1]))
    for a, b in zip(u, kept, strict=True):
        assert_same_bits(a, b, f"{s}: a given cotangent was changed")
    for a, b in zip(first, saved, strict=True):
        assert_same_bits(a, b, f"{s}: a returned gradient was changed")
        assert not np.asarray(a).flags.writeable or np.ndim(a) == 0, f"{s}: a gradient can be written into"


def check_float32_gradient(s: Sample) -> None:
    """In float32 the gradient is float32, and near the float64 one."""
    if not s.smooth:
        return
    small = [s.operands[k].astype(np.float32) for k in s.smooth]
    operands = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in s.operands]
    f32 = s.at(operands, s.smooth)
    exact = s.at([x.astype(np.float64) if x.dtype.kind == "f" else x for x in operands], s.smooth)
    out, pullback = cl.vjp(f32, *small)
    u = s.weights(out).astype(np.float32)
    _, pullback64 = cl.vjp(exact, *(x.astype(np.float64) for x in small))
    wide = pullback64(u.astype(np.float64) if np.ndim(u) else np.float64(u))
    if array(out).dtype != np.float32:
        return
    for g, w in zip(pullback(u), wide, strict=True):
        assert g.dtype == np.float32, f"{s}: the gradient of a float32 operand is {g.dtype}"
        assert_close(array(g).astype(float), w, 3e-6, s.row.slope_scale * 2, f"{s} gradient in float32")


def check_no_derivative(s: Sample) -> None:
    """Where the derivative is zero by declaration it is exactly zero; where none is declared, asking is an error."""
    if np.asarray(s(*s.operands)).dtype.kind != "f" or (s.primitive.is_composite and not s.primitive.has_rule):
        return
    for k, x in enumerate(s.operands):
        rule = s.primitive.rules[0 if s.primitive.variadic else k]
        if x.dtype.kind != "f":
            continue
        f = s.at(s.operands, (k,))
        if isinstance(rule, Zero):
            assert not np.any(array(cl.grad(lambda a, f=f: cl.sum(f(a)))(x))), f"{s}: a gradient flowed"
            assert not np.any(array(cl.jvp(f, (x,), (np.ones_like(x),))[1])), f"{s}: a tangent flowed"
        elif rule is None:
            _assert_refused(lambda f=f, x=x: cl.grad(lambda a: cl.sum(f(a)))(x), s)
            _assert_refused(lambda f=f, x=x: cl.jvp(f, (x,), (x,)), s)


def _assert_refused(ask: Callable[[], Any], s: Sample) -> None:
    try:
        ask()
    except cl.errors.GradientError as error:
        assert error.headline.startswith(f"{s.row.name} has no derivative with respect to"), s
    else:
        raise AssertionError(f"{s}: a derivative that is not declared was given")
