"""A function of a tree as a function of one vector: evaluated through compiled programs, and counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.autodiff.batching import over_examples
from clearprop.autodiff.transforms import hvp, jacobian, jvp, value_and_grad
from clearprop.autodiff.trees import as_leaf_value, flatten
from clearprop.compiler import Compiled, warn_user
from clearprop.errors import ArgumentError, TraceError, checked_methods, unknown_name, user_line
from clearprop.optim.transform import ParameterView
from clearprop.program.values import raw

Vector: TypeAlias = NDArray[Any]

NATIVE_SIZE = 50_000
"""Numbers read per evaluation from which native code pays for its compilation (0.1 to 2 s); measured."""
EXECUTORS = ("eager", "numpy", "numba")


@checked_methods
@dataclasses.dataclass(frozen=True)
class Evaluations:
    """How often what was computed: a gradient or Jacobian comes with its value, and both are counted.

    values           of the function
    gradients        of the function
    hessian_vectors  products of the Hessian with a vector
    jacobians        of residuals

    >>> import clearprop as cl
    >>> cl.optim.Evaluations(values=3, gradients=3, hessian_vectors=2).cost
    7
    """

    values: int = 0
    gradients: int = 0
    hessian_vectors: int = 0
    jacobians: int = 0

    def more(self, **counts: int) -> Evaluations:
        """The counts with these added."""
        return dataclasses.replace(self, **{k: getattr(self, k) + n for k, n in counts.items()})

    @property
    def cost(self) -> int:
        """All in gradients: a Hessian-vector product costs two; a Jacobian counts as one, lone values as nothing."""
        return self.gradients + self.jacobians + 2 * self.hessian_vectors


class Point(NamedTuple):
    """A place that was evaluated."""

    x: Vector
    value: float
    gradient: Vector

    @property
    def steepness(self) -> float:
        """The largest absolute partial derivative, ‖∇f‖∞."""
        return float(np.max(np.abs(self.gradient), initial=0.0))

    @property
    def finite(self) -> bool:
        """Whether the value and every partial derivative are numbers."""
        return bool(np.isfinite(self.value) and np.all(np.isfinite(self.gradient)))


def rounding(point: Point) -> float:
    """By how much two values at the same place may differ by rounding alone."""
    return 16 * float(np.finfo(point.x.dtype).eps) * abs(point.value)


class Space:
    """The trained floating leaves of a tree, one after another in one vector of their common dtype."""

    def __init__(self, x0: Any, owner: str) -> None:
        self.view = ParameterView(x0)
        self.arrays = [np.asarray(as_leaf_value(v)) if t else v for v, t in self._pairs()]
        _require_real(self.arrays, owner)
        trained = [a for a, (_, t) in zip(self.arrays, self._pairs(), strict=True) if t]
        if not sum(a.size for a in trained):
            raise ArgumentError(
                f"{owner} has nothing to change",
                expected="x0 with at least one floating number",
                got="no floating leaf",
                where=user_line(),
                try_="x0.astype(float)",
            )
        self.shapes = [a.shape for a in trained]
        self.dtypes = [a.dtype for a in trained]
        self.dtype = np.result_type(*self.dtypes)
        self.ends = np.cumsum([a.size for a in trained]).tolist()
        self.start = self.join(trained)

    def _pairs(self) -> list[tuple[Any, bool]]:
        return list(zip(self.view.leaves, self.view.trained, strict=True))

    def join(self, leaves: Sequence[Any]) -> Vector:
        """Leaves as one vector (a copy)."""
        return np.concatenate([np.asarray(raw(v), self.dtype).ravel() for v in leaves])

    def split(self, vector: Vector) -> list[Vector]:
        """The leaves of a vector, as views where the dtype allows."""
        parts = np.split(vector, self.ends[:-1])
        return [p.reshape(s).astype(d, copy=False) for p, s, d in zip(parts, self.shapes, self.dtypes, strict=True)]

    def build(self, leaves: Sequence[Any], others: Any = ...) -> Any:
        """The tree with these trained leaves; the rest as in x0, or `others` in their place."""
        given = iter(leaves)
        kept = self.view.leaves if others is ... else [others] * len(self.arrays)
        return self.view.build([next(given) if t else k for k, t in zip(kept, self.view.trained, strict=True)])

    def tree(self, vector: Vector) -> Any:
        """The tree whose trained leaves are this vector's numbers."""
        return self.build([part.copy() for part in self.split(vector)])

    def pick(self, tree: Any) -> list[Any]:
        """The trained leaves of a tree like x0."""
        return [v for v, t in zip(self.view.of(tree), self.view.trained, strict=True) if t]


def _require_real(arrays: Sequence[Any], owner: str) -> None:
    if any(isinstance(a, (complex, np.complexfloating)) or np.asarray(raw(a)).dtype.kind == "c" for a in arrays):
        raise ArgumentError(
            f"{owner} changes real numbers",
            expected="x0 without complex numbers",
            got="complex leaves",
            where=user_line(),
            try_="the real and the imaginary part as two leaves",
        )


