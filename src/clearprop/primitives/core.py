"""`Primitive`: calling, typing and differentiating a declared operation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, ClearpropError, DTypeError, ShapeError, too_large, user_line
from clearprop.primitives.callables import (
    Rule,
    Zero,
    function_of_spelling,
    has_direct_rules,
    make_rule,
    map_over_batch,
    no_derivative,
    no_forward_rule,
    require_real_point,
    values_of,
    without_warnings,
)
from clearprop.primitives.registration import enter
from clearprop.program.facts import Facts
from clearprop.program.ir import STACK, Var, belongs_to_trace, builder, builder_of_now, is_array_now, rank_of, trace
from clearprop.program.operands import admit_operands, complex_operands, holds_complex, keep_operands, meaningless
from clearprop.program.types import (
    BOOL,
    FLOAT64,
    PYTHON_SCALARS,
    DType,
    Type,
    Value,
    fit_operands,
    is_complex,
    is_floating,
    promote,
    real_dtype,
    type_of,
)
from clearprop.program.values import RECORDING, Application, Node, raw, silently
from clearprop.shapes import Remedy, Signature, Size, broadcast, normalise_axes, normalise_axis, one_or_size

REGISTRY: dict[str, Primitive] = {}
"""Every primitive by name, in order of declaration."""

_NUMERIC = frozenset((np.ndarray, np.float32, np.float64, float, int, bool))  # most values, which are no variables
KINDS = ("elementwise", "reduction", "multilinear", "structural", "general")


class Primitive:
    """A declared operation.  Calling it computes on arrays, and traces or records on nodes."""

    joint = False  # whether one rule gives the cotangents of all operands: `program.operation.JointOperation`

    def __init__(
        self,
        function: Callable[..., Any],
        kind: str,
        *,
        numpy: str = "",
        numba: str = "",
        eager: Callable[..., Any] | None = None,
        tex: str = "",
        kink: Callable[..., Any] | None = None,
        signature: str = "",
        verb: str = "combine",
        remedy: Remedy | None = None,
        shape: Callable[..., Any] | None = None,
        dtype: str | Callable[..., Any] = "same",
        conditions: int = 0,
        batch: Callable[..., Any] | None = None,
        public: bool = True,
        register: bool = True,
        facts: Facts = Facts(),  # noqa: B008 - frozen, and empty
        rules: Mapping[str, Callable[..., Any] | Zero],
    ) -> None:
        self.name = function.__name__.rstrip("_")
        self.kind, self.numpy, self.numba, self.tex, self.kink = kind, numpy, numba or numpy, tex, kink
        self.function, self.public, self.batch_rule = function, public, batch
        self.public_function: Callable[..., Any] = self
        self.__doc__, self.__name__, self.__module__ = function.__doc__, self.name, function.__module__
        self.__signature__ = inspect.signature(function)
        self.facts = facts
        self.on_complex = facts.on_complex or ("differentiated" if kind in ("multilinear", "structural") else "refused")
        self.signature = Signature(signature, verb, remedy) if signature else None
        self.shape_rule, self.dtype_rule, self.conditions = shape, dtype, conditions
        self._split_parameters()
        self.rules = self._make_rules(rules)
        self.chosen = tuple(self._make_chosen(rules.get("chosen_" + o)) for o in self.operands)
        self.is_gate = facts.selects or any(c is not None for c in self.chosen)
        self.is_plain = not (self.is_gate or self.joint)
        self.is_direct = self.is_plain and has_direct_rules(self)
        self.has_rule = any(r is not None for r in self.rules)  # a composite without one is recorded as its body
        jvp = rules.get("jvp")
        self.jvp = make_rule(jvp, self.operands, [*self.params], self.name) if callable(jvp) else None
        self.body = None if numpy else function
        self.numbers = () if numpy else tuple(n for n, v in self.params.items() if type(v) is float)
        """The parameters of a body that are numbers; one that is an array is an operand of the body's operations."""
        self.reference = (
            function_of_spelling(numpy, self.operands, self.params, self.variadic) if numpy else values_of(function)
        )
        self._set_compute(eager or self.reference, arrays_only=bool(eager or numpy))
        if register:
            enter(REGISTRY, self)

    def __reduce__(self) -> str:
        return self.function.__qualname__  # pickled and copied as a function is: by its name in its module

    def _set_compute(self, compute: Callable[..., Any], *, arrays_only: bool) -> None:
        """What runs on arrays; NaN and infinities are values, which NumPy need not warn about."""
        self._compute = compute
        self._compute_quietly = silently(compute) if arrays_only else without_warnings(compute)
        self.run: Callable[..., Any] = self._run_elementwise if self.kind == "elementwise" else self._run_whole
        """The value, on arrays and Python numbers: `run(values, params)`."""

    def _split_parameters(self) -> None:
        """Operands are the positional-only parameters, or else the positional ones without default."""
        p = inspect.Parameter
        marked = any(q.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL) for q in self.__signature__.parameters.values())
        operands, params, positional, self.variadic = [], {}, [], False
        for q in self.__signature__.parameters.values():
            if q.kind is p.VAR_POSITIONAL:
                self.variadic = True
                operands.append(q.name)
            elif q.kind is p.POSITIONAL_ONLY or (
                not marked and q.kind is p.POSITIONAL_OR_KEYWORD and q.default is p.empty
            ):
                operands.append(q.name)
            else:
                params[q.name] = None if q.default is p.empty else q.default
                if q.kind is p.POSITIONAL_OR_KEYWORD:
                    positional.append(q.name)
        self.operands, self.params, self._positional = tuple(operands), params, tuple(positional)
        self._one_axis = "axis" in params and isinstance(params["axis"], int)
        self._many_axes = getattr(self.__signature__.parameters.get("axis"), "default", p.empty) is None

    def _make_rules(self, rules: Mapping[str, Any]) -> tuple[Rule | Zero | None, ...]:
        prefix = "d_" if self.kind in ("elementwise", "reduction") else "vjp_"
        known = {prefix + o for o in self.operands} | {"jvp"}
        wrong = [r for r in rules if r not in known and r.removeprefix("chosen_") not in self.operands]
        if wrong:
            raise TypeError(f"{self.name}: {self.kind} takes {', '.join(sorted(known))}, not {wrong[0]!r}")
        out: list[Rule | Zero | None] = []
        for operand in self.operands:
            rule = rules.get(prefix + operand)
            whole = rule is None or isinstance(rule, Zero)
            out.append(rule if whole else make_rule(rule, self.operands, list(self.params), self.name))  # type: ignore[arg-type]  # `whole` says it
        return tuple(out)

    def _make_chosen(self, formula: Any) -> Rule | None:
        """Of a gate: where an operand is chosen; what is left contributes nothing, whatever stands before it."""
        return None if formula is None else make_rule(formula, self.operands, list(self.params), self.name)

    @property
    def is_composite(self) -> bool:
        """Whether the primitive has a body instead of a spelling."""
        return self.body is not None

    # ------------------------------------------------------------------------------------------- calling
    def __call__(self, *args: Any, **params: Any) -> Any:
        """Apply to arrays (computes), or to nodes (traces on variables, records on tracked values)."""
        # The commonest way of all calls: one loop finds out everything, without a call of Python in it.
        if self.params or params:
            args, params = self._bind_params(args, params)
            if self.numbers and any(isinstance(params[n], (Node, np.ndarray)) for n in self.numbers):
                return self.body(*args, **params)  # type: ignore[misc]  # its operations have derivatives by these too
        traced = nodes = constants = outside = False
        values = []
        tracked: tuple[int, ...] = ()
        for k, a in enumerate(args):
            if type(a) is not float and type(a) is not int:
                if isinstance(a, Node):
                    nodes = True
                    if a.application is not None or a.requires_grad:
                        tracked += (k,)
                    else:
                        constants = True
                    a = a.value
                else:
                    outside = True
                if type(a) not in _NUMERIC and isinstance(a, (Var, Size)):
                    traced = True
            values.append(a)
        if nodes and outside:
            args, values = admit_operands(args, values)
        if traced or (STACK.builders and belongs_to_trace(values, params)):
            return self._call_traced(args, values, params, tracked)
        if not nodes:
            return self.run(values, params)
        if not tracked or not RECORDING.on:
            return self._wrap(self.run(values, params))
        if constants or outside:
            args, values = keep_operands(args, values)
        return self._record(args, values, params, tracked, self.run)

    def _bind_params(self, args: tuple[Any, ...], params: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        n = len(self.operands)
        if len(args) > n and not self.variadic:
            if len(args) - n > len(self._positional):
                raise TypeError(f"{self.name}() takes {' and '.join(self.params)} by name")
            params = dict(zip(self._positional, args[n:], strict=False)) | params
            args = args[:n]
        given, params = params, dict(self.params)
        for k, v in given.items():
            params[k] = v.item() if isinstance(v, np.generic) else v
        if len(params) > len(self.params):
            extra = next(k for k in params if k not in self.params)
            raise TypeError(f"{self.name}() has no parameter {extra!r}")
        if self._one_axis:
            params["axis"] = normalise_axis(params["axis"], rank_of(args[0]))
        elif self._many_axes:
            params["axis"] = normalise_axes(params["axis"], rank_of(args[0]))
        return args, params

    def _record(
        self,
        args: Sequence[Any],
        values: list[Value],
        params: dict[str, Any],
        tracked: tuple[int, ...],
        compute: Callable[..., Any],
    ) -> Any:
        """Compute and put an application on the tape."""
        if self.body is not None and not self.has_rule:
            return self.body(*args, **params)
        out = compute(values, params)
        if type(out) is tuple:
            app = Application(self, args, values, params, out, tracked)
            return tuple(Node.tensor(o, app if is_floating(type_of(o).dtype) else None, i) for i, o in enumerate(out))
        kind = type_of(out).dtype if type(out) in PYTHON_SCALARS else out.dtype
        recorded = kind.kind in "fc"
        return Node.tensor(out, Application(self, args, values, params, out, tracked) if recorded else None)

    def _wrap(self, out: Any) -> Any:
        return tuple(map(Node.tensor, out)) if type(out) is tuple else Node.tensor(out)

    def _call_traced(
        self, args: Sequence[Any], values: list[Value], params: dict[str, Any], tracked: tuple[int, ...]
    ) -> Any:
        b = builder_of_now()
        if self.body is not None and b.expand:
            return self.body(*args, **params)

        def emit(values: list[Value], params: dict[str, Any]) -> Any:
            out = b.emit(self, self._cast(args), params)
            if b.differentiated and not RECORDING.on:  # within `no_grad`
                out = tuple(b.emit(REGISTRY["stop_gradient"], [v], {})[0] for v in out)
            return out if len(out) > 1 else out[0]

        if tracked and RECORDING.on:
            return self._record(args, values, params, tracked, emit)
        return self._wrap(emit(values, params))

    def _cast(self, args: Sequence[Any]) -> Sequence[Any]:
        """Elementwise operands of mixed dtypes, and small integers that become floats, get an explicit `astype`."""
        # NumPy converts by itself, and kernels do not: so that both compute in one dtype, programs say it.
        if self.kind != "elementwise":
            return args
        types = [None if isinstance(a, Size) else type_of(raw(a)) for a in args]
        args = self._fit(args, [type_of(0) if t is None else t for t in types])
        strong = [t for t in types[self.conditions :] if t is not None and not t.weak]
        integers = [t.dtype for t in strong if t.dtype.kind in "biu"]
        small = self.dtype_rule == "float" and any(self.is_composite or d.itemsize < 4 for d in integers)  # not halves
        if len({t.dtype for t in strong}) < 2 and not small:
            return args
        dtype, _ = promote(strong)
        dtype = FLOAT64 if small and not is_floating(dtype) else dtype
        cast = REGISTRY["astype"]
        return [
            cast(a, dtype=dtype) if i >= self.conditions and t is not None and not t.weak and t.dtype != dtype else a
            for i, (a, t) in enumerate(zip(args, types, strict=True))
        ]

    # ------------------------------------------------------------------------------------- value and type
    def _run_whole(self, values: Sequence[Value], params: Mapping[str, Any]) -> Any:
        if self.on_complex == "refused" and not RECORDING.continued and holds_complex(values):
            raise complex_operands(self.name, list(map(type_of, values)))
        try:
            out = (self._compute if RECORDING.quiet else self._compute_quietly)(*values, **params)
            # a body may end in a Python number; only sizes and elementwise functions of numbers are weak
            return type_of(out).dtype.type(out) if type(out) in PYTHON_SCALARS and self.is_composite else out
        except (ShapeError, DTypeError):
            raise
        except (ValueError, IndexError, TypeError, AttributeError, MemoryError) as error:
            self._explain_failure(values, params, error)
            if isinstance(error, IndexError):
                raise ShapeError(f"{self.name}: {error}", expected="indices inside the axis", got=str(error)) from None
            raise

    def _run_elementwise(self, values: Sequence[Any], params: Mapping[str, Any]) -> Any:
        dtype: Any = None  # by one loop that ends early: most operations are of one floating dtype
        try:
            for x in values[self.conditions :] if self.conditions else values:
                if type(x) not in PYTHON_SCALARS:
                    if dtype is None:
                        dtype = x.dtype
                    elif x.dtype is not dtype:
                        return self._run_mixed(values, params)
                elif type(x) is complex:  # whose kind an array beside it does not show
                    return self._run_mixed(values, params)
            if dtype is None or dtype.kind != "f":
                return self._run_mixed(values, params)
            return (self._compute if RECORDING.quiet else self._compute_quietly)(*values, **params)
        except OverflowError:  # an integer too large for NumPy beside floating-point arrays
            return self._run_mixed(values, params)
        except ClearpropError:
            raise
        except (ValueError, AttributeError, TypeError, MemoryError) as error:
            self._explain_failure(values, params, error)
            if isinstance(error, TypeError):
                raise meaningless(self.name, [type_of(v) for v in values]) from None
            if type(error) is ValueError and not self.is_composite:
                raise ArgumentError(f"{self.name}: {error}", got="operands NumPy refuses", where=user_line()) from None
            raise

    def _run_mixed(self, values: Sequence[Value], params: Mapping[str, Any]) -> Any:
        """Operands of several dtypes, integers, or Python numbers alone (whose result stays weak)."""
        types = list(map(type_of, values))
        (out_type,) = self.infer(types, params)
        dtype, weak = promote(types[self.conditions :])
        values = values if weak else self._fit(values, types)
        types = list(map(type_of, values))
        if dtype.kind in self.facts.same_on and not weak:
            return values[0]
        if self.dtype_rule == "float" and not weak and not is_floating(dtype):
            dtype = FLOAT64  # of small integers NumPy would make float16
        kept = [(t.weak and not weak) or (t.dtype == dtype and not t.weak) for t in types]
        kept[: self.conditions] = [True] * self.conditions
        cast = [x if k else np.asarray(x, dtype)[()] for x, k in zip(values, kept, strict=True)]
        out = np.asarray(self._compute_quietly(*cast, **params), out_type.dtype)
        return out.item() if out_type.weak else out[()]

    def _fit(self, values: Sequence[Any], types: Sequence[Type]) -> Sequence[Any]:
        return fit_operands(self.name, values, types, self.conditions, compares=self.dtype_rule == "bool")

    def _explain_failure(self, values: Sequence[Value], params: Mapping[str, Any], problem: Exception) -> None:
        """NumPy refused: our own inference says which axis and where, and raises."""
        if isinstance(problem, MemoryError):
            raise too_large(self.name, problem) from None
        self.infer([type_of(v) for v in values], dict(params))

    def infer(self, types: Sequence[Type], params: Mapping[str, Any]) -> list[Type]:
        """The types of the outputs; raises ShapeError or DTypeError with the user's line."""
        if self.on_complex == "refused" and not RECORDING.continued and any(is_complex(t.dtype) for t in types):
            raise complex_operands(self.name, types)
        if self.kind == "elementwise":
            return [self._infer_elementwise(types, params)]
        if self.shape_rule is None and self.signature is None:
            return self._infer_body(types, params)
        return self._infer_leaf(types, params)

    def _infer_elementwise(self, types: Sequence[Type], params: Mapping[str, Any]) -> Type:
        # The shape first: of two mistakes it is the one that a user can see in the printed arrays.
        try:
            shape = broadcast(*(t.shape for t in types))
        except ValueError as error:
            shapes = " and ".join(str(t.shape) for t in types if t.shape)
            raise ShapeError(
                f"{self.name} cannot broadcast {shapes}",
                expected="axes that are equal or 1, counted from the last",
                got=str(error),
                try_="insert an axis of size 1 (expand_dims, x[:, None]) where the operands should repeat",
            ) from None
        if callable(self.dtype_rule):
            return Type(shape, np.dtype(self.dtype_rule(*types, **params)))
        dtype, weak = promote(types[self.conditions :])
        if dtype.kind in self.facts.undefined_on and not weak:
            raise meaningless(self.name, types)
        if self.dtype_rule == "bool":
            return Type(shape, BOOL, weak and not shape)
        if self.dtype_rule == "float" and not is_floating(dtype):
            return Type(shape, FLOAT64, weak or not shape)
        return Type(shape, real_dtype(dtype) if self.dtype_rule == "real" else dtype, weak and not shape)

    def _infer_leaf(self, types: Sequence[Type], params: Mapping[str, Any]) -> list[Type]:
        shape: Any
        if self.signature is not None:
            shape = self.signature.infer(self.name, self.operands, [t.shape for t in types])
        else:
            assert self.shape_rule is not None
            shape = self.shape_rule(*((list(types),) if self.variadic else types), **params)
        if isinstance(shape, list):  # several outputs: types already
            return shape
        return [Type(tuple(map(one_or_size, shape)), self._infer_dtype(types, params))]

    def _infer_dtype(self, types: Sequence[Type], params: Mapping[str, Any]) -> DType:
        rule = self.dtype_rule
        if rule not in ("same", "float"):
            return np.dtype(rule(*types, **params) if callable(rule) else rule)
        dtype, _ = promote(types[self.conditions :])
        return FLOAT64 if self.dtype_rule == "float" and not is_floating(dtype) else dtype

    def _infer_body(self, types: Sequence[Type], params: Mapping[str, Any]) -> list[Type]:
        assert self.body is not None
        outer, body = builder(), self.body
        scope = outer.scope if outer is not None else None

        def flat(*xs: Value) -> tuple[Any, ...]:
            out = body(*xs, **params)
            return out if type(out) is tuple else (out,)

        return [type_of(o) for o in trace(flat, types, scope=scope).outputs]

    # ---------------------------------------------------------------------------------------- derivatives
    def pullback(self, k: int, g: Any, y: Any, xs: Sequence[Any], params: Mapping[str, Any]) -> Any:
        """The cotangent of operand `k` from the cotangent `g` of the output; None where it is zero.

        For elementwise primitives it may still have the output's shape: the engine undoes broadcasting.
        """
        rule = self.rules[0] if self.variadic else self.rules[k]
        if self.on_complex == "value":
            require_real_point(self.name, xs)
        if isinstance(rule, Rule):
            if self.kind == "reduction":
                g, y = self.widen(g, y if "y" in rule.names else None, xs[0], params)
            if self.variadic:
                return rule.call(g, y, (xs,), params)[k]
            return rule.call(g, y, xs, params)
        if rule is None:
            others = [o for o, r in zip(self.operands, self.rules, strict=True) if r is not None]
            raise no_derivative(self.name, self.operands[k], others)
        return None

    def widen(self, g: Any, y: Any, x: Any, params: Mapping[str, Any]) -> tuple[Any, Any]:
        """Reductions: give g and y back their reduced axes, with size 1."""
        if params.get("keepdims", False) or not getattr(g, "shape", ()):
            return g, y  # a number meets every element as it is
        axes, rank = params.get("axis", (-1,)), len(x.shape)
        shape = tuple([1 if i - rank in axes else n for i, n in enumerate(x.shape)])
        if is_array_now(g) and (y is None or is_array_now(y)):
            return g.reshape(shape), y if y is None else y.reshape(shape)
        return REGISTRY["reshape"](g, shape=shape), y if y is None else REGISTRY["reshape"](y, shape=shape)

    def batched(self, params: Mapping[str, Any], vmap: Callable[..., Any]) -> Primitive:
        """The composite for a batch of examples: body and rules, each mapped over the leading axis."""
        many = object.__new__(Primitive)
        many.__dict__.update(self.__dict__)
        many.params, many._one_axis, many._many_axes = {}, False, False
        many._set_compute(map_over_batch(many, params, vmap), arrays_only=False)
        return many

    def pushforward(self, dots: Sequence[Any], y: Value, xs: Sequence[Value], params: Mapping[str, Any]) -> Any:
        """The tangent of the output from the operands' tangents (None: zero); None where it is zero."""
        # By the kind of the Jacobian: a rule of its own; linear in all operands together; or a sum over the operands.
        if self.on_complex == "value":
            require_real_point(self.name, xs)
        if self.jvp is not None:
            zeros = [_zero_like(x) if d is None else d for d, x in zip(dots, xs, strict=True)]
            return self.jvp.call(zeros, y, xs, params)
        if self.kind == "general" and any(isinstance(r, Rule) for r in self.rules):
            raise no_forward_rule(self.name)
        if self.kind == "structural" and (self.variadic or sum(r is not None for r in self.rules) > 1):
            zeros = [
                _zero_like(x) if d is None and r is not None else x if d is None else d
                for d, x, r in zip(dots, xs, self.rules * len(xs) if self.variadic else self.rules, strict=False)
            ]
            return self(*zeros, **params)
        total = None
        for k, dot in enumerate(dots):
            if dot is None:
                continue
            part = self._push_one(k, dot, y, xs, params)
            if part is not None:
                total = part if total is None else total + part
        return total

    def _push_one(self, k: int, dot: Value, y: Value, xs: Sequence[Value], params: Mapping[str, Any]) -> Any:
        rule = self.rules[k]
        if isinstance(rule, Zero):
            return None
        if not isinstance(rule, Rule):
            return self.pullback(k, dot, y, xs, params)  # raises: there is no derivative
        if self.kind == "elementwise":
            return rule.call(dot, y, xs, params)
        if self.kind == "reduction":
            _, wide = self.widen(y, y, xs[0], params)
            local = rule.call(dot, wide, xs, params)
            return REGISTRY["sum"](local, axis=params.get("axis", (-1,)), keepdims=params.get("keepdims", False))
        return self(*xs[:k], dot, *xs[k + 1 :], **params)

    def front(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the function that users call, where it prepares arguments for the primitive."""
        function.__doc__ = self.__doc__
        self.public_function = function
        return function

    def __repr__(self) -> str:
        return f"<{'composite' if self.is_composite else 'leaf'} {self.kind} primitive {self.name}>"


def _zero_like(x: Any) -> Any:
    if isinstance(x, Node):
        t = type_of(raw(x))
        return REGISTRY["full"](shape=t.shape, value=0, dtype=t.dtype)
    return np.zeros(x.shape, x.dtype)[()] if type(x) not in PYTHON_SCALARS else 0.0
