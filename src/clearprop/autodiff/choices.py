"""What was not chosen contributes nothing: the choice travels with the cotangent.

A gate (`where`, `maximum`, `max`, `clip`, `relu`, a slice, `take` …) takes some entries of its operand and leaves the
others.  The cotangent of an entry that was left is 0, and stays 0 whatever stands before it: where(x < 1, x, √x) has
derivative 1 at 0, though √x has none there.  That is no rule 0 · ∞ = 0: a cotangent that was computed as 0 still meets
∞ as NaN, as in (√x)².  So a mask goes along, True where something was chosen, until the entries are mixed: at a matrix
product, except for whole rows or columns, which are selected away; at operations that look along the masked axis.

Masks are computed only where a rule could make a NaN of them, and keep size 1 on axes along which they are constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.primitives import Rule
from clearprop.program.tracing import shape_of
from clearprop.program.types import FLOAT64, Params, Value
from clearprop.program.values import Application
from clearprop.rules.elementwise import astype, equal, greater, logical_and, logical_or, where
from clearprop.rules.indexing import scatter_slice, take_transposed
from clearprop.rules.reductions import any as any_of
from clearprop.rules.structural import broadcast_to_, full_, reshape_
from clearprop.shapes import Shape, broadcast, is_one, same_shape


class Choice:
    """Which entries were chosen: a mask that broadcasts against the value; shape and mask are found when asked for.

    `sources` are the choices that `find_shape` and `compute` look at.
    """

    __slots__ = ("_compute", "_find_shape", "_mask", "_shape", "_sources")

    def __init__(self, find_shape: Callable[[], Shape], compute: Callable[[], Any], *sources: Choice) -> None:
        self._find_shape, self._compute, self._sources = find_shape, compute, sources
        self._shape: Shape | None = None
        self._mask: Any = None

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

    def __reduce__(self) -> tuple[Any, ...]:
        return _known_choice, (np.asarray(self.mask),)

    def constant_along(self, axis: int) -> bool:
        """Whether all entries along an axis, counted from the end, were chosen or left together."""
        return -axis > len(self.shape) or is_one(self.shape[axis])

    def select(self, value: Value) -> Any:
        """The value where it was chosen, and 0 elsewhere."""
        return where(self.mask, value, 0.0)

    def hide_nan(self, cotangent: Any) -> Any:
        """A cotangent, which is 0 where nothing was chosen, without the NaN that a rule made of such a 0."""
        if isinstance(cotangent, np.generic):
            nan = bool(cotangent != cotangent)
        else:
            nan = not isinstance(cotangent, np.ndarray) or bool(np.isnan(cotangent).any())
        return where(logical_or(equal(cotangent, cotangent), self.mask), cotangent, 0.0) if nan else cotangent


def _known_choice(mask: NDArray[Any]) -> Choice:
    return Choice(lambda: mask.shape, lambda: mask)


def both(a: Choice | None, b: Choice | None) -> Choice | None:
    """Chosen by one gate after the other."""
    if a is None or b is None:
        return b if a is None else a
    return Choice(lambda: broadcast(a.shape, b.shape), lambda: logical_and(a.mask, b.mask), a, b)


def either(a: Choice | None, b: Choice | None) -> Choice | None:
    """Chosen on one way or on another; None, which means everything, wins."""
    if a is None or b is None:
        return None
    return Choice(lambda: broadcast(a.shape, b.shape), lambda: logical_or(a.mask, b.mask), a, b)


def pull_back_chosen(app: Application, k: int, g: Any, y: Any, xs: Sequence[Any], choice: Choice | None) -> Any:
    """The cotangent of operand k, 0 where the output was not chosen; and what is chosen of the operand."""
    p, params = app.primitive, app.params
    if choice is not None and p.facts.product:
        return _through_product(app, k, g, y, xs, choice)
    c = p.pullback(k, g, y, xs, params)
    rule = p.rules[0 if p.variadic else k]
    if c is None or not isinstance(rule, Rule):
        return c, None
    if p.kind == "elementwise":
        if choice is not None and rule.names != ("g",):
            c = choice.hide_nan(c)
        after = choice if p.chosen[k] is None else both(choice, own_choice(app, k, y, xs))
        if after is None:
            return c, None
        given, own = getattr(g, "shape", ()), getattr(xs[k], "shape", ())
        if not given or (given == own if type(g) is np.ndarray else same_shape(given, own)):
            return c, after  # the operand was not repeated
        return c, _shrink_mask(after, own)
    if p.kind == "reduction":
        wide = _widen_mask(choice, params, xs[0])
        if wide is not None and rule.names != ("g",):
            c = wide.hide_nan(c)
        return c, both(wide, own_choice(app, k, y, xs))
    if p.kind == "structural":
        return c, _move_mask(app, k, g, xs, choice)
    if choice is not None and keeps_apart(app, choice):
        return choice.hide_nan(c), _shrink_mask(choice, shape_of(xs[k]))
    return c, None


def keeps_apart(app: Application, choice: Choice) -> bool:
    """Whether what was left of an output is still apart from the rest on the way to an operand, and so stays 0."""
    if app.primitive.facts.product:  # rows or columns that were left
        return choice.constant_along(-1) or choice.constant_along(-2)
    if app.primitive.kind == "multilinear":  # sums over windows mix what was left with the rest
        return False
    axis = app.params.get("axis")  # rows that were left, of an operation within rows
    return app.primitive.kind != "general" or (isinstance(axis, int) and choice.constant_along(axis))


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
    if choice.constant_along(along):  # whole rows of this operand's cotangent; it may serve several matrices
        own, lead = shape_of(xs[k]), shape_of(g)[:-2]
        if len(own) == 2 and lead:  # then each has one of its own, so that NaN is hidden before anything is added
            xs = [broadcast_to_(x, shape=(*lead, *own)) if i == k else x for i, x in enumerate(xs)]
        c = choice.hide_nan(app.primitive.pullback(k, g, y, xs, app.params))
        return c, _shrink_mask(choice, own)
    if choice.constant_along(across):
        partner = choice.select(xs[1 - k])
        xs = [xs[0], partner] if k == 0 else [partner, xs[1]]
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
        return _everywhere(app, k, g, xs, choice or Choice(lambda: (), lambda: True), shape)
    if choice is None or facts.view == "broadcast":
        return _shrink_mask(choice, shape)
    if facts.view == "reshape":
        lead = _shared_lead(choice.shape, shape_of(g), shape)
        if lead is not None:
            wanted = (*lead, *[1] * (len(shape) - len(lead)))
            return Choice(lambda: wanted, lambda: reshape_(choice.mask, shape=wanted), choice)
    return _everywhere(app, k, g, xs, choice, shape)


def _shared_lead(mask: Shape, output: Shape, operand: Shape) -> Shape | None:
    """The leading sizes of a mask over rows, if reshaping left the rows alone."""
    padded = (*[1] * (len(output) - len(mask)), *mask)
    rows = max((i + 1 for i, n in enumerate(padded) if not is_one(n)), default=0)
    return padded[:rows] if same_shape(output[:rows], operand[:rows]) and rows <= len(operand) else None


def _everywhere(app: Application, k: int, g: Any, xs: Sequence[Any], choice: Choice, shape: Shape) -> Choice:
    """Any move of entries, by its own rule on ones where something was chosen."""

    def compute() -> Any:
        marks = _marks(choice, shape_of(g))()
        return greater(app.primitive.pullback(k, marks, None, xs, app.params), 0)

    return Choice(lambda: shape, compute, choice)


def _cut(shape: Shape, output: Shape, key: Any, choice: Choice | None) -> Choice | None:
    """A slice: what it left was not chosen, and along axes that it took whole the choice stays as it was."""
    whole = [isinstance(k, slice) and k == slice(None) for k in key]
    if all(whole) and choice is None:
        return None
    given = () if choice is None else choice.shape
    padded = (*[1] * (len(output) - len(given)), *given)
    sizes, places = [], iter(zip(padded, output, strict=True))
    wanted = []
    for k, n, all_of_it in zip(key, shape, whole, strict=True):
        own, taken = next(places) if isinstance(k, slice) else (1, 1)
        wanted.append(own if all_of_it else n)
        if isinstance(k, slice):
            sizes.append(own if all_of_it else taken)

    marks, sources = _marks(choice, tuple(sizes)), () if choice is None else (choice,)
    return Choice(
        lambda: tuple(wanted), lambda: greater(scatter_slice(marks(), shape=tuple(wanted), key=key), 0), *sources
    )


def _take_mask(shape: Shape, output: Shape, indices: Value, axis: int, choice: Choice | None) -> Choice:
    """An index array: what it did not name was not chosen."""
    k, first = len(shape_of(indices)), len(shape) + axis
    given = () if choice is None else choice.shape
    padded = (*[1] * (len(output) - len(given)), *given)
    before, after = padded[:first], padded[first + k :]
    wanted = (*before, shape[axis], *after)
    marks, sources = _marks(choice, (*before, *output[first : first + k], *after)), () if choice is None else (choice,)

    def compute() -> Any:
        return greater(take_transposed(marks(), indices, size=shape[axis], axis=axis), 0)

    return Choice(lambda: wanted, compute, *sources)


def _marks(choice: Choice | None, shape: Shape) -> Callable[[], Any]:
    """Ones of a shape where something was chosen, as numbers that a rule can move."""
    if choice is None:
        return lambda: full_(shape=shape, value=1.0, dtype=FLOAT64)
    return lambda: broadcast_to_(astype(choice.mask, dtype=FLOAT64), shape=shape)
