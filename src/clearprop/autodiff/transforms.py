"""The transforms: functions from functions to functions.

Each runs `f` on fresh leaves, cuts the slice of the tape between leaves and outputs, and sweeps it.  They nest to
any order, and work the same on numbers and while a program is traced.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from clearprop.autodiff.batching import vmap
from clearprop.autodiff.forward import push
from clearprop.autodiff.reverse import reader, sweep
from clearprop.autodiff.tape import Slice, fresh_leaf
from clearprop.autodiff.trees import (
    as_leaf_value,
    checked_argnums,
    flatten,
    has_derivative,
    is_array,
    refuse_without_floating,
    structure_text,
    unflatten,
)
from clearprop.errors import ArgumentError, DTypeError, GradientError, ShapeError, require_function, user_line
from clearprop.program.ir import Var
from clearprop.program.operands import admit
from clearprop.program.tracing import STACK, builder, shape_of
from clearprop.program.types import Tree, Value, is_floating, type_of
from clearprop.program.values import RECORDING, Node, now, raw
from clearprop.rules.structural import full_, permute_dims_, reshape_, zeros_like
from clearprop.shapes import Dim, Shape, same, size_of


class _Run:
    """One run of f with fresh leaves in place of the floating leaves of the chosen arguments."""

    def __init__(
        self, f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int], name: str
    ) -> None:
        require_function(f, name)
        start = now()
        self.leaves: list[Node] = []
        self.parts: list[tuple[Any, list[Node | None]]] = []
        args = list(args)
        for p in positions:
            flat, structure = flatten(args[p])
            flat = [admit(v) for v in flat]
            if name == "vjp":  # the pullback is called later: memory of the caller's may have other values then
                flat = [v.copy() if type(v) is np.ndarray else v for v in flat]
            nodes = [fresh_leaf(np.float64(v) if type(v) is float else v) if has_derivative(v) else None for v in flat]
            found = [n for n in nodes if n is not None]
            if not found:
                refuse_without_floating(flat, p, name)
            self.leaves += found
            self.parts.append((structure, nodes))
            args[p] = unflatten(structure, [v if n is None else n for v, n in zip(flat, nodes, strict=True)])
        # transforms record even inside `no_grad`: it is their result that carries no history then
        before, followed = RECORDING.on, RECORDING.followed
        RECORDING.on, RECORDING.followed = True, (*followed, (start, frozenset(self.leaves)))
        try:
            self.result = f(*args, **kwargs)
        finally:
            RECORDING.on, RECORDING.followed = before, followed

    def slice(self, outputs: Sequence[Any]) -> None:
        """Cut the tape between the leaves and the outputs."""
        self.part = Slice([o for o in outputs if isinstance(o, Node)], self.leaves)
        self.read = reader(self.part, bool(STACK.builders) and any(map(_is_variable, [*self.leaves, *outputs])))

    def value(self, out: Value) -> Any:
        """An output as the caller gets it: without history unless an enclosing transform needs it."""
        if isinstance(out, Node):
            return out if self.part.surrounded else Node.tensor(out.value)
        return Node.tensor(out) if is_array(out) else out

    def gradients(self, cotangents: dict[Node, Any]) -> list[Any]:
        """Per chosen argument: a tree of gradients; zeros where nothing arrived, None for other leaves."""
        out = []
        for structure, nodes in self.parts:
            out.append(unflatten(structure, [None if n is None else _or_zeros(cotangents.get(n), n) for n in nodes]))
        return out


def _is_variable(value: Value) -> bool:
    return isinstance(raw(value), Var)


def _or_zeros(value: Any, like: Node) -> Any:
    if value is None:
        t = type_of(like.value)
        value = full_(shape=t.shape, value=0, dtype=t.dtype)
    return value if isinstance(value, Node) else Node.tensor(value)


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that returns `(f(*args), gradient)`.

    The gradient ∂f/∂arg has the structure of the chosen argument (a tuple of them for several `argnums`); every
    floating leaf is differentiated, other leaves give None.  With `has_aux`, f returns `(value, aux)` and the
    result is `((value, aux), gradient)`.

    Raises DTypeError for an argument without floating leaves, GradientError if f is not scalar.

    >>> import clearprop as cl
    >>> cl.value_and_grad(lambda x: x ** 3)(2.0)
    (Tensor(8.0), Tensor(12.0))
    """

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        return _differentiate(f, argnums, has_aux, args, kwargs)

    return value_and_gradient


