"""Losses of one example or element; means over examples are taken by `cl.nn`."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.errors import ShapeError
from clearprop.primitives import composite
from clearprop.program.ir import is_array_now
from clearprop.program.types import Value, type_of
from clearprop.program.values import RECORDING, raw
from clearprop.rules import eager
from clearprop.rules.activations import sigmoid
from clearprop.rules.checking import require_classes, require_range
from clearprop.rules.elementwise import (
    abs,
    as_floating,
    astype,
    equal,
    exp,
    isfinite,
    log,
    log1p,
    maximum,
    sign,
    square,
    stop_gradient,
    where,
)
from clearprop.rules.indexing import one_hot
from clearprop.rules.reductions import log_softmax, max, softmax, sum
from clearprop.shapes import Shape, shapes_agree


def _is_index(labels: Value) -> bool:
    return raw(labels).dtype.kind in "iu"


def _per_example(logits: Any, labels: Any) -> Shape:
    """The rows' shape; broadcasting would hide labels of a wrong shape, so there is none."""
    wanted = logits.shape[:-1] if labels.dtype.kind in "iu" else logits.shape
    if not logits.shape or not shapes_agree(labels.shape, wanted):
        raise ShapeError(
            f"softmax_cross_entropy cannot compare logits {logits.shape} with labels {labels.shape}",
            expected="one integer label per row of logits, or probabilities of the logits' shape",
            got=f"{labels.dtype.name} labels of shape {labels.shape}",
            try_="labels.astype(np.int64) makes 0 and 1 of truth values"
            if labels.dtype.kind == "b"
            else "nothing is broadcast here: reshape the labels to the rows of the logits",
        )
    return tuple(logits.shape[:-1])


def _probabilities(logits: Value, labels: Value) -> Any:
    """The target distribution: given, or all on one class."""
    if _is_index(labels):
        return one_hot(labels, size=raw(logits).shape[-1], dtype=raw(logits).dtype)
    return labels


def _excess(logits: Value, labels: Value) -> Any:
    """softmax(z) minus the target; scaled by the target's sum, which is 1 for probabilities."""
    if _is_index(labels):
        if is_array_now(logits) and logits.dtype.kind == "f" and RECORDING.quiet:
            return eager.class_excess(logits, np.asarray(labels))
        return softmax(logits) - _probabilities(logits, labels)
    return softmax(logits) * sum(labels, axis=-1, keepdims=True) - labels


def _losses(logits: Any, labels: Any) -> Any:
    """What eager mode runs."""
    if _is_index(labels) and type(logits) is np.ndarray and logits.dtype.kind == "f":
        labels = np.asarray(labels)
        _per_example(logits, labels)
        return eager.class_losses(logits, labels)
    return softmax_cross_entropy_.reference(logits, labels)


@composite(
    "reduction", tex=r"-\log\operatorname{{softmax}}({logits})_{{{labels}}}", shape=_per_example,
    dtype="float", eager=_losses,
    d_logits=lambda g, logits, labels: g * _excess(logits, labels),
    d_labels=lambda g, logits, labels: -g * log_softmax(logits),  # of probabilities; integers have none
)  # fmt: skip
def softmax_cross_entropy_(logits: Value, labels: Value, /) -> Any:
    """−Σ_c p_c log softmax(z)_c for each row z of logits; p is the label's one-hot row, or given.

    Its derivative is softmax(z) − p (Bridle 1990): no quotient, no logarithm of a vanishing probability; with
    respect to given probabilities it is −log softmax(z).

    logits  scores, one row per example: (…, classes)
    labels  a class per row, as an integer, or probabilities of the logits' shape

    >>> import clearprop as cl
    >>> cl.softmax_cross_entropy(cl.tensor([[0.0, 0.0], [9.0, 0.0]]), [1, 0])
    Tensor([0.69314718, 0.0001234])
    """
    _per_example(raw(logits), raw(labels))
    logits = as_floating(logits)  # differences of small integers would wrap around
    shifted = logits - stop_gradient(max(logits, axis=-1, keepdims=True))
    lse = log(sum(exp(shifted), axis=-1))
    target = _probabilities(logits, labels)
    if _is_index(labels):
        return lse - sum(where(target > 0, shifted, 0.0), axis=-1)
    return lse * sum(target, axis=-1) - sum(where(target > 0, target * shifted, 0.0), axis=-1)


