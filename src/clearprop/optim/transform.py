"""`Transform`: an optimizer, or a link of one, as a pure map from gradients to updates."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np

from clearprop.arrays import Tensor
from clearprop.autodiff.trees import flatten, is_array, unflatten
from clearprop.errors import ArgumentError, ClearpropError, ShapeError, checked_call, user_line
from clearprop.nn.structure import is_trained, layout
from clearprop.optim.hyperparameters import NOT_NEGATIVE, Configured, hyper
from clearprop.optim.schedules import Schedule, rate_at
from clearprop.program.ir import Var
from clearprop.program.operands import admit_real
from clearprop.program.types import type_of
from clearprop.program.values import Node, quiet, raw
from clearprop.rules.elementwise import add, astype, where
from clearprop.rules.structural import zeros_like
from clearprop.shapes import same


def operand(value: Any) -> Any:
    """What rules compute on: the array itself, or the node where it is traced or was computed from something tracked.

    A learner's leaf with `requires_grad` is a plain array here: an update is not part of the next loss's history.
    """
    if isinstance(value, Node) and value.application is None and not isinstance(value.value, Var):
        return value.value
    return value


def result(value: Any) -> Any:
    """What users get: a tensor."""
    return value if isinstance(value, Node) or value is None else Tensor(value)


def scalar_like(scalar: Any, leaf: Any) -> Any:
    """A number in the leaf's dtype, so that a float64 number does not make a float32 parameter float64."""
    scalar = operand(scalar)
    own, dtype = type_of(raw(scalar)), type_of(raw(leaf)).dtype
    return scalar if own.weak or own.dtype.kind != "f" or own.dtype == dtype else astype(scalar, dtype=dtype)


def kept_square(v: Any) -> Any:
    """A sum or average of squares as it is kept: NaN where it has overflown.

    The step is divided by its root, so it is 0 there, and would be 0 for ever without a word; so the next one is NaN,
    which training tells.  The step itself is left alone: compiled code rounds it together with what comes after it.
    """
    return where(v < np.inf, v, np.nan)


class ParameterView:
    """Parameters as leaves in order, with their paths, and which of them are trained."""

    def __init__(self, params: Any) -> None:
        leaves, self.structure = flatten(params)
        for v in leaves:
            if is_array(v):
                admit_real(v)
        self.paths, kinds = layout(self.structure)
        self.trained = [is_trained(v, k) for v, k in zip(leaves, kinds, strict=True)]
        self.leaves = list(map(operand, leaves))

    def of(self, tree: Any, what: str = "gradients") -> list[Any]:
        """The leaves of a tree built like the parameters; None where there is none."""
        try:
            return list(map(operand, self.structure.flatten_up_to(tree)))
        except ValueError:
            raise ArgumentError(
                f"the {what} have another structure than the parameters",
                expected="the leaves " + _names(self.paths),
                got="the leaves " + _names(layout(flatten(tree)[1]).paths),
                where=user_line(),
                try_=f"pass the parameters that the {what} were computed for",
            ) from None

    def gradients(self, tree: Any) -> list[Any]:
        """The gradients (or updates) of the trained leaves, as floats; None for the others.

        Raises ShapeError for another shape than the parameter's, DTypeError for what holds no real numbers.
        """
        rows = zip(self.of(tree), self.leaves, self.paths, self.trained, strict=True)
        return [_fitting(p, g, path, "gradient") if t and g is not None else None for g, p, path, t in rows]

    def build(self, leaves: list[Any]) -> Any:
        """The tree with these leaves."""
        return unflatten(self.structure, list(map(result, leaves)))

    def make(self, f: Any) -> Any:
        """The tree of f(leaf) for trained leaves, None for the others."""
        return self.build([f(p) if t else None for p, t in zip(self.leaves, self.trained, strict=True)])


def _fitting(param: Any, value: Any, path: str, what: str) -> Any:
    """A gradient or update as it may enter: nothing is broadcast, no mask left out."""
    value = admit_real(value)
    own, given = type_of(raw(param)), type_of(raw(value))
    if len(own.shape) != len(given.shape) or not all(map(same, own.shape, given.shape)):
        raise ShapeError(
            f"{'an' if what[0] == 'u' else 'a'} {what} has another shape than its parameter",
            expected=f"shape {own.shape}, as {path or 'the parameter'} has it",
            got=f"shape {given.shape}",
            where=user_line(),
            try_=f"pass the {what}s that were computed for these parameters",
        )
    return value if given.dtype.kind == "f" else astype(value, dtype=own.dtype)


