"""Sizes that are known only when a compiled step runs, and the shapes that are made of them.

A shape is a tuple whose entries are integers, or `Size`s while a program is traced for many sizes at once.
A `Size` is a polynomial in the sizes of the inputs' axes.  Arithmetic keeps it symbolic; whatever needs the
number (`int(n)`, `range(n)`, `n > 3`) uses the one seen while tracing and records a *guard*, so that a
program is never run for sizes it was not made for.  An axis of size 1 is always the integer 1.

Shapes meet by broadcasting; axes are counted from the end.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from clearprop.errors import ShapeError, TraceError, user_line

Shape = tuple[Any, ...]
"""A tuple of integers and `Size`s."""


class Symbol:
    """The size of one input axis.  Axes that must agree are merged (union–find)."""

    __slots__ = ("hint", "label", "made", "merged", "scope")

    def __init__(self, hint: int, scope: Scope, made: tuple[str, Any, Any] | None = None) -> None:
        self.hint, self.scope, self.made = hint, scope, made
        self.label = f"n{len(scope.symbols)}" if made is None else f"({made[1]} // {made[2]})"
        self.merged: Symbol | int | None = None
        scope.symbols.append(self)

    def root(self) -> Symbol | int:
        """The representative of this axis's class: a symbol, or the number it was found to equal."""
        node: Symbol | int = self
        while isinstance(node, Symbol) and node.merged is not None:
            node = node.merged
        return node


class Scope:
    """The symbols and guards of one trace."""

    def __init__(self) -> None:
        self.symbols: list[Symbol] = []
        self.merges = 0  # how often two of them were found to agree
        self.guards: list[tuple[str, Any, Any, bool]] = []

    def new(self, hint: int, made: tuple[str, Any, Any] | None = None) -> Size:
        """A size that is `hint` now and may differ in the next call."""
        return Size({(Symbol(hint, self, made),): 1}, self)

    def bind(self, pairs: Iterable[tuple[Any, Any]]) -> dict[Symbol, Any]:
        """Numbers for the symbols, from `(axis of an input's type, its size)` pairs.

        A computed size, such as `2*n0*n1`, tells of no symbol: each of its symbols is the size of an axis as well.
        """
        found: dict[Symbol, Any] = {}
        for dim, number in pairs:
            symbol = lone_symbol(dim)
            if symbol is not None:
                found[symbol] = number
                root = symbol.root()
                if isinstance(root, Symbol):
                    found.setdefault(root, number)
        return found

    def holds(self, env: dict[Symbol, Any]) -> bool:
        """Whether the program traced here is valid for these sizes: merged axes agree, guards repeat."""
        for symbol, number in list(env.items()):
            root = symbol.root()
            if number == 1 or (root if isinstance(root, int) else env[root]) != number:
                return False
        compare = {"==": operator.eq, "<": operator.lt, "<=": operator.le}
        return all(
            compare[kind](evaluate_size(a, env), evaluate_size(b, env)) is seen for kind, a, b, seen in self.guards
        )