class Objective:
    """The counted evaluations of a function; each is compiled when it is first asked for.

    `executor` is "eager" (operation by operation), "numpy" or "numba"; None takes native code where the function
    reads `NATIVE_SIZE` numbers or more, and NumPy's otherwise.
    """

    def __init__(self, f: Callable[..., Any], x0: Any, owner: str, executor: str | None = None) -> None:
        if executor is not None and (not isinstance(executor, str) or executor not in EXECUTORS):
            raise unknown_name("executor", str(executor), EXECUTORS, user_line())
        self.f, self.owner, self.executor = f, owner, executor
        self.space = Space(x0, owner)
        self.count = Evaluations()
        self.known: dict[str, Callable[..., Any]] = {}

    def of_leaves(self, *leaves: Any) -> Any:
        """The function on the trained leaves alone."""
        return self.f(self.space.build(leaves))

    def twice(self) -> tuple[Any, Any]:
        """Two evaluations at the start, uncompiled: a function that draws random numbers gives itself away."""
        self.count = self.count.more(values=2)
        first, second = (self.of_leaves(*self.space.split(self.space.start)) for _ in range(2))
        return first, second

    def point(self, x: Vector) -> Point:
        """Value and gradient."""
        self.count = self.count.more(values=1, gradients=1)
        value, *gradient = self._run("value_and_grad", self._value_and_gradient, x)
        return Point(x, float(raw(value)), self.space.join(gradient))

    def value(self, x: Vector) -> float:
        """The value alone."""
        self.count = self.count.more(values=1)
        return float(raw(self._run("value", lambda *leaves: (self.of_leaves(*leaves),), x)[0]))

    def curvature(self, x: Vector, v: Vector) -> Vector:
        """The Hessian at x times v."""
        self.count = self.count.more(hessian_vectors=1)
        return self.space.join(self._run("hvp", self._hessian_vector, x, v))

    def residuals(self, x: Vector) -> Vector:
        """The residuals as one vector."""
        self.count = self.count.more(values=1)
        (r,) = self._run("residuals", lambda *leaves: (self.of_leaves(*leaves),), x)
        return np.asarray(raw(r), self.space.dtype)

    def linearised(self, x: Vector) -> tuple[Vector, Vector]:
        """The residuals (m,) and their Jacobian (m, n)."""
        self.count = self.count.more(values=1, jacobians=1)
        r, *parts = self._run("jacobian", self._residuals_and_jacobian, x)
        r = np.asarray(raw(r), self.space.dtype)
        if x.size <= r.size:
            return r, np.asarray(raw(parts[0]), self.space.dtype).T
        return r, np.concatenate([np.asarray(raw(p), self.space.dtype).reshape(r.size, -1) for p in parts], axis=1)

    def bend(self, x: Vector, p: Vector) -> Vector:
        """The second derivative of the residuals along p: d²r(x + tp)/dt² at t = 0."""
        self.count = self.count.more(hessian_vectors=1)
        (r,) = self._run("bend", self._second_along, x, p)
        return np.asarray(raw(r), self.space.dtype)

    # ------------------------------------------------------------------------------------------ what is compiled
    def _value_and_gradient(self, *leaves: Any) -> tuple[Any, ...]:
        value, gradient = value_and_grad(self.of_leaves, argnums=tuple(range(len(leaves))))(*leaves)
        return (value, *gradient)

    def _hessian_vector(self, *both: Any) -> tuple[Any, ...]:
        n = len(both) // 2
        product: tuple[Any, ...] = hvp(self.of_leaves, both[:n], both[n:])
        return product

    def _residuals_and_jacobian(self, *leaves: Any) -> tuple[Any, ...]:
        """Column by column (forward) where there are more residuals than variables, else row by row (reverse)."""
        residuals = self.of_leaves(*leaves)
        n, m = self.space.start.size, int(residuals.shape[0])
        if n > m:
            return (residuals, *jacobian(self.of_leaves, argnums=tuple(range(len(leaves))))(*leaves))
        basis = np.split(np.eye(n, dtype=self.space.dtype), self.space.ends[:-1], axis=1)
        directions = [
            b.reshape(n, *s).astype(d) for b, s, d in zip(basis, self.space.shapes, self.space.dtypes, strict=True)
        ]
        return residuals, over_examples(lambda *v: jvp(self.of_leaves, leaves, v)[1])(*directions)

    def _second_along(self, *both: Any) -> tuple[Any, ...]:
        n = len(both) // 2

        def slope(*leaves: Any) -> Any:
            return jvp(self.of_leaves, leaves, both[n:])[1]

        return (jvp(slope, both[:n], both[n:])[1],)

    def run(self, name: str, g: Callable[..., Any], args: Sequence[Any]) -> Any:
        """g(*args) through a program that is compiled when the name is first met."""
        if name not in self.known:
            self.known[name] = self._compiled(g, args)
        return self.known[name](*args)

    def _run(self, name: str, g: Callable[..., Any], *vectors: Vector) -> Any:
        return self.run(name, g, [leaf for v in vectors for leaf in self.space.split(v)])

    def _compiled(self, g: Callable[..., Any], args: Sequence[Any]) -> Callable[..., Any]:
        if self.executor == "eager":
            return g
        try:
            if self.executor is not None:
                return self._lowered(g, args, self.executor)[0]
            fast, size = self._lowered(g, args, "numpy")
            return self._lowered(g, args, None)[0] if size >= NATIVE_SIZE else fast
        except TraceError as error:
            text = f"{self.owner} runs the function uncompiled: {error.headline}\n{error.where}"
            warn_user(text)
            self.executor = "eager"
            return g

    def _lowered(
        self, g: Callable[..., Any], args: Sequence[Any], executor: str | None
    ) -> tuple[Compiled[..., Any], int]:
        """The compiled function, and how many numbers it reads."""
        compiled = Compiled(_with_name(g, getattr(self.f, "__name__", "f")), (), (), executor)
        known = compiled.lower(*args)
        known.captures.freeze()
        return compiled, sum(np.size(raw(v)) for v in [*flatten(tuple(args))[0], *known.lowered.captured])


def _with_name(g: Callable[..., Any], name: str) -> Callable[..., Any]:
    def function(*args: Any) -> Any:
        return g(*args)

    function.__name__ = name if name.isidentifier() else "f"
    return function
