"""What was not chosen contributes nothing: the choice travels with the cotangent.

A gate (`where`, `maximum`, `max`, `clip`, `relu`, a slice, `take` …) takes some entries of its operand and leaves the
others.  The cotangent of an entry that was left is 0, and stays 0 whatever stands before it: where(x < 1, x, √x) has
derivative 1 at 0, though √x has none there.  That is no rule 0 · ∞ = 0: a cotangent that was computed as 0 still meets
∞ as NaN, as in (√x)².  So a mask goes along, True where something was chosen, until the entries are mixed: at a matrix
product, except for whole rows or columns, which are selected away; at operations that look along the masked axis.

Masks are computed only before rules that multiply, and keep size 1 on axes along which they are constant.
What several gates left together may be constant along no axis, though rows that one of them left are: such weaker masks
are remembered beside it, for the product that needs them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product, starmap, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.primitives import Rule
from clearprop.program.ir import shape_of
from clearprop.program.types import FLOAT64, Params, Value
from clearprop.program.values import Application
from clearprop.rules.elementwise import (
    add,
    astype,
    equal,
    greater,
    logical_and,
    logical_or,
    multiply,
    not_equal,
    stop_gradient,
    where,
)
from clearprop.rules.indexing import scatter_slice, take_transposed
from clearprop.rules.reductions import any as any_of
from clearprop.rules.structural import arange_, broadcast_to_, full_, reshape_
from clearprop.rules.trigonometric import sin
from clearprop.shapes import Dim, Shape, broadcast, dim_key, is_one, same, same_shape, size_of


@dataclass(frozen=True)
class Spans:
    """Ranges along one axis, counted from the end, of which everything was chosen, and nothing else was."""

    axis: int
    size: Dim
    ranges: tuple[tuple[Dim, Dim], ...]

    def joined(self, other: Spans) -> Spans | None:
        """The ranges of both, those that meet made one; None where they lie along two axes."""
        if self.axis != other.axis or dim_key(self.size) != dim_key(other.size):
            return None
        by_start = {dim_key(start): (start, stop) for start, stop in self.ranges}
        by_stop = {dim_key(stop): start for start, stop in self.ranges}
        for start, stop in other.ranges:
            begin = by_stop.pop(dim_key(start), start)
            _, end = by_start.pop(dim_key(stop), (stop, stop))
            by_start[dim_key(begin)], by_stop[dim_key(end)] = (begin, end), begin
        return replace(self, ranges=tuple(by_start.values()))

    @property
    def whole(self) -> bool:
        """Whether they are the whole axis."""
        return any(type(start) is int and start == 0 and same(stop, self.size) for start, stop in self.ranges)


class Choice:
    """Which entries were chosen: a mask that broadcasts against the value; shape and mask are found when asked for.

    `sources` are the choices that `find_shape`, `compute` and `find_weaker` look at.
    """

    __slots__ = ("_compute", "_find_shape", "_find_weaker", "_mask", "_shape", "_sources", "_weaker", "spans")

    def __init__(
        self,
        find_shape: Callable[[], Shape],
        compute: Callable[[], Any],
        *sources: Choice,
        find_weaker: Callable[[Choice], Iterable[Choice]] | None = None,
    ) -> None:
        self._find_shape, self._compute, self._sources = find_shape, compute, sources
        self._find_weaker = find_weaker
        self._shape: Shape | None = None
        self._mask: Any = None
        self._weaker: tuple[Choice, ...] | None = None
        self.spans: Spans | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the mask, known without the mask."""
        if self._shape is None:
            if self._sources:
                self._settle("_shape", lambda one: tuple(one._find_shape()))
            else:
                self._shape = tuple(self._find_shape())
        return self._shape  # type: ignore[return-value]  # set by its name

    @property
    def mask(self) -> Any:
        """True where something was chosen."""
        if self._mask is None:
            self._settle("_mask", lambda one: one._compute())
        return self._mask

    @property
    def weaker(self) -> tuple[Choice, ...]:
        """Choices that leave fewer entries, and are constant along an axis along which this one is not."""
        if self._weaker is None:
            self._settle("_weaker", _find_weaker)
        return self._weaker  # type: ignore[return-value]  # set by its name

    def _settle(self, slot: str, find: Callable[[Choice], Any]) -> None:
        """Find what a slot holds, of the sources first: in a loop, since a way may be thousands of gates long."""
        todo = [self]
        while todo:
            one = todo[-1]
            known = getattr(one, slot) is not None
            waiting = [] if known else [s for s in reversed(one._sources) if getattr(s, slot) is None]
            if waiting:
                todo += waiting
                continue
            todo.pop()
            if not known:
                setattr(one, slot, find(one))

    def constant_along(self, axis: int) -> bool:
        """Whether all entries along an axis, counted from the end, were chosen or left together."""
        return -axis > len(self.shape) or is_one(self.shape[axis])

    @property
    def is_mixed(self) -> bool:
        """Whether nothing is known of whole lines along the last two axes, as of any activation's mask."""
        shape = self.shape
        return not self._find_weaker and len(shape) > 1 and not (is_one(shape[-1]) or is_one(shape[-2]))

    def along(self, axis: int) -> Choice | None:
        """What is known of whole lines along an axis, counted from the end; None if nothing."""
        shape, found = self.shape, None
        if -axis > len(shape) or is_one(shape[axis]):
            return self
        for one in self.weaker if self._find_weaker else ():
            if one.constant_along(axis):
                found = both(found, one)
        return found

    def select(self, value: Any) -> Any:
        """The value where it was chosen, and 0 elsewhere."""
        return where(self.mask, value, 0.0)

    def close(self, cotangent: Any) -> Any:
        """A cotangent, which is 0 where nothing was chosen, without the NaN that a rule made of such a 0.

        Its derivatives are 0 there as well: that of a product may be none where the product is 0.
        """
        c = cotangent
        if isinstance(c, np.generic):
            return c if c == c else self.select(c)
        if isinstance(c, np.ndarray):
            return self.select(c) if np.isnan(c).any() else c
        return where(self.mask, c, where(equal(c, c), stop_gradient(c), 0.0))

    def __reduce__(self) -> tuple[Any, ...]:
        return _known_choice, (np.asarray(self.mask), self.weaker)


