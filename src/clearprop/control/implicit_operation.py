"""A solution as a function of what its equations hold: the implicit function theorem.

Where r(w, x) = 0 and J = ∂r/∂x is regular, x is a function of w with ∂x/∂w = −J⁻¹ · ∂r/∂w.  How x was found does not
matter.  Both rules are programs of operations at (w, x), so they differentiate again:

    ẋ = −J⁻¹ · (∂r/∂w · ẇ)               w̄ = −(∂r/∂w)ᵀ · J⁻ᵀ · x̄

U. Dini, "Lezioni di analisi infinitesimale" (1878); for solvers in losses B. Christianson, "Reverse accumulation and
attractive fixed points", Optimization Methods and Software 3 (1994).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clearprop.autodiff.batching import as_batch
from clearprop.autodiff.linear_maps import jacfwd
from clearprop.autodiff.transforms import jvp, vjp
from clearprop.control.operation import ControlOperation, as_list, call, types_of
from clearprop.control.scan_operation import scan_
from clearprop.control.subprograms import derive, runner, select
from clearprop.program.ir import Program, shape_of
from clearprop.program.types import Params, Type
from clearprop.rules.arithmetic import negative, stop_gradient, subtract
from clearprop.rules.on_demand import find_in
from clearprop.rules.structural import permute_dims_
from clearprop.shapes import is_one


class Implicit(ControlOperation):
    """The class of the one operation `implicit_`; what is lowered is its last step, written out."""

    def __init__(self, declaration: Callable[..., Any]) -> None:
        super().__init__(declaration)
        self.body = self.function = lambda *operands, step, **_: call(step, operands)[0]

    def types(self, operands: Sequence[Type], **params: Any) -> list[Type]:
        """That of the solution."""
        return [operands[-1]]

    def compute(self, *operands: Any, **params: Any) -> Any:
        """The last step, on arrays."""
        return runner(params["step"])(operands)[0]

    def written_out(self, *operands: Any, **params: Any) -> Any:
        """The last step, from a solution and with slopes that are given: so its derivative is the solution's."""
        program, w, x = params["residual"], operands[params["extra"] : -1], stop_gradient(operands[-1])
        slopes = stop_gradient(slopes_of(program, [stop_gradient(v) for v in w], x))
        return subtract(x, solved_for(slopes, call(program, [*w, x])[0]))

    # ---------------------------------------------------------------------------------------- derivatives
    def pushforward(self, dots: Sequence[Any], y: Any, xs: Sequence[Any], params: Params) -> Any:
        """The tangent of the solution; that of where it was found plays no part."""
        program, first = params["residual"], params["extra"]
        active = [d is not None for d in dots[first:-1]]
        if not any(active):
            return None
        count = len(active)

        def tangent(*values: Any) -> list[Any]:
            w, x, own = list(values[:count]), values[count], values[count + 1 :]
            _, moved = jvp(_of_active(program, w, x, active), select(w, active), list(own))
            return [negative(solved_for(slopes_of(program, w, x), moved))]

        return _evaluate(
            program, ("tangent", tuple(active)), tangent, [*xs[first:-1], y, *select(dots[first:-1], active)]
        )[0]

    def pull_together(
        self, wanted: Sequence[int], g: Any, y: Any, xs: Sequence[Any], params: Params
    ) -> Mapping[int, Any]:
        """The cotangents of what the equations hold; where the solution was found has none."""
        program, first, count = params["residual"], params["extra"], len(xs) - 1 - params["extra"]
        active = [first + k in wanted for k in range(count)]
        (bar,) = as_list(g)
        if bar is None or not any(active):
            return dict.fromkeys(wanted)

        def cotangent(*values: Any) -> list[Any]:
            w, x, own = list(values[:count]), values[count], values[count + 1]
            slopes = permute_dims_(slopes_of(program, w, x), axes=(-1, -2))
            _, pull = vjp(_of_active(program, w, x, active), *select(w, active))
            return list(pull(negative(solved_for(slopes, own))))

        found = iter(_evaluate(program, ("cotangent", tuple(active)), cotangent, [*xs[first:-1], y, bar]))
        return {k: next(found) if first <= k < first + count else None for k in sorted(wanted)}

    # ------------------------------------------------------------------------------------------- batching
    def lift(self, size: Any, values: Sequence[Any], mapped: Sequence[bool], params: Params) -> Any:
        """One example after the other: each has its own equations."""
        flags = [*mapped[:-1], True]
        operands = [*values[:-1], as_batch(values[-1], mapped[-1], size)]
        shared, rows = select(operands, [not f for f in flags]), select(operands, flags)
        inner = [t if not f else Type(t.shape[1:], t.dtype) for t, f in zip(types_of(operands), flags, strict=True)]
        types = [*select(inner, [not f for f in flags]), *select(inner, flags)]

        def step(*own: Any) -> list[Any]:
            fixed, moving = iter(own[: len(shared)]), iter(own[len(shared) :])
            return [implicit_(*(next(moving) if f else next(fixed) for f in flags), **params)]

        made = derive(params["residual"], ("batch", tuple(flags)), step, types)
        count = len(made.constants) + len(shared)
        fixed_params = {"body": made.program, "constants": count, "carries": 0, "length": size}
        return scan_(*made.constants, *shared, *rows, **fixed_params, reverse=False, keep=False)


@Implicit
def implicit_(*operands: Any, residual: Program, step: Program, extra: int) -> Any:
    """The solution of equations as a function of what they hold: one step of Newton's method from where it was found.

    operands  what the step alone reads, what the equations hold, and the solution, a vector
    residual  the program of the equations: their left sides, a vector as long
    step      the program of the step
    extra     how many operands the step alone reads
    """


def solution(program: Program, w: Sequence[Any], x: Any) -> Any:
    """The solution x of a program of equations that hold w, with the derivative that they give it."""

    def step(*values: Any) -> list[Any]:
        *own, at = values
        return [subtract(at, solved_for(slopes_of(program, own, at), call(program, values)[0]))]

    made = derive(program, "last step", step, types_of([*w, x]))
    return implicit_(*made.constants, *w, x, residual=program, step=made.program, extra=len(made.constants))


def _of_active(program: Program, w: Sequence[Any], x: Any, active: Sequence[bool]) -> Callable[..., Any]:
    """The equations as a function of some of what they hold."""

    def residual(*own: Any) -> Any:
        rest = iter(own)
        return call(program, [*(next(rest) if a else v for v, a in zip(w, active, strict=True)), x])[0]

    return residual


def slopes_of(program: Program, w: Sequence[Any], x: Any) -> Any:
    """The matrix J of derivatives of the equations by the unknowns."""
    return jacfwd(lambda v: call(program, [*w, v])[0])(x)


def solved_for(matrix: Any, vector: Any) -> Any:
    """J⁻¹ · r; of one equation a quotient, which has a native form."""
    if is_one(shape_of(vector)[0]):
        return vector / matrix[0]
    solve = find_in("linalg", "solve")
    assert solve is not None
    return solve(matrix, vector)


def _evaluate(program: Program, key: Any, f: Callable[..., list[Any]], operands: Sequence[Any]) -> list[Any]:
    """What a function that is made of the program computes."""
    made = derive(program, key, f, types_of(operands))
    return call(made.program, [*made.constants, *operands])