class Size:
    """A polynomial with integer coefficients in the sizes of input axes, e.g. `2*n0*n1 + 1`."""

    __slots__ = ("_canonical", "_key", "_merges", "scope", "terms")
    as_value: ClassVar[Callable[[Size], Any]]  # set where traced values are made: a size used as a number

    def __init__(self, terms: Mapping[tuple[Symbol, ...], int], scope: Scope) -> None:
        self.terms, self.scope = terms, scope
        self._merges = -1  # at how many merges the following were true
        self._canonical: Size | int = 0
        self._key: Any = None

    @property
    def hint(self) -> int:
        """The number seen while tracing."""
        return sum(c * functools.reduce(operator.mul, (s.hint for s in m), 1) for m, c in self.terms.items())

    def canonical(self) -> Size | int:
        """The same polynomial over representatives; an integer when nothing symbolic is left."""
        if self._merges != self.scope.merges:
            self._merges, self._canonical, self._key = self.scope.merges, self._over_representatives(), None
        return self._canonical

    def _over_representatives(self) -> Size | int:
        out: dict[tuple[Symbol, ...], int] = {}
        for monomial, coefficient in self.terms.items():
            symbols: list[Symbol] = []
            for s in monomial:
                root = s.root()
                if isinstance(root, int):
                    coefficient *= root
                else:
                    symbols.append(root)
            key = tuple(sorted(symbols, key=lambda s: s.label))
            out[key] = out.get(key, 0) + coefficient
        out = {m: c for m, c in out.items() if c}
        if not out or set(out) == {()}:
            return out.get((), 0)
        made = Size(out, self.scope)
        made._merges, made._canonical = self.scope.merges, made
        return made

    def key(self) -> Any:
        """Hashable identity of the polynomial."""
        c = self.canonical()
        if isinstance(c, int):
            return c
        if self._key is None:
            self._key = frozenset((tuple(s.label for s in m), k) for m, k in c.terms.items())
        return self._key

    def _map(self, other: Any, product: bool) -> Any:
        if not isinstance(other, (int, Size)) or isinstance(other, bool):
            return NotImplemented
        if product and type(other) is int and other == 1:
            return self.canonical()
        others = other.terms if isinstance(other, Size) else {(): other}
        out: dict[tuple[Symbol, ...], int] = {} if product else dict(self.terms)
        if product:
            for (m, a), (n, b) in itertools.product(self.terms.items(), others.items()):
                out[m + n] = out.get(m + n, 0) + a * b
        else:
            for n, b in others.items():
                out[n] = out.get(n, 0) + b
        return Size(out, self.scope).canonical()

    def __add__(self, other: Any) -> Any:
        return self._or_value(self._map(other, False), other, operator.add)

    def __mul__(self, other: Any) -> Any:
        return self._or_value(self._map(other, True), other, operator.mul)

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, (int, Size)):
            return self._map(-other, False)
        return self._or_value(NotImplemented, other, operator.sub)

    def __neg__(self) -> Any:
        return self._map(-1, True)

    def __rsub__(self, other: Any) -> Any:
        if isinstance(other, int):
            return (-self) + other
        return self._or_value(NotImplemented, other, lambda a, b: b - a)

    __radd__, __rmul__ = __add__, __mul__

    def __truediv__(self, other: Any) -> Any:
        return self._or_value(NotImplemented, other, operator.truediv)

    def __rtruediv__(self, other: Any) -> Any:
        return self._or_value(NotImplemented, other, lambda a, b: b / a)

    def __rpow__(self, other: Any) -> Any:
        return self._or_value(NotImplemented, other, lambda a, b: b**a)

    def __pow__(self, other: Any) -> Any:
        if type(other) is int and 0 <= other <= 8:  # a polynomial still
            return functools.reduce(operator.mul, [self] * other, 1)
        return Size.as_value(self) ** (Size.as_value(other) if isinstance(other, Size) else other)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's functions and operators: a size beside arrays is a traced number, beside NumPy's integers a size."""
        plain = [v.item() if type(v).__module__ == "numpy" and getattr(v, "ndim", 1) == 0 else v for v in inputs]
        same = _OPERATORS.get(ufunc.__name__)
        if same is not None and method == "__call__" and all(isinstance(v, (int, Size)) for v in plain):
            return same(*plain)
        traced = [Size.as_value(v) if isinstance(v, Size) else v for v in inputs]
        return getattr(ufunc, method)(*traced, **options)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TraceError(
            f"an array cannot hold the size {self}, which is known only when the program runs",
            expected="arithmetic with the size itself, or its number",
            got="a size inside an array or a list for NumPy",
            where=user_line(),
            try_="math.prod(x.shape) in place of np.prod(x.shape); int(x.shape[0]) makes a program for every size",
        )

    def __floordiv__(self, other: Any) -> Any:
        quotient = divide(self, other)
        if quotient is not None:
            return quotient
        hint = self.hint // (other.hint if isinstance(other, Size) else other)
        return self.scope.new(hint, ("//", self, other))

    def __rfloordiv__(self, other: int) -> Any:
        return self.scope.new(other // self.hint, ("//", other, self))

    def __mod__(self, other: Any) -> Any:
        return self - (self // other) * other

    def _or_value(self, result: Any, other: Any, op: Callable[[Any, Any], Any]) -> Any:
        """Arithmetic with a float or an array makes a traced number of the size."""
        if result is not NotImplemented:
            return result
        if isinstance(other, (float, int, Size)):
            return op(Size.as_value(self), Size.as_value(other) if isinstance(other, Size) else other)
        return NotImplemented

    def _compare(self, kind: str, other: Any) -> Any:
        a, b = self.canonical(), other.canonical() if isinstance(other, Size) else other
        if not isinstance(b, (int, float, Size)):
            return NotImplemented
        if kind == "==" and b == 1 and type(b) is int and lone_symbol(a) is not None:
            return False  # an axis of size 1 is an integer, so a symbolic axis has another size
        number = tuple(x.hint if isinstance(x, Size) else x for x in (a, b))
        seen = {"==": operator.eq, "<": operator.lt, "<=": operator.le}[kind](*number)
        if not (kind == "==" and dim_key(a) == dim_key(b)):
            self.scope.guards.append((kind, a, b, seen))
        return bool(seen)

    def _differ(self, kind: str, other: Any) -> Any:
        """The opposite of a comparison."""
        seen = self._compare(kind, other)
        return seen if seen is NotImplemented else not seen

    def __eq__(self, other: object) -> Any:
        return self._compare("==", other)

    def __ne__(self, other: object) -> Any:
        return self._differ("==", other)

    def __lt__(self, other: Any) -> Any:
        return self._compare("<", other)

    def __le__(self, other: Any) -> Any:
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> Any:
        return self._differ("<=", other)

    def __ge__(self, other: Any) -> Any:
        return self._differ("<", other)

    def __int__(self) -> int:
        number = self.hint
        self._compare("==", number)
        return number

    __index__ = __int__

    def __float__(self) -> float:
        return float(int(self))

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        c = self.canonical()
        if isinstance(c, int):
            return str(c)
        parts = []
        for m, k in sorted(c.terms.items(), key=lambda t: (-len(t[0]), [s.label for s in t[0]])):
            names = "*".join(s.label for s in m)
            parts.append(str(k) if not m else names if k == 1 else f"{k}*{names}")
        return " + ".join(parts).replace("+ -", "- ")


_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "floor_divide": operator.floordiv,
    "remainder": operator.mod, "negative": operator.neg, "equal": operator.eq, "not_equal": operator.ne,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
}  # fmt: skip

Dim: TypeAlias = int | Size
"""The size of one axis."""


def dim_key(dim: Any) -> Any:
    """Hashable identity of an axis's size."""
    return dim.key() if isinstance(dim, Size) else dim