def _known_choice(mask: NDArray[Any], weaker: tuple[Choice, ...]) -> Choice:
    return Choice(lambda: mask.shape, lambda: mask, find_weaker=lambda _: weaker)


def _find_weaker(choice: Choice) -> tuple[Choice, ...]:
    """One for each set of axes along which it is constant, and along not all of which the choice itself is."""
    found: dict[tuple[int, ...], Choice | None] = {}
    for one in choice._find_weaker(choice) if choice._find_weaker else ():
        constant = tuple(axis for axis in range(-len(choice.shape), 0) if one.constant_along(axis))
        if not all(map(choice.constant_along, constant)):
            found[constant] = both(found.get(constant), one)
    return tuple(one for one in found.values() if one is not None)


def both(a: Choice | None, b: Choice | None) -> Choice | None:
    """Chosen by one gate after the other."""
    if a is None or b is None:
        return b if a is None else a
    return Choice(
        lambda: broadcast(a.shape, b.shape),
        lambda: logical_and(a.mask, b.mask),
        a,
        b,
        find_weaker=lambda _: (a, b, *a.weaker, *b.weaker),
    )


def either(a: Choice | None, b: Choice | None) -> Choice | None:
    """Chosen on one way or on another; None, which means everything, wins."""
    if a is None or b is None:
        return None
    spans = a.spans.joined(b.spans) if a.spans and b.spans else None
    if spans is not None and spans.whole:  # the parts of an array, as it was split
        return None
    found = Choice(
        lambda: broadcast(a.shape, b.shape),
        lambda: logical_or(a.mask, b.mask),
        a,
        b,
        find_weaker=lambda _: filter(None, starmap(either, product((a, *a.weaker), (b, *b.weaker)))),
    )
    found.spans = spans
    return found


def _carry(choice: Choice | None, carry: Callable[[Choice | None], Choice | None]) -> Choice | None:
    """A choice taken along one operation, and what is weaker than it beside it."""
    out = carry(choice)
    if choice is not None and out is not None and out is not choice:
        out._find_weaker = lambda _: filter(None, map(carry, (None, *choice.weaker)))
    return out


