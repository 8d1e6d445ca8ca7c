"""The links that optimizers are chained of: momentum, adaptive scaling, decay, clipping, learning rate."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from clearprop.errors import ArgumentError, user_line
from clearprop.optim.hyperparameters import ANY_NUMBER, FRACTION, NOT_NEGATIVE, POSITIVE, SHARE, Choices, hyper
from clearprop.optim.lengths import length_of, unit_lengths
from clearprop.optim.transform import Leafwise, ParameterView, Transform, chain, scalar_like
from clearprop.optim.transform import scale_by_learning_rate as scale_by_learning_rate  # pickles look for it here
from clearprop.program.ir import shape_of
from clearprop.rules.elementwise import clip, maximum, where

Mask = str | tuple[str, ...] | Callable[[str, Any], bool]


def _takes_mask(value: Any) -> bool:
    return callable(value) or (isinstance(value, (tuple, list)) and all(isinstance(p, str) for p in value))


MASKS = Choices(
    ("all", "matrices", "vectors"), _takes_mask, "patterns of paths, or a function (path, parameter) -> bool"
)


def chosen_leaves(mask: Mask, view: ParameterView) -> list[bool]:
    """Which leaves a mask chooses: "all", "matrices" (two axes or more), "vectors" (the rest), patterns, a function."""
    if isinstance(mask, str):
        wanted = {"all": (True, True), "matrices": (False, True), "vectors": (True, False)}[mask]
        return [t and wanted[len(shape_of(p)) >= 2] for p, t in zip(view.leaves, view.trained, strict=True)]
    if not callable(mask):
        for pattern in mask:
            require_match(pattern, view)
    pick = mask if callable(mask) else lambda path, _: any(matches(p, path) for p in mask)
    triples = zip(view.paths, view.leaves, view.trained, strict=True)
    return [t and bool(pick(path, p)) for path, p, t in triples]


def matches(pattern: str, path: str) -> bool:
    """Whether a path fits a pattern: `*` stands for any text, and `*.bias` fits `bias` too."""
    expression = ".*".join(map(re.escape, pattern.split("*")))
    return any(re.fullmatch(expression, p) for p in (path, f".{path}"))


def require_match(pattern: str, view: ParameterView) -> None:
    """A pattern that fits no path is a mistake."""
    if not any(matches(pattern, path) for path in view.paths):
        raise ArgumentError(
            f"no parameter fits the pattern {pattern!r}",
            expected="a pattern that fits a path: " + ", ".join(view.paths[:4]) + " …" * (len(view.paths) > 4),
            got=repr(pattern),
            where=user_line(),
            try_="'*.bias', 'layers[0].*'",
        )


class freeze(Transform):
    """These parameters stay as they are: their gradient is left out, and no rule behind this link moves them.

    It belongs at the beginning of a chain, where no limit on a norm counts the gradients of what stays, and once more
    at the end if a rule between finds gradients of its own.

    mask  patterns of paths such as `("layers[0].*",)`, "matrices", "all", or a function `(path, parameter) -> bool`

    >>> import clearprop as cl
    >>> opt = cl.optim.chain(cl.optim.freeze(("weight",)), cl.optim.sgd(0.1))
    >>> params = {"weight": cl.tensor(1.0), "bias": cl.tensor(1.0)}
    >>> updates, _ = opt.update(params, opt.init(params), params)
    >>> cl.optim.apply_updates(params, updates)
    {'weight': Tensor(1.0), 'bias': Tensor(0.9)}
    """

    mask: Mask = hyper(within=MASKS)

    def init(self, params: Any) -> dict[str, Any]:
        """Nothing is kept; a pattern that fits nothing is a mistake."""
        chosen_leaves(self.mask, ParameterView(params))
        return {}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """No gradient for what stays."""
        view = ParameterView(params)
        pairs = zip(view.gradients(grads), chosen_leaves(self.mask, view), strict=True)
        return view.build([None if stays else g for g, stays in pairs]), state


def frozen_leaves(rule: Transform, view: ParameterView) -> list[bool]:
    """Which leaves a `freeze` among the links of a chain, or within one of them, holds."""
    own = chosen_leaves(rule.mask, view) if isinstance(rule, freeze) else [False] * len(view.leaves)
    links = rule.links if isinstance(rule, chain) else ()
    return [any(held) for held in zip(own, *(frozen_leaves(link, view) for link in links), strict=True)]


class scale(Leafwise):
    """The update u = factor · g.

    factor  any number

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale(-0.5), cl.tensor(1.0)
    >>> link.update(cl.tensor(3.0), link.init(p), p)[0]
    Tensor(-1.5)
    """

    factor: float = hyper(within=ANY_NUMBER)

    def leaf(self, g: Any, p: Any) -> tuple[Any, ...]:
        """The rule."""
        return (self.factor * g,)


class trace_momentum(Leafwise):
    """Heavy ball: m ← βm + (1 − τ)g, u = m (Polyak 1964); with `nesterov`, u = g + βm (Sutskever et al. 2013).

    The first m is g, undamped, as in PyTorch.

    momentum   β, the share of m that a step keeps
    nesterov   whether the step looks one step ahead
    dampening  τ, the share of g that m leaves out; with τ = β, m is an average of g

    >>> import clearprop as cl
    >>> link, p = cl.optim.trace_momentum(0.5), cl.tensor(1.0)
    >>> _, state = link.update(cl.tensor(4.0), link.init(p), p)
    >>> link.update(cl.tensor(3.0), state, p)[0]
    Tensor(5.0)
    """

    slots = ("m",)
    momentum: float = hyper(default=0.9, within=FRACTION)
    nesterov: bool = False
    dampening: float = hyper(default=0.0, within=SHARE)

    @property
    def counts(self) -> bool:  # type: ignore[override]  # here it depends on the dampening
        """Only where the first step is another."""
        return bool(self.dampening)

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """The share of g in m: all of it in the first step."""
        return ((where(t > 1, 1 - self.dampening, 1.0),),)

    def leaf(self, g: Any, p: Any, m: Any, *share: Any) -> tuple[Any, ...]:
        """The rule."""
        m = self.momentum * m + (share[0] * g if share else g)
        return (g + self.momentum * m if self.nesterov else m), m


class add_weight_decay(Transform):
    """The update u = g + λp for the parameters that `mask` chooses.

    weight_decay  λ
    mask          "matrices" (weights of two axes or more: biases, scales and offsets of normalisation are left out),
                  "vectors" (those alone), "all", patterns of paths such as `("*.weight",)`, or a function
                  `(path, parameter) -> bool`

    >>> import clearprop as cl
    >>> link, p = cl.optim.add_weight_decay(0.5, "all"), cl.tensor(4.0)
    >>> link.update(cl.tensor(3.0), link.init(p), p)[0]
    Tensor(5.0)
    """

    weight_decay: float = hyper(default=0.01, within=NOT_NEGATIVE)
    mask: Mask = hyper(default="matrices", within=MASKS)

    def init(self, params: Any) -> dict[str, Any]:
        """Nothing is kept."""
        return {}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """The gradient plus λp, for every chosen leaf."""
        view = ParameterView(params)
        updates = [
            g + self.weight_decay * p if g is not None and decays else g
            for g, p, decays in zip(view.gradients(grads), view.leaves, chosen_leaves(self.mask, view), strict=True)
        ]
        return view.build(updates), state


class clip_by_value(Leafwise):
    """The update u = min(max(g, −limit), limit), element by element.

    limit  the largest absolute value of an element

    >>> import clearprop as cl
    >>> link, p = cl.optim.clip_by_value(0.5), cl.tensor([1.0, 1.0])
    >>> link.update(cl.tensor([3.0, -0.2]), link.init(p), p)[0]
    Tensor([0.5, -0.2])
    """

    limit: float = hyper(default=1.0, within=POSITIVE)

    def leaf(self, g: Any, p: Any) -> tuple[Any, ...]:
        """The rule."""
        return (clip(g, -self.limit, self.limit),)


class clip_by_norm(Transform):
    """The update u = g · min(1, limit/‖g‖), with ‖g‖ the norm over all parameters together (Pascanu et al. 2013).

    limit  the largest norm

    >>> import clearprop as cl
    >>> link, p = cl.optim.clip_by_norm(1.0), cl.tensor([1.0, 1.0])
    >>> link.update(cl.tensor([3.0, -4.0]), link.init(p), p)[0]
    Tensor([0.6, -0.8])
    """

    limit: float = hyper(default=1.0, within=POSITIVE)

    def init(self, params: Any) -> dict[str, Any]:
        """Nothing is kept."""
        return {}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """All leaves by one factor."""
        view = ParameterView(params)
        given = view.gradients(grads)
        length = length_of(given)
        factor = self.limit / maximum(length.norm, self.limit * length.by)
        return view.build([None if g is None else length.shrink(g) * scalar_like(factor, g) for g in given]), state


class clip_adaptive(Leafwise):
    """Each unit's gradient at most `limit` times as long as its weights (AGC, Brock et al. 2021).

    u = g · min(1, limit · max(‖p‖, eps)/‖g‖), with the norms of each column of a weight (inputs, outputs), that is of
    each output's weights, and of a vector as a whole.  Defaults as in optax; the paper's limit is 0.01 to 0.16.

    limit  the largest ratio of the norms
    eps    the least norm that weights count with

    >>> import clearprop as cl
    >>> link, p = cl.optim.clip_adaptive(0.5), cl.tensor([6.0, 8.0])
    >>> link.update(cl.tensor([30.0, 40.0]), link.init(p), p)[0]
    Tensor([3.0, 4.0])
    """

    limit: float = hyper(default=0.01, within=POSITIVE)
    eps: float = hyper(default=1e-3, within=POSITIVE)

    def leaf(self, g: Any, p: Any) -> tuple[Any, ...]:
        """The rule."""
        axes = tuple(range(max(len(shape_of(g)) - 1, 0))) or None  # a vector or number is one unit
        weights, own = unit_lengths(p, axes), unit_lengths(g, axes)
        bound = self.limit * maximum(weights.norm / weights.by, self.eps)
        return (own.shrink(g) * (bound / maximum(own.norm, bound * own.by)),)
