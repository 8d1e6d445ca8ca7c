"""What settings of a training add to its optimizer: parts that stay or differ, gradients of several batches, averages.

They are links around the optimizer, so that `config.json`, replay, resuming and `explain_update` know them as they
know every other rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from clearprop import optim
from clearprop.errors import ArgumentError, user_line
from clearprop.runs.settings import Settings


def tailor_optimizer(rule: optim.Transform, settings: Settings) -> optim.Transform:
    """The optimizer with the links that the settings ask for; itself, where they ask for none.

    >>> from clearprop import optim
    >>> tailor_optimizer(optim.sgd(0.1), Settings(freeze="layers[0].*", accumulate=2)).links[0]
    freeze(mask=('layers[0].*',))
    """
    if settings.param_groups is not None:
        rule = optim.vary_by_group(rule, groups_of(settings.param_groups))
    if settings.ema is not None:
        rule = optim.chain(rule, optim.average(settings.ema))
    if settings.accumulate > 1:
        rule = optim.accumulate(rule, settings.accumulate)
    if settings.freeze is not None:
        stays = optim.freeze(patterns_of(settings.freeze))
        rule = optim.chain(stays, rule, *([stays] if rule.needs else []))  # which may find gradients of its own
    return rule


def patterns_of(text: str) -> tuple[str, ...]:
    """The patterns of paths that stand in a text with commas between them.

    >>> patterns_of("layers[0].*, *.bias")
    ('layers[0].*', '*.bias')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def text_of_patterns(freeze: str | Sequence[str] | None) -> str | None:
    """What `cl.fit` was given for parts that stay, as the settings keep it.  Raises ArgumentError for anything else."""
    listed = (freeze,) if isinstance(freeze, str) else freeze
    if listed is None:
        return None
    if not isinstance(listed, list | tuple) or not all(isinstance(p, str) and patterns_of(p) for p in listed):
        raise ArgumentError(
            "fit cannot work with this freeze",
            expected="a pattern of paths, or several, or None",
            got=f"freeze = {freeze!r:.80}",
            where=user_line(),
            try_='freeze="layers[0].*"',
        )
    return ",".join(listed) or None


def groups_of(text: str) -> dict[str, dict[str, float]]:
    """The settings of groups that stand in a text, by pattern.  Raises ArgumentError for what cannot be read.

    >>> groups_of("*.bias:weight_decay=0;layers[0].*:lr=1e-4,momentum=0.5")
    {'*.bias': {'weight_decay': 0.0}, 'layers[0].*': {'lr': 0.0001, 'momentum': 0.5}}
    """
    found: dict[str, dict[str, float]] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        pattern, colon, own = part.rpartition(":")
        pairs = [item.partition("=") for item in own.split(",")]
        if not colon or pattern in found or not all(equals for _, equals, _ in pairs):
            _refuse_groups(part)
        try:
            found[pattern.strip()] = {name.strip(): float(value) for name, _, value in pairs}
        except ValueError:
            _refuse_groups(part)
    return found


def text_of_groups(groups: str | Mapping[str, Mapping[str, float]] | None) -> str | None:
    """What `cl.fit` was given for groups of parameters, as the settings keep it.

    Raises ArgumentError for anything but numbers.

    >>> text_of_groups({"*.bias": {"weight_decay": 0}})
    '*.bias:weight_decay=0.0'
    """
    if groups is None:
        return None
    if isinstance(groups, str):
        groups = groups_of(groups)
    if not isinstance(groups, Mapping) or not all(map(_holds_numbers, groups.items())):
        _refuse_groups(f"{groups!r:.80}")
    texts = (",".join(f"{name}={float(value)!r}" for name, value in own.items()) for own in groups.values())
    return ";".join(f"{pattern}:{text}" for pattern, text in zip(groups, texts, strict=True)) or None


def _holds_numbers(group: tuple[object, object]) -> bool:
    pattern, own = group
    if not isinstance(pattern, str) or set(";:") & set(pattern) or not isinstance(own, Mapping) or not own:
        return False
    return all(isinstance(name, str) and isinstance(value, int | float) for name, value in own.items())


def _refuse_groups(got: str) -> NoReturn:
    raise ArgumentError(
        "groups of parameters are a pattern of paths and settings of the optimizer",
        expected="for each pattern the settings that differ, as numbers",
        got=got,
        where=user_line(),
        try_='"*.bias:weight_decay=0;layers[0].*:factor=0.1", or {"*.bias": {"weight_decay": 0}}; for schedules '
        "cl.optim.vary_by_group",
    )
