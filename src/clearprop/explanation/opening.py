"""Opening an entry: from the graph to the record."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.explanation.chain_rule import Bundle, bundles
from clearprop.explanation.formulas import used_names
from clearprop.explanation.graph import Graph
from clearprop.explanation.jacobians import Array, Local, Multilinear, shape_of
from clearprop.explanation.labels import Label, Labels, call_label, index_of
from clearprop.explanation.record import SHOWN, Check, Entry, Factor, Operand, Path, Place, Rounding, Term
from clearprop.explanation.roundoff import rounding_of
from clearprop.explanation.zero_reasons import zero_reason
from clearprop.notation import tex, text
from clearprop.notation.expressions import Expression, Name, Number, replace
from clearprop.program.types import type_of
from clearprop.program.values import Node, raw

if TYPE_CHECKING:
    from clearprop.explanation.session import Session


_LEFT_OUT = Label("…", r"\ldots")


class Opener:
    """Opens entries of one graph; the record that it makes is immutable."""

    def __init__(self, graph: Graph, labels: Labels, source: Session) -> None:
        self.graph, self.labels, self.source = graph, labels, source

    def open(self, node: Node, at: int, shown: int = SHOWN) -> Entry:
        """The level of one entry of a value."""
        level = bundles(self.graph, node, at)
        products = np.concatenate([b.product for b in level]) if level else np.zeros(0)
        total = _fsum(products)
        delta = self.graph.delta(node)
        value = total if delta is None else float(delta[at])
        chosen = _largest(products, shown)
        left = np.ones(len(products), bool)
        left[chosen] = False
        status, reason = ("value", "") if value != 0 else ("zero", zero_reason(self.graph, self.labels, node, at))
        return Entry(
            target=self.target_label(),
            place=self.place(node, at),
            value=value,
            status=status,
            reason=reason,
            terms=tuple(self._term(level, i) for i in chosen),
            rest=_fsum(products[left]),
            rest_count=int(left.sum()),
            total=total,
            rounding=rounding_of(self.graph, level, value, total, type_of(raw(node)).dtype),
            _source=Located(self.source, node, at),
        )

    def not_computed(self, node: Node, at: int, reason: str) -> Entry:
        """The record of a gradient that nobody computed."""
        nothing = Rounding(math.nan, math.nan, type_of(raw(node)).dtype.name)
        return Entry(
            self.target_label(), self.place(node, at), math.nan, "not computed", reason, (), 0.0, 0, math.nan, nothing,
            Located(self.source, node, at),
        )  # fmt: skip

    def place(self, node: Node, at: int) -> Place:
        """An entry's name, index and number."""
        return Place(self.labels.entry(node, at), index_of(shape_of(raw(node)), at), self.graph.value_at(node, at))

    def target_label(self) -> Label:
        """What is differentiated, as the numerator of ∂y/∂w₀."""
        return self.labels.target_entry()

    # -------------------------------------------------------------------------------------------- one term
    def _term(self, level: Sequence[Bundle], i: int) -> Term:
        bundle = next(b for b in level if (i := i - len(b)) < 0)
        i += len(bundle)
        node, at = bundle.node, int(bundle.end[i])
        return Term(
            consumer=self.place(node, at),
            delta=float(bundle.delta[i]),
            factors=self.factors(bundle, i),
            value=float(bundle.product[i]),
            is_last=self.graph.is_target(node),
            _open=lambda: self.open(node, at),
        )

    def factors(self, bundle: Bundle, i: int) -> tuple[Factor, ...]:
        """The local factors of one term, outermost first."""
        local = bundle.local
        if local is None:
            return ()
        inner, out = int(bundle.inner[i]), int(bundle.out[i])
        under = self.place(local.operand, inner)
        where = self.labels.line(local.app)
        if local.additive:
            return (self._passed_on(bundle, i, under, where),)
        over = self._product(local, inner, out) if isinstance(local, Multilinear) else self.place(local.node, out)
        factor = Factor(
            over, under, float(bundle.factor[i]), local.formula, self._operands(local, inner, out),
            "multiply" if isinstance(local, Multilinear) else local.primitive.name, where,
            None if local.primitive.body is None else functools.partial(self._body, local, inner, out),
        )  # fmt: skip
        return (factor,) if bundle.sums is None else (self._passed_on(bundle, i, over, where), factor)

    def _body(self, local: Local, inner: int, out: int) -> Entry:
        """The entry ∂out/∂in of a composite's body, recorded on the stored values in float64."""
        from clearprop.explanation.composite_bodies import opened_body

        return opened_body(self.labels, local, inner, out)

    def _passed_on(self, bundle: Bundle, i: int, under: Place, where: str) -> Factor:
        """The derivative of a sum with respect to one of its parts."""
        assert bundle.sums is not None
        node, ats = bundle.sums
        return Factor(self.place(node, int(ats[i])), under, 1.0, Number(1), (), "sum", where)

    def _product(self, local: Multilinear, inner: int, out: int) -> Place:
        """`mul(x₀,w₀)`: the product, inside a matrix product, that an entry takes part in."""
        other, at = local.app.inputs[1 - local.k], local.partner(inner, out)
        mine, theirs = self.labels.entry(local.operand, inner), self.labels.entry(other, at)
        label = call_label("mul", [mine, theirs] if local.k == 0 else [theirs, mine])
        value = self.graph.value_at(local.operand, inner) * self.graph.value_at(other, at)
        return Place(label or call_label("mul", [_LEFT_OUT, mine]) or Label("mul", r"\operatorname{mul}"), (), value)

    def _operands(self, local: Local, inner: int, out: int) -> tuple[Operand, ...]:
        if isinstance(local, Multilinear):
            a, b = local.primitive.operands[local.k], local.primitive.operands[1 - local.k]
            partner = local.app.inputs[1 - local.k], local.partner(inner, out)
            met: dict[str, tuple[Any, int]] = {a: (local.operand, inner), b: partner}
        else:
            met = local.values_at(out, inner)
        parts = local.parts_at(inner, out)
        found = []
        for name in used_names(local.formula):
            if name in met:
                found.append(Operand(name, self.labels.entry(*met[name]), self.graph.value_at(*met[name])))
            elif name in parts and parts[name][1] is not None:
                found.append(Operand(name, self._part_label(local, parts[name][0]), parts[name][1]))
        return tuple(found)

    def _part_label(self, local: Local, formula: Expression) -> Label:
        """The name of a part of a rule: its formula, with operands called as the user calls them."""
        values = {"y": local.node, **dict(zip(local.primitive.operands, local.app.inputs, strict=False))}
        names = {n: self.labels.whole(v) for n, v in values.items() if not local.primitive.variadic}
        shown = replace(formula, {n: Name(own) for n, own in names.items() if own})
        return Label(text(shown), tex(shown))


