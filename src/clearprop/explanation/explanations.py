"""What is opened: ∂target/∂value of a whole value, its entries, the terms of an entry, each the next level.

An `Entry` keeps the derivation that it was opened from, and its place there, for what is asked of it later.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clearprop.errors import DTypeError, checked_methods, printable, unknown_name, user_line
from clearprop.explanation.chain_rule import Bundle, Way, all_ways, bundles, way_value
from clearprop.explanation.derivation import Derivation
from clearprop.explanation.jacobians import Array, LocalJacobian, Multilinear, shape_of, with_nan_told
from clearprop.explanation.record import (
    SHOWN,
    Check,
    Immutable,
    Label,
    Operand,
    Place,
    Presentable,
    Printable,
    Rounding,
    flat_position,
    require_number,
)
from clearprop.explanation.search import largest_ways
from clearprop.explanation.zero_reasons import zero_reason
from clearprop.notation.expressions import Expression, Name, Number
from clearprop.notation.expressions import replace as replace_names
from clearprop.program.types import type_of
from clearprop.program.values import Node, raw


@dataclass(frozen=True, slots=True)
class Factor(Immutable):
    """A local derivative ∂out/∂in: the rule of the operation as a formula, and as a number."""

    out: Place
    under: Place
    value: float
    formula: Expression
    operands: tuple[Operand, ...]
    operation: str
    where: str
    _inside: tuple[Derivation, LocalJacobian, int, int] | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<{self.symbol} = {self.value:g}>"

    @property
    def is_composite(self) -> bool:
        """Whether the operation is made of others, and can be opened."""
        return self._inside is not None

    def body(self) -> Entry | None:
        """The same derivative inside the operation, for one that is made of others; None for the others."""
        if self._inside is None:
            return None
        derivation, local, inner, out = self._inside
        entry: Entry = derivation.open_body(derivation.labels, local, inner, out)
        return entry

    @property
    def rule(self) -> Expression:
        """The rule in the names of its operands; what a closed gate does with NaN is told where it did that."""
        names: dict[str, Expression] = {o.symbol: Name(o.label.text, o.label.tex) for o in self.operands}
        return replace_names(with_nan_told(self.formula) if math.isnan(self.value) else self.formula, names)

    @property
    def symbol(self) -> str:
        """`dReLU/dsum`."""
        return f"d{self.out.label.text}/d{self.under.label.text}"

    @property
    def symbol_tex(self) -> str:
        r"""`\frac{\partial y}{\partial x}`."""
        return rf"\frac{{\partial {self.out.label.tex}}}{{\partial {self.under.label.tex}}}"


@checked_methods
@dataclass(frozen=True, slots=True)
class Term(Immutable):
    """∂t/∂consumer times the local factors from the consumer to the entry; outermost factor first."""

    consumer: Place
    delta: float
    factors: tuple[Factor, ...]
    value: float
    is_last: bool
    _at: tuple[Derivation, Node, int] = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<term {self.value:g} through {self.consumer.label.text}>"

    def open(self) -> Entry:
        """The next level: why ∂t/∂consumer has its value."""
        return open_entry(*self._at)


@dataclass(frozen=True, slots=True)
class Path(Printable):
    """One whole path from an entry to the target: its factors, outermost first, and their product.

    >>> import clearprop as cl
    >>> w = cl.tensor([3.0, 2.0], name="w", requires_grad=True)
    >>> (path,) = cl.explain(cl.relu(w[0] * w[1]), wrt=w, index=0).paths()
    >>> print(path)
    dReLU/dmul(w₀,w₁) · dmul(w₀,w₁)/dw₀ = 1 · 2 = 2
    """

    factors: tuple[Factor, ...]
    value: float
    was_left: bool = False
    """Whether it is 0 though a factor is not finite: a gate on the way did not choose it."""


@checked_methods
@dataclass(frozen=True, slots=True)
class Entry(Presentable):
    """∂target/∂place: its value, and the terms of one level that it is the sum of.

    `value` is the gradient that the run computed.  `terms` are the largest ones, all of them where there are few, and
    `rest` is the sum of the others, so that Σ terms + rest + rounding.difference = value.  `status` is "value",
    "zero" (with its reason) or "not computed".

    >>> import clearprop as cl
    >>> entry = cl.explain(lambda w: cl.sum(w * w), 0, args=(cl.tensor([3.0, 4.0]),), index=1)
    >>> entry
    <∂y/∂w₁ = 8, 2 terms>
    >>> [term.value for term in entry.terms], entry.check().agrees
    ([4.0, 4.0], True)
    """

    target: Label
    place: Place
    value: float
    status: str
    reason: str
    terms: tuple[Term, ...]
    rest: float
    rest_count: int
    total: float
    rounding: Rounding
    _derivation: Derivation = field(repr=False, compare=False)
    _node: Node = field(repr=False, compare=False)
    _position: int = field(repr=False, compare=False)

    @property
    def symbol(self) -> str:
        """`∂y/∂w₀`."""
        return f"∂{self.target.text}/∂{self.place.label.text}"

    @property
    def symbol_tex(self) -> str:
        r"""`\frac{\partial y}{\partial w_{0}}`."""
        return rf"\frac{{\partial {self.target.tex}}}{{\partial {self.place.label.tex}}}"

    @property
    def count(self) -> int:
        """The number of terms of this level."""
        return len(self.terms) + self.rest_count

    def check(self) -> Check:
        """A numerical derivative of the same program in float64: central difference, complex step where it may.

        Where the run's dtype is too coarse to tell, the gradient beside it is the one of float64.
        """
        found = self._derivation.check(self._node, self._position)
        if found.agrees or self._derivation.is_double():
            return found
        twin, images = self._derivation.twin(np.dtype(np.float64))
        return replace(found, gradient=float(twin.graph.delta_at(images[self._node], np.array([self._position]))[0]))

    def paths(self, k: int = 5) -> tuple[Path, ...]:
        """The k whole paths with the largest products, by best-first search."""
        most = require_number("paths", "k", k)
        return self._paths(largest_ways(self._derivation.graph, self._node, self._position, most))

    def all_paths(self, most: int) -> tuple[Path, ...] | None:
        """Every whole path, in the order of the program; None if there are more than `most`."""
        found = all_ways(self._derivation.graph, self._node, self._position, require_number("all_paths", "most", most))
        return None if found is None else self._paths(found)

    def _paths(self, ways: Iterable[Way]) -> tuple[Path, ...]:
        found = []
        for way in ways:
            terms = [factors_of(self._derivation, bundle, i) for bundle, i in way]
            value, left = way_value(way, [[f.value for f in factors] for factors in terms])
            found.append(Path(tuple(itertools.chain.from_iterable(terms)), value, left))
        return tuple(found)

    def at(self, dtype: Any) -> Entry:
        """The same entry with the program evaluated in another dtype."""
        twin, images = self._derivation.twin(_evaluation_dtype(dtype))
        return open_entry(twin, images[self._node], self._position)

    def native(self) -> float | None:
        """What the run's own, compiled step computes for this entry; None where no step of a run is explained.

        The step is compiled for this, once per explanation, which may take some seconds.
        """
        return self._derivation.native(self._node, self._position)

    def show(self, k: int) -> Entry:
        """The same entry with its k largest terms."""
        return open_entry(self._derivation, self._node, self._position, require_number("show", "k", k))

    def __repr__(self) -> str:
        what = "1 term" if self.count == 1 else f"{self.count} terms"
        return f"<{self.symbol} = {self.value:g}, {what}>" if self.terms else f"<{self.symbol}: {self.status}>"


@checked_methods
@dataclass(frozen=True, slots=True)
class Explanation(Presentable):
    """∂target/∂value for one value, to be opened at any entry: `explanation[i, j]`.

    `gradient` is what the run computed, `shape` its shape.  Iteration and `len` go over all entries in order.

    >>> import clearprop as cl
    >>> x = cl.tensor([1.0, 2.0, 3.0], name="x", requires_grad=True)
    >>> explanation = cl.explain(cl.sum(x * x), wrt=x)
    >>> explanation
    <explanation of ∂y/∂x, shape (3,)>
    >>> explanation.gradient, explanation[2]
    (array([2., 4., 6.]), <∂y/∂x₂ = 6, 2 terms>)
    """

    target: Label
    name: str
    shape: tuple[int, ...]
    gradient: np.ndarray[Any, Any] = field(compare=False)
    where: str
    _derivation: Derivation = field(repr=False, compare=False)
    _node: Node = field(repr=False, compare=False)
    _missing: str = field(repr=False, compare=False)  # why the gradient was not computed
    _positions: Array | None = field(repr=False, compare=False)  # of the entries in the value, if not all of it

    def _entry(self, at: int) -> Entry:
        at = at if self._positions is None else int(self._positions.ravel()[at])
        if self._missing:
            return missing_entry(self._derivation, self._node, at, self._missing)
        return open_entry(self._derivation, self._node, at)

    def __getitem__(self, index: Any) -> Entry:
        """Open one entry.  Raises ArgumentError for an index that is out of range, and says the shape."""
        return self._entry(flat_position(index, self.shape, self.name))

    def __len__(self) -> int:
        return int(self.gradient.size)

    def __iter__(self) -> Iterator[Entry]:
        return (self._entry(at) for at in range(len(self)))

    def largest(self, k: int) -> list[Entry]:
        """The entries with the k largest gradients, in order of position."""
        size = np.abs(self.gradient.ravel())
        largest = np.argsort(-np.where(np.isnan(size), np.inf, size), kind="stable")[
            : require_number("largest", "k", k)
        ]
        return [self._entry(int(at)) for at in np.sort(largest)]

    def __repr__(self) -> str:
        return f"<explanation of ∂{self.target.text}/∂{self.name}, shape {self.shape}>"


@dataclass(frozen=True, slots=True)
class Explanations(Printable):
    """∂target/∂values for the arrays of a tree, by path: `explanations["layers[0].weight"][3, 5]`.

    >>> import clearprop as cl
    >>> model = cl.nn.mlp([2, 1], seed=0)
    >>> explanations = cl.explain(lambda m: cl.sum(m(cl.ones((1, 2)))), "m", args=(model,))
    >>> list(explanations), explanations["layers[0].bias"][0].value
    (['layers[0].weight', 'layers[0].bias'], 1.0)
    """

    target: Label
    parts: Mapping[str, Explanation]

    def __getitem__(self, path: str) -> Explanation:
        """The explanation of one array.  Raises ArgumentError for an unknown path, and names the nearest."""
        if not isinstance(path, str) or path not in self.parts:
            raise unknown_name("array", str(path), self.parts, user_line())
        return self.parts[path]

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __repr__(self) -> str:
        return f"<explanations of {self.target.text}: {', '.join(map(printable, self.parts))}>"


# ------------------------------------------------------------------------------------------------ opening a level
def open_entry(derivation: Derivation, node: Node, at: int, shown: int = SHOWN) -> Entry:
    """The level of one entry of a value, with its `shown` largest terms."""
    graph = derivation.graph
    level = bundles(graph, node, at)
    products = np.concatenate([b.product for b in level]) if level else np.zeros(0)
    total = _fsum(products)
    delta = graph.delta(node)
    value = total if delta is None else float(delta[at])
    largest = _largest_positions(products, shown)
    left = np.ones(len(products), bool)
    left[largest] = False
    return Entry(
        target=derivation.target_label(),
        place=derivation.place(node, at),
        value=value,
        status="value" if value != 0 else "zero",
        reason="" if value != 0 else zero_reason(graph, derivation.labels, node, at),
        terms=tuple(_term(derivation, level, i) for i in largest),
        rest=_fsum(products[left]),
        rest_count=int(left.sum()),
        total=total,
        rounding=derivation.rounding(level, value, total, type_of(raw(node)).dtype),
        _derivation=derivation,
        _node=node,
        _position=at,
    )


def missing_entry(derivation: Derivation, node: Node, at: int, reason: str) -> Entry:
    """The record of a gradient that nobody computed."""
    nothing = Rounding(math.nan, math.nan, type_of(raw(node)).dtype.name)
    return Entry(
        derivation.target_label(), derivation.place(node, at), math.nan, "not computed", reason, (), 0.0, 0, math.nan,
        nothing, derivation, node, at,
    )  # fmt: skip


def _term(derivation: Derivation, level: Sequence[Bundle], i: int) -> Term:
    bundle = next(b for b in level if (i := i - len(b)) < 0)
    i += len(bundle)
    node, at = bundle.node, int(bundle.end[i])
    return Term(
        consumer=derivation.place(node, at),
        delta=float(bundle.delta[i]),
        factors=factors_of(derivation, bundle, i),
        value=float(bundle.product[i]),
        is_last=derivation.graph.is_target(node),
        _at=(derivation, node, at),
    )


def factors_of(derivation: Derivation, bundle: Bundle, i: int) -> tuple[Factor, ...]:
    """The local factors of one term, outermost first."""
    local = bundle.local
    if local is None:
        return ()
    inner, out = int(bundle.inner[i]), int(bundle.out[i])
    under = derivation.place(local.operand, inner)
    where = derivation.labels.line(local.app)
    if local.additive:
        return (_sum_factor(derivation, bundle, i, under, where),)
    if isinstance(local, Multilinear):
        operation, over = "multiply", derivation.product_place(local, inner, out)
    else:
        operation, over = local.primitive.name, derivation.place(local.node, out)
    factor = Factor(
        over, under, float(bundle.factor[i]), local.formula, derivation.operands(local, inner, out),
        operation, where,
        None if local.body is None else (derivation, local, inner, out),
    )  # fmt: skip
    return (factor,) if bundle.sums is None else (_sum_factor(derivation, bundle, i, over, where), factor)


def _sum_factor(derivation: Derivation, bundle: Bundle, i: int, under: Place, where: str) -> Factor:
    """The derivative of a sum with respect to one of its parts."""
    assert bundle.sums is not None
    node, ats = bundle.sums
    return Factor(derivation.place(node, int(ats[i])), under, 1.0, Number(1), (), "sum", where)


def _evaluation_dtype(dtype: Any) -> np.dtype[Any]:
    """A dtype that a program can be evaluated in.  Raises DTypeError for others, and for what is no dtype."""
    try:
        name = str(None if dtype is None else np.dtype(dtype))
    except (TypeError, ValueError):
        name = repr(dtype)
    if name not in ("float64", "float32", "float16"):
        raise DTypeError(
            "at() evaluates in a floating dtype",
            expected="float64, float32 or float16",
            got=name,
            where=user_line(),
        )
    return np.dtype(name)


def _fsum(values: Array) -> float:
    """The exactly rounded sum; not a number where the terms have no sum."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        with np.errstate(all="ignore"):
            return float(np.sum(values))