def same_shape(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two shapes are known to be equal; asks, and assumes nothing."""
    return len(a) == len(b) and all(
        x == y if type(x) is int and type(y) is int else dim_key(x) == dim_key(y) for x, y in zip(a, b, strict=True)
    )


def hint(dim: Any) -> int:
    """The number of a size: itself, or the one seen while tracing."""
    return dim.hint if isinstance(dim, Size) else int(dim)


def evaluate_size(dim: Any, env: Mapping[Symbol, Any]) -> Any:
    """The size with other sizes (numbers, as a rule) put in for the symbols."""
    if not isinstance(dim, Size):
        return dim
    total: Any = 0
    for symbols, number in dim.terms.items():
        product: Any = number
        for symbol in symbols:
            product = product * _number(symbol, env)
        total = total + product
    return total


def _number(symbol: Symbol, env: Mapping[Symbol, Any]) -> Any:
    root = symbol.root()
    if isinstance(root, int):
        return root
    if root.made is not None and root not in env:
        _, a, b = root.made
        return evaluate_size(a, env) // evaluate_size(b, env)
    return env[root]


def same(a: Any, b: Any) -> bool:
    """Whether two axes agree.  Symbolic axes that do are merged: from here on they are one size."""
    # Asked while tracing, "no" must hold for the numbers of this call; "yes" must hold for every call, so it is
    # written down: as a merge where one side is a symbol alone, else as a guard.
    if not isinstance(a, Size) and not isinstance(b, Size):
        return bool(a == b)
    if a is b or dim_key(a) == dim_key(b):
        return True
    if hint(a) != hint(b):
        return False
    a, b = (x.canonical() if isinstance(x, Size) else x for x in (a, b))
    for one, other in ((b, a), (a, b)):
        symbol = lone_symbol(one)
        if symbol is not None and symbol.made is None:
            target = other if isinstance(other, int) else lone_symbol(other)
            if target is not None:
                symbol.merged = target
                symbol.scope.merges += 1
                return True
    (a if isinstance(a, Size) else b).scope.guards.append(("==", a, b, True))
    return True


def shapes_agree(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two shapes are one, axis by axis as `same` has it: symbolic axes that agree are merged."""
    return len(a) == len(b) and all(map(same, a, b))


def lone_symbol(dim: Any) -> Symbol | None:
    """The symbol of a size that is one symbol alone."""
    if isinstance(dim, Size) and list(dim.terms.values()) == [1]:
        (monomial,) = dim.terms
        return monomial[0] if len(monomial) == 1 else None
    return None


def is_one(dim: Any) -> bool:
    """Whether an axis has size 1; symbolic axes never do."""
    return isinstance(dim, int) and dim == 1


def one_or_size(dim: Any) -> Any:
    """The size of a result's axis: 1 where it is 1 now, and the program is then for that alone.

    Sizes of input axes are never 1, nor are their products; what is subtracted or divided may be.
    """
    if not isinstance(dim, Size):
        return operator.index(dim)  # a traced value, which is no size, says so here
    exact = dim.canonical()
    if isinstance(exact, int) or not _may_be_one(exact):
        return exact
    seen = hint(exact) == 1
    guard = ("==", exact, 1, seen)
    if all((kind, dim_key(a), b) != ("==", exact.key(), 1) for kind, a, b, _ in exact.scope.guards):
        exact.scope.guards.append(guard)
    return 1 if seen else exact


def _may_be_one(size: Size) -> bool:
    made = any(s.made is not None for m in size.terms for s in m)
    return made or () in size.terms or min(size.terms.values()) < 0


def divide(a: Any, b: Any) -> Any:
    """The exact quotient of two sizes, or None if it is not a polynomial."""
    # The divisor must be one monomial that divides every term: then the quotient is a polynomial for all sizes.
    if isinstance(a, int) and isinstance(b, int):
        return a // b if b and a % b == 0 else None
    terms_a = a.canonical() if isinstance(a, Size) else a
    terms_b = b.canonical() if isinstance(b, Size) else b
    if isinstance(terms_a, int) or (isinstance(terms_b, Size) and len(terms_b.terms) != 1):
        return None
    monomial, coefficient = next(iter(terms_b.terms.items())) if isinstance(terms_b, Size) else ((), terms_b)
    out = {}
    for m, c in terms_a.terms.items():
        left = list(m)
        for s in monomial:
            if s not in left:
                return None
            left.remove(s)
        if coefficient == 0 or c % coefficient:
            return None
        out[tuple(left)] = c // coefficient
    return Size(out, terms_a.scope).canonical()


def as_shape(shape: Dim | Shape) -> tuple[Any, ...]:
    """A shape that may be given as one size.

    >>> as_shape(3), as_shape([2, 3])
    ((3,), (2, 3))
    """
    if isinstance(shape, (int, Size)):
        return (shape,)
    return tuple(n if isinstance(n, (int, Size)) else operator.index(n) for n in shape)  # what is traced says so here


def size_of(shape: Iterable[Any]) -> Any:
    """The number of elements of a shape: the product of its sizes."""
    return functools.reduce(operator.mul, shape, 1)


def broadcast(*shapes: Shape) -> Shape:
    """The common shape under NumPy's rules; raises ValueError naming the axis (counted from the end)."""
    out = []
    for axis, dims in enumerate(itertools.zip_longest(*(s[::-1] for s in shapes), fillvalue=1), start=1):
        common: Any = 1
        for d in dims:
            if is_one(d):
                continue
            if is_one(common):
                common = d
            elif not same(common, d):
                raise ValueError(f"axis -{axis} is {common} in one operand and {d} in another")
        out.append(common)
    return tuple(out[::-1])


def normalise_axis(axis: int, ndim: int, name: str = "axis") -> int:
    """The axis counted from the end (negative), checked against the rank."""
    if type(axis) is not int:
        axis = operator.index(axis)  # unsigned ones of NumPy have no negative values
    if not -ndim <= axis < ndim:
        raise ShapeError(
            f"{name} {axis} does not exist",
            expected=f"an axis of an array with {ndim} axes: from {-ndim} to {ndim - 1}"
            if ndim
            else "no axis: the array has none",
            got=f"{name} = {axis}",
        )
    return axis if axis < 0 else axis - ndim


def normalise_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Axes counted from the end, ascending and distinct; None means all."""
    if axis is None:
        return tuple(range(-ndim, 0))
    if type(axis) is tuple and len(axis) == 1 and type(axis[0]) is int and -ndim <= axis[0] < 0:
        return axis
    axes = tuple(axis) if isinstance(axis, Iterable) else (axis,)
    out = tuple(sorted(normalise_axis(operator.index(a), ndim) for a in axes))
    if len(set(out)) < len(out):
        raise ShapeError("an axis is named twice", expected="distinct axes", got=f"axis = {axis}")
    return out