def _names(paths: tuple[str, ...]) -> str:
    return ", ".join(paths[:6]) + " …" * (len(paths) > 6) if paths else "of nothing"


class Transform(Configured):
    """A pure rule: `state = init(params)`, `updates, state = update(grads, state, params, **extra)`.

    Updates are *added* to the parameters (`apply_updates`).  `needs` names what the loop must pass as keywords:
    "value" (the loss), "f" (the loss as a function of the parameters), "hvp", "residuals", "rng".  Leaves that are
    not trained (integers, state fields of modules) and those whose gradient is None get None.

    The base of all optimizers and links; one of your own defines `init` and `update`:

    >>> import clearprop as cl
    >>> class signs(cl.optim.Transform):
    ...     rate: float = 0.1
    ...
    ...     def init(self, params):
    ...         return ()
    ...
    ...     def update(self, grads, state, params, **extra):
    ...         return {path: -self.rate * cl.sign(g) for path, g in grads.items()}, state
    >>> signs(0.5).update({"w": cl.tensor(3.0)}, (), {"w": cl.tensor(1.0)})[0]
    {'w': Tensor(-0.5)}
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    full_batch: ClassVar[bool] = False  # whether the noise of mini-batches breaks the rule
    batches: ClassVar[int] = 1  # how many of them it sums for one update

    def __init_subclass__(cls, **options: Any) -> None:
        for name in ("init", *_STATE_AT):
            if name in cls.__dict__:
                setattr(cls, name, _for_its_own_state(checked_call(cls.__dict__[name], f"{cls.__name__}.{name}")))
        super().__init_subclass__(**options)

    @functools.cached_property
    def _arrays(self) -> tuple[str, ...]:
        """Its numbers that are arrays, or tensors, of no axes."""
        return tuple(n for n, v in self.settings().items() if isinstance(v, (np.ndarray, Node)))

    def init(self, params: Any) -> Any:
        """The state before the first step: a tree of arrays."""
        raise NotImplementedError

    def update(self, grads: Any, state: Any, params: Any, **extra: Any) -> tuple[Any, Any]:
        """`(updates, state)` after one step."""
        raise NotImplementedError

    def stages(self, grads: Any, state: Any, params: Any, **extra: Any) -> list[Stage]:
        """How the update came about: `(link, its state before, updates after it)`; one stage, where nothing is linked.

        It looks at numbers, so it is not for compiled functions.
        """
        return [(self, state, self.update(grads, state, params, **extra)[0])]

    def eval_params(self, state: Any, params: Any) -> Any:
        """The parameters to evaluate and to keep; those trained, unless the rule averages them."""
        return params


Stage: TypeAlias = tuple[Transform, Any, Any]
"""A link of an optimizer, its state before a step, and the updates after it."""


_STATE_AT = {"update": 1, "stages": 1, "eval_params": 0}
"""The methods that take a state, and parameters after it, with its place among their arguments."""


def _for_its_own_state(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which says so where it fails because it was given another state than its own."""

    @functools.wraps(method)
    def call(self: Transform, *args: Any, **extra: Any) -> Any:
        try:
            with quiet():  # gradients that have overflown are told by what looks for them
                return method(_beside_parameters(self, args) if self._arrays else self, *args, **extra)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            at = _STATE_AT.get(method.__name__)
            if at is not None and len(args) == at + 2 and not isinstance(error, ClearpropError):
                _require_own_state(self, args[at], args[at + 1])
            raise

    return call


def _beside_parameters(rule: Transform, args: tuple[Any, ...]) -> Transform:
    """The rule, the arrays among its numbers in the parameters' dtype: float64 beside float32 would give float64."""
    if len(args) < 3:
        return rule
    view = ParameterView(args[2])
    leaves = [p for p, t in zip(view.leaves, view.trained, strict=True) if t]
    if len({type_of(raw(p)).dtype for p in leaves}) != 1:
        return rule
    new = copy.copy(rule)
    for name in rule._arrays:
        object.__setattr__(new, name, scalar_like(getattr(rule, name), leaves[0]))
    return new