def _largest_positions(products: Array, k: int) -> list[int]:
    """The positions of the k largest terms by magnitude, NaN first; all of them in order where there are no more."""
    if len(products) <= k:
        return list(range(len(products)))
    size = np.where(np.isnan(products), np.inf, np.abs(products))
    order = np.argpartition(-size, k - 1)[:k]
    return [int(i) for i in order[np.argsort(-size[order], kind="stable")]]


def explanation_of(
    derivation: Derivation, node: Node, missing: str = "", name: str = "", positions: Array | None = None
) -> Explanation:
    """The explanation of one value, or of its entries at some positions, under a name of their own.

    `missing` says why the gradient was not computed.
    """
    shape = shape_of(raw(node)) if positions is None else positions.shape
    found = derivation.graph.delta(node)
    whole = np.zeros(shape_of(raw(node))).ravel() if found is None else found
    gradient = np.array(whole if positions is None else whole[positions.ravel()]).reshape(shape)
    if missing:
        gradient = np.full(shape, np.nan)
    gradient.flags.writeable = False
    application = derivation.graph.target.application
    return Explanation(
        derivation.target_label(),
        printable(name) or derivation.labels.whole(node),
        shape,
        gradient,
        printable(derivation.given.origin or (application.where if application is not None else "")),
        derivation,
        node,
        missing,
        positions,
    )