def pull_back_chosen(
    app: Application, k: int, g: Any, y: Any, xs: Sequence[Any], choice: Choice | None, *, ends: bool = False
) -> Any:
    """The cotangent of operand k, 0 where the output was not chosen; and what is chosen of the operand.

    Where the way `ends` at the operand nobody asks what was chosen of it, and None is as good.
    """
    p, params = app.primitive, app.params
    if choice is not None and p.facts.product:
        if choice.is_mixed:
            return p.pullback(k, g, y, xs, params), None
        return _through_product(app, k, g, y, xs, choice)
    c = p.pullback(k, g, y, xs, params)
    rule = p.rules[0 if p.variadic else k]
    if c is None or not isinstance(rule, Rule):
        return c, None
    if p.kind == "elementwise":
        if choice is not None and rule.names != ("g",):
            c = choice.close(c)
        if ends:
            return c, None
        after = choice if p.chosen[k] is None else both(choice, own_choice(app, k, y, xs))
        if after is None:
            return c, None
        given, own = getattr(g, "shape", ()), getattr(xs[k], "shape", ())
        if not given or (given == own if type(g) is np.ndarray else same_shape(given, own)):
            return c, after  # the operand was not repeated
        return c, _carry(after, lambda one: _shrink_mask(one, own))
    if p.kind == "reduction":
        wide = _carry(choice, lambda one: _widen_mask(one, params, xs[0]))
        if wide is not None and rule.names != ("g",):
            c = wide.close(c)
        return c, both(wide, own_choice(app, k, y, xs))
    if p.kind == "structural":
        return c, _carry(choice, lambda one: _move_mask(app, k, g, xs, one))
    if choice is not None and (apart := kept_apart(app, choice)) is not None:
        return apart.close(c), _carry(apart, lambda one: _shrink_mask(one, shape_of(xs[k])))
    return c, None


def kept_apart(app: Application, choice: Choice) -> Choice | None:
    """What was left of an output and is still apart from the rest on the way to an operand, so that it stays 0."""
    if app.primitive.facts.product:  # rows or columns that were left
        return both(choice.along(-1), choice.along(-2))
    if app.primitive.kind == "multilinear":  # sums over windows mix what was left with the rest
        return None
    if app.primitive.kind != "general":
        return choice
    axis = app.params.get("axis")  # rows that were left, of an operation within rows
    return choice.along(axis) if isinstance(axis, int) else None


def own_choice(app: Application, k: int, y: Any, xs: Sequence[Any]) -> Choice | None:
    """What a gate itself chooses of its operand, in the shape of its output, or of what a reduction takes together."""
    p = app.primitive
    chosen = p.chosen[0 if p.variadic else k]
    if chosen is None:
        return None
    if p.kind == "reduction":
        _, y = p.widen(y, y, xs[0], app.params)

    def compute() -> Any:
        return chosen.call(None, y, xs, app.params)

    if chosen.names == ("y",):
        return Choice(lambda: shape_of(y), compute)

    def find_shape() -> Shape:
        known = {"y": y, **dict(zip(p.operands, xs, strict=True))}
        return broadcast(*(shape_of(known[n]) for n in chosen.names if n in known))

    return Choice(find_shape, compute)


def _shrink_mask(choice: Choice | None, shape: Shape) -> Choice | None:
    """For an operand that was repeated: chosen where one of its copies was."""
    if choice is None:
        return None

    def repeated() -> tuple[Shape, tuple[int, ...]]:
        """The sizes of the mask on the operand's axes, and along which of them the operand was repeated."""
        kept = choice.shape[max(len(choice.shape) - len(shape), 0) :]
        own = shape[len(shape) - len(kept) :]
        return kept, tuple(i - len(kept) for i, n in enumerate(kept) if not is_one(n) and is_one(own[i]))

    def find_shape() -> Shape:
        kept, axes = repeated()
        return tuple(1 if i - len(kept) in axes else n for i, n in enumerate(kept))

    def compute() -> Any:
        kept, axes = repeated()
        axes = (*range(-len(choice.shape), -len(kept)), *axes)
        return reshape_(any_of(choice.mask, axis=axes), shape=find_shape()) if axes else choice.mask

    return Choice(find_shape, compute, choice)


def _widen_mask(choice: Choice | None, params: Params, x: Any) -> Choice | None:
    """A reduction's output was chosen: so is what it took together."""
    if choice is None or params.get("keepdims", False):
        return choice
    n = len(shape_of(x))
    axes = [a % n for a in params.get("axis", (-1,))]
    outer = [i for i in range(n) if i not in axes]
    sizes = dict(zip(outer[::-1], choice.shape[::-1], strict=False))
    wanted = tuple(sizes.get(i, 1) for i in range(n))
    return Choice(lambda: wanted, lambda: reshape_(choice.mask, shape=wanted), choice)


