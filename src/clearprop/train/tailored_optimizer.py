"""What settings of a training add to its optimizer: parts that stay, gradients of several batches, averages.

They are links around the optimizer, so that `config.json`, replay, resuming and `explain_update` know them as they
know every other rule.
"""

from __future__ import annotations

from collections.abc import Sequence

from clearprop import optim
from clearprop.errors import ArgumentError, user_line
from clearprop.runs.settings import Settings


def tailor_optimizer(rule: optim.Transform, settings: Settings) -> optim.Transform:
    """The optimizer with the links that the settings ask for; itself, where they ask for none.

    >>> from clearprop import optim
    >>> tailor_optimizer(optim.sgd(0.1), Settings(freeze="layers[0].*", accumulate=2)).links[0]
    freeze(mask=('layers[0].*',))
    """
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