def _differentiate(
    f: Callable[..., Any], argnums: int | Sequence[int], has_aux: bool, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    """The value of f (with what it returns beside it) and the gradient."""
    run = _Run(f, args, kwargs, checked_argnums(argnums, len(args), "grad"), "grad")
    out, aux = run.result if has_aux else (run.result, None)
    if not isinstance(out, Node) or out.value.__class__ is not np.float64:
        _require_scalar(out)
    run.slice([out])
    gradients = run.gradients(sweep(run.part, {out: _one(out.value)}, run.read))
    value = run.value(out)
    if has_aux:
        flat, structure = flatten(aux)
        value = (value, unflatten(structure, [run.value(a) for a in flat]))
    return value, gradients[0] if isinstance(argnums, int) else tuple(gradients)


def _one(value: Any) -> Any:
    """The cotangent 1 that a sweep starts from; in a program it is no value of the user's line."""
    b = builder()
    if b is None or not isinstance(value, Var):
        return np.float64(1) if type(value) is float else value.dtype.type(1)
    b.rule = "grad"
    try:
        return full_(shape=(), value=1, dtype=value.dtype)
    finally:
        b.rule = ""


def _require_scalar(out: Value) -> None:
    if not is_array(out):
        raise GradientError(
            "grad needs a function that returns one number",
            expected="a scalar: a Tensor of shape ()",
            got=f"{type(out).__name__}",
            where=user_line(),
            try_="return the loss alone, or pass has_aux=True and return (loss, aux)",
        )
    if not isinstance(out, Node):
        raise GradientError(
            "grad got a loss that is cut off from its arguments",
            expected="a Tensor computed from the arguments",
            got=f"{type(out).__name__} {out!r}",
            where=user_line(),
            try_="compute with tensors to the end: float(x), x.item() and np.asarray(x) carry no derivative",
        )
    if shape_of(out) != ():
        raise GradientError(
            "grad needs a scalar loss",
            expected="shape ()",
            got=f"shape {shape_of(out)}",
            where=user_line(),
            try_="cl.mean(loss) or cl.sum(loss); cl.jacobian for the derivative of every element",
        )
    if not is_floating(type_of(raw(out)).dtype):
        raise DTypeError(
            "grad needs a floating loss",
            expected="float32 or float64",
            got=type_of(raw(out)).dtype.name,
            where=user_line(),
            try_="loss.astype(float), if it depends on the arguments smoothly at all",
        )


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The gradient ∂f/∂arg of a scalar function, as a function of the same arguments.

    See `value_and_grad`; with `has_aux` the result is `(gradient, aux)`.

    >>> import clearprop as cl
    >>> cl.grad(cl.grad(cl.tanh))(0.5)
    Tensor(-0.72686198)
    """

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, g = _differentiate(f, argnums, has_aux, args, kwargs)
        return (g, value[1]) if has_aux else g

    return gradient


def vjp(f: Callable[..., Any], *primals: Tree) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """`(out, pullback)`: the value, and the map from a cotangent of the output to those of the primals.

    `pullback(ct)` = ctᵀ·J has one entry per primal; `ct` has the structure and shapes of `out`.

    >>> import clearprop as cl
    >>> out, pullback = cl.vjp(cl.sin, 0.0)
    >>> pullback(2.0)
    (Tensor(2.0),)
    """
    run = _Run(f, primals, {}, range(len(primals)), "vjp")
    outs, structure = flatten(run.result)
    run.slice(outs)

    def pullback(ct: Value) -> tuple[Any, ...]:
        given, ct_structure = flatten(ct)
        if len(given) != len(outs) or (len(outs) > 1 and ct_structure != structure):
            raise ArgumentError(
                "the cotangent has another structure than the output",
                expected=structure_text(structure),
                got=structure_text(ct_structure),
                where=user_line(),
            )
        cotangents: dict[Node, Any] = {}
        for out, c in zip(outs, given, strict=True):
            c = as_leaf_value(c)
            if not _agree(shape_of(c), shape_of(out)):
                raise ShapeError(
                    "the cotangent has another shape than the output",
                    expected=f"shape {shape_of(out)}",
                    got=f"shape {shape_of(c)}",
                    where=user_line(),
                )
            if isinstance(out, Node):
                known = cotangents.get(out)
                cotangents[out] = _without_node(c) if known is None else known + _without_node(c)
        read = run.read
        return tuple(run.gradients(sweep(run.part, cotangents, read)))

    return unflatten(structure, [run.value(o) for o in outs]), pullback


def _without_node(value: Value) -> Any:
    """An untracked concrete node as its array, so that sweeps stay on arrays."""
    if isinstance(value, Node) and not value.tracked and not isinstance(value.value, Var):
        return value.value
    return value


def jvp(f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
    """`(out, tangent)`: the value, and J·v for the tangents v of the primals.

    >>> import clearprop as cl
    >>> cl.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.0))
    (Tensor(6.0), Tensor(3.0))
    """
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):
        raise ArgumentError(
            "jvp takes the primals and the tangents as tuples",
            expected="jvp(f, (x, ...), (v, ...))",
            got=f"{type(primals).__name__} and {type(tangents).__name__}",
            where=user_line(),
        )
    if len(primals) != len(tangents):
        raise ArgumentError(
            "jvp needs one tangent per primal",
            expected=f"{len(primals)} tangents",
            got=f"{len(tangents)}",
            where=user_line(),
        )
    run = _Run(f, primals, {}, range(len(primals)), "jvp")
    outs, structure = flatten(run.result)
    run.slice(outs)
    dots = push(run.part, _start_tangents(run, tangents), run.read)
    out_dots = [_or_zeros(dots.get(o), o) if isinstance(o, Node) else None for o in outs]
    return unflatten(structure, [run.value(o) for o in outs]), unflatten(structure, out_dots)


def _start_tangents(run: _Run, tangents: Any) -> dict[Node, Any]:
    start: dict[Node, Any] = {}
    for (structure, nodes), tangent in zip(run.parts, tangents, strict=True):
        flat, own = flatten(tangent)
        if own != structure and len(flat) != len([n for n in nodes if n is not None]):
            raise ArgumentError(
                "a tangent has another structure than its primal",
                expected=structure_text(structure),
                got=structure_text(own),
                where=user_line(),
            )
        given = flat if len(flat) == len(nodes) else _align_tangents(flat, nodes)
        for node, value in zip(nodes, given, strict=True):
            if node is None:
                continue
            if not _agree(shape_of(value), shape_of(node)):
                raise ShapeError(
                    "a tangent has another shape than its primal",
                    expected=f"shape {shape_of(node)}",
                    got=f"shape {shape_of(value)}",
                    where=user_line(),
                )
            start[node] = _without_node(_as_dtype(as_leaf_value(value), type_of(node.value).dtype))
    return start


def _agree(a: Shape, b: Shape) -> bool:
    """Whether two shapes are equal; while tracing, sizes of two arguments that agree become one."""
    return len(a) == len(b) and all(map(same, a, b))


def _as_dtype(value: Value, dtype: DTypeLike) -> Any:
    if isinstance(value, (np.ndarray, np.generic, int, float)):
        return np.asarray(value, dtype)[()]
    return value


def _align_tangents(flat: Sequence[Tree], nodes: Sequence[Any]) -> list[Any]:
    rest = iter(flat)
    return [None if n is None else next(rest) for n in nodes]


def hvp(f: Callable[..., Any], primals: Any, vectors: Any) -> Any:
    """Hessian-vector product H·v of a scalar function, forward over reverse: exact, at the cost of two gradients.

    `primals` is a tuple of arguments and `vectors` a tuple like it; the result has their structure.  A single
    argument may be given without the tuple, and then so is the result.

    >>> import clearprop as cl
    >>> cl.hvp(lambda x: cl.sum(x ** 3), cl.tensor([1.0, 2.0]), cl.tensor([1.0, 1.0]))
    Tensor([6.0, 12.0])
    """
    single = not isinstance(primals, tuple)
    args, dots = ((primals,), (vectors,)) if single else (primals, tuple(vectors))
    _, out = jvp(grad(f, argnums=tuple(range(len(args)))), args, dots)
    return out[0] if single else out


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The Jacobian: for output shape s and argument shape t an array of shape s + t, rows by reverse mode.

    Trees give trees: the output's structure outside, the argument's inside.

    >>> import clearprop as cl
    >>> cl.jacobian(lambda x: x * x)(cl.tensor([1.0, 2.0]))
    Tensor([[2.0, 0.0],
            [0.0, 4.0]])
    """
    require_function(f, "jacobian")

    @functools.wraps(f)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        positions = checked_argnums(argnums, len(args), "jacobian")

        def of_chosen(*selected: Any) -> Any:
            full = list(args)
            for p, s in zip(positions, selected, strict=True):
                full[p] = s
            return f(*full, **kwargs)

        out, pullback = vjp(of_chosen, *(args[p] for p in positions))
        outs, structure = flatten(out)
        rows = []
        for i, o in enumerate(outs):
            n, shape = size_of(shape_of(o)), shape_of(o)
            basis = [
                _basis(n, shape, type_of(raw(o)).dtype) if j == i else zeros_like(_batch_of_zeros(n, q))
                for j, q in enumerate(outs)
            ]
            parts = vmap(lambda *cts: pullback(unflatten(structure, list(cts))))(*basis)
            shaped = tuple(_reshape_rows(part, shape) for part in parts)
            rows.append(shaped[0] if isinstance(argnums, int) else shaped)
        return unflatten(structure, rows)

    return jacobian_of


