"""Checks of traced programs, batching and symbolic sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import clearprop as cl
from clearprop.program.ir import evaluate, trace
from clearprop.program.types import Type, type_of
from clearprop.shapes import Scope
from tests.primitives.factory import Sample, array, assert_close, assert_same_bits, groups
from tests.primitives.rows import OTHER_SIZES, SIZES, shape_of_text


# ----------------------------------------------------------------------------------------- programs, batching
def check_program(s: Sample) -> None:
    """Traced, type-checked and evaluated, value, gradient and second gradient are the eager ones, bit for bit."""
    for what, f in differentiated(s):
        program = trace(lambda *xs, f=f: _flat(f(*xs)), [type_of(x) for x in s.operands])
        cl.typecheck(program)
        traced = evaluate(program, [*s.operands, *program.captured])
        for got, want in zip(traced, _flat(f(*s.operands)), strict=True):
            assert_same_bits(got, want, f"{s} traced {what}")


def differentiated(s: Sample) -> list[tuple[str, Callable[..., Any]]]:
    """The value, the gradient of a scalar of it, and the gradient of that: each a function of all operands."""
    every = s.smooth

    def value(*xs: Any) -> Any:
        return s(*xs)

    def loss(*xs: Any) -> Any:
        y = s(*xs)
        return cl.sum(y * y)

    first = cl.grad(loss, argnums=every)

    def of_gradient(*xs: Any) -> Any:
        total: Any = 0.0
        for g in first(*xs):
            total = total + cl.sum(g * g)
        return total

    gradients = [("gradient", first), ("second gradient", cl.grad(of_gradient, argnums=every))]
    return [("value", value), *(gradients if every else [])]


def _flat(out: Any) -> list[Any]:
    return list(out) if isinstance(out, tuple) else [out]


def check_vmap(s: Sample) -> None:
    """vmap is stacking a loop: for all operands at once, and for each with the others held."""
    if not s.operands:
        return
    batch = [s.operands, s.draw(), s.draw()]
    for positions in groups(tuple(range(len(s.operands)))):
        axes = [0 if k in positions else None for k in range(len(s.operands))]
        given = [np.stack([b[k] for b in batch]) if a == 0 else s.operands[k] for k, a in enumerate(axes)]
        rows = [[b[k] if a == 0 else s.operands[k] for k, a in enumerate(axes)] for b in batch]
        want = np.stack([array(s(*r)) for r in rows])
        assert_close(cl.vmap(s, in_axes=axes)(*given), want, 1e-13, s.row.scale, f"{s} vmap over {positions}")
        if s.smooth and positions == tuple(range(len(s.operands))):
            g = cl.grad(lambda *xs: cl.sum(s(*xs) * s(*xs)), argnums=s.smooth)
            wanted = [np.stack([array(part) for part in parts]) for parts in zip(*(g(*r) for r in rows), strict=True)]
            for got, w in zip(cl.vmap(g, in_axes=axes)(*given), wanted, strict=True):
                assert_close(got, w, 1e-12, s.row.slope_scale, f"{s} vmap of the gradient")


def check_symbolic_sizes(s: Sample) -> None:
    """Traced once with symbolic sizes, the program computes value and gradient at other sizes too."""
    other = Sample(s.row, s.case, OTHER_SIZES, s.seed)
    for what, f in _symbolic_programs(s):
        scope = Scope()
        sizes = {letter: scope.new(n) for letter, n in SIZES.items()}
        types = [Type(shape_of_text(t, sizes), x.dtype) for t, x in zip(s.case.shapes, s.operands, strict=True)]
        params = s.case.params(sizes)
        program = trace(lambda *xs, f=f, params=params: _flat(f(params)(*xs)), types, scope=scope)
        cl.typecheck(program)
        env = scope.bind(
            (dim, n)
            for t, x in zip(types, other.operands, strict=True)
            for dim, n in zip(t.shape, np.shape(x), strict=True)
        )
        letters = set("".join(s.case.shapes)) & set(SIZES)
        if any(repr(sizes[free]) in repr(params) for free in set(SIZES) - letters):
            continue  # no operand binds a size that only a parameter has
        if not scope.holds(env):
            assert s.row.fixed, f"{s}: a size was specialised: {scope.guards}"
            continue
        got = evaluate(program, [*other.operands, *program.captured])
        for a, b in zip(got, _flat(f(other.params)(*other.operands)), strict=True):
            assert_same_bits(a, b, f"{s} {what} at other sizes")


def _symbolic_programs(s: Sample) -> Iterator[tuple[str, Callable[[Any], Callable[..., Any]]]]:
    yield "value", lambda params: lambda *xs: s.primitive(*xs, **params)
    if s.smooth:

        def gradient(params: Any) -> Callable[..., Any]:
            def loss(*xs: Any) -> Any:
                y = s.primitive(*xs, **params)
                return cl.sum(y * y)

            return cl.grad(loss, argnums=s.smooth)

        yield "gradient", gradient


def check_mixed_precision(s: Sample) -> None:
    """Operands of two precisions: the result is the wider one, every gradient its operand's; traced as eager."""
    floating = [k for k, x in enumerate(s.operands) if x.dtype.kind == "f"]
    if len(floating) < 2:
        return
    for narrow in floating:
        mixed = [x.astype(np.float32) if k == narrow else x for k, x in enumerate(s.operands)]
        value = s(*mixed)
        if s.row.kind == "f":
            assert np.asarray(value).dtype == np.float64, f"{s}: {np.asarray(value).dtype} of mixed operands"
        for what, f in differentiated(Sample(s.row, s.case, s.sizes, s.seed))[:2]:
            program = trace(lambda *xs, f=f: _flat(f(*xs)), [type_of(x) for x in mixed])
            cl.typecheck(program)
            traced = evaluate(program, [*mixed, *program.captured])
            eager = _flat(f(*mixed))
            for got, want in zip(traced, eager, strict=True):
                assert_same_bits(got, want, f"{s} traced {what} of mixed operands")
            if what == "gradient":
                for k, g in zip(s.smooth, eager, strict=True):
                    assert g.dtype == mixed[k].dtype, f"{s}: gradient {g.dtype} of a {mixed[k].dtype} operand"
