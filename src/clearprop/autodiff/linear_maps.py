"""The derivative as a linear map: kept for many tangents, as a matrix by columns, and the Gauss–Newton product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.directions import start_tangents
from clearprop.autodiff.forward import push
from clearprop.autodiff.transforms import (
    Derived,
    FollowedRun,
    derivative_by_columns,
    hvp,
    jacobian,
    jvp,
    or_zeros,
    vjp,
)
from clearprop.autodiff.trees import checked_argnums, flatten, unflatten
from clearprop.errors import checked_call, require_function
from clearprop.program.types import Tree
from clearprop.program.values import Node


@checked_call
def linearize(f: Callable[..., Any], *primals: Tree) -> tuple[Any, Callable[..., Any]]:
    """`(out, times)`: the value, and the map v ↦ J·v at these primals, for which f is not computed again.

    `times(*tangents)` takes one tangent per primal, each a tree like it, and gives a tree like `out`.

    Raises DTypeError for a primal without floating leaves, ShapeError or ArgumentError for a tangent unlike its primal.

    >>> import clearprop as cl
    >>> out, times = cl.linearize(lambda x: x * x, cl.tensor([1.0, 2.0]))
    >>> times(cl.tensor([1.0, 0.0])), times(cl.tensor([0.0, 1.0]))
    (Tensor([2.0, 0.0]), Tensor([0.0, 4.0]))
    """
    require_function(f, "linearize")
    run = FollowedRun(f, primals, {}, range(len(primals)), "vjp")
    outs, structure = flatten(run.result)
    run.slice(outs)

    def times(*tangents: Tree) -> Any:
        dots = push(run.part, start_tangents(run.parts, tangents), run.read)
        return unflatten(structure, [or_zeros(dots.get(o), o) if isinstance(o, Node) else None for o in outs])

    return unflatten(structure, [run.value(o) for o in outs]), times


@checked_call
def jacfwd(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The Jacobian as `cl.jacobian` gives it, by columns in forward mode: cheaper where f has more outputs than inputs.

    >>> import clearprop as cl
    >>> cl.jacfwd(lambda x: x * x)(cl.tensor([1.0, 2.0]))
    Tensor([[2.0, 0.0],
            [0.0, 4.0]])
    """
    return Derived("jacfwd", _by_columns, f, argnums)


@checked_call
def jacrev(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """`cl.jacobian`, which goes by rows in reverse mode, under the name beside `cl.jacfwd`.

    >>> import clearprop as cl
    >>> cl.jacrev(lambda x: x * x)(cl.tensor([1.0, 2.0]))
    Tensor([[2.0, 0.0],
            [0.0, 4.0]])
    """
    jacobian_of: Callable[..., Any] = jacobian(f, argnums)
    return jacobian_of


def _by_columns(
    f: Callable[..., Any], argnums: int | Sequence[int], args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    positions, single = checked_argnums(argnums, len(args), "jacfwd"), isinstance(argnums, int | np.integer)
    return derivative_by_columns(f, args, kwargs, positions, "jacfwd", single=single)


@checked_call
def ggn_vp(f: Callable[[Any], Any], loss: Callable[[Any], Any], params: Tree, vector: Tree) -> Any:
    """The generalised Gauss–Newton product Jᵀ·H·J·v: J of f at the parameters, H the Hessian of the loss of its output.

    f       the model: params → output
    loss    output → number, convex as a rule; then the product is that of a positive semidefinite matrix
    vector  a tree like params

    For a loss that is the negative logarithm of an exponential family's density in its natural parameters, as
    cross-entropy of logits and squared error are, it is the Fisher information's product (Martens, "New insights and
    perspectives on the natural gradient method", 2020; Schraudolph 2002).

    Raises as `cl.jvp` does.

    >>> import clearprop as cl
    >>> cl.ggn_vp(lambda w: w * cl.tensor([1.0, 2.0]), lambda z: cl.sum(z * z), 3.0, 1.0)
    Tensor(10.0)
    """
    out, dot = jvp(f, (params,), (vector,))
    _, pullback = vjp(f, params)
    return pullback(hvp(loss, (out,), (dot,))[0])[0]
