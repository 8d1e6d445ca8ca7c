"""Losses with settings of their own, the text that says them, and losses that no text can say."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from clearprop.errors import ArgumentError, user_line


@dataclass(frozen=True)
class SetLoss:
    """A loss with settings of its own, as its text says them: `huber:delta=2.0`.

    >>> import clearprop as cl
    >>> cl.nn.loss_named("huber:2").name
    'huber:delta=2.0'
    """

    function: Callable[..., Any]
    settings: tuple[tuple[str, float], ...]

    @property
    def name(self) -> str:
        """The text that gives this loss again."""
        return f"{self.function.__name__}:" + ",".join(f"{key}={value!r}" for key, value in self.settings)

    def __call__(self, prediction: Any, target: Any, **more: Any) -> Any:
        """The loss with its settings; `more` are reduction and sample_weight."""
        return self.function(prediction, target, **dict(self.settings), **more)


FUNCTIONS_ONLY = {
    "nll": "loss=cl.nn.nll, for outputs of log_softmax; of logits, 'cross_entropy' is the same",
    "kl_divergence": "loss=cl.nn.kl_divergence, for outputs of log_softmax and probabilities as targets",
    "hinge": "loss=cl.nn.hinge, with labels of the outputs' shape, y[:, None]",
    "multi_margin": "loss=cl.nn.multi_margin",
    "cosine_distance": "loss=cl.nn.cosine_distance, with targets of the outputs' shape",
    "gaussian_nll": "loss=lambda z, y: cl.nn.gaussian_nll(z[:, :1], y, cl.softplus(z[:, 1:]))",
    "contrastive": "loss=lambda z, alike: cl.nn.contrastive(z[:, 0], z[:, 1], alike), for outputs in pairs",
    "triplet": "loss=lambda z, y: cl.nn.triplet(z[:, 0], z[:, 1], z[:, 2]), for outputs in threes",
}
"""Losses of `cl.nn` that a name would not decide: what the network has to give them, and what is right, is not said."""


def function_only(name: str, known: Iterable[str], where: str) -> ArgumentError:
    """The error for a loss of `FUNCTIONS_ONLY` that is asked for by its name."""
    return ArgumentError(
        f"{name} is no loss by name: what it compares depends on the network",
        expected="a function for cl.fit, or one of: " + ", ".join(sorted(known)),
        got=repr(name),
        where=where,
        try_=FUNCTIONS_ONLY[name],
    )


def with_settings(function: Callable[..., Any], text: str) -> SetLoss:
    """The loss with the settings that stand behind the colon of its text.  Raises ArgumentError for others."""
    settings = [_setting_of(text, function, item) for item in text.partition(":")[2].split(",")]
    if len(dict(settings)) < len(settings):
        raise ArgumentError(
            f"the loss {text!r} has a setting twice",
            expected="one number for each setting",
            got=text.partition(":")[2],
            where=user_line(),
        )
    return SetLoss(function, tuple(settings))


def _setting_of(text: str, function: Callable[..., Any], item: str) -> tuple[str, float]:
    """`delta=2`, or `2` for the only setting that a loss has, as its name and number."""
    word, parameters = function.__name__, inspect.signature(function).parameters.values()
    known = [p.name for p in parameters if isinstance(p.default, float)]
    key, equals, value = (part.strip() for part in item.partition("="))
    if not equals and known:
        key, value = known[0], key
    try:
        if key in known:
            return key, float(value)
    except ValueError:
        pass
    raise ArgumentError(
        f"the loss {text!r} cannot be read",
        expected=f"{word}:{known[0]}=NUMBER" if known else f"{word}, which has no settings",
        got=repr(item),
        where=user_line(),
        try_=f"{word}:{known[0]}=0.5" if known else word,
    )