class Located:
    """An entry's place in the graph, kept beside the record, for what is asked of it later."""

    def __init__(self, session: Session, node: Node, at: int) -> None:
        self.session, self.node, self.position = session, node, at

    def check(self) -> Check:
        """See `Entry.check`."""
        return self.session.check(self.node, self.position)

    def paths(self, k: int) -> tuple[Path, ...]:
        """See `Entry.paths`."""
        return self.session.paths(self.node, self.position, k)

    def all_paths(self, most: int) -> tuple[Path, ...] | None:
        """See `Entry.all_paths`."""
        return self.session.all_paths(self.node, self.position, most)

    def at(self, dtype: Any) -> Entry:
        """See `Entry.at`."""
        return self.session.at(self.node, self.position, dtype)

    def native(self) -> float | None:
        """See `Entry.native`."""
        return self.session.native(self.node, self.position)

    def shown(self, k: int) -> Entry:
        """See `Entry.show`."""
        return self.session.shown(self.node, self.position, k)


def _fsum(values: Array) -> float:
    """The exactly rounded sum; not a number where the terms have no sum."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        with np.errstate(all="ignore"):
            return float(np.sum(values))


def _largest(products: Array, k: int) -> list[int]:
    """The positions of the k largest terms by magnitude, NaN first; all of them in order where there are no more."""
    if len(products) <= k:
        return list(range(len(products)))
    size = np.where(np.isnan(products), np.inf, np.abs(products))
    order = np.argpartition(-size, k - 1)[:k]
    return [int(i) for i in order[np.argsort(-size[order], kind="stable")]]