def _through_product(app: Application, k: int, g: Any, y: Any, xs: Sequence[Any], choice: Choice) -> Any:
    """Rows (and columns) of a product that were left: what they meet is selected away, everything else is mixed."""
    along, across = (-1, -2) if k == 0 else (-2, -1)
    lines, met = choice.along(along), choice.along(across)
    if met is not None and met is not lines:
        partner = met.select(xs[1 - k])
        xs = [xs[0], partner] if k == 0 else [partner, xs[1]]
    if lines is not None:  # of this operand's cotangent; it may serve several matrices
        own, lead = shape_of(xs[k]), shape_of(g)[:-2]
        if len(own) == 2 and lead:  # then each has one of its own, so that NaN is hidden before anything is added
            xs = [broadcast_to_(x, shape=(*lead, *own)) if i == k else x for i, x in enumerate(xs)]
        c = lines.close(app.primitive.pullback(k, g, y, xs, app.params))
        return c, _carry(lines, lambda one: _shrink_mask(one, own))
    return app.primitive.pullback(k, g, y, xs, app.params), None


def _move_mask(app: Application, k: int, g: Any, xs: Sequence[Any], choice: Choice | None) -> Choice | None:
    """The choice where the entries came from; what a slice or an index left was not chosen."""
    facts, params, shape = app.primitive.facts, app.params, shape_of(xs[k])
    if facts.mixes:
        return None  # as at a product
    if facts.view == "slice":
        return _cut(shape, shape_of(g), params["key"], choice)
    if facts.picks == "slices":
        return _take_mask(shape, shape_of(g), xs[1], params["axis"], choice)
    if facts.picks == "entries":
        return _by_rule(app, k, xs, choice or Choice(lambda: (), lambda: True), shape_of(g), shape)
    if choice is None or facts.view == "broadcast":
        return _shrink_mask(choice, shape)
    if facts.view == "reshape":
        return _reshape_mask(choice, shape_of(g), shape)
    axis = params.get("axis")
    if (
        isinstance(axis, int)
        and len(shape_of(g)) == len(shape)
        and choice.constant_along(axis % len(shape) - len(shape))
    ):
        return choice  # whole lines, between which nothing is moved
    return _by_rule(app, k, xs, choice, *_moved_sizes(app, _mask_sizes(choice, shape_of(g)), shape_of(g), shape))


def _mask_sizes(choice: Choice | None, output: Shape) -> Shape:
    """The sizes of a mask on all axes of an output."""
    given = () if choice is None else choice.shape
    return (*[1] * (len(output) - len(given)), *given)


def _reshape_mask(choice: Choice, output: Shape, operand: Shape) -> Choice:
    """Axes that reshaping left alone at the end and at the front keep their sizes; those between are one long axis.

    Axes of size 1 come and go.
    """
    sizes = _mask_sizes(choice, output)
    after, before = ([i for i, n in enumerate(shape) if not is_one(n)] for shape in (output, operand))
    pairs = list(zip(after, before, strict=False)), list(zip(after[::-1], before[::-1], strict=False))
    alone: dict[int, int] = {}  # an axis of the operand, and where it is in the output
    for side in pairs:
        for i, k in takewhile(lambda pair: dim_key(output[pair[0]]) == dim_key(operand[pair[1]]), side):
            alone.setdefault(k, i)
    middle = set(after) - set(alone.values())
    constant = all(is_one(sizes[i]) for i in middle)
    whole = tuple(output[i] if i in middle and not constant else n for i, n in enumerate(sizes))
    wanted = tuple(
        sizes[alone[k]] if k in alone else n if k in before and not constant else 1 for k, n in enumerate(operand)
    )
    return Choice(lambda: wanted, lambda: reshape_(broadcast_to_(choice.mask, shape=whole), shape=wanted), choice)


