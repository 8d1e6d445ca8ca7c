"""Other rules for other parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clearprop.errors import ArgumentError, user_line
from clearprop.optim.basic_transforms import MASKS, Mask, chosen_leaves, matches, require_match
from clearprop.optim.hyperparameters import hyper
from clearprop.optim.transform import ParameterView, Stage, Transform
from clearprop.rules.structural import zeros_like

Group = dict[str, Any]


def _split_leaves(view: ParameterView, leaves: list[Any], owner: list[int], count: int) -> list[Group]:
    """Per rule a dict of its leaves by path."""
    parts: list[Group] = [{} for _ in range(count)]
    for path, leaf, k in zip(view.paths, leaves, owner, strict=True):
        if k >= 0:
            parts[k][path] = leaf
    return parts


def _join_leaves(view: ParameterView, parts: list[Group], owner: list[int]) -> list[Any]:
    return [parts[k][path] if k >= 0 else None for path, k in zip(view.paths, owner, strict=True)]


def _offered_to(view: ParameterView, owner: list[int], k: int, extra: dict[str, Any]) -> dict[str, Any]:
    """What rule k gets as keywords: functions of the parameters become functions of its own, the others held still."""

    def whole(part: Group, others: list[Any]) -> Any:
        pairs = zip(view.paths, others, owner, strict=True)
        return view.build([part[path] if own == k else other for path, other, own in pairs])

    def f(part: Group) -> Any:
        return extra["f"](whole(part, view.leaves))

    def hvp(part: Group) -> Group:
        still = [zeros_like(p) if t else p for p, t in zip(view.leaves, view.trained, strict=True)]
        product = view.of(extra["hvp"](whole(part, still)))
        return {path: v for path, v, own in zip(view.paths, product, owner, strict=True) if own == k}

    return extra | {name: own for name, own in (("f", f), ("hvp", hvp)) if extra.get(name) is not None}


def _is_rule(pair: Any) -> bool:
    listed = isinstance(pair, (tuple, list)) and len(pair) == 2
    return listed and isinstance(pair[0], str) and isinstance(pair[1], Transform)


class masked(Transform):
    """`inner` for the parameters that `mask` chooses; for the others, u = g.

    inner  the rule
    mask   "matrices", "all", patterns of paths or a function `(path, parameter) -> bool`, as in `add_weight_decay`

    >>> import clearprop as cl
    >>> opt = cl.optim.masked(cl.optim.scale(0.0), ("bias",))
    >>> params = {"weight": cl.tensor(1.0), "bias": cl.tensor(1.0)}
    >>> opt.update(params, opt.init(params), params)[0]
    {'weight': Tensor(1.0), 'bias': Tensor(0.0)}
    """

    inner: Transform = hyper(kind=Transform)
    mask: Mask = hyper(default="matrices", within=MASKS)

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # here it depends on the inner rule
        """What the inner rule needs."""
        return self.inner.needs

    def _owner(self, view: ParameterView) -> list[int]:
        return [0 if is_chosen else -1 for is_chosen in chosen_leaves(self.mask, view)]

    def init(self, params: Any) -> Any:
        """The inner state, for the chosen parameters by path."""
        view = ParameterView(params)
        return self.inner.init(_split_leaves(view, view.leaves, self._owner(view), 1)[0])

    def update(self, grads: Any, state: Any, params: Any, **extra: Any) -> tuple[Any, Any]:
        """The inner rule where chosen."""
        view = ParameterView(params)
        owner, given = self._owner(view), view.gradients(grads)
        (p,), (g,) = _split_leaves(view, view.leaves, owner, 1), _split_leaves(view, given, owner, 1)
        updates, state = self.inner.update(g, state, p, **_offered_to(view, owner, 0, extra))
        made = _join_leaves(view, [updates], owner)
        return view.build([m if k >= 0 else g for m, k, g in zip(made, owner, given, strict=True)]), state


class groups(Transform):
    """A rule of its own for each group of parameters: `groups(default, ("*.bias", sgd(0.1)), …)`.

    A parameter belongs to the first pattern that its path fits (`*` is any text), else to the default.

    default  the rule of all parameters that no pattern fits
    pairs    a pattern and the rule of the parameters that fit it
    rules    the same as one tuple, as configurations have it

    Raises ArgumentError for a pattern that fits no parameter.

    >>> import clearprop as cl
    >>> opt = cl.optim.groups(cl.optim.sgd(0.1), ("*.bias", cl.optim.sgd(0.5)))
    >>> params = {"weight": cl.tensor(1.0), "bias": cl.tensor(1.0)}
    >>> opt.update(params, opt.init(params), params)[0]
    {'weight': Tensor(-0.1), 'bias': Tensor(-0.5)}
    """

    default: Transform = hyper(kind=Transform)
    rules: tuple[tuple[str, Transform], ...]

    def __init__(self, default: Transform, *pairs: tuple[str, Transform], rules: Any = ()) -> None:
        found = (*pairs, *(rules if isinstance(rules, (tuple, list)) else (rules,)))
        for pair in found:
            if not _is_rule(pair):
                raise ArgumentError(
                    "groups needs a rule for every pattern",
                    expected="pairs of a pattern of paths and a transform",
                    got=repr(pair),
                    where=user_line(),
                    try_='groups(adam(), ("*.bias", sgd(0.1)))',
                )
        object.__setattr__(self, "default", default)
        object.__setattr__(self, "rules", tuple(map(tuple, found)))
        self.__post_init__()

    @property
    def _all(self) -> list[Transform]:
        return [*(rule for _, rule in self.rules), self.default]

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # here it depends on the rules
        """What any rule needs."""
        return frozenset[str]().union(*(rule.needs for rule in self._all))

    def _owner(self, view: ParameterView) -> list[int]:
        def first(path: str) -> int:
            return next((k for k, (p, _) in enumerate(self.rules) if matches(p, path)), len(self.rules))

        for pattern, _ in self.rules:
            require_match(pattern, view)
        return [first(path) if trained else -1 for path, trained in zip(view.paths, view.trained, strict=True)]

    def init(self, params: Any) -> tuple[Any, ...]:
        """The rules' states, each for its parameters by path."""
        view = ParameterView(params)
        parts = _split_leaves(view, view.leaves, self._owner(view), len(self._all))
        return tuple(rule.init(part) for rule, part in zip(self._all, parts, strict=True))

    def update(self, grads: Any, state: tuple[Any, ...], params: Any, **extra: Any) -> tuple[Any, tuple[Any, ...]]:
        """Each parameter by its own rule."""
        view = ParameterView(params)
        owner = self._owner(view)
        done = [rule.update(g, s, p, **more) for rule, g, s, p, more in self._columns(view, owner, grads, state, extra)]
        return view.build(_join_leaves(view, [u for u, _ in done], owner)), tuple(s for _, s in done)

    def _columns(
        self, view: ParameterView, owner: list[int], grads: Any, state: tuple[Any, ...], extra: dict[str, Any]
    ) -> Iterator[tuple[Transform, Group, Any, Group, dict[str, Any]]]:
        """Of every rule: itself, its gradients, its state, its parameters, and what it needs."""
        given, own = (_split_leaves(view, v, owner, len(self._all)) for v in (view.gradients(grads), view.leaves))
        for k, (rule, g, s, p) in enumerate(zip(self._all, given, state, own, strict=True)):
            yield rule, g, s, p, _offered_to(view, owner, k, extra)

    def rule_of(self, path: str, state: tuple[Any, ...]) -> tuple[Transform, Any]:
        """The rule of the parameter at a path, and its state."""
        k = next((k for k, (pattern, _) in enumerate(self.rules) if matches(pattern, path)), len(self.rules))
        return self._all[k], state[k]

    def stages(self, grads: Any, state: tuple[Any, ...], params: Any, **extra: Any) -> list[Stage]:
        """The stages of all rules side by side, if they are chained alike; each is one of `groups` again."""
        view = ParameterView(params)
        owner = self._owner(view)
        opened = [r.stages(g, s, p, **more) for r, g, s, p, more in self._columns(view, owner, grads, state, extra)]
        if len({tuple(type(link) for link, _, _ in stages) for stages in opened}) > 1:
            return super().stages(grads, state, params, **extra)
        out = list[Stage]()
        for column in zip(*opened, strict=True):
            links, states, updates = zip(*column, strict=True)
            pairs = ((pattern, link) for (pattern, _), link in zip(self.rules, links[:-1], strict=True))
            out.append((groups(links[-1], *pairs), states, view.build(_join_leaves(view, list(updates), owner))))
        return out