def _require_own_state(rule: Transform, state: Any, params: Any) -> None:
    wanted, got = (flatten(tree)[1] for tree in (rule.init(params), state))
    if wanted != got:
        raise ArgumentError(
            f"this is no state of {type(rule).__name__}",
            expected="what its init(params) or its last update gave",
            got=repr(state)[:200],
            where=user_line(),
            try_="state = opt.init(params)",
        )


class Leafwise(Transform):
    """A rule that treats every leaf alike: `leaf(g, p, *slots, *scalars) -> (update, *slots)`.

    `slots` name the arrays kept per parameter and `carried` the numbers kept beside the step number t = 1, 2, …;
    `scalars(t, *carried) -> (scalars, *carried)` is computed once per step.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    carried: ClassVar[tuple[str, ...]] = ()
    counts: ClassVar[bool] = False

    def first(self, slot: str, p: Any) -> Any:
        """A slot's value before the first step."""
        return zeros_like(p)

    def first_carried(self, name: str) -> float:
        """A carried number before the first step."""
        return 0.0

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """The numbers that all leaves share in step t, and the carried ones after it."""
        return ((), *carried)

    def leaf(self, g: Any, p: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule."""
        raise NotImplementedError

    def init(self, params: Any) -> dict[str, Any]:
        """The step number, if it counts, carried numbers, and a tree like the parameters for every slot."""
        view = ParameterView(params)
        state: dict[str, Any] = {"t": Tensor(np.int64(0))} if self.counts else {}
        state |= {n: Tensor(np.float64(self.first_carried(n))) for n in self.carried}
        return state | {s: view.make(lambda p, s=s: self.first(s, p)) for s in self.slots}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """Every trained leaf through the rule."""
        view, new = ParameterView(params), dict(state)
        shared: tuple[Any, ...] = ()
        if self.counts:
            new["t"] = state["t"] + 1
            shared, *carried = self.scalars(new["t"], *(state[n] for n in self.carried))
            new |= zip(self.carried, map(result, carried), strict=True)
        columns = [view.of(state[s], f"slots {s!r}") for s in self.slots]
        updates = view.gradients(grads)
        for i, (g, p) in enumerate(zip(updates, view.leaves, strict=True)):
            if g is None:
                continue
            updates[i], *kept = self.leaf(g, p, *(c[i] for c in columns), *(scalar_like(s, p) for s in shared))
            for column, value in zip(columns, kept, strict=True):
                column[i] = value
        return view.build(updates), new | {s: view.build(c) for s, c in zip(self.slots, columns, strict=True)}


class Composed(Transform):
    """Links one after another: each gets the updates of the one before."""

    @property
    def links(self) -> tuple[Transform, ...]:
        """The links, first to last."""
        raise NotImplementedError

    _arrays = ()  # which its links look at

    @functools.cached_property
    def _kept_links(self) -> tuple[Transform, ...]:
        """The links, made once: they check their hyper-parameters."""
        return self.links

    def init(self, params: Any) -> tuple[Any, ...]:
        """The links' states."""
        return tuple(link.init(params) for link in self._kept_links)

    def update(self, grads: Any, state: tuple[Any, ...], params: Any, **extra: Any) -> tuple[Any, tuple[Any, ...]]:
        """Gradients through all links."""
        updates, states = grads, []
        for link, own in zip(self._kept_links, state, strict=True):
            updates, own = link.update(updates, own, params, **extra)
            states.append(own)
        return updates, tuple(states)

    def stages(self, grads: Any, state: tuple[Any, ...], params: Any, **extra: Any) -> list[Stage]:
        """What each link made of the update, `(link, its state before, updates after it)`, nested links opened.

        >>> import clearprop as cl
        >>> opt, params = cl.optim.adamw(0.5, weight_decay=0.1, mask="all"), cl.tensor(2.0)
        >>> for link, _, updates in opt.stages(cl.tensor(3.0), opt.init(params), params):
        ...     print(type(link).__name__, updates)
        scale_by_adam Tensor(1.0)
        add_weight_decay Tensor(1.2)
        scale_by_learning_rate Tensor(-0.6)
        """
        updates, out = grads, list[Stage]()
        for link, own in zip(self._kept_links, state, strict=True):
            opened = link.stages(updates, own, params, **extra)
            updates = opened[-1][2] if opened else updates
            out += opened
        return out

    def eval_params(self, state: tuple[Any, ...], params: Any) -> Any:
        """The parameters to evaluate, as the links say."""
        for link, own in zip(self._kept_links, state, strict=True):
            params = link.eval_params(own, params)
        return params


class chain(Composed):
    """Transforms one after another.

    links       the transforms, first to last
    transforms  the same as one tuple, as configurations have it

    >>> import clearprop as cl
    >>> opt = cl.optim.chain(cl.optim.clip_by_norm(1.0), cl.optim.sgd(0.1))
    >>> params = {"w": cl.tensor([1.0, 1.0])}
    >>> updates, _ = opt.update({"w": cl.tensor([30.0, 40.0])}, opt.init(params), params)
    >>> updates
    {'w': Tensor([-0.06, -0.08])}
    """

    transforms: tuple[Transform, ...]

    def __init__(self, *links: Transform, transforms: tuple[Transform, ...] = ()) -> None:
        object.__setattr__(self, "transforms", (*links, *_as_tuple(transforms)))
        for link in self.transforms:
            if not isinstance(link, Transform):
                raise ArgumentError(
                    "chain links transforms",
                    expected="transforms of cl.optim, such as clip_by_norm(1.0), adam(1e-3)",
                    got=repr(link),
                    where=user_line(),
                    try_="cl.optim.by_name(name), for one by name" if isinstance(link, str) else "",
                )

    @property
    def links(self) -> tuple[Transform, ...]:
        """The links, first to last."""
        return self.transforms

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # here it depends on the links
        """What any link needs."""
        return frozenset[str]().union(*(link.needs for link in self.transforms))

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self.transforms))})"