def _basis(n: Dim, shape: Shape, dtype: DTypeLike) -> Any:
    return Node.tensor(np.eye(int(n), dtype=dtype).reshape((int(n), *map(int, shape))))


def _batch_of_zeros(n: Dim, like: Value) -> Any:
    t = type_of(raw(like))
    return full_(shape=(int(n), *t.shape), value=0, dtype=t.dtype)


def _reshape_rows(tree: Tree, shape: Shape) -> Any:
    flat, structure = flatten(tree)
    return unflatten(structure, [None if v is None else reshape_(v, shape=(*shape, *shape_of(v)[1:])) for v in flat])


def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """The matrix of second derivatives of a scalar function, shape t + t for argument shape t; forward over reverse.

    For a tree argument: a tree of trees, rows outside.

    >>> import clearprop as cl
    >>> cl.hessian(lambda x: x[0] * x[1] ** 2)(cl.tensor([3.0, 2.0]))
    Tensor([[0.0, 4.0],
            [4.0, 6.0]])
    """

    @functools.wraps(f)
    def hessian_of(*args: Any, **kwargs: Any) -> Any:
        (position,) = checked_argnums(argnums, len(args), "hessian")

        def of_one(x: Value) -> Any:
            return f(*args[:position], x, *args[position + 1 :], **kwargs)

        run = _Run(grad(of_one), (args[position],), {}, (0,), "hessian")
        rows, structure = flatten(run.result)
        run.slice([r for r in rows if r is not None])
        columns: list[list[Any]] = []
        for leaf in run.leaves:
            n, shape = size_of(shape_of(leaf)), shape_of(leaf)
            basis = _basis(n, shape, type_of(leaf.value).dtype)
            columns.append(
                [_last_axes(c, shape) for c in vmap(lambda v, leaf=leaf: _push_rows(run, rows, leaf, v))(basis)]
            )
        inner = run.parts[0][0]
        blocks = [unflatten(inner, [columns[j][i] for j in range(len(columns))]) for i in range(len(rows))]
        return unflatten(structure, blocks)

    return hessian_of


def _push_rows(run: _Run, rows: Sequence[Any], leaf: Node, v: Any) -> list[Any]:
    dots = push(run.part, {leaf: v}, run.read)
    return [_or_zeros(dots.get(r), r) for r in rows]


def _last_axes(column: Value, shape: Shape) -> Any:
    """(n, *row) → (*row, *shape): the batch of basis vectors becomes the last axes."""
    row = shape_of(column)[1:]
    n = len(row) + 1
    moved = permute_dims_(column, axes=(*range(1 - n, 0), -n)) if n > 1 else column
    return reshape_(moved, shape=(*row, *shape))


def per_example_grad(
    f: Callable[..., Any], argnums: int = 0, in_axes: Sequence[int | None] = (None, 0, 0)
) -> Callable[..., Any]:
    """Gradients of every example: f is the loss of *one* example, and the result has a leading batch axis.

    >>> import clearprop as cl
    >>> cl.per_example_grad(lambda w, x: (w * x) ** 2, in_axes=(None, 0))(1.0, cl.tensor([1.0, 2.0]))
    Tensor([2.0, 8.0])
    """
    return vmap(grad(f, argnums), in_axes=in_axes)
