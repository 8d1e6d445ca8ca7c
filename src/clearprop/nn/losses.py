"""Losses: means over all elements, without ½."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from clearprop.arrays.tensor import asarray
from clearprop.errors import ShapeError, checked_call, unknown_name, user_line
from clearprop.nn.argument_checks import is_number, require_fraction
from clearprop.nn.loss_text import (
    ALSO_CALLED,
    FUNCTIONS_ONLY,
    PINBALL,
    SHORT,
    function_only,
    interval_ends,
    interval_in,
    interval_quantiles,
    label_shape,
    normal_reach,
    numbers_in,
    one_output,
    remedy_for_shapes,
    require_quantiles,
    too_few_answers,
    unsuitable_setting,
    weights_like,
    with_settings,
)
from clearprop.program.ir import shape_of
from clearprop.program.types import is_floating, type_of
from clearprop.program.values import raw
from clearprop.rules import losses
from clearprop.rules.checking import require_amounts, require_classes, require_range
from clearprop.rules.elementwise import abs, exp, expm1, log, log1p, maximum, pow, square
from clearprop.rules.reductions import log_softmax, mean, sum
from clearprop.rules.structural import broadcast_to, reshape
from clearprop.shapes import same, shapes_agree

_REDUCTIONS = ("mean", "sum", "none")


@checked_call
def mse(prediction: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of (prediction − target)² over all elements, without ½.

    prediction     what the network computed
    target         what is right; of the same shape
    reduction      "mean", "sum" or "none": over all elements, or one loss per element
    sample_weight  weighs examples (the first axis) or elements: the mean becomes Σ w·loss / Σ w, over all elements

    Raises ShapeError where the shapes differ, ArgumentError for another reduction.

    >>> import clearprop as cl
    >>> cl.nn.mse(cl.tensor([1.0, 3.0]), cl.tensor([0.0, 1.0]))
    Tensor(2.5)
    """
    prediction, target = same_shaped_pair("mse", prediction, target)
    return reduce_loss("mse", losses.squared_error(prediction, target), reduction, sample_weight)


