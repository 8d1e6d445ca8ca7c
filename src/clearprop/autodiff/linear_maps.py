"""The derivative as a linear map: kept for many tangents, as a matrix by columns, and the Gauss–Newton product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np

from clearprop.autodiff.batching import over_examples
from clearprop.autodiff.directions import start_tangents
from clearprop.autodiff.forward import push
from clearprop.autodiff.transforms import (
    Derived,
    FollowedRun,
    aux_values,
    grad,
    hvp,
    jacobian,
    jvp,
    or_zeros,
    split_aux,
    unit_vectors,
    vjp,
)
from clearprop.autodiff.trees import checked_argnums, flatten, is_array, unflatten
from clearprop.errors import ArgumentError, checked_call, require_flag, require_function, unknown_name, user_line
from clearprop.program.ir import shape_of
from clearprop.program.types import Tree, Value, type_of
from clearprop.program.values import Node
from clearprop.rules.activations import softplus
from clearprop.rules.elementwise import exp
from clearprop.rules.reductions import logsumexp
from clearprop.rules.reductions import sum as sum_
from clearprop.rules.structural import permute_dims_, reshape_
from clearprop.shapes import Shape, size_of

_P = ParamSpec("_P")


@checked_call
def linearize(f: Callable[..., Any], *primals: Tree, has_aux: bool = False) -> tuple[Any, ...]:
    """`(out, times)`: the value, and the map v ↦ J·v at these primals, for which f is not computed again.

    `times(*tangents)` takes one tangent per primal, each a tree like it, and gives a tree like `out`.  With `has_aux`,
    f returns `(out, aux)` and the result is `(out, times, aux)`.

    Raises DTypeError for a primal without floating leaves, ShapeError or ArgumentError for a tangent unlike its primal.

    >>> import clearprop as cl
    >>> out, times = cl.linearize(lambda x: x * x, cl.tensor([1.0, 2.0]))
    >>> times(cl.tensor([1.0, 0.0])), times(cl.tensor([0.0, 1.0]))
    (Tensor([2.0, 0.0]), Tensor([0.0, 4.0]))
    """
    require_function(f, "linearize")
    has_aux = require_flag("linearize", "has_aux", has_aux)
    run = FollowedRun(f, primals, {}, range(len(primals)), "vjp")
    result, aux = split_aux(run.result, has_aux, "linearize")
    outs, structure = flatten(result)
    run.slice(outs)

    def times(*tangents: Tree) -> Any:
        dots = push(run.part, start_tangents(run.parts, tangents), run.read)
        return unflatten(structure, [or_zeros(dots.get(o), o) if isinstance(o, Node) else None for o in outs])

    out = unflatten(structure, [run.value(o) for o in outs])
    return (out, times, aux_values(run.leaves, aux)) if has_aux else (out, times)


@checked_call
def jacfwd(f: Callable[_P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[_P, Any]:
    """The Jacobian as `cl.jacobian` gives it, by columns in forward mode: cheaper where f has more outputs than inputs.

    With `has_aux`, f returns `(out, aux)` and the result is `(Jacobian, aux)`.

    >>> import clearprop as cl
    >>> cl.jacfwd(lambda x: x * x)(cl.tensor([1.0, 2.0]))
    Tensor([[2.0, 0.0],
            [0.0, 4.0]])
    """
    has_aux = require_flag("jacfwd", "has_aux", has_aux)
    return Derived("jacfwd", _jacfwd, f, argnums, has_aux)


@checked_call
def jacrev(f: Callable[_P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[_P, Any]:
    """`cl.jacobian`, which goes by rows in reverse mode, under the name beside `cl.jacfwd`.

    >>> import clearprop as cl
    >>> cl.jacrev(lambda x: x * x)(cl.tensor([1.0, 2.0]))
    Tensor([[2.0, 0.0],
            [0.0, 4.0]])
    """
    jacobian_of: Callable[..., Any] = jacobian(f, argnums, has_aux)
    return jacobian_of


def _jacfwd(
    f: Callable[..., Any], argnums: int | Sequence[int], has_aux: bool, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    positions, single = checked_argnums(argnums, len(args), "jacfwd"), isinstance(argnums, int | np.integer)
    return _by_columns(f, args, kwargs, positions, "jacfwd", single=single, has_aux=has_aux)


@checked_call
def hessian(f: Callable[_P, Any], argnums: int = 0, has_aux: bool = False) -> Callable[_P, Any]:
    """The matrix of second derivatives of a scalar function, shape t + t for argument shape t; forward over reverse.

    For a tree argument: a tree of trees, rows outside.  With `has_aux`, f returns `(value, aux)` and the result is
    `(Hessian, aux)`.

    >>> import clearprop as cl
    >>> cl.hessian(lambda x: x[0] * x[1] ** 2)(cl.tensor([3.0, 2.0]))
    Tensor([[0.0, 4.0],
            [4.0, 6.0]])
    """
    has_aux = require_flag("hessian", "has_aux", has_aux)
    return Derived("hessian", _hessian, f, argnums, has_aux)


def _hessian(f: Callable[..., Any], argnums: int, has_aux: bool, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    position, *others = checked_argnums(argnums, len(args), "hessian")
    if others:
        raise ArgumentError(
            "hessian differentiates one argument",
            expected="argnums: one position",
            got=f"argnums = {argnums}",
            where=user_line(),
            try_="one argument that is a tuple or a dict: its hessian is a tree of trees",
        )

    def of_one(x: Value) -> Any:
        return f(*args[:position], x, *args[position + 1 :], **kwargs)

    gradient = grad(of_one, has_aux=has_aux)
    return _by_columns(gradient, (args[position],), {}, (0,), "hessian", single=True, has_aux=has_aux)


def _by_columns(
    f: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    positions: Sequence[int],
    name: str,
    *,
    single: bool,
    has_aux: bool,
) -> Any:
    """For each output of f a tree of derivatives like each chosen argument (`single`: like the only one)."""
    run = FollowedRun(f, args, kwargs, positions, name)
    result, aux = split_aux(run.result, has_aux, name)
    outs, structure = flatten(result)
    outs = [Node.tensor(o) if is_array(o) and not isinstance(o, Node) else o for o in outs]  # constant: zeros
    run.slice(outs)
    columns = {leaf: _columns(run, outs, leaf) for leaf in run.leaves}
    blocks = []
    for i in range(len(outs)):
        parts = [unflatten(inner, [None if n is None else columns[n][i] for n in nodes]) for inner, nodes in run.parts]
        blocks.append(parts[0] if single else tuple(parts))
    matrices = unflatten(structure, blocks)
    return (matrices, aux_values(run.leaves, aux)) if has_aux else matrices


def _columns(run: FollowedRun, outs: Sequence[Any], leaf: Node) -> list[Any]:
    """J times every unit vector of one leaf, for each output, the axes of the leaf last; None for what has no J."""
    shape = shape_of(leaf)

    def push_one(v: Any) -> list[Any]:
        dots = push(run.part, {leaf: v}, run.read)
        return [or_zeros(dots.get(o), o) if isinstance(o, Node) else None for o in outs]

    basis = unit_vectors(size_of(shape), shape, type_of(leaf.value).dtype)
    return [None if c is None else _columns_last(c, shape) for c in over_examples(push_one)(basis)]


def _columns_last(column: Value, shape: Shape) -> Any:
    """(n, *row) → (*row, *shape): the batch of basis vectors becomes the last axes."""
    row = shape_of(column)[1:]
    n = len(row) + 1
    moved = permute_dims_(column, axes=(*range(1 - n, 0), -n)) if n > 1 else column
    return reshape_(moved, shape=(*row, *shape))


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


_LOG_PARTITIONS: dict[str, Callable[[Any], Any]] = {
    "bernoulli": lambda logits: sum_(softplus(logits)),
    "categorical": lambda logits: sum_(logsumexp(logits, axis=-1)),
    "normal": lambda means: 0.5 * sum_(means * means),
    "poisson": lambda logarithms: sum_(exp(logarithms)),
}
"""The function A of natural parameters z for which log p(y) = y·z − A(z) + …: its Hessian is their information."""


@checked_call
def fisher_vp(f: Callable[[Any], Any], params: Tree, vector: Tree, distribution: str = "normal") -> Any:
    """The product F·v with the Fisher information of what a model predicts: a tree like params.

    f             the model: params → natural parameters z of the distributions, for all observations together
    params        a tree of arrays
    vector        a tree like params
    distribution  "normal" with variance 1 (z is the mean), "bernoulli" (a logit), "categorical" (logits along the last
                  axis), "poisson" (the logarithm of the mean)

    F = E[∇ log p(y) · ∇ log p(y)ᵀ], over outcomes y that the model itself predicts, summed over observations.  For
    these families it is Jᵀ · ∇²A(z) · J with the logarithm A of their partition function, so no outcome is drawn.

    S. Amari, "Natural gradient works efficiently in learning", Neural Computation 10 (1998).

    Raises ArgumentError for an unknown distribution, and as `cl.jvp` does.

    >>> import clearprop as cl
    >>> cl.fisher_vp(lambda w: w * cl.tensor([1.0, 2.0]), 0.0, 1.0, "bernoulli")  # Σ x² · p · (1 − p)
    Tensor(1.25)
    """
    if not isinstance(distribution, str) or distribution not in _LOG_PARTITIONS:
        raise unknown_name("distribution", str(distribution)[:60], _LOG_PARTITIONS, user_line())
    return ggn_vp(f, _LOG_PARTITIONS[distribution], params, vector)
