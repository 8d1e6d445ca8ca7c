"""The transforms: functions from functions to functions.

Each runs `f` on fresh leaves, cuts the slice of the tape between leaves and outputs, and sweeps it.  They nest to
any order, and work the same on numbers and while a program is traced.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np
from numpy.typing import DTypeLike

from clearprop.autodiff.batching import map_in_turns, over_examples
from clearprop.autodiff.directions import start_cotangents, start_tangents
from clearprop.autodiff.forward import push
from clearprop.autodiff.pickling import pickled_by_name
from clearprop.autodiff.reverse import Slice, fresh_leaf, reader, sweep
from clearprop.autodiff.trees import (
    checked_argnums,
    flatten,
    has_derivative,
    is_array,
    refuse_without_floating,
    unflatten,
)
from clearprop.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    checked_call,
    require_flag,
    require_function,
    too_large,
    user_line,
)
from clearprop.program.ir import STACK, Var, builder, shape_of
from clearprop.program.operands import admit, complex_error, keep_value
from clearprop.program.types import Tree, Value, is_complex, is_floating, type_of
from clearprop.program.values import RECORDING, Node, now, raw
from clearprop.rules.structural import full_, reshape_, zeros_like
from clearprop.shapes import Dim, Shape, size_of

_P = ParamSpec("_P")


class Derived:
    """`compute(f, *options, args, kwargs)` as a function of `args` and `kwargs`, with the name and text of f.

    >>> import pickle
    >>> import clearprop as cl
    >>> slope = pickle.loads(pickle.dumps(cl.grad(cl.tanh)))
    >>> slope(0.0)
    Tensor(1.0)
    """

    __name__: str

    def __init__(self, transform: str, compute: Callable[..., Any], f: Callable[..., Any], *options: Any) -> None:
        require_function(f, transform)
        functools.update_wrapper(self, f, updated=())
        self._transform, self._compute, self._given = transform, compute, (f, *options)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Compute it for these arguments of f."""
        return self._compute(*self._given, args, kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A method, where it stands in a class."""
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<{self._transform} of {getattr(self, '__name__', 'a function')}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        """A decorated function is found by its name; of another the function is kept.

        Raises ArgumentError for a function that no other process finds by its name.
        """
        f = self._given[0]
        return pickled_by_name(self, f, f"{self._transform} of") or (
            Derived,
            (self._transform, self._compute, *self._given),
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Derived:
        return self  # as functions are copied

    def __copy__(self) -> Derived:
        return self


class FollowedRun:
    """One run of f with fresh leaves in place of the floating leaves of the chosen arguments."""

    def __init__(
        self, f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], positions: Sequence[int], name: str
    ) -> None:
        start = now()
        self.leaves: list[Node] = []
        self.parts: list[tuple[Any, list[Node | None]]] = []
        args = list(args)
        for p in positions:
            flat, structure = flatten(args[p])
            flat = [keep_value(admit(v)) for v in flat]  # what is recorded may be read when the caller's memory changed
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
            out.append(unflatten(structure, [None if n is None else or_zeros(cotangents.get(n), n) for n in nodes]))
        return out


def _is_variable(value: Value) -> bool:
    return isinstance(raw(value), Var)


def or_zeros(value: Any, like: Node) -> Any:
    """A derivative; where none arrived, zeros like what it belongs to."""
    if value is None:
        t = type_of(like.value)
        value = full_(shape=t.shape, value=0, dtype=t.dtype)
    return value if isinstance(value, Node) else Node.tensor(value)


@checked_call
def value_and_grad(
    f: Callable[_P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[_P, tuple[Any, Any]]:
    """The function that returns `(f(*args), gradient)`.

    The gradient ∂f/∂arg has the structure of the chosen argument (a tuple of them for several `argnums`); every
    floating leaf is differentiated, other leaves give None.  With `has_aux`, f returns `(value, aux)` and the
    result is `((value, aux), gradient)`.

    Raises DTypeError for an argument without floating leaves, GradientError if f is not scalar.

    >>> import clearprop as cl
    >>> cl.value_and_grad(lambda x: x ** 3)(2.0)
    (Tensor(8.0), Tensor(12.0))
    """
    has_aux = require_flag("value_and_grad", "has_aux", has_aux)
    return Derived("value_and_grad", _value_and_gradient, f, argnums, has_aux)


def _value_and_gradient(
    f: Callable[..., Any], argnums: int | Sequence[int], has_aux: bool, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    """The value of f (with what it returns beside it) and the gradient."""
    run = FollowedRun(f, args, kwargs, checked_argnums(argnums, len(args), "grad"), "grad")
    out, aux = split_aux(run.result, has_aux, "grad")
    if not isinstance(out, Node) or out.value.__class__ is not np.float64:
        _require_scalar(out)
    run.slice([out])
    gradients = run.gradients(sweep(run.part, {out: _one(out.value)}, run.read))
    value = run.value(out)
    if has_aux:
        value = (value, aux_values(run.leaves, aux))
    return value, gradients[0] if isinstance(argnums, int | np.integer) else tuple(gradients)


def split_aux(result: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    """What is differentiated, and what stands beside it: None without `has_aux`."""
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        what = "loss" if name == "grad" else "value"
        raise GradientError(
            f"with has_aux=True, {name} needs a function that returns two things",
            expected=f"({what}, aux)",
            got=f"{len(result)} values" if isinstance(result, tuple) else f"{type(result).__name__}",
            where=user_line(),
            try_=f"return {what}, aux; leave has_aux out for a function that returns the {what} alone",
        )
    return result


def aux_values(leaves: Sequence[Node], aux: Tree) -> Any:
    """The tree beside a value, as the caller gets it: with the history that an enclosing transform needs."""
    flat, structure = flatten(aux)
    surrounded = Slice([a for a in flat if isinstance(a, Node)], leaves).surrounded

    def value(a: Any) -> Any:
        if isinstance(a, Node):
            return a if surrounded else Node.tensor(a.value)
        return Node.tensor(a) if is_array(a) else a

    return unflatten(structure, list(map(value, flat)))


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
    dtype = type_of(raw(out)).dtype
    if is_complex(dtype):
        raise complex_error(dtype, "grad needs a real loss", "cl.real(loss) or cl.abs(loss); cl.vjp of what is complex")
    if not is_floating(dtype):
        raise DTypeError(
            "grad needs a floating loss",
            expected="float32 or float64",
            got=dtype.name,
            where=user_line(),
            try_="loss.astype(float), if it depends on the arguments smoothly at all",
        )


@checked_call
def grad(f: Callable[_P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[_P, Any]:
    """The gradient ∂f/∂arg of a scalar function, as a function of the same arguments.

    See `value_and_grad`; with `has_aux` the result is `(gradient, aux)`.

    >>> import clearprop as cl
    >>> cl.grad(cl.grad(cl.tanh))(0.5)
    Tensor(-0.72686198)
    """
    has_aux = require_flag("grad", "has_aux", has_aux)
    return Derived("grad", _gradient, f, argnums, has_aux)


def _gradient(
    f: Callable[..., Any], argnums: int | Sequence[int], has_aux: bool, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    value, g = _value_and_gradient(f, argnums, has_aux, args, kwargs)
    return (g, value[1]) if has_aux else g


@checked_call
def vjp(f: Callable[..., Any], *primals: Tree, has_aux: bool = False) -> tuple[Any, ...]:
    """`(out, pullback)`: the value, and the map from a cotangent of the output to those of the primals.

    `pullback(ct)` = ctᵀ·J has one entry per primal; `ct` has the structure and shapes of `out`.  With `has_aux`, f
    returns `(out, aux)` and the result is `(out, pullback, aux)`.

    >>> import clearprop as cl
    >>> out, pullback = cl.vjp(cl.sin, 0.0)
    >>> pullback(2.0)
    (Tensor(2.0),)
    """
    require_function(f, "vjp")
    has_aux = require_flag("vjp", "has_aux", has_aux)
    run = FollowedRun(f, primals, {}, range(len(primals)), "vjp")
    result, aux = split_aux(run.result, has_aux, "vjp")
    outs, structure = flatten(result)
    run.slice(outs)

    def pullback(ct: Value) -> tuple[Any, ...]:
        return tuple(run.gradients(sweep(run.part, start_cotangents(outs, structure, ct), run.read)))

    out = unflatten(structure, [run.value(o) for o in outs])
    return (out, pullback, aux_values(run.leaves, aux)) if has_aux else (out, pullback)


@checked_call
def jvp(f: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """`(out, tangent)`: the value, and J·v for the tangents v of the primals.

    With `has_aux`, f returns `(out, aux)` and the result is `(out, tangent, aux)`.

    >>> import clearprop as cl
    >>> cl.jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 0.0))
    (Tensor(6.0), Tensor(3.0))
    """
    require_function(f, "jvp")
    has_aux = require_flag("jvp", "has_aux", has_aux)
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
    run = FollowedRun(f, primals, {}, range(len(primals)), "jvp")
    result, aux = split_aux(run.result, has_aux, "jvp")
    outs, structure = flatten(result)
    run.slice(outs)
    dots = push(run.part, start_tangents(run.parts, tangents), run.read)
    out_dots = [or_zeros(dots.get(o), o) if isinstance(o, Node) else None for o in outs]
    out, tangent = unflatten(structure, [run.value(o) for o in outs]), unflatten(structure, out_dots)
    return (out, tangent, aux_values(run.leaves, aux)) if has_aux else (out, tangent)


@checked_call
def hvp(f: Callable[..., Any], primals: Any, vectors: Any) -> Any:
    """Hessian-vector product H·v of a scalar function, forward over reverse: exact, at the cost of two gradients.

    `primals` is a tuple of arguments and `vectors` a tuple like it; the result has their structure.  A single
    argument may be given without the tuple, and then so is the result.

    >>> import clearprop as cl
    >>> cl.hvp(lambda x: cl.sum(x ** 3), cl.tensor([1.0, 2.0]), cl.tensor([1.0, 1.0]))
    Tensor([6.0, 12.0])
    """
    single = not isinstance(primals, tuple)
    if not single and not isinstance(vectors, tuple | list):
        raise ArgumentError(
            "hvp takes vectors as its primals",
            expected="hvp(f, (x, ...), (v, ...)), or hvp(f, x, v)",
            got=f"{type(primals).__name__} and {type(vectors).__name__}",
            where=user_line(),
        )
    args, dots = ((primals,), (vectors,)) if single else (primals, tuple(vectors))
    _, out = jvp(grad(f, argnums=tuple(range(len(args)))), args, dots)
    return out[0] if single else out


@checked_call
def jacobian(f: Callable[_P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[_P, Any]:
    """The Jacobian: for output shape s and argument shape t an array of shape s + t, rows by reverse mode.

    Trees give trees: the output's structure outside, the argument's inside.  With `has_aux`, f returns `(out, aux)`
    and the result is `(Jacobian, aux)`.

    >>> import clearprop as cl
    >>> cl.jacobian(lambda x: x * x)(cl.tensor([1.0, 2.0]))
    Tensor([[2.0, 0.0],
            [0.0, 4.0]])
    """
    has_aux = require_flag("jacobian", "has_aux", has_aux)
    return Derived("jacobian", _jacobian, f, argnums, has_aux)


def _jacobian(
    f: Callable[..., Any], argnums: int | Sequence[int], has_aux: bool, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    positions = checked_argnums(argnums, len(args), "jacobian")

    def of_chosen(*selected: Any) -> Any:
        full = list(args)
        for p, s in zip(positions, selected, strict=True):
            full[p] = s
        return f(*full, **kwargs)

    out, pullback, *aux = vjp(of_chosen, *(args[p] for p in positions), has_aux=has_aux)
    outs, structure = flatten(out)
    rows = []
    for i, o in enumerate(outs):
        n, shape = size_of(shape_of(o)), shape_of(o)
        basis = [
            unit_vectors(n, shape, type_of(raw(o)).dtype) if j == i else zeros_like(_batch_of_zeros(n, q))
            for j, q in enumerate(outs)
        ]
        parts = over_examples(lambda *cts: pullback(unflatten(structure, list(cts))))(*basis)
        shaped = tuple(_reshape_rows(part, shape) for part in parts)
        rows.append(shaped[0] if isinstance(argnums, int | np.integer) else shaped)
    matrices = unflatten(structure, rows)
    return (matrices, *aux) if has_aux else matrices


def unit_vectors(n: Dim, shape: Shape, dtype: DTypeLike) -> Any:
    """All n unit vectors of a shape, the first axis counting them; real ones, of which a derivative is made."""
    if is_complex(np.dtype(dtype)):
        raise complex_error(np.dtype(dtype), "a matrix of derivatives has real rows and columns", "cl.vjp or cl.jvp")
    try:
        return Node.tensor(np.eye(int(n), dtype=dtype).reshape((int(n), *map(int, shape))))
    except MemoryError as problem:
        raise too_large("a matrix of derivatives", problem) from None


def _batch_of_zeros(n: Dim, like: Value) -> Any:
    t = type_of(raw(like))
    return full_(shape=(int(n), *t.shape), value=0, dtype=t.dtype)


def _reshape_rows(tree: Tree, shape: Shape) -> Any:
    flat, structure = flatten(tree)
    return unflatten(structure, [None if v is None else reshape_(v, shape=(*shape, *shape_of(v)[1:])) for v in flat])


@checked_call
def per_example_grad(
    f: Callable[..., Any], argnums: int = 0, in_axes: Sequence[int | None] = (None, 0, 0)
) -> Callable[..., Any]:
    """Gradients of every example: f is the loss of *one* example, and the result has a leading batch axis.

    >>> import clearprop as cl
    >>> cl.per_example_grad(lambda w, x: (w * x) ** 2, in_axes=(None, 0))(1.0, cl.tensor([1.0, 2.0]))
    Tensor([2.0, 8.0])
    """
    require_function(f, "per_example_grad")
    return vmap(grad(f, argnums), in_axes=in_axes)


@checked_call
def vmap(f: Callable[..., Any], in_axes: int | Sequence[Any] | None = 0) -> Callable[..., Any]:
    """The function that maps f over a batch axis of its arguments; results are stacked on axis 0.

    `in_axes` is one axis for all arguments, or one per argument; None means "the same for every example".  For a
    tree argument the axis applies to all its leaves.

    Raises ArgumentError if no argument is mapped, ShapeError if batch sizes differ.

    >>> import clearprop as cl
    >>> cl.vmap(lambda x, w: x @ w, in_axes=(0, None))(cl.tensor([[1.0, 2.0], [3.0, 4.0]]), cl.tensor([1.0, 1.0]))
    Tensor([3.0, 7.0])
    """
    return Derived("vmap", map_in_turns, f, in_axes)
