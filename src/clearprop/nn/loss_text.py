"""Losses with settings of their own, the text that says them, and losses that no text can say."""

from __future__ import annotations

import inspect
import itertools
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError, DTypeError, ShapeError, user_line
from clearprop.nn.argument_checks import is_number
from clearprop.program.ir import shape_of
from clearprop.program.types import type_of
from clearprop.program.values import raw
from clearprop.rules.structural import broadcast_to, reshape
from clearprop.shapes import same, shapes_agree


@dataclass(frozen=True)
class SetLoss:
    """A loss with settings of its own, as its text says them: `huber:delta=2.0`.

    >>> import clearprop as cl
    >>> cl.nn.loss_named("huber:2").name, cl.nn.loss_named("pinball:0.1,0.9").name
    ('huber:delta=2.0', 'pinball:quantile=0.1,0.9')
    """

    function: Callable[..., Any]
    settings: tuple[tuple[str, float | tuple[float, ...]], ...]

    @property
    def name(self) -> str:
        """The text that gives this loss again."""
        told = (f"{key}={','.join(map(repr, _as_tuple(value)))}" for key, value in self.settings)
        return f"{self.function.__name__}:" + ",".join(told)

    def __call__(self, prediction: Any, target: Any, **more: Any) -> Any:
        """The loss with its settings; `more` are reduction and sample_weight."""
        return self.function(prediction, target, **dict(self.settings), **more)


def _as_tuple(value: Any) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


_NEAR_ONE = 1e-2
"""By how much the sum of probabilities may differ from 1 whose logarithms are of half precision."""
SHORT = {"quantile": "pinball:quantile"}
"""Words that stand for a loss with a setting."""
PINBALL = ("pinball", *SHORT)
"""The names of the pinball loss."""
FUNCTIONS_ONLY = {
    "nll": "loss=cl.nn.nll, for outputs of log_softmax; of logits, 'cross_entropy' is the same",
    "kl_divergence": "loss=cl.nn.kl_divergence, for outputs of log_softmax and probabilities as targets",
    "hinge": "loss=cl.nn.hinge, with labels of the outputs' shape, y[:, None]",
    "multi_margin": "loss=cl.nn.multi_margin",
    "cosine_distance": "loss=cl.nn.cosine_distance, with targets of the outputs' shape",
    "contrastive": "loss=lambda z, alike: cl.nn.contrastive(z[:, 0], z[:, 1], alike), for outputs in pairs",
    "triplet": "loss=lambda z, y: cl.nn.triplet(z[:, 0], z[:, 1], z[:, 2]), for outputs in threes",
}
"""Losses of `cl.nn` that a name would not decide: what the network has to give them, and what is right, is not said."""
ALSO_CALLED = {
    "kl": "kl_divergence",
    "kl_div": "kl_divergence",
    "nll_loss": "nll",
    "cosine": "cosine_distance",
    "cosine_similarity": "cosine_distance",
    "cosine_embedding": "cosine_distance",
    "triplet_margin": "triplet",
}
"""What other libraries call them."""


def function_only(name: str, known: Iterable[str], where: str) -> ArgumentError:
    """The error for a loss of `FUNCTIONS_ONLY` that is asked for by its name."""
    asked, name = name, ALSO_CALLED.get(name, name)
    return ArgumentError(
        f"{asked} is no loss by name: what it compares depends on the network",
        expected="a function for cl.fit, or one of: " + ", ".join(sorted(known)),
        got=repr(asked),
        where=where,
        try_=FUNCTIONS_ONLY[name],
    )


def require_logarithms(name: str, outputs: Any) -> None:
    """Raise ArgumentError for outputs that are no logarithms of probabilities, where the loss has no bound for others.

    >>> require_logarithms("nll", np.log([[0.25, 0.75]]))
    """
    if name not in ("nll", "kl_divergence") or not np.size(outputs):
        return
    with np.errstate(over="ignore"):
        sums = np.exp(np.asarray(outputs, dtype=np.float64)).sum(axis=-1)
    if not np.abs(sums - 1.0).max() > _NEAR_ONE:  # NaN is told by what looks for it
        return
    raise ArgumentError(
        f"{name} takes logarithms of probabilities: of other outputs it falls without end",
        expected="outputs whose exponentials sum to 1, by cl.log_softmax behind the last layer",
        got=f"exponentials that sum to {sums.reshape(-1)[0]:.4g} in the first row",
        where=user_line(),
        try_="loss='cross_entropy', which takes outputs as they are, and classes or probabilities",
    )


