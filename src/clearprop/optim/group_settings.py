"""One optimizer with other settings for some parameters: biases without decay, a part at a smaller rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearprop.errors import ArgumentError, checked_call, user_line
from clearprop.optim.basic_transforms import scale
from clearprop.optim.inspection import parts, require_transform
from clearprop.optim.parameter_groups import groups
from clearprop.optim.transform import Transform, chain

FACTOR = "factor"
"""The setting of a group that multiplies its updates: its learning rate is so many times that of the others."""
_SHORT = {"lr": "learning_rate", "rate": "learning_rate"}


@checked_call
def vary_by_group(rule: Transform, settings: Mapping[str, Mapping[str, Any]]) -> Transform:
    """The rule, with other settings for the parameters whose paths fit a pattern: what PyTorch calls parameter groups.

    Each parameter belongs to the first pattern that its path fits.  Links that no group changes stay as they are, so
    that `clip_by_norm` goes by the norm of all gradients.

    rule      an optimizer
    settings  by pattern of paths, what differs there: settings of the optimizer (`weight_decay`, `lr` or
              `learning_rate`, `momentum`, …), and `factor`, by which the updates are multiplied, whatever the schedule

    Raises ArgumentError for a setting that no part of the rule has, or that is out of its range.

    >>> import clearprop as cl
    >>> rule = cl.optim.chain(cl.optim.clip_by_norm(1.0), cl.optim.sgd(0.1, weight_decay=0.01))
    >>> varied = cl.optim.vary_by_group(rule, {"*.bias": {"weight_decay": 0.0}})
    >>> [type(link).__name__ for link in varied.links], varied.links[1].rules[0][1].weight_decay
    (['clip_by_norm', 'groups'], 0.0)
    """
    require_transform(rule, "cl.optim.adamw(1e-3)")
    if not isinstance(settings, Mapping) or not all(map(_is_group, settings.items())):
        raise ArgumentError(
            "settings of groups stand by patterns of paths",
            expected="for each pattern the settings that differ, by their names",
            got=f"{settings!r:.80}",
            where=user_line(),
            try_='{"*.bias": {"weight_decay": 0.0}, "layers[0].*": {"factor": 0.1}}',
        )
    plain = {pattern: _by_full_names(own) for pattern, own in settings.items()}
    for own in plain.values():
        _require_known(rule, own)
    return _split_links(rule, plain) if plain else rule


def _is_group(item: tuple[Any, Any]) -> bool:
    pattern, own = item
    return isinstance(pattern, str) and isinstance(own, Mapping) and all(isinstance(key, str) for key in own)


def _by_full_names(own: Mapping[str, Any]) -> dict[str, Any]:
    return {_SHORT.get(name, name): value for name, value in own.items()}


def _require_known(rule: Transform, own: Mapping[str, Any]) -> None:
    known = {name for part in parts(rule) for name in part.settings()} | {FACTOR}
    for name in own:
        if name not in known:
            raise ArgumentError(
                f"{type(rule).__name__} has no setting {name}",
                expected="settings of the optimizer: " + ", ".join(sorted(known)),
                got=name,
                where=user_line(),
            )


def _split_links(rule: Transform, settings: Mapping[str, Mapping[str, Any]]) -> Transform:
    """The rule as groups; of a chain, the links that differ, and at its end the factors."""
    without = {pattern: {k: v for k, v in own.items() if k != FACTOR} for pattern, own in settings.items()}
    links = [_link(link, without) for link in (rule.links if isinstance(rule, chain) else [rule])]
    factors = [(pattern, scale(own.get(FACTOR, 1.0))) for pattern, own in settings.items()]
    if any(FACTOR in own for own in settings.values()):
        links.append(groups(scale(1.0), *factors))
    return links[0] if len(links) == 1 else chain(*links)


def _link(link: Transform, settings: Mapping[str, Mapping[str, Any]]) -> Transform:
    varied = {pattern: _with_settings(link, own) for pattern, own in settings.items()}
    return link if all(rule == link for rule in varied.values()) else groups(link, *varied.items())


def _with_settings(value: Any, own: Mapping[str, Any]) -> Any:
    """A rule with these settings wherever within it they are; what is no rule as it is."""
    if isinstance(value, tuple):
        return tuple(_with_settings(v, own) for v in value)
    if not isinstance(value, Transform):
        return value
    make: Any = type(value)
    before = value.settings()
    after = {k: own[k] if k in own else _with_settings(v, own) for k, v in before.items()}
    return make(**after) if after != before else value