def _as_tuple(value: Any) -> tuple[Any, ...]:
    """A tuple or list as a tuple; anything else alone, so that it is refused as what it is."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


@checked_call
def apply_updates(params: Any, updates: Any) -> Any:
    """The sum params + updates, leaf by leaf, in the parameters' dtype; leaves whose update is None stay as they are.

    A tensor with `requires_grad` becomes a new leaf of the same name without gradient (`updated`).

    params   a tree of arrays, or a module
    updates  what an optimizer's `update` gave for them

    >>> import clearprop as cl
    >>> cl.optim.apply_updates({"w": cl.tensor(1.0), "n": 3}, {"w": cl.tensor(-0.5), "n": None})
    {'w': Tensor(0.5), 'n': 3}
    """
    view = ParameterView(params)
    given, _ = flatten(params)
    rows = zip(given, view.leaves, view.of(updates, "updates"), view.paths, strict=True)
    return unflatten(
        view.structure,
        [g if u is None else _add_update(g, p, _fitting(p, u, path, "update")) for g, p, u, path in rows],
    )


def _add_update(given: Any, p: Any, update: Any) -> Any:
    if isinstance(given, Tensor) and given.requires_grad and given.application is None:
        return given.updated(update)
    new, dtype = add(p, update), type_of(raw(p)).dtype
    return result(new if type_of(raw(new)).dtype == dtype else astype(new, dtype=dtype))


class scale_by_learning_rate(Transform):
    """The update u = −η_t · g, with η a number or a schedule of the step number t = 0, 1, ….

    learning_rate  η, a number of at least 0 or a schedule such as `cl.optim.cosine()`

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_learning_rate(0.1), cl.tensor(1.0)
    >>> link.update(cl.tensor(3.0), link.init(p), p)[0]
    Tensor(-0.3)
    """

    learning_rate: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE, kind=Schedule)

    def init(self, params: Any) -> dict[str, Any]:
        """The step number, if there is a schedule."""
        return {"t": Tensor(np.int64(0))} if isinstance(self.learning_rate, Schedule) else {}

    def rate_after(self, steps: Any) -> Any:
        """The rate of the next step after so many."""
        return rate_at(self.learning_rate, steps)

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """−η_t · g for every leaf."""
        view, rate = ParameterView(params), self.learning_rate
        if isinstance(rate, Schedule):
            rate = operand(self.rate_after(state["t"]))
            state = {"t": state["t"] + 1}
        return view.build([None if g is None else -rate * g for g in view.gradients(grads)]), state