def require_pair(function: Callable[..., Any], name: str, *, weighted: bool = True) -> Callable[..., Any]:
    """The function, if it can be called with outputs and targets; one that does not tell what it takes is believed.

    Raises ArgumentError for one with other parameters, beside `sample_weight` where rows may be `weighted`.

    >>> require_pair(max, "largest") is max
    True
    """
    try:
        taken = inspect.signature(function)
    except (TypeError, ValueError):
        return function
    more = {"sample_weight": None} if weighted and "sample_weight" in taken.parameters else {}
    try:
        taken.bind(None, None, **more)
    except TypeError as mistake:
        told = taken.replace(
            parameters=[q.replace(annotation=q.empty) for q in taken.parameters.values()],
            return_annotation=taken.empty,
        )
        raise ArgumentError(
            f"{name} cannot be called with outputs and targets",
            expected="a function of two arrays: what the network computed, and what is right",
            got=f"{name}{told}: {mistake}",
            where=user_line(),
            try_=FUNCTIONS_ONLY.get(name, "lambda outputs, y: …, which calls it with what else it needs"),
        ) from None
    return function


def takes_weights(function: Callable[..., Any]) -> bool:
    """Whether a function has a parameter `sample_weight`; one that does not tell what it takes has none.

    >>> takes_weights(max)
    False
    """
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def with_settings(function: Callable[..., Any], text: str) -> SetLoss:
    """The loss with the settings that stand behind the colon of its text.  Raises ArgumentError for others."""
    said = text.partition(":")[2]
    if function.__name__ in PINBALL and "," in said:
        return SetLoss(function, (("quantile", require_quantiles(said.removeprefix("quantile=").split(","))),))
    settings = [_setting_of(text, function, item) for item in said.split(",")]
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


def numbers_in(text: str) -> tuple[float, ...]:
    """The numbers of a setting, `0.1,0.9` or `quantile=0.1,0.9`.

    >>> numbers_in("quantile=0.1,0.9")
    (0.1, 0.9)
    """
    return tuple(map(float, text.rpartition("=")[2].split(",")))


INTERVAL = 0.9
"""The share of a normal distribution that lies between the ends that are learned, where nothing is said."""


def is_normal(loss: object) -> bool:
    """Whether the loss of that name, or text, learns a normal distribution.

    >>> is_normal("gaussian_nll:0.8"), is_normal("mse"), is_normal(None)
    (True, False, False)
    """
    return isinstance(loss, str) and loss.partition(":")[0] == "gaussian_nll"


def interval_in(rest: str) -> float:
    """The share that the settings of `gaussian_nll` say, by its name or first.

    >>> interval_in("least=0.01, interval = 0.8"), interval_in("0.5"), interval_in("least=0.01")
    (0.8, 0.5, 0.9)
    """
    said = [item.rpartition("=") for item in rest.split(",") if item.strip()]
    settings = {name.strip(): value for name, _, value in said}
    return float(settings.get("interval", settings.get("", INTERVAL)))


def interval_quantiles(share: float) -> tuple[float, float, float]:
    """The lower end, the middle and the upper end of the central interval of that share, as quantiles.

    >>> interval_quantiles(0.9)
    (0.05, 0.5, 0.95)
    """
    return round(0.5 - share / 2, 12), 0.5, round(0.5 + share / 2, 12)


def normal_reach(share: Any) -> float:
    """How many standard deviations from its mean the central interval of that share of a normal distribution ends.

    >>> round(normal_reach(0.9), 4)
    1.6449
    """
    if not is_number(share) or not 0 < share < 1:
        raise unsuitable_setting("an interval is a share", "0 < interval < 1 (default 0.9)", interval=share)
    return statistics.NormalDist().inv_cdf(0.5 + share / 2)


def interval_ends(prediction: Any) -> tuple[Any, Any, Any]:
    """The lower end, the mean and the upper end, `(…, 3)`.  Raises ShapeError for another last axis."""
    shape = shape_of(prediction)
    if not shape or not same(shape[-1], 3):
        raise ShapeError(
            "gaussian_nll needs a variance",
            expected="variance=, or predictions (…, 3): lower end, mean and upper end",
            got=f"predictions {tuple(shape)} alone",
            where=user_line(),
            try_="a last layer of 2 outputs, and cl.nn.NormalInterval() behind it",
        )
    return prediction[..., 0], prediction[..., 1], prediction[..., 2]


def require_quantiles(asked: Any) -> tuple[float, ...]:
    """Quantiles as numbers, `0.1,0.5,0.9` or a list.  Raises ArgumentError for others than rise between 0 and 1.

    >>> require_quantiles("0.1, 0.5"), require_quantiles([0.9])
    ((0.1, 0.5), (0.9,))
    """
    try:
        found = numbers_in(asked) if isinstance(asked, str) else tuple(map(float, np.atleast_1d(asked).tolist()))
    except (TypeError, ValueError):
        found = ()
    within = bool(found) and 0 < min(found) <= max(found) < 1
    if not within or any(a >= b for a, b in itertools.pairwise(found)):
        raise ArgumentError(
            "these are no quantiles",
            expected="numbers above 0 and below 1 that rise",
            got=f"{asked!r:.80}",
            where=user_line(),
            try_=",".join(f"{q:g}" for q in (sorted(set(found)) if within else (0.1, 0.5, 0.9))),
        )
    return found


