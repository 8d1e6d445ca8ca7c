"""Gradient checking: forward mode against central differences, reverse against forward, to any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.autodiff.transforms import jvp, vjp
from clearprop.autodiff.trees import flatten, has_derivative, is_array, unflatten
from clearprop.errors import ArgumentError, GradientError, checked_call, require_function, user_line
from clearprop.program.operands import admit_real
from clearprop.program.types import Tree, Value, type_of
from clearprop.program.values import raw

HIGHEST = 10
"""The highest order that is checked: each costs several times as much as the one below."""


@checked_call
def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("fwd", "rev"),
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    """Raise GradientError unless f's derivatives at `args` are right, up to `order`; returns nothing.

    Arguments without a floating leaf are held fixed.

    For a random direction v: |J·v − (f(x + hv) − f(x − hv))/2h| ≤ tolerance · scale in float64, with h = ε^⅓; and
    the adjoint identity ⟨u, J·v⟩ = ⟨Jᵀ·u, v⟩ to rounding.  Higher orders check the derivative's own derivative.

    >>> import clearprop as cl
    >>> cl.check_grads(lambda x: cl.sum(cl.sin(x) * x), [np.array([0.3, -1.2])])
    """
    require_function(f, "check_grads")
    _require_settings(args, order, modes, tolerance, seed)
    rng = np.random.default_rng(seed)
    args = [_as_float64(a) for a in args]
    smooth = [i for i, a in enumerate(args) if any(map(has_derivative, flatten(a)[0]))] or range(len(args))
    _check(_holding(f, args, smooth), [args[i] for i in smooth], order, tuple(modes), tolerance, rng)


def _require_settings(args: Any, order: Any, modes: Any, tolerance: Any, seed: Any) -> None:
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (order, seed))
    settings = whole and isinstance(tolerance, float | int) and isinstance(modes, tuple | list)
    if not settings or not 1 <= order <= HIGHEST or seed < 0 or not isinstance(args, tuple | list):
        raise ArgumentError(
            "check_grads takes a function, its arguments in a list, and settings",
            expected="check_grads(f, [x, ...], order=2, modes=('fwd', 'rev'), tolerance=1e-6, seed=0), "
            f"order from 1 to {HIGHEST}",
            got=f"{type(args).__name__}, {order=!r:.40}, {modes=!r:.40}, {tolerance=!r:.40}, {seed=!r:.40}",
            where=user_line(),
        )


def _holding(f: Callable[..., Any], args: Sequence[Any], free: Sequence[int]) -> Callable[..., Any]:
    """The function of the free arguments, with the others held."""

    def of_free(*chosen: Any) -> Any:
        new = dict(zip(free, chosen, strict=True))
        return f(*(new.get(i, a) for i, a in enumerate(args)))

    return of_free


def _as_float64(tree: Tree) -> Any:
    flat, structure = flatten(tree)
    flat = [admit_real(v) for v in flat]
    return unflatten(structure, [np.asarray(raw(v), np.float64) if has_derivative(v) else v for v in flat])


def _direction(tree: Tree, rng: np.random.Generator) -> Any:
    flat, structure = flatten(tree)
    return unflatten(structure, [_random_like(v, rng) for v in flat])


def _random_like(value: Value, rng: np.random.Generator) -> Any:
    own = raw(value)
    return rng.standard_normal(np.shape(own)) if has_derivative(value) else np.zeros(np.shape(own))


def _shift_leaves(tree: Tree, direction: Tree, h: float) -> Any:
    flat, structure = flatten(tree)
    steps, _ = flatten(direction)
    return unflatten(structure, [v + h * d if has_derivative(v) else v for v, d in zip(flat, steps, strict=True)])


def _numbers(tree: Tree) -> list[Any]:
    flat, _ = flatten(tree)
    return [np.asarray(raw(v), np.float64) for v in flat if has_derivative(v)]


def _check(f: Any, args: Any, order: int, modes: tuple[str, ...], tolerance: float, rng: np.random.Generator) -> None:
    if order == 0:
        return
    dots = [_direction(a, rng) for a in args]
    out, tangent = jvp(f, args, dots)
    if "fwd" in modes:
        h = np.finfo(float).eps ** (1 / 3)
        up, down = (
            _numbers(f(*[_shift_leaves(a, d, s * h) for a, d in zip(args, dots, strict=True)])) for s in (1, -1)
        )
        numeric = [(a - b) / (2 * h) for a, b in zip(up, down, strict=True)]
        _compare("forward mode", "the central difference", _numbers(tangent), numeric, tolerance)
    if "rev" in modes:
        _, pullback = vjp(f, *args)
        flat, structure = flatten(out)
        ct = [_random_like(o, rng).astype(type_of(raw(o)).dtype) if is_array(o) else o for o in flat]
        back = pullback(unflatten(structure, ct))
        left = _inner([c for c, o in zip(ct, flat, strict=True) if has_derivative(o)], _numbers(tangent))
        right = _inner(_numbers(back), _numbers(dots))
        _compare("reverse mode", "the adjoint of forward mode", [right], [left], 1e-9)
    _check(lambda *xs: jvp(f, xs, dots)[1], args, order - 1, modes, tolerance * 10, rng)


def _inner(a: Sequence[NDArray[Any]], b: Sequence[NDArray[Any]]) -> Any:
    return sum(float(np.vdot(x, y)) for x, y in zip(a, b, strict=True))


def _compare(what: str, against: str, found: Sequence[Any], wanted: Sequence[Any], tolerance: float) -> None:
    for got, want in zip(found, wanted, strict=True):
        gap = np.abs(np.asarray(got) - want)
        bound = tolerance * (1 + np.abs(want))
        if not np.all((gap <= bound) | (np.isnan(got) & np.isnan(want))):
            worst = np.unravel_index(np.argmax(np.where(np.isnan(gap), np.inf, gap - bound)), np.shape(gap))
            raise GradientError(
                f"{what} disagrees with {against}",
                expected=f"{np.asarray(want)[worst]:.10g} (tolerance {tolerance:g} relative)",
                got=f"{np.asarray(got)[worst]:.10g}" + (f" at index {tuple(map(int, worst))}" if worst else ""),
                where=user_line(),
                try_="check the rule of the primitive, and that the point is not at a kink",
            )
