"""`cl.root` and `cl.fixed_point`: solutions of equations, whose derivatives are those of the equations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten
from clearprop.control.carries import checked_count
from clearprop.control.implicit_operation import slopes_of, solution, solved_for
from clearprop.control.operation import call
from clearprop.control.subprograms import Closed, close
from clearprop.control.tree_vectors import TreeAsVector, vector_of
from clearprop.control.while_loop import while_loop
from clearprop.errors import ShapeError, checked_call, require_function, user_line
from clearprop.program.ir import Program, shape_of
from clearprop.program.types import Tree, type_of
from clearprop.program.values import no_grad, raw
from clearprop.rules.arithmetic import abs as absolute
from clearprop.rules.arithmetic import stop_gradient, subtract
from clearprop.rules.comparison import less, less_equal, logical_and, logical_not
from clearprop.rules.elementwise import astype, where
from clearprop.rules.reductions import all as all_of
from clearprop.rules.reductions import max as largest
from clearprop.rules.structural import full_
from clearprop.shapes import same

HALVINGS = 20
"""How often a step of Newton's method is halved at most, until the equations are nearer to 0."""


@checked_call
def root(f: Callable[[Any], Any], x0: Tree, tolerance: float | None = None, max_steps: int = 100) -> Any:
    """An x near x0 for which f(x) = 0, by Newton's method; a tree like x0.

    f          the left sides of the equations, as many as there are unknowns: a tree of x to a tree of numbers
    x0         where to begin: a tree of floating arrays and numbers
    tolerance  found when the last step is no longer than this · (1 + |x|) in every unknown; by default eps^(3/4) of the
               dtype, 1.8e-12 for float64, after which Newton's method is as exact as rounding allows
    max_steps  the most steps; where they do not suffice every unknown is NaN

    A step is halved until it brings the equations nearer to 0.  The derivative is that of the implicit function
    theorem, ∂x/∂w = −(∂f/∂x)⁻¹ · ∂f/∂w for everything w that f reads from around it, in both modes and to any order;
    x0 has none.

    Raises ShapeError if there are more or fewer equations than unknowns, DTypeError if x0 is not floating.

    >>> import clearprop as cl
    >>> solve = lambda a: cl.root(lambda x: x**3 + a * x - 5.0, 1.0)
    >>> solve(2.0), cl.grad(solve)(2.0)
    (Tensor(1.32826886), Tensor(-0.18213192))
    """
    require_function(f, "root")
    unknowns = _Unknowns("root", "x0", x0)
    count = checked_count(max_steps, "max_steps")
    closed = unknowns.close(lambda x: vector_of("root", flatten(f(x))[0]))
    return unknowns.solved(
        closed, count, unknowns.eps**0.75 if tolerance is None else tolerance, _newton(closed.program)
    )


@checked_call
def fixed_point(f: Callable[[Any], Any], x0: Tree, tolerance: float | None = None, max_steps: int = 1000) -> Any:
    """An x for which f(x) = x, by x ← f(x); a tree like x0.

    f          a function whose repetition converges, from a tree like x0 to a tree like x0
    x0         where to begin: a tree of floating arrays and numbers
    tolerance  found when a step changes no unknown by more than this · (1 + |x|); by default 8 · eps of the dtype
    max_steps  the most steps; where they do not suffice every unknown is NaN

    The derivative is that of the implicit function theorem, whatever the number of steps was: ∂x/∂w =
    (1 − ∂f/∂x)⁻¹ · ∂f/∂w for everything w that f reads from around it, in both modes and to any order; x0 has none.

    Raises ArgumentError if f changes the structure, ShapeError if it changes a shape, DTypeError if x0 is not floating.

    >>> import clearprop as cl
    >>> solve = lambda w: cl.fixed_point(lambda x: cl.cos(w * x), 0.5)
    >>> solve(1.0), cl.grad(solve)(1.0)
    (Tensor(0.73908513), Tensor(-0.29747434))
    """
    require_function(f, "fixed_point")
    unknowns = _Unknowns("fixed_point", "x0", x0)
    count = checked_count(max_steps, "max_steps")
    closed = unknowns.close(lambda x: subtract(vector_of("fixed_point", flatten(x)[0]), unknowns.image(f(x))))
    return unknowns.solved(closed, count, 8 * unknowns.eps if tolerance is None else tolerance, _repeat(closed.program))


class _Unknowns(TreeAsVector):
    """The unknowns of some equations."""

    def close(self, residual: Callable[[Any], Any]) -> Closed:
        """The equations as a program of what they read and of the vector of unknowns."""
        t = type_of(raw(self.vector))

        def flat(x: Any) -> list[Any]:
            out = residual(self.tree(x))
            if not same(shape_of(out)[0], t.shape[0]):
                raise ShapeError(
                    f"{self.name} needs as many equations as unknowns",
                    expected=f"{t.shape[0]} numbers, as x0 has",
                    got=f"{shape_of(out)[0]} numbers from f",
                    where=user_line(),
                    try_="cl.optim.least_squares for more equations than unknowns",
                )
            return [astype(out, dtype=t.dtype)]

        return close(flat, [t], ["x"])

    def solved(self, closed: Closed, most: Any, tolerance: float, step: _Step) -> Any:
        """The solution that steps lead to, NaN where they did not suffice, with the derivative of its equations."""
        w = [stop_gradient(v) for v in closed.constants]

        def go_on(carry: Any) -> Any:
            x, change = step(w, carry["x"])
            near = less_equal(absolute(change), tolerance * (absolute(x) + 1.0))
            return {"x": x, "far": logical_not(all_of(near)), "left": carry["left"] - 1}

        start = {"x": stop_gradient(self.vector), "far": np.True_, "left": most}
        with no_grad():  # how it was found plays no part
            end = while_loop(lambda carry: logical_and(carry["left"] > 0, carry["far"]), go_on, start)
            x = stop_gradient(where(end["far"], math.nan, end["x"]))
        return self.tree(solution(closed.program, closed.constants, x))


_Step = Callable[[Sequence[Any], Any], tuple[Any, Any]]
"""`step(w, x)`: the next unknowns, and what tells how far they still are."""


def _newton(program: Program) -> _Step:
    """A step of Newton's method, as much of it as brings the equations nearer to 0; and the whole step."""

    def step(w: Sequence[Any], x: Any) -> tuple[Any, Any]:
        def distance(at: Any) -> Any:
            return largest(absolute(call(program, [*w, at])[0]))

        whole = solved_for(slopes_of(program, w, x), call(program, [*w, x])[0])
        here, part = distance(x), full_(shape=(), value=1.0, dtype=type_of(raw(x)).dtype)

        def farther(carry: Any) -> Any:  # or NaN
            nearer = less(distance(subtract(x, carry["part"] * whole)), here)
            return logical_and(carry["left"] > 0, logical_not(nearer))

        def halve(carry: Any) -> Any:
            return {"part": 0.5 * carry["part"], "left": carry["left"] - 1}

        return subtract(x, while_loop(farther, halve, {"part": part, "left": HALVINGS})["part"] * whole), whole

    return step


def _repeat(program: Program) -> _Step:
    """x ← f(x), where the equations are x − f(x) = 0; and the change."""

    def step(w: Sequence[Any], x: Any) -> tuple[Any, Any]:
        change = call(program, [*w, x])[0]
        return subtract(x, change), change

    return step