def _moved_sizes(app: Application, sizes: Shape, output: Shape, operand: Shape) -> tuple[Shape, Shape]:
    """How small marks of an output may be for its rule to move them, and the sizes that they have then.

    A move of whole axes, or along one axis, does to each line what it does to the others.
    """
    view, params, n = app.primitive.facts.view, app.params, len(operand)
    if view == "flip":
        return sizes, sizes
    if view == "permute":
        return sizes, tuple(size for _, size in sorted(zip((a % n for a in params["axes"]), sizes, strict=True)))
    axis = params.get("axis")
    if isinstance(axis, int) and len(output) == n:
        at = axis % n
        others = sizes[:at], sizes[at + 1 :]
        return (*others[0], output[at], *others[1]), (*others[0], operand[at], *others[1])
    return output, operand


def _by_rule(app: Application, k: int, xs: Sequence[Any], choice: Choice, given: Shape, wanted: Shape) -> Choice:
    """Any linear operation, by its own rule on marks of a shape where something was chosen.

    The marks of a user's operation, which may subtract, are numbers that do not cancel each other.
    """
    facts = app.primitive.facts
    marks = _marks(choice, given, alike=bool(facts.view or facts.picks))

    def compute() -> Any:
        return not_equal(app.primitive.pullback(k, marks(), None, xs, app.params), 0)

    return Choice(lambda: wanted, compute, choice)


def _cut(shape: Shape, output: Shape, key: Any, choice: Choice | None) -> Choice | None:
    """A slice: what it left was not chosen, and along axes that it took whole the choice stays as it was."""
    whole = [isinstance(k, slice) and k == slice(None) for k in key]
    only = [is_one(n) and not isinstance(k, slice) for n, k in zip(shape, key, strict=True)]
    if choice is None and all(map(operator.or_, whole, only)):
        return None  # no entry was left: of an axis of size 1 an integer takes the only one
    # whole axes, cut ones and those that an integer took are three cases, of the mask's sizes and of the marks'
    padded = _mask_sizes(choice, output)
    sizes, places = [], iter(zip(padded, output, strict=True))
    wanted = []
    for k, n, all_of_it in zip(key, shape, whole, strict=True):
        own, taken = next(places) if isinstance(k, slice) else (1, 1)
        wanted.append(own if all_of_it else n)
        if isinstance(k, slice):
            sizes.append(own if all_of_it else taken)

    marks, sources = _marks(choice, tuple(sizes)), () if choice is None else (choice,)
    found = Choice(
        lambda: tuple(wanted), lambda: greater(scatter_slice(marks(), shape=tuple(wanted), key=key), 0), *sources
    )
    if choice is None and whole.count(False) == 1:
        at = whole.index(False)
        found.spans = _span(at - len(shape), shape[at], key[at])
    return found


def _span(axis: int, size: Dim, key: Any) -> Spans | None:
    """The range that an integer or a slice of step 1 names."""
    start, stop, step = (key.start, key.stop, key.step) if isinstance(key, slice) else (key, key + 1, 1)
    return Spans(axis, size, ((start, stop),)) if step == 1 and start is not None and stop is not None else None


def _take_mask(shape: Shape, output: Shape, indices: Value, axis: int, choice: Choice | None) -> Choice | None:
    """An index array: what it did not name was not chosen."""
    k, first = len(shape_of(indices)), len(shape) + axis
    if choice is None and is_one(shape[axis]) and all(type(n) is int and n > 0 for n in shape_of(indices)):
        return None  # no entry was left: there is one alone
    padded = _mask_sizes(choice, output)
    before, after = padded[:first], padded[first + k :]
    wanted = (*before, shape[axis], *after)
    marks, sources = _marks(choice, (*before, *output[first : first + k], *after)), () if choice is None else (choice,)

    def compute() -> Any:
        return greater(take_transposed(marks(), indices, size=shape[axis], axis=axis), 0)

    return Choice(lambda: wanted, compute, *sources)


def _marks(choice: Choice | None, shape: Shape, *, alike: bool = True) -> Callable[[], Any]:
    """Numbers of a shape that are not 0 where something was chosen, for a rule to move; `alike`: ones."""

    def compute() -> Any:
        if choice is None:
            return full_(shape=shape, value=1.0, dtype=FLOAT64)
        ones = broadcast_to_(astype(choice.mask, dtype=FLOAT64), shape=shape)
        if alike:
            return ones
        places = arange_(size=size_of(shape), dtype=FLOAT64)
        return multiply(ones, reshape_(add(2.0, sin(places)), shape=shape))

    return compute