def loss_of_quantiles(loss: Any, quantiles: Any) -> Any:
    """The text of the loss that learns these quantiles, where some are asked for beside a loss; else the loss itself.

    Raises ArgumentError for another loss than pinball, and for one that says other quantiles.

    >>> loss_of_quantiles("pinball", [0.1, 0.9]), loss_of_quantiles(None, "0.5"), loss_of_quantiles("mse", None)
    ('pinball:quantile=0.1,0.9', 'pinball:quantile=0.5', 'mse')
    """
    if quantiles is None:
        return loss
    found = require_quantiles(quantiles)
    asked = loss.__name__ if callable(loss) and getattr(loss, "__name__", "") in PINBALL else loss
    if asked is not None and asked not in PINBALL and not _says(asked, found):
        raise ArgumentError(
            "quantiles are learned by the pinball loss",
            expected="the loss pinball, or none",
            got=f"the loss {asked!r:.60}, and the quantiles {','.join(f'{q:g}' for q in found)}",
            where=user_line(),
            try_="--loss pinball, or loss='pinball'",
        )
    return "pinball:quantile=" + ",".join(map(repr, found))


def _says(loss: Any, quantiles: tuple[float, ...]) -> bool:
    """Whether a loss is the text of pinball with these quantiles."""
    word, _, rest = loss.partition(":") if isinstance(loss, str) else ("", "", "")
    return word in PINBALL and require_quantiles(rest.removeprefix("quantile=")) == quantiles


def too_few_answers(shape: Any, quantiles: int) -> ShapeError:
    """The error for predictions without an answer for each quantile."""
    return ShapeError(
        f"pinball of {quantiles} quantiles needs as many answers",
        expected=f"predictions (…, {quantiles})",
        got=f"predictions {shape}",
        where=user_line(),
        try_=f"a last layer of {quantiles} outputs",
    )


def remedy_for_shapes(prediction: Any, target: Any) -> str:
    """What to try where predictions and targets have different shapes."""
    if len(prediction) == len(target) + 1 and same(prediction[-1], 1):
        return "prediction[..., 0]: drop the axis of size 1"
    if len(target) == len(prediction) + 1 and same(target[-1], 1):
        return "target[..., 0]: drop the axis of size 1"
    return "check the number of outputs of the last layer"


def unsuitable_setting(headline: str, expected: str, remedy: str = "", **got: Any) -> ArgumentError:
    """The error for a setting of a loss that is out of its range."""
    ((name, value),) = got.items()
    return ArgumentError(headline, expected=expected, got=f"{name} = {value!r}", where=user_line(), try_=remedy)


def one_output(name: str, shape: Any) -> ShapeError:
    """The error for logits of one class."""
    return ShapeError(
        f"{name} over one output is 0, whatever the network says",
        expected="logits of shape (…, classes), two classes or more",
        got=f"logits of shape {tuple(shape)}",
        where=user_line(),
        try_="one output per class; binary_cross_entropy for one output and two classes, mse for a number",
    )


def label_shape(name: str, logits: Any, labels: Any, *, whole: bool) -> ShapeError | DTypeError:
    """The error for labels whose shape or dtype does not fit the logits."""
    kind: type[ShapeError | DTypeError] = DTypeError if whole else ShapeError
    extra = len(labels.shape) == len(logits.shape) and same(labels.shape[-1], 1)
    return kind(
        f"{name} cannot compare logits {logits.shape} with labels {labels.shape} of {labels.dtype.name}",
        expected=f"integers of shape {logits.shape[:-1]}"
        + ("" if name == "focal" else f", or probabilities of shape {logits.shape}"),
        got=f"{labels.dtype.name} of shape {labels.shape}",
        where=user_line(),
        try_="labels.astype(int)" if whole else "labels[..., 0]: drop the axis of size 1" if extra else "",
    )


def weights_like(name: str, sample_weight: Any, loss: Any) -> Any:
    """One weight per example, repeated over the other axes; or one per element."""
    weight, shape = asarray(sample_weight), shape_of(loss)
    given = shape_of(weight)
    if not any(shapes_agree(given, own) for own in (shape[:1], shape)):
        raise ShapeError(
            f"{name} cannot weigh losses of shape {shape} by weights of shape {weight.shape}",
            expected=f"one weight per example: shape {shape[:1]}",
            got=f"shape {weight.shape}",
            where=user_line(),
        )
    dtype = type_of(raw(loss)).dtype
    weight = weight if weight.dtype == dtype else weight.astype(dtype)
    if len(weight.shape) == len(shape):
        return weight
    return broadcast_to(reshape(weight, (*shape[:1], *(1 for _ in shape[1:]))), shape)