@checked_call
def mae(prediction: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of |prediction − target| over all elements.

    prediction, target, reduction, sample_weight  as in `mse`

    >>> import clearprop as cl
    >>> cl.nn.mae(cl.tensor([1.0, 3.0]), cl.tensor([0.0, 1.0]))
    Tensor(1.5)
    """
    prediction, target = same_shaped_pair("mae", prediction, target)
    return reduce_loss("mae", losses.absolute_error(prediction, target), reduction, sample_weight)


@checked_call
def huber(
    prediction: Any, target: Any, *, delta: float = 1.0, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """Mean of ½e² for |e| ≤ delta and delta(|e| − ½delta) beyond, e = prediction − target (Huber 1964).

    prediction, target, reduction, sample_weight  as in `mse`
    delta  where the parabola becomes a line; positive

    >>> import clearprop as cl
    >>> cl.nn.huber(cl.tensor([1.0, 3.0]), cl.tensor([0.0, 1.0]))
    Tensor(1.0)
    """
    if not is_number(delta) or not delta > 0:
        raise unsuitable_setting("huber needs a positive delta", "delta > 0 (default 1.0)", delta=delta)
    prediction, target = same_shaped_pair("huber", prediction, target)
    return reduce_loss("huber", losses.huber_error(prediction, target, delta=delta), reduction, sample_weight)


@checked_call
def pinball(
    prediction: Any,
    target: Any,
    *,
    quantile: float | Sequence[float] = 0.5,
    reduction: str = "mean",
    sample_weight: Any = None,
) -> Any:
    """Mean of max(q·e, (q − 1)·e) with e = target − prediction, least at the q-quantile (Koenker & Bassett 1978).

    prediction, target, reduction, sample_weight  as in `mse`
    quantile  q, the share of targets that shall lie below the prediction: above 0, below 1; or several that rise, one
              for each entry of the prediction's last axis, which the target lacks, or has once

    Its derivative by the prediction is −q where the target lies above it, 1 − q where it lies below.

    >>> import clearprop as cl
    >>> cl.nn.pinball(cl.tensor([1.0, 1.0]), cl.tensor([2.0, 0.0]), quantile=0.9)
    Tensor(0.5)
    >>> cl.nn.pinball(cl.tensor([[1.0, 3.0]]), cl.tensor([2.0]), quantile=[0.1, 0.9], reduction="none")
    Tensor([[0.1, 0.1]])
    """
    if isinstance(quantile, list | tuple):
        return _several_quantiles(asarray(prediction), asarray(target), quantile, reduction, sample_weight)
    if not is_number(quantile) or not 0 < quantile < 1:  # type: ignore[operator]  # a number by now
        raise unsuitable_setting(
            "pinball needs a quantile", "0 < quantile < 1 (default 0.5, the median)", quantile=quantile
        )
    prediction, target = pair_of_numbers("pinball", prediction, target)
    below, q = target - prediction, float(quantile)  # type: ignore[arg-type]  # as above
    return reduce_loss("pinball", maximum(q * below, (q - 1) * below), reduction, sample_weight)


def _several_quantiles(prediction: Any, target: Any, asked: Sequence[float], reduction: str, weight: Any) -> Any:
    """The loss of an answer for each quantile, `(…, quantiles)`, about one target."""
    shares = require_quantiles(asked)
    shape = shape_of(prediction)
    if not shape or not same(shape[-1], len(shares)):
        raise too_few_answers(shape, len(shares))
    column = reshape(target, (*shape[:-1], 1)) if shapes_agree(shape_of(target), shape[:-1]) else target
    if shapes_agree(shape_of(column), (*shape[:-1], 1)):
        target = broadcast_to(column, shape)
    prediction, target = pair_of_numbers("pinball", prediction, target)
    q = asarray(np.array(shares), dtype=type_of(raw(prediction)).dtype)
    below = target - prediction
    return reduce_loss("pinball", maximum(q * below, (q - 1.0) * below), reduction, weight)


@checked_call
def log_cosh(prediction: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of log cosh e, e = prediction − target: ½e² near 0, |e| − log 2 far away (Saleh & Saleh 2022).

    prediction, target, reduction, sample_weight  as in `mse`

    Its derivative is tanh e, so no row pulls harder than 1.  It is computed as |e| + log((1 + e^(−2|e|)) / 2), which
    does not overflow.

    >>> import clearprop as cl
    >>> cl.nn.log_cosh(cl.tensor([0.0, 1000.0]), cl.tensor([0.0, 0.0]), reduction="none")
    Tensor([0.0, 999.30685282])
    """
    prediction, target = pair_of_numbers("log_cosh", prediction, target)
    size = abs(prediction - target)
    return reduce_loss("log_cosh", size + log1p(0.5 * expm1(-2.0 * size)), reduction, sample_weight)


@checked_call
def poisson(prediction: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of e^o − y·o, o the prediction and y the target: counts whose mean is e^o (Nelder & Wedderburn 1972).

    prediction  o, the logarithm of the expected count
    target      y, of the same shape: counts, or other amounts that are not negative
    reduction, sample_weight  as in `mse`

    It is −log of the Poisson probability without log y!, which no prediction changes; its derivative is e^o − y.

    Raises ShapeError where the shapes differ, ArgumentError for a negative target.

    >>> import clearprop as cl
    >>> cl.nn.poisson(cl.tensor([0.0, 0.0]), cl.tensor([0.0, 3.0]))
    Tensor(1.0)
    """
    prediction, target = pair_of_numbers("poisson", prediction, target)
    target = require_amounts(target, "poisson")
    return reduce_loss("poisson", exp(prediction) - target * prediction, reduction, sample_weight)


@checked_call
def tweedie(
    prediction: Any, target: Any, *, power: float = 1.5, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """Mean of e^((2−p)o)/(2−p) − y·e^((1−p)o)/(1−p): amounts of which some are 0 (Tweedie 1984; Jørgensen 1987).

    prediction  o, the logarithm of the expected amount
    target      y, of the same shape: 0 or more
    power       p, above 1 and below 2: the variance is proportional to the mean to the p-th; near 1 it is `poisson`
    reduction, sample_weight  as in `mse`

    It is half the Tweedie deviance without what no prediction changes; its derivative is e^((2−p)o) − y·e^((1−p)o).

    Raises ShapeError where the shapes differ, ArgumentError for another power or a negative target.

    >>> import clearprop as cl
    >>> cl.nn.tweedie(cl.tensor([0.0, 0.0]), cl.tensor([0.0, 3.0]))
    Tensor(5.0)
    """
    if not is_number(power) or not 1 < power < 2:
        raise unsuitable_setting(
            "tweedie needs a power between 1 and 2", "1 < power < 2 (default 1.5)", "poisson for 1", power=power
        )
    prediction, target = pair_of_numbers("tweedie", prediction, target)
    target = require_amounts(target, "tweedie")
    at_mean, at_target = exp((2.0 - power) * prediction), target * exp((1.0 - power) * prediction)
    return reduce_loss("tweedie", at_mean / (2.0 - power) - at_target / (1.0 - power), reduction, sample_weight)


@checked_call
def gaussian_nll(
    prediction: Any,
    target: Any,
    variance: Any = None,
    *,
    interval: float = 0.9,
    least: float = 1e-6,
    reduction: str = "mean",
    sample_weight: Any = None,
) -> Any:
    """Mean of ½(log v + (prediction − target)²/v) with v = max(variance, least) (Nix & Weigend 1994).

    prediction  the mean of the normal distribution of the target, as the network says
    target      what is right; of the same shape
    variance    of that distribution, of the same shape, 0 or more: a second output of the network, such as a softplus;
                None: prediction (…, 3) holds the lower end, the mean and the upper end of an interval, which say it
    interval    the share of the distribution between these ends, as `cl.nn.NormalInterval` gives them
    least       keeps the quotient finite; positive
    reduction, sample_weight  as in `mse`

    It is −log of the density without ½·log 2π, which no prediction changes.

    Raises ShapeError where the shapes differ, ArgumentError for a negative variance.

    >>> import clearprop as cl
    >>> cl.nn.gaussian_nll(cl.tensor([1.0]), cl.tensor([3.0]), cl.tensor([4.0]))
    Tensor(1.19314718)
    """
    if not is_number(least) or not least > 0:
        raise unsuitable_setting("gaussian_nll needs a positive least", "least > 0 (default 1e-06)", least=least)
    if variance is None:
        low, prediction, high = interval_ends(asarray(prediction))
        target, variance = asarray(target), square((high - low) / (2.0 * normal_reach(interval)))
        if shapes_agree(shape_of(target), (*shape_of(prediction), 1)):
            target = reshape(target, shape_of(prediction))
    prediction, target = pair_of_numbers("gaussian_nll", prediction, target)
    prediction, variance = pair_of_numbers("gaussian_nll", prediction, variance)
    v = maximum(require_range(variance, 0, 2**62, "gaussian_nll"), least)
    return reduce_loss("gaussian_nll", 0.5 * (log(v) + square(prediction - target) / v), reduction, sample_weight)


@checked_call
def cross_entropy(
    logits: Any, labels: Any, *, label_smoothing: float = 0.0, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """Mean of −log softmax(logits)[label] over examples.

    logits  (…, classes): the network's outputs, without softmax
    labels  integers of shape (…) from 0 to classes − 1, or probabilities of the logits' shape
    label_smoothing  ε, from 0 to below 1: a share of ε is spread over all classes, so that the target of a class is
            1 − ε + ε/classes in place of 1 (Szegedy et al. 2016)
    reduction, sample_weight  as in `mse`

    Raises ShapeError or DTypeError where the shapes do not fit, or there is only one class; ArgumentError for a label
    outside the range, and for probabilities that are negative or do not sum to 1.

    >>> import clearprop as cl
    >>> cl.nn.cross_entropy(cl.tensor([[0.0, 0.0]]), cl.tensor([1]))
    Tensor(0.69314718)
    """
    share = require_fraction("cross_entropy", "label_smoothing", label_smoothing, 0.0)
    logits, labels = asarray(logits), asarray(labels)
    loss = losses.softmax_cross_entropy_(logits, checked_labels("cross_entropy", logits, labels))
    if share:
        loss = (1.0 - share) * loss - share * mean(log_softmax(logits), axis=-1)
    return reduce_loss("cross_entropy", loss, reduction, sample_weight)


@checked_call
def focal(logits: Any, labels: Any, *, gamma: float = 2.0, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of −(1 − p)^γ·log p, p = softmax(logits)[label]: rows that are right already count little (Lin et al. 2017).

    logits  (…, classes): the network's outputs, without softmax
    labels  integers of shape (…) from 0 to classes − 1
    gamma   γ, 1 or more; `cross_entropy` is the loss of γ = 0
    reduction, sample_weight  as in `mse`

    Raises ShapeError or DTypeError where the shapes do not fit, ArgumentError for a label out of range or another γ.

    >>> import clearprop as cl
    >>> cl.nn.focal(cl.tensor([[0.0, 0.0]]), cl.tensor([1]))
    Tensor(0.1732868)
    """
    if not is_number(gamma) or not 1 <= gamma < math.inf:
        raise unsuitable_setting(
            "focal cannot work with this gamma", "gamma >= 1 (default 2.0)", "cross_entropy for gamma = 0", gamma=gamma
        )
    logits, labels = asarray(logits), asarray(labels)
    if is_floating(labels.dtype) and logits.shape:
        raise label_shape("focal", logits, labels, whole=shapes_agree(logits.shape[:-1], labels.shape))
    loss = losses.softmax_cross_entropy_(logits, checked_labels("focal", logits, labels))
    return reduce_loss("focal", pow(-expm1(-loss), gamma) * loss, reduction, sample_weight)


@checked_call
def binary_cross_entropy(
    logits: Any, labels: Any, *, label_smoothing: float = 0.0, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """Mean of −p·log σ(z) − (1 − p)·log σ(−z) over all elements.

    logits  z, the network's outputs, without sigmoid
    labels  p, of the same shape: 0, 1, or between
    label_smoothing  ε, from 0 to below 1: p becomes (1 − ε)·p + ε/2
    reduction, sample_weight  as in `mse`

    Raises ShapeError where the shapes differ, ArgumentError for a label outside [0, 1].

    >>> import clearprop as cl
    >>> cl.nn.binary_cross_entropy(cl.tensor([0.0, 0.0]), cl.tensor([1, 0]))
    Tensor(0.69314718)
    """
    share = require_fraction("binary_cross_entropy", "label_smoothing", label_smoothing, 0.0)
    logits, labels = same_shaped_pair("binary_cross_entropy", logits, labels)
    labels = require_range(labels, 0, 1, "binary_cross_entropy")
    if labels.dtype.kind not in "f":
        labels = labels.astype(logits.dtype)
    if share:
        labels = (1.0 - share) * labels + 0.5 * share
    return reduce_loss("binary_cross_entropy", losses.sigmoid_cross_entropy_(logits, labels), reduction, sample_weight)


NUMBER_LOSSES: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (mse, mae, huber, pinball, log_cosh, poisson, tweedie, gaussian_nll)
}
"""The losses that compare numbers with numbers."""
CLASS_LOSSES: dict[str, Callable[..., Any]] = {f.__name__: f for f in (cross_entropy, binary_cross_entropy, focal)}
"""The losses that compare logits with labels."""
LOSSES = NUMBER_LOSSES | CLASS_LOSSES


@checked_call
def loss_named(name: str) -> Any:
    """The loss of that name, a function `(prediction, target, *, reduction, sample_weight)`.

    name  one of `cl.nn.LOSSES`, perhaps with settings: `huber:delta=2`, `pinball:0.9` (which is `quantile:0.9`, too),
          `cross_entropy:label_smoothing=0.1`

    Raises ArgumentError for another name, and tells the nearest, for a loss of `cl.nn` that is given as a function
    (`hinge`, `nll`, …), and for settings that the loss does not have.

    >>> import clearprop as cl
    >>> cl.nn.loss_named("mae")(cl.tensor([1.0, 3.0]), cl.tensor([0.0, 1.0]))
    Tensor(1.5)
    """
    word, _, rest = name.partition(":") if isinstance(name, str) else (name, "", "")
    if isinstance(word, str) and word in SHORT and rest:
        return loss_named(f"{SHORT[word]}={rest.removeprefix('quantile=')}")
    if isinstance(word, str) and (word in FUNCTIONS_ONLY or word in ALSO_CALLED):
        raise function_only(word, LOSSES, user_line())
    if not isinstance(word, str) or word not in LOSSES:
        raise unknown_name("loss", word, LOSSES, user_line())
    if not rest:
        return LOSSES[word]
    made = with_settings(LOSSES[word], name)
    outputs = [0.0] * max(2, len(quantiles_of(made.name)))
    one = word in ("cross_entropy", "focal", "gaussian_nll")
    made([outputs], [1] if one else [[1.0] * len(outputs)])  # refuses what is out of its range
    return made


def loss_task(name: str) -> Literal["classes", "numbers"] | None:
    """What the loss of that name, or text, compares; None for a name that is no loss of ours.

    >>> loss_task("cross_entropy"), loss_task("pinball:quantile=0.9"), loss_task("mine")
    ('classes', 'numbers', None)
    """
    word = name.partition(":")[0]
    word = SHORT.get(word, word).partition(":")[0]
    return "classes" if word in CLASS_LOSSES else "numbers" if word in NUMBER_LOSSES else None


def task_under(task: str, loss: object) -> str:
    """The task, where it is to be inferred and the loss is one of numbers: regression, whole numbers or not.

    >>> task_under("auto", "poisson"), task_under("auto", "focal"), task_under("classification", "mse")
    ('regression', 'auto', 'classification')
    """
    return "regression" if task == "auto" and isinstance(loss, str) and loss_task(loss) == "numbers" else task


def has_log_link(name: str) -> bool:
    """Whether predictions under the loss of that name, or text, are logarithms of what is expected.

    >>> has_log_link("tweedie:power=1.3"), has_log_link("mse")
    (True, False)
    """
    return name.partition(":")[0] in ("poisson", "tweedie")


def is_binary(name: str) -> bool:
    """Whether every output answers yes or no by itself under the loss of that name, or text.

    >>> is_binary("binary_cross_entropy:label_smoothing=0.1"), is_binary("cross_entropy")
    (True, False)
    """
    return name.partition(":")[0] == "binary_cross_entropy"


def quantiles_of(name: str) -> tuple[float, ...]:
    """The quantiles that the loss of that name, or text, learns, an output for each; none for other losses.

    Of a normal distribution they are the mean and the ends of an interval.

    >>> [quantiles_of(name) for name in ("pinball:quantile=0.1,0.9", "pinball", "quantile:0.2", "mse")]
    [(0.1, 0.9), (0.5,), (0.2,), ()]
    """
    word, _, rest = name.partition(":")
    if word == "gaussian_nll":
        return interval_quantiles(interval_in(rest))
    if word not in PINBALL:
        return ()
    return numbers_in(rest) if rest else (0.5,)


def several_quantiles_of(name: object) -> tuple[float, ...]:
    """The quantiles that a loss learns side by side; none where it learns one.

    >>> several_quantiles_of("pinball:0.1,0.9"), several_quantiles_of("pinball:0.9"), several_quantiles_of(None)
    ((0.1, 0.9), (), ())
    """
    found = quantiles_of(name) if isinstance(name, str) else ()
    return found if len(found) > 1 else ()


# ------------------------------------------------------------------------------------------------- checks
def same_shaped_pair(name: str, prediction: Any, target: Any) -> tuple[Any, Any]:
    """Both as tensors of one shape: broadcasting (n, 1) against (n,) would silently compare all pairs."""
    prediction, target = asarray(prediction), asarray(target)
    if not shapes_agree(prediction.shape, target.shape):
        raise ShapeError(
            f"{name} cannot compare {prediction.shape} with {target.shape}",
            expected="predictions and targets of one shape",
            got=f"{prediction.shape} and {target.shape}",
            where=user_line(),
            try_=remedy_for_shapes(prediction.shape, target.shape),
        )
    return prediction, target


def pair_of_numbers(name: str, prediction: Any, target: Any) -> tuple[Any, Any]:
    """Both of one shape, whole numbers as floats of the other's kind."""
    prediction, target = same_shaped_pair(name, prediction, target)
    if not is_floating(prediction.dtype):
        prediction = prediction.astype(target.dtype if is_floating(target.dtype) else float)
    return prediction, target if is_floating(target.dtype) else target.astype(prediction.dtype)


def checked_labels(name: str, logits: Any, labels: Any) -> Any:
    """The labels, if they fit the logits; where values are not known yet, the program looks at them."""
    if not logits.shape:
        raise ShapeError(
            f"{name} needs an axis of classes",
            expected="logits of shape (…, classes)",
            got="a number",
            where=user_line(),
            try_="a list with one number per class; binary_cross_entropy for a number and its label",
        )
    classes = logits.shape[-1]
    if same(classes, 1):
        raise one_output(name, logits.shape)
    if not is_floating(labels.dtype):
        if not shapes_agree(logits.shape[:-1], labels.shape):
            raise label_shape(name, logits, labels, whole=False)
    elif not shapes_agree(logits.shape, labels.shape):
        raise label_shape(name, logits, labels, whole=shapes_agree(logits.shape[:-1], labels.shape))
    return require_classes(labels, classes, name)


def reduce_loss(name: str, loss: Any, reduction: str, sample_weight: Any) -> Any:
    """The mean, the sum, or all the losses; with weights Σ w·loss / Σ w for the mean."""
    if not isinstance(reduction, str) or reduction not in _REDUCTIONS:
        raise unknown_name("reduction", reduction, _REDUCTIONS, user_line())
    if sample_weight is None:
        return mean(loss) if reduction == "mean" else sum(loss) if reduction == "sum" else loss
    weight = weights_like(name, sample_weight, loss)
    weighted = weight * loss
    if reduction == "mean":
        return sum(weighted) / sum(weight)
    return sum(weighted) if reduction == "sum" else weighted