@softmax_cross_entropy_.front
def softmax_cross_entropy(logits: Value, labels: Value, /) -> Any:  # noqa: D103 - the declaration's docstring
    _per_example(type_of(raw(logits)), type_of(raw(labels)))
    return softmax_cross_entropy_(logits, require_classes(labels, raw(logits).shape[-1], "softmax_cross_entropy"))


@composite(
    "elementwise", dtype="float", tex=r"-\left({labels}\log\sigma({logits}) + (1-{labels})\log\sigma(-{logits})\right)",
    d_logits=lambda g, logits, labels: g * (sigmoid(logits) - labels),
    d_labels=lambda g, logits: -g * logits,
)  # fmt: skip
def sigmoid_cross_entropy_(logits: Value, labels: Value, /) -> Any:
    """−p log σ(z) − (1 − p) log σ(−z), element by element, without overflow; its derivatives are σ(z) − p and −z.

    logits  scores of the class 1
    labels  0, 1, or the probability of 1; they broadcast

    >>> import clearprop as cl
    >>> cl.sigmoid_cross_entropy(cl.tensor([0.0, 9.0]), cl.tensor([1.0, 1.0]))
    Tensor([0.69314718, 0.0001234])
    """
    usual = maximum(logits, 0.0) - logits * labels + log1p(exp(-abs(logits)))
    missed = where(logits > 0, 1 - labels, labels)  # at ±∞: no loss where the label is met exactly
    infinite = astype(where(equal(missed, 0), 0.0, abs(logits)), dtype=type_of(raw(usual)).dtype)
    return where(isfinite(logits), usual, infinite)


@sigmoid_cross_entropy_.front
def sigmoid_cross_entropy(logits: Value, labels: Value, /) -> Any:  # noqa: D103 - the declaration's docstring
    return sigmoid_cross_entropy_(logits, require_range(labels, 0, 1, "sigmoid_cross_entropy"))


@composite(
    "elementwise", dtype="float", tex=r"({prediction} - {target})^2",
    d_prediction=lambda g, prediction, target: 2 * g * (prediction - target),
    d_target=lambda g, prediction, target: -2 * g * (prediction - target),
)  # fmt: skip
def squared_error(prediction: Value, target: Value, /) -> Any:
    """(prediction − target)², without ½.

    prediction, target  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.squared_error(cl.tensor([1.0, 3.0]), cl.tensor([0.0, 1.0]))
    Tensor([1.0, 4.0])
    """
    return square(as_floating(prediction) - as_floating(target))


@composite(
    "elementwise", dtype="float", tex=r"\lvert {prediction} - {target} \rvert",
    kink=lambda prediction, target: prediction - target,
    d_prediction=lambda g, prediction, target: g * sign(prediction - target),
    d_target=lambda g, prediction, target: -g * sign(prediction - target),
)  # fmt: skip
def absolute_error(prediction: Value, target: Value, /) -> Any:
    """|prediction − target|.  By convention its derivative at 0 is 0.

    prediction, target  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.absolute_error(cl.tensor([1.0, 3.0]), cl.tensor([0.0, 1.0]))
    Tensor([1.0, 2.0])
    """
    return abs(as_floating(prediction) - as_floating(target))


@composite(
    "elementwise", dtype="float", tex=r"h_\delta({prediction} - {target})",
    d_prediction=lambda g, prediction, target, delta: g * _huber_slope(prediction - target, delta),
    d_target=lambda g, prediction, target, delta: -g * _huber_slope(prediction - target, delta),
)  # fmt: skip
def huber_error(prediction: Value, target: Value, /, *, delta: Value = 1.0) -> Any:
    """½e² for |e| ≤ delta, delta(|e| − ½delta) beyond, with e = prediction − target (Huber 1964).

    prediction, target  numbers of shapes that broadcast
    delta               where the parabola becomes a line

    >>> import clearprop as cl
    >>> cl.huber_error(cl.tensor([0.5, 3.0]), cl.tensor([0.0, 0.0]))
    Tensor([0.125, 2.5])
    """
    size = abs(as_floating(prediction) - as_floating(target))
    return where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))


def _huber_slope(error: Value, delta: Value) -> Any:
    return where(abs(error) <= delta, error, delta * sign(error))
